"""`twistd realmgw-repository`: the server's parts are made here. Edge: a socket, TLS, files, the database."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import attrs
from twisted.application.service import IService, Service
from twisted.internet.defer import Deferred, succeed
from twisted.internet.ssl import CertificateOptions
from twisted.logger import Logger
from twisted.python.usage import Options as UsageOptions

from realmgw.config.addresses import endpoint, has_comers, network
from realmgw.config.metrics import THIS_MACHINE, Metrics
from realmgw.config.metrics import place as metrics_place
from realmgw.config.tokens import read_token
from realmgw.daemon.ordered import OrderedService
from realmgw.daemon.service import EarlySignals, ProcessService, refusing, take_pid_file
from realmgw.errors import PlatformError
from realmgw.log.port import Log
from realmgw.log.service import LogService
from realmgw.metrics.others import REPOSITORY
from realmgw.metrics.service import MetricsService
from realmgw.repository import store
from realmgw.repository.port import RepositorySite
from realmgw.repository.server import root
from realmgw.repository.service import StoreService, make_folder
from realmgw.repository.tokens import Tokens
from realmgw.system.disk import is_public
from realmgw.system.endpoints import Endpoint
from realmgw.system.port import HeldSocket, Sockets
from realmgw.system.reactor import the_reactor
from realmgw.system.tls import tls_options

DATABASE = "/var/lib/realmgw-repository/repository.sqlite"
"""Where the documents are, when the command line does not say."""
SOCKET = "/run/realmgw-repository/http.sock"
"""Where the server listens, when the command line does not say."""
PORT = 8082
"""Where it listens at an address without a port."""
SOCKET_FOLDER_MODE = 0o750
"""Of the socket's folder, when it is made here: the same may enter it."""
Stop = Callable[[], Any]
"""Ends what was begun, perhaps later: then it returns a Deferred."""

_log = Logger()
_ACCESS = {"to write": "token", "to read": "read-token"}


class Options(UsageOptions):
    """Command line of `twistd realmgw-repository`."""

    optParameters: list[Any] = [  # noqa: N815, RUF012 - Twisted reads it so
        ("database", "d", DATABASE, "The SQLite database; it is made where there never was one."),
        ("listen", "l", SOCKET, "A unix socket's path, or ADDRESS or ADDRESS:PORT."),
        ("token", None, None, "File with the token of those who may read and write; a must at an address."),
        ("read-token", None, None, "File with the token of those who may only read, as the gateways."),
        ("certificate", None, None, "File (PEM) with the certificate, then those of its issuers."),
        ("key", None, None, "File (PEM) with the certificate's key; a must where others than this machine connect."),
        ("metrics", None, None, "Where monitoring systems are told: a unix socket's path, or ADDRESS or ADDRESS:PORT."),
        (
            "metrics-clients",
            None,
            None,
            "Prefixes of those who may ask there, with commas; else this machine.",
        ),
    ]

    def postOptions(self) -> None:
        EarlySignals().take(self)
        take_pid_file(self)


@refusing("the repository")
def make_service(options: Options) -> IService:
    """Make the server.

    Args:
        options: The parsed command line.

    Returns:
        The service; nothing is opened or bound yet.

    Raises:
        SystemExit: The options do not fit together, or a file can not be used.
    """
    try:
        reactor = the_reactor()
        server = compose(options, reactor, ProcessService("the repository", options, reactor))
    except ValueError as error:
        raise PlatformError(str(error)) from error
    return server


