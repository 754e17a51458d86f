"""Alerts while the gateway runs: taken as they come, looked at when nobody else wants the reactor.

A turn looks at lines for `TURN` or little more, `AT_ONCE` by `AT_ONCE`, and then everybody else has his, which takes
longer than that as soon as there is much to do: so DNS and first packets come round whatever comes, and what they leave
of the processor is for alerts. What comes faster waits in the backlog, and what finds no room there is lost.

Edge: the reactor.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import attrs
from twisted.application.service import Service
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from realmgw.alerts.backlog import Backlog
from realmgw.alerts.bans import Bans, Cause
from realmgw.alerts.eve import Alert, Flow, after_cut, decode
from realmgw.alerts.ours import Ours
from realmgw.alerts.response import Means, Opener, Response, Seen
from realmgw.alerts.sources import Sources
from realmgw.config.alerts import Action, Alerts
from realmgw.config.settings import Settings
from realmgw.config.steps import Blocking
from realmgw.errors import MalformedError, RealmGatewayError
from realmgw.subscribers.model import Host
from realmgw.subscribers.reach import Around

TURN = 0.001  # seconds
"""So long lines are looked at in one turn."""
AT_ONCE = 32
"""So many lines are looked at before it is asked what time it is. Conntrack is asked about their flows at once."""
LOOK = 1.0  # seconds
"""How often it is looked whose ban is over, and what is wrong."""
AFTER_LOSS = 60.0  # seconds
"""So long after alerts were lost it is told."""

_log = Logger()


class Kernel(Protocol):
    """What the service needs of a `realmgw.datapath.service.DatapathService`; see there."""

    @property
    def placements(self) -> int: ...
    def ban(self, left: Mapping[bytes, float]) -> Deferred[None]: ...


@attrs.frozen
class Known:
    """What others know."""

    find: Callable[[Sequence[Flow]], Sequence[Seen | None]]
    """See `Means.find`."""
    end: Callable[[Sequence[Any]], Sequence[bool]]
    """See `Means.end`."""
    opener: Callable[[bytes, bytes], Opener | None]
    """See `Means.opener`."""
    watch: Callable[..., object]
    """Told whether the openers of flows are wanted (`on`)."""
    host_at: Callable[[bytes], Host | None]
    """The host with a packed address."""
    around: Callable[[], Around]
    """The machine's addresses and networks."""


@attrs.frozen
class Clocks:
    """What time it is."""

    reactor: Any
    """Twisted's."""
    monotonic: Callable[[], float]
    """The present, in seconds."""
    time: Callable[[], float]
    """The same since 1970."""


