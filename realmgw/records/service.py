"""The recorder's part of the gateway: it runs, and is told of hosts and of the names that flows are opened by.

A flow costs nothing here: those of a tenth of a second are handed on together, as the octets that the log of decisions
has of them. While the recorder does not listen, so many wait (`MOST_WAITING`); what becomes of hosts it is told all the
same.

Edge: the reactor, the clock.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import attrs
from twisted.application.service import Service
from twisted.internet.defer import Deferred, fail, inlineCallbacks, succeed
from twisted.logger import Logger

from realmgw.config.flow_records import Ipfix, Transport
from realmgw.config.settings import Settings
from realmgw.config.steps import Blocking, Steps, portions
from realmgw.daemon.child import Child
from realmgw.daemon.frames import frame
from realmgw.datapath.netlink import accounted
from realmgw.datapath.netlink.client import open_socket
from realmgw.errors import PlatformError
from realmgw.records import totals
from realmgw.records.frames import CHANNEL, HOSTS, OPENED
from realmgw.records.history import History
from realmgw.records.tables import GROUP, HOST
from realmgw.subscribers.model import Host
from realmgw.subscribers.reach import Around
from realmgw.subscribers.registry import Changes, Registry
from realmgw.subscribers.review import addresses_of

EVERY = 0.1  # seconds
"""How often the recorder is told which flows were let in."""
LOOK = 5.0  # seconds
"""How often it is looked whether conntrack tells of ends."""
AT_ONCE = 256
"""So many flows, or hosts, are told in one turn of the reactor."""
PAUSE = 0.05  # seconds
"""While it does not listen, it is tried so much later."""
FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0  # seconds
"""How soon a recorder that has ended is begun anew."""
RECORDER = "realmgw.records.recorder"
"""What it runs."""
BUFFER = 1 << 26  # octets
"""So much may wait in the kernel, some 50 000 ends, also while there is no recorder."""
DEAF = "net.netfilter.nf_conntrack_events is 0, so conntrack tells of no flow that ends (1 or 2 would be right)"
MOST_WAITING = 1 << 16
"""So many flows wait to be told at most; the recorder writes others without their names."""
SILENT = 15.0  # seconds
"""After so long without a word, it is told that the recorder says nothing; it does each second."""
AFTER_LOSS = 60.0  # seconds
"""So long after ends were lost it is told."""

_log = Logger()


@attrs.frozen
class Sources:
    """Where the recorder's news come from."""

    registry: Registry
    """Subscribers."""
    around: Callable[[], Around]
    """The machine's addresses and networks."""
    opened: Callable[[], tuple[int, bytes]]
    """How many flows were let in since it was asked last, and these; see `realmgw.records.frames.flows`."""
    nameless: int
    """By what right those were let in whose names are not known."""
    watch: Callable[..., object]
    """Told whether these are wanted (`on`)."""
    tells: Callable[[], bool]
    """Whether conntrack tells of ends."""
    again: Callable[[], object] = bool
    """Has `opened` begin anew, with all flows that are there still."""


