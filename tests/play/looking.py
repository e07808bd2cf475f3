"""Looking at what was drawn, without a display that anybody sees."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pygame
from twisted.trial.unittest import SynchronousTestCase

if TYPE_CHECKING:
    from collections.abc import Iterator

Place = tuple[int, int]


class DrawnCase(SynchronousTestCase):
    """Has a window of 960 x 540 pixels, which is gone after the test."""

    def setUp(self) -> None:
        pygame.display.init()
        self.addCleanup(pygame.font.quit)
        self.addCleanup(pygame.display.quit)
        self.window = pygame.display.set_mode((960, 540))


def pixels(picture: pygame.Surface) -> bytes:
    """All of a picture, in a form that can be compared."""
    return pygame.image.tobytes(picture, "RGBA")


def solid(picture: pygame.Surface) -> Iterator[Place]:
    """The pixels of a picture that nothing shines through."""
    return (
        (x, y)
        for y in range(picture.get_height())
        for x in range(picture.get_width())
        if picture.get_at((x, y)).a == 255
    )


def share(window: pygame.Surface, picture: pygame.Surface, at: Place) -> float:
    """How much of a picture's solid pixels are in the window, if its upper left one is there."""
    places = list(solid(picture))
    found = 0
    for x, y in places:
        where = (at[0] + x, at[1] + y)
        if window.get_rect().collidepoint(where):
            found += window.get_at(where)[:3] == picture.get_at((x, y))[:3]
    return found / len(places)


def find(window: pygame.Surface, picture: pygame.Surface) -> Place | None:
    """Where exactly this picture is in the window; None if nowhere."""
    wide, high = picture.get_size()
    rows = [pygame.image.tobytes(picture.subsurface((0, y, wide, 1)), "RGB") for y in range(high)]
    # The row in which the most happens is found in the fewest other places.
    key = max(range(high), key=lambda y: len(set(zip(rows[y], rows[y][1:], strict=False))))
    width, height = window.get_size()
    data = pygame.image.tobytes(window, "RGB")

    def row(x: int, y: int) -> bytes:
        return data[3 * (y * width + x) : 3 * (y * width + x + wide)]

    for y in range(key, height - high + key + 1):
        start = data.find(rows[key], 3 * y * width, 3 * (y + 1) * width)
        while start >= 0:
            x, top = start // 3 - y * width, y - key
            if start % 3 == 0 and all(row(x, top + n) == rows[n] for n in range(high)):
                return x, top
            start = data.find(rows[key], start + 1, 3 * (y + 1) * width)
    return None
