"""Where events go when the game runs on the reactor thread: offered in order until taken."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gamenet.core.counters import Counters
from gamenet.core.reliable_half import LONE_ACK_SECONDS
from gamenet.errors import DisconnectReason
from gamenet.events import (
    SERVER,
    Chat,
    Disconnected,
    Event,
    Input,
    Joined,
    Left,
    Received,
    Unreliable,
)
from gamenet.sinks import OfferSink
from tests.world import World


class Choosy:
    """Takes as many events as it was told to."""

    def __init__(self) -> None:
        self.room = 0
        self.offers: list[Event] = []
        self.kept: list[Event] = []

    def offer(self, event: Event) -> bool:
        self.offers.append(event)
        if self.room > 0:
            self.room -= 1
            self.kept.append(event)
            return True
        return False


def reliable(number: int) -> Event:
    return Received(SERVER, bytes((number,)), 0)


class OfferTests(SynchronousTestCase):
    """By hand."""

    def setUp(self) -> None:
        self.choosy = Choosy()
        self.counters = Counters()
        self.observed: list[Event] = []
        self.failures: list[str] = []
        self.failed = self.failures.append
        self.sink = OfferSink(self.choosy, 10, self.observed.append, self.counters, self.failed)

    def test_what_was_refused_is_offered_again_before_anything_later(self) -> None:
        first, second = reliable(1), reliable(2)
        self.sink.publish([first])
        self.sink.publish([second])
        self.assertEqual(self.choosy.offers, [first, first])
        self.choosy.room = 5
        self.sink.push()
        self.assertEqual(self.choosy.kept, [first, second])
        self.assertEqual((self.sink.taken, self.sink.waiting_events, self.sink.room), (2, 0, 10))

    def test_an_unreliable_message_that_is_refused_is_gone_and_counted(self) -> None:
        self.sink.publish([Unreliable(SERVER, b"x"), reliable(1)])
        self.assertEqual(self.counters.events_refused, 1)
        self.choosy.room = 5
        self.sink.push()
        self.assertEqual([type(event) for event in self.choosy.kept], [Received])

    def test_each_event_is_observed_once_just_before_its_first_offer(self) -> None:
        self.sink.publish([reliable(1), reliable(2)])
        self.sink.push()
        self.assertEqual(len(self.observed), 1)
        self.choosy.room = 1
        self.sink.push()
        self.assertEqual(len(self.observed), 2)
        self.choosy.room = 1
        self.sink.push()
        self.assertEqual(len(self.observed), 2)

    def test_a_sink_that_raises_loses_that_event_and_no_other(self) -> None:
        offer = self.choosy.offer

        def offers(event: Event) -> bool:
            if isinstance(event, Chat):
                raise KeyError(event)
            return offer(event)

        self.patch(self.choosy, "offer", offers)
        self.choosy.room = 5
        self.sink.publish([reliable(1), Chat(SERVER, "x", False), reliable(2)])
        self.assertEqual([type(event) for event in self.choosy.kept], [Received, Received])
        self.assertEqual(self.sink.taken, 3)
        self.assertEqual(self.failures, ["the sink failed on Chat"])

    def test_the_sinks_own_count_of_what_was_taken_wins(self) -> None:
        self.choosy.room = 5
        self.choosy.taken = 1  # type: ignore[attr-defined]
        self.sink.publish([reliable(1), reliable(2)])
        self.assertEqual(self.sink.taken, 1)

    @given(st.lists(st.one_of(st.integers(0, 3), st.just(-1)), max_size=40))
    def test_reliable_events_come_once_and_in_order_however_moody_the_sink(
        self, steps: list[int]
    ) -> None:
        self.setUp()
        made = 0
        for step in steps:
            if step < 0:
                self.sink.publish([reliable(made % 256)])
                made += 1
            else:
                self.choosy.room = step
                self.sink.push()
        self.choosy.room = made
        self.sink.push()
        self.assertEqual(
            [event.payload for event in self.choosy.kept],  # type: ignore[union-attr]
            [bytes((number % 256,)) for number in range(made)],
        )
        self.assertEqual(self.sink.taken, made)


class WorldTests(SynchronousTestCase):
    """A moody sink behind a whole server."""

    def test_a_sink_that_said_no_is_asked_again_within_a_beat(self) -> None:
        world = World(self)
        client = world.join("ada")
        world.server.recorder.taking = False
        client.verbs.send(b"x")
        world.settle()
        self.assertEqual(world.server.of(Received), [])
        world.server.recorder.taking = True
        world.run(0.051)
        self.assertEqual([event.payload for event in world.server.of(Received)], [b"x"])

    def test_messages_are_acknowledged_when_the_sink_takes_them_and_not_before(self) -> None:
        world = World(self)
        client = world.join("ada")
        world.server.recorder.taking = False
        client.verbs.send(b"x")
        world.run(1.0)
        self.assertEqual(client.verbs.quality().queued_messages, 1)
        world.server.recorder.taking = True
        world.run(LONE_ACK_SECONDS + 0.2)
        self.assertEqual(client.verbs.quality().queued_messages, 0)

    def test_left_never_overtakes_a_last_message(self) -> None:
        world = World(self)
        client = world.join("ada")
        world.server.recorder.taking = False
        client.verbs.send(b"last")
        client.verbs.say("words")
        client.host.leave()
        world.settle()
        world.server.recorder.taking = True
        world.run(0.1)
        self.assertEqual(
            [type(event) for event in world.server.events[-3:]], [Received, Chat, Left]
        )

    def test_the_last_event_is_offered_until_it_is_taken_although_nobody_is_left(self) -> None:
        world = World(self)
        client = world.join("ada")
        client.recorder.taking = False
        client.host.leave()
        world.run(5.0)
        self.assertEqual(client.of(Disconnected), [])
        client.recorder.taking = True
        world.run(0.1)
        self.assertEqual(client.end().reason, DisconnectReason.QUIT)

    def test_the_end_of_a_join_that_never_began_is_offered_until_it_is_taken(self) -> None:
        world = World(self)
        client = world.join("ada")
        world.server.listening.stopListening()
        client = world.client("bob")
        self.assertEqual(client.end().reason, DisconnectReason.UNREACHABLE)
        client.recorder.taking = False
        client.forget()
        client.host.over = client.host._is_ending = False
        client.host.unreachable("again")
        world.run(1.0)
        self.assertEqual(client.events, [])
        client.recorder.taking = True
        world.run(0.1)
        self.assertEqual(client.end().text, "again")

    def test_players_change_as_events_are_offered(self) -> None:
        world = World(self)
        seen: list[tuple[type, list[str]]] = []
        offer = world.server.recorder.offer

        def offers(event: Event) -> bool:
            seen.append((type(event), [player.name for player in world.server.verbs.players]))
            return offer(event)

        self.patch(world.server.recorder, "offer", offers)
        client = world.join("ada")
        client.host.leave()
        world.settle()
        self.assertEqual(seen[0], (Joined, ["ada"]))
        self.assertEqual(seen[-1], (Left, []))

    def test_inputs_that_find_no_room_come_later_and_unreliable_messages_do_not(self) -> None:
        world = World(self, bridge_events=4)
        client = world.join("ada")
        world.server.recorder.taking = False
        for _ in range(4):
            client.verbs.send(b"x")
        world.settle()
        client.verbs.send_unreliable(b"lost")
        client.verbs.send_input(1)
        world.run(0.2)
        self.assertGreaterEqual(world.server.counters.events_refused, 1)
        world.server.recorder.taking = True
        world.run(0.5)
        self.assertEqual(world.server.of(Unreliable), [])
        self.assertEqual(
            [(event.number, event.missing) for event in world.server.of(Input)], [(1, 0)]
        )
        self.assertEqual(len(world.server.of(Received)), 4)
