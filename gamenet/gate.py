"""How much one address, and everybody together, may ask of a server before it knows them.

Layer 3. Runs on: the reactor thread.

Addresses are what TCP connections came from, never what a datagram claims. An IPv4 address in
IPv6 clothing counts as itself, IPv6 ones by the /64 that one customer has, and this machine's own
do not count unless the configuration says so.
"""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from gamenet.addresses import unmapped
from gamenet.core.rates import Bucket

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable

    from gamenet.config import ServerConfig

RESERVED_FILES: Final = 64
"""File descriptors kept free for everything that is not a player."""
ACCOUNT_SECONDS: Final = 60.0
ADDRESS_SECONDS: Final = 600.0
"""Over which failed logins are counted, for an account at an address and for the address."""
KeyT = TypeVar("KeyT", bound="Hashable")
ValueT = TypeVar("ValueT")


def open_files() -> int | None:
    """How many files the process may have open; None where the system does not say."""
    try:
        import resource
    except ImportError:
        return None
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return None if limit == resource.RLIM_INFINITY else limit


def raise_open_files(wanted: int) -> None:
    """Have the process allowed *wanted* open files, as far as the system lets it."""
    try:
        import resource
    except ImportError:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def files_for(config: ServerConfig) -> int:
    """How many open files a process needs that serves as many as *config* lets in."""
    return config.max_players + config.max_unjoined + 2 * RESERVED_FILES


def address_key(host: str) -> str:
    """What an address counts as: itself, or its /64; "" where there is none."""
    try:
        address = unmapped(host)
    except ValueError:
        return ""
    if address.version == 4:
        return str(address)
    return f"{address.exploded[:19]}::/64"


class Recent(Generic[KeyT, ValueT]):
    """A table of bounded size; what was unused for longest is forgotten first."""

    def __init__(self, size: int, make: Callable[[], ValueT]) -> None:
        self.size = size
        """Entries at most; a table that is longer does not grow."""
        self._make = make
        self._table: OrderedDict[KeyT, ValueT] = OrderedDict()

    def __len__(self) -> int:
        return len(self._table)

    def get(self, key: KeyT) -> ValueT:
        """The entry of *key*, a new one if need be."""
        table = self._table
        value = table.get(key)
        if value is None:
            if len(table) >= self.size:
                table.popitem(last=False)
            value = table[key] = self._make()
        table.move_to_end(key)
        return value

    def values(self) -> Collection[ValueT]:
        """Every entry."""
        return self._table.values()

    def peek(self, key: KeyT) -> ValueT | None:
        """The entry of *key*, if there is one."""
        return self._table.get(key)

    def put(self, key: KeyT, value: ValueT) -> None:
        """Set the entry of *key*."""
        self.get(key)
        self._table[key] = value

    def forget(self, key: KeyT) -> None:
        """Remove an entry."""
        self._table.pop(key, None)


class Failures:
    """Failed logins of late, those under way, and until when the next must wait.

    :param allowed: failures within *seconds* that cost nothing.
    :param longest: seconds of the longest wait.
    """

    __slots__ = ("_allowed", "_longest", "_seconds", "_times", "_wait", "under_way", "until")

    def __init__(self, allowed: int, seconds: float, longest: float) -> None:
        self._allowed = allowed
        self._seconds = seconds
        self._longest = longest
        self._times: list[float] = []
        self._wait = 0.0
        self.under_way = 0
        """Logins that are being checked."""
        self.until = 0.0
        """No login is looked at before this time."""

    def begin(self, now: float) -> None:
        """One more is being checked; where each has to wait, the next waits for this one."""
        self.under_way += 1
        if self._is_over(now):
            self.until = now + max(1.0, self._wait)

    def is_crowded(self, now: float) -> bool:
        """Whether as many are being checked as may still fail."""
        return self.under_way >= max(1, self._allowed - len(self._recent(now)))

    def end(self, now: float, well: bool | None) -> None:
        """It was right, wrong, or, for None, not looked at."""
        self.under_way = max(0, self.under_way - 1)  # it may have been forgotten meanwhile
        if well is not False:
            self.until = min(self.until, now)
        else:
            recent = self._recent(now)
            if not recent:
                self._wait = 0.0
            # What is beyond the allowed number only prolongs the wait; no more need be kept.
            self._times = [*recent, now][-self._allowed - 1 :]
            if len(self._times) > self._allowed:
                self._wait = min(self._longest, max(1.0, 2 * self._wait))
                self.until = now + self._wait

    def limit(self, allowed: int, longest: float) -> None:
        """Have other limits hold from now on."""
        self._allowed = allowed
        self._longest = longest

    def _recent(self, now: float) -> list[float]:
        return [when for when in self._times if now - when < self._seconds]

    def _is_over(self, now: float) -> bool:
        return len(self._recent(now)) >= self._allowed


