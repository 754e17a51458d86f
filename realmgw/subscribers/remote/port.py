"""A repository by HTTP: one question and its answer. Edge: HTTP, TLS."""

from __future__ import annotations

from functools import partial
from pathlib import PurePath
from tempfile import TemporaryFile
from typing import IO, Any, cast
from urllib.parse import quote

from OpenSSL import SSL
from twisted.internet.defer import CancelledError, Deferred, inlineCallbacks
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.error import TimeoutError as TwistedTimeoutError
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Protocol, connectionDone
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.compat import nativeString
from twisted.python.failure import Failure
from twisted.web.client import (
    URI,
    Agent,
    FileBodyProducer,
    HTTPConnectionPool,
    ResponseDone,
)
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory, IResponse
from zope.interface import implementer

from realmgw import __version__
from realmgw.config.readers import Readers
from realmgw.config.settings import Repository as Settings
from realmgw.config.steps import Blocking
from realmgw.errors import RealmGatewayError
from realmgw.subscribers.exchange import said
from realmgw.system.disk import read
from realmgw.system.trust import Trusted

MAX_TOKEN = 2**12  # octets
"""The longest file with a token."""
MAX_ANSWER = 1024 * 2**20  # octets
"""The longest answer with documents."""
MAX_WORDS = 2**16  # octets
"""The longest answer that is no documents: what came of something, or a problem."""
MAX_HEAD = 2**13  # octets
"""The longest head of an answer, with all that comes before it (RFC 9110 section 15.2)."""
MAX_FRAMES = 2**17  # octets
"""How much may come beside a body and as much again, as what divides it into chunks: small ones are work."""
MAX_ANSWER_TIME = 600.0  # seconds
"""How long an answer may take from its first octet to its last."""
MIN_RATE = 1000.0  # octets a second
"""An answer that comes more slowly, after `timeout` seconds, is given up."""
MAX_IMPORT_TIME = 300.0  # seconds
"""How long the repository may take over documents that it is given."""


class UnreachableError(RealmGatewayError):
    """The repository gave no answer, or none that can be used; nothing was changed by it. The text says why."""


