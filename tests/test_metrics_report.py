"""What the status site says of the players, and how it comes to it."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.task import Clock

from gamenet.bridge import Bridge
from gamenet.core.traffic import ONE
from gamenet.core.wire import STATE, MessageType
from gamenet.metrics import players, report, status_site
from gamenet.metrics.players import EVERY, POINTS
from gamenet.metrics.report import PLAYERS_A_TURN
from gamenet.metrics.snapshots import BURST
from gamenet.samples import MAX_SAMPLES
from tests.status import Server, SiteTestCase

REQUEST = b"GET /api/status HTTP/1.1\r\nHost: localhost\r\n\r\n"


class PlayerCase(SiteTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.clock.rightNow += 0.05  # between two tenths, where rounding matters to nobody
        self.session = self.server.connect("ada").session

    def look(self, rtt: float = 0.1, tenths: int = 1) -> None:
        """So many tenths of a second pass with that round trip."""
        host = self.server.host
        for _ in range(tenths):
            self.clock.rightNow += 0.1
            self.session.quality.estimator.add(rtt)
            self.session.quality.loss_out = 0.2
            self.session.traffic.look(host.now(), (0, 0, 0, 0), self.session.quality)

    def player(self) -> Any:
        (player,) = self.status()["players"]
        return player


class PlayerTests(PlayerCase):
    """What is said of one player."""

    def test_the_history_is_the_newest_of_each_second_in_the_units_it_names(self) -> None:
        self.look(0.1, 25)
        self.look(0.2)
        history = self.player()["history"]
        self.assertEqual(history["rtt"], [1_000, 1_000, 2_000])
        self.assertEqual(history["loss_in"], [0, 0, 0])
        self.assertEqual(history["loss_out"], [51, 51, 51])
        self.assertEqual(len(history["jitter"]), 3)
        self.clock.rightNow += 1.0
        units = self.status()["history"]
        self.assertEqual(history["rtt"][-1] * units["time_unit_seconds"], 0.2)
        self.assertEqual(history["loss_out"][-1] * units["loss_unit"], 0.2)
        self.assertEqual(units["step_seconds"], 1.0)

    def test_a_history_is_never_longer_than_it_says(self) -> None:
        self.look(0.1, MAX_SAMPLES + 7)
        history = self.player()["history"]
        self.assertEqual({len(series) for series in history.values()}, {POINTS})
        self.assertEqual(POINTS, MAX_SAMPLES // EVERY)

    def test_whoever_has_the_history_need_not_be_told_again(self) -> None:
        self.look(0.1, 25)
        whole = self.player()
        code, _, body = self.get(b"/api/status?history=no")
        (brief,) = json.loads(body)["players"]
        self.assertEqual(code, 200)
        self.assertEqual({*whole} - {*brief}, {"history"})
        units = json.loads(body)["history"]
        for name, figure, unit in (
            ("rtt", "rtt_latest_seconds", "time_unit_seconds"),
            ("jitter", "jitter_seconds", "time_unit_seconds"),
            ("loss_in", "loss_in", "loss_unit"),
            ("loss_out", "loss_out", "loss_unit"),
        ):
            # The next point of a history is among the figures of the player.
            self.assertEqual(round(brief[figure] / units[unit]), whole["history"][name][-1])

    def test_the_order_of_bytes_of_the_machine_does_not_matter(self) -> None:
        # Rows are big-endian; a machine that is has nothing to swap.
        self.look(0.0258)
        self.patch(players, "IS_LITTLE", not players.IS_LITTLE)
        history = self.player()["history"]
        self.assertEqual(history["rtt"], [int.from_bytes((258).to_bytes(2, "big"), "little")])

    def test_bytes_by_type_of_the_player_and_of_all(self) -> None:
        traffic = self.session.traffic
        traffic.came[MessageType.INPUT] += 3 * ONE + 50
        traffic.sent[0] += 2 * ONE + 200
        traffic.sent[MessageType.STATE] += ONE + 10
        self.look(0.1, 10)
        found = self.status()
        (player,) = found["players"]
        states = 200 + 2 * STATE.size + 10
        self.assertEqual(player["types_in"], {"input": 50})
        self.assertEqual(player["types_out"], {"state": states, "input_ack": 8})
        self.assertEqual(
            found["types"],
            {
                "in": {"input": {"messages": 3, "bytes": 50}},
                "out": {
                    "state": {"messages": 3, "bytes": states},
                    "input_ack": {"messages": 2, "bytes": 8},
                },
            },
        )

    def test_frames_by_type(self) -> None:
        found = self.status()["frames"]
        self.assertEqual(set(found["in"]), {"hello", "ack"})
        self.assertEqual(found["in"]["ack"], {"frames": 1, "bytes": 13})
        self.assertEqual({kind: one["frames"] for kind, one in found["out"].items()}, {"accept": 1})

    def test_what_a_player_had_counted_is_not_lost_when_it_leaves(self) -> None:
        self.session.traffic.came[MessageType.INPUT] += ONE + 17
        verbs = self.server.host.verbs
        verbs.disconnect(verbs.find("ada"))
        found = self.status()
        self.assertEqual(found["players"], [])
        self.assertEqual(found["types"]["in"], {"input": {"messages": 1, "bytes": 17}})

    def test_how_many_are_on_which_path_and_how_they_do(self) -> None:
        self.look(0.01)
        self.server.connect("bob")
        found = self.status()
        self.assertEqual(found["paths"], {"udp": 0, "tcp": 2})
        self.assertEqual(sum(found["labels"].values()), 2)
        self.assertEqual(found["labels"]["unknown"], 1)

    def test_the_budget_and_what_the_path_leaves_of_it(self) -> None:
        self.server.host.set_budget(1, 8_192)
        player = self.player()
        self.assertEqual(player["send_bytes_per_second_most"], 8_192)
        self.assertLess(player["send_bytes_per_second"], 8_192)


class RoundTripTests(PlayerCase):
    """The histogram of round trips."""

    def counts(self) -> list[int]:
        found = self.status()["histograms"]["rtt_seconds"]["counts"]
        return [int(count) for count in found]

    def test_each_tenth_of_a_second_counts_once_however_often_one_looks(self) -> None:
        self.look(0.09, 10)
        self.assertEqual(sum(self.counts()), 10)
        self.assertEqual(sum(self.counts()), 10)
        self.look(0.4, 12)
        counts = self.counts()
        self.assertEqual((counts[6], counts[10], sum(counts)), (10, 12, 22))

    def test_and_whichever_pages_one_looks_at(self) -> None:
        for page in (b"/metrics", b"/api/status?history=no", b"/api/status") * 2:
            self.look(0.09, 10)
            self.get(page)
        self.assertEqual(sum(self.counts()), 60)

    def test_what_nobody_looked_at_for_long_is_left_out(self) -> None:
        self.look(0.09, MAX_SAMPLES + 50)
        self.assertEqual(sum(self.counts()), MAX_SAMPLES)

    def test_what_is_not_measured_does_not_count(self) -> None:
        for _ in range(3):
            self.clock.rightNow += 0.1
            self.session.traffic.look(self.server.host.now(), (0, 0, 0, 0), self.session.quality)
        self.assertEqual(sum(self.counts()), 0)


class SharingTests(SiteTestCase):
    """One snapshot for everybody, none for nobody."""

    def count_snapshots(self) -> list[bool]:
        """Whether each has histories."""
        made: list[bool] = []
        report = self.site.resource._whole._report
        make = report.make

        def noted(*, history: bool) -> Any:
            made.append(history)
            return make(history=history)

        self.patch(report, "make", noted)
        return made

    def test_all_who_ask_within_a_second_get_the_same(self) -> None:
        made = self.count_snapshots()
        for _ in range(BURST):
            self.get(b"/api/status")
        self.assertEqual(len(made), BURST)
        bodies = {self.get(b"/api/status")[2] for _ in range(10)}
        self.assertEqual((len(bodies), len(made)), (1, BURST))
        self.clock.advance(0.999)
        self.get(b"/api/status")
        self.assertEqual(len(made), BURST)
        self.clock.advance(0.001)
        self.get(b"/api/status")
        self.assertEqual(len(made), BURST + 1)

    def test_those_who_need_no_histories_share_theirs_with_prometheus(self) -> None:
        made = self.count_snapshots()
        for _ in range(5 * BURST):
            self.get(b"/api/status?history=no")
            self.get(b"/metrics")
        self.assertEqual(made, [False] * BURST)
        self.get(b"/api/status")
        self.assertEqual(made, [False] * BURST + [True])

    def test_however_many_ask_there_is_one_a_second(self) -> None:
        made = self.count_snapshots()
        for _ in range(600):
            self.get(b"/api/status")
            self.clock.advance(0.1)
        self.assertLessEqual(len(made), 60 + BURST)

    def test_whoever_asks_once_a_second_always_gets_a_new_one(self) -> None:
        numbers = []
        for pause in (0.97, 1.03, 0.98, 1.02) * 5:
            numbers.append(self.status()["snapshot"]["number"])
            self.clock.advance(pause)
        self.assertEqual(len(set(numbers)), len(numbers))

    def test_nobody_looks_nothing_happens(self) -> None:
        made = self.count_snapshots()
        idle = [self.connect()[0] for _ in range(20)]
        before = len(self.clock.getDelayedCalls())
        self.clock.advance(4.0)
        self.assertEqual(made, [])
        self.assertEqual(len(self.clock.getDelayedCalls()), before)
        for channel in idle:
            self.hang_up(channel)

    def test_other_pages_need_no_snapshot(self) -> None:
        made = self.count_snapshots()
        for path in (b"/", b"/healthz", b"/readyz", b"/nowhere"):
            self.get(path)
        self.assertEqual(made, [])

    def test_whoever_asks_for_the_page_has_the_game_make_its_view(self) -> None:
        bridge = Bridge()
        self.addCleanup(bridge.close)
        server = Server(self.clock, bridge)
        self.site = status_site(server, reactor=self.clock)
        self.clock.advance(5.0)
        self.get(b"/metrics")
        self.get(b"/healthz")
        self.assertLess(bridge.showing.looked_at, 0.0)
        self.assertIsNone(self.status()["view"])
        self.assertEqual(bridge.showing.looked_at, 5.0)
        bridge.showing.encoded = b'{"kind":"map"}'
        self.clock.advance(1.0)
        self.assertEqual(self.status()["view"], {"kind": "map"})


class ManyPlayersTests(SiteTestCase):
    """More players than one turn of the reactor takes."""

    COUNT = 2 * PLAYERS_A_TURN + 5

    def setUp(self) -> None:
        self.clock = Clock()
        self.server = Server(self.clock, limit_loopback=False)
        self.site = status_site(self.server, reactor=self.clock)
        for number in range(self.COUNT):
            self.server.connect(f"player-{number}", address=f"10.0.{number}.7")

    def turn(self) -> None:
        """The one thing that is due is done, as a turn of a reactor does it."""
        now = self.clock.seconds()
        (due,) = (call for call in self.clock.getDelayedCalls() if call.getTime() <= now)
        step = due.func
        due.cancel()
        step()

    def test_each_turn_looks_at_so_many(self) -> None:
        looked: list[int] = []
        describe = players.describe

        def noted(host: Any, sessions: Any, *rest: Any, **more: Any) -> Any:
            looked.append(len(sessions))
            return describe(host, sessions, *rest, **more)

        self.patch(report, "describe", noted)
        channels = [self.connect() for _ in range(3)]
        for channel, _ in channels:
            channel.dataReceived(REQUEST)
        for turns in (1, 2):
            self.assertEqual(looked, [PLAYERS_A_TURN] * turns)
            self.assertEqual({transport.value() for _, transport in channels}, {b""})
            self.turn()
        self.assertEqual(looked, [PLAYERS_A_TURN] * 2 + [5])
        for _, transport in channels:
            head, _, body = transport.value().partition(b"\r\n\r\n")
            self.assertTrue(head.startswith(b"HTTP/1.1 200 "), head)
            self.assertIn(b"Content-Length: %d" % len(body), head)
            self.assertEqual(len(json.loads(body)["players"]), self.COUNT)
            self.assertTrue(transport.disconnecting)

    def test_head_of_what_takes_several_turns_has_no_body(self) -> None:
        channel, transport = self.connect()
        channel.dataReceived(REQUEST.replace(b"GET", b"HEAD"))
        self.clock.pump([0.0, 0.0])
        head, _, body = transport.value().partition(b"\r\n\r\n")
        self.assertRegex(head, rb"Content-Length: \d{5}")
        self.assertEqual(body, b"")

    def test_whoever_hangs_up_meanwhile_disturbs_nobody(self) -> None:
        gone, stays = self.connect(), self.connect()
        for channel, _ in (gone, stays):
            channel.dataReceived(REQUEST)
        self.hang_up(gone[0])
        self.clock.pump([0.0, 0.0])
        self.assertEqual(gone[1].value(), b"")
        self.assertIn(b" 200 ", stays[1].value()[:20])

    def test_players_who_leave_meanwhile_are_left_out(self) -> None:
        channel, transport = self.connect()
        channel.dataReceived(REQUEST)
        host = self.server.host
        host.verbs.disconnect(host.registry.by_player[self.COUNT].player)
        self.clock.pump([0.0, 0.0])
        found = json.loads(transport.value().partition(b"\r\n\r\n")[2])
        self.assertEqual(len(found["players"]), self.COUNT - 1)
        self.assertEqual(found["paths"]["tcp"], self.COUNT - 1)

    def test_a_defect_meanwhile_is_logged_once_and_everybody_is_told(self) -> None:
        channels = [self.connect() for _ in range(3)]
        for channel, _ in channels:
            channel.dataReceived(REQUEST)
        self.server.stats["number"] = "many"  # type: ignore[assignment]
        self.clock.pump([0.0, 0.0])
        for _, transport in channels:
            self.assertIn(b" 500 ", transport.value()[:20])
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)
        for _ in range(5):
            channel, transport = self.connect()
            channel.dataReceived(REQUEST)
            self.clock.pump([0.0, 0.0])
            self.assertIn(b" 500 ", transport.value()[:20])
        # A log that each look made longer would be full some day.
        self.assertEqual(self.flushLoggedErrors(TypeError), [])
        self.server.stats["number"] = 1
        channel, transport = self.connect()
        channel.dataReceived(REQUEST)
        self.clock.pump([0.0, 0.0])
        self.assertIn(b" 200 ", transport.value()[:20])
