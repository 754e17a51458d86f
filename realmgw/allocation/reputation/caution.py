"""What is assumed of a resolver group of which nothing is known yet, until it has shown that it is otherwise.

Whoever keeps answers tells them to clients of whom the gateway does not hear; and if the address is another host's by
then, they reach the wrong one. So who asks for several names, for clients of several addresses, is taken to keep what
he is told for some seconds, and to ask again each time all the same. Two things show that he does not:

- he asks for one name three times within a second. Resolvers count in seconds, some of them in those of a clock, so one
  that keeps answers asks twice at most. Or he asks again soon, for one name or for several, and there is no moment of
  the second at which his clock can have ticked each time in between: where queries wait, nobody asks thrice so soon;
- he waits for his answer. That is tried: for a name that he was told a moment ago, and all of whose clients have come,
  he is told nothing for a while. Whoever comes meanwhile knows it from before.

Both take hardly a second where it matters, which is where many clients come. For who does not show it, that is dropped
after some seconds: he asks so seldom that it harms nobody, or for so many names that he can not be waited for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Protocol

import attrs

from realmgw.allocation.reputation.clients import Clients
from realmgw.allocation.reputation.seen import Place, Seen, Watcher
from realmgw.allocation.reputation.trial import Trial

if TYPE_CHECKING:
    from realmgw.allocation.flow import Flow
    from realmgw.allocation.reputation.delays import Delays

ASSUMED = 6.0  # seconds
"""Who may keep answers, of whom nothing else is known, is taken to do so for so long: who keeps them for 5 s counts in
seconds of a clock, and tells them until the sixth is over."""
SECOND = 1.0  # seconds
"""Who waits for his answers is taken to keep them for so long: that is the least there is."""
LEAST = 3
"""In a pool of fewer addresses names have theirs in turn, and nothing can be tried: there it is not assumed."""
NAMES = 2
"""Who has asked for fewer names within that time does not need more addresses than he may have."""
BUSY = 64
"""Who has asked for so many is not waited for any more."""
CAUTIOUS = 10.0  # seconds
"""For so long, that is assumed at most."""
TRUST = 600.0  # seconds
"""Then nothing is assumed for so long."""
QUICKLY = 0.9  # seconds
"""One who counts in seconds takes longer than this to ask for one name three times, be his clock somewhat unsteady."""
SHORTEST, SHORT = 0.05, 0.9  # seconds
"""Who asks again so soon, tells something of when his clock ticks; if it is sooner than the shortest, he may not have
had the answer."""
TIMES = 2
"""That has to happen so often before it is believed: packets get lost, and are sent again."""
TRIED = 2.0  # seconds
"""For so long after it was told, others let its addresses alone, or nothing could be tried where addresses are few."""
WITHHELD, WITHHELD_LEAST = 0.5, 0.15  # seconds
"""For so long he is told nothing, and so soon after he was told, a client is taken for his; less if all of his clients
came soon, at least `SEEN` of them: of fewer the slow ones may not have been seen, and would come when it is over."""
SEEN, SLOWER = 50, 4
"""The next one is hardly slower than so many times the slowest one."""
NOBODY: dict[Flow, bool] = {}  # as with most groups, which are many; it stays empty
STRANGERS = 6
"""If so many came, and none of them was answered, strangers come everywhere, and nothing can be tried."""
MOST_STRAYS = 2 * STRANGERS
"""Likewise, if so many came, most of whom were refused."""
AGAIN = 24
"""Who asked again so often while it was looked at, and has not shown that he keeps nothing, is looked at further."""
OFTEN = 16
"""Who asked again so often shows within that time that he keeps nothing, if he does not."""
JUST = 0.05  # seconds
"""Who came so long before may be the client for whom it asks; if there often is one, strangers come everywhere."""
UNSURE = 0.5
"""That nobody comes counts as half a time if it may only ask once more, for no client, and others ask, who may be told
its addresses."""
SURE = 2
"""So often it is seen to wait before it is sure; once is enough to believe it meanwhile."""
STRAYS = 3
"""So many clients that come meanwhile are no accident: one may just have been late."""


class Answer(Protocol):
    """What a group was told; see `realmgw.allocation.state.Claim`."""

    created: float

    @property
    def reservation(self) -> Place: ...
    def is_settled(self, now: float, within: float = ...) -> bool: ...


@attrs.define(eq=False)
class Caution:
    """What a resolver group has not shown yet."""

    is_on: bool = False
    """Whether it is taken to keep answers."""
    is_tried: bool = False
    """Whether that is tried, now and then, until it is sure."""
    asks_each_time: bool = False
    """It was seen to ask as often as its clients do."""
    waits: bool = False
    """It was seen to wait for its answers."""
    serves_several: bool = False
    """Clients of different addresses have come for its answers: it does not ask for itself alone."""
    seen: Seen | None = None
    """What is seen of it while it is looked at."""
    _clients: Clients | None = None
    _until: float = -math.inf
    _not_before: float = -math.inf
    _names: int = 0  # asked for, that it had not asked for a moment before, since then
    _names_since: float = -math.inf
    _quick: int = 0
    _strays: int = 0
    _waited: float = 0.0
    _came: dict[Flow, bool] = NOBODY  # who was let in, and whether he counts in `_strays`
    _is_answered: Callable[[Flow], bool] = bool
    _trial: Trial | None = None

    @property
    def assumed(self) -> float:
        """For how long it is taken to keep answers, in seconds, while that is assumed."""
        return SECOND if self.waits else ASSUMED

    @property
    def keeps_nothing(self) -> bool:
        """Whether it has shown that it does not keep answers."""
        return self.asks_each_time and self.waits

    @property
    def is_cleared(self) -> bool:
        """Whether clients of different addresses have come for its answers, and it is not taken to keep these."""
        return self.serves_several and not self.is_on

    @property
    def is_suspected(self) -> bool:
        """Whether more clients came while it was told nothing than times that none did: nothing is sure yet."""
        return self.is_on and self._strays > self._waited

    @property
    def is_likely_to_keep(self) -> bool:
        """Whether it keeps answers, by all that was seen.

        It is suspected; or it waits for its answers, and has asked again so often and not shown that it keeps nothing.
        """
        is_often = self.seen is not None and self.seen.all >= OFTEN
        return self.is_suspected or (self.is_on and self.waits and is_often)

    @property
    def may_keep(self) -> bool:
        """Whether it waits for its answers, and was not once seen to ask for a name before a second had passed."""
        return self.is_on and self.waits and not self._quick

    def is_spared(self, now: float) -> bool:
        """Whether others let alone what it was told: not for longer than that can be found out, or it harms them.

        If it could not be tried in that time, they do so again for a moment whenever it is looked at further: else it
        never could where addresses are few.
        """
        if not self.is_on:
            return False
        if not (self._waited or self._strays) and now < self._until - CAUTIOUS + TRIED:
            return True
        return now < self._not_before - TRUST + CAUTIOUS or self.is_likely_to_keep

    @property
    def is_unproven(self) -> bool:
        """Whether it was not seen to wait for its answers more often than not to."""
        return self.is_on and not self.waits

    def trusted_for(self, now: float) -> float:
        """For how many seconds more nothing is to be assumed, since it is over; 0.0: it is not, or has never begun."""
        return min(TRUST, max(0.0, self._not_before - now)) if self.serves_several and not self.is_tried else 0.0

    def trust(self, until: float) -> None:
        """Assume nothing until then, in monotonic seconds: it was looked at in an earlier run."""
        self._not_before, self.serves_several = until, True

    def is_new(self, src: bytes) -> bool:
        """Whether somebody (his packed address) would be its first client, or the first of another address."""
        return not self.serves_several and (self._clients is None or self._clients.is_new(src))

    def served(self, flow: Flow, likely: int, now: float, is_client: Callable[[Flow, object], bool | None]) -> None:
        """Learn that a client came who `is_new`.

        Args:
            flow: His.
            likely: How surely he is its own, see `clients.CERTAIN`.
            now: The present, in monotonic seconds.
            is_client: Tells later whether he was a client of a group, by this of it; None: that is not known yet.
        """
        self._clients = self._clients or Clients(is_client)
        self._clients.came(flow, likely, now)
        self.serves_several = self._clients.are_several

    def _has_clients(self, now: float) -> bool:
        """Whether those are its clients who came first; nothing is asked any more once that is sure."""
        if self._clients is None:
            return True
        are_its = self._clients.are_believed(self, now)
        self.serves_several = self._clients.are_several
        if are_its and self._clients.are_old(now):
            self._clients = None
        return are_its is not False

    def asked(self, now: float) -> bool:
        """Learn that it asked for something that it had not asked for a moment before.

        Returns:
            Whether to `look` what follows.
        """
        if now - self._names_since > ASSUMED:
            self._names, self._names_since = 0, now
        self._names += 1
        if self._names == BUSY:
            self._not_before, self._until = now + TRUST, now
        return self.is_tried or (self._names >= NAMES and self.serves_several and now >= self._not_before)

    def asked_again(self, told: float, gap: float, span: float, *, tcp: bool = False) -> None:
        """Learn that it asked for a name again.

        Args:
            told: When it was told the same before, in monotonic seconds.
            gap: So many seconds later it asked.
            span: So many seconds it took to ask for the third time, and to be told each time.
            tcp: By TCP, where no answer gets lost, and nothing is asked again for that.
        """
        seen = self.seen
        if seen is None:
            return
        seen.again += 1
        seen.all += 1
        if self.is_on and (span < QUICKLY or (SHORTEST < gap < SHORT and not seen.may_have_ticked(told, gap))):
            self._quick += TIMES if tcp else 1
            self.asks_each_time |= self._quick >= TIMES

    def look(self, now: float) -> None:
        """See whether it is time to assume something, or to stop that."""
        if not self.is_tried:
            is_time = self.serves_several and self._names >= NAMES and now >= self._not_before
            if is_time and self._has_clients(now):
                self.is_on = self.is_tried = True
                self.asks_each_time = self.waits = False
                self._until, self._not_before = now + CAUTIOUS, now + TRUST
                self._quick, self._strays, self._waited, self._came = 0, 0, 0, {}
                self.seen = Seen()
            return
        if self._clients is not None and not self._has_clients(now):
            self._end()
            self._not_before = -math.inf
            return
        seen = self.seen or Seen()
        if self._trial is not None:
            self._judge(self._trial, now)
        if now >= self._until:
            self._forget([flow for flow in self._came if not self._is_answered(flow)])
            if self.is_on and self._names < BUSY and (self._strays > self._waited or seen.again > AGAIN):
                self._until, seen.again = now + CAUTIOUS, 0  # it asks too often to harm nobody
            else:
                self._end()
        elif self.keeps_nothing:
            self.is_on = False
            if self._waited >= SURE:
                self._end()

    def _judge(self, trial: Trial, now: float) -> None:
        """See what a trial says: that it waits, if nobody came, or nobody who was answered. Else it is tried anew."""
        if trial.look(self._is_answered, now):
            self._leave()
        elif trial.is_over(now):
            self._forget(trial.came)
            if trial.stood:
                self._waited += trial.weight
                self.waits = self._waited >= self._strays + 1
            self._leave()

    def _forget(self, strangers: Iterable[Flow]) -> None:
        """These were let in, and not answered."""
        self._strays -= sum(self._came.pop(flow, False) for flow in strangers)

    def may_withhold(self, before: Answer, delays: Delays | None, now: float, *, dry: bool) -> bool:
        """Whether it is told nothing of a name: that is tried already, or it is of use now.

        Args:
            before: What it was told of it last.
            delays: How soon its clients come.
            now: The present, in monotonic seconds.
            dry: It is only tried: nothing is counted.
        """
        self.look(now)
        if self.withholds(before.reservation.service.target, now):
            return True
        is_sure = self.waits and self._waited >= SURE
        if not self.is_tried or is_sure or now > before.created + ASSUMED - WITHHELD:
            return False
        if self._trial is not None or before.reservation.trial is not None:
            return False  # one name at a time, and one group for each: who comes speaks of one of them alone
        if not before.is_settled(now, spread(delays)):
            return False
        if before.reservation.stray_at <= now - JUST:
            return True
        if self.seen is not None and not dry:
            self.seen.crowded += 1
            if self.seen.crowded >= MOST_STRAYS:
                self._end()
        return False

    def withhold(
        self,
        before: Answer,
        delays: Delays | None,
        watcher: Watcher,
        is_answered: Callable[[Flow], bool],
        now: float,
        *,
        is_alone: bool,
    ) -> bool:
        """From now on, tell it nothing of a name.

        Args:
            before: What it was told of it last.
            delays: How soon its clients come.
            watcher: Who is told of those who come meanwhile.
            is_answered: Tells whether a flow that was let in was answered.
            now: The present, in monotonic seconds.
            is_alone: No other group asks for anything.

        Returns:
            Whether it is not so already.
        """
        if self._trial is not None:
            return False
        all_come, weight = spread(delays), 1.0
        if self.seen is not None and not is_alone:
            may_repeat = self.seen.had_to_wait(before.reservation.service.name, before.created, now)
            weight = UNSURE if may_repeat else 1.0
        self._is_answered = is_answered
        kept_until = before.created + SECOND + all_come
        self._trial = Trial(before.reservation, now, now + all_come, weight, kept_until)
        before.reservation.trial = watcher
        return True

    def withholds(self, target: int, now: float) -> bool:
        """Whether it is told nothing of a target at present."""
        return self._trial is not None and self._trial.place.service.target == target and now < self._trial.ends

    def came(self, flow: Flow, claimed: float, now: float, *, known: bool, let_in: bool, forged: bool) -> bool:
        """Somebody comes meanwhile. If it may have told him within a second, that says nothing, and it is tried anew.

        Who was let in is taken for a client until it is known that he was not answered.

        Args:
            flow: His.
            claimed: When the claim was made that he uses, in monotonic seconds; minus infinity: he uses none.
            now: The present, likewise.
            known: He was there before, so that he may have come again by himself, or he may be another group's client:
                that says nothing.
            let_in: Not if he was refused.
            forged: Strangers come: then only those count who were let in and answered, once that is known.

        Returns:
            Whether it is no accident any more that somebody comes.
        """
        trial = self._trial
        if trial is None or claimed >= trial.since or now >= trial.ends:
            return False
        if known or not let_in or len(trial.came) >= MOST_STRAYS:
            self._leave()
        else:
            trial.note(flow, now)
        if known or (not (forged or self.asks_each_time) and now < trial.kept_until):
            return False
        self._came = {each: self._is_answered(each) for each in self._came} if forged else self._came
        self._strays = sum(self._came.values()) if forged else self._strays + 1
        if let_in:
            self._came = {**dict([*self._came.items()][1 - STRANGERS :]), flow: not forged}
        self.waits = self._waited >= self._strays + 1
        self.is_on = not self.keeps_nothing
        if self._strays < STRAYS or self._strays <= self._waited:
            return False
        is_caught = any(self._is_answered(each) for each in self._came if each != flow)
        if is_caught or len(self._came) >= STRANGERS or self._strays >= MOST_STRAYS:
            self._end()
        return is_caught

    def _leave(self) -> None:
        if self._trial is not None:
            self._trial.leave()
            self._trial = None

    def _end(self) -> None:
        self.is_on, self.is_tried, self.seen = False, False, None
        self._leave()


def spread(delays: Delays | None) -> float:
    """Within how many seconds after they were told all of a group's clients come, as far as was seen."""
    if delays is None or delays.total < SEEN:
        return WITHHELD
    return min(WITHHELD, max(WITHHELD_LEAST, SLOWER * delays.quantile(1.0)))
