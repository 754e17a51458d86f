"""Repositories, one interface whatever is behind; and what keeps what is in force. Edge: the reactor's timers."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Any, Protocol

from twisted.application.service import Service
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from realmgw.errors import PlatformError
from realmgw.subscribers.files.disk import Good
from realmgw.subscribers.files.incremental import Unit
from realmgw.subscribers.remote.snapshot import Snapshot

KEEP_TIME = 600.0  # seconds
"""How long it may take to keep all that is in force."""
KEEP_INTERVAL = 10.0  # seconds
"""How often it is looked whether what is in force has changed, so that it is to be kept for the next start."""

_log = Logger()


class Repository(Protocol):
    """Where subscribers and policies come from. Never asked on the hot path."""

    def recalled(self) -> Deferred[Snapshot]:
        """Reads what was in force in an earlier life of the program; to be called once, before `watch`.

        Returns:
            Fires with that, or with `NOTHING`. It does not fail: what can not be read is told as a fault.
        """

    def watch(self, changed: Callable[[Snapshot], None]) -> None:
        """Begins to ask what there is, and for changes; ends with `unwatch`. One watcher at a time.

        Args:
            changed: Called with each snapshot that differs from the one before, in which what did not change is the
                same object as in the one in force. What it raises is logged.
        """

    def accept(self, snapshot: Snapshot) -> None:
        """What the watcher was told is in force; until then the one before is what a next life begins with.

        Args:
            snapshot: It; nothing happens if it is not the one that was told last.
        """

    def report(self) -> dict[str, Any]:
        """How it is, for `status`: plain values."""

    def unwatch(self) -> Deferred[None]:
        """Ends looking for changes; does nothing when nobody looks.

        Returns:
            Fires when all is at rest.
        """


def in_force(units: Mapping[str, Unit]) -> dict[str, Good]:
    """What is in force of each file, of what every source says."""
    return {source: Good(unit.digest, len(unit.tokens)) for source, unit in units.items() if unit.digest}


class LastGoodService(Service):
    """Keeps what is in force for the next start, some time after it has changed.

    Args:
        units: What is in force of every source (`Registry.units`): another object when anything has changed.
        keep: Keeps it (`LastGood.keep`), in a thread.
        tell: Called with what is wrong, in lines.
        clock: The reactor.
    """

    name = "last good"

    def __init__(
        self,
        units: Callable[[], Mapping[str, Unit]],
        keep: Callable[[Mapping[str, Good]], Deferred[int]],
        tell: Callable[[tuple[str, ...]], object],
        clock: IReactorTime,
    ) -> None:
        self._units = units
        self._keep = keep
        self._tell = tell
        self._kept: object = None
        self._loop = LoopingCall(self._look)
        self._loop.clock = clock

    def startService(self) -> None:
        super().startService()  # type: ignore[no-untyped-call]  # Twisted does not say
        self._loop.start(KEEP_INTERVAL, now=True)

    def stopService(self) -> None:
        """What was not kept is not: the next start has what was before."""
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted does not say
        if self._loop.running:
            self._loop.stop()

    @inlineCallbacks
    def _look(self) -> Generator[Deferred[Any], Any, None]:
        units = self._units()
        if units is self._kept:
            return
        try:
            left = yield self._keep(in_force(units))
            self._kept = units if not left else None
            self._tell(())
        except (PlatformError, OSError) as error:
            self._tell((f"what is in force is not kept for the next start: {error}",))
        except Exception:  # noqa: BLE001 - whatever it is: it is tried again
            _log.failure("fault while keeping subscribers")
