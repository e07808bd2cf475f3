"""Settings: wrong ones are refused at birth, by name, and none means something secret."""

from __future__ import annotations

import ast
import dataclasses
import inspect
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

import gamenet
from gamenet.checks import build
from gamenet.config import ClientConfig, ServerConfig
from gamenet.core import frames
from gamenet.errors import ConfigError
from tests.world import World, accept

LIMITS = [
    item.name
    for item in dataclasses.fields(ServerConfig)
    if item.type in ("int", "float") and item.name != "advertised_udp_port"
] + ["max_players_per_address"]


MAY_BE_ZERO = {"baseline_bytes", "held_up_seconds", "input_hold_seconds", "resume_seconds"}
"""Of which nothing at all is a choice too, and never means without end."""


class Tagged(gamenet.Message):
    x: int


class RefusalTests(SynchronousTestCase):
    """One wrong field, one error that names it."""

    def refused(self, **fields: Any) -> str:
        error = self.assertRaises(ConfigError, ServerConfig, **fields)
        (name,) = fields if len(fields) == 1 else (error.field,)
        self.assertEqual(error.field, name)
        self.assertIn(name, str(error))
        self.assertNotIn("\n", str(error))
        self.assertIsInstance(error, ValueError)
        return str(error)

    def test_no_limit_is_unlimited_and_zero_is_not_infinity(self) -> None:
        for name in LIMITS:
            for value in (-1,) if name in MAY_BE_ZERO else (0, -1):
                self.refused(**{name: value})
            if name.endswith("_seconds") or name == "tick_rate":
                for number in (float("inf"), float("nan"), -0.5):
                    self.refused(**{name: number})

    def test_no_time_for_coming_back_means_none(self) -> None:
        world = World(self, resume_seconds=0)
        client = world.join("ada", redials=True)
        self.assertEqual(len(world.server.host.claims), 0)
        assert client.transport is not None
        client.transport.abortConnection()
        world.run(30.0)
        self.assertEqual(len(world.server.of(gamenet.Left)), 1)
        self.assertEqual(client.end().reason, gamenet.DisconnectReason.SESSION_LOST)
        self.assertEqual(client.line.attempts, 1)

    def test_every_limit_is_there(self) -> None:
        self.assertGreater(len(LIMITS), 50)
        for name in ("max_players", "window_bytes", "tick_rate", "log_seconds"):
            self.assertIn(name, LIMITS)

    def test_wrong_types_are_named_with_what_would_be_right(self) -> None:
        for fields, words in (
            ({"tick_rate": "fast"}, "a number"),
            ({"tick_rate": True}, "a number"),
            ({"max_players": 2.5}, "a whole number"),
            ({"max_players": True}, "a whole number"),
            ({"insecure": 1}, "true or false"),
            ({"game_name": 5}, "text"),
            ({"duplicate": "kick"}, "'refuse' or 'takeover'"),
            ({"on_full": "drop"}, "'cut' or 'raise'"),
            ({"auth": "anonymous"}, "a list"),
            ({"options": 5}, "a table"),
            ({"listen": 1.5}, "whole number"),
            ({"messages": Tagged}, "a list"),
        ):
            self.assertIn(words, self.refused(**fields), fields)

    def test_a_whole_number_does_for_a_fraction(self) -> None:
        self.assertEqual(ServerConfig(tick_rate=60).tick_rate, 60)

    def test_values_that_the_wire_cannot_carry_are_refused_at_birth(self) -> None:
        for fields in (
            {"window_messages": 65_536},
            {"window_bytes": 1 << 32},
            {"max_input_hz": 65_536},
            {"input_bits": 65},
            {"tick_rate": 655.5},
            {"game_name": "x" * 256},
            {"game_name": "\ud800"},
            {"advertised_udp_port": 65_536},
            {"resume_seconds": 65_536},
        ):
            self.refused(**fields)

    def test_udp_has_ports_and_sockets_of_others_and_no_tls(self) -> None:
        for udp in ("systemd:1", "systemd:game", "fd:4", "7777:interface=127.0.0.1"):
            self.assertEqual(ServerConfig(insecure=True, udp=udp).udp, udp)
        self.assertIn("is for TCP", self.refused(udp="ssl:7777:privateKey=k.pem"))

    def test_values_that_the_kernel_cannot_take_are_refused_at_birth(self) -> None:
        for fields in ({"udp_buffer_bytes": 1 << 31}, {"listen_backlog": 1 << 31}):
            self.refused(**fields)

    def test_the_greatest_values_that_pass_can_be_played_with(self) -> None:
        world = World(
            self,
            window_messages=65_535,
            window_bytes=(1 << 32) - 1,
            max_input_hz=65_535,
            input_bits=64,
            tick_rate=655,
            game_name="x" * 255,
            advertised_udp_port=0,
        )
        client = world.join("ada", game_name="x" * 255)
        client.verbs.send_input((1 << 64) - 1)
        world.settle()
        self.assertEqual(world.server.events[-1].buttons, (1 << 64) - 1)  # type: ignore[union-attr]

    def test_the_least_values_that_pass_can_be_played_with(self) -> None:
        world = World(
            self,
            window_messages=1,
            window_bytes=65_600,
            queue_messages=1,
            queue_bytes=65_600,
            bridge_events=1,
            unreliable_messages=1,
            input_bits=1,
            max_input_hz=1,
            tick_rate=0.001,
            max_players=1,
            max_unjoined=1,
        )
        client = world.join("ada")
        client.verbs.send(bytes(65_536))
        client.verbs.send_input(1)
        world.run(0.3)
        self.assertEqual(len(world.server.events), 4)

    def test_a_dead_peer_time_shorter_than_two_pings_is_refused(self) -> None:
        error = self.assertRaises(ConfigError, ServerConfig, dead_seconds=9.0, ping_seconds=5.0)
        self.assertEqual(error.field, "dead_seconds")
        ServerConfig(dead_seconds=10.0, ping_seconds=5.0)

    def test_a_silence_on_udp_shorter_than_two_pings_is_refused(self) -> None:
        for make in (ServerConfig, ClientConfig):
            fields = {"udp_idle_seconds": 9.0, "ping_seconds": 5.0}
            error = self.assertRaises(ConfigError, make, **fields)
            self.assertEqual(error.field, "udp_idle_seconds")
            make(udp_idle_seconds=10.0, ping_seconds=5.0)

    def test_a_client_waits_no_less_later_than_at_first(self) -> None:
        for name in ("redial_first_seconds", "redial_longest_seconds"):
            for value in (0, -1.0, float("inf"), float("nan")):
                error = self.assertRaises(ConfigError, ClientConfig, **{name: value})
                self.assertEqual(error.field, name)
        error = self.assertRaises(
            ConfigError, ClientConfig, redial_first_seconds=2.0, redial_longest_seconds=1.9
        )
        self.assertEqual(error.field, "redial_longest_seconds")
        ClientConfig(redial_first_seconds=2.0, redial_longest_seconds=2.0)
        error = self.assertRaises(ConfigError, ClientConfig, rejoin=1)
        self.assertEqual(error.field, "rejoin")

    def test_an_insecure_server_stays_on_this_machine_unless_told_otherwise(self) -> None:
        for fields in (
            {"listen": "tcp:1:interface=0.0.0.0"},
            {"listen": "10.0.0.1:1"},
            {"listen": "[::]:1"},
            {"udp": "1:interface=10.0.0.1"},
        ):
            error = self.assertRaises(ConfigError, ServerConfig, insecure=True, **fields)
            self.assertIn("insecure_anywhere", str(error))
            ServerConfig(insecure=True, insecure_anywhere=True, **fields)  # type: ignore[arg-type]
            ServerConfig(**fields)  # type: ignore[arg-type]
        ServerConfig(insecure=True, listen="tcp:1:interface=127.0.0.2")

    def test_configs_are_frozen_and_take_fields_by_name_only(self) -> None:
        config: Any = ServerConfig()
        self.assertRaises(dataclasses.FrozenInstanceError, setattr, config, "insecure", True)
        make: Any = ServerConfig
        self.assertRaises(TypeError, make, 7777)

    @given(
        st.dictionaries(
            st.sampled_from([item.name for item in dataclasses.fields(ServerConfig)]),
            st.one_of(
                st.integers(),
                st.floats(),
                st.text(),
                st.booleans(),
                st.none(),
                st.just(()),
                st.just({}),
            ),
            max_size=4,
        )
    )
    def test_any_values_make_a_config_or_a_config_error(self, fields: dict[str, Any]) -> None:
        try:
            ServerConfig(**fields)
        except ConfigError as error:
            self.assertIn(error.field, {item.name for item in dataclasses.fields(ServerConfig)})


