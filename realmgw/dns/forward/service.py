"""The forwarder, with the sockets and the clock that it has. Edge: the reactor, chance."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any

import attrs
from twisted.logger import Logger

from realmgw.config import lists
from realmgw.config.settings import Resolver, Settings
from realmgw.config.steps import Blocking, Steps
from realmgw.dns.counts import Counts
from realmgw.dns.forward.asking import Cancel, Means
from realmgw.dns.forward.chance import Chance
from realmgw.dns.forward.events import Event
from realmgw.dns.forward.forwarder import Forwarder
from realmgw.dns.forward.policy import HostAt, NamePolicy, NameSet, Note, compiling
from realmgw.dns.forward.port import SocketMeans, Sockets
from realmgw.dns.forward.repeated import Repeated
from realmgw.dns.forward.stream import Streams
from realmgw.dns.forward.upstreams import Upstreams
from realmgw.dns.forward.waits import Waits
from realmgw.dns.view import Fast, Part
from realmgw.dns.zones import ZoneTable
from realmgw.system.trust import trust

_log = Logger()
RESOLVER = "resolver "
"""What stands before a resolver's address, where it is counted."""


@attrs.frozen(eq=False)
class Files:
    """What files say that the settings name."""

    trust: Any
    """What certificates of resolvers are signed by, as Twisted has it."""
    lists: tuple[NameSet, ...] = ()
    """Names that are not to be had."""


NO_FILES = Files(None)
"""There are none."""


class Forwarding:
    """All of the forwarder.

    Args:
        reactor: The reactor.
        present: The present, in monotonic seconds.
        host_at: Finds out which subscriber asks; None: that is not known here.
        note: Told which names lists have not let anybody have.
        careful: Answers questions where it depends on who asks whether there is an answer; None: the forwarder does.

    Attributes:
        answer: Answers questions (a `view.Part`).
    """

    def __init__(
        self,
        reactor: Any,
        present: Callable[[], float],
        host_at: HostAt | None,
        note: Note,
        careful: Part | None = None,
    ) -> None:
        self._reactor = reactor
        self._streams = Streams(reactor)
        self._events = [0] * len(Event)
        self._upstreams, self._waits = Upstreams(os.urandom, _tell), Waits(self._timer, present)
        chance = Chance(os.urandom).octets
        timed = SocketMeans(self._waits.later, present, chance, self._events)
        self._sockets = Sockets(reactor, self._streams, timed)
        means = Means(self._upstreams, self._sockets, self._waits.later, present, chance, self._events)
        self._forwarder = Forwarder(means)
        self._policy = NamePolicy(host_at, note)
        self._forwarder.careful, self._careful = careful, careful or self._forwarder.forward
        self.answer = self._policy.before(self._forwarder.forward, self._careful)

    def repeated(self, counts: Counts) -> tuple[Part, Fast]:
        """What answers questions of a view that counts there, and its fast path."""
        repeated = Repeated(self._forwarder, counts, self._events)
        return self._policy.before(repeated.forward, self._careful), repeated.answer

    def lead_to(self, ours: Part) -> None:
        """Have aliases of internal names lead to ours, of which this answers questions at once."""
        self._forwarder.ours = ours

    def explain(self, name: bytes, kind: int, address: str) -> str:
        """What a name (wire form) that somebody asks for comes to, in words; nothing is asked, and nothing counted."""
        said, is_had = self._policy.explain(name, address)
        return f"{said}: {self._forwarder.explain(name, kind)}" if is_had else said

    def configure(self, settings: Settings, table: ZoneTable, files: Files) -> None:
        """From the next query on, go by these."""
        self._streams.configure(files.trust, settings.dns.forward.pins)
        self._policy.configure(files.lists)
        self._forwarder.configure(settings, table)

    def counts(self) -> dict[str, object]:
        """What was counted and what there is, of the forwarder, of each resolver, and of each list of names.

        Resolvers and lists that are no more are together, so that the sums do not fall.
        """
        resolvers = {f"{RESOLVER}{text}": each for text, each in self._upstreams.counts().items()}
        forward = {**self._forwarder.counts(), "seconds": self._upstreams.latencies.counts()}
        dropped = {"resolvers_dropped": {**self._upstreams.dropped}, "lists_dropped": {"decided": self._policy.dropped}}
        return {"forward": forward, **resolvers, **self._policy.counts(), **dropped}

    @property
    def outstanding(self) -> int:
        """How many questions are under way."""
        return self._forwarder.outstanding

    def close(self) -> None:
        """Ends all questions and connections."""
        self._forwarder.stop()
        self._sockets.close()
        self._streams.abort()
        self._waits.close()

    def _timer(self, seconds: float, function: Callable[[], object]) -> Cancel:
        call = self._reactor.callLater(seconds, function)
        return lambda: call.cancel() if call.active() else None


def reading(settings: Settings) -> Steps[Files]:
    """Reads the files that the settings name.

    Raises:
        PlatformError: The certificates can not be used.
        ConfigurationError: A list of names can not be used.
    """
    trusted = yield Blocking(str(settings.dns.forward.ca_file), partial(trust, settings.dns.forward.ca_file))
    return Files(trusted, (yield from compiling((yield from lists(settings)))))


def tell(resolver: str, why: str) -> None:
    """A resolver (as text) is of no use any more, and why; or, with an empty text, is of use again."""
    if why:
        _log.warn("the resolver {resolver} does not answer: {why}", resolver=resolver, why=why)
    else:
        _log.info("the resolver {resolver} answers again", resolver=resolver)


def _tell(resolver: Resolver, why: str) -> None:
    tell(resolver.text, why)
