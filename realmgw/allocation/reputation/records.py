"""What is remembered of those who ask, as texts: pure, so that it can be kept wherever there is room.

A record says what a reputation was when it was written. How long ago that was is told when it is read, and the periods
since are made up for then, as if the gateway had been idle. What was learned of delays comes along; claims do not.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

import attrs

from realmgw.allocation.reputation.caution import TRUST
from realmgw.allocation.reputation.delays import BUCKETS
from realmgw.allocation.reputation.disk import AgedRow, Row
from realmgw.allocation.reputation.group import Group
from realmgw.allocation.reputation.groups import MAX_NODES
from realmgw.allocation.reputation.habits import MOST, REMEMBERED
from realmgw.allocation.reputation.requestors import ClientPrefix, Requestor
from realmgw.allocation.reputation.score import Rated, Reputation
from realmgw.errors import MalformedError

if TYPE_CHECKING:
    from realmgw.allocation.reputation.askers import Askers

VERSION = 1
"""Of the texts."""
DIGITS = 3
"""Weights are kept with so many decimal places."""
_MOST = 2**63


@attrs.frozen
class ReputationRecord:
    """A reputation as it was. The fields are those of `Reputation`."""

    initial: float
    """What its period began with, 0 to 1."""
    previous: float
    """The previous period's, 0 to 1."""
    counts: tuple[float, float, float]
    """`ok`, `nok`, `neutral` of its period, each claim by its weight."""
    past: tuple[float, float, float]
    """The same of all periods before."""

    @classmethod
    def of(cls, reputation: Reputation, now: float) -> ReputationRecord:
        """A reputation as it is now, in monotonic seconds."""
        reputation.advance(now)
        ok, nok, neutral = (round(count, DIGITS) for count in (reputation.ok, reputation.nok, reputation.neutral))
        past_ok, past_nok, past_neutral = (round(count, DIGITS) for count in reputation.past)
        past = past_ok, past_nok, past_neutral
        return cls(reputation.initial, reputation.previous, (ok, nok, neutral), past)

    def restore(self, reputation: Reputation, written: float) -> None:
        """Make a reputation what it was when this was written, in monotonic seconds, maybe before the start."""
        reputation.begin(self.initial, self.previous, now=written)
        reputation.ok, reputation.nok, reputation.neutral = self.counts
        reputation.past = self.past


@attrs.frozen
class GroupRecord:
    """A resolver group as it was."""

    resolver: str
    """What it was made for: an address, or the first network of a preset group."""
    preset: bool
    """Whether it was the operator's."""
    others: tuple[str, ...]
    """The addresses that were merged with it."""
    reputation: ReputationRecord
    """What became of its claims."""
    passed: int
    """The challenges that it has passed, as bits."""
    proven_ago: float | None
    """How many seconds before it last showed that it is where it says; None: never."""
    asked: tuple[int, int]
    """Queries that showed where they came from, and those that did not, where they are counted."""
    delays: tuple[int, ...]
    """How many of its clients came how soon, by the buckets of `Delays`; empty: none."""
    keeps: tuple[float, ...] = ()
    """For how many seconds it is taken to keep answers, and after how many it asks again; empty: it does not."""
    known: tuple[float, float] = (0.0, 0.0)
    """For how many seconds more it is not looked at whether it keeps answers, since it was; and for how many it is
    known to tell what it keeps and to ask again each time. 0: neither."""

    @property
    def key(self) -> str:
        """Under what it is kept."""
        return group_key(self.resolver)


@attrs.frozen
class RequestorRecord:
    """A client's network as it was."""

    network: ClientPrefix
    """It."""
    reputation: ReputationRecord
    """What became of its claims."""

    @property
    def key(self) -> str:
        """Under what it is kept."""
        return f"client {self.network}"


Record = GroupRecord | RequestorRecord


def group_key(resolver: object) -> str:
    """Under what a group is kept that was made for a resolver."""
    return f"group {resolver}"


def record(rated: Rated, *, now: float) -> Record | None:
    """What there is to be remembered of somebody; None of a client that is known by an id only."""
    reputation = ReputationRecord.of(rated.reputation, now)
    if isinstance(rated, Requestor):
        return RequestorRecord(rated.network, reputation) if isinstance(rated.network, ClientPrefix) else None
    if not isinstance(rated, Group):
        return None
    return GroupRecord(
        str(rated.resolver),
        rated.preset is not None,
        tuple(map(str, rated.others)),
        reputation,
        rated.passed,
        None if rated.proven_at == -math.inf else max(0.0, now - rated.proven_at),
        (rated.trusted, rated.untrusted),
        () if rated.delays is None else rated.delays.counts(),
        (rated.habits.keeps, rated.habits.renews) if rated.habits.keeps_until > now else (),
        rated.habits.known_for(now),
    )


def write(written: Record) -> str:
    """A record as a text."""
    values = attrs.asdict(written, recurse=False)  # which takes half the time that recursion takes
    values["reputation"] = attrs.asdict(written.reputation, recurse=False)
    if isinstance(written, RequestorRecord):
        values["network"] = [written.network.packed.hex(), written.network.length]
    return json.dumps({"version": VERSION, **values}, separators=(",", ":"))


def read(text: str) -> Record:
    """The record that a text says.

    Raises:
        MalformedError: It says none.
    """
    try:
        said = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MalformedError("no JSON") from error
    said = _object(said)
    if said.get("version") != VERSION:
        raise MalformedError(f"version {said.get('version')!r}")
    try:
        return _requestor(said) if "network" in said else _group(said)
    except KeyError as error:
        raise MalformedError(f"without {error}") from error


