"""The people: four directions, standing and four steps, in three ways to wear one's hair.

Layer 4. They are drawn in the key colours of ``palette``, which no hero is ever shown in.
"""

from __future__ import annotations

from typing import Final

import pygame

from gamenet.demo.field import FACING_DOWN, FACING_LEFT, FACING_RIGHT, FACING_UP
from gamenet.play.art.palette import HAIR_KEYS, INK, SHIRT_KEYS, SKIN_KEYS, WHITE
from gamenet.play.art.pixels import paint

WIDE: Final = 16
HIGH: Final = 24
STYLES: Final = 3
FACINGS: Final = 4
STEPS: Final = 4
POSES: Final = 1 + STEPS
"""Standing, then the steps."""

Rows = tuple[str, ...]

_COLOURS: Final = {
    "o": INK,
    "e": (44, 34, 58),
    "w": WHITE,
    **dict(zip("dhH", HAIR_KEYS, strict=True)),
    **dict(zip("zsS", SKIN_KEYS, strict=True)),
    **dict(zip("xcC", SHIRT_KEYS, strict=True)),
    "p": (78, 82, 118),
    "P": (58, 58, 90),
    "b": (104, 70, 56),
    "B": (74, 50, 48),
}

_HEADS: Final[dict[int, Rows]] = {
    FACING_DOWN: (
        "................",
        ".....oooooo.....",
        "...oohhhhhhoo...",
        "..ohhHHHhhhhho..",
        "..ohHHHhhhhhdo..",
        "..ohHhhhhhhhdo..",
        "..ohhhshhsshdo..",
        "..ohhSssssshdo..",
        "..ohSesssseSho..",
        "..osSessssesso..",
        "...ozssssszzo...",
        "....oozzzzoo....",
    ),
    FACING_UP: (
        "................",
        ".....oooooo.....",
        "...oohhhhhhoo...",
        "..ohhHHHhhhhho..",
        "..ohHHHhhhhhdo..",
        "..ohHhhhhhhhdo..",
        "..ohhhhhhhhhdo..",
        "..ohhhhhhhhhdo..",
        "..ohhhhhhhhddo..",
        "..oshhhhhhddso..",
        "...odhdhhdddo...",
        "....oodzzdoo....",
    ),
    FACING_RIGHT: (
        "................",
        ".....oooooo.....",
        "...oohhhhhhoo...",
        "..ohhhHHHhhhho..",
        "..ohhHHHhhhhho..",
        "..odhHhhhhhhho..",
        "..odhhhhhhshso..",
        "..odhhhhhsssso..",
        "..odhhszssesSo..",
        "..oddhsssseSso..",
        "...oddzsssszo...",
        "....oozzzzoo....",
    ),
}
# What of a head another style replaces, and from which row on.
_STYLES: Final[tuple[dict[int, tuple[int, Rows]], ...]] = (
    {},
    {
        FACING_DOWN: (
            9,
            (
                "..oh........ho..",
                "..ohd......dho..",
                "..ohdo....odho..",
                "..ohd......dho..",
                "...oo......oo...",
            ),
        ),
        FACING_UP: (
            9,
            (
                "..ohhhhhhhhddo..",
                "..ohhhhhhhhddo..",
                "..ohhhhhhhhddo..",
                "..odhhhhhhhddo..",
                "...odhdhhdddo...",
                "....oooooooo....",
            ),
        ),
        FACING_RIGHT: (
            9,
            (
                "..odhh..........",
                "..odhhh.........",
                "..odhhho........",
                "..oddhho........",
                "...oddo.........",
                "....oo..........",
            ),
        ),
    },
    {
        FACING_DOWN: (
            0,
            (
                ".....oooooo.....",
                "...oocCCcccoo...",
                "..ocCCcccccxxo..",
                "..ocCcccccxxxo..",
                ".oxxxxxxxxxxxxo.",
                "..oooooooooooo..",
            ),
        ),
        FACING_UP: (
            0,
            (
                ".....oooooo.....",
                "...oocCCcccoo...",
                "..ocCCcccccxxo..",
                "..ocCcccccxxxo..",
                "..ocxxxxxxxxxo..",
                "..oooooooooooo..",
            ),
        ),
        FACING_RIGHT: (
            0,
            (
                ".....oooooo.....",
                "...oocCCcccoo...",
                "..ocCCcccccxxo..",
                "..ocCcccccxxxoo.",
                "..oxxxxxxxxxxxxo",
                "..ooooooooooooo.",
            ),
        ),
    },
)  # fmt: skip
_FROM_FRONT: Final = (
    "...ocCcccccxo...",
    "..ocxCcccccxco..",
    "..ocxCcccccxco..",
    "..osxccccccxso..",
    "..ooppppppppoo..",
)
_FROM_FRONT_LEFT: Final = (
    "...ocCcccccxo...",
    "..ocxCcccccxco..",
    "..ocxCcccccxso..",
    "..osxccccccxo...",
    "..ooppppppppo...",
)
_FROM_FRONT_RIGHT: Final = (
    "...ocCcccccxo...",
    "..ocxCcccccxco..",
    "..osxCcccccxco..",
    "...oxccccccxso..",
    "...oppppppppoo..",
)
_FROM_SIDE: Final = (
    "....ocCcccxo....",
    "....ocxCCxxo....",
    "....ocxCcxxo....",
    "....ocxssxxo....",
    "....oppooppo....",
)
_FROM_SIDE_AHEAD: Final = (
    "....ocCcccxo....",
    "....ocxCCxxo....",
    "....occxCCso....",
    "....occcxsso....",
    "....opppppoo....",
)
_FROM_SIDE_BEHIND: Final = (
    "....ocCcccxo....",
    "....oxCCxcco....",
    "...osCxccccxo...",
    "...ossxccccxo...",
    "....oopppppo....",
)
_LEGS_FRONT: Final = (
    "...oppppppppo...",
    "...opppooPPPo...",
    "...opppooPPPo...",
    "...obbbooBBBo...",
    "...obbbooBBBo...",
    "....ooo..ooo....",
)
_LEGS_FRONT_LEFT: Final = (
    "...oppppppppo...",
    "...opppooPPPo...",
    "...opppooBBBo...",
    "...obbbooBBBo...",
    "...obbbo.ooo....",
    "....ooo.........",
)
_LEGS_FRONT_RIGHT: Final = (
    "...oppppppppo...",
    "...opppooPPPo...",
    "...obbbooPPPo...",
    "...obbbooBBBo...",
    "....ooo.oBBBo...",
    ".........ooo....",
)
_LEGS_SIDE: Final = (
    "....oppppppo....",
    "....oppppPPo....",
    "....opppPPPo....",
    "....obbbbBBo....",
    "....obbbbbBBo...",
    ".....ooooooo....",
)
_LEGS_SIDE_AHEAD: Final = (
    "....oppppppo....",
    "...oPPPoopppo...",
    "..oBPPo..opppo..",
    "..oBBo...obbbo..",
    "...oo....obbbbo.",
    "..........oooo..",
)
_LEGS_SIDE_BEHIND: Final = (
    "....oppppppo....",
    "...opppooPPPo...",
    "..obppo..oPPPo..",
    "..obbo...oBBBo..",
    "...oo....oBBBBo.",
    "..........oooo..",
)
# For each pose: arms, legs, and how far the step lifts the body.
_POSES_FRONT: Final = (
    (_FROM_FRONT, _LEGS_FRONT, 0),
    (_FROM_FRONT_LEFT, _LEGS_FRONT_LEFT, 0),
    (_FROM_FRONT, _LEGS_FRONT, 1),
    (_FROM_FRONT_RIGHT, _LEGS_FRONT_RIGHT, 0),
    (_FROM_FRONT, _LEGS_FRONT, 1),
)
_POSES_SIDE: Final = (
    (_FROM_SIDE, _LEGS_SIDE, 0),
    (_FROM_SIDE_AHEAD, _LEGS_SIDE_AHEAD, 0),
    (_FROM_SIDE, _LEGS_SIDE, 1),
    (_FROM_SIDE_BEHIND, _LEGS_SIDE_BEHIND, 0),
    (_FROM_SIDE, _LEGS_SIDE, 1),
)
_TOP: Final = 2
_NECK: Final = 12
_HIPS: Final = 16


