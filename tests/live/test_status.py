"""The status site of a daemon, over sockets: what it serves, and what it does to bad clients."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gamenet.core import frames
from gamenet.errors import DisconnectReason
from gamenet.metrics import MAX_CONNECTIONS, MAX_HEADER_BYTES
from tests.live.daemon import HANGS_SECONDS, Daemon, RawClient, run_daemon

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOKEN = "correct-horse-battery-staple"


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon with a token."""
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "token").chmod(0o600)
    with Daemon(tmp_path, "--status-token", "token") as running:
        yield running


def connect(daemon: Daemon) -> socket.socket:
    host, _, port = daemon.status.rpartition(":")
    return socket.create_connection((host, int(port)), HANGS_SECONDS)


def end_of(connection: socket.socket) -> bytes:
    """All that comes until the connection ends, however it does."""
    found = b""
    with connection:
        try:
            while data := connection.recv(65_536):
                found += data
        except ConnectionResetError:
            pass
    return found


def act(daemon: Daemon, name: str, body: Any, token: str = TOKEN) -> tuple[int, Any]:
    page = http.client.HTTPConnection(daemon.status, timeout=HANGS_SECONDS)
    try:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        page.request("POST", f"/api/{name}", json.dumps(body), headers)
        answer = page.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        page.close()


def test_pagesMetricsAndActionsOfADaemon(daemon: Daemon) -> None:
    while (found := daemon.get("/readyz")) != (200, b"ready\n"):
        assert found[1].startswith(b"starting"), found
    code, index = daemon.get("/")
    assert code == 200
    assert index.lower().startswith(b"<!doctype html>")
    with RawClient(daemon.address, "ada") as ada:
        ada.join()
        ada.send(frames.encode_ack(0))
        while not (players := json.loads(daemon.get("/api/status")[1])["players"]):
            pass
        assert players[0]["name"] == "ada"
        code, body = daemon.get("/metrics")
        assert code == 200
        metrics = {one.name: one for one in text_string_to_metric_families(body.decode())}
        assert sum(one.value for one in metrics["gamenet_players"].samples) == 1
        assert act(daemon, "kick", {"player": 1}, token="wrong-wrong-wrong-wrong")[0] == 401
        assert act(daemon, "kick", {"player": 1, "text": "bye"}) == (200, {"done": "ada is out"})
        reason, text = frames.decode_bye(ada.expect(frames.Kind.BYE))
        assert (reason, text) == (DisconnectReason.KICKED, "bye")
    daemon.wait_for(r"status action by 127\.0\.0\.1:\d+: kick \{'player': 1.*-> ada is out")


def test_theMapOfTheDemoIsThereOnceSomebodyLooks(daemon: Daemon) -> None:
    while (view := json.loads(daemon.get("/api/status")[1])["view"]) is None:
        pass
    assert (view["kind"], len(view["walls"])) == ("map", view["height"])


def test_garbageHugeAndSlowRequestsAreCutAndItGoesOn(daemon: Daemon) -> None:
    slow = connect(daemon)
    slow.sendall(b"GET /healthz HTTP/1.1\r\nHost: local")
    for data in (
        bytes(range(256)) * 40,
        b"\x16\x03\x01\x02\x00\x01" + bytes(512),
        b"GET /" + b"x" * (2 * MAX_HEADER_BYTES),
        b"GET / HTTP/1.1\r\n" + b"A: " + b"x" * (2 * MAX_HEADER_BYTES) + b"\r\n\r\n",
        b"POST /api/kick HTTP/1.1\r\nContent-Length: 1000000000\r\n\r\n" + bytes(100_000),
        b"POST /api/kick HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n",
    ):
        connection = connect(daemon)
        try:
            connection.sendall(data)
        except ConnectionError:
            pass  # it did not even want to hear all of it
        answer = end_of(connection)
        assert not answer or answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 413 ")), answer
    assert daemon.get("/healthz") == (200, b"ok\n")
    # Ended by the server: this client never closes it.
    assert end_of(slow) == b""
    assert daemon.get("/healthz") == (200, b"ok\n")
    daemon.wait_for("status site: 127.0.0.1 sent no whole request within the limits")
    daemon.signal(signal.SIGTERM)
    log = daemon.wait().out
    assert log.count("sent no whole request") == 1
    assert "Traceback" not in log


def test_ofTooManyConnectionsThoseBeyondAreClosedAndTheOthersServed(daemon: Daemon) -> None:
    held = [connect(daemon) for _ in range(MAX_CONNECTIONS)]
    # Each of those that are held has been accepted before one that came after it.
    assert end_of(connect(daemon)) == b""
    for connection in held:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    for connection in held:
        assert end_of(connection).endswith(b"ok\n")
    assert daemon.get("/healthz") == (200, b"ok\n")


def test_tenBrowsersAndPrometheusAtOnceGetWhatTheyAskFor(daemon: Daemon) -> None:
    wrong: list[Any] = []

    def ask(path: str) -> None:
        for _ in range(5):
            code, body = daemon.get(path)
            if code != 200 or not body:
                wrong.append((path, code))

    paths = ["/api/status"] * 10 + ["/metrics", "/"]
    threads = [threading.Thread(target=ask, args=[path]) for path in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_aTokenThatOthersCanReadIsRefusedAtTheStart(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "token").chmod(0o644)
    for arguments, said in (
        (("--status", "tcp:0", "--status-token", "token"), "close it with: chmod 600 token"),
        (("--status", "tcp:0", "--status-token", "nowhere"), "cannot read nowhere: No such file"),
        (("--status-token", "token"), "there is no status site; add --status tcp:9777"),
        (("--status", "tcp:0", "--status-host", "http://a"), "'http://a' is no host name"),
    ):
        ended = run_daemon(tmp_path, "--insecure", *arguments)
        assert (ended.status, ended.out) == (1, "")
        assert ended.err.startswith("gamenet: status-")
        assert ended.err.count("\n") == 1
        assert said in ended.err
