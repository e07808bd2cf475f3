"""What interest and priorities cost the game thread: CPU a tick, at 1,000 entities and 200 viewers.

``python benchmarks/interest.py`` prints one JSON line. All move every tick; a viewer sees about as
many as ``visible_mean`` says, and sends what fits into ``--budget`` bytes of states.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time

from gamenet.interest import Interest, Priorities

RADIUS = 100.0
SPEED = 2.0
ENTITY_BYTES = 24


def main() -> None:
    """Run, and print the line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entities", type=int, default=1_000)
    parser.add_argument("--viewers", type=int, default=200)
    parser.add_argument("--side", type=float, default=1_050.0, help="of the square world")
    parser.add_argument("--budget", type=int, default=400, help="bytes a viewer a tick")
    parser.add_argument("--ticks", type=int, default=60, help="in each round")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    dice = random.Random(5)
    side = options.side
    bodies = [
        [dice.uniform(0, side), dice.uniform(0, side), dice.gauss(0, SPEED), dice.gauss(0, SPEED)]
        for _ in range(options.entities)
    ]
    interest: Interest[int, int] = Interest(RADIUS)
    priorities: Priorities[int, int] = Priorities()
    sizes = {key: ENTITY_BYTES for key in range(options.entities)}
    costs: dict[str, list[float]] = {"place": [], "update": [], "visible": [], "priorities": []}
    seen, changed, sent = [], 0, 0
    clock = time.thread_time
    for _ in range(options.rounds):
        spent = dict.fromkeys(costs, 0.0)
        for _ in range(options.ticks):
            for body in bodies:
                for axis in (0, 1):
                    body[axis] += body[axis + 2]
                    if not 0 <= body[axis] <= side:
                        body[axis + 2] = -body[axis + 2]
            started = clock()
            for key, body in enumerate(bodies):
                interest.place(key, body[0], body[1])
            for viewer in range(options.viewers):
                interest.watch(viewer, bodies[viewer][0], bodies[viewer][1])
            placed = clock()
            interest.update()
            updated = clock()
            for viewer in range(options.viewers):
                interest.visible(viewer)
                entered, left = interest.changes(viewer)
                changed += len(entered) + len(left)
            looked = clock()
            for viewer in range(options.viewers):
                keys = interest.visible(viewer)
                weights = interest.weights(viewer)
                sent += len(
                    priorities.fill(viewer, keys, weights, options.budget, sizes.__getitem__)
                )
            filled = clock()
            spent["place"] += placed - started
            spent["update"] += updated - placed
            spent["visible"] += looked - updated
            spent["priorities"] += filled - looked
        for name, seconds in spent.items():
            costs[name].append(seconds * 1000 / options.ticks)
        seen += [len(interest.visible(viewer)) for viewer in range(options.viewers)]
    medians = {f"{name}_ms": statistics.median(rounds) for name, rounds in costs.items()}
    looks = options.rounds * options.ticks * options.viewers
    figures = {
        "entities": options.entities,
        "viewers": options.viewers,
        "visible_mean": statistics.mean(seen),
        "changes_mean": changed / looks,
        "sent_mean": sent / looks,
        **medians,
        "interest_ms": medians["place_ms"] + medians["update_ms"] + medians["visible_ms"],
        "interest_ms_worst": max(
            map(sum, zip(costs["place"], costs["update"], costs["visible"], strict=True))
        ),
    }
    print(
        json.dumps(
            {
                name: round(value, 3) if isinstance(value, float) else value
                for name, value in figures.items()
            }
        )
    )


if __name__ == "__main__":
    main()
