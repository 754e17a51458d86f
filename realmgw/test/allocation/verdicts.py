"""What the naive model of the allocator says to answers and to the end of claims: a part of the state machine."""

from __future__ import annotations

from collections.abc import Hashable

from realmgw.allocation.allocator import Allocator
from realmgw.allocation.state import KEY, Claim, overlap
from realmgw.config.settings import Allocation
from realmgw.errors import Reason
from realmgw.subscribers.model import Service
from realmgw.test.allocation.naive import Expected, Knowledge, Queued
from realmgw.test.allocation.scene import Network


class Verdicts(Knowledge):
    """Whether the rules allow what was answered, and what it means for the claims that the model knows."""

    allocator: Allocator
    settings: Allocation
    queue: dict[tuple[int, Hashable], Queued]
    admitting: bool
    displaced: int
    most_claims: float

    def note_answer(
        self, address: bytes, asked: Service, resolver: str, asking: Hashable, network: Network | None
    ) -> None:
        """Check an answer to a query, and note the claim that it makes."""
        group, held = self.allocator.groups.of(resolver), self.held_until(address)
        for claim in self.claims:
            same = claim.service.target == asked.target and claim.question == asking
            if same and claim.pending and claim.address == address:
                return  # a retransmission
        assert (asked.target, asking) not in self.queue, "answered beside its waiting twin"
        self.settle(used=False)
        self.hand_over(address, asked)
        guard, deadline = self.now + group.guard, self.now + asked.timeout
        if self.queue:
            assert held is not None, "an address is given away while others wait"
            assert held >= self.now + group.patience, "a rider without time"
            deadline = min(deadline, held)
        self.claims.append(
            Expected(address, asked, resolver, asking, network, self.now, min(guard, deadline), deadline)
        )

    def hear(self, place: tuple[int, Hashable], outcome: bytes | Reason) -> None:
        """Check what a waiting query is told."""
        queued = self.queue.pop(place)  # fails when it is told twice
        if isinstance(outcome, bytes):
            service, group = queued.service, queued.group  # whatever became of it since
            self.settle(used=self.admitting)
            self.hand_over(outcome, service)
            deadline = self.now + service.timeout
            guard = min(self.now + group.guard, deadline)
            self.claims.append(
                Expected(outcome, service, queued.resolver, queued.question, queued.network, self.now, guard, deadline)
            )
            self.claims[-1].waited = True
            assert len(self.places_of(service.host)) <= service.host.max_claims
        elif outcome is Reason.WAITED:
            assert queued.deadline <= self.now, "told too early that it waited"
        elif outcome is Reason.CLAIM_LIMIT:
            assert self.allocator.counters.pending >= self.most_claims, "refused with room for all"
        else:
            assert outcome is Reason.HOST_LIMIT
            self.adopt()
            assert len(self.places_of(queued.service.host)) >= queued.service.host.max_claims, "refused with room"

    def hand_over(self, address: bytes, service: Service) -> None:
        """What overlapped at the address is gone; nobody may have been expected there any more."""
        there = [claim for claim in self.claims if claim.address == address and claim.stands]
        displaced = [
            claim
            for claim in there
            if claim.service.target != service.target and overlap(claim.service.target & KEY, service.target & KEY)
        ]
        if any(claim.ended is None or self.now - claim.ended < self.settings.linger_loaded for claim in displaced):
            for claim in there:
                assert not claim.pending or claim.guard <= self.now, "taken from somebody who may still come"
                claim.stands = claim.service.target == service.target
                self.end(claim)
        for claim in displaced:  # or they were gone by themselves
            claim.stands = False

    def end(self, claim: Expected) -> None:
        """A claim is over, now."""
        if claim.ended is None:
            claim.ended = self.now

    def settle(self, *, used: bool) -> None:
        """End the claims that the allocator does not hold any more: one that was used, and such as were dead."""
        self.adopt()
        gone = [claim for claim in self.claims if claim.pending and not self.is_pending(claim)]
        alive = [claim for claim in gone if claim.guard > self.now]
        moved = self.allocator.counters.displaced - self.displaced
        self.displaced += moved
        places = {(claim.address, claim.service.target) for claim in alive}
        assert len(alive) <= used or len(places) <= moved, "somebody who may still come is not expected any more"
        for claim in gone:
            self.end(claim)

    def adopt(self) -> None:
        """Take note of an address that is kept for company, if there is a claim for that, and if there may be."""
        for address in self.allocator.pool.addresses.values():
            for reservation in address.reservations.values():
                for kept in reservation.claims.values():
                    if kept.courtesy and not any(one.question is kept.question for one in self.claims):
                        self.note_company(address.packed, reservation.service, kept)

    def note_company(self, address: bytes, service: Service, kept: Claim) -> None:
        """Check a claim that keeps an address for company, and note it."""
        before = kept.question
        assert self.admitting, "kept although nobody came"
        assert isinstance(before, Claim), "kept for nobody"
        used = next(
            one
            for one in self.claims
            if one.address == address
            and one.service.target == service.target
            and one.made == before.created
            and one.question == before.question
        )
        assert used.waited or used.courtesy, "kept for the company of somebody who had not waited"
        assert not before.pending, "kept beside the claim that it is for"
        assert kept.deadline == self.now + self.settings.company
        assert kept.group.patience <= self.settings.company, "kept for clients who are not quick"
        self.claims.append(
            Expected(
                address,
                service,
                used.resolver,
                before,
                used.network,
                self.now,
                kept.deadline,
                kept.deadline,
                spare=kept.spare,
                courtesy=True,
            )
        )

    def is_pending(self, claim: Expected) -> bool:
        """Whether the allocator holds a claim like this one."""
        address = self.allocator.pool.addresses[claim.address]
        reservation = address.reservations.get(claim.service.target & KEY)
        found = None if reservation is None else reservation.claims.get(claim.question)
        return (
            found is not None
            and found.created == claim.made
            and reservation is not None
            and (reservation.service.target == claim.service.target)
        )

    def before(self, kept: Expected) -> Claim:
        """The claim that one for company was made after."""
        assert isinstance(kept.question, Claim)
        return kept.question
