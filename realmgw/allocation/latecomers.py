"""Who comes to an address for the host that had it before: by what others were told, and whose client he is."""

from __future__ import annotations

import math
from itertools import islice
from typing import TYPE_CHECKING

from realmgw.allocation.claims import senders
from realmgw.allocation.claims.matching import LOOKED_AT
from realmgw.allocation.reputation.clients import CERTAIN

if TYPE_CHECKING:
    from realmgw.allocation.claims.candidates import Candidates
    from realmgw.allocation.flow import Flow
    from realmgw.allocation.homes import Homes
    from realmgw.allocation.state import Claim, Reservation


class Latecomers:
    """Tells them from those who come for the host that has the address now.

    Args:
        candidates: Who was answered.
        homes: Whose clients come from where.
    """

    def __init__(self, candidates: Candidates, homes: Homes) -> None:
        self._candidates = candidates
        self._homes = homes

    def is_to_use(self, claim: Claim, src: bytes, now: float) -> bool:
        """Whether a sender for whom there is a claim is one of them.

        So it is if he is known to be the client of a group that was told of the former host, and nobody is expected
        here whose client he may be, nor was he here before.

        Args:
            claim: What he would use.
            src: His packed address.
            now: The present, in monotonic seconds.
        """
        reservation = claim.reservation
        formers = reservation.address.formers(reservation.service.host.index, now)
        if not formers or claim.group in formers or senders.came(reservation, src):
            return False
        home = self._homes.of(src)
        if home is None or home not in formers:
            return False
        return not any(each.group is home for each in islice(reservation.claims.values(), LOOKED_AT))

    def tell(self, reservation: Reservation, flow: Flow, claimed: float, now: float, *, let_in: bool = True) -> None:
        """Somebody comes where a group is told nothing for a while, to see whether its clients come all the same.

        That says nothing if he was there before; if he is known to be another group's client; or if nothing is known of
        him, and another one was told of this as well that keeps answers, or may. Who knocks everywhere is nobody.

        Args:
            reservation: Where.
            flow: His.
            claimed: When the claim was made that he uses, in monotonic seconds; minus infinity: he uses none.
            now: The present, likewise.
            let_in: Not if he was refused.
        """
        trial, src = reservation.trial, flow[0]
        if trial is None or self._candidates.is_stranger(src):
            return
        home, host = self._homes.of(src), reservation.service.host.index
        if home is not None:
            is_others = home.habits is not trial
        else:
            is_others = any(each.habits is not trial for each in reservation.address.may_come(host, now))
        is_others |= senders.came(reservation, src) is not None
        forged = self._candidates.are_forged or self._candidates.alarmed_until > now
        trial.came(flow, claimed, now, known=is_others, let_in=let_in, forged=forged)

    def client_likelihood(self, claim: Claim, src: bytes) -> int:
        """How surely a sender who uses a claim is a client of the group that it was made for, 0 to `CERTAIN`.

        Not at all if he `is_others`; nor, unless those of his network are its own, if he came for another one's claim
        last whose clients are known to come, or such a one's are expected there. But who comes from where nobody is
        known is none of those who are at home elsewhere. Where others are expected of whom it is not known whether any
        come, he may be theirs.

        Args:
            claim: It.
            src: His packed address.
        """
        group, homes = claim.group, self._homes
        if self.is_others(group.habits.caution, src):
            return 0
        are_its, last = homes.are_its(src, group), homes.last(src)
        if are_its:
            return CERTAIN
        if last is not None and last.habits is not group.habits and last.habits.caution.serves_several:
            return 0
        likely = CERTAIN
        for each in islice(claim.reservation.shares or (), LOOKED_AT):
            if each.habits is group.habits:
                continue
            if not each.habits.caution.serves_several:
                likely = 1
            elif are_its is False or not homes.is_at_home(each):
                return 0
        return likely

    def was_client(self, flow: Flow, caution: object) -> bool | None:
        """Whether somebody was a client of the group whose claim he used, by what is known by now.

        Not if he `is_others`, or if he asks for himself, as another group.

        Args:
            flow: With which he came.
            caution: What is assumed of the group, a `Caution`; those that were merged into one share it.

        Returns:
            None if he was not answered; he may be yet.
        """
        asking = self._homes.asking(flow[0])
        if self.is_others(caution, flow[0]) or asking is not None:
            return False
        return self._candidates.is_believed(flow) or None

    def is_others(self, caution: object, src: bytes) -> bool:
        """Whether a sender is known to be no client of a group.

        That is who knocks everywhere, and who is another group's that keeps no answers.

        Args:
            caution: What is assumed of it, likewise.
            src: His packed address.
        """
        home = self._homes.trusted(src)
        return self._candidates.is_stranger(src) or (home is not None and home.habits.caution is not caution)

    def is_lonely(self, claim: Claim, src: bytes) -> bool:
        """Whether an address need not be kept for others who were told the same as who uses a claim of it.

        So it is if he knocks everywhere, and its clients are not known to live in his network; or many packets are
        forged, and nothing is known of the company that clients of the group come in: then it is hardly its client who
        came.

        Args:
            claim: It.
            src: His packed address.
        """
        habits, candidates = claim.group.habits, self._candidates
        if habits.is_known:
            return False
        if habits.company == math.inf and (candidates.are_forged or self.is_others(habits.caution, src)):
            return True
        home = self._homes.of(src)
        return candidates.is_stranger(src) and (home is None or home.habits is not habits)

    def are_told_sooner(self, claim: Claim, src: bytes, now: float) -> bool:
        """Whether who uses a claim may have been told of its host sooner, so that its own client is to come yet.

        They had to wait, or asked while somebody else's question was under way. Not if that claim was waited for, nor
        if he `is_others`; and little is known of a group as long as few of its clients came.

        Args:
            claim: It.
            src: His packed address.
            now: The present, in monotonic seconds.
        """
        group, told = claim.group, claim.reservation.told
        if claim.waited or not group.delay_median or (len(told) < 2 and group.habits.asks_for_each(tcp=False)):
            return False
        if now - group.delay_p999 >= max(claim.reservation.waited_at, claim.asked_before):
            return False
        return not self.is_others(group.habits.caution, src)

    def is_to_spend(self, spare: Claim, src: bytes, now: float) -> bool:
        """Whether a sender without a claim of his own is one of them.

        So it is as long as clients may come for what those were told who asked for that one, if he may be one of them;
        and if he was let in there. But not if a client of this host's is still to come, and of the others it is only
        assumed that they may, or if many come here for what was told once.

        Args:
            spare: What would let him in.
            src: His packed address.
            now: The present, in monotonic seconds.
        """
        reservation, candidates = spare.reservation, self._candidates
        address = reservation.address
        if formers := address.formers(reservation.service.host.index, now):
            if (home := self._homes.of(src)) is not None:
                return home in formers
            return any(each.habits.is_known for each in formers) or not candidates.is_owed(reservation, now)
        former = address.gone
        if former is None or address.gone_until <= now or not address.may_be_meant(reservation.service):
            return False
        if spare.is_hold or spare.group.habits.keeps_answers:
            return False  # others are expected here
        return senders.came(former, src) is not None and not candidates.is_owed(reservation, now)
