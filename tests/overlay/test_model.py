"""What the net graph shows, against what the client knows."""

from __future__ import annotations

from dataclasses import replace
from math import inf, nan
from typing import Any

from gamenet.core.quality import PathQuality
from gamenet.errors import DisconnectReason
from gamenet.events import Player, State
from gamenet.impairment import Profile
from gamenet.overlay import MOST_LEVEL, Bars, NetGraph, Plot, palette, verdicts
from gamenet.samples import MAX_SAMPLES
from gamenet.smooth import Interpolator, Predictor
from tests.overlay.scenes import FINE, FRAME, ODD, Outside, Scene, Told, packed

LOSSY = Profile(name="lossy", latency_ms=20, loss=0.12)


def graph_of(client: Any, level: int = MOST_LEVEL, **others: Any) -> NetGraph:
    """A net graph that has looked once."""
    graph = NetGraph(client, level=level, **others)
    graph.update(0.0)
    return graph


def plot_of(graph: NetGraph, title: str) -> Plot:
    (found,) = (one for one in graph.graphs() if one.title == title)
    assert isinstance(found, Plot)
    return found


class ValueTests(Scene):
    """Each value shown is the one that ``quality()`` gives."""

    def test_text_is_that_of_quality_on_each_path(self) -> None:
        for profile in ("perfect", "cellular", "satellite", LOSSY):
            pair = self.scene(profile)
            self.play(pair, 12)
            quality = pair.client.quality()
            self.assertEqual(self.line("connection")[0], quality.label)
            self.assertEqual(self.line("path"), ("UDP", "good"))
            for name, seconds in (
                ("ping", quality.rtt_seconds),
                ("jitter", quality.jitter_seconds),
                ("end to end", quality.end_to_end_seconds),
                ("input lead", quality.input_lead_seconds),
            ):
                value, unit = self.line(name)[0].split()
                self.assertEqual(unit, "ms")
                self.assertApproximates(float(value.replace(",", "")), 1000 * seconds, 0.51, name)
            for name, size, datagrams in (
                ("in", quality.bytes_per_second_in, quality.datagrams_per_second_in),
                ("out", quality.bytes_per_second_out, quality.datagrams_per_second_out),
            ):
                said = self.line(name)[0]
                self.assertTrue(said.endswith(f" {datagrams:.0f} datagrams/s"), said)
                number, unit = said.split("/s,")[0].split()
                steps = {"B": 1.0, "kB": 100.0 if "." in number else 1000.0}[unit]
                found = float(number) * {"B": 1, "kB": 1000}[unit]
                self.assertApproximates(found, size, 0.51 * steps, name)
            inputs = f"{quality.inputs_late} late, {quality.inputs_early} early"
            self.assertTrue(self.line("inputs")[0].startswith(inputs))

    def test_curves_are_the_samples(self) -> None:
        pair = self.scene("cellular")
        self.play(pair, 35)
        samples = pair.client.quality().samples
        self.assertEqual(len(samples), MAX_SAMPLES)
        latency, loss, traffic = (
            plot_of(self.graph, title) for title in ("latency", "loss", "traffic")
        )
        curves = {(plot.title, c.name): c for plot in (latency, loss, traffic) for c in plot.curves}
        for key, wanted in (
            (("latency", "ping"), [1000 * s.rtt_seconds for s in samples]),
            (("latency", "jitter"), [1000 * s.jitter_seconds for s in samples]),
            (("loss", "in"), [100 * s.loss_in for s in samples]),
            (("loss", "out"), [100 * s.loss_out for s in samples]),
            (("traffic", "in"), [10 * s.bytes_in for s in samples]),
            (("traffic", "out"), [10 * s.bytes_out for s in samples]),
        ):
            self.assertEqual(list(curves[key].values), wanted, key)
        for plot in (latency, loss, traffic):
            self.assertGreaterEqual(
                plot.top, max(v for c in plot.curves for v in c.values if v is not None)
            )

    def test_the_delay_of_the_smoothing_is_a_curve_as_well(self) -> None:
        pair = self.scene("wifi")
        self.play(pair, 5)
        (curve,) = (c for c in plot_of(self.graph, "latency").curves if c.name == "smoothing")
        assert curve.values[-1] is not None
        self.assertApproximates(curve.values[-1], 1000 * self.smooth.delay_seconds, 0.001)
        self.assertApproximates(len(curve.values), 50, 1)
        self.assertIn(f"{1000 * self.smooth.delay_seconds:.0f} ms", self.line("smoothing")[0])

    def test_bars_are_the_types_of_quality(self) -> None:
        pair = self.scene("wifi")
        self.play(pair, 5)
        quality = pair.client.quality()
        (bars,) = (one for one in self.graph.graphs() if isinstance(one, Bars))
        self.assertEqual(
            {bar.name: (bar.coming, bar.going) for bar in bars.bars},
            {
                name.replace("_", " "): tuple(
                    types[name].bytes_per_second if name in types else 0.0
                    for types in (quality.types_in, quality.types_out)
                )
                for name in {*quality.types_in, *quality.types_out}
            },
        )
        self.assertIn("state", [bar.name for bar in bars.bars])
        longest = [bar.coming + bar.going for bar in bars.bars]
        self.assertEqual(longest, sorted(longest, reverse=True))

    def test_the_server_in_this_program_is_asked_too(self) -> None:
        pair = self.scene()
        self.play(pair, 3)
        self.assertEqual(self.line("own server")[0], "20 of 20/s, 1 in")
        self.graph.server = None
        self.play(pair, 0.2)
        self.assertNotIn("own server", [line.name for line in self.graph.texts()])

    def test_prediction_is_shown(self) -> None:
        predictor: Predictor[int] = Predictor(lambda state, buttons: state + buttons, 0)
        client = Told(FINE)
        graph = graph_of(client, predictor=predictor)
        for number in range(1, 6):
            predictor.apply(number, 1)
        predictor.reconcile(100, 2)
        graph.update(1.0)
        self.assertEqual(self.line("prediction", graph)[0], "3 inputs ahead, corrected 1 times")

    def test_what_happened_ten_seconds_ago_counts_no_more(self) -> None:
        client, smooth = Told(FINE), Interpolator[int]()
        graph = graph_of(client, interpolator=smooth)
        smooth.starved = 8
        graph.update(1.0)
        self.assertIn("dry 8 times", self.line("smoothing", graph)[0])
        self.assertIn(verdicts.DRY, graph.advice())
        graph.update(9.0)
        graph.update(11.5)
        self.assertIn("dry 0 times", self.line("smoothing", graph)[0])
        self.assertNotIn(verdicts.DRY, graph.advice())


