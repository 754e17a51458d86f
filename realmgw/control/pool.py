"""The pool as operators see it: states of its addresses, and what stands at them. Plain values, for JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from ipaddress import IPv4Address, IPv6Address

from realmgw.allocation.allocator import Allocator
from realmgw.allocation.claims import senders
from realmgw.allocation.ipv6.state import FreshClaim
from realmgw.allocation.state import Address, Reservation, State
from realmgw.allocation.trace import dotted
from realmgw.config.settings import Network
from realmgw.config.steps import Steps, portions
from realmgw.control.commands import CommandError, ExitStatus, Value
from realmgw.control.running import Running
from realmgw.control.sorting import ROWS
from realmgw.subscribers.entry import shown

_WAITING, _LINGERING = int(State.WAITING), int(State.LINGERING)
_STATES = {state: state.name.lower() for state in State}
MOST_CELLS = 65536
"""A picture has no more."""


class PoolView:
    """See the module.

    Args:
        running: What runs.
        allocator: The pool.
        monotonic: The present, in seconds.
    """

    def __init__(self, running: Running, allocator: Allocator, monotonic: Callable[[], float]) -> None:
        self._running, self._allocator, self._monotonic = running, allocator, monotonic

    def list(self) -> Steps[Value]:
        """The pool by prefix and by state."""
        addresses, by_prefix = self._allocator.pool.addresses, {}
        for piece in self._running.settings.pools.circular:
            if piece.network.version == 4:
                by_prefix[str(piece.network)] = yield from _states_within(piece.network, addresses)
        return {**self.states(), "linger": self._allocator.ledger.linger(), "prefixes": by_prefix}

    def picture(self, cells: int) -> Steps[Value]:
        """The pool of IPv4 from its first address to its last one, in so many cells at most, and one at least."""
        addresses = self._allocator.pool.addresses
        size, each = len(addresses), -(-len(addresses) // max(cells, 1))
        waiting, lingering, seen, states = list[int](), list[int](), 0, bytearray()
        for portion in _unchanged(addresses):
            states += bytes([address.state for address in portion])
            seen += len(portion)
            while len(states) >= each or (states and seen == size):
                cell = states[:each]
                del states[:each]
                waiting.append(cell.count(_WAITING))
                lingering.append(cell.count(_LINGERING))
            yield None
        return {"size": seen, "each": each, "waiting": waiting, "lingering": lingering}

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

    def reservations(self, most: int) -> Steps[Value]:
        """What stands at the addresses, so many lines of it at most."""
        now, allocator = self._monotonic(), self._allocator
        ledger, stock, rows, used = allocator.ledger, allocator.fresh.stock, list[Value](), 0
        for portion in _unchanged(ledger.pool.addresses):
            standing = [address for address in portion if address.reservations]
            used += len(standing)
            rows += [row for each in standing[: max(0, most - len(rows))] for row in _rows(each, ledger.lingers, now)]
            yield None
        for some in portions([*stock.pending.values(), *stock.kept.values()], ROWS):
            if len(rows) >= most:
                break
            rows += [_row(claim, now) for claim in some if stock.find(claim.packed) is claim]
            yield None
        return {"addresses": used + len(stock), "reservations": rows[:most]}


def _unchanged(addresses: Mapping[bytes, Address]) -> Iterator[tuple[Address, ...]]:
    """The addresses of the pool, some at a time.

    Raises:
        CommandError: A reload has brought or taken some meanwhile.
    """
    try:
        yield from portions(addresses.values())
    except RuntimeError:
        raise CommandError(ExitStatus.FAILED, "the pool is changed at this moment: ask again") from None


def _states_within(network: Network, addresses: Mapping[bytes, Address]) -> Steps[dict[str, int]]:
    found = dict.fromkeys(State, 0)
    every: Iterable[IPv4Address | IPv6Address] = network
    for portion in portions(every):
        for each in portion:
            address = addresses.get(each.packed)
            if address is not None:
                found[address.state] += 1
        yield None
    return {state.name.lower(): count for state, count in found.items()}


def _rows(address: Address, lingers: Mapping[Reservation, float], now: float) -> Iterator[dict[str, Value]]:
    for reservation in address.reservations.values():
        yield {
            "address": dotted(address.packed),
            "state": _STATES[address.state],
            "service": reservation.service.name,
            "host": reservation.service.host.name,
            "claims": [
                {"resolver": str(claim.group.resolver), "age": round(now - claim.created, 3)}
                for claim in reservation.claims.values()
            ],
            "lingers": round(max(0.0, now - lingers[reservation]), 3) if reservation in lingers else None,
            "sources": senders.count(reservation),
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
