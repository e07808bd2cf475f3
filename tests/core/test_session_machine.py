"""Both ends of a session under everything at once: hypothesis plays the games, the network and an
attacker, in virtual time, and looks for a sequence that breaks a promise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from twisted.trial.unittest import SynchronousTestCase

from gamenet.core.inputs import MAX_INPUTS
from gamenet.core.keyring import OLD_KEYS_SECONDS
from gamenet.core.quality import ACK_SPAN, MAX_OUTSTANDING, ROLL_SECONDS
from gamenet.core.reliable_half import MAX_CONTROL_FRAMES
from gamenet.core.server_flush import MAX_CONTROL
from gamenet.core.tunnel import MAX_FLYING_BYTES
from gamenet.core.window import WIDTH
from gamenet.core.wire import HEADER, OVERHEAD_BYTES, DatagramKind
from gamenet.events import (
    Chat,
    Input,
    PathChanged,
    Received,
    Resumed,
    Suspended,
    Unreliable,
)
from tests.core.pair import (
    BEAT_SECONDS,
    CLIENT_ADDRESS,
    PERFECT,
    SERVER_ADDRESS,
    STRANGER,
    Conditions,
    Pair,
)

if TYPE_CHECKING:
    from gamenet.core.path import Address
    from gamenet.core.session import Session
    from gamenet.events import Event
    from tests.core.pair import Side

WINDOW = 8
AMPLE = 8_192
LATE = ROLL_SECONDS + 2 * BEAT_SECONDS
"""How much later than due a session may look at the time."""
sides = st.sampled_from(("server", "client"))
weather = st.builds(
    Conditions,
    loss=st.sampled_from((0.0, 0.05, 0.3, 0.8, 1.0)),
    duplicate=st.sampled_from((0.0, 0.1, 0.5)),
    delay=st.sampled_from((0.0, 0.02, 0.3)),
    spread=st.sampled_from((0.0, 0.05, 0.5)),
)


class SessionMachine(RuleBasedStateMachine):
    """A pair, and beside it a record of all that was ever said."""

    def __init__(self) -> None:
        super().__init__()
        self.said: dict[str, list[tuple[object, ...]]] = {"server": [], "client": []}
        """Reliable messages and chat that each side sent, in order."""
        self.loose: dict[str, set[bytes]] = {"server": set(), "client": set()}
        """Unreliable messages that each side sent; no two are alike."""
        self.buttons: dict[int, int] = {}
        self.shown_time = 0.0
        self.count = 0
        self.addresses: list[Address] = [CLIENT_ADDRESS]
        """Everywhere that the client's datagrams have come from."""
        self.sealed: dict[tuple[str, int], tuple[int, int]] = {}
        """Number and key epoch, modulo 4, of the last datagram of each side and connection id."""
        self.looked_at = 0

    @initialize(seed=st.integers(0, 2**32), conditions=weather, bound=st.booleans())
    def begin(self, seed: int, conditions: Conditions, bound: bool) -> None:
        self.pair = Pair(
            seed,
            conditions,
            window_messages=WINDOW,
            queue_messages=100_000,
            resume_seconds=10_000.0,
            comes_back=True,
        )
        if bound:
            self.pair.bind()

    def side(self, name: str) -> Side:
        return self.pair.server if name == "server" else self.pair.client

    # The games.

    @rule(name=sides, channel=st.integers(0, 255), size=st.integers(0, 3_000))
    def send(self, name: str, channel: int, size: int) -> None:
        self.count += 1
        payload = b"%d " % self.count + bytes(size)
        self.said[name].append(("data", payload, channel))
        self.pair.send(self.side(name), payload, channel)

    @rule(name=sides, count=st.integers(1, 3 * WINDOW))
    def send_many(self, name: str, count: int) -> None:
        for _ in range(count):
            self.send(name, 0, 5)

    @rule(name=sides)
    def chat(self, name: str) -> None:
        self.count += 1
        text = f"line {self.count}"
        self.said[name].append(("chat", text))
        if name == "client":
            self.pair.say(text)
        else:
            self.pair.said(text)

    @rule(name=sides, size=st.integers(0, 1_100))
    def send_unreliable(self, name: str, size: int) -> None:
        self.count += 1
        payload = b"%d " % self.count + bytes(size)
        self.loose[name].add(payload)
        self.pair.send_unreliable(self.side(name), payload)

    @rule(buttons=st.integers(0, 0xFFFF), count=st.integers(1, 8))
    def send_inputs(self, buttons: int, count: int) -> None:
        for place in range(count):
            value = buttons if place % 3 else buttons ^ place
            self.buttons[self.pair.send_input(value)] = value

    @rule(count=st.integers(60, 150))
    def send_inputs_without_hope(self, count: int) -> None:
        before, self.pair.conditions = self.pair.conditions, Conditions(loss=1.0)
        self.send_inputs(5, count)
        self.pair.conditions = before

    @rule(size=st.integers(0, 1_100))
    def send_state(self, size: int) -> None:
        taken = self.pair.server_session.inputs.settled
        number = self.pair.server_session.states.newest + 1
        assert self.pair.send_state(b"%d " % number + bytes(size), taken) == number

    @rule(ticks=st.integers(1, 60))
    def play(self, ticks: int) -> None:
        for tick in range(ticks):
            self.send_inputs(tick // 7, 1)
            if tick % 2:
                self.send_state(60)
            self.see_the_newest_state()
            self.pair.advance(1 / 60)

    @rule(name=sides, takes=st.booleans())
    def take_or_not(self, name: str, takes: bool) -> None:
        self.side(name).takes = takes
        self.side(name).take(0)

    @rule(name=sides, count=st.integers(1, 5))
    def take_some(self, name: str, count: int) -> None:
        self.side(name).take(count)

    @rule(name=sides, room=st.sampled_from((0, 1, 3, AMPLE)))
    def fill_the_bridge(self, name: str, room: int) -> None:
        self.side(name).turn.room = room

    @rule()
    def see_the_newest_state(self) -> None:
        if self.pair.states:
            self.pair.seen_state = self.pair.states[-1].number

    # The network.

    @rule(conditions=weather)
    def change_the_weather(self, conditions: Conditions) -> None:
        self.pair.conditions = conditions

    @rule(seconds=st.sampled_from((0.001, 0.02, 0.05, 0.3, 1.0, 3.0)))
    def wait(self, seconds: float) -> None:
        self.pair.advance(seconds)

    @rule(port=st.integers(40_001, 40_003), elsewhere=st.booleans())
    def move(self, port: int, elsewhere: bool) -> None:
        # A router forgets the client, or a phone changes networks: the old address is dead.
        self.pair.client_address = ("198.51.100.99" if elsewhere else CLIENT_ADDRESS[0], port)
        self.addresses.append(self.pair.client_address)

    # The connection.

    @rule(name=sides, writable=st.booleans())
    def stop_reading_or_read_again(self, name: str, writable: bool) -> None:
        """What this side writes piles up, so it writes no more; or that has left by now."""
        side = self.side(name)
        side.writable = writable
        if writable:
            side.run(side.session.mark_frames)

    @rule(seen_by=st.sampled_from(("server", "client", "both")))
    def cut(self, seen_by: str) -> None:
        self.pair.cut(*(() if seen_by == "both" else (self.side(seen_by),)))

    @precondition(lambda self: not self.pair.client.connected)
    @rule(wait=st.sampled_from((0.0, 0.01, 0.3)))
    def resume(self, wait: float) -> None:
        # The client may hear of it, or the connection be cut before.
        self.pair.resume()
        self.pair.advance(wait)

    # The keys.

    @rule()
    def change_keys(self) -> None:
        self.pair.rekey()

    # The attacker, who sees every datagram and sends from wherever it likes, but has no key.

    @precondition(lambda self: self.pair.wire)
    @rule(place=st.integers(0, 1_000), count=st.integers(1, 10), spoofed=st.booleans())
    def replay(self, place: int, count: int, spoofed: bool) -> None:
        wire = self.pair.wire
        for sender, data, _ in wire[place % len(wire) :][:count]:
            if data[0] & 0x0F == DatagramKind.RESPONSE and not spoofed:
                # Who takes the client's answer away and sends it from its own address has become
                # the path, as any router on the way is.
                continue
            home = self.pair.client_address if sender is self.pair.client else SERVER_ADDRESS
            self.pair.inject(self.pair.other(sender), data, home if spoofed else STRANGER)

    @rule(ticks=st.integers(1, 20), every=st.integers(1, 3))
    def overtake(self, ticks: int, every: int) -> None:
        """The client plays, and a copy of what it sends comes from a stranger first."""
        wire = self.pair.wire
        for tick in range(ticks):
            sent = len(wire)
            self.send_inputs(tick // 7, 1)
            if tick % every == 0:
                for sender, data, _ in wire[sent:]:
                    if sender is self.pair.client and data[0] & 0x0F != DatagramKind.RESPONSE:
                        self.pair.inject(self.pair.server, data, STRANGER)
            self.pair.advance(1 / 60)

    @precondition(lambda self: self.pair.wire)
    @rule(place=st.integers(0, 1_000), bit=st.integers(0, 1_200 * 8), spoofed=st.booleans())
    def tamper(self, place: int, bit: int, spoofed: bool) -> None:
        sender, data, _ = self.pair.wire[place % len(self.pair.wire)]
        changed = bytearray(data)
        changed[bit // 8 % len(data)] ^= 1 << bit % 8
        receiver = self.pair.other(sender)
        events, wire = len(receiver.events), len(self.pair.wire)
        self.pair.inject(receiver, bytes(changed), CLIENT_ADDRESS if spoofed else STRANGER)
        assert (len(receiver.events), len(self.pair.wire)) == (events, wire)

    @rule(name=sides, noise=st.binary(max_size=60), first=st.integers(0, 255), low=st.integers(0))
    def make_noise(self, name: str, noise: bytes, first: int, low: int) -> None:
        receiver = self.side(name)
        events, wire = len(receiver.events), len(self.pair.wire)
        self.pair.inject(receiver, noise)
        cid = receiver.session.cid
        self.pair.inject(receiver, HEADER.pack(first, cid, low % 2**32) + noise)
        assert (len(receiver.events), len(self.pair.wire)) == (events, wire)

    # What must hold at every moment.

    @invariant()
    def every_datagram_has_one_fate(self) -> None:
        assert self.pair.server.unaccounted() == 0
        assert self.pair.client.unaccounted() == 0

    @invariant()
    def so_has_everything_that_comes_inside_tcp(self) -> None:
        for side in (self.pair.server, self.pair.client):
            counters = side.counters
            dropped = counters.drop_tunnel_rate + counters.drop_tunnel_replayed
            assert counters.tunnel_in == counters.tunnel_delivered + dropped
            assert not counters.drop_tunnel_replayed

    @invariant()
    def nobody_gave_up(self) -> None:
        assert (self.pair.server.ended, self.pair.client.ended) == (None, None)

    @invariant()
    def reliable_messages_come_once_and_in_order(self) -> None:
        for name in ("server", "client"):
            heard = [
                told
                for event in self.pair.other(self.side(name)).events
                if (told := reliable(event)) is not None
            ]
            assert heard == self.said[name][: len(heard)]

    @invariant()
    def nothing_comes_by_a_connection_that_is_lost(self) -> None:
        for side in (self.pair.server, self.pair.client):
            away = False
            for event in side.events:
                if isinstance(event, Suspended | Resumed):
                    assert isinstance(event, Resumed) is away
                    away = isinstance(event, Suspended)
                else:
                    assert not (away and reliable(event) is not None)
            assert side.session.is_suspended is away
            assert away or side.connected

    @invariant()
    def the_window_is_kept(self) -> None:
        for session in (self.pair.server_session, self.pair.client_session):
            assert session.outgoing.sent - session.outgoing.acknowledged <= WINDOW
            assert session.incoming.received - session.incoming.acknowledged <= WINDOW
            assert session.incoming.taken <= session.incoming.received

    @invariant()
    def unreliable_messages_come_at_most_once(self) -> None:
        for name in ("server", "client"):
            heard = [event.payload for event in self.pair.other(self.side(name)).of(Unreliable)]
            assert len(heard) == len(set(heard))
            assert self.loose[name].issuperset(heard)

    @invariant()
    def inputs_come_once_in_order_and_every_gap_is_told(self) -> None:
        last = 0
        for event in self.pair.server.of(Input):
            assert event.number - event.missing - 1 == last
            assert event.buttons == self.buttons[event.number]
            last = event.number
        assert last == self.pair.server_session.inputs.settled
        assert self.pair.server.counters.inputs_missing <= self.pair.client_session.inputs.given_up

    @invariant()
    def states_never_go_back(self) -> None:
        number = time = taken = 0.0
        for state in self.pair.states:
            assert state.number > number
            assert state.server_time >= time
            assert state.input_number >= taken
            assert isinstance(state.payload, bytes)
            assert state.payload.split(b" ")[0] == b"%d" % state.number
            number, time, taken = state.number, state.server_time, state.input_number
        shown = self.pair.client_session.clock.time(self.pair.now)
        assert shown >= self.shown_time
        self.shown_time = shown

    @invariant()
    def news_of_the_path_are_news(self) -> None:
        for side in (self.pair.server, self.pair.client):
            path, was_bound, moves = "", False, 0
            for event in side.of(PathChanged):
                if event.reason == "moved":
                    assert (event.path, path) == ("udp", "udp")
                    moves += 1
                    continue
                assert event.path != path
                path = event.path
                if path == "udp":
                    assert event.reason == ("back" if was_bound else "bound")
                    was_bound = True
                else:
                    assert event.reason in ("blocked", "silent")
            assert moves <= side.counters.path_switches

    @invariant()
    def messages_go_only_to_who_answered(self) -> None:
        pair = self.pair
        assert pair.server_session.path.address in (None, *self.addresses)
        for data, address in pair.strays:
            # A stolen datagram that did not reach the server yet is the only thing a stranger can
            # use, and all it gets is a challenge.
            if address == STRANGER:
                assert data[0] & 0x0F == DatagramKind.CHALLENGE
            else:
                assert address in self.addresses

    @invariant()
    def numbers_and_epochs_only_go_on(self) -> None:
        wire = self.pair.wire
        for sender, data, _ in wire[self.looked_at :]:
            first, cid, low = HEADER.unpack_from(data)
            number, epoch = self.sealed.get((sender.name, cid), (-1, 0))
            assert low > number, "a number was used again"
            assert ((first >> 4) - epoch) % 4 <= 1
            self.sealed[sender.name, cid] = low, first >> 4 & 3
        self.looked_at = len(wire)

    @invariant()
    def keys_change_in_step_and_old_ones_die(self) -> None:
        server, client = self.pair.server_session.keys, self.pair.client_session.keys
        if self.pair.server_session.cid == self.pair.client_session.cid:
            assert server.epoch - 1 <= client.epoch <= server.epoch
        for keys in (server, client):
            if keys.other is None:
                assert keys.other_until == 0.0
            else:
                assert keys.other.epoch_bits != keys.opener.epoch_bits
                left = keys.other_until - self.pair.now
                assert keys.other_until == 0.0 or -LATE <= left <= OLD_KEYS_SECONDS

    @invariant()
    def memory_is_bounded(self) -> None:
        for session in (self.pair.server_session, self.pair.client_session):
            assert len(session.window.missing) < 2 * WIDTH
            assert len(session.quality._sent) <= MAX_OUTSTANDING
            assert len(session.quality._holes) <= ACK_SPAN
            assert len(session._unreliable) <= session.limits.unreliable_messages
            assert not self.has_answers_to_send(session), "receiving or ticking left them behind"
            assert not session.tunnel.frames, "what did not leave waits on"
            assert session.tunnel._flying_bytes <= MAX_FLYING_BYTES
            assert len(session._control_frames) <= MAX_CONTROL_FRAMES + 2
        assert self.pair.server_session.budget.level >= 0, "more left than the budget allows"
        assert len(self.pair.client_session.inputs.values) <= MAX_INPUTS

    def has_answers_to_send(self, session: Session) -> bool:
        """Control datagrams wait, and the budget is not the reason."""
        if session is not self.pair.server_session:
            return bool(session._control)
        assert len(session._control) <= MAX_CONTROL
        sizes = [OVERHEAD_BYTES + len(body) for _, body, _ in session._control]
        return bool(sizes) and self.pair.server_session.budget.level >= sizes[0]

    # And once the network is good again, everything arrives.

    def teardown(self) -> None:
        if not hasattr(self, "pair"):
            return
        pair = self.pair
        pair.conditions = PERFECT
        for side in (pair.server, pair.client):
            side.takes = True
            side.turn.room = AMPLE
            side.writable = True
            side.run(side.session.mark_frames)
        pair.advance(0.5)
        for _ in range(2):
            # Who has not noticed hears nothing for too long.
            if not (pair.client.connected and pair.server.connected):
                pair.cut()
                pair.resume()
            pair.advance(17.0)
        assert pair.client.connected
        assert not pair.server_session.is_suspended
        assert not pair.client_session.is_suspended
        pair.advance(2.0)
        if not pair.client_session.path.bound:
            pair.advance(32.0)
        assert pair.client_session.path.bound
        if pair.server_session.path.address != pair.client_address:
            # The client's next ping shows where it is, unless it has moved too often of late.
            pair.advance(6.0)
        if pair.server_session.path.address != pair.client_address:
            pair.advance(66.0)
        assert pair.server_session.path.address == pair.client_address
        pair.advance(12.0)
        if self.pair.rekey():
            pair.advance(6.0)
        assert pair.client_session.keys.epoch == pair.server_session.keys.epoch
        forged = {
            side.name: side.counters.drop_datagram_forged for side in (pair.server, pair.client)
        }
        self.send_inputs(3, 1)
        self.send_state(3)
        pair.advance(4.0)
        for name in ("server", "client"):
            side = self.side(name)
            heard = [reliable(event) for event in pair.other(side).events]
            assert [told for told in heard if told is not None] == self.said[name]
            outgoing = side.session.outgoing
            assert (outgoing.messages, outgoing.size) == (0, 0)
        emitted = pair.server.of(Input)
        missing = sum(event.missing for event in emitted)
        assert len(emitted) + missing == max(self.buttons)
        assert pair.server.counters.inputs_emitted == len(emitted)
        assert pair.server.counters.inputs_missing == missing
        assert pair.client_session.inputs.message(0) == b""
        assert pair.states[-1].number == pair.server_session.states.newest
        for side in (pair.server, pair.client):
            assert side.of(PathChanged)[-1].path == "udp"
            assert not side.session.tunnelled
            assert side.counters.drop_datagram_forged == forged[side.name]
        self.every_datagram_has_one_fate()
        self.numbers_and_epochs_only_go_on()
        self.nobody_gave_up()
        self.inputs_come_once_in_order_and_every_gap_is_told()
        self.states_never_go_back()
        self.unreliable_messages_come_at_most_once()


def reliable(event: Event) -> tuple[object, ...] | None:
    """A reliable event as the record has it, or None for another one."""
    if isinstance(event, Received):
        return ("data", event.payload, event.channel)
    if isinstance(event, Chat):
        return ("chat", event.text)
    return None


class MachineTests(SynchronousTestCase):
    """The machine above."""

    def test_no_sequence_of_events_breaks_a_promise(self) -> None:
        run_state_machine_as_test(
            SessionMachine,
            settings=settings(max_examples=250, stateful_step_count=50, deadline=None),
        )
