"""How many values lie up to each of some bounds: plain integers. Pure."""

from __future__ import annotations

from bisect import bisect_left

import attrs

from realmgw.config.quoting import trace_id

DELAY_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)  # seconds
"""Of how late something is, or how long others take."""
SPENT_BOUNDS = (0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05)  # seconds
"""Of how long we work on something."""
EACH = 8
"""What is done for every query or packet is timed once in so many times: a clock has its price, too."""
SHARE_BOUNDS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
"""Of something from 0 to 1."""


@attrs.define
class Distribution:
    """Counts values by the bounds that they lie between; a value at a bound counts there (as Prometheus has it)."""

    _bounds: tuple[float, ...]
    """The upper ones, in order; what is above the last one counts besides."""
    _counts: list[int] = attrs.field(init=False)
    _sum: float = attrs.field(init=False, default=0.0)
    _latest: dict[int, tuple[float, int, float]] = attrs.field(init=False, factory=dict, eq=False)
    """By the place of a count, the latest value there that has a trace id, with that, and when (monotonic seconds)."""

    def __attrs_post_init__(self) -> None:
        self._counts = [0] * (len(self._bounds) + 1)

    def add(self, value: float) -> None:
        """Count a value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def come(self, value: float, number: int, now: float) -> None:
        """Count a value with its trace id (0: none): it is the example of its bucket from now on."""
        place = bisect_left(self._bounds, value)
        self._counts[place] += 1
        self._sum += value
        self._latest[place] = value, number, now

    def share(self, value: float, among: int) -> None:
        """Count a value that so many have together (at least one), for each of them its part."""
        self._counts[bisect_left(self._bounds, value / among)] += among
        self._sum += value

    def absorb(self, other: Distribution) -> None:
        """Count what another one, of the same bounds, has counted."""
        self._counts = [mine + theirs for mine, theirs in zip(self._counts, other._counts, strict=True)]
        self._sum += other._sum

    def counts(self) -> dict[str, object]:
        """As a tree has it; with `exemplars` if there are: for each count a value, its trace id, and when, or None."""
        found = {"bounds": list(self._bounds), "counts": list(self._counts), "sum": round(self._sum, 6)}
        if not self._latest:
            return found
        latest = map(self._latest.get, range(len(self._counts)))
        return {**found, "exemplars": [each and (round(each[0], 6), trace_id(each[1]), each[2]) for each in latest]}
