"""Whether TCP is to come twice (`realmgw.datapath.twice`): while more comes than can be looked at, and it is of use.

It begins when the queue has had no room for packets again and again, for `LASTING` seconds, and of those that were
looked at no more than `SPARED` can have been told by us to come: a crowd that asks for names would be the later for
nothing. From then on the queue itself shows nothing any more, since forged SYNs do not come to it; the kernel's
counters do: of those that came first, and those that came again. What came in one look and not in the next, a second
later, is what the queue is spared. It ends when that was less than half of what was looked at before, for `CALM`
seconds: then there is room for the rest.

Where it spares nothing (the flood is none of TCP's, or a crowd that means it, and all come again), it ends as soon as
that is seen, and is not tried again for a while: whoever comes by TCP would be the later for nothing.
"""

from __future__ import annotations

import math

LASTING = 0.2  # seconds
"""For so long packets have to be lost; what was looked at and answered is counted as long."""
GAP = 0.25  # seconds
"""When none was lost for so long, it was another time."""
CALM = 3.0  # seconds
"""For so long it was to be of no use before it ends."""
FUTILE = 30.0  # seconds
"""For so long it is not tried again where it has been of none at all."""
REFUSED = 1.0  # seconds
"""The same, where the kernel has refused."""
SPARED = 0.5
"""Of use is what spares the queue so much of what was looked at before."""
LEAST = 500.0  # per second
"""And no less than this: before, we may have been held up."""


class Overload:
    """Decides when TCP is to come twice.

    Attributes:
        asks: Whether it is.
        begun: How often it began.
        futile: How often that has been of no use.
    """

    def __init__(self) -> None:
        self.asks = False
        self.begun = self.futile = 0
        self._since = self._lost_at = self._not_before = -math.inf
        self._taken = self._answered = 0
        self._enough = LEAST
        self._looked_at = self._used_at = 0.0
        self._first = self._again = 0
        self._rate: float | None = None
        self._is_used = False

    def lost(self, taken: int, answered: int, *, now: float) -> bool:
        """The queue had no room for some packets.

        Args:
            taken: How many it has given, ever.
            answered: How many questions were answered with an address, ever.
            now: When that was seen, in monotonic seconds.

        Returns:
            Whether TCP is to come twice from now on.
        """
        if self.asks or now < self._not_before:
            return False
        if now - self._lost_at > GAP:
            self._since, self._taken, self._answered = now, taken, answered
        self._lost_at, lasted = now, now - self._since
        if lasted < LASTING:
            return False
        looked, told = taken - self._taken, answered - self._answered
        self._since, self._taken, self._answered = now, taken, answered
        if told > looked * (1 - SPARED):
            return False
        self._enough = max(LEAST, SPARED * looked / lasted)
        self.asks, self._is_used, self._rate = True, False, None
        self.begun += 1
        return True

    def began(self, first: int, again: int, *, now: float) -> None:
        """It stands; what the kernel had counted by then, as for `looked`."""
        self._first, self._again, self._looked_at, self._used_at = first, again, now, now

    def looked(self, first: int, again: int, *, now: float) -> bool:
        """The kernel's counters were looked at; to be called each second while `asks`.

        Args:
            first: SYNs that came first, and were dropped.
            again: SYNs that came again. Either may be less than before: the table was placed anew.
            now: Monotonic seconds.

        Returns:
            Whether it is to end.
        """
        elapsed = max(now - self._looked_at, 1e-3)
        came, returned = (count - before if count >= before else count
                          for count, before in ((first, self._first), (again, self._again)))  # fmt: skip
        spared = None if self._rate is None else self._rate - returned / elapsed
        self._first, self._again, self._looked_at, self._rate = first, again, now, came / elapsed
        if spared is not None and spared >= self._enough:
            self._used_at, self._is_used = now, True
        return spared is not None and (not self._is_used or now - self._used_at >= CALM)

    def ended(self, *, now: float) -> None:
        """It does not stand any more."""
        self.asks = False
        if not self._is_used:
            self.futile += 1
            self._not_before = now + FUTILE

    def refused(self, *, now: float) -> None:
        """The kernel has not taken it."""
        self.asks = False
        self._not_before = now + REFUSED
