"""The pool as operators see it: states of its addresses, and what stands at them. Plain values, for JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import chain, islice
from typing import Any

from realmgw.allocation.allocator import Allocator
from realmgw.allocation.ipv6.state import FreshClaim
from realmgw.allocation.state import Address, Reservation, State
from realmgw.allocation.trace import dotted
from realmgw.config.settings import Network
from realmgw.control.commands import MOST, number
from realmgw.control.running import Running
from realmgw.subscribers.entry import shown

Value = Any
"""What JSON has."""


class PoolView:
    """See the module.

    Args:
        running: What runs.
        allocator: The pool.
        monotonic: The present, in seconds.
    """

    def __init__(self, running: Running, allocator: Allocator, monotonic: Callable[[], float]) -> None:
        self._running, self._allocator, self._monotonic = running, allocator, monotonic

    def list(self) -> Value:
        """The pool by prefix and by state."""
        prefixes = self._running.settings.pools.circular
        addresses = self._allocator.pool.addresses
        by_prefix = {
            str(prefix.network): _states_within(prefix.network, addresses)
            for prefix in prefixes
            if prefix.network.version == 4
        }
        return {**self.states(), "linger": self._allocator.ledger.linger(), "prefixes": by_prefix}

    def counts(self) -> dict[str, float]:
        """How many addresses of IPv4 are in each state, and what waits for one."""
        allocator = self._allocator
        return {
            **{state.name.lower(): count for state, count in allocator.pool.counts().items()},
            "load": round(allocator.pool.load, 4),
            "leaving": allocator.leaving,
            "queries_waiting": allocator.waiting,
            "held_for_keepers": allocator.ledger.kept,
        }

    def states(self) -> dict[str, Value]:
        """The same, with who keeps answers, and the pool of IPv6."""
        allocator, now = self._allocator, self._monotonic()
        keepers = [
            {"resolver": group.nodes[0], "seconds": round(group.spell, 1)}
            for group in allocator.ledger.keepers.present(now)
        ]
        prefixes6 = [str(network) for network in self._running.settings.pools.networks6]
        stock = allocator.fresh.stock
        ipv6 = {"prefixes": prefixes6, "waiting": len(stock.pending), "kept": len(stock.kept)}
        return {"size": allocator.pool.size, **self.counts(), "keepers": keepers, "ipv6": ipv6}

    def reservations(self, limit: str) -> Value:
        """What stands at the addresses."""
        now, most, allocator = self._monotonic(), number(limit, "limit", MOST), self._allocator
        ledger, stock = allocator.ledger, allocator.fresh.stock
        every = [address for address in ledger.pool.addresses.values() if address.reservations]
        rows = [row for address in every[:most] for row in _rows(address, ledger.lingers, now)]
        rows += [_row(claim, now) for claim in islice(chain(stock.pending.values(), stock.kept.values()), most)]
        return {"addresses": len(every) + len(stock), "reservations": rows[:most]}


def _states_within(network: Network, addresses: Mapping[bytes, Address]) -> dict[str, int]:
    found = Counter(each.state.name.lower() for packed in network if (each := addresses.get(packed.packed)) is not None)
    return {state.name.lower(): found[state.name.lower()] for state in State}


def _rows(address: Address, lingers: Mapping[Reservation, float], now: float) -> Iterator[dict[str, Value]]:
    for reservation in address.reservations.values():
        yield {
            "address": dotted(address.packed),
            "state": address.state.name.lower(),
            "service": reservation.service.name,
            "host": reservation.service.host.name,
            "claims": [
                {"resolver": str(claim.group.resolver), "age": round(now - claim.created, 3)}
                for claim in reservation.claims.values()
            ],
            "lingers": round(now - lingers[reservation], 3) if reservation in lingers else None,
            "sources": len(reservation.sources),
        }


def _row(claim: FreshClaim, now: float) -> dict[str, Value]:
    """What stands at an address of IPv6."""
    claims = [{"resolver": str(claim.group.resolver), "age": round(now - claim.created, 3)}] if claim.pending else []
    return {
        "address": shown(claim.packed),
        "state": "waiting" if claim.pending else "kept",
        "service": claim.service.name,
        "host": claim.service.host.name,
        "claims": claims,
        "lingers": None,
        "sources": bool(claim.source) + (0 if claim.others is None else len(claim.others.sources)),
    }