def compose(options: Options, reactor: Any, process: ProcessService) -> OrderedService:
    """Put the server together.

    Args:
        options: The parsed command line.
        reactor: Runs it.
        process: What it runs in.

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
    told = _metrics(options, place)
    documents = StoreService(Path(options["database"]), reactor)
    factory = RepositorySite(root(documents), tokens, reactor)
    listen = partial(_listen, reactor, place, factory, tls)
    secrets = [path for name, path in given.items() if name != "certificate"]
    for path in secrets:
        if is_public(path):
            _log.warn("{path} can be read by everybody on this machine: chmod 640 {path}", path=path)
    server, log = OrderedService(process.serves, process.fail), Log(options.parent)
    server.log = log
    metrics = MetricsService.of(told, REPOSITORY, partial(_counted, documents, factory, log), reactor)
    lines = LogService(log, lambda: succeed(None), reactor)
    for part in (process, lines, documents, PortService(documents, listen, _terms(place, tokens, given)), metrics):
        part.setServiceParent(server)  # type: ignore[no-untyped-call]  # Twisted does not say
    return server


def _metrics(options: Options, place: Path | Endpoint) -> Metrics:
    """Where monitoring systems are told, and who may ask."""
    text, clients = options["metrics"], options["metrics-clients"]
    if text is None:
        if clients is not None:
            raise ValueError("--metrics-clients says who may ask, and nobody is told: write --metrics")
        return Metrics()
    where_told = metrics_place(text)
    if where_told == place:
        raise ValueError(f"--metrics {text}: the repository itself listens there: write another place")
    asking = THIS_MACHINE if clients is None else tuple(map(network, clients.split(",")))
    if clients is not None and not isinstance(where_told, Endpoint):
        raise ValueError(
            "--metrics-clients are those who come to an address: write one with --metrics, or leave it out"
        )
    if isinstance(where_told, Endpoint) and not has_comers(where_told.address, asking):
        raise ValueError(f"--metrics {text}: nobody may ask there: write those who may with --metrics-clients")
    return Metrics((where_told,), asking)


def _counted(documents: StoreService, site: RepositorySite, log: Log) -> Deferred[Mapping[str, Any]]:
    """What was counted, and how many documents there are."""
    connections = {"known": site.connections.known, "strangers": site.connections.strangers}
    counted = documents.read(store.count)
    return counted.addCallback(
        lambda kinds: {
            "documents": kinds,
            "open": connections,
            "connections": attrs.asdict(site.counts),
            "log": log.counts(),
        }
    )


def _terms(place: Path | Endpoint, tokens: Tokens, given: Mapping[str, Path]) -> str:
    """Where the server listens and who may do what, for the log."""
    at = f"{place.address} port {place.port}" if isinstance(place, Endpoint) else f"{place}"
    if tokens.write is None and tokens.read is None:
        return f"at {at}, where everybody who may open it may read and write"
    needs = [f"{what} needs the token in {given[key]}" for what, key in _ACCESS.items() if key in given]
    return f"at {at}; {', '.join(needs)}"


def where(text: str) -> Path | Endpoint:
    """Where to listen.

    Raises:
        ValueError: It is neither a path nor an address; the message says what to write instead.
    """
    return Path(text) if "/" in text else endpoint(text, PORT)


def _listen(reactor: Any, place: Path | Endpoint, factory: RepositorySite, tls: CertificateOptions | None) -> Stop:
    if isinstance(place, Path):
        make_folder(place.parent, SOCKET_FOLDER_MODE)
        held = HeldSocket(place, "the socket")
        held.listen(reactor, factory)
        return held.stop
    sockets = Sockets(reactor, "the repository", certificate=tls)
    sockets.listen(factory, place, secure=tls is not None)
    return sockets.stop


class PortService(Service):
    """Where clients are served, while the database is open.

    Args:
        documents: The database.
        listen: Begins to listen; returns what ends it.
        terms: Where it listens and who may do what, for the log.
    """

    name = "port"

    def __init__(self, documents: StoreService, listen: Callable[[], Stop], terms: str) -> None:
        self._stop: Stop = bool
        self._documents = documents
        self._listen = listen
        self._terms = terms

    def startService(self) -> None:
        """Listen.

        Raises:
            PlatformError: That is not possible; one line says why.
        """
        super().startService()  # type: ignore[no-untyped-call]  # Twisted does not say
        self._stop = self._listen()
        _log.info(
            "repository {identity} is at version {version}, and listens {terms}",
            identity=self._documents.identity,
            version=self._documents.version,
            terms=self._terms,
        )

    def stopService(self) -> Any:
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted does not say
        stop, self._stop = self._stop, bool
        return stop()


makeService = make_service  # noqa: N816 - what twistd looks for
