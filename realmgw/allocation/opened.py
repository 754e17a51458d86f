"""By which names, and answers, flows were opened that were let in lately: for whoever writes down what becomes of them.

Nothing is done for that when a packet comes, but for one to an address that was drawn for a claim of IPv6: the others
are those that are remembered for a moment anyway.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice
from typing import TYPE_CHECKING

import attrs

from realmgw.allocation.flow import Flow
from realmgw.allocation.traced import Traced

if TYPE_CHECKING:
    from collections.abc import Callable

    from realmgw.allocation.allocator import Allocator
    from realmgw.allocation.arrivals import Admitted, Arrivals
    from realmgw.allocation.trace import Trace

MOST = 1 << 16
"""So many flows to such addresses are kept until they are taken."""


@attrs.define(eq=False)
class _Taken:
    """How much of what arrivals remember was taken."""

    arrivals: Arrivals
    """They."""
    of: Admitted = attrs.Factory(dict)
    """The youngest of their memories, when it was taken last."""
    count: int = 0
    """So many of it."""

    def further(self) -> Iterator[tuple[Flow, str]]:
        """What came since: all of it if it is taken at least as often as a memory turns."""
        old, young = self.arrivals.remembered
        found = islice(old.items(), self.count, None) if self.of is old else iter(old.items())
        found = islice(young.items(), self.count, None) if self.of is young else chain(found, young.items())
        self.of, self.count = young, len(young)
        return ((flow, where.service.name) for flow, where in found)


Opening = tuple[str, int]
"""A name, and the trace id of the answer; 0: none is known."""


class Opened:
    """Flows, their names, and the answers that brought them.

    Args:
        allocator: Where they come.
    """

    def __init__(self, allocator: Allocator) -> None:
        self._arrivals = allocator.arrivals
        self._admit, self._stock = allocator.fresh.admit, allocator.fresh.stock
        self._taken = [_Taken(each) for each in (allocator.arrivals, allocator.fresh.pinholes.arrivals)]
        self._fresh = list[tuple[Flow, str]]()
        self._traced = Traced(allocator.ledger.decisions)

    def watch(self, *, on: bool) -> None:
        """Whether they are wanted from now on."""
        admit: Callable[..., int] = self._admit_noting if on else self._admit
        self._arrivals.beyond = admit

    def take(self) -> list[tuple[Flow, Opening]]:
        """Those that were let in since this was called last, or a second or two before that."""
        found, self._fresh = self._fresh, []
        for each in self._taken:
            found += each.further()
        number = dict(self._traced.further()).get
        return [(flow, (name, number(flow, 0))) for flow, name in found]

    def _admit_noting(
        self, src: bytes, dst: bytes, protocol: int, sport: int, dport: int, *, now: float, trace: Trace | None = None
    ) -> int:
        """Decide on a first packet of IPv6, and note what is let in."""
        index = self._admit(src, dst, protocol, sport, dport, now=now, trace=trace)
        if index > 0 and trace is None and len(self._fresh) < MOST and (claim := self._stock.find(dst)) is not None:
            self._fresh.append(((src, dst, protocol, sport, dport), claim.service.name))
        return index
