"""QUIC in Python: sealed. Messages are DATAGRAM frames, or frames on a stream where reliable."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import common
from aioquic.asyncio import QuicConnectionProtocol, serve
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import (
    ConnectionTerminated,
    DatagramFrameReceived,
    HandshakeCompleted,
    StreamDataReceived,
)

COUNTERS = {"messages": 0, "ticks": 0, "inputs": 0, "players": 0}


class Player(QuicConnectionProtocol):
    """One connection."""

    echo = True
    message_bytes = 0
    players: ClassVar[set[Player]] = set()
    _octets = 0

    def quic_event_received(self, event: Any) -> None:
        if type(event) is DatagramFrameReceived:
            if self.echo:
                self._quic.send_datagram_frame(event.data)
                COUNTERS["messages"] += 1
            else:
                COUNTERS["inputs"] += 1
        elif type(event) is StreamDataReceived:
            self._quic.send_stream_data(event.stream_id, event.data)
            whole, self._octets = divmod(self._octets + len(event.data), self.message_bytes)
            COUNTERS["messages"] += whole
        elif type(event) is HandshakeCompleted:
            self.players.add(self)
        elif type(event) is ConnectionTerminated:
            self.players.discard(self)

    def play(self, state: bytes) -> None:
        """One tick's state leaves."""
        self._quic.send_datagram_frame(state)
        self.transmit()


async def run(spec: dict[str, Any]) -> None:
    """Serve what the spec asks for, for good."""
    Player.echo = spec["workload"] != "W3"
    Player.message_bytes = 4 + spec["message_bytes"]
    configuration = QuicConfiguration(
        is_client=False, alpn_protocols=["bench"], max_datagram_frame_size=65_536
    )
    configuration.load_cert_chain(spec["cert_file"], spec["key_file"])
    server = await serve(common.HOST, 0, configuration=configuration, create_protocol=Player)
    ticks = common.Ticks(spec["hz"])
    states = common.States(spec["state_bytes"])
    common.deepen(server._transport.get_extra_info("socket").fileno())
    common.say({"port": server._transport.get_extra_info("sockname")[1]})
    common.in_background(
        common.answer_figures, lambda: {**COUNTERS, "tick_late_p99_ms": ticks.late.take()}
    )
    while Player.echo:
        await asyncio.sleep(60.0)
    begun = False
    while True:
        await asyncio.sleep(ticks.left())
        if ticks.start():
            begun = begun or len(Player.players) >= spec["n"]
            if begun:
                state = states.at(ticks.number)
                for player in Player.players:
                    player.play(state)
            COUNTERS["ticks"] += 1
            COUNTERS["players"] = len(Player.players)


if __name__ == "__main__":
    asyncio.run(run(common.spec()))
