"""What begins a reload while the gateway runs: signals, repositories; and what the log says of its health.

Edge: signals, the reactor.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Generator
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, inlineCallbacks, maybeDeferred
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure

from realmgw.control.health import Health, Severity, Trouble
from realmgw.errors import PlatformError
from realmgw.subscribers.remote.snapshot import Snapshot
from realmgw.subscribers.service import Repository

_log = Logger()


class ReloadService(Service):
    """Reloads on SIGHUP while it runs.

    Args:
        reload: Called with who wants it.
        call: Has the reactor call a function; safe in a signal handler.
        early: Whether the signal has come before the start.
    """

    name = "reload"

    def __init__(
        self, reload: Callable[[str], object], call: Callable[..., object], early: Callable[[], bool] = bool
    ) -> None:
        self._early = early
        self._reload = reload
        self._call = call
        self._former: Any = None

    def startService(self) -> None:
        super().startService()  # type: ignore[no-untyped-call]  # Twisted does not say
        self._former = signal.signal(signal.SIGHUP, self._received)
        if self._early():
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


def repeated(reactor: Any, seconds: float, do: Callable[[], object]) -> Callable[[], object]:
    """Have something done every so many seconds, the first time after as many; returns what ends that.

    If it fails it is done no more, and the log says so.
    """
    loop = LoopingCall(do)
    loop.clock = reactor
    loop.start(seconds, now=False).addErrback(lambda why: _log.failure("what is done every {s} s", why, s=seconds))

    def end() -> None:
        if loop.running:
            loop.stop()

    return end
