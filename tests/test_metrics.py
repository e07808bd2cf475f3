"""The status site: what it says, and what it does to clients that misbehave."""

from __future__ import annotations

import json
import math
from typing import Any

from twisted.logger import Logger, globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from gamenet import metrics
from gamenet._version import __version__
from gamenet.core.counters import Counters
from gamenet.errors import RefusalReason
from gamenet.metrics import ErrorCounter
from gamenet.metrics.players import RTT_BOUNDS
from tests.status import SiteTestCase

FORBIDDING = (
    b"cache-control",
    b"content-security-policy",
    b"cross-origin-resource-policy",
    b"referrer-policy",
    b"x-content-type-options",
)
"""What every answer has, and browsers go by."""
KEPT = b"GET /healthz HTTP/1.1\r\nConnection: keep-alive\r\n\r\n"
BODY = b"\r\nContent-Length: 2\r\n\r\nhi"


class HealthTests(SiteTestCase):
    def test_okWhileItRuns(self) -> None:
        code, headers, body = self.get(b"/healthz")
        self.assertEqual((code, body), (200, b"ok\n"))
        self.assertEqual(headers[b"cache-control"], b"no-store")

    def test_unavailableOnceTheEndHasBegun(self) -> None:
        self.server.running = 0
        self.assertEqual(self.get(b"/healthz")[0], 503)