class BuildTests(SynchronousTestCase):
    """Fields by name, from calls, flags and files."""

    def test_an_unknown_name_is_refused_with_its_nearest_match(self) -> None:
        for make in (
            lambda: build(ServerConfig, {"max_player": 5}),
            lambda: gamenet.GameServer(0, insecure=True, max_player=5),
        ):
            error = self.assertRaises(ConfigError, make)
            self.assertEqual(error.field, "max_player")
            self.assertIn("max_players", str(error))
        error = self.assertRaises(
            ConfigError, gamenet.GameClient, "localhost", insecure=True, bind_retry=5
        )
        self.assertIn("bind_retry_seconds", str(error))

    def test_an_unknown_name_like_no_other_lists_those_that_are(self) -> None:
        error = self.assertRaises(ConfigError, build, ServerConfig, {"zzzzzz": 5})
        self.assertIn("tick_rate", str(error))

    def test_lists_do_for_what_is_a_list(self) -> None:
        config = build(ServerConfig, {"auth": ["memory:ada"], "messages": [Tagged]})
        self.assertEqual((config.auth, config.messages), (("memory:ada",), (Tagged,)))

    def test_a_server_takes_fields_beneath_or_beside_a_config(self) -> None:
        config = ServerConfig(insecure=True, max_players=5, tick_rate=10.0)
        server = gamenet.GameServer(1234, config=config, tick_rate=20.0)
        self.assertEqual(
            (server.config.listen, server.config.max_players, server.config.tick_rate),
            (1234, 5, 20.0),
        )
        client = gamenet.GameClient(
            "localhost", config=ClientConfig(insecure=True, input_bits=3), dead_seconds=60.0
        )
        self.assertEqual((client.config.input_bits, client.config.dead_seconds), (3, 60.0))

    def test_a_user_that_cannot_be_sent_is_refused(self) -> None:
        for user in ("x" * 256, "\ud800"):
            error = self.assertRaises(
                ConfigError, gamenet.GameClient, "localhost", user=user, insecure=True
            )
            self.assertEqual(error.field, "user")
            world = World(self)
            error = self.assertRaises(ConfigError, world.client, user)
            self.assertEqual(error.field, "user")

    def test_secrets_are_refused_while_there_is_no_tls(self) -> None:
        for secret in ("password", "ticket"):
            fields: dict[str, Any] = {secret: "x"}
            error = self.assertRaises(
                ConfigError, gamenet.GameClient, "localhost", insecure=True, **fields
            )
            self.assertEqual(error.field, secret)