class WordTests(Scene):
    """What is wrong is said, and what to do about it."""

    def test_a_good_path_gets_no_advice(self) -> None:
        pair = self.scene(Profile(latency_ms=15))
        self.play(pair, 8)
        self.assertEqual(self.graph.advice(), ())
        self.assertEqual({line.verdict for line in self.graph.texts()}, {"", "good"})

    def test_loss_is_shown_as_it_is(self) -> None:
        pair = self.scene(LOSSY)
        self.play(pair, 30)
        quality = pair.client.quality()
        self.assertGreater(quality.loss_in, 0.05)
        said, verdict = self.line("loss")
        self.assertEqual(verdict, "poor")
        coming, going = (float(part.split("%")[0]) for part in said.split(", "))
        self.assertApproximates(coming, 100 * quality.loss_in, 0.51)
        self.assertApproximates(going, 100 * quality.loss_out, 0.51)
        self.assertIn(verdicts.LOST_IN, self.graph.advice())
        self.assertIn(verdicts.LOST_OUT, self.graph.advice())
        # Of the states of ten seconds, about as many are missing as datagrams get lost.
        missing = float(self.line("states")[0].removeprefix("20/s sent, ").split("%")[0])
        self.assertTrue(6 <= missing <= 20, missing)

    def test_udp_that_is_blocked_is_said_once_it_is_sure(self) -> None:
        pair = self.scene(clients=0)
        pair.network.block_udp()
        client = pair.join()
        self.graph.client = client
        self.play(pair, 2)
        self.assertEqual(self.line("path"), ("TCP, trying UDP", ""))
        self.assertNotIn(verdicts.BLOCKED, self.graph.advice())
        self.play(pair, 4)
        self.assertEqual(self.line("path"), ("TCP, UDP is blocked", "poor"))
        self.assertEqual(self.graph.advice()[0], verdicts.BLOCKED)
        self.assertIn("inside TCP", verdicts.BLOCKED)

    def test_udp_that_falls_silent_is_another_thing(self) -> None:
        pair = self.scene()
        self.play(pair, 2)
        pair.network.block_udp()
        self.play(pair, 8)
        self.assertEqual(self.line("path"), ("TCP, UDP is silent", "poor"))
        self.assertEqual(self.graph.advice()[0], verdicts.SILENT)

    def test_a_long_way_a_full_one_and_an_uneven_one(self) -> None:
        for quality, wanted in (
            (replace(FINE, rtt_seconds=0.3, rtt_min_seconds=0.24), verdicts.FAR),
            (replace(FINE, rtt_seconds=0.3, rtt_min_seconds=0.05), verdicts.FULL),
            (replace(FINE, jitter_seconds=0.08), verdicts.UNEVEN),
            (replace(FINE, end_to_end_seconds=0.5), verdicts.GAMES_WAIT),
        ):
            self.assertEqual(graph_of(Told(quality)).advice(), (wanted,))

    def test_inputs_that_come_late_or_never(self) -> None:
        for late, missing, verdict, wanted in (
            (2, 0, "good", ()),
            (5, 0, "fair", (verdicts.INPUTS_LATE,)),
            (50, 0, "poor", (verdicts.INPUTS_LATE,)),
            (0, 1, "poor", (verdicts.INPUTS_LOST,)),
        ):
            client = Told(FINE)
            client.counts = {"inputs_sent": 100}
            graph = graph_of(client)
            client.told = replace(FINE, inputs_late=late, inputs_missing=missing)
            client.counts = {"inputs_sent": 200}
            graph.update(1.0)
            said = f"{late} late, 0 early, {missing} missing"
            self.assertEqual(self.line("inputs", graph), (said, verdict))
            self.assertEqual(graph.advice(), wanted)

    def test_the_worst_comes_first(self) -> None:
        quality = replace(FINE, rtt_seconds=0.15, rtt_min_seconds=0.14, jitter_seconds=0.3)
        self.assertEqual(graph_of(Told(quality)).advice(), (verdicts.UNEVEN, verdicts.FAR))

    def test_bounds_are_those_of_the_label(self) -> None:
        for bounds, place in ((verdicts.PING, 0), (verdicts.JITTER, 1), (verdicts.LOSS, 2)):
            for bound, word in ((bounds.good, "good"), (bounds.fair, "fair")):
                for value, verdict in ((bound, word), (bound * 1.001, "")):
                    quality = PathQuality()
                    quality.estimator.samples = 1
                    given = [0.0, 0.0, 0.0]
                    given[place] = value
                    quality.estimator.rtt, quality.estimator.jitter, quality.loss_in = given
                    if verdict:
                        self.assertEqual(verdicts.OF_LABEL[quality.label], verdict)
                        self.assertEqual(bounds.of(value), verdict)
                    else:
                        self.assertNotEqual(verdicts.OF_LABEL[quality.label], word)
                        self.assertEqual(bounds.of(value), verdicts.OF_LABEL[quality.label])

    def test_slow_drawing_is_not_the_networks(self) -> None:
        graph = NetGraph(Told(FINE), level=1)
        for number in range(40):
            graph.update(number / 20, 0.05)
        self.assertEqual(self.line("frames", graph), ("20/s, worst 50 ms", "poor"))
        self.assertEqual(graph.advice(), (verdicts.SLOW_DRAWING,))


