"""``gamenet proxy`` and :class:`gamenet.proxy.Proxy` on real sockets."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from gamenet.certificates import make_certificate
from tests import certificates
from tests.live.processes import HANGS_SECONDS, ROOT, output

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SOCKETS = """
    import os, socket, struct, threading, time
    from gamenet.proxy import Proxy

    SERVER = {host!r}
    FAMILY = socket.AF_INET6 if ":" in SERVER else socket.AF_INET
    WHERE = f"[{{SERVER}}]" if ":" in SERVER else SERVER

    listening = socket.create_server((SERVER, 0), family=FAMILY)
    port = listening.getsockname()[1]
    udp = socket.socket(FAMILY, socket.SOCK_DGRAM)
    udp.bind((SERVER, port))
    seen = []

    def echo_datagrams():
        while True:
            data, address = udp.recvfrom(2_000)
            seen.append(address)
            udp.sendto(data.upper(), address)

    threading.Thread(target=echo_datagrams, daemon=True).start()

    def connect(proxy):
        client = socket.create_connection(("127.0.0.1", proxy.port), timeout=30)
        server, _ = listening.accept()
        server.settimeout(30)
        return client, server

    def ask(player, data, tries=1):
        player.settimeout(30 / tries)
        for attempt in range(tries):
            player.sendto(data, ("127.0.0.1", proxy.port))
            try:
                return player.recv(2_000)
            except TimeoutError:
                if attempt == tries - 1:
                    raise

    def until(done):
        end = time.monotonic() + 30
        while not done():
            assert time.monotonic() < end, proxy.counts()
            time.sleep(0.01)

    def ended(connection):
        try:
            return "fin" if connection.recv(1) == b"" else "data"
        except ConnectionResetError:
            return "rst"

    def player():
        return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
"""


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_streamsPassWholeAndEndAsTheyEnd(host: str) -> None:
    output(
        SOCKETS.format(host=host)
        + """
    with Proxy(f"{WHERE}:{port}") as proxy:
        client, server = connect(proxy)
        sent = os.urandom(8_000_000)
        threading.Thread(target=client.sendall, args=(sent,), daemon=True).start()
        # Nobody reads: what the proxy takes in is bounded.
        until(lambda: proxy.counts()["tcp_bytes_up"] > 500_000)
        assert proxy.counts()["tcp_bytes_up"] < 7_900_000, proxy.counts()
        heard = bytearray()
        while len(heard) < len(sent):
            heard += server.recv(1 << 20)
        assert heard == sent

        client.shutdown(socket.SHUT_WR)
        assert ended(server) == "fin"
        server.sendall(b"still here")
        assert client.recv(100) == b"still here"
        server.close()
        assert ended(client) == "fin"
        until(lambda: not proxy.counts()["tcp_connections_now"])

        for first in (0, 1):
            pair = connect(proxy)
            pair[first].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            pair[first].close()
            assert ended(pair[1 - first]) == "rst"
        pairs = [connect(proxy) for _ in range(5)]
        proxy.cut_tcp()
        assert [ended(end) for pair in pairs for end in pair] == ["rst"] * 10
        until(lambda: not proxy.counts()["tcp_connections_now"])
    """
    )


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_datagramsPassAndEachClientHasAnAddress(host: str) -> None:
    output(
        SOCKETS.format(host=host)
        + """
    with Proxy(f"{WHERE}:{port}") as proxy:
        one, two = player(), player()
        assert ask(one, b"one") == b"ONE"
        assert ask(two, b"two") == b"TWO"
        assert ask(one, b"more") == b"MORE"
        assert seen[0] == seen[2] != seen[1], seen
        client, server = connect(proxy)
        proxy.change_address()
        assert ask(one, b"moved") == b"MOVED"
        assert seen[3] not in seen[:3], seen
        proxy.block_udp()
        one.sendto(b"lost", ("127.0.0.1", proxy.port))
        until(lambda: proxy.counts()["up_blacked_out"] == 1)
        proxy.block_udp(False)
        assert ask(one, b"back") == b"BACK"
        counts = proxy.counts()
        assert (counts["udp_clients"], counts["moves"]) == (2, 1), counts
    client.close(), server.close(), one.close(), two.close()
    with Proxy(f"{WHERE}:{port}", profile="train", seed=3) as proxy:
        one = player()
        assert ask(one, b"late", tries=30) == b"LATE"
        one.close()
    """
    )


def test_aNameWithSeveralAddresses() -> None:
    """``localhost`` may be ::1 first, where nobody listens."""
    output(
        SOCKETS.format(host="127.0.0.1")
        + """
    with Proxy(f"localhost:{port}") as proxy:
        client, server = connect(proxy)
        client.sendall(b"hello")
        assert server.recv(100) == b"hello"
        one = player()
        assert ask(one, b"one") == b"ONE"
    from gamenet.errors import ConnectionFailed, ListenFailed, ConfigError
    for target, listen, kind, words in (
        ("nobody.invalid:7777", "127.0.0.1:0", ConnectionFailed, "no host of the name"),
        ("localhost:7777", f"127.0.0.1:{port}", ListenFailed, "cannot listen on TCP 127.0.0.1:"),
    ):
        proxy = Proxy(target, listen=listen)
        try:
            proxy.start()
        except kind as error:
            assert words in str(error), error
        else:
            raise AssertionError(target)
        proxy.stop()
    """
    )


GAME = """
    import sys
    import gamenet
    from gamenet.proxy import Proxy

    cert, key, other = sys.argv[1:]
    server = gamenet.GameServer("tcp:0:interface=127.0.0.1", cert_file=cert, key_file=key)
    server.start()
    address = f"localhost:{server.port}"

    def until(wanted, client, limit=4_000):
        for tick in client.ticks(100.0):
            for _ in server.events():
                pass
            for event in tick.events:
                if wanted(event):
                    return event
            assert tick.number < limit, "it did not come"
