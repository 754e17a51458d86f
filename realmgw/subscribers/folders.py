"""Drop-in folders as sources of the register: only files that were written since the last time are read again.

A file that can not be used says what it said before, be that in an earlier life of the program; so do the files of a
folder that can not be read. Both are problems.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path

import attrs

from realmgw.config.document import Problems
from realmgw.subscribers.files import MAX_FILE, files
from realmgw.subscribers.pieces import Unit, read
from realmgw.subscribers.recall import Memory
from realmgw.subscribers.schema import Entry
from realmgw.subscribers.shapes import Shapes

SETTLED = 0.1  # seconds
"""A file that changed within so long a time before it was read may change again without getting another time stamp."""

SHORT = 2**16  # octets
"""Of a file with a few subscribers."""

Version = tuple[int, int, int, int]
"""A file's inode, size, and times of change."""


@attrs.frozen(eq=False)
class _Known:
    version: Version | None
    """When it was written; None if it is to be read again in any case."""
    unit: Unit
    """What it says."""


class Folders:
    """What was read from subscriber folders.

    Args:
        wall: The time of day in seconds, by the clock that the file system's time stamps are of.
        memory: What is known from an earlier life of the program.

    Attributes:
        parsed: How many pieces were new, in all.
    """

    def __init__(self, wall: Callable[[], float], memory: Memory | None = None) -> None:
        self._wall = wall
        self._memory = memory or Memory()
        self._shapes = Shapes()
        self._known: dict[Path, _Known] = {}
        self.parsed = 0

    def settle(self) -> None:
        """Forgets the earlier life: after the start, everything has been read once."""
        self._memory, self._shapes = Memory(), Shapes()

    @property
    def versions(self) -> dict[str, Version]:
        """Of files that were good and will not change without getting another one, by their names."""
        return {str(path): known.version for path, known in self._known.items() if known.version is not None}

    def counts(self) -> dict[str, int]:
        """What was counted since the start."""
        return {"pieces_parsed": self.parsed, "pieces_alike": self._shapes.taken}

    def units(self, folders: Iterable[Path]) -> Generator[None, None, list[Unit]]:
        """Reads what is new in the folders.

        Args:
            folders: Where the files are.

        Returns:
            One unit for each file that counts, the same object if the file is the same; and one for the folders
            themselves if one of them can not be read.
        """
        listing = _Listing(folders)
        known: dict[Path, _Known] = {}
        for path in listing.files(self._known):
            known[path] = yield from self._file(path)
            yield
        self._known = known
        return [*(each.unit for each in known.values()), *listing.unreadable()]

    def each(self, folders: Iterable[Path]) -> Iterator[Unit]:
        """What `units` returns, one after the other and without a break: for the start, when nobody waits."""
        listing = _Listing(folders)
        for path in listing.files(()):
            steps = self._file(path)
            while path not in self._known:
                try:
                    next(steps)
                except StopIteration as end:  # noqa: PERF203 - the only way to get at what a generator returns
                    self._known[path] = end.value
            yield self._known[path].unit
        yield from listing.unreadable()

    def _file(self, path: Path) -> Generator[None, None, _Known]:
        former = self._known.get(path)
        version = self._version(path)
        if former is not None and version is not None and former.version == version:
            return former
        if former is None and version is not None:
            unchanged = self._memory.unchanged(str(path), version)
            if unchanged is not None:
                return _Known(version, unchanged)
        problems = Problems(str(path))
        text = _text(path, problems)
        if text is None:
            return _Known(None, self._as_before(path, former, problems.lines()))
        unit = yield from read(str(path), text, former.unit if former else None, self._look_up, self._shapes)
        if unit.problems:
            return _Known(None, self._as_before(path, former, unit.problems))
        if former is not None and former.unit.tokens == unit.tokens and not former.unit.problems:
            unit = former.unit
        return _Known(version, unit)

    def _as_before(self, path: Path, former: _Known | None, problems: tuple[str, ...]) -> Unit:
        """What a file said when it could be used, with what is wrong now."""
        unit = former.unit if former else self._memory.last_good(str(path)) or Unit(str(path))
        if unit.tokens:
            kept = (
                f"{path}:1:1: until this is put right, what it said before counts, with {len(unit.tokens)} subscribers"
            )
            problems = (*problems, kept)
        if former is not None and former.unit.problems == problems:
            return former.unit
        return attrs.evolve(unit, problems=problems)

    def _look_up(self, token: bytes) -> list[Entry] | None:
        found = self._memory.recall(token)
        self.parsed += found is None
        return found

    def _version(self, path: Path) -> Version | None:
        """None while nobody can tell whether it is written at this very moment."""
        try:
            status = path.stat()
        except OSError:
            return None
        if self._wall() - status.st_ctime < SETTLED:
            return None
        return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


class _Listing:
    """What is in the folders at one moment."""

    def __init__(self, folders: Iterable[Path]) -> None:
        self._lines: list[str] = []
        self._unreadable: list[Path] = []
        self._files = files(folders, self._lines, self._unreadable)

    def files(self, known: Iterable[Path]) -> list[Path]:
        """The files that count, and those that were known in folders that can not be read now."""
        return [*self._files, *(path for path in known if path.parent in self._unreadable)]

    def unreadable(self) -> list[Unit]:
        """A unit that only says which folders can not be read."""
        return [Unit("folders", problems=tuple(self._lines))] if self._lines else []


def _text(path: Path, problems: Problems) -> bytes | None:
    try:
        with path.open("rb") as file:
            text = file.read(SHORT)
            if len(text) == SHORT:  # room for the longest one is not made for each of many short ones
                text += file.read(MAX_FILE + 1 - SHORT)
    except OSError as error:
        problems.add(None, f"can not be read: {error.strerror}")
        return None
    if len(text) > MAX_FILE:
        problems.add(None, f"has more than {MAX_FILE} octets: split it")
        return None
    return text
