"""One player without a person: where it walks, what it says, what it checks.

Layer 4. Runs on: the game thread, which all bots of a process share.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass
from random import Random
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import gamenet
from gamenet.bots import Bot as OwnBot
from gamenet.chaos import Chaos
from gamenet.demo.field import ALL_BUTTONS
from gamenet.demo.game import MAGIC, TICK_RATE, decode_state
from gamenet.demo.ledger import Ledger
from gamenet.demo.trace import Trace
from gamenet.events import NO_QUALITY, Resumed, Suspended
from gamenet.impairment import Profile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gamenet.demo.report import Problems
    from gamenet.events import Disconnected, Event, Quality
    from gamenet.messages import Payload

CHAT_SECONDS: Final = 3.0
"""From one line of a bot to its next. Everybody hears it, so that many bots speak more seldom."""
TALKATIVE: Final = 50
"""Bots that may all speak so often."""
NUMBERED_SECONDS: Final = 1.0
"""From one numbered message of a bot to its next."""
NUMBERED_SECONDS_IN_TROUBLE: Final = 0.1
"""The same where the network is made bad on purpose."""
CLOCK_SETTLES_SECONDS: Final = 1.0
"""Of play, after which a bot must know the server's clock."""
CLOCK_DISTURBED_SECONDS: Final = 0.000_5
"""A look at two clocks that takes longer was interrupted between them, and says nothing."""
MOST_CLOCK_ERRORS: Final = 1_000
"""Of the newest, for each bot; half a minute."""
SILENT: Final = float("inf")
"""When a bot speaks that does not speak."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What to put on a server."""

    address: str
    count: int
    """Bots, from 1."""
    seconds: float
    """Of play; joining and leaving come on top."""
    insecure: bool = False
    """Join over plain TCP."""
    ca_file: str = ""
    """File of authorities to trust instead of the system's."""
    seed: int = 0
    """Where the bots go depends on it and on nothing else."""
    profile: Profile | None = None
    """The network between the bots and the server; None leaves it as it is."""
    sim_seed: int = 0
    """What that network leaves to chance depends on it."""
    chaos: tuple[Chaos, ...] = ()
    """What happens to it. A ``kill`` is only told of: somebody else has the server."""
    trace: str = ""
    """File for what each bot saw."""
    ramp: float = 600.0
    """Bots that knock in a second, until all are there."""
    own: type[OwnBot] | None = None
    """Whose objects play instead of the demo's bots."""
    clock_zero: float | None = None
    """Where the server's game clock began, in monotonic seconds of this machine; None where that
    cannot be known."""

    @property
    def in_trouble(self) -> bool:
        """Whether the network is made bad on purpose."""
        return self.profile is not None or bool(self.chaos)

    @property
    def chat_seconds(self) -> float:
        """From one line of a bot to its next."""
        return CHAT_SECONDS * max(1.0, self.count / TALKATIVE)


