"""Fakes for tests, ours and yours: `Memory…` works without a kernel, `Recording…` notes what it is told, `Raising…` fails."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from realmgw.errors import Reason
from realmgw.subscribers.model import Service


class MemoryAllocator:
    """An allocator for the DNS server that has one address, for everybody, or none.

    Attributes:
        address: What every question is answered with.
        refusal: If set, no address is given, for this reason.
        wait_refusal: If set, no question may wait, for this reason.
        asked: What `ask` was called with: name of the service, resolver, question, time.
        waiting: What waits, by question.
    """

    def __init__(self, address: bytes = b"\xc0\x00\x02\x01") -> None:
        """Begins to give out a packed address, 192.0.2.1 unless told otherwise."""
        self.address = address
        self.refusal: Reason | None = None
        self.wait_refusal: Reason | None = None
        self.asked: list[tuple[str, Hashable, Hashable, float]] = []
        self.waiting: dict[Hashable, Callable[[bytes | Reason], None]] = {}

    def ask(self, service: Service, resolver: Hashable, question: Hashable, *, now: float) -> bytes | Reason:
        """The address, or the refusal."""
        self.asked.append((service.name, resolver, question, now))
        return self.address if self.refusal is None else self.refusal

    def wait(
        self,
        service: Service,
        resolver: Hashable,
        question: Hashable,
        deliver: Callable[[bytes | Reason], None],
        *,
        tcp: bool,
        now: float,
    ) -> Reason | None:
        """Keeps `deliver` for `finish`, unless waiting is refused."""
        del service, resolver, tcp, now
        if self.wait_refusal is None:
            self.waiting[question] = deliver
        return self.wait_refusal

    def finish(self, outcome: bytes | Reason) -> None:
        """Ends the waiting of the question that began to wait first."""
        self.waiting.pop(next(iter(self.waiting)))(outcome)
