"""Reading what operators named, beside the reactor: a disk or a network file system may never answer."""

from __future__ import annotations

from collections.abc import Callable, Generator
from threading import Thread
from typing import Any, ParamSpec, TypeVar

from twisted.internet.defer import Deferred, fail, inlineCallbacks
from twisted.python.failure import Failure

from realmgw.config.files import Steps
from realmgw.errors import PlatformError

DEADLINE = 10.0  # seconds
"""How long it may take to read something."""

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Reading:
    """Reads one thing, again and again, each time in a thread and within a time.

    Only what waits for the file system is done there: a thread that computes takes turns with the reactor, a few
    milliseconds each, whenever that has asked the kernel for something. Packets would be late by a hundred of them.

    A thread that waits for a file system that is gone can not be ended; so there is one of them at most.

    Args:
        what: It, for messages: `the main file`.
        reactor: Where results are delivered, and what the time is measured by.
        deadline: How long it may take, in seconds.
    """

    def __init__(self, what: str, reactor: Any, deadline: float = DEADLINE) -> None:
        self._what = what
        self._reactor = reactor
        self._deadline = deadline
        self._under_way = False

    def call(self, read: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> Deferred[_T]:
        """Read it.

        Args:
            read: Does that; it is called in a thread.
            args: For it.
            kwargs: For it.

        Returns:
            Fires with what it returns, or fails with what it raises; with PlatformError when it takes too long, or when
            an earlier call has still not come back.
        """
        if self._under_way:
            return fail(PlatformError(f"{self._what}: the file system has still not answered: nothing is read there"))
        done: Deferred[_T] = Deferred()
        timer = self._reactor.callLater(self._deadline, self._late, done)
        self._under_way = True

        def end(result: _T | Failure) -> None:
            self._under_way = False
            if timer.active():
                timer.cancel()
                done.callback(result)

        def work() -> None:
            result: _T | Failure
            try:
                result = read(*args, **kwargs)
            except BaseException:  # noqa: BLE001 - whoever waits is told
                result = Failure()  # type: ignore[no-untyped-call]  # Twisted does not say
            self._reactor.callFromThread(end, result)

        try:
            Thread(target=work, name=f"realmgw reads {self._what}", daemon=True).start()
        except RuntimeError as error:
            end(Failure(PlatformError(f"{self._what} can not be read: {error}")))  # type: ignore[no-untyped-call]  # Twisted
        return done

    @inlineCallbacks
    def take(self, steps: Steps[_T]) -> Generator[Deferred[Any], Any, _T]:
        """Read in steps: what touches the file system is done by `call`, the rest here.

        Returns:
            A Deferred that fires with what the steps return, or fails with what they raise, or as `call` does.
        """
        result = None
        while True:
            try:
                step = steps.send(result)
            except StopIteration as end:
                value: _T = end.value
                return value
            result = yield self.call(step)

    def _late(self, done: Deferred[Any]) -> None:
        done.errback(PlatformError(f"{self._what}: the file system does not answer within {self._deadline:g} s"))
