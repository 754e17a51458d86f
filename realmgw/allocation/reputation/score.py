"""Reputation: what outcomes of the past say about whoever asks next, from 0 to 1.

Outcomes are counted by periods. Of one period with `ok` claims that were used, `nok` that nobody used and `neutral`
that say nothing, `total` being their sum and five, which stand for what is not known yet::

    0.5 * ok / total  -  0.5 * total ** 0.15 * nok / total  +  initial        within 0 and 1

is the reputation; that of whom they are counted for is a quarter of the previous period's and three quarters of the
present one's. When a period ends, the next one begins with `initial` a third nearer to `INITIAL` than the reputation
was: nothing is held against anybody for ever, and nobody lives on his good name for long.

Nothing has a timer. The periods are the same for all (multiples of `PERIOD`), and those that have passed are made up
for when the reputation is next asked for, or an outcome is counted in another period than the last one.
"""

from __future__ import annotations

import math
from collections import OrderedDict

import attrs

PERIOD = 20.0  # seconds
INITIAL = 0.45
"""The reputation of whom nobody knows; all others drift towards it."""
WEIGHT_PREVIOUS = 0.25
WEIGHT_CURRENT = 0.75
DRIFT = 1 / 3
"""The share of the way to `INITIAL` that a reputation goes when a period ends."""
UNKNOWN = 5
"""So many neutral outcomes does every period begin with."""
WEIGHT_OK = 0.5
WEIGHT_NOK = 0.5
EXPONENT_NOK = 0.15
"""The more outcomes, the heavier weighs the share of those that are bad."""
FRESH = 0.1  # seconds
"""A reputation that was looked at is good for so long: outcomes come seconds after the questions, anyway."""
LONG = 64
"""After so many periods without an outcome nothing is left of a reputation that a float could show."""


