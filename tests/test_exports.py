"""The names that gamenet promises: these, no more, and each at its place."""

from __future__ import annotations

import dataclasses
import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

import gamenet
from gamenet import errors, events, messages
from gamenet.bridge import Bridge
from gamenet.client_facade import GameClient
from gamenet.facade import GameServer

ROOT = Path(__file__).resolve().parent.parent
EXPORTS = [
    "SERVER",
    "Bridge",
    "Chat",
    "ClientConfig",
    "ConfigError",
    "Connected",
    "ConnectionFailed",
    "DisconnectReason",
    "Disconnected",
    "Game",
    "GameClient",
    "GameClientFactory",
    "GameServer",
    "GameServerFactory",
    "GameServerService",
    "GamenetError",
    "Input",
    "JoinRefused",
    "Joined",
    "Left",
    "ListenFailed",
    "LocalProtocolError",
    "LowLatencyProtocol",
    "Message",
    "MessageTooLarge",
    "PathChanged",
    "Player",
    "Posted",
    "Quality",
    "QueueFull",
    "Received",
    "RefusalReason",
    "ReliableProtocol",
    "Resumed",
    "ServerConfig",
    "Snapshot",
    "State",
    "Suspended",
    "Tick",
    "Unit",
    "Unreliable",
    "Writable",
    "__version__",
    "game",
    "serve",
]
MATCHED = {
    events.Joined: "player address secure",
    events.Connected: "player secure",
    events.Left: "player reason text unacknowledged unacknowledged_count",
    events.Disconnected: "reason text refusal unacknowledged unacknowledged_count",
    events.Suspended: "player reason",
    events.Resumed: "player away_seconds",
    events.Writable: "player",
    events.Input: "player number buttons missing seen tick",
    events.Received: "player payload channel",
    events.Unreliable: "player payload",
    events.Chat: "player text private",
    events.PathChanged: "player path reason",
    events.Posted: "value",
    events.Player: "id name account",
    events.Quality: "path label rtt_seconds rtt_min_seconds jitter_seconds loss_in loss_out "
    "bytes_in bytes_out datagrams_in datagrams_out queued_messages queued_bytes "
    "rtt_latest_seconds end_to_end_seconds bytes_per_second_in bytes_per_second_out "
    "datagrams_per_second_in datagrams_per_second_out types_in types_out queued_unreliable "
    "queued_state_bytes send_bytes_per_second input_lead_seconds inputs_late inputs_early "
    "inputs_missing clock_offset_seconds clock_uncertainty_seconds packed_samples",
    events.Tick: "number time dt events late_seconds skipped",
    events.State: "number payload tick server_time input_number",
}

SIGNATURES = {
    "GameServer": {
        "start": "(self, timeout=10.0)",
        "stop": "(self, timeout=5.0)",
        "drain": "(self, seconds=None, text='')",
        "ticks": "(self, hz=None, *, wait=True)",
        "events": "(self, timeout=0.0)",
        "send": "(self, player, payload, channel=0)",
        "broadcast": "(self, payload, channel=0, *, to=None, exclude=(), reliable=True)",
        "send_state": "(self, player, payload)",
        "send_unreliable": "(self, player, payload)",
        "set_budget": "(self, player, bytes_per_second)",
        "say": "(self, text, to=None, author=None)",
        "disconnect": "(self, player, text='', *, ban_seconds=0.0)",
        "flush": "(self)",
        "find": "(self, name_or_id)",
        "quality": "(self, player)",
        "time": "(self)",
        "stats": "(self)",
        "post": "(self, value)",
        "show": "(self, view)",
    },
    "GameClient": {
        "start": "(self, timeout=10.0, *, wait=True)",
        "stop": "(self, timeout=5.0)",
        "ticks": "(self, hz=None, *, wait=True)",
        "events": "(self, timeout=0.0)",
        "send": "(self, payload, channel=0)",
        "send_unreliable": "(self, payload)",
        "say": "(self, text)",
        "send_input": "(self, buttons)",
        "take_state": "(self)",
        "quality": "(self)",
        "server_time": "(self)",
        "server_tick": "(self)",
        "stats": "(self)",
        "flush": "(self)",
        "post": "(self, value)",
    },
}


