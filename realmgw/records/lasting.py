"""Flows that last: how much they had when it was looked at last, and which of them have ended unheard. Pure.

Conntrack tells of a flow when it ends. One that lasts is looked at now and then, so that what it has carried by then is
counted by then. And when ends were lost, what conntrack has no more is known to have ended.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from realmgw.datapath.netlink.accounted import Ended
from realmgw.records.known import Flow, Known
from realmgw.records.record import Record, record

MOST = 200_000
"""So many flows are remembered; what others have carried is counted when they end."""
JUST_ENDED = 1 << 16
"""So many that have ended while it is looked are remembered, the latest. The kernel has told of some hundred more than
were looked at: what two messages of a dump have room for."""

Counted = tuple[Record, Record | None]
"""What is told of a flow, and what was before."""


class Lasting:
    """What is known of flows that were looked at.

    Args:
        known: Whose they are, and their names.
    """

    def __init__(self, known: Known) -> None:
        self._known = known
        self._flows: dict[Flow, Record] = {}
        self._seen = set[Flow]()
        self._named: list[Flow] = []
        self._is_doubtful = False
        self._gone: list[Flow] | None = None
        self._just_ended: OrderedDict[tuple[Flow, int | None], None] | None = None  # None: it is not looked

    def __len__(self) -> int:
        return len(self._flows)

    def begin(self, *, doubtful: bool) -> None:
        """All flows are about to be looked at.

        Args:
            doubtful: Ends were lost: what is not there has ended.
        """
        self._seen, self._is_doubtful, self._gone, self._just_ended = set(), doubtful, None, OrderedDict()
        self._named = list(self._known.opened) if doubtful else []

    def look(self, flow: Ended, now: float, oldest: float) -> Iterator[Counted]:
        """One that is there, unless it has ended since that was told; it is told of if it is old enough.

        Args:
            flow: It.
            now: The present, in seconds since 1970.
            oldest: Those that began later are too young, likewise.
        """
        key = flow[:5]
        if self._just_ended and (key, flow.began) in self._just_ended:
            return
        before = self._flows.get(key)
        if before is not None or key in self._known.opened:
            self._seen.add(key)
        made = record(flow, self._known, now, "lasts")
        if made is None or (made.start is not None and made.start > oldest):
            return
        if before is not None and before.start != made.start:  # another one: the end of that was lost
            yield self._lost(key, now)
            before = None
        if before is not None or len(self._flows) < MOST:
            self._flows[key] = made
            yield made, before

    def over(self) -> None:
        """All were looked at; of what is not there an end may still come that was told in time."""
        self._just_ended = None
        if self._is_doubtful:
            self._gone = [key for key in (*self._flows, *self._named) if key not in self._seen]

    def settle(self, now: float) -> Iterator[Counted]:
        """All ends that were told by then were taken: those that are still not there have ended unheard."""
        gone, self._gone = self._gone, None
        for key in gone or ():
            if key in self._flows:
                yield self._lost(key, now)
            self._known.opened.pop(key, None)

    def stop(self) -> bool:
        """Not all could be looked at; returns whether some of what was not may have ended unheard."""
        self._just_ended = None
        return self._is_doubtful

    def ended(self, end: Ended) -> Record | None:
        """What was told of a flow that has ended; nothing more will be."""
        key = end[:5]
        if self._just_ended is not None:
            self._just_ended[key, end.began] = None
            if len(self._just_ended) > JUST_ENDED:
                self._just_ended.popitem(last=False)
        return self._flows.pop(key, None)

    def _lost(self, key: Flow, now: float) -> Counted:
        before = self._flows.pop(key)
        return before._replace(event="gone", at=round(now, 3)), before
