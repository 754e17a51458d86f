"""How many values lie up to each of some bounds: plain integers. Pure."""

from __future__ import annotations

from bisect import bisect_left

LAG_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)  # seconds
"""Of how late something is."""
SHARE_BOUNDS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
"""Of something from 0 to 1."""


class Distribution:
    """Counts values by the bounds that they lie between; a value at a bound counts there (as Prometheus has it).

    Args:
        bounds: The upper ones, in order; what is above the last one counts besides.
    """

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def counts(self) -> dict[str, object]:
        """As a tree has it."""
        return {"bounds": list(self._bounds), "counts": list(self._counts), "sum": round(self._sum, 6)}
