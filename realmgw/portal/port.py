"""HTTP as far as it is not ours: one short request on each connection, and few connections.

Whoever comes gets one answer, and the connection ends. So nobody can hold one for longer than `LIFE`, a guest who was
registered comes by a new one, which is not redirected any more, and a browser keeps none for later.

Edge: HTTP.
"""

# mypy: disable-error-code="no-untyped-call"
# (Twisted's web server has no types.)

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from ipaddress import ip_address
from typing import Any, cast

from twisted.internet.protocol import ServerFactory, connectionDone
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel, Request

from realmgw.config.addresses import plain_address
from realmgw.config.limits import PORTAL_CONNECTIONS
from realmgw.config.settings import Endpoint
from realmgw.portal.answers import Answers, Asked, Kind

OF_ONE = 16
"""So many connections one guest may have at once."""
LIFE = 10.0  # seconds
"""So long a connection lasts at most: handshake, request and answer."""
MAX_HEAD = 8192  # octets
"""The longest head of a request."""
MAX_FIELDS = 64
"""So many fields it may have."""
MAX_BODY = 65536  # octets
"""How much of a request's body is read, and forgotten, before its connection is cut."""


class GuestRequest(Request):
    """A request, whose body nobody reads."""

    channel: Channel
    _body = 0

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
        """Answers."""
        answer = self.channel.factory.answer(self)
        self.setResponseCode(answer.status.value, answer.status.phrase.encode())
        for name, value in answer.headers:
            self.responseHeaders.setRawHeaders(name, [value])
        self.responseHeaders.setRawHeaders("Content-Length", [str(len(answer.body))])
        self.write(answer.body)
        self.finish()

    def field(self, name: str) -> str:
        """The first field of that name; empty if there is none."""
        found = self.requestHeaders.getRawHeaders(name.encode())
        return found[0].decode("latin-1") if found else ""


class Channel(HTTPChannel):
    """A connection.

    Attributes:
        client: The packed address of who is at the other end.
    """

    factory: PortalFactory
    requestFactory = GuestRequest  # noqa: N815 - Twisted's name
    totalHeadersSize = MAX_HEAD  # noqa: N815 - Twisted's name
    maxHeaders = MAX_FIELDS  # noqa: N815 - Twisted's name
    client = b""
    _timer: Any = None

    def connectionMade(self) -> None:
        """Somebody has connected; with TLS, the handshake is still to come."""
        super().connectionMade()
        self.client = plain_address(cast(Any, self.getPeer()).host).packed
        if self.factory.arrived(self):
            self._timer = self.factory.reactor.callLater(LIFE, self.factory.is_late, self)
        else:
            self.cut()

    def checkPersistence(self, request: Request, version: bytes) -> bool:
        """There is one request on each connection."""
        del request, version
        return False

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self.factory.gone(self)
        super().connectionLost(reason)

    def cut(self) -> None:
        """Ends the connection at once, so that the other end notices."""
        cast(Any, self.transport).abortConnection()


class PortalFactory(ServerFactory):
    """Makes connections, as many as there may be.

    Args:
        reactor: Twisted's.
        is_known: Whether an address, packed, is a subscriber's.
        answers: Answers requests.

    Attributes:
        connections: How many there were.
        crowded: Connections that were ended since their guest had `OF_ONE` already.
        displaced: Those that were ended early since others came, and there were as many as there may be.
        late: Those that took too long.
    """

    noisy = False
    protocol = cast(Any, Channel)

    def __init__(self, reactor: Any, is_known: Callable[[bytes], object], answers: Answers) -> None:
        self.reactor = reactor
        self.answers = answers
        self.connections = self.crowded = self.displaced = self.late = 0
        self._is_known = is_known
        self._kinds = dict.fromkeys(Kind, 0)
        self._open: dict[Channel, None] = {}  # in the order in which they came
        self._of: Counter[bytes] = Counter()

    def arrived(self, channel: Channel) -> bool:
        """Gives a connection a place, for which that of the oldest one may have to go.

        Whom `buildProtocol` gave none would stay connected by TLS, whose factory wraps whatever that returns.

        Returns:
            Whether it has one; whoever has enough gets no further one.
        """
        self.connections += 1
        if self._of[channel.client] >= OF_ONE:
            self.crowded += 1
            return False
        if len(self._open) >= PORTAL_CONNECTIONS:
            self.displaced += 1
            oldest = next(iter(self._open))
            self.gone(oldest)
            oldest.cut()
        self._open[channel] = None
        self._of[channel.client] += 1
        return True

    def gone(self, channel: Channel) -> None:
        """A connection has ended; nothing happens if it had no place."""
        if channel not in self._open:
            return
        del self._open[channel]
        self._of[channel.client] -= 1
        if not self._of[channel.client]:
            del self._of[channel.client]

    def is_late(self, channel: Channel) -> None:
        """Ends a connection that lasts too long."""
        self.late += 1
        channel.cut()

    def dismiss(self, clients: Collection[bytes]) -> None:
        """Ends the connections of these, by their packed addresses: they are no guests any more."""
        for channel in tuple(self._open):
            if channel.client in clients:
                channel.cut()

    def answer(self, request: GuestRequest) -> Any:
        """What is answered to a request."""
        channel = request.channel
        at = cast(Any, channel.getHost())
        asked = Asked(
            method=request.method.decode("latin-1"),
            host=request.field("Host"),
            path=request.path.decode("latin-1"),
            languages=request.field("Accept-Language"),
            address=str(ip_address(channel.client)),
            at=Endpoint(plain_address(at.host), at.port),
            known=self._is_known(channel.client) is not None,
        )
        answer = self.answers.answer(asked)
        self._kinds[answer.kind] += 1
        return answer

    def log(self, request: Request) -> None:
        """No access log: who asks often is in nobody's interest."""

    def disconnect(self) -> None:
        """Ends all connections."""
        for channel in tuple(self._open):
            channel.cut()

    def counts(self) -> dict[str, int]:
        """What was counted, and how many connections there are."""
        kinds = {kind.value: count for kind, count in self._kinds.items()}
        own = {name: getattr(self, name) for name in ("connections", "crowded", "displaced", "late")}
        return {**own, "open": len(self._open), **kinds}
