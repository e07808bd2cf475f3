"""What it costs a server that ``quality()`` has figures of each player.

A session of a server is given an input and a state 60 times a second, with all that its reactor and
its game do for it but the sockets and the threads. The same with the lines left out that count,
write samples and time the way from game to game is what it is compared with; in turns, so that the
machine's moods meet both. The share is that of a whole client-tick, which ``quick.py`` measures in
the same run, on sockets and with threads. Prints one JSON line; the exit status is 1 if the share
is over 2 %.
"""

from __future__ import annotations

import argparse
import gc
import inspect
import json
import math
import statistics
import subprocess
import sys
import textwrap
import time
from typing import TYPE_CHECKING, Any

import quick

from gamenet.core.inputs import encode_inputs
from gamenet.core.server_session import ServerSession
from gamenet.core.session import Session
from gamenet.core.wire import ACKS, HEADER, STATE_ACK, DatagramKind, MessageType, pack_messages
from gamenet.facade import GameServer
from gamenet.server_verbs import ServerVerbs
from gamenet.testing import Pair

if TYPE_CHECKING:
    from collections.abc import Callable

BAR = 2.0
HZ = 60
STATE = bytes(200)
BEHIND = 6
"""The client has what was sent so many ticks ago: the round trip is 100 ms."""
WARM = 2_000
"""Ticks before those that count."""
COUNTED = (
    (
        Session,
        "receive_datagram",
        (
            "came = self.traffic.came\n",
            "came[kind & TYPE_MASK] += len(body) + _ONE_LAST\n",
        ),
    ),
    (Session, "_receive_several", ("came[kind & TYPE_MASK] += ONE + len(payload)\n",)),
    (
        ServerSession,
        "datagrams_to_send",
        (
            "traffic = self.traffic\n",
            "if now >= traffic.due:\n",
            "    self.look_at_traffic(now)\n",
            "traffic.sent[ACKED_STATE] += ONE + len(content)\n",
        ),
    ),
    (
        GameServer,
        "_take",
        (
            "if event.seen >= seat.probe:\n",
            "    seat.probe_answered(self._live()[0].now())\n",
        ),
    ),
    (
        ServerVerbs,
        "send_state",
        (
            "if seat.probe > number:\n",
            "    seat.probe_began, seat.probe = self._live()[0].now(), number\n",
        ),
    ),
)
"""Where each tick is counted, and the lines that do."""


def without(kind: type, name: str, lines: tuple[str, ...]) -> Callable[..., Any]:
    """A method with *lines* left out, each of which must be there."""
    method = getattr(kind, name)
    kept = []
    left_out = set()
    for line in textwrap.dedent(inspect.getsource(method)).splitlines(keepends=True):
        found = [one for one in lines if one.strip() == line.strip()]
        if found:
            left_out.update(found)
        else:
            kept.append(line)
    missing = set(lines) - left_out
    assert not missing, f"{kind.__name__}.{name} does not have {missing}; change it here, too"
    names = dict(vars(sys.modules[method.__module__]))
    exec(compile("from __future__ import annotations\n" + "".join(kept), name, "exec"), names)  # noqa: S102
    return names[name]  # type: ignore[no-any-return]


class Play:
    """One player of a server, to whom everything comes at once."""

    def __init__(self, pair: Pair) -> None:
        self.server: Any = pair.server
        self.server.events()
        for _ in range(4 * HZ):
            pair.client.send_input(0)
            pair.step()
        self.server.events()
        (self.player,) = self.server.players
        self.host: Any = self.server._host
        self.session: Any = self.host.registry.by_player[self.player.id]
        assert not self.session.tunnelled
        self.client: Any = pair.client._host._session
        self.now = self.host.now()
        self.host.now = lambda: self.now
        self.input = self.session.inputs.settled
        self.state = self.session.seat.state_number

    def datagrams(self, count: int) -> list[bytes]:
        """What the client sends in so many ticks, sealed."""
        seal = self.client.sealer.seal
        acked = self.session.sealer.number - BEHIND
        out = []
        for tick in range(count):
            self.input += 1
            seen = max(0, self.state + tick - BEHIND)
            message = encode_inputs(self.input, seen, [self.input & 3], 16)
            messages = [(int(MessageType.INPUT), message)]
            if tick % 3 == 0 and seen:
                messages.insert(0, (int(MessageType.STATE_ACK), STATE_ACK.pack(seen)))
            acks = ACKS.pack((acked + tick) & 0xFFFF, 0xFFFFFFFF)
            out.append(seal(DatagramKind.DATA, acks + pack_messages(messages)[0]))
        self.state += count
        return out

    def run(self, datagrams: list[bytes]) -> float:
        """:returns: CPU seconds a tick."""
        session, server, player, host = self.session, self.server, self.player, self.host
        turn, states = session.turn, server._bridge.states
        address = session.path.address
        began = time.process_time()
        for number, data in enumerate(datagrams):
            self.now = now = self.now + 1 / HZ
            first, _, low = HEADER.unpack_from(data)
            session.receive_datagram(data, address, now, first, low)
            events = turn.batch[:]
            turn.batch.clear()
            turn.taken += len(events)
            server._take(events)
            server.send_state(player, STATE)
            session.put_state(states.pop(player.id))
            session.datagrams_to_send(now)
            session.dirty = False
            turn.dirty.clear()
            if number % 3 == 0 and session.next_tick <= now:
                # A beat of the host's; TCP is not part of this.
                session.frame_heard = session.frame_spoken = now
                session.tick(now)
        used = time.process_time() - began
        assert session.inputs.settled == self.input, "the inputs were not taken"
        assert host.counters.drop_datagram_malformed == 0
        return used / len(datagrams)


