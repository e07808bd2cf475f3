"""The pictures of the documentation: ``make screenshots``."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import Final

from PIL import Image

from tests.browser.stage import bots, daemon
from tests.browser.webdriver import Browser

WIDTH: Final = 1280
HEIGHT: Final = 1100
PLAYERS: Final = 50
PROFILE: Final = "cellular"
COLOURS: Final = 256
"""Of a picture: it looks the same, and has a third of the bytes."""
ROWS: Final = "return document.querySelectorAll('#rows tr').length"
DRAWN: Final = (
    "return document.querySelector('#tiles svg path').getAttribute('d').split('L').length"
)


def take(folder: Path) -> None:
    """Write ``status.png``: the live page after half a minute of bots in a bad network."""
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as scratch,
        daemon(Path(scratch)) as server,
        bots(server.address, PLAYERS, PROFILE),
        Browser((WIDTH, HEIGHT)) as browser,
    ):
        browser.resize(WIDTH, HEIGHT)
        # Heroes that glide would cost the bots time, and show in no picture.
        still = {"name": "prefers-reduced-motion", "value": "reduce"}
        browser.command("Emulation.setEmulatedMedia", {"features": [still]})
        browser.open(f"http://{server.status}/")
        browser.wait("all players", lambda: browser.ask(ROWS) == PLAYERS)
        browser.wait("graphs of 30 seconds", lambda: browser.ask(DRAWN) >= 26)
        picture = Image.open(io.BytesIO(browser.screenshot())).convert("RGB")
    path = folder / "status.png"
    fewer(picture).save(path, optimize=True)
    print(f"{path}: {path.stat().st_size} bytes")


def fewer(picture: Image.Image) -> Image.Image:
    """The picture in 256 colours: half of them are the most frequent, half the most different."""
    half = COLOURS // 2
    counted = sorted(picture.getcolors(picture.width * picture.height), reverse=True)[:half]
    different = picture.quantize(half, Image.Quantize.MAXCOVERAGE).getpalette()[: 3 * half]
    palette = Image.new("P", (1, 1))
    palette.putpalette([part for _, colour in counted for part in colour] + different)
    return picture.quantize(palette=palette, dither=Image.Dither.NONE)
