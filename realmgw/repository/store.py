"""The documents in an SQLite database: what is done within one transaction, which somebody else begins and ends.

Every write that changes something makes a new version, `number-token`. The token is chosen at random, so that after the
database was put back from a backup a version of before is not mistaken for one of now. Deleted documents leave a row
without a value, so that it can be told what changed since a version; versions are remembered `RETAINED` writes long.

The database has an identity, which stays with it for good: a backup that was put back is the same repository, a new
database is another one.

Edge: an SQLite file.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any

import attrs

from realmgw.config import pointers
from realmgw.errors import PlatformError
from realmgw.repository.conditions import Condition, tag
from realmgw.repository.merge import merged
from realmgw.repository.refusals import RefusedError, invalid, taken
from realmgw.subscribers.entry import Entry, shown
from realmgw.subscribers.exchange import MAX_VALUE, Fault, Head, Kind, document_line, policy, subscriber
from realmgw.subscribers.fastpath.by_shape import ByShapeReader

RETAINED = 10_000
"""How many versions back it can be told what changed since."""

_DOCUMENTS = (
    """CREATE TABLE document (
        kind TEXT NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL, value TEXT,
        PRIMARY KEY (kind, name)) WITHOUT ROWID""",
    "CREATE INDEX document_by_version ON document (version)",
    "CREATE INDEX document_deleted ON document (version) WHERE value IS NULL",
    "CREATE TABLE claim (what TEXT NOT NULL PRIMARY KEY, owner TEXT NOT NULL) WITHOUT ROWID",
    "CREATE INDEX claim_by_owner ON claim (owner)",
    "CREATE TABLE change (version INTEGER NOT NULL PRIMARY KEY, token TEXT NOT NULL)",
    "INSERT INTO change VALUES (0, lower(hex(randomblob(8))))",
)
_IDENTITY = (
    "CREATE TABLE repository (identity TEXT NOT NULL)",
    "INSERT INTO repository VALUES (lower(hex(randomblob(16))))",
)
_STEPS: tuple[tuple[str, ...], ...] = (_DOCUMENTS, _IDENTITY, ())
FORMAT = len(_STEPS)
"""Of the database, in its `user_version`; each step leads from one format to the next."""
WITHOUT_IPV6 = 2
"""The last format whose claims have no addresses of IPv6: what stood there was not read."""
UPSERT = (
    "INSERT INTO document VALUES (?, ?, ?, ?)"
    " ON CONFLICT (kind, name) DO UPDATE SET version = excluded.version, value = excluded.value"
)
"""Keeps a document: its kind, name, version and text, or None for one that was deleted."""

Cursor = Any
"""A cursor of sqlite3, or of an adbapi transaction around one."""


class EmptyError(PlatformError):
    """There are no tables in a database that must have some."""


@attrs.frozen
class Stored:
    """A document that is kept."""

    name: str
    """Its name."""
    text: str
    """Its JSON text."""

    @property
    def tag(self) -> str:
        """Its entity tag, with the quotes."""
        return tag(self.text)


def prepare(connection: sqlite3.Connection) -> None:
    """Makes a new connection ready for us: durable, and readers never wait for the writer."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA busy_timeout = 5000")
    connection.execute("PRAGMA temp_store = MEMORY")


def create(cursor: Cursor, *, begins: bool = True) -> str:
    """Makes the tables that are missing.

    Args:
        cursor: Of a transaction.
        begins: An empty database may become a new repository.

    Returns:
        The repository's identity.

    Raises:
        PlatformError: The database was made by a later version of this program.
        EmptyError: It has no tables, and is not to begin.
    """
    [(found,)] = cursor.execute("PRAGMA user_version").fetchall()
    if found > FORMAT:
        raise PlatformError(f"the database has format {found}, and this program knows those up to {FORMAT}")
    if found == 0 and not begins:
        raise EmptyError("the database is empty")
    for statements in _STEPS[found:]:
        for statement in statements:
            cursor.execute(statement)
    cursor.execute(f"PRAGMA user_version = {FORMAT}")
    if 0 < found <= WITHOUT_IPV6:
        _claim_ipv6(cursor)
    return identity(cursor)


