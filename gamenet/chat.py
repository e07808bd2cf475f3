"""A terminal client for talking: ``gamenet chat``.

Layer 4. Runs on: the main thread, which is the client's game thread; a thread of its own reads
what is typed, because reading blocks.

Whatever a peer sent is cleaned before it is printed, chat, names and farewells alike: no escape
sequence or control character of anybody reaches the terminal.
"""

from __future__ import annotations

import codecs
import os
import queue
import sys
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final, TextIO

import gamenet
from gamenet.cli_doctor import advised
from gamenet.cli_network import banner
from gamenet.core.text import MAX_CHAT_CHARACTERS, clean
from gamenet.doctor.fixes import remedy
from gamenet.errors import DISCONNECT_TEXTS, REFUSAL_TEXTS, DisconnectReason, RefusalReason
from gamenet.events import Resumed, Suspended
from gamenet.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Callable

    from gamenet.events import Event
    from gamenet.impairment import Profile

JOIN_SECONDS: Final = 15.0
"""How long a join may take in all."""
POLL_SECONDS: Final = 0.05
"""The longest that a typed line waits before it is looked at."""
DELIVERY_SECONDS: Final = 10.0
"""How long leaving waits for the server to take what was said."""
LINGER_SECONDS: Final = 0.3
"""How long answers to the last line are still shown."""
STOP_SECONDS: Final = 1.0
MAX_LINE_CHARACTERS: Final = 16_384
"""A longer line of input is taken in pieces, so that a file without line ends fits in memory."""
_WAITING_LINES: Final = 64
_READ_BYTES: Final = 4_096


