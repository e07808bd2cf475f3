"""Strangers in numbers, and players who send too much: all is bounded, and others play on."""

from __future__ import annotations

import errno
import itertools
import sys
from typing import TYPE_CHECKING, Any, ClassVar

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from gamenet import gate
from gamenet.core import frames
from gamenet.core.inputs import encode_inputs
from gamenet.core.window import MAX_NUMBER, WIDTH
from gamenet.core.wire import ACKS, DatagramKind, MessageType
from gamenet.errors import DisconnectReason, RefusalReason
from gamenet.events import Chat, Input, Left, Received, Unreliable
from gamenet.low_latency import LowLatencyProtocol
from gamenet.ports import BudgetedPort
from tests.fakes import RST, Machine, Stranger, framed
from tests.threats.attack import (
    NO_ACCEPT_LIMITS,
    ThreatCase,
    forged,
    hang_up,
    plain_stranger,
    send_input,
)
from tests.world import World, hello

if TYPE_CHECKING:
    from collections.abc import Callable

    from gamenet.reliable import ReliableProtocol

ERRNOS = (
    *("EMSGSIZE", "EHOSTUNREACH", "ENETUNREACH", "ECONNREFUSED", "ENOBUFS", "ENOMEM"),
    *("EPERM", "EACCES", "ENETDOWN", "ECONNRESET", "EPROTO", "EIO"),
)
"""What sockets report after forged ICMP messages, firewalls and lack of memory."""
OVERSIZE = (frames.MAX_FRAME_BYTES + 1).to_bytes(4, "big")


class JoinCase(SynchronousTestCase):
    """Connections that do not join."""

    def standing(self, strangers: list[Stranger]) -> int:
        """How many are still connected."""
        return sum(not stranger.ended for stranger in strangers)

    def at(self, world: World, address: str) -> Machine:
        """A machine at an address."""
        return Machine(world.network, address)


class Undecided:
    """A portal that takes its time."""

    def login(self, *arguments: object) -> Deferred[Any]:
        return Deferred()


