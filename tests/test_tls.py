"""Whom a server says it is and whom a client believes, over connections in memory."""

from __future__ import annotations

import os
import ssl
import tempfile
from pathlib import Path
from typing import Any
from unittest.mock import patch

from OpenSSL import SSL
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHandshakeListener, IOpenSSLServerConnectionCreator
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from gamenet import authorities
from gamenet.authorities import new_context
from gamenet.certificates import make_certificate
from gamenet.errors import ConfigError
from gamenet.keyfiles import read_identity
from gamenet.tls import (
    ClientCreator,
    ServerContext,
    client_creator,
    explain,
    wrap_client,
    wrap_server,
)
from gamenet.tls_problems import HUNG_UP, NOT_TLS, OLD_TLS
from tests.certificates import DAY, Authority, early, expired, write
from tests.fakes import Machine, Network

SERVER = ("10.0.0.1", 7777)
NAME = "game.example"
MADE = make_certificate([NAME, "10.0.0.1", "::1"])
AUTHORITY = Authority()


@implementer(IHandshakeListener)
class Talk(Protocol):
    """Notes what happens to it."""

    def __init__(self) -> None:
        self.heard = b""
        self.trusted = False
        self.lost: Failure | None = None

    def dataReceived(self, data: bytes) -> None:
        self.heard += data

    def handshakeCompleted(self) -> None:
        self.trusted = True

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008
        self.lost = reason


class Talks(Factory):
    """Makes them, and keeps them."""

    noisy = False

    def __init__(self, kind: Any = Talk) -> None:
        self._kind = kind
        self.made: list[Any] = []

    def buildProtocol(self, addr: Any) -> Any:
        if self._kind is None:
            return None
        talk = self._kind()
        self.made.append(talk)
        return talk


def answers(data: bytes) -> Any:
    """A server that says *data* to whatever it hears."""

    class Answer(Talk):
        def dataReceived(self, heard: bytes) -> None:
            assert self.transport is not None
            self.transport.write(data)

    return Answer


class Aborts(Talk):
    """What a server without TLS makes of a beginning of TLS."""

    def dataReceived(self, data: bytes) -> None:
        self.transport.abortConnection()  # type: ignore[union-attr]


class Leaves(Talk):
    """A server with better things to do."""

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.loseConnection()


@implementer(IOpenSSLServerConnectionCreator)
class OlderServer:
    """Speaks TLS 1.2 and nothing newer."""

    def __init__(self, files: Any) -> None:
        identity = read_identity(files.cert, files.key)
        self._context = SSL.Context(SSL.TLS_METHOD)
        self._context.set_max_proto_version(SSL.TLS1_2_VERSION)
        self._context.use_certificate(identity.chain[0])
        self._context.use_privatekey(identity.key)

    def serverConnectionForTLS(self, protocol: Any) -> SSL.Connection:
        return SSL.Connection(self._context, None)


class Meeting:
    """A client that has connected to a server."""

    def __init__(self, server: Any, creator: ClientCreator) -> None:
        self.network = Network()
        Machine(self.network).listenTCP(SERVER[1], server)
        self.factory = Talks()
        self.transport = Machine(self.network, "10.0.0.2").connect(
            wrap_client(creator, self.factory), SERVER
        )
        self.network.settle()
        self.client: Talk = self.factory.made[0]

    def problem(self) -> str | None:
        """What the client has to say about the end of the connection; None while it stands."""
        lost = self.client.lost
        if lost is None:
            return None
        text = explain(lost)
        assert text is not None, lost
        return text


