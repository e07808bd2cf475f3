"""What people and files say: addresses, the config file, chat and names."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import tempfile
from typing import TYPE_CHECKING, Final

from gamenet.addresses import is_loopback, join_address, parse_address, parse_listen
from gamenet.chat import farewell, pieces, shown
from gamenet.config import ServerConfig
from gamenet.core.text import (
    MAX_CHAT_CHARACTERS,
    checked_chat,
    checked_name,
    clean,
    name_key,
)
from gamenet.errors import ConfigError, DisconnectReason
from gamenet.events import Chat, Player
from tests.fuzz.harness import Cursor, Meter, Target, check, is_safe

if TYPE_CHECKING:
    from collections.abc import Iterable

HEX_DIGITS: Final = frozenset("0123456789abcdef")


def text_of(data: bytes) -> str:
    """Any text there is, lone surrogates included, and most of it as it looks in the file."""
    return data.decode("utf-8", "surrogateescape")


class AddressTarget(Target):
    """Where a client goes, as it is typed, linked to or pasted."""

    name = "address"
    max_bytes = 8_192

    def seeds(self) -> Iterable[bytes]:
        pin = "0123456789abcdef" * 4
        colons = ":".join(pin[at : at + 2] for at in range(0, 64, 2)).upper()
        for text in (
            "localhost", "localhost:1234", "127.0.0.1:1", "::1", "[::1]", "[::1]:1234",
            "[fe80::1%eth0]:7", "gamenet://play.example.org:7777/", " host:1 ", "host:", "[]:1",
            f"gamenet://host:7777#sha256={pin}", f"host#sha256={colons}", f"host#sha1={pin}",
            f"host/#sha256={pin}", "host#sha256=", "user@host", "http://host", "[::1", "host:٣",
            "host:0", "host:65536", "host:\u00b2", "a\u00a0b", "host\u200b", "host\x00", "\x1b[2J",
            "host:" + "9" * 5_000,
        ):  # fmt: skip
            yield text.encode()

    def run(self, data: bytes, meter: Meter) -> None:
        text = text_of(data)
        try:
            target = meter(parse_address, text)
        except ConfigError as error:
            check(error.field == "address", "another field", error.field)
            check(str(error).isprintable(), "an error that acts on a terminal", str(error))
            return
        check(target.host and 0 < target.port <= 65_535, "no address", target)
        check(not target.pin or len(target.pin) == 64, "a pin of another length", target)
        check(set(target.pin) <= HEX_DIGITS, "a pin of other digits", target)
        check(target.host.isprintable(), "a host that acts on a terminal", target)
        check(not set(target.host) & set(" /@[]"), "no host", target)
        check(str(target) == join_address(target.host, target.port), "other text", target)
        again = parse_address(str(target))
        check(again[:2] == target[:2], "an address that reads differently", target, again)
        if target.pin:
            whole = parse_address(f"gamenet://{target}#sha256={target.pin}")
            check(whole == target, "a pinned address that reads differently", target, whole)


class ListenTarget(Target):
    """Where a server listens, as its operator says it."""

    name = "listen"
    max_bytes = 8_192

    def seeds(self) -> Iterable[bytes]:
        for text in (
            "7777", "tcp:7777", "tcp:7777:interface=127.0.0.1", "7777:interface=\\:\\:1",
            "tcp6:0:interface=[::1]", "udp:1", "[::1]:7777", "127.0.0.1:7777", "localhost:1",
            "ssl:7777:privateKey=a.pem:certKey=b.pem", "tls:/etc/x", "systemd:domain=INET:index=0",
            "fd:3", "fd:", "unix:/tmp/x", "65536", "-1", "٣", "\u00b2", "tcp:", ":", "::1", "[", "",
            "9" * 5_000, "1:interface=fe80::1%eth0", "1:interface=::ffff:10.0.0.1",
            "[::%]:[[::]]:4", "1:interface=::1%\x1b[2J",
        ):  # fmt: skip
            yield text.encode()

    def run(self, data: bytes, meter: Meter) -> None:
        text = text_of(data)
        try:
            place = meter(parse_listen, text, "listen")
        except ConfigError as error:
            check(error.field == "listen", "another field", error.field)
            check(str(error).isprintable(), "an error that acts on a terminal", str(error))
            return
        check(is_safe(repr(place)) or place.endpoint, "a place that acts", place)
        check(0 <= place.port <= 65_535, "no port", place.port)
        if place.interface:
            is_loopback(place.interface)
            again = parse_listen(join_address(place.interface, place.port), "listen")
            same = (again.port, again.interface) == (place.port, place.interface)
            check(same, "a place that reads differently", text, again)


class ConfigTarget(Target):
    """A server's config file."""

    name = "config"
    max_bytes = 8_192
    # The operator's own: a thousand brackets go a thousand calls deep in tomllib, and a key of a
    # thousand parts takes the square of that.
    most_seconds = 0.5
    most_held = 4 << 20

    def seeds(self) -> Iterable[bytes]:
        for text in (
            'insecure = true\nlisten = 7777\ntick_rate = 30\n[game]\nmap = "hills"\n',
            'listen = "tcp:7777:interface=127.0.0.1"\ninsecure = true\nauth = ["memory:ada,bob"]\n',
            'cert_file = "a.pem"\nkey_file = "b.pem"\nduplicate = "takeover"\nrebind = "off"\n',
            "max_player = 3\n", "max_players = true\n", "max_players = 1e400\n",
            "tick_rate = nan\n", "tick_rate = inf\n", "join_seconds = -0.0\n",
            "dead_seconds = 1e308\n", f"max_players = {'9' * 300}\n", "messages = []\n",
            "options = {}\n", "[game]\n[game]\n", "game = 5\n", "auth = [1, 2]\n",
            'auth = "anonymous"\n', "listen = 1979-05-27\n",
            "udp = -1\n", 'game_name = "\\u00e9\\U0001F600"\n', 'game_name = "\\ud800"\n',
            "a.b.c.d = 1\n", "rekey_seconds = nan\n", "limit_loopback = true\r\n", "\ufeffx = 1\n",
            "x = " + "[" * 3_000 + "\n", f"max_players = {'9' * 5_000}\n",
            "a." * 300 + "a = 1\n", "x = '''\n" * 3,
            "scrypt_log2_n = 99\n", "window_bytes = 70000\nqueue_bytes = 70000\n",
        ):  # fmt: skip
            yield text.encode("utf-8", "surrogatepass")

    def run(self, data: bytes, meter: Meter) -> None:
        handle, path = tempfile.mkstemp(".toml", "gamenet-fuzz-", _quick_folder())
        try:
            with open(handle, "wb") as file:
                file.write(data)
            config = meter(ServerConfig.from_file, path)
        except ConfigError as error:
            str(error)
            return
        finally:
            os.unlink(path)
        again = dataclasses.replace(config)
        check(repr(again) == repr(config), "settings that refuse themselves", config)
        with contextlib.suppress(ConfigError):
            config.check_servable()


