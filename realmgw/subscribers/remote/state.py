"""What is known here of a repository elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from realmgw.errors import MalformedError
from realmgw.subscribers import exchange
from realmgw.subscribers.entry import Entry
from realmgw.subscribers.exchange import Document, Kind
from realmgw.subscribers.fastpath.by_shape import ByShapeReader
from realmgw.subscribers.remote.snapshot import NOTHING, Snapshot, following


@attrs.frozen(eq=False)
class RemoteState:
    """The state of a repository as it was last told. Which of it a gateway can use is for its `Realm` to say."""

    place: str
    """The repository's URL, for messages."""
    snapshot: Snapshot = NOTHING
    """What there is; and at which version."""
    refused: Mapping[tuple[Kind, str], tuple[str, ...]] = attrs.Factory(dict)
    """Documents that can not be used, each with its problems."""

    def amended(self, lines: Iterable[bytes]) -> RemoteState:
        """The state after documents for exchange; a document that can not be used is a problem of its own.

        Args:
            lines: Everything, or what changed since this state.

        Raises:
            MalformedError: They are no such lines, or lead from another version.
        """
        head, stream = exchange.lines(lines)
        if head.since is None:
            new = _Amendment(self.place)
        elif head.since == self.snapshot.version:
            new = _Amendment(self.place, self)
        else:
            raise MalformedError(f"{self.place} tells what changed since {head.since}, which was not asked")
        for each in stream:
            new.take(each)
        snapshot = new.snapshot(head.version, head.identity)
        return attrs.evolve(
            self,
            snapshot=following(self.snapshot, snapshot) if head.since is None else snapshot,
            refused=new.refused,
        )


class _Amendment:
    """A new state while it is put together."""

    def __init__(self, place: str, former: RemoteState | None = None) -> None:
        self._place = place
        self._by_shape = ByShapeReader()
        self._entries: dict[str, Entry] = dict(former.snapshot.entries) if former else {}
        self._policies: dict[str, object] = dict(former.snapshot.policies) if former else {}
        self.refused: dict[tuple[Kind, str], tuple[str, ...]] = dict(former.refused) if former else {}

    def take(self, document: Document) -> None:
        kind, name, value = document.kind, document.name, document.value
        self.refused.pop((kind, name), None)
        (self._entries if kind is Kind.SUBSCRIBER else self._policies).pop(name, None)
        if value is None:
            return
        if kind is Kind.SUBSCRIBER:
            entry, faults = exchange.subscriber(name, value, self._by_shape)
            if entry is not None:
                self._entries[name] = entry
        else:
            faults = exchange.policy(value)
            if not faults:
                self._policies[name] = value
        if faults:
            place = place_of(self._place, kind, name)
            self.refused[kind, name] = tuple(f"{place}: {fault.pointer or '/'}: {fault.text}" for fault in faults)

    def snapshot(self, version: str, identity: str) -> Snapshot:
        problems = tuple(line for lines in self.refused.values() for line in lines)
        return Snapshot(version, self._entries, self._policies, problems, identity)


def place_of(repository: str, kind: Kind, name: str) -> str:
    """Where a document is, for messages.

    Args:
        repository: Its repository's URL.
        kind: What it is.
        name: Its name.
    """
    return f"{repository}/v1/{kind.value}/{name}"