class Gate:
    """Counts who comes from where."""

    def __init__(self, config: ServerConfig, now: Callable[[], float]) -> None:
        self._config = config
        self._accepts: Recent[str, Bucket] = Recent(
            config.address_table,
            lambda: Bucket(self._config.accepts_per_second, self._config.accepts_burst, now()),
        )
        self._unjoined: dict[str, int] = {}
        self._players: dict[str, int] = {}
        self._of_account: Recent[tuple[str, str], Failures] = Recent(
            config.address_table,
            lambda: Failures(
                self._config.failed_logins_per_account,
                ACCOUNT_SECONDS,
                self._config.login_delay_seconds,
            ),
        )
        self._of_address: Recent[str, Failures] = Recent(
            config.address_table,
            lambda: Failures(
                self._config.failed_logins_per_address,
                ADDRESS_SECONDS,
                self._config.login_delay_seconds,
            ),
        )
        self.max_sockets = _max_sockets()
        """Connections that the process can carry; None if the system does not say."""

    def reconfigure(self, config: ServerConfig) -> None:
        """Have other limits hold from now on, also for who is known here."""
        self._config = config
        self.max_sockets = _max_sockets()
        for bucket in self._accepts.values():
            bucket.rate, bucket.burst = config.accepts_per_second, config.accepts_burst
        for failures in self._of_account.values():
            failures.limit(config.failed_logins_per_account, config.login_delay_seconds)
        for failures in self._of_address.values():
            failures.limit(config.failed_logins_per_address, config.login_delay_seconds)

    def key(self, host: str) -> str:
        """What an address counts as here; "" if it does not count."""
        try:
            if not self._config.limit_loopback and unmapped(host).is_loopback:
                return ""
        except ValueError:
            return ""
        return address_key(host)

    # Connections.

    def accepts(self, key: str, now: float) -> bool:
        """Whether one more connection may come; it counts if it may."""
        if not key:
            return True
        if self._unjoined.get(key, 0) >= self._config.max_unjoined_per_address:
            return False
        return self._accepts.get(key).allows(1, now)

    def came(self, key: str) -> None:
        """A connection begins to join."""
        _count(self._unjoined, key, 1)

    def gone(self, key: str) -> None:
        """It has joined, or it is closed."""
        _count(self._unjoined, key, -1)

    # Players.

    def has_room(self, key: str) -> bool:
        """Whether one more player may come from there."""
        return not key or self._players.get(key, 0) < self._config.players_per_address

    def joined(self, key: str) -> None:
        """A player is in."""
        _count(self._players, key, 1)

    def left(self, key: str) -> None:
        """A player is gone."""
        _count(self._players, key, -1)

    # Logins.

    def login_wait(self, account: str, key: str, now: float) -> float:
        """Seconds until a password for this account from there is looked at again; 0.0 for now."""
        if not key:
            return 0.0
        until = now
        of_account, of_address = self._of_account.peek((account, key)), self._of_address.peek(key)
        for failures in (of_account, of_address):
            if failures is not None:
                until = max(until, failures.until)
        if of_account is not None and of_account.is_crowded(now):
            until = max(until, now + 1.0)
        return until - now

    def login_begins(self, account: str, key: str, now: float) -> None:
        """A password for this account is going to be checked."""
        if key:
            self._of_account.get((account, key)).begin(now)
            self._of_address.get(key).begin(now)

    def login_ends(self, account: str, key: str, well: bool | None, now: float) -> None:
        """It was right, wrong, or, for None, not looked at.

        A right one clears the account, for its owner is here. The address keeps its count: one good
        login does not pardon others.
        """
        if not key:
            return
        self._of_address.get(key).end(now, well)
        if well:
            self._of_account.forget((account, key))
        else:
            self._of_account.get((account, key)).end(now, well)


def _max_sockets() -> int | None:
    files = open_files()
    return None if files is None else max(1, files - RESERVED_FILES)


def _count(table: dict[str, int], key: str, change: int) -> None:
    if key:
        left = table.get(key, 0) + change
        if left > 0:
            table[key] = left
        else:
            table.pop(key, None)
