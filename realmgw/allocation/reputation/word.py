"""Whether a group is taken at its word: its unproven queries, which anybody can have sent, are believed to be its own.

Theory of operation. Whoever writes a resolver's address into his queries sends nobody after them. That does not harm
the resolver's good name, or whoever knows its address could; but too many of them, and the group has to show where it
is for every query, for a while. How many are too many follows from what its own queries are like, those that did show
it: of some resolvers one in three is followed by nobody, and then it is not strange when unproven ones are not either.
"""

from __future__ import annotations

import math

import attrs

CREDIT_FIRST = 20.0
"""A group begins with the credit of so many claims that were used, also after it was doubted."""
CREDIT_MOST = 40
"""So many claims that were used at most speak for a group that is taken at its word, in a small pool."""
CREDIT_SHARE = 4
"""In a larger one, one for each so many addresses: where thousands of clients come a second, some dozens of them may
stay away at once, and what is lost by believing that is a thirtieth of the pool."""
TOLERATED = 0.1
"""With more idle ones than this share of its unproven queries (0 to 1) no group is taken at its word,"""
LIKENESS, ALLOWANCE = 2.0, 0.2
"""unless it has more than that among those that showed where they come from: then so many times as many, and so many
more: how many they are is a matter of chance, and to challenge them is of little use,"""
TOLERATED_MOST = 0.9
"""and never with more than this share."""
DOUBT_LEAST, DOUBT_MOST = 4.0, 60.0  # seconds
"""For so long it is not, then: twice as long each time that follows soon, but no longer than until its own queries are
seen to be like that."""
_FIRST, _MOST = 8, 64
"""What is known of a share is the mean of so many outcomes: at first of as many that somebody came for, at last of
those that were counted lately."""


def credit_most(size: int) -> int:
    """How many used claims at most speak for a group, by the size of the pool in addresses."""
    return max(CREDIT_MOST, size // CREDIT_SHARE)


@attrs.define
class _Share:
    """How many of some queries nobody came for, of those lately, 0 to 1."""

    value: float = 0.0
    """So many."""
    is_nothing: bool = False
    """It is known that somebody always came."""
    _seen: int = _FIRST

    def add(self, outcome: float, weight: float = 1.0) -> None:
        """One more of them.

        Args:
            outcome: 1.0 if nobody came, else 0.0.
            weight: How much it counts, 0 to 1.
        """
        if self._seen < _MOST:
            self._seen += 1
        self.value += (outcome - self.value) * weight / self._seen
        self.is_nothing = not self.value and self._seen == _MOST


@attrs.define(eq=False)
class Word:
    """What a group's word is worth. Groups that have become one share it."""

    credit: float = CREDIT_FIRST
    """Used claims of unproven queries, against idle ones."""
    doubted_until: float = -math.inf
    """Until then, in monotonic seconds, the group is not taken at its word: too many came in its name for nothing."""
    own: _Share = attrs.field(factory=_Share)
    """What nobody came for of its queries that showed where they came from."""
    unproven: _Share = attrs.field(factory=_Share)
    """The same of its unproven ones."""
    _unproven_until: float = -math.inf
    """When a claim for an unproven query ended last, in monotonic seconds."""
    _doubted_for: float = DOUBT_LEAST
    """How long it was doubted last, in seconds."""

    @property
    def tolerated(self) -> float:
        """The share of its unproven queries that may be idle, 0 to 1."""
        return min(TOLERATED_MOST, LIKENESS * self.own.value + ALLOWANCE) if self.is_idle_itself else TOLERATED

    @property
    def is_idle_itself(self) -> bool:
        """Whether its own queries are like that: then unproven ones count against it, too."""
        return self.own.value > TOLERATED

    def kept(self, most: int, created: float, now: float, unproven: bool) -> None:
        """Somebody came.

        Args:
            most: How many such claims at most speak for the group.
            created: When the claim was made, in monotonic seconds.
            now: The present, likewise.
            unproven: For an unproven query.
        """
        if unproven:
            self._unproven_until = now
            if not self.unproven.is_nothing:
                self.unproven.add(0.0)
            if self.own.value > self.unproven.value:  # those are its own, and maybe others' besides
                self.own.add(0.0)
            if self.credit < most:
                self.credit += 1
        elif created > self._unproven_until:  # of no interest any more once its `own.is_nothing`
            self.own.add(0.0)

    def broken(self, cost: float, created: float, now: float, *, unproven: bool) -> None:
        """Nobody came, and it can be told that it was this group's client who did not.

        Args:
            cost: What that has cost others, 0 to 1.
            created: When the claim was made, in monotonic seconds.
            now: The present, likewise.
            unproven: For an unproven query.
        """
        if unproven:
            self._unproven_until = now
            self.unproven.add(1.0, cost)
            self.credit -= cost * (1 / self.tolerated - 1)
            if self.credit < 0:
                self.credit = CREDIT_FIRST
                self._doubt(now)
        elif created > self._unproven_until:  # else it may be idle since an unproven one had its client
            self.own.add(1.0, cost)
            if now < self.doubted_until and self.is_idle_itself:
                self._reconsider(now)

    def _reconsider(self, now: float) -> None:
        """Its own queries are idle as well: how idle the unproven ones were may have been chance."""
        self.unproven.add(self.own.value)
        if self.unproven.value <= self.tolerated:
            self.doubted_until = now

    def _doubt(self, now: float) -> None:
        soon = now - self.doubted_until < 2 * self._doubted_for
        longer = soon and not self.is_idle_itself
        self._doubted_for = min(DOUBT_MOST, 2 * self._doubted_for) if longer else DOUBT_LEAST
        self.doubted_until = now + self._doubted_for