class Bot:
    """One player: wanders about, looks at what it is shown, and speaks now and then.

    :param via: a proxy to connect through.
    """

    client_class = gamenet.GameClient
    mistakes: tuple[type[BaseException], ...] = (Exception,)
    """What ends this bot and no other."""

    def __init__(
        self,
        load: Load,
        index: int,
        run: str,
        problems: Problems,
        *,
        via: str = "",
        trace: Trace | None = None,
    ) -> None:
        self.name = f"bot-{run}-{index:03}"
        self.client = self.client_class(
            load.address,
            user=self.name,
            insecure=load.insecure,
            ca_file=load.ca_file,
            rejoin=bool(load.chaos),
            via=via,
            **self.settings(load),
        )
        self.started = False
        self.joined = False
        """In, at this moment."""
        self.was_in = False
        self.over = False
        self.end: Disconnected | None = None
        """Why its newest session ended, or came to nothing."""
        self.failed = False
        """Whether it made a mistake itself."""
        self.on_udp = False
        self.was_on_udp = False
        self.inputs_sent = 0
        """Over all sessions."""
        self.lines_sent = 0
        self.heard = 0
        """Lines of bots, its own among them."""
        self.speaks_at = SILENT
        self.sends_at = SILENT
        self.kills = 0
        """How often the server was killed: so many sessions may be lost."""
        self.suspended = 0
        self.resumed = 0
        self.sessions_lost = 0
        self.moves = 0
        self.clock_errors: deque[float] = deque(maxlen=MOST_CLOCK_ERRORS)
        """By how many seconds its idea of the server's clock was off."""
        self.ledger = Ledger(lambda text: problems.add(f"{self.name}: {text}"))
        self.at_the_demo = False
        """Whether the server runs the demo's game, which answers numbered messages."""
        self._random = Random(f"{load.seed}/{index}")
        self._line = re.compile(rf"(bot-{run}-\d+) line (\d{{1,9}})")
        self._newest_line: dict[str, int] = {}
        self._problems = problems
        self._trace = trace or Trace()
        self._silence = load.chat_seconds
        self._pause = NUMBERED_SECONDS_IN_TROUBLE if load.in_trouble else NUMBERED_SECONDS
        self._buttons = 0
        self._buttons_there = ALL_BUTTONS
        self._hold = 0
        self._input_number = 0
        self._clock_zero = load.clock_zero
        self._clock_known_at = SILENT
        self._tunnel_before = 0.0
        self._tunnel_since: float | None = None

    @staticmethod
    def settings(load: Load) -> dict[str, Any]:
        """What else its client is to be told."""
        return {}

    def start(self) -> None:
        """Begin to join; the outcome is an event of some later round.

        :raises ConfigError: for settings with which nobody could join.
        """
        self.started = True
        self._guarded(lambda: self.client.start(wait=False))

    def round(self, playing: bool, now: float) -> None:
        """Do what is due: take events and the newest state; while *playing* press buttons."""
        if self.started and not self.over:
            self._guarded(lambda: self._round(playing, now))

    def _round(self, playing: bool, now: float) -> None:
        client = self.client
        for tick in client.ticks(TICK_RATE, wait=False):
            for event in tick.events:
                self.take(event)
            if playing and self.joined and not self.over:
                self._press(self.wander())
                if self._clock_zero is not None:
                    self._compare_clocks(self._clock_zero, now)
        if self.over or not self.joined:
            return
        state = client.take_state()
        if state is not None:
            self.look(state.payload, client.player.id)
        if now >= self.speaks_at:
            self.speaks_at += self._silence
            try:
                client.say(f"{self.name} line {self.lines_sent + 1}")
            except gamenet.QueueFull:
                return
            self.lines_sent += 1
        if now >= self.sends_at and self.at_the_demo:
            self.sends_at = max(self.sends_at + self._pause, now)
            self._send_numbered()

    def _compare_clocks(self, zero: float, now: float) -> None:
        """Note by how much what the client takes for the server's clock is off.

        :param zero: where that clock began.
        :param now: when the round began; the comparison reads the time itself.
        """
        if self._clock_known_at == SILENT:
            self._clock_known_at = now + CLOCK_SETTLES_SECONDS
        if now < self._clock_known_at:
            return
        before = monotonic()
        shown = self.client.server_time()
        after = monotonic()
        if after - before <= CLOCK_DISTURBED_SECONDS:
            self.clock_errors.append(abs(shown - ((before + after) / 2 - zero)))

    def _send_numbered(self) -> None:
        """Send the next numbered message, unless there is no room for it."""
        try:
            self.client.send(self.ledger.next())
        except gamenet.QueueFull:
            return
        self.ledger.was_sent()

    def take(self, event: Event) -> None:
        """Note what an event means for this bot."""
        self._trace.took(self.name, event, unanswered=self.ledger.pending)
        match event:
            case gamenet.Connected():
                self.joined = self.was_in = True
                self._input_number = 0
                self._tunnel_since = monotonic()
            case gamenet.PathChanged(_, path, reason):
                self.moves += reason == "moved"
                self.on_udp = path == "udp"
                self.was_on_udp = self.was_on_udp or self.on_udp
                self._leave_tunnel()
                self._tunnel_since = None if self.on_udp else monotonic()
            case gamenet.Chat(player, text):
                self._hear(player.name, text)
            case gamenet.Received(_, payload):
                if self.at_the_demo:
                    self.ledger.take(payload)
            case Suspended():
                self.suspended += 1
            case Resumed():
                self.resumed += 1
            case gamenet.Disconnected():
                self._lose(event)

    def _lose(self, event: gamenet.Disconnected) -> None:
        """The session is over; with luck another one begins."""
        held, self.joined, self.on_udp = self.joined, False, False
        self.end = event
        self._leave_tunnel()
        if held:
            self.sessions_lost += 1
            self.ledger.session_lost(event.unacknowledged, event.unacknowledged_count)
        if event.rejoining and self.sessions_lost <= self.kills:
            return
        self.over = not event.rejoining
        what = "lost its session" if held else "could not join"
        if self.was_in and not held:
            what = "did not get back in"
        self._problems.add(f"{self.name} {what}: {event.reason.name}: {event.text}")

    def quality(self) -> Quality:
        """How its path is doing; between two sessions nothing is known of it."""
        try:
            return self.client.quality()
        except AssertionError:  # the session ended, and the event that says so was not taken
            return NO_QUALITY

    @property
    def tunnel_seconds(self) -> float:
        """How long it was in without a UDP path so far."""
        since = self._tunnel_since
        return self._tunnel_before + (0.0 if since is None else monotonic() - since)

    def _leave_tunnel(self) -> None:
        self._tunnel_before, self._tunnel_since = self.tunnel_seconds, None

    def _press(self, buttons: int) -> None:
        """Send the buttons, as many of them as this server's game has."""
        while True:
            try:
                number = self.client.send_input(buttons & self._buttons_there)
                self.inputs_sent += number != self._input_number
                self._input_number = number
                return
            except ValueError:
                self._buttons_there >>= 1

    def _hear(self, author: str, text: str) -> None:
        found = self._line.search(text)
        if found is None:
            return
        line, speaker, number = found[0], found[1], int(found[2])
        if number <= self._newest_line.get(speaker, 0):
            self._problems.add(f"{self.name} heard {line!r} twice")
            return
        if self.at_the_demo and author != speaker:
            self._problems.add(f"{self.name} heard {line!r} from {author!r}")
        self._newest_line[speaker] = number
        self.heard += 1

    def look(self, payload: Payload, own: int) -> None:
        """Check a state, if it comes from the demo's game, whose states alone a bot can read.

        :param own: the bot's own player id, whose view it must be.
        """
        if not (self.at_the_demo or (isinstance(payload, bytes) and payload.startswith(MAGIC))):
            return
        self.at_the_demo = True
        try:
            hero = decode_state(payload if isinstance(payload, bytes) else b"").own.id
        except ValueError as error:
            self._problems.add(f"{self.name} was sent a wrong state: {error}")
            return
        if hero != own:
            self._problems.add(f"{self.name} is {own} and was shown the view of hero {hero}")

    def wander(self) -> int:
        """The buttons of the next tick: some direction, held for a while."""
        if not self._hold:
            self._buttons = self._random.randint(0, ALL_BUTTONS)
            self._hold = self._random.randint(5, 60)
        self._hold -= 1
        return self._buttons

    def _guarded(self, act: Callable[[], object]) -> None:
        try:
            act()
        except gamenet.ConfigError:
            raise
        except self.mistakes as error:
            self.over = self.failed = True
            self._problems.add(f"{self.name} failed: {self._tell(error)}")

    def _tell(self, error: BaseException) -> str:
        return f"{type(error).__name__}: {error}"

    def played(self, counters: Mapping[str, float]) -> bool:
        """Whether it is in at the end, and has been heard.

        :param counters: its client's.
        """
        in_flight = counters.get("inputs_in_flight", 0)
        return self.joined and not self.over and self.inputs_sent > in_flight
