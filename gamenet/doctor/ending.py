"""What it means that the session did not last until the examination was over.

Layer 4. Runs on: any thread; pure functions.

Nothing is said of the path then: what a server that has gone does not answer, no network has lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gamenet.core.text import clean
from gamenet.doctor.check import TITLES, Check
from gamenet.doctor.fixes import END_FIXES
from gamenet.errors import DISCONNECT_TEXTS, DisconnectReason, RefusalReason

if TYPE_CHECKING:
    from gamenet.doctor.facts import Attempt, Outcome
    from gamenet.events import Disconnected

_GONE: Final[dict[Outcome, tuple[str, str]]] = {
    "refused": (
        "the server went away during {step}: nothing listens at {place} any more",
        "it was stopped or has crashed: try again in a minute, and if it stays away ask its "
        "operator, who finds the reason in its log",
    ),
    "connected": (
        "the connection broke during {step}, and the server does not take the session up again",
        "it hangs, or is just starting: try again in a minute, and ask its operator",
    ),
}
_NO_WAY: Final = (
    "the connection broke during {step}, and {place} cannot be reached any more",
    "this machine's network or the server's machine is down: see whether web sites can be reached, "
    "and if they can ask the server's operator",
)
_RESTARTED: Final = (
    "the server was restarted during {step}: it does not know the session any more",
    "try again now, and ask its operator if it happens again",
)


def is_told(over: Disconnected | None) -> bool:
    """Whether the server said itself that the session is over, and why."""
    return over is not None and over.reason in END_FIXES


def ended_check(name: str, over: Disconnected) -> Check:
    """The server ended the session while this was looked at."""
    why = clean(over.text) or DISCONNECT_TEXTS[over.reason]
    return Check(
        name,
        "failed",
        f"the server ended the session during {_step(name)}: {why}",
        END_FIXES[over.reason],
        {"ended": True, "reason": over.reason.name},
    )


def gone_check(name: str, over: Disconnected | None, now: Attempt) -> Check:
    """The connection broke while this was looked at, and did not come back.

    :param over: what the session's end was taken for, if it has ended.
    :param now: what became of a connection that was tried afterwards.
    """
    reason = DisconnectReason.SESSION_LOST if over is None else over.reason
    if over is not None and over.refusal is RefusalReason.NO_SESSION:
        text, fix = _RESTARTED
    else:
        text, fix = _GONE.get(now.outcome, _NO_WAY)
    return Check(
        name,
        "failed",
        text.format(step=_step(name), place=now),
        fix,
        {"ended": True, "reason": reason.name, "server_now": now.outcome},
    )


def _step(name: str) -> str:
    return f"the {TITLES[name]} check"
