"""A server of one's own: what it is made with, and what is said where it cannot be made."""

from __future__ import annotations

import errno
import threading
from pathlib import Path
from typing import Any, ClassVar

from twisted.trial.unittest import SynchronousTestCase

from gamenet.certificates import CERT_FILE, KEY_FILE
from gamenet.errors import ConfigError, ListenFailed
from gamenet.lan import Interface
from gamenet.play import hosting
from gamenet.play.hosting import Hosting

PIN = "ab" * 32


class FakeServer:
    """Takes what ``GameServer`` takes, and opens no port."""

    made: ClassVar[list[dict[str, Any]]] = []
    problem: ClassVar[Exception | None] = None

    def __init__(self, listen: int, **fields: Any) -> None:
        self.made.append({"listen": listen, **fields})
        self.address = f"gamenet://localhost:{listen}#sha256={PIN}"
        self.stops: list[float] = []
        self.running = True

    def start(self) -> None:
        if self.problem is not None:
            raise self.problem

    def stop(self, timeout: float) -> None:
        self.stops.append(timeout)


class HostingTests(SynchronousTestCase):
    """Without ports, and in a folder of the test."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()) / "deep" / "down"
        self.made: list[dict[str, Any]] = []
        self.patch(FakeServer, "problem", None)
        self.patch(FakeServer, "made", self.made)
        self.patch(hosting, "GameServer", FakeServer)

    def host(self, **how: Any) -> Hosting:
        """One that has been started."""
        made = Hosting(7000, folder=self.folder, **how)
        made.start()
        assert made._thread is not None
        made._thread.join()
        return made

    def test_it_has_a_certificate_which_is_kept(self) -> None:
        first = self.host()
        self.assertEqual(first.problem, "")
        self.assertEqual(first.address, f"gamenet://localhost:7000#sha256={PIN}")
        self.assertTrue(first.invitation.startswith("gamenet://"))
        self.assertTrue(first.invitation.endswith(f":7000#sha256={PIN}"))
        cert, key = self.folder / CERT_FILE, self.folder / KEY_FILE
        self.assertEqual(self.made[0]["cert_file"], str(cert))
        self.assertEqual(self.made[0]["key_file"], str(key))
        before = cert.read_bytes(), key.read_bytes()
        self.host()
        self.assertEqual((cert.read_bytes(), key.read_bytes()), before)
        key.unlink()
        self.host()
        self.assertNotEqual((cert.read_bytes(), key.read_bytes()), before)

    def test_without_encryption_it_needs_none(self) -> None:
        made = self.host(insecure=True)
        self.assertEqual(made.problem, "")
        self.assertIs(self.made[0]["insecure"], True)
        self.assertFalse(self.folder.exists())
        self.assertEqual(made.invitation, made.address)

    def test_it_is_found_only_if_that_is_wanted(self) -> None:
        self.host()
        self.host(beacon="Ada's field")
        made = Hosting(7000, folder=self.folder, beacon="Ada's field")
        made.announced = False
        made._run()
        self.assertEqual([each["beacon"] for each in self.made], ["", "Ada's field", ""])

    def test_one_that_runs_is_not_started_twice(self) -> None:
        made = self.host()
        made.start()
        self.assertEqual(len(self.made), 1)
        made.stop(3.0)
        server: Any = made.server
        self.assertEqual((made.address, server.stops), ("", [3.0]))

    def test_one_whose_game_has_failed_can_be_started_again(self) -> None:
        made = self.host()
        failed: Any = made.server
        failed.running = False
        made.start()
        assert made._thread is not None
        made._thread.join()
        self.assertEqual(len(self.made), 2)
        self.assertIsNot(made.server, failed)
        self.assertTrue(made.address)

    def test_why_it_cannot_be_started_is_a_sentence(self) -> None:
        self.patch(FakeServer, "problem", ListenFailed("port 7000 is in use"))
        made = self.host()
        self.assertEqual(made.problem, "No server can be started here: port 7000 is in use.")
        self.assertEqual(made.address, "")
        self.patch(FakeServer, "problem", None)
        made.start()
        assert made._thread is not None
        made._thread.join()
        self.assertEqual((made.problem, bool(made.address)), ("", True))

    def test_a_port_that_is_taken_is_one_to_join_or_to_change(self) -> None:
        taken = ListenFailed("cannot listen; choose another port with --listen")
        taken.errno = errno.EADDRINUSE
        self.patch(FakeServer, "problem", taken)
        self.assertEqual(
            self.host().problem,
            "No server can be started here: another program has port 7000 already: if it is a "
            "server of this game, join it; or have another port, by gamenet play --host --port N.",
        )

    def test_a_certificate_that_cannot_be_used_says_what_to_do_with_it(self) -> None:
        broken = ConfigError("cert_file", "it holds no certificate")
        self.patch(FakeServer, "problem", broken)
        self.assertEqual(
            self.host().problem,
            "No server can be started here: cert_file: it holds no certificate; without the files "
            f"of {self.folder} new ones are made.",
        )

    def test_a_full_disk_is_named(self) -> None:
        def write(*anything: object, force: bool) -> None:
            raise ConfigError("", "cannot write gamenet-key.pem: No space left on device")

        self.patch(hosting, "write_certificate", write)
        self.assertEqual(
            self.host().problem,
            "No server can be started here: cannot write gamenet-key.pem: No space left on "
            f"device, in {self.folder}.",
        )

    def test_a_folder_that_cannot_be_written_is_named(self) -> None:
        self.folder.parent.mkdir(parents=True)
        self.folder.write_text("a file")
        made = self.host()
        self.assertIn("No server can be started here: ", made.problem)
        self.assertIn("down", made.problem)

    def test_others_are_told_the_address_on_the_network_if_there_is_one(self) -> None:
        loopback, ipv6 = Interface("127.0.0.1", 1, "lo"), Interface("", 2, "eth0")
        outside = Interface("192.0.2.7", 2, "eth0")
        for there, invitation in (
            ([loopback, ipv6, outside], f"gamenet://192.0.2.7:7000#sha256={PIN}"),
            ([loopback], f"gamenet://localhost:7000#sha256={PIN}"),
        ):
            self.patch(hosting, "interfaces", lambda there=there: there)
            self.assertEqual(self.host().invitation, invitation)

    def test_without_a_thread_it_is_a_sentence(self) -> None:
        def start(thread: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        self.patch(threading.Thread, "start", start)
        made = Hosting(7000, folder=self.folder)
        made.start()
        self.assertEqual(made.problem, "No server can be started here: can't start new thread.")
        made.stop()

    def test_stopping_what_never_ran_does_nothing(self) -> None:
        Hosting(7000).stop()
