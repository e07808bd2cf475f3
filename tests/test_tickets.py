"""Tickets: what a backend signs, what is refused, and that each lets one player in."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import stat
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from twisted.cred.checkers import ICredentialsChecker
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from gamenet.core.ticket import MAX_TICKET_BYTES, Ledger, TicketError, judge, read_ticket
from gamenet.credentials import LoginRefused, Ticket
from gamenet.errors import ConfigError, RefusalReason
from gamenet.limits import ServerLimits
from gamenet.tickets import (
    TicketChecker,
    TicketIssuer,
    make_key,
    read_private_key,
    read_public_key,
)

NOW = 1_800_000_000.0
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
INVALID = RefusalReason.TICKET_INVALID
EXPIRED = RefusalReason.TICKET_EXPIRED
EARLY = RefusalReason.TICKET_EARLY
AUDIENCE = RefusalReason.TICKET_AUDIENCE
USED = RefusalReason.TICKET_USED
EDDSA = {"alg": "EdDSA", "typ": "JWT"}


def spell(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def sign(header: bytes, body: bytes, key: Ed25519PrivateKey = KEY) -> bytes:
    """A token of any two parts, made without gamenet."""
    signed = spell(header) + b"." + spell(body)
    return signed + b"." + spell(key.sign(signed))


def claims(**changed: Any) -> dict[str, Any]:
    """The claims of a good ticket with changes; None leaves one out."""
    said = {"sub": "ada", "aud": "arena", "exp": int(NOW) + 60, "jti": "j1", **changed}
    return {name: value for name, value in said.items() if value is not None}


def token(header: Any = None, key: Ed25519PrivateKey = KEY, **changed: Any) -> bytes:
    return sign(json.dumps(header or EDDSA).encode(), json.dumps(claims(**changed)).encode(), key)


class TicketTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.now = NOW
        self.checker = self.make_checker()

    def make_checker(self, audience: str = "arena", **limits: Any) -> TicketChecker:
        return TicketChecker(
            KEY.public_key(), audience, ServerLimits(**limits), now=lambda: self.now
        )

    def show(self, data: bytes) -> Ticket:
        """A ticket that a checker takes."""
        ticket = Ticket(data)
        self.account = self.checker.requestAvatarId(ticket)
        return ticket

    def refusal(self, data: bytes) -> tuple[RefusalReason, str]:
        """Why a ticket is refused, and what the log says of it."""
        ticket = Ticket(data)
        before = len(self.checker.ledger)
        with capturedLogs() as logs:
            refused = self.assertRaises(LoginRefused, self.checker.requestAvatarId, ticket)
        self.assertEqual((ticket.name, len(self.checker.ledger)), ("", before))
        self.assertLessEqual(len(logs), 1)
        return refused.refusal, "".join(event["cause"] for event in logs)

    def assertRefused(self, data: bytes, refusal: RefusalReason, said: str = "") -> None:
        found, cause = self.refusal(data)
        self.assertIs(found, refusal, data)
        if said:
            self.assertIn(said, cause)
        else:
            self.assertEqual(cause, "")


class SignatureTests(TicketTestCase):
    """Nothing is believed, nor logged, that the trusted key did not sign."""

    def test_whatTheKeySignedIsTaken(self) -> None:
        self.show(token())
        self.assertEqual(self.account, "ada")

    def test_theExampleOfRfc8037IsVerified(self) -> None:
        key = Ed25519PublicKey.from_public_bytes(
            base64.urlsafe_b64decode(b"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo=")
        )
        example = (
            b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7"
            b"-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
        )
        error = self.assertRaises(TicketError, read_ticket, example, key)
        self.assertIn("not made of", error.cause, "signed well, though it has no claims")
        error = self.assertRaises(TicketError, read_ticket, example.replace(b"hgyY", b"hgyZ"), key)
        self.assertEqual(error.cause, "")

    def test_aTicketThatNodeJsMadeIsTaken(self) -> None:
        """By the listing in docs/IDENTITIES.rst."""
        ticket = self.show(
            b"eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJ1c2VyLzg0NzIiLCJuYW1lIjoiYWRhIiwiYXVkIjoiYXJlbmEiLCJp"
            b"YXQiOjE4MDAwMDAwMDAsImV4cCI6MTgwMDAwMDA2MCwianRpIjoiMGUxYzZiM2UtOGQyZi00ZjZhLTlhNTMtN"
            b"mEwZjZmM2EyYjExIn0.FhN6PatwRguM2yx1GI5B5mmgT-dJY8WROp6pU_077DuOV1ZdwUhpdcwy-jkDnum0bG"
            b"DXi3uz4lYpY46E2YgUCw"
        )
        self.assertEqual((self.account, ticket.name), ("user/8472", "ada"))

    def test_anotherKeysTicketIsRefused(self) -> None:
        self.assertRefused(token(key=OTHER_KEY), INVALID)

    def test_aChangedTicketIsRefused(self) -> None:
        good = token()
        for index in range(len(good)):
            changed = bytearray(good)
            changed[index] ^= 1
            self.assertRefused(bytes(changed), INVALID)
        self.show(good)

    def test_aPartOfATicketIsRefused(self) -> None:
        good = token()
        for size in range(len(good)):
            self.assertRefused(good[:size], INVALID)
            self.assertRefused(good[size + 1 :], INVALID)

    def test_whatFollowsATicketIsNotOverlooked(self) -> None:
        good = token()
        for more in (b"\n", b" ", b"=", b"==", b".", b".x", b"A", b"\0", b"." + good):
            self.assertRefused(good + more, INVALID)
            self.assertRefused(more + good, INVALID)

    def test_eachSignatureHasOneSpelling(self) -> None:
        """The last letter of 86 has four bits that mean nothing."""
        good = token()
        letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        last = letters.index(good[-1:])
        for other in range(last + 1, last + 16):
            again = good[:-1] + letters[other : other + 1]
            padded = (again.rpartition(b".")[2] + b"==", good.rpartition(b".")[2] + b"==")
            self.assertEqual(*(base64.urlsafe_b64decode(one) for one in padded))
            self.assertRefused(again, INVALID)

    def test_otherAlgorithmsAreRefused(self) -> None:
        header, body, _ = token().split(b".")
        pem = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        raw = KEY.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        none = spell(b'{"alg":"none"}') + b"." + body
        self.assertRefused(none + b".", INVALID)
        self.assertRefused(none, INVALID)
        for secret in (pem, raw):
            for name, digest in (("HS256", hashlib.sha256), ("HS512", hashlib.sha512)):
                signed = spell(json.dumps({"alg": name}).encode()) + b"." + body
                mac = hmac.new(secret, signed, digest).digest()
                self.assertRefused(signed + b"." + spell(mac), INVALID)
        self.assertRefused(header + b"." + body + b"." + spell(bytes(64)), INVALID)

    def test_headersThatAskForSomethingElseAreRefusedEvenWithAGoodSignature(self) -> None:
        for header in (
            {"alg": "none"},
            {"alg": "HS256"},
            {"alg": "eddsa"},
            {"alg": "EdDSA", "crit": ["exp"]},
            {"alg": "EdDSA", "crit": []},
            {"alg": "EdDSA", "crit": None},
        ):
            self.checker = self.make_checker()
            self.assertRefused(token(header), INVALID, "alg EdDSA")
        for text in (b"", b"{}", b"[]", b"null", b'{"alg":null}', b'{"alg":["EdDSA"]}', b"\xff"):
            if text:
                self.checker = self.make_checker()
                body = json.dumps(claims()).encode()
                self.assertRefused(sign(text, body), INVALID, "not made of")

    def test_theNewerNameOfTheAlgorithmIsTaken(self) -> None:
        self.show(token({"alg": "Ed25519", "kid": "2026"}))

    def test_aTicketIsNotShown(self) -> None:
        good = token()
        self.assertNotIn(good.decode()[:10], repr(Ticket(good)))

    def test_whatIsNotSignedMakesNoLineInTheLog(self) -> None:
        for data in (b"", b"..", b"a.b.c", bytes(2_048), token(key=OTHER_KEY, aud="x")):
            self.assertRefused(data, INVALID)

    def test_hugeTicketsAreRefusedBeforeTheyAreLookedAt(self) -> None:
        fill = MAX_TICKET_BYTES - len(token(x=""))
        self.show(token(x="x" * (fill * 3 // 4 - 3)))
        self.assertRefused(token(jti="j2", x="x" * fill), INVALID)


class ClaimTests(TicketTestCase):
    """What a ticket says."""

    def test_theNameIsTheAccountUnlessTheTicketGivesOne(self) -> None:
        self.assertEqual(self.show(token()).name, "ada")
        ticket = self.show(token(jti="j2", sub="user/8472 é", name="Ada"))
        self.assertEqual((ticket.name, self.account), ("Ada", "user/8472 é"))

    def test_otherClaimsAreNotLookedAt(self) -> None:
        self.show(token(iss="https://example.net", roles=["x"], deep=[[[[{}]]]], nested={"a": 1}))

    def test_claimsThatAreMissingOrOfAnotherKindAreRefused(self) -> None:
        for changed in (
            {"sub": None},
            {"aud": None},
            {"exp": None},
            {"jti": None},
            {"sub": 1},
            {"sub": ["ada"]},
            {"aud": 1},
            {"aud": {"arena": True}},
            {"aud": [1]},
            {"jti": 7},
            {"name": 7},
            {"exp": True},
            {"exp": "1800000060"},
            {"exp": [1]},
            {"nbf": False},
            {"nbf": "0"},
            {"iat": True},
            {"exp": float("nan")},
            {"exp": float("inf")},
            {"nbf": float("-inf")},
        ):
            self.checker = self.make_checker()
            self.assertRefused(token(**changed), INVALID, "not made of")

    def test_textsWithoutASenseAreRefused(self) -> None:
        for name in ("sub", "jti"):
            for text in ("", "x" * 65, "a\nb", "a\x1b[2J", "\u202eada", " ada"):
                self.checker = self.make_checker()
                self.assertRefused(token(**{name: text}), INVALID, f"{name} is not 1 to 64")
        self.show(token(jti="x" * 64, sub="y" * 64, name="ada"))

    def test_aTicketVouchesForAName(self) -> None:
        for changed in ({"sub": "no name"}, {"name": ""}, {"name": "x" * 33}, {"name": "a\nb"}):
            self.checker = self.make_checker()
            self.assertRefused(token(**changed), INVALID, "neither name nor sub is a name")

    def test_timesBeyondAllBoundsAreRefused(self) -> None:
        for time in (10**400, -(10**400), 1e300, -1e300, 1 << 41):
            for name in ("exp", "nbf", "iat"):
                self.checker = self.make_checker()
                self.assertRefused(token(**{name: time}), INVALID, "beyond all bounds")
        text = json.dumps(claims()).replace(str(int(NOW) + 60), "1e999").encode()
        self.assertRefused(sign(b'{"alg":"EdDSA"}', text), INVALID, "not made of")

    def test_whatIsNoJsonIsRefused(self) -> None:
        good = json.dumps(claims()).encode()
        for body in (
            b"x",
            b"{}",
            b"[]",
            b'"ada"',
            good[:-1],
            good + b"x",
            good + good,
            good.replace(b"ada", b"\xff"),
            good.replace(b"ada", b"\\ud800"),
            good.replace(b"ada", b"a\nda"),
            good.replace(b"{", b"\xef\xbb\xbf{"),
            good.decode().encode("utf-16"),
            b"[" * 1_400,
            b'{"x":' * 250,
            good[:-1] + b',"x":' + b"[" * 1_300,
        ):
            self.checker = self.make_checker()
            found, _ = self.refusal(sign(b'{"alg":"EdDSA"}', body))
            self.assertIs(found, INVALID, body)

    def test_theDeepestNestingThatFitsIsSurvived(self) -> None:
        good = json.dumps(claims()).encode()
        deepest = 0
        for depth in range(100, 700, 20):
            body = good[:-1] + b',"x":' + b"[" * depth + b"]" * depth + b"}"
            data = sign(b'{"alg":"EdDSA"}', body)
            if len(data) > MAX_TICKET_BYTES:
                break
            deepest = depth
            self.checker = self.make_checker()
            try:
                self.checker.requestAvatarId(Ticket(data))
            except LoginRefused as refused:
                self.assertIs(refused.refusal, INVALID)
        self.assertGreater(deepest, 500)

    def test_aClaimThatIsThereTwiceCountsOnce(self) -> None:
        body = json.dumps(claims()).encode()[:-1] + b',"aud":"elsewhere"}'
        self.assertRefused(sign(b'{"alg":"EdDSA"}', body), AUDIENCE)

    def test_aMistakeOfTheIssuerIsLoggedOnce(self) -> None:
        self.assertRefused(token(sub="a b"), INVALID, "neither name")
        for _ in range(3):
            self.assertRefused(token(sub="a b"), INVALID)
        self.assertRefused(token(jti=""), INVALID, "jti is not")


class AudienceTests(TicketTestCase):
    def test_itIsThisServerOrOneOfSeveral(self) -> None:
        self.show(token(aud="arena", jti="1"))
        self.show(token(aud=["lobby", "arena"], jti="2"))

    def test_othersAreRefused(self) -> None:
        for meant in ("lobby", "", "Arena", "arena ", "aren", [], ["lobby"], [""]):
            self.assertRefused(token(aud=meant), AUDIENCE)

    def test_itComesBeforeTheTimes(self) -> None:
        self.assertRefused(token(aud="lobby", exp=0), AUDIENCE)


class TimeTests(TicketTestCase):
    """Life 60 s, clocks 5 s apart."""

    def test_aTicketEndsWithTheSkew(self) -> None:
        for data in (token(), token(exp=NOW + 60.0)):
            self.checker = self.make_checker()
            self.now = NOW + 64.99
            self.show(data).settle(False)
            self.now = NOW + 65
            self.assertRefused(data, EXPIRED)

    def test_timesOfLongAgoAreOver(self) -> None:
        for time in (0, -1, -(1 << 40), -0.5):
            self.assertRefused(token(exp=time), EXPIRED)

    def test_aTicketMayNotBeMadeOutForLonger(self) -> None:
        self.show(token(exp=NOW + 65))
        for changed in (
            {"exp": NOW + 65.01},
            {"exp": NOW + 3_600},
            {"exp": 1 << 40},
            {"iat": NOW - 3_540},
            {"iat": 0},
            {"iat": NOW + 5, "exp": NOW + 66},
        ):
            self.checker = self.make_checker()
            self.assertRefused(token(**changed), INVALID, "longer than ticket_seconds, which is 60")

    def test_aTicketIsNotTakenEarly(self) -> None:
        for name in ("nbf", "iat"):
            self.checker = self.make_checker()
            self.show(token(**{name: NOW + 5}))
            self.checker = self.make_checker()
            self.assertRefused(token(**{name: NOW + 5.01}), EARLY, "compare clocks")

    def test_anIssuersClockThatIsAheadIsSaidSo(self) -> None:
        self.assertRefused(token(iat=NOW + 600, exp=NOW + 660), EARLY, "compare clocks")
        self.now = NOW + 600
        self.assertRefused(token(iat=NOW, exp=NOW + 60), EXPIRED)

    def test_theLimitsAreTheServers(self) -> None:
        self.checker = self.make_checker(ticket_seconds=600.0, ticket_skew_seconds=0.5)
        self.show(token(exp=NOW + 600, jti="1"))
        self.now = NOW + 60.4
        self.show(token(jti="2"))
        self.now = NOW + 60.5
        self.assertRefused(token(jti="3"), EXPIRED)

    def test_judgingReadsNoClock(self) -> None:
        said = read_ticket(token(), KEY.public_key())
        judge(said, "arena", NOW, 60, 5)
        error = self.assertRaises(TicketError, judge, said, "arena", NOW + 70, 60, 5)
        self.assertIs(error.refusal, EXPIRED)


class OnceTests(TicketTestCase):
    """A ticket is pending from the moment it is shown, then used up, or as new."""

    def test_shownTwiceAtOnceItLetsOneIn(self) -> None:
        first = self.show(token())
        self.assertRefused(token(), USED)
        first.settle(True)
        self.assertRefused(token(), USED)

    def test_afterAJoinThatCameToNothingItIsAsNew(self) -> None:
        for _ in range(3):
            self.show(token()).settle(False)
        self.assertEqual(len(self.checker.ledger), 0)
        self.show(token()).settle(True)
        self.assertRefused(token(), USED)

    def test_itsJtiDecidesAndNotItsBytes(self) -> None:
        self.show(token())
        for again in (token(name="bob"), token(sub="eve"), token({"alg": "Ed25519"}), token(x=1)):
            self.assertRefused(again, USED)
        self.show(token(jti="j2"))

    def test_settlingCountsOnce(self) -> None:
        first = self.show(token())
        first.settle(True)
        first.settle(False)
        self.assertRefused(token(), USED)
        other = self.show(token(jti="j2"))
        other.settle(False)
        again = self.show(token(jti="j2"))
        other.settle(False)
        self.assertRefused(token(jti="j2"), USED)
        again.settle(True)

    def test_aLateAnswerFreesNobodyElsesTicket(self) -> None:
        late = self.show(token())
        self.now = NOW + 70
        self.show(token(exp=NOW + 130))
        late.settle(False)
        self.assertRefused(token(exp=NOW + 130), USED)

    def test_aRefusedTicketIsNotSettled(self) -> None:
        self.show(token())
        again = Ticket(token())
        self.assertRaises(LoginRefused, self.checker.requestAvatarId, again)
        again.settle(False)
        self.assertRefused(token(), USED)

    def test_itIsRememberedUntilItCannotBeShownAnyMore(self) -> None:
        self.show(token()).settle(True)
        self.now = NOW + 64.99
        self.assertRefused(token(), USED)
        self.now = NOW + 65
        self.assertRefused(token(), EXPIRED)
        self.now = NOW + 67
        self.show(token(jti="j2", exp=NOW + 100))
        self.assertEqual(len(self.checker.ledger), 1)

    def test_partsOfASecondCount(self) -> None:
        self.show(token(exp=NOW + 60.9)).settle(True)
        self.now = NOW + 65.8
        self.assertRefused(token(exp=NOW + 60.9), USED)
        self.now = NOW + 65.9
        self.assertRefused(token(exp=NOW + 60.9), EXPIRED)

    def test_aFullLedgerRefusesAndForgetsNothing(self) -> None:
        self.checker = self.make_checker(max_used_tickets=3)
        for number in range(2):
            self.show(token(jti=f"u{number}")).settle(True)
        pending = self.show(token(jti="p"))
        ticket = Ticket(token(jti="late"))
        with capturedLogs() as logs:
            refused = self.assertRaises(LoginRefused, self.checker.requestAvatarId, ticket)
            self.assertRaises(LoginRefused, self.checker.requestAvatarId, ticket)
        self.assertIs(refused.refusal, RefusalReason.BUSY)
        self.assertGreater(refused.retry_after_seconds, 0)
        self.assertEqual(len(logs), 1)
        for jti in ("u0", "u1", "p"):
            self.assertRefused(token(jti=jti), USED)
        pending.settle(False)
        self.show(ticket.data)

    def test_aFullLedgerEmptiesWithTime(self) -> None:
        self.checker = self.make_checker(max_used_tickets=3)
        for number in range(3):
            self.show(token(jti=f"u{number}")).settle(True)
        self.now = NOW + 66
        self.show(token(exp=NOW + 120, jti="next"))
        self.assertEqual(len(self.checker.ledger), 1)

    def test_aClockThatIsSetBackMakesNoUsedTicketNew(self) -> None:
        self.show(token()).settle(True)
        self.now = NOW + 100
        self.show(token(exp=NOW + 160, jti="j2"))
        self.now = NOW + 10
        self.assertRefused(token(), EXPIRED, "clock of this server went back")
        self.assertRefused(token(exp=NOW + 60, jti="j3"), EXPIRED)
        self.show(token(exp=NOW + 70, jti="j4"))

    def test_aClockThatJumpsAheadAndBackRefusesForOneLifeAtMost(self) -> None:
        self.show(token()).settle(True)
        self.now = NOW + 3_600
        self.assertRefused(token(jti="j2"), EXPIRED)
        self.now = NOW + 30
        self.show(token(exp=NOW + 90, jti="j3"))
        self.assertRefused(token(), USED)


class LedgerTests(SynchronousTestCase):
    def test_theSameTicketShownAgainAndAgainTakesNoRoom(self) -> None:
        ledger = Ledger(2)
        for _ in range(1_000):
            ledger.show("j", NOW + 60, NOW)(False)
        self.assertEqual(len(ledger), 0)
        self.assertEqual((len(ledger._due), len(ledger._seconds)), (1, 1))

    def test_itKeepsWhatIsNotOver(self) -> None:
        ledger = Ledger(100_000)
        for second in range(600):
            for number in range(3):
                ledger.show(f"{second}.{number}", NOW + second + 60, NOW + second)(True)
            self.assertLessEqual(len(ledger), 3 * 61)
        ledger.show("last", NOW + 10_000, NOW + 9_990)
        self.assertEqual((len(ledger), len(ledger._due), len(ledger._seconds)), (1, 1, 1))

    def test_aModelThatNeverForgetsAgrees(self) -> None:
        """At any speed of the clock, each jti is let in once."""
        import random

        dice = random.Random(7)
        ledger = Ledger(50)
        used: set[str] = set()
        pending: dict[str, Any] = {}
        now = NOW
        let_in = 0
        for _ in range(5_000):
            now += dice.choice((0.0, 0.0, 0.3, 1.0, 20.0))
            jti = str(dice.randrange(200))
            expires = NOW + 40 * int(jti)
            if now >= expires:
                continue
            if dice.random() < 0.5 and jti in pending:
                well = dice.random() < 0.5
                pending.pop(jti)(well)
                if well:
                    used.add(jti)
                continue
            try:
                settle = ledger.show(jti, expires, now)
            except TicketError as error:
                if error.refusal is USED:
                    self.assertTrue(jti in used or jti in pending)
                continue
            self.assertNotIn(jti, used)
            self.assertNotIn(jti, pending)
            pending[jti] = settle
            let_in += 1
        self.assertGreater(let_in, 100)


class IssuerTests(TicketTestCase):
    def issuer(self, **changed: Any) -> TicketIssuer:
        return TicketIssuer(KEY, **{"audience": "arena", "now": lambda: self.now, **changed})

    def test_itsTicketsAreTaken(self) -> None:
        ticket = self.show(self.issuer().issue("ada"))
        self.assertEqual((self.account, ticket.name), ("ada", "ada"))
        ticket = self.show(self.issuer().issue("user/1", "Bob"))
        self.assertEqual((self.account, ticket.name), ("user/1", "Bob"))

    def test_itsTicketsAreJsonWebTokens(self) -> None:
        header, body, signature = self.issuer(seconds=30).issue("ada").split(b".")
        parts = [base64.urlsafe_b64decode(part + b"==") for part in (header, body, signature)]
        self.assertEqual(json.loads(parts[0]), {"alg": "EdDSA", "typ": "JWT"})
        said = json.loads(parts[1])
        self.assertGreaterEqual(len(said.pop("jti")), 16)
        self.assertEqual(said, {"sub": "ada", "aud": "arena", "exp": NOW + 30, "iat": NOW})
        KEY.public_key().verify(parts[2], header + b"." + body)

    def test_noTwoAreTheSame(self) -> None:
        issuer = self.issuer()
        self.show(issuer.issue("ada")).settle(True)
        self.show(issuer.issue("ada")).settle(True)

    def test_whatNoServerWouldTakeIsNotMade(self) -> None:
        for account, name, field in (
            ("", "", "account"),
            ("x" * 65, "ada", "account"),
            ("a b", "", "account"),
            ("ada\n", "ada", "account"),
            ("ada", "a b", "name"),
            ("ada", "x" * 33, "name"),
        ):
            error = self.assertRaises(ConfigError, self.issuer().issue, account, name)
            self.assertEqual(error.field, field)
        for changed in ({"audience": ""}, {"seconds": 0}, {"seconds": float("nan")}):
            self.assertRaises(ConfigError, lambda c=changed: self.issuer(**c))
        error = self.assertRaises(ConfigError, self.issuer(audience="a" * 2_000).issue, "ada")
        self.assertEqual(error.field, "audience")

    def test_theCheckerKeepsItsInterface(self) -> None:
        self.assertTrue(verifyObject(ICredentialsChecker, self.checker))


class KeyFileTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.path = self.folder / "tickets.key"

    def problem(self, read: Any, data: bytes | None = None) -> str:
        if data is not None:
            self.path.write_bytes(data)
            self.path.chmod(0o600)
        said = str(self.assertRaises(ConfigError, read, self.path))
        self.assertIn(str(self.path), said)
        self.assertNotIn("\n", said)
        return said

    def test_aPairIsMade(self) -> None:
        public = make_key(self.path)
        self.assertEqual(public, Path(f"{self.path}.pub"))
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
        key, checked = read_private_key(self.path), read_public_key(public)
        checked.verify(key.sign(b"x"), b"x")

    def test_filesThatAreThereStay(self) -> None:
        make_key(self.path)
        beside = Path(f"{self.path}.pub")
        before = self.path.read_bytes(), beside.read_bytes()
        self.assertIn("exists already", str(self.assertRaises(ConfigError, make_key, self.path)))
        self.assertEqual((self.path.read_bytes(), beside.read_bytes()), before)
        beside.unlink()
        self.assertIn("exists already", str(self.assertRaises(ConfigError, make_key, self.path)))
        self.assertEqual(os.listdir(self.folder), ["tickets.key"])
        self.assertEqual(self.path.read_bytes(), before[0])

    def test_aFolderThatIsNotThere(self) -> None:
        error = self.assertRaises(ConfigError, make_key, self.folder / "no" / "key")
        self.assertIn("No such file", str(error))

    def test_aPrivateKeyThatOthersCanReadIsRefused(self) -> None:
        make_key(self.path)
        for mode in (0o644, 0o604, 0o666):
            self.path.chmod(mode)
            self.assertIn("chmod 600", self.problem(read_private_key))

    def test_aPrivateKeyInPlaceOfThePublicOneIsNamed(self) -> None:
        make_key(self.path)
        self.assertIn(".pub", self.problem(read_public_key))

    def test_whatIsNoKeyIsNamed(self) -> None:
        for read in (read_private_key, read_public_key):
            for data in (b"", b"secret nonsense", b"-----BEGIN PUBLIC KEY-----\nAAAA\n"):
                said = self.problem(read, data)
                self.assertIn("in PEM", said)
                self.assertNotIn("nonsense", said)
            self.path.unlink()
            self.assertIn("No such file", self.problem(read))

    def test_keysOfAnotherKindAreNamed(self) -> None:
        key = generate_private_key(SECP256R1())
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        self.assertIn("not an Ed25519 key", self.problem(read_private_key, pem))
        pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        self.assertIn("not an Ed25519 key", self.problem(read_public_key, pem))

    def test_aKeyUnderAPassphraseIsNamed(self) -> None:
        locked = KEY.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"open")
        )
        self.assertIn("without a passphrase", self.problem(read_private_key, locked))
