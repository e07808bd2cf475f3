"""What the counters are called for Prometheus, and what each means.

Layer 4. Runs on: any thread; plain data. ``docs/STATUS.rst`` lists them for people.
"""

from __future__ import annotations

from typing import Final

BYTES: Final = {
    "bytes_in": ("received", "udp"),
    "bytes_out": ("sent", "udp"),
    "tcp_bytes_in": ("received", "tcp"),
    "tcp_bytes_out": ("sent", "tcp"),
}
"""The counters of bytes: direction and transport."""

COUNTERS: Final = {
    "acks_of_unsent": ("acks_of_unsent", "Acknowledgements of what was never sent"),
    "beacon_answers": ("beacon_answers", "Answers to those who looked for servers"),
    "beacon_other_game": ("beacon_other_game", "Queries for servers of another game"),
    "beacon_queries": ("beacon_queries", "Datagrams that the beacon heard"),
    "beacon_repeats": ("beacon_repeats", "Queries that were answered already"),
    "budget_waits": ("budget_waits", "States that waited for the send budget"),
    "commands": ("commands", "Commands of the game that the reactor carried out"),
    "datagrams_delivered": ("datagrams_delivered", "Datagrams that passed all checks"),
    "datagrams_in": ("datagrams_received", "Datagrams that came"),
    "datagrams_out": ("datagrams_sent", "Datagrams that left"),
    "frames_delivered": ("frames_delivered", "Frames that passed all checks"),
    "frames_in": ("frames_received", "Frames that came over TCP"),
    "frames_out": ("frames_sent", "Frames that left over TCP"),
    "inputs_early": ("inputs_early", "Inputs that came far before their tick"),
    "inputs_emitted": ("inputs_delivered", "Inputs that were handed to the game"),
    "inputs_late": ("inputs_late", "Inputs that came when their tick had begun"),
    "inputs_missing": ("inputs_missing", "Inputs that were given up"),
    "inputs_over_rate": ("inputs_over_rate", "Inputs beyond what a player may send"),
    "joins": ("joins", "Players who came in"),
    "leaves": ("leaves", "Players who left, for whatever reason"),
    "logins_delayed": ("logins_delayed", "Logins that had to wait after failed ones"),
    "logins_failed": ("logins_failed", "Logins with wrong credentials"),
    "path_challenges": ("path_challenges", "Times that a new UDP address was put to the test"),
    "path_switches": ("path_switches", "Changes between UDP and TCP, or of a UDP address"),
    "reads_paused": ("reads_paused", "Times that a connection over its rate was not read"),
    "receive_errors": ("receive_errors", "Errors of the system while receiving"),
    "rekeys": ("rekeys", "Changes of keys in running sessions"),
    "resumes": ("resumes", "Sessions that went on over another connection"),
    "resumes_refused": ("resumes_refused", "Attempts to go on that were refused"),
    "stalls": ("stalls", "Times that the game took no events for long"),
    "state_bytes_full": ("state_full_bytes", "Bytes that the states would have been in full"),
    "state_bytes_sent": ("state_sent_bytes", "Bytes of states that were sent, as differences"),
    "states_outdated": ("states_outdated", "States that came after a newer one"),
    "states_received": ("states_received", "States that came; on clients"),
    "states_replaced": ("states_replaced", "States that a newer one replaced before they left"),
    "states_sent": ("states_sent", "States that left"),
    "suspensions": ("suspensions", "Sessions that lost their connection and waited"),
    "tunnel_delivered": ("tunnel_delivered", "Bodies inside TCP that passed all checks"),
    "tunnel_in": ("tunnel_received", "Bodies that came inside TCP, where UDP does not pass"),
    "unjoined_cut": ("unjoined_cut", "Silent connections cut to make room for newcomers"),
}
"""All others but the losses, which are one metric: its name without ``gamenet_`` and ``_total``,
and what it counts."""


def of_counter(slot: str) -> tuple[str, str]:
    """Name, without ``_total``, and meaning of a counter that is neither bytes nor a loss."""
    name, meaning = COUNTERS.get(slot, (slot, slot.replace("_", " ")))
    return f"gamenet_{name}", meaning