class AlertsService(Service):
    """Takes alerts, where that is configured.

    Args:
        settings: The gateway's.
        known: What others know of flows.
        kernel: Bans.
        clocks: What time it is.
        elsewhere: Makes a call that may block, where it holds up nobody.
        tell: Told what is wrong, a line each, whenever that may have changed.
        group_of: The number of a group of users; raises `PlatformError` if there is none.
    """

    name = "alerts"

    def __init__(
        self,
        settings: Settings,
        known: Known,
        kernel: Kernel,
        clocks: Clocks,
        elsewhere: Callable[[Blocking], Deferred[Any]],
        tell: Callable[[Iterable[str]], object],
        group_of: Callable[[str], int],
    ) -> None:
        self._kernel, self._clocks, self._tell, self._watch = kernel, clocks, tell, known.watch
        self._is_on = settings.alerts is not None
        self._alerts = alerts = settings.alerts or Alerts()
        self._ours = Ours(settings, known.host_at, known.around)
        self._bans, self._backlog = Bans(alerts, self._ours.is_guarded), Backlog()
        ours = self._ours
        means = Means(known.find, known.end, ours.way, ours.is_proxied, ours.name_of, known.opener, self._ban)
        self._response = Response(alerts, self._bans, means)
        room = self._backlog
        self._sources = Sources(alerts, self._take, lambda: room.has_room, clocks.reactor, elsewhere, group_of)
        self._looking = LoopingCall(self._look)
        self._looking.clock = clocks.reactor
        self._turn: IDelayedCall | None = None
        self._placements, self._lost, self._lost_at = 0, 0, -math.inf
        self.alerts = self.others = self.malformed = self.bans_failed = 0

    @inlineCallbacks
    def startService(self) -> Generator[Deferred[Any], Any, None]:
        """Take alerts from now on.

        Returns:
            A Deferred that fires when that is so. It fails with `PlatformError` if one of the sources can not be had;
            then nothing is taken.
        """
        super().startService()  # type: ignore[no-untyped-call]  # Twisted does not say
        if not self._is_on:
            return
        try:
            self._sources.start()
        except Exception:
            yield self.stopService()
            raise
        self._placements = self._kernel.placements
        self._watch(on=self._alerts.has(Action.BLAME))
        self._looking.start(LOOK, now=False)

    @inlineCallbacks
    def stopService(self) -> Generator[Deferred[Any], Any, None]:
        """Take no more; bans stay in the kernel until their time is over."""
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted does not say
        if self._looking.running:
            self._looking.stop()
            self._watch(on=False)
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
        self._backlog.clear()
        yield self._sources.stop()

    def configure(self, settings: Settings) -> None:
        """From now on, these rules; where alerts come from is the same."""
        self._ours.settings = settings
        if settings.alerts is not None and self._is_on:
            self._alerts = settings.alerts
            lifted = self._response.configure(settings.alerts)
            if self.running:
                self._watch(on=settings.alerts.has(Action.BLAME))
            self._sources.configure(settings.alerts)
            self._place({**dict.fromkeys(lifted, 0.0), **self._left()})

    def _take(self, lines: Collection[bytes]) -> None:
        """Lines have come; they are looked at soon."""
        self._backlog.add(lines)
        self._arm()

    def _arm(self) -> None:
        if self._turn is None and len(self._backlog) and self.running:
            self._turn = self._clocks.reactor.callLater(0.0, self._work)

    def _work(self) -> None:
        """One turn."""
        self._turn = None
        monotonic, begin = self._clocks.monotonic, self._clocks.monotonic()
        at, end = self._clocks.time(), begin + TURN
        now = begin
        while now < end and len(self._backlog):
            self._response.take(list(self._alerts_of(self._backlog.take(AT_ONCE))), now, at)
            now = monotonic()
        self._arm()

    def _alerts_of(self, lines: Iterable[bytes]) -> Iterator[Alert]:
        """The alerts of some lines; other lines are counted."""
        for line in lines:
            try:
                alert = decode(line)
            except MalformedError:
                self.malformed += 1
                yield from self._alerts_of(filter(None, (after_cut(line),)))
                continue
            if alert is None:
                self.others += 1
            else:
                self.alerts += 1
                yield alert

    # Bans

    def _ban(self, packed: bytes, seconds: float) -> None:
        self._place({packed: seconds})

    def _place(self, left: Mapping[bytes, float]) -> None:
        if left:
            self._kernel.ban(left).addErrback(self._not_banned, left)

    def _not_banned(self, failure: Failure, sources: Iterable[bytes]) -> None:
        failure.trap(RealmGatewayError)  # type: ignore[no-untyped-call]  # Twisted does not say
        for packed in sources:
            self.bans_failed += 1
            self._bans.remove(packed)
        _log.warn("alerts: not banned: {why}", why=failure.getErrorMessage())

    def _restore(self) -> None:
        """The table is another one: who is banned is told to the kernel again."""
        self._place(self._left())

    def _left(self) -> dict[bytes, float]:
        return self._bans.left(self._clocks.monotonic())

    # How it is

    def _look(self) -> None:
        now, placements = self._clocks.monotonic(), self._kernel.placements
        self._bans.expire(now)
        if placements != self._placements:
            self._placements = placements
            self._restore()
        total = self._backlog.lost + self._sources.datagrams_lost
        if total != self._lost:
            self._lost, self._lost_at = total, now
        lost = ["alerts are lost: more come than can be looked at"] if now < self._lost_at + AFTER_LOSS else []
        self._tell((*self._sources.problems(), *lost))

    def cause(self, source: bytes) -> tuple[Cause, int | None] | None:
        """What a packed address is banned for; see `Bans.cause`."""
        return self._bans.cause(source)

    def show(self, limit: int) -> dict[str, Any]:
        """The alerts that came last, as plain values; see `Response.show`."""
        return {"on": self._is_on, **self._response.show(limit, self._clocks.time())}

    def counts(self) -> dict[str, object]:
        """What was counted; empty where no alerts are taken."""
        if not self._is_on:
            return {}
        return {
            "lines": self._backlog.lines, "lost": self._backlog.lost, "waiting": len(self._backlog),
            "alerts": self.alerts, "others": self.others, "malformed": self.malformed, **self._sources.numbers(),
            **attrs.asdict(self._response.counts), "bans": len(self._bans), "bans_failed": self.bans_failed,
        }  # fmt: skip
