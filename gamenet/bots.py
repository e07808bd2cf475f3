"""Bots of one's own, for ``gamenet bots --bot MODULE:CLASS``: players without people.

Layer 4. Runs on: the game thread, which all bots of a process share.

::

    from gamenet.bots import Bot


    class Runner(Bot):
        game_name = "tag/1"

        def on_tick(self, tick):
            self.client.send_input(self.random.getrandbits(4))
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from gamenet.errors import ConfigError
from gamenet.game import load_attribute

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from gamenet.client_facade import GameClient
    from gamenet.events import Event, Tick
    from gamenet.messages import Message


MOST_TICKS: Final = 1_000
"""A second, of one bot."""


class Bot:
    """A player as a class: override what you need. One is made for each player, without arguments;
    what a hook raises ends that bot, and is told at the end."""

    game_name: str = ""
    """As the game's, compared when the bot joins; empty is not compared."""
    tick_rate: float = 30.0
    """Calls of ``on_tick`` a second."""
    messages: Sequence[type[Message]] = ()
    """The typed messages that travel."""
    input_bits: int = 16
    """Buttons of an input, 1 to 64."""
    client: GameClient
    """What it plays with, joined or about to; set before the first hook. It is started, stopped and
    asked for its ticks by the command."""
    index: int
    """Which of the bots it is, from 1."""
    random: Random
    """Chance of its own, the same in each run with the same ``--seed``."""

    def on_join(self) -> None:
        """It is in; again after each new session."""

    def on_event(self, event: Event) -> None:
        """Every event that its client takes, ``Connected`` and ``Disconnected`` among them."""

    def on_tick(self, tick: Tick) -> None:
        """One step while it plays, after the events of its tick."""


def load_bot(path: str) -> type[Bot]:
    """The class at ``module:attribute``.

    :raises ConfigError: in one line, when it cannot be imported or is no class of bots.
    """
    found: Any = load_attribute(path, "bot", "mygame:Runner")
    if not (isinstance(found, type) and issubclass(found, Bot)):
        raise ConfigError("bot", f"{path} is not a class made from gamenet.bots.Bot")
    rate: object = found.tick_rate
    if not isinstance(rate, int | float) or not 0 < rate <= MOST_TICKS:
        raise ConfigError(
            "bot", f"{path}.tick_rate must be a number above 0, at most {MOST_TICKS}, not {rate!r}"
        )
    return found