class RecordsService(Service):
    """Runs the recorder, if flows are to be recorded.

    Args:
        settings: The gateway's.
        path: The file of records, if the settings name none; the database is beside it.
        sources: Where its news come from.
        reactor: Twisted's.
        elsewhere: Makes a call that may block, where it holds up nobody.
        tell: Told what is wrong, a line each, whenever that may have changed.
        wall: The present, in seconds since 1970.
        open_channel: Opens the socket at which conntrack tells of ends.
    """

    name = "records"

    def __init__(
        self,
        settings: Settings,
        path: Path,
        sources: Sources,
        reactor: Any,
        elsewhere: Callable[[Blocking], Deferred[Any]],
        tell: Callable[[Iterable[str]], object],
        wall: Callable[[], float] = time.time,
        open_channel: Callable[..., Any] = open_socket,
    ) -> None:
        self._how = settings.flow_records
        self._path, self._elsewhere = Path(self._how.file or path), elsewhere
        self._history = History(path.with_suffix(".sqlite"))
        self._sources, self._reactor, self._tell, self._wall = sources, reactor, tell, wall
        self._open = open_channel
        self._channel: Any = None
        self._child: Child | None = None
        self._again: Any = None
        self._wait = FIRST_WAIT
        self._hosts: Iterator[Host] = iter(())
        self._opened = deque[tuple[int, bytes]]()
        self._counts: Mapping[str, int] = {}
        self._before = dict[str, int]()
        self._groups, self._groups_before = totals.Sums(), totals.Sums()
        self._error, self._lost_until, self._lost, self._dropped = "", 0.0, 0, 0
        self._is_deaf, self._looked = False, -LOOK
        self._telling: Any = None
        self._heard = self._told = 0.0
        self.begun = self.untold = 0

    # Its beginning and end

    def startService(self) -> None:
        """Begin; that it does not succeed holds up nothing.

        Raises:
            RealmGatewayError: The kernel does not let us hear of ends.
        """
        super().startService()  # type: ignore[no-untyped-call]  # Twisted does not say
        if self._how.enabled:
            self._channel = self._open(timeout=0.0, groups=(accounted.GROUP,), buffer=BUFFER)
            self._sources.watch(on=True)
            self._begin()
            self._telling = self._reactor.callLater(EVERY, self._tell_more)

    @inlineCallbacks
    def stopService(self) -> Generator[Deferred[Any], Any, None]:
        """End it; fires when all that it has heard is written."""
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted does not say
        if self._again is not None and self._again.active():
            self._again.cancel()
        if self._telling is not None:
            self._tell_opened()
            self._telling.cancel()
            self._telling = None
            self._sources.watch(on=False)
        if self._child is not None:
            yield self._child.end()
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        self._tell(())

    def configure(self, settings: Settings) -> None:
        """Nothing: what is recorded, and where, is changed by a restart."""

    def _begin(self) -> None:
        how, around = self._how, self._sources.around()
        todo = {
            "path": str(self._path), "size": how.size, "files": how.files, "days": how.days, "rows": how.rows,
            "interval": how.interval, "collector": _collector(how.ipfix),
            "database": str(self._history.path) if how.database else "", "dropped": self._dropped,
        }  # fmt: skip
        inside = [str(each) for each in (*around.links, *around.reached)]
        self._child = Child("the recorder", RECORDER, self._reactor, self._reported, self._ended)
        try:
            self._child.begin(
                frame(todo, inside, [each.packed for each in around.own]), {CHANNEL: self._channel.fileno()}
            )
        except OSError as error:
            self._ended(self._child, f"the recorder can not be started: {error.strerror}")
            return
        if self.begun:  # flows that go on have their names from it
            self._sources.again()
        self.begun += 1
        self._heard = self._reactor.seconds()
        self._all_hosts()

    def _ended(self, child: Child, why: str) -> None:
        if child is not self._child:
            return
        self._child = None
        for name, count in self._counts.items():
            self._before[name] = self._before.get(name, 0) + count
        self._groups_before, self._groups = totals.add(self._groups_before, self._groups), {}
        self._counts = {}
        if self.running:
            _log.warn("{why}: begun anew in {wait} s", why=why, wait=self._wait)
            self._error = why
            self._look()
            self._again = self._reactor.callLater(self._wait, self._begin)
            self._wait = min(2 * self._wait, LONGEST_WAIT)

    # What it is told

    def noting(self, changes: Changes) -> Steps[None]:
        """Subscribers are different; they are in force. In steps, of which each is short."""
        if self._child is None:
            return
        gone = (each for each in changes.addresses_gone if self._sources.registry.host_at(each) is None)
        for some in portions(gone):
            self._say(HOSTS, self._wall(), [(each, None, ()) for each in some])
            yield None
        for hosts in portions((*changes.added, *(after for _, after in changes.changed))):
            self._say(HOSTS, self._wall(), [row for host in hosts for row in _rows(host)])
            yield None

    def _tell_more(self) -> None:
        """What has happened since."""
        self._telling = self._reactor.callLater(EVERY, self._tell_more)
        self._tell_opened()
        now = self._reactor.seconds()
        if now - self._told > SILENT / 2:  # it is us who were away: it may have told
            self._heard = now
        self._told = now
        if now - self._looked >= LOOK:
            self._looked, self._is_deaf = now, not self._sources.tells()
            self._look()

    def _tell_opened(self) -> None:
        """Tell what was let in since, or keep it for a recorder that listens."""
        count, octets = self._sources.opened()
        if count:
            self._opened.append((count, octets))
        while self._opened and self._child is not None and self._child.has_room:
            self._say(OPENED, self._sources.nameless, self._opened.popleft()[1])
        while sum(count for count, _ in self._opened) > MOST_WAITING:
            self.untold += self._opened.popleft()[0]

    def _all_hosts(self) -> None:
        self._hosts = iter(tuple(self._sources.registry.directory.hosts.values()))
        self._reactor.callLater(0, self._some_hosts, self._hosts)

    def _some_hosts(self, hosts: Iterator[Host]) -> None:
        """Tell some hosts, and the others later, unless that was begun anew meanwhile."""
        if hosts is not self._hosts or self._child is None or not self.running:
            return
        if not self._child.has_room:
            self._reactor.callLater(PAUSE, self._some_hosts, hosts)
            return
        some = tuple(islice(hosts, AT_ONCE))
        there = self._sources.registry.host_at
        if some:
            self._say(HOSTS, 0.0, [row for host in some for row in _rows(host) if there(row[0]) is host])
            self._reactor.callLater(0.001, self._some_hosts, hosts)

    def _say(self, *news: Any) -> None:
        if self._child is not None:
            self._child.tell(frame(*news))

    # What was

    def flows(self, given: Mapping[str, Any], most: int) -> Deferred[dict[str, Any]]:
        """Records, the youngest first; see `History.flows`. It fails where none are kept."""
        return self._ask(partial(self._history.flows, given, most))

    def ended(self, given: Mapping[str, Any], most: int) -> Deferred[list[dict[str, Any]]]:
        """As `flows`, the records alone; none, where none are kept."""
        if not self._is_kept:
            return succeed([])
        return self.flows(given, most).addCallback(lambda found: found["flows"])

    def accounts(self, *, groups: bool, since: float, name: str, most: int) -> Deferred[dict[str, Any]]:
        """What subscribers had, or groups; see `History.accounts`. It fails where none are kept."""
        return self._ask(partial(self._history.accounts, GROUP if groups else HOST, since, name, most))

    @property
    def _is_kept(self) -> bool:
        return self._how.enabled and self._how.database

    def _ask(self, call: Callable[[], dict[str, Any]]) -> Deferred[dict[str, Any]]:
        if not self._is_kept:
            return fail(
                PlatformError("flows are not recorded, or not in a database: write flow_records: {enabled: true}")
            )
        return self._elsewhere(Blocking(str(self._history.path), call))

    # How it is

    def _reported(self, report: dict[str, Any]) -> None:
        self._counts, self._error, self._wait = report["counts"], report["problem"], FIRST_WAIT
        self._heard = self._reactor.seconds()
        self._dropped, self._groups, lost = report["dropped"], report["groups"], self._total("lost")
        if lost != self._lost:
            self._lost, self._lost_until = lost, self._reactor.seconds() + AFTER_LOSS
        self._look()

    def _look(self) -> None:
        is_losing = self._reactor.seconds() < self._lost_until
        lost = ("more flows end than can be recorded: some are lost",) if is_losing else ()
        deaf = (DEAF,) if self._is_deaf else ()
        is_silent = self._child is not None and self._reactor.seconds() - self._heard > SILENT
        silent = ("the recorder does not tell how it is: its disk does not answer, or there is no time for it",)
        wrong = (self._error, *deaf, *lost, *(silent if is_silent else ()))
        self._tell(tuple(f"flow records: {each}" for each in wrong if each))

    def _total(self, name: str) -> int:
        return self._before.get(name, 0) + self._counts.get(name, 0)

    def counts(self) -> dict[str, object]:
        """What was counted, by all recorders since the start; empty where flows are not recorded."""
        if not self._how.enabled:
            return {}
        sums = {name: self._total(name) for name in TOTALS}
        now = {name: self._counts.get(name, 0) for name in NOW}
        groups = totals.add(self._groups_before, self._groups)
        return {"begun": self.begun, "untold": self.untold, **sums, **now, **({"groups": groups} if groups else {})}


TOTALS = (
    "written",
    "unwritten",
    "unkept",
    "cut",
    "lost",
    "overruns",
    "malformed",
    "others",
    "unnamed",
    "unlisted",
    "exported",
    "unexported",
)
"""What recorders count."""
NOW = ("waiting", "open", "lasting", "unsent")
"""How many there are of something at present."""


def _collector(ipfix: Ipfix | None) -> tuple[str, int, bool, int, float] | None:
    """Where records are sent as well, as the fields of the recorder's `Collector`."""
    if ipfix is None:
        return None
    where, is_stream = ipfix.collector, ipfix.transport is Transport.TCP
    return str(where.address), where.port, is_stream, ipfix.domain, ipfix.templates


def _rows(host: Host) -> Iterator[tuple[bytes, str, tuple[str, ...]]]:
    """What is told of a host."""
    return ((address, host.name, host.profile.groups) for address in addresses_of(host))
