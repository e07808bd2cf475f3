"""A real server in a process of its own, for the tests that need sockets.

Layer 4. Runs on: the thread of the test; as a program, on the main thread of that process.

The process is told what to serve by its standard input, and serves until that is closed, so that it
never outlives the test run, however that ends.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections import deque
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final

from gamenet.errors import ConfigError, GamenetError
from gamenet.facade import GameServer
from gamenet.game import load_game

if TYPE_CHECKING:
    from collections.abc import Callable

START_SECONDS: Final = 60.0
"""Until the server must be there; it takes a second."""
STOP_SECONDS: Final = 30.0
"""Until it must be gone."""
MOST_LINES: Final = 200
"""Of what it prints, kept to be shown if it fails."""
MARK: Final = "gamenet.testing.live: "
_DECODER: Final = json.JSONDecoder()
"""Before the one line that is meant for us."""


def path_of(game: object) -> str:
    """What a game is imported by in another process.

    :param game: ``"module:name"``, or a function or class at the top of a module.
    :raises ConfigError: if it cannot be imported there.
    """
    if isinstance(game, str):
        return game
    module, name = getattr(game, "__module__", ""), getattr(game, "__qualname__", "")
    if not module or not name or "." in name or module == "__main__":
        raise ConfigError(
            "game",
            f"{game!r} cannot be imported by another process: give a function or a class at the "
            'top of a module, or write "module:name"',
        )
    return f"{module}:{name}"


class LiveServer:
    """A server on a free port of this machine.

    :param game: as of :func:`path_of`.
    :param fields: of :class:`~gamenet.ServerConfig`, such as JSON can carry; ``insecure=True`` is
        the default without a certificate.
    :raises AssertionError: with what it said, if it does not start.
    """

    def __init__(self, game: object, **fields: Any) -> None:
        fields.setdefault("insecure", not fields.get("cert_file"))
        fields.setdefault("listen", "tcp:0:interface=127.0.0.1")
        self.game = path_of(game)
        try:
            order = json.dumps({"game": self.game, "fields": fields})
        except TypeError as error:
            raise ConfigError("", f"these fields cannot be sent to a process: {error}") from None
        self._process = subprocess.Popen(
            [sys.executable, "-m", "gamenet.testing.live"],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
        self._lines: deque[str] = deque(maxlen=MOST_LINES)
        self._answers: SimpleQueue[dict[str, str]] = SimpleQueue()
        self._reader = threading.Thread(target=self._read, name="gamenet-live", daemon=True)
        self._reader.start()
        self.address = ""
        """What a client connects to."""
        try:
            self._say(order)
            self.address = self._answer()
        except BaseException:
            self._end()
            raise

    @property
    def pid(self) -> int:
        """The number of its process."""
        return self._process.pid

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except OSError:
            pass  # it has ended, and why is what it has printed

    def _read(self) -> None:
        """Keep what it prints, for it would wait if nobody read it."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            # What threads print can come between the parts of a line.
            before, mark, after = line.partition(MARK)
            if mark:
                answer, end = _DECODER.raw_decode(after)
                self._answers.put(answer)
                line = before + after[end:].lstrip("\n")
            if line:
                self._lines.append(line)
        self._answers.put({})

    def _answer(self) -> str:
        try:
            answer = self._answers.get(timeout=START_SECONDS)
        except Empty:
            answer = {"error": f"it has not started within {START_SECONDS:g} s"}
        if "address" not in answer:
            self._end()
            why = answer.get("error") or f"it ended with status {self._process.returncode}"
            raise AssertionError(f"no server for {self.game}: {why}{self.printed}")
        return answer["address"]

    @property
    def printed(self) -> str:
        """What it has printed, as the end of a message."""
        return "".join(["\nIt printed:\n", *self._lines]) if self._lines else ""

    def stop(self) -> None:
        """Have it say BYE and end.

        :raises AssertionError: if its game has failed, with what it printed.
        """
        self._end()
        status = self._process.returncode
        if status:
            raise AssertionError(f"the server of {self.game} ended with {status}{self.printed}")

    def _end(self) -> None:
        process = self._process
        assert process.stdin is not None
        try:
            process.stdin.close()
        except OSError:
            pass
        for harder in (process.terminate, process.kill, None):
            try:
                process.wait(STOP_SECONDS)
                break
            except subprocess.TimeoutExpired:
                if harder is not None:
                    harder()
        self._reader.join(STOP_SECONDS)
        assert process.stdout is not None
        process.stdout.close()


def _tell(**answer: str) -> None:
    # In one piece, whatever the buffer of the stream is.
    sys.stdout.write(f"{MARK}{json.dumps(answer)}\n")
    sys.stdout.flush()


def _put_when_over(over: SimpleQueue[object], wait: Callable[[], object]) -> None:
    over.put(wait())


def main() -> int:
    """Serve what standard input says, until it ends.

    :returns: the exit status: 1 if there was nothing to serve, or the game raised.
    """
    order = json.loads(sys.stdin.readline())
    fields = order["fields"]
    for name, value in fields.items():
        if isinstance(value, list):
            fields[name] = tuple(value)
    try:
        server = GameServer(game=load_game(order["game"]), **fields)
        server.start()
    except (GamenetError, OSError) as error:
        _tell(error=str(error))
        return 1
    # Not ``address``: a quick game may be over by now.
    _tell(address=server._opened)

    # Whichever comes first: the test is over, or the game is.
    over: SimpleQueue[object] = SimpleQueue()
    waits: tuple[Callable[[], object], ...] = (sys.stdin.read, server.wait)
    for wait in waits:
        threading.Thread(target=partial(_put_when_over, over, wait), daemon=True).start()
    try:
        over.get()
    except KeyboardInterrupt:
        pass
    server.stop(server.config.stop_seconds)
    return 1 if server.failed else 0


if __name__ == "__main__":
    sys.exit(main())
