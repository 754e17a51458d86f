"""Whose packet used a claim: its client's, or a stranger's who only guessed.

Theory of operation. A packet with a forged source costs its sender nothing, so the first packet for a claim need not be
its client's. What can not be forged is a flow that is *answered*: TCP that was established, any other flow that the
host has replied to. Conntrack knows; asking it costs something. So it is asked only when there is a reason: while the
gateway is *alarmed*, since several packets came a moment ago that nobody expected; and about a claim for which a second
sender comes, whose first one is doubted then as well.

While alarmed, whoever is let in is a *candidate*. The claim is used, as ever, and lets in further senders; but it is
*doubted* until one of its candidates is answered, and that has two consequences. Its address is not handed on to
another host before the claim is dead by experience: its client may still come. And what became of it is found out when
its time is over, not by its first packet: answered is merit, unanswered is as if nobody had come.

Which of several claims an answered candidate came for nobody can tell: the oldest that was made before he came, then.
That of a known stranger says nothing: its client may still come.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

from realmgw.allocation.claims import company
from realmgw.allocation.claims.crowd import Candidate, Crowd, Doubt
from realmgw.allocation.reputation.caution import TRIED
from realmgw.allocation.strangers import Strangers

if TYPE_CHECKING:
    from realmgw.allocation.counters import Counters
    from realmgw.allocation.flow import Answered, Answers, Flow
    from realmgw.allocation.homes import Homes
    from realmgw.allocation.reputation.group import Group
    from realmgw.allocation.state import Address, Claim, Reservation

STRAYS = 5
"""So many packets that nobody expected, within a second, alarm the gateway: one now and then is a client's own."""
ALARM = 10.0  # seconds
"""For so long after them."""
KEPT = 512
"""So many candidates a reservation remembers; who is displaced by the newest is asked for before he is forgotten."""
QUESTIONS = 64
"""So many candidates of a reservation are looked at in one go."""
FIRST_QUESTION = 0.001  # seconds
"""A candidate younger than this has hardly been answered; the next question waits until he is twice as old."""
JUDGED = 0.3  # seconds
"""Who came longer ago, and is not answered though somebody is who came later, has sent a forged packet, most likely. Of
those who come together, the first one to be answered is the one whose way is the shortest."""
PATIENCE = 3.0  # seconds
"""Who came when no claim was left is asked for that long; a flow that is not answered by then is not of a client."""
POLL = 0.001  # seconds
"""How often candidates are looked at while somebody waits for an address."""
QUIET = 0.02  # seconds
"""How often where it is told who is answered, and nothing was told."""
PROBES = 16
"""So many lingering addresses are looked at for one that can be handed on."""
FORGED = 0.1
"""When so large a share of those who come for a claim, 0 to 1, are not answered though a later one is, packets are
forged: that alarms the gateway as well, where so many come for each answer that nobody is unexpected."""
MEMORY = 64
"""That share is the mean of so many of them."""


