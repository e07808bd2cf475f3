"""What a server grants, and the keys that come of it, for tests."""

from __future__ import annotations

from typing import Any

from gamenet.core import frames
from gamenet.core.record import CLIENT_TO_SERVER, Keys, Schedule

SECRET = bytes(range(32))
SESSION_ID = bytes(range(16))


def accept(**fields: Any) -> frames.Accept:
    """An ACCEPT as a server's, but for *fields*."""
    values: dict[str, Any] = {
        "version": frames.VERSION,
        "suite": frames.SUITE_AES_256_GCM,
        "flags": frames.ACCEPT_INSECURE,
        "session_id": SESSION_ID,
        "cid": 0xC1D,
        "udp_secret": SECRET,
        "resume_token": bytes(32),
        "resume_seconds": 0,
        "udp_port": 0,
        "received": 0,
        "max_frame": frames.MAX_FRAME_BYTES,
        "max_datagram": 1200,
        "datagrams_per_second": 240,
        "window_messages": 256,
        "window_bytes": 262_144,
        "tick_rate_x100": 3000,
        "max_input_hz": 120,
        "input_bits": 16,
        "player_id": 7,
        "name": "ada",
    }
    return frames.Accept(**{**values, **fields})


def derive(
    udp_secret: bytes,
    exporter: bytes,
    direction: bytes,
    session_id: bytes,
    cid: int,
    suite: int,
    flags: int,
    epoch: int = 0,
) -> Keys:
    """The keys of one direction; those of another *epoch* with the salts left out."""
    terms = accept(udp_secret=udp_secret, session_id=session_id, cid=cid, suite=suite, flags=flags)
    schedule = Schedule(terms, exporter)
    schedule.epoch = epoch
    to_server, to_client = schedule.directions()
    return to_server if direction == CLIENT_TO_SERVER else to_client
