"""Counts of everything that happened to a datagram, a frame or an event.

Layer 1. Written on: the reactor thread, plain ints. Read on: any thread, by ``snapshot``.

Every datagram and every frame is delivered or dropped for exactly one cause::

    datagrams_in == datagrams_delivered + sum(drop_datagram_*)
    frames_in == frames_delivered + sum(drop_frame_*)

and so is every datagram that a beacon hears, unless it is for others or was answered already::

    beacon_queries == beacon_answers + beacon_other_game + beacon_repeats + sum(drop_beacon_*)
"""

from __future__ import annotations

LOSSES = ("drop_", "events_refused", "unjoined_refused", "address_refused")
"""How the names of what was lost begin."""


class Counters:
    """One number for each way things can go."""

    __slots__ = (
        "acks_of_unsent",
        "address_refused",
        "beacon_answers",
        "beacon_other_game",
        "beacon_queries",
        "beacon_repeats",
        "budget_waits",
        "bytes_in",
        "bytes_out",
        "commands",
        "datagrams_delivered",
        "datagrams_in",
        "datagrams_out",
        "drop_beacon_malformed",
        "drop_beacon_rate",
        "drop_beacon_send",
        "drop_beacon_stranger",
        "drop_datagram_defect",
        "drop_datagram_epoch",
        "drop_datagram_forged",
        "drop_datagram_long",
        "drop_datagram_malformed",
        "drop_datagram_not_ours",
        "drop_datagram_rate",
        "drop_datagram_replayed",
        "drop_datagram_short",
        "drop_datagram_unexpected",
        "drop_datagram_unknown_session",
        "drop_fragment_outdated",
        "drop_frame_after_end",
        "drop_frame_malformed",
        "drop_frame_unexpected",
        "drop_send_error",
        "drop_send_full",
        "drop_send_tunnel",
        "drop_send_unreliable",
        "drop_state_baseline",
        "drop_state_incomplete",
        "drop_tunnel_rate",
        "drop_tunnel_replayed",
        "drop_verb_gone",
        "events_refused",
        "frames_delivered",
        "frames_in",
        "frames_out",
        "inputs_early",
        "inputs_emitted",
        "inputs_late",
        "inputs_missing",
        "inputs_over_rate",
        "joins",
        "leaves",
        "logins_delayed",
        "logins_failed",
        "path_challenges",
        "path_switches",
        "reads_paused",
        "receive_errors",
        "rekeys",
        "resumes",
        "resumes_refused",
        "stalls",
        "state_bytes_full",
        "state_bytes_sent",
        "states_outdated",
        "states_received",
        "states_replaced",
        "states_sent",
        "suspensions",
        "tcp_bytes_in",
        "tcp_bytes_out",
        "tunnel_delivered",
        "tunnel_in",
        "unjoined_cut",
        "unjoined_refused",
    )

    acks_of_unsent: int
    address_refused: int
    beacon_answers: int
    beacon_other_game: int
    beacon_queries: int
    beacon_repeats: int
    budget_waits: int
    bytes_in: int
    bytes_out: int
    commands: int
    datagrams_delivered: int
    datagrams_in: int
    datagrams_out: int
    drop_beacon_malformed: int
    drop_beacon_rate: int
    drop_beacon_send: int
    drop_beacon_stranger: int
    drop_datagram_defect: int
    drop_datagram_epoch: int
    drop_datagram_forged: int
    drop_datagram_long: int
    drop_datagram_malformed: int
    drop_datagram_not_ours: int
    drop_datagram_rate: int
    drop_datagram_replayed: int
    drop_datagram_short: int
    drop_datagram_unexpected: int
    drop_datagram_unknown_session: int
    drop_fragment_outdated: int
    drop_frame_after_end: int
    drop_frame_malformed: int
    drop_frame_unexpected: int
    drop_send_error: int
    drop_send_full: int
    drop_send_tunnel: int
    drop_send_unreliable: int
    drop_state_baseline: int
    drop_state_incomplete: int
    drop_tunnel_rate: int
    drop_tunnel_replayed: int
    drop_verb_gone: int
    events_refused: int
    frames_delivered: int
    frames_in: int
    frames_out: int
    inputs_early: int
    inputs_emitted: int
    inputs_late: int
    inputs_missing: int
    inputs_over_rate: int
    joins: int
    leaves: int
    logins_delayed: int
    logins_failed: int
    path_challenges: int
    path_switches: int
    reads_paused: int
    receive_errors: int
    rekeys: int
    resumes: int
    resumes_refused: int
    stalls: int
    states_outdated: int
    states_received: int
    state_bytes_full: int
    state_bytes_sent: int
    states_replaced: int
    states_sent: int
    suspensions: int
    tcp_bytes_in: int
    tcp_bytes_out: int
    tunnel_delivered: int
    tunnel_in: int
    unjoined_cut: int
    unjoined_refused: int

    def __init__(self) -> None:
        for name in self.__slots__:
            setattr(self, name, 0)

    def snapshot(self) -> dict[str, int]:
        """All counts by name."""
        return {name: getattr(self, name) for name in self.__slots__}

    def drops(self) -> dict[str, int]:
        """The causes of loss that occurred, without their zeros."""
        return {
            name: count
            for name, count in self.snapshot().items()
            if count and name.startswith(LOSSES)
        }
