"""Colours that most people can tell apart: those of Okabe and Ito (2008), on a dark ground.

Layer 4. Constants. No colour stands alone: curves have styles, verdicts have words and marks. Those
that meet in one graph differ in brightness, too, so that they differ in grey.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from gamenet.overlay.shapes import Colour, Verdict

YELLOW: Final[Colour] = (240, 228, 66)
SKY_BLUE: Final[Colour] = (86, 180, 233)
VERMILION: Final[Colour] = (213, 94, 0)
WHITE: Final[Colour] = (240, 240, 240)
GREY: Final[Colour] = (150, 150, 150)
GROUND: Final[Colour] = (12, 14, 20)
"""Behind all of it."""

OF_VERDICT: Final[dict[Verdict, Colour]] = {
    "": WHITE,
    "good": SKY_BLUE,
    "fair": YELLOW,
    "poor": VERMILION,
}
FIRST: Final = YELLOW
"""The curve that matters most."""
SECOND: Final = SKY_BLUE
THIRD: Final = VERMILION