def memory(value: Any) -> int:
    """Bytes of an object and of what it alone refers to."""
    seen: set[int] = set()

    def size(one: Any) -> int:
        if id(one) in seen or one is None:
            return 0
        seen.add(id(one))
        inside = list(one) if isinstance(one, list | tuple) else []
        for kind in type(one).__mro__:
            names = getattr(kind, "__slots__", ())
            inside += [getattr(one, name) for name in names if hasattr(one, name)]
        return sys.getsizeof(one) + sum(map(size, inside))

    return size(value)


def play(ticks: int, chunks: int, *, counts: bool) -> dict[str, float]:
    """:returns: CPU seconds a tick, and the bytes that a session's figures take."""
    if not counts:
        for kind, name, lines in COUNTED:
            setattr(kind, name, without(kind, name, lines))
    # Left as it is in the end: its network has not seen what happens here.
    player = Play(Pair(tick_rate=float(HZ), seed=1))
    traffic = player.session.traffic
    if not counts:
        traffic.due = math.inf
    gc.disable()
    player.run(player.datagrams(WARM))
    took = [player.run(player.datagrams(ticks)) for _ in range(chunks)]
    # The chunk that others of this machine disturbed least.
    return {"seconds": min(took), "bytes": memory(traffic)}


def child(counts: bool, ticks: int, chunks: int) -> dict[str, float]:
    """As ``play``, in a process of its own: Python adapts to the code that it runs."""
    command = [sys.executable, __file__, "--role", "counted" if counts else "plain"]
    command += ["--ticks", str(ticks), "--chunks", str(chunks)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--chunks", type=int, default=25, help="of each round")
    parser.add_argument("--ticks", type=int, default=1_200, help="of each chunk")
    parser.add_argument("--whole", type=float, help="microseconds of a client-tick, if known")
    parser.add_argument("--role", help=argparse.SUPPRESS)
    options = parser.parse_args()
    ticks, chunks = options.ticks, options.chunks
    if options.role:
        print(json.dumps(play(ticks, chunks, counts=options.role == "counted")))
        return 0
    counted: list[float] = []
    plain: list[float] = []
    for number in range(options.rounds):
        # Each is first as often as the other.
        for counts in (number % 2 == 0, number % 2 != 0):
            found = child(counts, ticks, chunks)
            (counted if counts else plain).append(1e6 * found["seconds"])
            if counts:
                size = found["bytes"]
    low, extra, high = statistics.quantiles(
        [with_it - less for with_it, less in zip(counted, plain, strict=True)], n=4
    )
    whole = options.whole or statistics.median(
        quick.measure("gamenet", quick.CLIENTS, 1.0, 4.0)["us"] for _ in range(3)
    )
    result = {
        "extra_microseconds": round(extra, 3),
        "extra_quartiles": [round(low, 3), round(high, 3)],
        "session_microseconds": round(statistics.median(counted), 2),
        "session_without_microseconds": round(statistics.median(plain), 2),
        "client_tick_microseconds": round(whole, 2),
        "percent": round(100 * extra / whole, 2),
        "percent_quartiles": [round(100 * low / whole, 2), round(100 * high / whole, 2)],
        "bar_percent": BAR,
        "bytes_of_a_session": size,
        "rounds": options.rounds,
        "ticks_per_round": chunks * ticks,
    }
    print(json.dumps(result))
    return int(result["percent"] > BAR)


if __name__ == "__main__":
    sys.exit(main())
