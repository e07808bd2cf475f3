"""``docs/LIMITS.rst`` against the code: it is what the settings say, and leaves no number out."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from gamenet import limits_page
from gamenet.config import ClientConfig, ServerConfig
from gamenet.limits import ServerLimits
from gamenet.limits_page import FIXED, NO_LIMITS, limits, page, texts, unit
from gamenet.settings import CommonConfig

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "LIMITS.rst").read_text(encoding="utf-8")
NOT_COUNTED = {*NO_LIMITS, "listen", "udp"}
"""Settings that may hold a number and bound nothing; the last two name a port."""


class LimitsPageTests(SynchronousTestCase):
    def test_thePageIsWhatTheSettingsSay(self) -> None:
        self.assertEqual(PAGE, page(), "run: python -m gamenet.limits_page > docs/LIMITS.rst")

    def test_theModulePrintsIt(self) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "gamenet.limits_page"],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, PAGE, ""))

    def test_everyNumberOfAServerIsOnItWithATextOfItsOwn(self) -> None:
        said = {**texts(CommonConfig), **texts(ServerLimits), **texts(ServerConfig)}
        said |= texts(ClientConfig)
        numbers = [
            name
            for name, kind in dict(
                (item.name, str(item.type))
                for config in (ServerConfig, ClientConfig)
                for item in fields(config)
            ).items()
            if ("int" in kind or "float" in kind) and name not in NOT_COUNTED
        ]
        self.assertGreater(len(numbers), 60)
        for name in ("resume_seconds", "max_suspended", "udp_owed_seconds", "redial_first_seconds"):
            self.assertIn(name, numbers)
        for name in numbers:
            self.assertTrue(said.get(name), f"{name} has no text under it")
            self.assertIn(f"   * - ``{name}``\n", PAGE)
            self.assertTrue(unit(name))
        self.assertEqual(PAGE.count("   * - ``"), len(numbers) + 1, "limit_loopback besides")

    def test_everyFieldOfEverySettingsClassHasAText(self) -> None:
        for kind in (CommonConfig, ServerLimits, ServerConfig, ClientConfig):
            inherited = {item.name for base in kind.__mro__[1:-1] for item in fields(base)}
            own = {item.name for item in fields(kind)} - inherited
            self.assertEqual(own - set(texts(kind)), set())

    def test_aLimitWithoutAUnitIsNotPrinted(self) -> None:
        self.assertRaises(KeyError, unit, "max_wombats")

    def test_aLimitWithoutATextIsNotPrinted(self) -> None:
        self.patch(limits_page, "texts", lambda kind: {})
        self.assertRaises(KeyError, page)

    def test_whatTheProtocolFixesIsOnIt(self) -> None:
        fixed = {what: (number, counted) for what, number, counted in FIXED}
        for what, wanted in (
            ("A frame before the join, which is one HELLO", (4_096, "bytes")),
            ("A frame after it, without its length prefix", (65_600, "bytes")),
            ("A datagram, in both directions", (1_200, "bytes")),
            ("Messages in a datagram", (16, "messages")),
            ("Replay window", (1_024, "datagrams")),
            ("Unacknowledged inside TCP of what is not reliable", (20_480, "bytes")),
            ("Hard stop: what one key may seal at most", (1 << 23, "datagrams")),
        ):
            self.assertEqual(fixed[what], wanted)
            self.assertIn(f"   * - {what}\n", PAGE)

    def test_itsDefaultsAreThoseInForce(self) -> None:
        server, client = ServerConfig(), ClientConfig()
        for kind in (CommonConfig, ServerLimits, ServerConfig, ClientConfig):
            for name, default in limits(kind):
                config = client if kind is ClientConfig else server
                self.assertEqual(getattr(config, name), default)