"""


def test_whomToTrustIsStillTheServer(tmp_path: Path) -> None:
    made = make_certificate(["localhost"], 1)
    files = certificates.write(tmp_path, made)
    other = make_certificate(["localhost"], 1)
    output(
        GAME
        + """
    with Proxy(address, profile="wifi") as proxy:
        via = f"127.0.0.1:{proxy.port}"
        pinned = f"{address}#sha256={other}"
        for wrong in (pinned, address):
            client = gamenet.GameClient(wrong, via=via)
            try:
                client.start()
            except gamenet.ConnectionFailed as error:
                assert "certificate" in str(error), error
            else:
                raise AssertionError("joined " + wrong)
        pin = server.address.partition("#")[2]
        for right in (f"{address}#{pin}", f"127.0.0.1:1#{pin}"):
            with gamenet.GameClient(right, via=via) as client:
                assert client.secure
                until(lambda event: isinstance(event, gamenet.PathChanged), client)
                assert client.path == "udp"
        # By the authority of the certificate itself: it is for localhost, not for 127.0.0.1.
        with gamenet.GameClient(address, via=via, ca_file=cert) as client:
            assert client.secure
        assert proxy.counts()["up_sent"] > 0
    server.stop()
    """,
        files.cert,
        files.key,
        other.fingerprint,
    )


# The command.


@pytest.fixture
def echo() -> Iterator[int]:
    """A TCP port where somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def proxy(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "gamenet", "proxy", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_ctrlCIsItsGoodEnd(echo: int) -> None:
    process = proxy("0", f"127.0.0.1:{echo}", "--profile", "train", "--seed", "5", "--json")
    assert process.stderr is not None
    try:
        found = re.search(r"proxy: 127\.0\.0\.1:(\d+) passes on to", process.stderr.readline())
        assert found is not None
        assert process.stderr.readline() == (
            "SIMULATED NETWORK train: 80±60 ms each way, 5 % lost in runs of 4, "
            "nothing for 3 s every 15 s; seed 5\n"
        )
        with socket.create_connection(("127.0.0.1", int(found[1]))) as client:
            client.sendall(b"hello")
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=HANGS_SECONDS)
    finally:
        process.kill()
    assert (process.returncode, err) == (0, "")
    counts = json.loads(out)
    assert out.count("\n") == 1
    assert counts["profile"] == "train"
    assert counts["tcp_connections"] == 1


def test_itEndsByItself(echo: int) -> None:
    process = proxy("0", f"127.0.0.1:{echo}", "--seconds", "0.5", "--chaos", "cut@0.1,move@0.2")
    out, err = process.communicate(timeout=HANGS_SECONDS)
    assert (process.returncode, out) == (0, "")
    assert err.splitlines()[2:] == ["chaos: cut@0.1", "chaos: move@0.2"]


def test_mistakesAreOneLine(echo: int) -> None:
    taken = f"cannot listen on TCP 127.0.0.1:{echo}: Address already in "
    for arguments, expected in (
        (
            (str(echo), f"127.0.0.1:{echo}"),
            f"{taken}use; choose another port or address for LISTEN",
        ),
        (("0", "nobody.invalid:7777"), "'; try: gamenet doctor nobody.invalid:7777"),
        (("0", "localhost", "--profile", "trian"), "did you mean train?"),
    ):
        process = proxy(*arguments)
        out, err = process.communicate(timeout=HANGS_SECONDS)
        assert (process.returncode, out) == (1, "")
        assert err.startswith("gamenet proxy: "), err
        assert err.count("\n") == 1
        assert expected in err


def test_onATerminalThereIsALineASecond(echo: int) -> None:
    import pty

    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "gamenet", "proxy", "0", f"127.0.0.1:{echo}", "--seconds", "0.5"],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    )
    os.close(theirs)
    said = b""
    try:
        while data := os.read(ours, 4_096):
            said += data
    except OSError:
        pass  # the terminal's other end is closed
    finally:
        os.close(ours)
        process.wait(HANGS_SECONDS)
    assert process.returncode == 0
    assert b"\r0 TCP and 0 UDP clients; datagrams 0 up, 0 lost" in said
