"""Where a server's players come in: what ``listen`` and its like stand for.

Layer 4. Runs on: the reactor thread.

Twisted's descriptions of endpoints are taken by their meaning: ``ssl:`` is a port with a
certificate of ours, so that it has TLS 1.3 only and can be read again like any other; ``systemd:``
and ``fd:`` are sockets that somebody else has opened; ``tls:`` has Twisted's folder that watches
itself.
"""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from twisted.internet.endpoints import quoteStringArgument, serverFromString

from gamenet.addresses import Place, parse_listen
from gamenet.errors import ConfigError, ListenFailed
from gamenet.keyfiles import KEY_MARK, check_private
from gamenet.tls import ServerContext
from gamenet.tls_folder import FolderContexts
from twisted import __version__ as TWISTED_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable

    from gamenet.config import ServerConfig

SSL_FORM: Final = "ssl:7777:privateKey=key.pem:certKey=cert.pem"
TLS_FORM: Final = "tls:FOLDER:port=7777"
SYSTEMD_FORM: Final = "systemd:domain=INET:index=0"


class Entrance(NamedTuple):
    """A place to listen, and what it takes to speak TLS there."""

    place: Place
    """Port and interface; not used where there is a descriptor."""
    creator: Any = None
    """What makes TLS connections; None for plain TCP."""
    context: ServerContext | None = None
    """The same, where it is ours and can be read again."""
    descriptor: Callable[[], int] | None = None
    """Gives the number of a socket that is open already.

    :raises ListenFailed: if there is none.
    """
    udp_descriptor: Callable[[], int] | None = None
    """The same for UDP."""


def entrance(config: ServerConfig, reactor: Any) -> Entrance:
    """What the settings stand for, with its files read.

    :raises ConfigError: naming the field and what is wrong.
    """
    config.check_servable()
    udp = None if config.udp is None else parse_listen(config.udp, "udp")
    descriptor = None if udp is None else _descriptor(udp, "udp", reactor)
    return _for_tcp(config, reactor)._replace(udp_descriptor=descriptor)


def _for_tcp(config: ServerConfig, reactor: Any) -> Entrance:
    place = parse_listen(config.listen, "listen")
    kind = place.endpoint.partition(":")[0]
    if kind == "ssl":
        return _ssl(place.endpoint)
    if kind == "tls":
        return _tls(place.endpoint, reactor)
    context = ServerContext(config.cert_file, config.key_file) if config.cert_file else None
    return Entrance(place, context, context, _descriptor(place, "listen", reactor))


def _descriptor(place: Place, field: str, reactor: Any) -> Callable[[], int] | None:
    """What finds the socket of a place that somebody else has opened; None for other places."""
    kind, _, rest = place.endpoint.partition(":")
    if kind == "fd":
        return partial(int, _number(rest, "a descriptor", "fd:3", field))
    return _systemd(place.endpoint, reactor) if kind == "systemd" else None


def split(description: str) -> tuple[list[str], dict[str, str]]:
    """The parts of a description of an endpoint, without its type: by place, and by name.

    A backslash takes the meaning from the character behind it.
    """
    parts: list[tuple[str | None, str]] = []
    name, text, skip = None, "", False
    for character in description.partition(":")[2] + ":":
        if skip:
            text, skip = text + character, False
        elif character == "\\":
            skip = True
        elif character == ":":
            parts.append((name, text))
            name, text = None, ""
        elif character == "=" and name is None:
            name, text = text, ""
        else:
            text += character
    return (
        [text for name, text in parts if name is None],
        {name: text for name, text in parts if name is not None},
    )


def _number(text: str, what: str, form: str, field: str = "listen") -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= 65_535):
        raise ConfigError(field, f"{text!r} is not the number of {what}; write {form}")
    return int(text)


def _take(description: str, names: tuple[str, ...], form: str) -> dict[str, str]:
    """The arguments of a description by name; the first of *names* are those given by place."""
    placed, named = split(description)
    unknown = sorted(set(named) - set(names))
    if unknown or len(placed) > len(names):
        wrong = unknown[0] if unknown else placed[-1]
        raise ConfigError("listen", f"{description!r}: {wrong!r} has no meaning here; write {form}")
    return {**named, **dict(zip(names, placed, strict=False))}


