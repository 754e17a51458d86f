"""Resolver groups: who asks, and how soon the clients that he asks for come.

A group is made when a resolver is first seen and forgotten when so many others came since that it is no longer worth
its memory. What it has learned is how long after an answer the first packet arrives: the *guard* follows from that,
the age at which a claim of this group is dead by experience.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable

import attrs

GUARD_UNKNOWN = 0.5  # seconds
"""The guard of a group with fewer than `GUARD_OBSERVATIONS` arrivals."""
GUARD_OBSERVATIONS = 50
"""Arrivals from which on a group's own experience counts."""
EXPERIENCE = 500
"""Arrivals from which on only those count that leave no doubt about the claim that they belong to."""
GUARD_LEAST = 0.1  # seconds
"""No claim is dead sooner than this, however fast the clients are."""
STANDING_INITIAL = 0.45
"""The standing of a group of which nothing is known, within 0 and 1."""
STANDING_LOWEST_BAND = 0.05
"""Below this standing a group is refused even by an empty pool; its claims get the least guard."""

_BUCKETS = 56
_FIRST_EXPONENT = -11  # the first buckets begin at 2**-12 s, about a quarter of a millisecond
_NO_TIME = 2.0**-20  # seconds; 0.0 has an exponent that says nothing of its size
_DECAY_AT = 4096
_REFRESH = 32


class Delays:
    """A decayed histogram of delays with four buckets an octave, from 0.25 ms to 4 s.

    A quantile is answered with its bucket's upper edge, so it errs on the patient side, by a quarter at most.
    """

    __slots__ = ("_counts", "_round", "total")

    def __init__(self) -> None:
        self._counts = [0] * _BUCKETS
        self._round = 0  # a single count, as the longest delays are, survives every other halving
        self.total = 0

    def add(self, delay: float) -> None:
        """Count a delay, in seconds; what is out of range counts in the first or last bucket."""
        mantissa, exponent = math.frexp(delay or _NO_TIME)
        bucket = (exponent - _FIRST_EXPONENT) * 4 + int(mantissa * 8) - 4
        self._counts[0 if bucket < 0 else bucket if bucket < _BUCKETS else _BUCKETS - 1] += 1
        self.total += 1
        if self.total >= _DECAY_AT:
            self._round ^= 1
            self._counts = [(count + self._round) >> 1 for count in self._counts]
            self.total = sum(self._counts)

    def quantile(self, share: float) -> float:
        """The delay, in seconds, within which this share (0 to 1) of the arrivals came; 0.0 if there were none."""
        missing = share * self.total
        for bucket, count in enumerate(self._counts):
            missing -= count
            if missing <= 0 and count:
                octave, quarter = divmod(bucket, 4)
                return math.ldexp((quarter + 5) / 8, octave + _FIRST_EXPONENT)
        return 0.0


@attrs.define(eq=False)
class Group:
    """The resolvers that count as one, with what is known of them. Compared by identity."""

    resolver: Hashable
    """The address value that it was made for."""
    standing: float = STANDING_INITIAL
    """0 to 1; neutral until reputation is kept."""
    guard: float = GUARD_UNKNOWN
    """Age, in seconds, at which a claim of this group is dead by experience."""
    patience: float = GUARD_UNKNOWN / 2
    """99.9th percentile of the delay of its clients, in seconds; somewhat more while few were seen."""
    ok: int = 0
    """Claims that were used."""
    nok: int = 0
    """Claims that nobody used."""
    neutral: int = 0
    """Claims whose outcome could not be told apart from another group's."""
    delays: Delays | None = None
    """How soon its clients come; made when the first one does."""
    learns_at: float = 0.0
    """From when on, in monotonic seconds, it learns from arrivals again."""
    _refresh_at: int = 1

    @property
    def inexperienced(self) -> bool:
        """Whether so few of its clients were seen that a doubtful observation is better than none."""
        return self.delays is None or self.delays.total < EXPERIENCE

    def arrived(self, delay: float) -> None:
        """Learn that a client came `delay` seconds after the answer."""
        if self.delays is None:
            self.delays = Delays()
        self.delays.add(delay)
        self._refresh_at -= 1
        if not self._refresh_at:
            self._refresh(self.delays)

    def _refresh(self, delays: Delays) -> None:
        self._refresh_at = _REFRESH if delays.total >= GUARD_OBSERVATIONS else GUARD_OBSERVATIONS - delays.total
        if delays.total >= GUARD_OBSERVATIONS:
            slowest = delays.quantile(0.999)
            scarce = GUARD_OBSERVATIONS / delays.total  # of so few, hardly one was as slow as the slowest of a thousand
            self.patience = slowest * (1 + scarce)
            self.guard = max(GUARD_LEAST, slowest * 2 * (1 + scarce))
        if self.standing < STANDING_LOWEST_BAND:
            self.guard = GUARD_LEAST

    def regard(self, standing: float) -> None:
        """Set the group's standing (0 to 1), and with it how long its claims are waited for."""
        recovered = self.standing < STANDING_LOWEST_BAND <= standing
        self.standing = standing
        if recovered:
            self.guard = GUARD_UNKNOWN
        self._refresh(self.delays or Delays())


class Groups:
    """The groups of the resolvers seen lately, bounded in number (`limit`), each made by `make`.

    Two generations: a group that is asked for moves to the young one; when that is full the old one is forgotten. So at
    least the `limit / 2` groups that asked last are known, and a look-up costs no more than two of a dictionary.
    """

    def __init__(self, limit: int, make: Callable[[Hashable], Group] = Group) -> None:
        self._half = max(1, limit // 2)
        self._make = make
        self._young: dict[Hashable, Group] = {}
        self._old: dict[Hashable, Group] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def known(self, resolver: Hashable) -> Group:
        """The group of a resolver as it is, or would be; nothing is remembered."""
        return self._young.get(resolver) or self._old.get(resolver) or self._make(resolver)

    def regard(self, limit: int) -> None:
        """From now on, remember so many."""
        self._half = max(1, limit // 2)

    def of(self, resolver: Hashable) -> Group:
        """The group of a resolver (any hashable address value); made if it is not known."""
        group = self._young.get(resolver)
        return group if group is not None else self._recall(resolver)

    def _recall(self, resolver: Hashable) -> Group:
        group = self._old.pop(resolver, None) or self._make(resolver)
        if len(self._young) >= self._half:
            self._old, self._young = self._young, {}
        self._young[resolver] = group
        return group
