"""What is counted, in one place: every part hands in its counters, and `status` and the log read all of them.

A counter that is not handed in reaches nobody; a test looks for such ones.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from realmgw.config.steps import Steps

Counts = Mapping[str, Any]
"""Numbers by name, or again numbers by name below it."""

RATES = {
    "queries": (("dns", "wan", "queries"), ("dns", "lan", "queries")),
    "lent": (("dns", "wan", "reserved"),),
    "admitted": (("admission", "admitted"),),
}
"""What is told by the second: names, and which counters they are the sum of."""
RATED = tuple(path for paths in RATES.values() for path in paths)
"""Those."""
SHOWN = ("dns", "admission", "allocation")
"""The parts that count what `realmgw top` and the dashboard show."""


class Counting:
    """The counters of all parts.

    Args:
        monotonic: The present, in seconds.
        kernel: What the kernel has counted; a Deferred, since it is asked in a thread. It does not fail.
    """

    def __init__(self, monotonic: Callable[[], float], kernel: Callable[[], Any]) -> None:
        self._monotonic = monotonic
        self._kernel = kernel
        self._parts: dict[str, Callable[[], Counts]] = {}
        self._began = monotonic()
        self._marks: deque[tuple[float, Mapping[str, int]]] = deque(maxlen=2)

    def add(self, part: str, counts: Callable[[], Counts]) -> None:
        """A part hands in its counters.

        Args:
            part: Its name.
            counts: Called whenever somebody wants to know; cheap.
        """
        self._parts[part] = counts

    def take(self, part: Any) -> None:
        """A service hands in its counters by its name, if it counts something."""
        if hasattr(part, "counts"):
            self.add(part.name, part.counts)

    def read(self) -> Any:
        """All counters by part; a Deferred."""
        from realmgw.config.steps import finish  # noqa: PLC0415 - the command knows this module, and not the settings

        return self._kernel().addCallback(lambda kernel: finish(self._reading(kernel)))

    def shown(self) -> Counts:
        """Those of `SHOWN`, at once: neither the other parts are asked nor the kernel."""
        return {part: self._parts[part]() for part in SHOWN if part in self._parts}

    def read_beside(self, drive: Callable[[Steps[Counts]], Any]) -> Any:
        """The same, a part at a time; a Deferred.

        Args:
            drive: Goes through steps; a Deferred of what they return.
        """
        return self._kernel().addCallback(lambda kernel: drive(self._reading(kernel)))

    def _reading(self, kernel: Counts) -> Steps[Counts]:
        found = {}
        for part, of in tuple(self._parts.items()):
            found[part] = of()
            yield None
        return {**found, **kernel}

    def since(self, counts: Counts) -> Period:
        """What has happened since this was called last, or since the beginning.

        Args:
            counts: What was read now.
        """
        period = self._period(flat(counts), -1)
        self._marks.append((self._monotonic(), period.numbers))
        return period

    def lately(self, counts: Counts) -> Period:
        """The totals since `since` was called the last but one time: with a call each minute, one to two minutes."""
        return self._period(picked(counts, RATED), 0)

    def _period(self, numbers: Mapping[str, int], mark: int) -> Period:
        then, before = self._marks[mark] if self._marks else (self._began, {})
        return Period(self._monotonic() - then, numbers, before)


@attrs.frozen
class Period:
    """What was counted within a time."""

    seconds: float
    """How long it was; 0: nothing is known."""
    numbers: Mapping[str, int]
    """At its end: counters by their names, with the part's and, between dots, what stands between."""
    before: Mapping[str, int]
    """The same at its beginning."""

    def more(self, *path: str) -> int:
        """By how much a counter has grown."""
        name = ".".join(path)
        return max(0, self.numbers.get(name, 0) - self.before.get(name, 0))

    def below(self, *path: str) -> dict[str, int]:
        """By how much those of a group have grown; what did not is left out."""
        head = ".".join(path) + "."
        found = {name.removeprefix(head): self.more(name) for name in self.numbers if name.startswith(head)}
        return {name: count for name, count in found.items() if count}

    def total(self, name: str) -> int:
        """By how much something of `RATES` has grown."""
        return sum(self.more(*path) for path in RATES[name])


def flat(counts: Counts, head: str = "") -> dict[str, int]:
    """Numbers by their whole names; what is no number is left out.

    >>> flat({"dns": {"wan": {"queries": 3}, "failing": False, "last": "applied"}})
    {'dns.wan.queries': 3}
    """
    found: dict[str, int] = {}
    for name, value in counts.items():
        if isinstance(value, Mapping):
            found.update(flat(value, f"{head}{name}."))
        elif isinstance(value, int) and not isinstance(value, bool):
            found[f"{head}{name}"] = value
    return found


def picked(counts: Counts, paths: Iterable[tuple[str, ...]]) -> dict[str, int]:
    """As `flat`, but only what stands at these places, or below them.

    >>> picked({"dns": {"wan": {"queries": 3, "late": 1}, "lan": {"queries": 5}}}, [("dns", "wan", "queries")])
    {'dns.wan.queries': 3}
    """
    found: dict[str, int] = {}
    for path in paths:
        value: Any = counts
        for name in path:
            value = value.get(name) if isinstance(value, Mapping) else None
        found.update(flat({path[-1]: value}, "".join(f"{name}." for name in path[:-1])))
    return found
