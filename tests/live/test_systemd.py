"""The daemon as systemd starts it: with its sockets, and somebody who is told how it does."""

from __future__ import annotations

import json
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from configparser import ConfigParser
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from twisted.scripts.twistd import ServerOptions

from gamenet.certificates import make_certificate
from gamenet.config import ServerConfig
from gamenet.gate import RESERVED_FILES
from tests.certificates import write
from tests.live.daemon import HANGS_SECONDS, ROOT, Daemon, RawClient, environment, run_daemon

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

UNITS = ROOT / "docs" / "deploy"

# What systemd does: sockets come from number 3 on, for the process of that number alone.
SYSTEMD = """
import os, sys
names, notify, usec = sys.argv[1:4]
count = len(names.split(":"))
given = [os.dup(int(number)) for number in sys.argv[4 : 4 + count]]
high = [os.dup2(number, 50 + place) for place, number in enumerate(given)]
for place, number in enumerate(high):
    os.dup2(number, 3 + place)
    os.close(number)
os.environ.update(
    LISTEN_FDS=str(count), LISTEN_FDNAMES=names, LISTEN_PID=str(os.getpid()),
    NOTIFY_SOCKET=notify, WATCHDOG_USEC=usec, WATCHDOG_PID=str(os.getpid()),
)
os.execv(sys.argv[4 + count], sys.argv[4 + count :])
"""

GAME = """
import time
import gamenet

@gamenet.game(tick_rate=30)
def main(server):
    for tick in server.ticks():
        for event in tick.events:
            if isinstance(event, gamenet.Chat) and event.text == "stand still":
                time.sleep(600)
"""


class Manager(NamedTuple):
    """What systemd holds of a service."""

    tcp: socket.socket
    udp: socket.socket
    notify: socket.socket
    name: str
    """Of the socket that is told."""

    def start(
        self, folder: Path, names: str, *more: str, listen: str, udp: str, watchdog: str
    ) -> Daemon:
        """Start the daemon as a service."""
        numbers = [self.tcp.fileno(), self.udp.fileno()]
        return Daemon(
            folder,
            "--udp",
            udp,
            "--game",
            "still:main",
            *more,
            listen=listen,
            descriptors=tuple(numbers),
            start=(
                *(sys.executable, "-c", SYSTEMD, names, self.name, watchdog),
                *map(str, numbers),
            ),
        )

    def said_by_now(self) -> str:
        """What was told and not heard yet."""
        said = ""
        self.notify.setblocking(False)
        try:
            while True:
                said += self.notify.recv(4_096).decode() + "\n"
        except BlockingIOError:
            return said
        finally:
            self.notify.settimeout(HANGS_SECONDS)

    def hear(self, line: str) -> list[str]:
        """What is told until this line is."""
        said: list[str] = []
        while line not in said:
            said += self.notify.recv(4_096).decode().split("\n")
        return said


@pytest.fixture
def manager() -> Iterator[Manager]:
    """One whose ports are open."""
    with (
        tempfile.TemporaryDirectory() as folder,
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify,
    ):
        udp.bind(("127.0.0.1", 0))
        name = f"{folder}/notify"
        notify.bind(name)
        notify.settimeout(HANGS_SECONDS)
        yield Manager(tcp, udp, notify, name)


@pytest.fixture
def game(tmp_path: Path) -> Path:
    """A folder with a game that can be told to stand still."""
    (tmp_path / "still.py").write_text(GAME)
    return tmp_path