class ExportTests(SynchronousTestCase):
    """``import gamenet``."""

    def test_these_names_and_no_others(self) -> None:
        self.assertEqual(sorted(gamenet.__all__), sorted(EXPORTS))
        # The version is no name to learn.
        self.assertLessEqual(len(set(gamenet.__all__) - {"__version__"}), 44)
        for name in EXPORTS:
            getattr(gamenet, name)

    def test_rare_errors_are_in_their_module(self) -> None:
        for name in [
            "UnknownPlayer",
            "BridgeClosed",
            "NotJoined",
            "RemoteProtocolError",
            "WireError",
        ]:
            self.assertNotIn(name, gamenet.__all__)
            self.assertTrue(issubclass(getattr(errors, name), errors.GamenetError))

    def test_rare_bounds_are_in_their_module(self) -> None:
        for name in ("Degrees", "Fraction"):
            self.assertNotIn(name, gamenet.__all__)
            self.assertTrue(hasattr(messages, name))

    def test_it_starts_no_thread_and_loads_no_test_support(self) -> None:
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                "import sys, threading, gamenet\n"
                "assert threading.active_count() == 1\n"
                "assert 'gamenet.testing' not in sys.modules\n"
                "assert 'twisted.internet.reactor' not in sys.modules\n"
                "assert 'twisted.web' not in sys.modules\n",
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_every_public_name_is_documented(self) -> None:
        for name in EXPORTS:
            value = getattr(gamenet, name)
            if inspect.isclass(value) or inspect.isfunction(value):
                self.assertTrue(inspect.getdoc(value), name)

    def test_every_public_method_is_documented(self) -> None:
        for kind in (GameServer, GameClient, Bridge, gamenet.Game):
            for name, value in inspect.getmembers(kind):
                if not name.startswith("_") and callable(value):
                    self.assertTrue(inspect.getdoc(value), f"{kind.__name__}.{name}")


class MatchTests(SynchronousTestCase):
    """The order of fields in a ``match`` is a promise."""

    def test_fields_match_in_their_promised_order(self) -> None:
        self.assertLessEqual(set(events.Event.__args__), set(MATCHED))
        for kind, fields in MATCHED.items():
            found: Any = kind.__match_args__
            self.assertEqual(" ".join(found), fields, kind.__name__)

    def test_every_event_has_a_player(self) -> None:
        for kind in events.Event.__args__:
            self.assertTrue(hasattr(kind, "player"), kind)
        self.assertIs(events.Posted(5).player, events.SERVER)

    def test_players_are_compared_by_identity_and_cannot_be_changed(self) -> None:
        one, two = events.Player(1, "ada", ""), events.Player(1, "ada", "")
        self.assertNotEqual(one, two)
        self.assertEqual(len({one, two}), 2)
        self.assertRaises(dataclasses.FrozenInstanceError, setattr, one, "name", "bob")
        self.assertEqual(str(one), "ada")
        self.assertNotIn("home", repr(one))

    def test_reasons_are_orderly_below_128(self) -> None:
        orderly = {reason.name for reason in errors.DisconnectReason if reason.orderly}
        self.assertEqual(orderly, set(["QUIT", "STOPPED", "KICKED", "REPLACED", "DRAINED"]))
        self.assertTrue(all(1 <= reason <= 255 for reason in errors.DisconnectReason))

    def test_every_end_has_a_phrase(self) -> None:
        self.assertEqual(set(errors.DISCONNECT_TEXTS), set(errors.DisconnectReason))
        self.assertEqual(set(errors.REFUSAL_TEXTS), set(errors.RefusalReason))


class SignatureTests(SynchronousTestCase):
    """The signatures that games are written against."""

    def test_signatures(self) -> None:
        for kind, methods in SIGNATURES.items():
            for name, wanted in methods.items():
                signature = inspect.signature(getattr(getattr(gamenet, kind), name))
                plain = signature.replace(
                    return_annotation=inspect.Signature.empty,
                    parameters=[
                        parameter.replace(annotation=inspect.Parameter.empty)
                        for parameter in signature.parameters.values()
                    ],
                )
                self.assertEqual(str(plain), wanted, f"{kind}.{name}")

    def test_what_a_server_and_a_client_say_about_themselves(self) -> None:
        for name in [
            *("running", "draining", "drain_seconds_left"),
            *("port", "udp_port", "address", "config", "options", "players"),
        ]:
            self.assertIsInstance(inspect.getattr_static(GameServer, name), property, name)
        for name in [
            *("player", "joined", "suspended", "secure", "path"),
            *("tick_rate", "newest_state"),
        ]:
            self.assertIsInstance(inspect.getattr_static(GameClient, name), property, name)

    def test_a_server_that_is_not_running_says_so_plainly(self) -> None:
        server = GameServer(0, insecure=True)
        self.assertEqual(
            (server.running, server.port, server.udp_port, server.address), (False, 0, 0, "")
        )
        self.assertEqual(list(server.players), [])
        server.stop()
        for verb in (
            lambda: server.send(events.SERVER, b"x"),
            lambda: server.broadcast(b"x"),
            lambda: server.say("x"),
            lambda: server.send_state(events.SERVER, b"x"),
            server.drain,
            server.time,
            server.stats,
        ):
            error = self.assertRaises(errors.LocalProtocolError, verb)
            self.assertIn("start()", str(error))

    def test_a_client_that_is_not_running_says_so_plainly(self) -> None:
        client = GameClient("localhost", insecure=True)
        self.assertEqual(
            (client.joined, client.secure, client.tick_rate, client.player),
            (False, False, 0.0, events.SERVER),
        )
        client.stop()
        self.assertRaises(errors.NotJoined, client.send, b"x")
