"""The load policy: which reputation an allocation needs, by what it costs the pool and how full the pool is.

A query that finds its host at an address already costs the pool nothing, and nobody's reputation is looked at. One that
needs a free address, or a share of one in use, must offer what one of the bands that contain the pool's load demands.
Offered is the resolver group's reputation and, if a client was named and is believed, his: the better one, the worse
one or their mean, as the band says.

Both are taken in proportion to the best reputation known. When all resolvers have the same mixed clients nobody is to
be refused for it; and who is alone is always the best.
"""

from __future__ import annotations

import enum
import math
from bisect import bisect
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import attrs

from realmgw.allocation.reputation.group import CLAIM_TIMEOUT_LEAST
from realmgw.allocation.reputation.score import PERIOD
from realmgw.config.policy import Audit, Combination, LoadBand, Policy
from realmgw.errors import Reason

if TYPE_CHECKING:
    from realmgw.allocation.counters import Counters
    from realmgw.allocation.reputation.group import Group
    from realmgw.allocation.reputation.requestors import Requestor
    from realmgw.allocation.reputation.score import Rated
    from realmgw.allocation.trace import Trace

LEADERS = 8
"""So many of the best reputations known are followed."""
TRIALS = 0.05
"""This part of the pool's time is lent, while it is half full, to those who are restrained: to show clients."""


class Kind(enum.IntEnum):
    """What a new reservation costs the pool; the load policy demands a reputation for each."""

    FQDN_NEW = 0
    """A whole address."""
    SFQDN_NEW = 1
    """A new address that others can share."""
    SFQDN_REUSE = 2
    """A share of an address in use."""


