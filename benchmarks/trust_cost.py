"""What sealing costs: each call alone, and as a share of what a server spends on a player.

The share is measured with both ends in processes of the benchmark's own, in which the two calls of
the cipher are replaced by a copy. The library has no such switch.
"""

from __future__ import annotations

import os
import statistics
import sys
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import lean
import rig
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from rig import Row

import gamenet
from gamenet.core import record
from gamenet.core.window import ReplayWindow
from gamenet.core.wire import HEADER, OVERHEAD_BYTES, DatagramKind

if TYPE_CHECKING:
    from collections.abc import Callable

SIZES = (64, 1_200)
REPEATS = 7
BATCH = 4_000
HZ = 60
STATE = bytes(200)
WINDOW_SECONDS = 1.0
SHARE_BAR = 0.20
_TAG = bytes(16)


class CopyInstead:
    """As much of ``AESGCM`` as the record layer uses, which copies."""

    def __init__(self, key: bytes) -> None:
        pass

    @staticmethod
    def encrypt(nonce: bytes, data: bytes, header: bytes) -> bytes:
        """What would be sealed, and room for a tag."""
        return data + _TAG

    @staticmethod
    def decrypt(nonce: bytes, data: bytes, header: bytes) -> bytes:
        """What would be opened."""
        return data[:-16]


def serve(questions: Any) -> None:
    """In a child: a server whose game, when it goes, sends every player a state each tick."""
    spec = _prepare(questions)
    server = gamenet.GameServer(
        0, insecure=True, tick_rate=HZ, input_bits=64, max_players=spec["clients"] + 1
    )
    server.start()
    figures = {"ticks": 0, "inputs": 0}
    going = threading.Event()

    def game() -> None:
        for tick in server.ticks():
            figures["inputs"] += sum(type(event) is gamenet.Input for event in tick.events)
            if going.is_set():
                figures["ticks"] += 1
                for player in server.players:
                    server.send_state(player, STATE)

    threading.Thread(target=game, daemon=True).start()
    rig.answer(server.port)
    for question in questions:
        going.set() if question == "go" else going.clear()
        rig.answer({"cpu": time.process_time(), **figures})
    server.stop()


def play(questions: Any) -> None:
    """In a child: players who, when they go, send an input each tick, each at a time of its own."""
    spec = _prepare(questions)
    players = [
        lean.LeanClient("127.0.0.1", spec["port"], tls=False).join().bind()
        for _ in range(spec["clients"])
    ]
    going, ended = threading.Event(), threading.Event()
    rig.answer("ready")

    def listen() -> None:
        for question in questions:
            going.set() if question == "go" else going.clear()
            rig.answer(question)
        ended.set()
        going.set()

    threading.Thread(target=listen, daemon=True).start()
    number = 0
    while not ended.is_set():
        begun, step = time.monotonic(), 0
        while going.is_set() and not ended.is_set():
            _one_step(players, step, number)
            number += step % len(players) == 0
            step += 1
            rig.sleep_until(begun + step / len(players) / HZ)
        for player in players:
            player.look_at_udp()
            player.look_at_tcp()
        going.wait(1.0)


