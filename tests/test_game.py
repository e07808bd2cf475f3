"""Games: functions and classes, how they are found, and what they are told."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

import gamenet
from gamenet.errors import ConfigError, DisconnectReason
from gamenet.events import Chat, Input, Joined, Left, PathChanged, Received, Tick, Unreliable
from gamenet.game import Game, GameThread, checked_game, load_game, settings_of
from tests.world import World


class Move(gamenet.Message):
    dx: int


class Notes(Game):
    """Writes down what it is told."""

    game_name = "notes/1"
    tick_rate = 8.0
    messages = (Move,)
    input_bits = 4

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def on_start(self) -> None:
        self.told.append(("start", self.server.options))

    def on_stop(self) -> None:
        self.told.append(("stop",))

    def on_event(self, event: gamenet.events.Event) -> None:
        self.told.append(("event", type(event)))

    def on_join(self, player: gamenet.Player) -> None:
        self.told.append(("join", player.name))

    def on_leave(self, player: gamenet.Player, reason: DisconnectReason) -> None:
        self.told.append(("leave", player.name, reason))

    def on_input(self, player: gamenet.Player, number: int, buttons: int) -> None:
        self.told.append(("input", player.name, number, buttons))

    def on_chat(self, player: gamenet.Player, text: str) -> None:
        self.told.append(("chat", player.name, text))

    def on_message(self, player: gamenet.Player, payload: Any, channel: int) -> None:
        self.told.append(("message", player.name, payload, channel))

    def on_tick(self, tick: Tick) -> None:
        self.told.append(("tick", tick.number))


class HookTests(SynchronousTestCase):
    """A game as a class."""

    def play(self, game: Game) -> World:
        """A player comes, says everything there is to say, and goes; then the server ends."""
        world = World(self, bridged=True, messages=(Move,))
        client = world.client("ada")
        world.settle()
        client.take()
        client.verbs.send(b"x", 3)
        client.verbs.send(b"y", 0)
        client.verbs.send_unreliable(b"z")
        client.verbs.send_input(5)
        client.verbs.say("hello")
        client.take()
        world.settle()
        client.host.leave()
        world.settle()
        bridge = world.server.bridge
        assert bridge is not None
        bridge.close()
        game.run(world.server.verbs)
        return world

    def test_each_hook_is_called_for_what_it_is_for(self) -> None:
        game = Notes()
        self.play(game)
        told = [entry for entry in game.told if entry[0] != "event"]
        self.assertEqual(told[0], ("start", {}))
        self.assertEqual(told[-2:], [("tick", 1), ("stop",)])
        self.assertEqual(
            sorted(map(repr, told[1:-2])),
            sorted(
                map(
                    repr,
                    [
                        ("join", "ada"),
                        ("message", "ada", b"x", 3),
                        ("message", "ada", b"y", 0),
                        ("message", "ada", b"z", -1),
                        ("input", "ada", 1, 5),
                        ("chat", "ada", "hello"),
                        ("leave", "ada", DisconnectReason.QUIT),
                    ],
                )
            ),
        )
        self.assertEqual((told[1], told[-3]), (("join", "ada"), told[-3]))
        self.assertEqual(told[-3][0], "leave")

    def test_on_event_sees_every_event_before_its_own_hook(self) -> None:
        game = Notes()
        self.play(game)
        kinds = {
            Joined: "join",
            Received: "message",
            Unreliable: "message",
            Input: "input",
            Chat: "chat",
            Left: "leave",
        }
        seen = {entry[1] for entry in game.told if entry[0] == "event"}
        self.assertEqual(seen, {*kinds, PathChanged})
        for place, entry in enumerate(game.told):
            if entry[0] == "event" and entry[1] in kinds:
                self.assertEqual(game.told[place + 1][0], kinds[entry[1]])

    def test_on_stop_is_called_when_a_hook_raises(self) -> None:
        class Breaks(Notes):
            def on_join(self, player: gamenet.Player) -> None:
                raise ZeroDivisionError

        game = Breaks()
        self.assertRaises(ZeroDivisionError, self.play, game)
        self.assertEqual(game.told[-1], ("stop",))

    def test_unless_overridden_everybody_reads_chat(self) -> None:
        world = World(self, bridged=True, tick_rate=8.0)
        ada, bob = world.join("ada"), world.join("bob")

        class Plain(Game):
            def on_tick(self, tick: Tick) -> None:
                if tick.number == 3:
                    bridge = world.server.bridge
                    assert bridge is not None
                    self.server.flush()
                    world.settle()
                    bridge.close()

        ada.verbs.say("hello")
        ada.take()
        world.settle()
        game = Plain()
        game.server = world.server.verbs
        for event in world.server.take():
            game._dispatch(event)
        world.take()
        self.assertEqual(
            [(event.player.name, event.text) for event in bob.of(Chat)], [("ada", "hello")]
        )
        self.assertEqual(len(ada.of(Chat)), 1)

    def test_a_game_without_hooks_plays_on(self) -> None:
        self.play(Game())


class SettingTests(SynchronousTestCase):
    """What a game says about itself."""

    def test_a_class_an_object_and_a_function_say_it_alike(self) -> None:
        @gamenet.game(game_name="notes/1", tick_rate=8.0, messages=[Move], input_bits=4)
        def main(server: gamenet.GameServer) -> None:
            """A game."""

        wanted = {
            "game_name": "notes/1",
            "tick_rate": 8.0,
            "messages": (Move,),
            "input_bits": 4,
        }
        for game in (Notes, Notes(), main):
            self.assertEqual(settings_of(game), wanted)
            server = gamenet.GameServer(0, game=game, insecure=True)
            self.assertEqual(server.config.game_name, "notes/1")
            self.assertEqual(server.config.input_bits, 4)
        self.assertEqual(settings_of(None), {})
        self.assertEqual(settings_of(lambda server: None), {})

    def test_an_argument_wins_over_what_the_game_says(self) -> None:
        server = gamenet.GameServer(0, game=Notes, insecure=True, tick_rate=60.0)
        self.assertEqual((server.config.tick_rate, server.config.game_name), (60.0, "notes/1"))

    def test_the_decorator_without_parentheses_says_how(self) -> None:
        wrong: Any = gamenet.game

        def use() -> None:
            wrong(game_name=lambda server: None)

        error = self.assertRaises(ConfigError, use)
        self.assertIn("parentheses", str(error))

    def test_the_decorator_gives_the_function_back(self) -> None:
        def main(server: gamenet.GameServer) -> None:
            """A game."""

        self.assertIs(gamenet.game(game_name="x")(main), main)

    def test_what_is_no_game_is_refused(self) -> None:
        for wrong in (5, "tag:main", object(), int, [], None):
            self.assertRaises(ConfigError, checked_game, wrong, "game=")
        wrong_game: Any = 5
        self.assertRaises(ConfigError, gamenet.GameServer, 0, game=wrong_game, insecure=True)


class LoadTests(SynchronousTestCase):
    """Games by name: one readable line for whatever is wrong."""

    def setUp(self) -> None:
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir(parents=True)
        sys.path.insert(0, str(self.directory))
        before = set(sys.modules)

        def restore() -> None:
            sys.path.remove(str(self.directory))
            for name in set(sys.modules) - before:
                del sys.modules[name]

        self.addCleanup(restore)
        self.patch(sys, "dont_write_bytecode", True)

    def write(self, name: str, source: str) -> None:
        (self.directory / f"{name}.py").write_text(source, encoding="utf-8")

    def refused(self, path: str) -> str:
        error = self.assertRaises(ConfigError, load_game, path)
        self.assertEqual(error.field, "game")
        self.assertNotIn("\n", str(error))
        return str(error)

    def test_a_function_a_class_and_an_object_are_found(self) -> None:
        self.write(
            "fine_games",
            "import gamenet\n"
            "def main(server): pass\n"
            "class Mine(gamenet.Game): pass\n"
            "mine = Mine()\n",
        )
        for name in ("main", "Mine", "mine"):
            load_game(f"fine_games:{name}")

    def test_a_path_that_is_none(self) -> None:
        for path in ("tag", ":main", "tag:", ""):
            self.assertIn("module:attribute", self.refused(path))

    def test_a_module_that_is_not_there(self) -> None:
        self.assertIn("working directory", self.refused("no_such_module_here:main"))

    def test_a_module_that_imports_what_is_not_there_names_that(self) -> None:
        self.write("lacks_something", "import no_such_dependency\n")
        text = self.refused("lacks_something:main")
        self.assertIn("no_such_dependency", text)
        self.assertNotIn("working directory", text)
        self.assertIn("line 1", text)

    def test_a_module_with_a_mistake_names_file_and_line(self) -> None:
        self.write("misspelt", "x = 1\ndef main(server:\n")
        text = self.refused("misspelt:main")
        self.assertIn("SyntaxError", text)
        self.assertIn("misspelt.py", text)
        self.assertIn("line 2", text)

    def test_a_module_that_raises_names_file_and_line(self) -> None:
        self.write("raises_early", "x = 1\n\n1 / 0\n")
        text = self.refused("raises_early:main")
        self.assertIn("ZeroDivisionError", text)
        self.assertIn("line 3", text)

    def test_a_module_that_exits_says_what_to_do(self) -> None:
        self.write("exits_early", "raise SystemExit(3)\n")
        self.assertIn("__main__", self.refused("exits_early:main"))

    def test_an_attribute_that_is_not_there_or_no_game(self) -> None:
        self.write("poor_games", "main = 5\nclass Plain: pass\n")
        self.assertIn("other", self.refused("poor_games:other"))
        self.assertIn("main", self.refused("poor_games:main"))
        self.assertIn("Plain", self.refused("poor_games:Plain"))


class ThreadTests(SynchronousTestCase):
    """The thread that a game has."""

    def test_options_that_a_game_refuses_are_one_line(self) -> None:
        def game(server: Any) -> None:
            raise ConfigError("lives", "write a number above 0, not -3")

        ended: list[bool] = []
        with capturedLogs() as logs:
            GameThread(game, cast("Any", SimpleNamespace()), ended.append)._run()
        self.assertEqual(ended, [False])
        (line,) = logs
        self.assertNotIn("log_failure", line)
        self.assertEqual(
            formatEvent(line),
            "the game refuses its options: lives: write a number above 0, not -3",
        )
