"""Sockets towards resolvers: for each query by UDP a fresh one, connected; by TCP and TLS one for many queries.

Edge: UDP sockets.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from realmgw.config.settings import Resolver
from realmgw.dns.forward.asking import UDP_SIZE, Cancel
from realmgw.dns.forward.stream import Streams

TURN = 16
"""So many datagrams of one socket are read before something else has its turn."""
_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}


class Sockets:
    """How messages get to resolvers: `realmgw.dns.forward.asking.Transport`.

    Args:
        reactor: The reactor.
        streams: Connections by TCP and TLS.
    """

    def __init__(self, reactor: Any, streams: Streams) -> None:
        self._reactor = reactor
        self._streams = streams

    def by_datagram(
        self, resolver: Resolver, message: bytes, heard: Callable[[bytes], None], failed: Callable[[str], None]
    ) -> Cancel:
        """As `Transport.by_datagram`. The kernel chooses the port, by chance."""
        address = resolver.endpoint.address
        handle = socket.socket(_FAMILIES[address.version], socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            handle.connect((str(address), resolver.endpoint.port))
            handle.send(message)
        except OSError:
            handle.close()
            raise
        return _Datagrams(self._reactor, handle, heard, failed).close

    def by_stream(
        self, resolver: Resolver, message: bytes, heard: Callable[[bytes], None], failed: Callable[[str], None]
    ) -> Cancel:
        """As `Transport.by_stream`."""
        return self._streams.ask(resolver, message, heard, failed)


@implementer(IReadDescriptor)
class _Datagrams:
    """One query by UDP, and whatever comes back to its port from the resolver, or from who forges its address.

    Twisted's own writes two lines to the log for each socket.
    """

    def __init__(
        self, reactor: Any, handle: socket.socket, heard: Callable[[bytes], None], failed: Callable[[str], None]
    ) -> None:
        self._reactor, self._handle = reactor, handle
        self._heard, self._failed = heard, failed
        self._open = True
        reactor.addReader(self)

    def fileno(self) -> int:
        """The socket's; -1 once it is closed."""
        return self._handle.fileno()

    def logPrefix(self) -> str:
        """What Twisted calls it."""
        return "resolver"

    def doRead(self) -> None:
        """There is something to be read."""
        for _ in range(TURN):
            if not self._open:
                return
            try:  # what is longer than we say we take is cut, and found malformed
                message = self._handle.recv(UDP_SIZE + 1)
            except BlockingIOError:
                return
            except OSError as error:
                self._fail(error.errno or 0)
                return
            self._heard(message)

    def connectionLost(self, reason: Failure) -> None:
        """There was an error, and nothing to be read."""
        del reason
        if self._open:
            self._fail(self._handle.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))

    def _fail(self, number: int) -> None:
        """The network says that there is nobody, or no way."""
        self.close()
        self._failed(os.strerror(number) if number else "the socket was closed")

    def close(self) -> None:
        """Nothing is heard any more."""
        if self._open:
            self._open = False
            self._reactor.removeReader(self)
            self._handle.close()
