"""Games that take nothing, peers that do not read or are gone, clocks that jump, dead servers."""

from __future__ import annotations

import ast
import itertools
import socket
import time
from datetime import datetime, tzinfo
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar, Self

from twisted.logger import LogEvent, LogLevel, formatEvent, globalLogPublisher
from twisted.python import runtime
from twisted.trial.unittest import SynchronousTestCase

import gamenet
from gamenet import certificates, keyfiles, ports
from gamenet.core.frames import Kind
from gamenet.core.wire import DatagramKind
from gamenet.errors import DisconnectReason, QueueFull, RefusalReason
from gamenet.events import (
    Chat,
    Connected,
    Disconnected,
    Event,
    Input,
    Joined,
    Left,
    Player,
    Received,
    Suspended,
    Unreliable,
    Writable,
)
from gamenet.metrics import status
from gamenet.service import GameServerService
from gamenet.testing import SimulatedNetwork, Simulation
from gamenet.testing.players import SimulatedClient, SimulatedServer
from gamenet.testing.streams import DATA, SimulatedTransport
from gamenet.turns import BEAT_SECONDS
from tests.promises.choosy import Choosy, obey
from tests.promises.talk import Heard, Talk, number_of, numbered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

WINDOW = 256
CAP = WINDOW + 1_024
"""Reliable messages for one peer: the window, and what waits beyond it."""
CAP_BYTES = 262_144 + 1_048_576
HZ = 30
"""Ticks a second."""
PING_SECONDS, DEAD_SECONDS, SLOW_SECONDS, STALL_SECONDS = 5.0, 15.0, 10.0, 5.0
GRAIN = 1e-6
"""What rounding may make of a time."""
STALLED = "has taken no event"
"""What the line of the log about a stall says."""


def host_of(end: SimulatedClient | SimulatedServer) -> Any:
    """The reactor's side of an end."""
    assert end._host is not None
    return end._host


def of(kind: type, events: Iterable[Event]) -> list[Any]:
    """The events of one kind."""
    return [event for event in events if isinstance(event, kind)]


def numbers(payloads: Iterable[Any]) -> list[int]:
    """The numbers of messages."""
    return [number_of(payload) for payload in payloads]


def up_to(number: int) -> list[int]:
    """All numbers from 1."""
    return list(range(1, number + 1))


class Chatterer:
    """A client whose game sends whatever it may, and the account of what came."""

    def __init__(self, client: SimulatedClient) -> None:
        self.client = client
        self.sent = 0
        """Reliable messages and lines of chat, counted in one row."""
        self.thrown = self.inputs = 0
        self.may_send = True
        self.times_full = self.times_writable = 0
        self.heard = Heard()

    def say(self, count: int) -> None:
        """Send reliable messages, every tenth a line of chat, while there is room."""
        for _ in range(count):
            if not self.may_send:
                return
            try:
                if self.sent % 10 == 9:
                    self.client.say(str(self.sent + 1))
                else:
                    self.client.send(numbered(self.sent + 1))
            except QueueFull:
                self.may_send = False
                self.times_full += 1
            else:
                self.sent += 1

    def play(self, unreliable: int) -> None:
        """Send what a tick has besides."""
        self.inputs = self.client.send_input(self.inputs % 8)
        for _ in range(unreliable):
            self.thrown += 1
            self.client.send_unreliable(numbered(self.thrown))

    def listen(self) -> None:
        """Take what has come."""
        events = self.client.events()
        self.heard.take(events)
        for _ in of(Writable, events):
            self.times_writable += 1
            self.may_send = True


class Taken:
    """What a server's game has taken of one player."""

    def __init__(self, events: Iterable[Event], player: Player) -> None:
        self.reliable: list[int] = []
        """Of messages and lines of chat, in one row."""
        self.unreliable: list[int] = []
        self.inputs: list[Input] = []
        for event in events:
            if event.player != player:
                continue
            match event:
                case Received(_, payload):
                    self.reliable.append(number_of(payload))
                case Chat(_, text):
                    self.reliable.append(int(text))
                case Unreliable(_, payload):
                    self.unreliable.append(number_of(payload))
                case Input():
                    self.inputs.append(event)


