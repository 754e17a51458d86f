"""Telling one HAProxy of names: all of them when it has just begun, changes from then on.

What it knows is what it says when it is asked for its map, which is done at the beginning, and again whenever it could
not be told of something. Names that change while it is being told are told afterwards, each once.

Edge: the reactor.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.task import deferLater

from realmgw.config.steps import portions
from realmgw.config.webproxy import Health
from realmgw.webproxy import checked, port, runtime
from realmgw.webproxy.names import Names, differences
from realmgw.webproxy.servers import Servers

BATCH = 0.02  # seconds
"""What changes within so long a time is told in one go."""
KNOCK = 0.05  # seconds
"""How often it is tried whether HAProxy answers that has just been started."""
AGAIN = 1.0  # seconds
"""How long until its map is read anew, when it could not be told of something."""


@attrs.define
class Counts:
    """What was counted of the proxy, but for what it counts itself."""

    starts: int = 0
    """How often it was started."""
    changes: int = 0
    """Names that it was told of while it ran."""
    renewals: int = 0
    """How often all of its map was told anew."""
    looks: int = 0
    """How often all of its map was read."""
    failures: int = 0
    """How often it did not run, or could not be told."""


class Telling:
    """Keeps the map of one HAProxy in step, from its start to its end.

    Args:
        names: What it shall know; whoever changes them says so by `change`.
        health: How hosts are looked at.
        map_name: The map's name.
        path: The socket of its runtime API.
        reactor: Twisted's.
        counts: Where is counted what is done.
        report: Told whether HAProxy is in step, None before it has answered, and why not, in a line; it may be empty.
    """

    def __init__(
        self,
        names: Names,
        health: Health,
        map_name: str,
        path: Path,
        reactor: Any,
        counts: Counts,
        report: Callable[[bool | None, str], object],
    ) -> None:
        self._names, self._map, self._path = names, map_name, path
        self._reactor, self._counts, self._report = reactor, counts, report
        self._servers = Servers(health, self.answer)
        self._told = dict[str, str]()
        self._changed = dict[str, None]()
        self._is_busy, self._is_over = True, False
        self._began = reactor.seconds()
        reactor.callLater(KNOCK, self._knock)

    def end(self) -> None:
        """It does not run any more: nothing is told or reported from now on."""
        self._is_over = True

    def change(self, names: Iterable[str] = ()) -> None:
        """These may have another route, or none, or one for the first time; and what still is to go may go now."""
        self._changed.update(dict.fromkeys(names))
        if not self._is_busy and (self._changed or self._servers.leaving):
            self._is_busy = True
            self._reactor.callLater(BATCH, self._pass_on)

    @inlineCallbacks
    def answer(self, line: bytes) -> Generator[Deferred[Any], Any, bytes]:
        """Ask for something of which the answer is short; fails as `port.ask` does."""
        said = list[bytes]()
        yield port.ask(self._reactor, self._path, line, said.append)
        return b"".join(said)

    @inlineCallbacks
    def states(self) -> Generator[Deferred[Any], Any, Mapping[str, checked.State]]:
        """How the hosts are that are looked at, by what HAProxy knows their servers by; fails as `port.ask` does."""
        if not self._servers.watched:
            return {}
        listing = yield from self._all_servers()
        return {each: state for each, state in listing.states.items() if each in self._servers.watched}

    def _all_servers(self) -> Generator[Deferred[Any], Any, checked.Listing]:
        listing = checked.Listing()
        yield port.ask(self._reactor, self._path, checked.LISTING, listing.receive)
        return listing

    @inlineCallbacks
    def _knock(self) -> Generator[Deferred[Any], Any, None]:
        """Look at its map as soon as it answers."""
        if self._is_over:
            return
        try:
            yield from self._look()
        except Exception as error:  # noqa: BLE001 - it does not listen yet, or says what it should not
            if not self._is_over:
                is_late = self._reactor.seconds() - self._began > port.PATIENCE
                self._report(None, f"HAProxy does not answer: {reason(error)}" if is_late else "")
                self._reactor.callLater(KNOCK, self._knock)
            return
        self._pass_on()

    @inlineCallbacks
    def _look_again(self) -> Generator[Deferred[Any], Any, None]:
        if self._is_over:
            return
        try:
            yield from self._look()
        except Exception as error:  # noqa: BLE001 - it is tried again until it ends
            self._lost(f"HAProxy's map can not be read: {reason(error)}")
            return
        self._pass_on()

    def _look(self) -> Generator[Deferred[Any], Any, None]:
        """It has what it says; whatever is not as it shall be is due from now on."""
        listing = runtime.Listing()
        yield port.ask(self._reactor, self._path, runtime.listing(self._map), listing.receive)
        self._servers.listed((yield from self._all_servers()).states)
        self._counts.looks += 1
        self._told = listing.entries
        for table, other in ((self._told, self._names.routes), (self._names.routes, self._told)):
            for portion in portions(tuple(table)):
                self._changed.update((name, None) for name in portion if table.get(name) != other.get(name))
                yield deferLater(self._reactor, 0)
        for portion in portions((*self._names.checked, *self._servers.names())):
            amiss = [name for name in portion if self._servers.is_amiss(name, self._names.routes.get(name))]
            self._changed.update(dict.fromkeys(amiss))
            yield deferLater(self._reactor, 0)

    @inlineCallbacks
    def _pass_on(self) -> Generator[Deferred[Any], Any, None]:
        """Tell it what has changed, until nothing has."""
        try:
            is_swept = False
            while (self._changed or not is_swept) and not self._is_over:
                changed, self._changed = self._changed, {}
                routes = {name: self._names.routes.get(name) for name in changed}
                yield from self._servers.bring(routes)
                changes = differences(self._told, routes, routes)
                yield from self._renew(changes) if len(changes) >= runtime.MANY else self._change(changes)
                self._counts.changes += len(changes)
                yield from self._servers.settle(routes)
                yield from self._servers.sweep()
                is_swept = True
        except Exception as error:  # noqa: BLE001 - whatever it is, the map is not what we took it for
            self._lost(f"HAProxy can not be told of names: {reason(error)}")
            return
        if not self._is_over:
            self._is_busy = False
            self._report(True, "")

    def _lost(self, why: str) -> None:
        """What it knows is not known: it is asked again, in a while."""
        if not self._is_over:
            self._counts.failures += 1
            self._report(False, why)
            self._reactor.callLater(AGAIN, self._look_again)

    def _change(self, changes: runtime.Changes) -> Generator[Deferred[Any], Any, None]:
        for line, portion in runtime.changing(self._map, self._told, changes):
            runtime.succeeded((yield self.answer(line)))
            for name, route in portion:
                if route is None:
                    self._told.pop(name, None)
                else:
                    self._told[name] = route

    def _renew(self, changes: runtime.Changes) -> Generator[Deferred[Any], Any, None]:
        """All of the map, beside the one that is in force meanwhile. Whatever has changed since is told afterwards."""
        changed = dict(changes)
        routes = {name: route for name, route in self._told.items() if name not in changed}
        routes.update({name: route for name, route in changed.items() if route is not None})
        number = runtime.version((yield self.answer(runtime.preparing(self._map))))
        for line in runtime.adding(self._map, number, routes.items()):
            runtime.succeeded((yield self.answer(line)))
        runtime.succeeded((yield self.answer(runtime.committing(self._map, number))))
        self._told = routes
        self._counts.renewals += 1


def reason(error: BaseException) -> str:
    """What went wrong, in a line."""
    return str(error) or type(error).__name__
