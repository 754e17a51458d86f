"""A repository by HTTP: one question and its answer."""

from __future__ import annotations

import re
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any
from urllib.parse import quote

from OpenSSL import SSL, crypto
from twisted.internet.defer import CancelledError, Deferred, inlineCallbacks
from twisted.internet.error import TimeoutError as TwistedTimeoutError
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.ssl import Certificate, platformTrust, trustRootFromCertificates
from twisted.python.failure import Failure
from twisted.web.client import (
    Agent,
    BrowserLikePolicyForHTTPS,
    FileBodyProducer,
    HTTPConnectionPool,
    ResponseDone,
)
from twisted.web.http_headers import Headers
from twisted.web.iweb import IResponse

from realmgw import __version__
from realmgw.config import pointers
from realmgw.config.disk import read
from realmgw.config.service import Reading
from realmgw.config.settings import Repository as Settings
from realmgw.errors import MalformedError, PlatformError, RealmGatewayError

MAX_TOKEN = 2**12  # octets
"""The longest file with a token."""
MAX_CERTIFICATES = 2**24  # octets
"""The longest file with certificates."""
MAX_ANSWER = 1024 * 2**20  # octets
"""The longest answer with documents."""
MAX_WORDS = 2**16  # octets
"""The longest answer that is no documents: what came of something, or a problem."""
MAX_ANSWER_TIME = 600.0  # seconds
"""How long an answer may take from its first octet to its last."""
MAX_IMPORT_TIME = 300.0  # seconds
"""How long the repository may take over documents that it is given."""

_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


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
        self._reading = Reading("repository.token_file", reactor)
        self._pool = HTTPConnectionPool(reactor, persistent=True)  # type: ignore[no-untyped-call]  # Twisted
        self._pool.maxPersistentPerHost = 1
        policy = BrowserLikePolicyForHTTPS(trust(settings.ca_file))  # type: ignore[no-untyped-call]  # Twisted
        self._agent = Agent(reactor, policy, connectTimeout=settings.timeout, pool=self._pool)  # type: ignore[no-untyped-call]  # Twisted

    def changes(self, version: str | None, wait: float) -> Deferred[IO[bytes] | None]:
        """Asks for what changed.

        Args:
            version: The version that is known; None: everything is asked for.
            wait: How long the repository may wait for a change, in whole seconds.

        Returns:
            Fires with documents for exchange in an unnamed file, which the caller closes; None when nothing changed.
            Fails with UnreachableError. To cancel it ends the connection.
        """
        target, fields = "/v1/export", {"Accept": "application/jsonl"}
        if version is not None:
            target += f"?since={quote(version)}"
            fields["If-None-Match"] = f'"{version}"'
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
            headers = yield self._reading.call(self._headers, fields)
            request = self._agent.request(method.encode(), (self.url + target).encode(), headers, body)
            request.addTimeout(patience + self._settings.timeout + (MAX_IMPORT_TIME if body else 0), self._reactor)
            response: IResponse = yield request
            is_good = response.code == 200
            if response.code == 304:
                yield self._body(response, MAX_WORDS)
                return None
            file = yield self._body(response, limit if is_good else MAX_WORDS)
        except CancelledError:
            raise
        except UnreachableError as error:
            raise UnreachableError(f"{self.url}: {error}") from error
        except Exception as error:
            raise UnreachableError(f"{self.url}: {_why(error)}") from error
        if is_good:
            return file
        with file:
            raise UnreachableError(f"{self.url}: {method} {target}: {response.code} {_detail(file.read())}")

    def _headers(self, fields: dict[str, str]) -> Headers:
        """The request's head. The token is read anew each time: it may be exchanged while we run."""
        headers = Headers({"User-Agent": [f"realmgw/{__version__}"]})
        for name, value in fields.items():
            headers.setRawHeaders(name, [value])
        path = self._settings.token_file
        if path is not None:
            headers.setRawHeaders("Authorization", [f"Bearer {token(path)}"])
        return headers

    def _body(self, response: IResponse, limit: int) -> Deferred[IO[bytes]]:
        body = _Body(limit, self._settings.timeout, self._reactor)
        response.deliverBody(body)  # type: ignore[no-untyped-call]  # Twisted
        return body.done


class _Body(Protocol):
    """Receives a response's body.

    Attributes:
        done: Fires with it in a file, or fails; the connection is ended then, if the body is not.
    """

    def __init__(self, limit: int, patience: float, clock: Any) -> None:
        self.done: Deferred[IO[bytes]] = Deferred(self._cancelled)
        self._file: IO[bytes] = TemporaryFile()  # noqa: SIM115 - handed over, or closed at a failure
        self._left = limit
        self._patience = patience
        self._idle = clock.callLater(patience, self._fail, "the answer stopped half-way")
        self._total = clock.callLater(MAX_ANSWER_TIME, self._fail, "the answer takes too long")

    def dataReceived(self, data: bytes) -> None:
        if not self._is_over():
            self._left -= len(data)
            if self._left < 0:
                self._fail("the answer is too long")
            else:
                self._idle.reset(self._patience)
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
        for timer in (self._idle, self._total):
            if timer.active():
                timer.cancel()

    def _is_over(self) -> bool:
        return self._file.closed or self.done.called


def token(path: Path) -> str:
    """The bearer token in a file: its first word.

    Raises:
        UnreachableError: There is none.
    """
    try:
        return read(path, MAX_TOKEN).decode().split()[0]
    except (OSError, ValueError, IndexError) as error:
        why = getattr(error, "strerror", "it has none" if isinstance(error, IndexError) else error)
        raise UnreachableError(f"{path} has no token: {why}") from error


def trust(path: Path | None) -> Any:
    """Whose certificates are believed.

    Raises:
        PlatformError: The file can not be used.
    """
    if path is None:
        return platformTrust()  # type: ignore[no-untyped-call]  # Twisted
    try:
        found = [Certificate.loadPEM(text) for text in _CERTIFICATE.findall(read(path, MAX_CERTIFICATES))]
    except (OSError, SSL.Error, ValueError, crypto.Error) as error:
        why = getattr(error, "strerror", error)
        raise PlatformError(f"{path} can not be read as certificates: {why}") from error
    if not found:
        raise PlatformError(f"{path} has no certificate: write those (PEM) that the repository's must be signed by")
    return trustRootFromCertificates(found)  # type: ignore[no-untyped-call]  # Twisted


def _why(error: BaseException) -> str:
    """Why there was no answer, in a few words."""
    reasons = getattr(error, "reasons", None)
    if reasons:
        return _why(reasons[0].value)
    if isinstance(error, SSL.Error):
        said = error.args[0] if error.args else ()
        return "TLS: " + (
            ", ".join(each[-1] for each in said) if isinstance(said, (list, tuple)) and said else "failed"
        )
    if isinstance(error, (TimeoutError, TwistedTimeoutError, CancelledError)):
        return "no answer in time"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _detail(body: bytes) -> str:
    """What a problem document says (RFC 9457)."""
    try:
        value = pointers.decode(body)
    except MalformedError:
        return ""
    detail = value.get("detail") if isinstance(value, dict) else None
    errors = value.get("errors") if isinstance(value, dict) else None
    first = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else {}
    return f"{detail}" + (f" ({first.get('pointer')}: {first.get('detail')})" if first else "")
