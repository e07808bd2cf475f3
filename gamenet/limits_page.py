"""``docs/LIMITS.rst``: every limit with its default, its unit and what it does.

Layer 4. Runs on: any thread.

``python -m gamenet.limits_page`` prints the page from the texts under the settings' fields and from
the constants of the protocol; a test fails when the two differ.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

from gamenet import (
    faults,
    gate,
    joining,
    record_folder,
    recorder,
    server_host,
    server_verbs,
    stuck,
)
from gamenet.config import ClientConfig, ServerConfig
from gamenet.core import (
    client_session,
    frames,
    inputs,
    keyring,
    password,
    rates,
    record,
    reliable_half,
    text,
    ticket,
    tunnel,
    window,
    wire,
)
from gamenet.limits import ServerLimits
from gamenet.live_settings import scope
from gamenet.settings import CommonConfig

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

NO_LIMITS: Final = frozenset({"advertised_udp_port", "input_bits", "tick_rate"})
"""Numbers among the settings that bound nothing."""

UNITS: Final = (
    ("bytes_per_second", "bytes/s"),
    ("datagrams_per_second", "datagrams/s"),
    ("frames_per_second", "frames/s"),
    ("accepts_per_second", "connections/s"),
    ("chats_per_second", "lines/s"),
    ("lines_per_second", "lines/s"),
    ("challenges_per_second", "datagrams/s"),
    ("switches_per_minute", "changes/min"),
    ("input_hz", "inputs/s"),
    ("seconds", "s"),
    ("bytes", "bytes"),
    ("log2_n", "as 2^n"),
    ("factor", "times"),
    ("failed_logins_per_account", "logins/min"),
    ("failed_logins_per_address", "logins/10 min"),
    ("used_tickets", "tickets"),
    ("players", "players"),
    ("players_per_address", "players"),
    ("max_suspended", "sessions"),
    ("unjoined", "connections"),
    ("unjoined_per_address", "connections"),
    ("accepts_burst", "connections"),
    ("backlog", "connections"),
    ("address_table", "addresses"),
    ("frames_burst", "frames"),
    ("frames_per_read", "frames"),
    ("datagrams", "datagrams"),
    ("datagrams_burst", "datagrams"),
    ("datagrams_per_turn", "datagrams"),
    ("threads", "threads"),
    ("login_queue", "logins"),
    ("messages", "messages"),
    ("events", "events"),
    ("events_per_player", "events"),
    ("values", "values"),
    ("ticks", "ticks"),
)
"""What the end of a field's name counts; the first that fits."""

FIXED: Final[tuple[tuple[str, float, str], ...]] = (
    ("A frame before the join, which is one HELLO", frames.MAX_HELLO_BYTES, "bytes"),
    ("A frame after it, without its length prefix", frames.MAX_FRAME_BYTES, "bytes"),
    ("A reliable message", frames.MAX_PAYLOAD_BYTES, "bytes"),
    ("Password or ticket in a HELLO", frames.MAX_AUTH_BYTES, "bytes"),
    ("Words of a BYE", frames.MAX_BYE_BYTES, "bytes"),
    ("A name", text.MAX_NAME_CHARACTERS, "characters"),
    ("A line of chat", text.MAX_CHAT_CHARACTERS, "characters"),
    ("A password", password.MAX_PASSWORD_BYTES, "bytes"),
    ("Account and id in a ticket, each", ticket.MAX_ID_CHARACTERS, "characters"),
    ("A datagram, in both directions", wire.MAX_DATAGRAM_BYTES, "bytes"),
    ("Of it, header and authentication tag", wire.OVERHEAD_BYTES, "bytes"),
    ("Messages in a datagram", wire.MAX_MESSAGES, "messages"),
    ("Inputs in a message", inputs.MAX_INPUTS, "inputs"),
    ("Replay window", window.WIDTH, "datagrams"),
    ("Packet numbers of a session", window.MAX_NUMBER, "datagrams"),
    ("Hard stop: what one key may seal at most", record.HARD_STOP, "datagrams"),
    ("Old keys still open after the first datagram under new ones", keyring.OLD_KEYS_SECONDS, "s"),
    ("A state of the world", wire.MAX_STATE_BYTES, "bytes"),
    ("States from a baseline to the one that is told by it", wire.BASELINE_SPAN, "states"),
    ("Unacknowledged inside TCP of what is not reliable", tunnel.MAX_FLYING_BYTES, "bytes"),
    ("Silence on TCP after a change of address", client_session.PROBE_SECONDS, "s"),
    ("Longest pause of reading because of a rate", rates.LONGEST_PAUSE_SECONDS, "s"),
    ("PINGs that wait for a peer who does not read", reliable_half.MAX_CONTROL_FRAMES, "frames"),
    ("Age at which an ACK leaves by itself", reliable_half.LONE_ACK_SECONDS, "s"),
    ("Messages handed back at the end of a session", reliable_half.MAX_UNACKNOWLEDGED, "messages"),
    ("A queue so far over its cap cuts the player at once", server_verbs.CUT_FACTOR, "times"),
    ("Fullness of the bridge above which joins are BUSY", 100 * joining.HIGH_WATER, "%"),
    ("Open files kept free for other uses", gate.RESERVED_FILES, "files"),
    ("Open files kept free for telling newcomers FULL", server_host.UNJOINED_FILES, "files"),
    ("What a peer sent, as far as a log line shows it", faults.MAX_LOGGED, "characters"),
    ("Faults and addresses remembered by the log", faults.TABLE, "entries"),
    ("Flight recorder: how long a line is kept", recorder.KEPT_SECONDS, "s"),
    ("Flight recorder: all lines together", recorder.MAX_BYTES, "bytes"),
    ("Flight recorder: one line", recorder.MAX_LINE_BYTES, "bytes"),
    ("Flight recorder: records in a folder", record_folder.MAX_FILES, "files"),
    ("Calls of a stack that the log names", stuck.MAX_FRAMES, "calls"),
)
"""What no setting changes: what it bounds, how much, and of what."""


