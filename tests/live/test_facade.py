"""
Servers and clients as games use them, on real sockets.

The games run on threads of their own beside the reactor of the test run, which is what a daemon
does; ``test_threads.py`` has the processes in which gamenet starts the reactor itself.
"""

from __future__ import annotations

import functools
import random
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest
import pytest_twisted
from twisted.internet.threads import deferToThread

import gamenet
from gamenet.core import frames
from gamenet.errors import BridgeClosed, UnknownPlayer
from tests.fakes import framed
from tests.world import hello

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAX_TICKS = 6_000
"""Half a minute; nothing here takes a second of it."""
HERE = "tcp:0:interface=127.0.0.1"


def on_a_game_thread(test: Callable[..., None]) -> Callable[..., Any]:
    """Run a test where games run: on a thread that may wait."""

    @pytest_twisted.ensureDeferred
    @functools.wraps(test)
    async def run(*args: Any, **named: Any) -> None:
        await deferToThread(test, *args, **named)

    return run  # type: ignore[no-any-return]


class Move(gamenet.Message):
    dx: gamenet.Unit


def until(
    done: Callable[[], object], *loops: gamenet.GameServer | gamenet.GameClient
) -> list[gamenet.events.Event]:
    """Let games take events until *done*, and return the events."""
    taken: list[gamenet.events.Event] = []
    for loop in loops[1:]:
        taken += loop.events()
    for tick in loops[0].ticks(200.0):
        taken += tick.events
        for loop in loops[1:]:
            taken += loop.events()
        if done():
            return taken
        assert tick.number < MAX_TICKS, taken
    assert done(), taken
    return taken


