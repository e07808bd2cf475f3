"""What attacks cost a server and what its defences cost, in figures, with their conditions.

A table on standard output, and last a line of JSON; progress on standard error. README.rst beside
this file says more. Exit status 1 if a figure is outside its bar.
"""

from __future__ import annotations

import argparse
import json
import sys

import rig
import trust_cost
import trust_flood
import trust_joins
from rig import Row

MEASURES = {
    "calls": trust_cost.calls,
    "sealing": trust_cost.sealing_share,
    "memory": trust_joins.memory,
    "tickets": trust_joins.ticket_joins,
    "storm": trust_joins.login_storm,
    "timing": trust_joins.login_timing,
    "loris": trust_joins.loris,
    "flood": trust_flood.timer_gaps,
}


def table(rows: list[Row]) -> str:
    """The rows for people to read."""
    lines = []
    for row in rows:
        value = "?" if row.value is None else f"{row.value:,.2f}"
        verdict = {True: "ok", False: "OUTSIDE", None: ""}[row.within]
        lines.append(f"{row.what:<31}{value:>10} {row.unit:<8}{row.bar:<9}{verdict:<8} {row.on}")
    return "\n".join(lines)


def main() -> int:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="*", help=f"of {', '.join(MEASURES)}; all by default")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="of most measurements")
    parser.add_argument("--clients", type=int, default=100, help="that sealing is measured with")
    parser.add_argument("--held", type=int, default=300, help="that memory is measured with")
    parser.add_argument("--joins", type=int, default=1_500, help="with tickets, in each round")
    parser.add_argument("--logins", type=int, default=60, help="of each kind, timed")
    parser.add_argument("--dribblers", type=int, default=trust_joins.DRIBBLERS)
    options = parser.parse_args()
    unknown = set(options.what) - set(MEASURES)
    if unknown:
        parser.error(f"there is no {min(unknown)}; there are {', '.join(MEASURES)}")
    if len(rig.cores()) == 1:
        rig.note("one core: load and server share it, so read times and rates accordingly")
        options.dribblers = min(options.dribblers, 1_000)
    rows = []
    for name, measure in MEASURES.items():
        if not options.what or name in options.what:
            rig.note(f"-- {name}")
            rows += measure(options)
    print(table(rows))
    figures = {row.what: None if row.value is None else round(row.value, 3) for row in rows}
    outside = [row.what for row in rows if row.within is False]
    print(json.dumps({**figures, "outside": outside, **rig.machine()}), flush=True)
    return 1 if outside else 0


if __name__ == "__main__":
    sys.exit(main())
