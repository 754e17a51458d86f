"""The alerts that came last, with what was done about each and what was not: bounded, one entry for what is alike."""

from __future__ import annotations

import enum
from collections import OrderedDict
from collections.abc import Iterator

import attrs

from realmgw.alerts.eve import Alert, Flow
from realmgw.datapath.netlink.tracked import Tracked

MOST = 1000
"""So many are remembered."""
SOON = 1.0  # seconds
"""What is alike and comes within so long was looked at: it is only counted."""


class Way(enum.Enum):
    """From where to where a flow was begun, as it is shown."""

    IN = "in"
    """From outside, to a host."""
    OUT = "out"
    """By a host, or by the gateway itself."""
    GATEWAY = "gateway"
    """From outside, to the gateway itself."""


@attrs.frozen
class Whose:
    """Of which flow an alert is."""

    tracked: Tracked
    """It."""
    host: str | None
    """The name of its host, if a subscriber has it."""
    way: Way
    """Who has begun it with whom."""
    is_proven: bool
    """A handshake came to its end."""


@attrs.define
class Told:
    """An alert, and what became of it."""

    alert: Alert
    """It, as it came last."""
    rule: int | None
    """The number of the rule that it falls under; None: there is none."""
    looked: float
    """When it was looked at last, in monotonic seconds."""
    at: float
    """When it came last, in seconds since 1970."""
    times: int = 1
    """How often it came."""
    whose: Whose | None = None
    """Whose flow it is; None: conntrack knows none."""
    done: tuple[str, ...] = ()
    """What was done, in words; or would have been."""
    not_done: tuple[str, ...] = ()
    """What was not, and why."""


class Recent:
    """What came last."""

    def __init__(self) -> None:
        self._told: OrderedDict[tuple[int, Flow], Told] = OrderedDict()

    def __iter__(self) -> Iterator[Told]:
        """The latest first."""
        return reversed(self._told.values())

    def __len__(self) -> int:
        return len(self._told)

    def is_repeated(self, alert: Alert, now: float, at: float) -> bool:
        """Whether the same was looked at just before; then it is counted.

        Args:
            alert: What comes now.
            now: The present, in monotonic seconds.
            at: The same, in seconds since 1970.
        """
        known = self._told.get((alert.signature, alert.flow))
        if known is None or now >= known.looked + SOON:
            return False
        known.times, known.at = known.times + 1, at
        return True

    def add(self, told: Told) -> None:
        """One more was looked at."""
        key = told.alert.signature, told.alert.flow
        before = self._told.pop(key, None)
        if before is not None:
            told.times += before.times
        self._told[key] = told
        if len(self._told) > MOST:
            self._told.popitem(last=False)