class StatusTests(SiteTestCase):
    def test_theShapeOfAnIdleServer(self) -> None:
        self.clock.advance(12.5)
        found = self.status()
        self.assertGreater(found.pop("cpu_seconds"), 0)
        self.assertEqual(
            found,
            {
                "game": "tag/1",
                "version": __version__,
                "secure": False,
                "insecure": 1,
                "uptime_seconds": 12.5,
                "players": [],
                "suspended": 0,
                "stalled": False,
                "ticks": {
                    "rate": 30.0,
                    "number": 90,
                    "per_second": 29.9,
                    "late_p50_ms": 0.1,
                    "late_p99_ms": 1.5,
                    "skipped": 2,
                    "took_p50_ms": None,
                    "took_p99_ms": None,
                },
                "reactor": {"beat_late_max_ms": 0.0},
                "clock_zero": 0.0,
                "inputs": {"taken": 7, "missing": 1, "late": 0, "early": 0},
                "drops": {},
                "refusals": {reason.name: 0 for reason in RefusalReason},
                "queues": {"events": 0, "commands": 0},
                "counters": dict.fromkeys(Counters.__slots__, 0),
                "errors": 3,
                "ready": True,
                "draining": False,
                "drain_seconds_left": None,
                "max_players": 256,
                "paths": {"udp": 0, "tcp": 0},
                "labels": {},
                "types": {"in": {}, "out": {}},
                "frames": {"in": {}, "out": {}},
                "histograms": {
                    "rtt_seconds": {
                        "bounds": list(RTT_BOUNDS),
                        "counts": [0] * (len(RTT_BOUNDS) + 1),
                        "sum": 0.0,
                    },
                    "tick_seconds": {"bounds": [], "counts": [0], "sum": 0.0},
                },
                "history": {
                    "points": 30,
                    "step_seconds": 1.0,
                    "time_unit_seconds": 0.0001,
                    "loss_unit": 1 / 255,
                },
                "snapshot": {"number": 1, "took_ms": None},
                "actions": [],
                "view": None,
            },
        )

    def test_aPlayer(self) -> None:
        self.server.connect("ada")
        (player,) = self.status()["players"]
        self.assertEqual(
            player,
            {
                "id": 1,
                "name": "ada",
                "address": "10.0.0.7:5000",
                "suspended": False,
                "path": "tcp",
                "label": "unknown",
                "rtt_seconds": None,
                "end_to_end_seconds": None,
                "jitter_seconds": None,
                "loss_in": 0.0,
                "loss_out": 0.0,
                "bytes_in": 0,
                "bytes_out": 0,
                "queued_messages": 0,
                "rtt_min_seconds": None,
                "rtt_latest_seconds": None,
                "bytes_per_second_in": 0,
                "bytes_per_second_out": 0,
                "datagrams_per_second_in": 0,
                "datagrams_per_second_out": 0,
                "types_in": {},
                "types_out": {},
                "queued_bytes": 0,
                "queued_state_bytes": 0,
                "send_bytes_per_second": 57_344,
                "send_bytes_per_second_most": 65_536,
                "inputs_late": 0,
                "inputs_early": 0,
                "inputs_missing": 0,
                "history": {"rtt": [], "jitter": [], "loss_in": [], "loss_out": []},
            },
        )
        self.assertEqual(self.status()["queues"]["events"], 1)

    def test_aMeasuredPathHasItsTimes(self) -> None:
        session = self.server.connect("ada").session
        session.quality.estimator.add(0.25)
        (player,) = self.status()["players"]
        self.assertEqual((player["rtt_seconds"], player["jitter_seconds"]), (0.25, 0.0))
        self.assertEqual((player["label"], player["end_to_end_seconds"]), ("poor", None))
        session.seat.probe_began = 7.0
        session.seat.probe_answered(7.5)
        self.clock.advance(1.0)
        (player,) = self.status()["players"]
        self.assertEqual(player["end_to_end_seconds"], 0.5)

    def test_whoHasNotConfirmedTheJoinIsNoPlayerYet(self) -> None:
        self.server.connect("ada", confirm=False)
        self.assertEqual(self.status()["players"], [])

    def test_refusalsAreCountedByReason(self) -> None:
        self.server.connect("ada", version=99)
        self.server.connect("a b")
        refusals = self.status()["refusals"]
        self.assertEqual((refusals["VERSION"], refusals["NAME"], refusals["FULL"]), (1, 1, 0))

    def test_dropsAreNamed(self) -> None:
        self.server.host.counters.drop_datagram_forged = 4
        found = self.status()
        self.assertEqual(found["drops"], {"drop_datagram_forged": 4})
        self.assertEqual(found["counters"]["drop_datagram_forged"], 4)

    def test_withoutAGameTheLoopHasNoFigures(self) -> None:
        self.server.stats = {}
        found = self.status()
        self.assertEqual(found["ticks"]["number"], 0)
        self.assertEqual(found["inputs"], {"taken": 0, "missing": 0, "late": 0, "early": 0})

    def test_whereTheGameClockBegan(self) -> None:
        self.server.host.turn.game_clock_zero = None
        self.assertIsNone(self.status()["clock_zero"])
        self.clock.advance(41.5)
        self.server.host.begin_clock()
        self.clock.advance(1.0)
        self.assertEqual(self.status()["clock_zero"], 41.5)

    def test_inputsThatCameAtTheWrongTime(self) -> None:
        self.server.host.counters.inputs_late = 3
        self.server.host.counters.inputs_early = 2
        found = self.status()["inputs"]
        self.assertEqual((found["late"], found["early"]), (3, 2))

    def test_numbersThatJsonDoesNotHaveAreNull(self) -> None:
        self.server.stats["late_p99_ms"] = math.inf
        self.server.stats["per_second"] = math.nan
        ticks = self.status()["ticks"]
        self.assertEqual((ticks["late_p99_ms"], ticks["per_second"]), (None, None))

    def test_whateverANameHoldsTheAnswerIsJson(self) -> None:
        # Join rules keep such names out; the page does not depend on them.
        name = 'a"b\\c</script>\x00\x1b[2J\r\n\u2028\udc80é'
        player = self.server.connect("ada").session.player
        object.__setattr__(player, "name", name)
        code, _, body = self.get(b"/api/status")
        self.assertEqual(code, 200)
        self.assertTrue(body.rstrip(b"\n").decode("ascii").isprintable())
        self.assertEqual(json.loads(body)["players"][0]["name"], name)

    def test_aDefectIsLoggedAndNotShown(self) -> None:
        self.server.stats["number"] = "many"  # type: ignore[assignment]
        code, headers, body = self.get(b"/api/status")
        self.assertEqual(code, 500)
        self.assertEqual(headers[b"content-type"], b"application/json")
        self.assertEqual(json.loads(body), {"error": "the server's log says why"})
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)


class AnswerTests(SiteTestCase):
    def test_headersForbidKeepingAndGuessing(self) -> None:
        _, headers, body = self.get(b"/api/status?x=%ff")
        self.assertEqual(headers[b"content-type"], b"application/json")
        self.assertEqual(headers[b"cache-control"], b"no-store")
        self.assertEqual(headers[b"x-content-type-options"], b"nosniff")
        self.assertEqual(headers[b"connection"], b"close")
        self.assertEqual(int(headers[b"content-length"]), len(body))
        self.assertNotIn(b"server", headers)

    def test_headHasHeadersAlone(self) -> None:
        code, headers, body = self.get(b"/healthz", b"HEAD")
        self.assertEqual((code, headers[b"content-length"], body), (200, b"3", b""))

    def test_otherMethodsAreNotAllowed(self) -> None:
        for method in (b"POST", b"PUT", b"DELETE", b"OPTIONS", b"TRACE", b"BREW"):
            code, headers, body = self.get(b"/api/status", method)
            self.assertEqual((code, headers[b"allow"]), (405, b"GET, HEAD"))
            self.assertEqual(headers[b"content-type"], b"application/json")
            self.assertIn("error", json.loads(body))

    def test_otherPagesAreNotFound(self) -> None:
        for path in (
            b"/index.html",
            b"/healthz/",
            b"//healthz",
            b"/api",
            b"/%61pi/status",
            b"/<b>",
            b"x",
        ):
            code, headers, body = self.get(path)
            self.assertEqual(code, 404, path)
            self.assertEqual(headers[b"content-type"], b"application/json")
            self.assertNotIn(b"<", body)

    def test_aSmallBodyIsReadAndIgnored(self) -> None:
        code, _, _ = self.ask(b"POST /healthz HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi")
        self.assertEqual(code, 405)


