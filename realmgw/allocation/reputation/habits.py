"""What a resolver does with answers: whether it keeps them, and for how long; whether it tells one to several clients.

A time to live of 0 says that an answer is for those who have asked already. Some resolvers keep it for seconds all the
same, and tell it to clients of whom the gateway never hears. That shows in two ways, and only together do they say how
long: further clients come for an answer that is old already; and it never asks again sooner than after some time,
although clients come by chance. Who asks again for what it was told a moment ago does not keep answers for longer;
as long as what is asked in its name is not doubted, nobody else is taken to say so.

One that tells what it keeps and asks again each time (Knot Resolver does) is not seen to wait. But when it is told
another address than before, its client comes to the one before, again and again.

Many resolvers ask once for all clients that ask while they ask. So several come for an answer that was waited for.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import attrs

from realmgw.allocation.reputation.caution import ASSUMED, Caution

if TYPE_CHECKING:
    from realmgw.allocation.flow import Flow

MOST = 120.0  # seconds
"""For no longer than this anybody is taken to keep them."""
COALESCES = 0.001  # seconds
"""For hardly any time those keep answers who only ask once for all that ask meanwhile."""
REMEMBERED = 600.0  # seconds
"""For so long after it was last seen, a habit is believed in."""
REPEATS = 3
"""So often it has to ask again before it is believed that it does."""
SECOND = 1.0  # seconds
"""Resolvers count in seconds of a clock: who keeps answers for one of them may ask again before one has passed."""
LONGER = 24
"""Answers are kept for no longer than so many times the age of one for which a client came; that is found out. A
minute is what some operators set, and of twenty clients a second enough late ones come within some three seconds."""
LATECOMERS = 5
"""So many different clients have to come for older answers before it is believed that it keeps them."""
GAPS = 24
"""After so many questions that were asked again, it is looked at how soon that was."""
REGULAR = 3
"""Whose shortest gap is longer than this part of the mean, does not ask when clients come by chance: he asks later, or
they come by the clock."""
SEEN = 20
"""Of those who come meanwhile, one of so many is seen at least: some find the address passed on."""
MOVES, STRAYING = 32, 4
"""After so many addresses that were other ones than before, it is looked where its clients came. If one of so many came
where it had been told before, it tells what it keeps, and asks again."""
WATCHED = 60.0  # seconds
"""For so long it is looked who comes."""
LONERS = 32
"""So often no other client must have come for an answer that was waited for until no other one is expected."""
AT_ONCE = 16
"""If so much of that is of queries that waited for one name at one time, it surely asks once for each."""
TOGETHER = 0.005  # seconds
"""Clients who ask within one round trip of their resolver's, and are alike, come so close together."""
COMPANIONS, LATER = 32, 1.25
"""After so many clients who did not come as the first ones, it is known how long after these they come; the next one is
hardly slower than so many times the slowest one."""
FEW = 8
"""After so many, that is known roughly: the fewer there were, the slower the next one may be."""
LESSON = 0.001  # seconds
"""A plain one that has learned from a question learns from none for so long: a thousand a second tell enough."""
LOOK_AGAIN = 64
"""Then, for one of so many it is looked all the same whether others come."""


class Alone(NamedTuple):
    """How often nobody else came for an answer that was waited for, since somebody did."""

    times: float = 0.0
    """So often, as far as each time says something."""
    at_once: float = 0.0
    """So much of that is of queries that waited for one name at one time."""

    @property
    def is_believed(self) -> bool:
        """Whether no other client is expected."""
        return self.times >= LONERS


NEVER_ALONE = Alone()


