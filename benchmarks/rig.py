"""What benchmarks stand on: processes on cores of their own, a daemon, what the kernel counted."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import gamenet
from gamenet.addresses import parse_address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping


class Row(NamedTuple):
    """One figure."""

    what: str
    value: float | None
    unit: str
    bar: str
    """What it must be, where it must be something."""
    within: bool | None
    """Whether it is."""
    on: str
    """The conditions it was measured under."""


ROOT = Path(gamenet.__file__).resolve().parent.parent
START_SECONDS = 60.0
ANSWER_SECONDS = 20.0
# Without the working directory in front of sys.path, as the installed script has it.
TWISTD = (sys.executable, "-P", "-c", "from twisted.scripts.twistd import run; run()")
OTHER_ADDRESS = "127.0.0.2"
"""On Linux all of 127.0.0.0/8 is this machine."""


def note(text: str) -> None:
    """Say how it goes, where it does not disturb the figures."""
    print(text, file=sys.stderr, flush=True)


def cores() -> list[int]:
    """The cores that this process may use; none where that cannot be known."""
    known = getattr(os, "sched_getaffinity", None)
    return sorted(known(0)) if known else []


def first_core() -> list[int]:
    """Where what is measured runs."""
    return cores()[:1]


def other_cores() -> list[int]:
    """Where all else runs; the same, where there is but one."""
    return cores()[1:] or cores()


def machine() -> dict[str, Any]:
    """The conditions of a measurement."""
    import cryptography

    import twisted

    return {
        "cores": len(cores()) or os.cpu_count(),
        "load_average": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "python": sys.version.split()[0],
        "twisted": twisted.__version__,
        "cryptography": cryptography.__version__,
        "system": " ".join(os.uname()[i] for i in (0, 2, 4)) if hasattr(os, "uname") else "",
    }


def environment() -> dict[str, str]:
    """What a process needs to find gamenet wherever it starts."""
    found = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": found}


def sleep_until(when: float) -> None:
    """Sleep, unless it is too late already: to give the core away then would make it later."""
    left = when - time.monotonic()
    if left > 0:
        time.sleep(left)


def can_use(address: str) -> bool:
    """Whether a socket of this machine can have that address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


def _pinned(on: Iterable[int]) -> Any:
    on = set(on)

    def prepare() -> None:
        # Whoever runs us in the background may have us ignore it, and children inherit that.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if on:
            os.sched_setaffinity(0, on)

    return prepare


