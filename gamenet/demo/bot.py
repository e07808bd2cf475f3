"""One player without a person: where it walks, what it says, what it checks.

Layer 4. Runs on: the game thread, which all bots of a process share.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Final

import gamenet
from gamenet.demo.field import ALL_BUTTONS
from gamenet.demo.game import MAGIC, TICK_RATE, decode_state

if TYPE_CHECKING:
    from collections.abc import Callable

    from gamenet.demo.report import Problems
    from gamenet.events import Event
    from gamenet.messages import Payload

CHAT_SECONDS: Final = 3.0
"""From one line of a bot to its next."""
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


class Bot:
    """One player: wanders about, looks at what it is shown, and speaks now and then."""

    def __init__(self, load: Load, index: int, run: str, problems: Problems) -> None:
        self.name = f"bot-{run}-{index:03}"
        self.client = gamenet.GameClient(
            load.address, user=self.name, insecure=load.insecure, ca_file=load.ca_file
        )
        self.started = False
        self.joined = False
        self.over = False
        self.on_udp = False
        self.lines_sent = 0
        self.heard: set[str] = set()
        self.speaks_at = SILENT
        self._random = Random(f"{load.seed}/{index}")
        self._line = re.compile(rf"(bot-{run}-\d+) line \d+")
        self._problems = problems
        self._buttons = 0
        self._buttons_there = ALL_BUTTONS
        self._hold = 0
        self._at_the_demo = False

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
        if self.over or not self.joined:
            return
        state = client.take_state()
        if state is not None:
            self.look(state.payload, client.player.id)
        if now >= self.speaks_at:
            self.speaks_at += CHAT_SECONDS
            client.say(f"{self.name} line {self.lines_sent + 1}")
            self.lines_sent += 1

    def take(self, event: Event) -> None:
        """Note what an event means for this bot."""
        match event:
            case gamenet.Connected():
                self.joined = True
            case gamenet.PathChanged(_, path):
                self.on_udp = path == "udp"
            case gamenet.Chat(player, text):
                self._hear(player.name, text)
            case gamenet.Disconnected(reason, text):
                self.over = True
                what = "lost its session" if self.joined else "could not join"
                self._problems.add(f"{self.name} {what}: {reason.name}: {text}")

    def _press(self, buttons: int) -> None:
        """Send the buttons, as many of them as this server's game has."""
        while True:
            try:
                self.client.send_input(buttons & self._buttons_there)
                return
            except ValueError:
                self._buttons_there >>= 1

    def _hear(self, author: str, text: str) -> None:
        found = self._line.search(text)
        if found is None:
            return
        line = found[0]
        if line in self.heard:
            self._problems.add(f"{self.name} heard {line!r} twice")
        elif self._at_the_demo and author != found[1]:
            self._problems.add(f"{self.name} heard {line!r} from {author!r}")
        self.heard.add(line)

    def look(self, payload: Payload, own: int) -> None:
        """Check a state, if it comes from the demo's game, whose states alone a bot can read.

        :param own: the bot's own player id, whose view it must be.
        """
        if not (self._at_the_demo or (isinstance(payload, bytes) and payload.startswith(MAGIC))):
            return
        self._at_the_demo = True
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
        except Exception as error:
            self.over = True
            self._problems.add(f"{self.name} failed: {type(error).__name__}: {error}")
