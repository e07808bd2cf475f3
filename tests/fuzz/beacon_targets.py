"""What comes to a beacon, and to who looks for one: from anybody on the local network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gamenet.addresses import parse_address
from gamenet.core.beacon import (
    MAX_ANSWER_BYTES,
    MAX_NAME_BYTES,
    QUERY_BYTES,
    Answer,
    Query,
    decode_query,
    encode_answer,
    encode_query,
)
from gamenet.errors import WireError
from gamenet.seeking import Seeker
from gamenet.testing import SimulatedReactor
from tests.fuzz.harness import Meter, Target, check, is_safe

if TYPE_CHECKING:
    from collections.abc import Iterable

TOKEN = bytes(8)
ANSWER = Answer(TOKEN, b"serverid", 1, 1, 7777, 3, 8, bytes(range(32)), "Room 12", "tag/1")


class QueryTarget(Target):
    """A datagram to a server's beacon."""

    name = "query"
    max_bytes = 1_024

    def seeds(self) -> Iterable[bytes]:
        for game in ("", "tag/1", "g" * 255, "Zażółć"):
            yield encode_query(Query(TOKEN, game))
        yield encode_query(Query(TOKEN, "tag/1"))[:-1]
        yield encode_answer(ANSWER)
        yield encode_answer(ANSWER).ljust(QUERY_BYTES, b"\0")

    def run(self, data: bytes, meter: Meter) -> None:
        try:
            found = meter(decode_query, data)
        except WireError:
            return
        check(len(data) == QUERY_BYTES, "a query of another length", len(data))
        check(len(found.token) == len(TOKEN), "a token of another length", found)
        check(data.startswith(encode_query(found).rstrip(b"\0")), "reads differently", found)


class AnswerTarget(Target):
    """A datagram to somebody who looks for servers, under the right token; shown on a terminal."""

    name = "answer"
    max_bytes = 1_024

    def seeds(self) -> Iterable[bytes]:
        yield encode_answer(ANSWER)
        for changed in (
            ANSWER._replace(pin=bytes(32), flags=0xFF, game=""),
            ANSWER._replace(name="n" * MAX_NAME_BYTES, game="g" * 255),
            ANSWER._replace(name="\x1b[2J\u202e", game="\x07"),
            ANSWER._replace(name="", port=0),
            ANSWER._replace(players=0xFFFF, max_players=0, version=0xFFFF),
        ):
            yield encode_answer(changed)
        yield encode_query(Query(TOKEN, "tag/1"))

    def run(self, data: bytes, meter: Meter) -> None:
        machine = SimulatedReactor()
        seeker = Seeker(machine, ways=list, random_bytes=bytes, now=machine.seconds)
        seeker.start()
        meter(seeker._heard, data, ("10.0.0.20", 7776))
        machine.run(0.1)
        seeker.stop()
        for found in seeker.found:
            check(len(data) <= MAX_ANSWER_BYTES, "too long", len(data))
            check(bool(found.name) and is_safe(found.name + found.game), "acts", found)
            check(len(found.name.encode()) <= MAX_NAME_BYTES, "a long name", found)
            target = parse_address(found.address)
            check(target == ("10.0.0.20", found.port, found.pin), "another address", found)


TARGETS = (QueryTarget(), AnswerTarget())