class TlsTestCase(SynchronousTestCase):
    """Has a folder for files."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def context(self, made: Any = MADE, name: str = "server") -> ServerContext:
        return ServerContext(*write(self.folder, made, name))

    def file(self, data: bytes, name: str = "file.pem") -> str:
        path = self.folder / name
        path.write_bytes(data)
        return os.fspath(path)


class TrustTests(TlsTestCase):
    """Certificates that a client accepts."""

    def assertTalks(self, meeting: Meeting, server: Talks) -> None:
        self.assertIsNone(meeting.problem())
        self.assertTrue(meeting.client.trusted)
        meeting.client.transport.write(b"a secret word")  # type: ignore[union-attr]
        meeting.network.settle()
        self.assertEqual(server.made[0].heard, b"a secret word")
        assert meeting.transport is not None
        self.assertNotIn(b"secret", meeting.transport.written)
        handle = meeting.client.transport.getHandle()  # type: ignore[union-attr]
        self.assertEqual(handle.get_protocol_version_name(), "TLSv1.3")

    def test_pinnedCertificateWhateverElseIsWrongWithIt(self) -> None:
        old = expired("somebody.else")
        for made in (MADE, old):
            server = Talks()
            meeting = Meeting(
                wrap_server(CarelessContext(self, made), server),
                client_creator(NAME, pin=made.fingerprint),
            )
            self.assertTalks(meeting, server)

    def test_pinnedCertificateOfAnAuthority(self) -> None:
        made = AUTHORITY.vouch(NAME)
        server = Talks()
        meeting = Meeting(
            wrap_server(self.context(made), server),
            client_creator("10.0.0.1", pin=made.fingerprint),
        )
        self.assertTalks(meeting, server)

    def test_authorityInAFile(self) -> None:
        ca_file = self.file(AUTHORITY.pem)
        context = self.context(AUTHORITY.vouch(NAME))
        for name in (NAME, "GAME.example", "game.example."):
            server = Talks()
            meeting = Meeting(wrap_server(context, server), client_creator(name, ca_file=ca_file))
            self.assertTalks(meeting, server)

    def test_selfSignedCertificateAsTheAuthority(self) -> None:
        ca_file = self.file(MADE.certificate)
        for host in (NAME, "10.0.0.1", "::1"):
            server = Talks()
            meeting = Meeting(
                wrap_server(self.context(), server), client_creator(host, ca_file=ca_file)
            )
            self.assertTalks(meeting, server)

    def test_authoritiesOfTheSystem(self) -> None:
        ca_file = self.file(AUTHORITY.pem)
        self.addCleanup(authorities._read.cache_clear)
        context = self.context(AUTHORITY.vouch(NAME))
        pythons = ssl.get_default_verify_paths()
        for openssl, python in (
            ({"SSL_CERT_FILE": ca_file}, pythons._replace(cafile=None)),
            ({}, pythons._replace(cafile=ca_file)),
            ({}, pythons._replace(cafile="/nowhere")),
        ):
            authorities._read.cache_clear()
            server = Talks()
            with (
                patch.dict(os.environ, openssl),
                patch.object(ssl, "get_default_verify_paths", return_value=python),
            ):
                meeting = Meeting(wrap_server(context, server), client_creator(NAME))
            if python.cafile == "/nowhere":
                self.assertIn("does not know the authority", meeting.problem() or "")
            else:
                self.assertTalks(meeting, server)

    def test_authoritiesOfWindows(self) -> None:
        der = ssl.PEM_cert_to_DER_cert(AUTHORITY.pem.decode())
        context = new_context()
        found = [(b"not a certificate", "pkcs_7_asn", True), (der, "x509_asn", True)]
        with patch.object(ssl, "enum_certificates", lambda store: found, create=True):
            authorities._trust_system(context)
        creator = client_creator(NAME)
        creator._context = context
        server = Talks()
        meeting = Meeting(wrap_server(self.context(AUTHORITY.vouch(NAME)), server), creator)
        self.assertTalks(meeting, server)

    def test_changedFileOfAuthoritiesIsReadAgain(self) -> None:
        ca_file = self.file(Authority().pem)
        context = self.context(AUTHORITY.vouch(NAME))
        first = Meeting(wrap_server(context, Talks()), client_creator(NAME, ca_file=ca_file))
        self.assertIn("does not know the authority", first.problem() or "")
        self.file(AUTHORITY.pem + MADE.certificate)
        second = Meeting(wrap_server(context, Talks()), client_creator(NAME, ca_file=ca_file))
        self.assertIsNone(second.problem())

    def test_serverNameIsSentForNamesOnly(self) -> None:
        for host, sent in ((NAME, NAME.encode()), ("10.0.0.1", None), ("fe80::1%eth0", None)):
            creator = client_creator(host, pin=MADE.fingerprint)
            server = Talks()
            meeting = Meeting(wrap_server(self.context(), server), creator)
            self.assertIsNone(meeting.problem())
            self.assertEqual(server.made[0].transport.getHandle().get_servername(), sent)

    def test_internationalNames(self) -> None:
        server = Talks()
        Meeting(
            wrap_server(self.context(), server), client_creator("spiel.köln", pin=MADE.fingerprint)
        )
        handle = server.made[0].transport.getHandle()
        self.assertEqual(handle.get_servername(), b"spiel.xn--kln-sna")


class CarelessContext(ServerContext):
    """A server that does not look at its certificate's dates."""

    def __init__(self, case: TlsTestCase, made: Any) -> None:
        with patch("gamenet.keyfiles.datetime") as clock:
            from cryptography.x509 import load_pem_x509_certificate

            clock.now.return_value = (
                load_pem_x509_certificate(made.certificate).not_valid_before_utc + DAY / 2
            )
            super().__init__(*write(case.folder, made, "unchecked"))


