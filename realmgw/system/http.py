"""Bounded HTTP. For whoever comes: one short request on each connection, and few connections; for operators, bodies.

Whoever comes gets one answer, and the connection ends. So nobody can hold one for longer than `LIFE`. What is answered,
and to whom, is the business of who makes a factory of these.

Edge: HTTP.
"""

# mypy: disable-error-code="no-untyped-call"
# (Twisted's web server has no types.)

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from http import HTTPStatus
from typing import Any, cast

from twisted.internet.protocol import ServerFactory, connectionDone
from twisted.python.failure import Failure
from twisted.web import server
from twisted.web.http import HTTPChannel, Request
from twisted.web.resource import Resource

from realmgw.system.endpoints import plain_address
from realmgw.system.jsonform import encode

IDLE = 30.0  # seconds
"""How long an operator's connection may be silent."""
JSON, PROBLEM = "application/json", "application/problem+json"
"""The types of what operators are answered, and told where there is no answer (RFC 9457)."""
LIFE = 10.0  # seconds
"""So long a connection lasts at most: handshake, request and answer."""
MAX_HEAD = 8192  # octets
"""The longest head of a request."""
MAX_FIELDS = 64
"""So many fields it may have."""
MAX_BODY = 65536  # octets
"""How much of a request's body is read, and forgotten, before its connection is cut."""


class ShortRequest(Request):
    """A request, whose body nobody reads."""

    channel: ShortChannel
    _body = 0
    _is_gone = False

    def gotLength(self, length: int | None) -> None:
        """The head was read; nothing is made ready for a body."""
        del length
        super().gotLength(0)

    def handleContentChunk(self, data: bytes) -> None:
        """Forgets a piece of the body."""
        self._body += len(data)
        if self._body > MAX_BODY:
            self.channel.cut()

    def process(self) -> None:
        """Hands it to the factory."""
        self.channel.factory.asked(self)

    def connectionLost(self, reason: Failure) -> None:
        self._is_gone = True
        super().connectionLost(reason)

    def reply(self, status: HTTPStatus, headers: Iterable[tuple[str, str]], body: bytes) -> None:
        """Answers; nothing happens where nobody waits any more.

        Args:
            status: The status.
            headers: Fields beside Content-Length.
            body: The content, which is not sent to who asked for the head only.
        """
        if self._is_gone:
            return
        self.setResponseCode(status.value, status.phrase.encode())
        for name, value in headers:
            self.responseHeaders.setRawHeaders(name, [value])
        self.responseHeaders.setRawHeaders("Content-Length", [str(len(body))])
        self.write(body)
        self.finish()

    def field(self, name: str) -> str:
        """The first field of that name; empty if there is none."""
        found = self.requestHeaders.getRawHeaders(name.encode())
        return found[0].decode("latin-1") if found else ""


