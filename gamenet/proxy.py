"""A bad network between any client and any server: ``gamenet proxy``, and the same in a program.

Layer 4. Runs on: game threads; the relay itself on the reactor thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from gamenet.addresses import Target, join_address, parse_address, parse_listen
from gamenet.errors import ConfigError, ConnectionFailed, LocalProtocolError
from gamenet.impairment import Profile, find_profile
from gamenet.threads import call_in_reactor, check_may_block, ensure_reactor, release_pool_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from gamenet.chaos import Chaos
    from gamenet.relay import Relay

T = TypeVar("T")
HERE: Final = "tcp:0:interface=127.0.0.1"
"""Some free port that only this machine can reach."""
CALL_SECONDS: Final = 5.0


class Proxy:
    """Both ports of a server once more, on this machine, with a bad network in between.

    :param target: the server, as ``GameClient`` takes its address.
    :param listen: where clients come, as a server's ``listen``; without an interface they can come
        from this machine only.
    :param udp_port: of the server, if it differs from that of TCP; then the proxy's UDP port has
        the same number, which is the one that the server tells its clients.
    :param profile: what the network does, or the name of one of ``PROFILES``.
    :param seed: what decides everything that is left to chance, with the order of the clients.
    :raises ConfigError: naming the argument that is wrong.

    Methods may be called from any thread but the reactor's.
    """

    def __init__(
        self,
        target: str | Target,
        *,
        listen: int | str = HERE,
        udp_port: int = 0,
        profile: str | Profile = "perfect",
        seed: int | str = 0,
    ) -> None:
        self.target = parse_address(target) if isinstance(target, str) else target
        self._place = parse_listen(listen, "listen")
        if self._place.endpoint:
            raise ConfigError("listen", f"{listen!r} is no port; write a port, or host:port")
        if not 0 <= udp_port <= 65_535:
            raise ConfigError("udp_port", f"must be a port, 0 to 65535, not {udp_port}")
        self._udp_port = udp_port
        self._profile = find_profile(profile)
        self._seed = seed
        self._reactor: Any = None
        self._relay: Relay | None = None

    def start(self, timeout: float = 15.0) -> None:
        """Open the ports; from here on clients may come.

        :raises ListenFailed: if they cannot be opened.
        :raises ConnectionFailed: if nobody knows the server's name.
        """
        from gamenet.relay import Relay

        check_may_block()
        if self._relay is not None:
            raise LocalProtocolError("the proxy runs already; stop() it first")
        self._reactor = ensure_reactor()

        def start() -> Any:
            self._relay = Relay(
                self._reactor,
                self.target,
                self._place,
                self._profile,
                self._seed,
                udp_port=self._udp_port,
            )
            return self._relay.start()

        try:
            call_in_reactor(self._reactor, timeout, start)
        except BaseException as error:
            self.stop()
            if isinstance(error, TimeoutError):
                raise ConnectionFailed(
                    f"the address of {self.target.host!r} was not found within {timeout:g} s"
                ) from None
            raise

    def stop(self, timeout: float = CALL_SECONDS) -> None:
        """Close everything; can be called twice."""
        relay, self._relay = self._relay, None
        if relay is None:
            return
        check_may_block()
        try:
            call_in_reactor(self._reactor, timeout, relay.stop)
        except TimeoutError:
            raise LocalProtocolError(f"the proxy did not stop within {timeout:g} s") from None
        finally:
            release_pool_threads(self._reactor)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    # What it is.

    @property
    def port(self) -> int:
        """The TCP port, and that of UDP unless another one was asked for."""
        return self._call(lambda relay: relay.port)

    @property
    def address(self) -> str:
        """What a client takes instead of the server's address, with the server's pin."""
        host, port = self._call(lambda relay: (relay.host, relay.port))
        if host in ("0.0.0.0", "::"):
            host = "127.0.0.1"
        address = join_address(host, port)
        pin = self.target.pin
        return f"gamenet://{address}#sha256={pin}" if pin else address

    @property
    def profile(self) -> Profile:
        """What the network does; can be set while clients are there."""
        return self._profile

    @profile.setter
    def profile(self, profile: str | Profile) -> None:
        self._profile = found = find_profile(profile)
        if self._relay is not None:
            self._call(lambda relay: setattr(relay, "profile", found))

    # What happens to the network.

    def cut_tcp(self) -> None:
        """Reset every TCP connection, at both ends; new ones are taken."""
        self._call(lambda relay: relay.cut_tcp())

    def block_udp(self, on: bool = True) -> None:
        """Let no datagram pass, or let them pass again."""
        self._call(lambda relay: relay.block_udp(on))

    def change_address(self) -> None:
        """Have every client come from elsewhere, as when a phone leaves the house.

        Datagrams go on, from other ports. Nothing more passes through the TCP connections that
        stand, and neither end is told.
        """
        self._call(lambda relay: relay.change_address())

    def counts(self) -> dict[str, int]:
        """What has passed and what has not: datagrams each way by their fate, and the rest."""
        return self._call(lambda relay: relay.counts())

    def _call(self, call: Callable[[Relay], T]) -> T:
        relay = self._relay
        if relay is None:
            raise LocalProtocolError("the proxy does not run; start() it first")
        check_may_block()
        try:
            result: T = call_in_reactor(self._reactor, CALL_SECONDS, lambda: call(relay))
        except TimeoutError:
            raise LocalProtocolError("the network thread does not answer") from None
        return result


class Mischief:
    """Has the events of a script happen to a proxy, each when it is due.

    :param proxy: None only tells of them.
    :param happened: told of each, and how many seconds after the beginning it happened.
    """

    def __init__(
        self,
        proxy: Proxy | None,
        script: Sequence[Chaos],
        happened: Callable[[Chaos, float], object],
    ) -> None:
        self._proxy = proxy
        self._left = list(script)
        self._happened = happened

    def go_on(self, seconds: float) -> None:
        """Do what is due *seconds* after the beginning."""
        while self._left and self._left[0].at <= seconds:
            event = self._left.pop(0)
            self._happened(event, seconds)
            if self._proxy is None:
                continue
            if event.what == "cut":
                self._proxy.cut_tcp()
            elif event.what in ("block", "unblock"):
                self._proxy.block_udp(event.what == "block")
            elif event.what == "move":
                self._proxy.change_address()
