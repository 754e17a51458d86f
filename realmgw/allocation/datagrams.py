"""Flows of UDP that stand at addresses of the pool, and what becomes of them when their address passes on.

Theory of operation. What conntrack knows goes where it went before, whoever has the address by now: so flows outlive
the passing on of their address, and that is what they are meant to do. But conntrack knows a flow for a while after
its last packet, and if its sender comes again from the same port, told the same address for another name, his packet
would be taken for one of that flow. So when an address passes on, conntrack is asked about the flows there, and those
that have been idle are ended; the others are asked about again, as long as the address is another host's. They are
looked at a few at a time, beside everything else. Flows of TCP need none of this: a new handshake ends what was left.

A flow that is ended so is remembered (`ended`), and may go on if it was only slow.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from realmgw.allocation.candidates import Flow
from realmgw.allocation.ended import EndedFlows

if TYPE_CHECKING:
    from realmgw.allocation.counters import Counters
    from realmgw.allocation.pool import Pool
    from realmgw.allocation.state import Address
    from realmgw.config.settings import Allocation
    from realmgw.subscribers.model import Host

UDP, UDP_LITE = 17, 136
NOTED = frozenset((UDP, UDP_LITE))
"""Protocols that have ports to be asked for by, and no handshake."""
MOST = 1024
"""So many flows are known of an address."""
LOOKS = 64
"""So many flows are asked about in one go."""
GATHERED = 16
"""The flows of so many addresses are gathered in one go."""
AGAIN = 2.0  # seconds
"""How long after a flow was asked about it is asked about again."""


class Idle(Protocol):
    """What conntrack says of a flow."""

    @property
    def seconds(self) -> float:
        """For how long no packet of it has come."""

    @property
    def remaining(self) -> float:
        """After how many more seconds it will be forgotten."""

    @property
    def assured(self) -> bool:
        """It is more than one exchange of packets."""

    @property
    def end(self) -> Callable[[], bool]:
        """Ends it; returns whether it was there still."""


class Entries(Protocol):
    """Conntrack; see `realmgw.admission.conntrack`."""

    def idle(self, flow: Flow) -> Idle | None:
        """What it says of a flow; None: there is none."""


class Datagrams:
    """Knows the flows at each address, and ends those that are idle where they are in the way.

    Args:
        settings: When a flow is idle.
        pool: The addresses.
        ended: Where flows are remembered that have ended.
        entries: Conntrack; None: nobody can be asked, and flows are left alone.
        counters: Where it is counted what was ended.

    Attributes:
        soon: Called when `look` wants to be called, before anything else happens if it can be.
    """

    def __init__(
        self, settings: Allocation, pool: Pool, ended: EndedFlows, entries: Entries | None, counters: Counters
    ) -> None:
        self._pool = pool
        self._ended = ended
        self._entries = entries
        self._counters = counters
        self._passed: OrderedDict[Address, None] = OrderedDict()
        self._next: OrderedDict[Flow, None] = OrderedDict()
        self._later: OrderedDict[Flow, float] = OrderedDict()
        self._count = 0
        self.soon: Callable[[], object] = _nothing
        self.regard(settings)

    def __len__(self) -> int:
        return self._count

    def regard(self, settings: Allocation) -> None:
        """From now on, this is how long flows have to be idle."""
        self._idle = settings.idle_exchange, settings.idle_flow
        self._most = settings.ended_flows

    def note(self, address: Address, flow: Flow, host: Host) -> None:
        """A flow was let in at an address, to a host."""
        flows = address.flows
        if flows is None:
            flows = address.flows = {}
        elif flow in flows:
            del flows[flow]
            self._count -= 1
        elif len(flows) >= MOST:
            self._drop(address, next(iter(flows)))
        if self._entries is not None and self._count < self._most:
            flows[flow] = host
            self._count += 1

    def hear(self, flow: Flow, private: bytes, assured: bool, *, now: float) -> None:
        """Conntrack has forgotten a flow, or somebody has ended it.

        Args:
            flow: Which one.
            private: Packed address of the host that it went to.
            assured: It was more than one exchange of packets.
            now: The present.
        """
        address = self._pool.addresses.get(flow[1])
        if address is not None:
            self._drop(address, flow)
            self._ended.remember(flow, private, assured=assured, now=now)

    def passed(self, address: Address) -> None:
        """Another host has an address, or a part of it, from now on."""
        if address.flows:
            self._passed[address] = None
            self.soon()

    def left(self, address: Address) -> None:
        """An address is no more of the pool."""
        self._count -= len(address.flows or ())
        address.flows = None

    def look(self, *, now: float) -> bool:
        """End what is idle where another host has the address; some of it at most.

        Returns:
            Whether there is more to be looked at now.
        """
        for _ in range(min(GATHERED, len(self._passed))):
            self._gather(self._passed.popitem(last=False)[0])
        while self._later and next(iter(self._later.values())) <= now:
            self._next[self._later.popitem(last=False)[0]] = None
        for _ in range(min(LOOKS, len(self._next))):
            self._regard_flow(self._next.popitem(last=False)[0], now)
        return bool(self._next or self._passed)

    def _gather(self, address: Address) -> None:
        for flow, host in (address.flows or {}).items():
            if flow not in self._later and _is_astray(address, flow, host):
                self._next[flow] = None

    def _regard_flow(self, flow: Flow, now: float) -> None:
        address = self._pool.addresses.get(flow[1])
        host = None if address is None or address.flows is None else address.flows.get(flow)
        if address is None or host is None or self._entries is None or not _is_astray(address, flow, host):
            return
        idle = self._entries.idle(flow)
        if idle is None:
            self._drop(address, flow)
            return
        enough = self._idle[idle.assured]
        if not enough or idle.seconds < enough:
            self._later[flow] = now + AGAIN
            return
        if idle.end():
            self._counters.idle_ended += 1
            until = now + idle.remaining
            self._ended.remember(flow, host.address, assured=idle.assured, now=now, until=until)
        self._drop(address, flow)

    def _drop(self, address: Address, flow: Flow) -> None:
        if address.flows is not None and address.flows.pop(flow, None) is not None:
            self._count -= 1


def _is_astray(address: Address, flow: Flow, host: Host) -> bool:
    """Whether a packet like those of a flow would be another host's, if it were the first one."""
    reservation = address.meeting(flow[2], flow[4])
    return reservation is not None and reservation.service.host.index != host.index


def _nothing() -> None:
    """Somebody will look by himself."""
