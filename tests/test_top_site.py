"""How ``gamenet top`` asks a status site, and what else may listen there."""

from __future__ import annotations

import contextlib
import io
import socket
import threading
from types import SimpleNamespace
from unittest.mock import patch

from twisted.trial.unittest import SynchronousTestCase

from gamenet.errors import ConfigError
from gamenet.top import site as module
from gamenet.top.run import run_top
from gamenet.top.site import NoAnswer, Site


class AddressTests(SynchronousTestCase):
    def test_addresses(self) -> None:
        self.assertRaises(ConfigError, Site, "host:" + "9" * 5_000)
        for address in ("9777", "host:", ":9777", "host:x", "host:99999", "", "http://"):
            error = self.assertRaises(ConfigError, Site, address)
            self.assertIn("such as 127.0.0.1:9777", str(error))
        self.assertEqual(Site("http://127.0.0.1:9777/api/status").name, "127.0.0.1:9777")
        self.assertEqual(Site("[::1]:9777")._host, "::1")


class LookTests(SynchronousTestCase):
    """What can go wrong with asking, as a sentence."""

    def test_whateverFailsIsOneSentence(self) -> None:
        for error, expected in (
            (ConnectionRefusedError(111, "Connection refused"), "nothing listens at 1.2.3.4:5"),
            (TimeoutError("timed out"), "1.2.3.4:5 does not answer within 5 s"),
            (
                OSError(113, "No route to host"),
                "cannot reach 1.2.3.4:5: No route to host; see that the machine is up",
            ),
            (
                socket.gaierror(-2, "Name or service not known"),
                "there is no host named '1.2.3.4'; look for a slip in it, or give its number",
            ),
            (ConnectionResetError(104, "reset"), "is not a status site of gamenet's"),
            (BrokenPipeError(32, "Broken pipe"), "is not a status site of gamenet's"),
            (module.http.client.BadStatusLine("x"), "is not a status site of gamenet's"),
        ):
            with (
                patch.object(module.http.client.HTTPConnection, "connect"),
                patch.object(module.http.client.HTTPConnection, "request", side_effect=error),
            ):
                raised = self.assertRaises(NoAnswer, Site("1.2.3.4:5").look)
            self.assertIn(expected, str(raised))

    def test_whatTheSiteItselfRefusesIsHandedOn(self) -> None:
        for body, expected in (
            (b'{"error": "ask by\\n address"}', "game:9777 refuses: ask by address"),
            (b'{"error": 5}', "is not a status site of gamenet's"),
        ):
            answer = SimpleNamespace(status=421, read=lambda most, body=body: body)
            with (
                patch.object(module.http.client.HTTPConnection, "connect"),
                patch.object(module.http.client.HTTPConnection, "request"),
                patch.object(module.http.client.HTTPConnection, "getresponse", return_value=answer),
            ):
                raised = self.assertRaises(NoAnswer, Site("game:9777").look)
            self.assertIn(expected, str(raised))

    def test_anAnswerWithoutEndIsCut(self) -> None:
        self.patch(module, "ANSWER_SECONDS", 0.2)
        with Trickle() as trickle:
            site = Site(trickle.address)
            error = self.assertRaises(NoAnswer, site.look_until, lambda: False)
        self.assertIn("does not answer within", str(error))
        self.assertTrue(trickle.is_cut)

    def test_ctrlCDoesNotWaitForTheAnswer(self) -> None:
        with Trickle() as trickle:
            run_top(trickle.address, trickle.is_asked.is_set, io.StringIO())
        self.assertTrue(trickle.is_cut)

    def test_bracketsWithoutEndAreNoSiteOfOurs(self) -> None:
        with Trickle(b"[" * 100_000) as trickle:
            error = self.assertRaises(NoAnswer, Site(trickle.address).look)
        self.assertIn("is not a status site of gamenet's", str(error))


class Trickle:
    """A site whose answer is *body*, or a byte now and then until the other side goes."""

    def __init__(self, body: bytes = b"") -> None:
        self._body = body
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.is_asked = threading.Event()
        self.is_cut = False
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Trickle:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._thread.join(10.0)
        self._listener.close()

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection:
            connection.recv(4_096)
            length = len(self._body) or 100_000
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"
            connection.sendall(head.encode() + self._body)
            self.is_asked.set()
            if self._body:
                return
            connection.settimeout(0.02)
            with contextlib.suppress(ConnectionError):
                while not self.is_cut:
                    connection.sendall(b" ")
                    with contextlib.suppress(TimeoutError):
                        self.is_cut = connection.recv(1) == b""
            self.is_cut = True
