"""Games: a function over ticks, or a class with hooks, run on a thread of their own.

Layer 4. Runs on: the game thread.
"""

from __future__ import annotations

import importlib
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from twisted.logger import Logger

from gamenet.errors import ConfigError, DisconnectReason
from gamenet.events import Chat, Input, Joined, Left, Received, Unreliable

if TYPE_CHECKING:
    from gamenet.events import Event, Player, Tick
    from gamenet.facade import GameServer
    from gamenet.messages import Message, Payload

log = Logger()
GameFunction = Callable[["GameServer"], Any]
FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])
SETTINGS = ("game_name", "tick_rate", "messages", "input_bits")
"""What a game can say about itself; a flag, a file or an argument wins over it."""


class Game:
    """A game as a class: override what you need. All hooks run on the game thread."""

    game_name: str = ""
    """Name and version, compared when a client joins."""
    tick_rate: float = 30.0
    """Calls of ``on_tick`` a second."""
    messages: Sequence[type[Message]] = ()
    """The typed messages that travel."""
    input_bits: int = 16
    """Buttons of an input, 1 to 64."""
    server: GameServer
    """The running server, set before ``on_start``."""

    def on_start(self) -> None:
        """The server runs; nobody has joined."""

    def on_stop(self) -> None:
        """The server stops; save here."""

    def on_event(self, event: Event) -> None:
        """Every event, before the hook that it has of its own."""

    def on_join(self, player: Player) -> None:
        """A player is in."""

    def on_leave(self, player: Player, reason: DisconnectReason) -> None:
        """A player is gone."""

    def on_input(self, player: Player, number: int, buttons: int) -> None:
        """A player's buttons of one tick."""

    def on_chat(self, player: Player, text: str) -> None:
        """A player said something; unless overridden, everybody reads it."""
        self.server.say(text, author=player)

    def on_message(self, player: Player, payload: Payload, channel: int) -> None:
        """A message came; the channel of an unreliable one is -1."""

    def on_tick(self, tick: Tick) -> None:
        """One step of the world, after the events of its tick."""

    def run(self, server: GameServer) -> None:
        """The loop over it all."""
        self.server = server
        self.on_start()
        try:
            for tick in server.ticks():
                self._step(tick)
        finally:
            self.on_stop()

    def _step(self, tick: Tick) -> None:
        """One step: its events in order, then the tick."""
        for event in tick.events:
            self.on_event(event)
            self._dispatch(event)
        self.on_tick(tick)

    def _dispatch(self, event: Event) -> None:
        match event:
            case Input(player, number, buttons):
                self.on_input(player, number, buttons)
            case Received(player, payload, channel):
                self.on_message(player, payload, channel)
            case Unreliable(player, payload):
                self.on_message(player, payload, -1)
            case Chat(player, text):
                self.on_chat(player, text)
            case Joined(player):
                self.on_join(player)
            case Left(player, reason):
                self.on_leave(player, reason)


AnyGame = GameFunction | Game | type[Game]
"""What can be run: a function of the server, a Game, or its class."""


def game(
    *,
    game_name: str = "",
    tick_rate: float = 30.0,
    messages: Sequence[type[Message]] = (),
    input_bits: int = 16,
) -> Callable[[FunctionT], FunctionT]:
    """Give a game function the settings that a :class:`Game` has as attributes.

    :param game_name: name and version, compared when a client joins.
    :param tick_rate: ticks a second.
    :param messages: the typed messages that travel.
    :param input_bits: buttons of an input, 1 to 64.
    """

    def decorate(function: FunctionT) -> FunctionT:
        values = (game_name, tick_rate, tuple(messages), input_bits)
        for name, value in zip(SETTINGS, values, strict=True):
            setattr(function, name, value)
        return function

    if callable(game_name):
        raise ConfigError("game", "write @gamenet.game(...) with parentheses")
    return decorate


def settings_of(game: AnyGame | None) -> dict[str, Any]:
    """What a game says about itself, as config fields."""
    found = {
        name: getattr(game, name) for name in SETTINGS if game is not None and hasattr(game, name)
    }
    if "messages" in found:
        found["messages"] = tuple(found["messages"])
    return found


def load_game(path: str) -> AnyGame:
    """The game at ``module:attribute``.

    :raises ConfigError: in one line, when it cannot be imported or is no game.
    """
    return checked_game(load_attribute(path, "game", "tag:main"), path)


def load_attribute(path: str, field: str, example: str) -> Any:
    """What is at ``module:attribute``.

    :param field: what a mistake is told of.
    :param example: what a right one looks like.
    :raises ConfigError: in one line, when it cannot be imported.
    """
    module_name, _, attribute = path.partition(":")
    if not module_name or not attribute:
        raise ConfigError(field, f"{path!r} is not module:attribute, such as {example}")
    try:
        module = importlib.import_module(module_name)
    except SystemExit:
        raise ConfigError(
            field,
            f"importing {module_name!r} tried to end the process; let the module start nothing "
            'unless __name__ == "__main__"',
        ) from None
    except Exception as error:
        place = traceback.extract_tb(sys.exc_info()[2])[-1]
        where = f" ({place.filename}, line {place.lineno})"
        if isinstance(error, SyntaxError):
            where = f" ({error.filename}, line {error.lineno})"
        elif isinstance(error, ModuleNotFoundError) and error.name == module_name:
            where = "; is it in the working directory?"
        text = error.msg if isinstance(error, SyntaxError) else str(error)
        raise ConfigError(
            field, f"cannot import {module_name!r}: {type(error).__name__}: {text}{where}"
        ) from None
    found = getattr(module, attribute, None)
    if found is None:
        raise ConfigError(field, f"module {module_name!r} has no {attribute!r}")
    return found


def checked_game(found: Any, path: str) -> AnyGame:
    """*found*, if it can be run.

    :raises ConfigError: if not.
    """
    if isinstance(found, Game) or (isinstance(found, type) and issubclass(found, Game)):
        return found
    if isinstance(found, type) or not callable(found):
        raise ConfigError("game", f"{path} is neither a function of the server nor a gamenet.Game")
    run: AnyGame = found
    return run


class GameThread:
    """Runs a game on a thread of its own.

    :param ended: called on that thread when the game is over, with whether it went well.
    """

    def __init__(self, game: AnyGame, server: GameServer, ended: Callable[[bool], None]) -> None:
        self._game = game
        self._server = server
        self._ended = ended
        self.failed = False
        """True once the game has raised."""
        self._thread = threading.Thread(target=self._run, name="gamenet-game", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def _run(self) -> None:
        try:
            game = self._game() if isinstance(self._game, type) else self._game
            if isinstance(game, Game):
                game.run(self._server)
            else:
                game(self._server)
        except SystemExit as request:
            if request.code not in (None, 0):
                self.failed = True
                log.error("the game gave up: {code!r}", code=request.code)
        except ConfigError as refusal:
            self.failed = True
            log.error("the game refuses its options: {refusal}", refusal=str(refusal))
        except BaseException:
            # Whatever it is, the thread is over and somebody must hear why.
            self.failed = True
            log.failure("the game failed")
        finally:
            self._ended(not self.failed)

    @property
    def is_current(self) -> bool:
        """True on the game's own thread."""
        return threading.current_thread() is self._thread

    @property
    def ident(self) -> int | None:
        """Its number, once it has begun."""
        return self._thread.ident

    @property
    def is_alive(self) -> bool:
        """True while the game runs."""
        return self._thread.is_alive()

    def join(self, seconds: float | None = None) -> None:
        """Wait for the end of the game."""
        self._thread.join(seconds)
