"""The log's time: each minute tells what was held back, and done. Edge: signals, the reactor's timers."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from realmgw.log.port import Log

MINUTE = 60.0  # seconds
"""How often there is a summary."""
LOOK = 10.0  # seconds
"""How often it is looked whether something was held back."""

_log = Logger()


class LogService(Service):
    """Tells what was held back, and a summary while there is something to tell.

    Args:
        log: Where events are written.
        summary: Called each minute for a Deferred of what is written; None: nothing is.
        clock: The reactor.
    """

    name = "log"

    def __init__(self, log: Log, summary: Callable[[], Deferred[str | None]], clock: IReactorTime) -> None:
        self._log = log
        self._summary = summary
        self._loops = (LoopingCall(self._sum_up), LoopingCall(log.tell_storms))
        self._former: Any = None
        for loop in self._loops:
            loop.clock = clock

    def counts(self) -> dict[str, int]:
        """What became of events."""
        return self._log.counts()

    def startService(self) -> None:
        """Begin; SIGUSR1, by which others have their log files turned, does no harm from here on."""
        super().startService()  # type: ignore[no-untyped-call]  # Twisted does not say
        self._former = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        for loop, interval in zip(self._loops, (MINUTE, LOOK), strict=True):
            loop.start(interval, now=False)

    def stopService(self) -> Deferred[None]:
        """Tell what is left; fires when that is done."""
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted does not say
        signal.signal(signal.SIGUSR1, self._former)
        for loop in self._loops:
            if loop.running:
                loop.stop()
        return self._sum_up().addCallback(lambda _: self._log.tell_storms(every=True))

    def _sum_up(self) -> Deferred[None]:
        return self._summary().addCallback(_tell).addErrback(_fault)


def _tell(said: str | None) -> None:
    if said is not None:
        _log.info("{summary}", summary=said)


def _fault(failure: Failure) -> None:
    _log.failure("fault while summing up", failure)