class DistrustTests(TlsTestCase):
    """Servers that a client turns away from, each with a sentence of its own."""

    def refusal(self, server: Any, creator: ClientCreator) -> str:
        meeting = Meeting(server, creator)
        text = meeting.problem()
        assert text is not None, "it was believed"
        self.assertFalse(meeting.client.trusted)
        self.assertEqual(meeting.client.heard, b"")
        return text

    def refused(self, made: Any, creator: ClientCreator) -> str:
        server = Talks()
        text = self.refusal(wrap_server(CarelessContext(self, made), server), creator)
        self.assertEqual(server.made[0].heard, b"")
        return text

    def trusting(self, host: str = NAME) -> ClientCreator:
        return client_creator(host, ca_file=self.file(AUTHORITY.pem))

    def test_wrongPinShowsBoth(self) -> None:
        text = self.refused(MADE, client_creator(NAME, pin="ab" * 32))
        self.assertIn("not the pinned one", text)
        self.assertIn(f"Expected sha256={'ab' * 32}", text)
        self.assertIn(f"presented sha256={MADE.fingerprint}", text)

    def test_pinOfTheAuthorityIsNotThePinOfTheServer(self) -> None:
        made = AUTHORITY.vouch(NAME)
        from gamenet.tls import fingerprint_of

        pin = fingerprint_of(AUTHORITY.certificate)
        self.assertIn("not the pinned one", self.refused(made, client_creator(NAME, pin=pin)))

    def test_selfSigned(self) -> None:
        text = self.refused(MADE, self.trusting())
        self.assertIn("nobody but the server itself", text)
        self.assertIn(f"sha256={MADE.fingerprint}", text)

    def test_unknownAuthority(self) -> None:
        text = self.refused(Authority("a stranger").vouch(NAME), self.trusting())
        self.assertIn("does not know the authority", text)
        self.assertIn("--ca FILE", text)

    def test_authorityOfTheSystemOnly(self) -> None:
        text = self.refused(AUTHORITY.vouch(NAME), client_creator(NAME))
        self.assertIn("does not know the authority", text)

    def test_wrongName(self) -> None:
        text = self.refused(AUTHORITY.vouch("other.example"), self.trusting())
        self.assertIn("is not for game.example", text)

    def test_wrongAddress(self) -> None:
        creator = client_creator("10.0.0.9", ca_file=self.file(MADE.certificate, "self.pem"))
        self.assertIn("is not for 10.0.0.9", self.refused(MADE, creator))

    def test_nameIsNoAddressAndAddressNoName(self) -> None:
        made = AUTHORITY.vouch(NAME)
        self.assertIn("is not for 10.0.0.1", self.refused(made, self.trusting("10.0.0.1")))

    def test_expired(self) -> None:
        made = AUTHORITY.vouch(NAME, end=-DAY)
        text = self.refused(made, self.trusting())
        self.assertRegex(text, r"the server's certificate expired on \d{4}-\d\d-\d\d")

    def test_notYetValid(self) -> None:
        made = AUTHORITY.vouch(NAME, begin=DAY, end=3 * DAY)
        text = self.refused(made, self.trusting())
        self.assertRegex(text, r"is not valid before \d{4}-\d\d-\d\d; see whether this machine's")

    def test_onlyOlderTls(self) -> None:
        server = wrap_server(OlderServer(write(self.folder, MADE)), Talks())
        text = self.refusal(server, client_creator(NAME, pin=MADE.fingerprint))
        self.assertEqual(text, OLD_TLS)

    def test_somethingElseAnswers(self) -> None:
        for data in (
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            b"SSH-2.0-x\r\n",
            bytes(50),
            b"\xff" * 50,
        ):
            text = self.refusal(Talks(answers(data)), client_creator(NAME, pin=MADE.fingerprint))
            self.assertEqual(text, NOT_TLS)

    def test_serverWithoutTlsHangsUp(self) -> None:
        for kind in (Aborts, Leaves, None):
            text = self.refusal(Talks(kind), client_creator(NAME, pin=MADE.fingerprint))
            self.assertEqual(text, HUNG_UP)
            self.assertIn("--insecure", text)

    def test_serverThatRefusesConnectionsOverTls(self) -> None:
        server = wrap_server(self.context(), Talks(None))
        text = self.refusal(server, client_creator(NAME, pin=MADE.fingerprint))
        self.assertEqual(text, HUNG_UP)

    def test_defectInCheckingIsNoTrust(self) -> None:
        creator = client_creator(NAME, pin=MADE.fingerprint)
        with patch.object(ClientCreator, "_problem", side_effect=ZeroDivisionError):
            text = self.refused(MADE, creator)
        self.assertIn("cannot be read: ZeroDivisionError", text)

    def test_sentencesAreAllDifferent(self) -> None:
        trusting = self.trusting()
        texts = [
            self.refused(MADE, client_creator(NAME, pin="ab" * 32)),
            self.refused(MADE, trusting),
            self.refused(Authority().vouch(NAME), trusting),
            self.refused(AUTHORITY.vouch("other.example"), trusting),
            self.refused(AUTHORITY.vouch(NAME, end=-DAY), trusting),
            self.refused(AUTHORITY.vouch(NAME, begin=DAY, end=3 * DAY), trusting),
            OLD_TLS,
            NOT_TLS,
            HUNG_UP,
        ]
        self.assertEqual(len(set(texts)), len(texts))
        for text in texts:
            self.assertNotIn("\n", text)

    def test_plainEndsAreNotExplained(self) -> None:
        for error in (ConnectionDone(), ConnectionLost(), ConnectionAborted(), ValueError("x")):
            self.assertIsNone(explain(Failure(error)))

    def test_endAfterTheHandshakeIsNotAboutTls(self) -> None:
        server = Talks()
        meeting = Meeting(
            wrap_server(self.context(), server), client_creator(NAME, pin=MADE.fingerprint)
        )
        server.made[0].transport.abortConnection()
        meeting.network.settle()
        assert meeting.client.lost is not None
        self.assertIsNone(explain(meeting.client.lost))

    def test_otherFailuresOfOpenSsl(self) -> None:
        error = SSL.Error([("SSL routines", "", "decryption failed")])
        self.assertEqual(
            explain(Failure(error)), "the encrypted connection failed: decryption failed"
        )
        self.assertEqual(
            explain(Failure(SSL.Error([]))),
            "the encrypted connection failed: it was closed without a word",
        )
        self.assertIn(
            "unexpected eof", explain(Failure(SSL.SysCallError(-1, "Unexpected EOF"))) or ""
        )


