"""What all open pages are told every second: a snapshot, and the flows that have begun and ended since.

Everything is asked of the commands, a bounded part of each list, and these go through what can be long a few entries at
a time. While nobody looks, there is no timer, nothing is asked, and conntrack does not tell us of flows.

Edge: the reactor's timers.
"""

# mypy: disable-error-code="no-untyped-call"
# (Twisted's web server, and its failures, have no types.)

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Mapping
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, inlineCallbacks, maybeDeferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from realmgw.config.limits import DASHBOARD_READERS
from realmgw.control.command import frame
from realmgw.control.streaming import Stream
from realmgw.dashboard.readers import Reader, event
from realmgw.errors import RealmGatewayError

PERIOD = 1.0  # seconds
"""How often."""
ROWS, RESOLVERS, CELLS = 500, 200, 1024
"""So much of what stands in the pool, of groups of resolvers and of the pool's picture is asked for."""
SHOWN = 50
"""So many names and hosts are told of, those that have most."""
GONE_THROUGH = 16384
"""A pool of more addresses is gone through not every second, but so many addresses of it a second."""
FLOWS = 1000
"""So many flows are remembered that have begun or ended lately, for pages that are opened later."""
AT_ONCE = 500
"""So many are told within a second; of others, only how many there were."""
AGAIN = 10
"""After so many periods it is tried again to hear of flows, where that was refused."""

Do = Callable[[str, Mapping[str, str]], Any]
"""Does a command: see `realmgw.control.gateway.Gateway.do`."""

_log = Logger()


class Live:
    """See the module.

    Args:
        do: Does commands.
        reactor: Its clock.
        wall: The time of day, in seconds since 1970.

    Attributes:
        told: How many snapshots were told, to each reader.
        slow: Those that were not, since a reader did not take them.
        stuck: Readers who were cut, since they took nothing for long.
        readers_displaced: Readers who had to go for another one.
        failed: Snapshots that could not be had.
        flows_lost: Flows that no page was told of: there were too many, or the kernel had no room.
    """

    def __init__(self, do: Do, reactor: Any, wall: Callable[[], float]) -> None:
        self.told = self.slow = self.stuck = self.readers_displaced = self.failed = self.flows_lost = 0
        self._do = do
        self._reactor = reactor
        self._wall = wall
        self._readers: dict[Reader, None] = {}
        self._beats = LoopingCall(self._beat)
        self._beats.clock = reactor
        self._forget()

    def _forget(self) -> None:
        self._before: Mapping[str, Any] | None = None
        self._last = b""
        self._pool: dict[str, Any] = {}  # what was told last of what goes through all of it
        self._is_asking = False
        self._count = self._lost = 0
        self._recent: deque[Mapping[str, Any]] = deque(maxlen=FLOWS)
        self._new: list[Mapping[str, Any]] = []
        self._flows: Stream | None = None
        self._untold = ""

    @property
    def readers(self) -> int:
        """How many look."""
        return len(self._readers)

    def add(self, reader: Reader) -> None:
        """Somebody looks from now on; the oldest one has to go if there are as many as there may be."""
        if len(self._readers) >= DASHBOARD_READERS:
            self.readers_displaced += 1
            next(iter(self._readers)).end("Another page was opened, and there may be no more at once.")
        self._readers[reader] = None
        if not self._beats.running:
            self._listen()
        elif self._last:
            reader.tell(self._last)
        reader.tell(event("flows", {"flows": list(self._recent), "lost": 0, "untold": self._untold}))
        if not self._beats.running:
            self._beats.start(PERIOD)

    def remove(self, reader: Reader) -> None:
        """Somebody looks no more; with the last one, everything ends."""
        self._readers.pop(reader, None)
        if not self._readers and self._beats.running:
            self._beats.stop()
            if self._flows is not None:
                self._flows.stop()
            self._forget()

    def stop(self) -> None:
        """Nobody looks any more."""
        for each in tuple(self._readers):
            each.cut()

    def counts(self) -> dict[str, int]:
        """What was counted, and how many look."""
        names = ("told", "slow", "stuck", "readers_displaced", "failed", "flows_lost")
        return {**{name: getattr(self, name) for name in names}, "readers": self.readers}

    def _beat(self) -> None:
        self._count += 1
        now = self._reactor.seconds()
        for each in tuple(self._readers):
            if not each.may():
                each.end("Your session is over.")
            elif each.is_stuck(now):
                self.stuck += 1
                each.cut()
        if not self._readers:
            return
        if self._untold and not self._count % AGAIN:
            self._listen()
        self._tell_flows()
        if not self._is_asking:
            self._is_asking = True
            done: Deferred[None] = self._gather()
            done.addErrback(self._not_gathered)

    @inlineCallbacks
    def _gather(self) -> Generator[Deferred[Any], Any, None]:
        began = self._recent
        asked = {"status": {}, "reputation/list": {"limit": str(RESOLVERS)}}
        if not self._pool or not self._count % max(1, -(-self._pool["picture"]["size"] // GONE_THROUGH)):
            asked.update({"reservations": {"limit": str(ROWS)}, "picture": {"cells": str(CELLS)}})
        done = [maybeDeferred(self._do, *each) for each in asked.items()]
        found = yield DeferredList(done, consumeErrors=True)
        if self._recent is not began:  # nobody looks any more, or others do
            return
        self._is_asking = False
        for is_good, value in found:
            if not is_good:
                value.raiseException()
        told = dict(zip(asked, (value for _, value in found), strict=True))
        now, known = told.pop("status"), told.pop("reputation/list")
        self._pool.update(told)
        self._tell(now, known)

    def _tell(self, now: Mapping[str, Any], known: Mapping[str, Any]) -> None:
        """Tell all pages how it is now, by the status and the resolvers' reputations."""
        places = self._pool["reservations"]["reservations"]
        shown = frame.frame(now, self._before, places, known["reputations"], sort="admitted", match="")
        self._before = now
        for what in ("names", "hosts"):
            shown[what] = shown[what][:SHOWN]
        shown["in_all"] = {"hosts": now["hosts"], "services": now["services"], "resolvers": known["total"]}
        more = {"at": self._wall(), "version": now["version"], "picture": self._pool["picture"]}
        self._last = event("now", {**shown, **more})
        for each in tuple(self._readers):
            if each.tell(self._last):
                self.told += 1
            else:
                self.slow += 1

    def _not_gathered(self, failure: Failure) -> None:
        self._is_asking = False
        self.failed += 1
        if failure.check(RealmGatewayError) is None:
            _log.failure("fault while the dashboard was told what goes on", failure)

    def _listen(self) -> None:
        """Hear of flows from now on, if that can be."""
        try:
            stream = self._do("flows/watch", {})
        except RealmGatewayError as error:
            self._untold = str(error)
            return
        self._flows, self._untold = stream, ""
        stream.follow(self._hear, lambda: None)

    def _hear(self, flow: Mapping[str, Any]) -> None:
        if flow["event"] == "lost" or len(self._new) >= AT_ONCE:
            self._lost += 1
            self.flows_lost += 1
            return
        self._new.append(flow)

    def _tell_flows(self) -> None:
        new, self._new = self._new, []
        lost, self._lost = self._lost, 0
        self._recent.extend(new)
        for each in tuple(self._readers):
            missed = lost + each.missed
            if (new or missed or self._untold) and not each.tell(
                event("flows", {"flows": new, "lost": missed, "untold": self._untold})
            ):
                each.missed = missed + len(new)
            else:
                each.missed = 0
