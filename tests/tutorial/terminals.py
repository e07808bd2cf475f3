"""Terminals with a shell in them, as somebody at a keyboard has them; on POSIX systems."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import termios
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from tests.tutorial.windows import HANGS_SECONDS

if TYPE_CHECKING:
    from pathlib import Path

# The shell's prompt says how the last command ended.
_PROMPT = re.compile(r"\[(\d+)\] ready> \Z")
INTERRUPTED = 130
"""How a program ends that Ctrl-C has ended."""


class Terminal:
    """One terminal.

    :param folder: where its shell begins.
    :param environment: on top of the caller's own.
    """

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._master, slave = pty.openpty()
        # So wide that no line is broken.
        termios.tcsetwinsize(slave, (50, 1_000))
        self._shell = subprocess.Popen(
            ["bash", "--norc", "--noprofile", "-i"],
            cwd=folder,
            env={**environment, "TERM": "dumb", "PS1": "[$?] ready> ", "HISTFILE": ""},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            # The terminal becomes the shell's own, so that Ctrl-C reaches what runs in it.
            preexec_fn=lambda: os.close(os.open(os.ttyname(0), os.O_RDWR)),
        )
        os.close(slave)
        self._shown = ""
        self._since = 0
        self._ended = False
        self._changed = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()
        self._wait_for(_PROMPT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        # As closing a terminal does; a program that holds out is ended.
        with suppress(ProcessLookupError):
            os.killpg(os.tcgetpgrp(self._master), signal.SIGKILL)
        self._shell.kill()
        self._shell.wait()

    @property
    def shown(self) -> str:
        """All that was ever shown."""
        with self._changed:
            return self._shown

    @property
    def busy(self) -> bool:
        """Whether a program runs in it."""
        return _PROMPT.search(self.shown) is None

    def type(self, line: str) -> None:
        """Type a line and press Enter."""
        with self._changed:
            self._since = len(self._shown)
        os.write(self._master, line.encode() + b"\n")
        self.expect(line)
        with self._changed:
            self._since = self._shown.index(line, self._since) + len(line)

    def expect(self, line: str) -> str:
        """Wait until a line is shown since the last command; ``…`` in it stands for anything.

        :returns: the line as it is shown.
        """
        pattern = re.escape(line).replace("…", ".*")
        return self._wait_for(re.compile(pattern))[0]

    def finish(self) -> int:
        """Wait for the program to end.

        :returns: its exit status.
        """
        return int(self._wait_for(_PROMPT)[1])

    def interrupt(self) -> int:
        """Press Ctrl-C.

        :returns: the exit status of what ran.
        """
        with self._changed:
            self._since = len(self._shown)
        os.write(self._master, b"\x03")
        return self.finish()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._master, 65_536)
            except OSError:  # nobody has the other end open any more
                data = b""
            with self._changed:
                self._shown += data.decode(errors="replace").replace("\r\n", "\n")
                self._ended = not data
                self._changed.notify_all()
            if not data:
                return

    def _wait_for(self, pattern: re.Pattern[str]) -> re.Match[str]:
        """:raises AssertionError: if it does not come."""
        with self._changed:
            self._changed.wait_for(
                lambda: pattern.search(self._shown, self._since) or self._ended, HANGS_SECONDS
            )
            found = pattern.search(self._shown, self._since)
            assert found is not None, f"this was not shown: {pattern.pattern}"
            return found
