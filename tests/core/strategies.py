"""What hypothesis feeds to the core: valid records, and records that something has damaged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import strategies as st

from gamenet.core import frames

if TYPE_CHECKING:
    from collections.abc import Callable

    from hypothesis.strategies import DrawFn, SearchStrategy

u8 = st.integers(0, 0xFF)
u16 = st.integers(0, 0xFFFF)
u32 = st.integers(0, 0xFFFFFFFF)
u64 = st.integers(0, 0xFFFFFFFFFFFFFFFF)

# Every character there is, lone surrogates included: what a buggy caller can hand over. A list and
# not st.text, which would draw the characters that matter here as rarely as they are few.
any_text = st.lists(
    st.one_of(
        st.characters(exclude_categories=()),
        st.characters(categories=("Cc", "Cf", "Zl", "Zp", "Zs")),
        st.characters(categories=("Cs",)),
        st.sampled_from("ab \u200c\u200d\x1b"),
    )
).map("".join)


def short_text(most: int = 255) -> SearchStrategy[str]:
    """Text that fits behind a one-byte length."""
    return st.text(max_size=most // 4)


resumes = st.builds(
    frames.Resume,
    session_id=st.binary(min_size=16, max_size=16),
    token=st.binary(min_size=32, max_size=32),
    received=u64,
)


@st.composite
def hellos(draw: DrawFn) -> frames.Hello:
    """Any HELLO, of a fresh join or of somebody who comes back."""
    low, high = sorted((draw(st.integers(1, 0xFFFF)), draw(st.integers(1, 0xFFFF))))
    resume = draw(st.one_of(st.none(), resumes))
    flags = draw(u8) & ~frames.HELLO_RESUME
    return frames.Hello(
        min_version=low,
        max_version=high,
        suites=draw(u8),
        flags=flags | frames.HELLO_RESUME if resume is not None else flags,
        schema_hash=draw(st.binary(min_size=8, max_size=8)),
        input_bits=draw(u8),
        mechanism=draw(u8),
        game=draw(short_text()),
        user=draw(short_text()),
        auth=draw(st.binary(max_size=frames.MAX_AUTH_BYTES)),
        resume=resume,
    )


@st.composite
def accepts(draw: DrawFn) -> frames.Accept:
    """Any ACCEPT that a client can use."""
    return frames.Accept(
        version=frames.VERSION,
        suite=frames.SUITE_AES_256_GCM,
        flags=draw(u8),
        session_id=draw(st.binary(min_size=16, max_size=16)),
        cid=draw(u32),
        udp_secret=draw(st.binary(min_size=32, max_size=32)),
        resume_token=draw(st.binary(min_size=32, max_size=32)),
        resume_seconds=draw(u16),
        udp_port=draw(u16),
        received=draw(u64),
        max_frame=draw(u32),
        max_datagram=draw(u16),
        datagrams_per_second=draw(u16),
        window_messages=draw(st.integers(1, 0xFFFF)),
        window_bytes=draw(st.integers(frames.MAX_FRAME_BYTES, 0xFFFFFFFF)),
        tick_rate_x100=draw(st.integers(1, 0xFFFF)),
        max_input_hz=draw(st.integers(1, 0xFFFF)),
        input_bits=draw(st.integers(1, 64)),
        player_id=draw(st.integers(1, 0xFFFFFFFF)),
        name=draw(short_text()),
    )


@st.composite
def damaged(draw: DrawFn, whole: SearchStrategy[bytes]) -> bytes:
    """A valid record with a few bytes changed, put in, left out or cut off."""
    data = bytearray(draw(whole))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(data)))
        what = draw(st.sampled_from(("change", "insert", "remove", "cut", "extend")))
        if what == "change" and place < len(data):
            data[place] = draw(u8)
        elif what == "insert":
            data.insert(place, draw(u8))
        elif what == "remove":
            del data[place : place + draw(st.integers(1, 4))]
        elif what == "cut":
            del data[place:]
        else:
            data += draw(st.binary(max_size=8))
    return bytes(data)


def hostile(whole: SearchStrategy[bytes]) -> SearchStrategy[bytes]:
    """Anything that a stranger may send where a record of *whole* is expected."""
    return st.one_of(st.binary(max_size=64), whole, damaged(whole))


def encoded(
    encode: Callable[..., bytes], *arguments: SearchStrategy[object]
) -> SearchStrategy[bytes]:
    """Valid records: *encode* of drawn arguments."""
    return st.builds(encode, *arguments)