class SlowLorisTests(JoinCase):
    """Connections that come and say nothing, or one byte now and then."""

    def test_oneAddressHoldsSixtyFourAndOnlyForFiveSeconds(self) -> None:
        world = World(self, accepts_burst=1_000)
        machine = world.machine()
        strangers = [world.stranger(machine) for _ in range(100)]
        self.assertEqual(self.standing(strangers), 64)
        self.assertEqual(world.server.counters.address_refused, 36)
        self.assertTrue(world.join("ada").joined)
        dribble = frames.MAX_HELLO_BYTES.to_bytes(4, "big") + bytes(100)
        for step in range(49):
            for stranger in strangers:
                if not stranger.ended:
                    stranger.say(dribble[step : step + 1])
            world.run(0.1)
        self.assertEqual(self.standing(strangers), 64)
        world.run(0.2)
        self.assertEqual(self.standing(strangers), 0)
        self.assertEqual(list(world.server.host._unjoined), [])
        self.assertEqual([each for each in strangers if each.heard], [])

    def test_everybodyTogetherHoldsFiveHundredAndTwelve(self) -> None:
        world = World(self)
        ada = world.join("ada")
        strangers = [
            world.stranger(self.at(world, f"203.0.113.{number // 15}")) for number in range(700)
        ]
        self.assertEqual(self.standing(strangers), 512)
        self.assertEqual(world.server.counters.unjoined_cut, 188)
        self.assertTrue(ada.joined)
        world.run(5.1)
        self.assertEqual(self.standing(strangers), 0)
        self.assertTrue(world.join("bob").joined)

    def test_howeverManyAreSilentWhoSpeaksComesIn(self) -> None:
        for secure in (False, True):
            world = World(self, secure=secure)
            for number in range(600):
                plain_stranger(world, self.at(world, f"203.0.113.{number // 10}"))
            self.assertEqual(len(world.server.host._unjoined), 512)
            for name in ("ada", "bob", "eve"):
                self.assertTrue(world.join(name).joined)
            # The oldest of an address that has the most are the ones that went.
            kept: dict[str, int] = {}
            for protocol in world.server.host._unjoined:
                kept[protocol.key] = kept.get(protocol.key, 0) + 1
            self.assertEqual(len(kept), 60)
            self.assertLessEqual(max(kept.values()) - min(kept.values()), 2)

    def test_whoseLoginIsUnderWayIsNotCutForIt(self) -> None:
        world = World(self, portal=Undecided(), max_unjoined=3)
        waiting = [world.client(f"p{number}") for number in range(3)]
        world.settle()
        stranger = world.stranger()
        self.assertTrue(stranger.ended)
        self.assertEqual(world.server.counters.unjoined_refused, 1)
        self.assertEqual([client.events for client in waiting], [[], [], []])

    def test_anIpv6CustomerIsOneAddress(self) -> None:
        world = World(self, address="fd00::1", accepts_burst=1_000)
        same = [
            world.stranger(self.at(world, f"2001:db8:0:1:{number:x}::1")) for number in range(100)
        ]
        self.assertEqual(self.standing(same), 64)
        others = [
            world.stranger(self.at(world, f"2001:db8:0:{number:x}::1")) for number in range(2, 12)
        ]
        self.assertEqual(self.standing(others), 10)

    def test_theHelloOfADribblerIsNotKeptBeyondItsLimit(self) -> None:
        world = World(self)
        for length, kept in ((frames.MAX_HELLO_BYTES, True), (frames.MAX_HELLO_BYTES + 1, False)):
            stranger = world.stranger()
            (protocol,) = world.server.host._unjoined
            stranger.say(length.to_bytes(4, "big"))
            self.assertEqual(not stranger.ended, kept)
            for _ in range(3):
                if not stranger.ended:
                    stranger.say(bytes(1_000))
            self.assertLessEqual(len(protocol._unprocessed), 4 + frames.MAX_HELLO_BYTES)
            hang_up(stranger)

    def test_oneFrameIsAllThatComesBeforeTheJoin(self) -> None:
        world = World(self)
        stranger = world.stranger()
        stranger.say(b"".join(framed(frames.encode_ping(frames.Kind.PING, 1)) for _ in range(500)))
        self.assertEqual((stranger.heard, stranger.ended), (b"", RST))
        self.assertEqual(world.server.counters.frames_delivered, 0)

    def test_whoStallsInTlsIsCutAsWell(self) -> None:
        world = World(self, secure=True, accepts_burst=1_000)
        machine = world.machine()
        silent = [plain_stranger(world, machine) for _ in range(80)]
        self.assertEqual(self.standing(silent), 64)
        # The beginning of a ClientHello that says it is long, and then a byte now and then.
        elsewhere = world.machine()
        slow = [plain_stranger(world, elsewhere) for _ in range(10)]
        for stranger in slow:
            stranger.say(b"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc\x03\x03")
        for _ in range(49):
            for stranger in slow:
                stranger.say(b"\x00")
            world.run(0.1)
        self.assertEqual(self.standing(slow), 10)
        self.assertTrue(world.join("ada").joined)
        world.run(0.2)
        self.assertEqual(self.standing(silent + slow), 0)
        self.assertEqual(list(world.server.host._unjoined), [])

    def test_whoSaysByeAndStaysIsCounted(self) -> None:
        world = World(self, secure=True)
        machine = world.machine()
        for _ in range(64):
            stranger = world.stranger(machine)
            stranger.transport.transport.stop_reading()  # nor does it answer the end of TLS
            stranger.say_frame(frames.encode_bye(DisconnectReason.QUIT))
        self.assertEqual(len(world.server.host._alive), 64)
        self.assertEqual(len(world.server.host._unjoined), 64)
        world.run(2.1)
        self.assertEqual(len(world.server.host._alive), 0)

    def test_aClientHelloWithoutAnEndIsNotKept(self) -> None:
        world = World(self, secure=True)
        endless = plain_stranger(world, world.machine())
        record = b"\x16\x03\x01\x40\x00"
        endless.say(record + b"\x01\x01\xff\xf0\x03\x03" + bytes(0x4000 - 6))
        self.assertEqual(endless.ended, RST)
        self.assertTrue(world.join("ada").joined)

    def test_whoIsLetInButNeverConfirmsIsCutAndWasNeverThere(self) -> None:
        world = World(self)
        puppets = [world.puppet(f"p{number}") for number in range(20)]
        self.assertEqual(len(world.server.host.registry), 20)
        world.run(5.1)
        self.assertEqual(self.standing([puppet.wire for puppet in puppets]), 0)
        self.assertEqual(len(world.server.host.registry), 0)
        self.assertEqual(world.server.events, [])


