"""HTTP as far as it is not ours: bounded requests, connections and answers. Edge: HTTP."""

# mypy: disable-error-code="no-untyped-call"
# (Twisted's web server has no types.)

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from http import HTTPStatus
from io import SEEK_END, BytesIO
from typing import IO, Any, ClassVar, cast

import attrs
from twisted.internet.defer import CancelledError, Deferred, inlineCallbacks, maybeDeferred
from twisted.internet.error import ConnectionLost
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.protocols.basic import FileSender
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from realmgw.config import pointers
from realmgw.errors import MalformedError
from realmgw.repository.connections import Connections, Counts, client_of
from realmgw.repository.refusals import PROBLEM_TYPE, RefusedError
from realmgw.repository.tokens import Access, Tokens
from realmgw.subscribers.exchange import MAX_LINE

LINES_TYPE = "application/jsonl"
"""The media type of documents for exchange."""
MAX_IMPORT = 512 * 2**20  # octets
"""The longest body of documents for exchange, from somebody who may write; every other body has at most MAX_LINE."""
MAX_IGNORED = 16 * 2**20  # octets
"""How much of a body that is too long is read, and forgotten, so that its sender sees the answer."""
HEAD_TIME = 10.0  # seconds
"""How long the handshake and a request's head may take together, from the connection or the head's first octet on."""
BODY_TIME = 30.0  # seconds
"""How long a request's body may take."""
IMPORT_TIME = 600.0  # seconds
"""The same for documents for exchange, and how long a client may take to read an answer that is sent from a file."""
IDLE_TIME = 60.0  # seconds
"""How long a connection on which a token was shown may be silent between requests; others may for `HEAD_TIME`."""
SILENCE = 60.0  # seconds
"""So long nothing is logged of clients that are closed after something was: their number is told then."""

_log = Logger()


@attrs.frozen
class Reply:
    """A response."""

    status: HTTPStatus
    """Its status."""
    body: bytes | IO[bytes] = b""
    """Its content; a file is sent from its beginning and closed."""
    headers: tuple[tuple[str, str], ...] = ()
    """Its fields beside Content-Length."""


def json_reply(status: HTTPStatus, value: object, *headers: tuple[str, str], media: str = "application/json") -> Reply:
    """A response with a JSON value."""
    body = f"{pointers.encode(value)}\n".encode()
    return Reply(status, body, (("Content-Type", media), *headers))


class BoundedRequest(Request):
    """A request whose body is refused when it is too long, before it is kept."""

    channel: Channel
    site: RepositorySite
    access = Access.NOTHING
    has_place = False
    _room = MAX_LINE

    def gotLength(self, length: int | None) -> None:
        """The head was read: from now on the body comes, `length` octets long or until it ends."""
        self.site = self.channel.site  # Twisted sets it after the body only
        self.access = self.site.tokens.access(self.field("Authorization"))
        self.has_place = self.channel.shows(self.access)
        self._room = MAX_IMPORT if self.may_import else MAX_LINE
        is_long = length is None and self.may_import  # Twisted keeps on disk what may be long, and 0 in memory
        super().gotLength(length if is_long or (length is not None and length <= self._room) else 0)

    def handleContentChunk(self, data: bytes) -> None:
        """Keeps a piece of the body, as long as there is room."""
        self._room -= len(data)
        if self._room >= 0:
            super().handleContentChunk(data)
        elif self._room < -MAX_IGNORED:
            self.content = BytesIO()
            cast(Any, self.transport).abortConnection()

    @property
    def may_import(self) -> bool:
        """Whether the body may be documents for exchange: by the head, so that strangers can not fill the disk."""
        return media_type(self) == LINES_TYPE and self.access is Access.WRITE

    @property
    def too_long(self) -> bool:
        """Whether the body was longer than it may be."""
        return self._room < 0

    def field(self, name: str) -> str | None:
        """A field of the request's head, several of one name joined by commas; None when there is none."""
        values = self.requestHeaders.getRawHeaders(name.encode())
        return None if values is None else b", ".join(values).decode("latin-1")  # RFC 9110 section 5.5: any octets