def _quick_folder() -> str | None:
    """Where a file needs no disk, if there is such a place."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


class ChatTarget(Target):
    """Chat, names and farewells on their way to a terminal or a log."""

    name = "chat"
    max_bytes = 2_400

    def seeds(self) -> Iterable[bytes]:
        for text in (
            "gg", "Grüße 👋", "\x1b[2Jhi", "\x9b2J", "a\u202eb", "\u200d", "\u200c \u200d",
            "e\u0301", "\r\n\t", "\u2028x\u2029", "x" * 501, "👨\u200d👩\u200d👧",
            "\u00adsoft", "\ufeff", "\uff41\uff44\uff41", "\ufb01", "ada.b-c_9", "ADA", "İ",
            "ß", "\u3000wide\u3000", "\x00", "\ud800", "\U000e0001",
        ):  # fmt: skip
            yield text.encode("utf-8", "surrogatepass")

    def run(self, data: bytes, meter: Meter) -> None:
        for text in {text_of(data), data.decode("utf-8", "replace"), data.decode("latin-1")}:
            self._chat(text, meter)
            self._name(text, meter)
            self._terminal(text, meter)

    def _chat(self, text: str, meter: Meter) -> None:
        cleaned = meter(clean, text)
        check(is_safe(cleaned), "a character that acts", ascii(cleaned))
        check(clean(cleaned) == cleaned, "cleaning that is never done", ascii(text))
        cleaned.encode()
        try:
            line = meter(checked_chat, text)
        except ValueError:
            return
        check(line == cleaned, "a line that is not what cleaning leaves", ascii(line))
        check(0 < len(line) <= MAX_CHAT_CHARACTERS, "a line of another length", len(line))
        check(checked_chat(line) == line, "a line that does not pass again", ascii(line))

    def _name(self, text: str, meter: Meter) -> None:
        key = meter(name_key, text)
        name = meter(checked_name, text)
        if name is None:
            return
        check(0 < len(name) <= 32 and name.isascii() and name.isprintable(), "no name", name)
        check(checked_name(name) == name, "a name that does not pass again", name)
        check(name_key(name) == key == name.lower(), "a name with two keys", name, key)

    def _terminal(self, text: str, meter: Meter) -> None:
        for part in meter(pieces, text):
            check(checked_chat(part) == part, "a piece that cannot be said", ascii(part))
        cursor = Cursor(text.encode("utf-8", "surrogateescape"))
        name = text_of(cursor.take(cursor.number()))
        line = meter(shown, Chat(Player(7, name, ""), text, False))
        check(line is not None and is_safe(line), "a line that acts on a terminal", line)
        line = meter(farewell, DisconnectReason.KICKED, text, None)
        check(line and is_safe(line), "a farewell that acts on a terminal", line)


TARGETS = (AddressTarget(), ListenTarget(), ConfigTarget(), ChatTarget())
