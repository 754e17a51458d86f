"""`twistd realmgw-repository`: the parts of the repository's server are made and handed to each other here."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Callable
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from OpenSSL import SSL, crypto
from twisted.application.service import IService
from twisted.internet.defer import Deferred, inlineCallbacks, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.internet.ssl import CertificateOptions, TLSVersion
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.usage import Options as UsageOptions
from twisted.python.usage import UsageError

from realmgw.config.addresses import endpoint
from realmgw.config.settings import Endpoint
from realmgw.errors import PlatformError
from realmgw.log.port import Log
from realmgw.log.service import Logged
from realmgw.repository.port import LimitedFactory, RepositorySite
from realmgw.repository.server import root
from realmgw.repository.service import StoreService
from realmgw.repository.tokens import Tokens, read_token

DATABASE = "/var/lib/realmgw-repository/repository.sqlite"
"""Where the documents are, when the command line does not say."""
SOCKET = "/run/realmgw-repository/http.sock"
"""Where the server listens, when the command line does not say."""
PORT = 8082
"""Where it listens at an address without a port."""
SOCKET_MODE = 0o660
"""Who may connect to a unix socket: the user and the group of the process."""

_log = Logger()
_BEGIN = b"-----BEGIN CERTIFICATE-----"


class Options(UsageOptions):
    """Command line of `twistd realmgw-repository`."""

    optParameters: list[Any] = [  # noqa: N815, RUF012 - Twisted reads it so
        ("database", "d", DATABASE, "The SQLite database; it is made when there is none."),
        ("listen", "l", SOCKET, "A unix socket's path, or ADDRESS or ADDRESS:PORT."),
        ("token", None, None, "File with the token of those who may read and write; a must at an address."),
        ("read-token", None, None, "File with the token of those who may only read, as the gateways."),
        ("certificate", None, None, "File (PEM) with the certificate, then those of its issuers."),
        ("key", None, None, "File (PEM) with the certificate's key; a must where others than this machine connect."),
    ]


def make_service(options: Options) -> IService:
    """Make the server.

    Args:
        options: The parsed command line.

    Returns:
        The service; nothing is opened or bound yet.

    Raises:
        UsageError: The options do not fit together, or a file can not be used.
    """
    try:
        server = compose(options, _reactor())
        server.log = Log(options.parent)
    except (PlatformError, ValueError) as error:
        raise UsageError(str(error)) from error
    return server


def compose(options: Options, reactor: Any) -> RepositoryServer:
    """Put the server together.

    Raises:
        PlatformError: A file can not be used.
        ValueError: The options do not fit together; the message says what to write instead.
    """
    given = {name: Path(options[name]) for name in ("token", "read-token", "certificate", "key") if options[name]}
    tokens = Tokens(
        read_token(given["token"]) if "token" in given else None,
        read_token(given["read-token"]) if "read-token" in given else None,
    )
    place = where(options["listen"])
    if ("certificate" in given) != ("key" in given):
        raise ValueError("--certificate and --key belong together: write both")
    tls = tls_options(given["certificate"], given["key"]) if "key" in given else None
    if isinstance(place, Path) and tls is not None:
        raise ValueError("a unix socket needs no TLS: write an address, or leave out --certificate and --key")
    if isinstance(place, Endpoint):
        if tokens.write is None:
            raise ValueError("whoever reaches an address may connect: write --token, or listen on a unix socket")
        if tls is None and not ip_address(str(place.address)).is_loopback:
            raise ValueError("tokens would cross the network in the clear: write --certificate and --key")
    documents = StoreService(Path(options["database"]), reactor)
    factory = LimitedFactory(RepositorySite(root(documents), tokens))  # type: ignore[no-untyped-call]  # Twisted
    listen = partial(_listen, reactor, place, factory, tls)
    return RepositoryServer(documents, listen, partial(_give_up, reactor))


def where(text: str) -> Path | Endpoint:
    """Where to listen.

    Raises:
        ValueError: It is neither a path nor an address; the message says what to write instead.
    """
    return Path(text) if "/" in text else endpoint(text, PORT)


def tls_options(certificate: Path, key: Path) -> CertificateOptions:
    """The server's TLS, 1.2 or later.

    Raises:
        PlatformError: One of the files can not be used.
    """
    try:
        first, *issuers = [_BEGIN + text for text in certificate.read_bytes().split(_BEGIN)[1:]]
        options = CertificateOptions(
            privateKey=crypto.load_privatekey(crypto.FILETYPE_PEM, key.read_bytes()),
            certificate=crypto.load_certificate(crypto.FILETYPE_PEM, first),
            extraCertChain=[crypto.load_certificate(crypto.FILETYPE_PEM, text) for text in issuers],
            raiseMinimumTo=TLSVersion.TLSv1_2,
        )
        options.getContext()  # finds out whether they belong together
    except (OSError, ValueError, crypto.Error, SSL.Error) as error:
        raise PlatformError(f"{certificate} with {key} can not be used for TLS: {error}") from error
    return options


def _listen(
    reactor: Any, place: Path | Endpoint, factory: LimitedFactory, tls: CertificateOptions | None
) -> IListeningPort:
    port: IListeningPort
    if isinstance(place, Path):
        port = reactor.listenUNIX(str(place), factory, mode=SOCKET_MODE, wantPID=True)
    elif tls is None:
        port = reactor.listenTCP(place.port, factory, interface=str(place.address))
    else:
        port = reactor.listenSSL(place.port, factory, tls, interface=str(place.address))
    return port


class RepositoryServer(Logged):
    """The database, and, while it is open, the port.

    Args:
        documents: The database.
        listen: Begins to listen.
        failed: Called when the server can not start.

    Attributes:
        documents: The database.
        port: Where it listens; None when it does not.
    """

    name = "repository"

    def __init__(
        self, documents: StoreService, listen: Callable[[], IListeningPort], failed: Callable[[Failure], None]
    ) -> None:
        self.port: IListeningPort | None = None
        self.documents = documents
        self._listen = listen
        self._failed = failed

    def startService(self) -> Deferred[None]:
        """Open the database, then listen.

        Returns:
            Fires when clients are served; when that is not possible, it is told why.
        """
        super().startService()  # type: ignore[no-untyped-call]  # Twisted does not say
        started: Deferred[None] = self._start()
        return started.addErrback(self._failed)

    @inlineCallbacks
    def _start(self) -> Any:
        yield self.documents.startService()
        try:
            self.port = self._listen()
        except CannotListenError as error:
            raise PlatformError(f"nothing can listen there: {error}") from error
        _log.info("the repository is at version {version}", version=self.documents.version)

    @inlineCallbacks
    def stopService(self) -> Any:
        """Listen no more, then close the database.

        Returns:
            Fires when all is closed.
        """
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted does not say
        port, self.port = self.port, None
        if port is not None:
            yield maybeDeferred(port.stopListening)
        yield maybeDeferred(self.documents.stopService)


def _give_up(reactor: Any, failure: Failure) -> None:
    """Say why the server can not start, and end the process with status 1."""
    if isinstance(failure.value, PlatformError):
        _log.critical("the repository can not start: {reason}", reason=failure.getErrorMessage())
    else:
        _log.failure("the repository can not start", failure)
    atexit.register(_exit_failed)
    reactor.callWhenRunning(reactor.stop)


def _exit_failed() -> None:
    """End with status 1: twistd itself knows none but 0 once the reactor has run."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)


def _reactor() -> Any:
    """The reactor that twistd has installed; importing it any sooner would install the default one."""
    from twisted.internet import reactor  # noqa: PLC0415 - see above

    return reactor


makeService = make_service  # noqa: N816 - what twistd looks for