class ClientSettingsTests(TlsTestCase):
    """What a client is told that cannot be."""

    def test_missingFileOfAuthorities(self) -> None:
        with self.assertRaises(ConfigError) as caught:
            client_creator(NAME, ca_file="/nowhere/ca.pem")
        self.assertEqual(caught.exception.field, "ca_file")
        self.assertIn("cannot read /nowhere/ca.pem: No such file", str(caught.exception))

    def test_fileOfAuthoritiesWithoutCertificates(self) -> None:
        for data in (b"", b"words", MADE.key):
            with self.assertRaises(ConfigError) as caught:
                client_creator(NAME, ca_file=self.file(data))
            self.assertIn("holds no certificate", str(caught.exception))

    def test_aDirectoryIsNoFileOfAuthorities(self) -> None:
        with self.assertRaises(ConfigError) as caught:
            client_creator(NAME, ca_file=os.curdir)
        self.assertIn(". is a directory; name one file with the", str(caught.exception))

    def test_hostThatIsNoName(self) -> None:
        with self.assertRaises(ConfigError) as caught:
            client_creator("b\u00fc\u0000cher.example")
        self.assertEqual(caught.exception.field, "address")


class ServerContextTests(TlsTestCase):
    """A server's certificate and key, and what is wrong with them."""

    def refused(self, cert: str, key: str) -> ConfigError:
        with self.assertRaises(ConfigError) as caught:
            ServerContext(cert, key)
        self.assertNotIn("BEGIN", str(caught.exception))
        self.assertIsNone(caught.exception.__cause__)
        return caught.exception

    def test_fingerprint(self) -> None:
        context = self.context()
        self.assertEqual(context.fingerprint, MADE.fingerprint)
        der = ssl.PEM_cert_to_DER_cert(MADE.certificate.decode())
        from hashlib import sha256

        self.assertEqual(context.fingerprint, sha256(der).hexdigest())

    def test_selfSignedOrNot(self) -> None:
        self.assertTrue(self.context().is_self_signed)
        self.assertFalse(self.context(AUTHORITY.vouch(NAME)).is_self_signed)

    def test_chainIsSent(self) -> None:
        meeting = Meeting(
            wrap_server(self.context(AUTHORITY.vouch(NAME)), Talks()),
            client_creator(NAME, ca_file=self.file(AUTHORITY.pem)),
        )
        handle = meeting.client.transport.getHandle()  # type: ignore[union-attr]
        self.assertEqual(len(handle.get_peer_cert_chain()), 2)

    def test_wrongFiles(self) -> None:
        files = write(self.folder, MADE)
        other = write(self.folder, make_certificate([NAME]), "other")
        locked = self.file(locked_key(), "locked.pem")
        os.chmod(locked, 0o600)
        text = self.file(b"words", "words.pem")
        os.chmod(text, 0o600)
        large = self.file(MADE.certificate + bytes(1 << 20), "large.pem")
        old, new = expired(NAME), early(NAME)
        texts = set()
        for cert, key, field, expected in (
            ("/nowhere", files.key, "cert_file", "cannot read /nowhere: No such file"),
            (files.cert, "/nowhere", "key_file", "cannot read /nowhere: No such file"),
            (os.fspath(self.folder), files.key, "cert_file", "Is a directory"),
            (text, files.key, "cert_file", "holds no certificate in PEM form"),
            (files.key, files.key, "cert_file", "holds no certificate in PEM form"),
            (files.cert, text, "key_file", "holds no private key in PEM form"),
            (files.cert, locked, "key_file", "is locked with a passphrase"),
            (files.cert, other.key, "key_file", "is not the key of the certificate in"),
            (large, files.key, "cert_file", "is too large"),
            (write(self.folder, old, "old").cert, files.key, "cert_file", "expired on"),
            (write(self.folder, new, "new").cert, files.key, "cert_file", "is not valid before"),
        ):
            error = self.refused(cert, key)
            self.assertEqual(error.field, field)
            self.assertIn(expected, str(error))
            texts.add(str(error))
        self.assertEqual(len(texts), 11)

    def test_kindOfKeyThatTls13DoesNotHave(self) -> None:
        made = weak_certificate()
        error = self.refused(*write(self.folder, made))
        self.assertEqual(error.field, "cert_file")
        self.assertIn("cannot be used for TLS 1.3: ee key too small", str(error))

    def test_keyThatOthersCanRead(self) -> None:
        files = write(self.folder, MADE)
        for mode in (0o644, 0o604, 0o602, 0o660, 0o601):
            os.chmod(files.key, mode)
            error = self.refused(*files)
            self.assertEqual(error.field, "key_file")
            self.assertIn(f"chmod 600 {files.key}", str(error))
        for mode in (0o600, 0o400):
            os.chmod(files.key, mode)
            ServerContext(*files)

    def test_groupMayReadWhatBelongsToRoot(self) -> None:
        from gamenet.keyfiles import check_private

        def found(mode: int, owner: int) -> os.stat_result:
            return os.stat_result((mode, 0, 0, 1, owner, 0, 0, 0, 0, 0))

        check_private(found(0o100640, 0), "k", "key_file")
        for mode, owner in ((0o100640, 1000), (0o100660, 0), (0o100644, 0)):
            with self.assertRaises(ConfigError):
                check_private(found(mode, owner), "k", "key_file")

    def test_reload(self) -> None:
        files = write(self.folder, MADE)
        context = ServerContext(*files)
        server = wrap_server(context, Talks())
        old = client_creator(NAME, pin=MADE.fingerprint)
        before = Meeting(server, old)
        made = make_certificate([NAME])
        write(self.folder, made)
        context.reload()
        self.assertEqual(context.fingerprint, made.fingerprint)
        self.assertIsNone(Meeting(server, client_creator(NAME, pin=made.fingerprint)).problem())
        self.assertIn("not the pinned one", Meeting(server, old).problem() or "")
        before.client.transport.write(b"still here")  # type: ignore[union-attr]
        before.network.settle()
        self.assertIsNone(before.problem())

    def test_badReloadKeepsTheOld(self) -> None:
        files = write(self.folder, MADE)
        context = ServerContext(*files)
        server = wrap_server(context, Talks())
        Path(files.cert).write_bytes(make_certificate([NAME]).certificate)
        for _ in range(2):
            with self.assertRaises(ConfigError):
                context.reload()
        self.assertEqual(context.fingerprint, MADE.fingerprint)
        self.assertIsNone(Meeting(server, client_creator(NAME, pin=MADE.fingerprint)).problem())

    def test_secretsDoNotShow(self) -> None:
        identity = read_identity(*write(self.folder, MADE))
        for shown in (repr(identity), repr(MADE), repr(self.context())):
            self.assertNotIn("PRIVATE", shown)
            self.assertNotIn("PrivateKey", shown)


