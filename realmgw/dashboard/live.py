"""What all open pages are told every second: a snapshot, the flows that have begun and ended since, and decisions.

Everything is asked of the commands, a bounded part of each list, and these go through what can be long a few entries at
a time. While nobody looks, there is no timer, nothing is asked, and conntrack does not tell us of flows.

Edge: the reactor's timers.
"""

# mypy: disable-error-code="no-untyped-call"
# (Twisted's web server, and its failures, have no types.)

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, inlineCallbacks, maybeDeferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from realmgw.config.limits import DASHBOARD_READERS
from realmgw.control.command import frame
from realmgw.dashboard.feeds import Do, Feed
from realmgw.dashboard.readers import Reader, event
from realmgw.errors import RealmGatewayError

PERIOD = 1.0  # seconds
"""How often."""
ROWS, RESOLVERS, CELLS = 500, 200, 1024
"""So much of what stands in the pool, of groups of resolvers and of the pool's picture is asked for."""
SHOWN = 50
"""So many names and hosts are told of, those that have most."""
AT_ONCE, RARELY, GONE_THROUGH = 1024, 4, 16384
"""A pool of more addresses than this is gone through not every second, but so many of it, until that would be so
rarely, in seconds; of more than that, so many addresses a second: each that is looked at is to be had from memory."""
GATHERED = 100
"""Of what stands in it, so much a second; so it is asked for less often where more stands there."""
FLOWS = 1000
"""So many flows are remembered that have begun or ended lately, for pages that are opened later."""
DECISIONS = 50
"""The same of decisions."""
LATELY = "log", {"limit": str(DECISIONS), "follow": "1"}
"""The command that tells of them."""
AGAIN = 10
"""After so many periods it is tried again to hear of them, where that was refused."""

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
    """

    def __init__(self, do: Do, reactor: Any, wall: Callable[[], float]) -> None:
        self.told = self.slow = self.stuck = self.readers_displaced = self.failed = 0
        self._do = do
        self._reactor = reactor
        self._wall = wall
        self._readers: dict[Reader, None] = {}
        self._feeds = {"flows": Feed(do, ("flows/watch", {}), FLOWS), "decisions": Feed(do, LATELY, DECISIONS)}
        self._beats = LoopingCall(self._beat)
        self._beats.clock = reactor
        self._forget()

    def _forget(self) -> None:
        self._before: Mapping[str, Any] | None = None
        self._last = b""
        self._pool: dict[str, Any] = {}  # what was told last of what goes through all of it
        self._by: dict[str, list[dict[str, Any]]] = {}  # the same of names and hosts
        self._is_asking = False
        self._count = 0
        self._time = object()  # for which answers that come later are meant
        for feed in self._feeds.values():
            feed.end()

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
        for name, feed in self._feeds.items():
            reader.tell(event(name, {"rows": list(feed.recent), "lost": 0, "untold": feed.untold}))
        if not self._beats.running:
            self._beats.start(PERIOD)

    def remove(self, reader: Reader) -> None:
        """Somebody looks no more; with the last one, everything ends."""
        self._readers.pop(reader, None)
        if not self._readers and self._beats.running:
            self._beats.stop()
            self._forget()

    def stop(self) -> None:
        """Nobody looks any more."""
        for each in tuple(self._readers):
            each.cut()

    def counts(self) -> dict[str, int]:
        """What was counted, and how many look."""
        names = ("told", "slow", "stuck", "readers_displaced", "failed")
        lost = {f"{name}_lost": feed.lost for name, feed in self._feeds.items()}
        return {**{name: getattr(self, name) for name in names}, **lost, "readers": self.readers}

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
        if not self._count % AGAIN:
            self._listen()
        for name, feed in self._feeds.items():
            self._tell_rows(name, feed)
        if not self._is_asking:
            self._is_asking = True
            done: Deferred[None] = self._gather()
            done.addErrback(self._not_gathered)

    @inlineCallbacks
    def _gather(self) -> Generator[Deferred[Any], Any, None]:
        began = self._time
        asked = {"status": {"brief": "1"}, "reputation/list": {"limit": str(RESOLVERS)}, **self._due()}
        done = [maybeDeferred(self._do, *each) for each in asked.items()]
        found = yield DeferredList(done, consumeErrors=True)
        if self._time is not began:  # nobody looks any more, or others do
            return
        self._is_asking = False
        for is_good, value in found:
            if not is_good:
                value.raiseException()
        told = dict(zip(asked, (value for _, value in found), strict=True))
        now, known = told.pop("status"), told.pop("reputation/list")
        self._pool.update(told)
        if "reservations" in told:
            self._by = frame.standing(told["reservations"]["reservations"], sort="admitted", match="")
        self._tell(now, known)

    def _due(self) -> dict[str, dict[str, str]]:
        """What of the pool is to be asked for: the longer it takes the less often."""
        if not self._pool:
            rarely = often = 1
        else:
            size = self._pool["picture"]["size"]
            often = max(1, -(-size // GONE_THROUGH), min(RARELY, -(-size // AT_ONCE)))
            rarely = max(often, -(-len(self._pool["reservations"]["reservations"]) // GATHERED))
        picture = {} if self._count % often else {"picture": {"cells": str(CELLS)}}
        return picture if self._count % rarely else {"reservations": {"limit": str(ROWS)}, **picture}

    def _tell(self, now: Mapping[str, Any], known: Mapping[str, Any]) -> None:
        """Tell all pages how it is now, by the status and the resolvers' reputations."""
        shown = frame.frame(now, self._before, known["reputations"], match="")
        self._before = now
        shown.update((what, every[:SHOWN]) for what, every in self._by.items())
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
        """Hear of what happens from now on, if that can be, and where it is not so already."""
        for feed in self._feeds.values():
            feed.begin()

    def _tell_rows(self, name: str, feed: Feed) -> None:
        new, lost = feed.take()
        for each in tuple(self._readers):
            missed = lost + each.missed[name]
            if (new or missed or feed.untold) and not each.tell(
                event(name, {"rows": new, "lost": missed, "untold": feed.untold})
            ):
                each.missed[name] = missed + len(new)
            else:
                each.missed[name] = 0