class LimitTests(SiteTestCase):
    def test_aLargeBodyIsRefusedBeforeItIsRead(self) -> None:
        for size in (b"Content-Length: 1025", b"Transfer-Encoding: chunked"):
            channel, transport = self.connect()
            channel.dataReceived(b"GET /healthz HTTP/1.1\r\n" + size + b"\r\n\r\n")
            self.assertTrue(transport.value().startswith(b"HTTP/1.1 413 "), transport.value())
            self.assertTrue(transport.disconnecting)
            channel.dataReceived(b"x" * 100_000)

    def test_aLongHeaderIsRefused(self) -> None:
        code, _, _ = self.ask(
            b"GET /healthz HTTP/1.1\r\n" + (b"A: " + b"x" * 1000 + b"\r\n") * 9 + b"\r\n"
        )
        self.assertEqual(code, 400)

    def test_manyHeadersAreRefused(self) -> None:
        code, _, _ = self.ask(b"GET /healthz HTTP/1.1\r\n" + b"A: b\r\n" * 66 + b"\r\n")
        self.assertEqual(code, 400)

    def test_aLineWithoutEndIsCut(self) -> None:
        channel, transport = self.connect()
        channel.dataReceived(b"x" * 9_000)
        self.assertTrue(transport.disconnecting)

    def test_silenceIsCut(self) -> None:
        channel, transport = self.connect()
        self.clock.advance(metrics.IDLE_SECONDS)
        self.assertTrue(transport.aborted)
        self.hang_up(channel)

    def test_aRequestThatDribblesIsCutAtTheDeadline(self) -> None:
        channel, transport = self.connect()
        for _ in range(int(metrics.CONNECTION_SECONDS) - 1):
            channel.dataReceived(b"G")
            self.clock.advance(1)
        self.assertFalse(transport.aborted)
        self.clock.advance(1)
        self.assertTrue(transport.aborted)
        self.hang_up(channel)

    def test_anAnswerThatIsNotReadIsCutAtTheDeadline(self) -> None:
        channel, transport = self.connect()
        channel.dataReceived(b"GET /api/status HTTP/1.1\r\n\r\n")
        self.clock.advance(metrics.CONNECTION_SECONDS)
        self.assertTrue(transport.aborted)
        self.hang_up(channel)

    def test_aSecondRequestOnAConnectionIsNotHeard(self) -> None:
        channel, transport = self.connect()
        channel.dataReceived(b"GET /healthz HTTP/1.1\r\n\r\n" * 3)
        self.assertEqual(transport.value().count(b"ok\n"), 1)

    def test_whatIsNoRequestIsRefusedAsAllAnswersAre(self) -> None:
        _, good, _ = self.get(b"/healthz")
        every = {name: good[name] for name in FORBIDDING}
        for request in (
            b"x\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nnothing\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nContent-Length: x\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\n" + b"A: b\r\n" * 66 + b"\r\n",
            b"GET /healthz HTTP/1.1\r\nContent-Length: 1025\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"OPTIONS * HTTP/1.1\r\n\r\n",
        ):
            code, headers, body = self.ask(request)
            self.assertIn(code, (400, 413, 200), request)
            self.assertEqual({name: headers.get(name) for name in FORBIDDING}, every, request)
            self.assertEqual((headers[b"connection"], body), (b"close", b""))
            self.assertEqual(headers[b"content-length"], b"0")

    def test_afterARefusalNothingIsHeard(self) -> None:
        channel, transport = self.connect()
        for data in (b"x\r\n\r\n", b"x\r\n\r\n", b"GET /healthz HTTP/1.1\r\n\r\n"):
            channel.dataReceived(data)
        self.assertEqual(transport.value().count(b"HTTP/1.1 "), 1)

    def test_connectionsAreFew(self) -> None:
        held = [self.connect()[0] for _ in range(metrics.MAX_CONNECTIONS)]
        self.assertIsNone(self.site.buildProtocol(None))
        self.hang_up(held[0])
        self.assertIsNotNone(self.site.buildProtocol(None))

    def test_noTimerOutlivesItsConnection(self) -> None:
        self.site.startFactory()
        for request in (b"", b"GET /healthz HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nHost", b"\0\n"):
            channel, _ = self.connect()
            channel.dataReceived(request)
            self.hang_up(channel)
        self.site.stopFactory()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_requestsLeaveNoLog(self) -> None:
        seen: list[Any] = []
        globalLogPublisher.addObserver(seen.append)
        self.addCleanup(globalLogPublisher.removeObserver, seen.append)
        self.site.startFactory()
        self.get(b"/healthz")
        self.get(b"/healthz", b"HEAD")
        self.get(b"/nowhere", b"BREW")
        self.site.stopFactory()
        self.assertEqual(seen, [])


