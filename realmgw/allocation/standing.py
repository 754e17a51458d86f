"""What stands at public addresses, for those who have to know it outside of the allocation.

Each reservation begins once and ends once, however many claims are made in it, and it stands while its address is its
host's: while somebody is expected, and while it lingers, or is kept. Nobody is told anything unless he has asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from realmgw.allocation.state import KEY

if TYPE_CHECKING:
    from realmgw.allocation.allocator import Allocator
    from realmgw.allocation.claims.ledger import Ledger
    from realmgw.allocation.flow import Noted
    from realmgw.subscribers.model import Terms

Reserved = tuple[bytes, int, "Terms"]
"""What is put down of a reservation that begins, see `Noted`."""
PORTION = 500
"""So many addresses are looked at between two steps."""


def note(allocator: Allocator, noted: Noted | None) -> None:
    """From now on, put down here what begins and ends, and nowhere else; None: nowhere."""
    for each in (allocator.ledger, allocator.fresh.pinholes.ledger, allocator.fresh.stock):
        each.noted = noted


def standing(allocator: Allocator) -> Iterator[list[Reserved]]:
    """What stands now, some at a time; between two portions the world may go on.

    What begins or ends meanwhile, a portion may have or lack: whoever wants to be right has asked to be told before.
    """
    for ledger in (allocator.ledger, allocator.fresh.pinholes.ledger):
        yield from _of(ledger)
    stock = allocator.fresh.stock
    every = [*stock.pending, *stock.kept]
    for begin in range(0, len(every), PORTION):
        claims = (stock.find(packed) for packed in every[begin : begin + PORTION])
        yield [(each.packed, each.target & KEY, each.service.terms) for each in claims if each is not None]


def _of(ledger: Ledger) -> Iterator[list[Reserved]]:
    every = list(ledger.pool.addresses.values())
    for begin in range(0, len(every), PORTION):
        yield [
            (address.packed, key, each.service.terms)
            for address in every[begin : begin + PORTION]
            for key, each in address.reservations.items()
        ]