class StallTests(SynchronousTestCase):
    """A game that takes nothing: nobody is lost, all is bounded, and everything comes after."""

    def setUp(self) -> None:
        self.log: list[LogEvent] = []
        globalLogPublisher.addObserver(self.log.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.log.append)

    def lines(self) -> list[str]:
        """What the log says about stalls."""
        warnings = [event for event in self.log if event.get("log_level") is LogLevel.warn]
        return [text for text in map(formatEvent, warnings) if STALLED in text]

    def is_stalled(self, simulation: Simulation) -> bool:
        """Whether the server says so, in its statistics and on its status page alike."""
        source: Any = SimpleNamespace(
            host=host_of(simulation.server), errors=0, game_stats=dict, running=True
        )
        found = status(source, 0.0)["stalled"]
        self.assertIs(type(found), bool)
        self.assertEqual(simulation.server.stats()["stalled"], int(found))
        return bool(found)

    def check_caps(self, simulation: Simulation, speakers: list[Chatterer]) -> None:
        """No queue is beyond its cap."""
        host = host_of(simulation.server)
        self.assertLessEqual(len(host.turn.awaiting), WINDOW * len(speakers))
        self.assertLessEqual(host.sink.waiting_events, 600 + WINDOW * len(speakers))
        for session in host.sessions():
            self.assertLessEqual(len(session.incoming._sizes), WINDOW)
            self.assertLessEqual(session._waiting, 256)
        for speaker in speakers:
            session = host_of(speaker.client)._session
            outgoing = session.outgoing
            self.assertLessEqual(speaker.client.quality().queued_messages, CAP)
            self.assertLessEqual(outgoing.sent - outgoing.acknowledged, WINDOW)
            self.assertLessEqual(len(session._unreliable), 64)
            self.assertLessEqual(speaker.client.stats()["inputs_in_flight"], 120)

    def stall(self, simulation: Simulation, speakers: list[Chatterer]) -> int:
        """Half a minute in which the server's game takes nothing and everybody talks.

        :returns: how many messages were broadcast.
        """
        server = simulation.server
        players = list(server.players)
        is_stalled = []
        said = most = 0
        for tick in range(30 * HZ):
            for speaker in speakers:
                # Once there are more of them than may wait to be sent; and one begins with as many
                # as it may have waiting.
                greedy = tick < HZ and speaker is speakers[0]
                speaker.play(unreliable=100 if tick == 300 else 20 if greedy else 2)
                speaker.say(3)
            # Verbs are for any thread: that the game takes nothing does not stop them.
            for player in players:
                server.send_state(player, b"state")
            if tick % 30 == 0:
                server.say(f"tick {tick}")
            if tick % 3 == 0:
                said += 1
                server.broadcast(numbered(said))
            simulation.step()
            for speaker in speakers:
                speaker.listen()
            self.check_caps(simulation, speakers)
            most = max(most, host_of(server).sink.waiting_events)
            is_stalled.append(bool(server.stats()["stalled"]))
            if tick % 30 == 0:
                self.assertEqual(self.is_stalled(simulation), is_stalled[-1])
        began = is_stalled.index(True)
        self.assertTrue(-0.2 < began / HZ - STALL_SECONDS < 0.2, began)
        self.assertEqual(is_stalled, [False] * began + [True] * (30 * HZ - began))
        # Each cap was reached, or none would have been tried.
        self.assertGreaterEqual(most, 600)
        self.assertGreater(server.stats()["events_refused"], 1_000)
        for speaker in speakers:
            stats = speaker.client.stats()
            self.assertEqual((speaker.sent, speaker.times_full), (CAP, 1))
            self.assertEqual(speaker.client.quality().queued_messages, CAP)
            self.assertEqual(stats["drop_send_unreliable"], 100 - 64)
            self.assertEqual(stats["inputs_in_flight"], 120)
        return said

    def test_a_servers_game_for_half_a_minute(self) -> None:
        with Simulation(clients=3, seed=31, bridge_events=600) as simulation:
            server = simulation.server
            simulation.network.link(latency_ms=20)
            simulation.run(1.0)
            server.events()
            players = list(server.players)
            speakers = [Chatterer(client) for client in simulation.clients]
            simulation.step()
            self.assertFalse(self.is_stalled(simulation))
            said = self.stall(simulation, speakers)
            self.assertEqual(server.stats()["stalls"], 1)
            (line,) = self.lines()
            self.assertIn("for 5 s", line)

            # The game goes on.
            taken: list[Event] = []
            left = 3 * (CAP + 50)
            for _ in range(60 * HZ):
                came = server.events()
                taken += came
                left -= len(of(Received, came)) + len(of(Chat, came))
                simulation.step()
                for speaker in speakers:
                    speaker.listen()
                    if speaker.times_writable:
                        speaker.say(CAP + 50 - speaker.sent)
                if not left:
                    break
            simulation.run(2.0)
            taken += server.events()
            simulation.run(2 * BEAT_SECONDS)
            self.assertFalse(self.is_stalled(simulation))
            self.assertEqual((server.stats()["stalls"], len(self.lines())), (1, 1))
            for speaker, player in zip(speakers, players, strict=True):
                speaker.listen()
                at_server = Taken(taken, player)
                self.assertEqual(at_server.reliable, up_to(CAP + 50))
                self.assertEqual((speaker.times_full, speaker.times_writable), (1, 1))
                self.assertEqual(speaker.heard.reliable, up_to(said))
                self.assertEqual((speaker.heard.suspended, speaker.heard.ended), (0, []))
                self.assertGreater(len(at_server.unreliable), 0)
                self.assertEqual(len(set(at_server.unreliable)), len(at_server.unreliable))
                number = 0
                for event in at_server.inputs:
                    # What was given up is told of, just before the next.
                    self.assertEqual(event.number, number + event.missing + 1)
                    number = event.number
                self.assertEqual(number, speaker.inputs)
            self.assertEqual(of(Suspended, taken) + of(Left, taken), [])

    def test_a_clients_game_for_half_a_minute(self) -> None:
        with Simulation(clients=3, seed=32) as simulation:
            server = simulation.server
            simulation.run(1.0)
            server.events()
            asleep, *others = [Chatterer(client) for client in simulation.clients]
            for speaker in (asleep, *others):
                speaker.listen()
            for number in range(30 * HZ):
                server.broadcast(numbered(number + 1))
                for player in server.players:
                    server.send_state(player, b"%d" % number)
                    server.send_unreliable(player, numbered(number))
                simulation.step()
                server.events()
                for speaker in others:
                    speaker.listen()
                    self.assertEqual(speaker.heard.reliable, up_to(number + 1))
                self.assertLessEqual(host_of(asleep.client).sink.waiting_events, 8_192 + WINDOW)
            self.assertEqual(
                [each.client.stats()["stalled"] for each in (asleep, *others)], [1, 0, 0]
            )
            self.assertFalse(self.is_stalled(simulation))
            self.assertEqual(len(self.lines()), 1)
            for _ in range(HZ):
                asleep.listen()
                simulation.step()
                server.events()
            self.assertEqual(asleep.heard.reliable, up_to(30 * HZ))
            self.assertEqual((asleep.heard.suspended, asleep.heard.ended), (0, []))
            state = asleep.client.take_state()
            assert state is not None
            self.assertEqual(state.payload, b"%d" % (30 * HZ - 1))
            self.assertEqual(asleep.client.stats()["stalled"], 0)
            self.assertEqual(len(self.lines()), 1)
            self.assertEqual(len(server.players), 3)

    def test_each_stall_is_one_line(self) -> None:
        with Simulation(seed=33, stall_seconds=1.0) as simulation:
            talk = Talk(simulation)
            talk.bind(self)
            for count in (1, 2, 3):
                talk.say()
                simulation.run(10.0)
                self.assertTrue(self.is_stalled(simulation))
                talk.step(10)
                self.assertFalse(self.is_stalled(simulation))
                self.assertEqual(simulation.server.stats()["stalls"], count)
                # The client's game took nothing either, and its log is this one, too.
                self.assertEqual(len(self.lines()), 2 * count)
            talk.check_exact(self, "stalls")

    def test_a_game_for_which_nothing_waits_has_not_stalled(self) -> None:
        with Simulation(seed=34) as simulation:
            talk = Talk(simulation)
            talk.bind(self)
            simulation.run(60.0)
            self.assertEqual(host_of(simulation.server).sink.waiting_events, 0)
            self.assertFalse(self.is_stalled(simulation))
            self.assertEqual(self.lines(), [])

    def test_a_game_that_is_slow_but_takes_has_not_stalled(self) -> None:
        with Simulation(seed=35) as simulation:
            talk = Talk(simulation)
            talk.bind(self)
            for _ in range(10):
                for _ in range(4 * HZ):
                    talk.say()
                    simulation.step()
                    self.assertFalse(self.is_stalled(simulation))
                talk.listen()
            talk.finish()
            talk.check_exact(self, "slow")
            self.assertEqual(self.lines(), [])


