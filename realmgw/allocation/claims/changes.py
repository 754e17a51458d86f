"""What the operator gives and takes away while the gateway runs: addresses of the pool, and what services lead to."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from realmgw.allocation.claims import outcomes
from realmgw.allocation.decisionlog import End
from realmgw.allocation.reputation.word import credit_most

if TYPE_CHECKING:
    from realmgw.allocation.claims.ledger import Ledger
    from realmgw.allocation.state import Address, Claim, Reservation
    from realmgw.config.settings import Network


def extend(ledger: Ledger, networks: Collection[Network]) -> None:
    """Add the addresses of further prefixes; those that were about to leave stay."""
    pool = ledger.pool
    returning = [address for address in pool.within(networks) if address in pool.leaving]
    pool.extend(networks)
    ledger.credit_most = credit_most(pool.size)
    for address in returning:
        ledger.hold_less(address, None)


def dismiss(ledger: Ledger, address: Address, *, now: float) -> None:
    """End the claims at an address; that nobody came is nobody's fault."""
    for reservation in tuple(address.reservations.values()):
        for claim in tuple(reservation.claims.values()):
            _void(ledger, claim, now)


def forget(ledger: Ledger, targets: Collection[int], *, now: float) -> None:
    """End the claims and reservations of these targets, which lead nowhere any more."""
    for claim in tuple(ledger.deadlines):
        if claim.pending and claim.reservation.service.target in targets:
            _void(ledger, claim, now)
    for reservation in [each for each in ledger.lingers if each.service.target in targets]:
        ledger.linger_no_more(reservation, now)
    for target in targets:
        address = ledger.last.pop(target, None)
        if address is not None and address.former == target:
            address.former = None


def displace(ledger: Ledger, reservation: Reservation, *, now: float) -> None:
    """End the claims at a reservation, as if their time was over: others of a better standing need the place."""
    ledger.counters.displaced += 1
    for claim in tuple(reservation.claims.values()):
        ledger.lapse(claim, now)


def _void(ledger: Ledger, claim: Claim, now: float) -> None:
    """End a claim; that nobody came is nobody's fault."""
    if not claim.is_hold:
        ledger.counters.voided += 1
        ledger.note_end(claim, End.VOIDED, now)
        outcomes.voided(claim, now)
    ledger.end(claim, now)
