"""How soon the clients of a group come."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

BUCKETS = 56
"""Of the delays."""
_FIRST_EXPONENT = -11  # the first buckets begin at 2**-12 s, about a quarter of a millisecond
_NO_TIME = 2.0**-20  # seconds; 0.0 has an exponent that says nothing of its size
_DECAY_AT = 4096
LATELY, ENOUGH = 512, 32
"""So many are the latest, at most, and so many at least, or those tell nothing."""
FIRST = 50
"""None of the first ones is among those: clients who had to wait come all at once, while we are busy with telling them,
and how long they take then says nothing of others."""
SEVERAL = 3
"""If so many clients took longer than was seen, that is no accident."""
ALL = 8
"""If so many did one after the other, nobody is as quick any more, however few addresses they have."""
SHORTEST = math.ldexp(5 / 8, _FIRST_EXPONENT)
"""The upper edge of the first bucket, in seconds: of what is shorter it is only known that it is."""

APART, APART_LEAST, ALLOWANCE = 0.05, 0.01, 2
"""Who asks again so many seconds after he was told has had the answer. Clients come by where their resolver is, and so
no sooner than it can ask again: if they do sooner, it is so many times as long, but never less than that."""


class Delays:
    """A decayed histogram of delays with four buckets an octave, from 0.25 ms to 4 s.

    A quantile is answered with its bucket's upper edge, so it errs on the patient side, by a quarter at most; `within`
    tells where in the bucket it is likely to be.

    Attributes:
        apart: Who asks for the same so soon after he was told it, in seconds, may not have had the answer yet.
        total: How many there are.
        least: Hardly anybody comes sooner, in seconds, as `Group` sees it now and then; 0.0: that is not known.
        slowest: Hardly anybody comes later, likewise.
    """

    __slots__ = (
        "_counts",
        "_in_a_row",
        "_late",
        "_late_full",
        "_late_total",
        "_round",
        "_slower",
        "apart",
        "least",
        "slowest",
        "total",
    )

    def __init__(self) -> None:
        self._counts = [0] * BUCKETS
        self._late = [0] * BUCKETS
        self._late_total, self._late_full = 0, 2 * ENOUGH
        self._round = 0  # a single count, as the longest delays are, survives every other halving
        self._slower: dict[Hashable, float] = {}
        self._in_a_row = 0
        self.apart = APART
        self.total = 0
        self.least = self.slowest = 0.0

    def add(self, delay: float) -> None:
        """Count a delay, in seconds; what is out of range counts in the first or last bucket."""
        self._in_a_row = 0
        if ALLOWANCE * delay < self.apart > APART_LEAST:
            self.apart = max(APART_LEAST, ALLOWANCE * delay)
        mantissa, exponent = math.frexp(delay or _NO_TIME)
        bucket = (exponent - _FIRST_EXPONENT) * 4 + int(mantissa * 8) - 4
        bucket = 0 if bucket < 0 else bucket if bucket < BUCKETS else BUCKETS - 1
        self._counts[bucket] += 1
        self.total += 1
        if self.total > FIRST:
            self._late[bucket] += 1
            self._late_total += 1
            if self._late_total >= self._late_full:
                self._let_go_of_late_ones()
        if self.total >= _DECAY_AT:
            self._round ^= 1
            self._counts = [(count + self._round) >> 1 for count in self._counts]
            self.total = sum(self._counts)

    def _let_go_of_late_ones(self) -> None:
        """Have all count half, the sooner the fewer there were: what happened at the beginning is soon forgotten."""
        self._late_full = min(LATELY, 2 * self._late_full)
        self._late = [count >> 1 for count in self._late]
        self._late_total = sum(self._late)

    def add_slower(self, delay: float, who: Hashable) -> bool:
        """Count a delay that is longer than `slowest`, once others of `SEVERAL` in all took longer than that as well.

        Or `ALL` in a row did: then they are slower by now. One alone may be somebody else's client, who came by chance
        where one of these was expected.

        Args:
            delay: It, in seconds.
            who: Equal for the same one.

        Returns:
            Whether they are counted now.
        """
        self._slower[who] = delay
        self._in_a_row += 1
        if len(self._slower) < SEVERAL and self._in_a_row < ALL:
            return False
        for each in self._slower.values():
            self.add(each)
        self._slower.clear()
        return True

    def counts(self) -> tuple[int, ...]:
        """How many delays are in each bucket."""
        return tuple(self._counts)

    def absorb(self, counts: Sequence[int]) -> None:
        """Count as many delays in each bucket as another histogram did, of as many buckets."""
        self._counts = [mine + theirs for mine, theirs in zip(self._counts, counts, strict=True)]
        self.total = sum(self._counts)
        while self.total >= _DECAY_AT:
            self._counts = [count >> 1 for count in self._counts]
            self.total = sum(self._counts)

    def quantile(self, share: float) -> float:
        """The delay, in seconds, within which this share (0 to 1) of the arrivals came; 0.0 if there were none."""
        bucket, _ = _find(self._counts, share * self.total)
        return 0.0 if bucket is None else _edge(bucket, 1.0)

    def of_late(self, share: float) -> float:
        """As `quantile`, but only of the latest ones, if those are enough."""
        if self._late_total < ENOUGH:
            return self.quantile(share)
        bucket, _ = _find(self._late, share * self._late_total)
        return 0.0 if bucket is None else _edge(bucket, 1.0)

    def within(self, share: float) -> float:
        """As `quantile`, but where in its bucket that is, if those of a bucket came evenly: it errs on both sides."""
        bucket, part = _find(self._counts, share * self.total)
        return 0.0 if bucket is None else _edge(bucket, part)


def _find(counts: Sequence[int], left: float) -> tuple[int | None, float]:
    """The bucket up to which so many delays are, if there are any, and which part of its own, up to 1, that takes."""
    for bucket, count in enumerate(counts):
        if count and left <= count:
            return bucket, left / count
        left -= count
    return None, 0.0


def _edge(bucket: int, part: float) -> float:
    """The delay, in seconds, that is this part (0 to 1) of the way through a bucket."""
    octave, quarter = divmod(bucket, 4)
    return math.ldexp((quarter + 4 + part) / 8, octave + _FIRST_EXPONENT)