class Web:
    """The HTTP client of one repository.

    Args:
        settings: Where it is, and how it is trusted; `url` is not None.
        reactor: Twisted's.
        longest: How many octets an answer with documents may have.

    Raises:
        PlatformError: The certificates that its own must be signed by can not be read.
    """

    def __init__(self, settings: Settings, reactor: Any, *, longest: int = MAX_ANSWER) -> None:
        assert settings.url is not None
        self.url = settings.url
        self._settings = settings
        self._longest = longest
        self._reactor = reactor
        self._readers = Readers()
        self._pool = HTTPConnectionPool(reactor, persistent=True)  # type: ignore[no-untyped-call]  # Twisted
        self._pool.maxPersistentPerHost = 1
        self._trusted = Trusted(settings.ca_file)
        self._ways = _Ways(reactor, self._trusted.look(), settings.timeout)
        self._agent = Agent.usingEndpointFactory(reactor, self._ways, self._pool)  # type: ignore[no-untyped-call]  # Twisted

    def changes(self, since: str | None, seen: str | None, wait: float) -> Deferred[IO[bytes] | None]:
        """Asks for what changed.

        Args:
            since: The version whose changes are asked for; None: everything is.
            seen: The version that is known; None: there is none.
            wait: How long the repository may wait for another one than is known, in whole seconds.

        Returns:
            Fires with documents for exchange in an unnamed file, which the caller closes; None when nothing changed.
            Fails with UnreachableError. To cancel it ends the connection.
        """
        target, fields = "/v1/export", {"Accept": "application/jsonl"}
        if since is not None:
            target += f"?since={quote(since)}"
        if seen is not None:
            fields["If-None-Match"] = f'"{seen}"'
            if wait >= 1:
                fields["Prefer"] = f"wait={int(wait)}"
        return self._exchange("GET", target, fields, patience=wait, limit=self._longest)

    @inlineCallbacks
    def send(self, lines: IO[bytes]) -> Any:
        """Gives documents for exchange to the repository, all or none.

        Returns:
            A Deferred that fires with what the repository says came of it (octets), or fails with UnreachableError.
        """
        fields = {"Content-Type": "application/jsonl"}
        file = yield self._exchange("POST", "/v1/import", fields, FileBodyProducer(lines))  # type: ignore[no-untyped-call]  # Twisted
        with file:
            return file.read()

    def close(self) -> Deferred[None]:
        """Closes what is open."""
        done: Deferred[None] = self._pool.closeCachedConnections()  # type: ignore[no-untyped-call]  # Twisted
        return done

    @inlineCallbacks
    def _exchange(
        self,
        method: str,
        target: str,
        fields: dict[str, str],
        body: Any = None,
        *,
        patience: float = 0.0,
        limit: int = MAX_WORDS,
    ) -> Any:
        """A request and its response: a file with the body, or None for 304."""
        try:
            headers = yield self._headers(fields)
            self._ways.expect_head()
            request = self._agent.request(method.encode(), (self.url + target).encode(), headers, body)
            request.addTimeout(patience + self._settings.timeout + (MAX_IMPORT_TIME if body else 0), self._reactor)
            response: IResponse = yield request
            self._ways.expect_body()
            is_good = response.code == 200
            if response.code == 304:
                yield self._body(response, MAX_WORDS)
                return None
            file = yield self._body(response, limit if is_good else MAX_WORDS)
        except CancelledError:
            raise
        except Exception as error:
            raise UnreachableError(f"{self.url}: {self._ways.fault or _why(error)}") from error
        if is_good:
            return file
        with file:
            raise UnreachableError(f"{self.url}: {method} {target}: {response.code} {said(file.read())}")

    @inlineCallbacks
    def _headers(self, fields: dict[str, str]) -> Any:
        """The request's head. Token and signers are read anew each time: they may be exchanged while we run."""
        headers = Headers({"User-Agent": [f"realmgw/{__version__}"], **{key: [fields[key]] for key in fields}})
        if (path := self._settings.ca_file) is not None:
            self._ways.policy = yield self._readers.call(Blocking(str(path), self._trusted.look), self._reactor)
        if (path := self._settings.token_file) is not None:
            bearer = yield self._readers.call(Blocking(str(path), partial(token, path)), self._reactor)
            headers.setRawHeaders("Authorization", [f"Bearer {bearer}"])
        return headers

    def _body(self, response: IResponse, limit: int) -> Deferred[IO[bytes]]:
        body = _Body(limit, self._settings.timeout, self._reactor, self._ways)
        response.deliverBody(body)  # type: ignore[no-untyped-call]  # Twisted
        return body.done


class _Bounded(ProtocolWrapper):
    """A connection.

    Attributes:
        room: How much of a head may still come; None while a body comes.
    """

    factory: _Ways
    room: int | None = MAX_HEAD

    def dataReceived(self, data: bytes) -> None:
        ways = self.factory
        if self.room is not None:
            head, data = data[: self.room], data[self.room :]
            self.room -= len(head)
            super().dataReceived(head)  # type: ignore[no-untyped-call]  # Twisted does not say
        ways.frames -= len(data)
        if self.room == 0 or ways.frames < 0:
            ways.fault = "the head of the answer is too long" if self.room == 0 else "the answer's chunks are too small"
            cast(Any, self.transport).abortConnection()
        elif data:
            super().dataReceived(data)  # type: ignore[no-untyped-call]  # Twisted does not say


@implementer(IAgentEndpointFactory)
class _Ways(WrappingFactory):
    """Ways to the repository, on which the head of an answer is bounded: Twisted's client keeps whatever comes.

    Attributes:
        policy: Whom to trust, of connections that begin.
        fault: What was too much of the last answer.
        frames: How much may still come as what divides the body into chunks.
    """

    protocol = _Bounded
    noisy = False

    def __init__(self, reactor: Any, policy: Any, timeout: float) -> None:
        super().__init__(None)  # type: ignore[no-untyped-call]  # Twisted does not say
        self._reactor = reactor
        self.policy = policy
        self._timeout = timeout
        self.fault = ""
        self.frames = MAX_FRAMES

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        way: Any = HostnameEndpoint(self._reactor, nativeString(uri.host), uri.port, timeout=self._timeout)
        if uri.scheme == b"https":
            way = wrapClientTLS(self.policy.creatorForNetloc(uri.host, uri.port), way)
        return _Way(way, self)

    def expect_head(self) -> None:
        """An answer is to come."""
        self.fault, self.frames = "", MAX_FRAMES
        self._allow(MAX_HEAD)

    def allow(self, octets: int) -> None:
        """So much more may come of a body, with what divides it."""
        self.frames = self.frames + octets

    def expect_body(self) -> None:
        """Its head has come."""
        self._allow(None)

    def _allow(self, room: int | None) -> None:
        for each in self.protocols:
            each.room = room