def bots(address: str) -> Any:
    """What a bot has to report that played for a second."""
    done = subprocess.run(
        [sys.executable, "-m", "gamenet", "bots", address, "--insecure",
         "--count", "1", "--seconds", "1", "--json", "--quiet"],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=HANGS_SECONDS,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done
    return json.loads(done.stdout)


class TestHandedOver:
    """Both transports come from outside; what is played over is theirs."""

    @pytest.mark.parametrize("way", ["index", "name"])
    def test_aClientPlaysOverBothAndSystemdIsTold(
        self, game: Path, manager: Manager, way: str
    ) -> None:
        listen, udp = ("systemd:0", "systemd:1") if way == "index" else ("systemd:t", "systemd:u")
        daemon = manager.start(game, "t:u", listen=listen, udp=udp, watchdog="400000")
        with daemon:
            said = manager.hear("READY=1")
            assert said == ["READY=1", said[1]]
            assert re.fullmatch(r"STATUS=0 of 256 players, \d+ of 30 ticks a second", said[1])
            assert manager.hear("WATCHDOG=1")
            tcp_port, udp_port = manager.tcp.getsockname()[1], manager.udp.getsockname()[1]
            assert daemon.address == f"127.0.0.1:{tcp_port}"
            report = bots(daemon.address)
            assert report["udp_bound"] == 1
            with RawClient(daemon.address, "ada") as client:
                assert client.join().udp_port == udp_port
            daemon.signal(signal.SIGTERM)
            manager.hear("STOPPING=1")
            assert daemon.wait().status == -signal.SIGTERM, "as systemd counts a good end"
        # The sockets are as open as before: the next start has them again.
        assert manager.tcp.getsockname()[1] == tcp_port

    def test_socketsForBothFamiliesServeBoth(self, game: Path, manager: Manager) -> None:
        if not socket.has_dualstack_ipv6():
            return
        with (
            socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as tcp,
            socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as udp,
        ):
            udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            udp.bind(("::", 0))
            both = manager._replace(tcp=tcp, udp=udp)
            (game / "open.toml").write_text("insecure_anywhere = true\n")
            listen = {"listen": "systemd:0", "udp": "systemd:1", "watchdog": "0"}
            with both.start(game, "t:u", "--config", "open.toml", **listen) as daemon:
                assert daemon.get("/healthz")[0] == 200
                for host in ("127.0.0.1", "[::1]"):
                    assert bots(f"{host}:{tcp.getsockname()[1]}")["udp_bound"] == 1, host

    def test_aGameThatStandsStillIsNotAlive(self, game: Path, manager: Manager) -> None:
        daemon = manager.start(game, "t:u", listen="systemd:0", udp="systemd:1", watchdog="2000000")
        with daemon:
            manager.hear("WATCHDOG=1")
            done = subprocess.run(
                [sys.executable, "-m", "gamenet", "chat", daemon.address, "--insecure"],
                env=environment(),
                input="stand still\n",
                capture_output=True,
                text=True,
                timeout=HANGS_SECONDS,
                check=False,
            )
            assert done.returncode == 0, done
            daemon.wait_for("stands still, so systemd's watchdog is not fed")
            daemon.wait_for(r"flight record \(stands still\): ")
            manager.said_by_now()
            # The reactor lives, and would feed it: it answers for as long as two feeds take.
            for _ in range(20):
                assert daemon.get("/healthz")[0] == 200
                time.sleep(0.1)
            assert "WATCHDOG=1" not in manager.said_by_now()

    def test_descriptorsOfTheWrongKind(self, game: Path, manager: Manager) -> None:
        for listen, udp, words in (
            ("systemd:1", "systemd:0", "is not a TCP socket, it is for UDP"),
            ("systemd:0", "systemd:0", "listen and udp name the same socket, descriptor 3"),
            ("systemd:0", "systemd:2", "systemd:2: systemd has not handed over that socket"),
            ("systemd:0", "systemd:x", "systemd:x: systemd has not handed over that socket"),
        ):
            daemon = manager.start(game, "t:u", listen=listen, udp=udp, watchdog="0")
            ended = daemon.wait()
            daemon.__exit__()
            assert (ended.status, ended.err.count("\n")) == (1, 1), ended
            assert words in ended.err

    def test_withoutSystemdItIsSaidInOneLine(self, game: Path) -> None:
        ended = run_daemon(
            game, "--insecure", "--listen", "tcp:0:interface=127.0.0.1", "--udp", "systemd:1"
        )
        assert (ended.status, ended.err.count("\n")) == (1, 1), ended
        assert "systemd:1: systemd has not handed over that socket (LISTEN_FDS" in ended.err


class Unit(ConfigParser):
    """A unit file; of a setting that comes more than once, the last."""

    def __init__(self, name: str) -> None:
        super().__init__(strict=False, interpolation=None, delimiters=("=",))
        self.optionxform = str  # type: ignore[assignment,method-assign]
        self.read(UNITS / name, encoding="utf-8")


class TestUnitFiles:
    """What docs/deploy has is what the daemon takes."""

    def test_theCommandLineCanBeRun(self, tmp_path: Path, monkeypatch: Any) -> None:
        files = write(tmp_path, make_certificate(["localhost"]))
        (tmp_path / "tag.py").write_text("def main(server): pass\n")
        line = Unit("gamenet.service")["Service"]["ExecStart"]
        for path, ours in (
            ("/etc/gamenet/cert.pem", files.cert),
            ("/etc/gamenet/key.pem", files.key),
            ("/opt/gamenet/game", str(tmp_path)),
        ):
            assert path in line
            line = line.replace(path, ours)
        program, *arguments = shlex.split(line)
        assert program == "/opt/gamenet/bin/twistd"
        monkeypatch.setattr(sys, "path", list(sys.path))
        options = ServerOptions()
        options.parseOptions(arguments)
        assert (options["nodaemon"], options["pidfile"]) == (1, "")
        config = options.subOptions.plan.config
        assert (config.listen, config.udp) == ("systemd:0", "systemd:1")
        assert config.cert_file == files.cert
        assert options.subOptions.plan.status.interface == "127.0.0.1"

    def test_theSocketsComeInTheOrderThatTheServiceNames(self) -> None:
        text = (UNITS / "gamenet.socket").read_text(encoding="utf-8")
        assert re.findall("^Listen(.*)=", text, re.MULTILINE) == ["Stream", "Datagram"]
        assert Unit("gamenet.socket")["Socket"]["BindIPv6Only"] == "both"

    def test_theServiceIsToldAboutAndLocked(self) -> None:
        service = Unit("gamenet.service")["Service"]
        assert service["Type"] == "notify"
        assert float(service["WatchdogSec"]) > 2 * 5.0
        limit = int(service["LimitNOFILE"])
        config = ServerConfig(insecure=True)
        assert limit >= config.max_players + config.max_unjoined + 2 * RESERVED_FILES
        assert float(service["TimeoutStopSec"]) > config.stop_seconds + config.close_seconds
        for name in ("DynamicUser", "NoNewPrivileges", "ProtectHome", "PrivateDevices"):
            assert service[name] == "yes", name
        assert service["ProtectSystem"] == "strict"
        assert service["CapabilityBoundingSet"] == ""
        # The ports, and the socket that is told.
        assert set(service["RestrictAddressFamilies"].split()) == {"AF_INET", "AF_INET6", "AF_UNIX"}
