"""Some cells of the matrix of bad networks on real sockets, in real time, through the proxy."""

from __future__ import annotations

import pytest

from tests.live.processes import output

TALK = """
    import gamenet, threading, time
    from gamenet.impairment import Profile
    from gamenet.proxy import Proxy

    COUNT = 120
    HANGS_SECONDS = 30

    class Talker(gamenet.Game):
        tick_rate = 60
        heard, left, sent = [], [], 0

        def on_message(self, player, payload, channel):
            self.heard.append(int(payload))

        def on_leave(self, player, reason):
            self.left.append(reason)

        def on_tick(self, tick):
            for player in self.server.players:
                if self.sent < COUNT:
                    self.sent += 1
                    self.server.send(player, b"%d" % self.sent)
                    self.server.send_unreliable(player, b"%d" % self.sent)

    game = Talker()
    server = gamenet.GameServer("tcp:0:interface=127.0.0.1", game=game, insecure=True)
    server.start()
    proxy = Proxy(server.address, profile=Profile(**CELL), seed=5)
    proxy.start()
    heard, unreliable, kinds, sent = [], [], set(), 0
    end = time.monotonic() + HANGS_SECONDS
    with gamenet.GameClient(f"127.0.0.1:{proxy.port}", insecure=True) as client:
        for frame in client.ticks(60):
            if sent < COUNT:
                sent += 1
                client.send(b"%d" % sent)
            if sent in CUTS:
                CUTS.remove(sent)
                proxy.cut_tcp()
            for event in frame.events:
                kinds.add(type(event).__name__)
                match event:
                    case gamenet.Received(_, payload): heard.append(int(payload))
                    case gamenet.Unreliable(_, payload): unreliable.append(int(payload))
            assert time.monotonic() < end, (len(heard), len(game.heard))
            if len(heard) >= COUNT <= len(game.heard): break
    server.stop()
    counts = proxy.counts()
    proxy.stop()
    wanted = list(range(1, COUNT + 1))
    assert heard == game.heard == wanted, (heard, game.heard)
    assert len(set(unreliable)) == len(unreliable)
    assert set(unreliable) <= set(wanted)
    assert [reason.name for reason in game.left] == ["QUIT"], game.left
    assert ("Resumed" in kinds) == RESUMES, kinds
    print(len(unreliable), counts)
"""
CELLS = {
    "loss and jitter": {"loss": 0.10, "latency_ms": 25, "jitter_ms": 10, "duplicate": 0.01},
    "heavy loss": {"loss": 0.20, "latency_ms": 5, "duplicate": 0.05, "reorder": 0.04},
    "reordering": {"latency_ms": 40, "reorder": 0.30},
    "narrow": {"bandwidth_bytes": 64_000, "latency_ms": 10},
}


@pytest.mark.parametrize("name", CELLS)
def test_whatMustArriveDoes(name: str) -> None:
    given = f"    CELL, CUTS, RESUMES = {CELLS[name]!r}, [], False\n"
    output(given + TALK)


def test_alsoWhenTheConnectionIsCut() -> None:
    cell = CELLS["loss and jitter"]
    output(f"    CELL, CUTS, RESUMES = {cell!r}, [40, 80], True\n" + TALK)
