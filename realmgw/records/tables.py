"""What is kept of flows to be asked for: the records themselves, and how much each subscriber and group had. Pure.

Subscribers have a row for each day, groups one for each hour (UTC). A flow counts when it has ended; what it has
carried, when it was looked at.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from realmgw.records.record import Record

VERSION = 2
UPGRADES = {1: "ALTER TABLE flow ADD COLUMN trace_id;"}
"""What makes tables of an earlier version those of this one."""
DAY, HOUR = 86_400, 3600  # seconds
LASTS = "lasts"
"""The event of a record that is of a flow that goes on: only what it has carried counts."""
HOST, GROUP = 1, 2
"""Whose an account is."""
OLD = (
    "DELETE FROM flow WHERE at < :oldest",
    f"DELETE FROM account WHERE since < :oldest - CASE kind WHEN {HOST} THEN {DAY} ELSE {HOUR} END",  # noqa: S608 - numbers
)
"""Delete what is older than a time (`oldest`), in seconds since 1970: of accounts, those whose day or hour was over."""
AMOUNTS = ("packets_in", "octets_in", "packets_out", "octets_out")
TABLES = f"""
CREATE TABLE flow (id INTEGER PRIMARY KEY, {", ".join(f'"{name}"' for name in Record._fields)});
CREATE TABLE account (
    kind INTEGER, name TEXT, since INTEGER, flows INTEGER, {", ".join(f"{name} INTEGER" for name in AMOUNTS)},
    PRIMARY KEY (kind, name, since)
) WITHOUT ROWID;
"""
KEEP = f"INSERT INTO flow VALUES (NULL, {', '.join('?' * len(Record._fields))})"  # noqa: S608 - no value is in it
ADD = (
    f"INSERT INTO account VALUES ({', '.join('?' * (4 + len(AMOUNTS)))})"  # noqa: S608 - no value is in it
    f" ON CONFLICT DO UPDATE SET {', '.join(f'{name} = {name} + excluded.{name}' for name in ('flows', *AMOUNTS))}"
)
FEWER = "DELETE FROM flow WHERE id <= (SELECT max(id) FROM flow) - ?"
"""Deletes all records but so many."""
_GROUPS = Record._fields.index("groups")

Amounts = list[int]
"""Flows, then `AMOUNTS`."""


Sums = dict[tuple["str | None", tuple[str, ...], int], Amounts]
"""By host, its groups, and the hour since 1970: flows, and what they have carried."""
MOST_SUMS = 1 << 17
"""So many are added up at most while they can not be kept: for a hundred thousand subscribers, some hours' worth."""


class Accounts:
    """What was added up and is not kept yet."""

    def __init__(self) -> None:
        self._sums: Sums = {}

    def add(self, record: Record, before: Record | None = None) -> bool:
        """Add up what a flow has carried.

        Args:
            record: It.
            before: What was told of it before: that is added up already.

        Returns:
            Whether there was room for it.
        """
        key = record.host, record.groups, int(record.at) // HOUR
        sums = self._sums.get(key)
        if sums is None:
            if len(self._sums) >= MOST_SUMS:
                return False
            sums = self._sums[key] = [0] * (1 + len(AMOUNTS))
        sums[0] += record.event != LASTS
        for place, amount in enumerate(record.since(before), 1):
            sums[place] += amount
        return True

    def take(self) -> Sums:
        """All of it; from now on, it begins anew."""
        found, self._sums = self._sums, {}
        return found

    def put_back(self, sums: Sums) -> None:
        """It could not be kept: it is taken once more, with what has come since."""
        for key, amounts in self._sums.items():
            there = sums.get(key)
            sums[key] = amounts if there is None else [one + other for one, other in zip(there, amounts, strict=True)]
        self._sums = sums


def rows(sums: Sums) -> Iterator[tuple[Any, ...]]:
    """Rows for `ADD`, of all that is somebody's."""
    for (host, groups, hour), amounts in sums.items():
        at = hour * HOUR
        if host is not None:
            yield (HOST, host, at - at % DAY, *amounts)
        for group in groups:
            yield (GROUP, group, at, *amounts)


def row(record: Record) -> tuple[Any, ...]:
    """A row for `KEEP`."""
    return (*record[:_GROUPS], _written(record.groups), *record[_GROUPS + 1 :])


@lru_cache(4096)
def _written(groups: tuple[str, ...]) -> str:
    return json.dumps(groups)


# What is asked for

CONDITIONS: Mapping[str, str] = {
    "since": "at >= :since", "until": "at <= :until", "host": "host = :host", "address": "address = :address",
    "name": "name = :name", "via": "coalesce(via, address) = :via",
    "protocol": "protocol = :protocol", "trace_id": "trace_id = :trace_id",
    "direction": "direction = :direction", "named": "instr(name, :named)",
    "client": "within(client, :client)", "client_is": "client = :client_is",
    "one": ":one IN (client, address, via)", "other": ":other IN (client, address, via)",
}  # fmt: skip
"""What may be said of the flows that are meant, by what is given; `within` is a function: whether an address is in a
prefix, both as they are written."""


def flows(given: Iterable[str]) -> str:
    """The query for records, the youngest first, that takes what is given, and `most`.

    Conntrack tells of ends in the order in which it comes across them, some seconds after each other's.

    Args:
        given: Keys of `CONDITIONS`.
    """
    where = " AND ".join(CONDITIONS[each] for each in given) or "1"
    fields = ", ".join(f'"{name}"' for name in Record._fields)
    latest = f"SELECT * FROM flow WHERE {where} ORDER BY id DESC LIMIT :most"  # noqa: S608 - no value is in it
    return f"SELECT {fields} FROM ({latest}) ORDER BY at DESC, id DESC"  # noqa: S608 - likewise


def accounts(*, by_time: bool) -> str:
    """The query for accounts of a `kind` since a time (`since`), at most so many (`most`).

    Args:
        by_time: Those of one (`name`), a row for each day or hour, the latest first; else the sums of each, those with
            the most octets first.
    """
    if by_time:
        amounts, where = ", ".join(AMOUNTS), "name = :name AND since + :length > :since ORDER BY since DESC"
        return f"SELECT name, since, flows, {amounts} FROM account WHERE kind = :kind AND {where} LIMIT :most"  # noqa: S608
    sums = ", ".join(f"sum({name}) AS {name}" for name in ("flows", *AMOUNTS))
    where = "kind = :kind AND since + :length > :since GROUP BY name ORDER BY sum(octets_in + octets_out) DESC"
    return f"SELECT name, min(since) AS since, {sums} FROM account WHERE {where} LIMIT :most"  # noqa: S608


def record(values: Iterable[Any]) -> dict[str, Any]:
    """A row of `flows`, as a record is written."""
    found = dict(zip(Record._fields, values, strict=True))
    return {**found, "groups": json.loads(found["groups"]), "answered": bool(found["answered"])}