class AcceptTests(JoinCase):
    """Connections that come and go faster than anybody plays."""

    def rush(self, world: World, machine: Machine, count: int) -> int:
        """Connect and hang up again and again.

        :returns: how often there was an open connection.
        """
        opened = 0
        for _ in range(count):
            stranger = world.stranger(machine)
            opened += not stranger.ended
            hang_up(stranger)
            world.strangers.remove(stranger)
        return opened

    def test_sixtyFourAtOnceThenTenASecond(self) -> None:
        for secure in (False, True):
            world = World(self, secure=secure)
            machine = world.machine()
            self.assertEqual(self.rush(world, machine, 100), 64)
            self.assertEqual(world.server.counters.address_refused, 36)
            self.assertEqual(world.server.counters.frames_in, 0)
            world.run(1.0)
            self.assertEqual(self.rush(world, machine, 100), 10)
            self.assertTrue(world.join("ada").joined, "from another address")

    def test_thisMachineCountsOnlyWhenAsked(self) -> None:
        for limited, wanted in ((False, 100), (True, 64)):
            world = World(self, limit_loopback=limited)
            self.assertEqual(self.rush(world, self.at(world, "127.0.0.1"), 100), wanted)

    def test_moreAddressesThanAreRememberedAreForgottenOldestFirst(self) -> None:
        world = World(self, address_table=50)
        for number in range(300):
            self.rush(world, self.at(world, f"203.0.{number // 250}.{number % 250}"), 1)
        self.assertEqual(len(world.server.host.gate._accepts), 50)

    def test_aWholeSchoolBehindOneAddressComesInAtOnce(self) -> None:
        world = World(self, secure=True)
        school = world.machine()
        pupils = [world.client(f"pupil{number}", machine=school) for number in range(60)]
        world.take()
        self.assertEqual(sum(pupil.joined for pupil in pupils), 60)

    def test_playersOfOneAddressAreLimitedWhereThatIsWanted(self) -> None:
        world = World(self, max_players_per_address=3)
        school = world.machine()
        for number in range(3):
            world.join(f"pupil{number}", machine=school)
        late = world.client("pupil3", machine=school)
        world.settle()
        self.assertEqual(late.end().refusal, RefusalReason.FULL)
        self.assertTrue(world.join("ada").joined)


class FilesTests(JoinCase):
    """More connections than the process may have files open."""

    def test_playersAreFewerThanFilesAndNewcomersAreTold(self) -> None:
        self.patch(gate, "open_files", lambda: 64 + 16 + 5)
        world = World(self, **NO_ACCEPT_LIMITS)
        players = [world.join(f"p{number}") for number in range(5)]
        late = world.client("late")
        world.settle()
        self.assertEqual(late.end().refusal, RefusalReason.FULL)
        world.run(3.0)
        strangers = [world.stranger() for _ in range(100)]
        self.assertEqual(self.standing(strangers), 16)
        self.assertEqual(world.server.counters.unjoined_refused, 84)
        for client in players:
            self.assertTrue(client.joined)
            client.verbs.send_input(1)
        world.settle()
        self.assertEqual(len(world.server.of(Input)), 5)
        world.run(5.1)
        players[0].host.leave()
        world.settle()
        self.assertTrue(world.join("new").joined)


