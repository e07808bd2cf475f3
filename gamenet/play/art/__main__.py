"""``make art``, or ``python -m gamenet.play.art [FOLDER]``: write the game's pictures and its map.

Layer 4. Without a folder, those of the game itself are written anew.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pygame

from gamenet.play.art import heroes, icon, sheet, tmx

if TYPE_CHECKING:
    from collections.abc import Sequence

ASSETS: Final = Path(__file__).resolve().parent.parent / "assets"
TILES: Final = "tiles.png"


def drawn() -> tuple[dict[str, pygame.Surface], dict[str, str]]:
    """Every picture and every text, by the name of its file."""
    tiles = sheet.draw()
    pictures = {TILES: tiles.picture(), "heroes.png": heroes.sheet(), "icon.png": icon.draw()}
    return pictures, {"field.tmx": tmx.text_of(tiles, TILES)}


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    folder = Path(arguments[0]) if arguments else ASSETS
    try:
        folder.mkdir(parents=True, exist_ok=True)
        pictures, texts = drawn()
        for name, picture in pictures.items():
            pygame.image.save(picture, folder / name)
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8", newline="\n")
    except (OSError, pygame.error) as error:
        print(f"art: cannot write to {folder}: {error}", file=sys.stderr)
        return 1
    for name in sorted([*pictures, *texts]):
        print(f"{folder / name}: {(folder / name).stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