@implementer(IStreamClientEndpoint)
class _Way:
    """One of them."""

    def __init__(self, endpoint: Any, ways: _Ways) -> None:
        self._endpoint = endpoint
        self._ways = ways

    def connect(self, protocolFactory: Any) -> Deferred[Any]:
        """Connects; fires with the protocol of the pool's factory, all of which are alike."""
        protocolFactory.noisy = False
        self._ways.wrappedFactory = protocolFactory
        done: Deferred[Any] = self._endpoint.connect(self._ways)
        return done.addCallback(lambda bounded: bounded.wrappedProtocol)


class _Body(Protocol):
    """Receives a response's body.

    Attributes:
        done: Fires with it in a file, or fails; the connection is ended then, if the body is not.
    """

    def __init__(self, limit: int, patience: float, clock: Any, ways: _Ways) -> None:
        self.done: Deferred[IO[bytes]] = Deferred(self._cancelled)
        self._file: IO[bytes] = TemporaryFile()  # noqa: SIM115 - handed over, or closed at a failure
        self._left = limit
        self._ways = ways
        self._patience = patience
        self._clock = clock
        self._due = clock.seconds() + patience
        self._slow = clock.callLater(patience, self._look)
        self._total = clock.callLater(MAX_ANSWER_TIME, self._fail, "the answer takes too long")

    def dataReceived(self, data: bytes) -> None:
        if not self._is_over():
            self._left -= len(data)
            if self._left < 0:
                self._fail("the answer is too long")
            else:
                self._due = min(self._due + len(data) / MIN_RATE, self._clock.seconds() + self._patience)
                self._ways.allow(2 * len(data))
                self._file.write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._is_over():
            return
        if not isinstance(reason.value, ResponseDone):
            self._fail("the answer broke off")
            return
        self._stop_timers()
        self._file.seek(0)
        self.done.callback(self._file)

    def _look(self) -> None:
        """Looks again when more has to have come, if enough has for now."""
        left = self._due - self._clock.seconds()
        if left > 0:
            self._slow = self._clock.callLater(left, self._look)
        else:
            self._fail("the answer stopped half-way, or comes too slowly")

    def _fail(self, why: str) -> None:
        self._end()
        self.done.errback(UnreachableError(why))

    def _cancelled(self, _done: Deferred[IO[bytes]]) -> None:
        self._end()

    def _end(self) -> None:
        self._stop_timers()
        self._file.close()
        if self.transport is not None:
            self.transport.loseConnection()

    def _stop_timers(self) -> None:
        for timer in (self._slow, self._total):
            if timer.active():
                timer.cancel()

    def _is_over(self) -> bool:
        return self._file.closed or self.done.called


def token(path: PurePath) -> str:
    """The bearer token in a file: its first word.

    Raises:
        UnreachableError: There is none.
    """
    try:
        return read(path, MAX_TOKEN).decode("ascii").split()[0]
    except (OSError, ValueError, IndexError) as error:
        why = getattr(error, "strerror", "it is empty" if isinstance(error, IndexError) else "it is no ASCII text")
        raise UnreachableError(f"{path} has no token: {why}") from None


def _why(error: BaseException) -> str:
    """Why there was no answer, in a few words."""
    if isinstance(error, RealmGatewayError):
        return str(error)
    reasons = getattr(error, "reasons", None)
    if reasons:
        return _why(reasons[0].value)
    if isinstance(error, SSL.Error):
        said = error.args[0] if error.args else ()
        return "TLS: " + (
            ", ".join(each[-1] for each in said) if isinstance(said, (list, tuple)) and said else "failed"
        )
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, (TimeoutError, TwistedTimeoutError, CancelledError)):
        return "no answer in time"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