def _claim_ipv6(cursor: Cursor) -> None:
    """Claims addresses of IPv6 in documents that were kept before these were read; who comes first has them.

    A document that can not be read any more, or claims what is another's, stays as it is: those who get it say so.
    """
    query = "SELECT name, value FROM document WHERE kind = ? AND value LIKE '%\"ipv6\"%' ORDER BY name"
    for name, text in cursor.execute(query, (Kind.SUBSCRIBER.value,)).fetchall():
        entry, _ = subscriber(name, pointers.decode(text))
        claims = [] if entry is None else claims_of(entry)
        cursor.executemany("INSERT OR IGNORE INTO claim VALUES (?, ?)", [(what, name) for what in claims])


def identity(cursor: Cursor) -> str:
    """What tells this repository from every other one."""
    [(text,)] = cursor.execute("SELECT identity FROM repository").fetchall()
    return str(text)


def count(cursor: Cursor) -> dict[str, int]:
    """How many documents there are, by kind."""
    query = "SELECT kind, count(*) FROM document WHERE value IS NOT NULL GROUP BY kind"
    return {kind.value: 0 for kind in Kind} | dict(cursor.execute(query).fetchall())


def version(cursor: Cursor) -> str:
    """The present version of everything."""
    [(text,)] = cursor.execute("SELECT version || '-' || token FROM change ORDER BY version DESC LIMIT 1").fetchall()
    return str(text)


def fetch(cursor: Cursor, kind: Kind, name: str) -> Stored | None:
    """A document, or None."""
    rows = cursor.execute("SELECT value FROM document WHERE kind = ? AND name = ?", (kind.value, name)).fetchall()
    return Stored(name, rows[0][0]) if rows and rows[0][0] is not None else None


def page(cursor: Cursor, kind: Kind, after: str, limit: int) -> tuple[str, tuple[Stored, ...]]:
    """Some documents of a kind, in the order of their names.

    Args:
        cursor: Of a transaction.
        kind: Which ones.
        after: The name after which to begin; empty for the beginning.
        limit: How many at most.

    Returns:
        The present version, and the documents.
    """
    rows = cursor.execute(
        "SELECT name, value FROM document WHERE kind = ? AND name > ? AND value IS NOT NULL ORDER BY name LIMIT ?",
        (kind.value, after, limit),
    ).fetchall()
    return version(cursor), tuple(Stored(*row) for row in rows)


def export(cursor: Cursor, since: str | None) -> tuple[Head, Iterator[bytes]]:
    """Everything, or what changed since a version, as lines for exchange.

    Args:
        cursor: Of a transaction; the lines are read from it while they are iterated.
        since: A version; None, or one that is not remembered any more, for everything.
    """
    number = _number(cursor, since)
    where = "value IS NOT NULL" if number is None else "version > ?"
    parameters = () if number is None else (number,)
    [(announced,)] = cursor.execute(f"SELECT count(*) FROM document WHERE {where}", parameters).fetchall()  # noqa: S608 - ours
    head = Head(version(cursor), since if number is not None else None, announced, identity(cursor))
    query = f"SELECT kind, name, ifnull(value, 'null') FROM document WHERE {where} ORDER BY kind, name"  # noqa: S608 - ours
    return head, _lines(cursor, query, parameters)


def _lines(cursor: Cursor, query: str, parameters: tuple[int, ...]) -> Iterator[bytes]:
    cursor.execute(query, parameters)
    while rows := cursor.fetchmany(1000):
        for row in rows:
            yield document_line(*row)


def _number(cursor: Cursor, since: str | None) -> int | None:
    """The number of a version that is remembered."""
    number, _, token = (since or "").partition("-")
    if not (number.isascii() and number.isdigit() and len(number) < 19):
        return None
    rows = cursor.execute("SELECT token FROM change WHERE version = ?", (int(number),)).fetchall()
    return int(number) if rows and rows[0][0] == token else None


def put(cursor: Cursor, kind: Kind, name: str, value: object, condition: Condition) -> tuple[Stored, bool]:
    """Keeps a document.

    Returns:
        It, and whether it is a new one.

    Raises:
        RefusedError: It is not acceptable, claims what others have, or the condition is not met.
    """
    present = fetch(cursor, kind, name)
    condition.check(None if present is None else present.tag)
    return _replace(cursor, kind, Stored(name, _checked(cursor, kind, name, value)), present), present is None