def of(kind: type, events: list[gamenet.events.Event]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


@pytest.mark.parametrize("listen", ["tcp:0:interface=127.0.0.1", "[::1]:0"])
@on_a_game_thread
def test_everything_there_is_to_say_arrives_over_real_sockets(listen: str) -> None:
    with (
        gamenet.GameServer(listen, insecure=True, messages=(Move,)) as server,
        gamenet.GameClient(server.address, user="ada", insecure=True, messages=(Move,)) as client,
    ):
        assert (client.joined, client.player.name, client.secure) == (True, "ada", False)
        assert server.port == server.udp_port > 0
        events = until(lambda: client.path == "udp" and server.players, client, server)
        (player,) = server.players
        assert [type(event) for event in events].count(gamenet.PathChanged) >= 1
        client.send(b"x" * 65_536, 3)
        client.send(Move(0.5))
        client.send_unreliable(b"fast")
        client.say("hello")
        client.send_input(5)
        server.send(player, b"y" * 65_536, 4)
        server.broadcast(Move(-0.5))
        server.send_unreliable(player, b"quick")
        server.say("welcome", to=player)
        server.send_state(player, b"world")
        heard: list[gamenet.events.Event] = []
        states: list[gamenet.State] = []

        def all_there() -> bool:
            state = client.take_state()
            if state is not None:
                states.append(state)
            return bool(states) and len(heard) >= 9

        def collect() -> bool:
            heard.extend(
                event
                for event in (*client.events(), *server.events())
                if not isinstance(event, gamenet.PathChanged | gamenet.Joined | gamenet.Connected)
            )
            client.flush()
            server.flush()
            return all_there()

        for _ in range(MAX_TICKS):
            if collect():
                break
            heard += client.events(timeout=0.005)
        assert states[0].payload == b"world"
        received = of(gamenet.Received, heard)
        assert sorted((event.channel, type(event.payload).__name__) for event in received) == [
            (0, "Move"),
            (0, "Move"),
            (3, "bytes"),
            (4, "bytes"),
        ]
        assert {event.payload for event in of(gamenet.Unreliable, heard)} == {b"fast", b"quick"}
        lines = {(event.text, event.private) for event in of(gamenet.Chat, heard)}
        assert lines == {("hello", False), ("welcome", True)}
        (buttons,) = of(gamenet.Input, heard)
        assert (buttons.player, buttons.number, buttons.buttons) == (player, 1, 5)
        assert client.quality().path == server.quality(player).path == "udp"


@on_a_game_thread
def test_a_server_on_both_families_is_found_by_name_and_by_either_address() -> None:
    with gamenet.GameServer(0, insecure=True) as server:
        for host in ("localhost", "127.0.0.1", "[::1]"):
            with gamenet.GameClient(f"{host}:{server.port}", insecure=True) as client:
                until(lambda client=client: client.path == "udp", client)


@on_a_game_thread
def test_start_stop_and_start_again() -> None:
    server = gamenet.GameServer(HERE, insecure=True)
    client: gamenet.GameClient | None = None
    ports = set()
    for _ in range(3):
        server._taken["inputs_taken"] += 1
        server.start()
        assert server.running
        assert server.stats()["inputs_taken"] == 0
        ports.add(server.port)
        if client is None:
            with socket.socket() as probe:
                probe.connect(("127.0.0.1", server.port))
        client = gamenet.GameClient(server.address, user="ada", insecure=True)
        for _ in range(2):
            client.start()
            assert client.joined
            assert client.send_input(1) == 1
            client.stop()
            client.stop()
            with pytest.raises(BridgeClosed):
                client.send(b"late")
        server.stop()
        server.stop()
        assert (server.running, server.port, server.address) == (False, 0, "")
        with pytest.raises(BridgeClosed):
            server.broadcast(b"late")
        assert list(server.ticks()) == [] or not server.players


@on_a_game_thread
def test_starting_twice_is_a_mistake() -> None:
    with gamenet.GameServer(HERE, insecure=True) as server:
        with pytest.raises(gamenet.LocalProtocolError, match="runs already"):
            server.start()
        with (
            gamenet.GameClient(server.address, insecure=True) as client,
            pytest.raises(gamenet.LocalProtocolError, match="runs already"),
        ):
            client.start()


@on_a_game_thread
def test_several_servers_and_clients_in_one_process_keep_apart() -> None:
    servers = [gamenet.GameServer(HERE, insecure=True) for _ in range(3)]
    clients: list[gamenet.GameClient] = []
    try:
        for server in servers:
            server.start()
            for user in ("ada", "bob"):
                client = gamenet.GameClient(server.address, user=user, insecure=True)
                client.start()
                clients.append(client)
        for number, server in enumerate(servers):
            until(lambda server=server: len(server.players) == 2, server)
            server.broadcast(bytes((number,)))
            server.flush()
        for place, client in enumerate(clients):
            heard: list[Any] = []
            for _ in range(MAX_TICKS):
                heard += of(gamenet.Received, client.events(timeout=1.0))
                if heard:
                    break
            assert [event.payload for event in heard] == [bytes((place // 2,))]
        with pytest.raises(UnknownPlayer):
            servers[0].send(next(iter(servers[1].players)), b"x")
    finally:
        for each in (*clients, *servers):
            each.stop()


@on_a_game_thread
def test_the_end_of_a_server_is_in_the_last_tick_of_its_clients() -> None:
    server = gamenet.GameServer(HERE, insecure=True)
    server.start()
    with gamenet.GameClient(server.address, insecure=True) as client:
        until(lambda: server.players, server)
        threading.Thread(target=server.stop).start()
        ticks = list(client.ticks(200.0))
        ended = ticks[-1].events[-1]
        assert isinstance(ended, gamenet.Disconnected)
        assert ended.reason is gamenet.DisconnectReason.STOPPED
        assert not client.joined
        client.send(b"a no-op")
    left = [event for tick in server.ticks() for event in tick.events]
    assert isinstance(left[-1], gamenet.Left)


@on_a_game_thread
def test_host_and_play() -> None:
    told: list[Any] = []

    @gamenet.game(game_name="echo/1", tick_rate=100)
    def echo(server: gamenet.GameServer) -> None:
        told.append(threading.current_thread().name)
        for tick in server.ticks():
            for event in tick.events:
                if isinstance(event, gamenet.Chat):
                    server.say(event.text, author=event.player)
                if isinstance(event, gamenet.Left):
                    told.append(event.reason)
                    server.stop()

    server = gamenet.GameServer(HERE, game=echo, insecure=True)
    with server:
        assert server.config.game_name == "echo/1"
        with gamenet.GameClient(server.address, insecure=True, game_name="echo/1") as client:
            client.say("hello")
            lines: list[Any] = []
            for tick in client.ticks(200.0):
                lines += of(gamenet.Chat, list(tick.events))
                if lines:
                    break
                assert tick.number < MAX_TICKS
            assert (lines[0].text, lines[0].player) == ("hello", client.player)
        # Leaving ends the game, which ends the server.
        assert server.wait(60.0)
    assert told == ["gamenet-game", gamenet.DisconnectReason.QUIT]
    assert not server.failed


@on_a_game_thread
def test_a_game_that_raises_is_known_to_have_failed() -> None:
    def breaks(server: gamenet.GameServer) -> None:
        for tick in server.ticks(200.0):
            if of(gamenet.Joined, list(tick.events)):
                raise ZeroDivisionError

    server = gamenet.GameServer(HERE, game=breaks, insecure=True)
    with server, gamenet.GameClient(server.address, insecure=True) as client:
        ticks = list(client.ticks(200.0))
        assert ticks[-1].events[-1].reason is gamenet.DisconnectReason.GAME_ERROR
        assert server.wait(60.0)
        assert server.failed
    assert server.failed


@on_a_game_thread
def test_a_refused_join_raises_with_a_sentence() -> None:
    with gamenet.GameServer(HERE, insecure=True, max_players=1) as server:
        with gamenet.GameClient(server.address, user="ada", insecure=True):
            client = gamenet.GameClient(server.address, user="bob", insecure=True)
            with pytest.raises(gamenet.JoinRefused) as caught:
                client.start()
            assert caught.value.reason is gamenet.RefusalReason.FULL
            assert caught.value.text == "The server is full. Try again later."
            assert str(caught.value) == caught.value.text
        # It is as good as new.
        client.start()
        client.stop()


@on_a_game_thread
def test_a_refusal_survives_a_stranger_who_goes_on_talking() -> None:
    greeting = frames.encode_hello(hello("bob", game="chess/1"))
    with gamenet.GameServer(HERE, insecure=True, game_name="tag/1") as server:
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", server.port), timeout=60.0) as stranger:
                stranger.sendall(framed(greeting) + bytes(200_000))
                heard = b""
                while data := stranger.recv(100):
                    heard += data
            assert heard == framed(frames.encode_refuse(gamenet.RefusalReason.GAME))


@on_a_game_thread
def test_whatever_strangers_send_the_players_play_on() -> None:
    noise = random.Random(5)
    with (
        gamenet.GameServer(HERE, insecure=True) as server,
        gamenet.GameClient(server.address, insecure=True) as client,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
    ):
        until(lambda: client.path == "udp" and server.players, client, server)
        datagrams.bind(("127.0.0.1", 0))
        for size in range(0, 1_400, 7):
            datagrams.sendto(noise.randbytes(size), ("127.0.0.1", server.udp_port))
            with socket.create_connection(("127.0.0.1", server.port), timeout=60.0) as stranger:
                stranger.sendall(noise.randbytes(size))
        client.send(b"still here")
        client.say("still here")
        client.flush()
        heard: list[Any] = []
        for _ in range(MAX_TICKS):
            heard += of(gamenet.Received, server.events(timeout=0.01))
            if heard:
                break
        assert heard[0].payload == b"still here"
        assert [player.name for player in server.players] == [client.player.name]
        datagrams.setblocking(False)
        with pytest.raises(BlockingIOError):
            datagrams.recv(2_000)
    stats = server.stats()
    lost = sum(count for name, count in stats.items() if name.startswith("drop_datagram_"))
    assert stats["datagrams_in"] == stats["datagrams_delivered"] + lost
    assert lost >= 200


@on_a_game_thread
def test_nobody_there_raises_and_names_the_address() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(gamenet.ConnectionFailed, match=f"127.0.0.1:{port}"):
            gamenet.GameClient(f"127.0.0.1:{port}", insecure=True).start()


@on_a_game_thread
def test_a_server_that_never_answers_is_given_up_in_time() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(gamenet.ConnectionFailed, match="in time"):
            gamenet.GameClient(address, insecure=True).start(timeout=0.2)
        with pytest.raises(gamenet.ConnectionFailed):
            gamenet.GameClient(address, insecure=True, join_seconds=0.2).start()


@on_a_game_thread
def test_a_port_in_use_raises_and_names_it() -> None:
    with gamenet.GameServer(HERE, insecure=True) as server:
        other = gamenet.GameServer(f"tcp:{server.port}:interface=127.0.0.1", insecure=True)
        error = None
        try:
            other.start()
        except gamenet.ListenFailed as caught:
            error = caught
        assert str(server.port) in str(error)
        assert not other.running


@on_a_game_thread
def test_an_engine_that_owns_the_loop_never_waits() -> None:
    with gamenet.GameServer(HERE, insecure=True) as server:
        for user, kind in (("ada", gamenet.Connected), ("no such name!", gamenet.Disconnected)):
            client = gamenet.GameClient(server.address, user=user, insecure=True)
            client.start(wait=False)
            seen: list[Any] = []
            frames = 0
            while not seen:
                for tick in client.ticks(60, wait=False):
                    seen += tick.events
                # What an engine does between its frames.
                server.events(timeout=0.001)
                frames += 1
                assert frames < 100_000
            assert isinstance(seen[0], kind)
            client.stop()
        assert seen[0].refusal is gamenet.RefusalReason.NAME


@on_a_game_thread
def test_stopping_a_client_that_is_still_connecting_joins_nobody() -> None:
    with gamenet.GameServer(HERE, insecure=True) as server:
        for _ in range(5):
            client = gamenet.GameClient(server.address, user="ghost", insecure=True)
            client.start(wait=False)
            client.stop()
        with gamenet.GameClient(server.address, user="ada", insecure=True):
            until(lambda: server.find("ada"), server)
            assert [player.name for player in server.players] == ["ada"]


@on_a_game_thread
def test_an_error_within_a_with_block_stops_what_it_had_started() -> None:
    server = gamenet.GameServer(HERE, insecure=True)
    client: gamenet.GameClient | None = None

    def breaks() -> None:
        nonlocal client
        with server:
            client = gamenet.GameClient(server.address, insecure=True)
            with client:
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        breaks()
    assert client is not None
    assert not server.running
    assert not client.joined or list(client.ticks())


@on_a_game_thread
def test_waiting_for_events_ends_when_one_comes() -> None:
    with (
        gamenet.GameServer(HERE, insecure=True) as server,
        gamenet.GameClient(server.address, insecure=True) as client,
    ):
        until(lambda: client.path == "udp" and server.players, client, server)
        threading.Thread(target=client.post, args=("from elsewhere",)).start()
        # It would wait for an hour otherwise.
        assert client.events(timeout=3600.0) == [gamenet.Posted("from elsewhere")]
        server.broadcast(b"x")
        server.flush()
        (received,) = client.events(timeout=3600.0)
        assert isinstance(received, gamenet.Received)


@on_a_game_thread
def test_what_several_threads_say_arrives_once_and_in_the_order_of_each() -> None:
    count = 300
    with (
        gamenet.GameServer(HERE, insecure=True) as server,
        gamenet.GameClient(server.address, insecure=True) as client,
    ):
        until(lambda: client.path == "udp" and server.players, client, server)
        (player,) = server.players

        def say(writer: int) -> None:
            for number in range(count):
                payload = bytes((writer,)) + number.to_bytes(2, "big")
                server.send(player, payload)
                server.send_state(player, payload)
                client.send(payload)
                server.flush()

        writers = [threading.Thread(target=say, args=(writer,)) for writer in range(4)]
        for writer in writers:
            writer.start()
        heard: dict[Any, list[bytes]] = {client: [], server: []}
        for _ in range(MAX_TICKS):
            for loop, payloads in heard.items():
                events = of(gamenet.Received, loop.events(timeout=0.01))
                payloads += [event.payload for event in events]
            if min(map(len, heard.values())) == 4 * count:
                break
        for writer in writers:
            writer.join()
        for payloads in heard.values():
            for number in range(4):
                mine = [payload[1:] for payload in payloads if payload[0] == number]
                assert mine == [each.to_bytes(2, "big") for each in range(count)]


@pytest.fixture
def threads() -> Iterator[set[threading.Thread]]:
    return set(threading.enumerate())


@on_a_game_thread
def test_under_a_running_reactor_no_thread_is_started(threads: set[threading.Thread]) -> None:
    with (
        gamenet.GameServer(HERE, insecure=True) as server,
        gamenet.GameClient(server.address, insecure=True),
    ):
        names = {thread.name for thread in set(threading.enumerate()) - threads}
        assert "gamenet-reactor" not in names


@on_a_game_thread
def test_emptyingItEndsTheLoopAndItCanBeStartedAgain() -> None:
    with gamenet.GameServer(HERE, insecure=True) as server:
        for _ in range(2):
            if not server.running:
                server.start()
            with gamenet.GameClient(server.address, user="ada", insecure=True) as client:
                until(lambda: server.players, server, client)
                calls = [threading.Thread(target=server.drain, args=(60.0,)) for _ in range(2)]
                for call in calls:
                    call.start()
                until(lambda: client.joined and server.draining, server, client)
                with pytest.raises(gamenet.JoinRefused, match="maintenance"):
                    gamenet.GameClient(server.address, user="late", insecure=True).start()
                client.stop()
                events = [event for tick in server.ticks(200.0) for event in tick.events]
            assert [type(event) for event in events][-1] is gamenet.Left
            assert (server.running, server.draining) == (False, False)
            for call in calls:
                call.join()
