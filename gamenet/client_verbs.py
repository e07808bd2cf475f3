"""What a client's game can say.

Layer 3. Runs on: any thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gamenet.core import frames
from gamenet.core.text import checked_chat
from gamenet.errors import NotJoined, QueueFull
from gamenet.verbs import LOOSE, UNRELIABLE, check_open, data_frame, encoded

if TYPE_CHECKING:
    from gamenet.client_host import ClientHost
    from gamenet.core.seat import Seat
    from gamenet.events import Quality
    from gamenet.messages import Payload
    from gamenet.verbs import Outbox


class ClientVerbs:
    """The verbs of a client, and who it is as of the events taken so far."""

    def __init__(self) -> None:
        self._out: Outbox | None = None
        self._host: ClientHost | None = None
        self._gone = 0
        self._input_number = 0
        self._input_made = -1.0
        self._inputs_dropped = 0

    def _connect(self, host: ClientHost, outbox: Outbox) -> None:
        self._host = host
        self._out = outbox

    def begin_again(self) -> None:
        """Another session begins: its inputs count from 1."""
        self._input_number = 0
        self._input_made = -1.0

    def _live(self) -> tuple[ClientHost, Outbox, Seat | None]:
        """The host, the way to it and the seat; no seat once the session is over.

        :raises NotJoined: before the first join.
        """
        if self._host is None or self._out is None or not self._host.ever_joined:
            raise NotJoined("not joined yet; wait for Connected, or enter the client with `with`")
        return self._host, self._out, self._host.seat

    def _open(self) -> tuple[ClientHost, Outbox, Seat | None]:
        """As ``_live``, for what is to leave.

        :raises BridgeClosed: once ``stop`` has returned.
        """
        live = self._live()
        check_open(live[1])
        return live

    def send(self, payload: Payload, channel: int = 0) -> None:
        """Send the server a message that arrives, in order.

        :raises MessageTooLarge: beyond 64 KiB.
        :raises QueueFull: when the server does not keep up; wait for ``Writable``.
        :raises NotJoined: before the first join.
        """
        host, _, seat = self._open()
        self._submit(seat, data_frame(host, payload, channel), payload)

    def say(self, text: str) -> None:
        """Say a line of chat; the server fills in who said it.

        :raises ValueError: if nothing readable is left of it, or beyond 500 characters.
        :raises QueueFull: as ``send``.
        :raises NotJoined: before the first join.
        """
        _, _, seat = self._open()
        self._submit(seat, frames.encode_say(checked_chat(text)))

    def _submit(self, seat: Seat | None, frame: bytes, payload: Payload | None = None) -> None:
        host, out = self._host, self._out
        assert host is not None
        assert out is not None
        with host.sending:
            if seat is None or host.seat is not seat:
                # The game has not heard of the end yet; with the news it hears of this as well.
                if not host.too_late.add(payload):
                    self._gone += 1
                return
            if not seat.has_room(len(frame)):
                seat.wants_room = True
                raise QueueFull(
                    f"{seat.queued_messages} messages wait for the server; wait for Writable"
                )
            seat.submit(len(frame))
            out.submit(host.queue_frame, frame)

    def send_unreliable(self, payload: Payload) -> None:
        """Send a message that may be lost or overtaken.

        :raises MessageTooLarge: beyond one datagram.
        :raises NotJoined: before the first join.
        """
        host, out, seat = self._open()
        flag, data = encoded(host, payload, UNRELIABLE)
        if seat is not None:
            out.put_unreliable((), (LOOSE | flag, data))
        else:
            self._gone += 1

    def send_input(self, buttons: int) -> int:
        """Send the buttons held in this tick; they are resent until the server has them.

        One input a tick: a second call in the same tick replaces the first, unless that has
        already left by ``flush``. Outside ``ticks()`` the same goes for calls closer together
        than the server's ``max_input_hz`` allows.

        :param buttons: bits, as many as the server's ``input_bits``.
        :returns: the input's number, from 1.
        :raises ValueError: for more bits than that.
        :raises NotJoined: before the first join.
        """
        host, out, seat = self._open()
        if not 0 <= buttons < 1 << host.input_bits:
            raise ValueError(
                f"buttons must be a number of {host.input_bits} bits, 0 to "
                f"{(1 << host.input_bits) - 1}, not {buttons!r}"
            )
        if seat is None:
            self._gone += 1
            return self._input_number
        if self._is_same_tick(host):
            if not out.replace_input(self._input_number, buttons):
                self._inputs_dropped += 1
            return self._input_number
        self._input_number += 1
        if seat.probe > self._input_number:
            seat.probe_began, seat.probe = host.now(), self._input_number
        out.put_input(self._input_number, buttons)
        return self._input_number

    def _is_same_tick(self, host: ClientHost) -> bool:
        """Whether the last input was of this tick; if not, this one is noted as its input."""
        now = host.now()
        if now - self._input_made < 1 / host.max_input_hz:
            return True
        self._input_made = now
        return False

    def stats(self) -> dict[str, float]:
        """All counters by name, for graphs and tests."""
        if self._host is None:
            return {}
        own = {
            "inputs_sent": self._input_number,
            "inputs_dropped": self._inputs_dropped,
            "verbs_for_gone": self._gone,
            "stalled": int(self._host.is_stalled),
        }
        return {**self._host.counters.snapshot(), **self._host.input_stats(), **own}

    def quality(self) -> Quality:
        """How the path to the server is doing.

        :raises NotJoined: before the first join.
        """
        host, _, _ = self._live()
        return host.quality()

    def server_time(self) -> float:
        """The server's game clock, in seconds; 0 until it has told it, just after the join."""
        host, _, _ = self._live()
        return host.server_time()

    def server_tick(self) -> float:
        """The server's tick, with its fraction; 0 until the first state came."""
        host, _, _ = self._live()
        return host.server_tick()
