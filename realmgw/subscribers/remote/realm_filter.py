"""Which subscribers of a repository a gateway can use: a repository does not know the gateways that ask it."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from realmgw.config.steps import Steps, Turns
from realmgw.subscribers.entry import Entry
from realmgw.subscribers.exchange import Kind
from realmgw.subscribers.files.incremental import Unit
from realmgw.subscribers.realm import Realm
from realmgw.subscribers.remote.snapshot import Snapshot
from realmgw.subscribers.remote.state import place_of

AT_ONCE = 256
"""So many services are looked at between two yields; a subscriber counts as four more."""


@attrs.frozen(eq=False)
class Filtered:
    """What of a snapshot can be used."""

    snapshot: Snapshot
    """It."""
    realm: Realm
    """By which that was found out."""
    refused: Mapping[str, tuple[str, ...]]
    """Names of the others, each with its problems."""
    unit: Unit
    """What is left, and every problem: also those of the snapshot."""


def filtering(repository: str, snapshot: Snapshot, realm: Realm, former: Filtered | None) -> Steps[Filtered]:
    """Chooses what can be used of a snapshot; what contradicts the realm is left out by itself.

    What could be used before stays when only the realm has changed: the registry tells what is wrong with it.

    Args:
        repository: Its URL.
        snapshot: What it says.
        realm: What subscribers may say.
        former: What was chosen the last time; None: there was no such time.
    """
    if former is not None and former.snapshot is snapshot and former.realm == realm:
        return former
    refused: dict[str, tuple[str, ...]] = {}
    turns = Turns(AT_ONCE)
    for name, entry in snapshot.entries.items():
        lines = _lines(repository, entry, realm, former)
        if lines:
            refused[name] = lines
        if turns.is_over(4 + len(entry.services or ())):
            yield None
    said = snapshot.entries
    if refused:
        said = {name: entry for name, entry in said.items() if name not in refused}
    problems = (*snapshot.problems, *(line for lines in refused.values() for line in lines))
    return Filtered(snapshot, realm, refused, Unit(repository, said, said, problems, is_kept=bool(snapshot.problems)))


def _lines(repository: str, entry: Entry, realm: Realm, former: Filtered | None) -> tuple[str, ...]:
    if former is not None and former.snapshot.entries.get(entry.name) is entry:
        known = former.refused.get(entry.name, ())
        if not known or former.realm == realm:
            return known
    place = place_of(repository, Kind.SUBSCRIBER, entry.name)
    wrong = (f"{place}: /: {refusal}" for refusal in realm.contradictions(entry))
    return (*wrong, *(f"{place}: /groups: {refusal}" for refusal in realm.unknown_groups(entry.profile)))
