"""TLS as people use it: ``gamenet cert``, the daemon, and clients that trust it or do not."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest
from twisted.internet.endpoints import serverFromString
from twisted.internet.testing import MemoryReactorClock

from gamenet.certificates import make_certificate
from gamenet.core import frames
from gamenet.errors import DisconnectReason
from tests.certificates import DAY, Authority, Files, expired, write
from tests.live.daemon import HANGS_SECONDS, Daemon, Ended, RawClient, environment, run_daemon
from tests.live.processes import output

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from gamenet.certificates import Made

MADE = make_certificate(["localhost", "127.0.0.1"])
AUTHORITY = Authority()
SELF_SIGNED = "nobody but the server itself vouches for its certificate"
NOT_PINNED = "the server's certificate is not the pinned one"

# What systemd does: sockets come from number 3 on, for the process of that number alone.
SYSTEMD = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_FDS="1", LISTEN_FDNAMES="game", LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])
"""


def gamenet(folder: Path, *arguments: str, typed: str = "") -> Ended:
    """Run the command to its end."""
    done = subprocess.run(
        [sys.executable, "-m", "gamenet", *arguments],
        cwd=folder,
        env=environment(),
        input=typed,
        capture_output=True,
        text=True,
        timeout=HANGS_SECONDS,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def joins(folder: Path, address: str, *arguments: str) -> None:
    """Join as ada, over TLS, and leave."""
    done = gamenet(folder, "chat", address, "--user", "ada", *arguments)
    assert done == (0, "* you are ada; Ctrl-D or /quit leaves\n", "")


def refusal(folder: Path, address: str, *arguments: str) -> str:
    """The one line that is said when a client turns away."""
    done = gamenet(folder, "chat", address, *arguments)
    assert (done.status, done.out) == (1, ""), done
    assert done.err.count("\n") == 1, done.err
    assert done.err.startswith("gamenet chat: ")
    return done.err


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the module's server and clients run."""
    made: Path = tmp_path_factory.mktemp("tls")
    (made / "ca.pem").write_bytes(AUTHORITY.pem)
    (made / "self.pem").write_bytes(MADE.certificate)
    return made


@pytest.fixture(scope="module")
def files(folder: Path) -> Files:
    """The certificate of the module's server."""
    return write(folder, MADE)


@pytest.fixture(scope="module")
def server(folder: Path, files: Files) -> Iterator[Daemon]:
    """A server whose certificate is self-signed."""
    with Daemon(folder, cert=files) as daemon:
        yield daemon


def without_pin(address: str) -> str:
    """HOST:PORT."""
    return address.removeprefix("gamenet://").partition("#")[0]


class TestGamenetCert:
    """From nothing to a game with people, by the words that the commands print."""

    def test_theWayFromCertToPlay(self, tmp_path: Path) -> None:
        done = gamenet(tmp_path, "cert", "--name", "127.0.0.1")
        assert (done.status, done.err) == (0, "")
        command = re.search(r"twistd -n gamenet (--cert \S+ --key \S+)", done.out)
        shared = re.search(r"gamenet://127\.0\.0\.1:7777#sha256=\w+", done.out)
        assert command is not None
        assert shared is not None
        _, cert, _, key = command[1].split()
        with Daemon(tmp_path, cert=(cert, key)) as daemon:
            port = without_pin(daemon.address).rpartition(":")[2]
            joins(tmp_path, shared[0].replace("7777", port))
            status = json.loads(daemon.get("/api/status")[1])
            assert (status["secure"], status["insecure"]) == (True, 0)
            daemon.signal(signal.SIGTERM)
            ended = daemon.wait()
        assert "INSECURE" not in ended.out
        assert "#error" not in ended.out


class TestTrust:
    """What clients believe, and in which words they do not."""

    def test_theAddressOfTheReadyLineIsEnough(self, folder: Path, server: Daemon) -> None:
        assert server.address.endswith(f"#sha256={MADE.fingerprint}")
        joins(folder, server.address)

    def test_botsPlayOverUdp(self, folder: Path, server: Daemon) -> None:
        done = gamenet(
            folder, "bots", server.address, "--count", "2", "--seconds", "1", "--json", "--quiet"
        )
        report = json.loads(done.out)
        assert (report["joined"], report["udp_bound"], report["secure"]) == (2, 2, True), done
        assert (done.status, report["errors"]) == (0, 0), done

    def test_aFileOfAuthorities(self, folder: Path, server: Daemon) -> None:
        port = without_pin(server.address).rpartition(":")[2]
        joins(folder, f"localhost:{port}", "--ca", "self.pem")
        joins(folder, f"127.0.0.1:{port}", "--ca", "self.pem")

    def test_aNameThatTheCertificateIsNotFor(self, folder: Path) -> None:
        files = write(folder, AUTHORITY.vouch("elsewhere.example"), "elsewhere")
        with Daemon(folder, cert=files) as daemon:
            assert "#" not in daemon.address
            port = daemon.address.rpartition(":")[2]
            said = refusal(folder, f"localhost:{port}", "--ca", "ca.pem")
        assert "the server's certificate is not for localhost" in said

    def test_noPin(self, folder: Path, server: Daemon) -> None:
        said = refusal(folder, without_pin(server.address))
        assert SELF_SIGNED in said
        assert f"sha256={MADE.fingerprint}" in said

    def test_wrongPin(self, folder: Path, server: Daemon) -> None:
        said = refusal(folder, f"{without_pin(server.address)}#sha256={'0' * 64}")
        assert NOT_PINNED in said
        assert f"Expected sha256={'0' * 64}, presented sha256={MADE.fingerprint}" in said

    def test_botsSayItToo(self, folder: Path, server: Daemon) -> None:
        address = f"{without_pin(server.address)}#sha256={'0' * 64}"
        done = gamenet(folder, "bots", address, "--count", "1", "--seconds", "1", "--quiet")
        assert done.status == 1
        assert f"presented sha256={MADE.fingerprint}" in done.out

    def test_noTlsOnTheClient(self, folder: Path, server: Daemon) -> None:
        said = refusal(folder, without_pin(server.address), "--insecure")
        assert "the server hung up without answering; if it has TLS, leave --insecure" in said

    def test_noTlsOnTheServer(self, folder: Path) -> None:
        with Daemon(folder) as daemon:
            said = refusal(folder, f"{daemon.address}#sha256={MADE.fingerprint}")
            assert "the server hung up before TLS began: it may be too busy" in said
            assert "if it runs with --insecure" in said
            plain = gamenet(folder, "chat", daemon.address, "--user", "ada", "--insecure")
            assert plain.out == "* you are ada, not encrypted; Ctrl-D or /quit leaves\n"
            status = json.loads(daemon.get("/api/status")[1])
            assert (status["secure"], status["insecure"]) == (False, 1)
            daemon.signal(signal.SIGTERM)
            assert "INSECURE" in daemon.wait().out

    def test_passwords(self, folder: Path, files: Files) -> None:
        for name, secret in (("ada", "open sesame"), ("bob", "another")):
            done = gamenet(
                folder, "passwd", "accounts", name, "--log2-n", "10", typed=f"{secret}\n"
            )
            assert done.status == 0, done
            (folder / name).write_text(f"{secret}\n")
        with Daemon(folder, "--auth", "file:accounts", cert=files) as daemon:
            joins(folder, daemon.address, "--password-file", "ada")
            wrong = ("--user", "ada", "--password-file", "bob")
            said = refusal(folder, daemon.address, *wrong)
            assert "does not know that name, or the secret is wrong" in said
            daemon.signal(signal.SIGTERM)
            log = daemon.wait().out
        assert "open sesame" not in log
        assert "another" not in log


@pytest.fixture
def stand_in() -> Iterator[Callable[..., int]]:
    """Starts listeners that serve one connection; gives their port."""
    listeners: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def start(serve: Callable[[socket.socket], None]) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        listener.settimeout(HANGS_SECONDS)

        def run() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(HANGS_SECONDS)
                try:
                    serve(connection)
                except OSError:
                    pass  # the client turns away

        listeners.append(listener)
        threads.append(threading.Thread(target=run, daemon=True))
        threads[-1].start()
        port: int = listener.getsockname()[1]
        return port

    yield start
    for thread in threads:
        thread.join(HANGS_SECONDS)
    for listener in listeners:
        listener.close()


def with_certificate(
    folder: Path, made: Made, newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
) -> Callable[[socket.socket], None]:
    """A server that shows a certificate which gamenet's own would not."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = newest
    context.load_cert_chain(*write(folder, made, "stand-in"))

    def serve(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            secure.recv(1)

    return serve


FACADES = """
import sys, gamenet

cert, key, ca = sys.argv[1:]
try:
    gamenet.GameServer(0, cert_file=cert, key_file="absent.pem").start()
except gamenet.ConfigError as error:
    print(error)
with gamenet.GameServer(0, cert_file=cert, key_file=key) as server:
    print(server.address)
    for address, fields in (
        (server.address, {}),
        (f"localhost:{server.port}", {"ca_file": ca}),
    ):
        with gamenet.GameClient(address, user="ada", **fields) as client:
            client.say("hello")
            print(client.player.name, client.secure)
            (joined,) = [event for event in server.events(9) if isinstance(event, gamenet.Joined)]
            print(joined.player.name, joined.secure)
        while not any(isinstance(event, gamenet.Left) for event in server.events(9)):
            pass
    client = gamenet.GameClient(f"localhost:{server.port}")
    for _ in range(2):
        try:
            client.start()
        except gamenet.ConnectionFailed as error:
            print(error)
"""


def test_facadesOfOneProcess(folder: Path, files: Files) -> None:
    lines = output(FACADES, files.cert, files.key, str(folder / "self.pem")).splitlines()
    assert "key_file: cannot read" in lines[0]
    assert lines[1].endswith(f"#sha256={MADE.fingerprint}")
    assert lines[2:6] == ["ada True"] * 4
    assert len(lines) == 8
    assert all(SELF_SIGNED in line for line in lines[6:])


class TestOtherServers:
    """Servers that gamenet's daemon would not be."""

    @pytest.mark.parametrize(
        ("end", "begin", "said"),
        [
            (-1, -5, "the server's certificate expired on "),
            (5, 1, "the server's certificate is not valid before "),
        ],
        ids=["expired", "not yet valid"],
    )
    def test_dates(
        self, folder: Path, stand_in: Callable[..., int], end: int, begin: int, said: str
    ) -> None:
        made = AUTHORITY.vouch("localhost", end=end * DAY, begin=begin * DAY)
        port = stand_in(with_certificate(folder, made))
        assert said in refusal(folder, f"localhost:{port}", "--ca", "ca.pem")

    def test_anAuthorityThatNobodyKnows(self, folder: Path, stand_in: Callable[..., int]) -> None:
        made = Authority("a stranger").vouch("localhost")
        port = stand_in(with_certificate(folder, made))
        said = refusal(folder, f"localhost:{port}", "--ca", "ca.pem")
        assert "does not know the authority" in said

    def test_theAuthoritiesOfTheSystemByDefault(
        self, folder: Path, stand_in: Callable[..., int]
    ) -> None:
        port = stand_in(with_certificate(folder, AUTHORITY.vouch("localhost")))
        assert "does not know the authority" in refusal(folder, f"localhost:{port}")

    def test_olderTls(self, folder: Path, stand_in: Callable[..., int]) -> None:
        port = stand_in(with_certificate(folder, MADE, ssl.TLSVersion.TLSv1_2))
        said = refusal(folder, f"127.0.0.1:{port}#sha256={MADE.fingerprint}")
        assert "does not speak TLS 1.3" in said

    def test_somethingElse(self, folder: Path, stand_in: Callable[..., int]) -> None:
        port = stand_in(lambda connection: connection.sendall(b"220 mail.example ESMTP\r\n"))
        said = refusal(folder, f"127.0.0.1:{port}#sha256={MADE.fingerprint}")
        assert "does not answer in TLS" in said

    def test_nobody(self, folder: Path) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
            assert "no server answers at" in refusal(folder, f"127.0.0.1:{port}")


class TestServer:
    """The daemon's side."""

    def test_playersStayWhileTheCertificateChanges(self, tmp_path: Path) -> None:
        files = write(tmp_path, MADE)
        other = make_certificate(["localhost"])
        with Daemon(tmp_path, cert=files) as daemon, RawClient(daemon.address, "bob") as bob:
            bob.join()
            write(tmp_path, other)
            daemon.signal(signal.SIGHUP)
            daemon.wait_for(f"the certificate was read again: sha256={other.fingerprint}")
            assert NOT_PINNED in refusal(tmp_path, daemon.address)
            address = daemon.address.replace(MADE.fingerprint, other.fingerprint)
            joins(tmp_path, address)

            os.chmod(files.key, 0o644)
            daemon.signal(signal.SIGHUP)
            line = daemon.wait_for("the certificate in use stays.*chmod 600").string
            assert "#error]" in line
            joins(tmp_path, address)

            os.chmod(files.key, 0o600)
            (tmp_path / "server-cert.pem").write_text("spoilt")
            daemon.signal(signal.SIGHUP)
            daemon.wait_for("the certificate in use stays.*holds no certificate")
            joins(tmp_path, address)

            bob.send(frames.encode_say("still here"))
            assert frames.decode_said(bob.expect(frames.Kind.SAY))[2] == "still here"
            assert json.loads(daemon.get("/api/status")[1])["errors"] == 2
            daemon.signal(signal.SIGTERM)
            assert bob.expect_bye() is DisconnectReason.STOPPED
            ended = daemon.wait()
        assert "PRIVATE" not in ended.out
        assert ended.out.count("#error]") == 2
        assert "Traceback" not in ended.out

    def test_sslEndpoint(self, folder: Path, files: Files) -> None:
        listen = f"ssl:0:privateKey={files.key}:certKey={files.cert}:interface=127.0.0.1"
        with Daemon(folder, listen=listen) as daemon:
            joins(folder, daemon.address)
            daemon.signal(signal.SIGHUP)
            daemon.wait_for(f"the certificate was read again: sha256={MADE.fingerprint}")

    def test_folderOfCertificates(self, tmp_path: Path) -> None:
        live = tmp_path / "live"
        live.mkdir()
        (live / "localhost.pem").write_bytes(MADE.certificate + MADE.key)
        os.chmod(live / "localhost.pem", 0o600)
        listen = f"tls:{live}:port=0:interface=127.0.0.1"
        if not has_tls_endpoint():
            ended = run_daemon(tmp_path, "--listen", listen)
            assert (ended.status, ended.err.count("\n")) == (1, 1)
            assert "tls: needs Twisted 26.4 or newer" in ended.err
            return
        with Daemon(tmp_path, listen=listen) as daemon:
            port = daemon.address.rpartition(":")[2]
            (tmp_path / "ca.pem").write_bytes(MADE.certificate)
            joins(tmp_path, f"localhost:{port}", "--ca", "ca.pem")

    @pytest.mark.parametrize("kind", ["fd", "systemd"])
    @pytest.mark.parametrize("secure", [True, False], ids=["TLS", "plain"])
    def test_socketsThatAreOpenAlready(
        self, folder: Path, files: Files, kind: str, secure: bool
    ) -> None:
        cert = files if secure else None
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port, number = listener.getsockname()[1], listener.fileno()
            if kind == "fd":
                daemon = Daemon(folder, cert=cert, listen=f"fd:{number}", descriptors=(number,))
            else:
                daemon = Daemon(
                    folder,
                    cert=cert,
                    listen="systemd:domain=INET:name=game",
                    descriptors=(number,),
                    start=(sys.executable, "-c", SYSTEMD, str(number)),
                )
            with daemon:
                assert without_pin(daemon.address) == f"127.0.0.1:{port}"
                trust = () if secure else ("--insecure",)
                done = gamenet(
                    folder, "bots", daemon.address, *trust,
                    "--count", "1", "--seconds", "1", "--json", "--quiet",
                )  # fmt: skip
                report = json.loads(done.out)
                # Its UDP port is where TCP is: the bot was told of no other.
                assert (report["udp_bound"], report["secure"]) == (1, secure), done

    def test_systemdHasNotStartedIt(self, folder: Path, files: Files) -> None:
        ended = run_daemon(
            folder,
            "--cert",
            files.cert,
            "--key",
            files.key,
            "--listen",
            "systemd:domain=INET:index=0",
        )
        assert (ended.status, ended.err.count("\n")) == (1, 1), ended
        assert "has not handed over that socket (LISTEN_FDS" in ended.err

    def test_insecureSocketsOfOthersStayOnThisMachine(self, folder: Path) -> None:
        with socket.create_server(("0.0.0.0", 0)) as listener:
            os.set_inheritable(listener.fileno(), True)
            done = subprocess.run(
                [sys.executable, "-c", "from twisted.scripts.twistd import run; run()", "-n",
                 "--pidfile=", "gamenet", "--insecure", "--listen", f"fd:{listener.fileno()}"],
                cwd=folder,
                env=environment(),
                pass_fds=(listener.fileno(),),
                capture_output=True,
                text=True,
                timeout=HANGS_SECONDS,
                check=False,
            )  # fmt: skip
        assert done.returncode == 1
        assert "an insecure server may not listen on 0.0.0.0" in done.stderr

    @pytest.mark.parametrize("way", ["flags", "ssl"])
    def test_filesThatCannotBeUsed(self, tmp_path: Path, way: str) -> None:
        good = write(tmp_path, MADE)
        other = write(tmp_path, make_certificate(["localhost"]), "other")
        old = write(tmp_path, expired("localhost"), "old")
        readable = write(tmp_path, MADE, "readable")
        os.chmod(readable.key, 0o644)
        lines = set()
        for cert, key, said in (
            (good.cert, readable.key, f"chmod 600 {readable.key}"),
            (good.cert, other.key, "is not the key of the certificate"),
            (old.cert, old.key, "expired on"),
            (good.cert, "absent.pem", "No such file"),
            (good.cert, good.cert, "holds no private key"),
        ):
            listen = ("--listen", f"ssl:0:privateKey={key}:certKey={cert}")
            ended = run_daemon(
                tmp_path, *(("--cert", cert, "--key", key) if way == "flags" else listen)
            )
            assert (ended.status, ended.out) == (1, ""), ended
            assert ended.err.count("\n") == 1, ended.err
            assert ended.err.startswith("gamenet: ")
            assert said in ended.err
            lines.add(ended.err)
        assert len(lines) == 5

    def test_neitherTlsNorInsecure(self, tmp_path: Path) -> None:
        ended = run_daemon(tmp_path)
        assert (ended.status, ended.err.count("\n")) == (1, 1)
        for word in ("gamenet cert", "--cert gamenet-cert.pem --key gamenet-key.pem", "--insecure"):
            assert word in ended.err


def has_tls_endpoint() -> bool:
    """Whether this Twisted has ``tls:``."""
    try:
        serverFromString(MemoryReactorClock(), "tls:/nowhere:port=1")
    except ValueError as error:
        return not str(error).startswith("Unknown endpoint type")
    except Exception:
        return True
    return True
