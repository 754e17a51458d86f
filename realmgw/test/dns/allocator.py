"""An allocator that gives out what a test says."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from ipaddress import IPv6Address, ip_network

from realmgw.allocation.allocator import Allocator
from realmgw.allocation.reputation.requestors import Requestor
from realmgw.allocation.trace import Trace
from realmgw.config import settings
from realmgw.errors import Reason
from realmgw.subscribers.model import Service


class MemoryAllocator(Allocator):
    """An allocator for the DNS server that has one address, for everybody, or none.

    Attributes:
        address: What every question for an IPv4 address is answered with.
        address6: The same of IPv6.
        refusal: If set, no address is given, for this reason.
        wait_refusal: If set, no question may wait, for this reason.
        free: What a question is answered with at once that was refused, if there is anything.
        asked: What `ask` was called with: name of the service, resolver, question, time.
        clients: For whom each of them was.
        families: Of which family the address was to be.
        held: What waits, by question.
        hung_up: When somebody was gone whose question waited, in monotonic seconds.
    """

    def __init__(self, address: bytes = b"\xc0\x00\x02\x01") -> None:
        """Begins to give out a packed address, 192.0.2.1 unless told otherwise."""
        super().__init__(settings.Allocation(), [ip_network((address, len(address) * 8))], now=0.0)
        self.address, self.address6 = address, IPv6Address("2001:db8:1::1").packed
        self.refusal: Reason | None = None
        self.wait_refusal: Reason | None = None
        self.free: bytes | Reason | None = None
        self.at_once = lambda *_, **__: self.free
        self.asked: list[tuple[str, Hashable, Hashable, float]] = []
        self.clients: list[Requestor | None] = []
        self.families: list[int] = []
        self.held: dict[Hashable, Callable[[bytes | Reason], None]] = {}
        self.hung_up: list[float] = []

    def ask(
        self,
        service: Service,
        resolver: Hashable,
        question: Hashable,
        *,
        now: float,
        client: Requestor | None = None,
        trace: Trace | None = None,
        family: int = 4,
    ) -> bytes | Reason:
        """The address, or the refusal."""
        del trace
        self.clients.append(client)
        self.asked.append((service.name, resolver, question, now))
        self.families.append(family)
        if self.refusal is not None:
            return self.refusal
        return self.address if family == 4 else self.address6

    def wait(
        self,
        service: Service,
        resolver: Hashable,
        question: Hashable,
        deliver: Callable[[bytes | Reason], None],
        *,
        tcp: bool,
        now: float,
        client: Requestor | None = None,
    ) -> Reason | None:
        """Keeps `deliver` for `finish`, unless waiting is refused."""
        del service, resolver, tcp, now, client
        if self.wait_refusal is None:
            self.held[question] = deliver
        return self.wait_refusal

    def hang_up(
        self, service: Service, question: Hashable, deliver: Callable[[bytes | Reason], None], *, now: float
    ) -> None:
        """Ends the waiting of a question whose asker is gone."""
        del service
        self.hung_up.append(now)
        if self.held.get(question) is deliver:
            self.held.pop(question)(Reason.GONE)

    def finish(self, outcome: bytes | Reason) -> None:
        """Ends the waiting of the question that began to wait first."""
        self.held.pop(next(iter(self.held)))(outcome)
