"""Sockets towards resolvers: by UDP one for each query that is under way, by TCP and TLS one for many queries.

To make a socket, with a port that the kernel chooses by chance, costs as much as a third of all else that is done for
a query. So one that brought an answer, and nothing else, has further queries, one after the other, where many others
might have them as well: which one does, is chance. That is for a second or two, and a few times only, so that who finds
out its port has nothing of it.

Edge: UDP sockets.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from functools import partial
from typing import Any

import attrs
from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from realmgw.config.settings import Resolver
from realmgw.dns.forward.asking import UDP_SIZE, Cancel, Heard, Later, nothing
from realmgw.dns.forward.events import Event
from realmgw.dns.forward.stream import Streams

TURN = 16
"""So many datagrams of one socket are read before something else has its turn."""
FEWEST, MOST = 16, 64
"""A socket is used again only if so many of a resolver are free, and so many are kept for that."""
USES = 8
"""So many queries a socket has at most."""
LIFE = 1.0  # seconds
"""When it is older, it is not given back; one that is free has another query up to this time later."""
_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}


@attrs.frozen(eq=False)
class SocketMeans:
    """What is done with sockets in time, and by chance."""

    later: Later
    """The clock."""
    present: Callable[[], float]
    """What it says, in monotonic seconds."""
    chance: Callable[[int], bytes]
    """Gives so many unguessable octets."""
    events: list[int]
    """Counters, by `Event`."""


class Sockets:
    """How messages get to resolvers: `realmgw.dns.forward.asking.Transport`.

    Args:
        reactor: The reactor.
        streams: Connections by TCP and TLS.
        means: Time, chance and counters.
    """

    def __init__(self, reactor: Any, streams: Streams, means: SocketMeans) -> None:
        self._reactor, self._streams, self._means = reactor, streams, means
        self._free: dict[Resolver, list[_Datagrams]] = {}
        self._stop: Cancel = nothing

    def by_datagram(self, resolver: Resolver, message: bytes, heard: Heard, failed: Callable[[str], None]) -> Cancel:
        """As `Transport.by_datagram`."""
        free = self._free.get(resolver)
        if free is None or len(free) < FEWEST:
            one = _Datagrams(self, resolver, self._reactor, self._means.present() + LIFE)
            self._means.events[Event.SOCKETS] += 1
        else:
            at = self._means.chance(1)[0] % len(free)
            one, free[at] = free[at], free[-1]
            free.pop()
        return one.send(message, heard, failed)

    def by_stream(self, resolver: Resolver, message: bytes, heard: Heard, failed: Callable[[str], None]) -> Cancel:
        """As `Transport.by_stream`."""
        return self._streams.ask(resolver, message, heard, failed)

    def close(self) -> None:
        """Closes those that nobody uses."""
        self._stop()
        free, self._free, self._stop = self._free, {}, nothing
        for same in free.values():
            for one in same:
                one.close()

    def give_back(self, one: _Datagrams) -> None:
        """One has brought an answer, and nothing else: it may have another query, or is closed."""
        free = self._free.setdefault(one.resolver, [])
        if len(free) >= MOST or one.uses >= USES or one.due <= self._means.present():
            one.close()
            return
        free.append(one)
        if self._stop is nothing:
            self._stop = self._means.later(LIFE, self._age)

    def lost(self, one: _Datagrams) -> None:
        """Something came to one that nobody uses; it was closed."""
        self._means.events[Event.STRAYS] += 1
        self._free[one.resolver].remove(one)

    def _age(self) -> None:
        """Closes those that are too old."""
        self._stop, now = nothing, self._means.present()
        for resolver, same in list(self._free.items()):
            for one in same:
                if one.due <= now:
                    one.close()
            same[:] = [one for one in same if one.due > now]
            if not same:
                del self._free[resolver]
        if self._free:
            self._stop = self._means.later(LIFE, self._age)


@implementer(IReadDescriptor)
class _Datagrams:
    """A socket with a query by UDP, and whatever comes to its port from the resolver, or from who forges its address.

    Twisted's own writes two lines to the log for each socket.

    Args:
        sockets: Gets it back.
        resolver: Where it is connected to.
        reactor: The reactor.
        due: When it is too old to have another query, in monotonic seconds.

    Attributes:
        uses: How many queries it had.

    Raises:
        OSError: There can be none, or there is no way there; nothing is left of it.
    """

    def __init__(self, sockets: Sockets, resolver: Resolver, reactor: Any, due: float) -> None:
        self.resolver, self.due, self.uses = resolver, due, 0
        self._sockets, self._reactor = sockets, reactor
        self._heard: Heard | None = None
        self._failed: Callable[[str], None] = _drop
        self._is_open, self._is_clean = True, True
        address = resolver.endpoint.address
        self._handle = socket.socket(_FAMILIES[address.version], socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            self._handle.connect((str(address), resolver.endpoint.port))
        except OSError:
            self._handle.close()
            raise
        reactor.addReader(self)

    def send(self, message: bytes, heard: Heard, failed: Callable[[str], None]) -> Cancel:
        """Sends a query: `Transport.by_datagram`."""
        self.uses += 1
        self._heard, self._failed = heard, failed
        try:
            self._handle.send(message)
        except OSError:
            self.close()
            raise
        return partial(self._end, heard)

    def _end(self, heard: Heard) -> None:
        """Nobody waits for that query any more; its answer may still come, so that there is no other one here."""
        if self._heard is heard:
            self.close()

    def fileno(self) -> int:
        """The socket's; -1 once it is closed."""
        return self._handle.fileno()

    def logPrefix(self) -> str:
        """What Twisted calls it."""
        return "resolver"

    def doRead(self) -> None:
        """There is something to be read."""
        for _ in range(TURN):
            try:  # what is longer than we say we take is cut, and found malformed
                message = self._handle.recv(UDP_SIZE + 1)
            except BlockingIOError:
                return
            except OSError as error:
                self._fail(error.errno or 0)
                return
            if self._heard is None:
                self._fail(0)
                return
            if self._heard(message):
                self._answered()
                return
            self._is_clean = False
            if not self._is_open:
                return

    def _answered(self) -> None:
        if self._is_open:
            self._heard, self._failed = None, _drop
            if self._is_clean:
                self._sockets.give_back(self)
            else:
                self.close()

    def connectionLost(self, reason: Failure) -> None:
        """There was an error, and nothing to be read."""
        del reason
        if self._is_open:
            self._fail(self._handle.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))

    def _fail(self, number: int) -> None:
        """The network says that there is nobody, or no way; or it brings something to one that nobody uses."""
        is_free, failed = self._heard is None, self._failed
        self.close()
        if is_free:
            self._sockets.lost(self)
        failed(os.strerror(number) if number else "the socket was closed")

    def close(self) -> None:
        """Nothing is heard any more."""
        if self._is_open:
            self._is_open = False
            self._heard, self._failed = None, _drop
            self._reactor.removeReader(self)
            self._handle.close()


def _drop(why: str) -> None:
    """Nobody waits."""
    del why
