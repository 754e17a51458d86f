"""Many sockets that the reactor knows as one: what comes to them is found out by an epoll of their own, within its.

Twisted does for each socket that can be read as much as reading a small answer costs, and goes through all of them
before anybody else has his turn. Here a socket costs a call, and a turn has an end.

Edge: epoll.
"""

# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import select
from typing import Any

from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

TURN = 4
"""So many sockets are read before somebody else has his turn."""

_log = Logger()


@implementer(IReadDescriptor)
class Polled:
    """Tells sockets that there is something to be read, in place of the reactor.

    Args:
        reactor: The reactor, which knows of it from the first socket until it is closed.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._epoll: select.epoll | None = None
        self._readers: dict[int, Any] = {}

    def addReader(self, reader: Any) -> None:
        """Tells one from now on (`IReactorFDSet`)."""
        if self._epoll is None:
            self._epoll = select.epoll()
            self._reactor.addReader(self)
        number = reader.fileno()
        self._epoll.register(number, select.EPOLLIN)
        self._readers[number] = reader

    def removeReader(self, reader: Any) -> None:
        """Tells it no more; it is not closed yet, or was removed before."""
        number = reader.fileno()
        if self._epoll is not None and self._readers.get(number) is reader:
            del self._readers[number]
            self._epoll.unregister(number)

    def fileno(self) -> int:
        """The epoll's; -1 without one."""
        return -1 if self._epoll is None else self._epoll.fileno()

    def logPrefix(self) -> str:
        """What Twisted calls it."""
        return "resolvers"

    def doRead(self) -> None:
        """Some can be read. One that was closed meanwhile is passed over; a new one with its number has nothing yet."""
        if self._epoll is None:
            return
        for number, _ in self._epoll.poll(0, TURN):
            reader = self._readers.get(number)
            if reader is not None:
                self._read(reader)

    def _read(self, reader: Any) -> None:
        """A fault ends this one, and leaves the others alone."""
        try:
            reader.doRead()
        except Exception:  # noqa: BLE001 - whatever it is, as the reactor does
            failure = Failure()
            _log.failure("fault while a resolver's answer is read", failure)
            self.removeReader(reader)
            self._reactor.callLater(0, reader.connectionLost, failure)

    def connectionLost(self, reason: Failure) -> None:
        """The reactor ends: tells all of them."""
        readers = list(self._readers.values())
        self.close()
        for reader in readers:
            reader.connectionLost(reason)

    def close(self) -> None:
        """Tells nobody any more; the next one to be added begins anew."""
        epoll, self._epoll = self._epoll, None
        self._readers.clear()
        if epoll is not None:
            self._reactor.removeReader(self)
            epoll.close()
