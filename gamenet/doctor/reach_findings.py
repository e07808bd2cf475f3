"""What it means how a server was reached: name, TCP, TLS and join.

Layer 4. Runs on: any thread; pure functions.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from gamenet.client_host import HUNG_UP_PLAIN
from gamenet.core.text import clean
from gamenet.doctor.check import Check, listed, milliseconds, ms
from gamenet.doctor.fixes import ANSWERS, REFUSAL_FIXES, SAYS_NOTHING, tls_words
from gamenet.doctor.trust import HUNG_UP as HUNG_UP_EARLY
from gamenet.tls_problems import HUNG_UP, NOT_TLS

if TYPE_CHECKING:
    from gamenet.addresses import Target
    from gamenet.doctor.facts import Answer, Attempt, Found, Shown
    from gamenet.errors import RefusalReason

_FINGERPRINT: Final = re.compile(r"(?:presented|This one's is) sha256=([0-9a-f]{64})")
SOON_DAYS: Final = 7
"""A certificate that expires within so many is worth a warning."""


def name_check(target: Target, found: Found | None) -> Check:
    """Whether the host has addresses.

    :param found: None if nobody answered in time.
    """
    host = target.host
    if found is None or found.problem == "no answer":
        return Check(
            "name",
            "failed",
            f"nobody answers what the address of {host} is",
            "this machine has no network or its name server is down: see whether other names can "
            "be found, such as those of web sites, else connect or restart the router",
        )
    if found.problem:
        return Check(
            "name",
            "failed",
            f"there is no host of the name {host}",
            "the name is misspelt or not registered: compare it with what the server's operator "
            "gave you, or use the server's IP address",
            {"system_says": found.words},
        )
    hosts = [str(address[0]) for _, address in found.places]
    figures = {
        "ipv4": [host for host in hosts if ":" not in host],
        "ipv6": [host for host in hosts if ":" in host],
    }
    if hosts == [host]:
        return Check("name", "ok", f"{host} is an address already", "", figures)
    return Check("name", "ok", f"{host} is {listed(hosts)}", "", figures)


def tcp_check(target: Target, attempts: list[Attempt]) -> Check:
    """Whether anybody answers, at each of the addresses."""
    figures: dict[str, Any] = {
        "attempts": [
            {"address": str(each), "outcome": each.outcome, "ms": milliseconds(each.seconds)}
            for each in attempts
        ]
    }
    well = [each for each in attempts if each.outcome == "connected"]
    ill = [each for each in attempts if each.outcome != "connected"]
    text = "; ".join(map(_told, attempts))
    if not well:
        return Check("tcp", "failed", text, _tcp_fix(target, ill), figures)
    # Who has no IPv6 is not worse off: the other addresses are taken at once.
    bad = [each for each in ill if not (each.is_ipv6 and each.outcome == "unreachable")]
    if bad:
        where = listed([str(each) for each in bad])
        return Check(
            "tcp",
            "warning",
            text,
            f"the name also stands for {where}, where no server answers: its operator should have "
            "the server listen there too or take the address out of the name, for it costs "
            "players time",
            figures,
        )
    return Check("tcp", "ok", text, "", figures)


def _told(attempt: Attempt) -> str:
    if attempt.outcome == "connected":
        return f"{attempt} answers in {ms(attempt.seconds)}"
    if attempt.outcome == "refused":
        return f"{attempt} refuses the connection"
    if attempt.outcome == "timed out":
        return f"{attempt} does not answer within {attempt.seconds:.0f} s"
    if attempt.outcome == "unreachable":
        return f"there is no way from here to {attempt}"
    return f"{attempt} cannot be reached: {attempt.words}"


def _tcp_fix(target: Target, attempts: list[Attempt]) -> str:
    outcomes = {each.outcome for each in attempts}
    port = target.port
    if "refused" in outcomes:
        return (
            f"the machine is there, but nothing listens at TCP port {port}: the server is not "
            "running or has another port, so compare the address with the line 'ready: address=' "
            "of its log"
        )
    if "timed out" in outcomes:
        return (
            f"a firewall drops what goes to TCP port {port}, or the machine is off: its operator "
            f"should allow or forward TCP {port}, and you should try from another network"
        )
    if "unreachable" in outcomes:
        return (
            "this machine is not connected to the network that the address is in: connect it, or "
            "use another address of the server"
        )
    return "this machine refuses to connect: see whether a firewall or proxy of its own forbids it"


def tls_check(target: Target, shown: Shown | None, answer: Answer | None) -> Check:
    """Whether the server proves that it is the one that was meant.

    :param shown: None if it did not answer in time.
    :param answer: what it said to a stranger, if it was asked.
    """
    figures: dict[str, Any] = {"pinned": target.pin}
    if shown is None or shown.problem:
        problem = SAYS_NOTHING if shown is None else shown.problem
        text, fix = tls_words(problem)
        fix = _wrong_service(target, answer) or fix
        figures["problem"] = problem
        if presented := _FINGERPRINT.search(problem):
            figures["fingerprint"] = presented[1]
            text += f"; it is sha256={presented[1]}"
        if answer is not None:
            figures["answers_as"] = answer
        return Check("tls", "failed", text, fix, figures)
    figures |= {
        "fingerprint": shown.fingerprint,
        "version": shown.version,
        "expires": shown.expires,
        "ms": milliseconds(shown.seconds),
    }
    if target.pin:
        text = f"{shown.version}; the certificate is the pinned one"
        return Check("tls", "ok", text, "", figures)
    text = f"{shown.version}; the certificate is for {target.host} and good until {shown.expires}"
    if shown.days_left < SOON_DAYS:
        fix = "nobody can join once it has expired: its operator must renew it before"
        return Check("tls", "warning", text, fix, figures)
    return Check("tls", "ok", text, "", figures)


def no_tls() -> Check:
    """There is to be no TLS."""
    return Check(
        "tls", "not tried", "--insecure: nothing is encrypted, and nobody proves who answers"
    )


def _wrong_service(target: Target, answer: Answer | None) -> str:
    return "" if answer is None else ANSWERS.get(answer, "").format(port=target.port)


def joined_check(name: str, secure: bool, seconds: float) -> Check:
    """The server let us in."""
    how = "encrypted" if secure else "not encrypted"
    text = f"joined as {clean(name)} in {ms(seconds)}, {how}"
    return Check("join", "ok", text, "", {"player": clean(name), "ms": milliseconds(seconds)})


def refused_check(reason: RefusalReason, text: str, retry_seconds: float) -> Check:
    """The server said no."""
    figures: dict[str, Any] = {"refusal": reason.name, "retry_after_seconds": retry_seconds}
    if retry_seconds:
        text += f" It asks for a pause of {retry_seconds:.0f} s."
    return Check("join", "failed", text, REFUSAL_FIXES[reason], figures)


def not_joined_check(target: Target, text: str, answer: Answer | None) -> Check:
    """It came to no answer.

    :param answer: what a stranger is told there.
    """
    fix = _wrong_service(target, answer) or (
        f"what answers at TCP port {target.port} does not speak gamenet's protocol or is too busy "
        "to: compare the address with the line 'ready: address=' of the server's log, and try "
        "again in a moment"
    )
    figures = {} if answer is None else {"answers_as": answer}
    if text == HUNG_UP_PLAIN:
        text = text.partition("; ")[0]
    return Check("join", "failed", clean(text), fix, figures)


def is_no_tls(problem: str) -> bool:
    """Whether it should be asked what it is that does not speak TLS."""
    return problem in (NOT_TLS, HUNG_UP, HUNG_UP_EARLY)
