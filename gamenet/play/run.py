"""``gamenet play``: from the command line to the window.

Layer 4. Runs on: the main thread. Needs pygame-ce.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from gamenet.cli_network import banner
from gamenet.client_facade import GameClient
from gamenet.demo.game import GAME_NAME
from gamenet.discovery import Browser
from gamenet.play.app import App, Window, new_client, open_window
from gamenet.play.field_map import FIELD, load
from gamenet.play.hosting import Hosting
from gamenet.play.view import FieldView
from gamenet.proxy import Proxy
from gamenet.threads import ensure_reactor

if TYPE_CHECKING:
    from collections.abc import Callable

    from gamenet.impairment import Profile
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
    profile: Profile | None = None
    """A bad network to put between the game and the server of the wish."""
    sim_seed: int = 0


def run_play(start: Start, interrupted: Callable[[], bool]) -> None:
    """Play until the window is closed.

    :raises GamenetError: in one sentence, if there is nothing to be played or shown.
    """
    # What is wrong with what was typed is said at the terminal, before there is a window.
    if start.wish.address:
        new_client(GameClient, start.wish)
    field_map = load(start.map_file or FIELD)
    ensure_reactor()  # which takes a moment, and there is no window yet that would not move
    with ExitStack() as stack:
        make_client = _client_maker(start, stack)
        surface = open_window(start.window)
        hosting = Hosting(start.port, insecure=start.wish.insecure, beacon=start.beacon)
        lan = Browser(GAME_NAME)
        app = App(surface, FieldView(field_map), hosting, lan, make_client=make_client)
        if start.hosts:
            app.to_host(start.wish)
        else:
            app.to_join(start.wish, at_once=bool(start.wish.address))
        app.run(interrupted)


def _client_maker(start: Start, stack: ExitStack) -> Callable[..., GameClient]:
    """What makes clients; those for the server of the wish go through a bad network, if any."""
    if start.profile is None:
        return GameClient
    proxy = Proxy(start.wish.address, profile=start.profile, seed=start.sim_seed)
    stack.enter_context(proxy)
    print(banner(start.profile, start.sim_seed), file=sys.stderr, flush=True)
    return partial(_client_through, f"127.0.0.1:{proxy.port}", start.wish.address)


def _client_through(via: str, far: str, address: str, **fields: Any) -> GameClient:
    return GameClient(address, via=via if address == far else "", **fields)
