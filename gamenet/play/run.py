"""``gamenet play``: from the command line to the window.

Layer 4. Runs on: the main thread. Needs pygame-ce.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from gamenet.client_facade import GameClient
from gamenet.demo.game import GAME_NAME
from gamenet.discovery import Browser
from gamenet.play.app import App, Window, new_client, open_window
from gamenet.play.field_map import FIELD, load
from gamenet.play.hosting import Hosting
from gamenet.play.view import FieldView
from gamenet.threads import ensure_reactor

if TYPE_CHECKING:
    from collections.abc import Callable

    from gamenet.play.stage import Wish


class Start(NamedTuple):
    """How the game begins."""

    wish: Wish
    window: Window
    hosts: bool
    """Whether a server of one's own is started at once."""
    port: int
    beacon: str
    """Under what name it is found nearby; "" is not at all."""
    map_file: str


def run_play(start: Start, interrupted: Callable[[], bool]) -> None:
    """Play until the window is closed.

    :raises GamenetError: in one sentence, if there is nothing to be played or shown.
    """
    # What is wrong with what was typed is said at the terminal, before there is a window.
    if start.wish.address:
        new_client(GameClient, start.wish)
    field_map = load(start.map_file or FIELD)
    ensure_reactor()  # which takes a moment, and there is no window yet that would not move
    surface = open_window(start.window)
    hosting = Hosting(start.port, insecure=start.wish.insecure, beacon=start.beacon)
    app = App(surface, FieldView(field_map), hosting, Browser(GAME_NAME))
    if start.hosts:
        app.to_host(start.wish)
    else:
        app.to_join(start.wish, at_once=bool(start.wish.address))
    app.run(interrupted)
