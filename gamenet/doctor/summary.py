"""The examination in a sentence.

Layer 4. Runs on: any thread; pure functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gamenet.doctor.check import TITLES, TO_GET_IN, ms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gamenet.addresses import Target
    from gamenet.doctor.check import Check


def summary(target: Target, checks: Sequence[Check]) -> str:
    """What a player should know, and do first."""
    by_name = {check.name: check for check in checks}
    for check in checks:
        if check.verdict == "failed" and check.name in TO_GET_IN:
            return f"You cannot play on {target}: {_sentence(check)}."
        if check.figures.get("ended"):
            return f"You cannot stay on {target}: {_sentence(check)}."
    udp, fallback, rtt = (by_name.get(name) for name in ("udp", "fallback", "rtt"))
    if udp is not None and udp.verdict == "failed":
        if fallback is None or fallback.verdict != "ok":
            return f"You cannot play on {target}: by UDP, {_sentence(udp)}; and TCP fails, too."
        return f"{_blocked(udp)}; the game works through TCP at {_mean(fallback)}; {_advice(udp)}."
    failed = [check for check in checks if check.verdict == "failed"]
    if failed:
        return f"Playing on {target} is not what it should be: {_sentence(failed[0])}."
    path = "UDP" if rtt is None else str(rtt.figures["path"]).upper()
    well = f"the game works through {path}" + (f" at {_mean(rtt)}" if rtt is not None else "")
    warned = [check for check in checks if check.verdict == "warning"]
    if warned:
        more = f" ({len(warned) - 1} more above)" if len(warned) > 1 else ""
        title = TITLES[warned[0].name]
        return f"You can play, for {well}; but see to the {title}: {_sentence(warned[0])}{more}."
    return f"All is well: {well}."


def _sentence(check: Check) -> str:
    text = check.text.rstrip(".")
    return f"{text}; {check.fix}" if check.fix else text


def _mean(check: Check) -> str:
    return ms(check.figures["mean_ms"] / 1_000)


def _blocked(udp: Check) -> str:
    if udp.figures.get("blocked") == "all":
        return f"Your network, or the server's, blocks UDP {udp.figures['port']}"
    return udp.text[:1].upper() + udp.text[1:]


def _advice(udp: Check) -> str:
    if udp.figures.get("blocked") == "all":
        return f"ask whoever runs the network to allow UDP {udp.figures['port']}"
    return udp.fix
