"""Services in order: each starts when the one before runs, and stops after those behind. Edge: the reactor."""

# mypy: disable-error-code="no-untyped-call"
# (Twisted's services have no types.)

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from twisted.application.service import IService, MultiService, Service
from twisted.internet.defer import Deferred, DeferredLock, inlineCallbacks, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

_log = Logger()


class OrderedService(MultiService):
    """A service of services that waits for them.

    A plain `MultiService` starts all at once, waits for none, and leaves the first ones running when a later one
    fails. Here the order in which the services were added is the order of starting, and its reverse that of stopping.

    Args:
        started: Called when all of them run.
        failed: Called when one could not be started, after those before it have stopped again.
        stopped: Called when all of them had run, and have stopped.

    Attributes:
        log: What writes the process's log, a `realmgw.log.port.Log`; None: twistd's own does.
    """

    log: Any = None

    def __init__(
        self,
        started: Callable[[], None],
        failed: Callable[[Failure], None],
        stopped: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__()
        self._report_started = started
        self._report_failed = failed
        self._report_stopped = stopped
        self._whole = False
        self._lock = DeferredLock()
        self._up: list[IService] = []

    def setServiceParent(self, parent: Any) -> None:
        """Become part of an application; twistd finds the log there."""
        if self.log is not None:
            self.log.join(parent)
        super().setServiceParent(parent)

    def startService(self) -> Deferred[None]:
        """Start all, one after the other.

        Returns:
            Fires when all run, or when one has failed and the others are stopped; it never fails itself.
        """
        Service.startService(self)
        done: Deferred[None] = self._lock.run(self._start_all)
        return done

    def stopService(self) -> Deferred[None]:
        """Stop what runs, in reverse, when a start that is under way has come to its end.

        Returns:
            Fires when all have stopped; what one raises is logged, and the next is stopped all the same.
        """
        Service.stopService(self)
        done: Deferred[None] = self._lock.run(self._stop)
        return done

    @inlineCallbacks
    def _start_all(self) -> Generator[Deferred[Any], Any, None]:
        for each in self.services:
            if not self.running:
                return
            try:
                yield maybeDeferred(each.startService)
            except Exception:  # noqa: BLE001 - whatever it is: what was started is stopped, and it is reported
                failure = Failure()
                yield self._stop_all()
                self._report_failed(failure)
                return
            self._up.append(each)
        self._whole = True
        self._report_started()

    @inlineCallbacks
    def _stop(self) -> Generator[Deferred[Any], Any, None]:
        yield self._stop_all()
        if self._whole:
            self._whole = False
            self._report_stopped()

    @inlineCallbacks
    def _stop_all(self) -> Generator[Deferred[Any], Any, None]:
        while self._up:
            each = self._up.pop()
            try:
                yield maybeDeferred(each.stopService)
            except Exception:  # noqa: BLE001 - the others must still be stopped
                _log.failure("service {name} did not stop properly", name=each.name)
