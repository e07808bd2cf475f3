"""``docs/IDENTITIES.rst`` against the code: its examples work, and it leaves nothing out."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from gamenet.account_file import MAX_BYTES
from gamenet.checkers import OURS
from gamenet.core.password import LEAST_LOG2_N, MAX_PASSWORD_BYTES, MOST_LOG2_N
from gamenet.core.ticket import MAX_ID_CHARACTERS, MAX_TICKET_BYTES, Claims
from gamenet.credentials import Ticket
from gamenet.errors import RefusalReason
from gamenet.limits import ServerLimits
from gamenet.tickets import TicketChecker, make_key, read_public_key

PAGE = (Path(__file__).parent.parent / "docs" / "IDENTITIES.rst").read_text(encoding="utf-8")


def example(language: str, holding: str) -> str:
    """The listing in *language* in which *holding* occurs."""
    blocks = re.findall(rf"\.\. code-block:: {language}\n\n((?:    .*\n|\n)+)", PAGE)
    (block,) = (block for block in blocks if holding in block)
    return re.sub(r"^    ", "", block, flags=re.MULTILINE)


class IdentitiesPageTests(SynchronousTestCase):
    def assertMakesATicket(self, *command: str) -> None:
        """The command prints a ticket that a server takes."""
        folder = Path(self.mktemp())
        folder.mkdir()
        public = make_key(folder / "tickets.key")
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        ticket = Ticket(done.stdout.strip().encode())
        checker = TicketChecker(read_public_key(public), "arena-7")
        self.assertEqual(checker.requestAvatarId(ticket), "user/8472")
        self.assertEqual(ticket.name, "ada")

    def test_theBackendInPythonMakesTickets(self) -> None:
        source = example("python", "load_pem_private_key")
        self.assertNotIn("gamenet", source, "a backend needs no gamenet")
        self.assertMakesATicket(sys.executable, "-c", source)

    def test_theBackendInJavaScriptMakesTickets(self) -> None:
        """What it made once is in test_tickets; it runs again where there is a Node.js."""
        source = example("javascript", "createPrivateKey")
        node = shutil.which("node") or shutil.which("nodejs")
        if node is not None:
            self.assertMakesATicket(node, "-e", source)

    def test_everyDescriptionIsOnThePage(self) -> None:
        for factory in OURS:
            self.assertIn(f"``{factory.authType}", PAGE)

    def test_everyClaimIsOnThePage(self) -> None:
        table = PAGE[PAGE.index("Claims\n") : PAGE.index("Numbers may")]
        rows = re.findall(r"^   \* - ``(\w+)``\n     - .*?(optional)?$", table, re.MULTILINE)
        claims = {field.name: not field.required for field in msgspec.structs.fields(Claims)}
        self.assertEqual({name: bool(optional) for name, optional in rows}, claims)

    def test_everyRefusalOfATicketIsOnThePage(self) -> None:
        for reason in RefusalReason:
            if reason.name.startswith("TICKET_"):
                self.assertIn(f"   * - ``{reason.name}``", PAGE)

    def test_itsNumbersAreThoseOfTheCode(self) -> None:
        limits = ServerLimits()
        for said in (
            f"at most {MAX_TICKET_BYTES:,} bytes",
            f"1 to {MAX_ID_CHARACTERS} characters",
            f"``ticket_seconds`` ({limits.ticket_seconds:g})",
            f"``ticket_skew_seconds`` ({limits.ticket_skew_seconds:g})",
            f"1 to {MAX_PASSWORD_BYTES:,} bytes",
            f"from {LEAST_LOG2_N} to {MOST_LOG2_N}",
            f"ln={limits.scrypt_log2_n},r=8,p=1",
            f"at most {MAX_BYTES >> 20} MiB",
        ):
            self.assertIn(said, " ".join(PAGE.split()))