class BoundedRequest(server.Request):
    """A request to a site of operators, whose body has an end; one that may be too long is refused, and not read."""

    longest = 0  # octets
    """So much it may have."""

    def gotLength(self, length: int | None) -> None:
        """The head is complete: None is a body that does not say how long it is."""
        super().gotLength(0)
        if length is None or length > self.longest:
            transport: Any = self.channel.transport
            transport.write(b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
            transport.loseConnection()


class OperatorsSite(server.Site):
    """A site of operators, which does not write a line for every request.

    Args:
        root: Answers.
        request: How requests are read.
    """

    noisy = False
    displayTracebacks = False  # noqa: N815 - Twisted's name

    def __init__(self, root: Resource, request: type[BoundedRequest] = BoundedRequest) -> None:
        super().__init__(root, requestFactory=request, timeout=IDLE)

    def log(self, request: object) -> None:
        """No access log."""


def say(request: server.Request, status: HTTPStatus, value: object, kind: str = JSON) -> None:
    """Answer an operator with a value, in JSON, of this type."""
    send(request, status, encode(value), kind)


def send(request: server.Request, status: HTTPStatus, encoded: bytes, kind: str = JSON) -> None:
    """Answer an operator with what `encode` has made, of this type."""
    body = encoded + b"\n"
    request.setResponseCode(int(status))
    request.setHeader(b"content-type", kind.encode())
    request.setHeader(b"content-length", b"%d" % len(body))
    request.write(body)
    request.finish()


class ShortChannel(HTTPChannel):
    """A connection.

    Attributes:
        client: The packed address of who is at the other end; empty on a unix socket.
    """

    factory: ShortFactory
    requestFactory = ShortRequest  # noqa: N815 - Twisted's name
    totalHeadersSize = MAX_HEAD  # noqa: N815 - Twisted's name
    maxHeaders = MAX_FIELDS  # noqa: N815 - Twisted's name
    client = b""
    _timer: Any = None

    def connectionMade(self) -> None:
        """Somebody has connected; with TLS, the handshake is still to come."""
        super().connectionMade()
        host = getattr(self.getPeer(), "host", None)
        self.client = b"" if host is None else plain_address(host).packed
        if self.factory.arrived(self):
            self._timer = self.factory.reactor.callLater(LIFE, self.factory.is_late, self)
        else:
            self.cut()

    def checkPersistence(self, request: Request, version: bytes) -> bool:
        """There is one request on each connection."""
        del request, version
        return False

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lasts()
        super().connectionLost(reason)

    def lasts(self) -> None:
        """It may last, and has none of the places of those that do not: who answers on it has to bound these."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self.factory.gone(self)

    def ends(self) -> None:
        """It was to last, and does no more: what it was told is taken in `LIFE` seconds, or it is cut."""
        self._timer = self.factory.reactor.callLater(LIFE, self.factory.is_late, self)

    def cut(self) -> None:
        """Ends the connection at once, so that the other end notices."""
        cast(Any, self.transport).abortConnection()


class ShortFactory(ServerFactory):
    """Makes connections, as many as there may be.

    Args:
        reactor: Twisted's.
        most: So many there may be at once.
        of_one: So many of these one client may have.

    Attributes:
        connections: How many there were.
        crowded: Connections that were ended since their client had `of_one` already.
        displaced: Those that were ended early since others came, and there were as many as there may be.
        late: Those that took too long.
    """

    noisy = False
    protocol = cast(Any, ShortChannel)

    def __init__(self, reactor: Any, most: int, of_one: int) -> None:
        self.reactor = reactor
        self.connections = self.crowded = self.displaced = self.late = 0
        self._most = most
        self._of_one = of_one
        self._open: dict[ShortChannel, None] = {}  # in the order in which they came
        self._of: Counter[bytes] = Counter()

    def asked(self, request: ShortRequest) -> None:
        """A request has come; it is answered by its `reply`, now or later."""
        raise NotImplementedError

    def arrived(self, channel: ShortChannel) -> bool:
        """Gives a connection a place, for which that of the oldest one may have to go.

        Whom `buildProtocol` gave none would stay connected by TLS, whose factory wraps whatever that returns.

        Returns:
            Whether it has one; whoever has enough gets no further one.
        """
        self.connections += 1
        if self._of[channel.client] >= self._of_one:
            self.crowded += 1
            return False
        if len(self._open) >= self._most:
            self.displaced += 1
            oldest = next(iter(self._open))
            self.gone(oldest)
            oldest.cut()
        self._open[channel] = None
        self._of[channel.client] += 1
        return True

    def gone(self, channel: ShortChannel) -> None:
        """A connection has ended; nothing happens if it had no place."""
        if channel not in self._open:
            return
        del self._open[channel]
        self._of[channel.client] -= 1
        if not self._of[channel.client]:
            del self._of[channel.client]

    def is_late(self, channel: ShortChannel) -> None:
        """Ends a connection that lasts too long."""
        self.late += 1
        channel.cut()

    def dismiss(self, clients: Collection[bytes]) -> None:
        """Ends the connections of these, by their packed addresses."""
        for channel in tuple(self._open):
            if channel.client in clients:
                channel.cut()

    def log(self, request: Request) -> None:
        """No access log: who asks often is in nobody's interest."""

    def disconnect(self) -> None:
        """Ends all connections."""
        for channel in tuple(self._open):
            channel.cut()

    def counts(self) -> dict[str, int]:
        """What was counted, and how many connections there are."""
        own = {name: getattr(self, name) for name in ("connections", "crowded", "displaced", "late")}
        return {**own, "open": len(self._open)}
