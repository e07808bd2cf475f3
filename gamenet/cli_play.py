"""``gamenet play`` on the command line.

Layer 4. Runs on: the main thread.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
from typing import TYPE_CHECKING, Any, Final

from gamenet.addresses import DEFAULT_PORT
from gamenet.cli_network import add_simulation, profile_of
from gamenet.cli_values import named, shown, whole
from gamenet.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

NEEDED: Final = {"pygame": "pygame-ce", "pytmx": "pytmx", "platformdirs": "platformdirs"}
"""Modules of the extra ``play``, and the packages that have them."""
LEAST_PIXELS: Final = (480, 270)
MOST_PIXELS: Final = 8_192


def add_play(commands: Any) -> None:
    """Add ``gamenet play`` to what ``ArgumentParser.add_subparsers`` returned."""
    play = commands.add_parser(
        "play",
        help="play the demo's game in a window, on a server or as its host",
        description="Walk about on the demo's field and talk to whoever is there. Without an "
        "address the game begins with a screen to choose a server. Needs gamenet[play].",
    )
    play.add_argument(
        "address",
        nargs="?",
        default="",
        metavar="ADDRESS",
        help="HOST[:7777], [IPV6]:PORT or gamenet://HOST:PORT#sha256=FINGERPRINT",
    )
    play.add_argument(
        "--name", default="", metavar="NAME", help="who to be (default: the server names a guest)"
    )
    trust = play.add_mutually_exclusive_group()
    trust.add_argument(
        "--ca",
        type=named("a file"),
        metavar="FILE",
        help="authorities to trust instead of the system's",
    )
    trust.add_argument("--insecure", action="store_true", help="join or host without encryption")
    play.add_argument("--host", action="store_true", help="start a server here, and play on it")
    play.add_argument(
        "--port",
        type=whole(0, 65_535),
        default=DEFAULT_PORT,
        metavar="N",
        help="where a server of one's own listens (default %(default)s)",
    )
    play.add_argument(
        "--beacon",
        type=named("a server"),
        metavar="NAME",
        help="have such a server found on this network under a name",
    )
    play.add_argument(
        "--map", type=named("a file"), metavar="FILE", help="another drawing of the field, .tmx"
    )
    play.add_argument(
        "--size", type=_size, default=(960, 540), metavar="WxH", help="of the window (960x540)"
    )
    play.add_argument(
        "--fullscreen", action="store_true", help="take the whole screen; F11 as well"
    )
    add_simulation(play)


def run(arguments: argparse.Namespace, interrupted: Callable[[], bool]) -> None:
    """Play until the window is closed.

    :raises GamenetError: in one sentence, if there is nothing to be played or shown.
    """
    if arguments.host and arguments.address:
        raise ConfigError("host", "starts a server here; leave the address out, or --host")
    profile = profile_of(arguments)
    if profile is not None and not arguments.address:
        raise ConfigError("sim", "a bad network leads to a server that is named; give its ADDRESS")
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        packages = " and ".join(NEEDED[name] for name in missing)
        raise ConfigError(
            "",
            f"the game needs {packages}, which this Python does not have: "
            "pip install 'gamenet[play]'",
        )
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")  # its greeting on standard output
    from gamenet.play.app import Window
    from gamenet.play.run import Start, run_play
    from gamenet.play.stage import Wish

    wish = Wish(
        arguments.address, arguments.name, ca_file=arguments.ca or "", insecure=arguments.insecure
    )
    window = Window(arguments.size, arguments.fullscreen)
    start = Start(
        wish,
        window,
        arguments.host,
        arguments.port,
        arguments.beacon or "",
        arguments.map or "",
        profile,
        arguments.sim_seed,
    )
    run_play(start, interrupted)


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if width.isascii() and width.isdigit() and height.isascii() and height.isdigit():
        size = int(width[:6]), int(height[:6])
        if all(
            least <= pixels <= MOST_PIXELS for pixels, least in zip(size, LEAST_PIXELS, strict=True)
        ):
            return size
    least = "x".join(str(pixels) for pixels in LEAST_PIXELS)
    raise argparse.ArgumentTypeError(
        f"{shown(text)} is not a size from {least} to {MOST_PIXELS}x{MOST_PIXELS}, such as 960x540"
    )
