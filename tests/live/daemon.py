"""A ``twistd gamenet`` process to test, and a client that is nothing but a socket."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from gamenet.addresses import parse_address
from gamenet.core import frames

ROOT = Path(__file__).resolve().parent.parent.parent
# Longer than anything here takes on the slowest machine: it only ends a test that hangs.
HANGS_SECONDS = 120
# Without the working directory in front of sys.path, as the installed script has it.
TWISTD = [sys.executable, "-P", "-c", "from twisted.scripts.twistd import run; run()"]


class Ended(NamedTuple):
    """What is left of a process."""

    status: int
    """Its exit status, negative for a signal."""
    out: str
    err: str


def environment() -> dict[str, str]:
    """What a process needs to find gamenet wherever it starts."""
    found = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": found}


def run_twistd(folder: Path, *arguments: str) -> Ended:
    """Run ``twistd`` in *folder* until it ends by itself."""
    done = subprocess.run(
        [*TWISTD, *arguments],
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=HANGS_SECONDS,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def run_daemon(folder: Path, *arguments: str) -> Ended:
    """Run ``twistd -n gamenet`` in *folder* until it ends by itself."""
    return run_twistd(folder, "-n", "--pidfile=", "gamenet", *arguments)


class Daemon:
    """``twistd -n gamenet`` on ports of its own, killed at the end of a ``with`` block.

    :param folder: its working directory.
    :param arguments: besides ``--listen``, ``--status`` and, unless there is a *cert* or a *listen*
        of another kind, ``--insecure``.
    :param cert: certificate and key.
    :param descriptors: open files that it inherits.
    :param start: what comes before the command line, such as a shell.
    :param command: what runs the server; it writes its log to standard output.
    """

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        cert: tuple[str, str] | None = None,
        listen: str = "tcp:0:interface=127.0.0.1",
        descriptors: tuple[int, ...] = (),
        start: tuple[str, ...] = (),
        command: tuple[str, ...] = (*TWISTD, "-n", "--pidfile=", "gamenet"),
    ) -> None:
        trust = ["--insecure"] if listen.startswith(("tcp:", "fd:", "systemd:")) else []
        if cert is not None:
            trust = ["--cert", cert[0], "--key", cert[1]]
        self._err = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self._process = subprocess.Popen(
            [*start, *command, *trust, "--listen", listen, "--status", "tcp:0", *arguments],
            cwd=folder,
            env=environment(),
            pass_fds=descriptors,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._err,
            text=True,
            # Whoever runs the tests in the background may have them ignore it.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )  # fmt: skip
        assert self._process.stdout is not None
        self._out = self._process.stdout
        self._log: list[str] = []
        self._hangs = threading.Timer(HANGS_SECONDS, self._process.kill)
        self._hangs.start()
        self.address = ""
        self.status = ""

    def __enter__(self) -> Daemon:
        try:
            found = self.wait_for(r"ready: address=(\S+) status=(\S+)")
        except BaseException:
            self.__exit__()
            raise
        self.address, self.status = found[1], found[2]
        return self

    def __exit__(self, *error: object) -> None:
        self._hangs.cancel()
        self._process.kill()
        self._process.wait()
        self._out.close()
        self._err.close()

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Read the log until a line matches.

        :raises AssertionError: if the log ends before.
        """
        for line in self._out:
            self._log.append(line)
            if found := re.search(pattern, line):
                return found
        raise AssertionError(str(self.wait()))

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def wait(self) -> Ended:
        """What is left once it has ended."""
        self._log += self._out
        status = self._process.wait()
        self._err.seek(0)
        return Ended(status, "".join(self._log), self._err.read())

    def get(self, path: str) -> tuple[int, bytes]:
        """What its status site answers."""
        return get(self.status, path)


def get(status: str, path: str) -> tuple[int, bytes]:
    """What the status site at ``host:port`` answers: code and body."""
    page = http.client.HTTPConnection(status, timeout=HANGS_SECONDS)
    try:
        page.request("GET", path)
        answer = page.getresponse()
        return answer.status, answer.read()
    finally:
        page.close()


class RawClient:
    """Says HELLO, and hears frames, over plain TCP, or TLS if there is a pin; it has no UDP."""

    def __init__(self, address: str, user: str) -> None:
        target = parse_address(address)
        self._socket = socket.create_connection(target[:2], HANGS_SECONDS)
        if target.pin:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            self._socket = context.wrap_socket(self._socket)
            shown = self._socket.getpeercert(binary_form=True)
            assert shown is not None
            assert sha256(shown).hexdigest() == target.pin
        self._stream = self._socket.makefile("rb")
        hello = frames.Hello(
            frames.VERSION, frames.VERSION, 1, frames.HELLO_ACCEPTS_INSECURE, bytes(8), 0,
            frames.ANONYMOUS, "", user, b"",
        )  # fmt: skip
        self.send(frames.encode_hello(hello))

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, *error: object) -> None:
        self._stream.close()
        self._socket.close()

    def send(self, frame: bytes) -> None:
        """Write one frame."""
        self._socket.sendall(len(frame).to_bytes(4, "big") + frame)

    def expect(self, kind: frames.Kind) -> bytes:
        """The next frame of a kind.

        :raises AssertionError: if the connection ends before.
        """
        while header := self._stream.read(4):
            frame = self._stream.read(int.from_bytes(header, "big"))
            if frame[0] == kind:
                return frame
        raise AssertionError(f"no {kind.name} before the end of the connection")

    def join(self) -> frames.Accept:
        """Be let in, and wait until the server knows that we know."""
        accept = frames.decode_accept(self.expect(frames.Kind.ACCEPT))
        self.send(frames.encode_ack(0))
        self.send(frames.encode_ping(frames.Kind.PING, 1))
        self.expect(frames.Kind.PONG)
        return accept

    def expect_bye(self) -> Any:
        """The reason that the server gives for the end; nothing follows, and both close."""
        reason, _ = frames.decode_bye(self.expect(frames.Kind.BYE))
        assert self._stream.read() == b""
        self._socket.shutdown(socket.SHUT_WR)
        return reason
