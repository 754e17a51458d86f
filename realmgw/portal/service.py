"""The portal with its sockets, while the gateway runs. Edge: the reactor, TLS, files."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator
from functools import partial
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.ssl import CertificateOptions
from twisted.logger import Logger
from twisted.python.failure import Failure

from realmgw.config.settings import PortalTls, Settings
from realmgw.config.steps import Blocking
from realmgw.portal.answers import Answers
from realmgw.portal.port import PortalFactory
from realmgw.system.port import Sockets
from realmgw.system.tls import tls_options

BACKLOG = 128
"""So many connections may wait to be taken."""

_log = Logger()


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
        self._elsewhere = elsewhere
        self._sockets = Sockets(reactor, "the portal", "portal", BACKLOG)
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
                self._sockets.listen(self._factory, endpoint)
            if portal.tls is not None:
                self._sockets.certificate = yield self._elsewhere(_reading(portal.tls))
                for endpoint in portal.tls.listen if self.running else ():
                    self._sockets.listen(self._factory, endpoint, secure=True)
        except Exception:
            yield self.stopService()
            raise

    def stopService(self) -> Deferred[None]:
        """Listen no more; fires when all sockets are closed, connections too."""
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted does not say
        if self._factory is not None:
            self._factory.disconnect()
        return self._sockets.stop()

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
        self._sockets.certificate = certificate


def _reading(tls: PortalTls) -> Blocking:
    return Blocking(str(tls.key_file), partial(tls_options, tls.certificate_file, tls.key_file))


def _not_read(failure: Failure) -> None:
    _log.warn("the portal keeps the certificate that it has: {why}", why=failure.getErrorMessage())