class StandingTests(Scene):
    """Before the join, without a connection, after the end, and once more."""

    def test_before_the_join(self) -> None:
        graph = graph_of(Outside())
        self.assertEqual([str(line) for line in graph.texts()], ["connection not joined"])
        self.assertEqual(graph.advice(), (verdicts.OUTSIDE,))
        self.assertEqual(graph.graphs(), ())

    def test_a_real_client_that_was_not_started(self) -> None:
        from gamenet import GameClient, GameServer

        client = GameClient("localhost", insecure=True)
        graph = graph_of(client, server=GameServer(0, insecure=True))
        self.assertEqual(graph.advice(), (verdicts.OUTSIDE,))

    def test_without_its_connection(self) -> None:
        pair = self.scene(Profile(latency_ms=200))
        self.play(pair, 2)
        pair.network.cut_tcp()
        self.play(pair, 0.1)
        self.assertTrue(pair.client.suspended)
        self.assertEqual(self.line("connection"), ("suspended", ""))
        self.assertEqual(self.graph.advice()[0], verdicts.AWAY)
        self.play(pair, 4)
        self.assertFalse(pair.client.suspended)
        self.assertNotIn(verdicts.AWAY, self.graph.advice())

    def test_after_the_end_the_last_figures_stay(self) -> None:
        pair = self.scene()
        self.play(pair, 3)
        ping = self.line("ping")
        pair.server.stop()
        self.play(pair, 1)
        self.assertEqual(self.line("connection"), ("over", ""))
        self.assertEqual(self.graph.advice(), (verdicts.OVER,))
        self.assertEqual(self.line("ping"), ping)
        pair.client.stop()
        self.graph.update(pair.time + 1, FRAME)
        self.assertTrue(self.graph.graphs())

    def test_another_session_begins_anew(self) -> None:
        pair = self.scene(LOSSY)
        self.play(pair, 10)
        pair.client.stop()
        pair.network.link(profile="perfect")
        pair.client.start()
        self.smooth.reset()
        self.play(pair, 1)
        quality = pair.client.quality()
        self.assertLess(len(quality.samples), 20)
        for plot in self.graph.graphs():
            if isinstance(plot, Plot):
                for curve in plot.curves:
                    self.assertLess(len(curve.values), 20, (plot.title, curve.name))
        self.assertEqual(self.line("states")[0], "20/s sent, 0% missing")

    def test_a_session_that_is_joined_anew_by_itself(self) -> None:
        pair = self.scene(Profile(latency_ms=200), clients=0)
        client = pair.join("ada", rejoin=True)
        self.graph.client = client
        self.play(pair, 2)
        first = client.player
        pair.network.cut_tcp()
        host, _ = pair.server._live()
        host.end_session(host.registry.holder("ada"), DisconnectReason.SESSION_LOST)
        said = set()
        for _ in range(300):
            self.frame(pair)
            said.add(self.line("connection")[0])
            client.quality()
        self.assertTrue({"suspended", "over"} <= said, said)
        self.assertIsNot(client.player, first)
        self.assertEqual(self.line("connection")[0], client.quality().label)
        self.assertFalse(client.suspended)


