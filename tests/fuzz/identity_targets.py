"""Who somebody is: lines of a password file, tickets that anybody made, and what a backend says."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gamenet.account_file import parse
from gamenet.core.password import Record, normal_password, parse_record
from gamenet.core.text import checked_name, name_key
from gamenet.credentials import LoginRefused, Ticket
from gamenet.errors import ConfigError, RefusalReason
from gamenet.limits import ServerLimits
from gamenet.tickets import TicketChecker
from tests.fuzz.harness import Cursor, Meter, Target, check, is_safe

if TYPE_CHECKING:
    from collections.abc import Iterable

NOW = 1_700_000_000.0
AUDIENCE = "tag/1"
TICKET_REASONS = frozenset(reason for reason in RefusalReason if reason.name.startswith("TICKET_"))


class PasswordTarget(Target):
    """The file of accounts, whole; and the same bytes as a password."""

    name = "password"

    def seeds(self) -> Iterable[bytes]:
        record = Record("ada", 14, bytes(range(16)), bytes(range(32))).line()
        yield f"# accounts\n\n{record}\n{record.replace('ada', 'Bob')}\n".encode()
        yield f"\ufeff{record}\r\n".encode()
        yield f"{record}\n{record.replace('ada', 'ADA')}\n".encode()
        for old, new in (
            ("ln=14", "ln=18"), ("ln=14", "ln=9"), ("ln=14", "ln=99"), ("r=8", "r=9"),
            ("p=1", "p=1000000"), ("$scrypt", "$argon2"), ("ada:", "a b:"), ("ada:", ":"),
            ("$AAEC", "$!AEC"), ("$AAEC", "$"), ("8$", "8$$"), ("ln=14", "ln=\u0661\u0664"),
        ):  # fmt: skip
            yield record.replace(old, new).encode()
        yield record[:-1].encode()
        yield record.encode() + b"\x00"
        yield "pa\u0308ss".encode()
        yield b"\xff\xfe"
        yield b"x" * 1_025

    def run(self, data: bytes, meter: Meter) -> None:
        self._file(data, meter)
        normal = meter(normal_password, data)
        if normal is not None:
            check(normal and not set(normal) & set(range(32)), "no password", normal)

    def _file(self, data: bytes, meter: Meter) -> None:
        try:
            records = meter(parse, data, "accounts", "auth")
        except ConfigError as error:
            check(error.field == "auth" and is_safe(str(error)), "an error that acts", str(error))
            return
        keys = [name_key(record.name) for record in records]
        check(len(set(keys)) == len(keys), "an account twice", keys)
        for record in records:
            check(10 <= record.log2_n <= 17, "a cost out of bounds", record.log2_n)
            check(16 <= len(record.salt) <= 64 and len(record.hash) == 32, "sizes", record)
            check(checked_name(record.name) == record.name, "no name", record.name)
            check(parse_record(record.line()) == record, "a record that reads differently", record)
            check(record.line().partition("$")[2] not in repr(record), "a hash in a repr")


def encoded(part: bytes) -> bytes:
    """Base64 as tickets have it."""
    return urlsafe_b64encode(part).rstrip(b"=")


def claims(**changed: Any) -> bytes:
    """What a good ticket says, but for *changed*; None leaves a claim out."""
    good = {"sub": "ada", "aud": AUDIENCE, "exp": int(NOW) + 60, "jti": "id-1", "iat": int(NOW)}
    said = {name: value for name, value in {**good, **changed}.items() if value is not None}
    return json.dumps(said).encode()


class TicketTarget(Target):
    """Tickets: the first byte says whether the rest is one whole, or what a trusted key signs.

    In the latter case a second byte is the length of a header, 0 for the right one.
    """

    name = "ticket"
    SIGNED, CLAIMS = 0, 1
    HEADER = b'{"alg":"EdDSA","typ":"JWT"}'

    def __init__(self) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
        self._limits = ServerLimits()
        self._genuine = {self._signed(self.HEADER, claims()), self._signed(self.HEADER, b"{}")}

    def _signed(self, header: bytes, said: bytes) -> bytes:
        part = encoded(header) + b"." + encoded(said)
        return part + b"." + encoded(self._key.sign(part))

    def seeds(self) -> Iterable[bytes]:
        good, empty = sorted(self._genuine, key=len, reverse=True)
        header, said, signature = good.split(b".")
        none = encoded(b'{"alg":"none"}')
        for whole in (
            good, empty, good + b"=", good[:-1], b"..", b"", said, none + b"." + said + b".",
            b".".join((header, encoded(claims(sub="eve")), signature)),
            b".".join((none, said, signature)), good.swapcase(), good + b"\n", b"a" * 2_049,
        ):  # fmt: skip
            yield bytes((self.SIGNED,)) + whole
        for changed in (
            {}, {"aud": ["x", AUDIENCE]}, {"aud": []}, {"aud": "chess"}, {"exp": NOW - 6},
            {"exp": NOW + 1e9}, {"exp": 1e308}, {"exp": -1}, {"exp": 2**70}, {"nbf": NOW + 60},
            {"nbf": NOW}, {"iat": NOW + 3_600}, {"jti": ""}, {"jti": "x" * 65}, {"jti": 5},
            {"jti": "a\x1b[2Jb"}, {"name": "Ada.1"}, {"name": "a b"}, {"name": ""}, {"sub": None},
            {"sub": "a\ud800"}, {"extra": [[{}]]}, {"exp": None}, {"exp": "soon"}, {"exp": True},
        ):  # fmt: skip
            yield bytes((self.CLAIMS, 0)) + claims(**changed)
        for head in (b"{}", b'{"alg":"none"}', b'{"alg":"Ed25519"}', b'{"alg":"HS256"}', b"[]",
                     b'{"alg":"EdDSA","crit":["x"]}', b'{"alg":5}', b"\xff"):  # fmt: skip
            yield bytes((self.CLAIMS, len(head))) + head + claims()
        yield bytes((self.CLAIMS, 0)) + b'{"exp":NaN}'
        yield bytes((self.CLAIMS, 0)) + claims().replace(b"1700000060", b"1e999")
        yield bytes((self.CLAIMS, 0)) + b"[" * 1_400

    def run(self, data: bytes, meter: Meter) -> None:
        cursor = Cursor(data)
        if cursor.number() % 2 == self.SIGNED:
            whole = cursor.rest()
        else:
            header = cursor.take(cursor.number()) or self.HEADER
            whole = self._signed(header, cursor.rest())
        now = NOW
        checker = TicketChecker(self._key.public_key(), AUDIENCE, self._limits, now=lambda: now)
        first = Ticket(whole)
        account = self._shown(checker, first, meter)
        if account is None:
            return
        check(data[0] % 2 == self.CLAIMS or whole in self._genuine, "forged", whole)
        check(0 < len(account) <= 64 and is_safe(account), "no account", account)
        check(checked_name(first.name) == first.name, "no name", first.name)
        check(self._shown(checker, Ticket(whole), meter) is None, "let in twice at once")
        first.settle(False)
        second = Ticket(whole)
        check(self._shown(checker, second, meter) == account, "spent by a join that failed")
        second.settle(True)
        second.settle(False)
        first.settle(False)
        check(self._shown(checker, Ticket(whole), meter) is None, "let in twice")
        now += self._limits.ticket_seconds + 3 * self._limits.ticket_skew_seconds
        check(self._shown(checker, Ticket(whole), meter) is None, "let in for ever")
        check(len(checker.ledger) <= 1, "remembered more than once", len(checker.ledger))

    def _shown(self, checker: TicketChecker, ticket: Ticket, meter: Meter) -> str | None:
        """The account that a ticket gives; None if it is refused as documented."""
        try:
            account: str = meter(checker.requestAvatarId, ticket)
        except LoginRefused as error:
            check(error.refusal in TICKET_REASONS, "another refusal", error.refusal)
            return None
        return account


TARGETS = (PasswordTarget(), TicketTarget())
