"""What strangers throw at a UDP port, and a process that throws it and counts what comes back."""

from __future__ import annotations

import select
import socket
import sys
import time
from typing import TYPE_CHECKING, Any

import rig

from gamenet.core import wire
from gamenet.core.wire import DatagramKind

if TYPE_CHECKING:
    import random

GARBAGE_SIZES = (0, 1, 64, 1_200)


def throw(questions: Any) -> None:
    """Throw what each question says, as fast as it says."""
    next(questions)
    for spec in questions:
        rig.answer(_throw(spec))


def _throw(spec: dict[str, Any]) -> dict[str, Any]:
    pool = [bytes.fromhex(data) for data in spec["pool"]]
    target = tuple(spec["target"])
    sockets = []
    for source in spec["sources"]:
        thrower = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        thrower.bind((source, 0))
        thrower.setblocking(False)
        sockets.append(thrower)
    back = {"bytes": 0, "datagrams": 0}
    sent = errors = 0
    begun = time.monotonic()
    batch = 32
    while sent < spec["count"] and time.monotonic() - begun < spec["seconds"]:
        for thrower in sockets:
            send = thrower.sendto
            for index in range(sent, min(sent + batch, spec["count"])):
                try:
                    send(pool[index % len(pool)], target)
                    sent += 1
                except OSError:
                    errors += 1
        if sent % 1024 < batch:
            hear_back(sockets, back)
        if spec["per_second"]:
            rig.sleep_until(begun + sent / spec["per_second"])
    seconds = time.monotonic() - begun
    until = time.monotonic() + spec["linger"]
    while (left := until - time.monotonic()) > 0:
        select.select(sockets, [], [], left)
        hear_back(sockets, back)
    for thrower in sockets:
        thrower.close()
    return {"sent": sent, "errors": errors, "seconds": seconds, "back": back["bytes"]}


def hear_back(sockets: list[socket.socket], back: dict[str, int]) -> None:
    """Count what has come back."""
    for thrower in sockets:
        while True:
            try:
                data = thrower.recv(2_048)
            except BlockingIOError:
                break
            except OSError:  # the kernel tells of a port that is closed
                continue
            back["bytes"] += len(data)
            back["datagrams"] += 1


def garbage_pool(size: int, cids: set[int], chance: random.Random) -> list[bytes]:
    """Datagrams that belong to no session; every other one looks as if it might."""
    pool = []
    while len(pool) < 256:
        data = chance.randbytes(size)
        if size >= wire.HEADER_BYTES and len(pool) % 2:
            data = bytes((wire.PREFIX | DatagramKind.DATA,)) + data[1:]
        if size < wire.HEADER_BYTES or wire.HEADER.unpack_from(data)[1] not in cids:
            pool.append(data)
        if not size:
            break
    return pool


def forged_pool(cid: int, number: int, chance: random.Random) -> list[bytes]:
    """A session's id, plausible packet numbers and kinds, and a seal that is noise."""
    far = (1, 64, 1_023, 1_024, 65_536, (1 << 31) - 2, 1 << 31, (1 << 32) - 1)
    pool = []
    for index in range(2_048):
        low = number + chance.randrange(4_096) if index % 4 else number + chance.choice(far)
        kind = DatagramKind.DATA if index % 2 else chance.choice(list(DatagramKind))
        body = chance.choice((16, 40, 200, wire.MAX_BODY_BYTES + wire.TAG_BYTES))
        header = wire.HEADER.pack(wire.PREFIX | kind, cid, low & 0xFFFF_FFFF)
        pool.append(header + chance.randbytes(body))
    return pool


if __name__ == "__main__":
    rig.run_role({"throw": throw})
    sys.exit(0)
