"""What happened, as plain integers: the hot path only adds to them, metrics read them."""

from __future__ import annotations

import attrs

from realmgw.config.distribution import DELAY_BOUNDS, Distribution
from realmgw.errors import Reason, by_reason


def no_reasons() -> list[int]:
    """A count of zero for every `Reason`, indexed by it."""
    return [0] * (max(Reason) + 1)


def no_delays() -> Distribution:
    """One of delays in which there are none yet."""
    return Distribution(DELAY_BOUNDS)


@attrs.define
class Counters:
    """Totals since the start."""

    retransmitted: int = 0
    """Questions answered again with their own claim."""
    joined: int = 0
    """Claims at an address where the host was expected already."""
    sticky: int = 0
    """Claims at the address that the host had last."""
    shared: int = 0
    """Reservations at an address beside other services."""
    displaced: int = 0
    """Times that a host at its limit had those of a worse standing make room."""
    reclaimed: int = 0
    """Addresses taken from claims that were dead by experience."""
    tried: int = 0
    """How often a resolver was told nothing of a name for a while, to see whether its clients come all the same."""
    waited: int = 0
    """Questions that waited for an address; a retransmission of one counts again."""
    served: int = 0
    """Waiting questions that were given one."""
    by_claim: int = 0
    """Packets admitted that used up a claim."""
    by_source: int = 0
    """Packets admitted since their sender had been before."""
    by_spare: int = 0
    """Packets admitted as the further sender of a used claim."""
    by_memory: int = 0
    """Packets admitted since their flow had just been."""
    resumed: int = 0
    """Packets admitted since their flow had been, before conntrack forgot it."""
    idle_ended: int = 0
    """Flows of UDP that were ended, since they were idle when their address had passed on to another host."""
    questions: int = 0
    """Put to conntrack: whether somebody who was let in was answered."""
    claimed: int = 0
    """Claims made."""
    lapsed: int = 0
    """Claims that nobody used."""
    excused: int = 0
    """Of those: while flows could not get through, so it counts against nobody."""
    probes: int = 0
    """Claims for a name above another one that was asked for a moment later: nobody is held responsible for them."""
    settled: int = 0
    """Claims that ended early, since their client came by IPv6."""
    voided: int = 0
    """Claims that ended since their host or their address went away."""
    late: int = 0
    """Packets refused that came after their service had left the address."""
    uncertain: int = 0
    """Packets admitted where another service had been a moment before: they may have been meant for that one."""
    policy_audited: int = 0
    """Questions that were answered only because the load policy is in audit mode."""
    pending: int = 0
    """How many claims stand now, for all hosts together, whatever they were made for; no total: it falls as well."""
    delays: Distribution = attrs.field(factory=no_delays)
    """How long after the answer, in seconds, packets came that used up a claim."""
    refused: list[int] = attrs.field(factory=no_reasons)
    """Queries refused, indexed by `Reason`."""

    def counts(self) -> dict[str, object]:
        """All of them by name."""
        every = {**attrs.asdict(self, recurse=False), "delays": self.delays.counts()}
        return {**every, "refused": by_reason(self.refused)}
