"""Tells monitoring systems while the process runs. Edge: the reactor, sockets, the clock."""

from __future__ import annotations

from collections.abc import Callable, Generator
from platform import python_version
from time import monotonic, time
from typing import Any, Protocol

from twisted.application.service import Service
from twisted.internet.defer import Deferred, inlineCallbacks, maybeDeferred
from twisted.internet.interfaces import IDelayedCall

from realmgw import __version__
from realmgw.config.distribution import DELAY_BOUNDS, Distribution
from realmgw.config.driving import Driver
from realmgw.config.settings import Metrics
from realmgw.errors import PlatformError
from realmgw.metrics.declared import Metric, Tree
from realmgw.metrics.port import MetricsFactory
from realmgw.metrics.text import Format, Writer
from realmgw.system.port import Sockets
from twisted import __version__ as twisted

TURN = 0.0005  # seconds
"""For so long a scrape is worked at before others have their turn: nobody is in a hurry for it."""
TICK = 0.1  # seconds
"""How often it is looked how late the reactor's timers are."""


def built(start: float) -> Tree:
    """What runs, and since when (seconds since 1970), as trees have it."""
    versions = {"version": __version__, "python": python_version(), "twisted": twisted}
    return {"build": versions, "start": round(start, 3)}


class HasMetrics(Protocol):
    """The settings of a program."""

    @property
    def metrics(self) -> Metrics:
        """Those of its metrics."""


class MetricsService(Service):
    """Listens for monitoring systems, and gathers what they want to know.

    One scrape is under way at a time: who asks meanwhile, in the same format, gets the same.

    Args:
        settings: Where, and who may ask; nowhere: nothing is done at all.
        metrics: What is told.
        read: Gives the tree of all that was counted; a Deferred.
        reactor: Twisted's.
        monotonic: The present, in seconds.

    Attributes:
        scraped: How often everything was gathered.
        joined: How many requests got what others were gathering already.
        seconds: How long that took the last time.
    """

    name = "metrics"

    def __init__(
        self,
        settings: Metrics,
        metrics: tuple[Metric, ...],
        read: Callable[[], Deferred[Tree]],
        reactor: Any,
        monotonic: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._writer = Writer(metrics)
        self._read = read
        self._reactor = reactor
        self._monotonic = monotonic
        self._driver = Driver(reactor, monotonic, lambda step: maybeDeferred(step.call), TURN)  # no step blocks
        self._factory = MetricsFactory(reactor, self.scrape, settings.clients)
        self._sockets = Sockets(reactor, "the metrics", "metrics")
        self._waiting: dict[str, list[Deferred[bytes]]] = {}  # by the type of what they want
        self._lag = Distribution(DELAY_BOUNDS)
        self._due = 0.0
        self._call: IDelayedCall | None = None
        self.scraped = self.joined = 0
        self.seconds = 0.0

    @classmethod
    def of(
        cls, settings: Metrics, metrics: tuple[Metric, ...], read: Callable[[], Deferred[Tree]], reactor: Any
    ) -> MetricsService:
        """That of a program whose tree lacks what this service counts, and what runs: both are added here."""
        build = built(time())

        def told(tree: Tree) -> Tree:
            return {**tree, "metrics": service.counts(), "now": {**build, **tree.get("now", {})}}

        service = cls(settings, metrics, lambda: read().addCallback(told), reactor, monotonic)
        return service

    def startService(self) -> None:
        """Listen.

        Raises:
            PlatformError: That is not possible; one line says why. Nothing listens then.
        """
        super().startService()  # type: ignore[no-untyped-call]  # Twisted does not say
        if not self._settings.listen:
            return
        try:
            for place in self._settings.listen:
                self._sockets.listen(self._factory, place, group=self._settings.group)
        except PlatformError:
            self.stopService()
            raise
        self._arm()

    def stopService(self) -> Deferred[Any]:
        """Listen no more; fires when all sockets are closed, connections too."""
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted does not say
        call, self._call = self._call, None
        if call is not None and call.active():
            call.cancel()
        self._factory.disconnect()
        return self._sockets.stop()

    def configure(self, settings: HasMetrics) -> None:
        """Others may ask from now on; where it listens is the same."""
        self._factory.clients = settings.metrics.clients

    def counts(self) -> dict[str, object]:
        """What was counted; empty where nothing listens."""
        if not self._settings.listen:
            return {}
        longest, lag = round(self._driver.longest, 6), self._lag.counts()
        own = {"scraped": self.scraped, "joined": self.joined, "seconds": round(self.seconds, 6)}
        most = round(self._driver.most, 6)
        return {**self._factory.counts(), **own, "longest_slice": longest, "most_spent": most, "lag": lag}

    def scrape(self, wanted: Format) -> Deferred[bytes]:
        """Everything that is known now, as a text.

        Args:
            wanted: Its format.
        """
        asked, kind = Deferred[bytes](), wanted.content_type
        if kind in self._waiting:
            self.joined += 1
            self._waiting[kind].append(asked)
            return asked
        self._waiting[kind] = [asked]
        gathered: Deferred[bytes] = self._gathered(wanted)
        gathered.addBoth(self._tell, kind)
        return asked

    @inlineCallbacks
    def _gathered(self, wanted: Format) -> Generator[Deferred[Any], Any, bytes]:
        begin = self._monotonic()
        tree = yield self._read()
        text: bytes = yield self._driver.drive(self._writer.writing(tree, wanted, time() - self._monotonic()))
        self.scraped += 1
        self.seconds = self._monotonic() - begin
        return text

    def _tell(self, outcome: Any, kind: str) -> None:
        for each in self._waiting.pop(kind):
            each.callback(outcome)

    def _arm(self) -> None:
        self._due = self._monotonic() + TICK
        self._call = self._reactor.callLater(TICK, self._tick)

    def _tick(self) -> None:
        self._lag.add(max(0.0, self._monotonic() - self._due))
        self._arm()
