"""What is to be seen in the window of somebody who plays, beside what the server says."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import pygame

from gamenet.demo.field import REACH, UNITS_PER_TILE
from gamenet.play import writing
from gamenet.play.art.heroes import FACINGS
from gamenet.play.art.palette import INK, WHITE
from gamenet.play.bubbles import Bubbles
from gamenet.play.lettering import inked
from gamenet.play.sprites import Sprites, look_of
from gamenet.play.view import FieldView
from tests.display.stage import heroes, wait_for
from tests.play.looking import find, share

if TYPE_CHECKING:
    from tests.display.screen import Screen
    from tests.display.stage import Placed
    from tests.live.daemon import Daemon

FAILED: Final = Path(tempfile.gettempdir(), "gamenet-play-failed.png")
"""What was in the window when something was not found there."""
DRAWN: Final = 0.97
"""The share of a hero's pixels that is there if the hero is; elsewhere it is half of that."""
UPPER: Final = 0.45
"""The share of a hero's height that is compared: what lies below a bush may hide."""


class Window:
    """The window of one player, which fills a display; for a ``with`` block.

    :param name: the player's.
    """

    def __init__(self, screen: Screen, server: Daemon, size: tuple[int, int], name: str) -> None:
        self._screen = screen
        self._server = server
        self._size = size
        self.name = name

    def __enter__(self) -> Self:
        # For what the window is compared with: a display of this process, which is never seen.
        pygame.display.init()
        pygame.display.set_mode(self._size)
        self._view = FieldView()
        self._sprites = Sprites(self._view.zoom)
        self._bubbles = Bubbles(self._view.zoom)
        return self

    def __exit__(self, *error: object) -> None:
        writing.forget_fonts()
        pygame.font.quit()
        pygame.display.quit()

    def pixel_of(self, hero: Placed, own: Placed) -> tuple[int, int]:
        """Where in a window around one hero another belongs."""
        self._view.draw(pygame.Surface(self._size), [], (own.x, own.y), 0.0)
        return self._view.pixel_of(hero.x, hero.y)

    def is_drawn(self, picture: pygame.Surface, hero: Placed, own: Placed) -> bool:
        """Whether a hero who stands still is in the window where it belongs.

        The server rounds what it tells, so it may be a pixel off.
        """
        x, y = self.pixel_of(hero, own)
        feet = y + round(REACH / UNITS_PER_TILE * 16 * self._view.zoom)
        frames = [self._sprites.frame(look_of(hero.id), facing, 0) for facing in range(FACINGS)]
        width, height = frames[0].get_size()
        left, top = x - width // 2, feet - height
        frames = [frame.subsurface((0, 0, width, round(height * UPPER))) for frame in frames]
        return any(
            share(picture, frame, (left + right, top + down)) > DRAWN
            for frame in frames
            for right in (0, -1, 1)
            for down in (0, -1, 1)
        )

    def wait_until_drawn(self, name: str) -> None:
        """Until the window and the server say the same of where somebody is."""

        def look() -> bool:
            before = heroes(self._server)
            picture = self._screen.picture()
            after = heroes(self._server)
            both = (name, self.name)
            # Of who walks, the two would tell of different moments.
            stand_still = all(before.get(one) == after.get(one) is not None for one in both)
            return stand_still and self.is_drawn(picture, after[name], after[self.name])

        try:
            wait_for(f"{name} where the server says", look)
        except AssertionError:
            pygame.image.save(self._screen.picture(), FAILED)
            print(f"{heroes(self._server)}; the window is in {FAILED}", file=sys.stderr)
            raise

    def where_is_said(self, text: str) -> tuple[int, int] | None:
        """The middle of a line of a speech bubble, and its upper edge."""
        line = self._bubbles.lettering.line(text, INK)
        paper = pygame.Surface(line.get_size())
        paper.fill(WHITE)
        paper.blit(line, (0, 0))
        found = find(self._screen.picture(), paper)
        return None if found is None else (found[0] + line.get_width() // 2, found[1])

    def shows(self, text: str, size: int) -> bool:
        """Whether a line of text is in the middle of the window, whatever shines through."""
        line = inked(writing.font(size), text, writing.INK)
        letters = pygame.mask.from_surface(line, 254)
        picture = self._screen.picture()
        bright = pygame.mask.from_threshold(picture, writing.INK, (1, 1, 1, 255))
        left = picture.get_width() // 2 - line.get_width() // 2
        return any(
            bright.overlap_area(letters, (left, y)) == letters.count()
            for y in range(picture.get_height())
        )
