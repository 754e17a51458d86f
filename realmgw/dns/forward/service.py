"""The forwarder, with the sockets and the clock that it has. Edge: the reactor, chance."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from twisted.logger import Logger

from realmgw.config.settings import Resolver, Settings
from realmgw.dns.counts import Counts
from realmgw.dns.forward.asking import Cancel, Event, Means
from realmgw.dns.forward.forwarder import Forwarder
from realmgw.dns.forward.port import Sockets
from realmgw.dns.forward.repeated import Repeated
from realmgw.dns.forward.stream import Streams
from realmgw.dns.forward.upstreams import Upstreams
from realmgw.dns.zones import ZoneTable
from realmgw.subscribers.remote.port import trust

_log = Logger()


class Forwarding:
    """All of the forwarder.

    Args:
        reactor: The reactor.
        present: The present, in monotonic seconds.

    Attributes:
        forwarder: What answers.
    """

    def __init__(self, reactor: Any, present: Callable[[], float]) -> None:
        self._reactor = reactor
        self._streams = Streams(reactor)
        self._events = [0] * len(Event)
        self._upstreams, sockets = Upstreams(os.urandom, _tell), Sockets(reactor, self._streams)
        means = Means(self._upstreams, sockets, self._later, present, os.urandom, self._events)
        self.forwarder = Forwarder(means)

    def repeated(self, counts: Counts) -> Repeated:
        """The fast path of a view that counts there."""
        return Repeated(self.forwarder, counts, self._events)

    def configure(self, settings: Settings, table: ZoneTable, trust: Any) -> None:
        """From the next query on, go by these; `trust` is what signs certificates."""
        self._streams.configure(trust, settings.dns.forward.pins)
        self.forwarder.configure(settings, table)

    def counts(self) -> dict[str, object]:
        """What was counted and what there is, of the forwarder and of each resolver."""
        resolvers = self._upstreams.counts()
        return {"forward": self.forwarder.counts(), **{f"resolver {text}": each for text, each in resolvers.items()}}

    def close(self) -> None:
        """Ends all questions and connections."""
        self.forwarder.stop()
        self._streams.abort()

    def _later(self, seconds: float, function: Callable[[], object]) -> Cancel:
        call = self._reactor.callLater(seconds, function)
        return lambda: call.cancel() if call.active() else None


def trusted(settings: Settings) -> Any:
    """What certificates of resolvers are signed by; may read a file.

    Raises:
        PlatformError: The file can not be used.
    """
    return trust(settings.dns.forward.ca_file)


def _tell(resolver: Resolver, why: str) -> None:
    if why:
        _log.warn("the resolver {resolver} does not answer: {why}", resolver=resolver.text, why=why)
    else:
        _log.info("the resolver {resolver} answers again", resolver=resolver.text)
