"""Threads that end with the process, and one of them for what blocks on the kernel, or on a disk. Edge: threads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, ParamSpec, Protocol, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from realmgw.errors import PlatformError

_P = ParamSpec("_P")
_T = TypeVar("_T")

NO_THREAD = (
    "no thread can be started: memory is short, or there may be no more processes (ulimit -v and -u, MemoryMax and"
    " TasksMax of systemd)"
)
"""What is said where the operating system refuses one."""


class DaemonThread(threading.Thread):
    """A thread that does not hold up the process's end."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs, daemon=True)

    def start(self) -> None:
        """Begin.

        Raises:
            PlatformError: There is no room for one more; the text says what is lacking.
        """
        try:
            super().start()
        except RuntimeError:
            raise PlatformError(NO_THREAD) from None

    def join(self, timeout: float | None = None) -> None:
        """Wait for its end, if it ever began."""
        if self.ident is not None:
            super().join(timeout)


class Worker(Protocol):
    """Where the calls that block are made, one after the other, in one thread."""

    def start(self) -> None:
        """Begin; calls may have been handed over before."""

    def call(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> Deferred[_T]:
        """Make a call there.

        Returns:
            What it returns, or fails with what it raises.
        """

    def stop(self) -> None:
        """End, after the calls handed over so far."""


class WorkerThread(Worker):
    """A thread of its own, which makes the calls in the order in which they were handed over.

    Args:
        reactor: Where the results are delivered.
        name: Of the thread, as `ps -T` shows it.
    """

    def __init__(self, reactor: IReactorFromThreads, name: str) -> None:
        self._reactor = reactor
        self._pool = ThreadPool(minthreads=1, maxthreads=1, name=name)
        # The process must come to its end, whatever the kernel or the disk does.
        self._pool.threadFactory = DaemonThread

    def start(self) -> None:
        self._pool.start()

    def call(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> Deferred[_T]:
        called: Deferred[_T] = deferToThreadPool(self._reactor, self._pool, function, *args, **kwargs)
        return called

    def stop(self) -> None:
        self._pool.stop()