def frame(style: int, facing: int, pose: int) -> pygame.Surface:
    """One picture of a hero."""
    if facing == FACING_LEFT:
        return pygame.transform.flip(frame(style, FACING_RIGHT, pose), True, False)
    surface = pygame.Surface((WIDE, HIGH), pygame.SRCALPHA)
    poses = _POSES_SIDE if facing == FACING_RIGHT else _POSES_FRONT
    arms, legs, lift = poses[pose]
    top = _TOP - lift
    paint(surface, legs, _COLOURS, (0, _TOP + _HIPS))
    paint(surface, arms, _COLOURS, (0, top + _NECK))
    paint(surface, _HEADS[facing], _COLOURS, (0, top))
    if facing in _STYLES[style]:
        first, rows = _STYLES[style][facing]
        paint(surface, rows, _COLOURS, (0, top + first))
    return surface


def sheet() -> pygame.Surface:
    """All pictures: a row for each style and direction, a column for each pose."""
    surface = pygame.Surface((POSES * WIDE, STYLES * FACINGS * HIGH), pygame.SRCALPHA)
    for style in range(STYLES):
        for facing in range(FACINGS):
            for pose in range(POSES):
                at = (pose * WIDE, (style * FACINGS + facing) * HIGH)
                surface.blit(frame(style, facing, pose), at)
    return surface
