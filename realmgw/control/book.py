"""Reputations as rows of a file: what changed since it was last written, and what was forgotten on purpose."""

from __future__ import annotations

from realmgw.allocation.askers import Askers
from realmgw.allocation.group import Group
from realmgw.allocation.requestors import Requestor


class ReputationBook:
    """What is to be kept of all who are known.

    Args:
        askers: They.
    """

    def __init__(self, askers: Askers) -> None:
        self._askers = askers
        self._gone: set[str] = set()

    def note(self, known: Group | Requestor) -> None:
        """Somebody's reputation is different, though no claim of his ended."""
        self._askers.journal.note(known)

    def forget(self, known: Group | Requestor) -> None:
        """Keep somebody no more."""
        self._askers.journal.forget(known)
        self._gone |= keys(known)

    def gone(self) -> set[str]:
        """The keys of what was forgotten on purpose since it was last asked for."""
        gone, self._gone = self._gone, set()
        return gone


def keys(known: Group | Requestor) -> set[str]:
    """The keys of all rows that somebody may have."""
    return set(known.nodes) if isinstance(known, Group) else {f"client {known.key}"}
