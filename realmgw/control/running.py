"""What runs, and how to find out what would be different: the settings, the subscribers, and where both are read."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import TypeVar

import attrs

from realmgw import config
from realmgw.config.settings import Settings
from realmgw.subscribers import recall
from realmgw.subscribers.collection import Realm
from realmgw.subscribers.folders import Folders
from realmgw.subscribers.model import Directory
from realmgw.subscribers.pieces import Unit
from realmgw.subscribers.reach import NOWHERE, Around
from realmgw.subscribers.register import Changes, Register
from realmgw.subscribers.selection import Selection, selecting
from realmgw.subscribers.snapshot import Snapshot, another_line, is_another, same_content

BATCH = 2000
"""At the start so many subscribers are read before they are made into hosts, which takes less memory."""

T = TypeVar("T")


@attrs.frozen(eq=False)
class Written:
    """What the files and repositories say."""

    settings: Settings
    """The main file."""
    changes: Changes
    """What becomes of the subscribers."""
    secrets: tuple[bytes, ...] = ()
    """Of DNS cookies, shared with other servers."""


@attrs.define(eq=False)
class Running:
    """The running state, but for what changes with every packet."""

    path: Path
    """The main file."""
    settings: Settings
    """In force."""
    folders: Folders
    """Where the subscriber files are read."""
    register: Register = attrs.Factory(Register)
    """The subscribers in force."""
    repositories: dict[str, Snapshot] = attrs.Factory(dict)
    """What was last heard of each repository, by its name."""
    selected: dict[str, Selection] = attrs.Factory(dict)
    """What of that can be used, by the repository's name."""
    around: Around = NOWHERE
    """What is around the gateway, as it was at the start."""
    trusted: dict[str, Snapshot] = attrs.Factory(dict)
    """What was believed last of each repository, here or in an earlier life."""
    believe: Callable[[Snapshot], object] = lambda _snapshot: None
    """Told of what a repository has said, when that is in force."""
    problems: tuple[str, ...] = ()
    """Why the main file as it is written is not in force; empty when it is."""

    def heard(self, name: str, snapshot: Snapshot) -> None:
        """Notes what a repository says. What it says first is believed: nothing is lost by it."""
        self.trusted.setdefault(name, snapshot)
        self.repositories[name] = snapshot

    def in_force(self) -> list[Snapshot]:
        """What repositories have said last, as far as it is in force now; it is believed from now on."""
        now: list[Snapshot] = []
        for name, snapshot in self.repositories.items():
            selection, unit = self.selected.get(name), self.register.units.get(name)
            is_it = selection is not None and selection.snapshot is snapshot
            if is_it and selection and unit and unit.tokens is selection.unit.tokens:  # else it was refused
                self.trusted[name] = snapshot
                now.append(snapshot)
        return now

    def written(self, main: config.Written, *, accepts_loss: bool = False) -> Generator[None, None, Written]:
        """Reads what is written now, and compares it; nothing is done. Yields every now and then.

        Args:
            main: What the main file says now.
            accepts_loss: A repository may have become another one.

        Raises:
            RealmGatewayError: There are more hosts than indices.
        """
        settings = main.settings
        units = yield from self.folders.units(settings.subscribers)
        realm = Realm.of(settings, self.around)
        for name, snapshot in tuple(self.repositories.items()):
            believed = snapshot if accepts_loss else self._believed(name, snapshot)
            self.selected[name] = yield from selecting(name, believed, realm, self.selected.get(name))
            units.append(self.selected[name].unit)
        changes = yield from self.register.changes(units, realm)
        return Written(settings, changes, main.secrets)

    def _believed(self, name: str, snapshot: Snapshot) -> Snapshot:
        """What a repository says, unless it has become another one: then what it said before."""
        trusted = self.trusted[name]
        if not is_another(trusted, snapshot):
            return snapshot
        former = self.selected.get(name)
        doubted = attrs.evolve(trusted, problems=(another_line(name, trusted, snapshot), *trusted.problems))
        is_known = former is not None and same_content(former.snapshot, doubted)
        return former.snapshot if former is not None and is_known else doubted

    def begin(self) -> None:
        """Reads the subscribers for the first time; takes its time.

        Raises:
            RealmGatewayError: There are more hosts than indices.
        """
        units: list[Unit] = []
        waiting = 0
        for unit in self.folders.each(self.settings.subscribers):
            units.append(unit)
            waiting += len(unit.entries)
            if waiting >= max(BATCH, len(units) // 8):  # a commit takes its time for each unit, too
                self._commit(units)
                waiting = 0
        self._commit(units)

    def recalled(self) -> Generator[None, None, bytes | None]:
        """What `recall.write` shall keep of the present moment; None when that passes before all is put together."""
        return (yield from recall.written(self.register, self.folders.versions))

    def _commit(self, units: Iterable[Unit]) -> None:
        changes = finish(self.register.changes(units, Realm.of(self.settings, self.around)))
        finish(self.register.commit(changes))


def notes_of(settings: Settings, directory: Directory) -> tuple[str, ...]:
    """What is written and has no effect yet, in lines."""
    hosts = directory.hosts.values()
    counts = {
        "firewall": sum(bool(host.firewall.admin or host.firewall.user) for host in hosts),
        "carriergrade": sum(bool(host.carriergrade) for host in hosts),
    }
    return tuple(filter(None, (config.note(settings), config.note_of_subscribers(counts))))


def finish(steps: Generator[None, None, T]) -> T:
    """Goes through all steps at once, and returns what comes out."""
    try:
        while True:
            next(steps)
    except StopIteration as end:
        result: T = end.value
        return result