class Child:
    """A role of a script in a process of its own; it hears and says lines of JSON.

    :param seconds: after which it is killed, whatever it does.
    """

    def __init__(
        self, script: str, role: str, spec: Any, on: Iterable[int], seconds: float = 300.0
    ) -> None:
        self._process = subprocess.Popen(
            [sys.executable, script, "--role", role],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(),
            text=True,
            preexec_fn=_pinned(on),
        )
        self._hangs = threading.Timer(seconds, self._process.kill)
        self._hangs.daemon = True
        self._hangs.start()
        self._role = role
        self.pid = self._process.pid
        self.say(spec)

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *error: object) -> None:
        self._hangs.cancel()
        if any(error):
            self._process.kill()
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(ANSWER_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def say(self, value: Any) -> None:
        """Write one line."""
        self._process.stdin.write(json.dumps(value) + "\n")
        self._process.stdin.flush()

    def hear(self) -> Any:
        """The next line.

        :raises RuntimeError: if the process ended instead.
        """
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the process of role {self._role!r} ended")
        return json.loads(line)

    def hear_line(self) -> str:
        """The next line, whatever it holds."""
        return self._process.stdout.readline()

    def ask(self, value: Any) -> Any:
        """Write a line, and read the answer."""
        self.say(value)
        return self.hear()


def answer(value: Any) -> None:
    """In a child: write one line."""
    print(json.dumps(value), flush=True)


def questions() -> Iterator[Any]:
    """In a child: the lines that come; the first is the specification."""
    for line in sys.stdin:
        yield json.loads(line)


def run_role(roles: Mapping[str, Callable[[Iterator[Any]], None]]) -> None:
    """In a script: be the child of the role that the command line names."""
    _, mark, role = sys.argv
    if mark != "--role":
        raise SystemExit("this is a part of a benchmark; see README.rst beside it")
    roles[role](questions())


def make_certificate(folder: Path) -> None:
    """``gamenet-cert.pem`` and ``gamenet-key.pem``, as a user makes them."""
    subprocess.run(
        [sys.executable, "-m", "gamenet", "cert", "--name", "localhost"],
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        check=True,
        timeout=START_SECONDS,
    )


class Place(NamedTuple):
    """Where a server is, and how to join it."""

    host: str
    port: int
    tls: bool


class Daemon:
    """``twistd -n gamenet`` on loopback, with its status site; killed at the end of ``with``.

    :param folder: its working directory.
    :param arguments: besides where it listens and how it is secured.
    """

    def __init__(self, folder: Path, *arguments: str, tls: bool, on: Iterable[int] = ()) -> None:
        self.tls = tls
        self._log = folder / "daemon.log"
        secured = ["--insecure"]
        if tls:
            make_certificate(folder)
            secured = ["--cert", "gamenet-cert.pem", "--key", "gamenet-key.pem"]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    *TWISTD, "-n", "--pidfile=", "gamenet", *secured,
                    "--listen", "tcp:0:interface=127.0.0.1", "--status", "tcp:0", *arguments,
                ],
                cwd=folder,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=_pinned(on),
            )  # fmt: skip
        self.pid = self._process.pid
        self.status_address = ""
        self.place = Place("", 0, tls)

    def __enter__(self) -> Daemon:
        try:
            until = time.monotonic() + START_SECONDS
            while not (found := re.search(r"ready: address=(\S+) status=(\S+)", self.log())):
                if self._process.poll() is not None or time.monotonic() > until:
                    raise RuntimeError(f"the daemon did not start:\n{self.log()[-2000:]}")
                time.sleep(0.02)
        except BaseException:
            self.__exit__()
            raise
        target = parse_address(found[1])
        self.place = Place(target[0], target[1], self.tls)
        self.status_address = found[2]
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.wait()

    def log(self) -> str:
        """What it has logged so far."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def is_up(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def status(self) -> dict[str, Any]:
        """What ``/api/status`` says."""
        page = http.client.HTTPConnection(self.status_address, timeout=ANSWER_SECONDS)
        try:
            page.request("GET", "/api/status")
            return json.loads(page.getresponse().read())
        finally:
            page.close()

    def udp(self) -> Udp:
        """How its UDP socket does."""
        return udp_socket(self.place.port)

    def settled(self) -> dict[str, Any]:
        """Its status, once everything that waits in the kernel for it is read."""
        until = time.monotonic() + ANSWER_SECONDS
        while self.udp().waiting and time.monotonic() < until:
            time.sleep(0.02)
        # Two looks in a row: what was read before the first is acted on before the second. The
        # server does not look anew for each who asks.
        first = self.status()["snapshot"]["number"]
        while (found := self.status())["snapshot"]["number"] == first:
            time.sleep(0.05)
        return found


class Udp(NamedTuple):
    """What the kernel says of a UDP socket."""

    waiting: int
    """Bytes that wait to be read."""
    drops: int
    """Datagrams that found no room."""
    known: bool
    """Whether this system tells."""


def udp_socket(port: int) -> Udp:
    """The sockets of this machine that are bound to *port*, taken together."""
    waiting = drops = 0
    known = False
    for table in ("/proc/net/udp", "/proc/net/udp6"):
        try:
            rows = Path(table).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            fields = row.split()
            if int(fields[1].rpartition(":")[2], 16) == port:
                known = True
                waiting += int(fields[4].partition(":")[2], 16)
                drops += int(fields[-1])
    return Udp(waiting, drops, known)


def resident_bytes(pid: int) -> int:
    """Memory of a process that is in use."""
    pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def cpu_seconds(pid: int) -> float:
    """CPU time of a process so far, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
