"""``/metrics``, read as Prometheus reads it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from gamenet.bridge import Bridge
from gamenet.core.counters import LOSSES, Counters
from gamenet.core.frame_sums import ONE_FRAME
from gamenet.core.frames import Kind
from gamenet.core.traffic import ONE
from gamenet.core.wire import MessageType
from gamenet.errors import RefusalReason
from gamenet.metrics import prometheus, status_site
from gamenet.metrics.names import BYTES, COUNTERS, of_counter
from gamenet.metrics.players import RTT_BOUNDS
from tests.status import Server, SiteTestCase

PAGE = (Path(__file__).parent.parent / "docs" / "STATUS.rst").read_text(encoding="utf-8")


class MetricsTests(SiteTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.bridge = Bridge()
        self.bridge.poll()  # the game has begun
        self.addCleanup(self.bridge.close)
        self.server = Server(self.clock, self.bridge)
        self.site = status_site(self.server, reactor=self.clock)
        self.clock.rightNow += 0.05

    def families(self) -> dict[str, Any]:
        code, headers, body = self.get(b"/metrics")
        self.assertEqual(code, 200)
        self.assertEqual(headers[b"content-type"], b"text/plain; version=0.0.4; charset=utf-8")
        found = list(text_string_to_metric_families(body.decode("utf-8")))
        names = [family.name for family in found]
        self.assertEqual(len(set(names)), len(names))
        return {family.name: family for family in found}

    def values(self, name: str) -> dict[Any, float]:
        """The samples of a metric, by the values of their labels."""
        samples = self.families()[name].samples
        return {tuple(one.labels.values()) or None: one.value for one in samples}

    def test_names_and_units_are_as_prometheus_wants_them(self) -> None:
        for family in self.families().values():
            self.assertRegex(family.name, r"^(gamenet_[a-z0-9_]+|process_cpu_seconds)$")
            self.assertTrue(family.documentation, family.name)
            self.assertNotRegex(family.name, r"_(ms|milliseconds|kb|count|sum|bucket|total)$")
            for sample in family.samples:
                if family.type == "counter":
                    self.assertEqual(sample.name, f"{family.name}_total")
                    self.assertGreaterEqual(sample.value, 0)
                for label in sample.labels:
                    self.assertRegex(label, r"^[a-z]+$")

    def test_every_metric_is_on_the_page_of_the_documentation_and_no_other(self) -> None:
        self.server.connect("ada")
        said = {
            family.name + ("_total" if family.type == "counter" else "")
            for family in self.families().values()
        }
        listed = set(re.findall(r"^\s*(?:\* - )?``(gamenet_\w+|process_\w+)``", PAGE, re.MULTILINE))
        self.assertEqual(said - listed, set(), "not in docs/STATUS.rst")
        self.assertEqual(listed - said, set(), "only in docs/STATUS.rst")

    def test_every_counter_is_there(self) -> None:
        counters = self.server.host.counters
        for number, slot in enumerate(Counters.__slots__, 1):
            setattr(counters, slot, number)
        families = self.families()
        for number, slot in enumerate(Counters.__slots__, 1):
            if slot.startswith(LOSSES):
                name, labels = "gamenet_drops", {"cause": slot.removeprefix("drop_")}
            elif slot in BYTES:
                direction, transport = BYTES[slot]
                name, labels = f"gamenet_{direction}_bytes", {"transport": transport}
            else:
                name, labels = of_counter(slot)[0], {}
            (value,) = (
                sample.value for sample in families[name].samples if sample.labels == labels
            )
            self.assertEqual(value, number, slot)

    def test_no_counter_has_a_name_that_is_no_counter(self) -> None:
        self.assertLessEqual(set(COUNTERS) | set(BYTES), set(Counters.__slots__))

    def test_a_counter_that_nobody_named_is_there_under_its_own(self) -> None:
        self.assertEqual(of_counter("new_things"), ("gamenet_new_things", "new things"))

    def test_what_the_server_is(self) -> None:
        (sample,) = self.families()["gamenet_info"].samples
        self.assertEqual((sample.labels["game"], sample.labels["secure"]), ("tag/1", "false"))
        self.assertEqual(self.values("gamenet_ready"), {None: 1.0})
        self.assertEqual(self.values("gamenet_errors"), {None: 3.0})
        self.assertEqual(self.values("gamenet_players_max"), {None: 256.0})

    def test_players_by_path_and_by_label(self) -> None:
        self.server.connect("ada")
        self.server.connect("bob").session.quality.estimator.add(0.01)
        self.assertEqual(self.values("gamenet_players"), {("udp",): 0.0, ("tcp",): 2.0})
        self.assertEqual(
            self.values("gamenet_players_by_quality"), {("unknown",): 1.0, ("excellent",): 1.0}
        )

    def test_refusals_by_reason(self) -> None:
        self.server.connect("a b")
        found = self.values("gamenet_refusals")
        self.assertEqual(set(found), {(reason.name.lower(),) for reason in RefusalReason})
        self.assertEqual((found[("name",)], sum(found.values())), (1.0, 1.0))

    def test_bytes_and_messages_by_type(self) -> None:
        host = self.server.host
        host.turn.sums.came[MessageType.INPUT] = 3 * ONE + 50
        host.turn.sums.sent[MessageType.STATE] = 2 * ONE + 400
        self.assertEqual(
            self.values("gamenet_messages"), {("received", "input"): 3.0, ("sent", "state"): 2.0}
        )
        self.assertEqual(
            self.values("gamenet_message_bytes"),
            {("received", "input"): 50.0, ("sent", "state"): 400.0},
        )

    def test_frames_by_type(self) -> None:
        counts = self.server.host.turn.frames
        counts.came[Kind.ACK] = 3 * (ONE_FRAME + 9)
        counts.came[200] = ONE_FRAME + 1
        counts.sent[Kind.DATA] = 2 * (ONE_FRAME + 100)
        ack, unknown, data = ("received", "ack"), ("received", "unknown"), ("sent", "data")
        self.assertEqual(self.values("gamenet_frames"), {ack: 3.0, unknown: 1.0, data: 2.0})
        self.assertEqual(self.values("gamenet_frame_bytes"), {ack: 39.0, unknown: 5.0, data: 208.0})

    def test_ticks(self) -> None:
        self.assertEqual(self.values("gamenet_ticks"), {None: 90.0})
        self.assertEqual(self.values("gamenet_ticks_skipped"), {None: 2.0})
        self.assertEqual(self.values("gamenet_tick_rate_hertz"), {None: 30.0})
        late = self.values("gamenet_tick_late_seconds")
        self.assertEqual(late, {("0.5",): 0.0001, ("0.99",): 0.0015})

    def check_histogram(self, name: str, bounds: tuple[float, ...], values: list[float]) -> None:
        samples = self.families()[name].samples
        buckets = {
            float(one.labels["le"]): one.value for one in samples if one.name == f"{name}_bucket"
        }
        self.assertEqual(
            buckets, {bound: sum(v <= bound for v in values) for bound in (*bounds, float("inf"))}
        )
        (count,) = (one.value for one in samples if one.name == f"{name}_count")
        (total,) = (one.value for one in samples if one.name == f"{name}_sum")
        self.assertEqual(count, len(values))
        self.assertAlmostEqual(total, sum(values))

    def test_the_histogram_of_the_time_of_ticks(self) -> None:
        passes = self.bridge.pass_seconds
        values = [0.0001, 0.001, 0.0011, 0.03, 0.4, 7.0]
        for value in values:
            passes.add(value)
        self.check_histogram("gamenet_tick_seconds", passes.bounds, values)

    def test_the_histogram_of_round_trips(self) -> None:
        session = self.server.connect("ada").session
        values = [0.004, 0.02, 0.0201, 0.3, 3.0]
        for value in values:
            self.clock.rightNow += 0.1
            session.quality.estimator.add(value)
            session.traffic.look(self.clock.seconds(), (0, 0, 0, 0), session.quality)
        self.check_histogram("gamenet_rtt_seconds", RTT_BOUNDS, values)

    def test_whatever_a_name_holds_the_page_can_be_read(self) -> None:
        host = self.server.host
        object.__setattr__(host.config, "game_name", 'a"b\\c\nd{}é')
        (sample,) = self.families()["gamenet_info"].samples
        self.assertEqual(sample.labels["game"], 'a"b\\c\nd{}é')

    def test_without_the_library_one_line_says_what_to_install(self) -> None:
        self.patch(prometheus, "IS_THERE", False)
        code, headers, body = self.get(b"/metrics")
        self.assertEqual((code, headers[b"content-type"]), (501, b"text/plain; charset=utf-8"))
        self.assertIn(b"pip install 'gamenet[metrics]'", body)
        self.assertEqual(body.count(b"\n"), 1)
        self.assertEqual(self.get(b"/api/status")[0], 200)
