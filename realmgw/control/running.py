"""What runs, and what would be different: settings, subscribers, and where both are read. Edge: files, the reactor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import attrs
from twisted.internet.defer import Deferred, succeed

from realmgw import config
from realmgw.config.settings import Settings
from realmgw.config.steps import Blocking, Steps, finish, now
from realmgw.config.unsupported import OF_SUBSCRIBERS
from realmgw.errors import RealmGatewayError
from realmgw.subscribers.families import unanswered
from realmgw.subscribers.files.disk import Good
from realmgw.subscribers.files.folders import Folders
from realmgw.subscribers.files.incremental import Unit
from realmgw.subscribers.leases.hosts import SOURCE, restated
from realmgw.subscribers.losses import Loss, doubtful, folder_of
from realmgw.subscribers.model import USUAL, Directory
from realmgw.subscribers.reach import NOWHERE, Around
from realmgw.subscribers.realm import Realm
from realmgw.subscribers.registry import Changes, Registry
from realmgw.subscribers.remote.realm_filter import Filtered, filtering
from realmgw.subscribers.remote.snapshot import Snapshot, another_line, is_another, same_content
from realmgw.subscribers.review import Caution

T = TypeVar("T")

BATCH = 2000
"""At the start so many subscribers are read before they are made into hosts, which takes less memory."""


@attrs.frozen(eq=False)
class Written:
    """What the files and repositories say."""

    settings: Settings
    """The main file."""
    changes: Changes
    """What becomes of the subscribers."""
    filtered: Mapping[str, Filtered]
    """What of the repositories can be used."""
    secrets: config.Secrets = config.NO_SECRETS
    """Of files that only the gateway may read."""


@attrs.define(eq=False)
class Running:
    """The running state, but for what changes with every packet."""

    path: Path
    """The main file."""
    settings: Settings
    """In force."""
    folders: Folders
    """Where the subscriber files are read."""
    registry: Registry = attrs.Factory(Registry)
    """The subscribers in force."""
    repositories: dict[str, Snapshot] = attrs.Factory(dict)
    """What was last heard of each repository, by its name."""
    filtered: Mapping[str, Filtered] = attrs.Factory(dict)
    """What of them is in force, by the repository's name."""
    around: Around = NOWHERE
    """What is around the gateway, as it was at the start."""
    trusted: dict[str, Snapshot] = attrs.Factory(dict)
    """What was believed last of each repository, here or in an earlier life."""
    believe: Callable[[Snapshot], object] = lambda _snapshot: None
    """Told of what a repository has said, when that is in force."""
    settled: Callable[[Changes], Deferred[None]] = lambda _changes: succeed(None)
    """Told of a reload that is in force; nothing else is changed before it fires."""
    problems: tuple[str, ...] = ()
    """Why the main file as it is written is not in force; empty when it is."""

    def heard(self, name: str, snapshot: Snapshot) -> None:
        """Notes what a repository says. What it says first is believed: nothing is lost by it."""
        self.trusted.setdefault(name, snapshot)
        self.repositories[name] = snapshot

    @property
    def doubted(self) -> tuple[str, ...]:
        """Of which repositories it is not believed that they are the same as before, a line each."""
        said = ((name, self.trusted[name], snapshot) for name, snapshot in self.repositories.items())
        return tuple(another_line(*each) for each in said if is_another(*each[1:]))

    def in_force(self) -> list[Snapshot]:
        """What repositories have said last, as far as it is in force now; it is believed from now on."""
        now: list[Snapshot] = []
        for name, snapshot in self.repositories.items():
            filtered, unit = self.filtered.get(name), self.registry.units.get(name)
            is_it = filtered is not None and filtered.snapshot is snapshot
            if is_it and filtered and unit and unit.tokens is filtered.unit.tokens:  # else it was refused
                self.trusted[name] = snapshot
                now.append(snapshot)
        return now

    def written(self, main: config.Written, *, accepts_loss: bool = False, is_patient: bool = True) -> Steps[Written]:
        """Reads what is written now, and compares it; nothing is done. One at a time, and not beside a commit.

        Args:
            main: What the main file says now.
            accepts_loss: Somebody has said that hosts may go, however many they are, and that a repository may have
                become another one.
            is_patient: What takes hosts away waits until it was read twice.

        Raises:
            RealmGatewayError: There are more hosts than indices.
        """
        settings = main.settings
        units = yield from self.folders.units(settings.subscribers, self.registry.units)
        realm, filtered = (yield from Realm.of(settings, self.around)), dict[str, Filtered]()
        for name, snapshot in tuple(self.repositories.items()):
            believed = snapshot if accepts_loss else self._believed(name, snapshot)
            filtered[name] = yield from filtering(name, believed, realm, self.filtered.get(name))
            units.append(filtered[name].unit)
        if SOURCE in self.registry.units:
            units.append((yield from restated(self.registry.units[SOURCE], self.settings, settings)))
        caution = Caution(settings.reload.max_loss, accepts_loss=accepts_loss, is_patient=is_patient)
        changes = yield from self.registry.changes(units, realm, caution)
        return Written(settings, changes, filtered, main.secrets)

    def commit(self, written: Written) -> Steps[None]:
        """What is written is in force from now on."""
        yield from self.registry.commit(written.changes)
        self.settings, self.filtered, self.problems = written.settings, written.filtered, ()

    def _believed(self, name: str, snapshot: Snapshot) -> Snapshot:
        """What a repository says, unless it has become another one: then what it said before."""
        trusted = self.trusted[name]
        if not is_another(trusted, snapshot):
            return snapshot
        former = self.filtered.get(name)
        doubted = attrs.evolve(trusted, problems=(another_line(name, trusted, snapshot), *trusted.problems))
        is_known = former is not None and same_content(former.snapshot, doubted)
        return former.snapshot if former is not None and is_known else doubted

    def begin(self, kept: Mapping[str, Good] | None = None, do: Callable[[Blocking], Any] = now) -> None:
        """Reads the subscribers for the first time; takes its time.

        Args:
            kept: What was in force in an earlier life of the program, by the files' names.
            do: Makes the calls that may block.

        Raises:
            RealmGatewayError: There are more hosts than indices.
        """
        units: dict[str, Unit] = {}
        waiting = 0

        def consume(unit: Unit) -> Steps[None]:
            nonlocal waiting
            units[unit.source] = unit
            waiting += len(unit.entries)
            if waiting >= max(BATCH, len(units) // 8):  # a commit takes its time for each unit, too
                self._commit(units.values())
                waiting = 0
            yield None

        finish(self.folders.each(self.settings.subscribers, consume), do)
        self._commit(units.values())
        restored = finish(self._restored(units, kept or {}), do)
        if restored:
            self._commit({**units, **restored}.values())
            self.folders.put_back(restored.values())

    def _restored(self, units: Mapping[str, Unit], kept: Mapping[str, Good]) -> Steps[dict[str, Unit]]:
        """Sources that have lost more than is believed since they were in force last: they say what they said then."""
        owners = set(self.registry.owners)
        losses = []
        for source, good in kept.items():
            unit = units.get(source, Unit(source, is_gone=True))
            if unit.digest != good.digest and len(unit.tokens) < good.hosts and not unit.problems:
                losses.append(Loss(source, good.hosts, good.hosts - len(unit.tokens), len(unit.tokens), unit.is_gone))
        hosts = max(len(owners), sum(good.hosts for good in kept.values()))
        folders = {folder_of(source) for source in units}
        lines = {source: () for source in kept if folder_of(source) in self.folders.unreachable}
        doubts = doubtful(losses, hosts, self.settings.reload.max_loss, folders)
        restored: dict[str, Unit] = {}
        for source, told in {**{source: (line,) for source, line in doubts}, **lines}.items():
            former = yield from self.folders.restored(source)
            if former is not None and not former.tokens.keys() <= owners:
                restored[source] = attrs.evolve(former, problems=told, is_kept=True)
        return restored

    def _commit(self, units: Iterable[Unit]) -> None:
        changes = finish(self.registry.changes(units, finish(Realm.of(self.settings, self.around))))
        finish(self.registry.commit(changes))


def unsupported_of(settings: Settings, directory: Directory) -> tuple[str, ...]:
    """What is written by a former name, has no effect yet, or leaves hosts without an answer, in lines."""
    hosts = {
        word: {host.name for host in directory.hosts.values() if getattr(host.profile, word) != getattr(USUAL, word)}
        for word in OF_SUBSCRIBERS
    }
    hosts["carriergrade"] |= {each.host.name for each in directory.services.values() if each.terms.carriergrade}
    counts = {word: len(names) for word, names in hosts.items()}
    unsupported = (config.unsupported_keys(settings), config.unsupported_of_subscribers(counts))
    without = unanswered(directory.hosts.values(), settings.pools, settings.ipv6)
    return (*settings.outdated, *filter(None, unsupported), *without)


def sparing(steps: Steps[T]) -> Steps[T]:
    """Steps that only find out: when the memory does not suffice for them, all is as it was, and goes on."""
    try:
        return (yield from steps)
    except MemoryError:
        raise RealmGatewayError("there is not enough memory for what is written: nothing was changed") from None
