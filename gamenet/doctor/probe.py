"""Datagrams of chosen sizes, on a socket of their own that lets nobody fragment them.

Layer 4. Runs on: the main thread.

The session's own socket lets routers fragment. This one does not, where the system can be told so
(Linux), and is connected, so that what routers and the server's machine say of it arrives here.
What the server had of it the session hears, in the acknowledgements that come inside TCP or by UDP.
"""

from __future__ import annotations

import errno
import socket
import sys
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from gamenet.core.wire import HEADER_BYTES, MAX_DATAGRAM_BYTES, PREFIX, PREFIX_MASK, DatagramKind
from gamenet.doctor.facts import Datagrams
from gamenet.doctor.visit import LEAST_PROBE_BYTES

if TYPE_CHECKING:
    from gamenet.doctor.patience import Patience
    from gamenet.doctor.visit import Visit

IS_LINUX: Final = sys.platform == "linux"
IP_MTU_DISCOVER: Final = 10
IP_MTU: Final = 14
IPV6_MTU_DISCOVER: Final = 23
IPV6_MTU: Final = 24
PMTUDISC_DO: Final = 2
"""Linux's numbers: Python has names for them from 3.14 on, for IPv4."""

LONGEST: Final = (MAX_DATAGRAM_BYTES,)
ALL_SIZES: Final = (LEAST_PROBE_BYTES, 256, 512, 768, 1_024, 1_100, 1_150, MAX_DATAGRAM_BYTES)
ANSWER_MASK: Final = PREFIX_MASK | 0x0F
ANSWER: Final = PREFIX | DatagramKind.CHALLENGE
TRIES: Final = 3
"""Of each size: a path may lose one."""
PROBE_SECONDS: Final = 1.0
_ERRORS: Final = {
    errno.ECONNREFUSED: "refused",
    errno.ECONNRESET: "refused",
    errno.EMSGSIZE: "too long",
    errno.EPERM: "forbidden",
    errno.EACCES: "forbidden",
    errno.ENETUNREACH: "unreachable",
    errno.EHOSTUNREACH: "unreachable",
}


def probe(visit: Visit, patience: Patience, sizes: tuple[int, ...]) -> Datagrams:
    """Send a few datagrams of each size and wait for what becomes of them.

    :param sizes: the longest the protocol has is also answered by one as long.
    """
    found = Datagrams()
    address = patience.call(lambda: visit.udp_address)
    if not address[1]:
        return found
    is_ipv6 = ":" in address[0]
    try:
        with socket.socket(
            socket.AF_INET6 if is_ipv6 else socket.AF_INET, socket.SOCK_DGRAM
        ) as used:
            used.setblocking(False)
            found.dont_fragment = _forbid_fragments(used, is_ipv6)
            used.connect(address)
            _exchange(used, visit, patience, sizes, found)
            found.kernel_mtu = _kernel_mtu(used, is_ipv6)
    except OSError as error:  # no socket, no way there, or the session is over
        found.error = found.error or _word(error)
    return found


def _word(error: OSError) -> str:
    return _ERRORS.get(error.errno or 0, "failed")


def _forbid_fragments(used: Any, is_ipv6: bool) -> bool:
    """:returns: whether the system does as it is told."""
    if not IS_LINUX:
        return False
    if is_ipv6:
        used.setsockopt(socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER, PMTUDISC_DO)
    else:
        used.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, PMTUDISC_DO)
    return True


def _kernel_mtu(used: Any, is_ipv6: bool) -> int:
    if not IS_LINUX:
        return 0
    if is_ipv6:
        mtu = used.getsockopt(socket.IPPROTO_IPV6, IPV6_MTU)
    else:
        mtu = used.getsockopt(socket.IPPROTO_IP, IP_MTU)
    return int(mtu)


def _exchange(
    used: Any, visit: Visit, patience: Patience, sizes: tuple[int, ...], found: Datagrams
) -> None:
    waiting: dict[int, int] = {}
    for size in sizes:
        for _ in range(TRIES):
            number, data = patience.call(partial(visit.seal_probe, size))
            try:
                used.send(data)
            except OSError as error:
                found.error = found.error or _word(error)
                if error.errno == errno.EMSGSIZE:
                    break
            else:
                waiting[number] = size
                found.sent[size] = found.sent.get(size, 0) + 1

    def look() -> bool:
        _read(used, found)
        for number in patience.call(lambda: visit.arrived(list(waiting))):
            size = waiting.pop(number)
            found.arrived[size] = found.arrived.get(size, 0) + 1
        return not waiting and bool(found.answers)

    patience.until(look, PROBE_SECONDS)


def _read(used: Any, found: Datagrams) -> None:
    """What came back: the server's challenges, known by their headers. Nothing is done to please
    them, so whoever forges one deceives the doctor alone."""
    while True:
        try:
            data = used.recv(MAX_DATAGRAM_BYTES + 1)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            found.error = found.error or _word(error)
            return
        if len(data) > HEADER_BYTES and data[0] & ANSWER_MASK == ANSWER:
            found.answers.append(len(data))