class Channel(HTTPChannel):
    """A connection, which has a place and a deadline for whatever its client does next.

    Attributes:
        client: Who that is, for the places.
    """

    site: RepositorySite
    client = ""
    _timer: Any = None
    _is_idle = False

    def connectionMade(self) -> None:
        """Somebody has connected; with TLS, the handshake is still to come."""
        super().connectionMade()
        self.client = client_of(getattr(self.getPeer(), "host", None))
        self.site.arrived(self)
        self.within(HEAD_TIME)

    def dataReceived(self, data: bytes) -> None:
        """Something came; between requests, it is the beginning of one."""
        if self._is_idle:
            self._is_idle = False
            self.within(HEAD_TIME)
        super().dataReceived(data)

    def allHeadersReceived(self) -> None:
        super().allHeadersReceived()
        self.within(IMPORT_TIME if self.requests[-1].may_import else BODY_TIME)

    def allContentReceived(self) -> None:
        """The body is over as well: now it is on us."""
        self.within(None)
        super().allContentReceived()

    def requestDone(self, request: Request) -> None:
        """An answer was handed over; the next request may be there already."""
        self._is_idle = True
        self.within(IDLE_TIME if self in self.site.connections else HEAD_TIME)
        super().requestDone(request)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.within(None)
        self.site.gone(self)
        super().connectionLost(reason)

    def shows(self, access: Access) -> bool:
        """A request shows what its client may do.

        Returns:
            Whether there is a place for him.
        """
        if access is not Access.NOTHING:
            return self.site.connections.know(self, self.client)
        if self in self.site.connections:
            self.site.arrived(self)
        return True

    def within(self, seconds: float | None) -> None:
        """From now on the client has so long for what comes next; None: as long as it takes us."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None if seconds is None else self.site.reactor.callLater(seconds, self.site.is_late, self)


class RepositorySite(Site):
    """The HTTP server's factory.

    Args:
        root: What is served.
        tokens: Who may do what.
        reactor: Twisted's.

    Attributes:
        counts: What happened to connections.
        connections: Who has a place.
    """

    noisy = False
    displayTracebacks = False  # noqa: N815 - Twisted's name
    protocol = Channel  # type: ignore[assignment]  # without HTTP/2, whose streams would have no deadlines

    def __init__(self, root: Resource, tokens: Tokens, reactor: Any = None) -> None:
        super().__init__(root, requestFactory=BoundedRequest, timeout=None, reactor=reactor)
        self.tokens = tokens
        self.counts = Counts()
        self.connections = Connections()
        self._open: set[Channel] = set()
        self._silent_until = 0.0
        self._unsaid = 0

    def arrived(self, channel: Channel) -> None:
        """Gives somebody a place among strangers."""
        self.counts.accepted += channel not in self._open
        self._open.add(channel)
        out = self.connections.arrive(channel, channel.client)
        if isinstance(out, Channel):
            self.counts.displaced += 1
            self._close(out, "another one came, and all places without a token are taken")

    def is_late(self, channel: Channel) -> None:
        """Closes the connection of somebody who takes too long."""
        self.counts.late += 1
        self._close(channel, "it took too long")

    def gone(self, channel: Channel) -> None:
        """A connection has ended."""
        self._open.discard(channel)
        self.connections.leave(channel)

    def stopFactory(self) -> None:
        """The port is closed: so are the connections, on some of which somebody waits for a change."""
        super().stopFactory()
        for channel in tuple(self._open):
            cast(Any, channel.transport).abortConnection()

    def log(self, request: object) -> None:
        """No access log of Twisted's: who asks often is in nobody's interest."""

    def _close(self, channel: Channel, why: str) -> None:
        cast(Any, channel.transport).abortConnection()
        self._unsaid += 1
        if self.reactor.seconds() >= self._silent_until:
            who = channel.client or "the socket"
            _log.warn(
                "a connection of {who} was closed: {why} ({count} since last told)",
                who=who,
                why=why,
                count=self._unsaid,
            )
            self._silent_until, self._unsaid = self.reactor.seconds() + SILENCE, 0


def media_type(request: BoundedRequest) -> str:
    """The media type of the request's body, without parameters."""
    return (request.field("Content-Type") or "").partition(";")[0].strip().lower()