@attrs.define(eq=False)
class Reputation:
    """The outcomes of somebody's claims. Compared by identity.

    Whoever counts an outcome when `until` is over calls `advance` before, so that it counts in its own period, and
    `Rated.counted` afterwards, so that it is kept.
    """

    initial: float = INITIAL
    """What the present period began with, 0 to 1."""
    previous: float = attrs.field(default=attrs.Factory(lambda self: self.initial, takes_self=True))
    """The previous period's reputation, 0 to 1."""
    ok: float = 0
    """Claims of this period that were used."""
    nok: float = 0
    """Claims of this period that nobody used, each by what it cost others, 0 to 1."""
    neutral: float = 0
    """Claims of this period whose outcome says nothing, likewise."""
    until: float = -math.inf
    """From then on `Rated.counted` must be told of outcomes; monotonic seconds."""
    past: tuple[float, float, float] = (0, 0, 0)
    """`ok`, `nok` and `neutral` of all periods before."""
    _period: int | None = None

    def value(self, now: float) -> float:
        """The reputation at present, 0 to 1."""
        self.advance(now)
        return WEIGHT_PREVIOUS * self.previous + WEIGHT_CURRENT * self.current()

    def current(self) -> float:
        """The reputation of the period that was last looked at alone, 0 to 1."""
        ok, nok = self.ok, self.nok
        total = UNKNOWN + ok + nok + self.neutral
        value = self.initial
        if ok:
            value += WEIGHT_OK * ok / total
        if nok:
            value -= WEIGHT_NOK * total**EXPONENT_NOK * nok / total
        return min(1.0, max(0.0, value))

    def advance(self, now: float) -> None:
        """End the periods that have passed. O(1): of many without outcomes, only `LONG` make a difference."""
        period = int(now // PERIOD)
        if self._period is None:
            self._period = period
        elif period > self._period:
            self._end(period - self._period)
            self._period = period

    def _end(self, periods: int) -> None:
        """End the present period, and let so many pass in all."""
        if periods > LONG:
            self.initial = self.previous = INITIAL
        else:
            current = self.current()
            self._begin(current)
            for _ in range(periods - 1):
                self._begin(self.initial)
        if self.ok or self.nok or self.neutral:
            ok, nok, neutral = self.past
            self.past = ok + self.ok, nok + self.nok, neutral + self.neutral
            self.ok = self.nok = self.neutral = 0

    def _begin(self, ended: float) -> None:
        """Begin a period after one that ended with this reputation."""
        reputation = WEIGHT_PREVIOUS * self.previous + WEIGHT_CURRENT * ended
        self.previous = ended
        self.initial = reputation + (INITIAL - reputation) * DRIFT

    def set(self, value: float, *, now: float) -> None:
        """From now on it is this, 0 to 1, and what was before counts no more; it changes by what comes."""
        self.begin(value, value, now=now)

    def begin(self, initial: float, previous: float, *, now: float) -> None:
        """Have the period of `now` begin with these, each 0 to 1, whatever was before."""
        self._period = int(now // PERIOD)
        self.initial, self.previous = initial, previous
        self.ok = self.nok = self.neutral = 0
        self.until = -math.inf

    @property
    def weight(self) -> float:
        """How much is known: all outcomes ever counted, and those that stand for what is not known."""
        return UNKNOWN + self.ok + self.nok + self.neutral + sum(self.past)

    def absorb(self, other: Reputation, *, now: float) -> None:
        """Count another one's outcomes as well; what the period began with is the mean, by what is known of each."""
        self.advance(now)
        other.advance(now)
        mine, others = self.weight, other.weight
        whole = mine + others
        self.initial = min(1.0, (self.initial * mine + other.initial * others) / whole)
        self.previous = min(1.0, (self.previous * mine + other.previous * others) / whole)
        self.ok += other.ok
        self.nok += other.nok
        self.neutral += other.neutral
        (ok, nok, neutral), theirs = self.past, other.past
        self.past = ok + theirs[0], nok + theirs[1], neutral + theirs[2]
        self.until = -math.inf

    @property
    def is_notable(self) -> bool:
        """Whether it says anything. Who never had a client may be one of a million that do not exist."""
        return bool(self.ok or self.past[0]) or self.initial != INITIAL


class Journal:
    """Those whose outcomes changed since they were last written down, in the order of their first change.

    Args:
        limit: How many are remembered; the changes of others wait for their next outcome.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._changed: OrderedDict[Rated, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._changed)

    def note(self, rated: Rated) -> bool:
        """Something changed; False when there is no room to remember it."""
        if len(self._changed) >= self.limit:
            return rated in self._changed
        self._changed[rated] = None
        return True

    def forget(self, rated: Rated) -> None:
        """There is nothing to be written of it."""
        self._changed.pop(rated, None)

    def take(self, most: int) -> list[Rated]:
        """Up to so many whose changes are to be written; each is noted again at its next outcome."""
        taken = [self._changed.popitem(last=False)[0] for _ in range(min(most, len(self._changed)))]
        for rated in taken:
            rated.reputation.until = -math.inf
        return taken


@attrs.define(eq=False)
class Rated:
    """Whoever has a reputation. Compared by identity."""

    reputation: Reputation = attrs.field(factory=Reputation, kw_only=True)
    """What became of the claims."""
    journal: Journal | None = attrs.field(default=None, kw_only=True)
    """Where changes are noted, if they are."""
    standing: float = attrs.field(default=INITIAL, kw_only=True)
    """The reputation as it was when it was last looked at, 0 to 1."""
    fresh_until: float = attrs.field(default=-math.inf, kw_only=True)
    """From then on it has to be looked at again, where it matters; monotonic seconds."""

    @property
    def is_notable(self) -> bool:
        """Whether there is anything to remember."""
        return self.reputation.is_notable

    def count(self, now: float, *, ok: float = 0.0, nok: float = 0.0, neutral: float = 0.0) -> None:
        """Count an outcome, or so much of one, each 0 to 1."""
        reputation = self.reputation
        is_new = now >= reputation.until
        if is_new:
            reputation.advance(now)
        reputation.ok += ok
        reputation.nok += nok
        reputation.neutral += neutral
        if is_new:
            self.counted(now)

    def counted(self, now: float) -> None:
        """An outcome was counted, the first one of a period or since the last time that it was written down."""
        if self.changed():
            self.reputation.until = (now // PERIOD + 1) * PERIOD

    def changed(self) -> bool:
        """Something changed that is to be kept; False if there is nothing to keep, or no room in the journal."""
        return self.journal is None or (self.is_notable and self.journal.note(self))

    def weigh(self, now: float) -> float:
        """The reputation at present, which is the standing from now on."""
        self.fresh_until = now + FRESH
        self.standing = value = self.reputation.value(now)
        return value

    def compare(self, best: float) -> None:
        """The best reputation known is this one: what follows from that for whoever has this standing."""