class LevelTests(Scene):
    """Four levels, and none."""

    def test_they_go_round(self) -> None:
        graph = NetGraph(Told(FINE))
        self.assertEqual([graph.next_level() for _ in range(6)], [1, 2, 3, 4, 0, 1])
        for wrong in (-1, 5, "1", None, 1.5):
            self.assertRaises(ValueError, setattr, graph, "level", wrong)
        self.assertRaises(ValueError, NetGraph, Told(FINE), level=9)

    def test_each_has_what_those_before_it_have(self) -> None:
        graph = graph_of(Told(FINE), 0)
        self.assertEqual((graph.texts(), graph.advice(), graph.graphs()), ((), (), ()))
        names: list[str] = []
        titles: list[str] = []
        for added in (
            ["connection", "path", "ping", "in", "out"],
            ["jitter", "loss", "end to end"],
            ["since join", "waiting"],
            ["server ticks", "states", "", "inputs", "input lead", "clock"],
        ):
            graph.next_level()
            names += added
            self.assertEqual([line.name for line in graph.texts()], names)
            titles += [
                [],
                ["latency", "loss"],
                ["traffic", "by type"],
                ["lateness"],
            ][graph.level - 1]
            self.assertEqual([one.title for one in graph.graphs()], titles)

    def test_it_watches_while_it_is_off(self) -> None:
        pair = self.scene(LOSSY)
        self.graph.level = 0
        self.play(pair, 10)
        self.graph.level = 4
        self.assertGreater(len(plot_of(self.graph, "lateness").curves[0].values), 90)

    def test_quality_is_read_ten_times_a_second_at_most(self) -> None:
        client = Told(FINE)
        graph = NetGraph(client, level=4)
        for frame in range(2401):
            graph.update(frame / 240, 1 / 240)
            graph.texts(), graph.advice(), graph.graphs()
        self.assertTrue(95 <= client.asked <= 101, client.asked)

    def test_graphs_are_made_once_for_each_look(self) -> None:
        graph = graph_of(Told(FINE))
        self.assertIs(graph.graphs(), graph.graphs())
        before = graph.graphs()
        graph.update(0.1)
        self.assertIsNot(graph.graphs(), before)


