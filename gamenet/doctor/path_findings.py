"""What it means how a path carries: UDP, its MTU, round trips, loss, the clock, the fallback.

Layer 4. Runs on: any thread; pure functions.
"""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any, Final

from gamenet.core.wire import MAX_DATAGRAM_BYTES
from gamenet.demo.report import percentile
from gamenet.doctor.check import Check, milliseconds, ms

if TYPE_CHECKING:
    from gamenet.doctor.facts import Datagrams, Measured

SLOW_SECONDS: Final = 0.2
"""A round trip that games feel; what ``quality()`` calls poor."""
UNSTEADY_SECONDS: Final = 0.05
"""A jitter that they feel."""
LOSSY: Final = 0.02
"""A share of lost datagrams that they feel."""
CLOCK_SECONDS: Final = 0.05
"""How far the clock may be off before interpolation shows it."""
IP_AND_UDP_BYTES: Final = 28
"""Headers before a datagram in IPv4; IPv6 has 20 more."""


def udp_check(port: int, seconds: float | None, probed: Datagrams) -> Check:
    """Whether datagrams pass both ways.

    :param seconds: from the join until they were shown to; None if they were not.
    :param probed: what became of others, where they were not.
    """
    figures: dict[str, Any] = {"port": port, "bound": seconds is not None}
    if seconds is not None:
        figures["ms"] = milliseconds(seconds)
        text = f"UDP {port} passes both ways, {ms(seconds)} after the join"
        return Check("udp", "ok", text, "", figures)
    figures |= {
        "sent": sum(probed.sent.values()),
        "arrived": sum(probed.arrived.values()),
        "answers": len(probed.answers),
        "system_says": probed.error,
    }
    figures["blocked"], text, fix = _blocked(port, probed)
    return Check("udp", "failed", text, fix, figures)


def _blocked(port: int, probed: Datagrams) -> tuple[str, str, str]:
    """What is blocked in a word, in a sentence, and what to do."""
    if probed.answers:
        return (
            "often",
            f"datagrams pass UDP {port} now and then, but not for long enough to play by",
            "the line loses most of what it carries: use a cable or come closer to the router, "
            "and stop what else uses the line",
        )
    if probed.arrived and probed.largest < MAX_DATAGRAM_BYTES and probed.sent:
        return (
            "long",
            f"only short datagrams reach UDP {port}: {probed.largest:,} bytes do, "
            f"{MAX_DATAGRAM_BYTES:,} do not",
            "a tunnel on the way, such as a VPN, carries too short packets: set its MTU to "
            f"{MAX_DATAGRAM_BYTES + IP_AND_UDP_BYTES + 20} or more, or play without it",
        )
    if probed.arrived:
        return (
            "answers",
            f"datagrams reach UDP {port} of the server, and none of its answers comes back",
            "a firewall of this machine or of your network drops what comes in, or a VPN carries "
            f"too short packets: allow answers from UDP port {port}, and try without the VPN",
        )
    if probed.error == "forbidden":
        return (
            "here",
            f"this machine does not let datagrams to UDP {port} out",
            f"a firewall on this machine forbids them: allow outgoing UDP to port {port} in its "
            "settings",
        )
    if probed.error == "refused":
        return (
            "port",
            f"the server's machine says that nothing listens at UDP {port}",
            f"the server has its UDP port elsewhere: its operator should forward UDP {port} to it, "
            "or tell players the right port with advertised_udp_port",
        )
    if not probed.sent:
        return (
            "sending",
            f"no datagram can be sent to UDP {port} from here",
            "this machine's network or firewall does not allow it: look at both, or try from "
            "another network",
        )
    return (
        "all",
        f"no datagram reaches UDP {port} of the server",
        f"a firewall of your network, or of the server's, drops them: ask whoever runs the network "
        f"to allow UDP {port}, and if other players have the same, ask the server's operator",
    )


def mtu_check(probed: Datagrams) -> Check:
    """How long datagrams may be, on a path that carries them."""
    most = MAX_DATAGRAM_BYTES
    figures: dict[str, Any] = {
        "payload_up": probed.largest,
        "payload_down": max(probed.answers, default=0),
        "dont_fragment": probed.dont_fragment,
        "kernel_path_mtu": probed.kernel_mtu or None,
    }
    kernel = f"; this system takes the path's MTU for {probed.kernel_mtu}"
    kernel = kernel if probed.kernel_mtu else ""
    how = " unfragmented" if probed.dont_fragment else ""
    longest = f"datagrams of {most:,} bytes, the longest there are, pass up{how}"
    if probed.largest >= most and most in probed.answers:
        text = f"{longest} and come back, maybe in fragments{kernel}"
        return Check("mtu", "ok", text, "", figures)
    if probed.largest >= most:
        text = (
            f"{longest}; the server does not answer another port of ours, and came back with as "
            f"many when UDP was bound{kernel}"
        )
        return Check("mtu", "ok", text, "", figures)
    if not probed.largest:
        return Check(
            "mtu",
            "not tried",
            f"no datagram of another port of ours was acknowledged; {most:,} bytes have passed "
            f"both ways when UDP was bound, maybe in fragments{kernel}",
            "",
            figures,
        )
    return Check(
        "mtu",
        "warning",
        f"datagrams of {probed.largest:,} bytes pass up{how}, those of {most:,} only in "
        f"fragments{kernel}",
        "a tunnel on the way, such as a VPN, carries too short packets, and fragments are lost "
        f"more often: set its MTU to {most + IP_AND_UDP_BYTES + 20} or more, or play without it",
        figures,
    )


