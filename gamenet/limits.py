"""What one server gives to strangers, players and peers at most.

Layer 0. Runs on: any thread.

``python -m gamenet.limits_page`` prints ``docs/LIMITS.rst`` from the texts under the fields.
"""

from __future__ import annotations

from dataclasses import dataclass

from gamenet.errors import ConfigError
from gamenet.settings import CommonConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLimits(CommonConfig):
    """Every limit of a server. None is unlimited, and none treats zero as infinite."""

    max_players: int = 256
    """Players in the game; further ones are refused as ``FULL``. Never more than the process may
    have files open, less 80."""
    max_players_per_address: int | None = None
    """Players from one address, IPv6 by /64; by default as many as ``max_players``, because a whole
    school can share an address. Further ones are refused as ``FULL``."""
    max_unjoined: int = 512
    """Connections that have not joined; for one more, the oldest silent one is cut of the address
    that has the most."""
    max_unjoined_per_address: int = 64
    """The same from one address, as many as a class that begins together; further ones are closed
    unanswered."""
    accepts_per_second: float = 10.0
    """Connections a second from one address in the long run; further ones are closed unanswered."""
    accepts_burst: int = 64
    """Connections that an address may make at once."""
    listen_backlog: int = 4_096
    """Connections that wait in the kernel; Twisted's 50 was measured to cost a second in a rush."""
    address_table: int = 4_096
    """Addresses remembered for these limits; the one unheard for longest is forgotten first."""
    limit_loopback: bool = False
    """Whether the limits for each address hold for this machine's own, too."""
    frames_per_second: float = 100.0
    """Frames a second from one player in the long run, acknowledgements not counted; beyond it
    reading pauses, so that nothing is lost."""
    frames_burst: int = 200
    """Frames that a player may send at once."""
    frames_per_read: int = 512
    """Frames handled before other connections get a turn."""
    tcp_bytes_per_second: int = 262_144
    """Bytes a second from one player over TCP; beyond it reading pauses. What two seconds allow
    may come at once."""
    chats_per_second: float = 20.0
    """Lines of chat a second from one player; beyond it reading pauses. Each is relayed to all
    others, so this bounds what one player makes the server send."""
    bridge_events_per_player: int = 256
    """Inputs and unreliable messages of one player that may wait for the game; beyond it they are
    refused, counted, so that nobody alone can fill ``bridge_events``. Inputs come again."""
    max_input_hz: int = 120
    """Inputs a second that one player may make; more over two seconds are dropped, counted."""
    input_hold_seconds: float = 0.5
    """How long an input that came before the tick it is meant for is held at most. Clients see to
    it that it is a few milliseconds. With 0 the game has each input with its next tick."""
    datagrams_per_second: int = 128
    """Datagrams a second from one player in the long run, about twice those of a 60 Hz client.
    Clients are told and keep below it; beyond it they are dropped, counted."""
    datagrams_burst: int = 256
    """Datagrams that a player may send at once."""
    datagram_bytes_per_second: int = 65_536
    """Bytes a second of such datagrams; what two seconds allow may come at once."""
    send_bytes_per_second: int = 65_536
    """Bytes that a player is sent in any second, reliable messages apart, until ``set_budget``;
    less where the path takes less. States beyond it are replaced by newer ones before they leave.
    """
    rate_abuse_factor: int = 10
    """A player who sends this many times ``datagrams_per_second`` ..."""
    rate_abuse_seconds: int = 10
    """... for so many seconds on end is cut as ``RATE``."""
    baseline_bytes: int = 131_072
    """Bytes of states sent to one player that are remembered until the player acknowledges one, so
    that the next ones go as their difference to it. With 0 every state goes whole."""
    challenges_per_second: int = 3
    """Proofs of an address that one player's session asks for, never with more bytes than a BIND
    brought or with a few more than another datagram may have."""
    switches_per_minute: int = 10
    """Changes of address of one player's session."""
    rekey_datagrams: int = 4_194_304
    """Datagrams in either direction after which a session gets new keys, at most half of what one
    key may seal."""
    rekey_seconds: float = 3_600.0
    """Age at which a session gets new keys, at least a minute."""
    login_threads: int = 2
    """Threads that check passwords, each check costs about 30 ms and 16 MiB."""
    login_queue: int = 64
    """Logins that wait for them; further ones are refused as ``BUSY``."""
    scrypt_log2_n: int = 14
    """Cost of a password, as a power of two, where no file of accounts says its own."""
    failed_logins_per_account: int = 5
    """Failed logins a minute for one account from one address; then each makes the next wait."""
    failed_logins_per_address: int = 10
    """Failed logins in ten minutes from one address; then the same for all accounts there."""
    login_delay_seconds: float = 60.0
    """The longest such wait; it begins with a second and doubles. It meets only that address, so
    nobody can lock the owner of an account out from elsewhere."""
    ticket_seconds: float = 60.0
    """Life of a ticket; one made out for longer is refused."""
    ticket_skew_seconds: float = 5.0
    """How far the clocks of server and issuer may differ."""
    max_used_tickets: int = 65_536
    """Used tickets remembered until they expire; when it is full, joins with tickets are refused as
    ``BUSY``."""
    tcp_send_buffer_bytes: int = 262_144
    """Asked of the kernel for what a player's connection has not sent."""
    tcp_unsent_bytes: int = 65_536
    """Bytes that wait there unsent before ours wait here, where they can still be counted."""
    resume_seconds: float = 60.0
    """How long a session without its TCP connection waits for another one; whole seconds on the
    wire. With 0 it does not wait: who loses the connection is out."""
    max_suspended: int = 256
    """Sessions that wait so; beyond it the one that has waited longest is over."""
    slow_seconds: float = 10.0
    """How long a queue may stay over its cap before the cut; at twice the cap it comes at once."""

    def __post_init__(self) -> None:
        # Named, because a slotted dataclass is made twice and super() would miss the second.
        CommonConfig.__post_init__(self)
        self._at_least(
            1,
            "max_players",
            "max_unjoined",
            "max_unjoined_per_address",
            "accepts_burst",
            "listen_backlog",
            "address_table",
            "frames_burst",
            "frames_per_read",
            "bridge_events_per_player",
            "max_input_hz",
            "datagrams_per_second",
            "datagrams_burst",
            "rate_abuse_seconds",
            "challenges_per_second",
            "switches_per_minute",
            "rekey_datagrams",
            "login_threads",
            "login_queue",
            "failed_logins_per_account",
            "failed_logins_per_address",
            "max_used_tickets",
            "max_suspended",
        )
        self._at_least(0, "resume_seconds", "baseline_bytes", "input_hold_seconds")
        self._at_most(0xFFFF, "fits the protocol", "resume_seconds")
        self._at_most(10, "is what anybody would wait for", "input_hold_seconds")
        self._at_most(1 << 40, "goes over any line", "send_bytes_per_second")
        self._at_least(2, "rate_abuse_factor")
        self._at_least(1, "frames_per_second", "chats_per_second")
        self._at_least(65_600, "tcp_bytes_per_second")
        self._at_least(4_096, "tcp_send_buffer_bytes", "tcp_unsent_bytes", "send_bytes_per_second")
        self._at_least(1_200, "datagram_bytes_per_second")
        self._at_least(60, "rekey_seconds")
        self._above_zero(
            "accepts_per_second",
            "frames_per_second",
            "chats_per_second",
            "rekey_seconds",
            "login_delay_seconds",
            "ticket_seconds",
            "ticket_skew_seconds",
            "slow_seconds",
        )
        self._at_most(0xFFFF, "fits the protocol", "max_input_hz", "datagrams_per_second")
        self._at_most(1 << 22, "leaves a reserve before a key's end", "rekey_datagrams")
        self._at_most(17, "costs a third of a second already", "scrypt_log2_n")
        self._at_least(10, "scrypt_log2_n")
        self._at_most(
            0x7FFF_FFFF,
            "can be asked of a kernel",
            "listen_backlog",
            "tcp_send_buffer_bytes",
            "tcp_unsent_bytes",
        )
        if self.max_players_per_address is not None and self.max_players_per_address < 1:
            raise ConfigError("max_players_per_address", "must be at least 1")

    @property
    def players_per_address(self) -> int:
        """``max_players_per_address`` with its default filled in."""
        given = self.max_players_per_address
        return self.max_players if given is None else given
