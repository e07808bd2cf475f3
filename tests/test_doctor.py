"""What ``gamenet doctor`` says about what it has found."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import socket
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from cryptography.x509 import load_pem_x509_certificate
from OpenSSL import SSL
from twisted.internet.interfaces import IReactorFDSet
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from gamenet import tls_problems
from gamenet.addresses import Target
from gamenet.certificates import make_certificate
from gamenet.cli import main
from gamenet.cli_doctor import exit_status
from gamenet.client_host import HUNG_UP_PLAIN
from gamenet.config import ClientConfig
from gamenet.doctor import reach
from gamenet.doctor.check import NAMES, TITLES, Check, listed, ms
from gamenet.doctor.deaf import Deaf
from gamenet.doctor.ending import ended_check, gone_check, is_told
from gamenet.doctor.examination import Examination
from gamenet.doctor.facts import Attempt, Datagrams, Found, Measured, Shown
from gamenet.doctor.fixes import REFUSAL_FIXES, TLS_PROBLEMS, tls_words
from gamenet.doctor.path_findings import (
    clock_check,
    fallback_check,
    loss_check,
    mtu_check,
    no_second_join_check,
    rtt_check,
    udp_check,
)
from gamenet.doctor.patience import Interrupted, Patience, Stuck
from gamenet.doctor.reach_findings import (
    is_no_tls,
    joined_check,
    name_check,
    no_tls,
    not_joined_check,
    refused_check,
    tcp_check,
    tls_check,
)
from gamenet.doctor.show import Lines, Nothing
from gamenet.doctor.summary import summary
from gamenet.doctor.trust import HUNG_UP, Look
from gamenet.doctor.visit import Visit
from gamenet.errors import DISCONNECT_TEXTS, REFUSAL_TEXTS, DisconnectReason, RefusalReason
from gamenet.events import SERVER, Disconnected

TARGET = Target("play.example", 7777)
WELL = Measured(
    path="udp",
    seconds=5.0,
    round_trips=(0.048, 0.050, 0.049, 0.047),
    jitter=0.001,
    up_lost=0,
    up_sent=150,
    down_lost=1,
    down_sent=150,
    clock_offset=12.5,
    clock_uncertainty=0.0004,
)
SIZES = {48: 3, 1_100: 3, 1_200: 3}


class CheckCase(SynchronousTestCase):
    """Sees that a check says what it must."""

    def see(self, check: Check, verdict: str, *words: str) -> None:
        """The verdict, words of the text or the fix, and a fix where there is one to be had."""
        self.assertEqual(check.verdict, verdict, check)
        self.assertIn(check.name, NAMES)
        for each in words:
            self.assertIn(each, f"{check.text} | {check.fix}")
        self.assertEqual(bool(check.fix), verdict in ("warning", "failed"), check)
        self.assertNotIn(".", (check.fix[-1:]), "the summary puts it into a sentence")
        json.dumps(check.report(), allow_nan=False)


class NameTests(CheckCase):
    def found(self, *hosts: str) -> Found:
        return Found(tuple((socket.AF_INET6 if ":" in h else 2, (h, 7777)) for h in hosts))

    def test_addresses(self) -> None:
        check = name_check(TARGET, self.found("192.0.2.1", "2001:db8::1"))
        self.see(check, "ok", "play.example is 192.0.2.1 and 2001:db8::1")
        self.assertEqual(check.figures, {"ipv4": ["192.0.2.1"], "ipv6": ["2001:db8::1"]})
        check = name_check(Target("::1", 7777), self.found("::1"))
        self.see(check, "ok", "::1 is an address already")

    def test_failures_are_told_apart(self) -> None:
        self.see(name_check(TARGET, None), "failed", "nobody answers", "no network")
        self.see(name_check(TARGET, Found((), "no answer")), "failed", "nobody answers")
        self.see(name_check(TARGET, Found((), "unknown", "not known")), "failed", "misspelt")
        self.see(name_check(TARGET, Found((), "failed", "too long")), "failed", "no host")

    def test_what_the_resolver_says(self) -> None:
        for error, problem in (
            (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "unknown"),
            (socket.gaierror(socket.EAI_AGAIN, "Temporary failure"), "no answer"),
            (UnicodeError("label too long"), "failed"),
            (OSError(errno.EMFILE, "Too many open files"), "failed"),
        ):
            with patch("socket.getaddrinfo", side_effect=error):
                self.assertEqual(reach.resolve("play.example", 7777).problem, problem)

    def test_each_address_once_and_not_too_many(self) -> None:
        entries = [(2, 1, 6, "", (f"192.0.2.{number // 2}", 7777)) for number in range(40)]
        with patch("socket.getaddrinfo", return_value=entries):
            places = reach.resolve("play.example", 7777).places
        self.assertEqual(len(set(places)), len(places))
        self.assertEqual(len(places), reach.MOST_ADDRESSES)


class TcpTests(CheckCase):
    FOUR = Attempt("192.0.2.1", 7777, "connected", 0.0123)
    SIX = Attempt("2001:db8::1", 7777, "connected", 0.013)

    def test_all_answer(self) -> None:
        check = tcp_check(TARGET, [self.FOUR, self.SIX])
        self.see(check, "ok", "192.0.2.1:7777 answers in 12 ms; [2001:db8::1]:7777 answers")
        self.assertEqual(
            check.figures["attempts"][0],
            {"address": "192.0.2.1:7777", "outcome": "connected", "ms": 12.3},
        )

    def test_a_machine_without_ipv6_is_not_worse_off(self) -> None:
        six = self.SIX._replace(outcome="unreachable")
        self.see(tcp_check(TARGET, [six, self.FOUR]), "ok", "no way from here to [2001:db8::1]")
        six = six._replace(outcome="refused")
        self.see(tcp_check(TARGET, [six, self.FOUR]), "warning", "also stands for [2001:db8::1]")

    def test_none_answers(self) -> None:
        for outcome, *words in (
            ("refused", "refuses", "nothing listens at TCP port 7777"),
            ("timed out", "does not answer within 3 s", "allow or forward TCP 7777"),
            ("unreachable", "no way from here", "not connected"),
            ("failed", "odd", "firewall or proxy of its own"),
        ):
            attempt = self.FOUR._replace(outcome=outcome, seconds=3.01, words="odd")  # type: ignore[arg-type]
            self.see(tcp_check(TARGET, [attempt]), "failed", *words)

    def test_errors_are_told_apart(self) -> None:
        for error, outcome in (
            (TimeoutError("timed out"), "timed out"),
            (OSError(errno.ETIMEDOUT, "Connection timed out"), "timed out"),
            (OSError(errno.ECONNREFUSED, "Connection refused"), "refused"),
            (OSError(errno.ENETUNREACH, "Network is unreachable"), "unreachable"),
            (OSError(errno.EHOSTUNREACH, "No route to host"), "unreachable"),
            (OSError(errno.EPERM, "Operation not permitted"), "failed"),
        ):
            with patch("socket.socket", side_effect=error):
                attempt = reach.connect(socket.AF_INET, ("192.0.2.1", 7777))
            self.assertEqual(attempt.outcome, outcome)
            self.assertEqual(str(attempt), "192.0.2.1:7777")

    def test_what_answers(self) -> None:
        for data, answer in (
            (b"HTTP/1.1 400 Bad Request", "http"),
            (b"\n<!DOCTYPE HTML>", "http"),
            (b"SSH-2.0-OpenSSH", "ssh"),
            (b"\x15\x03\x03\0\x02", "tls"),
            (b"\x16\x03\x03\0\x7a", "tls"),
            (b"220 mail.example", "other"),
            (b"", "closed"),
        ):
            self.assertEqual(reach.answer_of(data), answer)

    def test_who_answers_nothing(self) -> None:
        for error, answer in (
            (TimeoutError("timed out"), "silent"),
            (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), "nobody"),
            (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), "closed"),
        ):
            with patch("socket.socket", side_effect=error):
                self.assertEqual(reach.sniff(socket.AF_INET, ("192.0.2.1", 7777)), answer)


class TlsTests(CheckCase):
    PIN = "ab" * 32

    def test_trusted(self) -> None:
        shown = Shown("", self.PIN, "TLSv1.3", "2027-01-31", 90)
        check = tls_check(TARGET, shown, None)
        self.see(check, "ok", "is for play.example and good until 2027-01-31")
        self.see(tls_check(TARGET._replace(pin=self.PIN), shown, None), "ok", "the pinned one")
        soon = shown._replace(days_left=6)
        self.see(tls_check(TARGET, soon, None), "warning", "must renew")
        self.see(tls_check(TARGET._replace(pin=self.PIN), soon, None), "ok")

    def test_every_sentence_about_tls_has_its_fix(self) -> None:
        shown = load_pem_x509_certificate(make_certificate(["a"]).certificate)
        sentences = [
            tls_problems.NOT_TLS,
            tls_problems.HUNG_UP,
            tls_problems.OLD_TLS,
            tls_problems.wrong_pin(self.PIN, "cd" * 32),
            tls_problems.wrong_name("play.example"),
            "the server's certificate cannot be read: ValueError",
            "no server answers at play.example:7777: Connection refused",
            HUNG_UP,
            *(tls_problems.fault(shown, self.PIN, number, 0) for number in (9, 10, 18, 20, 66, 1)),
        ]
        texts = set()
        for sentence in sentences:
            text, fix = tls_words(sentence)
            self.assertIn((text, fix), [row[1:] for row in TLS_PROBLEMS], sentence)
            texts.add(text)
            self.see(tls_check(TARGET, Shown(sentence), None), "failed", text, fix)
        self.assertEqual(len(texts), 13)
        odd = tls_problems.explain(Failure(SSL.Error([("", "", "decryption failed")])))
        self.see(
            tls_check(TARGET, Shown(odd or ""), None), "failed", "decryption", "another network"
        )

    def test_the_fingerprint_that_was_shown_is_told(self) -> None:
        target = TARGET._replace(pin=self.PIN)
        sentence = tls_problems.wrong_pin(self.PIN, "cd" * 32)
        check = tls_check(target, Shown(sentence), None)
        self.see(check, "failed", f"it is sha256={'cd' * 32}", "do not join by this one")
        self.assertEqual(check.figures["fingerprint"], "cd" * 32)
        self.assertEqual(check.figures["pinned"], self.PIN)

    def test_what_else_answers(self) -> None:
        self.see(tls_check(TARGET, None, "silent"), "failed", "says nothing", "one that hangs")
        self.see(tls_check(TARGET, None, None), "failed", "have its operator look")
        shown = Shown(tls_problems.NOT_TLS)
        self.see(
            tls_check(TARGET, shown, "http"), "failed", "a web server answers at TCP port 7777"
        )
        self.see(tls_check(TARGET, shown, "closed"), "failed", "say --insecure")
        self.assertTrue(is_no_tls(tls_problems.NOT_TLS))
        self.assertFalse(is_no_tls(tls_problems.OLD_TLS))

    def test_none_is_wanted(self) -> None:
        self.see(no_tls(), "not tried", "--insecure")

    def test_nobody_has_to_connect_before_giving_up(self) -> None:
        look = Look(TARGET, ClientConfig(), MemoryReactorClock())
        look.stop()
        self.assertIsNone(look.shown)


class JoinTests(CheckCase):
    def test_joined(self) -> None:
        check = joined_check("ada\x1b[2J", True, 0.0312)
        self.see(check, "ok", "joined as ada[2J in 31 ms, encrypted")
        self.see(joined_check("ada", False, 0.1), "ok", "not encrypted")

    def test_every_refusal_has_its_fix(self) -> None:
        for reason in RefusalReason:
            check = refused_check(reason, REFUSAL_TEXTS[reason], 0.0)
            self.see(check, "failed", REFUSAL_TEXTS[reason], REFUSAL_FIXES[reason])
            self.assertEqual(check.figures["refusal"], reason.name)
        self.see(refused_check(RefusalReason.BUSY, "Busy.", 30.0), "failed", "a pause of 30 s")

    def test_no_answer(self) -> None:
        for answer, words in (
            ("http", "a web server answers"),
            ("ssh", "an SSH server answers"),
            ("tls", "leave --insecure out"),
            ("other", "something else than a game server"),
            ("silent", "says nothing"),
            ("closed", "does not speak gamenet's protocol"),
            (None, "does not speak gamenet's protocol"),
        ):
            check = not_joined_check(TARGET, HUNG_UP_PLAIN, answer)  # type: ignore[arg-type]
            self.see(check, "failed", "the server hung up without answering |", words)


class UdpTests(CheckCase):
    def test_bound(self) -> None:
        check = udp_check(7777, 0.051, Datagrams())
        self.see(check, "ok", "UDP 7777 passes both ways, 51 ms after the join")
        self.assertEqual(check.figures, {"port": 7777, "bound": True, "ms": 51.0})

    def test_which_way_is_blocked(self) -> None:
        for probed, kind, words in (
            (Datagrams(dict(SIZES)), "all", "ask whoever runs the network to allow UDP 7777"),
            (Datagrams(dict(SIZES), dict(SIZES)), "answers", "allow answers from UDP port 7777"),
            (Datagrams(dict(SIZES), {48: 3, 1_100: 1}), "long", "1,100 bytes do, 1,200 do not"),
            (Datagrams(dict(SIZES), dict(SIZES), [1_200]), "often", "loses most"),
            (Datagrams(dict(SIZES), error="refused"), "port", "nothing listens at UDP 7777"),
            (Datagrams(error="forbidden"), "here", "a firewall on this machine forbids them"),
            (Datagrams(error="unreachable"), "sending", "no datagram can be sent"),
            (Datagrams(), "sending", "no datagram can be sent"),
        ):
            check = udp_check(7777, None, probed)
            self.see(check, "failed", words)
            self.assertEqual(check.figures["blocked"], kind)
            self.assertEqual(check.figures["arrived"], sum(probed.arrived.values()))

    def test_mtu(self) -> None:
        whole = Datagrams({1_200: 3}, {1_200: 3}, [1_200], "", True, 1_500)
        check = mtu_check(whole)
        self.see(check, "ok", "1,200 bytes", "unfragmented and come back", "MTU for 1500")
        self.assertEqual(
            check.figures,
            {
                "payload_up": 1_200,
                "payload_down": 1_200,
                "dont_fragment": True,
                "kernel_path_mtu": 1_500,
            },
        )
        check = mtu_check(replace(whole, dont_fragment=False, kernel_mtu=0))
        self.see(check, "ok", "pass up and come back")
        self.assertNotIn("unfragmented", check.text)
        self.assertNotIn("MTU for", check.text)
        self.see(mtu_check(replace(whole, answers=[])), "ok", "does not answer another port")
        short = replace(whole, arrived={1_024: 3}, answers=[])
        self.see(mtu_check(short), "warning", "those of 1,200 only in fragments", "1248 or more")
        self.see(
            mtu_check(replace(whole, arrived={}, answers=[])), "not tried", "when UDP was bound"
        )


class MeasuredTests(CheckCase):
    def test_round_trips(self) -> None:
        check = rtt_check(WELL)
        self.see(check, "ok", "48 ms over UDP (least 47 ms, 95 % within 50 ms, jitter 1.0 ms; 4 in")
        self.assertEqual(check.figures["p95_ms"], 50.0)
        far = WELL._replace(round_trips=(0.3, 0.31))
        self.see(rtt_check(far), "warning", "far away")
        self.see(rtt_check(WELL._replace(jitter=0.06)), "warning", "fills the line")
        self.see(rtt_check(WELL._replace(round_trips=(0.1, 0.6))), "warning", "fills the line")
        changed = WELL._replace(changed="tcp (silent)")
        self.see(rtt_check(changed), "warning", "meanwhile: tcp (silent)", "did not hold")
        self.see(rtt_check(WELL._replace(round_trips=())), "failed", "answered nothing")

    def test_loss(self) -> None:
        check = loss_check(WELL)
        self.see(check, "ok", "0.0 % up (0 of 150), 0.7 % down (1 of 150)")
        self.assertEqual((check.figures["up"], check.figures["down"]), (0.0, 0.0067))
        self.see(loss_check(WELL._replace(up_lost=9)), "warning", "from here to the server")
        self.see(loss_check(WELL._replace(down_lost=9)), "warning", "from the server to here")
        self.see(loss_check(WELL._replace(up_sent=0)), "warning", "--seconds 10")
        self.see(loss_check(WELL._replace(path="tcp")), "not tried", "comes late instead")

    def test_clock(self) -> None:
        check = clock_check(WELL)
        self.see(check, "ok", "known to 0.40 ms; it is 12.500 s ahead of")
        self.assertEqual(check.figures, {"offset_seconds": 12.5, "uncertainty_ms": 0.4})
        self.see(clock_check(WELL._replace(clock_uncertainty=0.06)), "warning", "round trip")
        unknown = WELL._replace(clock_uncertainty=float("inf"))
        self.see(clock_check(unknown), "failed", "has not told its time")

    def test_fallback(self) -> None:
        inside = WELL._replace(path="tcp")
        check = fallback_check(inside, is_forced=True)
        self.see(check, "ok", "with UDP cut on this machine, TCP carries the game at 48 ms")
        self.see(fallback_check(inside, is_forced=False), "ok", "with UDP blocked")
        for broken in (WELL, inside._replace(round_trips=())):
            self.see(fallback_check(broken, is_forced=True), "failed", "nothing came inside TCP")
        self.see(no_second_join_check("The server is full."), "warning", "The server is full.")


class EndingTests(CheckCase):
    """The server does not stay until the end: the path is not to blame."""

    NOW = Attempt("192.0.2.1", 7777, "refused")

    def over(
        self, reason: DisconnectReason, text: str = "", refusal: RefusalReason | None = None
    ) -> Disconnected:
        return Disconnected(SERVER, reason, text, refusal)

    def test_the_server_said_so(self) -> None:
        for reason, words in (
            (DisconnectReason.STOPPED, "try again in a few minutes"),
            (DisconnectReason.DRAINED, "try again in a few minutes"),
            (DisconnectReason.KICKED, "put the player out"),
            (DisconnectReason.REPLACED, "another name with --user"),
            (DisconnectReason.GAME_ERROR, "the reason in its log"),
            (DisconnectReason.RATE, "compare the versions"),
            (DisconnectReason.SLOW_CONSUMER, "end what else uses them"),
        ):
            over = self.over(reason)
            self.assertTrue(is_told(over))
            check = ended_check("mtu", over)
            self.see(check, "failed", words, "the server ended the session during the path MTU che")
            self.assertIn(DISCONNECT_TEXTS[reason], check.text)
            self.assertEqual(check.figures, {"ended": True, "reason": reason.name})
        check = ended_check("udp", self.over(DisconnectReason.KICKED, "not\x1b today"))
        self.see(check, "failed", "during the UDP check: not today")

    def test_the_server_went_without_a_word(self) -> None:
        lost = self.over(DisconnectReason.SESSION_LOST)
        restarted = self.over(
            DisconnectReason.SESSION_LOST, "Join again.", RefusalReason.NO_SESSION
        )
        for over, outcome, *words in (
            (None, "refused", "went away during the round trip check", "at 192.0.2.1:7777 any mo"),
            (lost, "refused", "nothing listens", "was stopped or has crashed"),
            (lost, "timed out", "cannot be reached any more", "or the server's machine is down"),
            (lost, "unreachable", "cannot be reached any more"),
            (None, "connected", "does not take the session up again", "it hangs"),
            (restarted, "connected", "was restarted during the round trip check"),
        ):
            self.assertFalse(is_told(over))
            check = gone_check("rtt", over, self.NOW._replace(outcome=outcome))
            self.see(check, "failed", *words)
            self.assertEqual(check.figures["server_now"], outcome)

    def test_a_stranger_who_asks_finds_nobody(self) -> None:
        check = not_joined_check(TARGET, "the server hung up without answering", "nobody")
        self.see(check, "failed", "went away a moment ago")


class SummaryTests(SynchronousTestCase):
    def said(self, **changed: Check) -> str:
        checks = {
            "udp": udp_check(7777, 0.05, Datagrams()),
            "rtt": rtt_check(WELL),
            "fallback": fallback_check(WELL._replace(path="tcp"), is_forced=True),
            **changed,
        }
        return summary(TARGET, list(checks.values()))

    def test_all_is_well(self) -> None:
        self.assertEqual(self.said(), "All is well: the game works through UDP at 48 ms.")

    def test_blocked_udp(self) -> None:
        blocked = udp_check(7777, None, Datagrams(dict(SIZES)))
        self.assertEqual(
            self.said(udp=blocked),
            "Your network, or the server's, blocks UDP 7777; the game works through TCP at 48 ms; "
            "ask whoever runs the network to allow UDP 7777.",
        )
        elsewhere = udp_check(7777, None, Datagrams(dict(SIZES), error="refused"))
        said = self.said(udp=elsewhere)
        self.assertTrue(said.startswith("The server's machine says that nothing listens at UDP"))
        self.assertIn("; the game works through TCP at 48 ms; the server has its UDP port", said)
        dead = fallback_check(WELL, is_forced=False)
        self.assertIn("and TCP fails, too.", self.said(udp=blocked, fallback=dead))

    def test_whoever_cannot_get_in(self) -> None:
        for check in (
            name_check(TARGET, None),
            tcp_check(TARGET, [Attempt("192.0.2.1", 7777, "refused")]),
            tls_check(TARGET, Shown(tls_problems.OLD_TLS), None),
            refused_check(RefusalReason.FULL, REFUSAL_TEXTS[RefusalReason.FULL], 0.0),
        ):
            said = summary(TARGET, [check])
            start = f"You cannot play on play.example:7777: {check.text.rstrip('.')}; {check.fix}."
            self.assertEqual(said, start)

    def test_what_could_be_better(self) -> None:
        lossy = loss_check(WELL._replace(up_lost=30))
        start = (
            "You can play, for the game works through UDP at 48 ms; but see to the loss: 20.0 % up"
        )
        self.assertTrue(self.said(loss=lossy).startswith(start))
        self.assertNotIn("more above", self.said(loss=lossy))
        unsteady = rtt_check(WELL._replace(jitter=0.06))
        self.assertTrue(self.said(rtt=unsteady, loss=lossy).endswith("router (1 more above)."))
        silent = rtt_check(WELL._replace(round_trips=()))
        self.assertIn(
            "is not what it should be: the server answered nothing", self.said(rtt=silent)
        )
        over = ended_check("rtt", Disconnected(SERVER, DisconnectReason.KICKED, "kicked"))
        start = (
            "You cannot stay on play.example:7777: the server ended the session during the round "
            "trip check: kicked; "
        )
        self.assertTrue(self.said(rtt=over).startswith(start))


class Terminal(io.StringIO):
    """A terminal of the usual width."""

    def isatty(self) -> bool:
        return True


class ShownTests(SynchronousTestCase):
    def shown(self, stream: io.StringIO, **environment: str) -> str:
        with patch.dict("os.environ", {"COLUMNS": "80", **environment}):
            if "NO_COLOR" not in environment:
                os.environ.pop("NO_COLOR", None)
            lines = Lines(stream)
            lines.title(TARGET)
            lines.begins("tcp")
            lines.done(tcp_check(TARGET, [Attempt("192.0.2.1", 7777, "refused")]))
            lines.end("It is\x1b[31m over.")
        return stream.getvalue()

    def test_plain_where_there_is_no_terminal(self) -> None:
        title, check, fix, empty, end = self.shown(io.StringIO()).splitlines()
        self.assertEqual(title, "gamenet doctor play.example:7777")
        self.assertEqual(check, "failed     TCP         192.0.2.1:7777 refuses the connection")
        self.assertTrue(fix.startswith(" " * 23 + "fix: the machine is there, but nothing listens"))
        self.assertEqual((empty, end), ("", "It is[31m over."))

    def test_colour_and_width_of_a_terminal(self) -> None:
        said = self.shown(Terminal())
        self.assertIn("...        TCP\r\x1b[K\x1b[31mfailed     \x1b[0mTCP", said)
        self.assertTrue(all(len(line) < 120 for line in said.splitlines()))
        self.assertGreater(said.count("\n" + " " * 23), 2)

    def test_no_color(self) -> None:
        self.assertNotIn("\x1b[31m", self.shown(Terminal(), NO_COLOR="1"))
        self.assertNotIn("\x1b", self.shown(Terminal(), TERM="dumb"))

    def test_nothing_is_left_of_a_line_that_was_broken_off(self) -> None:
        stream = Terminal()
        lines = Lines(stream)
        lines.begins("rtt")
        lines.broken_off()
        self.assertEqual(stream.getvalue(), "...        round trip\r\x1b[K")

    def test_words_for_numbers(self) -> None:
        self.assertEqual([ms(s) for s in (0.0004, 0.0042, 0.048)], ["0.40 ms", "4.2 ms", "48 ms"])
        self.assertEqual(listed([]), "")
        self.assertEqual(listed(["a", "b", "c"]), "a, b and c")
        self.assertEqual(set(TITLES), set(NAMES))


class PatienceTests(SynchronousTestCase):
    def test_leaving_while_it_waits(self) -> None:
        asked: list[int] = []

        def interrupted() -> bool:
            asked.append(1)
            return len(asked) > 2

        patience = Patience(MemoryReactorClock(), interrupted)
        with patch("time.sleep"):
            self.assertRaises(Interrupted, patience.until, lambda: False, 60.0)
        self.assertEqual(len(asked), 3)
        calm = Patience(MemoryReactorClock(), lambda: False)
        self.assertTrue(calm.until(lambda: True, 0.0))
        self.assertFalse(calm.until(lambda: False, 0.0))

    def test_the_reactor_thread(self) -> None:
        class Reactor:
            def callFromThread(self, call: Any) -> None:
                call()

        patience = Patience(Reactor(), lambda: False)
        self.assertEqual(patience.call(lambda: 5), 5)

        def fail() -> None:
            raise ConnectionError("the session is over")

        self.assertRaises(ConnectionError, patience.call, fail)
        stuck = Patience(MemoryReactorClock(), lambda: False)
        stuck.reactor.callFromThread = lambda call: None
        with patch("gamenet.doctor.patience.CALL_SECONDS", 0.0):
            self.assertRaises(Stuck, stuck.call, lambda: 5)


@implementer(IReactorFDSet)
class Watching(MemoryReactorClock):
    """A reactor that reads sockets."""


class DeafTests(SynchronousTestCase):
    def test_it_passes_for_no_reactor_that_reads_sockets(self) -> None:
        reactor = Watching()
        deaf = Deaf(reactor)
        self.assertTrue(IReactorFDSet.providedBy(reactor))
        self.assertFalse(IReactorFDSet.providedBy(deaf))
        self.assertEqual(deaf.seconds(), reactor.seconds())

    def test_a_visit_that_was_never_begun_can_be_left(self) -> None:
        config = ClientConfig(insecure=True)
        visit = Visit(TARGET, config, {"user": "ada"}, MemoryReactorClock(), deaf=True)
        self.assertFalse(visit.is_bound)
        self.assertFalse(visit.may_probe)
        self.assertEqual(visit.udp_address, ("", 0))
        self.assertEqual(visit.arrived([0]), [])
        self.assertRaises(ConnectionError, visit.seal_probe, 1_200)
        self.successResultOf(visit.leave())


class ExaminationTests(SynchronousTestCase):
    def test_a_resolver_that_does_not_answer(self) -> None:
        patience = Patience(MemoryReactorClock(), lambda: False)
        shown: list[str] = []
        progress = SimpleNamespace(begins=shown.append, done=lambda check: shown.append(check.name))
        examination = Examination(TARGET, ClientConfig(insecure=True), {}, 5.0, patience)
        with (
            patch("gamenet.doctor.reach.on_thread"),
            patch("gamenet.doctor.examination.NAME_SECONDS", 0.0),
        ):
            checks = examination.run(progress)
        self.assertEqual([check.name for check in checks], list(NAMES))
        self.assertEqual(shown, [name for name in NAMES for _ in range(2)])
        self.assertIn("nobody answers", checks[0].text)
        self.assertEqual({check.verdict for check in checks[1:]}, {"not tried"})
        self.assertEqual({check.text for check in checks[1:]}, {"because name failed"})

    def test_a_network_thread_that_does_not_answer(self) -> None:
        patience = Patience(MemoryReactorClock(), lambda: False)
        examination = Examination(TARGET, ClientConfig(insecure=True), {}, 5.0, patience)

        def stuck() -> Check:
            raise Stuck

        examination._steps["name"] = stuck
        checks = examination.run(Nothing())
        self.assertEqual((checks[0].verdict, checks[1].verdict), ("failed", "not tried"))
        self.assertIn("network thread", checks[0].text)
        self.assertIn("overloaded", checks[0].fix)


class CommandLineTests(SynchronousTestCase):
    def test_a_warning_is_a_failure_only_if_that_is_asked_for(self) -> None:
        well, warned, failed = (
            Check("rtt", "ok", ""),
            Check("rtt", "warning", ""),
            Check("rtt", "failed", ""),
        )
        for checks, plain, strict in (
            ((well, Check("loss", "not tried", "")), 0, 0),
            ((well, warned), 0, 1),
            ((warned, failed), 1, 1),
        ):
            self.assertEqual(exit_status(checks, strict=False), plain)
            self.assertEqual(exit_status(checks, strict=True), strict)

    def test_a_mistake_is_one_readable_line(self) -> None:
        for argv, expected in (
            ((), "ADDRESS"),
            (("no such host:7777",), "not an address"),
            (("localhost:99999",), "the port must be a number"),
            (("localhost#sha256=12",), "64 hex digits"),
            ((f"localhost#sha256={'ab' * 32}", "--insecure"), "a pin is for TLS"),
            (("localhost", "--seconds", "0"), "'0' is not a number from 0.5 to 600"),
            (("localhost", "--ca", "/nowhere/x.pem"), "cannot read /nowhere/x.pem"),
            (("localhost", "--password-file", "/nowhere/p"), "cannot read /nowhere/p"),
            (("localhost", "--ticket-file", "/nowhere/t"), "cannot read /nowhere/t"),
            (("localhost", "--insecure", "--ca", "x.pem"), "not allowed with"),
        ):
            out, err = io.StringIO(), io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                status = main(["doctor", *argv])
            self.assertEqual((status, out.getvalue()), (1, ""), argv)
            self.assertIn(expected, err.getvalue())
            self.assertEqual(err.getvalue().count("\n"), 1)
            self.assertTrue(err.getvalue().startswith("gamenet"))
