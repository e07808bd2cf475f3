"""The load for ENet: its own client, a host with a socket for each player."""

from __future__ import annotations

import time
from typing import Any, Final

import common
import enet

JOIN_SECONDS: Final = 20.0
CATCH_UP_TICKS: Final = 16
"""So often a client looks whether more than one state came since it looked."""


def connect(spec: dict[str, Any]) -> tuple[Any, Any]:
    """A host and its peer, connected."""
    host = enet.Host(None, 1, 1, 0, 0)
    peer = host.connect(enet.Address(common.HOST.encode(), spec["port"]), 1)
    until = time.monotonic() + JOIN_SECONDS
    while time.monotonic() < until:
        if host.service(10).type == enet.EVENT_TYPE_CONNECT:
            # What it has to acknowledge leaves.
            host.flush()
            return host, peer
    raise TimeoutError("the server does not answer")


def echo(spec: dict[str, Any]) -> None:
    """W1, W2: as many messages as come back leave anew. W4: one at a time, and how long it took."""
    one_by_one = spec["workload"] == "W4"
    flags = enet.PACKET_FLAG_RELIABLE if spec["workload"] == "W2" else 0
    size = spec["message_bytes"]
    message, generation = bytes(size), 0
    window = 1 if one_by_one else spec["window"]
    host, peer = connect(spec)
    told = common.Told()
    common.settle()
    common.say({"ready": True})
    service, packet, received = host.service, enet.Packet, enet.EVENT_TYPE_RECEIVE
    sent = came = lost = flying = 0
    seconds: list[float] = []
    deaf_ms = int(common.DEAF_SECONDS * 1e3)
    begun = 0.0
    while not told.stop:
        for _ in range(window - flying):
            peer.send(0, packet(message, flags))
            sent += 1
            flying += 1
        if one_by_one:
            begun = time.perf_counter()
        event = service(deaf_ms)
        if event.type == received:
            if flags or event.packet.data == message:
                if one_by_one:
                    seconds.append(time.perf_counter() - begun)
                flying -= 1
                came += 1
        elif not flags:
            # Those that are late after all belong to a window that is written off.
            lost += flying
            flying = 0
            generation += 1
            message = generation.to_bytes(4, "big").ljust(size, b"\0")
    told.finish(sent=sent, received=came, lost=lost, **common.round_trips(seconds))


def play(spec: dict[str, Any]) -> None:
    """W3: every client sends an input each tick, at its own time, and takes states."""
    n = spec["n"]
    pairs = [connect(spec) for _ in range(n)]
    services = [host.service for host, _ in pairs]
    sends = [peer.send for _, peer in pairs]
    gaps = [common.Gaps() for _ in pairs]
    message = bytes(spec["input_bytes"])
    packet, received = enet.Packet, enet.EVENT_TYPE_RECEIVE
    sent = 0
    told = common.Told()
    common.settle()
    common.say({"ready": True})
    phases = common.Phases(n, spec["hz"])
    while not told.stop:
        for step in phases.due():
            index = step % n
            service, came = services[index], gaps[index].came
            sends[index](0, packet(message))
            sent += 1
            # It sends, then takes one thing that came: as a rule there is one state a tick.
            event = service(0)
            if event.type == received:
                came(int.from_bytes(event.packet.data[:4], "big"))
            if step // n % CATCH_UP_TICKS == index % CATCH_UP_TICKS:
                while (event := service(0)).type:
                    if event.type == received:
                        came(int.from_bytes(event.packet.data[:4], "big"))
        phases.rest()
    told.finish(sent=sent, **common.arrived(gaps), load_late_p99_ms=phases.late.take())


def listen(spec: dict[str, Any]) -> None:
    """W5: every client takes what is sent to all, and acknowledges it."""
    hosts = [connect(spec)[0] for _ in range(spec["n"])]
    received = 0
    told = common.Told()
    common.settle()
    common.say({"ready": True})
    while not told.stop:
        for host in hosts:
            while (event := host.service(0)).type:
                received += event.type == enet.EVENT_TYPE_RECEIVE
        time.sleep(0.001)
    told.finish(sent=0, received=received, lost=0)


def main() -> None:
    """Play what the spec asks for."""
    spec = common.spec()
    if spec["workload"] == "W5":
        listen(spec)
    elif spec["workload"] == "W3":
        play(spec)
    else:
        echo(spec)


if __name__ == "__main__":
    main()