class ReplyResource(Resource):
    """A resource that answers with a `Reply`, now or later; below it, nothing is known by itself.

    Attributes:
        allowed: What each method needs; HEAD is asked as GET.
    """

    allowed: ClassVar[Mapping[str, Access]]

    def __init__(self) -> None:
        super().__init__()

    def getChild(self, path: bytes, request: BoundedRequest) -> Resource:
        del path, request
        return Missing()

    def reply(self, method: str, request: BoundedRequest) -> Reply | Deferred[Reply]:
        """The response to a request with an allowed method, from somebody who may.

        Raises:
            RefusedError: It is not granted; so may the Deferred.
        """
        raise NotImplementedError

    def render(self, request: BoundedRequest) -> int:
        """Answers, whatever happens."""
        under_way: Deferred[Any] = maybeDeferred(self._checked, request)
        request.notifyFinish().addErrback(lambda _: under_way.cancel())
        under_way.addErrback(_problem)
        under_way.addCallback(_send, request)
        under_way.addErrback(_given_up)
        return NOT_DONE_YET

    def _checked(self, request: BoundedRequest) -> Reply | Deferred[Reply]:
        method = request.method.decode("latin-1")
        method = "GET" if method == "HEAD" else method
        if method not in self.allowed:
            request.setHeader("Allow", ", ".join(self.allowed))
            raise RefusedError(HTTPStatus.METHOD_NOT_ALLOWED, f"write one of {', '.join(self.allowed)}")
        if request.access < self.allowed[method]:
            raise _unauthorised(request)
        if not request.has_place:
            request.site.counts.refused += 1
            request.setHeader("Retry-After", str(int(SILENCE)))
            request.setHeader("Connection", "close")
            raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections are open: use fewer")
        if request.too_long:
            request.setHeader("Connection", "close")
            raise RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the body is too long: write less at once")
        return self.reply(method, request)


def _unauthorised(request: BoundedRequest) -> RefusedError:
    """The refusal of what the client may not do."""
    request.site.counts.unauthorised += 1
    request.setHeader("WWW-Authenticate", 'Bearer realm="realmgw-repository"')
    if request.access is Access.NOTHING:
        text = "write Authorization: Bearer, with a token that is known"
        return RefusedError(HTTPStatus.UNAUTHORIZED, text)
    return RefusedError(HTTPStatus.FORBIDDEN, "this token is for reading")


class Missing(ReplyResource):
    """What answers for every path that there is not; what was put below it is there."""

    def _checked(self, request: BoundedRequest) -> Reply:
        path = request.path.decode("latin-1")
        raise RefusedError(HTTPStatus.NOT_FOUND, f"there is nothing at {path}: see /openapi.json")


def _given_up(failure: Failure) -> None:
    """A response that could not be sent."""
    if not isinstance(failure.value, (CancelledError, ConnectionLost)):
        _log.failure("an answer could not be sent", failure)


def _problem(failure: Failure) -> Reply:
    """What a client is told of a failure."""
    error = failure.value
    if isinstance(error, CancelledError):
        raise error  # the client has gone: nobody is told
    if isinstance(error, MalformedError):
        error = RefusedError(HTTPStatus.BAD_REQUEST, str(error))
    if isinstance(error, sqlite3.Error):
        _log.error("the database: {error}", error=error)
        error = RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, f"the database: {error}")
    if not isinstance(error, RefusedError):
        _log.failure("a fault of ours", failure)
        error = RefusedError(HTTPStatus.INTERNAL_SERVER_ERROR, "a fault of ours; the log has it")
    return json_reply(error.status, error.document(), media=PROBLEM_TYPE)


def _send(reply: Reply, request: BoundedRequest) -> Deferred[None] | None:
    """Sends a response.

    Returns:
        None when all is handed over; else fires, or fails, when the file was sent.
    """
    request.setResponseCode(reply.status.value, reply.status.phrase.encode())
    request.setHeader("Cache-Control", "no-cache")
    for name, value in reply.headers:
        request.setHeader(name, value)
    if isinstance(reply.body, bytes):
        if reply.status not in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED):
            request.setHeader("Content-Length", str(len(reply.body)))
            request.write(reply.body)
        request.finish()
        return None
    length = reply.body.seek(0, SEEK_END)
    reply.body.seek(0)
    request.setHeader("Content-Length", str(length))
    if request.method == b"HEAD":
        request.finish()
        return None
    return _send_file(reply.body, request)


@inlineCallbacks
def _send_file(file: IO[bytes], request: BoundedRequest) -> Any:
    """Sends a file as fast as the client reads; cancelled when he goes."""
    request.channel.within(IMPORT_TIME)
    try:
        yield cast(Any, FileSender()).beginFileTransfer(file, request)
        request.finish()
    finally:
        file.close()
