"""A server's beacon: it answers who asks, on the local network, which servers there are.

Layer 4. Runs on: the reactor thread. PROTOCOL, "The beacon".

It says nothing by itself, and an answer is never longer than its query. Only addresses of private
networks and of this machine are answered, each of them and all together so often a second at most.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final

from twisted.cred.credentials import IAnonymous
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.logger import Logger

from gamenet.addresses import is_loopback
from gamenet.core import frames
from gamenet.core.beacon import (
    CLOSED,
    FIRST_PORT,
    NEEDS_PROOF,
    NO_PIN,
    PORT,
    SECURE,
    SERVER_ID_BYTES,
    Answer,
    Query,
    decode_query,
    encode_answer,
    is_near,
)
from gamenet.core.rates import Bucket
from gamenet.credentials import IClaimedName
from gamenet.errors import WireError
from gamenet.faults import DEFECT
from gamenet.gate import Recent
from gamenet.lan import EVERYWHERE, EVERYWHERE_IPV6, LanProtocol, interfaces, join_group, open_port

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.cred.portal import Portal

    from gamenet.core.path import Address
    from gamenet.lan import Interface
    from gamenet.listening import Listening
    from gamenet.server_host import ServerHost

log = Logger()
ANSWERS_PER_SECOND: Final = 200.0
ANSWERS_BURST: Final = 400
"""To everybody together: a big classroom whose join screens are all open asks 50 a second."""
ANSWERS_PER_SECOND_AND_ADDRESS: Final = 20.0
ANSWERS_BURST_PER_ADDRESS: Final = 60
"""To one address, which may be that of a terminal server for a whole class."""
ADDRESSES: Final = 1_024
"""So many are remembered for it."""
REMEMBERED_TOKENS: Final = 8
"""Of the newest queries from an address: the same one comes by several ways."""
LOOK_SECONDS: Final = 10.0
"""From one look for networks that have come up to the next."""


class _Asker:
    """What an address has asked of late."""

    __slots__ = ("bucket", "tokens")

    def __init__(self, now: float) -> None:
        self.bucket = Bucket(ANSWERS_PER_SECOND_AND_ADDRESS, ANSWERS_BURST_PER_ADDRESS, now)
        self.tokens: deque[bytes] = deque(maxlen=REMEMBERED_TOKENS)


class BeaconProtocol(LanProtocol):
    """One socket of a beacon."""

    def __init__(self, beacon: Beacon) -> None:
        self._beacon = beacon

    def receive_failed(self, error: OSError) -> None:
        """The kernel reported an error on the socket."""
        self._beacon.counters.receive_errors += 1

    def defect(self) -> None:
        """A datagram met a defect of ours: logged now and then, for its sender can send more."""
        self._beacon.host.failed(DEFECT)

    def datagramReceived(self, data: bytes, addr: Address) -> None:
        """A datagram came."""
        self._beacon.heard(data, addr)


class Beacon:
    """Answers for one server, while ``config.beacon`` names it.

    :param host: whose players and settings are told.
    :param listening: the ports that are open.
    :param portal: decides who may join; None lets everybody in.
    :param ways: what networks there are.
    """

    def __init__(
        self,
        host: ServerHost,
        listening: Listening,
        portal: Portal | None,
        reactor: Any,
        *,
        ways: Callable[[], list[Interface]] = interfaces,
    ) -> None:
        self.host = host
        self.counters = host.counters
        self._listening = listening
        self._portal = portal
        self._reactor = reactor
        self._ways = ways
        self._server_id = b""
        self._askers: Recent[str, _Asker] = Recent(ADDRESSES, lambda: _Asker(host.now()))
        self._all = Bucket(ANSWERS_PER_SECOND, ANSWERS_BURST, host.now())
        self._is_local = False
        self._is_on = False
        self._ears: dict[bool, Any] = {}
        """The ports that hear what is sent to all, for IPv6 and not."""
        self._mouths: dict[bool, Any] = {}
        """The ports that answers leave by: players will dial the address that those come from."""
        self._joined: set[Interface] = set()
        self._next_look: Any = None

    # On and off.

    def update(self) -> None:
        """Be on if the settings in force have a name, and off otherwise; repeatable."""
        if bool(self.host.config.beacon) != self._is_on:
            if self._is_on:
                self.stop()
            else:
                self._start()

    def _start(self) -> None:
        self._server_id = self.host.random_bytes(SERVER_ID_BYTES)
        self._is_on = True
        hosts = self._listening.hosts
        self._is_local = all(map(is_loopback, hosts))
        failures = [self._open(is_ipv6, hosts) for is_ipv6 in (False, True)]
        if not self._ears:
            log.warn(
                "there is no beacon, so players must be told the address: cannot open UDP port "
                "{port}: {reason}",
                port=PORT,
                reason=next(filter(None, failures), "it listens on no address"),
            )
            return
        self._look()
        log.info(
            "the beacon is on: who asks for servers finds this one as {name!r} (UDP port {port})",
            name=self.host.config.beacon,
            port=PORT,
        )
        if self._is_local:
            log.warn(
                "the beacon is seen on this machine alone, since the server listens only here: to "
                "have others find and join it, give it a certificate (gamenet cert) instead of "
                "--insecure, and no --listen of 127.0.0.1 or ::1"
            )

    def stop(self) -> Deferred[Any]:
        """Answer no more; repeatable.

        :returns: fires when no port is left.
        """
        self._is_on = False
        if self._next_look is not None:
            self._next_look.cancel()
            self._next_look = None
        ports = {*self._ears.values(), *self._mouths.values()}
        self._ears, self._mouths, self._joined = {}, {}, set()
        return DeferredList([maybeDeferred(port.stopListening) for port in ports])

    def _open(self, is_ipv6: bool, hosts: list[str]) -> str:
        """Open what hears and what answers in one family, if players can come by it.

        :returns: why that could not be; "" for nothing wrong.
        """
        everywhere = EVERYWHERE_IPV6 if is_ipv6 else EVERYWHERE
        named = [host for host in hosts if (":" in host) == is_ipv6]
        if not named and EVERYWHERE_IPV6 not in hosts:
            return ""
        try:
            self._ears[is_ipv6] = ear = self._port(everywhere)
            # From a socket that hears everywhere, the system answers by whatever address is best.
            is_everywhere = not named or ear.getHost().host in hosts
            self._mouths[is_ipv6] = ear if is_everywhere else self._port(named[0])
        except (CannotListenError, OSError) as error:
            opened = self._ears.pop(is_ipv6, None)
            if opened is not None:
                opened.stopListening()
            cause = getattr(error, "socketError", error)
            return getattr(cause, "strerror", None) or str(cause)
        return ""

    def _port(self, host: str) -> Any:
        return open_port(self._reactor, BeaconProtocol(self), host, PORT, shared=True)

    def _look(self) -> None:
        """Hear the group on every network that is up; later ones are found later."""
        self._next_look = self._reactor.callLater(LOOK_SECONDS, self._look)
        there = set(self._ways())
        self._joined &= there
        for way in there - self._joined:
            ear = self._ears.get(way.is_ipv6)
            if ear is not None and join_group(ear, way):
                self._joined.add(way)

    # Answering.

    def heard(self, data: bytes, address: Address) -> None:
        """A datagram came, from anybody."""
        counters = self.counters
        counters.beacon_queries += 1
        try:
            query = decode_query(data)
        except WireError:
            counters.drop_beacon_malformed += 1
            return
        if not self._may_ask(address):
            counters.drop_beacon_stranger += 1
        elif query.game not in ("", self.host.config.game_name):
            counters.beacon_other_game += 1
        elif self._is_new(query, address[0]):
            self._answer(query, address)

    def _may_ask(self, address: Address) -> bool:
        """Whether an address is one that servers are told to."""
        host, port = address[0], address[1]
        return is_near(host) and port >= FIRST_PORT and (not self._is_local or is_loopback(host))

    def _is_new(self, query: Query, host: str) -> bool:
        """Whether a query is to be answered: it is not, if it was, or if too many come."""
        counters, now = self.counters, self.host.now()
        asker = self._askers.get(host)
        if query.token in asker.tokens:
            counters.beacon_repeats += 1
            return False
        is_free = is_loopback(host)  # many may play on one machine, and no network has to bear it
        if not (is_free or asker.bucket.allows(1, now)) or not self._all.allows(1, now):
            counters.drop_beacon_rate += 1
            return False
        asker.tokens.append(query.token)
        return True

    def _answer(self, query: Query, address: Address) -> None:
        port = self._mouths.get(":" in address[0])
        data = encode_answer(self.answer(query.token))
        if port is not None and port.protocol.send(data, address):
            self.counters.beacon_answers += 1
        else:
            self.counters.drop_beacon_send += 1

    def answer(self, token: bytes) -> Answer:
        """What is told of the server now."""
        host, listening = self.host, self._listening
        flags = SECURE if listening.secure else 0
        if self._needs_proof:
            flags |= NEEDS_PROOF
        if host.closed_because is not None:
            flags |= CLOSED
        return Answer(
            token=token,
            server_id=self._server_id,
            version=frames.VERSION,
            flags=flags,
            port=listening.port,
            players=min(len(host.seats), 0xFFFF),
            max_players=min(host.registry.max_players, 0xFFFF),
            pin=bytes.fromhex(listening.fingerprint) or NO_PIN,
            name=host.config.beacon,
            game=host.config.game_name,
        )

    @property
    def _needs_proof(self) -> bool:
        """Whether nobody comes in by a name alone."""
        if self._portal is None:
            return False
        taken = self._portal.listCredentialsInterfaces()
        return not any(interface in taken for interface in (IAnonymous, IClaimedName))