class Candidates:
    """Finds out who came.

    Args:
        answered: Asks conntrack; None: nobody can be asked, and every first packet is believed.
        counters: Where the questions are counted.
        unseen: For how many seconds up to now packets have not been looked at; see `ReclaimHeap.unseen`.
        homes: Whose clients come from where.

    Attributes:
        alarmed_until: Until when first packets are doubted, in monotonic seconds.
        answers: Tells of flows that were answered, so that there is no need to ask for them; None: each is asked for.
    """

    answers: Answers | None = None

    def __init__(
        self, answered: Answered | None, counters: Counters, unseen: Callable[..., float], homes: Homes
    ) -> None:
        self._homes = homes
        self._answered = answered
        self._counters = counters
        self._strangers = Strangers()
        self._parted = company.Parted()
        self._forged = 0.0
        self.alarmed_until = -math.inf
        self._unseen = unseen
        self._strays = 0
        self._second_ends = -math.inf

    @property
    def can_ask(self) -> bool:
        """Whether there is somebody who can be asked."""
        return self._answered is not None

    def stray(self, now: float) -> None:
        """A packet came that nobody expected, or on a claim that was used."""
        if now >= self._second_ends:
            self._second_ends, self._strays = now + 1.0, 0
        self._strays += 1
        if self._strays >= STRAYS and self.can_ask:
            self.alarmed_until = now + ALARM

    def refused(self, src: bytes, dst: bytes, now: float) -> None:
        """A sender was refused at an address, since nobody expected him."""
        self._strangers.note(src, dst, now)
        self.stray(now)

    def is_stranger(self, src: bytes) -> bool:
        """Whether a sender was refused at several addresses lately: who knocks everywhere is nobody's client."""
        return src in self._strangers

    @property
    def are_forged(self) -> bool:
        """Whether many of those who come for claims are not answered, though later ones are."""
        return self._forged > FORGED

    def is_believed(self, flow: Flow) -> bool:
        """Whether a flow that was admitted was answered, as far as can be told."""
        if self._answered is None:
            return True
        self._counters.questions += 1
        return self._answered(flow) is not False

    def doubt(self, claim: Claim, doubt: Doubt, now: float) -> None:
        """It is not known who used a claim."""
        claim.doubt = doubt
        address = claim.reservation.address
        if claim.dead > address.doubt and claim.dead > self._seen(now):
            address.doubt = claim.dead

    def suspect(self, reservation: Reservation, now: float) -> None:
        """Somebody else comes for claims that were used: whoever used them need not have been their client."""
        seen = self._seen(now)
        for claim in reservation.used or ():
            if claim.doubt is None and claim.user is not None and claim.dead > seen:
                self.doubt(claim, Doubt(alone=False, merit=0.0, fault=0.0, counted=True), now)
                came, flow = claim.user
                self.note(reservation, flow, came)

    def is_owed(self, reservation: Reservation, now: float) -> bool:
        """Whether a claim that was used here was most likely used by a stranger, and its client is still to come."""
        self.ask(reservation, now)
        forged = self.are_forged
        seen = self._seen(now)
        return any(claim.dead > seen and (forged or doubt.taken) for claim, doubt in _unanswered((reservation,)))

    def note(self, reservation: Reservation, flow: Flow, now: float) -> None:
        """Somebody is let in while the gateway is alarmed."""
        crowd = reservation.crowd = reservation.crowd or Crowd()
        if len(crowd.candidates) >= KEPT and not self._settles(reservation, oldest := crowd.candidates.popleft()):
            self._regard_forged(not oldest.beyond and oldest.came < crowd.answered_at, now)  # or he never is judged
            for _, doubt in _unanswered((reservation,)):
                doubt.unclear = True  # it may have been he, a moment before he was answered
        self.ask(reservation, now)
        candidates = crowd.candidates
        crowd.is_told &= self.answers is not None and self.answers.tells(flow)
        beyond = next(_unanswered((reservation,)), None) is None
        candidates.append(Candidate(flow, now, now + FIRST_QUESTION, beyond))

    def undoubted(
        self, vacant: Iterable[Address], host: int, group: Group, now: float, *, patient: bool
    ) -> Iterator[Address]:
        """Those of some addresses, of the first `PROBES`, where no client of a used claim is still to come.

        Args:
            vacant: The addresses.
            host: The index of the host that it is for.
            group: Who asks. Where its own clients may come for another host, it is not told of this one.
            now: The present.
            patient: That clients of others may come, who were told the same, is a reason as well.
        """
        for each in islice(vacant, PROBES):
            keepers = each.may_come(host, now)
            if keepers and (group in keepers or _is_left_alone(each, keepers, now, patient=patient)):
                continue
            if not each.doubt or not self.is_doubted(each, now):
                yield each

    def is_open(self, claim: Claim, now: float) -> bool:
        """Whether a used claim lets in further senders.

        Until its deadline; but while the gateway is alarmed no longer than until its client has come, and the time is
        over in which others come who were told the same. Of a group that keeps answers, or is taken to, any number may
        be such.
        """
        doubt, habits = claim.doubt, claim.group.habits
        if doubt is None or claim.dead > self._seen(now) or habits.keeps_until > now or habits.caution.is_spared(now):
            return claim.open_until > now
        if doubt.came is None:
            self.ask(claim.reservation, now)
        return doubt.came is None and claim.open_until > now

    def spare(self, reservation: Reservation, src: bytes, now: float, group: Group | None = None) -> Claim | None:
        """The used claim that lets in a further sender, if there is one.

        Args:
            reservation: Where.
            src: His packed address.
            now: The present, in monotonic seconds.
            group: Whose it has to be; None: anybody's.
        """
        for claim in reservation.used or ():
            if not claim.spare or (claim.network is not None and src not in claim.network):
                continue
            if (group is None or claim.group.habits is group.habits) and self.is_open(claim, now):
                return claim
        return None

    def is_doubted(self, address: Address, now: float) -> bool:
        """Whether a client of a claim that was used at an address may still come."""
        seen = self._seen(now)
        if address.doubt <= seen:
            return False
        for reservation in address.reservations.values():
            self.ask(reservation, now)
        address.doubt = max((claim.dead for claim, _ in _unanswered(address.reservations.values())), default=0.0)
        return address.doubt > seen

    def ask(self, reservation: Reservation, now: float, *, at_once: bool = False, surely: bool = False) -> None:
        """Find out who of the candidates was answered meanwhile.

        Args:
            reservation: Where they came.
            now: The present.
            at_once: Ask for all of them, whether their next question is due or not.
            surely: What was not heard may still have been answered, or refused: ask.
        """
        crowd = reservation.crowd
        if crowd is None or not crowd.candidates or (now < crowd.due and not at_once):
            return
        candidates, crowd.due = crowd.candidates, now + POLL
        if not at_once and self._is_quiet(reservation, crowd, now):
            return
        least = min((claim.created for claim, _ in _unanswered((reservation,))), default=-math.inf)
        if reservation.hold is not None:
            least = min(least, crowd.answered_at)  # it is for those who came since then
        for candidate in [candidates.popleft() for _ in range(min(len(candidates), QUESTIONS))]:
            age = now - candidate.came
            is_last = age > PATIENCE if candidate.beyond else candidate.came < least and age >= JUDGED
            if now < candidate.due and not at_once and not is_last:
                candidates.append(candidate)
            elif self._settles(reservation, candidate, surely=surely):
                continue
            elif is_last:  # what he came for has ended
                self._regard_forged(not candidate.beyond and candidate.came < crowd.answered_at, now)
            else:
                candidate.due = now + max(FIRST_QUESTION, age)
                candidates.append(candidate)
        if next(_unanswered((reservation,)), None) is None:  # only those who tell something else are of interest
            young = now - JUDGED
            forged = min(young, crowd.answered_at)
            self._regard_forged(sum(not each.beyond and each.came < forged for each in candidates), now)
            least = young if reservation.hold is None else forged
            crowd.candidates = deque(each for each in candidates if each.beyond or each.came >= least)

    def leave(self, reservation: Reservation, now: float) -> None:
        """A reservation leaves its address: find out who was answered of those who came there.

        Of those of whom it is not known yet, that is found out later by `look_back`, unless packets are forged.

        Args:
            reservation: One with a crowd.
            now: The present, in monotonic seconds.
        """
        self.ask(reservation, now, at_once=True)
        candidates = _crowd_of(reservation).candidates
        if candidates and not self.are_forged:
            self._parted.enter(reservation, candidates, now)

    def look_back(self, now: float) -> None:
        """Find out who was answered of those who came last to reservations that have left their addresses."""
        for reservation, used, candidates in self._parted.over(now):
            answered_at = _crowd_of(reservation).answered_at
            for each in candidates:
                src = each.flow[0]
                answered = self._is_answered(each, surely=False)
                if answered and src not in self._strangers:
                    company.learn(reservation, used, each, self._homes.trusted(src))
                elif answered is False:
                    self._regard_forged(not each.beyond and each.came < answered_at, now)

    def _is_quiet(self, reservation: Reservation, crowd: Crowd, now: float) -> bool:
        """Whether nothing was told of an address since all who came there were looked at: none of them was answered."""
        news = self.answers.news(reservation.address.packed) if self.answers is not None and crowd.is_told else None
        if news is None:
            return False
        if news != crowd.news:
            crowd.news, crowd.unlooked = news, len(crowd.candidates)
        if crowd.unlooked <= 0 and now < crowd.quiet_until:
            return True
        crowd.unlooked, crowd.quiet_until = crowd.unlooked - QUESTIONS, now + QUIET
        return False

    def _seen(self, now: float) -> float:
        """All who came by then have been looked at, in monotonic seconds."""
        return now - self._unseen(now=now)

    def _regard_forged(self, count: int, now: float) -> None:
        """So many came for claims and were not answered, though a later one was."""
        for _ in range(min(count, MEMORY)):
            self._forged += (1.0 - self._forged) / MEMORY
        if count and self._forged > FORGED:
            self.alarmed_until = now + ALARM

    def _says(self, candidate: Candidate, *, surely: bool) -> bool | None:
        """Whether one was answered, as far as is known or can be asked."""
        assert self._answered is not None, "nobody is noted without"
        heard = None if self.answers is None else self.answers.has(candidate.flow, candidate.came)
        if heard or (heard is False and not surely):
            return heard
        self._counters.questions += 1
        answered = self._answered(candidate.flow)
        if answered and heard is False and self.answers is not None:
            self.answers.mistrust(candidate.flow)
        return answered

    def _is_answered(self, candidate: Candidate, *, surely: bool) -> bool | None:
        """The same; who was has forged nothing."""
        answered = self._says(candidate, surely=surely)
        if answered:
            self._forged -= self._forged / MEMORY
        return answered

    def _settles(self, reservation: Reservation, candidate: Candidate, *, surely: bool = False) -> bool:
        """See whether one was answered, and what that says."""
        answered = self._is_answered(candidate, surely=surely)
        if answered is False:
            return False
        hoping = [each for each in _unanswered((reservation,)) if each[0].created <= candidate.came]
        if hoping and answered and candidate.flow[0] not in self._strangers:
            hoping[0][1].came, hoping[0][1].client = candidate.came, candidate.flow[0]
            hoping[0][1].alone &= len(hoping) == 1
            _crowd_of(reservation).answered_at = candidate.came
        elif hoping:
            hoping[0][1].unclear, hoping[0][1].taken = True, answered is True
        elif answered and candidate.flow[0] not in self._strangers:
            _crowd_of(reservation).company += 1
            company.learn(reservation, reservation.used or (), candidate, self._homes.trusted(candidate.flow[0]))
        return answered is True