def _place(given: dict[str, str], form: str) -> Place:
    port = _number(given.get("port", ""), "a port", form)
    interface = given.get("interface", "")
    return parse_listen(f"{port}:interface={interface}" if interface else port, "listen")


def _ssl(description: str) -> Entrance:
    names = ("port", "privateKey", "certKey", "interface", "backlog", "extraCertChain")
    given = _take(description, names, SSL_FORM)
    place = _place(given, SSL_FORM)
    # As Twisted has it: one file may hold both.
    key = given.get("privateKey", "server.pem")
    context = ServerContext(given.get("certKey") or key, key, given.get("extraCertChain", ""))
    return Entrance(place, context, context)


def _tls(description: str, reactor: Any) -> Entrance:
    given = _take(description, ("path", "port", "backlog", "interface"), TLS_FORM)
    given.setdefault("port", "443")
    place = _place(given, TLS_FORM)
    folder = given.get("path", "")
    try:
        creator = getattr(_parsed(description, reactor), "connectionCreator", None)
        lookup = getattr(creator, "_contextLookup", None)
    except ValueError as error:
        if not str(error).startswith("Unknown endpoint type"):
            raise ConfigError("listen", f"{folder!r} cannot be used: {error}") from None
        raise ConfigError(
            "listen",
            f"tls: needs Twisted 26.4 or newer, and this is {TWISTED_VERSION}; use "
            "--cert and --key, or ssl:",
        ) from None
    except Exception as error:
        # Whatever OpenSSL or the file system has against what is in the folder.
        raise ConfigError("listen", f"{folder!r} cannot be used: {_words(error)}") from None
    _check_folder(folder)
    if lookup is None:
        raise ConfigError(
            "listen",
            f"gamenet does not know the tls: of Twisted {TWISTED_VERSION}; use --cert and --key",
        )
    return Entrance(place, FolderContexts(lookup))


def _parsed(description: str, reactor: Any) -> Any:
    """The endpoint that Twisted has for a description, with attributes that are its own."""
    return serverFromString(reactor, description)


def _words(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _check_folder(folder: str) -> None:
    """See that there are keys in the folder of ``tls:``, and that nobody else can read them."""
    keys = 0
    try:
        for path, _, files in os.walk(folder, onerror=_raise):
            for name in sorted(files):
                if name.endswith(".pem"):
                    with open(os.path.join(path, name), "rb") as file:
                        if KEY_MARK in file.read():
                            keys += 1
                            check_private(os.fstat(file.fileno()), file.name, "listen")
    except OSError as error:
        raise ConfigError("listen", f"cannot read {folder!r}: {error.strerror}") from None
    if not keys:
        raise ConfigError(
            "listen", f"no file *.pem in {folder!r} holds a private key; see {TLS_FORM}"
        )


def _raise(error: OSError) -> None:
    raise error


def _systemd(description: str, reactor: Any) -> Callable[[], int]:
    """The socket that systemd has opened, found by Twisted, which read its variables at import.

    Twisted knows it for a stream, which is all the same here: it is only asked for the number.
    """
    long = _in_full(description)

    def find() -> int:
        try:
            return int(_parsed(long, reactor).fileno)
        except (LookupError, ValueError, TypeError, AttributeError) as error:
            cause = (
                "systemd has not handed over that socket (LISTEN_FDS, LISTEN_FDNAMES); start the "
                "server through its socket unit, which names or numbers what it opens"
                if isinstance(error, LookupError)
                else f"{_words(error)}; write {SYSTEMD_FORM}"
            )
            raise ListenFailed(f"{description}: {cause}") from None

    return find


def _in_full(description: str) -> str:
    """What ``systemd:1`` and ``systemd:NAME`` are short for."""
    short = description.partition(":")[2]
    if not short or "=" in short or ":" in short:
        return description
    if short.isascii() and short.isdigit():
        return f"systemd:domain=INET:index={short}"
    return f"systemd:domain=INET:name={quoteStringArgument(short)}"
