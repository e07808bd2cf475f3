"""Who is who on the demo's field: told to those who ask, once, and to nobody else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gamenet.demo import field, game
from gamenet.demo.names import ASK, Gone, Who, read, write_gone, write_who
from gamenet.events import Received
from gamenet.testing import Simulation

if TYPE_CHECKING:
    from gamenet.testing.players import SimulatedClient

ADD = field.Field.add


def add_beside(self: field.Field, hero_id: int, at: Any = None) -> field.Hero:
    """Put everybody next to each other, in sight."""
    return ADD(self, hero_id, (field.UNITS_PER_TILE * (2 * hero_id + 25) // 2, 2944))


def told(client: SimulatedClient) -> list[Who | Gone]:
    """What a player was told since the last time."""
    return [read(event.payload) for event in client.events() if isinstance(event, Received)]


class MessageTests(SynchronousTestCase):
    """The bytes."""

    def test_what_is_written_is_read(self) -> None:
        for who in (Who(1, "a", False), Who(2**32 - 1, "A_b.c-9" * 4, True)):
            self.assertEqual(read(write_who(who)), who)
        self.assertEqual(read(write_gone(7)), Gone(7))

    def test_the_bytes_are_those_of_the_page(self) -> None:
        self.assertEqual(write_who(Who(258, "ada", True)), b"GNW1\x00\x00\x01\x02\x01ada")
        self.assertEqual(write_gone(258), b"GNL1\x00\x00\x01\x02")

    def test_what_no_server_sends_is_refused(self) -> None:
        for payload in (
            b"",
            b"GNW1",
            write_who(Who(0, "ada", False)),
            write_who(Who(1, "ada", False))[:-3],
            write_who(Who(1, "a" * 33, False)),
            write_who(Who(1, "a b", False)),
            b"GNW1\x00\x00\x00\x01\x02ada",
            b"GNW1\x00\x00\x00\x01\x00\xff\xfe",
            write_gone(1) + b"x",
            "not bytes",
        ):
            self.assertRaises(ValueError, read, payload)

    @given(st.binary() | st.binary().map(lambda tail: b"GNW1" + tail))
    def test_hostile_bytes_raise_nothing_else(self, payload: bytes) -> None:
        try:
            self.assertIsInstance(read(payload), Who | Gone)
        except ValueError:
            pass


class ToldTests(SynchronousTestCase):
    """A server, and players who stand next to each other."""

    def setUp(self) -> None:
        self.patch(field.Field, "add", add_beside)

    def test_who_does_not_ask_is_sent_nothing(self) -> None:
        with Simulation(game.main, clients=["ada", "bob"]) as simulation:
            ada, bob = simulation.clients
            ada.send(ASK)
            simulation.run(1.0)
            self.assertNotEqual(told(ada), [])
            self.assertEqual(told(bob), [])

    def test_each_name_comes_once_when_the_hero_is_first_seen(self) -> None:
        with Simulation(game.main, clients=["ada", "bob"]) as simulation:
            ada = simulation.clients[0]
            for _ in range(3):
                ada.send(ASK)
            simulation.run(2.0)
            self.assertEqual(told(ada), [Who(1, "ada", False), Who(2, "bob", False)])
            simulation.join("cyd")
            simulation.run(2.0)
            self.assertEqual(told(ada), [Who(3, "cyd", False)])

    def test_who_is_out_of_sight_is_not_told_of(self) -> None:
        self.patch(field, "VIEW_UNITS", 64)
        with Simulation(game.main, clients=["ada", "bob"]) as simulation:
            ada = simulation.clients[0]
            ada.send(ASK)
            simulation.run(1.0)
            self.assertEqual(told(ada), [Who(1, "ada", False)])

    def test_who_is_away_is_told_of_again_and_who_has_left_a_last_time(self) -> None:
        with Simulation(game.main, clients=["ada", "bob"]) as simulation:
            ada, bob = simulation.clients
            ada.send(ASK)
            simulation.run(1.0)
            told(ada)
            simulation.network.cut_tcp(bob)
            simulation.until(lambda: told(ada) == [Who(2, "bob", True)])
            simulation.until(lambda: told(ada) == [Who(2, "bob", False)])
            bob.stop()
            simulation.run(1.0)
            self.assertEqual(told(ada), [Gone(2)])

    def test_what_asks_for_nothing_is_passed_over(self) -> None:
        with Simulation(game.main, clients=["ada"]) as simulation:
            ada = simulation.clients[0]
            for payload in (b"", b"GNA", ASK + b"!", write_gone(1)):
                ada.send(payload)
            simulation.run(1.0)
            self.assertEqual(told(ada), [])
            self.assertFalse(simulation.game_failed)