class OversizeTests(ThreatCase):
    """A length that lies, by somebody who goes on sending and never closes."""

    secure = True
    fields: ClassVar[dict[str, Any]] = {"tcp_bytes_per_second": 1 << 30}

    def setUp(self) -> None:
        super().setUp()
        self.mallory = self.world.puppet().confirm()
        self.protocol: ReliableProtocol = self.world.server.host.connection_of(
            self.session("mallory")
        )
        self.calls: list[object] = []
        original = self.world.server.host.oversize_frame
        self.patch(
            self.world.server.host,
            "oversize_frame",
            lambda protocol: (self.calls.append(protocol), original(protocol)),
        )
        wire = self.mallory.wire.transport
        self.raw, self.servers = wire.transport, wire.peer

    def flood(self, seconds: float) -> None:
        """Go on sending; what comes back is not even read."""
        end = self.world.network.seconds() + seconds
        while self.world.network.seconds() < end:
            self.mallory.wire.transport.write(bytes(60_000))
            self.world.run(0.05)

    def test_itIsOneCallbackAndTheConnectionIsGone(self) -> None:
        self.raw.stop_reading()
        for _ in range(20):
            self.mallory.wire.transport.write(OVERSIZE + bytes(60_000))
        self.flood(2.5)
        self.assertEqual(self.calls, [self.protocol])
        self.assertEqual(self.protocol._unprocessed, b"")
        self.assertFalse(self.servers.connected)
        (left,) = self.world.server.of(Left)
        self.assertEqual((left.player.name, left.reason), ("mallory", DisconnectReason.BAD_DATA))
        self.assertEqual(self.counters.drop_frame_malformed, 1)

    def check_gone_by_the_deadline(self) -> None:
        self.raw.stop_reading()
        kept = 0
        for _ in range(39):
            self.flood(0.05)
            kept = max(kept, len(self.protocol._unprocessed))
        self.assertTrue(self.servers.connected, "there is time for the reason to arrive")
        self.assertEqual(kept, 0)
        self.flood(0.15)
        self.assertFalse(self.servers.connected)
        self.assertEqual(self.calls, [])

    def test_whoIsToldToGoAndDoesNotIsGoneByTheDeadline(self) -> None:
        self.world.server.verbs.disconnect(self.world.server.players["mallory"], "out")
        self.check_gone_by_the_deadline()

    def test_whoSaysByeAndStaysIsGoneByTheDeadline(self) -> None:
        # Our close is not answered, for it is not read.
        self.raw.stop_reading()
        self.mallory.wire.say_frame(frames.encode_bye(DisconnectReason.QUIT))
        self.world.run(1.9)
        self.assertTrue(self.servers.connected)
        self.world.run(0.2)
        self.assertFalse(self.servers.connected)

    def test_whoIsRefusedAndStaysIsGoneByTheDeadline(self) -> None:
        stranger = self.world.stranger()
        raw = stranger.transport.transport
        raw.stop_reading()
        stranger.say_frame(frames.encode_hello(hello("a b", flags=0)))
        (protocol,) = self.world.server.host._unjoined
        for _ in range(50):
            stranger.transport.write(OVERSIZE + bytes(60_000))
            self.assertEqual(protocol._unprocessed, b"")
            self.world.run(0.05)
        self.assertFalse(raw.peer.connected)
        self.assertEqual(list(self.world.server.host._unjoined), [])
        self.assertEqual(self.calls, [])


def lines_run(call: Callable[[], object]) -> int:
    """How many lines of Python *call* takes: work that no clock has a say in."""
    count = 0

    def trace(frame: object, event: str, argument: object) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return count


class LoopTests(ThreatCase):
    """No number that a peer sends is how often something is done."""

    fields: ClassVar[dict[str, Any]] = {"datagrams_burst": 60_000, "datagrams_per_second": 60_000}

    def setUp(self) -> None:
        super().setUp()
        self.mallory = self.world.puppet().confirm().bind()
        send_input(self.mallory, 1)

    def cost(self, newest: int, ack: int) -> int:
        """Of a datagram with as many inputs as one can hold, up to *newest*."""
        body = ACKS.pack(ack & 0xFFFF, 0xFFFF_FFFF) + bytes((MessageType.INPUT | 0x40,))
        body += encode_inputs(newest, 0, [1] * 120, 16)
        data = self.mallory.seal(DatagramKind.DATA, body)
        return lines_run(lambda: self.mallory.send_sealed(data))

    def test_farNumbersCostNoMoreThanNearOnes(self) -> None:
        mallory = self.mallory
        near = self.cost(121, 0)
        jumps = (1, 1_023, 1_024, 65_535, 1 << 31, 1 << 40, MAX_NUMBER - 10)
        costs = []
        for number, jump in enumerate(jumps):
            mallory.sealer.number = max(mallory.sealer.number, jump)
            mallory.sealer.stop = MAX_NUMBER
            costs.append(self.cost(max(121 + number, min(jump, 0xFFFF_FFFF)), jump))
            self.world.run(1.5)
        self.assertLess(max(costs), 2 * near)
        self.assertLessEqual(len(self.session("mallory").window.missing), 2 * WIDTH)
        self.assertEqual(self.world.server.of(Left), [])

    def test_inputsAreAtMostThoseThatAMessageHolds(self) -> None:
        before = len(self.inputs_of("mallory"))
        send_input(self.mallory, 0xFFFF_FFFF)
        self.assertEqual(len(self.inputs_of("mallory")) - before, 1)

    def test_anAckOfFarAheadReleasesNothing(self) -> None:
        for count in (1, 1 << 31, (1 << 64) - 1):
            puppet = self.world.puppet(f"p{count}").confirm()
            cost = lines_run(
                lambda count=count, puppet=puppet: puppet.wire.say_frame(frames.encode_ack(count))
            )
            self.assertLess(cost, 2_000)
            self.assertEqual(self.world.server.of(Left)[-1].reason, DisconnectReason.BAD_DATA)


