"""The states of a pool address, and what stands at it: reservations and their claims.

Theory of operation. A claim says: somebody asked for this service and is about to come. The claims of one service of
one host stand together in a reservation, at one address; services that do not overlap may stand at one address, each
with its own host. An address is WAITING while any claim is pending at it, LINGERING when none is but its last hosts
are still remembered there, and FREE when nothing is. Only a WAITING address is out of reach for another host: a
LINGERING one can be had when there is no free one. These are all the ways::

    FREE ------- first claim ------> WAITING
    WAITING ---- last claim gone --> LINGERING    (used, or nobody came)
    LINGERING -- new claim --------> WAITING      (for its own hosts, or passed on to another one)
    LINGERING -- time is over -----> FREE

An address that is reclaimed goes through all of LINGERING in no time: its claims end first.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Hashable
from typing import TYPE_CHECKING, Protocol

import attrs

if TYPE_CHECKING:
    from realmgw.allocation.candidates import Crowd, Doubt, Flow
    from realmgw.allocation.group import Group
    from realmgw.allocation.requestors import Requestor
    from realmgw.subscribers.model import Service


class State(enum.IntEnum):
    """Where a pool address stands."""

    FREE = 0
    WAITING = 1
    LINGERING = 2


TRANSITIONS: tuple[tuple[bool, ...], ...] = (
    # to FREE, WAITING, LINGERING
    (False, True, False),  # from FREE
    (False, False, True),  # from WAITING
    (True, True, False),  # from LINGERING
)
"""From each state, whether an address may go to another; `Pool` makes every move."""


class ClientNetwork(Hashable, Protocol):
    """The network that a claim is bound to, where the asker told it and is believed."""

    def __contains__(self, address: bytes, /) -> bool:
        """Whether a packed address lies in the network; False for one of another family."""
        ...


@attrs.define(eq=False)
class Claim:
    """Somebody asked, and his packet is expected. Compared by identity."""

    reservation: Reservation
    """What it stands in."""
    group: Group
    """Who asked."""
    question: Hashable
    """Equal for a retransmission of the same question."""
    created: float
    """When it was answered, in monotonic seconds."""
    deadline: float
    """When it ends unused."""
    dead: float
    """From when on it is dead by experience: clients of its group that come at all have come by then."""
    network: ClientNetwork | None = None
    """Only packets from there use it; None: any."""
    pending: bool = True
    """False once it was used, expired or reclaimed."""
    client: Requestor | None = None
    """Who is expected, where the asker told it and is believed."""
    spare: int = 0
    """Once it was used: how many further senders it may still let in before its deadline."""
    waited: bool = False
    """Its query has waited, and a resolver may have kept other clients with that question waiting for the answer."""
    courtesy: bool = False
    """It only keeps the address for those, who come on what the used one has to spare; its question is that one."""
    user: tuple[Flow, float] | None = None
    """The flow that used it, and when (monotonic seconds)."""
    doubt: Doubt | None = None
    """It was used while the gateway was alarmed, and it is to be found out whether by its client."""
    bare: bool = False
    """Its group was taken at its word: it shows where it is at times, and this query did not, so anybody can have sent
    it."""

    @property
    def is_over(self) -> bool:
        """Whether nothing is to be done any more when its time is over."""
        return not self.pending and (self.doubt is None or self.doubt.counted)


@attrs.define(eq=False)
class Reservation:
    """A service of a host at an address. Compared by identity."""

    address: Address
    """Where it stands."""
    service: Service
    """What is reached there."""
    group: Group
    """Who asked first since it last began to wait."""
    shares: dict[Group, int] | None = None
    """How many pending claims each group has, once a second one has joined since then: from then on nobody can tell
    whose client came, so outcomes are neutral."""
    doubtful: float = -math.inf
    """When a claim was last used here that may have been another group's."""
    claims: dict[Hashable, Claim] = attrs.field(factory=dict)
    """The pending ones by question, oldest first."""
    bound: dict[Hashable, Claim] = attrs.field(factory=dict)
    """Those of them that are bound to a network."""
    sources: dict[bytes, tuple[float, Flow]] = attrs.field(factory=dict)
    """Packed addresses admitted here: since when they have the right to come again (monotonic seconds), and a flow of
    theirs."""
    used: list[Claim] | None = None
    """The used claims that may still have something to spare, or are doubted, oldest first."""
    crowd: Crowd | None = None
    """Those who came without a claim of their own, if any did."""
    since: float | None = None
    """When it began to linger; None while claims are pending."""


@attrs.define(eq=False)
class Address:
    """An address of the pool. Compared by identity."""

    packed: bytes
    """In network order."""
    state: State = State.FREE
    """Moved by `Pool` alone."""
    reservations: dict[int, Reservation] = attrs.field(factory=dict)
    """By service key (protocol << 16 | port); no two of them overlap."""
    claims: int = 0
    """How many are pending at all its reservations."""
    hold: float = 0.0
    """Until when somebody is expected: the time at which the last of its claims is dead by experience."""
    doubt: float = 0.0
    """Until when a client of a claim that a stranger may have used is waited for."""
    standing: float = 0.0
    """The best standing of those who have made claims since it began to wait."""
    former: int | None = None
    """While FREE: the target that had it last, and may find it again."""
    gone_target: int = 0
    """The target of the last reservation that ended here; 0: none yet."""
    gone_until: float = 0.0
    """Until when a packet for that service may be one that came late."""
    gone: Reservation | None = None
    """That reservation, for as long."""


def overlap(one: int, other: int) -> bool:
    """Whether two service keys (protocol << 16 | port, 0 = any of either) have packets in common.

    >>> overlap(6 << 16 | 80, 17 << 16 | 80), overlap(6 << 16, 80)
    (False, True)
    """
    port, other_port = one & 0xFFFF, other & 0xFFFF
    protocol, other_protocol = one >> 16, other >> 16
    return (port == other_port or not port or not other_port) and (
        protocol == other_protocol or not protocol or not other_protocol
    )
