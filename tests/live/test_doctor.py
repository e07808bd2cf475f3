"""``gamenet doctor`` against real servers, and against what only looks like one."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from unittest.mock import patch

import pytest
import pytest_twisted
from twisted.internet.threads import deferToThread

import gamenet
from gamenet.certificates import make_certificate
from gamenet.cli import main
from gamenet.doctor.check import NAMES, TITLES
from gamenet.doctor.probe import IS_LINUX
from gamenet.doctor.show import Nothing
from gamenet.proxy import Proxy
from gamenet.tickets import TicketIssuer, make_key, read_private_key
from tests.certificates import Authority, expired, write
from tests.live.daemon import Daemon
from tests.live.processes import HANGS_SECONDS, ROOT
from tests.testing.games import walk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HERE = "tcp:0:interface=127.0.0.1"
QUICKLY = ("--seconds", "0.5")
TIMED = ("rtt", "loss", "clock")
"""What a busy machine may make worse."""


def on_a_game_thread(test: Callable[..., None]) -> Callable[..., Any]:
    """Run a test on a thread that may wait, beside the reactor of the test run."""

    @pytest_twisted.ensureDeferred
    @functools.wraps(test)
    async def run(*args: Any, **named: Any) -> None:
        await deferToThread(test, *args, **named)

    return run  # type: ignore[no-any-return]


class Told(NamedTuple):
    """What the doctor said."""

    status: int
    summary: str
    checks: dict[str, dict[str, Any]]

    def verdicts(self, *names: str) -> list[str]:
        return [self.checks[name]["verdict"] for name in names]

    def failed(self) -> list[str]:
        return [name for name, check in self.checks.items() if check["verdict"] == "failed"]


def doctor(*arguments: str) -> Told:
    """Run the command in this process, and see that its report holds together."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(["doctor", *QUICKLY, *arguments, "--json"])
    assert err.getvalue() == ""
    assert out.getvalue().count("\n") == 1
    report = json.loads(out.getvalue())
    assert [check["name"] for check in report["checks"]] == list(NAMES)
    for check in report["checks"]:
        assert set(check) == {"name", "verdict", "seconds", "text", "fix", "figures"}
        assert check["text"]
        assert bool(check["fix"]) == (check["verdict"] in ("warning", "failed")), check
    well = all(check["verdict"] in ("ok", "not tried") for check in report["checks"])
    failed = any(check["verdict"] == "failed" for check in report["checks"])
    assert (report["well"], status) == (well, int(failed))
    return Told(status, report["summary"], {check["name"]: check for check in report["checks"]})


def fingerprint(cert: str) -> str:
    """What a client can pin of the first certificate in a file."""
    pem = Path(cert).read_text(encoding="ascii").partition("-----END")[0] + ssl.PEM_FOOTER
    return sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()


def server(**fields: Any) -> gamenet.GameServer:
    fields.setdefault("insecure", not fields.get("cert_file"))
    return gamenet.GameServer(HERE, game=walk, **fields)


