"""Requests for metrics: who may ask, and for what. Edge: HTTP."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from realmgw.config.limits import METRICS_CONNECTIONS
from realmgw.config.settings import Network
from realmgw.metrics.text import Format, chosen
from realmgw.system.http import ShortChannel, ShortFactory, ShortRequest

PATH = "/metrics"
"""Where they are."""
OF_ONE = 8
"""So many connections one client may have at once."""
_PLAIN = ("Content-Type", "text/plain; charset=utf-8")
_FIELDS = (("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff"))


class MetricsFactory(ShortFactory):
    """Makes connections of monitoring systems, as many as there may be.

    Args:
        reactor: Twisted's.
        scrape: Gives the metrics as a text of a format; a Deferred.
        clients: Who may ask at an address; who comes by a unix socket was let in by its permissions.

    Attributes:
        clients: The same.
        forbidden: Connections that were ended since their client may not ask.
        wrong: Requests for something else.
        failed: Requests that a fault of our own left without an answer.
    """

    def __init__(self, reactor: Any, scrape: Callable[[Format], Deferred[bytes]], clients: tuple[Network, ...]) -> None:
        super().__init__(reactor, METRICS_CONNECTIONS, OF_ONE)
        self.clients = clients
        self.forbidden = self.wrong = self.failed = 0
        self._scrape = scrape
        self._log = Logger()

    def arrived(self, channel: ShortChannel) -> bool:
        if not channel.client or self._may_ask(channel.client):
            return super().arrived(channel)
        self.connections += 1
        self.forbidden += 1
        return False

    def _may_ask(self, client: bytes) -> bool:
        address = ip_address(client)
        return any(address in each for each in self.clients if each.version == address.version)

    def asked(self, request: ShortRequest) -> None:
        refusal = _refusal(request)
        if refusal is not None:
            self.wrong += 1
            status, *allow = refusal
            request.reply(status, (_PLAIN, *_FIELDS, *allow), f"{status.phrase}: GET {PATH}\n".encode())
            return
        wanted = chosen(request.field("Accept"))
        fields = (("Content-Type", wanted.content_type), ("Vary", "Accept"), *_FIELDS)
        done = self._scrape(wanted).addCallback(lambda body: request.reply(HTTPStatus.OK, fields, body))
        done.addErrback(self._fault, request)

    def _fault(self, failure: Failure, request: ShortRequest) -> None:
        self.failed += 1
        self._log.failure("fault while metrics were gathered", failure)
        status = HTTPStatus.INTERNAL_SERVER_ERROR
        request.reply(status, (_PLAIN, *_FIELDS), f"{status.phrase}: the log says more\n".encode())

    def counts(self) -> dict[str, int]:
        own = {name: getattr(self, name) for name in ("forbidden", "wrong", "failed")}
        return {**super().counts(), **own}


def _refusal(request: ShortRequest) -> tuple[Any, ...] | None:
    """The status, and fields, where somebody does not ask for the metrics."""
    if request.path.decode("latin-1") != PATH:
        return (HTTPStatus.NOT_FOUND,)
    if request.method not in (b"GET", b"HEAD"):
        return HTTPStatus.METHOD_NOT_ALLOWED, ("Allow", "GET, HEAD")
    return None
