"""The end of flows, of all who are gone meanwhile at once: conntrack is listed for many of them, not for each.

It has a thread of its own: to list a hundred thousand flows takes as long as to change thousands of hosts, and those
who come do not wait for it. An address that is somebody's again waits until what its former host had is over.

Edge: threads, the reactor's timers.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from realmgw.datapath.gathering import Gathering
from realmgw.errors import RealmGatewayError
from realmgw.subscribers.model import Host
from realmgw.subscribers.review import addresses_of
from realmgw.system.worker import Worker

T = TypeVar("T")

ENDING_INTERVAL = 1.0  # seconds
"""How long those are collected whose flows end, and hosts that are no guests any more, before it is done for all."""
MOST_WAITING = 65_536
"""So many wait at most for a kernel that refuses; the flows of further ones go on until they end by themselves."""
MANY = 1000
"""Of more hosts that come at once it is not looked which addresses they have: it is waited in any case."""

End = Callable[[Collection[bytes], Collection[bytes], Callable[[], bool]], int]


class Departures:
    """Those whose flows are to end.

    Args:
        end: Ends them, of addresses that are gone, and what those had redirected that came; it blocks, and asks again
            and again whether anybody waits for it: if not, it takes its time.
        worker: Where; a thread that does nothing else. It is started and stopped here.
        clock: The reactor.
    """

    def __init__(self, end: End, worker: Worker, clock: IReactorTime) -> None:
        self._end, self._worker = end, worker
        self._gathering: Gathering[tuple[bool, bytes]] = Gathering(self._do, clock, ENDING_INTERVAL)
        self._refused, self._awaited = False, 0
        self._log = Logger()

    def start(self) -> None:
        """Begin."""
        self._worker.start()

    @inlineCallbacks
    def stop(self) -> Generator[Deferred[Any], Any, None]:
        """Wait for nobody else; fires when the flows of all who are gone have ended, or the kernel has refused."""
        yield from self._now()
        self._gathering.stop()
        self._worker.stop()

    def later(self, gone: Iterable[bytes], came: Iterable[bytes]) -> None:
        """End flows within `ENDING_INTERVAL`, and the time that a listing takes; what is refused is tried again.

        Args:
            gone: Addresses (packed) that no host has any more.
            came: Those of hosts that are no guests any more: what they had redirected.
        """
        self._gathering.add((True, each) for each in gone)
        self._gathering.add((False, each) for each in came)

    def at_once(self, gone: Collection[bytes], came: Collection[bytes]) -> Deferred[int]:
        """The same now; fires with how many flows there were, and fails with `RealmGatewayError`."""
        self._awaited += 1
        return self._worker.call(self._end, gone, came, self._is_awaited).addBoth(self._no_more_awaited)

    def _is_awaited(self) -> bool:
        """In the worker's thread."""
        return self._awaited > 0

    def _no_more_awaited(self, result: T) -> T:
        self._awaited -= 1
        return result

    def _now(self) -> Generator[Deferred[Any], Any, None]:
        """Nothing waits any more, and nothing is under way."""
        self._awaited += 1
        yield self._gathering.now().addBoth(self._no_more_awaited)

    @inlineCallbacks
    def before(self, hosts: Collection[Host]) -> Generator[Deferred[Any], Any, None]:
        """Wait until nothing of the former hosts of some addresses is to be ended: it would be the new ones'.

        Args:
            hosts: They have them from now on. Where the kernel has refused, they have what the former had.
        """
        batches = self._gathering.waiting, self._gathering.batch
        if not any(batches):
            return
        theirs = _theirs(hosts) if len(hosts) <= MANY else None
        if theirs is None or not all(map(theirs.isdisjoint, batches)):
            yield from self._now()
            if self._gathering.waiting:  # it was refused, or others have gone meanwhile
                self._gathering.waiting.difference_update(_theirs(hosts) if theirs is None else theirs)

    @inlineCallbacks
    def _do(self, batch: set[tuple[bool, bytes]]) -> Generator[Deferred[Any], Any, None]:
        gone, came = ({each for is_gone, each in batch if is_gone is which} for which in (True, False))
        try:
            yield self._worker.call(self._end, gone, came, self._is_awaited)
            self._refused = False
        except RealmGatewayError as error:
            if not self._refused:  # it is tried each second
                self._log.warn("datapath: flows that are to end go on, and it is tried again: {error}", error=error)
            self._refused = True
            room = max(0, MOST_WAITING - len(self._gathering.waiting))
            self._gathering.add(list(batch)[:room])


def _theirs(hosts: Collection[Host]) -> set[tuple[bool, bytes]]:
    """What would be the flows of some hosts, as it waits to be ended."""
    return {(True, each) for host in hosts for each in addresses_of(host)}
