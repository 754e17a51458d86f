"""What the naive model of the allocator says to answers and to the end of claims: a part of the state machine."""

from __future__ import annotations

from collections.abc import Hashable
from math import isclose

from realmgw.allocation.allocator import Allocator
from realmgw.allocation.reputation.group import Group
from realmgw.allocation.reputation.habits import TOGETHER
from realmgw.allocation.state import KEY, Claim, overlap
from realmgw.config.settings import Allocation
from realmgw.errors import Reason
from realmgw.subscribers.model import Service
from realmgw.test.allocation.naive import Expected, Knowledge, Queued
from realmgw.test.allocation.scene import Network

PROBED, LONG = 1.0, 2.0  # seconds


class Verdicts(Knowledge):
    """Whether the rules allow what was answered, and what it means for the claims that the model knows."""

    allocator: Allocator
    settings: Allocation
    queue: dict[tuple[int, Hashable], Queued]
    admitting: bool
    waited_when_he_came: bool
    hanging_up: tuple[int, Hashable] | None = None
    ending: int
    displaced: int
    probes: int
    most_claims: float

    # Answers

    def note_answer(
        self, address: bytes, asked: Service, resolver: str, asking: Hashable, network: Network | None, window: float
    ) -> None:
        """Check an answer to a query, and note the claim that it makes; `window`: see `known_window`, before it."""
        group, held = self.allocator.groups.of(resolver), self.held_until(address)
        is_kept = any(claim.pending and claim.is_long for claim in self.at(address))
        for claim in self.claims:
            same = claim.service.target == asked.target and claim.question == asking
            if same and claim.real.pending and claim.address == address:
                return  # a retransmission
        assert address in self.pool, "sent to an address that was taken away"
        assert (asked.target, asking) not in self.queue, "answered beside its waiting twin"
        self.settle(used=False)
        self.hand_over(address, asked, patient=True)
        limit, load = None, self.allocator.askers.load
        if self.queue:
            assert held is not None, "an address is given away while others wait"
            # Of those who keep answers one more costs nothing where they hold an address already, and has its own time.
            costs_nothing = is_kept and self.real(address, asked, asking).is_long
            assert costs_nothing or held >= self.now + group.delay_p999, "a rider without time"
            limit = held
        elif held is not None and group.hopeless and load is not None and load.restrains(group):
            limit = held  # of those whom the policy restrains, nobody prolongs what is held
        self.note_claim(address, asked, resolver, asking, network, group, window, limit)

    def note_claim(
        self,
        address: bytes,
        asked: Service,
        resolver: str,
        asking: Hashable,
        network: Network | None,
        group: Group,
        window: float,
        limit: float | None,
    ) -> None:
        """A claim is made: its client comes within the claim timeout; or longer, where others are known to come."""
        own = self.now + asked.terms.timeout if limit is None else min(self.now + asked.terms.timeout, limit)
        real = self.real(address, asked, asking)
        known = []  # of the group, when the claim was made: before what is learned from it, or after
        spells = (window + group.delay_p999 if window else 0.0, group.spell, 0.0)  # its delay is weighed first
        for spell in spells:
            deadline = max(self.now + asked.terms.timeout, self.now + spell) if real.is_long else own
            known.append((deadline, min(deadline, self.now + max(group.claim_timeout, spell))))
        claim = Expected(real, address, asked, resolver, asking, network, self.now, real.dead, real.deadline)
        claim.is_long = real.is_long
        self.claims.append(claim)
        assert not real.is_long or max(spells) > LONG, "it stands for long without reason"
        assert any(isclose(real.deadline, deadline) and isclose(real.dead, dead) for deadline, dead in known), (
            "it stands or is held for longer or shorter than its client is expected"
        )

    def real(self, address: bytes, asked: Service, asking: Hashable) -> Claim:
        """The allocator's claim for a question."""
        return self.allocator.pool.addresses[address].reservations[asked.target & KEY].claims[asking]

    def hear(self, place: tuple[int, Hashable], outcome: bytes | Reason) -> None:
        """Check what a waiting query is told."""
        queued = self.queue.pop(place)  # fails when it is told twice
        if isinstance(outcome, bytes):
            service, group = queued.service, queued.group  # whatever became of it since
            self.settle(used=self.admitting)
            assert outcome in self.pool, "sent to an address that was taken away"
            has_time = self.now - queued.since <= (queued.deadline - queued.since) / 2
            self.hand_over(outcome, service, patient=has_time)
            window = self.known_window(group)
            self.note_claim(
                outcome, service, queued.resolver, queued.question, queued.network, group, window, limit=None
            )
            self.claims[-1].waited = True
            assert len(self.places_of(service.host)) <= service.host.profile.max_claims
        elif outcome is Reason.WAITED:
            assert queued.deadline <= self.now, "told too early that it waited"
        elif outcome is Reason.GONE:
            assert place == self.hanging_up, "told that he is gone who is there"
        elif outcome is Reason.QUEUE_FULL:  # another group's query took its place
            assert len(self.queue) + 1 == self.settings.max_waiting, "sent away though there was room"
        elif outcome is Reason.WITHDRAWN:
            assert self.ending == queued.service.target or not self.pool, "told that what is there is gone"
        elif outcome is Reason.CLAIM_LIMIT:
            assert self.allocator.counters.pending >= self.most_claims, "refused with room for all"
        else:
            assert outcome is Reason.HOST_LIMIT
            self.adopt()
            assert len(self.places_of(queued.service.host)) >= queued.service.host.profile.max_claims, (
                "refused with room"
            )

    def known_window(self, group: Group) -> float:
        """For how long further clients are known to come for what a group is told now, or taken to do so.

        That is beyond its slowest delay, within which its clients come; 0.0: none are.
        """
        return 0.0 if group.habits.is_plain else max(0.0, group.spell - group.delay_p999)

    def hand_over(self, address: bytes, service: Service, *, patient: bool) -> None:
        """An address passes on as a whole, with all that was there for other hosts, or is shared with all of it.

        What overlapped is gone in any case. Where it passed on, nobody may have been expected there any more.
        """
        there = [claim for claim in self.at(address) if claim.stands]
        gone = [
            claim
            for claim in there
            if claim.service.host is not service.host
            and (overlap(claim.service.target & KEY, service.target & KEY) or not claim.real.reservation.stands)
        ]
        if any(claim.ended is None or self.now - claim.ended < self.settings.linger_loaded for claim in gone):
            was_waited_at = any(claim.ended in (None, self.now) for claim in there)
            for claim in there:
                assert not claim.pending or claim.dead <= self.now, "taken from somebody who may still come"
                kept = min(claim.kept, claim.told_until)  # what was assumed then may not be assumed any more
                assert not patient or was_waited_at or kept <= self.now, "taken from those who may well come"
                claim.stands = claim.service.target == service.target
                self.end(claim)
        for claim in gone:  # or they were gone by themselves
            claim.stands = False

    # Ends

    def end(self, claim: Expected) -> None:
        """A claim is over, now."""
        if claim.ended is None:
            claim.ended = self.now

    def settle(self, *, used: bool) -> None:
        """End the claims that the allocator does not hold any more.

        One that was used, such as were dead, such as made room for others of a better standing, and probes.
        """
        self.adopt()
        for claim in self.claims:
            self.follow(claim)
        gone = [claim for claim in self.claims if claim.pending and not claim.real.pending]
        probes = self.allocator.counters.probes - self.probes
        self.probes += probes
        softened = [claim for claim in gone if claim.dead > self.now and self.is_probe(claim)][:probes]
        for claim in softened:
            claim.spare = 1 << 20
        alive = [claim for claim in gone if claim.dead > self.now and claim not in softened]
        moved = self.allocator.counters.displaced - self.displaced
        self.displaced += moved
        places = {(claim.address, claim.service.target) for claim in alive}
        assert len(alive) <= used or len(places) <= moved, "somebody who may still come is not expected any more"
        for claim in gone:
            self.end(claim)
        self.let_go()

    def is_probe(self, claim: Expected) -> bool:
        """Whether the same group was told of a name below the name of a claim, soon after and just now."""
        return self.now - claim.made < PROBED and any(
            real.group is claim.real.group
            and real.created == self.now
            and reservation.service.name.endswith("." + claim.service.name)
            for address in self.allocator.pool.addresses.values()
            for reservation in address.reservations.values()
            for real in reservation.claims.values()
        )

    def follow(self, claim: Expected) -> None:
        """Take note of another time at which a claim ends, if it may.

        Sooner, when its group was found not to keep answers for as long; later, when it is a hold, and one more
        client came who was told the same.
        """
        real, habits = claim.real, claim.real.group.habits
        if claim.pending and not isclose(real.dead, claim.dead):
            if real.dead < claim.dead:
                is_less = habits.is_known or (habits.caution.is_on and habits.caution.waits)
                assert is_less, "shortened although nothing is known"
                least = max(self.now, real.created + real.group.spell)
                if not claim.held_for:
                    least = max(
                        least, min(claim.made + real.group.claim_timeout, claim.made + claim.service.terms.timeout)
                    )
                assert real.dead >= least or isclose(real.dead, least), "who may still come has no time any more"
            else:
                assert claim.held_for, "it is held for longer than its client is expected"
                self.check_hold(real, self.known(real.created, claim))
                claim.is_long = real.is_long
            claim.made, claim.dead, claim.deadline = real.created, real.dead, real.deadline

    def known(self, made: float, like: Expected) -> Expected:
        """A claim of the same place and group as this one, which was made then."""
        return next(
            one
            for one in reversed(self.claims)
            if one.made == made
            and one.real.group is like.real.group
            and one.address == like.address
            and one.service.target == like.service.target
        )

    # Courtesies

    def adopt(self) -> None:
        """Take note of the addresses that are kept for further clients, if they may be."""
        for address in self.allocator.pool.addresses.values():
            for reservation in address.reservations.values():
                for kept in reservation.claims.values():
                    if kept.is_hold and not any(one.real is kept for one in self.claims):
                        self.note_hold(address.packed, reservation.service, kept)

    def note_hold(self, address: bytes, service: Service, kept: Claim) -> None:
        """Check a claim that keeps an address for further clients, and note it."""
        used = next(one for one in self.claims if one.real is kept.question)
        assert (used.address, used.service.target) == (address, service.target), "kept elsewhere"
        assert kept.network is used.network, "kept for others"
        assert kept.spare, "kept for nobody"
        assert not used.real.pending or used.held_for, "kept beside the claim that it is for"
        self.check_hold(kept, used)
        claim = Expected(
            kept, address, service, used.resolver, kept.question, used.network, kept.created, kept.dead, kept.deadline
        )
        claim.held_for, claim.is_long = used, kept.is_long
        self.claims.append(claim)

    def check_hold(self, kept: Claim, used: Expected) -> None:
        """Check for how long an address is kept.

        For as long as clients come for what was told, where that is known; else only for those who may have asked while
        the query waited, for the moment in which those come together who asked at one time, while somebody waits, and
        for the client of a claim that one of those may have used whom the address is kept for already.
        """
        group, company = kept.group, self.now + self.settings.hold_after_use
        assert self.admitting, "kept although nobody came"
        assert kept.deadline > self.now, "kept until it was over"
        assert kept.deadline == kept.dead, "not held for as long as it stands"
        assert kept.created == used.root.made, "kept for longer than others were told"
        latest = max(used.told_until, company) if group.habits.is_known else company
        if not group.habits.is_known and not used.root.waited and not self.is_kept_already(used):
            assert group.habits.caution.serves_several, "kept although nothing is known, and nobody has asked meanwhile"
            assert self.waited_when_he_came, "kept although nobody else wants it"
            latest = self.now + TOGETHER
        assert kept.deadline <= latest + 1e-9, "kept for longer than anybody comes"

    def is_kept_already(self, used: Expected) -> bool:
        """Whether the address is kept for others, beside a claim that was used."""
        return any(
            one.held_for is not None and one.address == used.address and one.service.target == used.service.target
            for one in self.claims
        )
