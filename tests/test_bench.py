"""The benchmark beside its peers: what its table says, and that it runs."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).resolve().parent.parent
BENCHMARKS = ROOT / "benchmarks"


def load(name: str) -> Any:
    """A module of the benchmarks, which find each other beside them."""
    with patch.object(sys, "path", [str(BENCHMARKS), *sys.path]):
        return importlib.import_module(name)


REPORT = load("bench_report")


def table(*figures: tuple[str, str, int, str, list[float]], **more: Any) -> list[dict[str, Any]]:
    """The rows of made-up figures: workload, peer, clients, unit, one figure for each run."""
    samples = {}
    for workload, peer, n, unit, values in figures:
        case = REPORT.Case(workload, peer, n, unit)
        samples[case] = [REPORT.Sample({unit: value}, **more) for value in values]
    return list(REPORT.build_rows(list(samples), samples, {}))


def find(rows: list[dict[str, Any]], peer: str, n: int, unit: str) -> dict[str, Any]:
    """The one row."""
    (row,) = (row for row in rows if (row["peer"], row["n"], row["unit"]) == (peer, n, unit))
    return row


class RowTests(SynchronousTestCase):
    def test_aRowHasTheKeysThatWerePromised(self) -> None:
        (row,) = table(("W1", "gamenet", 1, REPORT.MESSAGE, [2.0]))
        self.assertEqual(
            " ".join(row),
            "workload peer n unit median min max ratio_to_pyenet ratio_to_twisted loss "
            "tick_late_p99_ms bar meets_bar",
        )

    def test_medianAndEnds(self) -> None:
        (row,) = table(("W1", "pyenet", 1, REPORT.MESSAGE, [9.0, 2.0, 4.0]))
        self.assertEqual([row["median"], row["min"], row["max"]], [4.0, 2.0, 9.0])

    def test_ratiosAreOfMediansOfTheSameWorkloadAndCount(self) -> None:
        rows = table(
            ("W3", "gamenet", 100, REPORT.CLIENT_TICK, [12.0]),
            ("W3", "gamenet", 400, REPORT.CLIENT_TICK, [9.0, 30.0, 3.0]),
            ("W3", "pyenet", 400, REPORT.CLIENT_TICK, [6.0]),
            ("W3", "twisted-udp", 400, REPORT.CLIENT_TICK, [12.0, 12.0, 90.0]),
        )
        row = find(rows, "gamenet", 400, REPORT.CLIENT_TICK)
        self.assertEqual((row["ratio_to_pyenet"], row["ratio_to_twisted"]), (1.5, 0.75))
        row = find(rows, "gamenet", 100, REPORT.CLIENT_TICK)
        self.assertEqual((row["ratio_to_pyenet"], row["ratio_to_twisted"]), (None, None))

    def test_aBroadcastIsComparedWithTwistedSecuredTheSameWay(self) -> None:
        rows = table(
            ("W5", "gamenet", 200, REPORT.DELIVERY, [3.0]),
            ("W5", "gamenet-tls", 200, REPORT.DELIVERY, [8.0]),
            ("W5", "twisted-tcp", 200, REPORT.DELIVERY, [2.0]),
            ("W5", "twisted-tls", 200, REPORT.DELIVERY, [10.0]),
        )
        ratios = {row["peer"]: row["ratio_to_twisted"] for row in rows}
        self.assertEqual((ratios["gamenet"], ratios["gamenet-tls"]), (1.5, 0.8))
        met = {row["peer"]: row["meets_bar"] for row in rows}
        self.assertEqual((met["gamenet"], met["gamenet-tls"]), (False, True))

    def test_aPingPongHasTwoRows(self) -> None:
        case = REPORT.Case("W4", "gamenet", 1, REPORT.MEDIAN_TRIP)
        sample = REPORT.Sample({REPORT.MEDIAN_TRIP: 90.0, REPORT.SLOW_TRIP: 1_001.0})
        median, slow = REPORT.build_rows([case], {case: [sample]}, {})
        self.assertEqual((median["median"], slow["median"]), (90.0, 1_001.0))
        # Without Twisted's figure nobody can tell; the other is a plain number.
        self.assertEqual((median["meets_bar"], slow["meets_bar"]), (None, False))

    def test_lossAndLatenessAreMediansOfWhatIsKnown(self) -> None:
        case = REPORT.Case("W3", "c", 100, REPORT.CLIENT_TICK)
        samples = [
            REPORT.Sample({case.unit: 5.0}, loss, late)
            for loss, late in ((0.0, None), (0.5, 3.0), (0.1, 1.0))
        ]
        row = REPORT.build_rows([case], {case: samples}, {})[0]
        self.assertEqual((row["loss"], row["tick_late_p99_ms"]), (0.1, 2.0))


class BarTests(SynchronousTestCase):
    def test_bothOfTwoMustBeMet(self) -> None:
        def met(gamenet: float, twisted: float) -> object:
            rows = table(
                ("W1", "gamenet", 1, REPORT.MESSAGE, [gamenet]),
                ("W1", "pyenet", 1, REPORT.MESSAGE, [2.0]),
                ("W1", "twisted-udp", 1, REPORT.MESSAGE, [twisted]),
            )
            return find(rows, "gamenet", 1, REPORT.MESSAGE)["meets_bar"]

        self.assertEqual([met(2.2, 6.7), met(2.3, 9.0), met(2.0, 5.9)], [True, False, False])

    def test_othersHaveNone(self) -> None:
        rows = table(("W1", "pyenet", 1, REPORT.MESSAGE, [2.0]))
        self.assertEqual([(row["bar"], row["meets_bar"]) for row in rows], [("", None)])

    def test_costMayGrowByATenthFromAHundredClients(self) -> None:
        rows = table(
            ("W7", "gamenet", 100, REPORT.CLIENT_TICK, [10.0]),
            ("W7", "gamenet", 400, REPORT.CLIENT_TICK, [11.0]),
            ("W7", "gamenet", 1_000, REPORT.CLIENT_TICK, [11.1]),
            ("W7", "gamenet", 2_000, REPORT.CLIENT_TICK, [99.0]),
            loss=0.0,
        )
        met = {row["n"]: row["meets_bar"] for row in rows}
        self.assertEqual(met, {100: None, 400: True, 1_000: False, 2_000: None})

    def test_aServerThatIsFullIsNotCheapForWhomItLeavesOut(self) -> None:
        rows = table(
            ("W7", "gamenet", 100, REPORT.CLIENT_TICK, [10.0]),
            ("W7", "gamenet", 700, REPORT.CLIENT_TICK, [8.0]),
            loss=0.24,
        )
        self.assertEqual([row["meets_bar"] for row in rows], [None, False])

    def test_manyClientsMustBeInTimeAndLoseNothing(self) -> None:
        figures = ("W3", "gamenet", 1_200, REPORT.CLIENT_TICK, [10.0])
        met = [
            table(figures, loss=loss, late_ms=late)[0]["meets_bar"]
            for loss, late in ((0.001, 5.0), (0.002, 1.0), (0.0, 5.1))
        ]
        self.assertEqual(met, [True, False, False])

    def test_eightTimesTheClientsOfTheSealedPeers(self) -> None:
        def held(most: int) -> tuple[object, object]:
            rows = table(
                *(("W3", "gamenet", n, REPORT.CLIENT_TICK, [9.0]) for n in (100, most)),
                ("W3", "aioquic", 75, REPORT.CLIENT_TICK, [190.0]),
                ("W3", "mpgameserver", 100, REPORT.CLIENT_TICK, [40.0]),
                loss=0.0,
                late_ms=1.0,
            )
            row = find(rows, "gamenet", most, REPORT.HELD)
            return row["median"], row["meets_bar"]

        self.assertEqual([held(799), held(800)], [(799, False), (800, True)])

    def test_someFiguresMustBeLarge(self) -> None:
        rows = table(
            ("W6", "gamenet", 1_000, REPORT.JOINS, [1_000.0]),
            ("W6", "gamenet-tls", 1_000, REPORT.JOINS, [499.0]),
        )
        met = {row["peer"]: row["meets_bar"] for row in rows if row["unit"] == REPORT.JOINS}
        self.assertEqual(met, {"gamenet": True, "gamenet-tls": False})

    def test_clientsThatCameLateAreNotHeld(self) -> None:
        rows = table(("W3", "aioquic", 75, REPORT.CLIENT_TICK, [190.0]), loss=0.0, late_ms=5.1)
        self.assertEqual(find(rows, "aioquic", 0, REPORT.HELD)["median"], 0)

    def test_eachBarIsOfSomethingThatIsMeasured(self) -> None:
        known = {
            (case.workload, case.peer, unit) for case in REPORT.CASES for unit in REPORT.units(case)
        }
        self.assertEqual(
            [bar for bar in REPORT.BARS if (bar.workload, bar.peer, bar.unit) not in known], []
        )
        counts = {(case.workload, case.peer, case.n) for case in REPORT.CASES}
        self.assertEqual(
            [
                (bar, n)
                for bar in REPORT.BARS
                for n in bar.counts
                if (bar.workload, bar.peer, n) not in counts
            ],
            [],
        )

    def test_thereIsATextForEachBar(self) -> None:
        texts = [bar.text() for bar in REPORT.BARS]
        self.assertIn("<= 1.1 of pyenet", texts)
        self.assertIn(">= 1,000", texts)
        self.assertIn("<= 0.1% lost", texts)


class ErrorTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.bench = load("bench")

    def run_with(self, outcomes: dict[str, Any]) -> list[dict[str, Any]]:
        """The rows of W1, where measuring a peer gives or raises this."""
        bench = self.bench.Bench(Path(), 0.0, 0.0)

        def measure(case: Any) -> Any:
            outcome = outcomes[case.peer]
            if isinstance(outcome, Exception):
                raise outcome
            if isinstance(outcome, str):
                raise self.bench.Failed(outcome)
            return self.bench.Sample({case.unit: outcome})

        with patch.object(bench, "measure", measure), patch.object(self.bench.rig, "note"):
            return list(self.bench.run(bench, self.bench.selected(["W1"], list(outcomes), []), 2))

    def test_aPeerThatIsMissingHasARowWithTheError(self) -> None:
        rows = self.run_with({"gamenet": 2.0, "pyenet": "cannot be installed: no wheel"})
        row = find(rows, "pyenet", 1, REPORT.MESSAGE)
        self.assertEqual(row["error"], "cannot be installed: no wheel")
        self.assertEqual((row["median"], row["ratio_to_pyenet"]), (None, None))
        self.assertEqual(find(rows, "gamenet", 1, REPORT.MESSAGE)["median"], 2.0)
        self.assertNotIn("error", find(rows, "gamenet", 1, REPORT.MESSAGE))
        self.assertEqual(REPORT.exit_status(rows), 1)
        self.assertIn("error: cannot be installed: no wheel", REPORT.table(rows))

    def test_anAnswerThatLacksSomethingStopsNobodyElse(self) -> None:
        rows = self.run_with({"gamenet": 2.0, "pyenet": KeyError("cpu")})
        self.assertIn("cpu", find(rows, "pyenet", 1, REPORT.MESSAGE)["error"])
        self.assertEqual(find(rows, "gamenet", 1, REPORT.MESSAGE)["median"], 2.0)

    def test_aBarThatIsMissedIsNoError(self) -> None:
        rows = self.run_with({"gamenet": 9.0, "pyenet": 2.0})
        self.assertIs(find(rows, "gamenet", 1, REPORT.MESSAGE)["meets_bar"], False)
        self.assertEqual(REPORT.exit_status(rows), 0)

    def test_withoutTheirEnvironmentAllPeersAreMissing(self) -> None:
        with TemporaryDirectory() as folder:
            bench = self.bench.Bench(Path(folder), 0.0, 0.0)
            with patch.object(self.bench, "PEERS_FOLDER", Path(folder, "nothing")):
                bench.prepare(self.bench.selected(["W1"], ["pyenet", "mpgameserver"], []))
        self.assertEqual(set(bench.missing), {"pyenet", "mpgameserver"})
        with self.assertRaisesRegex(self.bench.Failed, "make bench"):
            bench.measure(self.bench.selected(["W1"], ["pyenet"], [])[0])

    def test_aContestantThatFallsSaysWhy(self) -> None:
        program = "raise SystemExit('no room')"
        with (
            self.bench.Contestant([sys.executable, "-c", program], []) as fallen,
            self.assertRaisesRegex(self.bench.Failed, "no room"),
        ):
            fallen.ask({})

    def test_namesThatThereAreNotAreRefused(self) -> None:
        for workloads, peers in ((["W9"], []), ([], ["enet"])):
            with self.assertRaises(SystemExit):
                self.bench.selected(workloads, peers, [])


class Scripted:
    """A contestant that gives the answers it was made with, one after the other."""

    def __init__(self, *answers: dict[str, Any]) -> None:
        self.asked: list[str] = []
        self._answers = iter(answers)

    def ask(self, question: str) -> dict[str, Any]:
        """Note the question."""
        self.asked.append(question)
        return next(self._answers)


class FigureTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.bench = load("bench")
        self.patch(self.bench, "SETTLE_SECONDS", 0.0)

    def play(self, case: Any, server: Scripted, load: Scripted) -> Any:
        """What comes of a round whose answers are known."""
        return self.bench.Bench(Path(), 0.0, 0.0)._play(case, server, load)

    def test_aClientTickIsWhatTheServerTookBetweenTwoQuestions(self) -> None:
        counters = {"players": 100, "tick_late_p99_ms": 0.5}
        server = Scripted(
            {"cpu": 1.0, "ticks": 60, "inputs": 5_000, **counters},
            {"cpu": 1.6, "ticks": 120, "inputs": 11_000, **counters},
            {"cpu": 9.0, "ticks": 150, "inputs": 11_988, **counters},
        )
        load = Scripted({"sent": 12_000, "received": 9_999, "lost": 1})
        case = REPORT.Case("W3", "gamenet", 100, REPORT.CLIENT_TICK)
        sample = self.play(case, server, load)
        self.assertEqual(load.asked, ["stop"])
        self.assertAlmostEqual(sample.figures[REPORT.CLIENT_TICK], 100.0)
        # Of inputs 12 in 12,000, of states 1 in 10,000.
        self.assertAlmostEqual(sample.loss, 0.001)
        self.assertEqual(sample.late_ms, 0.5)

    def test_aMessageIsThatOfOneClient(self) -> None:
        server = Scripted(
            {"cpu": 1.0, "messages": 1_000}, {"cpu": 1.5, "messages": 101_000}, {"cpu": 2.0}
        )
        load = Scripted({"sent": 200, "received": 150, "lost": 50})
        sample = self.play(REPORT.Case("W1", "c", 1, REPORT.MESSAGE), server, load)
        self.assertAlmostEqual(sample.figures[REPORT.MESSAGE], 5.0)
        self.assertEqual((sample.loss, sample.late_ms), (0.25, None))

    def test_aServerWithoutAllItsClientsHasNoFigure(self) -> None:
        figures = {"cpu": 1.0, "ticks": 5, "inputs": 1, "players": 99}
        server = Scripted(figures, {**figures, "ticks": 9}, figures)
        case = REPORT.Case("W3", "pyenet", 100, REPORT.CLIENT_TICK)
        with self.assertRaisesRegex(self.bench.Failed, "99 of 100"):
            self.play(case, server, Scripted({"sent": 1, "received": 1, "lost": 0}))

    def test_aServerThatDidNothingHasNoFigure(self) -> None:
        figures = {"cpu": 1.0, "messages": 5}
        case = REPORT.Case("W1", "pyenet", 1, REPORT.MESSAGE)
        with self.assertRaisesRegex(self.bench.Failed, "no messages"):
            self.play(case, Scripted(figures, figures, figures), Scripted({"sent": 0, "lost": 0}))


class PageTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.page = (BENCHMARKS / "README.rst").read_text(encoding="utf-8")

    def test_itHasEachWorkload(self) -> None:
        named = re.findall(r"^(W\d+) ", self.page, re.MULTILINE)
        self.assertEqual(tuple(named), REPORT.WORKLOADS)

    def test_itHasEachPeerAndColumn(self) -> None:
        for name in (*REPORT.PEERS, *REPORT.KEYS, "error"):
            self.assertIn(f"``{name}``", self.page)

    def test_eachPeerHasItsScripts(self) -> None:
        for peer in REPORT.PEERS.values():
            for script in filter(None, (peer.server, peer.load, peer.ping)):
                self.assertTrue((BENCHMARKS / "contest" / script).exists(), script)

    def test_makeInstallsEachPackage(self) -> None:
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
        (packages,) = re.findall(r"^PEER_PACKAGES := (.*)$", makefile, re.MULTILINE)
        needed = {peer.package for peer in REPORT.PEERS.values()} - {""}
        self.assertEqual(set(packages.split()), needed)


class RunTests(SynchronousTestCase):
    def test_aShortRunWritesWhatItPrints(self) -> None:
        with TemporaryDirectory() as folder:
            out = Path(folder, "out.json")
            done = subprocess.run(
                [
                    sys.executable, str(BENCHMARKS / "bench.py"), "--workloads", "W1",
                    "--peers", "gamenet socket", "--runs", "1", "--seconds", "0.4",
                    "--warm", "0.1", "--out", str(out),
                ],
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )  # fmt: skip
            self.assertEqual(done.returncode, 0, done.stderr)
            written = json.loads(out.read_text(encoding="utf-8"))
        head, *lines = done.stdout.splitlines()
        self.assertEqual(json.loads(head), written["head"])
        self.assertEqual((written["head"]["runs"], written["head"]["seconds"]), (1, 0.4))
        self.assertIn("datagrams_per_second", written["head"]["limits"]["W1"])
        self.assertEqual([row["peer"] for row in written["rows"]], ["gamenet", "socket"])
        for row in written["rows"]:
            self.assertGreater(row["median"], 0)
        self.assertEqual(len(lines), 3)