def rtt_check(measured: Measured) -> Check:
    """How long the way there and back takes, and how steadily."""
    trips = measured.round_trips
    if not trips:
        return Check(
            "rtt",
            "failed",
            "the server answered nothing",
            "its game hangs or the line has broken down: try again, and ask the operator",
        )
    least, mean = min(trips), sum(trips) / len(trips)
    p95 = percentile(trips, 0.95) or 0.0
    figures = {
        "path": measured.path,
        "min_ms": milliseconds(least),
        "mean_ms": milliseconds(mean),
        "p95_ms": milliseconds(p95),
        "jitter_ms": milliseconds(measured.jitter),
        "samples": len(trips),
        "seconds": round(measured.seconds, 2),
        "path_changes": measured.changed,
    }
    text = (
        f"{ms(mean)} over {measured.path.upper()} (least {ms(least)}, 95 % within {ms(p95)}, "
        f"jitter {ms(measured.jitter)}; {len(trips)} in {measured.seconds:.1f} s)"
    )
    if measured.changed:
        fix = "the path did not hold: use a cable or come closer to the router, and try again"
        return Check("rtt", "warning", f"{text}; meanwhile: {measured.changed}", fix, figures)
    if least > SLOW_SECONDS:
        fix = (
            "the server is far away or behind a slow line: choose one that is nearer, or another "
            "line than by satellite"
        )
        return Check("rtt", "warning", text, fix, figures)
    if mean > SLOW_SECONDS or measured.jitter > UNSTEADY_SECONDS:
        fix = (
            "something else fills the line, or its radio is poor: stop downloads, use a cable or "
            "come closer to the router"
        )
        return Check("rtt", "warning", text, fix, figures)
    return Check("rtt", "ok", text, "", figures)


def loss_check(measured: Measured) -> Check:
    """What does not arrive, each way."""
    if measured.path == "tcp":
        return Check("loss", "not tried", "inside TCP nothing is lost; it comes late instead")
    up = measured.up_lost / measured.up_sent if measured.up_sent else 0.0
    down = measured.down_lost / measured.down_sent if measured.down_sent else 0.0
    figures = {
        "up": round(up, 4),
        "up_lost": measured.up_lost,
        "up_sent": measured.up_sent,
        "down": round(down, 4),
        "down_lost": measured.down_lost,
        "down_sent": measured.down_sent,
    }
    if not (measured.up_sent and measured.down_sent):
        text = "too few datagrams passed to tell"
        fix = "measure for longer: --seconds 10"
        return Check("loss", "warning", text, fix, figures)
    text = (
        f"{up * 100:.1f} % up ({measured.up_lost} of {measured.up_sent}), "
        f"{down * 100:.1f} % down ({measured.down_lost} of {measured.down_sent})"
    )
    if max(up, down) > LOSSY:
        way = "from here to the server" if up >= down else "from the server to here"
        fix = (
            f"the line loses most {way}: use a cable or come closer to the router, and stop what "
            "else uses the line; if other players have the same, the server's own line is full"
        )
        return Check("loss", "warning", text, fix, figures)
    return Check("loss", "ok", text, "", figures)


def clock_check(measured: Measured) -> Check:
    """How well the server's game clock is known."""
    known = measured.clock_uncertainty
    if not isfinite(known):
        return Check(
            "clock",
            "failed",
            "the server has not told its time",
            "its game has not begun to tick: ask the operator whether it hangs",
        )
    figures = {
        "offset_seconds": round(measured.clock_offset, 6),
        "uncertainty_ms": milliseconds(known),
    }
    way = "ahead of" if measured.clock_offset > 0 else "behind"
    text = (
        f"the server's game clock is known to {ms(known)}; it is {abs(measured.clock_offset):,.3f} "
        f"s {way} this machine's monotonic one"
    )
    if known > CLOCK_SECONDS:
        fix = "round trips differ too much to tell it better: see what to do about the round trip"
        return Check("clock", "warning", text, fix, figures)
    return Check("clock", "ok", text, "", figures)


def fallback_check(measured: Measured, *, is_forced: bool) -> Check:
    """Whether TCP carries what UDP does not.

    :param is_forced: UDP was cut on this machine, to see.
    """
    trips = measured.round_trips
    why = "with UDP cut on this machine" if is_forced else "with UDP blocked"
    if measured.path != "tcp" or not trips:
        return Check(
            "fallback",
            "failed",
            f"{why}, nothing came inside TCP",
            "the server is too busy to answer by TCP, or something on the way holds it up: try "
            "again, and ask the operator",
        )
    mean = sum(trips) / len(trips)
    figures = {"mean_ms": milliseconds(mean), "samples": len(trips), "forced": is_forced}
    return Check("fallback", "ok", f"{why}, TCP carries the game at {ms(mean)}", "", figures)


def no_second_join_check(text: str) -> Check:
    """The join for which UDP was to be cut did not come about."""
    return Check(
        "fallback",
        "warning",
        f"could not be tried: a second join failed: {text}",
        "the server was full or busy just then: try again in a moment",
    )
