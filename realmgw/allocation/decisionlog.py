"""What was decided lately, for who asks afterwards: a bounded log in memory.

Each answer with an address has a number, the trace id: first packets that come for it are written down under it. One
tuple of plain values is written for each decision; it is put into words when somebody asks (`realmgw.control.decided`).
What is let in is written as octets (`realmgw.allocation.admittedlog`): the flows are most of the log.
Refusals have logs of their own, so that a flood of them pushes out nothing else.
"""

from __future__ import annotations

import enum
from bisect import bisect_left
from collections import deque
from collections.abc import Hashable
from itertools import islice
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from realmgw.allocation.admittedlog import AdmittedLog, Entries

if TYPE_CHECKING:
    from realmgw.allocation.flow import Flow
    from realmgw.allocation.reputation.group import Group
    from realmgw.allocation.reputation.requestors import Requestor
    from realmgw.config.settings import Allocation
    from realmgw.errors import Reason
    from realmgw.subscribers.model import Service


class Way(enum.IntEnum):
    """By what right the sender of a first packet was let in."""

    CLAIM = 1
    """He was expected: it used up a claim."""
    SPARE = 2
    """A used claim lets in further ones."""
    RETURN = 3
    """He was let in there before."""
    RESUMED = 4
    """It is a flow that conntrack had forgotten."""


CLAIM, SPARE, RETURN, RESUMED = map(int, Way)
"""The same as plain numbers, as they are written down: a first packet does not look into the enumeration."""


class End(enum.IntEnum):
    """How a claim has ended that nobody used."""

    LAPSED = 1
    """Nobody came in time, or its place was needed."""
    EXCUSED = 2
    """Likewise, while the gateway was out of order: it is held against nobody."""
    SETTLED = 3
    """Its client has come otherwise: by the other family, or by another claim."""
    VOIDED = 4
    """What it was made for is there no more."""


class Answered(NamedTuple):
    """A query was answered with an address."""

    at: float
    """When, in monotonic seconds."""
    number: int
    """The trace id."""
    name: str
    """The service that was asked for."""
    resolver: Hashable
    """Who asked: the address by which the group is known."""
    client: Hashable
    """For whom, where that was told and is believed; None: it was not."""
    told: bytes
    """The address that was the answer, packed."""


class Admitted(NamedTuple):
    """A first packet was let in."""

    at: float
    """When, in monotonic seconds."""
    number: int
    """The trace id of the answer that let it in; 0: it is not known, or there is none."""
    name: str
    """The service, or the host where that is all that is known."""
    flow: Flow
    """The packet's."""
    way: int
    """By what right; a `Way`, but a plain number, as which it can be told other processes."""


class Unanswered(NamedTuple):
    """A query was refused an address."""

    at: float
    """When, in monotonic seconds."""
    name: str
    """The service that was asked for."""
    resolver: Hashable
    """Who asked."""
    client: Hashable
    """For whom, where that was told and is believed; None: it was not."""
    reason: Reason
    """Why."""


class Refused(NamedTuple):
    """A first packet was refused."""

    at: float
    """When, in monotonic seconds."""
    flow: Flow
    """The packet's."""
    reason: int
    """Why; a `Reason`."""


class Ended(NamedTuple):
    """A claim has ended that nobody used."""

    at: float
    """When, in monotonic seconds."""
    number: int
    """The trace id of its answer."""
    name: str
    """The service."""
    how: End
    """How."""


class Forbidden(NamedTuple):
    """A packet was dropped or refused by a rule of the kernel's."""

    at: float
    """When, in monotonic seconds."""
    flow: Flow
    """The packet's, as the rule has met it."""
    ruled: Any
    """The rule; see `realmgw.control.refusals.Ruled`."""


class Withheld(NamedTuple):
    """A name that is on a list was asked for, and is not to be had."""

    at: float
    """When, in monotonic seconds."""
    name: bytes
    """It, in wire form."""
    resolver: str
    """Who asked: the address."""
    listed: str
    """What the list is called."""


_Log = list[Any]
Logs = tuple[_Log, Entries, _Log, _Log, _Log, _Log, _Log]
"""Fields of `Answered`, `Admitted`, `Unanswered`, `Refused`, `Ended`, `Forbidden` and `Withheld`, the oldest first."""


