"""Games that are busy, files that are used up and servers that are killed, on real sockets."""

from __future__ import annotations

import errno
import json
import select
import signal
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

import gamenet
from gamenet.addresses import parse_address
from gamenet.errors import ConnectionFailed, DisconnectReason, QueueFull, RefusalReason
from tests.live.daemon import Daemon
from tests.live.processes import HANGS_SECONDS, output, start
from tests.live.test_facade import MAX_TICKS, of, on_a_game_thread, until

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from gamenet.events import Event

STALLED = "the game has taken no event"


@contextmanager
def process_of(source: str, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process that says where it listens, and where that is; killed at the end."""
    process = start(source, *arguments)
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address, process.communicate()
        yield process, address
    finally:
        process.kill()
        process.communicate()


# A game that is busy

BUSY = """
    import json, time, gamenet

    def work(seconds):
        end, count = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            count += 1

    taken, gone = [], []

    with gamenet.GameServer(
        "tcp:0:interface=127.0.0.1", insecure=True, stall_seconds=0.5, ping_seconds=0.5,
        dead_seconds=2.5, frames_per_second=1e6, frames_burst=1_000_000,
    ) as server:
        print(server.address, flush=True)
        for tick in server.ticks(60):
            for event in tick.events:
                match event:
                    case gamenet.Received(player, b"work"):
                        server.send(player, b"begins")
                        server.flush()
                        work(3.0)
                    case gamenet.Received(player, b"report"):
                        report = {"taken": taken, "gone": gone, "stats": server.stats()}
                        server.send(player, json.dumps(report).encode())
                    case gamenet.Received(_, payload):
                        taken.append(int(payload))
                    case gamenet.Suspended():
                        gone.append(repr(event))
                    case gamenet.Left():
                        server.stop()
"""
WAITS = 600
"""A minute; nothing here takes as long."""
MESSAGES = 2_000
"""More than may wait for a game that takes none."""


def take_until(client: gamenet.GameClient, done: Callable[[list[Event]], object]) -> list[Event]:
    """Take events until they are enough."""
    taken: list[Event] = []
    for _ in range(WAITS):
        taken += client.events(timeout=0.1)
        if done(taken):
            return taken
    raise AssertionError(taken)


def take_answer(client: gamenet.GameClient, begins: bytes) -> list[Event]:
    """Take events until a message has come that begins so."""
    return take_until(
        client,
        lambda taken: [
            event for event in of(gamenet.Received, taken) if event.payload.startswith(begins)
        ],
    )


@on_a_game_thread
def test_a_game_that_is_busy_for_seconds_loses_nobody_and_nothing() -> None:
    with process_of(BUSY) as (process, address):
        with gamenet.GameClient(
            address, insecure=True, ping_seconds=0.5, dead_seconds=2.5
        ) as client:
            client.send(b"work")
            client.flush()
            events = take_answer(client, b"begins")
            sent = times_full = 0
            for _ in range(MAX_TICKS):
                client.send_input(1)
                client.send_unreliable(b"hurry")
                try:
                    while sent < MESSAGES:
                        client.send(b"%d" % (sent + 1))
                        sent += 1
                    break
                except QueueFull:
                    times_full += 1
                client.flush()
                events += take_until(client, lambda taken: of(gamenet.Writable, taken))
            client.send(b"report")
            client.flush()
            events += take_answer(client, b"{")
            assert of(gamenet.Suspended, events) == []
            assert client.stats()["suspensions"] == 0
        report = json.loads(of(gamenet.Received, events)[-1].payload)
        _, err = process.communicate(timeout=HANGS_SECONDS)
    assert times_full >= 1
    assert report["taken"] == list(range(1, MESSAGES + 1))
    assert report["gone"] == []
    stats = report["stats"]
    assert (stats["stalls"] >= 1, stats["suspensions"]) == (True, 0)
    assert err.count(STALLED) == stats["stalls"], err


# Files that are used up

FILES = 256
RESERVED = 64
PLAYERS = 3
GAME = """
import gamenet

held = []

def main(server):
    for tick in server.ticks(100):
        for event in tick.events:
            match event:
                case gamenet.Received(player, b"hoard"):
                    try:
                        while True:
                            held.append(open("/dev/null"))
                    except OSError as error:
                        server.send(player, b"hoarded %d" % error.errno)
                case gamenet.Received(player, b"free"):
                    while held:
                        held.pop().close()
                    server.send(player, b"freed")
                case gamenet.Received(player, payload):
                    server.send(player, payload)
"""


class Knocking:
    """Connections that say nothing."""

    def __init__(self, address: str) -> None:
        self._target = parse_address(address)[:2]
        self.standing: list[socket.socket] = []
        self.closed = 0

    def __enter__(self) -> Knocking:
        return self

    def __exit__(self, *error: object) -> None:
        for each in self.standing:
            each.close()
        self.standing.clear()

    def knock(self, count: int) -> None:
        """Connect so many times."""
        for _ in range(count):
            self.standing.append(socket.create_connection(self._target, HANGS_SECONDS))

    def wait_for_closed(self, count: int) -> None:
        """Until the server has closed so many of all."""
        while self.closed < count:
            poll = select.poll()
            for each in self.standing:
                poll.register(each, select.POLLIN)
            ready = {number for number, _ in poll.poll(HANGS_SECONDS * 1_000)}
            assert ready, f"{self.closed} were closed, not {count}"
            for each in [each for each in self.standing if each.fileno() in ready]:
                try:
                    assert each.recv(1) == b""
                except ConnectionResetError:
                    pass
                self.closed += 1
                self.standing.remove(each)
                each.close()


class Echoes:
    """Players who send all the while, and must hear it all again."""

    def __init__(self, clients: list[gamenet.GameClient]) -> None:
        self.clients = clients
        self.sent = 0
        self.events: list[list[Event]] = [[] for _ in clients]

    def say(self) -> None:
        """One message of each."""
        self.sent += 1
        for client in self.clients:
            client.send(b"%d" % self.sent)
            client.flush()

    def check(self) -> None:
        """All that was said has come back, in order, and nobody has lost the connection."""
        wanted = [b"%d" % number for number in range(1, self.sent + 1)]
        for client, events in zip(self.clients, self.events, strict=True):
            left = self.sent - len(of(gamenet.Received, events))
            events += take_until(
                client, lambda taken, left=left: len(of(gamenet.Received, taken)) >= left
            )
            assert [event.payload for event in of(gamenet.Received, events)] == wanted
            assert of(gamenet.Suspended, events) + of(gamenet.Disconnected, events) == []


@contextmanager
def daemon_of_few_files(folder: Path, log: list[str]) -> Iterator[Daemon]:
    """A daemon that may have 256 files open, and ends well.

    :param log: gets the lines of its log.
    """
    (folder / "live_game.py").write_text(GAME)
    (folder / "server.toml").write_text("join_seconds = 100.0\n")
    limited = ("/bin/sh", "-c", f'ulimit -n {FILES} && exec "$@"', "sh")
    arguments = ("--game", "live_game:main", "--config", "server.toml")
    with Daemon(folder, *arguments, start=limited) as daemon:
        yield daemon
        daemon.signal(signal.SIGTERM)
        ended = daemon.wait()
    assert ended.err == ""
    for wrong in ("Traceback", "#error]", "#critical]"):
        assert wrong not in ended.out, ended.out
    log += ended.out.splitlines()


@contextmanager
def players_of(daemon: Daemon) -> Iterator[list[gamenet.GameClient]]:
    """Three who have joined."""
    clients = [
        gamenet.GameClient(daemon.address, user=f"p{number}", insecure=True)
        for number in range(PLAYERS)
    ]
    try:
        for client in clients:
            client.start()
        yield clients
    finally:
        for client in clients:
            client.stop()


@on_a_game_thread
def test_a_thousand_who_connect_leave_the_players_their_files(tmp_path: Path) -> None:
    carried = FILES - RESERVED - PLAYERS
    log: list[str] = []
    with daemon_of_few_files(tmp_path, log) as daemon, players_of(daemon) as clients:
        echoes = Echoes(clients)
        with Knocking(daemon.address) as knocking:
            for count in range(100, 1_001, 100):
                knocking.knock(100)
                echoes.say()
                knocking.wait_for_closed(count - carried)
            assert (knocking.closed, len(knocking.standing)) == (1_000 - carried, carried)
            with pytest.raises(ConnectionFailed):
                gamenet.GameClient(daemon.address, insecure=True).start()
            echoes.say()
            echoes.check()
            # The rest of the process has files as well.
            code, body = daemon.get("/api/status")
            status = json.loads(body)
            assert (code, len(status["players"]), status["suspended"]) == (200, PLAYERS, 0)
            assert status["errors"] == 0
            assert status["drops"]["unjoined_refused"] >= 1_000 - carried + 1
        # They are gone, and others may come.
        for _ in range(MAX_TICKS):
            try:
                with gamenet.GameClient(daemon.address, user="late", insecure=True) as late:
                    assert late.joined
                break
            except ConnectionFailed:
                continue
        echoes.say()
        echoes.check()
    assert [line for line in log if errno.errorcode[errno.EMFILE] in line] == []
    assert len(log) < 30, log


@on_a_game_thread
def test_a_game_that_uses_up_the_files_keeps_its_players(tmp_path: Path) -> None:
    with daemon_of_few_files(tmp_path, []) as daemon, players_of(daemon) as clients:
        clients[0].send(b"hoard")
        clients[0].flush()
        take_answer(clients[0], b"hoarded %d" % errno.EMFILE)
        echoes = Echoes(clients)
        with Knocking(daemon.address) as knocking:
            for count in range(20, 101, 20):
                knocking.knock(20)
                echoes.say()
                knocking.wait_for_closed(count)
            with pytest.raises(ConnectionFailed):
                gamenet.GameClient(daemon.address, insecure=True).start()
            echoes.say()
            echoes.check()
        clients[0].send(b"free")
        clients[0].flush()
        take_answer(clients[0], b"freed")
        with gamenet.GameClient(daemon.address, user="late", insecure=True) as late:
            assert late.joined
        clients.pop(0).stop()
        echoes = Echoes(clients)
        echoes.say()
        echoes.check()


# A server that is killed

MORTAL = """
    import sys, threading, gamenet
    with gamenet.GameServer(f"tcp:{sys.argv[1]}:interface=127.0.0.1", insecure=True) as server:
        print(server.address, flush=True)
        for tick in server.ticks(60):
            for event in tick.events:
                match event:
                    case gamenet.Received(player, b"hang"):
                        server.send(player, b"hangs")
                        server.flush()
                        threading.Event().wait()
                    case gamenet.Received(player, payload):
                        server.send(player, payload)
"""


def ask(client: gamenet.GameClient, question: bytes, answer: bytes) -> None:
    """Say something, until it is answered and known to be taken."""
    client.send(question)
    client.flush()
    take_answer(client, answer)
    until(lambda: client.quality().queued_messages == 0, client)


@on_a_game_thread
def test_who_played_on_a_server_that_is_killed_is_told_what_it_never_took() -> None:
    with process_of(MORTAL, "0") as (process, address):
        port = str(parse_address(address).port)
        with (
            gamenet.GameClient(address, user="ada", insecure=True) as ada,
            gamenet.GameClient(address, user="bob", insecure=True, rejoin=True) as bob,
        ):
            for client in (ada, bob):
                ask(client, b"taken", b"taken")
            ask(ada, b"hang", b"hangs")
            before = bob.player
            for client in (ada, bob):
                for number in range(1, 11):
                    client.send(b"%d" % number)
                client.flush()
            process.kill()
            process.wait()
            for client in (ada, bob):
                events = take_until(client, lambda taken: of(gamenet.Suspended, taken))
                (suspended,) = of(gamenet.Suspended, events)
                assert suspended.reason is DisconnectReason.SESSION_LOST
                client.send(b"11")
            wanted = tuple(b"%d" % number for number in range(1, 12))
            with process_of(MORTAL, port) as (_, again):
                assert again == address
                (over,) = of(gamenet.Disconnected, list(ada.ticks(60))[-1].events)
                assert over.reason is DisconnectReason.SESSION_LOST
                assert over.refusal is RefusalReason.NO_SESSION
                assert (over.unacknowledged, over.unacknowledged_count) == (wanted, 11)
                assert not over.rejoining

                events = take_until(bob, lambda taken: of(gamenet.Connected, taken))
                (over,) = of(gamenet.Disconnected, events)
                assert over.reason is DisconnectReason.SESSION_LOST
                assert (over.unacknowledged, over.unacknowledged_count) == (wanted, 11)
                assert over.rejoining
                assert bob.joined
                assert bob.player is not before
                # Nothing of it was replayed into the new game.
                bob.send(b"12")
                bob.flush()
                events = take_answer(bob, b"12")
                assert [event.payload for event in of(gamenet.Received, events)] == [b"12"]


def test_no_kernel_is_asked_to_cut_a_slow_peer() -> None:
    """``TCP_USER_TIMEOUT`` would: whatever is asked for, it is not among it."""
    output(
        """
        import socket, gamenet
        from twisted.internet.threads import blockingCallFromThread
        with gamenet.GameServer("tcp:0:interface=127.0.0.1", insecure=True) as server:
            with gamenet.GameClient(server.address, insecure=True):
                from twisted.internet import reactor
                ends = blockingCallFromThread(reactor, reactor.getReaders)
                found = [
                    each.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
                    for each in ends
                    if getattr(each, "socket", None) is not None
                    and each.socket.type == socket.SOCK_STREAM
                ]
        assert len(found) >= 2, found
        assert not any(found), found
        """
    )
