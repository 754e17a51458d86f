"""What is counted of the update face, and how much of it one sender or one key may have in a second."""

from __future__ import annotations

import enum

from realmgw.dns.codec.wire import Rcode

MOST = 4096
"""So many senders and keys are counted within a second; others have to wait for the next one."""


class Event(enum.IntEnum):
    """Places in the list of counters, beside one for each RCODE that updates were answered with."""

    UPDATES = 0
    """Updates that were signed by somebody we know, or need not be signed."""
    QUERIES = 1
    """Queries."""
    UNSIGNED = 2
    """Updates refused because they are not signed."""
    BAD_KEY = 3
    """Messages signed with a key that there is not."""
    BAD_SIGNATURE = 4
    """Messages with a signature that is not right."""
    BAD_TIME = 5
    """Messages signed at another time than ours: a clock is wrong, or it took them minutes to come."""
    REPLAYED = 6
    """Updates signed before the gateway started, or before what it remembers: they may have been done already."""
    REPEATED = 7
    """Updates that came again, and were answered as before."""
    JOINED = 8
    """Updates that came again while they were under way."""
    LIMITED = 9
    """Messages beyond what one sender or one key may have in a second, or of one update that is under way."""
    FULL = 10
    """Updates refused because too many were under way."""
    LATE = 11
    """Updates that did not come to their end in time."""
    FAILED = 12
    """Updates that could not be done, through no fault of who sent them."""
    UNREADABLE = 13
    """Messages that are none, and get no answer."""
    RECORDS_ADDED = 14
    """Records that were registered, or refreshed."""
    RECORDS_REMOVED = 15
    """Records that were taken away."""
    FAULT = 16
    """Faults of our own."""


_NAMES = tuple(each.name.lower() for each in Event)


class Counts:
    """The counters of the update face."""

    def __init__(self) -> None:
        self.events = [0] * len(Event)
        """Indexed by `Event`."""
        self.answers = dict.fromkeys((rcode for rcode in Rcode if rcode <= Rcode.NOTZONE or rcode is Rcode.BADVERS), 0)
        """Answers to updates, by RCODE."""

    def counts(self) -> dict[str, object]:
        """All of them by name."""
        events = dict(zip(_NAMES, self.events, strict=True))
        return {**events, "answers": {rcode.name.lower(): count for rcode, count in self.answers.items()}}


class Spent:
    """How often somebody came within the present second."""

    def __init__(self) -> None:
        self._second = 0
        self._times: dict[str, int] = {}

    def take(self, who: str, most: int, now: float) -> bool:
        """Whether somebody may come once more.

        Args:
            who: An address, or a key.
            most: So often in a second.
            now: The present, in monotonic seconds.
        """
        if int(now) != self._second:
            self._second = int(now)
            self._times.clear()
        times = self._times.get(who, 0)
        if times >= most or (not times and len(self._times) >= MOST):
            return False
        self._times[who] = times + 1
        return True
