"""The examples run as they are written, on a port of the test's choosing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = ROOT / "examples"
SECONDS = 30
"""Until a process that hangs is given up."""


def start(code: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-u", "-c", code],
        cwd=EXAMPLES,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def line_with(process: subprocess.Popen[str], text: str) -> str:
    """The first line of output that holds *text*."""
    assert process.stdout is not None
    for line in process.stdout:
        if text in line:
            return line.strip()
    raise AssertionError(f"the output ended without {text!r}")


def test_the_server_and_the_client_of_the_readme_play_together() -> None:
    server = start("import sys, gamenet, tag; sys.exit(gamenet.serve(tag.main, 0, insecure=True))")
    try:
        address = line_with(server, "listening on").rpartition(" ")[2]
        listing = (EXAMPLES / "play.py").read_text(encoding="utf-8")
        assert "localhost:7777" in listing
        client = start(listing.replace("localhost:7777", address))
        try:
            assert line_with(client, "<ada>") == "<ada> hello from ada"
            # The client's steady input moves its place, which is the state.
            assert client.stdout is not None
            assert int(client.stdout.readline()) > 0
            server.terminate()
            assert server.wait(SECONDS) == 0
            assert line_with(client, "over:") == "over: the server is shutting down"
            assert client.wait(SECONDS) == 0
        finally:
            client.kill()
            client.communicate()
    finally:
        server.kill()
        server.communicate()


def test_the_reactor_owners_echo_answers() -> None:
    listing = (EXAMPLES / "echo.py").read_text(encoding="utf-8")
    assert listing.count("7777") == 2
    chosen = listing.replace("reactor.listenTCP(7777", "port = reactor.listenTCP(0")
    chosen = chosen.replace("listen_udp(7777", "listen_udp(port.getHost().port")
    chosen = chosen.replace("reactor.run()", "print('port', port.getHost().port); reactor.run()")
    server = start(chosen)
    try:
        number = line_with(server, "port").split()[1]
        client = start(
            "import gamenet\n"
            f"with gamenet.GameClient('127.0.0.1:{number}', insecure=True) as client:\n"
            "    client.send(b'there and back')\n"
            "    for tick in client.ticks(30):\n"
            "        for event in tick.events:\n"
            "            if isinstance(event, gamenet.Received):\n"
            "                print(event.payload); raise SystemExit\n"
        )
        try:
            assert line_with(client, "there") == "b'there and back'"
            assert client.wait(SECONDS) == 0
        finally:
            client.kill()
            client.communicate()
    finally:
        server.kill()
        server.communicate()
