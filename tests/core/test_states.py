"""The table of a connection's life, and the page that is drawn from it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gamenet.core.states import TRANSITIONS, Input, State, diagram, step
from gamenet.errors import DisconnectReason, RemoteProtocolError

ROOT = Path(__file__).resolve().parents[2]
STARTS = (State.AWAITING_HELLO, State.AWAITING_ACCEPT)


def reachable(*states: State) -> set[State]:
    """All states that inputs can lead to from *states*."""
    found = set(states)
    while True:
        more = {after for (state, _), after in TRANSITIONS.items() if state in found} - found
        if not more:
            return found
        found |= more


class TableTests(SynchronousTestCase):
    """What must hold for any such table."""

    def test_every_state_can_be_reached(self) -> None:
        self.assertEqual(reachable(*STARTS), set(State))

    def test_every_state_can_end(self) -> None:
        for state in State:
            self.assertIn(State.CLOSED, reachable(state), state)

    def test_every_input_is_used(self) -> None:
        self.assertEqual({given for _, given in TRANSITIONS}, set(Input))

    def test_a_lost_connection_is_closed_from_everywhere_and_for_good(self) -> None:
        for state in State:
            if state is State.CLOSED:
                self.assertEqual([key for key in TRANSITIONS if key[0] is state], [])
            else:
                self.assertIs(step(state, Input.LOST), State.CLOSED)

    def test_whatever_is_alive_can_be_cut(self) -> None:
        for state in set(State) - {State.CLOSED}:
            self.assertIs(step(state, Input.FAIL), State.CLOSING)

    def test_nothing_reopens(self) -> None:
        for state in (State.CLOSING, State.CLOSED):
            self.assertLessEqual(reachable(state), {State.CLOSING, State.CLOSED})
        for (state, _), after in TRANSITIONS.items():
            if after is State.OPEN:
                self.assertIn(state, (State.UNCONFIRMED, State.AWAITING_ACCEPT, State.OPEN))

    def test_only_a_granted_join_opens(self) -> None:
        self.assertEqual(
            [key for key, after in TRANSITIONS.items() if after is State.UNCONFIRMED],
            [(State.AWAITING_LOGIN, Input.GRANT)],
        )

    def test_a_second_hello_is_a_breach(self) -> None:
        for state in set(State) - {State.AWAITING_HELLO}:
            error = self.assertRaises(RemoteProtocolError, step, state, Input.HELLO)
            self.assertIs(error.reason, DisconnectReason.BAD_DATA)
            self.assertIn("HELLO", str(error))

    def test_traffic_before_the_join_is_a_breach(self) -> None:
        for state in (State.AWAITING_HELLO, State.AWAITING_LOGIN, State.AWAITING_ACCEPT):
            self.assertRaises(RemoteProtocolError, step, state, Input.TRAFFIC)

    @given(st.sampled_from(STARTS), st.lists(st.sampled_from(Input), max_size=30))
    def test_any_inputs_give_a_state_or_a_breach(self, state: State, inputs: list[Input]) -> None:
        for what in inputs:
            try:
                after = step(state, what)
            except RemoteProtocolError:
                self.assertNotIn((state, what), TRANSITIONS)
                continue
            self.assertIs(after, TRANSITIONS[state, what])
            state = after


class PageTests(SynchronousTestCase):
    """``docs/STATES.rst``."""

    def test_the_page_is_what_the_table_draws(self) -> None:
        page = (ROOT / "docs" / "STATES.rst").read_text(encoding="utf-8")
        self.assertEqual(page, diagram(), "run: python -m gamenet.core.states > docs/STATES.rst")

    def test_every_row_state_and_input_is_on_it(self) -> None:
        page = diagram()
        self.assertEqual(page.count("   * - "), len(TRANSITIONS) + 1)
        for member in (*State, *Input):
            _, _, after = page.partition(f"``{member.name}``\n    ")
            self.assertTrue(after[:1].strip(), f"{member.name} has no description")

    def test_the_module_prints_it(self) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "gamenet.core.states"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        self.assertEqual(done.stdout, diagram())