def _requestor(said: dict[str, Any]) -> RequestorRecord:
    network = said["network"]
    try:
        packed, length = bytes.fromhex(network[0]), network[1]
        if len(packed) not in (4, 16) or type(length) is not int or not 0 <= length <= len(packed) * 8:
            raise MalformedError("no network")
    except (TypeError, ValueError, LookupError) as error:
        raise MalformedError("no network") from error
    return RequestorRecord(ClientPrefix.of(packed, length), _reputation(said["reputation"]))


def _group(said: dict[str, Any]) -> GroupRecord:
    proven = said["proven_ago"]
    return GroupRecord(
        _text(said["resolver"]),
        bool(said["preset"]),
        _each(said["others"], _text, range(MAX_NODES + 1)),
        _reputation(said["reputation"]),
        _count(said["passed"]),
        None if proven is None else _number(proven, math.inf),
        _each(said["asked"], _count, (2,)),
        _each(said["delays"], _count, (0, BUCKETS)),
        _each(said.get("keeps", []), lambda value: _number(value, MOST), (0, 2)),
        _known(said.get("known", [0, 0])),
    )


def _known(said: Any) -> tuple[float, float]:
    trusted, predicts = _each(said, lambda value: _number(value, max(TRUST, REMEMBERED)), (2,))
    return trusted, predicts


def _reputation(said: Any) -> ReputationRecord:
    said = _object(said)
    counts, past = (_each(said[key], _weight, (3,)) for key in ("counts", "past"))
    return ReputationRecord(_number(said["initial"], 1.0), _number(said["previous"], 1.0), counts, past)


def _object(said: Any) -> dict[str, Any]:
    if not isinstance(said, dict):
        raise MalformedError("not an object")
    return said


def _text(said: Any) -> str:
    if not isinstance(said, str) or not said:
        raise MalformedError("not a text")
    return said


def _count(said: Any) -> int:
    if type(said) is not int or not 0 <= said < _MOST:
        raise MalformedError("not a count")
    return said


def _weight(said: Any) -> float:
    return said if type(said) is int and 0 <= said < _MOST else _number(said, float(_MOST))


def _number(said: Any, most: float) -> float:
    if type(said) not in (int, float) or not 0 <= said <= most or not math.isfinite(said):
        raise MalformedError("not a number in its range")
    return float(said)


def _each(said: Any, what: Callable[[Any], Any], lengths: Iterable[int]) -> tuple[Any, ...]:
    if not isinstance(said, list) or len(said) not in lengths:
        raise MalformedError("not a list of its length")
    return tuple(map(what, said))


class Book:
    """What is remembered of all who ask, as rows under keys.

    Args:
        askers: They.
    """

    def __init__(self, askers: Askers) -> None:
        self._askers = askers
        self._gone: set[str] = set()

    def restore(self, rows: Iterable[AgedRow], *, now: float) -> int:
        """Remember what was written, before anybody has asked.

        Of somebody of whom there are several rows, the first counts; of somebody who is known already, none. What was
        written of the operator's groups counts if he still has them, and nothing else of the addresses in them.

        Args:
            rows: Them, those written last first.
            now: The present, in monotonic seconds.

        Returns:
            How many say nothing that can be understood.
        """
        return sum(not self._remember(row, now) for row in rows)

    def _remember(self, row: AgedRow, now: float) -> bool:
        try:
            found = read(row.row.body)
        except MalformedError:
            return False
        self._put_back(found, now - row.age, now)
        return True

    def _put_back(self, found: Record, written: float, now: float) -> None:
        if isinstance(found, RequestorRecord):
            if self._askers.requestors.find(found.network) is None:
                requestor = self._askers.requestors.of(found.network, found.network)
                found.reputation.restore(requestor.reputation, written)
            return
        group = self._askers.groups.restored(found.resolver, found.others, preset=found.preset)
        if group is None:
            return
        found.reputation.restore(group.reputation, written)
        group.passed = found.passed
        group.trusted, group.untrusted = found.asked
        if found.delays:
            group.remember(found.delays)
        if found.keeps:
            group.habits.remember(*found.keeps, until=written + REMEMBERED)
        group.habits.remember_known(*(written + seconds for seconds in found.known), now=now)
        group.learned_from_first = group.habits.keeps_answers
        if found.proven_ago is not None:
            group.proven_at = written - found.proven_ago
            self._askers.groups.keep(group)
        group.weigh(now)

    def changed(self, *, every: bool, now: float) -> Iterator[Row]:
        """What is new since it was last asked for, or `every` thing; looked up while it is gone through."""
        parties = self._all() if every else self._noted()
        for rated in parties:
            found = record(rated, now=now)
            if found is not None:
                replaces = tuple(map(group_key, found.others)) if isinstance(found, GroupRecord) else ()
                yield Row(found.key, write(found), replaces)

    def _noted(self) -> Iterator[Rated]:
        journal = self._askers.journal
        for _ in range(len(journal)):  # those noted meanwhile have their turn the next time
            yield from journal.take(1)

    def _all(self) -> Iterator[Rated]:
        everybody = chain[Rated](self._askers.groups, self._askers.requestors)
        return (rated for rated in everybody if rated.is_notable)

    def gone(self) -> set[str]:
        """The keys of what was forgotten on purpose since it was last asked for."""
        gone, self._gone = self._gone, set()
        return gone

    def forget(self, known: Rated) -> None:
        """Keep this no more."""
        self._askers.journal.forget(known)
        if isinstance(known, Group):
            self._gone |= {group_key(node) for node in (known.resolver, *known.others)}
        elif isinstance(known, Requestor):
            self._gone.add(f"client {known.key}")
