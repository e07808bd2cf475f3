"""Draw every plot of the documentation, and write the figures that it quotes.

``make plots`` runs it; the folder is this one. Nothing here is left to chance, so a run that
changes a file shows that what the page says has changed.
"""

from __future__ import annotations

import json
from pathlib import Path

import clock
import interpolation
import prediction
import states

FOLDER = Path(__file__).resolve().parent
PARTS = (clock, interpolation, prediction, states)


def figures() -> dict[str, float]:
    """All figures by name, rounded to six digits."""
    found: dict[str, float] = {}
    for part in PARTS:
        found |= part.figures()
    return {name: float(f"{value:.6g}") for name, value in found.items()}


def main() -> None:
    """Write ``figures.json`` and one drawing for each part."""
    text = json.dumps(figures(), indent=2) + "\n"
    (FOLDER / "figures.json").write_text(text, encoding="utf-8")
    for part in PARTS:
        part.draw(FOLDER)
    for path in sorted([*FOLDER.glob("*.svg"), FOLDER / "figures.json"]):
        print(path.relative_to(FOLDER.parent.parent))


if __name__ == "__main__":
    main()