class Relay:
    """Datagrams between players and a server, with a say in which of them pass.

    :param up: whether a datagram of so many bytes reaches the server.
    :param down: the same of its answers.
    :param most_of_others: bytes of the datagrams that pass which come from another port than the
        first one did.
    """

    def __init__(
        self,
        up: Callable[[int], bool] = lambda size: True,
        down: Callable[[int], bool] = lambda size: True,
        most_of_others: int = 2_000,
    ) -> None:
        self._up, self._down = up, down
        self._most_of_others = most_of_others
        self._listening = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._listening.bind(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.server = ("127.0.0.1", 0)
        self._out: dict[Any, socket.socket] = {}
        self._threads = [threading.Thread(target=self._go_up)]

    def __enter__(self) -> Relay:
        self._threads[0].start()
        return self

    def __exit__(self, *error: object) -> None:
        self._listening.sendto(b"", self._listening.getsockname())
        self._threads[0].join()
        for out in self._out.values():
            out.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for each in (self._listening, *self._out.values()):
            each.close()

    def _go_up(self) -> None:
        while True:
            data, address = self._listening.recvfrom(2_000)
            if not data:
                return
            if address not in self._out:
                out = self._out[address] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                out.connect(self.server)
                back = threading.Thread(target=self._go_down, args=(out, address))
                self._threads.append(back)
                back.start()
            most = 2_000 if address == next(iter(self._out)) else self._most_of_others
            if len(data) <= most and self._up(len(data)):
                self._out[address].send(data)

    def _go_down(self, out: socket.socket, address: Any) -> None:
        while data := out.recv(2_000):
            if self._down(len(data)):
                self._listening.sendto(data, address)


@contextlib.contextmanager
def served_by(relay: Relay) -> Iterator[gamenet.GameServer]:
    """A server whose players' datagrams go through *relay*."""
    with relay, server(advertised_udp_port=relay.port) as served:
        relay.server = ("127.0.0.1", served.udp_port)
        yield served


@on_a_game_thread
def test_a_healthy_server() -> None:
    with server(game_name="walk/3") as served:
        told = doctor(served.address, "--insecure", "--user", "ada", "--seconds", "1.5")
        assert told.failed() == []
        assert told.verdicts("name", "tcp", "join", "udp", "mtu") == ["ok"] * 5
        assert told.verdicts("tls") == ["not tried"]
        assert told.checks["fallback"]["verdict"] == "ok"
        assert told.checks["fallback"]["figures"]["forced"]
        assert told.checks["join"]["figures"]["player"] == "ada"
        assert told.checks["udp"]["figures"]["port"] == served.udp_port
        mtu = told.checks["mtu"]["figures"]
        assert (mtu["payload_up"], mtu["payload_down"]) == (1_200, 1_200)
        if IS_LINUX:
            assert mtu["dont_fragment"]
            assert mtu["kernel_path_mtu"] >= 1_228
        assert told.checks["rtt"]["figures"]["samples"] > 2
        assert told.checks["rtt"]["figures"]["path"] == "udp"
        assert told.checks["loss"]["figures"]["up_sent"] > 2
        assert "works through UDP at " in told.summary
        looks = 0
        while served.players:  # until the game has taken the news
            time.sleep(0.01)
            looks += 1
            assert looks < 3_000


@on_a_game_thread
def test_tls_with_a_pin_and_with_an_authority(tmp_path: Path) -> None:
    authority = Authority()
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    cert, key = write(tmp_path, authority.vouch("localhost"))
    with server(cert_file=cert, key_file=key) as served:
        pinned = f"127.0.0.1:{served.port}#sha256={fingerprint(cert)}"
        named = f"localhost:{served.port}"
        for arguments in ((pinned,), (named, "--ca", str(tmp_path / "ca.pem"))):
            told = doctor(*arguments)
            assert told.failed() == []
            assert told.verdicts("tls", "join", "udp", "mtu", "fallback") == ["ok"] * 5
            assert told.checks["tls"]["figures"]["version"] == "TLSv1.3"
            assert told.checks["join"]["text"].endswith(", encrypted")


@on_a_game_thread
def test_a_certificate_that_cannot_be_trusted(tmp_path: Path) -> None:
    cert, key = write(tmp_path, make_certificate(["127.0.0.1"]))
    with server(cert_file=cert, key_file=key) as served:
        address, _, pin = served.address.partition("#sha256=")
        told = doctor(f"{address}#sha256={'ab' * 32}")
        assert told.failed() == ["tls"]
        assert told.checks["tls"]["text"].endswith(f"is not the pinned one; it is sha256={pin}")
        assert told.checks["tls"]["figures"]["fingerprint"] == pin
        assert set(told.verdicts(*NAMES[3:])) == {"not tried"}
        assert told.summary.startswith(f"You cannot play on 127.0.0.1:{served.port}: the server's")
        assert "get the address anew from the operator" in told.summary
        told = doctor(address)
        assert told.failed() == ["tls"]
        assert "nobody but the server itself vouches" in told.checks["tls"]["text"]
        assert told.checks["tls"]["figures"]["fingerprint"] == pin
        told = doctor(address, "--insecure")
        assert told.failed() == ["join"]
        assert told.checks["join"]["text"] == "the server hung up without answering"
        assert "leave --insecure out" in told.checks["join"]["fix"]


@on_a_game_thread
def test_certificates_that_a_server_of_ours_would_not_show(tmp_path: Path) -> None:
    for made, words in (
        (expired("127.0.0.1"), "the certificate has expired"),
        (Authority().vouch("localhost"), "does not know the authority"),
    ):
        cert, key = write(tmp_path, made)
        with Impostor(b"", ssl_files=(cert, key)) as impostor:
            told = doctor(impostor.address, *(["--ca", cert] if "expired" in words else []))
        assert told.failed() == ["tls"]
        assert words in told.checks["tls"]["text"]


@on_a_game_thread
def test_a_server_without_tls() -> None:
    with server() as served:
        told = doctor(served.address)
        assert told.failed() == ["tls"]
        assert "say --insecure" in told.checks["tls"]["fix"]


@on_a_game_thread
def test_udp_that_a_network_blocks() -> None:
    with server() as served, Proxy(served.address) as proxy:
        proxy.block_udp()
        told = doctor(proxy.address, "--insecure")
        assert told.failed() == ["udp"]
        udp = told.checks["udp"]["figures"]
        assert (udp["port"], udp["blocked"], udp["arrived"]) == (proxy.port, "all", 0)
        assert udp["sent"] > 0
        assert told.verdicts("mtu", "loss") == ["not tried"] * 2
        assert told.checks["rtt"]["figures"]["path"] == "tcp"
        assert told.checks["fallback"]["verdict"] == "ok"
        assert not told.checks["fallback"]["figures"]["forced"]
        assert re.fullmatch(
            f"Your network, or the server's, blocks UDP {proxy.port}; the game works through TCP "
            rf"at [\d.]+ ms; ask whoever runs the network to allow UDP {proxy.port}\.",
            told.summary,
        )


@on_a_game_thread
def test_answers_that_do_not_come_back() -> None:
    with served_by(Relay(down=lambda size: False)) as served:
        told = doctor(served.address, "--insecure")
    assert told.failed() == ["udp"]
    assert told.checks["udp"]["figures"]["blocked"] == "answers"
    assert "none of its answers comes back" in told.checks["udp"]["text"]


@on_a_game_thread
def test_datagrams_that_are_too_long_for_the_way() -> None:
    with served_by(Relay(up=lambda size: size <= 1_100)) as served:
        told = doctor(served.address, "--insecure")
    assert told.failed() == ["udp"]
    assert told.checks["udp"]["figures"]["blocked"] == "long"
    assert "1,100 bytes do, 1,200 do not" in told.checks["udp"]["text"]
    assert "set its MTU to 1248 or more" in told.checks["udp"]["fix"]


@on_a_game_thread
def test_datagrams_that_pass_only_in_fragments() -> None:
    # To the session's own socket nothing is forbidden, to that of the doctor fragments are.
    with served_by(Relay(most_of_others=1_030)) as served:
        told = doctor(served.address, "--insecure")
        assert told.failed() == []
        assert told.verdicts("udp", "mtu") == ["ok", "warning"]
        assert told.checks["mtu"]["figures"]["payload_up"] == 1_024
        assert told.summary.startswith("You can play, for the game works through UDP")
        assert told.status == 0


@on_a_game_thread
def test_a_server_that_does_not_answer_other_ports() -> None:
    with server(rebind="off") as served:
        told = doctor(served.address, "--insecure")
    assert told.verdicts("udp", "mtu", "fallback") == ["ok"] * 3
    assert "does not answer another port of ours" in told.checks["mtu"]["text"]


@on_a_game_thread
def test_a_ticket_is_good_for_one_join(tmp_path: Path) -> None:
    cert, key = write(tmp_path, make_certificate(["127.0.0.1"]))
    private = str(tmp_path / "tickets")
    public = make_key(private)
    ticket = TicketIssuer(read_private_key(private), "walk").issue("ada")
    (tmp_path / "ticket").write_bytes(ticket + b"\n")
    with server(cert_file=cert, key_file=key, auth=(f"ticket:{public}:walk",)) as served:
        arguments = (served.address, "--ticket-file", str(tmp_path / "ticket"))
        told = doctor(*arguments)
        assert told.failed() == []
        assert told.checks["join"]["figures"]["player"] == "ada"
        assert told.verdicts("udp", "fallback") == ["ok", "not tried"]
        told = doctor(*arguments)
        assert told.checks["join"]["figures"]["refusal"] == "TICKET_USED"


@on_a_game_thread
def test_a_udp_port_where_nothing_listens() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with server(advertised_udp_port=port) as served:
        told = doctor(served.address, "--insecure")
    assert told.failed() == ["udp"]
    assert told.checks["udp"]["figures"]["port"] == port
    if IS_LINUX:
        assert told.checks["udp"]["figures"]["blocked"] == "port"


@on_a_game_thread
def test_a_closed_port() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        told = doctor(f"127.0.0.1:{port}")
    assert told.failed() == ["tcp"]
    assert told.checks["tcp"]["figures"]["attempts"][0]["outcome"] == "refused"
    assert f"nothing listens at TCP port {port}" in told.summary
    assert set(told.verdicts(*NAMES[2:])) == {"not tried"}


@on_a_game_thread
def test_a_name_that_nobody_has() -> None:
    told = doctor("nobody.invalid")
    assert told.failed() == ["name"]
    assert set(told.verdicts(*NAMES[1:])) == {"not tried"}


class Impostor:
    """Something else at a TCP port.

    :param answer: what it says to everybody; None for nothing, b"" to hang up.
    :param ssl_files: certificate and key, if it has TLS.
    """

    def __init__(self, answer: bytes | None, ssl_files: tuple[str, str] | None = None) -> None:
        self._answer = answer
        self._context: ssl.SSLContext | None = None
        if ssl_files is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(*ssl_files)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listening.getsockname()[1]}"
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Impostor:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        for each in (self._listening, *self._open):
            each.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                connection.settimeout(HANGS_SECONDS)
                if self._context is not None:
                    with contextlib.suppress(OSError):
                        self._context.wrap_socket(connection, server_side=True).close()
                self._open.append(connection)
                if self._answer is not None:
                    with contextlib.suppress(OSError):
                        connection.settimeout(0.2)
                        connection.recv(2_000)
                    with contextlib.suppress(OSError):
                        connection.sendall(self._answer)
                        connection.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    ("answer", "insecure", "failed", "words"),
    [
        (b"HTTP/1.0 400 Bad Request\r\n\r\n", False, "tls", "a web server answers"),
        (b"HTTP/1.0 400 Bad Request\r\n\r\n", True, "join", "a web server answers"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", True, "join", "an SSH server answers"),
        (b"\0" * 64, True, "join", "something else than a game server answers"),
        (b"", True, "join", "does not speak gamenet's protocol"),
        (b"", False, "tls", "say --insecure"),
        (None, False, "tls", "and says nothing"),
        (None, True, "join", "and says nothing"),
    ],
)
@on_a_game_thread
def test_what_is_no_gamenet_server(
    answer: bytes | None, insecure: bool, failed: str, words: str
) -> None:
    with Impostor(answer) as impostor:
        told = doctor(impostor.address, *(["--insecure"] if insecure else []))
    assert told.failed() == [failed]
    assert words in told.checks[failed]["fix"]


