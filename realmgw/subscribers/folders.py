"""Drop-in folders as sources of the register: only files that were written since the last time are read again."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path

import attrs

from realmgw.config.document import Problems
from realmgw.subscribers.files import MAX_FILE, files
from realmgw.subscribers.pieces import Recall, Unit, nothing_recalled, read
from realmgw.subscribers.schema import Entry

SETTLED = 0.1  # seconds
"""A file that changed within so long a time before it was read may change again without getting another time stamp."""

Version = tuple[int, int, int, int]
"""A file's inode, size, and times of change."""


@attrs.frozen(eq=False)
class _Known:
    version: Version | None
    unit: Unit


class Folders:
    """What was read from subscriber folders.

    Args:
        wall: The time of day in seconds, by the clock that the file system's time stamps are of.
        recall: What is known of pieces from an earlier life of the program.
    """

    def __init__(self, wall: Callable[[], float], recall: Recall = nothing_recalled) -> None:
        self._wall = wall
        self._recall = recall
        self._known: dict[Path, _Known] = {}
        self.parsed = 0
        """How many pieces had to be parsed, in all."""

    def settle(self, recall: Recall = nothing_recalled) -> None:
        """From now on, know this of pieces: after the start, nothing, since everything has been read once."""
        self._recall = recall

    def units(self, folders: Iterable[Path]) -> Generator[None, None, list[Unit]]:
        """Reads what is new in the folders.

        Args:
            folders: Where the files are.

        Returns:
            One unit for each file that counts, the same object if the file is the same; and one for the folders
            themselves if one of them can not be read.
        """
        lines: list[str] = []
        known: dict[Path, _Known] = {}
        for path in files(folders, lines):
            known[path] = yield from self._file(path)
            yield
        self._known = known
        return [*(each.unit for each in known.values()), *_unreadable(lines)]

    def each(self, folders: Iterable[Path]) -> Iterator[Unit]:
        """What `units` returns, one after the other and without a break: for the start, when nobody waits."""
        lines: list[str] = []
        for path in files(folders, lines):
            steps = self._file(path)
            while path not in self._known:
                try:
                    next(steps)
                except StopIteration as end:
                    self._known[path] = end.value
            yield self._known[path].unit
        yield from _unreadable(lines)

    def _file(self, path: Path) -> Generator[None, None, _Known]:
        former = self._known.get(path)
        version = self._version(path)
        if former is not None and version is not None and former.version == version:
            return former
        problems = Problems(str(path))
        text = _text(path, problems)
        if text is None:
            tokens = former.unit.tokens if former else {}
            return _Known(None, Unit(str(path), tokens, problems=problems.lines()))
        unit = yield from read(str(path), text, former.unit if former else None, self._look_up)
        if former is not None and former.unit.tokens == unit.tokens and former.unit.problems == unit.problems:
            unit = former.unit
        return _Known(None if unit.problems else version, unit)

    def _look_up(self, token: bytes) -> list[Entry] | None:
        found = self._recall(token)
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


def _unreadable(lines: Iterable[str]) -> list[Unit]:
    """A unit that only says which folders can not be read."""
    problems = tuple(lines)
    return [Unit("folders", problems=problems)] if problems else []


def _text(path: Path, problems: Problems) -> bytes | None:
    try:
        with path.open("rb") as file:
            text = file.read(MAX_FILE + 1)
    except OSError as error:
        problems.add(None, f"can not be read: {error.strerror}")
        return None
    if len(text) > MAX_FILE:
        problems.add(None, f"has more than {MAX_FILE} octets: split it")
        return None
    return text
