"""A process that ``gamenet demo`` starts, reads and ends.

Layer 4. Runs on: the main thread; a thread for each stream of the process reads its lines.
"""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

import gamenet

if TYPE_CHECKING:
    from collections.abc import Sequence

HERE: Final = Path(gamenet.__file__).resolve().parent.parent
"""Where gamenet can be imported from: the directory that children run in, so that neither a
checkout that is not installed nor files of the user's own directory make a difference."""

_LAST_WORDS_SECONDS: Final = 0.5


class Child:
    """A child process whose output arrives line by line.

    :param arguments: what follows the Python interpreter on the command line.
    :raises OSError: if it cannot be started.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=HERE,
            encoding="utf-8",
            errors="replace",
        )
        self.out: queue.SimpleQueue[str] = queue.SimpleQueue()
        """Lines of its standard output that nobody has taken yet."""
        self.err: queue.SimpleQueue[str] = queue.SimpleQueue()
        """The same of its standard error."""
        self._readers = [
            threading.Thread(target=_read, args=(stream, lines), daemon=True)
            for stream, lines in (
                (self._process.stdout, self.out),
                (self._process.stderr, self.err),
            )
        ]
        for reader in self._readers:
            reader.start()

    @property
    def status(self) -> int | None:
        """Its exit status, negative for a signal; None while it runs."""
        return self._process.poll()

    def ask_to_end(self) -> None:
        """Send it the signal to terminate, if it still runs."""
        if self.status is None:
            self._process.terminate()

    def wait(self, seconds: float) -> int | None:
        """Its exit status once it has ended and all its output is here; None if it goes on."""
        end = time.monotonic() + seconds
        try:
            status = self._process.wait(max(0.0, seconds))
        except subprocess.TimeoutExpired:
            return None
        for reader in self._readers:
            reader.join(max(_LAST_WORDS_SECONDS, end - time.monotonic()))
        return status

    def kill(self) -> None:
        """End it without asking, and wait until it is gone."""
        if self.status is None:
            self._process.kill()
            self._process.wait()


def taken(lines: queue.SimpleQueue[str]) -> list[str]:
    """All lines that are in the queue now."""
    found: list[str] = []
    try:
        while True:
            found.append(lines.get_nowait())
    except queue.Empty:
        return found


def _read(stream: IO[str] | None, lines: queue.SimpleQueue[str]) -> None:
    assert stream is not None
    with stream:
        for line in stream:
            lines.put(line.rstrip("\r\n"))
