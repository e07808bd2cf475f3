"""Typed messages: structs that both ends declare once, and the codec that carries them.

Layer 0. Runs on: any thread.

A message class is a msgspec struct, sent as a tagged array with no unknown fields. The hash of all
declared classes is compared when a client joins, so two different builds of a game refuse each
other instead of misreading each other.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias, Union

import msgspec

from gamenet.errors import ConfigError, LocalProtocolError, WireError

if TYPE_CHECKING:
    from collections.abc import Sequence


class Message(
    msgspec.Struct, array_like=True, tag=True, forbid_unknown_fields=True, omit_defaults=False
):
    """Base of typed messages: ``class Move(gamenet.Message): dx: gamenet.Unit``.

    The tag on the wire is the class name; ``class Move(Message, tag=1)`` makes it a number.
    Annotate with bounds wherever a cheater could lie; a bounded float also refuses NaN.
    """


Payload: TypeAlias = bytes | Message
"""What a game sends: raw bytes or a declared message."""

Unit: TypeAlias = Annotated[float, msgspec.Meta(ge=-1.0, le=1.0)]
"""A float from -1 to 1, such as a stick's axis. NaN and infinities are refused."""
Fraction: TypeAlias = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
"""A float from 0 to 1, such as health. NaN and infinities are refused."""
Degrees: TypeAlias = Annotated[float, msgspec.Meta(ge=-360.0, le=360.0)]
"""An angle from -360 to 360. NaN and infinities are refused."""

NO_SCHEMA: Final = bytes(8)
"""The schema hash of a side that declares no messages: not compared."""


class Codec:
    """Encodes and decodes the declared messages of one game.

    :param messages: the message classes, in any order.
    :raises ConfigError: for a class that is no :class:`Message`, or tags that clash or are mixed.
    """

    __slots__ = ("_decoder", "_encode", "_types", "schema_hash")

    def __init__(self, messages: Sequence[type[Message]] = ()) -> None:
        kinds: Sequence[object] = messages
        for kind in kinds:
            if not isinstance(kind, type) or not issubclass(kind, Message):
                raise ConfigError("messages", f"{kind!r} is not a subclass of gamenet.Message")
        self._types = frozenset(messages)
        self._encode = msgspec.msgpack.Encoder().encode
        self._decoder: msgspec.msgpack.Decoder[Message] | None = None
        self.schema_hash = NO_SCHEMA
        if messages:
            try:
                union: Any = Union[tuple(messages)]  # noqa: UP007 - a union of what is in a list
                self._decoder = msgspec.msgpack.Decoder(union)
                text = describe(messages)
            except (TypeError, NameError) as error:
                raise ConfigError("messages", str(error)) from None
            self.schema_hash = hashlib.sha256(text.encode()).digest()[:8]

    def encode(self, message: Message) -> bytes:
        """The bytes of *message*.

        :raises ConfigError: if its class was not declared, naming the fix.
        :raises LocalProtocolError: if a value breaks what the class declares of it.
        """
        if type(message) not in self._types:
            raise ConfigError(
                "messages",
                f"{type(message).__name__} is not declared; add it to messages=[...] on both sides",
            )
        try:
            data = self._encode(message)
            if self._decoder is not None:
                # msgspec checks what it reads and not what it writes; better here than at a peer,
                # who would take us for a cheat. It costs a tenth of a microsecond.
                self._decoder.decode(data)
        except Exception as error:
            raise LocalProtocolError(
                f"this {type(message).__name__} cannot be sent: {error}"
            ) from error
        return data

    def decode(self, data: bytes) -> Payload:
        """The message in *data*, validated.

        Where no messages are declared at all (a chat client, bots, a proxy), the bytes as they
        came: such a side joins any game and cannot tell its messages apart.

        :raises WireError: for anything that is not exactly one declared message.
        """
        if self._decoder is None:
            return data
        try:
            return self._decoder.decode(data)
        except Exception as error:
            # Whatever it is, a peer's bytes caused it; the game's own __post_init__ runs in here.
            raise WireError(f"undecodable message: {error!r}") from None


def describe(messages: Sequence[type[Message]]) -> str:
    """A canonical text of the declared classes, the same for the same declarations anywhere."""
    lines = []
    for kind in messages:
        info = msgspec.inspect.type_info(kind)
        lines.append(_describe(info, frozenset()))
    return "\n".join(sorted(lines))


def _describe(node: object, seen: frozenset[type]) -> str:
    """One node of msgspec's type description, by what decides how bytes are read.

    Documentation, unset options and default values are left out: nothing is omitted on the wire.
    """
    if isinstance(node, msgspec.inspect.Metadata):
        return _describe(node.type, seen)
    if isinstance(node, msgspec.inspect.EnumType):
        return f"EnumType({sorted(repr(member.value) for member in node.cls)})"
    if isinstance(node, msgspec.Struct):
        owner = getattr(node, "cls", None)
        if isinstance(owner, type):
            if owner in seen:
                return owner.__name__
            seen = seen | {owner}
        parts = []
        for name in node.__struct_fields__:
            value = getattr(node, name)
            if name in ("default", "default_factory"):
                continue
            if name == "cls":
                value = value.__name__ if isinstance(value, type) else None
            if value is None or value is False:
                continue
            parts.append(f"{name}={_describe(value, seen)}")
        return f"{type(node).__name__}({','.join(parts)})"
    if isinstance(node, tuple | list):
        return f"[{','.join(_describe(item, seen) for item in node)}]"
    if callable(node):
        return getattr(node, "__name__", "callable")
    return repr(node)