class LineReader:
    """Lines of a file descriptor, read on a thread that never stops anybody from leaving.

    It reads the descriptor itself: a thread that waits inside ``sys.stdin`` holds a lock that
    Python wants when it exits.

    """

    def __init__(self) -> None:
        self.ended = False
        """True once every line has been taken and there will be no more."""
        self._lines: queue.Queue[str | None] = queue.Queue(_WAITING_LINES)

    def start(self, descriptor: int) -> None:
        """Begin to read on a thread of its own."""
        threading.Thread(target=self.read, args=(descriptor,), daemon=True).start()

    def take(self) -> str | None:
        """The next line, without its end; None if there is none yet or there are no more."""
        if self.ended:
            return None
        try:
            line = self._lines.get_nowait()
        except queue.Empty:
            return None
        self.ended = line is None
        return line

    def read(self, descriptor: int) -> None:
        """Read to the end, waiting whenever nobody takes the lines. Runs on the reader's thread."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        begun = ""
        try:
            while data := os.read(descriptor, _READ_BYTES):
                *lines, begun = (begun + decoder.decode(data)).split("\n")
                if len(begun) > MAX_LINE_CHARACTERS:
                    lines, begun = [*lines, begun], ""
                for line in lines:
                    self._lines.put(line)
        except OSError:
            pass  # a terminal that has gone: the end of its lines
        begun += decoder.decode(b"", final=True)
        if begun:
            self._lines.put(begun)
        self._lines.put(None)


def pieces(line: str) -> list[str]:
    """What is said for a line of input: cleaned, and in as many lines of chat as it needs."""
    text = clean(line)
    parts = [
        clean(text[start : start + MAX_CHAT_CHARACTERS])
        for start in range(0, len(text), MAX_CHAT_CHARACTERS)
    ]
    return [part for part in parts if part.replace("\u200c", "").replace("\u200d", "").strip()]


def shown(event: Event) -> str | None:
    """The line that tells of an event, safe for a terminal; None for one nobody needs to see."""
    match event:
        case gamenet.Connected(player, secure):
            name = clean(player.name)
            return f"* you are {name}{'' if secure else ', not encrypted'}; Ctrl-D or /quit leaves"
        case gamenet.Chat(player, text, private):
            name = clean(player.name)
            aside = " (to you)" if private else ""
            return f"<{name}>{aside} {clean(text)}" if name else f"*{aside} {clean(text)}"
        case Suspended():
            return "* the connection is lost; trying to get it back"
        case Resumed(_, away_seconds):
            return f"* connected again after {away_seconds:.1f} s"
        case gamenet.Disconnected(reason, text, refusal):
            return f"* {farewell(reason, text, refusal)}"
    return None


def farewell(reason: DisconnectReason, text: str, refusal: RefusalReason | None) -> str:
    """Why a session ended, in words that are safe for a terminal."""
    said = clean(text)
    if said:
        return said
    return REFUSAL_TEXTS[refusal] if refusal is not None else DISCONNECT_TEXTS[reason]


class Conversation:
    """One person's stay on a server.

    :param client: not started yet.
    :param lines: what is typed.
    :param out: where to print what others say.
    :param doctor: what to try if the server cannot be reached, in words.
    """

    def __init__(
        self,
        client: gamenet.GameClient,
        lines: LineReader,
        out: TextIO,
        doctor: str = "try: gamenet doctor ADDRESS",
    ) -> None:
        self._client = client
        self._lines = lines
        self._out = out
        self._doctor = doctor
        self._to_say: deque[str] = deque()
        self._joined = False
        self._quitting = False

    def run(self, interrupted: Callable[[], bool]) -> int:
        """Talk until the person leaves or the session ends.

        :returns: the exit status: 0 when somebody chose the end and everything said was taken.
        :raises ConnectionFailed: if no session came about.
        :raises JoinRefused: if the server said no.
        """
        self._client.start(wait=False)
        try:
            return self._run(interrupted)
        finally:
            self._client.stop(STOP_SECONDS)

    def _run(self, interrupted: Callable[[], bool]) -> int:
        give_up = time.monotonic() + JOIN_SECONDS
        while not interrupted():
            status = self._listen(POLL_SECONDS)
            if status is not None:
                return status
            if self._joined:
                self._speak()
                if self._quitting and not self._to_say:
                    return self._deliver(interrupted)
            elif time.monotonic() > give_up:
                raise gamenet.ConnectionFailed(
                    f"the server did not answer in {JOIN_SECONDS:g} s; {self._doctor}"
                )
        return 0

    def _deliver(self, interrupted: Callable[[], bool]) -> int:
        """Wait until the server has taken every line, then a moment for the answers."""
        end = time.monotonic() + DELIVERY_SECONDS
        while self._undelivered():
            if time.monotonic() > end or interrupted():
                self._print("* the server has not taken everything that was said")
                self._print(f"* it hangs, or the line is bad; {self._doctor}")
                return 1
            status = self._listen(POLL_SECONDS)
            if status is not None:
                return status
        end = time.monotonic() + LINGER_SECONDS
        while time.monotonic() < end and not interrupted():
            if self._listen(POLL_SECONDS) is not None:
                break
        return 0

    def _undelivered(self) -> bool:
        return bool(self._client.quality().queued_messages)

    def _listen(self, timeout: float) -> int | None:
        """Print what comes; the exit status once the session is over."""
        for event in self._client.events(timeout):
            if isinstance(event, gamenet.Disconnected) and not self._joined:
                text = farewell(event.reason, event.text, event.refusal).rstrip(".")
                text += f"; {remedy(event.reason, event.refusal, self._doctor)}"
                if event.refusal is not None:
                    raise gamenet.JoinRefused(event.refusal, text)
                raise gamenet.ConnectionFailed(text)
            line = shown(event)
            if line is not None:
                self._print(line)
            if isinstance(event, gamenet.Connected):
                self._joined = True
            elif isinstance(event, gamenet.Disconnected):
                if fix := remedy(event.reason, event.refusal, self._doctor):
                    self._print(f"* {fix}")
                lost = self._to_say or event.unacknowledged_count
                return 0 if event.reason.orderly and not lost else 1
        return None

    def _speak(self) -> None:
        """Say what was typed, as far as the server takes it."""
        while True:
            while self._to_say:
                try:
                    self._client.say(self._to_say[0])
                except gamenet.QueueFull:
                    return
                self._to_say.popleft()
            line = None if self._quitting else self._lines.take()
            if line is None:
                self._quitting = self._quitting or self._lines.ended
                return
            if line.strip() == "/quit":
                self._quitting = True
                return
            self._to_say.extend(pieces(line))

    def _print(self, line: str) -> None:
        encoding = self._out.encoding or "utf-8"
        print(line.encode(encoding, "replace").decode(encoding), file=self._out, flush=True)


def run_chat(
    address: str,
    interrupted: Callable[[], bool],
    *,
    profile: Profile | None = None,
    sim_seed: int = 0,
    **fields: Any,
) -> int:
    """Talk on the server at *address* until the person leaves.

    :param interrupted: asked many times a second; True once the person wants to leave at once.
    :param profile: a bad network to put between this client and the server.
    :param sim_seed: what that network leaves to chance depends on it.
    :param fields: what :class:`~gamenet.GameClient` takes: who to be, whom to trust.
    :returns: the exit status.
    :raises GamenetError: if it comes to no session, with a sentence that says why.
    """
    client = gamenet.GameClient(address, **fields)
    doctor = advised(
        address, insecure=bool(fields.get("insecure")), ca_file=str(fields.get("ca_file", ""))
    )
    if profile is None:
        return _run_chat(client, interrupted, doctor)
    proxy = Proxy(address, profile=profile, seed=sim_seed)
    try:
        proxy.start()
    except gamenet.ConnectionFailed as error:
        raise gamenet.ConnectionFailed(f"{error}; {doctor}") from None
    try:
        print(banner(profile, sim_seed), file=sys.stderr, flush=True)
        client = gamenet.GameClient(address, via=f"127.0.0.1:{proxy.port}", **fields)
        return _run_chat(client, interrupted, doctor)
    finally:
        proxy.stop()


def _run_chat(client: gamenet.GameClient, interrupted: Callable[[], bool], doctor: str) -> int:
    lines = LineReader()
    try:
        lines.start(sys.stdin.fileno())
    except (AttributeError, OSError, ValueError):
        lines.ended = True  # no standard input: nothing will be said
    return Conversation(client, lines, sys.stdout, doctor).run(interrupted)
