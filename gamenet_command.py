"""The ``gamenet`` command until it is loaded: Ctrl-C ends it with status 130 and without a word.

A module of its own, outside of the package, because importing anything of the package loads most of
it, which takes a good part of a second; a ``KeyboardInterrupt`` in there would be a traceback, or
be swallowed by whatever is being imported.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from types import FrameType

INTERRUPTED = 128 + signal.SIGINT


def main() -> int:
    """Load the command and run it.

    :returns: the exit status.
    """
    # Not for a job in the background of a shell, which ignores it.
    is_heard = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    try:
        if is_heard:
            signal.signal(signal.SIGINT, _leave)
        from gamenet.cli import main as run

        if is_heard:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        return run()
    except KeyboardInterrupt:
        return INTERRUPTED


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    """Nothing has begun that would have to end in good order."""
    os._exit(INTERRUPTED)
