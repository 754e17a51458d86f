"""A socket of netlink in the reactor: what it hears is taken in turns. Edge: a netlink socket in the reactor."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from realmgw.datapath.netlink import codec
from realmgw.errors import RealmGatewayError

PER_TURN = 64
"""So many messages are heard in one turn of the reactor."""
_log = Logger()


@implementer(IReadDescriptor)
class NetlinkListener:
    """A netlink socket in the reactor, which takes a bounded number of messages in a turn.

    Args:
        channel: The socket; it does not block.
        take: Called with what each read gives.
        lost: Called when messages were lost, or one can not be understood.
        reactor: Where to be read.
        size: How long what a read gives may be, in octets.
    """

    def __init__(
        self,
        channel: socket.socket,
        take: Callable[[bytes], object],
        lost: Callable[[], object],
        reactor: Any,
        size: int = codec.READ_SIZE,
    ) -> None:
        self._channel = channel
        self._take = take
        self._lost = lost
        self._reactor = reactor
        self._size = size
        reactor.addReader(self)

    def fileno(self) -> int:
        """See `IFileDescriptor`."""
        return self._channel.fileno()

    def logPrefix(self) -> str:
        return "datapath"

    def doRead(self) -> None:
        """Take what there is. Never raises: that would end all reading."""
        self.read(PER_TURN)

    def read(self, limit: int) -> None:
        """Take so many messages at most, none once it is closed. Never raises."""
        receive, size, take = self._channel.recv, self._size, self._take
        for _ in range(limit if self._channel.fileno() >= 0 else 0):
            try:
                take(receive(size))
            except BlockingIOError:  # noqa: PERF203 - one read fails, and the next may not
                return
            except (OSError, RealmGatewayError) as error:
                if self._channel.fileno() < 0:  # it was closed by who took the message before
                    return
                if isinstance(error, OSError) and error.errno != errno.ENOBUFS:
                    _log.error("datapath: changes are not heard any more: {error}", error=error)
                    self.close()
                    return
                self._lost()

    def connectionLost(self, reason: Failure) -> None:
        """The reactor saw an error without data, which is an overrun; or it ends."""
        if isinstance(reason.value, ConnectionDone) and self._channel.fileno() >= 0:
            self.doRead()
            if self._channel.fileno() >= 0:
                self._reactor.addReader(self)

    def close(self) -> None:
        """Leave the reactor, and give the socket back."""
        if self._channel.fileno() >= 0:
            self._reactor.removeReader(self)
            self._channel.close()