def texts(kind: type) -> dict[str, str]:
    """The string under each field of a settings class, which Python itself does not keep."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(tree, ast.ClassDef)
    found = {}
    for before, after in zip(tree.body, tree.body[1:], strict=False):
        if isinstance(before, ast.AnnAssign) and isinstance(before.target, ast.Name):
            value = after.value if isinstance(after, ast.Expr) else None
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                found[before.target.id] = " ".join(value.value.split())
    return found


def limits(kind: type) -> Iterator[tuple[str, Any]]:
    """Name and default of each limit that a settings class adds to those it inherits."""
    inherited = {item.name for base in kind.__mro__[1:-1] for item in fields(base)}
    for item in fields(kind):
        counts = item.type in ("int", "float", "int | None") or item.name.startswith("limit_")
        if counts and item.name not in inherited | NO_LIMITS:
            yield item.name, item.default


def unit(name: str) -> str:
    """What a field counts.

    :raises KeyError: if nothing says it.
    """
    if name.startswith("limit_"):
        return ""
    for end, counted in UNITS:
        if name == end or name.endswith(f"_{end}"):
            return counted
    raise KeyError(name)


def _spell(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return f"``{value}``"
    return f"{value:,}" if isinstance(value, int) else f"{value:,g}"


def _power(value: float) -> str:
    """Large powers of two are easier to recognise as such."""
    is_power = isinstance(value, int) and value >= 1 << 20 and value & (value - 1) == 0
    return f"2^{int(value).bit_length() - 1}" if is_power else _spell(value)


def _table(widths: str, head: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    lines = [".. list-table::", "   :header-rows: 1", f"   :widths: {widths}", ""]
    for row in (head, *rows):
        for number, cell in enumerate(row):
            wrapped = textwrap.wrap(cell, 90, break_long_words=False, break_on_hyphens=False)
            start = "   * - " if number == 0 else "     - "
            lines.append((start + (wrapped[0] if wrapped else "")).rstrip())
            lines += [f"       {line}" for line in wrapped[1:]]
    return [*lines, ""]


def _settings(kind: type, *, of_server: bool = True) -> list[str]:
    said = texts(kind)
    rows = [
        (
            f"``{name}``",
            _spell(value),
            unit(name),
            *([scope(name)] if of_server else ()),
            said[name],
        )
        for name, value in limits(kind)
    ]
    if of_server:
        head = ("setting", "default", "unit", "changes for", "what it bounds")
        return _table("24 9 10 11 46", head, rows)
    return _table("24 10 12 54", ("setting", "default", "unit", "what it bounds"), rows)


def page() -> str:
    """The body of ``docs/LIMITS.rst``."""
    lines = [
        "Limits",
        "======",
        "",
        "Printed by ``python -m gamenet.limits_page`` from the texts under the fields of",
        "``ServerConfig``; a test fails when the two differ. Every one can be set in the file that",
        "``--config`` names, or as an argument of ``ServerConfig``. None is unlimited, and none",
        "treats zero as infinite. Whatever a limit refuses is counted; ``/api/status`` and",
        "``stats()`` show the counts. What a session promises within them is in :doc:`DELIVERY`.",
        "",
        "A running daemon reads the file again at ``SIGHUP`` (:doc:`OPERATIONS`). The column",
        "*changes for* says for whom a limit is other from then on: *at once* for everybody; *new",
        "players* for those who join from then on, while who is in keeps what was agreed at the",
        "join; *restart* for nobody until then. Of the settings that are no limits, ``rebind``",
        "changes for new players, all others need a restart.",
        "",
        "What a server gives to strangers and to players",
        "-----------------------------------------------",
        "",
        "Limits for an address hold for the address that a TCP connection came from, never for",
        "what a datagram claims. IPv6 addresses count by their first 64 bits, which is what one",
        "customer has; IPv4 addresses in IPv6 form count as themselves.",
        "",
        *_settings(ServerLimits),
        "What both ends bound",
        "--------------------",
        "",
        "``ClientConfig`` has these as well.",
        "",
        *_settings(CommonConfig),
        "What a client bounds",
        "--------------------",
        "",
        "In ``ClientConfig`` only. How long it tries to get a connection back is the server's",
        "``resume_seconds``.",
        "",
        *_settings(ClientConfig, of_server=False),
        "What a server waits for",
        "-----------------------",
        "",
        *_settings(ServerConfig),
        "What the protocol fixes",
        "-----------------------",
        "",
        "No setting changes these.",
        "",
        *_table(
            "60 20 20",
            ("what", "at most", "unit"),
            [(what, _power(number), counted) for what, number, counted in FIXED],
        ),
    ]
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    print(page(), end="")
