"""Flows that conntrack has forgotten, and where they went: the dead do not inherit.

Theory of operation. Conntrack forgets a flow of UDP that pauses. Its next packet is a first packet again, and nothing
in it tells that it is no new client's; by then its address may be another host's, whose claim it would use up. So it is
remembered which flows there were, with the host that each went to, and a packet of a flow that is known so

- goes to that host as long as nobody else has the address, and needs no claim for that;
- is refused when another host has it: whoever is expected there, it is hardly he.

Of protocols with a handshake nothing is remembered: what begins with one is a new flow, whatever has had these ports
before. The same is true of echo requests, whose identifiers are not looked at.

There are two memories. `Datagrams` notes each flow when it is let in; the latest ones are there still when conntrack
has forgotten them. But a flow may live for hours: so the end of those that were more than one exchange of packets is
told by conntrack, and remembered here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import attrs

from realmgw.allocation.flow import Flow
from realmgw.allocation.reputation.lru import TwoGenerationLRU
from realmgw.config.protocols import DCCP, ICMP, ICMP6, SCTP, TCP

if TYPE_CHECKING:
    from realmgw.config.settings import Allocation
    from realmgw.subscribers.model import Host

UNNOTED = frozenset((ICMP, TCP, DCCP, ICMP6, SCTP))
"""The protocols of which nothing is remembered."""
HANDSHAKES = frozenset((TCP, DCCP, SCTP))
"""Those of them that have ports: conntrack knows each of their flows from its first packet on."""
BURST = 1.0  # seconds
"""So soon after a flow was let in come those of its packets that conntrack has not seen."""
GRACE = 10.0  # seconds
"""So late it may be told that a flow has ended."""

HostAt = Callable[[bytes], "Host | None"]
"""The host that has a packed private address."""


@attrs.define(eq=False)
class Ended:
    """A flow that has ended, or may have."""

    private: bytes
    """The packed address of the host that it went to."""
    at: float
    """When it ended, as far as is known; else when it was let in. In monotonic seconds."""
    until: float = 0.0
    """It was ended by us, since it was idle: until then conntrack would have known it, and it goes on even if another
    host has its address, as long as nobody is expected there."""
    lives: bool = False
    """It is not known that it has ended."""

    def has_just_begun(self, now: float) -> bool:
        """Whether a packet is one of its first ones, which come before conntrack knows it."""
        return self.lives and now - self.at <= BURST


class EndedFlows:
    """Remembers flows that have ended, a bounded number of them for a bounded time.

    Args:
        settings: How many, and for how long.
        host_at: Tells whose a private address is now; None: nothing is remembered.

    Attributes:
        is_on: Whether anything is remembered.
        flows: What is; read only.
    """

    def __init__(self, settings: Allocation, host_at: HostAt | None) -> None:
        self._host_at = host_at
        self.flows = TwoGenerationLRU[Flow, Ended](1)
        self._barred: dict[bytes, float] = {}
        self.configure(settings)

    def __len__(self) -> int:
        return len(self.flows)

    def configure(self, settings: Allocation) -> None:
        """From now on, remember so many for so long."""
        self.is_on = settings.ended_flows > 0 and self._host_at is not None
        self._time = settings.ended_time
        self.flows.configure(settings.ended_flows)

    def remember(self, flow: Flow, ended: Ended) -> None:
        """A flow has ended."""
        if self.is_on and ended.at >= self._barred.get(ended.private, 0.0):
            self.flows.put(flow, ended)

    def find(self, flow: Flow) -> Ended | None:
        """A flow that has ended."""
        return self.flows.peek(flow)

    def host_of(self, ended: Ended, *, now: float) -> Host | None:
        """The host that a flow went to, if it may go on there: it did not end too long ago, and there is the host."""
        if self._host_at is None or now - ended.at > self._time or ended.at < self._barred.get(ended.private, 0.0):
            return None
        return self._host_at(ended.private)

    def forget(self, flow: Flow) -> None:
        """It is another flow by now."""
        self.flows.pop(flow)

    def bar(self, addresses: Iterable[bytes], *, now: float) -> None:
        """Private addresses are no more whose they were: no flow goes on there that went there before.

        O(addresses that were barred lately).
        """
        self._barred = {each: until for each, until in self._barred.items() if until + self._time > now}
        self._barred.update(dict.fromkeys(addresses, now + GRACE))