class FileTests(SynchronousTestCase):
    """Configuration files."""

    def write(self, text: str) -> str:
        path = Path(self.mktemp())
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return str(path)

    def test_keys_are_fields_and_the_game_has_a_table_of_its_own(self) -> None:
        path = self.write(
            'insecure = true\nmax_players = 5\nauth = ["memory:ada,bob"]\n[game]\nmap = "caves"\n'
        )
        config = ServerConfig.from_file(path)
        self.assertEqual(
            (config.insecure, config.max_players, config.auth, config.options),
            (True, 5, ("memory:ada,bob",), {"map": "caves"}),
        )

    def test_flags_win_over_the_file(self) -> None:
        path = self.write("max_players = 5\ntick_rate = 10\n")
        config = ServerConfig.from_file(path, max_players=6)
        self.assertEqual((config.max_players, config.tick_rate), (6, 10))

    def test_what_is_wrong_with_a_file_is_one_line(self) -> None:
        for text, words in (
            ("max_player = 5\n", "max_players"),
            ("max_players = 0\n", "max_players"),
            ("max_players = \n", "not valid TOML"),
            ("messages = []\n", "messages"),
            ("[options]\nx = 1\n", "[game]"),
            ("game = 5\n", "options"),
        ):
            error = self.assertRaises(ConfigError, ServerConfig.from_file, self.write(text))
            self.assertIn(words, str(error))
            self.assertNotIn("\n", str(error))

    def test_a_file_that_cannot_be_read_is_one_line(self) -> None:
        error = self.assertRaises(ConfigError, ServerConfig.from_file, "/no/such/file.toml")
        self.assertIn("/no/such/file.toml", str(error))
        path = self.write("")
        Path(path).write_bytes(b"\xff\xfe")
        self.assertRaises(ConfigError, ServerConfig.from_file, path)


class DocumentationTests(SynchronousTestCase):
    """Every field says its unit, its reason and its effect."""

    def test_every_field_has_a_docstring_under_it(self) -> None:
        kinds = [
            kind
            for module in (gamenet.config, gamenet.limits, gamenet.settings)
            for kind in ast.parse(inspect.getsource(module)).body
            if isinstance(kind, ast.ClassDef)
        ]
        self.assertEqual(len(kinds), 4)
        for kind in kinds:
            for field, doc in zip(kind.body, kind.body[1:], strict=False):
                if isinstance(field, ast.AnnAssign):
                    self.assertTrue(
                        isinstance(doc, ast.Expr)
                        and isinstance(doc.value, ast.Constant)
                        and isinstance(doc.value.value, str),
                        f"{kind.name}.{ast.unparse(field.target)} has none",
                    )

    def test_what_a_client_accepts_is_what_a_server_can_say(self) -> None:
        config = ServerConfig()
        terms = accept(
            window_messages=config.window_messages,
            window_bytes=config.window_bytes,
            tick_rate_x100=round(config.tick_rate * 100),
            max_input_hz=config.max_input_hz,
            input_bits=config.input_bits,
        )
        self.assertEqual(frames.decode_accept(frames.encode_accept(terms)), terms)
