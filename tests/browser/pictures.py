"""The pictures of the documentation: ``python -m tests.browser --screenshots docs/images``."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

from tests.browser.stage import bots, daemon
from tests.browser.webdriver import Browser

WIDTH: Final = 1280
HEIGHT: Final = 1100
PLAYERS: Final = 50
PROFILE: Final = "cellular"
MOST_BYTES: Final = 300_000
"""Of a picture, so that a checkout stays small."""
ROWS: Final = "return document.querySelectorAll('#rows tr').length"
DRAWN: Final = (
    "return document.querySelector('#tiles svg path').getAttribute('d').split('L').length"
)


def take(folder: Path) -> None:
    """Write ``status.png``: the live page of a full minute of bots in a bad network."""
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as scratch,
        daemon(Path(scratch)) as server,
        bots(server.address, PLAYERS, PROFILE),
        Browser((WIDTH, HEIGHT)) as browser,
    ):
        browser.resize(WIDTH, HEIGHT)
        browser.open(f"http://{server.status}/")
        browser.wait("all players", lambda: browser.ask(ROWS) == PLAYERS)
        browser.wait("graphs of 30 seconds", lambda: browser.ask(DRAWN) >= 26)
        picture = browser.screenshot()
    if len(picture) > MOST_BYTES:
        raise SystemExit(f"the picture has {len(picture)} bytes, more than {MOST_BYTES}")
    path = folder / "status.png"
    path.write_bytes(picture)
    print(f"{path}: {len(picture)} bytes")
