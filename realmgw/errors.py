"""What can go wrong, by whose fault it is, and why something was refused.

Three kinds of fault: ours (`RealmGatewayError` itself means a bug or a broken promise of a library), the operator's
(`ConfigurationError`, `PlatformError`: the message says what to do), and the peer's (`MalformedError`: what he sent).
A refusal is no error: it is a `Reason`, and the counter, the log line, `explain` and the tests all use the same member.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence

MACHINE_REFUSED = 5
"""The exit status of our programs when the machine has refused: a file can not be written, or the kernel said no."""


class RealmGatewayError(Exception):
    """The base class of every error that this package raises on purpose."""


class ConfigurationError(RealmGatewayError):
    """The configuration can not be used; the running one, if there is one, stays as it is.

    Attributes:
        problems: Every problem found, each `file:line:column: what, and what to write instead`.
    """

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class PlatformError(RealmGatewayError):
    """This machine lacks something (capability, kernel feature, free port); one line that says what to do."""


class MalformedError(RealmGatewayError):
    """A peer sent bytes that are not what the protocol says; nothing was changed by them."""


class Reason(enum.IntEnum):
    """Why a query or a packet was refused. Values are positive and stable: they index the counters.

    Members up to 31 are refusals of queries (no address was given), from 32 on refusals of packets.
    """

    EXHAUSTED = 1
    """Every pool address is held by somebody who may still come; waiting may help."""
    WAITED = 2
    """A query waited for an address as long as it may, and none came free."""
    QUEUE_FULL = 3
    """As many queries as may wait for an address are waiting already."""
    HOST_LIMIT = 4
    """The host's clients are expected at as many addresses, or shares of one, as its CIRCULARPOOL allows."""
    POLICY = 5
    """The load policy refused: the asker's standing does not suffice at this load."""
    WITHDRAWN = 6
    """The host was removed, or its address taken away, while the query waited."""
    STOPPING = 7
    """The gateway is stopping."""
    CLAIM_LIMIT = 8
    """As many claims are pending, for all hosts together, as the policy allows."""
    DEGRADED = 9
    """Something that flows need is broken, so an address would be a dead one."""
    GONE = 10
    """Who asked by TCP has closed his connection while the query waited for an address."""

    NOT_OURS = 32
    """The packet's destination is no address of the pool."""
    NO_RESERVATION = 33
    """Nothing is reserved at that address for that service."""
    NO_CLAIM = 34
    """There is a reservation, but its claims are used up and the sender was not admitted before."""
    OTHER_NETWORK = 35
    """There are claims, but each is bound to another client network than the sender's."""
    LATE = 36
    """The service had that address until a moment ago: the sender came too late."""
    TRUNCATED = 37
    """The packet is shorter than its own headers say."""
    BAD_HEADER = 38
    """A header contradicts itself: version, header length, total length."""
    FRAGMENT = 39
    """A fragment that does not begin the packet: it has no ports."""
    ZERO_PORT = 40
    """Port 0 in TCP, UDP or SCTP."""
    NOT_INITIAL = 41
    """What can not begin a flow: TCP but a bare SYN, SCTP but an INIT, ICMP but a request."""
    FAULT = 42
    """Our own fault while deciding; the packet was refused, the fault logged."""
    STOPPED = 43
    """The gateway is stopping: nothing new is admitted."""
    CROWDED = 44
    """As many senders without a claim of their own came to the reservation as may within a moment."""
    PASSED_ON = 45
    """A flow that paused for longer than conntrack remembers, and its address is another host's by now."""


_NAMES = tuple((reason.name.lower(), int(reason)) for reason in Reason)


def by_reason(counts: Sequence[int]) -> dict[str, int]:
    """Counts that are indexed by `Reason`, by the reasons' names."""
    return {name: counts[reason] for name, reason in _NAMES}
