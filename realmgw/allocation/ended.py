"""Flows that conntrack has forgotten, and where they went: the dead do not inherit.

Theory of operation. Conntrack forgets a flow of UDP that pauses. Its next packet is a first packet again, and nothing
in it tells that it is no new client's; by then its address may be another host's, whose claim it would use up. So the
end of each flow is noted, with the host that it went to, and a packet of a flow that is known so

- goes to that host as long as nobody else has the address, and needs no claim for that;
- is refused when another host has it: whoever is expected there, it is hardly he.

Of protocols with a handshake nothing is noted: what begins with one is a new flow, whatever has had these ports before.
The same is true of echo requests, whose identifiers are not looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import attrs

from realmgw.allocation.candidates import Flow
from realmgw.allocation.generations import Generations

if TYPE_CHECKING:
    from realmgw.config.settings import Allocation
    from realmgw.subscribers.model import Host

ICMP, TCP, DCCP, ICMP_V6, SCTP = 1, 6, 33, 58, 132
UNNOTED = frozenset((ICMP, TCP, DCCP, ICMP_V6, SCTP))
"""The protocols of which no end is noted."""
GRACE = 10.0  # seconds
"""So late it may be told that a flow has ended."""

HostAt = Callable[[bytes], "Host | None"]
"""The host that has a packed private address."""


@attrs.define(eq=False)
class Ended:
    """A flow that has ended."""

    private: bytes
    """The packed address of the host that it went to."""
    at: float
    """When it ended, or went on last, in monotonic seconds."""
    until: float = 0.0
    """It was ended by us, since it was idle: until then conntrack would have known it, and it goes on even if another
    host has its address, as long as nobody is expected there."""


class EndedFlows:
    """Remembers flows that have ended, a bounded number of them for a bounded time.

    Those that were more than one exchange of packets have half of the places for themselves: else somebody who asks
    and is answered, again and again, each time from another port, would have them forgotten.

    Args:
        settings: How many, and for how long.
        host_at: Tells whose a private address is now; None: nothing is remembered.

    Attributes:
        listen: Called before it is looked for a flow: what has been told of ends is heard first.
        is_on: Whether anything is remembered.
    """

    def __init__(self, settings: Allocation, host_at: HostAt | None) -> None:
        self._host_at = host_at
        self._exchanges = Generations[Flow, Ended](1)
        self._conversations = Generations[Flow, Ended](1)
        self._barred: dict[bytes, float] = {}
        self.listen: Callable[[], object] = _nothing
        self.regard(settings)

    def __len__(self) -> int:
        return len(self._exchanges) + len(self._conversations)

    def regard(self, settings: Allocation) -> None:
        """From now on, remember so many for so long."""
        self.is_on = settings.ended_flows > 0 and self._host_at is not None
        self._time = settings.ended_time
        for each in (self._exchanges, self._conversations):
            each.regard(settings.ended_flows // 2)

    def remember(self, flow: Flow, private: bytes, *, assured: bool, now: float, until: float = 0.0) -> None:
        """A flow has ended.

        Args:
            flow: Which one.
            private: Packed address of the host that it went to.
            assured: It was more than one exchange of packets.
            now: The present.
            until: See `Ended`.
        """
        if not self.is_on or now < self._barred.get(private, 0.0):
            return
        known = self._exchanges.pop(flow) or self._conversations.pop(flow)
        if known is not None and known.private == private and known.until > until:
            until = known.until
        (self._conversations if assured else self._exchanges).put(flow, Ended(private, now, until))

    def find(self, flow: Flow, *, now: float) -> tuple[Ended, Host] | None:
        """A flow that has ended, with the host that it went to, if there is that host still; None: it is a new one."""
        self.listen()
        ended = self._conversations.peek(flow) or self._exchanges.peek(flow)
        if ended is None or now - ended.at > self._time or ended.at < self._barred.get(ended.private, 0.0):
            return None
        host = None if self._host_at is None else self._host_at(ended.private)
        return None if host is None else (ended, host)

    def forget(self, flow: Flow) -> None:
        """It is another flow by now."""
        self._conversations.pop(flow)
        self._exchanges.pop(flow)

    def bar(self, addresses: Iterable[bytes], *, now: float) -> None:
        """Private addresses are no more whose they were: no flow goes on there that went there before.

        O(addresses that were barred lately).
        """
        self._barred = {each: until for each, until in self._barred.items() if until + self._time > now}
        self._barred.update(dict.fromkeys(addresses, now + GRACE))


def _nothing() -> None:
    """There is nothing to hear."""