class Crowd:
    """Players of whom the last falls behind."""

    def __init__(self, simulation: Simulation, test: SynchronousTestCase) -> None:
        self.simulation = simulation
        self.server = simulation.server
        self.test = test
        simulation.run(1.0)
        self.events = self.server.events()
        """What the server's game has taken."""
        self.slow = simulation.clients[-1]
        self.heard = {client: Heard() for client in simulation.clients}
        player = self.server.find(self.slow.player.id)
        assert player is not None
        self.player = player
        self.sent = 0
        self.most = 0
        """That have waited for the slow one at one time."""

    @property
    def others(self) -> list[SimulatedClient]:
        """Those who keep up."""
        return [client for client in self.simulation.clients if client is not self.slow]

    @property
    def left(self) -> list[Left]:
        """Who is out."""
        return of(Left, self.events)

    def step(self, count: int = 0, size: int = 0, *, listens: bool = False) -> None:
        """A tick with so many broadcasts; at its end the others have all there is.

        :param listens: the slow one takes what has come, too.
        """
        for _ in range(count):
            self.sent += 1
            self.server.broadcast(numbered(self.sent, size))
        self.simulation.step()
        self.events += self.server.events()
        for client in self.simulation.clients if listens else self.others:
            self.heard[client].take(client.events())
        for client in self.others:
            self.test.assertEqual(len(self.heard[client].reliable), self.sent)
        self.most = max(self.most, self.server.quality(self.player).queued_messages)

    def until_cut(self, limit_seconds: float) -> float:
        """Ticks with nothing to say until the slow one is out.

        :returns: how long that took.
        """
        began = self.simulation.time
        while not self.left:
            self.test.assertLess(self.simulation.time, began + limit_seconds)
            self.step()
        return self.simulation.time - began

    def check_others(self) -> None:
        """Nobody else has noticed anything."""
        self.step(1)
        (left,) = self.left
        self.test.assertEqual(left.player, self.player)
        self.test.assertEqual(left.reason, DisconnectReason.SLOW_CONSUMER)
        self.test.assertEqual(
            of(Suspended, [e for e in self.events if e.player != self.player]), []
        )
        for client in self.others:
            heard = self.heard[client]
            self.test.assertEqual(heard.reliable, up_to(self.sent))
            self.test.assertEqual((heard.suspended, heard.ended), (0, []))