class Best:
    """The best reputation known, of groups and requestors.

    The few best ones that were looked at are followed, so it costs O(1): when the best one falls, the next best of the
    few takes its place; and when a period is over, all of them are looked at again.

    Attributes:
        value: It, 0 to 1; 0.0 while none is known.
    """

    def __init__(self) -> None:
        self.value = 0.0
        self._leaders: dict[Rated, float] = {}
        self._top: Rated | None = None
        self._floor = -1.0  # of the leaders, when there are enough of them
        self._until = -math.inf

    def learn(self, rated: Rated, value: float, now: float) -> None:
        """Somebody's reputation was looked at, and has this value at present."""
        if now >= self._until:
            self._look_again(now)
        leaders = self._leaders
        if value <= self._floor and rated not in leaders:
            return
        leaders[rated] = value
        if len(leaders) > LEADERS:
            del leaders[min(leaders, key=leaders.__getitem__)]
            self._floor = min(leaders.values())
        if value >= self.value:
            self.value, self._top = value, rated
        elif rated is self._top:
            self._elect()

    def after(self, values: dict[Rated, float], now: float) -> float:
        """What it would be if these were learned; nothing is changed."""
        again = now >= self._until
        leaders = {leader: _present(leader, now) if again else value for leader, value in self._leaders.items()}
        return max((leaders | values).values(), default=0.0)

    def _look_again(self, now: float) -> None:
        self._until = (now // PERIOD + 1) * PERIOD
        self._leaders = {leader: _present(leader, now) for leader in self._leaders}
        self._elect()

    def _elect(self) -> None:
        leaders = self._leaders
        self._top = max(leaders, key=leaders.__getitem__, default=None)
        self.value = leaders[self._top] if self._top is not None else 0.0
        self._floor = min(leaders.values()) if len(leaders) >= LEADERS else -1.0


@attrs.frozen
class Judgement:
    """What the load policy says to an allocation, and how that comes about."""

    kind: Kind
    """What would be spent."""
    resolver: float
    """The group's reputation, 0 to 1."""
    requestor: float | None
    """The named client's, if one is believed."""
    best: float
    """The best reputation known."""
    tried: tuple[tuple[LoadBand, float, float], ...]
    """The bands that contain the load, up to the one that allocates: each with what is offered and demanded."""
    offered: float
    """What is offered at most, in proportion to the best."""
    in_vain: bool
    """Whether waiting is in vain: that would not even do for the least of what an empty pool has."""
    reason: Reason | None
    """Why it is refused."""
    audited: bool
    """It is allocated all the same: refusals are only counted."""

    def steps(self) -> Iterator[str]:
        """How it comes about, in words."""
        kind = self.kind.name.lower()
        yield f"the load policy is asked for {kind}; the best reputation known is {self.best:.2f}"
        for band, offered, demanded in self.tried:
            verdict = "enough" if offered >= demanded else "too little"
            yield (
                f"band {band.threshold_min:g}-{band.threshold_max:g} %: offered is {offered:.2f} ({band.math.value}) of"
                f" the best, demanded {demanded:.2f}: {verdict}"
            )
        if not self.tried and self.reason is not None:
            yield "no band contains this load"
        if self.reason is not None and self.audited:
            yield f"audit: {self.reason.name.lower()} would be the answer, but is only counted"


class LoadPolicy:
    """Decides who may have what at which load.

    Args:
        policy: The operator's.
        counters: Where decisions are counted, and what tells how many claims are pending.
        best: The best reputation known; shared with the policy before, so that a reload forgets nothing.

    Attributes:
        most_claims: How many claims may stand at once, for all hosts together.
        permitted: How many allocations each band has let pass, in the order of the policy.
        refused: How many no band let pass, by `Kind`.
    """

    def __init__(self, policy: Policy, counters: Counters, best: Best) -> None:
        self._counters = counters
        self._best = best
        self.most_claims: float = math.inf if policy.max_claims is None else policy.max_claims
        self._audit = Audit.LOAD in policy.audit
        self._bands = tuple(_Band(number, band) for number, band in enumerate(policy.system_load))
        self._edges = sorted({edge for band in self._bands for edge in (band.low, band.end)})
        self._demands = tuple(_demanded(self._bands, low) for low in (-math.inf, *self._edges))
        self._least = min((min(band.demands) for band in self._bands), default=0.0)
        self._restrains = bool(self._bands) and not self._audit
        self._tries_at = -math.inf
        self.permitted = [0] * len(self._bands)
        self.refused = [0] * len(Kind)

    def counts(self) -> dict[str, int]:
        """What was decided since it is in force: permitted by each band, refused by what would have been spent."""
        permitted = {f"band_{number}_permitted": count for number, count in enumerate(self.permitted, 1)}
        return permitted | {f"{kind.name.lower()}_refused": self.refused[kind] for kind in Kind}

    def refuses(
        self, kind: Kind, load: float, group: Group, client: Requestor | None, now: float, trace: Trace | None = None
    ) -> Reason | None:
        """Decide on an allocation, and count it.

        Args:
            kind: What it costs.
            load: Waiting addresses / pool size, 0 to 1.
            group: Who asks; its standing is what it was found to be.
            client: For whom, if that is known and believed.
            now: The present, in monotonic seconds.
            trace: Where it is said how that comes about, if it is only tried.

        Returns:
            None if it is permitted, or if refusals are only counted.
        """
        if trace is not None:
            judgement = self.judge(kind, load, group, client, now)
            trace.steps += judgement.steps()
            return None if judgement.audited else judgement.reason
        if now >= group.fresh_until:
            self._look(group, now)
        if client is None:
            best = self._best.value
            offered = group.standing / best if best > 0.0 else 1.0
            for demanded, number in self._demands[bisect(self._edges, load * 100.0)][kind]:
                if offered >= demanded:
                    self.permitted[number] += 1
                    return None
        return self._consider(kind, load * 100.0, self._offers(group, client, now))

    def _look(self, rated: Rated, now: float) -> None:
        self._best.learn(rated, rated.weigh(now), now)
        rated.compare(self._best.value)

    def _offers(self, group: Group, client: Requestor | None, now: float) -> tuple[float, float, float]:
        if client is None:
            return _shares(group.standing, None, self._best.value)
        if now >= client.fresh_until:
            self._look(client, now)
        return _shares(group.standing, client.standing, self._best.value)

    def _consider(self, kind: Kind, percent: float, offers: tuple[float, float, float]) -> Reason | None:
        tried = self._tried(kind, percent, offers)
        if tried and tried[-1][1] >= tried[-1][2]:
            self.permitted[tried[-1][0].number] += 1
            return None
        if not self._bands:
            return None
        self.refused[kind] += 1
        return self._refuse(Reason.POLICY)

    def _tried(
        self, kind: Kind, percent: float, offers: tuple[float, float, float]
    ) -> list[tuple[_Band, float, float]]:
        """The bands that contain a load, up to the one that allocates: each with what is offered and demanded."""
        tried = []
        for band in self._bands:
            if band.low <= percent <= band.high:
                tried.append((band, offers[band.math], band.demands[kind]))
                if offers[band.math] >= band.demands[kind]:
                    break
        return tried

    def _refuse(self, reason: Reason) -> Reason | None:
        if self._audit:
            self._counters.policy_audited += 1
            return None
        return reason

    def limits(self, trace: Trace | None = None) -> bool:
        """Whether no claim more is made, when as many stand as may; counted, or said, where that is only audited."""
        if trace is None:
            return self._refuse(Reason.CLAIM_LIMIT) is not None
        if self._audit:
            trace.say("audit: that is only counted")
        return not self._audit

    def room(self, pending: int) -> float:
        """How many more claims may be made when so many stand; without a bound where that is only audited."""
        return math.inf if self._audit else self.most_claims - pending

    def share(self, group: Group, now: float, *, dry: bool = False) -> float:
        """A group's reputation in proportion to the best, 0 to 1; `dry`: nothing is changed."""
        if dry:
            mine = _present(group, now)
            return _shares(mine, None, self._best.after({group: mine}, now))[0]
        if now >= group.fresh_until:
            self._look(group, now)
        best = self._best.value
        return group.standing / best if best > 0.0 else 1.0

    def restrains(self, group: Group) -> bool:
        """Whether a group is next to nothing, so that its claims may keep no address from others."""
        return group.hopeless and self._restrains

    def may_try(self, now: float, *, ample: bool) -> bool:
        """Whether a group that is restrained may have an address that others could have, to show that clients come.

        Args:
            now: The present, in monotonic seconds.
            ample: Whether the pool has room for everybody.
        """
        return ample or now >= self._tries_at

    def tried(self, size: int, now: float) -> None:
        """One has had one, of a pool of so many addresses that has no room for everybody."""
        self._tries_at = now + CLAIM_TIMEOUT_LEAST / (TRIALS * size)

    def spurns(self, group: Group, client: Requestor | None, now: float) -> bool:
        """As `waits_in_vain`; it is counted, and nobody is spurned where that is only audited."""
        return self.waits_in_vain(group, client, now) and self._refuse(Reason.POLICY) is not None

    def waits_in_vain(self, group: Group, client: Requestor | None, now: float) -> bool:
        """Whether waiting is in vain, for who is restrained, or offers less than even an empty pool demands.

        Args:
            group: Who asks; its standing is what it is found to be.
            client: For whom, if that is known and believed.
            now: The present, in monotonic seconds.
        """
        self._look(group, now)
        return self._is_in_vain(max(self._offers(group, client, now)), group, client)

    def _is_in_vain(self, offered: float, group: Group, client: Requestor | None) -> bool:
        return offered < self._least or (client is None and self.restrains(group))

    def judge(self, kind: Kind, load: float, group: Group, client: Requestor | None, now: float) -> Judgement:
        """What `refuses` would say, and why; nothing is changed."""
        mine = _present(group, now)
        theirs = None if client is None else _present(client, now)
        best = self._best.after({group: mine} if client is None else {group: mine, client: theirs or 0.0}, now)
        offers = _shares(mine, theirs, best)
        bands = self._tried(kind, load * 100.0, offers)
        tried = tuple((band.said, offered, demanded) for band, offered, demanded in bands)
        allocates = not self._bands or any(offered >= demanded for _, offered, demanded in tried)
        most, reason = max(offers), None if allocates else Reason.POLICY
        in_vain = self._is_in_vain(most, group, client)
        return Judgement(kind, mine, theirs, best, tried, most, in_vain, reason, self._audit)


class _Band:
    """A band, so that it is quick to look at."""

    __slots__ = ("demands", "end", "high", "low", "math", "number", "said")

    def __init__(self, number: int, band: LoadBand) -> None:
        self.number = number
        self.said = band
        self.low = band.threshold_min
        self.high = band.threshold_max
        self.end = math.nextafter(band.threshold_max, math.inf)
        self.demands = (band.fqdn_new, band.sfqdn_new, band.sfqdn_reuse)
        self.math = (Combination.MAX, Combination.MIN, Combination.AVG).index(band.math)


def _demanded(bands: Sequence[_Band], low: float) -> tuple[tuple[tuple[float, int], ...], ...]:
    """What is demanded for each `Kind`, and by which band, from this load (in percent) to the next edge.

    An edge is where a band begins, or the first load above one.
    """
    there = [band for band in bands if band.low <= low < band.end]
    return tuple(tuple((band.demands[kind], band.number) for band in there) for kind in Kind)


def _present(rated: Rated, now: float) -> float:
    """What `refuses` would take somebody's reputation to be."""
    return rated.standing if now < rated.fresh_until else rated.reputation.value(now)


def _shares(mine: float, theirs: float | None, best: float) -> tuple[float, float, float]:
    """What is offered, in proportion to the best: the better one, the worse one, and the mean."""
    if best <= 0.0:
        return 1.0, 1.0, 1.0
    one = mine / best
    if theirs is None:
        return one, one, one
    other = theirs / best
    return (one, other, (one + other) / 2) if one >= other else (other, one, (one + other) / 2)
