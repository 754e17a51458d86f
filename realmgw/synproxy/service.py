"""The SYN proxies, as a service of the gateway: they are told, and nobody waits for them. Edge: the reactor."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from functools import partial
from typing import Any

import attrs
from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredLock, gatherResults, inlineCallbacks
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger

from realmgw.allocation.allocator import Allocator
from realmgw.allocation.flow import Noted
from realmgw.allocation.standing import note, standing
from realmgw.config.settings import Peer, Settings
from realmgw.config.steps import Blocking
from realmgw.synproxy.link import Link, LinkCounts, State
from realmgw.synproxy.port import Connecting
from realmgw.synproxy.table import Table
from realmgw.system.trust import trust

BATCH = 0.01  # seconds
"""What changes is told at once, but not more often than that."""
LOOK = 0.25  # seconds
"""How often it is looked whether links are in time."""

_log = Logger()


class SynproxyService(Service):
    """Keeps SYN proxies in step with the allocation.

    Args:
        settings: The gateway's.
        allocator: What stands where.
        reactor: Twisted's.
        elsewhere: Makes a call that may block, where it holds up nobody.
        tell: Told what is wrong, a line each, whenever that may have changed.
    """

    name = "synproxy"

    def __init__(
        self,
        settings: Settings,
        allocator: Allocator,
        reactor: Any,
        elsewhere: Callable[[Blocking], Deferred[Any]],
        tell: Callable[[tuple[str, ...]], object],
    ) -> None:
        self._settings, self._allocator, self._clock = settings, allocator, reactor
        self._how = settings.synproxy
        self._elsewhere, self._tell = elsewhere, tell
        self._table = Table(settings)
        self._links: dict[Peer, Connecting] = {}
        self._states: dict[Peer, State] = {}
        self._dropped = LinkCounts()
        self._changed = Noted(self._put_down)
        self._passed_at = -BATCH
        self._is_noting = False
        self._changing = DeferredLock()
        self._looking = LoopingCall(self._look)
        self._looking.clock = reactor

    @inlineCallbacks
    def startService(self) -> Generator[Deferred[Any], Any, None]:
        """Begin to connect.

        Returns:
            A Deferred that fires when that is so; no proxy has to be there. It fails with `PlatformError` if the
            certificates can not be used; then nothing runs.
        """
        super().startService()  # type: ignore[no-untyped-call]  # Twisted does not say
        try:
            yield self._changing.run(self._change, self._settings)
        except Exception:
            yield self.stopService()
            raise

    @inlineCallbacks
    def stopService(self) -> Generator[Deferred[Any], Any, None]:
        """Close all connections; the proxies keep their tables."""
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted does not say
        yield self._changing.run(self._drop, set(self._links))
        self._rest()

    def configure(self, settings: Settings) -> None:
        """From now on, these settings; connections to proxies that stay are not touched.

        The file of certificates is read anew, and what it says holds from the next connection on. Where it can not be
        read, the same proxies are told of other pools and options as ever, believed as before.
        """
        self._settings = settings
        if self.running:
            self._changing.run(self._change, settings).addErrback(
                lambda failure: _log.warn("SYN proxies stay as they were: {why}", why=failure.getErrorMessage())
            )

    @inlineCallbacks
    def _change(self, settings: Settings) -> Generator[Deferred[Any], Any, None]:
        how, former = settings.synproxy, self._how
        is_different = self._table.configure(settings)
        for each in self._links.values():
            each.configure(how.reconnect)
            if is_different:
                each.link.renew(now=self._now())
        trusted = None
        if any(proxy.name is not None for proxy in how.proxies):
            trusted = yield self._elsewhere(Blocking(str(how.ca_file), partial(trust, how.ca_file)))
        self._how = how
        signed_otherwise = {proxy for proxy in self._links if proxy.name is not None and how.ca_file != former.ca_file}
        yield self._drop(set(self._links) - set(how.proxies) | signed_otherwise)
        for each in self._links.values():
            each.believe(trusted)
        if not how.proxies:
            self._rest()
            return
        if not self._is_noting:
            yield self._begin_noting()
        self._begin(trusted)

    def _begin(self, trusted: Any) -> None:
        """Connect to the proxies that are new."""
        for proxy in self._how.proxies if self.running else ():
            if proxy not in self._links:
                link = Link(self._table, proxy.text, now=self._now())
                self._links[proxy] = Connecting(proxy, link, self._how.reconnect, trusted, self._clock)
                self._links[proxy].start()
        if self.running and not self._looking.running:
            self._looking.start(LOOK)

    @inlineCallbacks
    def _begin_noting(self) -> Generator[Deferred[Any], Any, None]:
        """Hear what is reserved, then find out what was before, some at a time."""
        self._is_noting = True
        note(self._allocator, self._changed)
        for portion in standing(self._allocator):
            self._table.note({(packed, key): terms for packed, key, terms in portion})
            yield deferLater(self._clock, 0)

    def _rest(self) -> None:
        """There is nobody to tell anything."""
        if self._looking.running:
            self._looking.stop()
        note(self._allocator, None)
        self._is_noting = False
        self._table.clear()
        self._changed.clear()
        self._tell(())

    def _drop(self, gone: set[Peer]) -> Deferred[Any]:
        self._states = {proxy: state for proxy, state in self._states.items() if proxy not in gone}
        dropped = [self._links.pop(proxy) for proxy in gone]
        for each in dropped:
            self._dropped.add(each.link.counts)
        return gatherResults([each.stop() for each in dropped])

    # What is reserved

    def _put_down(self) -> None:
        """The first reservation of several begins or ends."""
        self._clock.callLater(max(0.0, self._passed_at + BATCH - self._now()), self._pass_on)

    def _pass_on(self) -> None:
        """Tell the links what has changed."""
        self._passed_at = now = self._now()
        changed = dict(self._changed)
        self._changed.clear()
        before = self._table.note(changed)
        for each in self._links.values() if before else ():
            each.link.change(before, now=now)
            each.work()

    # How they are

    def _look(self) -> None:
        for proxy, each in self._links.items():
            each.tick()
            state, before = each.link.state, self._states.get(proxy)
            self._states[proxy] = state
            if state is State.IN_STEP and before not in (None, State.IN_STEP):
                _log.info("the SYN proxy {proxy} is in step", proxy=each.link.name)
        self._tell(tuple(self._wrong()))

    def _wrong(self) -> Iterator[str]:
        for each in self._links.values():
            link = each.link
            if link.error and link.state is not State.IN_STEP:
                yield f"the SYN proxy {link.name} is not in step: {link.error}"

    def counts(self) -> dict[str, object]:
        """What was counted, of each proxy by its address, and how many reservations they are to know.

        Those that are no more are together in `dropped`, so that the sums do not fall.
        """
        counts = {each.link.name: attrs.asdict(each.link.counts) for each in self._links.values()}
        if self._dropped != LinkCounts():
            counts["dropped"] = attrs.asdict(self._dropped)
        return {"reserved": len(self._table), **counts} if counts else {}

    def show(self) -> list[dict[str, object]]:
        """How each proxy is, as plain values."""
        now = self._now()
        return [
            {
                "proxy": link.name, "state": link.state.value, "since": round(now - link.since, 3),
                "entries": link.entries, "waiting": link.waiting, "outstanding": link.outstanding,
                "ipv6": link.takes6, "error": link.error, "counts": attrs.asdict(link.counts),
            }
            for link in (each.link for each in self._links.values())
        ]  # fmt: skip

    def _now(self) -> float:
        now: float = self._clock.seconds()
        return now
