"""Waiting for file systems beside the reactor: a disk or a network file system may never answer. Edge: threads."""

from __future__ import annotations

import errno
import queue
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotInTimeError
from typing import Any

from twisted.internet.defer import Deferred

from realmgw.config.steps import Blocking
from realmgw.errors import PlatformError
from realmgw.system.worker import DaemonThread

DEADLINE = 10.0  # seconds
"""How long a file system may take over one file or folder."""


class Readers:
    """Threads that wait for file systems, one for each place, so that nobody else has to.

    Only what waits is done there: a thread that computes takes turns with the reactor, a few milliseconds each,
    whenever that has asked the kernel for something. Packets would be late by a hundred of them.

    A place that did not answer in time is not asked again before it has. The threads do not hold up the process's end.
    """

    def __init__(self, deadline: float = DEADLINE) -> None:
        self._deadline = deadline
        self._queues: dict[str, queue.SimpleQueue[tuple[Blocking, Future[Any]]]] = {}
        self._late: dict[str, Future[Any]] = {}

    def wait(self, blocking: Blocking) -> Any:
        """Makes a call, and waits for it; for the start, and for commands.

        Raises:
            OSError: The call raised it, or it takes too long.
        """
        future = self._begin(blocking)
        try:
            return future.result(self._deadline)
        except NotInTimeError:
            if future.done():  # the call itself has raised it
                raise
            self._late[blocking.where] = future
            raise self._lateness(blocking.where) from None

    def call(self, blocking: Blocking, reactor: Any) -> Deferred[Any]:
        """Makes a call; the reactor goes on meanwhile.

        Returns:
            Fires with the result; fails with what `wait` raises.
        """
        done: Deferred[Any] = Deferred()
        try:
            future = self._begin(blocking)
        except OSError as error:
            done.errback(error)
            return done

        def give_up() -> None:
            self._late[blocking.where] = future
            done.errback(self._lateness(blocking.where))

        timer = reactor.callLater(self._deadline, give_up)

        def tell() -> None:
            if not done.called:
                timer.cancel()
                error = future.exception()
                done.callback(future.result()) if error is None else done.errback(error)

        future.add_done_callback(lambda _future: reactor.callFromThread(tell))
        return done

    def _begin(self, blocking: Blocking) -> Future[Any]:
        where, future = blocking.where, Future[Any]()
        late = self._late.get(where)
        if late is not None and not late.done():
            raise self._lateness(where)
        self._late.pop(where, None)
        if where not in self._queues:
            calls: queue.SimpleQueue[tuple[Blocking, Future[Any]]] = queue.SimpleQueue()
            try:
                DaemonThread(target=_work, args=(calls,), name="realmgw-files").start()
            except PlatformError as error:
                raise OSError(errno.EAGAIN, f"{where} can not be waited for: {error}") from None
            self._queues[where] = calls
        self._queues[where].put((blocking, future))
        return future

    def _lateness(self, where: str) -> OSError:
        return OSError(errno.ETIMEDOUT, f"{where} has not answered for {self._deadline:g} s")


def _work(calls: queue.SimpleQueue[tuple[Blocking, Future[Any]]]) -> None:
    while True:
        blocking, future = calls.get()
        try:
            future.set_result(blocking.call())
        except BaseException as error:  # noqa: BLE001 - whoever waits is told
            future.set_exception(error)
