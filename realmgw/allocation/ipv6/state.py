"""A claim at an address of its own, and what is counted of all of them.

Theory of operation. The address and its claim are one: it is PENDING until its client comes, or its time is over. Who
has come *keeps* the address, for himself and, where that is not ruled out, for others who were told the same. These
are all the ways::

    PENDING -- its client comes, or by IPv4 ---> KEPT
    PENDING -- its time is over ---------------> gone
    KEPT ----- nobody has come for a while ----> gone
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import TYPE_CHECKING, ClassVar

import attrs

from realmgw.allocation.counters import no_delays
from realmgw.allocation.pace import Pace
from realmgw.config.distribution import Distribution

if TYPE_CHECKING:
    from realmgw.allocation.claims.paired import Sibling
    from realmgw.allocation.flow import Flow
    from realmgw.allocation.reputation.group import Group
    from realmgw.allocation.reputation.requestors import ClientNetwork, Requestor
    from realmgw.subscribers.model import Service


@attrs.define(eq=False)
class Others(Pace):
    """Those who came on a claim after its own client. Compared by identity."""

    sources: dict[bytes, None] = attrs.field(factory=dict)
    """Their packed addresses."""


@attrs.define(eq=False)
class FreshClaim:
    """Somebody asked, was told an address of his own, and his packet is expected there. Compared by identity."""

    packed: bytes
    """The address, in network order."""
    service: Service
    """What is reached there."""
    group: Group
    """Who asked."""
    question: Hashable
    """Equal for a retransmission of the same question; None when it is pending no more."""
    created: float
    """When it was answered, in monotonic seconds."""
    deadline: float
    """When it ends unused."""
    network: ClientNetwork | None = None
    """Only packets from there use it; None: any."""
    client: Requestor | None = None
    """Who is expected, where the asker told it and is believed."""
    unproven: bool = False
    """See `realmgw.allocation.state.Claim`."""
    cost: float = 0.0
    """How much it counts if nobody uses it, 0 to 1; see `Allowances.take`."""
    sibling: Sibling | None = None
    """What the same client was told for IPv4: whichever he uses, the other one is expected no more."""
    held_against: tuple[float, float] | None = None
    """See `realmgw.allocation.state.Claim`."""
    pending: bool = True
    """False once its client has come."""
    spare: int = 0
    """Once it is pending no more: how many further senders it may still let in."""
    kept_since: float = -math.inf
    """Since when the address is kept, in monotonic seconds: its client came then, or came again and was answered."""
    flow: Flow | None = None
    """Of who came last."""
    source: bytes = b""
    """Packed address of who came first; empty: nobody has."""
    others: Others | None = None
    """Further ones, if there are any."""
    number: int = 0
    """Its trace id, see `realmgw.allocation.decisionlog`."""
    doubt: ClassVar[None] = None
    """Nobody can guess the address, so whoever comes was told it."""

    @property
    def target(self) -> int:
        """What is reached there, see `Service.target`."""
        return self.service.target

    @property
    def asked(self) -> float:
        """When it was asked for, in monotonic seconds: nobody waits."""
        return self.created

    @property
    def came_at(self) -> float:
        """When somebody used it, or came again, in monotonic seconds; minus infinity: nobody has."""
        return self.kept_since if self.source else -math.inf

    @property
    def is_over(self) -> bool:
        """Whether nothing is to be done any more when its time is over."""
        return not self.pending

    def was_let_in(self, src: bytes) -> bool:
        """Whether a sender came before."""
        return src == self.source or (self.others is not None and src in self.others.sources)


@attrs.define
class FreshCounters:
    """Totals since the start, of IPv6."""

    retransmitted: int = 0
    """Questions answered again with their own claim."""
    claimed: int = 0
    """Claims made, each at a fresh address."""
    by_claim: int = 0
    """Packets admitted that used up a claim."""
    by_source: int = 0
    """Packets admitted since their sender had been before."""
    by_spare: int = 0
    """Packets admitted as the further sender of a used claim."""
    lapsed: int = 0
    """Claims that nobody used."""
    excused: int = 0
    """Of those: while flows could not get through, so it counts against nobody."""
    voided: int = 0
    """Claims that ended since their host or their address went away."""
    settled: int = 0
    """Claims that ended early, since their client came by IPv4."""
    displaced: int = 0
    """Claims that ended early, since their host had as many as it may, and others are likelier to come."""
    evicted: int = 0
    """Addresses that were kept no longer, since as many stand as may."""
    late: int = 0
    """Packets refused at addresses that were somebody's a while ago."""
    delays: Distribution = attrs.field(factory=no_delays)
    """How long after the answer, in seconds, packets came that used up a claim."""

    def counts(self) -> dict[str, object]:
        """All of them by name."""
        return {**attrs.asdict(self), "delays": self.delays.counts()}
