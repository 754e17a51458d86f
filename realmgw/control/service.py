"""Services in order: each starts when the one before runs, and stops after those behind. Edge: signals, the reactor."""

from __future__ import annotations

import signal
from collections.abc import Callable, Generator
from typing import Any, Protocol

from twisted.application.service import IService, MultiService, Service
from twisted.internet.defer import Deferred, DeferredLock, inlineCallbacks, maybeDeferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure

from realmgw.control.health import Health, Severity, Trouble
from realmgw.errors import PlatformError
from realmgw.log.service import Logged
from realmgw.subscribers.remote.snapshot import Snapshot
from realmgw.subscribers.service import Repository

_log = Logger()


class OrderedService(Logged, MultiService):
    """A service of services that waits for them.

    A plain `MultiService` starts all at once, waits for none, and leaves the first ones running when a later one
    fails. Here the order in which the services were added is the order of starting, and its reverse that of stopping.

    Args:
        started: Called when all of them run.
        failed: Called when one could not be started, after those before it have stopped again.
        stopped: Called when all of them had run, and have stopped.
    """

    def __init__(
        self,
        started: Callable[[], None],
        failed: Callable[[Failure], None],
        stopped: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted does not say
        self._report_started = started
        self._report_failed = failed
        self._report_stopped = stopped
        self._whole = False
        self._lock = DeferredLock()
        self._up: list[IService] = []

    def startService(self) -> Deferred[None]:
        """Start all, one after the other.

        Returns:
            Fires when all run, or when one has failed and the others are stopped; it never fails itself.
        """
        Service.startService(self)  # type: ignore[no-untyped-call]  # Twisted does not say
        done: Deferred[None] = self._lock.run(self._start_all)
        return done

    def stopService(self) -> Deferred[None]:
        """Stop what runs, in reverse, when a start that is under way has come to its end.

        Returns:
            Fires when all have stopped; what one raises is logged, and the next is stopped all the same.
        """
        Service.stopService(self)  # type: ignore[no-untyped-call]  # Twisted does not say
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
                failure = Failure()  # type: ignore[no-untyped-call]  # Twisted does not say
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


class Early(Protocol):
    """What is asked of `realmgw.daemon.service.EarlySignals`."""

    reload: bool


class ReloadService(Service):
    """Reloads on SIGHUP while it runs.

    Args:
        reload: Called with who wants it.
        call: Has the reactor call a function; safe in a signal handler.
        early: Whether the signal has come before.
    """

    name = "reload"

    def __init__(
        self, reload: Callable[[str], object], call: Callable[..., object], early: Early | None = None
    ) -> None:
        self._early = early
        self._reload = reload
        self._call = call
        self._former: Any = None

    def startService(self) -> None:
        super().startService()  # type: ignore[no-untyped-call]  # Twisted does not say
        self._former = signal.signal(signal.SIGHUP, self._received)
        if self._early is not None and self._early.reload:
            self._call(self._reload, "SIGHUP")

    def stopService(self) -> None:
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted does not say
        signal.signal(signal.SIGHUP, self._former)

    def _received(self, _number: int, _frame: object) -> None:
        self._call(self._reload, "SIGHUP")


class RepositoryService(Service):
    """Listens to a repository while it runs.

    Args:
        repository: It.
        tell: Called with each snapshot; fires when what can be made of it was made.
    """

    name = "repository"

    def __init__(self, repository: Repository, tell: Callable[[Snapshot], Deferred[Any]]) -> None:
        self.counts = repository.report
        self._repository = repository
        self._tell = tell

    def startService(self) -> None:
        """Make true what was in force the last time, then ask for what there is; the gateway need not wait for it."""
        super().startService()  # type: ignore[no-untyped-call]  # Twisted does not say
        begun: Deferred[None] = self._begin()
        begun.addErrback(_log_fault)

    @inlineCallbacks
    def _begin(self) -> Generator[Deferred[Any], Any, None]:
        recalled = yield self._repository.recalled()
        if self.running and recalled.version:
            yield self._tell(recalled)  # first, so that it is seen what the next one would take away
        if self.running:
            self._repository.watch(self._changed)

    def _changed(self, snapshot: Snapshot) -> None:
        self._tell(snapshot).addErrback(_log_fault)

    def stopService(self) -> Deferred[None]:
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted does not say
        return self._repository.unwatch()


def _log_fault(failure: Failure) -> None:
    _log.failure("fault while listening to a repository", failure)


def trouble_began(trouble: Trouble) -> None:
    """Have the log say that something is wrong from now on."""
    tell = _log.error if trouble.severity is Severity.DEGRADED else _log.warn
    tell("{part}: {text}", part=trouble.part, text=trouble.text)


def trouble_ended(trouble: Trouble, is_well: bool) -> None:
    """Have the log say that it is over, and whether all is well with its part: else something else is wrong now."""
    word = "well again, it is over" if is_well else "it is over"
    _log.info("{part}: {word}: {text}", part=trouble.part, word=word, text=trouble.text)


def beside(read: Callable[[], dict[str, object]], health: Health, reactor: Any) -> Deferred[dict[str, object]]:
    """What something says that blocks for a moment, in a thread that waits for nobody else.

    Args:
        read: It.
        health: Is told while there is no room for a thread; then nothing is said.
        reactor: Has threads.
    """

    def refused(failure: Failure) -> dict[str, object]:
        failure.trap(PlatformError)  # type: ignore[no-untyped-call]  # Twisted does not say
        health.tell("process", [failure.getErrorMessage()])
        return {}

    def found(said: dict[str, object]) -> dict[str, object]:
        health.tell("process", ())
        return said

    done: Deferred[dict[str, object]] = maybeDeferred(deferToThreadPool, reactor, reactor.getThreadPool(), read)
    return done.addCallbacks(found, refused)
