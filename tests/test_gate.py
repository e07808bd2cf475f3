"""The gate: who counts as whom, and how much each of them may ask."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gamenet import gate as gate_module
from gamenet.config import ServerConfig
from gamenet.core import frames
from gamenet.errors import RefusalReason
from gamenet.gate import (
    ACCOUNT_SECONDS,
    ADDRESS_SECONDS,
    RESERVED_FILES,
    Failures,
    Gate,
    Recent,
    address_key,
    open_files,
    raise_open_files,
)
from tests.fakes import Machine
from tests.world import World, hello

START = 1_000.0
HOME, AWAY = "192.0.2.1", "198.51.100.7"


def new_gate(now: float = START, **fields: Any) -> Gate:
    return Gate(ServerConfig(insecure=True, **fields), lambda: now)


class KeyTests(SynchronousTestCase):
    """What an address counts as."""

    def test_ipv4_counts_as_itself_also_in_ipv6_clothing(self) -> None:
        for host in ("192.0.2.1", "::ffff:192.0.2.1", "::ffff:c000:201"):
            self.assertEqual(address_key(host), "192.0.2.1")
        self.assertNotEqual(address_key("192.0.2.1"), address_key("192.0.2.2"))

    def test_ipv6_counts_by_the_64_bits_that_one_customer_has(self) -> None:
        key = "2001:0db8:0001:0002::/64"
        for host in ("2001:db8:1:2::", "2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff"):
            self.assertEqual(address_key(host), key)
        for host in ("2001:db8:1:3::1", "2001:db8:0:2::1", "2001:db9:1:2::1"):
            self.assertNotEqual(address_key(host), key)

    def test_a_scope_does_not_matter(self) -> None:
        self.assertEqual(address_key("fe80::1%eth0"), address_key("fe80::2%eth1"))

    def test_what_is_no_address_does_not_count(self) -> None:
        for host in ("", "localhost", "1.2.3", "/tmp/socket", "None", "?"):
            self.assertEqual(address_key(host), "")
            self.assertEqual(new_gate().key(host), "")
            self.assertEqual(new_gate(limit_loopback=True).key(host), "")

    def test_this_machine_counts_only_if_told_so(self) -> None:
        for host in ("127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"):
            self.assertEqual(new_gate().key(host), "")
            self.assertNotEqual(new_gate(limit_loopback=True).key(host), "")
        for host in ("10.0.0.1", "192.168.1.1", "fe80::1", "2001:db8::1"):
            self.assertEqual(new_gate().key(host), address_key(host))
            self.assertEqual(new_gate(limit_loopback=True).key(host), address_key(host))


class RecentTests(SynchronousTestCase):
    """The table behind every limit for an address."""

    @given(
        st.integers(1, 5),
        st.lists(st.tuples(st.sampled_from(("get", "peek", "forget")), st.integers(0, 8))),
    )
    def test_it_keeps_the_last_ones_used(self, size: int, steps: list[tuple[str, int]]) -> None:
        made: list[object] = []

        def make() -> object:
            made.append(object())
            return made[-1]

        table: Recent[int, object] = Recent(size, make)
        reference: list[tuple[int, object]] = []
        for what, key in steps:
            known = dict(reference)
            if what == "forget":
                table.forget(key)
                reference = [each for each in reference if each[0] != key]
            elif what == "peek":
                self.assertIs(table.peek(key), known.get(key))
            else:
                count = len(made)
                value = table.get(key)
                self.assertIs(value, known.get(key, made[-1]))
                self.assertEqual(len(made), count + (key not in known))
                reference = [each for each in reference if each[0] != key]
                reference = [*reference, (key, value)][-size:]
            self.assertEqual(len(table), len(reference))
            for each in range(9):
                self.assertIs(table.peek(each), dict(reference).get(each))


def fail(failures: Failures, now: float) -> None:
    """One login is looked at, and fails."""
    until = failures.until
    failures.begin(now)
    failures.until = until  # it took no time
    failures.end(now, False)


class FailuresTests(SynchronousTestCase):
    """Failed logins, and how long the next one waits."""

    def waits(self, failures: Failures, pauses: list[float]) -> list[float]:
        """The wait after each failure; each comes so long after the wait before it."""
        now = START
        found = []
        for pause in pauses:
            now = max(now, failures.until) + pause
            fail(failures, now)
            found.append(max(0.0, failures.until - now))
        return found

    def test_some_cost_nothing_then_each_doubles_the_wait(self) -> None:
        self.assertEqual(
            self.waits(Failures(5, 600.0, 60.0), [0.0] * 14),
            [0.0] * 5 + [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0],
        )

    def test_old_ones_are_forgotten(self) -> None:
        self.assertEqual(self.waits(Failures(3, 60.0, 60.0), [20.001] * 30), [0.0] * 30)
        waits = self.waits(Failures(3, 60.0, 60.0), [19.9] * 4)
        self.assertEqual(waits, [0.0, 0.0, 0.0, 1.0])

    def test_whoever_stays_away_long_enough_begins_anew(self) -> None:
        failures = Failures(2, 60.0, 60.0)
        first = self.waits(failures, [0.0] * 6)
        self.assertEqual(first, [0.0, 0.0, 1.0, 2.0, 4.0, 8.0])
        now = failures.until + 60.0
        fail(failures, now)
        self.assertLessEqual(failures.until, now)

    @given(
        st.integers(1, 5),
        st.sampled_from((10.0, 60.0)),
        st.sampled_from((1.5, 8.0, 60.0)),
        st.lists(st.sampled_from((0.0, 0.5, 3.0, 9.75, 10.0, 61.0)), max_size=40),
    )
    def test_it_is_what_all_that_ever_failed_say(
        self, allowed: int, seconds: float, longest: float, pauses: list[float]
    ) -> None:
        failures = Failures(allowed, seconds, longest)
        everything: list[float] = []
        wait = until = 0.0
        now = START
        for pause in pauses:
            now += pause
            if not any(now - when < seconds for when in everything):
                wait = 0.0
            everything.append(now)
            if sum(now - when < seconds for when in everything) > allowed:
                wait = min(longest, max(1.0, 2 * wait))
                until = now + wait
            fail(failures, now)
            self.assertEqual(failures.until, until)
            self.assertLessEqual(len(failures._times), allowed + 1)


class ConnectionTests(SynchronousTestCase):
    """Connections from one address."""

    def test_a_burst_then_so_many_a_second(self) -> None:
        gate = new_gate(accepts_per_second=2.0, accepts_burst=5)
        self.assertEqual([gate.accepts(HOME, START) for _ in range(7)], [True] * 5 + [False] * 2)
        self.assertTrue(gate.accepts(AWAY, START))
        self.assertFalse(gate.accepts(HOME, START + 0.49))
        self.assertTrue(gate.accepts(HOME, START + 0.5))
        self.assertFalse(gate.accepts(HOME, START + 0.5))

    def test_as_many_as_may_be_joining_at_once(self) -> None:
        gate = new_gate(max_unjoined_per_address=3, accepts_burst=100)
        for _ in range(3):
            self.assertTrue(gate.accepts(HOME, START))
            gate.came(HOME)
        self.assertFalse(gate.accepts(HOME, START))
        self.assertTrue(gate.accepts(AWAY, START))
        gate.gone(HOME)
        self.assertTrue(gate.accepts(HOME, START))
        gate.came(HOME)
        self.assertFalse(gate.accepts(HOME, START))

    def test_one_refused_for_that_is_not_counted_against_the_rate(self) -> None:
        gate = new_gate(max_unjoined_per_address=1, accepts_burst=2, accepts_per_second=0.001)
        self.assertTrue(gate.accepts(HOME, START))
        gate.came(HOME)
        for _ in range(10):
            self.assertFalse(gate.accepts(HOME, START))
        gate.gone(HOME)
        self.assertTrue(gate.accepts(HOME, START))
        self.assertFalse(gate.accepts(HOME, START))

    def test_what_does_not_count_is_never_refused(self) -> None:
        gate = new_gate(max_unjoined_per_address=1, accepts_burst=1, max_players_per_address=1)
        for _ in range(50):
            self.assertTrue(gate.accepts("", START))
            self.assertTrue(gate.has_room(""))
            gate.came("")
            gate.joined("")
        self.assertEqual((gate._unjoined, gate._players), ({}, {}))
        self.assertEqual(len(gate._accepts), 0)

    def test_players_from_one_address(self) -> None:
        gate = new_gate(max_players_per_address=2)
        for _ in range(2):
            self.assertTrue(gate.has_room(HOME))
            gate.joined(HOME)
        self.assertFalse(gate.has_room(HOME))
        self.assertTrue(gate.has_room(AWAY))
        gate.left(HOME)
        self.assertTrue(gate.has_room(HOME))

    def test_by_default_a_whole_school_may_play(self) -> None:
        gate = new_gate(max_players=40)
        for _ in range(40):
            self.assertTrue(gate.has_room(HOME))
            gate.joined(HOME)
        self.assertFalse(gate.has_room(HOME))

    @given(st.lists(st.tuples(st.booleans(), st.sampled_from((HOME, AWAY, "")))))
    def test_who_is_gone_is_not_remembered(self, steps: list[tuple[bool, str]]) -> None:
        gate = new_gate()
        there: list[str] = []
        for comes, key in steps:
            if comes:
                gate.came(key)
                gate.joined(key)
                there.append(key)
            elif key in there:
                gate.gone(key)
                gate.left(key)
                there.remove(key)
            counts = {each: there.count(each) for each in set(there) if each}
            self.assertEqual((gate._unjoined, gate._players), (counts, counts))

    def test_the_table_of_addresses_is_bounded(self) -> None:
        gate = new_gate(address_table=10)
        for number in range(1_000):
            gate.accepts(f"192.0.2.{number}", START)
            gate.login_begins("ada", f"192.0.2.{number}", START)
            gate.login_ends("ada", f"192.0.2.{number}", False, START)
        for table in (gate._accepts, gate._of_account, gate._of_address):
            self.assertEqual(len(table), 10)


class LoginTests(SynchronousTestCase):
    """Failed logins."""

    def fail(self, gate: Gate, account: str, key: str, times: int, now: float = START) -> None:  # type: ignore[override]
        for _ in range(times):
            gate.login_begins(account, key, now)
            gate.login_ends(account, key, False, now)

    def test_the_defaults(self) -> None:
        config = ServerConfig(insecure=True)
        self.assertEqual(
            (config.failed_logins_per_account, config.failed_logins_per_address), (5, 10)
        )
        self.assertEqual(config.login_delay_seconds, 60.0)
        self.assertEqual((ACCOUNT_SECONDS, ADDRESS_SECONDS), (60.0, 600.0))

    def test_an_account_is_slowed_at_the_address_where_it_failed(self) -> None:
        gate = new_gate()
        self.fail(gate, "ada", HOME, 5)
        self.assertEqual(gate.login_wait("ada", HOME, START), 0.0)
        self.fail(gate, "ada", HOME, 1)
        self.assertEqual(gate.login_wait("ada", HOME, START), 1.0)
        self.assertEqual(gate.login_wait("ada", HOME, START + 0.75), 0.25)
        self.assertEqual(gate.login_wait("ada", HOME, START + 1.0), 0.0)
        # Nobody is locked out from elsewhere, and nobody else is there.
        self.assertEqual(gate.login_wait("ada", AWAY, START), 0.0)
        self.assertEqual(gate.login_wait("bob", HOME, START), 0.0)

    def test_an_address_is_slowed_for_all_accounts(self) -> None:
        gate = new_gate()
        for number in range(10):
            self.fail(gate, f"account {number}", HOME, 1)
        self.assertEqual(gate.login_wait("ada", HOME, START), 0.0)
        self.fail(gate, "yet another", HOME, 1)
        self.assertEqual(gate.login_wait("ada", HOME, START), 1.0)
        self.assertEqual(gate.login_wait("ada", AWAY, START), 0.0)

    def test_the_longer_of_both_waits(self) -> None:
        gate = new_gate(failed_logins_per_account=1, failed_logins_per_address=4)
        self.fail(gate, "ada", HOME, 4)
        self.assertEqual(gate.login_wait("ada", HOME, START), 4.0)
        self.fail(gate, "bob", HOME, 3)
        self.assertEqual(gate.login_wait("ada", HOME, START), 4.0)
        self.fail(gate, "bob", HOME, 1)
        self.assertEqual(gate.login_wait("ada", HOME, START), 8.0)

    def test_success_pardons_the_account_and_not_the_address(self) -> None:
        gate = new_gate()
        self.fail(gate, "ada", HOME, 12)
        now = START + gate.login_wait("ada", HOME, START)
        gate.login_begins("ada", HOME, now)
        gate.login_ends("ada", HOME, True, now)
        self.assertEqual(gate.login_wait("ada", HOME, now), 0.0)
        self.assertEqual(len(gate._of_account), 0)
        self.fail(gate, "bob", HOME, 1, now)
        self.assertEqual(gate.login_wait("ada", HOME, now), 4.0)

    def test_guesses_made_at_once_are_no_more_than_those_made_in_turn(self) -> None:
        gate = new_gate()
        looked_at = 0
        for _ in range(20):
            if not gate.login_wait("ada", HOME, START):
                gate.login_begins("ada", HOME, START)
                looked_at += 1
        self.assertEqual(looked_at, 5)
        self.assertEqual(gate.login_wait("ada", HOME, START), 1.0)
        self.assertEqual(gate.login_wait("ada", AWAY, START), 0.0)
        for _ in range(5):
            gate.login_ends("ada", HOME, None, START)
        self.assertEqual(gate.login_wait("ada", HOME, START), 0.0)

    def test_an_address_that_has_to_wait_has_one_guess_at_a_time(self) -> None:
        gate = new_gate()
        for number in range(11):
            self.fail(gate, f"account {number}", HOME, 1)
        now, looked_at = START, 0
        while now < START + 600:
            for number in range(16):
                if not gate.login_wait(f"other {number}", HOME, now):
                    gate.login_begins(f"other {number}", HOME, now)
                    gate.login_ends(f"other {number}", HOME, False, now + 0.03)
                    looked_at += 1
            now += 0.5
        self.assertLess(looked_at, 20)

    def test_a_class_that_logs_in_together_does_not_wait(self) -> None:
        gate = new_gate()
        for number in range(60):
            self.assertEqual(gate.login_wait(f"pupil {number}", HOME, START), 0.0)
            gate.login_begins(f"pupil {number}", HOME, START)
        for number in range(60):
            gate.login_ends(f"pupil {number}", HOME, True, START + 1)
        self.assertEqual(gate.login_wait("ada", HOME, START + 1), 0.0)

    def test_the_configured_longest_wait(self) -> None:
        gate = new_gate(failed_logins_per_account=1, login_delay_seconds=5.0)
        self.fail(gate, "ada", HOME, 30)
        self.assertEqual(gate.login_wait("ada", HOME, START), 5.0)

    def test_what_does_not_count_is_not_slowed(self) -> None:
        gate = new_gate()
        self.fail(gate, "ada", "", 100)
        self.assertEqual(gate.login_wait("ada", "", START), 0.0)
        self.assertEqual((len(gate._of_account), len(gate._of_address)), (0, 0))

    def test_to_ask_remembers_nobody(self) -> None:
        gate = new_gate()
        gate.login_wait("ada", HOME, START)
        self.assertEqual((len(gate._of_account), len(gate._of_address)), (0, 0))


class FilesTests(SynchronousTestCase):
    """How many connections the process can carry."""

    def test_a_daemon_may_have_as_many_files_open_as_it_needs_and_the_system_grants(self) -> None:
        import resource

        for soft, hard, wanted, got in (
            (1_024, 4_096, 2_000, 2_000),
            (1_024, 4_096, 9_000, 4_096),
            (4_096, 4_096, 2_000, None),
            (1_024, resource.RLIM_INFINITY, 9_000, 9_000),
            (resource.RLIM_INFINITY, resource.RLIM_INFINITY, 9_000, None),
        ):
            asked: list[tuple[int, int]] = []
            with (
                patch.object(resource, "getrlimit", lambda what, now=(soft, hard): now),
                patch.object(resource, "setrlimit", lambda what, new, to=asked: to.append(new)),
            ):
                raise_open_files(wanted)
            self.assertEqual(asked, [] if got is None else [(got, hard)])

    def test_what_the_system_says(self) -> None:
        files = open_files()
        assert files is None or files > 0
        import resource

        with patch.object(resource, "getrlimit", lambda what: (1_024, 4_096)):
            self.assertEqual(open_files(), 1_024)
            self.assertEqual(new_gate().max_sockets, 1_024 - RESERVED_FILES)
        with patch.object(resource, "getrlimit", lambda what: (resource.RLIM_INFINITY, 4_096)):
            self.assertIs(open_files(), None)
            self.assertIs(new_gate().max_sockets, None)

    def test_at_least_one_whatever_it_says(self) -> None:
        with patch.object(gate_module, "open_files", lambda: 10):
            self.assertEqual(new_gate().max_sockets, 1)

    def test_where_there_is_no_such_limit(self) -> None:
        with patch.dict("sys.modules", {"resource": None}):
            self.assertIs(open_files(), None)


class WorldTests(SynchronousTestCase):
    """At the door of a server."""

    def test_connections_beyond_the_rate_are_closed_unanswered(self) -> None:
        world = World(self, accepts_burst=3, accepts_per_second=1.0)
        machine = world.machine()
        strangers = [world.stranger(machine) for _ in range(5)]
        self.assertEqual([bool(each.ended) for each in strangers], [False] * 3 + [True] * 2)
        self.assertEqual([each.heard for each in strangers], [b""] * 5)
        self.assertEqual(world.server.counters.address_refused, 2)
        self.assertFalse(world.stranger().ended)
        world.run(1.0)
        self.assertFalse(world.stranger(machine).ended)

    def test_nobody_alone_can_keep_others_from_joining(self) -> None:
        world = World(self, max_unjoined_per_address=4)
        machine = world.machine()
        strangers = [world.stranger(machine) for _ in range(6)]
        self.assertEqual(sum(bool(each.ended) for each in strangers), 2)
        self.assertEqual(world.server.counters.address_refused, 2)
        world.join("ada")
        # Who has joined makes room, and so does who leaves.
        strangers[0].say_frame(frames.encode_hello(hello("bob")), frames.encode_ack(0))
        strangers[1].abort()
        again = [world.stranger(machine) for _ in range(3)]
        self.assertEqual([bool(each.ended) for each in again], [False, False, True])

    def test_one_that_was_refused_counts_until_it_is_closed(self) -> None:
        world = World(self, max_unjoined_per_address=1, game_name="tag/1")
        machine = world.machine()
        stranger = world.stranger(machine)
        stranger.say_frame(frames.encode_hello(hello("ada", game="chess/1")))
        self.assertEqual(stranger.frames[0][0], frames.Kind.REFUSE)
        self.assertTrue(world.stranger(machine).ended)
        stranger.close()
        self.assertFalse(world.stranger(machine).ended)

    def test_players_beyond_an_addresss_share_are_refused_as_full(self) -> None:
        world = World(self, max_players_per_address=2)
        machine = world.machine()
        for name in ("ada", "bob"):
            world.join(name, machine=machine)
        stranger = world.stranger(machine)
        stranger.say_frame(frames.encode_hello(hello("eve")))
        self.assertEqual(stranger.frames, [frames.encode_refuse(RefusalReason.FULL)])
        world.join("carl")
        world.clients[0].host.leave()
        world.run(0.1)
        world.join("dora", machine=machine)

    def test_a_network_of_ipv6_counts_as_one(self) -> None:
        world = World(self, address="fd00::1", accepts_burst=2, accepts_per_second=0.01)
        ended = [
            bool(world.stranger(Machine(world.network, f"2001:db8::{number}")).ended)
            for number in range(1, 5)
        ]
        self.assertEqual(ended, [False, False, True, True])
        self.assertFalse(world.stranger(Machine(world.network, "2001:db8:0:1::1")).ended)

    def test_this_machine_is_limited_only_if_told_so(self) -> None:
        for limited in (False, True):
            world = World(self, address="127.0.0.1", limit_loopback=limited, accepts_burst=2)
            ended = [
                bool(world.stranger(Machine(world.network, "127.0.0.1")).ended) for _ in range(5)
            ]
            self.assertEqual(any(ended), limited)
            world.close()

    def test_the_books_are_empty_once_everybody_has_gone(self) -> None:
        world = World(self, max_players=1)
        world.join("ada")
        world.stranger().say_frame(frames.encode_hello(hello("bob")))
        world.stranger().say(b"garbage and more of it")
        world.stranger()
        gate = world.server.host.gate
        self.assertTrue(gate._players)
        world.close()
        self.assertEqual((gate._unjoined, gate._players), ({}, {}))
