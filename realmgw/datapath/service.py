"""The datapath as a service: a thread of its own talks to the kernel, the reactor only hands over.

Starting puts everything in place (`Kernel.apply`). Stopping leaves it there: with nobody at the queue new flows are
dropped, and established ones go on. Only `purge` removes it, and a start of the gateway that fails, at this step or a
later one, where nothing of ours stood before. While running, what somebody else removed or changed (a restarted
firewall that flushes the whole ruleset) is put back: see `realmgw.datapath.watch.port.Watch`.

Edge: a thread, the reactor.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping
from typing import Any, Protocol

import attrs
from twisted.application import service
from twisted.internet.defer import Deferred, inlineCallbacks, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from realmgw.config.settings import Settings
from realmgw.datapath.apply import Applied
from realmgw.datapath.departing import Departures
from realmgw.datapath.hosts import HostChange
from realmgw.datapath.netlink.counters import Count, QueueFigures
from realmgw.datapath.policy.classes import Classes
from realmgw.datapath.policy.rules import is_of_rule
from realmgw.datapath.strays import Strays
from realmgw.datapath.watch.including import Includes
from realmgw.datapath.watch.keeper import Findings, Noticed
from realmgw.datapath.watch.port import Listener, Watch
from realmgw.errors import RealmGatewayError
from realmgw.subscribers.model import Host
from realmgw.system.worker import Worker

MOST_LINES = 20
"""So many lines of the log one repair has at most."""


class KernelSide(Protocol):
    """What a `realmgw.datapath.apply.Kernel` is to this service; see there."""

    was_installed: bool | None
    classes: Classes

    @property
    def placements(self) -> int: ...
    def own_ports(self) -> frozenset[int]: ...
    def apply(self, hosts: Iterable[Host]) -> Applied: ...
    def change(self, settings: Settings, hosts: HostChange) -> None: ...
    def end_flows(self, gone: Iterable[bytes], came: Iterable[bytes], is_awaited: Callable[[], bool]) -> int: ...
    def add_strays(self, sources: Iterable[bytes]) -> None: ...
    def ban(self, left: Mapping[bytes, float]) -> None: ...
    def ask_twice(self, *, asked: bool) -> None: ...
    def purge(self) -> tuple[str, ...]: ...
    def close(self) -> None: ...
    def look(self, noticed: Noticed, hosts: Callable[[], Iterable[Host]]) -> Findings: ...
    def figures(self) -> tuple[dict[str, Count], QueueFigures | None]: ...


class DatapathService(service.Service):
    """The kernel's side of one gateway.

    Args:
        kernel: Access to the kernel; it is used in the worker's thread only.
        hosts: Every host that a flow may be translated to.
        clock: What batches of stray senders are timed by.
        worker: Where the calls that block are made. It is started and stopped here.
        lister: Where conntrack is listed, likewise: another thread, so that no change waits for that.
        listener: What hears of changes in the kernel.
        stray_timeout: For how long the kernel keeps stray senders, in seconds, until settings change it.
        includes: The operator's own rules; None: there are none.
        purging: Whether everything is removed from the kernel when the service stops.
        tell: Told of what each look at the kernel has found.

    Attributes:
        applied: What the last start found and did; None before it.
        strays: Stray senders; nobody is taken there but while the service runs.
        findings: What the last look has found.
    """

    name = "datapath"

    def __init__(
        self,
        kernel: KernelSide,
        hosts: Iterable[Host],
        *,
        clock: IReactorTime,
        worker: Worker,
        lister: Worker,
        listener: Listener,
        stray_timeout: float,
        includes: Includes | None = None,
        purging: bool = False,
        tell: Callable[[Findings], object] = lambda _findings: None,
    ) -> None:
        self._kernel = kernel
        self._hosts = {host.index: host for host in hosts}
        self._worker = worker
        self._includes = includes
        self._purging = purging
        self._departures = Departures(kernel.end_flows, lister, clock)
        self._watch = Watch(self._look, self._note, clock, listener)
        self._tell = tell
        self._begun = self._purged = self._settled = self._began_bare = False
        self.strays = Strays(self._tell_strays, lambda: self.placements, clock, stray_timeout)
        self._log = Logger()
        self.applied: Applied | None = None
        self.findings = Findings()

    @inlineCallbacks
    def startService(self) -> Generator[Deferred[Any], Any, None]:
        """Put everything in place.

        Returns:
            A Deferred that fires when all of it stands. It fails with `PlatformError` or `RealmGatewayError` as
            `Kernel.apply` does; then the service is not running, its thread is gone, and what it placed is, too, unless
            our table stood there before.
        """
        self._purged = self._settled = self._began_bare = self._begun = False
        super().startService()  # type: ignore[no-untyped-call]  # Twisted has no annotation there
        self._worker.start()
        self._departures.start()
        try:
            yield from self._apply()
        except Exception:
            self._began_bare = self._kernel.was_installed is False
            yield self.stopService()
            raise
        self._began_bare = self._kernel.was_installed is False
        for change in self.applied.changes if self.applied else ():
            self._log.info("datapath: {change}", change=change)
        yield self._watch.start()  # what this look still sets is part of the start
        self._begun = True

    def settle(self) -> None:
        """The gateway has come to run: from now on, what was placed stays when it stops."""
        self._settled = True

    @inlineCallbacks
    def stopService(self) -> Generator[Deferred[Any], Any, None]:
        """Let go of the kernel, and leave everything there, unless the service was made to purge it.

        Where the gateway has not come to run (see `settle`), and our table did not stand before, it is removed as well.

        Returns:
            A Deferred that fires when the thread has ended.
        """
        if not self.running:
            return
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted has no annotation there
        self._watch.stop()
        self.strays.stop()
        yield self._departures.stop()
        is_undone = self._began_bare and not self._settled
        if is_undone or (self._purging and self.applied is not None):
            yield from self._purge_and_tell()
        yield self._worker.call(self._close)
        self._worker.stop()

    @inlineCallbacks
    def change(
        self, settings: Settings, gone: tuple[Host, ...], came: tuple[Host, ...]
    ) -> Generator[Deferred[Any], Any, None]:
        """Lead the kernel to other settings and hosts, in one transaction; flows that exist stay where they are.

        Args:
            settings: From now on. Interfaces, table and queue are the same.
            gone: Hosts that are no more, and those that change in anything, as they were.
            came: Hosts that are new, and those that change, as they are from now on.

        Returns:
            A Deferred that fires when the kernel has them. When it fails, the kernel has what it had before. Where the
            flows of an address that comes are still to be ended, it waits for that first.
        """
        yield self._departures.before(came)
        yield self._worker.call(self._change, settings, gone, came)
        self.strays.timeout = settings.admission.stray_timeout

    @inlineCallbacks
    def end_flows(
        self, gone: Collection[bytes], came: Collection[bytes], *, soon: bool = False
    ) -> Generator[Deferred[Any], Any, int]:
        """End every flow of private addresses (packed) that no host has any more, and what guests had redirected.

        Each time, all of conntrack is gone through.

        Args:
            gone: The former.
            came: Addresses of hosts that are no guests any more, or others' from now on.
            soon: It may be done later, for many at once (see `departing`); not for what is somebody else's already.

        Returns:
            A Deferred that fires with how many there were, as far as it was done at once, and then fails with
            `RealmGatewayError` if the kernel refused.
        """
        if soon and self.running:
            moved = {*gone}.intersection(came)
            self._departures.later({*gone} - moved, came)
            gone, came = moved, ()
        ended: int = (yield self._departures.at_once(gone, came)) if gone or came else 0
        return ended

    def push_stray(self, source: bytes) -> bool:
        """Have the kernel keep a sender to a rate. Cheap: the kernel is told within a moment.

        Args:
            source: The sender's address, packed.

        Returns:
            Whether it is told for this; not where it has him (see `Strays`), or nothing runs.
        """
        return bool(self.running) and self.strays.push(source)

    @inlineCallbacks
    def ban(self, left: Mapping[bytes, float]) -> Generator[Deferred[Any], Any, None]:
        """Let nothing of senders reach a host for a while.

        Args:
            left: For how many seconds, by packed addresses; those of IPv6 stand for their /64. For none: not any more.

        Returns:
            A Deferred that fires when the kernel has them; it fails with `RealmGatewayError` if it refused.
        """
        if self.running and not self._purged:
            yield self._worker.call(self._kernel.ban, left)

    @inlineCallbacks
    def ask_twice(self, *, asked: bool) -> Generator[Deferred[Any], Any, None]:
        """Have TCP come twice, or not.

        Returns:
            A Deferred that fires when the kernel does so; it fails with `RealmGatewayError` if it refused.
        """
        if self.running and not self._purged:
            yield self._worker.call(self._kernel.ask_twice, asked=asked)

    def counted(self) -> Deferred[Mapping[str, Count]]:
        """What the kernel has counted, by name; fails with `RealmGatewayError` where it does not tell."""
        return self._worker.call(lambda: self._kernel.figures()[0])

    @inlineCallbacks
    def purge(self) -> Generator[Deferred[Any], Any, tuple[str, ...]]:
        """Remove everything of ours from the kernel; new flows and established ones end here.

        It is not put back but by `place`.

        Returns:
            A Deferred with what was done and what stays, one line each.
        """
        self._purged = True
        self._watch.stop()
        self._note(Findings())
        self.strays.stop()
        done: tuple[str, ...] = yield self._worker.call(self._kernel.purge)
        if self._includes is not None:
            self._includes.forget()
        return done

    @inlineCallbacks
    def place(self) -> Generator[Deferred[Any], Any, None]:
        """Put everything in place again, after a `purge`.

        Returns:
            A Deferred that fires when all of it stands; when it fails, all is as after the purge.
        """
        try:
            yield from self._apply()
        except RealmGatewayError:
            self._watch.stop()
            if self._kernel.was_installed is False:
                yield from self._purge_and_tell()
            raise
        self._purged = False
        yield self._watch.start()

    def _apply(self) -> Generator[Deferred[Any], Any, None]:
        """Put everything in place, and hear of changes from before that on, so that none is missed."""
        ports: frozenset[int] = yield self._worker.call(self._own_ports)
        self._watch.listen(ports)
        self.applied = yield self._worker.call(lambda: self._kernel.apply(self._every()))
        yield self._include()

    def _purge_and_tell(self) -> Generator[Deferred[Any], Any, None]:
        try:
            done = yield self.purge()
        except RealmGatewayError as error:
            self._log.error("datapath: not everything was removed: {error}", error=error)
            return
        for line in done:
            self._log.info("datapath: {line}", line=line)

    @property
    def purged(self) -> bool:
        """Whether everything of ours was removed since the start."""
        return self._purged

    def figures(self) -> dict[str, object]:
        """What the kernel has counted, by name; empty where it does not tell. It blocks, in any thread."""
        try:
            counts, queue = self._kernel.figures()
        except (RealmGatewayError, OSError):
            return {}
        return {
            "kernel": {name: attrs.asdict(count) for name, count in counts.items() if not is_of_rule(name)},
            "queue": {} if queue is None else attrs.asdict(queue, filter=lambda field, _: field.name != "owner"),
        }

    def rules(self) -> Deferred[tuple[Classes, Mapping[str, Count]]]:
        """The classes of hosts by their rules, as they are now, and what the kernel has counted, by name."""
        return self._worker.call(lambda: (self._kernel.classes.copy(), self._kernel.figures()[0]))

    def counts(self) -> dict[str, object]:
        """What was counted here since the start; `figures` has what the kernel counts."""
        return {
            "strays_told": self.strays.told,
            "strays_lost": self.strays.lost,
            "strays_waiting": self.strays.waiting,
            "repairs": self.repairs,
        }

    def _change(self, settings: Settings, gone: tuple[Host, ...], came: tuple[Host, ...]) -> None:
        """In the worker's thread, like everything that looks at all hosts."""
        self._kernel.change(settings, HostChange.of(self._hosts, gone, came))
        for host in gone:
            del self._hosts[host.index]
        self._hosts.update((host.index, host) for host in came)
        if self._includes is not None:
            self._includes.follow(gone, came, self._every)

    def _own_ports(self) -> frozenset[int]:
        return self._kernel.own_ports() | (frozenset() if self._includes is None else self._includes.own_ports())

    def _every(self) -> tuple[Host, ...]:
        return tuple(self._hosts.values())

    def restore(self) -> Deferred[Findings]:
        """Look at everything that was placed, and put back what is not as it should be; fires with what was found."""
        return self._include().addCallback(lambda _: self._watch.look())

    def _include(self) -> Deferred[None]:
        """Read the operator's own rules, and place them."""
        return succeed(None) if self._includes is None else self._worker.call(self._includes.load, self._every)

    @property
    def repairs(self) -> int:
        """How often something that somebody else removed or changed was put back."""
        return self._watch.repairs

    @property
    def placements(self) -> int:
        """Another number whenever the table has been replaced, by whatever way; 0 while all is removed."""
        return 0 if self._purged else self._kernel.placements

    def placed(self) -> Iterator[dict[str, str]]:
        """Everything that is to be outside of the process, and what each was when it was last looked at."""
        return self.findings.placed()

    def _look(self, noticed: Noticed) -> Deferred[Findings]:
        return self._worker.call(self._looked, noticed)

    def _looked(self, noticed: Noticed) -> Findings:
        findings = self._kernel.look(noticed, self._every)
        return findings if self._includes is None else self._includes.look(findings, self._every)

    def _close(self) -> None:
        self._kernel.close()
        if self._includes is not None:
            self._includes.close()

    def _note(self, findings: Findings) -> None:
        tell = self._log.error if self._begun else self._log.info
        for line in findings.repaired[:MOST_LINES]:
            tell("datapath: {line}; it was put back", line=line)
        if len(findings.repaired) > MOST_LINES:
            tell("datapath: {count} more were put back", count=len(findings.repaired) - MOST_LINES)
        self.findings = findings
        self._tell(findings)

    def _tell_strays(self, batch: set[bytes]) -> Deferred[None]:
        return self._worker.call(self._kernel.add_strays, batch)
