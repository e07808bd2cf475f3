"""What a bad network does: counted over many datagrams, and the same for the same seed."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gamenet.errors import ConfigError
from gamenet.impairment import (
    HELD_BACK_SECONDS,
    PROFILES,
    RETRANSMISSION_SECONDS,
    Impairment,
    Profile,
    find_profile,
)

ROOT = Path(__file__).parent.parent
MANY = 100_000
NEAR = 0.003
"""Three tenths of a point: how far the counted share of losses may be from the one asked for."""

shares = st.floats(0, 1)
profiles = st.builds(
    Profile,
    latency_ms=st.floats(0, 500),
    jitter_ms=st.floats(0, 500),
    loss=shares,
    burst=st.floats(1, 20),
    duplicate=shares,
    reorder=shares,
    corrupt=shares,
    bandwidth_bytes=st.none() | st.integers(1, 10**7),
    queue_seconds=st.floats(0.01, 2),
    blackout_seconds=st.floats(0, 3),
    blackout_every_seconds=st.floats(3.5, 20),
)
traffic = st.lists(st.tuples(st.booleans(), st.binary(max_size=40), st.floats(0, 0.5)), max_size=60)


def trace(
    profile: Profile, seed: int | str, calls: list[tuple[bool, bytes, float]]
) -> list[object]:
    """What became of a lot of traffic."""
    link = Impairment(profile, seed)
    now = 0.0
    found: list[object] = []
    for is_stream, data, gap in calls:
        now += gap
        found.append(link.stream(len(data), now) if is_stream else link.datagram(data, now))
    return found


def lost_of(profile: Profile, seed: int | str, count: int = MANY) -> list[bool]:
    """Which of many datagrams vanish."""
    link = Impairment(profile, seed)
    return [not link.datagram(b"x", 0.0) for _ in range(count)]


class PropertyTests(SynchronousTestCase):
    """Whatever the profile, the seed and the traffic are."""

    @settings(max_examples=150)
    @given(profiles, st.integers() | st.text(max_size=8), traffic)
    def test_theSameSeedGivesTheSameTrace(
        self, profile: Profile, seed: int | str, calls: list[tuple[bool, bytes, float]]
    ) -> None:
        self.assertEqual(trace(profile, seed, calls), trace(profile, seed, calls))

    @settings(max_examples=150)
    @given(profiles, st.integers(), traffic)
    def test_aStreamKeepsItsOrderAndNothingArrivesBeforeItIsSent(
        self, profile: Profile, seed: int, calls: list[tuple[bool, bytes, float]]
    ) -> None:
        link = Impairment(profile, seed)
        now = before = 0.0
        for is_stream, data, gap in calls:
            now += gap
            if is_stream:
                arrives = link.stream(len(data), now)
                self.assertGreaterEqual(arrives, before)
                self.assertGreaterEqual(arrives, now)
                self.assertTrue(math.isfinite(arrives))
                before = arrives
            else:
                self.assertTrue(all(when >= now for when, _ in link.datagram(data, now)))

    @settings(max_examples=150)
    @given(profiles, st.integers(), traffic, st.integers(0, 60))
    def test_everyDatagramIsAccountedFor(
        self, profile: Profile, seed: int, calls: list[tuple[bool, bytes, float]], blocked: int
    ) -> None:
        link = Impairment(profile, seed)
        now = 0.0
        copies = 0
        for index, (_, data, gap) in enumerate(calls):
            now += gap
            link.blocked = index == blocked
            copies += len(link.datagram(data, now))
        self.assertEqual(link.sent, len(calls))
        gone = link.lost + link.queued_out + link.blacked_out
        self.assertEqual(copies, link.sent - gone + link.duplicated)

    @given(profiles, profiles, st.integers())
    def test_theProfileCanChangeAtAnyTime(self, one: Profile, two: Profile, seed: int) -> None:
        link = Impairment(one, seed)
        link.stream(9, 1.0)
        link.datagram(b"x", 1.0)
        link.profile = two
        self.assertIs(link.profile, two)
        link.datagram(b"x", 1.1)
        self.assertGreaterEqual(link.stream(9, 1.1), 1.1)
        link.profile = Profile()
        # The stream's own past is not undone, nor is what a slow link still holds.
        (arrived,) = link.datagram(b"x", 1e9)
        self.assertEqual(arrived, (1e9, b"x"))

    def test_seedsDiffer(self) -> None:
        profile = Profile(loss=0.5)
        traces = {tuple(lost_of(profile, seed, 64)) for seed in (0, 1, 2, "a", "b", "0")}
        self.assertEqual(len(traces), 6)


class LossTests(SynchronousTestCase):
    """As many are lost as were asked for, one by one or in runs."""

    def test_everyProfile(self) -> None:
        for profile in PROFILES.values():
            lost = sum(lost_of(profile, "profile"))
            self.assertApproximates(lost / MANY, profile.loss, NEAR, str(profile))

    def test_everyLengthOfRuns(self) -> None:
        for burst in range(1, 9):
            lost = lost_of(Profile(loss=0.02, burst=burst), "runs")
            self.assertApproximates(sum(lost) / MANY, 0.02, NEAR, f"{burst}")
            runs = sum(after and not before for before, after in pairwise([False, *lost]))
            self.assertApproximates(sum(lost) / runs, burst, 0.12 * burst)

    def test_independentLossesHaveNoMemory(self) -> None:
        lost = lost_of(Profile(loss=0.2), "alone")
        after_a_loss = [after for before, after in pairwise(lost) if before]
        self.assertApproximates(sum(after_a_loss) / len(after_a_loss), 0.2, 0.01)

    def test_runsEndInSilence(self) -> None:
        """Who asks once a second does not wait for eight answers to be lost."""
        link = Impairment(Profile(loss=0.1, burst=20), "seldom")
        lost = [not link.datagram(b"x", float(second)) for second in range(MANY)]
        self.assertApproximates(sum(lost) / MANY, 0.1, NEAR)
        after_a_loss = [after for before, after in pairwise(lost) if before]
        self.assertApproximates(sum(after_a_loss) / len(after_a_loss), 0.1, 0.01)
        often = Impairment(Profile(loss=0.1, burst=20), "often")
        lost = [not often.datagram(b"x", second / 10) for second in range(MANY)]
        after_a_loss = [after for before, after in pairwise(lost) if before]
        self.assertApproximates(sum(after_a_loss) / len(after_a_loss), 0.95, 0.01)

    def test_manyLosses(self) -> None:
        for share in (0.3, 0.6, 0.9, 0.99):
            for burst in (1, 2, 8):
                lost = sum(lost_of(Profile(loss=share, burst=burst), "many"))
                self.assertApproximates(lost / MANY, share, 0.01, f"{share}, {burst}")

    def test_allAndNothing(self) -> None:
        self.assertEqual(sum(lost_of(Profile(loss=1.0, burst=3), 0)), MANY)
        self.assertEqual(sum(lost_of(Profile(), 0)), 0)

    def test_veryFew(self) -> None:
        self.assertEqual(sum(lost_of(Profile(loss=5e-324), 0, 100)), 0)
        self.assertEqual(sum(lost_of(Profile(loss=1e-300, burst=9), 0, 100)), 0)


class DelayTests(SynchronousTestCase):
    """Delays are spread over latency plus and minus jitter, and never below zero."""

    def test_everyProfile(self) -> None:
        for profile in PROFILES.values():
            link = Impairment(replace(profile, loss=0.0), "delay")
            delays = [1_000 * link.datagram(b"x", 0.0)[0][0] for _ in range(20_000)]
            low = max(0.0, profile.latency_ms - profile.jitter_ms)
            high = profile.latency_ms + profile.jitter_ms
            self.assertGreaterEqual(min(delays), low)
            self.assertLessEqual(max(delays), high + 1e-9)
            self.assertLess(min(delays) - low, 0.2)
            self.assertLess(high - max(delays), 0.2)
            if low:
                mean = sum(delays) / len(delays)
                self.assertApproximates(mean, profile.latency_ms, 0.02 * profile.latency_ms)

    def test_jitterWiderThanTheGapsReorders(self) -> None:
        link = Impairment(Profile(latency_ms=50, jitter_ms=40), 1)
        arrivals = [link.datagram(b"x", index / 60)[0][0] for index in range(1_000)]
        self.assertNotEqual(arrivals, sorted(arrivals))
        self.assertEqual(link.reordered, 0)  # nobody asked for these


class MistreatmentTests(SynchronousTestCase):
    """Duplicates, late ones, and flipped bits."""

    def test_duplicates(self) -> None:
        link = Impairment(Profile(latency_ms=9, jitter_ms=5, duplicate=0.1), 3)
        copies = [link.datagram(b"hello", 0.0) for _ in range(MANY)]
        twice = [each for each in copies if len(each) == 2]
        self.assertEqual(link.duplicated, len(twice))
        self.assertApproximates(len(twice) / MANY, 0.1, NEAR)
        self.assertEqual({data for each in copies for _, data in each}, {b"hello"})
        self.assertGreater(sum(one[0] > two[0] for one, two in twice), 100)
        self.assertGreater(sum(one[0] < two[0] for one, two in twice), 100)

    def test_thoseHeldBackAreOvertaken(self) -> None:
        profile = Profile(latency_ms=20, jitter_ms=10, reorder=0.05)
        link = Impairment(profile, 4)
        arrivals = [link.datagram(b"x", index / 30)[0][0] for index in range(MANY)]
        overtaken = sum(one > two for one, two in pairwise(arrivals))
        self.assertApproximates(link.reordered / MANY, 0.05, NEAR)
        # Two held back in a row do not overtake each other.
        self.assertApproximates(overtaken / MANY, 0.05 * 0.95, NEAR)
        longest = max(arrival - index / 30 for index, arrival in enumerate(arrivals))
        self.assertLessEqual(longest, 0.03 + HELD_BACK_SECONDS + 0.02 + 1e-6)

    def test_exactlyOneBitIsFlipped(self) -> None:
        link = Impairment(Profile(corrupt=0.1), 5)
        sent = bytes(range(40))
        places = set()
        damaged = 0
        for _ in range(MANY):
            ((_, data),) = link.datagram(sent, 0.0)
            if data != sent:
                damaged += 1
                wrong = int.from_bytes(data) ^ int.from_bytes(sent)
                self.assertEqual((len(data), wrong.bit_count()), (len(sent), 1))
                places.add(wrong.bit_length())
        self.assertEqual(damaged, link.corrupted)
        self.assertApproximates(damaged / MANY, 0.1, NEAR)
        self.assertEqual(places, set(range(1, 8 * len(sent) + 1)))

    def test_anEmptyDatagramHasNoBits(self) -> None:
        link = Impairment(Profile(corrupt=1.0), 6)
        self.assertEqual(link.datagram(b"", 1.0), [(1.0, b"")])
        self.assertEqual(link.corrupted, 0)

    def test_blocked(self) -> None:
        link = Impairment(Profile(), 7)
        link.blocked = True
        self.assertEqual(link.datagram(b"x", 1.0), [])
        self.assertEqual(link.stream(5, 1.0), 1.0)
        link.blocked = False
        self.assertEqual(link.datagram(b"x", 1.0), [(1.0, b"x")])
        self.assertEqual((link.sent, link.lost, link.blacked_out), (2, 0, 1))


class BandwidthTests(SynchronousTestCase):
    """A capped link carries so much and no more, holds a little, and drops the rest."""

    def test_datagramsQueueAndAreDropped(self) -> None:
        link = Impairment(Profile(latency_ms=10, bandwidth_bytes=12_800, queue_seconds=0.5), 0)
        arrivals = [link.datagram(bytes(100), 0.0) for _ in range(100)]
        carried = [each[0][0] for each in arrivals if each]
        # Each takes 1/128 s: the first finds the link free, the last may wait for half a second.
        self.assertEqual(len(carried), 65)
        self.assertEqual(link.queued_out, 35)
        self.assertEqual(arrivals[65:], [[]] * 35)
        for index, arrival in enumerate(carried):
            self.assertAlmostEqual(arrival, (index + 1) / 128 + 0.01)
        self.assertEqual(len(link.datagram(bytes(100), 0.2)), 1)

    def test_theRateIsTheOneAskedFor(self) -> None:
        link = Impairment(Profile(bandwidth_bytes=50_000), 0)
        carried = 0
        for millisecond in range(10_000):
            for _ in range(3):
                carried += 100 * len(link.datagram(bytes(100), millisecond / 1_000))
        self.assertApproximates(carried, 10.2 * 50_000, 500)

    def test_aStreamTakesItsTimeAndDropsNothing(self) -> None:
        link = Impairment(Profile(bandwidth_bytes=1_000), 0)
        arrivals = [link.stream(500, 0.0) for _ in range(10)]
        self.assertEqual(arrivals, [0.5 * (index + 1) for index in range(10)])

    def test_aLongStreamLeavesRoomForDatagrams(self) -> None:
        link = Impairment(Profile(bandwidth_bytes=10_000, queue_seconds=0.4), 0)
        self.assertEqual(link.stream(100_000, 0.0), 10.0)
        carried = 0
        for tick in range(300):
            for arrival, data in link.datagram(bytes(50), tick / 30):
                carried += len(data)
                self.assertLess(arrival - tick / 30, 0.21)
        self.assertEqual(carried, 300 * 50)
        # What the datagrams took, the stream did not have.
        self.assertAlmostEqual(link.stream(100, 10.0), 11.51, places=2)


class BlackoutTests(SynchronousTestCase):
    """For a while nothing passes: datagrams vanish, streams wait."""

    def test_bothAreHeld(self) -> None:
        profile = Profile(latency_ms=10, blackout_seconds=3, blackout_every_seconds=15)
        link = Impairment(profile, 0)
        for now, passes in (
            (0.0, True),
            (11.99, True),
            (12.0, False),
            (14.99, False),
            (15.0, True),
            (26.9, True),
            (29.9, False),
        ):
            self.assertEqual(bool(link.datagram(b"x", now)), passes, now)
            arrives = link.stream(100, now)
            expected = now if passes else (15.0 if now < 15 else 30.0)
            self.assertAlmostEqual(arrives, expected + 0.01)
        self.assertEqual((link.lost, link.blacked_out), (0, 3))

    def test_theTrainsShare(self) -> None:
        link = Impairment(PROFILES["train"], 0)
        for index in range(90_000):
            link.datagram(b"x", index / 100)
        self.assertEqual(link.blacked_out, 18_000)


class StreamTests(SynchronousTestCase):
    """TCP hides a loss behind a delay."""

    def test_aLossDelaysWhatFollows(self) -> None:
        profile = Profile(latency_ms=50, loss=0.02)
        link = Impairment(profile, 1)
        delays = [link.stream(100, 10.0 * index) - 10.0 * index for index in range(20_000)]
        late = [delay for delay in delays if delay > 0.051]
        self.assertApproximates(len(late) / len(delays), 0.02, 0.004)
        self.assertAlmostEqual(min(late), 0.05 + 0.1 + RETRANSMISSION_SECONDS)
        # Right behind a lost packet everything waits for it.
        link = Impairment(profile, 1)
        now = arrives = 0.0
        while arrives - now < 0.051:
            now += 10.0
            arrives = link.stream(100, now)
        self.assertGreaterEqual(link.stream(100, now + 0.001), arrives)

    def test_aRunOfLossesIsOneDelay(self) -> None:
        link = Impairment(Profile(loss=0.04, burst=4), 1)
        delays = [link.stream(100, 100.0 * index) - 100.0 * index for index in range(20_000)]
        self.assertApproximates(sum(delay > 0 for delay in delays) / 20_000, 0.01, 0.003)

    def test_moreBytesAreMorePackets(self) -> None:
        link = Impairment(Profile(loss=0.01), 1)
        delays = [link.stream(14_000, 100.0 * index) - 100.0 * index for index in range(5_000)]
        self.assertApproximates(sum(delay > 0 for delay in delays) / 5_000, 0.0956, 0.02)

    def test_evenWhereAllIsLostItArrives(self) -> None:
        link = Impairment(Profile(loss=1.0), 1)
        self.assertLess(link.stream(1, 0.0), 60.0)


class ProfileTests(SynchronousTestCase):
    """What can be asked for."""

    def test_wrongValuesAreNamed(self) -> None:
        for field, value in (
            ("latency_ms", -1),
            ("latency_ms", math.nan),
            ("latency_ms", 60_001),
            ("jitter_ms", -0.1),
            ("loss", 1.01),
            ("loss", "much"),
            ("duplicate", -0.01),
            ("reorder", math.inf),
            ("corrupt", 2),
            ("burst", 0.5),
            ("bandwidth_bytes", 0),
            ("bandwidth_bytes", 1.5),
            ("queue_seconds", 0),
            ("blackout_every_seconds", -1),
            ("blackout_seconds", 1),
            ("blackout_seconds", -1),
            ("name", 7),
        ):
            with self.assertRaises(ConfigError) as caught:
                Profile(**{field: value})  # type: ignore[arg-type]
            self.assertEqual(caught.exception.field, field)
        with self.assertRaises(ConfigError):
            Profile(blackout_seconds=15, blackout_every_seconds=15)

    def test_byName(self) -> None:
        self.assertEqual(find_profile("train").blackout_seconds, 3)
        custom = Profile(loss=0.5)
        self.assertIs(find_profile(custom), custom)
        with self.assertRaisesRegex(ConfigError, "did you mean satellite"):
            find_profile("sattelite")
        with self.assertRaisesRegex(ConfigError, "there are perfect, wifi"):
            find_profile("zzz")

    def test_theyAreAsPromised(self) -> None:
        promised = {
            "perfect": (0, 0, 0.0),
            "wifi": (5, 10, 0.01),
            "cellular": (50, 30, 0.02),
            "satellite": (300, 20, 0.01),
            "train": (80, 60, 0.05),
        }
        found = {
            profile.name: (profile.latency_ms, profile.jitter_ms, profile.loss)
            for profile in PROFILES.values()
        }
        self.assertEqual(found, promised)
        self.assertEqual(
            {name for name, each in PROFILES.items() if each.burst > 1}, {"wifi", "train"}
        )

    def test_inWords(self) -> None:
        self.assertEqual(str(PROFILES["cellular"]), "cellular: 50±30 ms each way, 2 % lost")
        self.assertEqual(
            str(PROFILES["train"]),
            "train: 80±60 ms each way, 5 % lost in runs of 4, nothing for 3 s every 15 s",
        )
        everything = Profile(duplicate=0.1, reorder=0.2, corrupt=0.3, bandwidth_bytes=9)
        self.assertEqual(
            str(everything),
            "custom: 0±0 ms each way, 10 % doubled, 20 % held back, 30 % damaged, 9 bytes/s",
        )


class PageTests(SynchronousTestCase):
    """``docs/BADNET.rst`` against the code."""

    def test_theProfilesAreThoseThereAre(self) -> None:
        text = (ROOT / "docs" / "BADNET.rst").read_text(encoding="utf-8")
        table = text.partition(".. profiles begin\n")[2].partition(".. profiles end\n")[0]
        expected = (
            "\n.. list-table::\n   :header-rows: 1\n\n   * - profile\n     - delay, one way\n"
            "     - lost\n     - in runs of\n     - blackout of both transports\n"
        )
        for profile in PROFILES.values():
            dark = "none"
            if profile.blackout_every_seconds:
                dark = f"{profile.blackout_seconds:g} s every {profile.blackout_every_seconds:g} s"
            expected += (
                f"   * - ``{profile.name}``\n"
                f"     - {profile.latency_ms:g}±{profile.jitter_ms:g} ms\n"
                f"     - {100 * profile.loss:g} %\n     - {profile.burst:g}\n     - {dark}\n"
            )
        self.assertEqual(table, expected + "\n")
