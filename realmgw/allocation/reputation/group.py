"""Resolver groups: who asks, what became of it, and how soon the clients that he asks for come.

A group learns how long after an answer the first packet arrives: the *claim timeout* follows from that, the age at
which a claim of this group is dead by experience. And its outcomes make its reputation. `standing` is the reputation as
it was when it was last asked for: whenever the group asks for an address that costs the pool something, or has to wait.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from realmgw.allocation.pace import Lost
from realmgw.allocation.reputation.delays import SHORTEST, Delays
from realmgw.allocation.reputation.habits import Habits
from realmgw.allocation.reputation.score import Rated
from realmgw.allocation.reputation.told import Told
from realmgw.allocation.reputation.word import Word

if TYPE_CHECKING:
    from realmgw.config.policy import ResolverGroup

CLAIM_TIMEOUT_UNKNOWN = 0.5  # seconds
"""The claim timeout of a group with fewer than `OBSERVATIONS` arrivals."""
DELAY_P999_UNKNOWN = 0.32  # seconds
"""That delay of such a group: a client that tries the other address family first comes 250 ms later (RFC 8305 section
5), and his way takes some time."""
OBSERVATIONS = 50
"""Arrivals from which on a group's own experience counts, and only those are added that leave no doubt about the claim
that they belong to: of the others the quick ones would be seen, and the slow ones would not."""
CLAIM_TIMEOUT_LEAST = 0.1  # seconds
"""No claim is dead sooner than this, however fast the clients are."""
RIDE = 1.25
"""Who has to ride, may where an address is held for so many times as long as nearly all of his clients take."""
HOPELESS, HOPEFUL = 0.25, 0.35
"""Below this standing, in proportion to the best, a group is next to nothing, until it is above that one: nobody waits
for its clients longer than for those who come at once; and where the policy decides, it is given nothing that others
need."""

ABSORBED = 4
"""So many groups that were merged into one are remembered, for the seconds that their claims live."""

NEARLY_ALL = 0.99
"""Where one who was told with others may still come, he is waited for as long as so many of his group take."""

SOONEST, SOONER = 0.01, 0.75
"""Of a hundred clients one comes sooner than that quantile says, and hardly any in so large a part of that time."""

_REFRESH = 32


@attrs.define(eq=False)
class Group(Rated):
    """The resolvers that count as one, with what is known of them. Compared by identity."""

    resolver: Hashable
    """The address value that it was made for; of a preset group, the first of its networks."""
    claim_timeout: float = CLAIM_TIMEOUT_UNKNOWN
    """Age, in seconds, at which a claim of this group is dead by experience."""
    delay_p999: float = DELAY_P999_UNKNOWN
    """99.9th percentile of the delay of its clients, in seconds; somewhat more while few were seen."""
    nearly_all: float = DELAY_P999_UNKNOWN
    """Within so many seconds `NEARLY_ALL` of its clients come, as far as is known of the latest."""
    delay_median: float = 0.0
    """Median of the delay of its clients, in seconds; 0.0 while few were seen."""
    delays: Delays | None = None
    """How soon its clients come; made when the first one does."""
    learned_from_first: bool = False
    """Only those count there who were the first ones to come for an answer."""
    learns_at: float = 0.0
    """From when on, in monotonic seconds, it learns from arrivals again."""
    preset: ResolverGroup | None = None
    """What the operator says of it, if he does."""
    sla: bool = False
    """There is an agreement: what it says about its clients is believed."""
    others: tuple[Hashable, ...] = ()
    """The address values that were merged with it."""
    absorbed: tuple[Group, ...] = ()
    """The groups that were merged into it last: their claims are its own."""
    merged_into: Group | None = None
    """The group that it was merged into, and has its reputation from then on."""
    hopeless: bool = False
    """Whether it is next to nothing, in proportion to the best."""
    passed: int = 0
    """The challenges that it has passed, as bits."""
    proven_at: float = -math.inf
    """When it last showed that it is where it says, in monotonic seconds; minus infinity: never."""
    word: Word = attrs.field(factory=Word)
    """What its word is worth, where a query does not show where it comes from."""
    habits: Habits = attrs.field(factory=Habits)
    """What it does with answers."""
    told: Told[Any] = attrs.field(factory=Told)
    """What it was told a moment ago: the claims, which this room does not know."""
    told6: Told[Any] | None = None
    """The same of IPv6, of names that have no IPv4 address; made with the first one."""
    pairs: float = 0.5
    """How much of what it asks for by IPv6 it asks for by IPv4 at once, of late, 0 to 1."""
    asked6: int = 0
    """How many claims of IPv6 that is known of."""
    lost: Lost | None = None
    """Its claims of IPv6 that nobody has used, or not yet; made with the first one."""
    trusted: int = 0
    """Queries that showed where they came from, where such are counted."""
    untrusted: int = 0
    """Queries that anybody may have sent."""
    _refresh_at: int = 1

    @property
    def nodes(self) -> tuple[str, ...]:
        """Its addresses and prefixes."""
        own = (self.resolver,) if self.preset is None else self.preset.nodes
        return tuple(map(str, (*own, *self.others)))

    @property
    def ok(self) -> float:
        """Claims that were used, ever."""
        return self.reputation.ok + self.reputation.past[0]

    @property
    def nok(self) -> float:
        """Claims that nobody used, ever, each by what it cost others."""
        return self.reputation.nok + self.reputation.past[1]

    @property
    def neutral(self) -> float:
        """Claims whose outcome could not be told apart from another group's, ever."""
        return self.reputation.neutral + self.reputation.past[2]

    @property
    def spell(self) -> float:
        """For how long, in seconds, after an answer further clients may come for it, as far as is known."""
        return self.habits.spell(self.delay_p999)

    @property
    def slowest(self) -> float:
        """`delay_p999` as it was seen, in seconds: no more for want of experience, once there is any."""
        return DELAY_P999_UNKNOWN if self.delays is None else self.delays.slowest or DELAY_P999_UNKNOWN

    @property
    def inexperienced(self) -> bool:
        """Whether so few of its clients were seen that a doubtful observation is better than none."""
        return self.delays is None or self.delays.total < OBSERVATIONS

    @property
    def has_just_learned(self) -> bool:
        """Whether it has become known only now how soon its clients come, and was assumed a moment ago."""
        return self.delays is not None and OBSERVATIONS <= self.delays.total < OBSERVATIONS + _REFRESH

    @property
    def ride(self) -> float:
        """For so many seconds an address must be held for its clients at least, if they may not prolong that."""
        return self.delay_p999 if self.inexperienced else RIDE * self.delay_p999

    def is_unproven(self, now: float) -> bool:
        """Whether a query of the present is one that it is only taken at its word for; see `Claim.unproven`."""
        return self.passed > 0 and self.proven_at != now

    def arrived(self, delay: float, src: bytes) -> None:
        """Learn that a client came so many seconds after the answer, from which packed address.

        One that took longer than was seen is only believed if others did as well, where it has several.
        """
        if not (self.habits.is_plain or self.learned_from_first) and self.habits.keeps_answers:
            self._learn_from_first()
        if self.delays is None:
            self.delays = Delays()
        delays = self.delays
        if delay <= delays.slowest or not delays.slowest:
            delays.add(delay)
        elif delays.add_slower(delay, src if self.habits.caution.serves_several else object()):
            self._refresh_at = 1
        self._refresh_at -= 1
        if not self._refresh_at:
            self._refresh(self.delays)

    def _learn_from_first(self) -> None:
        """Forget the delays: it keeps answers, so that some were of clients who came for what others had been told."""
        self.learned_from_first = True
        self.delays, self.delay_median, self._refresh_at = None, 0.0, 1
        self.nearly_all = DELAY_P999_UNKNOWN
        self.delay_p999, self.claim_timeout = (
            DELAY_P999_UNKNOWN,
            CLAIM_TIMEOUT_LEAST if self.hopeless else CLAIM_TIMEOUT_UNKNOWN,
        )

    def _refresh(self, delays: Delays) -> None:
        self._refresh_at = _REFRESH if delays.total >= OBSERVATIONS else OBSERVATIONS - delays.total
        if delays.total >= OBSERVATIONS:
            delays.slowest = slowest = delays.within(0.999)
            self.delay_median, self.nearly_all = delays.quantile(0.5), delays.of_late(NEARLY_ALL)
            soonest = delays.quantile(SOONEST)
            delays.least = SOONER * soonest if soonest > SHORTEST else 0.0
            scarce = OBSERVATIONS / delays.total  # of so few, hardly one was as slow as the slowest of a thousand
            self.delay_p999 = slowest * (1 + scarce)
            self.claim_timeout = max(CLAIM_TIMEOUT_LEAST, slowest * 2 * (1 + scarce))
        if self.hopeless:
            self.claim_timeout = CLAIM_TIMEOUT_LEAST

    def rate(self, standing: float) -> None:
        """Have this standing (0 to 1) until the reputation is looked at again, where 1 is the best there is."""
        self.standing = standing
        self.compare(1.0)

    def compare(self, best: float) -> None:
        """Who is next to nothing in proportion to the best is not waited for: such claims get the least timeout."""
        hopeless = self.standing < (HOPEFUL if self.hopeless else HOPELESS) * best
        if hopeless is not self.hopeless:
            self.hopeless = hopeless
            self.claim_timeout = CLAIM_TIMEOUT_UNKNOWN
            self._refresh(self.delays or Delays())

    @property
    def is_notable(self) -> bool:
        """Whether there is anything to remember: of one that proved itself, whatever it did."""
        return self.proven_at > -math.inf or self.reputation.is_notable

    def remember(self, counts: Sequence[int]) -> None:
        """Learn what was learned in an earlier run: the counts of `Delays`."""
        self.delays = self.delays or Delays()
        self.delays.absorb(counts)
        self._refresh(self.delays)

    def changed(self) -> bool:
        return super().changed() if self.merged_into is None else self.merged_into.changed()

    def absorb(self, other: Group, *, now: float) -> None:
        """Become one with another group: its addresses, outcomes and experience are this one's from now on, too."""
        self.reputation.absorb(other.reputation, now=now)
        if other.delays is not None and other.delays is not self.delays:
            self.delays = self.delays or Delays()
            self.delays.absorb(other.delays.counts())
            self.delays.apart = min(self.delays.apart, other.delays.apart)
        self.others = (*self.others, other.resolver, *other.others)
        self.sla = self.sla or other.sla
        self.passed |= other.passed
        self.proven_at = max(self.proven_at, other.proven_at)
        self.trusted += other.trusted
        self.untrusted += other.untrusted
        self.absorbed = (other, *self.absorbed)[:ABSORBED]
        other.merged_into, other.reputation, other.delays = self, self.reputation, self.delays  # its claims go on
        longest = max(self.habits.longest_spell, other.habits.longest_spell)
        if other.habits.keeps_until > self.habits.keeps_until:
            self.habits = other.habits
        self.habits.longest_spell = longest  # the claims of both stand still
        other.word, other.habits = self.word, self.habits
        self.pairs = min(self.pairs, other.pairs)
        other.lost = self.lost = self.lost or other.lost
        self._refresh(self.delays or Delays())
        self.weigh(now)
