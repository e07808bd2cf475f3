"""gamenet inside test suites: what plain tests may not do, and what others can."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import pytest_twisted
from twisted.internet import defer
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint

import gamenet
from tests.live.processes import HANGS_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gamenet.events import Event


def test_a_facade_in_a_plain_test_is_refused_at_once_with_advice() -> None:
    server = gamenet.GameServer(0, insecure=True)
    client = gamenet.GameClient("127.0.0.1:1", insecure=True)

    def enter(facade: Any) -> None:
        with facade:
            raise AssertionError("it began")

    calls: list[Callable[[], Any]] = [
        server.start,
        client.start,
        lambda: client.start(wait=False),
        lambda: enter(server),
        lambda: enter(client),
        lambda: gamenet.serve(lambda server: None, 0, insecure=True),
        server.ticks,
        server.events,
        client.ticks,
        client.events,
        client.take_state,
    ]
    for call in calls:
        with pytest.raises(gamenet.LocalProtocolError) as caught:
            call()
        for advice in ("reactor's own thread", "GameServerFactory", "deferToThread"):
            assert advice in str(caught.value)


class Sink:
    """What a test on the reactor thread sees."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._waiting: list[tuple[type, defer.Deferred[Event]]] = []

    def offer(self, event: Event) -> bool:
        self.events.append(event)
        for entry in list(self._waiting):
            if isinstance(event, entry[0]):
                self._waiting.remove(entry)
                entry[1].callback(event)
        return True

    def next(self, kind: type) -> defer.Deferred[Event]:
        """Fires with the first event of a kind, if need be a future one."""
        waiting: defer.Deferred[Event] = defer.Deferred()
        for event in self.events:
            if isinstance(event, kind):
                waiting.callback(event)
                return waiting
        self._waiting.append((kind, waiting))
        return waiting


@pytest.mark.parametrize("interface", ["127.0.0.1", "::1"])
@pytest_twisted.ensureDeferred
async def test_factories_and_endpoints_on_the_reactor_of_the_tests(interface: str) -> None:
    from twisted.internet import reactor

    running: Any = reactor
    server_sink, client_sink = Sink(), Sink()
    server = gamenet.GameServerFactory(server_sink, gamenet.ServerConfig(insecure=True))
    tcp = running.listenTCP(0, server, interface=interface)
    port = tcp.getHost().port
    udp = server.listen_udp(port, interface)
    client = gamenet.GameClientFactory(client_sink, gamenet.ClientConfig(insecure=True), user="ada")
    endpoint = TCP6ClientEndpoint if ":" in interface else TCP4ClientEndpoint
    await endpoint(running, interface, port).connect(client)
    await client_sink.next(gamenet.Connected)
    await client_sink.next(gamenet.PathChanged)
    client.verbs.say("hello")
    client.verbs.send_input(3)
    line: Any = await server_sink.next(gamenet.Chat)
    assert (line.player.name, line.text) == ("ada", "hello")
    buttons: Any = await server_sink.next(gamenet.Input)
    assert (buttons.number, buttons.buttons) == (1, 3)
    server.verbs.broadcast(b"bytes")
    server.verbs.send_unreliable(line.player, b"fast")
    received: Any = await client_sink.next(gamenet.Received)
    fast: Any = await client_sink.next(gamenet.Unreliable)
    assert (received.payload, fast.payload) == (b"bytes", b"fast")
    client.host.leave()
    left: Any = await server_sink.next(gamenet.Left)
    assert left.reason is gamenet.DisconnectReason.QUIT
    await client.host.when_idle()
    tcp.stopListening()
    await defer.maybeDeferred(udp.stopListening)
    await server.host.when_idle()


@pytest_twisted.ensureDeferred
async def test_a_game_thread_beside_the_reactor_of_the_tests() -> None:
    from twisted.internet import reactor
    from twisted.internet.threads import deferToThread

    running: Any = reactor
    config = gamenet.ServerConfig(insecure=True)
    bridge = gamenet.Bridge(config)
    server = gamenet.GameServerFactory(bridge, config)
    tcp = running.listenTCP(0, server, interface="127.0.0.1")
    udp = server.listen_udp(tcp.getHost().port, "127.0.0.1")
    game = gamenet.GameServer.attach(bridge)

    def play() -> list[str]:
        said: list[str] = []
        for tick in game.ticks(100.0):
            for event in tick.events:
                if isinstance(event, gamenet.Chat):
                    said.append(event.text)
                    game.say(event.text.upper(), author=event.player)
                if isinstance(event, gamenet.Left):
                    return said
            assert tick.number < 6_000
        return said

    def player() -> str:
        address = f"127.0.0.1:{tcp.getHost().port}"
        with gamenet.GameClient(address, user="ada", insecure=True) as client:
            client.say("hello")
            for tick in client.ticks(100.0):
                for event in tick.events:
                    if isinstance(event, gamenet.Chat):
                        return event.text
                assert tick.number < 6_000
        return ""

    playing = deferToThread(play)
    assert await deferToThread(player) == "HELLO"
    assert await playing == ["hello"]
    bridge.finish()
    tcp.stopListening()
    await defer.maybeDeferred(udp.stopListening)
    await server.host.when_idle()


def test_a_facade_in_a_fixture_before_the_first_test_is_refused_as_well(tmp_path: Path) -> None:
    # The reactor does not run yet then, and pytest-twisted counts on starting it itself.
    (tmp_path / "test_suite.py").write_text(
        "import pytest, gamenet\n"
        "@pytest.fixture\n"
        "def server():\n"
        "    with pytest.raises(gamenet.LocalProtocolError, match='GameServerFactory'):\n"
        "        gamenet.GameServer(0, insecure=True).start()\n"
        "def test_with_it(server):\n"
        "    with pytest.raises(gamenet.LocalProtocolError, match='GameServerFactory'):\n"
        "        gamenet.GameServer(0, insecure=True).start()\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=HANGS_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
