"""The portal with its sockets, while the gateway runs. Edge: the reactor, TLS, files."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator
from errno import EINVAL
from functools import partial
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, gatherResults, inlineCallbacks, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IOpenSSLContextFactory
from twisted.internet.ssl import CertificateOptions
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from realmgw.config.port import refusal
from realmgw.config.settings import Endpoint, PortalTls, Settings
from realmgw.config.steps import Blocking
from realmgw.config.tls import tls_options
from realmgw.errors import PlatformError
from realmgw.portal.answers import Answers
from realmgw.portal.port import PortalFactory

BACKLOG = 128
"""So many connections may wait to be taken."""

_log = Logger()


@implementer(IOpenSSLContextFactory)
class PortalService(Service):
    """Serves the page, where there is one.

    Args:
        settings: The gateway's.
        is_known: Finds the subscriber who has a packed address; None: there is none.
        reactor: Twisted's.
        elsewhere: Makes a call that may block, where it holds up nobody.
    """

    name = "portal"

    def __init__(
        self,
        settings: Settings,
        is_known: Callable[[bytes], object],
        reactor: Any,
        elsewhere: Callable[[Blocking], Deferred[Any]],
    ) -> None:
        self._settings = settings
        self._reactor = reactor
        self._elsewhere = elsewhere
        self._ports: list[IListeningPort] = []
        self._certificate: CertificateOptions | None = None
        self._factory = PortalFactory(reactor, is_known, Answers(settings)) if settings.portal is not None else None

    @inlineCallbacks
    def startService(self) -> Generator[Deferred[Any], Any, None]:
        """Listen.

        Returns:
            A Deferred that fires when that is so, or when it was stopped meanwhile. It fails with `PlatformError` if it
            can not be; then nothing listens.
        """
        super().startService()  # type: ignore[no-untyped-call]  # Twisted does not say
        portal = self._settings.portal
        if portal is None or self._factory is None:
            return
        try:
            for endpoint in portal.listen:
                self._listen(self._reactor.listenTCP, endpoint, self._factory)
            if portal.tls is not None:
                self._certificate = yield self._elsewhere(_reading(portal.tls))
                for endpoint in portal.tls.listen if self.running else ():
                    self._listen(self._reactor.listenSSL, endpoint, self._factory, self)
        except Exception:
            yield self.stopService()
            raise

    def getContext(self) -> Any:
        """What connections by TLS are made with: the certificate as it was read last."""
        assert self._certificate is not None
        return self._certificate.getContext()

    def stopService(self) -> Deferred[None]:
        """Listen no more; fires when all sockets are closed, connections too."""
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted does not say
        ports, self._ports = self._ports, []
        if self._factory is not None:
            self._factory.disconnect()
        done = gatherResults([maybeDeferred(port.stopListening) for port in ports], consumeErrors=True)
        return done.addErrback(partial(_log.failure, "closing a socket of the portal")).addCallback(lambda _: None)

    def configure(self, settings: Settings) -> None:
        """Say something else from now on, and read the certificate anew; where it listens is the same."""
        self._settings = settings
        if settings.portal is None or self._factory is None:
            return
        self._factory.answers = Answers(settings)
        if settings.portal.tls is not None and self.running:
            self._elsewhere(_reading(settings.portal.tls)).addCallbacks(self._use, _not_read)

    def dismiss(self, addresses: Collection[bytes]) -> None:
        """End the connections of packed addresses that are a subscriber's from now on."""
        if self._factory is not None and addresses:
            self._factory.dismiss(addresses)

    def counts(self) -> dict[str, int]:
        """What was counted; empty where there is no portal."""
        return {} if self._factory is None else self._factory.counts()

    def _use(self, certificate: CertificateOptions) -> None:
        self._certificate = certificate

    def _listen(self, listen: Callable[..., IListeningPort], endpoint: Endpoint, *how: Any) -> None:
        try:
            port = listen(endpoint.port, *how, backlog=BACKLOG, interface=str(endpoint.address))
        except CannotListenError as error:
            raise PlatformError(refusal("TCP", endpoint, error.socketError.errno or EINVAL, "the portal")) from error
        self._ports.append(port)


def _reading(tls: PortalTls) -> Blocking:
    return Blocking(str(tls.key_file), partial(tls_options, tls.certificate_file, tls.key_file))


def _not_read(failure: Failure) -> None:
    _log.warn("the portal keeps the certificate that it has: {why}", why=failure.getErrorMessage())
