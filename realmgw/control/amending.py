"""Puts a few hosts in force while the gateway runs, in no time that grows with all of them.

What a reload does (`realmgw.control.apply`) for all that is written, this does for what is found out already: the
kernel is changed, then names are, and last the flows end of those who are gone.

Edge: Deferreds.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.logger import Logger

from realmgw.config.steps import Steps
from realmgw.control.apply import Parts, Reloader
from realmgw.control.leaving import ending, forgetting
from realmgw.control.running import sparing
from realmgw.errors import RealmGatewayError
from realmgw.subscribers.entry import Entry
from realmgw.subscribers.registry import Changes

_log = Logger()

T = TypeVar("T")


class Amending:
    """See `realmgw.subscribers.leases.service.InForce`.

    Args:
        reloader: Beside which nothing is changed, and whose parts are.
        parts: These.
        monotonic: The present, in seconds.
    """

    def __init__(self, reloader: Reloader, parts: Parts, monotonic: Callable[[], float]) -> None:
        self._reloader = reloader
        self._parts = parts
        self._monotonic = monotonic

    def exclusively(self, doing: Callable[[], Deferred[None]]) -> Deferred[None]:
        """See `Reloader.exclusively`."""
        return self._reloader.exclusively(doing)

    def drive(self, steps: Steps[T]) -> Deferred[T]:
        """See `Reloader.drive`."""
        return self._reloader.drive(steps)

    def changes(self, source: str, now: Mapping[str, Entry | None]) -> Deferred[Changes]:
        """See `Registry.amending`; fails as that raises. To be called exclusively, as what follows."""
        return self._reloader.drive(sparing(self._reloader.running.registry.amending(source, now)))

    @inlineCallbacks
    def put(self, changes: Changes, *, soon: bool = True) -> Generator[Deferred[Any], Any, None]:
        """Make changes true.

        Args:
            changes: They.
            soon: Flows of those who are gone may end a moment later, with those of others; nobody waits for it.

        Returns:
            Fires when they are, and flows have ended that are to end at once; where the kernel refuses that, it is
            logged. It fails with `RealmGatewayError` when the kernel or the names refuse, and with whatever a fault of
            ours raises; then the kernel is as it was.
        """
        reloader, parts, settings = self._reloader, self._parts, self._reloader.running.settings
        if reloader.closed:
            raise RealmGatewayError(reloader.closed)
        names = yield reloader.drive(sparing(parts.names.naming(changes)))
        gone, came = changes.hosts
        yield parts.datapath.change(settings, gone, came)
        try:
            yield reloader.drive(self._commit(changes, names))
        except Exception:
            yield parts.datapath.change(settings, came, gone)
            raise
        try:
            yield from ending(parts.allocator, parts.datapath, changes, self._monotonic, parts.welcome, soon=soon)
        except RealmGatewayError as error:  # they are in force all the same
            _log.warn("flows of hosts that are gone could not be ended: {error}", error=error)

    def _commit(self, changes: Changes, names: Any) -> Steps[None]:
        yield from forgetting(self._parts.allocator, changes, self._monotonic)
        yield from self._parts.names.amending(names)
        yield from self._reloader.running.registry.commit(changes)
