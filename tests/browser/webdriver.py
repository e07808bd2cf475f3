"""
A headless Chromium, driven through the WebDriver protocol of its own ``chromedriver``.

A dozen requests of JSON over HTTP, all on this machine: nothing is looked up or downloaded.
"""

from __future__ import annotations

import atexit
import base64
import http.client
import json
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

NEEDED: Final = {
    "browser": ("chromium", "chromium-browser", "google-chrome"),
    "driver": ("chromedriver",),
}
HOW_TO_INSTALL: Final = "apt-get install chromium chromium-driver"
HANGS_SECONDS: Final = 60.0
"""Longer than anything here takes on the slowest machine: it only ends a test that hangs."""
POLL_SECONDS: Final = 0.05
_ELEMENT: Final = "element-6066-11e4-a52e-4f735466cecf"


def find(what: str) -> str | None:
    """Where the ``browser`` or the ``driver`` is; None if nowhere."""
    return next((path for name in NEEDED[what] if (path := shutil.which(name))), None)


class Failed(Exception):
    """The driver refused a request, or what was waited for did not come."""


_all: list[Browser] = []


def shared() -> Browser:
    """The one that all tests use, as to start one takes longer than most of them."""
    if not _all:
        _all.append(Browser().__enter__())
        atexit.register(_all[0].__exit__)
    return _all[0]


class Browser:
    """One window, and a profile that is thrown away; for a ``with`` block.

    :param size: width and height of the window in pixels.
    """

    def __init__(self, size: tuple[int, int] = (1280, 1000)) -> None:
        self._size = size
        self._profile = tempfile.TemporaryDirectory(prefix="gamenet-browser-")
        self._driver = subprocess.Popen(
            [str(find("driver")), "--port=0"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self._hangs = threading.Timer(HANGS_SECONDS, self._driver.kill)
        self._port = 0
        self._session = ""

    def __enter__(self) -> Browser:
        self._hangs.start()
        assert self._driver.stdout is not None
        for line in self._driver.stdout:
            if found := re.search(r"started successfully on port (\d+)", line):
                self._port = int(found[1])
                break
        else:
            self.__exit__()
            raise Failed("chromedriver ended before it began")
        self._hangs.cancel()
        # Whatever else it says must not fill the pipe.
        threading.Thread(target=self._driver.stdout.read, daemon=True).start()
        try:
            self._session = self._call("POST", "/session", self._wishes())["sessionId"]
        except BaseException:
            self.__exit__()
            raise
        return self

    def _wishes(self) -> dict[str, Any]:
        options = {
            "binary": find("browser"),
            "args": [
                "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                "--no-first-run", "--disable-background-networking", "--disable-component-update",
                "--disable-sync", "--disable-extensions", "--no-proxy-server",
                f"--user-data-dir={self._profile.name}", "--hide-scrollbars", "--disable-lcd-text",
                f"--window-size={self._size[0]},{self._size[1]}",
            ],
        }  # fmt: skip
        wishes = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        return {"capabilities": {"alwaysMatch": wishes}}

    def __exit__(self, *error: object) -> None:
        self._hangs.cancel()
        try:
            if self._session:
                self._call("DELETE", "")
        except (Failed, OSError, http.client.HTTPException) as problem:
            print(f"the browser did not end well: {problem}", file=sys.stderr)
        self._driver.terminate()
        self._driver.wait()
        self._profile.cleanup()

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=HANGS_SECONDS)
        try:
            prefix = f"/session/{self._session}" if self._session else ""
            text = json.dumps(body or {}) if method == "POST" else None
            connection.request(method, prefix + path, text, {"Content-Type": "application/json"})
            value = json.loads(connection.getresponse().read())["value"]
        finally:
            connection.close()
        if isinstance(value, dict) and "error" in value:
            raise Failed(f"{value['error']}: {value['message'].splitlines()[0]}")
        return value

    # What a person does.

    def open(self, address: str) -> None:
        """Go to a page, and wait until it is loaded."""
        self._call("POST", "/url", {"url": address})

    def click(self, selector: str) -> None:
        """Click where the first element that the CSS *selector* names is, as the mouse does."""
        self._call("POST", f"/element/{self._find(selector)}/click")

    def type(self, selector: str, text: str) -> None:
        """Type into a field; what it held is replaced."""
        element = self._find(selector)
        self._call("POST", f"/element/{element}/clear")
        self._call("POST", f"/element/{element}/value", {"text": text})

    def press(self, key: str) -> None:
        """Press a key, wherever the focus is."""
        keys = [{"type": kind, "value": key} for kind in ("keyDown", "keyUp")]
        self._call("POST", "/actions", {"actions": [{"type": "key", "id": "k", "actions": keys}]})

    def point(self, selector: str) -> None:
        """Move the mouse to the middle of an element."""
        origin = {_ELEMENT: self._find(selector)}
        move = {"type": "pointerMove", "duration": 0, "x": 0, "y": 0, "origin": origin}
        self._call(
            "POST", "/actions", {"actions": [{"type": "pointer", "id": "m", "actions": [move]}]}
        )

    def resize(self, width: int, height: int) -> None:
        """Give the page another size, as a phone has."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.command("Emulation.setDeviceMetricsOverride", size)

    # What the tests ask.

    def command(self, name: str, values: dict[str, Any]) -> Any:
        """Call a command of the browser's own protocol."""
        return self._call("POST", "/goog/cdp/execute", {"cmd": name, "params": values})

    def ask(self, script: str, *values: Any) -> Any:
        """What a script returns that runs in the page; *values* are its ``arguments``."""
        return self._call("POST", "/execute/sync", {"script": script, "args": list(values)})

    def text(self, selector: str) -> str:
        """What an element says; "" if there is none."""
        found: str = self.ask(
            "return document.querySelector(arguments[0])?.textContent ?? ''", selector
        )
        return found.replace("\u202f", " ")

    def wait(self, what: str, check: Callable[[], Any]) -> Any:
        """Ask again and again until the answer is true.

        :raises Failed: with *what* was waited for, if that takes longer than anything should.
        """
        end = time.monotonic() + HANGS_SECONDS
        while not (found := check()):
            if time.monotonic() > end:
                raise Failed(f"this did not come: {what}")
            time.sleep(POLL_SECONDS)
        return found

    def complaints(self) -> list[str]:
        """What the console was told since this was asked last: errors, warnings, violations."""
        log = self._call("POST", "/se/log", {"type": "browser"})
        return [entry["message"] for entry in log if entry["level"] in ("SEVERE", "WARNING")]

    def screenshot(self) -> bytes:
        """The window as a PNG."""
        return base64.b64decode(self._call("GET", "/screenshot"))

    def _find(self, selector: str) -> str:
        using = {"using": "css selector", "value": selector}
        found: str = self._call("POST", "/element", using)[_ELEMENT]
        return found