@attrs.define(eq=False)
class Habits:
    """The habits of a resolver group.

    What waits by TCP tells nothing of what is asked by UDP: some ask once for all clients by UDP, and by TCP for each
    (dnsmasq, which serves each connection by a process of its own).
    """

    keeps: float = 0.0
    """It is taken to tell an answer to further clients for so many seconds, if `renews` is not less; 0.0: to none."""
    keeps_until: float = -math.inf
    """Until then that is believed, in monotonic seconds."""
    renews: float = MOST
    """It was seen to ask again for what it was told so many seconds before: it does not keep answers for longer."""
    renews_until: float = -math.inf
    """Until then that is believed, in monotonic seconds."""
    is_plain: bool = True
    """Nothing is known, and nothing assumed: one client comes for each answer."""
    caution: Caution = attrs.field(factory=Caution)
    """What is assumed as long as nothing is known."""
    learns_at: float = -math.inf
    """While it `is_plain`: from when on, in monotonic seconds, it learns again from what is asked again."""
    predicts_until: float = -math.inf
    """Until then (monotonic seconds) it is taken to tell what it keeps, for `ASSUMED` seconds, and to ask again each
    time."""
    longest_spell: float = 0.0
    """For so long, in seconds, claims of it may stand, as they were made."""
    watched_until: float = -math.inf
    """It asked again at times that are much alike, as who keeps answers does: until then (monotonic seconds) it is of
    interest who comes in between."""
    _moved: int = 0
    _strayed: int = 0
    _repeats: int = 0
    _longest: float = 0.0
    _gaps: int = 0
    _sum_of_gaps: float = 0.0
    _least_gap: float = math.inf
    _late: int = 0  # so many came for older answers, since it was looked at its gaps before the last ones
    _was_regular: bool = False
    _latecomers: tuple[bytes, ...] = ()
    _waited: int = 0
    _alone: tuple[Alone, Alone] = (NEVER_ALONE, NEVER_ALONE)  # of what waited by UDP, by TCP
    _look_at: float = -math.inf
    _companions: int = 0
    _latest: float = 0.0  # of the last ones, fewer than `COMPANIONS`
    _latest_before: float = math.inf  # of as many before them

    @property
    def company(self) -> float:
        """For how long, in seconds, others come after the first of those who asked at one time; infinity: unknown."""
        latest = max(self._latest, self._latest_before)
        if latest == math.inf and self._companions >= FEW:
            latest = self._latest * (1 + COMPANIONS / self._companions)
        return max(TOGETHER, LATER * latest)

    @property
    def keeps_answers(self) -> bool:
        """Whether it is known to tell answers to clients who ask later."""
        return self.keeps > COALESCES or self.predicts_until > -math.inf

    def asks_for_each(self, *, tcp: bool) -> bool:
        """Whether it surely asks once for each client: it asked for names many times at once, and nobody else came.

        Args:
            tcp: What waits by TCP; what waits by UDP, or is answered at once.
        """
        alone = self._alone[tcp]
        return alone.at_once >= AT_ONCE and alone.is_believed and not self.is_known

    def spell(self, delay_p999: float) -> float:
        """For how long, in seconds, after an answer further clients may come for it, as far as is known.

        Args:
            delay_p999: Within so many seconds after they were told, its clients come.
        """
        if self.predicts_until > -math.inf:
            return ASSUMED + delay_p999
        known = min(self.keeps, max(self.renews, SECOND)) + delay_p999 if self.keeps else 0.0
        return max(known, self.caution.assumed + delay_p999) if self.caution.is_on else known

    def window(self, delay_p999: float, now: float) -> float:
        """The same, but only what is known and not forgotten; 0.0: one client comes, and that is all."""
        if self.keeps and self.keeps_until <= now:
            self.keeps, self._latecomers = 0.0, ()
        if self.predicts_until <= now:
            self.predicts_until = -math.inf
        self.look(now)
        return self.spell(delay_p999) if self.is_known else 0.0

    def look(self, now: float) -> None:
        """See whether anything is to be assumed of it."""
        self.caution.look(now)
        self._regard_all()

    def _regard_all(self) -> None:
        self.is_plain = not (self.caution.is_tried or self.is_known)

    @property
    def is_known(self) -> bool:
        """Whether further clients are known to come for its answers."""
        return self.keeps > 0.0 or self.predicts_until > -math.inf

    @property
    def serves_others(self) -> bool:
        """Whether further clients are known, or taken, to come for its answers."""
        return not self.is_plain and (self.caution.is_on or self.is_known)

    def remember(self, keeps: float, renews: float, *, until: float) -> None:
        """Learn what was learned in an earlier run, and believe it until then, in monotonic seconds."""
        self.keeps, self.renews = keeps, renews
        self.keeps_until = self.renews_until = until
        self._regard_all()

    def known_for(self, now: float) -> tuple[float, float]:
        """What a later run is to believe, and for how many seconds; see `remember_known`."""
        return self.caution.trusted_for(now), min(REMEMBERED, max(0.0, self.predicts_until - now))

    def remember_known(self, trusted: float, predicts: float, *, now: float) -> None:
        """Believe what was learned in an earlier run.

        Args:
            trusted: Until when it need not show again whether it keeps answers, in monotonic seconds.
            predicts: As `predicts_until`, if that is not over.
            now: The present, likewise.
        """
        if trusted > now:
            self.caution.trust(trusted)
        if predicts > now:
            self.predicts_until = predicts
        self._regard_all()

    def may_coalesce(self, *, tcp: bool) -> bool:
        """Whether several clients may come for an answer that was waited for; at times that is looked at anew.

        To be asked once for each answer: for one of so many it is so whatever is known.

        Args:
            tcp: Whether it waited by TCP.
        """
        self._waited += 1
        return self.is_known or not self._alone[tcp].is_believed or not self._waited % LOOK_AGAIN

    def may_have_company(self, since: float) -> bool:
        """Whether, so many seconds after somebody came, others may who were told the same at once, as far as known."""
        return self.caution.serves_several and not self._alone[False].is_believed and since < self.company

    def met(self, *, others: bool, likely: float = 1.0, tcp: bool = False) -> None:
        """Learn whether further clients came while an address was kept for them.

        Args:
            others: They did.
            likely: How much it says if they did not: 0 to 1, or more where it had asked several times at once.
            tcp: What was answered had waited by TCP.
        """
        times, at_once = self._alone[tcp]
        alone = NEVER_ALONE if others else Alone(times + likely, at_once + max(0.0, likely - 1))
        self._alone = (self._alone[False], alone) if tcp else (alone, self._alone[True])

    def came_together(self, after: float, *, counts: bool = True) -> None:
        """Learn how long after the first one another of those came who had asked at one time.

        Args:
            after: So many seconds.
            counts: Not if he came together with another one: a crowd of quick ones does not make all of them quick.
        """
        self._latest = max(self._latest, after)
        if not counts:
            return
        self._companions += 1
        if not self._companions % COMPANIONS:
            self._latest, self._latest_before = 0.0, self._latest

    def moved(self, now: float) -> None:
        """Learn that it was told another address than a moment before, where all of its clients had come."""
        if self._moved >= MOVES:
            if self._strayed * STRAYING >= MOVES:
                self._predicts(now)
            self._moved = self._strayed = 0
        self._moved += 1

    def strayed(self) -> None:
        """Learn that one of its clients came there, for whom nothing was."""
        self._strayed += 1

    def came(self, flow: Flow, claimed: float, now: float, *, known: bool, let_in: bool, forged: bool) -> None:
        """Learn that a client came for a name of which it was told nothing; see `Caution.came`."""
        if self.caution.came(flow, claimed, now, known=known, let_in=let_in, forged=forged):
            self._predicts(now)

    def _predicts(self, now: float) -> None:
        self.predicts_until = now + REMEMBERED
        self._regard_all()

    def asked(self, now: float) -> None:
        """Learn that it asked for something that it had not asked a moment before."""
        if self.caution.asked(now):
            self.look(now)

    def asked_again(
        self, gap: float, delay_p999: float, now: float, span: float = math.inf, waited: float = 0.0
    ) -> bool:
        """Learn that it asked again `gap` seconds after it was told the same; returns whether that shortens `renews`.

        Args:
            gap: In seconds.
            delay_p999: Within so many seconds after they were told, its clients come.
            now: The present, in monotonic seconds.
            span: So many seconds it took to ask for the third time.
            waited: So many seconds ago it asked; what that says was learned then.
        """
        if not self.is_plain or now >= self._look_at:
            self._look_at = now + SECOND
            self.caution.asked_again(now - gap, math.inf if waited else gap, span)
            self.look(now)
        self.learns_at = now + LESSON
        if self.renews_until <= now:
            self.renews, self.renews_until = MOST, now + REMEMBERED
        before = self.renews
        self._gaps += 1
        self._sum_of_gaps += gap
        if gap < self._least_gap:
            self._least_gap = gap
        if self._gaps >= GAPS:
            self._regard_gaps(delay_p999, now)
        if gap < self.renews:
            self._longest = max(self._longest, gap)
            self._repeats += 1
            if self._repeats >= REPEATS:
                self.renews, self.renews_until = self._longest, now + REMEMBERED
                self._repeats, self._longest = 0, 0.0
        return self.renews < before

    def _regard_gaps(self, delay_p999: float, now: float) -> None:
        """See whether it asks when it is asked, which is by chance, or when what it keeps has run out.

        Of `GAPS` times between clients that come by chance, the shortest one is a small part of the mean. Once in three
        thousand times it is not, which a busy resolver shows within the hour; but hardly ever twice in a row.

        Who asks by the clock, as a monitoring system does, looks the same; but nobody comes when he does not ask. If
        it is what he keeps that makes the gaps, and clients come by chance, then `least` / (`mean` - `least`) of them
        come for each answer later on: half of one at least, and the more, the more alike the gaps are.
        """
        least, mean, late = self._least_gap, self._sum_of_gaps / GAPS, self._late
        self._gaps, self._sum_of_gaps, self._least_gap = 0, 0.0, math.inf
        is_regular, was_regular = least > mean / REGULAR and least > max(delay_p999, SECOND / 2), self._was_regular
        self._was_regular = is_regular
        if not is_regular or was_regular:
            self._late = 0
        if not is_regular or not self.caution.serves_several:
            return
        self.watched_until = now + WATCHED
        if was_regular and late * SEEN * (mean - least) > GAPS * least:
            self.keeps, self.renews = max(self.keeps, least), min(self.renews, least)
            self.keeps_until = self.renews_until = now + REMEMBERED
            self._regard_all()

    def came_late(self) -> None:
        """Learn that a client came again when the answer was old, and had not been asked for anew."""
        self._late += 1

    def came_again(self, src: bytes, age: float, delay_p999: float, now: float) -> None:
        """Learn that a further client came for an answer that was given `age` seconds before.

        Either both have asked before the answer was there, and he is no slower than others; or it is kept. For how
        long is found out when it asks again. One client alone may have come by himself.

        Args:
            src: Packed address of the client.
            age: In seconds.
            delay_p999: Within so many seconds after they were told, its clients come.
            now: When he came, in monotonic seconds.
        """
        if age <= delay_p999:
            self.keeps = max(self.keeps, COALESCES)
        else:
            self._late += 1
            self._latecomers = (*(each for each in self._latecomers if each != src), src)[-LATECOMERS:]
            if len(self._latecomers) == LATECOMERS:
                self.keeps = max(self.keeps, min(MOST, LONGER * age))
        if self.keeps:
            self.keeps_until = now + REMEMBERED
            self._regard_all()
