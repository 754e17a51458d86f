"""Which of the sources that say something else can be believed, beside all others."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Protocol

import attrs

from realmgw.config.document import MOST_OF_ONE, bounded
from realmgw.config.steps import Steps, Turns
from realmgw.subscribers.entry import Entry, shown
from realmgw.subscribers.files.incremental import Unit
from realmgw.subscribers.losses import Loss, doubtful, folder_of
from realmgw.subscribers.model import Directory, Host, Service
from realmgw.subscribers.realm import Realm

AT_ONCE = 64
"""So many hosts are looked at between two steps."""

Claims = tuple[dict[object, str], dict[object, str]]
"""Who claims a name or an address: of the same source, and of those before it that can be believed."""


@attrs.frozen
class Caution:
    """Which losses are not believed."""

    max_loss: float = 0.2
    """The share of all hosts that may go at once; 1: any."""
    accepts_loss: bool = False
    """Somebody has said that losses are meant."""
    is_patient: bool = True
    """What takes something away waits until its source has said the same twice."""


BELIEVING = Caution(1.0, accepts_loss=True, is_patient=False)
"""Everything is believed."""


class Registry(Protocol):
    """What is asked of a `realmgw.subscribers.registry.Registry`."""

    @property
    def directory(self) -> Directory:
        """Hosts and services by what they are found by."""

    @property
    def owners(self) -> Mapping[str, str]: ...
    def services_of(self, name: str) -> tuple[Service, ...]: ...
    def source_of(self, name: str) -> str | None: ...
    def yields(self, name: str) -> bool: ...
    def owner_of(self, claim: bytes | str) -> str | None: ...
    def are_free(self, claims: Collection[bytes | str]) -> bool: ...


class Review:
    """Found out in rounds: whoever is refused takes nothing away.

    Args:
        registry: What is in force.
        realm: What may be said.
        touched: Sources that say something else, as they were and as they are.
        said: What all sources say.

    Attributes:
        refused: Sources that are not believed, with what is wrong.
        waiting: Sources that take something away and have not said it twice.
        behind: Hosts that stay as they were, since what their source says of them now is contradicted, if only by one
            that waits; by that source, with a line for each that says what is wrong.
        gone: Hosts that are not as they were.
        came: Hosts that are told of, with their sources.
    """

    def __init__(
        self, registry: Registry, realm: Realm, touched: Collection[tuple[Unit | None, Unit]], said: Mapping[str, Unit]
    ) -> None:
        self._registry = registry
        self._realm = realm
        self._touched = touched
        self._said = said
        self.refused: dict[str, list[str]] = {}
        self.waiting: dict[str, None] = {}
        self.behind: dict[str, dict[str, str]] = {}
        self.gone: dict[str, None] = {}
        self.came: dict[str, tuple[Entry, str]] = {}

    def decide(self, caution: Caution) -> Steps[None]:
        """Goes on until all that is left can be believed."""
        while True:
            while (yield from self._round()):
                pass
            if caution.is_patient and (yield from self._wait()):
                continue
            if caution.accepts_loss or not (yield from self._doubt(caution.max_loss)):
                return

    def partly(self) -> list[Unit]:
        """Sources that can be believed but for some hosts, with these as they were."""
        found: list[Unit] = []
        for old, new in self._believed():
            behind = self.behind.get(new.source)
            if behind and old is not None:
                tokens = {**new.tokens, **{name: old.tokens[name] for name in behind}}
                lines = bounded([line for name, line in behind.items() if name not in self.gone], MOST_OF_ONE)
                found.append(attrs.evolve(new, tokens=tokens, entries={}, problems=lines, is_kept=bool(lines)))
        return found

    def _believed(self) -> list[tuple[Unit | None, Unit]]:
        left_out = self.refused.keys() | self.waiting.keys()
        return [(old, new) for old, new in self._touched if new.source not in left_out]

    def _round(self) -> Steps[bool]:
        """Go through all that are not refused yet; returns whether one more was, so that all is to be done again."""
        believed = self._believed()
        self.gone, self.came = {}, {}
        for old, new in believed:
            if old is not None and old.tokens is not new.tokens:
                behind = self.behind.get(new.source, ())
                for count, (name, token) in enumerate(old.tokens.items(), 1):
                    if new.tokens.get(name) != token and name not in behind:
                        self.gone[name] = None
                    if not count % (8 * AT_ONCE):
                        yield None
                yield None
        taken: dict[object, str] = {}
        before = self._count_left()
        for old, new in believed:
            if new.tokens is not (old and old.tokens):
                yield from self._claim(old, new, taken)
        return self._count_left() > before

    def _count_left(self) -> int:
        """How many are refused: sources, and hosts of others."""
        return len(self.refused) + sum(map(len, self.behind.values()))

    def _claim(self, old: Unit | None, new: Unit, taken: dict[object, str]) -> Steps[None]:
        there, mine, turns = {} if old is None else old.tokens, dict[object, str](), Turns(4 * AT_ONCE)
        behind = self.behind.get(new.source, {})
        for name, token in new.tokens.items():
            weight = 1
            if there.get(name) != token and name not in behind:
                entry = new.entries[name]
                weight += 4 + len(entry.services or ())
                lines = list(self._contradictions(entry, new, (mine, taken)))
                if lines and name in there and self._may_stay(new):
                    self._leave_behind(entry, new, lines[0], mine)
                else:
                    self._refuse(new, lines)
                    self.came[name] = entry, new.source
            if turns.is_over(weight):
                yield None
        for count, (key, host) in enumerate(() if new.source in self.refused else mine.items(), 1):
            taken[key] = host
            if not count % (8 * AT_ONCE):
                yield None

    def _refuse(self, unit: Unit, found: list[str]) -> None:
        for line in found:
            lines = self.refused.setdefault(unit.source, [])
            if len(lines) <= MOST_OF_ONE:
                lines.append(line)

    def _may_stay(self, unit: Unit) -> bool:
        """Whether hosts of a source may stay as they were beside others that do not: nobody has written it."""
        return unit.yields and self._said.get(unit.source) is unit

    def _leave_behind(self, entry: Entry, unit: Unit, line: str, mine: dict[object, str]) -> None:
        """A host stays as it was, and takes nothing of what it would have."""
        self.behind.setdefault(unit.source, {})[entry.name] = f"{line}; until then this host stays as it was"
        for key in (("host", entry.name), *entry.claims()):
            if mine.get(key) == entry.name:
                del mine[key]

    def _wait(self) -> Steps[bool]:
        """Sources that would take something away, and have not said so twice, wait."""
        unsettled = {new.source for _, new in self._believed() if not new.settled}
        before, turns = len(self.waiting), Turns(4 * AT_ONCE)
        for name in self.gone if unsettled else ():
            source = self._registry.owners[name]
            came = self.came.get(name)
            if source in unsettled and (came is None or self._takes_away(name, came[0])):
                self.waiting[source] = None
            if turns.is_over(4 + len(self._registry.services_of(name))):
                yield None
        return len(self.waiting) > before

    def _takes_away(self, name: str, entry: Entry) -> bool:
        """Whether a host that is told differently loses an address or a name."""
        host = self._registry.directory.hosts[self._registry.directory.indices.by_name[name]]
        there = {*addresses_of(host), *(service.name for service in self._registry.services_of(name))}
        return not there <= set(entry.claims())

    def _doubt(self, share: float) -> Steps[bool]:
        """Sources that would lose too much are refused."""
        lost: dict[str, int] = {}
        for count, name in enumerate(self.gone, 1):
            if name not in self.came:
                source = self._registry.owners[name]
                lost[source] = lost.get(source, 0) + 1
            if not count % (8 * AT_ONCE):
                yield None
        folders: set[str] = set()
        for count, unit in enumerate(self._said.values() if lost else (), 1):
            if not unit.is_gone:
                folders.add(folder_of(unit.source))
            if not count % (8 * AT_ONCE):
                yield None
        losses = [
            Loss(new.source, len(old.tokens) if old else 0, lost[new.source], len(new.tokens), new.is_gone)
            for old, new in self._believed()
            if new.source in lost and not new.yields
        ]
        found = dict(doubtful(losses, len(self._registry.directory.hosts), share, folders))
        self.refused.update((source, [line]) for source, line in found.items())
        return bool(found)

    def _contradictions(self, entry: Entry, unit: Unit, taken: Claims) -> Iterator[str]:
        """What is wrong with an entry beside all others, a line each; what it claims is taken from now on."""
        if not self._is_alone(entry, taken):
            yield from self._collisions(entry, unit, taken)
        yield from (f"{unit.place(entry.name)}: {refusal}" for refusal in self._realm.contradictions(entry))
        at = entry.groups_at
        yield from (f"{unit.place(entry.name, at)}: {refusal}" for refusal in self._realm.unknown_groups(entry.profile))

    def _is_alone(self, entry: Entry, taken: Claims) -> bool:
        """Whether nobody claims anything of what an entry does, as nearly always; then that is taken."""
        claims, (mine, others) = entry.claims(), taken
        wanted: dict[object, str] = dict.fromkeys((("host", entry.name), *claims), entry.name)
        if len(wanted) <= len(claims) or not mine.keys().isdisjoint(wanted) or not others.keys().isdisjoint(wanted):
            return False
        if entry.name in self._registry.owners or not self._registry.are_free(claims):
            return False
        mine.update(wanted)
        return True

    def _collisions(self, entry: Entry, unit: Unit, taken: Claims) -> Iterator[str]:
        """What others have already; who is only registered yields it to those whom somebody has written."""
        registry, (mine, others), place = self._registry, taken, unit.place(entry.name)
        claims: list[tuple[object, str, str | None]] = [
            (("host", entry.name), "this host", entry.name if registry.source_of(entry.name) else None),
            *((claim, shown(claim), registry.owner_of(claim)) for claim in entry.claims()),
        ]
        for key, what, owner in claims:
            if owner is not None and owner not in self.gone and not unit.yields and registry.yields(owner):
                self.gone[owner] = None
            is_free = owner is None or (owner in self.gone and not self._stays(owner, key, entry, unit))
            other = mine.get(key) or others.get(key) or (None if is_free else owner)
            if other is not None:
                yield f"{place}: {what} belongs to {other} of {self._where(other)} already: remove one of them"
            mine[key] = entry.name

    def _stays(self, owner: str, key: object, entry: Entry, unit: Unit) -> bool:
        """Whether something is another host's, and will be, in a source of which hosts may stay as they were."""
        other = None if owner == entry.name or not self._may_stay(unit) else unit.entries.get(owner)
        return other is not None and key in other.claims()

    def _where(self, host: str) -> str:
        came = self.came.get(host)
        return came[1] if came is not None else self._registry.source_of(host) or "this file"


def addresses_of(host: Host) -> tuple[bytes, ...]:
    """Every private address of a host, packed; flows are translated to the first one of their family."""
    return (*host.own, *host.identity.addresses)