class OddTests(Scene):
    """Values that nobody expects."""

    def test_no_number_is_shown_as_a_question_mark(self) -> None:
        graph = graph_of(Told(ODD), interpolator=Interpolator())
        said = {line.name: line.value for line in graph.texts()}
        self.assertEqual(said["ping"], "? ms")
        self.assertEqual(said["loss"], "? in, ? out")
        self.assertEqual(said["in"], "?/s, ? datagrams/s")
        self.assertEqual(said["clock"], "not known yet")
        self.assertNotRegex(" ".join(said.values()), "nan|inf")
        for shape in graph.graphs():
            self.assertTrue(0 < shape.top < inf, shape)
            if isinstance(shape, Bars):
                self.assertNotRegex(" ".join(bar.note for bar in shape.bars), "nan|inf")

    def test_frames_that_take_no_time_or_for_ever(self) -> None:
        graph = NetGraph(Told(FINE), level=1)
        for seconds in (nan, inf, -inf, -1.0, 0.0):
            graph.update(0.0, seconds)
        self.assertNotIn("frames", [line.name for line in graph.texts()])
        for number in range(120):
            graph.update(number / 60, 1 / 60)
        self.assertEqual(self.line("frames", graph)[0], "60/s, worst 17 ms")

    def test_a_time_that_is_none(self) -> None:
        graph = NetGraph(Told(FINE))
        for now in (nan, inf, -inf):
            self.assertRaises(ValueError, graph.update, now)

    def test_a_clock_that_goes_back(self) -> None:
        graph = graph_of(Told(FINE), interpolator=Interpolator())
        for now in (100.0, 3.0, 3.1, 1e9, 0.0, -50.0):
            before = graph.version
            graph.update(now)
            self.assertGreater(graph.version, before)
            graph.graphs()

    def test_no_samples_and_no_counts(self) -> None:
        graph = graph_of(Told(replace(FINE, packed_samples=b"", types_in={}, types_out={})))
        self.assertEqual(plot_of(graph, "latency").curves[0].values, ())
        (bars,) = (one for one in graph.graphs() if isinstance(one, Bars))
        self.assertEqual(bars.bars, ())

    def test_sessions_are_told_apart_by_their_player(self) -> None:
        client = Told(FINE)
        graph = graph_of(client, interpolator=Interpolator())
        for number in (1, 2):
            client.newest_state = State(number, b"", number, number / 20, 0)
            graph.update(5.0 + number / 20)
        self.assertEqual(self.line("server ticks", graph)[0], "20 of 20/s")
        client.player = Player(1, "ada", "")
        client.newest_state = State(5, b"", 900, 45.0, 0)
        client.told = replace(FINE, path="tcp")
        graph.update(5.15)
        self.assertEqual(self.line("server ticks", graph)[0], "? of 20/s")
        self.assertEqual(self.line("path", graph)[0], "TCP, trying UDP")
        self.assertEqual(len(plot_of(graph, "lateness").curves[0].values), 1)