def _one_step(players: list[lean.LeanClient], step: int, number: int) -> None:
    player = players[step % len(players)]
    # A new value each tick, so that every input travels whole.
    player.press((number + 1) * 40_503 & 0xFFFF)
    player.flush()
    # Half a tick later it reads what has come.
    players[(step + len(players) // 2) % len(players)].look_at_udp()


def _prepare(questions: Any) -> dict[str, Any]:
    spec = next(questions)
    assert record.AESGCM is AESGCM, "the record layer's cipher is somewhere else now"
    if spec["copy"]:
        record.AESGCM = CopyInstead  # type: ignore[misc, assignment]
    return dict(spec)


ROLES = {"serve": serve, "play": play}


def sealing_share(options: Any) -> list[Row]:
    """Server CPU for a client and tick, sealed, and with a copy in the cipher's place."""
    clients = options.clients
    windows = 2 * options.rounds * max(1, round(options.seconds / WINDOW_SECONDS))
    found: dict[bool, list[float]] = {False: [], True: []}
    with ExitStack() as stack:
        pairs = {copy: _start_pair(stack, clients, copy=copy) for copy in found}
        for number in range(windows):
            # Each other time the other one goes first, so that neither gains by what drifts.
            for copy in (False, True) if number % 2 else (True, False):
                found[copy].append(_go(*pairs[copy], clients))
    sealed, copied = (statistics.median(found[copy]) for copy in (False, True))
    # Of neighbours in time, because a machine is not as fast in one second as in the next.
    shares = [one / other - 1 for one, other in zip(*found.values(), strict=True)]
    low, share, high = statistics.quantiles(shares, n=4)
    on = f"{clients} clients at {HZ} Hz, {windows} alternating windows of {WINDOW_SECONDS:g} s"
    return [
        Row("sealing_share", share * 100, "%", f"<= {SHARE_BAR:.0%}", share <= SHARE_BAR,
            f"{on}, median of neighbours, quartiles {low:.1%} and {high:.1%}"),
        Row("client_tick_sealed", sealed, "us CPU", "", None, on),
        Row("client_tick_copied", copied, "us CPU", "", None, "the two AEAD calls copy instead"),
    ]  # fmt: skip


def _start_pair(stack: ExitStack, clients: int, *, copy: bool) -> tuple[rig.Child, rig.Child]:
    """A server and its players, who wait."""
    spec: dict[str, Any] = {"clients": clients, "copy": copy}
    server = stack.enter_context(rig.Child(__file__, "serve", spec, rig.first_core()))
    spec["port"] = server.hear()
    players = stack.enter_context(rig.Child(__file__, "play", spec, rig.other_cores()))
    players.hear()
    return server, players


def _go(server: rig.Child, players: rig.Child, clients: int) -> float:
    """Server CPU in microseconds for a client and tick, over one window."""
    players.ask("go")
    before = server.ask("go")
    time.sleep(WINDOW_SECONDS)
    after = server.ask("rest")
    players.ask("rest")
    grown = {name: after[name] - before[name] for name in before}
    if grown["inputs"] < 0.8 * clients * HZ * WINDOW_SECONDS:
        rig.note(f"only {grown['inputs']} inputs came: this machine is busy")
    return grown["cpu"] / (grown["ticks"] * clients) * 1e6


def calls(options: Any) -> list[Row]:
    """Microseconds of the cipher, and of the whole record layer around it."""
    on = f"median of {REPEATS} batches, one thread"
    rows = []
    for size in SIZES:
        body = os.urandom(size - OVERHEAD_BYTES)
        for name, call in _timed(body):
            rows.append(Row(f"{name}_{size}", _microseconds(call), "us", "", None, on))
    return rows


def _timed(body: bytes) -> list[tuple[str, Callable[[int], object]]]:
    """Things to time, each called with 0, 1, 2 and so on."""
    keys = record.Keys(os.urandom(32), os.urandom(12))
    cipher = AESGCM(keys.key)
    header, nonce = os.urandom(9), os.urandom(12)
    sealed = cipher.encrypt(nonce, body, header)
    broken = bytes((sealed[0] ^ 1,)) + sealed[1:]
    sealer, opener, window = record.Sealer(keys, 1), record.Opener(keys), ReplayWindow()
    datagrams = [sealer.seal(DatagramKind.DATA, body) for _ in range(REPEATS * BATCH)]

    def reject(_: int) -> None:
        try:
            cipher.decrypt(nonce, broken, header)
        except record.Forged:
            pass

    def open_(index: int) -> None:
        data = datagrams[index]
        number = window.expand(HEADER.unpack_from(data)[2])
        if window.is_fresh(number):
            opener.open(number, data)
            window.mark(number)

    def replay(index: int) -> None:
        number = window.expand(HEADER.unpack_from(datagrams[index])[2])
        assert not window.is_fresh(number)

    def forge(index: int) -> None:
        data = datagrams[0][:-1] + b"\0"
        number = window.expand(len(datagrams) + index)
        if window.is_fresh(number):
            try:
                opener.open(number, data)
            except record.Forged:
                pass

    return [
        ("aead_seal", lambda _: cipher.encrypt(nonce, body, header)),
        ("aead_open", lambda _: cipher.decrypt(nonce, sealed, header)),
        ("aead_reject", reject),
        ("record_seal", lambda _: sealer.seal(DatagramKind.DATA, body)),
        ("record_open", open_),
        ("record_replayed", replay),
        ("record_forged", forge),
    ]


def _microseconds(call: Callable[[int], object]) -> float:
    """The median of some batches, each of which goes on counting where the last one stopped."""
    taken = []
    for repeat in range(REPEATS):
        first = repeat * BATCH
        begun = time.perf_counter()
        for index in range(first, first + BATCH):
            call(index)
        taken.append((time.perf_counter() - begun) / BATCH * 1e6)
    return statistics.median(taken)


if __name__ == "__main__":
    rig.run_role(ROLES)
    sys.exit(0)
