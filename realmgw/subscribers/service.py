"""Repositories: where subscribers come from. One interface, whatever is behind it; here the folders of files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from twisted.internet.defer import Deferred

from realmgw.subscribers.snapshot import Snapshot


class Repository(Protocol):
    """Where subscribers and policies come from. Never asked on the hot path."""

    def snapshot(self) -> Deferred[Snapshot]:
        """Reads what there is now.

        Returns:
            Fires with a snapshot, in which what did not change is the same object as in the one before. It does not
            fail: what can not be read or reached is told in the snapshot's problems, and the last good one is given.
        """

    def watch(self, changed: Callable[[Snapshot], None]) -> None:
        """Begins to look for changes by itself; ends with `unwatch`. One watcher at a time.

        Args:
            changed: Called with each snapshot that differs from the one before. What it raises is logged.
        """

    def unwatch(self) -> Deferred[None]:
        """Ends looking for changes; does nothing when nobody looks.

        Returns:
            Fires when all is at rest.
        """