@gamenet.game(tick_rate=30.0)
def bouncer(server: gamenet.GameServer) -> None:
    """Lets nobody stay."""
    for tick in server.ticks():
        for event in tick.events:
            if isinstance(event, gamenet.Joined):
                server.disconnect(event.player, "not today", ban_seconds=60.0)


@on_a_game_thread
def test_servers_that_say_no() -> None:
    with (
        server(max_players=1) as served,
        gamenet.GameClient(served.address, user="ada", insecure=True) as ada,
    ):
        told = doctor(served.address, "--insecure")
        assert (told.failed(), told.checks["join"]["figures"]["refusal"]) == (["join"], "FULL")
        told = doctor(served.address, "--insecure", "--user", "ada")
        assert told.checks["join"]["figures"]["refusal"] == "DUPLICATE"
        assert ada.joined
    with gamenet.GameServer(HERE, game=bouncer, insecure=True) as served:
        told = doctor(served.address, "--insecure")
        assert told.summary.startswith(
            f"You cannot stay on {served.address}: the server ended the session during the "
        )
        assert "check: not today" in told.summary
        assert len(told.failed()) == 1
        told = doctor(served.address, "--insecure")
        assert told.checks["join"]["figures"]["refusal"] == "BANNED"
        assert "banned" in told.summary


