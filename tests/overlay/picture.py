"""The picture of the net graph in the documentation: ``make screenshots``."""

from __future__ import annotations

import sys
from pathlib import Path

import pygame

from tests.overlay import example

SIZE = (740, 390)
"""Too low for text above graphs, so they are beside each other."""
SECONDS = 35.0
"""Of virtual time: the graphs are full."""


def take(folder: Path) -> None:
    """Write ``net_graph.png``: level 4 on a mobile network."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "net_graph.png"
    pygame.image.save(example.play(SIZE, SECONDS, level=4, profile="cellular"), path)
    print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    take(Path(sys.argv[1]))
