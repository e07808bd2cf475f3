"""How an examination is shown: lines for people, or one object for programs.

Layer 4. Runs on: the main thread.
"""

from __future__ import annotations

import os
import shutil
import textwrap
from typing import TYPE_CHECKING, Any, Final, TextIO

from gamenet.core.text import clean
from gamenet.doctor.check import TITLES, Check

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gamenet.addresses import Target

_COLOURS: Final = {"ok": "32", "warning": "33", "failed": "31", "not tried": "2"}
_VERDICT_WIDTH: Final = 11
_TITLE_WIDTH: Final = 12
_INDENT: Final = " " * (_VERDICT_WIDTH + _TITLE_WIDTH)
NARROWEST: Final = 60


class Lines:
    """A line for each check as it is done, and on a terminal also for the one under way.

    Colour and what is rewritten are for terminals; ``NO_COLOR`` in the environment, whatever it
    is, has the first left out.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._terminal = stream.isatty() and os.environ.get("TERM") != "dumb"
        self._colour = self._terminal and not os.environ.get("NO_COLOR")
        self._width = 0

    def title(self, target: Target) -> None:
        """Say what is examined."""
        self._say(f"gamenet doctor {target}")

    def begins(self, name: str) -> None:
        """A check begins."""
        if self._terminal:
            self._stream.write(f"{'...':<{_VERDICT_WIDTH}}{TITLES[name]}")
            self._stream.flush()

    def done(self, check: Check) -> None:
        """A check is done."""
        if self._terminal:
            self._stream.write("\r\x1b[K")
        verdict = f"{check.verdict:<{_VERDICT_WIDTH}}"
        if self._colour:
            verdict = f"\x1b[{_COLOURS[check.verdict]}m{verdict}\x1b[0m"
        first, *rest = self._wrapped(check.text)
        self._say(f"{verdict}{TITLES[check.name]:<{_TITLE_WIDTH}}{first}")
        for line in rest:
            self._say(_INDENT + line)
        if check.fix:
            for line in self._wrapped(f"fix: {check.fix}"):
                self._say(_INDENT + line)

    def broken_off(self) -> None:
        """There will be no more."""
        if self._terminal:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def end(self, text: str) -> None:
        """Say what it comes to."""
        self._say("")
        for line in textwrap.wrap(clean(text), self._columns()) or [""]:
            self._say(line)

    def _columns(self) -> int:
        """How long lines may be; what is no terminal gets them whole."""
        if not self._terminal:
            return 1_000_000
        return max(NARROWEST, shutil.get_terminal_size().columns - 1)

    def _wrapped(self, text: str) -> list[str]:
        return textwrap.wrap(clean(text), self._columns() - len(_INDENT)) or [""]

    def _say(self, line: str) -> None:
        encoding = self._stream.encoding or "utf-8"
        self._stream.write(line.rstrip().encode(encoding, "replace").decode(encoding) + "\n")
        self._stream.flush()


class Nothing:
    """Shows no progress."""

    def begins(self, name: str) -> None:
        """A check begins."""

    def done(self, check: Check) -> None:
        """A check is done."""


def report(target: Target, checks: Sequence[Check], said: str, well: bool) -> dict[str, Any]:
    """The examination as ``--json`` has it."""
    return {
        "address": str(target),
        "well": well,
        "summary": said,
        "seconds": round(sum(check.seconds for check in checks), 3),
        "checks": [check.report() for check in checks],
    }
