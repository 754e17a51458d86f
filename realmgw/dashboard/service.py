"""The dashboard with its sockets, while the gateway runs. Edge: the reactor, TLS, files, chance."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Mapping
from functools import partial
from pathlib import Path, PurePath
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.logger import Logger
from twisted.python.failure import Failure

from realmgw.config.settings import Dashboard, Settings
from realmgw.config.steps import Blocking
from realmgw.config.tokens import read_own_token
from realmgw.dashboard.access import Access
from realmgw.dashboard.feeds import Do
from realmgw.dashboard.live import Live
from realmgw.dashboard.port import DashboardFactory
from realmgw.system.port import Sockets
from realmgw.system.tls import tls_options

_log = Logger()


class DashboardService(Service):
    """Serves the page, where there is one.

    Args:
        settings: The gateway's.
        reactor: Twisted's.
        elsewhere: Makes a call that may block, where it holds up nobody.
        monotonic: The present, in seconds.
        wall: The time of day, in seconds since 1970.
    """

    name = "dashboard"
    _do: Do

    def __init__(
        self,
        settings: Settings,
        reactor: Any,
        elsewhere: Callable[[Blocking], Deferred[Any]],
        monotonic: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self._settings = settings.dashboard
        self._elsewhere = elsewhere
        self._sockets = Sockets(reactor, "the dashboard", "dashboard")
        self._factory: DashboardFactory | None = None
        if self._settings is not None:
            access = Access(os.urandom, _names(self._settings))
            live = Live(self._ask, reactor, wall)
            self._factory = DashboardFactory(reactor, self._ask, access, live, monotonic)
            self._factory.is_changing = self._settings.actions

    def look_into(self, do: Do) -> None:
        """From now on, it has commands done so."""
        self._do = do

    def _ask(self, path: str, given: Mapping[str, str]) -> Any:
        return self._do(path, given)

    @inlineCallbacks
    def startService(self) -> Generator[Deferred[Any], Any, None]:
        """Listen.

        Returns:
            A Deferred that fires when that is so, or when it was stopped meanwhile. It fails with `PlatformError` if it
            can not be; then nothing listens.
        """
        super().startService()  # type: ignore[no-untyped-call]  # Twisted does not say
        settings, factory = self._settings, self._factory
        if settings is None or factory is None:
            return
        try:
            yield self._read(settings)
            for place in settings.listen if self.running else ():
                self._sockets.listen(factory, place, group=settings.group, secure=settings.tls is not None)
        except Exception:
            yield self.stopService()
            raise

    def stopService(self) -> Deferred[Any]:
        """Listen no more; fires when all sockets are closed, connections too."""
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted does not say
        if self._factory is not None:
            self._factory.disconnect()
        return self._sockets.stop()

    def configure(self, settings: Settings) -> None:
        """Token and certificate are read anew: another token has to be shown again. Where it listens is the same."""
        if settings.dashboard is None or self._factory is None:
            return
        self._factory.is_changing = settings.dashboard.actions
        if self.running:
            self._read(settings.dashboard).addErrback(_not_read)

    def counts(self) -> dict[str, int]:
        """What was counted; empty where there is no dashboard."""
        return {} if self._factory is None else self._factory.counts()

    @inlineCallbacks
    def _read(self, settings: Dashboard) -> Generator[Deferred[Any], Any, None]:
        path, tls = settings.token_file, settings.tls
        token = None if path is None else (yield self._elsewhere(_blocking(path, read_own_token, Path(path))))
        if tls is not None:
            made = _blocking(tls.key_file, tls_options, tls.certificate_file, tls.key_file)
            self._sockets.certificate = yield self._elsewhere(made)
        assert self._factory is not None
        self._factory.access.demand(token)


def _names(settings: Dashboard) -> Iterator[str]:
    """By which browsers may ask for it, beside those of this machine."""
    yield from (str(each.address) for each in settings.endpoints)
    if settings.tls is not None:
        yield settings.tls.name.removesuffix(".")


def _blocking(where: PurePath, read: Callable[..., Any], *what: PurePath) -> Blocking:
    return Blocking(str(where), partial(read, *what))


def _not_read(failure: Failure) -> None:
    _log.warn("the dashboard keeps the token and the certificate that it has: {why}", why=failure.getErrorMessage())
