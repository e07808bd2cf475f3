"""What the verbs of both sides share: the way to the reactor thread, and encoding.

Layer 3. Runs on: any thread; the same verbs serve a game thread behind a bridge and a game on the
reactor thread itself.

A verb raises only for the caller's own mistake. What has become impossible since, because a
player just left, is a counted no-op.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from gamenet.core import frames
from gamenet.core.wire import IS_MESSAGE, MAX_STATE_BYTES, MAX_UNRELIABLE_BYTES, MessageType
from gamenet.errors import BridgeClosed, LocalProtocolError, MessageTooLarge
from gamenet.messages import Message, Payload

if TYPE_CHECKING:
    from collections.abc import Callable

    from gamenet.host import Host


class Channel(NamedTuple):
    """What fits one way of sending, and what to do with more."""

    limit: int
    name: str
    advice: str


RELIABLE: Final = Channel(frames.MAX_PAYLOAD_BYTES, "a reliable message", "send it in parts")
UNRELIABLE: Final = Channel(
    MAX_UNRELIABLE_BYTES, "an unreliable message", "send less, or send() it reliably"
)
STATE: Final = Channel(
    MAX_STATE_BYTES,
    "a state",
    "send each player only what is near (gamenet.interest), or pack it (gamenet.Snapshot)",
)


LOOSE: Final = int(MessageType.UNRELIABLE)
"""The type byte of an unreliable message, to which the flag for a Message is added."""


class Outbox(Protocol):
    """The way from a verb to the reactor thread."""

    finished: bool
    """Stopped for good: a verb is a mistake now."""

    def submit(self, call: Callable[..., None], *args: Any) -> None:
        """Have *call* called there."""

    def put_unreliable(self, player_ids: tuple[int, ...], message: tuple[int, bytes]) -> None:
        """Leave an unreliable message, type byte and payload, for players or for the server."""

    def put_state(self, player_id: int, fields: tuple[Any, ...]) -> None:
        """Make this a player's newest state."""

    def put_input(self, number: int, buttons: int) -> None:
        """Leave an input."""

    def replace_input(self, number: int, buttons: int) -> bool:
        """Replace an input that has not left yet; False if it has."""


class DirectOutbox:
    """The way of verbs that are used on the reactor thread: at once, flushed with the turn."""

    finished = False

    def __init__(self, host: Host) -> None:
        self._host: Any = host

    def submit(self, call: Callable[..., None], *args: Any) -> None:
        """Call *call* in this turn."""
        self._host.run(call, *args)

    def put_unreliable(self, player_ids: tuple[int, ...], message: tuple[int, bytes]) -> None:
        """Hand over an unreliable message."""
        self._host.run(self._host.queue_unreliable, player_ids, [message])

    def put_state(self, player_id: int, fields: tuple[Any, ...]) -> None:
        """Hand over a player's newest state."""
        self._host.run(self._host.queue_state, player_id, fields)

    def put_input(self, number: int, buttons: int) -> None:
        """Hand over an input."""
        self._host.run(self._host.queue_input, number, buttons)

    def replace_input(self, number: int, buttons: int) -> bool:
        """Inputs leave with the turn they are made in, so there is none to replace."""
        return False


def check_open(out: Outbox) -> None:
    """Refuse to say anything once ``stop`` has returned.

    :raises BridgeClosed: then.
    """
    if out.finished:
        raise BridgeClosed("this server or client is stopped; start it again")


def encoded(host: Host, payload: Payload, channel: Channel) -> tuple[int, bytes]:
    """The payload's bytes and the flag that says whether it is a Message.

    :raises MessageTooLarge: with what to do about it.
    :raises LocalProtocolError: for what is no payload at all.
    """
    flag, data = 0, payload
    if type(data) is not bytes:
        if isinstance(payload, Message):
            flag, data = IS_MESSAGE, host.codec.encode(payload)
        else:
            try:
                data = bytes(memoryview(payload))
            except TypeError:
                raise LocalProtocolError(
                    f"a payload is bytes or a gamenet.Message, not {type(payload).__name__}"
                ) from None
    if len(data) > channel.limit:
        raise MessageTooLarge(
            f"{len(data)} bytes do not fit {channel.name}, which carries {channel.limit}; "
            f"{channel.advice}"
        )
    return flag, data


def data_frame(host: Host, payload: Payload, channel: int) -> bytes:
    """The DATA frame of a payload.

    :raises ValueError: for a channel outside 0 to 255.
    """
    if not 0 <= channel <= 255:
        raise ValueError(f"channel must be from 0 to 255, not {channel!r}")
    flag, data = encoded(host, payload, RELIABLE)
    return frames.encode_data(flag != 0, channel, data)
