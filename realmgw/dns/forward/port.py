"""Sockets towards resolvers: for each query by UDP a fresh one, connected; by TCP and TLS one for many queries.

Edge: UDP sockets.
"""

# mypy: disable-error-code="no-untyped-call"
# (Twisted's protocols have no types.)

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.error import CannotListenError
from twisted.internet.protocol import DatagramProtocol

from realmgw.config.settings import Resolver
from realmgw.dns.forward.asking import UDP_SIZE, Cancel
from realmgw.dns.forward.stream import Streams

ANY = {4: "0.0.0.0", 6: "::"}  # noqa: S104 - the kernel chooses the address when it is connected
"""Where a socket of each family is bound, to a port of the kernel's choice, which is by chance."""


REFUSED = "nobody listens there, or there is no way"
"""What is said where the network says so (ICMP)."""


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
        """As `Transport.by_datagram`."""
        address, port = resolver.endpoint.address, resolver.endpoint.port
        one = _Datagrams(heard, failed)
        # what is longer than we say we take is cut, and found malformed
        try:
            listening = self._reactor.listenUDP(0, one, interface=ANY[address.version], maxPacketSize=UDP_SIZE + 1)
        except CannotListenError as error:
            raise OSError(str(error.socketError)) from error
        try:
            one.transport.connect(str(address), port)
            one.transport.write(message)
        except OSError:
            listening.stopListening()
            raise
        return one.close

    def by_stream(
        self, resolver: Resolver, message: bytes, heard: Callable[[bytes], None], failed: Callable[[str], None]
    ) -> Cancel:
        """As `Transport.by_stream`."""
        return self._streams.ask(resolver, message, heard, failed)


class _Datagrams(DatagramProtocol):
    """One query by UDP, and whatever comes back to its port from the resolver."""

    noisy = False
    transport: Any

    def __init__(self, heard: Callable[[bytes], None], failed: Callable[[str], None]) -> None:
        self._heard, self._failed = heard, failed
        self._open = True

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        """It is connected: this came from the resolver's address, or from who forges that."""
        del addr
        if self._open:
            self._heard(datagram)

    def connectionRefused(self) -> None:
        """Nobody listens there (ICMP)."""
        if self._open:
            self._failed(REFUSED)

    def stopProtocol(self) -> None:
        """The socket is closed: if not by us, then by the reactor, as there was an error and nothing to be read."""
        if self._open:
            self._open = False
            self._failed(REFUSED)

    def close(self) -> None:
        """Nothing is heard any more."""
        if self._open:
            self._open = False
            self.transport.stopListening()
