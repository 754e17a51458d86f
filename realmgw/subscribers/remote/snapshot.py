"""What a repository says at one moment, as a value, and whether two of them say the same."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from realmgw.subscribers.entry import Entry


@attrs.frozen(eq=False)
class Snapshot:
    """The subscribers and policies of a repository at one moment. What it holds is never changed.

    Of two snapshots of one repository, what did not change is the same object in both.
    """

    version: str
    """Equal only for equal content, within one repository."""
    entries: Mapping[str, Entry] = attrs.Factory(dict)
    """Subscribers by the names of their hosts, each checked by itself, in the order in which they count."""
    policies: Mapping[str, object] = attrs.Factory(dict)
    """Policies by their names: JSON values."""
    problems: tuple[str, ...] = ()
    """What is not in here, and why; each `place: what, and what to write instead`."""
    identity: str = ""
    """Of the repository: another one has another. Empty when it does not say."""


NOTHING = Snapshot("")
"""What is known before anything was read."""


def says_else(old: Snapshot, new: Snapshot) -> bool:
    """Whether another host or policy is in one than in the other; a few milliseconds for a hundred thousand hosts.

    Args:
        old: The earlier one.
        new: The later one, in which what did not change is the same object; else it counts as changed.
    """
    before, after = old.entries, new.entries
    if len(before) != len(after) or old.policies != new.policies:
        return True
    return any(before.get(name) is not entry for name, entry in after.items())


def makes_a_difference(former: Snapshot, new: Snapshot) -> bool:
    """Whether anybody needs to know that there is a new snapshot."""
    return (
        former is NOTHING
        or new.identity != former.identity
        or new.problems != former.problems
        or says_else(former, new)
    )


def following(former: Snapshot, new: Snapshot) -> Snapshot:
    """The new snapshot, with the former's objects for what says the same: after everything was read again."""
    kept = {name: _same(former.entries.get(name), entry) for name, entry in new.entries.items()}
    return attrs.evolve(new, entries=kept)


def _same(former: Entry | None, entry: Entry) -> Entry:
    same = former is not None and attrs.astuple(former, recurse=False) == attrs.astuple(entry, recurse=False)
    return former if former is not None and same else entry


def is_another(former: Snapshot, new: Snapshot) -> bool:
    """Whether the new snapshot is that of another repository than the former one."""
    return former.identity not in ("", new.identity)


def another_line(place: str, former: Snapshot, new: Snapshot) -> str:
    """Why a snapshot of another repository is not believed, and what to do.

    Args:
        place: The repository's URL.
        former: What is in force.
        new: What it says now.
    """
    return (
        f"{place}: it has become another repository ({new.identity or 'without identity'}, not {former.identity}), with"
        f" {len(new.entries)} hosts: the {len(former.entries)} hosts of the former one stay;"
        " `realmgw reload --accept-loss` takes it as it is"
    )


def same_content(one: Snapshot, other: Snapshot) -> bool:
    """Whether two snapshots hold the same objects and tell the same problems."""
    return one.entries is other.entries and one.problems == other.problems