def patch(cursor: Cursor, kind: Kind, name: str, change: object, condition: Condition) -> Stored:
    """Changes a document by a merge patch.

    Raises:
        RefusedError: There is no such document, or as for `put`.
    """
    present = existing(fetch(cursor, kind, name), name)
    condition.check(present.tag)
    value = merged(pointers.decode(present.text), change)
    return _replace(cursor, kind, Stored(name, _checked(cursor, kind, name, value)), present)


def delete(cursor: Cursor, kind: Kind, name: str, condition: Condition) -> None:
    """Removes a document.

    Raises:
        RefusedError: There is no such document, or the condition is not met.
    """
    present = existing(fetch(cursor, kind, name), name)
    condition.check(present.tag)
    number = begin_version(cursor)
    cursor.execute(UPSERT, (kind.value, name, number, None))
    if kind is Kind.SUBSCRIBER:
        cursor.execute("DELETE FROM claim WHERE owner = ?", (name,))


def existing(present: Stored | None, name: str) -> Stored:
    """What there is.

    Raises:
        RefusedError: There is nothing.
    """
    if present is None:
        raise RefusedError(HTTPStatus.NOT_FOUND, f"there is no document {name}")
    return present


def begin_version(cursor: Cursor) -> int:
    """Makes a new version and forgets the oldest one.

    Returns:
        Its number, for the rows that change.
    """
    cursor.execute("INSERT INTO change SELECT max(version) + 1, lower(hex(randomblob(8))) FROM change")
    [(number,)] = cursor.execute("SELECT max(version) FROM change").fetchall()
    oldest = number - RETAINED
    cursor.execute("DELETE FROM change WHERE version < ?", (oldest,))
    cursor.execute("DELETE FROM document WHERE value IS NULL AND version < ?", (oldest,))
    return int(number)


def _checked(cursor: Cursor, kind: Kind, name: str, value: object) -> str:
    """The text of an acceptable document, whose claims are made."""
    text, entry = checked(kind, name, value)
    if entry is not None:
        _claim(cursor, name, value, entry)
    return text


def checked(kind: Kind, name: str, value: object, by_shape: ByShapeReader | None = None) -> tuple[str, Entry | None]:
    """The text of a document, and what a subscriber is.

    Args:
        kind: Which one it is.
        name: Its name.
        value: The document.
        by_shape: As for `exchange.subscriber`.

    Raises:
        RefusedError: It is not acceptable.
    """
    entry, faults = subscriber(name, value, by_shape) if kind is Kind.SUBSCRIBER else (None, policy(value))
    if faults:
        raise invalid(faults)
    text = pointers.encode(value)  # it is not nested too deep for that
    if len(text.encode()) > MAX_VALUE:
        raise invalid([Fault("", f"longer than {MAX_VALUE} octets")])
    return text, entry


def _claim(cursor: Cursor, name: str, value: object, entry: Entry) -> None:
    cursor.execute("DELETE FROM claim WHERE owner = ?", (name,))
    wanted = claims_of(entry)
    marks = ",".join("?" * len(wanted))
    query = f"SELECT what, owner FROM claim WHERE what IN ({marks})"  # noqa: S608 - question marks only
    if rows := cursor.execute(query, wanted).fetchall():
        raise taken(Fault(pointer_of(value, what), f"{what} belongs to {owner} already") for what, owner in rows)
    cursor.executemany("INSERT INTO claim VALUES (?, ?)", [(what, name) for what in wanted])


def claims_of(entry: Entry) -> list[str]:
    """What belongs to a subscriber alone, in text."""
    return [shown(claim) for claim in dict.fromkeys(entry.claims())]


def pointer_of(value: object, what: str) -> str:
    """The pointer of a name or an address in a document; that of the whole when it does not stand there."""
    short = what.removesuffix(".")
    return pointers.find(value, lambda text: _spelled(text) == short) or ""


def _spelled(text: str) -> str:
    """A name or an address as claims have it: of IPv6, there are several ways to write one."""
    try:
        return str(ip_address(text)) if ":" in text else text.lower().removesuffix(".")
    except ValueError:
        return text


def _replace(cursor: Cursor, kind: Kind, document: Stored, present: Stored | None) -> Stored:
    """Keeps a document unless it is there already."""
    if present is None or present.text != document.text:
        cursor.execute(UPSERT, (kind.value, document.name, begin_version(cursor), document.text))
    return document
