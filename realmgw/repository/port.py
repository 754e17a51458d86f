"""HTTP as far as it is not ours: bounded requests, connections and answers."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from http import HTTPStatus
from io import SEEK_END, BytesIO
from typing import IO, Any, ClassVar, cast

import attrs
from twisted.internet.defer import CancelledError, Deferred, inlineCallbacks, maybeDeferred
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IAddress
from twisted.logger import Logger
from twisted.protocols.basic import FileSender
from twisted.protocols.policies import WrappingFactory
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from realmgw.config import pointers
from realmgw.errors import MalformedError
from realmgw.repository.refusals import PROBLEM_TYPE, RefusedError
from realmgw.repository.tokens import Access, Tokens
from realmgw.subscribers.documents import MAX_LINE

LINES_TYPE = "application/jsonl"
"""The media type of documents for exchange."""
MAX_IMPORT = 512 * 2**20  # octets
"""The longest body of documents for exchange, from somebody who may write; every other body has at most MAX_LINE."""
MAX_IGNORED = 16 * 2**20  # octets
"""How much of a body that is too long is read, and forgotten, so that its sender sees the answer."""
MAX_CONNECTIONS = 200
"""How many clients there may be at once; more are not answered."""
IDLE_TIMEOUT = 60.0  # seconds
"""How long a connection may be silent between and within requests."""

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

    site: RepositorySite
    _room = MAX_LINE

    def gotLength(self, length: int | None) -> None:
        """The head was read: from now on the body comes, `length` octets long or until it ends."""
        self.site = cast(Any, self.channel).site  # Twisted sets it after the body only
        self._room = self.site.longest_body(self)
        super().gotLength(length if length is not None and length <= self._room else 0)  # type: ignore[no-untyped-call]  # Twisted does not say

    def handleContentChunk(self, data: bytes) -> None:
        """Keeps a piece of the body, as long as there is room."""
        self._room -= len(data)
        if self._room >= 0:
            super().handleContentChunk(data)  # type: ignore[no-untyped-call]  # Twisted does not say
        elif self._room < -MAX_IGNORED:
            self.content = BytesIO()
            cast(Any, self.transport).abortConnection()

    @property
    def too_long(self) -> bool:
        """Whether the body was longer than it may be."""
        return self._room < 0

    def field(self, name: str) -> str | None:
        """A field of the request's head, several of one name joined by commas; None when there is none."""
        values = self.requestHeaders.getRawHeaders(name)
        return None if values is None else ", ".join(values)

    def answer_field(self, name: str, value: str) -> None:
        """Sets a field of the response's head."""
        self.responseHeaders.setRawHeaders(name, [value])


class RepositorySite(Site):
    """The HTTP server's factory.

    Args:
        root: What is served.
        tokens: Who may do what.
    """

    noisy = False
    displayTracebacks = False  # noqa: N815 - Twisted's name

    def __init__(self, root: Resource, tokens: Tokens) -> None:
        super().__init__(root, requestFactory=BoundedRequest, timeout=IDLE_TIMEOUT)  # type: ignore[no-untyped-call]  # Twisted does not say
        self.tokens = tokens

    def longest_body(self, request: BoundedRequest) -> int:
        """How many octets the body of a request may have, by its head."""
        is_lines = media_type(request) == LINES_TYPE
        return MAX_IMPORT if is_lines and self.access(request) is Access.WRITE else MAX_LINE

    def access(self, request: BoundedRequest) -> Access:
        """What a request may do."""
        return self.tokens.access(request.field("Authorization"))

    def log(self, request: object) -> None:
        """No access log of Twisted's: who asks often is in nobody's interest."""


def media_type(request: BoundedRequest) -> str:
    """The media type of the request's body, without parameters."""
    return (request.field("Content-Type") or "").partition(";")[0].strip().lower()


class LimitedFactory(WrappingFactory):
    """Another factory, for no more than `MAX_CONNECTIONS` connections at once."""

    noisy = False

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """A new connection; None, which closes it, when there are enough."""
        if len(self.protocols) >= MAX_CONNECTIONS:
            _log.warn("{limit} connections are open: another one was closed", limit=MAX_CONNECTIONS)
            return None
        return super().buildProtocol(addr)

    def doStop(self) -> None:
        """The port is closed: so are the connections, on some of which somebody waits for a change."""
        super().doStop()  # type: ignore[no-untyped-call]  # Twisted does not say
        for connection in tuple(self.protocols):
            cast(Any, connection).transport.abortConnection()


class Leaf(Resource):
    """A resource that answers with a `Reply`, now or later.

    Attributes:
        allowed: What each method needs; HEAD is asked as GET.
    """

    isLeaf = True  # noqa: N815 - Twisted's name
    allowed: ClassVar[Mapping[str, Access]]

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted does not say

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
        if request.postpath:
            raise missing(request)
        method = request.method.decode("latin-1")
        method = "GET" if method == "HEAD" else method
        if method not in self.allowed:
            request.answer_field("Allow", ", ".join(self.allowed))
            raise RefusedError(HTTPStatus.METHOD_NOT_ALLOWED, f"write one of {', '.join(self.allowed)}")
        access = request.site.access(request)
        if access < self.allowed[method]:
            request.answer_field("WWW-Authenticate", 'Bearer realm="realmgw-repository"')
            unknown = access is Access.NOTHING
            raise RefusedError(
                HTTPStatus.UNAUTHORIZED if unknown else HTTPStatus.FORBIDDEN,
                "write Authorization: Bearer, with a token that is known" if unknown else "this token is for reading",
            )
        if request.too_long:
            request.answer_field("Connection", "close")
            raise RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the body is too long: write less at once")
        return self.reply(method, request)


class Missing(Leaf):
    """What answers for every path that there is not."""

    allowed: ClassVar[Mapping[str, Access]] = dict.fromkeys(
        ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"), Access.NOTHING
    )

    def reply(self, method: str, request: BoundedRequest) -> Reply:
        """A refusal."""
        del method
        raise missing(request)


def missing(request: BoundedRequest) -> RefusedError:
    """The refusal of a path that there is not."""
    return RefusedError(
        HTTPStatus.NOT_FOUND, f"there is nothing at {request.path.decode('latin-1')}: see /openapi.json"
    )


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
    request.answer_field("Cache-Control", "no-cache")
    for name, value in reply.headers:
        request.answer_field(name, value)
    if isinstance(reply.body, bytes):
        if reply.status not in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED):
            request.answer_field("Content-Length", str(len(reply.body)))
            request.write(reply.body)  # type: ignore[no-untyped-call]  # Twisted does not say
        request.finish()  # type: ignore[no-untyped-call]  # Twisted does not say
        return None
    length = reply.body.seek(0, SEEK_END)
    reply.body.seek(0)
    request.answer_field("Content-Length", str(length))
    if request.method == b"HEAD":
        request.finish()  # type: ignore[no-untyped-call]  # Twisted does not say
        return None
    return _send_file(reply.body, request)


@inlineCallbacks
def _send_file(file: IO[bytes], request: BoundedRequest) -> Any:
    """Sends a file as fast as the client reads; cancelled when he goes."""
    try:
        yield cast(Any, FileSender()).beginFileTransfer(file, request)
        request.finish()  # type: ignore[no-untyped-call]  # Twisted does not say
    finally:
        file.close()
