"""What is always true of the allocator's own books, whatever was asked and sent."""

from __future__ import annotations

import math

from hypothesis.stateful import invariant

from realmgw.allocation.allocator import Allocator
from realmgw.allocation.claims import senders
from realmgw.allocation.state import KEY, State, overlap
from realmgw.allocation.vacancies import AGAIN
from realmgw.test.allocation.naive import HOSTS


class Books:
    """A part of a state machine that has an allocator with so many addresses."""

    allocator: Allocator
    now: float

    @invariant()
    def the_addresses_books_are_right(self) -> None:
        """States, counts and holds follow from what stands at each address, and nothing overlaps there."""
        pool, linger = self.allocator.pool, self.allocator.ledger.lingers
        for address in pool.addresses.values():
            standing = list(address.reservations.values())
            claims = [claim for one in standing for claim in one.claims.values()]
            assert address.claims == len(claims)
            assert address.state is (State.WAITING if claims else State.LINGERING if standing else State.FREE)
            if address in pool.leaving:
                assert address.held_until == math.inf, "somebody else may have it"
            elif claims:
                latest = max(claim.dead for claim in claims)  # or a moment longer, where clients of keepers may come
                assert address.held_until == latest or latest <= address.held_until <= self.now + AGAIN, (
                    "held too long or too short"
                )
            for number, one in enumerate(standing):
                assert (not one.claims) == (one in linger)
                bound = [each for each in one.claims.values() if each.network is not None]
                assert list((one.bound or {}).values()) == bound
                for other in standing[:number]:
                    beside = one.service.host is other.service.host
                    assert beside or not overlap(one.service.target & KEY, other.service.target & KEY)
        counts = pool.counts()
        assert pool.size == len(pool.addresses)
        assert sum(counts.values()) == pool.size
        assert counts == {state: len(pool.in_state(state)) for state in State}
        assert len(linger) == sum(
            not one.claims for address in pool.addresses.values() for one in address.reservations.values()
        )

    @invariant()
    def what_is_indexed_stands(self) -> None:
        """Every entry of the indexes leads to something that is there."""
        ledger, leaving = self.allocator.ledger, self.allocator.pool.leaving
        assert not any(one.address in leaving for by_group in ledger.expected.values() for one in by_group.values())
        assert not any(address in leaving for address in (*ledger.last.values(), *ledger.home.values()))
        for target, by_group in ledger.expected.items():
            assert by_group or any(
                target & KEY in address.reservations for address in self.allocator.pool.addresses.values()
            )
            for group, reservation in by_group.items():
                assert reservation.service.target == target
                assert any(claim.group is group for claim in reservation.claims.values())
        for target, address in ledger.last.items():
            own = address.reservations.get(target & KEY)
            assert (own is not None and own.service.target == target) or (
                address.state is State.FREE and address.former == target
            )

        for index, address in ledger.home.items():
            assert any(one.service.host.index == index for one in address.reservations.values()), "nobody's home"

    @invariant()
    def what_is_counted_is_there(self) -> None:
        """Claims that stand for long, holds, and senders who are remembered."""
        ledger = self.allocator.ledger
        addresses = self.allocator.pool.addresses.values()
        standing = [one for address in addresses for one in address.reservations.values()]
        for address in addresses:
            claims = [claim for one in address.reservations.values() for claim in one.claims.values()]
            assert address.long == sum(claim.is_long for claim in claims)
        assert ledger.kept == sum(address.long > 0 for address in addresses)
        assert ledger.remembered == sum(map(senders.count, standing))
        for one in standing:
            assert one.hold is None or one.hold in one.claims.values(), "it keeps nothing any more"

    @invariant()
    def claims_and_reputations_add_up(self) -> None:
        """As many claims are pending as the counters say, and every reputation lies within 0 and 1."""
        allocator = self.allocator
        held = [one for host in HOSTS for one in allocator.ledger.places.of(host)]
        assert len(held) == len(allocator.ledger.places)
        assert all(one.claims for one in held), "held for nobody"
        assert allocator.counters.pending == sum(len(one.claims) for one in held)
        for host in HOSTS:
            assert allocator.ledger.places.count(host) == len({one.address for one in allocator.ledger.places.of(host)})
        for group in allocator.groups:
            assert 0.0 <= group.reputation.current() <= 1.0
            assert 0.0 <= group.standing <= 1.0
            assert group.merged_into is None, "a group that is gone is still known"
