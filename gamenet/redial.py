"""How a client gets its connection back: again and again, with growing pauses.

Layer 3. Runs on: the reactor thread.

The pauses follow the policy of Twisted's ``ClientService``: they grow from ``redial_first_seconds``
to ``redial_longest_seconds``, each with some chance in it, so that the clients of a server that was
away do not all come back in one instant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import CancelledError, Deferred, maybeDeferred

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IDelayedCall, IStreamClientEndpoint
    from twisted.python.failure import Failure

    from gamenet.client import GameClientFactory
    from gamenet.client_host import ClientHost

FACTOR: Final = 1.5
"""From one pause to the next."""


class Dialler:
    """Connects one client's factory to its server, as often as need be.

    :param endpoint: anything that connects a factory, any number of times; its ``why(failure)``,
        where it has one, says what went wrong in words for a player.
    """

    def __init__(
        self, host: ClientHost, factory: GameClientFactory, endpoint: IStreamClientEndpoint
    ) -> None:
        self._host = host
        self._factory = factory
        self._endpoint = endpoint
        self._attempt: Deferred[Any] | None = None
        self._pause: IDelayedCall | None = None
        self._pauses = 0
        self._seconds: Callable[[int], float] | None = None

    def connect(self) -> Deferred[None]:
        """Try once; how a failure ends is the host's to say.

        :returns: fires when the attempt is over, well or not.
        """
        attempt: Deferred[Any] = maybeDeferred(self._endpoint.connect, self._factory)
        self._attempt = attempt
        attempt.addCallbacks(self._connected, self._failed)
        return attempt

    def _connected(self, protocol: object) -> None:
        self._attempt = None

    def _failed(self, failure: Failure) -> None:
        self._attempt = None
        if not isinstance(failure.value, CancelledError):
            why: Callable[[Failure], str] | None = getattr(self._endpoint, "why", None)
            text = failure.getErrorMessage()
            if why is not None:
                try:
                    text = why(failure)
                except Exception:
                    self._host.failed("the endpoint's why() failed")
            self._host.dial_failed(text)

    def again(self, at_least: float = 0.0) -> None:
        """Try again after a pause.

        :param at_least: seconds that the server asked for.
        """
        if self._pause is None and self._attempt is None:
            pause = max(at_least, self._policy()(self._pauses))
            self._pauses += 1
            self._pause = self._host.reactor.callLater(pause, self._over)

    def _over(self) -> None:
        self._pause = None
        self.connect()

    def rest(self) -> None:
        """There is a connection that serves: the next pause is a short one again."""
        self._pauses = 0

    def stop(self) -> None:
        """Give up what is under way."""
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
        attempt, self._attempt = self._attempt, None
        if attempt is not None:
            attempt.cancel()

    def _policy(self) -> Callable[[int], float]:
        if self._seconds is None:
            # Here, because it is slow to import and most clients never need it.
            from twisted.application.internet import backoffPolicy

            config = self._host.config
            first = config.redial_first_seconds
            longest = config.redial_longest_seconds
            policy = backoffPolicy(first, max(first, longest - first), FACTOR, self._jitter)
            self._seconds = policy
        return self._seconds

    def _jitter(self) -> float:
        """Up to as much again as the first pause."""
        chance = int.from_bytes(self._host.random_bytes(2), "big") / 0xFFFF
        return chance * self._host.config.redial_first_seconds