def _is_left_alone(address: Address, keepers: list[Group], now: float, *, patient: bool) -> bool:
    """Whether an address is left alone by others, since clients of these groups may come there."""
    for keeper in keepers:
        habits, caution = keeper.habits, keeper.habits.caution
        if habits.keeps_answers or caution.is_likely_to_keep:
            return True
        if (patient or caution.may_keep) and (not caution.is_on or caution.is_spared(now)):
            return True
    return _is_tried(address, now)


def _is_tried(address: Address, now: float) -> bool:
    """Whether it is tried what a group does with an answer that leads to an address, or may be in a moment."""
    for reservation in address.reservations.values():
        if reservation.trial is not None:
            return True
        for group, told in reservation.told.items():
            if now < told + TRIED and group.habits.caution.is_unproven and group.habits.caution.is_spared(now):
                return True
    return False


def _crowd_of(reservation: Reservation) -> Crowd:
    assert reservation.crowd is not None, "its candidates are there"
    return reservation.crowd


def _unanswered(reservations: Iterable[Reservation]) -> Iterator[tuple[Claim, Doubt]]:
    """The used claims that wait to hear of their clients, oldest first."""
    for reservation in reservations:
        for claim in reservation.used or ():
            if claim.doubt is not None and claim.doubt.came is None:
                yield claim, claim.doubt
