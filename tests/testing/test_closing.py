"""What must be right at the end of a simulation, and is looked at."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from twisted.internet.task import LoopingCall
from twisted.trial.unittest import SynchronousTestCase

from gamenet.impairment import Profile
from gamenet.testing import Pair, Simulation, baton
from tests.testing.games import Walk, walk
from tests.testing.talkers import Listener, Talkers

if TYPE_CHECKING:
    import gamenet


class ClosingTests(SynchronousTestCase):
    """Each promise is broken once, and ``close`` says so."""

    def refused(self, pair: Simulation) -> str:
        """What ``close`` raises."""
        error = self.assertRaises(AssertionError, pair.close)
        pair.close()
        return str(error)

    def test_all_is_well_and_closing_twice_is_once(self) -> None:
        for game in (None, Walk, walk):
            for profile in ("perfect", "train", Profile(loss=0.5, latency_ms=10)):
                pair = Pair(game, profile=profile)
                pair.client.send_input(1)
                pair.client.send(b"on its way")
                pair.step()
                pair.close()
                pair.close()
                self.assertEqual(pair.network.left_behind(), [])

    def test_it_closes_whatever_state_the_session_is_in(self) -> None:
        def cut(pair: Pair) -> None:
            pair.network.cut_tcp()

        def cut_silently(pair: Pair) -> None:
            pair.network.cut_tcp(silently=True)

        def block(pair: Pair) -> None:
            pair.network.block_udp()
            pair.run(30)

        def move(pair: Pair) -> None:
            pair.network.change_address(pair.client)

        def move_and_wait(pair: Pair) -> None:
            pair.network.change_address(pair.client)
            pair.run(20)

        def stop(pair: Pair) -> None:
            pair.server.stop()

        def leave(pair: Pair) -> None:
            pair.client.stop()

        def fill(pair: Pair) -> None:
            pair.network.link(bandwidth_bytes=100)
            for _ in range(100):
                pair.client.send(bytes(1_000))

        for trouble in (cut, cut_silently, block, move, move_and_wait, stop, leave, fill):
            for game in (None, Walk, walk):
                with Pair(game, profile="cellular") as pair:
                    pair.step(10)
                    trouble(pair)
                self.assertEqual(pair.network.left_behind(), [], trouble.__name__)

    def test_a_timer(self) -> None:
        pair = Pair(Walk)
        loop = LoopingCall(lambda: None)
        loop.clock = pair.server.reactor
        loop.start(60)
        self.assertIn("left behind: <timer in", self.refused(pair))
        loop.stop()

    def test_a_connection_and_a_listening_port(self) -> None:
        pair = Pair(Walk)
        pair.client.reactor.listenTCP(99, Talkers())
        pair.server.reactor.connectTCP(pair.client.reactor.address, 99, _Told())
        pair.step()
        text = self.refused(pair)
        self.assertIn("left behind: <TCP port 10.0.0.2:99", text)
        self.assertIn("left behind: <connection from 10.0.0.1", text)

    def test_a_udp_port(self) -> None:
        pair = Pair(Walk)
        pair.client.reactor.listenUDP(99, Listener())
        self.assertIn("left behind: <UDP port 10.0.0.2:99 of Listener>", self.refused(pair))

    def test_a_session(self) -> None:
        pair = Pair(Walk)
        for side, end in ((pair.client, "leave"), (pair.server, "end_all")):
            setattr(side._host, end, lambda *args: None)
        text = self.refused(pair)
        self.assertIn("left behind: the session of 'player1'", text)

    def test_a_thread(self) -> None:
        self.patch(baton, "HANGS_SECONDS", 0.05)
        lock = threading.Lock()
        lock.acquire()

        def game(server: gamenet.GameServer) -> None:
            for _ in server.ticks():
                pass
            with lock:
                pass

        pair = Pair(game)
        pair.step()
        try:
            self.assertIn("has not handed over", self.refused(pair))
        finally:
            lock.release()

    def test_a_datagram_or_a_frame_that_nobody_counted(self) -> None:
        for kind in ("datagram", "frame"):
            for side in ("server", "client"):
                pair = Pair(Walk)
                pair.step(5)
                host: Any = getattr(pair, side)._host
                setattr(host.counters, f"{kind}s_in", getattr(host.counters, f"{kind}s_in") + 1)
                text = self.refused(pair)
                self.assertRegex(text, rf"{side.title()}Host: \d+ {kind}s came, of which \d+ were")

    def test_a_test_that_has_failed_says_why_and_nothing_else(self) -> None:
        pair = Pair(walk)
        pair.client.reactor.listenUDP(99, Listener())

        def fail() -> None:
            with pair:
                raise ZeroDivisionError("the test's own")

        error = self.assertRaises(ZeroDivisionError, fail)
        self.assertEqual(str(error), "the test's own")
        names = [thread.name for thread in threading.enumerate()]
        self.assertNotIn("gamenet-game", names)

    def test_clients_that_came_and_went_are_looked_at_too(self) -> None:
        pair = Pair(Walk)
        host: Any = pair.client._host
        pair.client.stop()
        pair.client.start()
        host.counters.frames_in += 1
        self.assertIn("ClientHost", self.refused(pair))


class _Told(Talkers):
    """For ``connectTCP``."""

    def startedConnecting(self, connector: Any) -> None:
        """Nothing to do."""

    def clientConnectionLost(self, connector: Any, reason: Any) -> None:
        """Nothing to do."""
