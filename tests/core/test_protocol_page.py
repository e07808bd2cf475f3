"""``docs/PROTOCOL.rst`` has the numbers that the code has."""

from __future__ import annotations

import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from gamenet.core import beacon, frames, inputs, record, text, window, wire
from gamenet.errors import DisconnectReason, RefusalReason

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "PROTOCOL.rst").read_text(encoding="utf-8")


def section(title: str) -> str:
    """The text from one heading to the next of any level."""
    _, _, rest = PAGE.partition(f"\n{title}\n")
    return re.split(r"\n[^\n]+\n(?:---+|~~~+|===+)\n", rest)[0]


class PageTests(SynchronousTestCase):
    """Every table that repeats what some enum or constant says."""

    def test_every_number_of_every_kind_type_code_and_reason(self) -> None:
        rows = set(re.findall(r"\* - ([A-Z_]+)\n +- (\d+)\n", PAGE))
        enums = (frames.Kind, wire.DatagramKind, wire.MessageType, RefusalReason, DisconnectReason)
        enums += (beacon.BeaconKind,)
        self.assertEqual(
            rows, {(member.name, str(int(member))) for enum in enums for member in enum}
        )

    def test_the_limits(self) -> None:
        rows = re.findall(r"\* - (.+)\n     - (.+)\n", section("Limits"))
        limits = {
            name: [int(number) for number in re.findall(r"\d+", value.replace(",", ""))]
            for name, value in rows
        }
        self.assertEqual(
            limits,
            {
                "what": [],
                "frame, kind and body": [frames.MAX_FRAME_BYTES],
                "frame before ACCEPT": [frames.MAX_HELLO_BYTES],
                "payload of DATA": [frames.MAX_PAYLOAD_BYTES],
                "SAY frame": [frames.MAX_SAY_BYTES],
                "chat line, cleaned": [text.MAX_CHAT_CHARACTERS],
                "name": [text.MAX_NAME_CHARACTERS],
                "text of BYE": [frames.MAX_BYE_BYTES],
                "auth data": [frames.MAX_AUTH_BYTES],
                "datagram": [wire.OVERHEAD_BYTES, wire.MAX_DATAGRAM_BYTES],
                "body of a datagram": [wire.MAX_BODY_BYTES],
                "messages in a datagram": [wire.MAX_MESSAGES],
                "payload of UNRELIABLE": [wire.MAX_UNRELIABLE_BYTES],
                "payload of a state": [wire.MAX_STATE_BYTES],
                "states from a baseline to a delta": [wire.BASELINE_SPAN],
                "parts of a state": [wire.MAX_FRAGMENTS, wire.FRAGMENT_BYTES],
                "inputs in an INPUT": [inputs.MAX_INPUTS, 1, 64],
                "replay window": [window.WIDTH],
                "datagrams under one key": [record.HARD_STOP],
                "query of a beacon, and the longest answer": [
                    beacon.QUERY_BYTES,
                    beacon.MAX_ANSWER_BYTES,
                ],
                "name of a server": [beacon.MAX_NAME_BYTES],
            },
        )

    def test_the_places_of_the_beacon(self) -> None:
        for place in (beacon.GROUP, beacon.GROUP_IPV6, beacon.BROADCAST, str(beacon.PORT)):
            self.assertIn(f"`{place}`", section("The beacon"))

    def test_the_vectors_are_shown(self) -> None:
        shown = re.search(r"\.\. literalinclude:: (\S+)", PAGE)
        assert shown is not None
        path = Path(__file__).resolve().parents[2] / "docs" / shown[1]
        self.assertTrue(path.samefile(Path(__file__).with_name("vectors.json")))