class WireTests(TlsTestCase):
    """What goes over the wire, and when."""

    def test_clientWithOlderTlsOnlyIsRefused(self) -> None:
        context = SSL.Context(SSL.TLS_METHOD)
        context.set_max_proto_version(SSL.TLS1_2_VERSION)
        creator = client_creator(NAME, pin=MADE.fingerprint)
        creator._context = context
        server = Talks()
        meeting = Meeting(wrap_server(self.context(), server), creator)
        self.assertEqual(meeting.problem(), OLD_TLS)
        self.assertIsNotNone(server.made[0].lost)

    def test_writesGoOutAtOnce(self) -> None:
        server = Talks()
        meeting = Meeting(
            wrap_server(self.context(), server), client_creator(NAME, pin=MADE.fingerprint)
        )
        assert meeting.transport is not None
        for end, talk in (
            (meeting.transport, meeting.client),
            (meeting.transport.peer, server.made[0]),
        ):
            before = len(end.written)
            talk.transport.write(b"now")  # type: ignore[union-attr]
            self.assertGreater(len(end.written), before)

    def test_buffersAreReleased(self) -> None:
        context = new_context()
        self.assertTrue(context.set_mode(0) & SSL.MODE_RELEASE_BUFFERS)

    def test_noClientIsAskedForACertificate(self) -> None:
        server = Talks()
        Meeting(wrap_server(self.context(), server), client_creator(NAME, pin=MADE.fingerprint))
        self.assertIsNone(server.made[0].transport.getHandle().get_peer_certificate())


def locked_key() -> bytes:
    """A private key with a passphrase."""
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        Encoding,
        PrivateFormat,
        load_pem_private_key,
    )

    key = load_pem_private_key(MADE.key, None)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"word"))


def weak_certificate() -> Any:
    """One whose key OpenSSL finds too short."""
    from cryptography.hazmat.primitives.asymmetric import rsa

    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    with patch("gamenet.certificates.ec.generate_private_key", return_value=weak):
        return make_certificate([NAME])
