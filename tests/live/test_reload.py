"""A daemon that reads its config file again while people play, in a process of its own."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from gamenet.core import frames
from gamenet.errors import RefusalReason
from tests.live.daemon import Daemon, RawClient
from tests.live.test_daemon import folder

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["folder"]


def test_theFileIsReadAgainWhilePeoplePlay(folder: Path) -> None:
    file = folder / "server.toml"
    file.write_text("max_players = 1\ntick_rate = 50\n")
    with (
        Daemon(folder, "--game", "live_game:main", "--config", "server.toml") as daemon,
        RawClient(daemon.address, "ada") as ada,
    ):
        ada.join()
        with RawClient(daemon.address, "bob") as bob:
            refused = frames.decode_refuse(bob.expect(frames.Kind.REFUSE))
            assert refused[0] is RefusalReason.FULL
        file.write_text("max_players = 2\ntick_rate = 25\n")
        daemon.signal(signal.SIGHUP)
        daemon.wait_for(r"settings changed: max_players=2 \(was 1\)")
        daemon.wait_for("needs a restart: tick_rate")
        with RawClient(daemon.address, "bob") as bob:
            assert bob.join().tick_rate_x100 == 5_000
            file.write_text("max_players = none\n")
            daemon.signal(signal.SIGHUP)
            daemon.wait_for("nothing was changed, because the config file cannot be used: config: ")
            ada.send(frames.encode_say("still here"))
            assert frames.decode_said(bob.expect(frames.Kind.SAY))[2] == "still here"
        daemon.signal(signal.SIGTERM)
        assert "Traceback" not in daemon.wait().out