class NoisyTests(ThreatCase):
    """One player's noise is that player's loss alone."""

    def setUp(self) -> None:
        super().setUp()
        self.mallory = self.world.puppet().confirm().bind()

    def flood(self, count: int) -> None:
        """Mallory sends so many datagrams at once."""
        body = ACKS.pack(0xFFFF, 0) + bytes((MessageType.UNRELIABLE | 0x40,)) + b"x"
        self.throw(
            (self.mallory.seal(DatagramKind.DATA, body), self.mallory.address) for _ in range(count)
        )

    def test_aBurstIsCutToTheBucket(self) -> None:
        self.world.run(2.0)
        before = self.session("mallory").datagrams_in
        self.flood(2_000)
        passed = self.session("mallory").datagrams_in - before
        self.assertGreater(passed, 200)
        self.assertEqual(self.counters.drop_datagram_rate, 2_000 - passed)
        self.assertEqual(len(self.world.server.of(Unreliable)), passed)
        self.assertLessEqual(passed, 256)

    def test_othersLoseNothingMeanwhile(self) -> None:
        """For nine seconds, and after that it is over anyway."""
        for number in range(270):
            self.flood(100)
            self.ada.verbs.send_input(number & 7)
            self.world.run(1 / 30)
        self.assertGreater(self.counters.drop_datagram_rate, 25_000)
        numbers = [event.number for event in self.inputs_of("ada")]
        self.assertEqual(numbers, list(range(1, 271)))
        self.assertEqual(self.session("ada").rate_dropped, 0)
        self.assertEqual(self.ada.verbs.quality().loss_out, 0.0)

    def test_largeDatagramsUseUpBytes(self) -> None:
        self.world.run(2.0)
        before = self.session("mallory").datagrams_in
        for _ in range(500):
            self.mallory.send_messages((MessageType.UNRELIABLE, bytes(1_100)))
        self.assertLessEqual(self.session("mallory").datagrams_in - before, 2 * 65_536 // 1_100)

    def test_inTheLongRunItIsTheRate(self) -> None:
        self.world.run(2.0)
        before = self.session("mallory").datagrams_in
        for _ in range(1_000):
            for _ in range(5):
                self.mallory.send_messages((MessageType.UNRELIABLE, b"x"))
            self.world.run(0.01)
        passed = self.session("mallory").datagrams_in - before
        self.assertLessEqual(passed, 256 + 10 * 128 + 1)
        self.assertGreater(passed, 10 * 128 + 100)

    def test_tenTimesTheRateForTenSecondsIsTheEnd(self) -> None:
        for a_second, ended in ((8 * 128, False), (12 * 128, True)):
            puppet = self.world.puppet(f"p{a_second}").confirm().bind()
            for _ in range(130):
                for _ in range(a_second // 10 + 1):
                    self.throw(
                        [(puppet.seal(DatagramKind.DATA, ACKS.pack(0xFFFF, 0)), puppet.address)]
                    )
                self.world.run(0.1)
            reasons = [
                event.reason
                for event in self.world.server.of(Left)
                if event.player.name == f"p{a_second}"
            ]
            self.assertEqual(reasons, [DisconnectReason.RATE] if ended else [])

    def test_chatIsRelayedTwentyTimesASecondAtMost(self) -> None:
        lines = [frames.encode_say(f"line {number}") for number in range(250)]
        self.mallory.wire.say_frame(*lines)
        said = [len(self.world.server.of(Chat))]
        for _ in range(5):
            self.world.run(1.0)
            said.append(len(self.world.server.of(Chat)))
        self.assertLessEqual(said[0], 21)
        for before, after in itertools.pairwise(said):
            self.assertLessEqual(after - before, 21)
        # Nothing is lost, it only waits.
        self.world.run(15.0)
        texts = [event.text for event in self.world.server.of(Chat)]
        self.assertEqual(texts, [f"line {number}" for number in range(250)])

    def test_framesOverTheRateWaitAndOthersDoNot(self) -> None:
        for secure in (False, True):
            world = World(self, secure=secure)
            ada = world.join("ada")
            mallory = world.puppet().confirm()
            mallory.wire.say_frame(*[frames.encode_ping(frames.Kind.PING, 1)] * 2_000)
            first = world.server.counters.frames_in
            self.assertLess(first, 220)
            ada.verbs.send(b"meanwhile")
            world.settle()
            self.assertEqual(len(world.server.of(Received)), 1)
            world.run(1.0)
            self.assertLess(world.server.counters.frames_in - first, 120)


class SocketOfErrors:
    """Reports one error for each datagram that it has."""

    def __init__(self, errors: list[int], datagrams: list[bytes]) -> None:
        self.errors = errors
        self.datagrams = datagrams
        self.sent: list[bytes] = []
        self.fails = False

    def recvfrom(self, size: int) -> tuple[bytes, tuple[str, int]]:
        if self.errors:
            raise OSError(self.errors.pop(0), "injected")
        if self.datagrams:
            return self.datagrams.pop(0)[:size], ("203.0.113.66", 6_666)
        raise BlockingIOError

    def sendto(self, data: bytes, address: object) -> int:
        if self.errors:
            raise OSError(self.errors.pop(0), "injected")
        self.sent.append(data)
        return len(data)


class ErrnoTests(ThreatCase):
    """Whatever a socket reports, the port goes on, and so do the timers."""

    def setUp(self) -> None:
        super().setUp()
        self.numbers = [getattr(errno, name) for name in ERRNOS]
        self.assertEqual(len(set(self.numbers)), 12)

    def port(self, socket: SocketOfErrors, budget: int = 64) -> BudgetedPort:
        """A port of this server on a socket."""
        protocol = LowLatencyProtocol(self.world.server.host)
        port = BudgetedPort(0, protocol, "127.0.0.1", self.world.server.machine, budget, 4_096)
        port.socket = socket  # type: ignore[assignment]
        protocol.transport = port
        return port

    def test_aStormOfErrorsWhileReadingEndsNeitherPortNorTurn(self) -> None:
        storm = self.numbers * 100
        datagrams = list(forged(self.session("ada").cid, 100))
        socket = SocketOfErrors(list(storm), list(datagrams))
        port = self.port(socket)
        before = self.counters.datagrams_in
        turns = 0
        while socket.errors or socket.datagrams:
            left = len(socket.errors)
            port.doRead()
            self.assertLessEqual(left - len(socket.errors), 1, "one error ends the turn")
            turns += 1
        self.assertEqual(turns, len(storm) + 2)
        self.assertEqual(self.counters.receive_errors, len(storm))
        self.assertEqual(self.counters.datagrams_in - before, len(datagrams))
        self.assertIs(port.socket, socket)

    def test_anErrorWhileSendingLosesOneDatagram(self) -> None:
        network = self.world.network
        player = self.world.server.players["ada"]
        for number in self.numbers:
            lost = self.counters.drop_send_error
            network.send_error = OSError(number, "injected")
            for _ in range(5):
                self.world.server.verbs.send_state(player, b"lost")
                self.world.settle()
            self.assertGreaterEqual(self.counters.drop_send_error - lost, 5)
            self.world.run(0.2)
            network.send_error = None
            self.world.server.verbs.send_state(player, bytes((number,)))
            self.world.settle()
            self.assertEqual(self.ada.host.state.payload, bytes((number,)))
        self.assertEqual(self.world.server.of(Left), [])

    def test_aTurnReadsSixtyFourDatagramsEmptyOnesToo(self) -> None:
        for data in (b"", b"x", bytes(64), bytes(1_200)):
            socket = SocketOfErrors([], [data] * 1_000)
            port = self.port(socket)
            for turn in range(1, 15):
                port.doRead()
                self.assertEqual(len(socket.datagrams), 1_000 - 64 * turn)


class SlowReaderTests(ThreatCase):
    """Somebody who does not read what we write, whatever they send."""

    # So that no other limit is what bounds it.
    fields: ClassVar[dict[str, Any]] = {
        "frames_per_second": 1e6,
        "frames_burst": 1_000_000,
        "tcp_bytes_per_second": 1 << 30,
    }

    def setUp(self) -> None:
        super().setUp()
        self.mallory = self.world.puppet().confirm().bind()
        wire = self.mallory.wire.transport
        self.raw = getattr(wire, "transport", wire)
        self.raw.stop_reading()

    def unread(self) -> int:
        """Bytes that we wrote and that nobody has read."""
        unread: int = self.raw.unread_bytes
        return unread

    def test_askingWithoutReadingDoesNotPileUpAnswers(self) -> None:
        ping = frames.encode_ping(frames.Kind.PING, 7)
        for number in range(10_000):
            self.mallory.wire.say_frame(ping, ping)
            if number % 100 == 0:
                self.mallory.wire.say_frame(frames.encode_data(False, 0, b"x"))
                self.world.run(0.05)
        # What the kernel takes, and what waits behind it until we notice.
        self.assertLess(self.unread(), 75_000)
        self.assertGreater(self.unread(), 60_000, "it was never put to the test")
        self.assertEqual(len(self.world.server.of(Received)), 100)

    def test_whatTheGameSendsIsBoundedAndEndsThem(self) -> None:
        player = self.world.server.players["mallory"]
        worst = 0
        for _ in range(400):
            self.world.server.verbs.send(player, bytes(10_000))
            self.world.server.verbs.send_state(player, bytes(100))
            self.world.run(0.05)
            worst = max(worst, self.unread())
            if self.world.server.of(Left):
                break
        # The window, and what goes with it; the rest waits with us, up to twice the queue.
        self.assertLess(worst, 262_144 + 65_536)
        (left,) = self.world.server.of(Left)
        self.assertEqual(left.reason, DisconnectReason.SLOW_CONSUMER)
        self.world.run(3.0)
        self.assertFalse(self.raw.peer.connected)


class SlowTlsReaderTests(SlowReaderTests):
    """The same over TLS, which has buffers of its own."""

    secure = True


class SlowGameTests(SynchronousTestCase):
    """What comes faster than the game takes it is bounded, and nobody is lost for it."""

    def test_aGameThatSleepsHoldsABoundedNumberOfEventsAndLosesNoReliableOne(self) -> None:
        world = World(self, bridged=True, bridge_events=500)
        clients = [world.join(f"p{number}") for number in range(5)]
        world.server.forget()
        sent = 0
        for number in range(600):
            for client in clients:
                client.verbs.send_input(number & 15)
                client.verbs.send_unreliable(b"u")
                if number % 10 == 0:
                    client.verbs.send(number.to_bytes(2, "big"))
                    sent += 1
                client.take()
            world.run(0.05)
        bridge = world.server.bridge
        assert bridge is not None
        # Reliable ones have their room by the window, whatever else there is.
        self.assertLessEqual(bridge.waiting_events, 500 + sent)
        self.assertGreater(world.server.counters.events_refused, 1_000)
        self.assertEqual([client for client in clients if not client.joined], [])
        world.play(20.0)
        self.assertEqual(len(world.server.of(Received)), sent)
        self.assertEqual(world.server.of(Left), [])

    def test_oneWhoFillsWhatThereIsLeavesRoomForOthers(self) -> None:
        world = World(
            self,
            bridged=True,
            bridge_events=600,
            bridge_events_per_player=100,
            datagrams_burst=60_000,
        )
        ada = world.join("ada")
        world.play(1.0)
        mallory = world.puppet().confirm().bind()
        world.take()
        world.server.forget()
        for number in range(2_000):
            mallory.send_messages((MessageType.UNRELIABLE, b"x"))
            if number % 40 == 0:
                ada.verbs.send_input(number & 7)
                ada.take()
                world.run(1 / 30)
        self.assertGreaterEqual(world.server.counters.events_refused, 1_900)
        world.take()
        heard = [event for event in world.server.of(Input) if event.player.name == "ada"]
        self.assertEqual([event.number for event in heard], list(range(1, 51)))
        self.assertLessEqual(len(world.server.of(Unreliable)), 100)

    def test_aSenderIsHeldByItsWindow(self) -> None:
        world = World(self, bridged=True)
        client = world.join("ada")
        for number in range(1_000):
            client.verbs.send(number.to_bytes(2, "big"))
            if number % 50 == 0:
                client.take()
                world.run(0.1)
        client.take()
        world.run(1.0)
        bridge = world.server.bridge
        assert bridge is not None
        self.assertLessEqual(bridge.waiting_events, 256 + 10)
        self.assertTrue(client.joined)
        world.play(15.0)
        self.assertEqual(
            [event.payload for event in world.server.of(Received)],
            [number.to_bytes(2, "big") for number in range(1_000)],
        )