class DecisionLog:
    """The decisions of late.

    Args:
        settings: How many of each kind are kept.

    Attributes:
        number: The last trace id that was given; whoever sets it before the first one makes them unique.
        admitted: What is let in; it keeps more than others do where that is wanted, see `keep_admitted`.
        admit: A first packet is let in: called with the fields of `Admitted`.
        most: So many decisions of each kind are kept.
    """

    def __init__(self, settings: Allocation) -> None:
        self.number = 0
        self.most = self._least = 0
        self.admitted = AdmittedLog()
        self.admit = self.admitted.add
        nothing = (deque[Any](maxlen=0) for _ in range(6))
        self._logs: tuple[deque[Any], ...] = tuple(nothing)
        self._name()
        self.configure(settings)

    def configure(self, settings: Allocation) -> None:
        """From now on, keep so many of each kind; the latest ones of those that there are stay."""
        if settings.decisions != self.most:
            self.most = settings.decisions
            self._name()

    def keep_admitted(self, least: int) -> None:
        """From now on, so many of what is let in are kept at least, in `admitted`; here, no more are told."""
        self._least = least
        self._name()

    def _name(self) -> None:
        self.admitted.resize(max(self.most, self._least))
        self._logs = tuple(deque[Any](each, self.most) for each in self._logs)
        self._answered, self._unanswered, self._refused, self._ended, self._forbidden, self._withheld = self._logs

    def logs(self, since: float | None = None) -> Logs:
        """What is kept, or was decided since a time. O(told), but what was let in is made as it is gone through."""
        counts = [len(each) if since is None else _count(each, since) for each in self._logs]
        told = self.admitted.latest(self.most if since is None else min(self.most, self.admitted.count(since)))
        return self._told(told, counts)

    def _told(self, admitted: Entries, counts: list[int]) -> Logs:
        """So many of each other kind, beside what was let in."""
        answered, unanswered, refused, ended, forbidden, withheld = map(_latest, self._logs, counts)
        return answered, admitted, unanswered, refused, ended, forbidden, withheld

    def news(self, since: float, most: int) -> tuple[Logs, int | None]:
        """What was decided since a time, as `logs`, but so many of each kind at most, the latest.

        Returns:
            It, and how many decisions there were in all; None: more than are kept. O(decisions told).
        """
        let_in = min(self.admitted.count(since), self.most)
        counts = [_count(each, since) for each in self._logs]
        is_known = all(count < self.most or not count for count in (let_in, *counts))
        latest = self._told(self.admitted.latest(min(let_in, most)), [min(count, most) for count in counts])
        return latest, sum(counts) + let_in if is_known else None

    def oldest(self, now: float) -> float:
        """When the oldest of what is kept was decided; the present, if there is nothing."""
        let_in = (each[0] for each in islice(self.admitted.latest(self.most), 1))
        return min((*(each[0][0] for each in self._logs if each), *let_in), default=now)

    def answer(self, now: float, service: Service, group: Group, client: Requestor | None, address: bytes) -> int:
        """A query is answered with an address; returns the trace id."""
        self.number = number = self.number + 1
        if self.most:
            who = None if client is None else client.key
            self._answered.append((now, number, service.name, group.resolver, who, address))
        return number

    def refuse_answer(self, now: float, name: str, resolver: Hashable, client: Requestor | None, why: Reason) -> None:
        """A query is refused an address."""
        self._unanswered.append((now, name, resolver, None if client is None else client.key, why))

    def refuse(self, now: float, flow: Flow, reason: int) -> None:
        """A first packet is refused."""
        if self.most:
            self._refused.append((now, flow, reason))

    def end(self, now: float, number: int, name: str, how: End) -> None:
        """A claim has ended that nobody used; one without a trace id is none that was answered with."""
        if self.most and number:
            self._ended.append((now, number, name, how))

    def forbid(self, now: float, flow: Flow, ruled: Any) -> None:
        """A packet was dropped or refused by a rule; see `Forbidden`."""
        if self.most:
            self._forbidden.append((now, flow, ruled))

    def withhold(self, now: float, name: bytes, resolver: str, listed: str) -> None:
        """A name on a list is asked for; see `Withheld`."""
        if self.most:
            self._withheld.append((now, name, resolver, listed))


def _count(log: deque[Any], since: float) -> int:
    """How many entries are not older than a time; they are in the order of time."""
    return len(log) - bisect_left(log, since, key=itemgetter(0))


def _latest(log: deque[Any], count: int) -> list[Any]:
    """So many of the latest entries, the oldest first."""
    return list(islice(reversed(log), count))[::-1]