class KeptTests(SiteTestCase):
    """Connections of those who look over and over, and say so."""

    def look(self, channel: Any, transport: Any, *, ask: bytes = KEPT) -> bytes:
        """The answer to one more request on a connection."""
        transport.clear()
        channel.dataReceived(ask)
        return transport.value()

    def test_anotherRequestIsHeardOnceTheFirstIsAnswered(self) -> None:
        channel, transport = self.connect()
        for _ in range(3):
            answer = self.look(channel, transport)
            self.assertTrue(answer.endswith(b"ok\n"), answer)
            self.assertNotIn(b"Connection: close", answer)
            self.clock.advance(1.0)
        self.assertFalse(transport.disconnecting)

    def test_whoDoesNotSayThatItLooksAgainIsNotKept(self) -> None:
        for request in (
            b"GET /healthz HTTP/1.1\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n",
            b"GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
            b"POST /healthz HTTP/1.1\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
        ):
            channel, transport = self.connect()
            answer = self.look(channel, transport, ask=request)
            self.assertIn(b"Connection: close\r\n", answer)
            self.assertTrue(transport.disconnecting)

    def test_whoDoesNotWaitForTheAnswerIsNotHeardAgain(self) -> None:
        # One turn of the reactor would answer as many as fit in what is read at once.
        for data in (KEPT * 3, KEPT + b"G\r\n", KEPT.replace(b"\r\n\r\n", BODY) + KEPT):
            channel, transport = self.connect()
            answer = self.look(channel, transport, ask=data)
            self.assertEqual(answer.count(b"HTTP/1.1 "), 1, data)
            self.assertTrue(transport.disconnecting)

    def test_nobodyIsKeptForLong(self) -> None:
        channel, transport = self.connect()
        for _ in range(int(metrics.KEPT_SECONDS)):
            self.look(channel, transport)
            self.assertFalse(transport.disconnecting)
            self.clock.advance(1.0)
        self.assertIn(b"Connection: close\r\n", self.look(channel, transport))
        self.assertTrue(transport.disconnecting)

    def test_silenceBetweenRequestsIsCutAndIsNoFault(self) -> None:
        seen: list[Any] = []
        globalLogPublisher.addObserver(seen.append)
        self.addCleanup(globalLogPublisher.removeObserver, seen.append)
        channel, transport = self.connect()
        self.look(channel, transport)
        self.clock.advance(metrics.IDLE_SECONDS)
        self.assertTrue(transport.aborted)
        self.hang_up(channel)
        self.assertEqual(seen, [])

    def test_aFurtherRequestHasTheSameDeadlineAsTheFirst(self) -> None:
        channel, transport = self.connect()
        self.clock.advance(4.0)
        self.look(channel, transport)
        self.clock.advance(4.0)
        for _ in range(int(metrics.CONNECTION_SECONDS)):
            channel.dataReceived(b"G")
            self.assertFalse(transport.aborted)
            self.clock.advance(1.0)
        self.assertTrue(transport.aborted)
        self.hang_up(channel)

    def test_noTimerOutlivesIt(self) -> None:
        channel, transport = self.connect()
        self.look(channel, transport)
        self.hang_up(channel)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class ErrorCounterTests(SynchronousTestCase):
    def test_errorsAreCountedBetweenStartAndStop(self) -> None:
        log = Logger()
        counter = ErrorCounter()
        log.error("before")
        counter.start()
        self.addCleanup(counter.stop)
        log.debug("a")
        log.info("b")
        log.warn("c")
        self.assertEqual(counter.count, 0)
        log.error("d")
        log.critical("e")
        log.failure("f", Failure(ValueError()))
        self.assertEqual(counter.count, 3)
        counter.stop()
        counter.stop()
        log.error("after")
        self.assertEqual(counter.count, 3)
        self.flushLoggedErrors(ValueError)
