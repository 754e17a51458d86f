"""Who is refused again and again, so that the kernel can keep him to a rate before he reaches user space.

Refused packets are counted per source within one second: per address of IPv4, and per /64 of IPv6, since whoever has
one address of it has all of them. Counting is done in two generations of half a second: a source's count is that of the
running generation plus that of the one before. So a count never covers more than one second, a source that keeps to
`threshold` or more per second is found within 1.5 seconds, and forgetting costs nothing: the older generation is thrown
away as a whole.

Both generations are bounded. A flood from more sources than fit (spoofed ones) leaves later sources uncounted until the
next half second; that is counted in `overflow`, and such packets are refused all the same. Whom the kernel has already
is not known here, but where it is told: a source is handed over with each packet beyond the threshold.
"""

from __future__ import annotations

from collections.abc import Callable

from realmgw.config import settings

GENERATION = 0.5  # seconds
MAX_SOURCES = 16384
"""How many sources one generation may hold. A source above the threshold sends something every few milliseconds, so it
is among the first of a generation even when a flood of others fills it."""


_IPV6, _PREFIX = 16, 8  # octets
_REST = bytes(_IPV6 - _PREFIX)


class Unsolicited:
    """Unsolicited senders, whose packets nobody waits for: a bounded record of those that were refused.

    Args:
        admission: Threshold (packets within one second).
        push: Called with the packed address of a source that has reached the threshold, of IPv6 with the first one of
            its /64; must only enqueue, since it runs while a packet waits for its verdict. Returns whether the kernel
            is told of the source for this.
        max_sources: The bound.

    Attributes:
        pushed: How often a source was handed to the kernel.
        overflow: How many refused packets were not counted since the record was full.
    """

    def __init__(
        self, admission: settings.Admission, push: Callable[[bytes], bool], *, max_sources: int = MAX_SOURCES
    ) -> None:
        self._threshold = admission.stray_threshold
        self._push = push
        self._max_sources = max_sources
        self._current: dict[bytes, int] = {}
        self._previous: dict[bytes, int] = {}
        self._generation_end = float("-inf")
        self.pushed = 0
        self.overflow = 0

    def configure(self, admission: settings.Admission) -> None:
        """From now on, this is the threshold."""
        self._threshold = admission.stray_threshold

    def refused(self, source: bytes, *, now: float) -> None:
        """Count a refused packet of a source, and push the source when it reaches the threshold.

        Args:
            source: Its packed address.
            now: Monotonic seconds.
        """
        if len(source) == _IPV6:
            source = source[:_PREFIX] + _REST
        if now >= self._generation_end:
            self._begin_generation(now)
        current = self._current
        count = current.get(source, 0) + 1
        if count == 1 and len(current) >= self._max_sources:
            self.overflow += 1
            return
        current[source] = count
        if count + self._previous.get(source, 0) >= self._threshold:
            self.pushed += self._push(source)

    def _begin_generation(self, now: float) -> None:
        """Begin a generation; the running one is the previous one, unless it ended long ago."""
        recent = now < self._generation_end + GENERATION
        self._previous = self._current if recent else {}
        self._current = {}
        self._generation_end = self._generation_end + GENERATION if recent else now + GENERATION
