"""What one datagram costs on its way to the game, counted call by call."""

from __future__ import annotations

import gc
import sys
from typing import TYPE_CHECKING, Any

from twisted.trial.unittest import SynchronousTestCase

from gamenet.core.inputs import encode_inputs
from gamenet.core.wire import ACKS, DatagramKind, MessageType, pack_messages
from gamenet.events import Input, Unreliable
from tests.world import Puppet, World

if TYPE_CHECKING:
    from types import FrameType

MAX_CALLS = 6


class Profile:
    """The Python functions that were called, in order."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def __call__(self, frame: FrameType, event: str, arg: Any) -> None:
        if event == "call":
            self.calls.append(frame.f_code.co_qualname)

    def __enter__(self) -> Profile:
        self.before = sys.getprofile()
        sys.setprofile(self)
        return self

    def __exit__(self, *failure: object) -> None:
        sys.setprofile(self.before)
        self.calls.remove("Profile.__exit__")


class HotPathTests(SynchronousTestCase):
    """From ``datagramReceived`` to the batch that the game gets."""

    def setUp(self) -> None:
        self.world = World(
            self, bridged=True, datagrams_burst=10_000, bridge_events_per_player=10_000
        )
        self.puppet: Puppet = self.world.puppet().confirm().bind()
        self.world.take()
        self.protocol = self.world.server.udp.protocol
        self.batch = self.world.server.host.turn.batch
        # A path in use: numbers well on, nothing missing, a state sent and seen.
        for number in range(1, 101):
            self.puppet.send_messages(self.input(number))
        self.world.take()

    def input(self, newest: int, count: int = 1) -> tuple[int, bytes]:
        values = [number & 3 for number in range(count)]
        return MessageType.INPUT, encode_inputs(newest, 0, values, 16)

    def calls(self, data: list[bytes]) -> list[str]:
        """What is called for datagrams of one turn, without the turn itself."""
        protocol, address = self.protocol, self.puppet.address
        protocol.begin_turn()
        received = protocol.datagramReceived
        with Profile() as profile:
            for each in data:
                received(each, address)
        self.batch_then = list(self.batch)
        protocol.end_turn()
        return profile.calls

    def sealed(self, *messages: tuple[int, bytes]) -> bytes:
        (body,) = pack_messages(list(messages))
        return self.puppet.seal(DatagramKind.DATA, ACKS.pack(0xFFFF, 0) + body)

    def drained(self) -> list[str]:
        """What is called to send what the game has left, the transport's own apart."""
        host = self.world.server.host
        with Profile() as profile:
            host.drain()
        self.world.settle()
        theirs = ("FakeTransport", "SimulatedTransport", "Network", "Timeline")
        return [call for call in profile.calls if not call.startswith(theirs)]

    def test_a_broadcast_takes_at_most_7_calls_for_each_player(self) -> None:
        broadcast = self.world.server.verbs.broadcast
        counts = []
        for number in range(2, 4):
            puppet = self.world.puppet(f"player-{number}").confirm().bind()
            # What goes by datagrams does so.
            puppet.send_messages(self.input(1))
            self.world.run(0.5)
            self.world.take()
            with Profile() as profile:
                broadcast(b"x" * 256)
            counts.append((len(profile.calls), self.drained()))
        (said, one), (said_more, more) = counts
        self.assertLessEqual(said_more - said, 2, profile.calls)
        self.assertLessEqual(len(more) - len(one), 7, more)
        self.assertNotIn("ServerFlush._datagrams_in_budget", more)

    def test_an_unreliable_message_takes_at_most_6_calls(self) -> None:
        calls = self.calls([self.sealed((MessageType.UNRELIABLE, b"x" * 60))])
        self.assertEqual([type(event) for event in self.batch_then], [Unreliable])
        self.assertEqual(calls[0], "LowLatencyProtocol.datagramReceived")
        self.assertLessEqual(len(calls), MAX_CALLS, calls)

    def test_an_input_takes_at_most_6_calls(self) -> None:
        calls = self.calls([self.sealed(self.input(101))])
        self.assertEqual([type(event) for event in self.batch_then], [Input])
        self.assertLessEqual(len(calls), MAX_CALLS, calls)

    def test_an_input_that_carries_earlier_ones_takes_at_most_one_call_more(self) -> None:
        calls = self.calls([self.sealed(self.input(103, count=3))])
        self.assertEqual([event.number for event in self.batch_then], [101, 102, 103])
        self.assertLessEqual(len(calls), MAX_CALLS + 1, calls)

    def test_each_further_datagram_of_a_turn_costs_the_same(self) -> None:
        data = [self.sealed(self.input(number)) for number in range(101, 111)]
        calls = self.calls(data)
        self.assertEqual(len(self.batch_then), 10)
        self.assertLessEqual(len(calls), 10 * MAX_CALLS, calls)

    def test_a_message_is_one_object_that_the_garbage_collector_never_sees(self) -> None:
        data = [self.sealed(self.input(number)) for number in range(101, 601)]
        unreliable = [self.sealed((MessageType.UNRELIABLE, b"x")) for _ in range(500)]
        protocol, address = self.protocol, self.puppet.address
        protocol.begin_turn()
        gc.collect()
        gc.disable()
        try:
            before = gc.get_count()[0]
            for each in data + unreliable:
                protocol.datagramReceived(each, address)
            made = gc.get_count()[0] - before
        finally:
            gc.enable()
        # Two seconds' worth of inputs are let through at once, and a hundred were before.
        self.assertEqual(len(self.batch), 2 * 120 - 100 + 500)
        self.assertFalse(any(gc.is_tracked(event) for event in self.batch))
        # Container objects that lived on: none for each message.
        self.assertLess(made, 100)
        protocol.end_turn()

    def test_a_turn_hands_over_one_batch(self) -> None:
        bridge = self.world.server.bridge
        assert bridge is not None
        batches: list[int] = []
        publish = bridge.publish
        self.patch(bridge, "publish", lambda batch: (batches.append(len(batch)), publish(batch)))
        self.calls([self.sealed(self.input(number)) for number in range(101, 131)])
        self.assertEqual(batches, [30])

    def test_a_forged_datagram_takes_at_most_2_calls(self) -> None:
        data = bytearray(self.sealed(self.input(101)))
        data[-1] ^= 1
        calls = self.calls([bytes(data)])
        self.assertEqual(self.batch_then, [])
        self.assertLessEqual(len(calls), 2, calls)

    def test_a_strangers_datagram_takes_one_call(self) -> None:
        calls = self.calls([b"", b"x" * 30, b"\x45" + b"x" * 30])
        self.assertEqual(calls, ["LowLatencyProtocol.datagramReceived"] * 3)