class SlowReaderTests(SynchronousTestCase):
    """One of twenty falls behind: bounded, then cut, and the others do not notice."""

    def test_one_whose_game_takes_nothing_has_ten_seconds(self) -> None:
        with Simulation(clients=20, seed=41) as simulation:
            crowd = Crowd(simulation, self)
            for _ in range(CAP // 16):
                crowd.step(16)
            self.assertEqual(crowd.most, CAP)
            # At its cap it may stay.
            for _ in range(12 * HZ):
                crowd.step()
            self.assertEqual(len(crowd.left), 0)
            crowd.step(1)
            seconds = crowd.until_cut(SLOW_SECONDS + 2)
            self.assertGreaterEqual(seconds, SLOW_SECONDS - 1.5 / HZ)
            # It is looked at once a second.
            self.assertLessEqual(seconds, SLOW_SECONDS + 2 * (1 + BEAT_SECONDS) + 1 / HZ)
            self.assertEqual(crowd.most, CAP + 1)
            sent = crowd.sent
            crowd.check_others()
            (left,) = crowd.left
            self.assertEqual(left.unacknowledged_count, sent)
            self.assertEqual(numbers(left.unacknowledged), up_to(1_024))
            events = crowd.slow.events()
            heard = Heard()
            heard.take(events)
            self.assertEqual(heard.reliable, up_to(WINDOW))
            self.assertEqual(events[-1], *heard.ended)
            self.assertEqual(of(Disconnected, events)[0].reason, DisconnectReason.SLOW_CONSUMER)

    def test_at_twice_the_cap_there_is_no_waiting(self) -> None:
        with Simulation(clients=20, seed=42) as simulation:
            crowd = Crowd(simulation, self)
            for number in range(2 * CAP):
                simulation.server.send(crowd.player, numbered(number + 1))
            crowd.step()
            self.assertEqual(len(crowd.left), 0)
            for number in range(1_000):
                simulation.server.send(crowd.player, numbered(2 * CAP + number + 1))
            crowd.step(1)
            (left,) = crowd.left
            self.assertEqual(left.unacknowledged_count, 2 * CAP)
            self.assertLessEqual(crowd.most, 2 * CAP)
            crowd.check_others()
            for _ in range(5):
                crowd.step(10)

    def test_one_that_grows_on_is_cut_before_twice_the_cap(self) -> None:
        with Simulation(clients=20, seed=43, queue_messages=200) as simulation:
            crowd = Crowd(simulation, self)
            for _ in range(round(SLOW_SECONDS / 2 * HZ)):
                crowd.step(16)
                if crowd.left:
                    break
            self.assertLessEqual(crowd.most, 2 * (WINDOW + 200))
            crowd.check_others()

    def test_one_whose_connection_is_not_read(self) -> None:
        with Simulation(clients=20, seed=44, queue_messages=200) as simulation:
            crowd = Crowd(simulation, self)
            (connection,) = [
                each
                for each in simulation.network.connections
                if each.machine is crowd.slow.reactor
            ]
            connection.pauseProducing()
            unread = 0
            for _ in range(10):
                crowd.step(60, 1_000, listens=True)
                unread = max(unread, connection.unread_bytes)
            self.assertGreater(crowd.most, WINDOW + 200)
            crowd.until_cut(SLOW_SECONDS + 2)
            # What the kernels took until they had enough, which is less than the window; the rest
            # of that goes before the last word.
            self.assertTrue(65_536 < unread < 65_536 + 2 * 60 * 1_020, unread)
            self.assertLess(connection.unread_bytes, 262_144 + 65_536)
            self.assertLessEqual(crowd.most, 2 * (WINDOW + 200))
            crowd.check_others()
            # The word about it could not be read, so it comes when the client has dialled again.
            for _ in range(5 * HZ):
                crowd.step(listens=True)
            heard = crowd.heard[crowd.slow]
            self.assertEqual(heard.reliable, up_to(len(heard.reliable)))
            self.assertEqual(heard.suspended, 1)
            (ended,) = heard.ended
            assert isinstance(ended, Disconnected)
            self.assertEqual(ended.reason, DisconnectReason.SLOW_CONSUMER)


class RaisingTests(SynchronousTestCase):
    """With ``on_full="raise"`` whoever sends hears of it, and nobody is cut."""

    def fill(self, crowd: Crowd, size: int = 0) -> int:
        """Send the slow one as much as there is room for, and a little more.

        :returns: how many messages there was room for.
        """
        for number in range(1, 2 * CAP):
            try:
                crowd.server.send(crowd.player, numbered(number, size))
            except QueueFull as error:
                self.assertIn(crowd.player.name, str(error))
                for _ in range(10):
                    self.assertRaises(QueueFull, crowd.server.send, crowd.player, bytes(size))
                return number - 1
        self.fail("it was never full")

    def wait(self, crowd: Crowd, *, listens: bool = False) -> None:
        """Let more time pass than the slow one would have otherwise."""
        for _ in range(round(1.5 * SLOW_SECONDS * HZ)):
            crowd.step(listens=listens)
        self.assertEqual(len(crowd.left), 0)

    def check_taken(self, crowd: Crowd, count: int) -> None:
        """The slow one goes on: it gets everything, and its sender hears that there is room."""
        for _ in range(5 * HZ):
            crowd.step(listens=True)
        self.assertEqual([event.player for event in of(Writable, crowd.events)], [crowd.player])
        crowd.server.send(crowd.player, numbered(count + 1))
        crowd.step()
        crowd.step(listens=True)
        self.assertEqual(crowd.heard[crowd.slow].reliable, up_to(count + 1))
        self.assertEqual(len(crowd.left), 0)

    def test_one_whose_game_takes_nothing(self) -> None:
        for size, wanted in ((0, CAP), (50_000, CAP_BYTES // 50_000)):
            with Simulation(clients=5, seed=45, on_full="raise") as simulation:
                crowd = Crowd(simulation, self)
                count = self.fill(crowd, size)
                self.assertEqual(count, wanted)
                self.wait(crowd)
                self.assertEqual(crowd.most, count)
                self.check_taken(crowd, count)

    def test_a_broadcast_is_for_all_or_none(self) -> None:
        with Simulation(clients=5, seed=46, on_full="raise") as simulation:
            crowd = Crowd(simulation, self)
            self.fill(crowd)
            self.assertRaises(QueueFull, simulation.server.broadcast, b"1 too many")
            crowd.step()
            simulation.server.broadcast(numbered(1), exclude=[crowd.player])
            crowd.sent += 1
            crowd.step()

    def test_one_who_is_away(self) -> None:
        with Simulation(clients=5, seed=47, on_full="raise") as simulation:
            network = simulation.network
            crowd = Crowd(simulation, self)
            listening = network.tcp.copy()
            network.tcp.clear()
            network.cut_tcp(crowd.slow)
            crowd.step()
            count = self.fill(crowd)
            self.assertEqual(count, CAP)
            self.wait(crowd, listens=True)
            network.tcp.update(listening)
            self.check_taken(crowd, count)


class Noted(SimulatedTransport):
    """A connection of which all that is written is noted."""

    notes: ClassVar[list[tuple[float, Any, bytes]]] = []
    """When, from which machine, and what."""

    def write(self, data: bytes) -> None:
        self.notes.append((self.network.seconds(), self.machine, data))
        super().write(data)


class Dripping(SimulatedTransport):
    """A connection that, once told so, carries one byte every few seconds."""

    every = 0.0
    due = 0.0

    def write(self, data: bytes) -> None:
        if not self.every:
            super().write(data)
            return
        timeline = self.network.timeline
        for byte in data:
            self.due = max(self.due, timeline.now) + self.every
            timeline.at(self.due, self.peer.arrive, DATA, bytes((byte,)))


class HalfOpenTests(SynchronousTestCase):
    """Peers that vanish without a word are noticed, and nobody else is taken for one."""

    def notice(self, talk: Talk, *, writes: bool, udp: bool) -> None:
        """The peers vanish for each other; both notice in time, and nothing is lost by it.

        :param writes: both send all the while.
        :param udp: datagrams still pass.
        """
        simulation, client, server = talk.simulation, talk.client, talk.simulation.server
        network = simulation.network
        listening = network.tcp.copy()
        network.tcp.clear()  # a client that dials again would tell the server
        network.cut_tcp(client, silently=True)
        network.block_udp(client, on=not udp)
        began = network.seconds()
        heard_last = {
            "server": host_of(server).registry.by_player[talk.player.id].frame_heard - began,
            "client": host_of(client)._session.frame_heard - began,
        }
        events: dict[str, list[Event]] = {"server": [], "client": []}
        noticed: dict[str, float] = {}
        for step in range(1_700):
            if writes and step % 10 == 0:
                talk.say()
                talk.toss()
            simulation.run(0.01)
            for name, end, heard in (
                ("server", server, talk.at_server),
                ("client", client, talk.at_client),
            ):
                came = end.events()
                heard.take(came)
                events[name] += came
                if of(Suspended, came):
                    noticed[name] = network.seconds() - began
        for name in events:
            said = (name, writes, udp, noticed)
            (suspended,) = of(Suspended, events[name])
            self.assertEqual(suspended.reason, DisconnectReason.TIMEOUT, said)
            latest = BEAT_SECONDS + 0.01 + GRAIN
            self.assertLessEqual(noticed[name], DEAD_SECONDS + latest, said)
            # Counted from the last byte, which came no longer ago than a ping and its beat.
            silence = noticed[name] - heard_last[name]
            self.assertTrue(DEAD_SECONDS - GRAIN <= silence <= DEAD_SECONDS + latest, said)
            self.assertGreater(heard_last[name], -PING_SECONDS - 0.2, said)
        network.tcp.update(listening)
        network.block_udp(client, on=False)
        talk.step(10 * HZ)
        talk.finish()
        talk.check_exact(self, str((writes, udp)))
        self.assertEqual((talk.at_server.resumed, talk.at_client.resumed), (1, 1))

    def test_both_ends_notice_within_fifteen_seconds(self) -> None:
        cases = itertools.product((False, True), (False, True), (0.0, 3.7))
        for number, (writes, udp, idle) in enumerate(cases):
            with Simulation(seed=60 + number) as simulation:
                simulation.network.link(latency_ms=20)
                talk = Talk(simulation)
                talk.bind(self)
                talk.say()
                talk.step(10)
                simulation.run(idle)
                self.notice(talk, writes=writes, udp=udp)

    def test_a_client_that_dials_again_is_not_kept_waiting_by_the_dead_connection(self) -> None:
        with Simulation(seed=73) as simulation:
            talk = Talk(simulation)
            talk.bind(self)
            simulation.network.cut_tcp(talk.client, silently=True)
            for _ in range(17 * HZ):
                talk.say()
                talk.step()
            self.assertEqual((talk.at_server.resumed, talk.at_client.resumed), (1, 1))
            talk.finish()
            talk.check_exact(self, "half open")

    def test_whoever_has_nothing_to_say_is_not_taken_for_dead(self) -> None:
        for blocked in (False, True):
            with Simulation(seed=74) as simulation:
                simulation.network.block_udp(on=blocked)
                talk = Talk(simulation)
                for _ in range(200):
                    simulation.run(1.0)
                    talk.listen()
                talk.say()
                talk.finish()
                talk.check_exact(self, "idle")
                self.assertEqual((talk.at_server.suspended, talk.at_client.suspended), (0, 0))

    def drip(self, every: float) -> Talk:
        """200 s in which a client has a message to send, of which a byte comes now and then."""
        self.patch(SimulatedNetwork, "transport_type", Dripping)
        with Simulation(seed=75) as simulation:
            talk = Talk(simulation)
            talk.bind(self)
            (ours,) = [
                each
                for each in simulation.network.connections
                if each.machine is talk.client.reactor
            ]
            assert isinstance(ours, Dripping)
            ours.every = every
            talk.client.send(b"1 ")
            for _ in range(200):
                simulation.run(1.0)
                talk.listen()
        return talk

    def test_any_byte_is_life(self) -> None:
        talk = self.drip(DEAD_SECONDS - 1)
        self.assertEqual(talk.at_server.reliable, [1])
        self.assertEqual((talk.at_server.suspended, talk.at_client.suspended), (0, 0))
        self.assertGreater(self.drip(DEAD_SECONDS + 1).at_server.suspended, 0)

    def writes_of(self, notes: list[tuple[float, Any, bytes]], end: Any) -> list[tuple[float, int]]:
        """When an end wrote, and the kind of the first frame that it wrote."""
        return [(when, data[4]) for when, machine, data in notes if machine is end.reactor]

    def test_a_ping_comes_after_five_seconds_of_silence_and_not_sooner(self) -> None:
        notes: list[tuple[float, Any, bytes]] = []
        self.patch(Noted, "notes", notes)
        self.patch(SimulatedNetwork, "transport_type", Noted)
        with Simulation(seed=76) as simulation:
            simulation.network.link(latency_ms=30)
            talk = Talk(simulation)
            talk.bind(self)
            ends = (simulation.server, talk.client)
            # Who speaks every four seconds writes none, nor who answers as often.
            notes.clear()
            for _ in range(15):
                talk.say()
                talk.step(4 * HZ)
            for end in ends:
                written = self.writes_of(notes, end)
                self.assertGreaterEqual(len(written), 15)
                self.assertNotIn(Kind.PING, [kind for _, kind in written])
            # Nobody speaks.
            notes.clear()
            talk.say()
            talk.step(120 * HZ)
            for end in ends:
                written = self.writes_of(notes, end)
                pings = 0
                for (before, _), (when, kind) in itertools.pairwise(written):
                    self.assertLessEqual(when - before, PING_SECONDS + BEAT_SECONDS + GRAIN)
                    if kind == Kind.PING:
                        pings += 1
                        self.assertGreaterEqual(when - before, PING_SECONDS - GRAIN)
                self.assertGreater(pings, 5)
            # One speaks, and the other has nothing to answer but that it has taken it.
            notes.clear()
            for _ in range(60):
                talk.client.send(numbered(1))
                talk.step(HZ)
            self.assertNotIn(Kind.PING, [kind for _, kind in self.writes_of(notes, talk.client)])

    def test_so_does_a_ping_by_udp(self) -> None:
        sent: list[tuple[float, int]] = []
        running: list[Simulation] = []

        def note(way: Choosy, data: bytes) -> list[bytes]:
            if way.is_up and running:
                sent.append((running[0].time, data[0] & 0x0F))
            return [data]

        obey(self, note)
        with Simulation(seed=77) as simulation:
            network = simulation.network
            talk = Talk(simulation)
            talk.bind(self)
            talk.step(5 * HZ)
            running.append(simulation)
            talk.step(60 * HZ)
            # Without TCP, whose pings are an occasion to ask by UDP what time it is.
            listening = network.tcp.copy()
            network.tcp.clear()
            network.cut_tcp(talk.client)
            talk.step(50 * HZ)
            running.clear()
            self.assertEqual(talk.client.path, "udp")
            for (before, _), (when, kind) in itertools.pairwise(sent):
                self.assertLessEqual(when - before, PING_SECONDS + BEAT_SECONDS + GRAIN)
                if kind == DatagramKind.PING:
                    self.assertGreaterEqual(when - before, PING_SECONDS - GRAIN)
            self.assertGreater([kind for _, kind in sent].count(DatagramKind.PING), 5)
            network.tcp.update(listening)
            talk.step(10 * HZ)

    def test_the_kernel_is_asked_for_no_deadline_of_its_own(self) -> None:
        """``TCP_USER_TIMEOUT`` would cut a peer who is slow, or behind a network that is."""
        asked: list[tuple[int, int, object]] = []
        fake = SimpleNamespace(socket=SimpleNamespace(setsockopt=lambda *it: asked.append(it)))
        ports.set_tcp_buffers(fake, 262_144, 65_536)
        self.assertTrue(asked)
        number = getattr(socket, "TCP_USER_TIMEOUT", 18)
        self.assertNotIn((socket.IPPROTO_TCP, number), [each[:2] for each in asked])
        for path, source in sources():
            self.assertNotIn("USER_TIMEOUT", source, path)
            self.assertNotIn("TCP_KEEPIDLE", source, path)


PACKAGE = Path(gamenet.__file__).parent


def sources() -> list[tuple[str, str]]:
    """Every module of gamenet: where it is, and its text."""
    return [
        (path.relative_to(PACKAGE).as_posix(), path.read_text(encoding="utf-8"))
        for path in sorted(PACKAGE.rglob("*.py"))
    ]


WALL_CLOCKS = {
    *(f"time.{name}" for name in ("time", "time_ns", "localtime", "gmtime", "ctime", "asctime")),
    *(f"time.{name}" for name in ("strftime", "clock_gettime", "clock_gettime_ns")),
    *(f"datetime.datetime.{name}" for name in ("now", "utcnow", "today")),
    "datetime.date.today",
    "os.times",
    "twisted.python.runtime.seconds",
    "reactor.seconds",
}
MAY_ASK = {
    ("certificates.py", "make_certificate"): "from when to when a certificate is good",
    ("keyfiles.py", "_read_chain"): "whether it is, looked at when the file is read",
    ("tickets.py", "TicketChecker.__init__"): "when a ticket ends, which another machine says",
    ("tickets.py", "TicketIssuer.__init__"): "the same where tickets are made",
    ("threads.py", "_keeps_wall_time"): "whether a reactor has that clock, to give it another",
    ("delays.py", "Delays.__init__"): "how long a bad network holds a packet: no session's affair",
    ("delays.py", "Delays.now"): "the same",
}
"""Where the time of day is asked for, and what for."""


class WallClocks(ast.NodeVisitor):
    """Finds where a module asks what time of day it is."""

    def __init__(self) -> None:
        self.found: list[tuple[str, str]] = []
        """The function, and what it asks."""
        self._names: dict[str, str] = {}
        self._where: list[str] = []

    def visit_Import(self, node: ast.Import) -> None:
        for name in node.names:
            first = name.name.partition(".")[0]
            self._names[name.asname or first] = name.name if name.asname else first

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        for name in node.names:
            dotted = f"{node.module}.{name.name}"
            self._names[name.asname or name.name] = dotted
            if dotted == "twisted.python.runtime.seconds" or dotted.startswith("time."):
                self._note(dotted)

    def _inside(self, node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._where.append(node.name)
        self.generic_visit(node)
        self._where.pop()

    visit_ClassDef = visit_FunctionDef = visit_AsyncFunctionDef = _inside

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if isinstance(node.ctx, ast.Load):
            self._note(self._dotted(node))
        self.generic_visit(node)

    def _dotted(self, node: ast.expr) -> str:
        if isinstance(node, ast.Attribute):
            owner = self._dotted(node.value)
            if node.attr == "seconds" and owner.rpartition(".")[2].strip("_") == "reactor":
                return "reactor.seconds"
            return f"{owner}.{node.attr}"
        return self._names.get(node.id, node.id) if isinstance(node, ast.Name) else ""

    def _note(self, dotted: str) -> None:
        if dotted in WALL_CLOCKS:
            self.found.append((".".join(self._where), dotted))


def wall_clocks_of(source: str) -> list[tuple[str, str]]:
    """Where a module asks what time of day it is: the function, and what it asks."""
    finder = WallClocks()
    finder.visit(ast.parse(source))
    return finder.found


class WallClock:
    """The time of day, which somebody sets."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


def steady(clock: WallClock, tick: int) -> None:
    """Nobody sets it."""


def an_hour_ahead(clock: WallClock, tick: int) -> None:
    """As at a daylight saving time done wrong."""
    clock.now += 3_600 * (tick in (200, 700))


def an_hour_back(clock: WallClock, tick: int) -> None:
    """The same in autumn."""
    clock.now -= 3_600 * (tick in (200, 700))


def a_second_back_each_second(clock: WallClock, tick: int) -> None:
    """It stands still, and then some."""
    clock.now -= 1.0 / HZ + (tick % HZ == 0)


class ClockTests(SynchronousTestCase):
    """The time of day may be set to anything: only a clock that cannot be set counts."""

    def story(self, change: Callable[[WallClock, int], None]) -> tuple[str, Heard, Heard]:
        """40 s with everything that waits for a time: pings, cuts, a stall, another address."""
        clock = WallClock()

        class Calendar(datetime):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> Self:
                return cls.fromtimestamp(clock(), tz)

        self.patch(time, "time", clock)
        self.patch(runtime, "seconds", clock)
        self.patch(certificates, "datetime", Calendar)
        self.patch(keyfiles, "datetime", Calendar)
        with Simulation(seed=81, profile="cellular", rekey_seconds=60.0) as simulation:
            talk = Talk(simulation)
            for tick in range(40 * HZ):
                clock.now += 1 / HZ
                change(clock, tick)
                if not 300 <= tick < 480:
                    if tick % 5 == 0:
                        talk.say()
                    talk.toss()
                if tick == 240:
                    simulation.network.cut_tcp(talk.client)
                if tick == 500:
                    simulation.network.change_address(talk.client)
                simulation.network.block_udp(talk.client, on=750 <= tick < 900)
                simulation.step()
                if not 310 <= tick < 480:
                    talk.listen()
            talk.finish()
            talk.check_exact(self, change.__name__)
            self.assertEqual(talk.at_client.resumed, 2)
            return simulation.fingerprint(), talk.at_server, talk.at_client

    def test_a_change_of_the_clock_changes_nothing(self) -> None:
        wanted = self.story(steady)
        for change in (an_hour_ahead, an_hour_back, a_second_back_each_second):
            self.assertEqual(self.story(change), wanted, change.__name__)

    def test_no_session_asks_what_time_of_day_it_is(self) -> None:
        found = {
            (path, where): what
            for path, source in sources()
            for where, what in wall_clocks_of(source)
            # What runs in virtual time has no other clock.
            if not (path.startswith("testing/") and what == "reactor.seconds")
        }
        self.assertEqual(set(found), set(MAY_ASK), found)

    def test_the_search_finds_them(self) -> None:
        hidden = (
            "import time\nfrom time import time as when\nimport datetime as d\n"
            "from datetime import datetime, date\nimport twisted.python.runtime\n"
            "class A:\n"
            " def a(self, now=time.time): pass\n"
            " def b(self): return d.datetime.now() - datetime.utcnow()\n"
            "def c(reactor): return reactor.seconds() + self._reactor.seconds()\n"
            "def d(): import time as t; return t.monotonic() - t.time()\n"
            "def e(): return twisted.python.runtime.seconds(), date.today()\n"
            "def f(): return time.monotonic(), self.seconds, retry.seconds()\n"
        )
        self.assertEqual(
            wall_clocks_of(hidden),
            [
                ("", "time.time"),
                ("A.a", "time.time"),
                ("A.b", "datetime.datetime.now"),
                ("A.b", "datetime.datetime.utcnow"),
                ("c", "reactor.seconds"),
                ("c", "reactor.seconds"),
                ("d", "time.time"),
                ("e", "twisted.python.runtime.seconds"),
                ("e", "datetime.date.today"),
            ],
        )


def kill(simulation: Simulation, *, power: bool) -> None:
    """End the server's process at once, as ``kill -9`` does.

    :param power: the whole machine loses its power, so that not even a kernel says a word.
    """
    network, machine = simulation.network, simulation.server.reactor
    network.settle()
    for timer in machine.getDelayedCalls():
        timer.cancel()
    tables: tuple[dict[Any, Any], ...] = (network.tcp, network.udp)
    for table in tables:
        for where in [where for where, port in table.items() if port.machine is machine]:
            del table[where]
    for end in [each for each in network.connections if each.machine is machine]:
        end.protocol = end.producer = end.on_lost = None
        if power:
            end.is_dead = end.peer.is_dead = True
            end.cut()
        else:
            end.abortConnection()
    network.settle()


def start_again(simulation: Simulation) -> None:
    """Another process of the server, at the same place, that knows nothing of the old one."""
    old = simulation.server
    server = SimulatedServer(simulation, old.reactor, old.config)
    bridge = simulation.new_bridge(old.config)
    simulation.server = server
    simulation._service = service = GameServerService(
        old.config,
        sink=bridge,
        facade=server,
        reactor=old.reactor,
        now=old.reactor.seconds,
        random_bytes=Random("another").randbytes,
    )
    server.begin(bridge, service)
    service.startService()


class KillTests(SynchronousTestCase):
    """A server that is gone without a word takes its sessions with it, and the client is told."""

    def play(self, talk: Talk) -> None:
        """The server's game takes 10 messages, and 20 more wait for it."""
        talk.bind(self)
        for _ in range(10):
            talk.say()
        talk.step(10)
        self.assertEqual(talk.at_server.reliable, up_to(10))
        self.assertEqual(talk.client.quality().queued_messages, 0)
        for number in range(11, 31):
            talk.client.send(numbered(number))
            talk.simulation.step()
        session = host_of(talk.client)._session
        self.assertEqual((session.outgoing.sent, session.outgoing.acknowledged), (30, 10))

    def watch(self, talk: Talk, seconds: float) -> list[tuple[float, Event]]:
        """What the client's game takes, and when."""
        found = []
        began = talk.simulation.time
        while talk.simulation.time < began + seconds:
            talk.simulation.run(0.01)
            found += [(talk.simulation.time - began, event) for event in talk.client.events()]
        return found

    def test_the_client_gets_back_what_was_never_taken(self) -> None:
        for power in (False, True):
            with Simulation(seed=91) as simulation:
                talk = Talk(simulation)
                self.play(talk)
                kill(simulation, power=power)
                for number in range(31, 36):
                    talk.client.send(numbered(number))
                if power:
                    start_again(simulation)
                events = self.watch(talk, 3.0)
                if not power:
                    start_again(simulation)
                events += self.watch(talk, 30.0)
                (noticed, suspended), (_, over) = [
                    each for each in events if isinstance(each[1], Suspended | Disconnected)
                ]
                assert isinstance(suspended, Suspended)
                assert isinstance(over, Disconnected)
                self.assertIs(over, events[-1][1])
                self.assertLessEqual(noticed, DEAD_SECONDS + BEAT_SECONDS + 0.01 + GRAIN)
                self.assertEqual(noticed > 1.0, power)
                self.assertEqual(over.reason, DisconnectReason.SESSION_LOST)
                self.assertEqual(over.refusal, RefusalReason.NO_SESSION)
                self.assertEqual(numbers(over.unacknowledged), list(range(11, 36)))
                self.assertEqual(over.unacknowledged_count, 25)
                self.assertFalse(over.rejoining or talk.client.joined)
                # Nothing of it is replayed into the new game.
                self.assertEqual(simulation.server.events(), [])

    def test_however_many_they_are_all_are_counted(self) -> None:
        with Simulation(seed=92) as simulation:
            client = simulation.clients[0]
            for number in range(CAP):
                client.send(numbered(number + 1))
            self.assertRaises(QueueFull, client.send, b"more")
            simulation.run(10.0)
            kill(simulation, power=False)
            start_again(simulation)
            simulation.run(10.0)
            (over,) = of(Disconnected, client.events())
            self.assertEqual(over.reason, DisconnectReason.SESSION_LOST)
            self.assertEqual(numbers(over.unacknowledged), up_to(1_024))
            self.assertEqual(over.unacknowledged_count, CAP)

    def test_where_nobody_starts_it_again(self) -> None:
        with Simulation(seed=93, resume_seconds=20.0) as simulation:
            talk = Talk(simulation)
            self.play(talk)
            kill(simulation, power=True)
            events = self.watch(talk, DEAD_SECONDS + 20.0 + 1.0)
            when, over = events[-1]
            assert isinstance(over, Disconnected)
            self.assertLessEqual(when, DEAD_SECONDS + 20.0 + 2 * BEAT_SECONDS + 0.01 + GRAIN)
            self.assertEqual((over.reason, over.refusal), (DisconnectReason.SESSION_LOST, None))
            self.assertEqual(numbers(over.unacknowledged), list(range(11, 31)))
            start_again(simulation)
            simulation.run(60.0)
            self.assertEqual(simulation.server.events(), [])

    def test_a_client_that_rejoins_is_another_player(self) -> None:
        for power in (False, True):
            with Simulation(seed=94, clients=0) as simulation:
                client = simulation.join("ada", rejoin=True)
                talk = Talk(simulation, client)
                self.play(talk)
                before = client.player
                client.send_input(3)
                kill(simulation, power=power)
                events = [event for _, event in self.watch(talk, 1.0)]
                start_again(simulation)
                events += [event for _, event in self.watch(talk, 30.0)]
                told = [e for e in events if isinstance(e, Suspended | Disconnected | Connected)]
                self.assertEqual([type(e) for e in told], [Suspended, Disconnected, Connected])
                over = told[1]
                assert isinstance(over, Disconnected)
                self.assertTrue(over.rejoining)
                self.assertEqual(over.reason, DisconnectReason.SESSION_LOST)
                self.assertEqual(numbers(over.unacknowledged), list(range(11, 31)))
                self.assertTrue(client.joined)
                self.assertIsNot(client.player, before)
                at_server = simulation.server.events()
                (joined,) = of(Joined, at_server)
                self.assertEqual(joined.player.name, "ada")
                self.assertEqual(of(Received, at_server) + of(Left, at_server), [])
                # Whatever is said from here on goes to the new game.
                client.send(numbered(99))
                self.assertEqual(client.send_input(1), 1)
                simulation.server.send(joined.player, numbered(98))
                simulation.run(1.0)
                at_server = simulation.server.events()
                self.assertEqual([number_of(e.payload) for e in of(Received, at_server)], [99])
                self.assertEqual([e.number for e in of(Input, at_server)], [1])
                received = of(Received, client.events())
                self.assertEqual([number_of(e.payload) for e in received], [98])
