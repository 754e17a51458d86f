"""The ledger of claims: how one is made, and what becomes of it when somebody comes, or when its time is over.

`Allocator` and `Arrivals` decide what happens; the books are kept by `Books`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from itertools import islice
from typing import TYPE_CHECKING, Any

from realmgw.allocation.claims import lessons, outcomes
from realmgw.allocation.claims.books import Books
from realmgw.allocation.claims.keepers import keeps_long
from realmgw.allocation.claims.siblings import has_come
from realmgw.allocation.decisionlog import End
from realmgw.allocation.pool.reclaim import LOSSES
from realmgw.allocation.state import NEVER, Claim, Reservation

if TYPE_CHECKING:
    from realmgw.allocation.reputation.group import Group
    from realmgw.allocation.reputation.requestors import Requestor

MOST_CLAIMS = 64
"""So many claims one group has at one reservation; the next one takes the place of its oldest."""
PROBES = 16
"""So many of the oldest claims there are looked at for it."""
ROOM = 0.75
"""Below this load an exhausted pool counts as recovered."""


class Ledger(Books):
    """The books, and the rules by which claims are made and end.

    Attributes:
        end_other: Called when a claim is used that has a sibling, with that and the present.
    """

    compare = lessons.compare
    """Learns what a new claim says of the group that asked."""
    used: Callable[..., None] = staticmethod(outcomes.used)
    """Counts that the client of a claim has come."""
    end_other: Callable[[Any, float], object]

    def claim(
        self,
        reservation: Reservation,
        group: Group,
        question: Hashable,
        client: Requestor | None,
        now: float,
        latest: float = NEVER,
        waited: float = 0.0,
    ) -> bytes:
        """Expect a client at a reservation; returns its packed address.

        Args:
            reservation: Where; its address becomes WAITING.
            group: Who asked.
            question: As what; if it is pending there already, one that looks the same is, of another group.
            client: Who is expected, if that is known and believed.
            now: The present.
            latest: The claim ends by then at the latest, as long as its group does not keep answers.
            waited: For how many seconds the question has waited.
        """
        if reservation.claims:
            if question in reservation.claims:
                return reservation.address.packed
            self._bound(reservation, group, waited, now)
        until = now + (timeout := reservation.service.terms.timeout)
        deadline = latest if latest < until else until  # noqa: FURB136 - a call costs more
        dead, is_long = now + group.claim_timeout, False
        if not group.habits.is_plain:
            is_long, spell = keeps_long(group, now), group.spell
            group.habits.longest_spell = max(spell, group.habits.longest_spell)
            dead = max(dead, now + spell)
            if is_long:
                deadline = max(until, now + spell)
        dead = deadline if dead > deadline else dead  # noqa: FURB136 - likewise
        network = None if client is None else client.bound(len(reservation.address.packed))
        unproven = group.passed > 0 and group.proven_at != now  # as `Group.is_unproven`; a call costs more
        claim = Claim(reservation, group, question, now, deadline, dead, network, client, is_long, unproven, waited)
        claim.number = self.decisions.answer(now, reservation.service, group, client, reservation.address.packed)
        self.counters.claimed += 1
        self.stand(claim)
        if self.datagrams.passing and now >= self.datagrams.look_from:
            self.datagrams.look(now=now)
        if deadline == until:
            self.deadlines.by_timeout[timeout].append(claim)
        else:
            self.deadlines.add_rider(claim)
        self.compare(claim, reservation, group, now)
        return reservation.address.packed

    def _bound(self, reservation: Reservation, group: Group, waited: float, now: float) -> None:
        """Keep the claims of a group at a reservation in bounds: whoever asks without end displaces himself.

        Those who waited come all at once, and there are no more of them than may wait.
        """
        if waited or len(reservation.claims) < MOST_CLAIMS:
            return
        if reservation.shares is not None and reservation.shares.get(group, 0) < MOST_CLAIMS:
            return
        oldest = (claim for claim in islice(reservation.claims.values(), PROBES) if claim.group is group)
        claim = next(oldest, None)
        if claim is not None:
            reservation.owe(claim.deadline, now)
            self.lapse(claim, now)

    def use(self, claim: Claim, now: float) -> None:
        """End a claim whose client has come; its group learns from that, if it has not just learned.

        One that keeps the address for others stays until it has nothing to spare any more. While the gateway is
        alarmed, or if he comes sooner than clients do, it may have been a stranger: that is found out later.
        """
        delays = claim.group.delays
        if claim.is_hold:
            claim.spare -= 1
            if claim.spare > 0:
                return
        elif self.candidates.alarmed_until > now or (
            delays is not None
            and not delays.least <= now - claim.created <= delays.slowest
            and delays.slowest
            and self.candidates.can_ask
        ):
            doubt = outcomes.doubt_of(claim, now, learns=now >= self.dead.lost_at + LOSSES)
            self.candidates.doubt(claim, doubt, now)
        elif now < self.dead.lost_at + LOSSES:  # he may have come before
            self.used(claim, self.credit_most, now, learns=False)
        else:
            self.used(claim, self.credit_most, now)
        claim.reservation.address.came_at = now
        self.end(claim, now)
        if claim.sibling is not None:
            self.end_other(claim.sibling, now)

    def lapse(self, claim: Claim, now: float) -> None:
        """End a claim that nobody came for; one that has ended already is left alone."""
        if not claim.pending:
            return
        if not claim.is_hold and has_come(claim):
            self.counters.settled += 1
            self.note_end(claim, End.SETTLED, now)
        elif not claim.is_hold:
            self.counters.lapsed += 1
            excused = claim.created < self.outage.excused_until
            self.counters.excused += excused
            self.note_end(claim, End.EXCUSED if excused else End.LAPSED, now)
            if excused:
                outcomes.voided(claim, now)
            elif (cost := self.costs.of(claim, now)) > 0.0 or claim.sibling is not None:
                outcomes.lapsed(claim, cost, outcomes.certainty(claim), now)
        self.end(claim, now)

    def expire(self, *, now: float) -> None:
        """End the claims whose deadline is over, and what has lingered long enough.

        After a stall, a claim whose client's packet may still lie in the queue is not over: else its address would be
        handed on, and the packet delivered to somebody else.
        """
        self.candidates.look_back(now)
        seen = now - self.dead.unseen(now=now)
        for claim in self.deadlines.over(seen):
            self._finish(claim, now)
        linger = self.linger()
        while self.lingers and (longest := next(iter(self.lingers.items())))[1] + linger <= now:
            if self._may_be_missed(longest[0], now):
                self.linger_on(longest[0], linger, now)
            else:
                self.linger_no_more(longest[0], now)
        if self.dead.watching and self.pool.load < ROOM and now >= self.short_until:
            self.dead.rest()

    def _may_be_missed(self, reservation: Reservation, now: float) -> bool:
        """Whether somebody may come for what has lingered long enough: told what is kept, or robbed of his claim."""
        address = reservation.address
        return reservation.is_kept(now) or (address.doubt > 0 and self.candidates.is_doubted(address, now))

    def _finish(self, claim: Claim, now: float) -> None:
        """The time of a claim is over: if it is pending nobody came, and if it is doubted it is to be judged."""
        if claim.pending:
            self.lapse(claim, now)
        elif claim.doubt is not None and not claim.doubt.counted:
            self.candidates.ask(claim.reservation, now, at_once=True, surely=True)
            claim.doubt.unclear |= claim.created < self.outage.excused_until
            outcomes.judge(claim, claim.doubt, self.credit_most, float(self.costs.was_scarce(claim)), now)
            claim.doubt = None

    def next_end(self, *, now: float) -> float | None:
        """When something ends next, in monotonic seconds, or None; `expire` was called just before."""
        first = self.deadlines.first()
        times = [] if first is None else [first + self.dead.unseen(now=now)]
        times += [next(iter(self.lingers.values())) + self.linger()] if self.lingers else []
        return min(times, default=None)