class HistoryTests(Scene):
    """What is kept of the past."""

    def test_a_pause_leaves_a_gap(self) -> None:
        smooth = Interpolator[int]()
        smooth.delay_seconds = 0.05
        graph = graph_of(Told(FINE), interpolator=smooth)
        for now in (0.1, 0.2, 1.0, 1.1):
            graph.update(now)
        (curve,) = (c for c in plot_of(graph, "latency").curves if c.name == "smoothing")
        self.assertEqual(curve.values, (50.0,) * 3 + (None,) * 7 + (50.0,) * 2)
        graph.update(1_000.0)
        (curve,) = (c for c in plot_of(graph, "latency").curves if c.name == "smoothing")
        self.assertEqual((len(curve.values), curve.values[-2:]), (MAX_SAMPLES, (None, 50.0)))

    def test_another_interpolator_has_not_run_dry_less_than_never(self) -> None:
        smooth = Interpolator[int]()
        smooth.starved = 5
        graph = graph_of(Told(FINE), interpolator=smooth)
        graph.interpolator = Interpolator[int]()
        graph.update(2.0)
        self.assertIn("dry 0 times", self.line("smoothing", graph)[0])

    def test_a_clock_that_goes_back_begins_anew(self) -> None:
        smooth = Interpolator[int]()
        smooth.delay_seconds = 0.05
        graph = graph_of(Told(FINE), interpolator=smooth)
        for now in (100.0, 100.1, 3.0):
            graph.update(now)
        (curve,) = (c for c in plot_of(graph, "latency").curves if c.name == "smoothing")
        self.assertEqual(curve.values, (50.0,))

    def test_after_the_end_nothing_is_noted(self) -> None:
        client = Told(FINE)
        graph = graph_of(client, interpolator=Interpolator[int]())
        client.joined = False
        for now in (0.1, 0.2, 0.3):
            graph.update(now)
        self.assertEqual(len(plot_of(graph, "lateness").curves[0].values), 1)

    def test_where_there_is_no_ping_yet_there_is_a_gap(self) -> None:
        rows = packed((0, 0, 0, 0), (40, 3, 0, 0))
        graph = graph_of(Told(replace(FINE, packed_samples=rows)))
        self.assertEqual(
            [curve.values for curve in plot_of(graph, "latency").curves],
            [(None, 40.0), (None, 3.0)],
        )

    def test_frames_are_those_of_the_last_second(self) -> None:
        graph = NetGraph(Told(FINE), level=1)
        for number in range(40):
            graph.update(number / 20, 0.05)
        for number in range(66):
            graph.update(2 + number / 60, 1 / 60)
        self.assertEqual(self.line("frames", graph), ("60/s, worst 17 ms", "good"))

    def test_of_a_tenth_the_state_that_was_latest_counts(self) -> None:
        client = Told(FINE)
        graph = graph_of(client)
        for number, came in enumerate((1.0, 1.05, 1.18, 1.19), 1):
            client.newest_state = State(number, b"", number, 0.05 * number, 0)
            graph.update(came)
        lateness = plot_of(graph, "lateness").curves[0].values
        self.assertApproximates(lateness[-1] or 0.0, 80.0, 0.001)


class ColourTests(Scene):
    """Nobody has to tell colours apart, and who cannot see them sees the difference."""

    def test_curves_of_a_plot_differ_in_style_and_in_brightness(self) -> None:
        graph = graph_of(Told(FINE), interpolator=Interpolator())
        for plot in graph.graphs():
            if not isinstance(plot, Plot):
                continue
            self.assertEqual(len({curve.style for curve in plot.curves}), len(plot.curves))
            for one in plot.curves:
                self.assertGreater(contrast(one.colour, palette.GROUND), 4.5)
                for other in plot.curves:
                    if one is not other:
                        self.assertGreater(contrast(one.colour, other.colour), 1.5)

    def test_verdicts_differ_in_brightness_and_are_words(self) -> None:
        colours = [palette.OF_VERDICT[word] for word in ("good", "fair", "poor")]
        for one in colours:
            self.assertGreater(contrast(one, palette.GROUND), 4.5)
            for other in colours:
                if one is not other:
                    self.assertGreater(contrast(one, other), 1.5)

    def test_the_measure_is_that_of_wcag(self) -> None:
        self.assertApproximates(contrast((255, 255, 255), (0, 0, 0)), 21.0, 1e-9)
        self.assertApproximates(contrast((119, 119, 119), (255, 255, 255)), 4.48, 0.01)


def contrast(one: tuple[int, int, int], other: tuple[int, int, int]) -> float:
    """The contrast ratio of WCAG 2, from 1 to 21."""
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: tuple[int, int, int]) -> float:
    """The relative luminance of an sRGB colour."""
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in (value / 255 for value in colour)
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
