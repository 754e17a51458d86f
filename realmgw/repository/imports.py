"""Many documents at once, all or none of them. Edge: an SQLite file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import attrs

from realmgw.config.steps import portions
from realmgw.errors import MalformedError
from realmgw.repository.refusals import MAX_FAULTS, RefusedError, invalid, taken
from realmgw.repository.store import UPSERT, Cursor, begin_version, checked, claims_of, version
from realmgw.subscribers.exchange import Document, Fault, Kind, document, head
from realmgw.subscribers.fastpath.by_shape import ByShapeReader

_TEMPORARY = (
    "CREATE TEMP TABLE IF NOT EXISTS wanted (what TEXT NOT NULL, owner TEXT NOT NULL, line INTEGER NOT NULL)",
    "CREATE TEMP TABLE IF NOT EXISTS seen (kind TEXT NOT NULL, name TEXT NOT NULL, PRIMARY KEY (kind, name))",
    "DELETE FROM wanted",
    "DELETE FROM seen",
)
_CONFLICTS = f"""
    SELECT line, what, other FROM (
        SELECT wanted.line AS line, wanted.what AS what, claim.owner AS other
            FROM wanted JOIN claim ON claim.what = wanted.what
        UNION ALL
        SELECT max(line), what, min(owner) FROM wanted GROUP BY what HAVING count(*) > 1
    ) ORDER BY line LIMIT {MAX_FAULTS}"""  # noqa: S608 - a number of ours
_LEFT_OUT = """SELECT kind, name FROM document WHERE value IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM seen WHERE seen.kind = document.kind AND seen.name = document.name)"""


@attrs.frozen
class Imported:
    """What came of it."""

    version: str
    """Of the repository now."""
    changed: int
    """How many documents were added or changed."""
    unchanged: int
    """How many were there already as they are."""
    deleted: int
    """How many were removed."""


class Import:
    """An import within one transaction.

    Args:
        cursor: Of the transaction, which must be rolled back when `run` raises.
    """

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor
        self._by_shape = ByShapeReader()
        self._faults: list[Fault] = []
        self._number: int | None = None  # of the new version, once there is something to write
        self._changed = self._unchanged = self._deleted = 0

    def run(self, lines: Iterable[bytes], *, replacing: bool) -> Imported:
        """Keeps the documents.

        Args:
            lines: Documents for exchange, one a line; the first line may be a head. A null value removes.
            replacing: Remove what is not among them.

        Raises:
            RefusedError: A line is no document, or a document is not acceptable or claims what others have. Its
                pointers begin with the index of the line, counted from 0 as in an array.
        """
        for statement in _TEMPORARY:
            self._cursor.execute(statement)
        for batch in portions(self._read(lines)):
            self._keep(batch)
        if replacing and not self._faults:
            self._remove(self._cursor.execute(_LEFT_OUT).fetchall())
        if self._faults:
            raise invalid(self._faults)
        self._claim()
        return Imported(version(self._cursor), self._changed, self._unchanged, self._deleted)

    def _read(self, lines: Iterable[bytes]) -> Iterator[tuple[int, Document, str | None]]:
        """Every acceptable document with the index of its line and its text; the others become faults."""
        for index, line in enumerate(lines):
            if len(self._faults) >= MAX_FAULTS:
                return
            if index == 0 and _is_head(line):
                continue
            try:
                read = document(line)
                if self._is_new(read, index):
                    yield index, read, self._text(read, index)
            except MalformedError as error:
                self._faults.append(Fault(f"/{index}", str(error)))
            except RefusedError as refusal:
                self._faults += [Fault(f"/{index}/value{each.pointer}", each.text) for each in refusal.faults]

    def _is_new(self, read: Document, index: int) -> bool:
        self._cursor.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (read.kind.value, read.name))
        new = bool(self._cursor.rowcount)
        if not new:
            self._faults.append(Fault(f"/{index}/name", f"{read.name} stands in an earlier line too: remove one"))
        return new

    def _text(self, read: Document, index: int) -> str | None:
        """The document's text, None if it shall be removed; its claims wait until everything was read."""
        if read.value is None:
            return None
        text, entry = checked(read.kind, read.name, read.value, self._by_shape)
        if entry is not None:
            rows = [(what, read.name, index) for what in claims_of(entry)]
            self._cursor.executemany("INSERT INTO wanted VALUES (?, ?, ?)", rows)
        return text

    def _keep(self, batch: tuple[tuple[int, Document, str | None], ...]) -> None:
        """Writes those that are different from what is there."""
        owners = [(read.name,) for _, read, _ in batch if read.kind is Kind.SUBSCRIBER]
        self._cursor.executemany("DELETE FROM claim WHERE owner = ?", owners)
        rows: list[tuple[str, str, str | None]] = []
        for _, read, text in batch:
            query = "SELECT value FROM document WHERE kind = ? AND name = ?"
            present = self._cursor.execute(query, (read.kind.value, read.name)).fetchall()
            if (present[0][0] if present else None) == text:
                self._unchanged += 1
            else:
                rows.append((read.kind.value, read.name, text))
                self._changed += text is not None
                self._deleted += text is None
        self._write(rows)

    def _remove(self, rows: list[tuple[str, str]]) -> None:
        """Removes documents by kind and name."""
        self._deleted += len(rows)
        self._write([(kind, name, None) for kind, name in rows])
        owners = [(name,) for kind, name in rows if kind == Kind.SUBSCRIBER.value]
        self._cursor.executemany("DELETE FROM claim WHERE owner = ?", owners)

    def _write(self, rows: list[tuple[str, str, str | None]]) -> None:
        """Writes documents by kind and name, all in one new version."""
        if rows and self._number is None:
            self._number = begin_version(self._cursor)
        self._cursor.executemany(UPSERT, [(kind, name, self._number, text) for kind, name, text in rows])

    def _claim(self) -> None:
        """Makes all claims.

        Raises:
            RefusedError: Two subscribers have the same.
        """
        rows = self._cursor.execute(_CONFLICTS).fetchall()
        if rows:
            raise taken(Fault(f"/{line}/value", f"{what} belongs to {owner} too") for line, what, owner in rows)
        self._cursor.execute("INSERT INTO claim SELECT what, owner FROM wanted")


def _is_head(line: bytes) -> bool:
    try:
        head(line)
    except MalformedError:
        return False
    return True