@pytest.mark.parametrize("step", ["rtt", "fallback"])
@on_a_game_thread
def test_a_server_that_dies_is_not_blamed_on_the_path(tmp_path: Path, step: str) -> None:
    def begins(self: Nothing, name: str) -> None:
        if name == step:
            daemon.signal(signal.SIGKILL)
            daemon.wait()

    with (
        Daemon(tmp_path) as daemon,
        patch.object(Nothing, "begins", begins),
        patch("gamenet.doctor.visit.RETURN_SECONDS", 0.2),
    ):
        told = doctor(daemon.address, "--insecure")
        place = daemon.address
    assert told.failed() == [step]
    assert told.checks[step]["figures"]["ended"]
    title = TITLES[step]
    assert told.summary.startswith(
        f"You cannot stay on {place}: the server went away during the {title} check: nothing"
    )
    assert "stopped or has crashed" in told.summary
    assert set(told.verdicts(*NAMES[NAMES.index(step) + 1 :])) <= {"not tried"}


@on_a_game_thread
def test_a_server_that_is_stopped_says_so() -> None:
    def begins(self: Nothing, name: str) -> None:
        if name == "rtt":
            served.stop()

    with server() as served, patch.object(Nothing, "begins", begins):
        told = doctor(served.address, "--insecure", "--seconds", "30")
    assert told.failed() == ["rtt"]
    assert "ended the session during the round trip check: " in told.summary
    assert "try again in a few minutes" in told.summary


@on_a_game_thread
def test_accounts_with_passwords(tmp_path: Path) -> None:
    cert, key = write(tmp_path, make_certificate(["127.0.0.1"]))
    (tmp_path / "password").write_text("wrong\n")
    with server(cert_file=cert, key_file=key, auth=("memory:ada",)) as served:
        told = doctor(
            served.address, "--user", "ada", "--password-file", str(tmp_path / "password")
        )
        assert told.failed() == ["join"]
        assert told.checks["join"]["figures"]["refusal"] == "CREDENTIALS"


def test_leaving_by_ctrl_c() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        process = subprocess.Popen(
            [sys.executable, "-m", "gamenet", "doctor",
             f"127.0.0.1:{silent.getsockname()[1]}", "--insecure"],
            cwd=ROOT,
            env={**os.environ, "NO_COLOR": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )  # fmt: skip
        assert process.stdout is not None
        try:
            said = [process.stdout.readline() for _ in range(4)]
            process.send_signal(signal.SIGINT)
            rest, err = process.communicate(timeout=HANGS_SECONDS)
        finally:
            process.kill()
    assert said[3].startswith("not tried  TLS")
    assert (process.returncode, rest, err) == (130, "", "")
