"""The short way from the game's thread to the reactor's, and the long one where that is none."""

from __future__ import annotations

import os
from typing import Any

from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure

from gamenet import doorbell as doorbell_module
from gamenet.bridge import Bridge
from gamenet.config import ServerConfig
from gamenet.server import GameServerFactory
from gamenet.waker import Waker
from tests.fakes import Machine, Network
from tests.test_doorbell import DescriptorCase
from tests.test_ports import LOOPBACK, SocketReactor


def nothing() -> None:
    """A command that does nothing."""


class WakerTests(DescriptorCase):
    """A descriptor in the poll."""

    def setUp(self) -> None:
        super().setUp()
        self.reactor = SocketReactor()
        self.woken = 0
        self.waker = Waker(self.reactor, self.count)
        self.addCleanup(self.waker.close)

    def count(self) -> None:
        self.woken += 1

    def turn(self) -> None:
        """The reactor reads what there is to read, and then what threads have asked for."""
        for reader in list(self.reactor.readers):
            reader.doRead()
        self.reactor.run(0.0)

    def test_the_reactor_calls_straight_from_the_poll(self) -> None:
        self.waker.open()
        self.waker.wake()
        self.waker.wake()
        self.turn()
        self.assertEqual((self.woken, self.reactor.wakes), (1, 0))
        self.waker.wake()
        self.turn()
        self.assertEqual((self.woken, self.reactor.wakes), (2, 0))

    def test_one_from_before_it_is_open_is_not_lost(self) -> None:
        self.waker.wake()
        self.waker.open()
        self.reactor.run(0.0)
        self.assertEqual(self.woken, 1)

    def test_one_that_was_not_seen_before_it_closed_is_not_lost(self) -> None:
        self.waker.open()
        self.waker.wake()
        self.waker.close()
        self.assertEqual(self.woken, 0)
        self.turn()
        self.assertEqual(self.woken, 1)

    def test_one_from_after_it_closed_is_not_lost(self) -> None:
        self.waker.open()
        self.waker.close()
        self.waker.wake()
        self.turn()
        self.assertEqual(self.woken, 1)

    def test_it_opens_once_and_closes_once_and_can_open_again(self) -> None:
        for _ in range(3):
            self.waker.open()
            self.waker.open()
            self.assertEqual(self.reactor.readers, {self.waker})
            self.waker.close()
            self.waker.close()
            self.assertEqual(self.reactor.readers, set())

    def test_a_reactor_that_stops_lets_go_of_it(self) -> None:
        self.waker.open()
        self.waker.wake()
        self.reactor.readers.clear()
        self.waker.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(self.waker.fileno(), -1)
        self.waker.doRead()
        self.assertEqual(self.woken, 0)
        self.reactor.run(0.0)
        self.assertEqual(self.woken, 1)

    def test_a_reactor_that_polls_no_descriptors_is_woken_its_own_way(self) -> None:
        machine = Machine(Network(), LOOPBACK)
        waker = Waker(machine, self.count)
        waker.open()
        self.assertEqual(waker.fileno(), -1)
        waker.wake()
        machine.run(0.0)
        self.assertEqual((self.woken, machine.wakes), (1, 1))

    def test_it_has_a_name_for_the_log(self) -> None:
        self.assertEqual(self.waker.logPrefix(), "Waker")


class HostTests(DescriptorCase):
    """A server's host, whose game is on another thread."""

    def setUp(self) -> None:
        super().setUp()
        self.reactor = SocketReactor()
        self.bridge = Bridge()
        self.factory = GameServerFactory(
            self.bridge,
            ServerConfig(insecure=True),
            reactor=self.reactor,
            now=self.reactor.seconds,
        )
        self.host = self.factory.host
        self.addCleanup(self.bridge.close)
        self.rings = 0
        write = os.write

        def ring(*arguments: Any) -> int:
            self.rings += 1
            return write(*arguments)

        self.patch(doorbell_module.os, "write", ring)

    def open(self) -> Any:
        return self.factory.listen_udp(0, LOOPBACK)

    def close(self, port: Any) -> None:
        port.stopListening()
        self.reactor.run(0.1)

    def test_it_has_one_while_somebody_is_there_and_none_before_and_after(self) -> None:
        for _ in range(2):
            self.assertEqual(self.reactor.readers, set())
            port = self.open()
            self.assertEqual(
                sorted(type(each).__name__ for each in self.reactor.readers),
                ["BudgetedPort", "Waker"],
            )
            self.close(port)
            self.assertEqual(self.reactor.readers, set())

    def test_wakes_are_shared_until_the_reactor_has_seen_one(self) -> None:
        port = self.open()
        (waker,) = (each for each in self.reactor.readers if isinstance(each, Waker))
        for number in range(1, 4):
            for _ in range(10):
                self.bridge.submit(nothing)
                self.bridge.end_pass()
            self.assertEqual(self.rings, number)
            waker.doRead()
            self.assertEqual(self.host.counters.commands, 10 * number)
        self.close(port)

    def test_what_was_said_before_it_opened_is_carried_out(self) -> None:
        self.bridge.submit(nothing)
        self.bridge.end_pass()
        port = self.open()
        self.bridge.submit(nothing)
        self.bridge.end_pass()
        self.reactor.run(0.0)
        self.assertEqual((self.host.counters.commands, self.rings), (2, 0))
        self.close(port)

    def test_what_was_said_when_the_last_one_left_is_carried_out_and_the_next_wakes_again(
        self,
    ) -> None:
        port = self.open()
        self.bridge.submit(nothing)
        self.bridge.end_pass()
        self.close(port)
        self.assertEqual(self.host.counters.commands, 1)
        port = self.open()
        self.bridge.submit(nothing)
        self.bridge.end_pass()
        self.assertEqual(self.rings, 2)
        self.close(port)
        self.assertEqual(self.host.counters.commands, 2)

    def test_an_answer_within_the_turn_leaves_with_it_and_wakes_nobody(self) -> None:
        port = self.open()
        self.host.begin_turn()
        self.bridge.submit(nothing)
        self.bridge.end_pass()
        self.assertEqual(self.host.counters.commands, 0)
        self.host.end_turn()
        self.assertEqual((self.host.counters.commands, self.rings), (1, 0))
        self.close(port)

    def test_a_game_that_answers_each_turn_does_not_keep_the_reactor(self) -> None:
        port = self.open()

        def again() -> None:
            self.bridge.submit(again)
            self.bridge.end_pass()

        self.host.begin_turn()
        again()
        self.host.end_turn()
        # The second is fetched by a wake of its own, with whatever else there is to poll.
        self.assertEqual((self.host.counters.commands, self.rings), (1, 1))
        self.bridge.close()
        self.close(port)
