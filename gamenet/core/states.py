"""The life of one connection, as a table.

Layer 1. Runs on: the reactor thread. ``docs/STATES.rst`` is drawn from this table.

Everything allowed is a row; whatever has no row is a breach of the protocol. The table has no side
effects: whoever steps it acts on the state it returns. Datagrams do not step it, because late
datagrams are normal: one that does not fit is counted and dropped. The one exception: the first
datagram that opens confirms a join as a frame would, for only who read ACCEPT can seal it.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

from gamenet.errors import RemoteProtocolError


class State(Enum):
    """Where a connection is."""

    AWAITING_HELLO = auto()
    """Server: connected, nothing said. Only a HELLO may come, once, before the join deadline."""
    AWAITING_LOGIN = auto()
    """Server: the credentials are being checked. Nothing may come."""
    UNCONFIRMED = auto()
    """Server: ACCEPT is written. The game does not know the player yet."""
    AWAITING_ACCEPT = auto()
    """Client: HELLO is written. ACCEPT, REFUSE or BYE may come."""
    OPEN = auto()
    """Both: traffic flows."""
    CLOSING = auto()
    """Both: the last frame is written or read. Whatever comes is discarded unread."""
    CLOSED = auto()
    """Both: the connection is gone."""


class Input(Enum):
    """What moves a connection on."""

    HELLO = auto()
    """A HELLO came."""
    GRANT = auto()
    """The credentials are good and there is room."""
    REFUSE = auto()
    """A REFUSE came or is being written."""
    ACCEPT = auto()
    """An ACCEPT came."""
    TRAFFIC = auto()
    """Any frame of a joined peer came; at first it confirms the join."""
    BYE = auto()
    """A BYE came or is being written."""
    FAIL = auto()
    """A deadline passed, or the peer broke the protocol: the connection is cut."""
    LOST = auto()
    """The connection is gone."""


TRANSITIONS: Final[dict[tuple[State, Input], State]] = {
    (State.AWAITING_HELLO, Input.HELLO): State.AWAITING_LOGIN,
    (State.AWAITING_HELLO, Input.REFUSE): State.CLOSING,
    (State.AWAITING_HELLO, Input.BYE): State.CLOSING,
    (State.AWAITING_HELLO, Input.FAIL): State.CLOSING,
    (State.AWAITING_HELLO, Input.LOST): State.CLOSED,
    (State.AWAITING_LOGIN, Input.GRANT): State.UNCONFIRMED,
    (State.AWAITING_LOGIN, Input.REFUSE): State.CLOSING,
    (State.AWAITING_LOGIN, Input.BYE): State.CLOSING,
    (State.AWAITING_LOGIN, Input.FAIL): State.CLOSING,
    (State.AWAITING_LOGIN, Input.LOST): State.CLOSED,
    (State.UNCONFIRMED, Input.TRAFFIC): State.OPEN,
    (State.UNCONFIRMED, Input.BYE): State.CLOSING,
    (State.UNCONFIRMED, Input.FAIL): State.CLOSING,
    (State.UNCONFIRMED, Input.LOST): State.CLOSED,
    (State.AWAITING_ACCEPT, Input.ACCEPT): State.OPEN,
    (State.AWAITING_ACCEPT, Input.REFUSE): State.CLOSING,
    (State.AWAITING_ACCEPT, Input.BYE): State.CLOSING,
    (State.AWAITING_ACCEPT, Input.FAIL): State.CLOSING,
    (State.AWAITING_ACCEPT, Input.LOST): State.CLOSED,
    (State.OPEN, Input.TRAFFIC): State.OPEN,
    (State.OPEN, Input.BYE): State.CLOSING,
    (State.OPEN, Input.FAIL): State.CLOSING,
    (State.OPEN, Input.LOST): State.CLOSED,
    (State.CLOSING, Input.FAIL): State.CLOSING,
    (State.CLOSING, Input.LOST): State.CLOSED,
}


def step(state: State, given: Input) -> State:
    """The state after *given*.

    :raises RemoteProtocolError: if the table has no such row.
    """
    try:
        return TRANSITIONS[state, given]
    except KeyError:
        raise RemoteProtocolError(f"{given.name} in state {state.name}") from None


def diagram() -> str:
    """The table as the body of ``docs/STATES.rst``."""
    lines = [
        "States of a connection",
        "======================",
        "",
        "Drawn from ``gamenet/core/states.py`` by ``python -m gamenet.core.states``; a test fails",
        "when the two differ. Whatever has no row here ends the connection as ``BAD_DATA``.",
        "",
        "States",
        "------",
        "",
    ]
    for kind in (State, Input):
        if kind is Input:
            lines += ["", "Inputs", "------", ""]
        for member in kind:
            lines += [f"``{member.name}``", f"    {_doc(kind, member.name)}"]
    lines += [
        "",
        "Transitions",
        "-----------",
        "",
        ".. list-table::",
        "   :header-rows: 1",
        "",
        "   * - state",
        "     - input",
        "     - next state",
    ]
    for (state, given), after in TRANSITIONS.items():
        lines += [f"   * - {state.name}", f"     - {given.name}", f"     - {after.name}"]
    return "\n".join(lines) + "\n"


def _doc(kind: type[Enum], name: str) -> str:
    """The string under an enum member, which Python itself does not keep."""
    import ast
    import inspect

    (tree,) = ast.parse(inspect.getsource(kind)).body
    assert isinstance(tree, ast.ClassDef)
    for before, after in zip(tree.body, tree.body[1:], strict=False):
        if isinstance(before, ast.Assign) and isinstance(after, ast.Expr):
            target = before.targets[0]
            if isinstance(target, ast.Name) and target.id == name:
                return str(ast.literal_eval(after.value))
    return ""


if __name__ == "__main__":
    print(diagram(), end="")
