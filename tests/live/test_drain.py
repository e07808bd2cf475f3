"""A daemon that is emptied while people play, in a process of its own."""

from __future__ import annotations

import json
import signal
import time
from typing import TYPE_CHECKING

import pytest

import gamenet
from gamenet.core import frames
from gamenet.errors import REFUSAL_TEXTS, DisconnectReason, RefusalReason
from tests.live.daemon import HANGS_SECONDS, Daemon, RawClient
from tests.live.test_daemon import folder, is_clean
from tests.live.test_facade import on_a_game_thread

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["folder"]
PLAYERS = 24
STAYING = 8
"""Those who do not leave when they are told."""


def play(clients: dict[str, gamenet.GameClient], events: dict[str, list[gamenet.Event]]) -> None:
    """One pass of everybody's game: take, press a button, say something."""
    for name, client in clients.items():
        if any(isinstance(event, gamenet.Disconnected) for event in events[name]):
            continue
        events[name] += client.events()
        if client.joined:
            client.send_input(1)
            client.say("here I am")
    time.sleep(0.05)


def told(events: list[gamenet.Event]) -> list[str]:
    """What the server itself has said in the chat."""
    return [
        event.text for event in events if isinstance(event, gamenet.Chat) and event.player.id == 0
    ]


@on_a_game_thread
def test_underLoadEverybodyIsToldNewcomersAreRefusedAndTheEndIsAGoodOne(folder: Path) -> None:
    with Daemon(folder, "--game", "live_game:main", "--drain-seconds", "4") as daemon:
        clients = {
            f"p{number}": gamenet.GameClient(daemon.address, user=f"p{number}", insecure=True)
            for number in range(PLAYERS)
        }
        events: dict[str, list[gamenet.Event]] = {name: [] for name in clients}
        try:
            for client in clients.values():
                client.start(HANGS_SECONDS)
            play(clients, events)
            daemon.signal(signal.SIGUSR1)
            daemon.wait_for(rf"draining: newcomers are refused, and {PLAYERS} players have 4 s")
            assert daemon.get("/readyz") == (503, b"draining\n")
            assert 0 < json.loads(daemon.get("/api/status")[1])["drain_seconds_left"] <= 4
            late = gamenet.GameClient(daemon.address, user="late", insecure=True)
            with pytest.raises(gamenet.JoinRefused) as refused:
                late.start(HANGS_SECONDS)
            assert refused.value.reason is RefusalReason.DRAINING
            assert refused.value.text == REFUSAL_TEXTS[RefusalReason.DRAINING]
            assert 1 <= refused.value.retry_after_seconds <= 4
            daemon.signal(signal.SIGUSR1)
            daemon.wait_for("being emptied already")
            while not all(told(heard) for heard in events.values()):
                play(clients, events)
            for number in range(STAYING, PLAYERS):
                clients[f"p{number}"].stop()
            staying = {f"p{number}": clients[f"p{number}"] for number in range(STAYING)}
            while not all(isinstance(events[name][-1], gamenet.Disconnected) for name in staying):
                play(staying, events)
            ended = daemon.wait()
        finally:
            for client in clients.values():
                client.stop()
    for name, heard in events.items():
        first, *others = told(heard)
        assert "The server ends in 4 seconds" in first, (name, first)
        if name in staying:
            assert "The server ends in 2 seconds" in others[0]
            last = heard[-1]
            assert isinstance(last, gamenet.Disconnected)
            assert (last.reason, last.text) == (
                DisconnectReason.DRAINED,
                "the server is being emptied",
            )
    assert f"the time is over, and {STAYING} players are sent away" in ended.out
    assert ended.status == 0
    assert is_clean(ended), ended
    assert (folder / "saved").read_text() == "the world"


def test_itEndsOnceTheLastOneHasLeft(folder: Path) -> None:
    with (
        Daemon(folder, "--game", "live_game:main") as daemon,
        RawClient(daemon.address, "ada") as ada,
    ):
        ada.join()
        daemon.signal(signal.SIGUSR1)
        assert "5 minutes" in frames.decode_said(ada.expect(frames.Kind.SAY))[2]
        ada.send(frames.encode_bye(DisconnectReason.QUIT))
        ended = daemon.wait()
    assert "drained: nobody is in any more" in ended.out
    assert ended.status == 0
    assert is_clean(ended), ended


def test_sigtermDuringItEndsAtOnce(folder: Path) -> None:
    with (
        Daemon(folder, "--game", "live_game:main") as daemon,
        RawClient(daemon.address, "ada") as ada,
    ):
        ada.join()
        daemon.signal(signal.SIGUSR1)
        ada.expect(frames.Kind.SAY)
        daemon.signal(signal.SIGTERM)
        assert ada.expect_bye() is DisconnectReason.STOPPED
        ended = daemon.wait()
    assert ended.status == -signal.SIGTERM
    assert is_clean(ended), ended
