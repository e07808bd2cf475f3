"""``gamenet cert``: what it writes, says and refuses."""

from __future__ import annotations

import contextlib
import io
import os
import re
import socket
import stat
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import patch

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from twisted.trial.unittest import SynchronousTestCase

from gamenet.addresses import parse_address
from gamenet.certificates import CERT_FILE, KEY_FILE, make_certificate, write_certificate
from gamenet.cli import main
from gamenet.errors import ConfigError
from gamenet.tls import ServerContext

SHORT = timedelta(minutes=1)


class MakingTests(SynchronousTestCase):
    """The certificate itself."""

    def test_curveNamesAndPurpose(self) -> None:
        made = make_certificate(["game.example", "spiel.köln", "10.0.0.1", "::1"])
        certificate = x509.load_pem_x509_certificate(made.certificate)
        key = load_pem_private_key(made.key, None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        self.assertIsInstance(key.curve, ec.SECP256R1)
        self.assertEqual(certificate.public_key(), key.public_key())
        self.assertEqual(certificate.issuer, certificate.subject)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        self.assertEqual(
            names.get_values_for_type(x509.DNSName), ["game.example", "spiel.xn--kln-sna"]
        )
        self.assertEqual(
            [str(found) for found in names.get_values_for_type(x509.IPAddress)], ["10.0.0.1", "::1"]
        )
        basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
        self.assertEqual((basic.critical, basic.value.ca), (True, False))

    def test_lifeBeginsYesterdayAndLastsAsLongAsWanted(self) -> None:
        now = datetime.now(UTC)
        certificate = x509.load_pem_x509_certificate(make_certificate(["a"], 3).certificate)
        began = now - certificate.not_valid_before_utc
        lasts = certificate.not_valid_after_utc - now
        self.assertTrue(abs(began - timedelta(days=1)) < SHORT, began)
        self.assertTrue(abs(lasts - timedelta(days=3)) < SHORT, lasts)

    def test_noTwoAreTheSame(self) -> None:
        made = [make_certificate(["a"]) for _ in range(3)]
        self.assertEqual(len({one.key for one in made}), 3)
        self.assertEqual(len({one.fingerprint for one in made}), 3)

    def test_namesThatAreNone(self) -> None:
        for name in ("game.example:7777", "a b", "", "-x-", "http://x", "x" * 64):
            error = self.assertRaises(ConfigError, make_certificate, [name])
            self.assertIn(repr(name), str(error))


class CommandTests(SynchronousTestCase):
    """The command, in a directory of its own."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(folder.name)
        # What a careless shell has.
        self.addCleanup(os.umask, os.umask(0))

    def cert(self, *arguments: str) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = main(["cert", *arguments])
        return status, out.getvalue(), err.getvalue()

    def test_filesThatAServerTakes(self) -> None:
        status, out, err = self.cert("--name", "game.example", "--name", "10.0.0.1")
        self.assertEqual((status, err), (0, ""))
        context = ServerContext(CERT_FILE, KEY_FILE)
        self.assertEqual(stat.S_IMODE(os.stat(KEY_FILE).st_mode), 0o600)
        self.assertEqual(sorted(os.listdir()), [CERT_FILE, KEY_FILE])
        self.assertIn(f"fingerprint  sha256={context.fingerprint}\n", out)
        self.assertIn(f"twistd -n gamenet --cert {CERT_FILE} --key {KEY_FILE}\n", out)
        shared = re.search(r"gamenet://\S+", out)
        assert shared is not None
        self.assertEqual(parse_address(shared[0]), ("game.example", 7777, context.fingerprint))
        self.assertNotIn("PRIVATE", out)

    def test_addressesOfIpv6(self) -> None:
        self.assertIn("gamenet://[::1]:7777#sha256=", self.cert("--name", "::1")[1])

    def test_withoutNamesItIsForThisMachine(self) -> None:
        with patch.object(socket, "gethostname", return_value="my-machine"):
            _, out, _ = self.cert()
        self.assertIn("gamenet://my-machine:7777#", out)
        found = x509.load_pem_x509_certificate(Path(CERT_FILE).read_bytes())
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        self.assertEqual(names.get_values_for_type(x509.DNSName), ["my-machine", "localhost"])

    def test_machinesWithNamesThatAreNone(self) -> None:
        with patch.object(socket, "gethostname", return_value="my_machine!"):
            status, out, _ = self.cert()
        self.assertEqual(status, 0)
        self.assertIn("gamenet://localhost:7777#", out)

    def test_nothingIsOverwritten(self) -> None:
        for there in ([CERT_FILE], [KEY_FILE], [CERT_FILE, KEY_FILE]):
            for name in there:
                Path(name).write_text("precious")
            status, out, err = self.cert()
            self.assertEqual((status, out), (1, ""))
            self.assertIn(there[0], err)
            self.assertIn("--force", err)
            self.assertEqual(err.count("\n"), 1)
            self.assertEqual(sorted(os.listdir()), sorted(there))
            for name in there:
                self.assertEqual(Path(name).read_text(), "precious")
                os.unlink(name)

    def test_forceReplacesBoth(self) -> None:
        self.cert()
        before = ServerContext(CERT_FILE, KEY_FILE).fingerprint
        os.chmod(KEY_FILE, 0o644)
        self.assertEqual(self.cert("--force")[0], 0)
        self.assertNotEqual(ServerContext(CERT_FILE, KEY_FILE).fingerprint, before)
        self.assertEqual(sorted(os.listdir()), [CERT_FILE, KEY_FILE])

    def test_linksAreNotFollowed(self) -> None:
        os.mkdir("elsewhere")
        os.symlink("elsewhere/key", KEY_FILE)
        self.assertEqual(self.cert()[0], 1)
        self.assertEqual(self.cert("--force")[0], 0)
        self.assertEqual(os.listdir("elsewhere"), [])
        self.assertFalse(os.path.islink(KEY_FILE))

    def test_aFileThatAppearsMeanwhileIsNotOverwritten(self) -> None:
        made = make_certificate(["a"])
        with patch("gamenet.certificates.os.path.lexists", return_value=False):
            Path(KEY_FILE).write_text("precious")
            error = self.assertRaises(ConfigError, write_certificate, Path(), made)
        self.assertIn("File exists", str(error))
        self.assertEqual(Path(KEY_FILE).read_text(), "precious")

    def test_whatCannotBeWrittenLeavesNothing(self) -> None:
        made = make_certificate(["a"])
        with patch("gamenet.certificates.os.replace", side_effect=OSError(28, "No space left")):
            error = self.assertRaises(ConfigError, write_certificate, Path(), made, force=True)
        self.assertIn("cannot write gamenet-key.pem: No space left", str(error))
        self.assertEqual(os.listdir(), [])
        error = self.assertRaises(ConfigError, write_certificate, Path("absent"), made)
        self.assertIn("No such file or directory", str(error))

    def test_mistakesAreOneLine(self) -> None:
        for arguments, said in (
            (("--name", "game.example:7777"), "leave the port out"),
            (("--days", "0"), "'0' is not a whole number from 1 to 36500"),
            (("--days", "many"), "'many'"),
            (("here.pem",), "here.pem"),
        ):
            status, out, err = self.cert(*arguments)
            self.assertEqual((status, out, err.count("\n")), (1, "", 1))
            self.assertIn(said, err)
        self.assertEqual(os.listdir(), [])
