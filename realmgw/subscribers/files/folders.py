"""Drop-in folders as sources of the registry: only files that were written since the last time are read again.

What was read is remembered by the file's version, and no more than that: what a source says *in force* is what the
registry holds, whatever was read since. A file that can not be used says what is in force of it, or, when the gateway
starts, what it said when it was good last; so do the files of a folder that can not be read. Both are problems.

Edge: folders and files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import PurePath

import attrs

from realmgw.config.document import MOST_OF_ONE, Problems, bounded
from realmgw.config.steps import Blocking, Steps
from realmgw.subscribers.fastpath.by_shape import ByShapeReader
from realmgw.subscribers.files.incremental import Unit, read
from realmgw.subscribers.files.listing import Content, Version, chosen, content, digest, listed
from realmgw.subscribers.losses import folder_of

SETTLED = 0.1  # seconds
"""A file that changed within so long a time before it was read may change again without getting another time stamp."""
QUIET = 1.0  # seconds
"""A file says what it says when it has said so for so long."""

FOLDERS = "folders"
"""The source of what is wrong with the folders themselves."""
KEPT = "what was kept of subscriber files"
"""Where it is, for whoever waits for it."""
NOTHING: Mapping[str, Unit] = {}
"""What is in force before the start."""


@attrs.frozen(eq=False)
class _Known:
    """What was read of a file."""

    version: Version | None
    """When it was written; None if it is to be read again in any case."""
    digest: bytes
    """Of its text; nothing if there was none."""
    unit: Unit
    """What it says."""
    since: float
    """When it was found to say that, by the monotonic clock."""


class Folders:
    """What was read from subscriber folders.

    Args:
        wall: The time of day in seconds, by the clock that the file system's time stamps are of.
        monotonic: The present, in seconds.
        last_good: What a source said when it was good last, in an earlier life of the program; None if that is not
            known.

    Attributes:
        unreachable: Folders that could not be read the last time.
    """

    def __init__(
        self,
        wall: Callable[[], float],
        monotonic: Callable[[], float],
        last_good: Callable[[str], bytes | None] = lambda _source: None,
    ) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._last_good = last_good
        self._by_shape = ByShapeReader()
        self._known: dict[PurePath, _Known] = {}
        self.unreachable: set[str] = set()

    def settle(self) -> None:
        """After the start, everything has been read once."""
        self._by_shape = ByShapeReader()

    def put_back(self, units: Iterable[Unit]) -> None:
        """Of these sources, something else is in force than was read of them: they are read again in any case."""
        for unit in units:
            self._known[PurePath(unit.source)] = _Known(None, b"", attrs.evolve(unit, problems=()), 0.0)

    def counts(self) -> dict[str, int]:
        """What was counted since the start."""
        return {"pieces_alike": self._by_shape.taken}

    def units(self, folders: Iterable[PurePath], force: Mapping[str, Unit] = NOTHING) -> Steps[list[Unit]]:
        """Reads what is new in the folders.

        Args:
            folders: Where the files are.
            force: What is in force of each source.

        Returns:
            One unit for each file that counts, the same object if the file is the same; one for each that is in force
            and gone; and one for the folders themselves if one of them can not be read.
        """
        reading = _Reading(self, force, tuple(folders))
        yield from reading.list()
        for path, version in reading.files.items():
            reading.known[path] = yield from self.file(path, version, force)
            yield None
        yield from reading.pass_over(self._known)
        self._known, self.unreachable = reading.known, reading.unreachable
        return [*(each.unit for each in reading.known.values()), *reading.unreadable()]

    def each(self, folders: Iterable[PurePath], consume: Callable[[Unit], Steps[None]]) -> Steps[None]:
        """Reads the folders for the first time, and hands over one unit after the other."""
        reading = _Reading(self, NOTHING, tuple(folders))
        yield from reading.list()
        self.unreachable = reading.unreachable
        for path, version in reading.files.items():
            self._known[path] = yield from self.file(path, version, NOTHING)
            yield from consume(self._known[path].unit)
        for unit in reading.unreadable():
            yield from consume(unit)

    def file(self, path: PurePath, version: Version | None, force: Mapping[str, Unit]) -> Steps[_Known]:
        """What a file says; it is not read if it was not written, unless that it was read once is not enough."""
        former, now = self._known.get(path), self._monotonic()
        if version is not None and self._wall() - version[-1] / 1e9 < SETTLED:
            version = None
        is_written = former is None or version is None or former.version != version
        if former is not None and not is_written and (former.unit.settled or _is_in_force(former.unit, force)):
            return former
        try:
            found: Content = yield Blocking(str(path.parent), partial(content, path))
        except OSError as error:
            problems = Problems(str(path))
            problems.add(None, f"can not be read: {error.strerror}")
            return _Known(None, b"", (yield from self._as_before(path, force, problems.lines())), now)
        if former is not None and former.digest == found.digest:
            is_settled = former.unit.settled or now - former.since >= QUIET
            return attrs.evolve(
                former, version=version, unit=former.unit if former.unit.settled == is_settled else
                attrs.evolve(former.unit, settled=is_settled),
            )  # fmt: skip
        unit = yield from read(str(path), found.text, force.get(str(path)), self._by_shape)
        if unit.problems:
            unit = yield from self._as_before(path, force, unit.problems)
            return _Known(version, found.digest, unit, now)
        return _Known(version, found.digest, attrs.evolve(unit, digest=found.digest, settled=False), now)

    def absent(self, path: PurePath, known: _Known) -> _Known:
        """A file that is in force and is not there any more."""
        now = self._monotonic()
        if not known.unit.is_gone:
            return _Known(None, b"", Unit(str(path), settled=False, is_gone=True), now)
        return attrs.evolve(known, unit=attrs.evolve(known.unit, settled=now - known.since >= QUIET))

    def _as_before(self, path: PurePath, force: Mapping[str, Unit], problems: tuple[str, ...]) -> Steps[Unit]:
        """What a file said when it could be used, with what is wrong now."""
        source = str(path)
        unit = force.get(source)
        if unit is None:
            unit = (yield from self.restored(source)) or Unit(source)
        if unit.tokens:
            kept = f"{path}:1:1: until this is put right, what it said before counts, with {len(unit.tokens)} hosts"
            problems = (*bounded(problems, MOST_OF_ONE), kept)
        return attrs.evolve(unit, problems=problems, is_gone=False, is_kept=True)

    def restored(self, source: str) -> Steps[Unit | None]:
        """What a source said when it was good last, before the start; None, too, if what was kept does not answer."""
        try:
            text: bytes | None = yield Blocking(KEPT, partial(self._last_good, source))
        except OSError:
            return None
        if text is None:
            return None
        unit = yield from read(source, text, None, self._by_shape)
        return None if unit.problems else attrs.evolve(unit, digest=digest(text))


def _is_in_force(unit: Unit, force: Mapping[str, Unit]) -> bool:
    there = force.get(unit.source)
    return there is not None and there.tokens is unit.tokens


class _Reading:
    """One reading of the folders.

    Attributes:
        files: Those that count, with their versions.
        known: What they say.
        unreachable: Folders that can not be read.
    """

    def __init__(self, folders: Folders, force: Mapping[str, Unit], paths: tuple[PurePath, ...]) -> None:
        self._folders = folders
        self._force = force
        self._paths = paths
        self._lines: list[str] = []
        self.unreachable: set[str] = set()
        self.files: dict[PurePath, Version | None] = {}
        self.known: dict[PurePath, _Known] = {}

    def list(self) -> Steps[None]:
        """Finds out which files count."""
        found = {}
        for folder in self._paths:
            found[folder] = yield from self._listed(folder)
        self.files = chosen(self._paths, found)

    def _listed(self, folder: PurePath) -> Steps[dict[str, Version | None]]:
        try:
            files: dict[str, Version | None] = yield Blocking(str(folder), partial(listed, folder))
        except OSError as error:
            self.unreachable.add(str(folder))
            self._lines.append(f"{folder}:1:1: the folder can not be read: {error.strerror}")
            return {}
        return files

    def pass_over(self, known: Mapping[PurePath, _Known]) -> Steps[None]:
        """Files that are in force and are not among those that count now."""
        for path, each in known.items():
            source = str(path)
            if path not in self.known and source in self._force and folder_of(source) not in self.unreachable:
                self.known[path] = self._folders.absent(path, each)
                yield None
        for source, unit in self._force.items() if self.unreachable else ():
            if folder_of(source) in self.unreachable:
                self.known.setdefault(PurePath(source), _Known(None, b"", attrs.evolve(unit, problems=()), 0.0))
                yield None

    def unreadable(self) -> tuple[Unit, ...]:
        """A unit that only says which folders can not be read."""
        return (Unit(FOLDERS, problems=tuple(self._lines), is_kept=True),) if self._lines else ()
