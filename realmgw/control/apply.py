"""Carries a reload out: everything is found out first, then the kernel is changed, and last the tables are.

A step that fails leaves everything as it was. What takes time is done in steps, for a moment at a time: queries and
packets wait no longer. Reloads and plans are done one after the other: what one has found out is true until its end.

Edge: the reactor's timers, the garbage collector.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Collection, Generator
from pathlib import Path
from typing import Any, Protocol, TypeVar

import attrs
from twisted.internet.defer import Deferred, DeferredLock, inlineCallbacks
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from realmgw import config
from realmgw.allocation.allocator import Allocator
from realmgw.config.driving import Driver
from realmgw.config.settings import Network, Policy, Settings
from realmgw.config.steps import Blocking, Steps
from realmgw.control.expecting import refusing
from realmgw.control.leaving import ending, forgetting
from realmgw.control.outcome import Outcome as Outcome
from realmgw.control.outcome import Status as Status
from realmgw.control.outcome import both
from realmgw.control.plan import Plan, beyond, planning, small
from realmgw.control.running import Running, Written, sparing
from realmgw.datapath.pipeline.stages import stages
from realmgw.datapath.watch.keeper import Findings
from realmgw.errors import RealmGatewayError
from realmgw.subscribers.files.folders import QUIET
from realmgw.subscribers.files.listing import collector_at_rest
from realmgw.subscribers.model import Directory, Host
from realmgw.subscribers.registry import Changes
from realmgw.subscribers.remote.snapshot import Snapshot

DRAIN = 2.5  # seconds
"""For so long those who were told an address that leaves the pool may still come."""
DRAIN_STEP = 0.05  # seconds
"""How often it is looked whether all of them have come."""
PATIENCE = 10.0  # seconds
"""For so long after the first reading it is waited until files that take something away say the same twice."""
_LENDING = tuple(f"policy.{each.name}" for each in attrs.fields(Policy) if each.name != "pipeline")
MANY = 5000
"""From so many new hosts on, the garbage collector is told not to look at them again and again."""

T = TypeVar("T")


class Datapath(Protocol):
    """What a reload needs of `realmgw.datapath.service.DatapathService`."""

    def change(self, settings: Settings, gone: tuple[Host, ...], came: tuple[Host, ...]) -> Deferred[None]: ...
    def end_flows(self, gone: Collection[bytes], came: Collection[bytes], *, soon: bool) -> Deferred[int]: ...
    def restore(self) -> Deferred[Findings]: ...


class Names(Protocol):
    """What a reload needs of `realmgw.dns.service.DnsService`."""

    def prepare(
        self, settings: Settings, directory: Directory, changes: Changes, secrets: config.Secrets
    ) -> Steps[Any]: ...
    def commit(self, prepared: Any) -> Steps[None]: ...
    def naming(self, changes: Changes) -> Steps[Any]: ...
    def amending(self, names: Any) -> Steps[None]: ...


@attrs.frozen(eq=False)
class Parts:
    """What a reload changes."""

    datapath: Datapath
    """The kernel's side."""
    allocator: Allocator
    """The pool."""
    names: Names
    """The DNS server."""
    configure: Callable[[Settings], object]
    """Told of settings that concern nobody else here."""
    keep: Callable[[Settings], Deferred[None]]
    """Keeps settings as the last good ones; what goes wrong is told by its failure."""
    read: Callable[[Path], Steps[config.Written]]
    """Reads a main file, and what it names; raises what is wrong with it."""
    tell: Callable[[tuple[str, ...]], object]
    """Told after each reload why what is written is not in force; empty when it is."""
    elsewhere: Callable[[Blocking], Deferred[Any]]
    """Makes a call that may block, where it holds up nobody."""
    doubts: Callable[[tuple[str, ...]], object]
    """Told of all sources of which not what they say is in force, whenever that may have changed."""
    welcome: Callable[[Collection[bytes]], object]
    """Told of packed addresses that are a host's from now on, before what they had redirected as guests ends."""


@attrs.define(eq=False)
class _Asked:
    """Who wants a reload, and how."""

    waiting: list[Deferred[Outcome]] = attrs.Factory(list)
    """Everybody who is to be told what became of it."""
    accepts_loss: bool = False
    """Whether one of them has said that hosts may go."""


class Reloader:
    """Reloads, one at a time; those that are asked for meanwhile are one more.

    Args:
        running: What runs.
        parts: What is changed.
        clock: The reactor.
        monotonic: The present, in seconds.

    Attributes:
        last: What became of the last reload; None before the first.
        closed: Why nothing is reloaded at present, in a line; empty: it is.
        count: How many there were.
        refused: How many of them were refused, or failed.
    """

    def __init__(self, running: Running, parts: Parts, clock: IReactorTime, monotonic: Callable[[], float]) -> None:
        self.running = running
        self._parts = parts
        self._clock = clock
        self._monotonic = monotonic
        self._driver = Driver(clock, monotonic, parts.elsewhere)
        self._log = Logger()
        self._lock = DeferredLock()
        self._is_due = False
        self._next = _Asked()
        self.last: Outcome | None = None
        self.closed = ""
        self.count = 0
        self.refused = 0
        parts.doubts(self.troubles)

    def reload(self, cause: str, *, accepts_loss: bool = False) -> Deferred[Outcome]:
        """Make true what is written.

        Args:
            cause: Who wants it, for the log.
            accepts_loss: He has said that hosts may go, however many they are.

        Returns:
            Fires with what became of it; it does not fail. What is asked for while a reload is under way is done
            afterwards, all at once, since the one under way may have read the files already.
        """
        asked: Deferred[Outcome] = Deferred()
        self._next.waiting.append(asked)
        self._next.accepts_loss |= accepts_loss
        if not self._is_due:
            self._is_due = True
            self._log.info("reload asked for by {cause}", cause=cause)
            self._lock.run(self._begin)
        return asked

    def counts(self) -> dict[str, object]:
        """How many reloads there were, and what became of the last one."""
        return {
            "count": self.count,
            "refused": self.refused,
            "last": None if self.last is None else self.last.status.value,
            "problems": [] if self.last is None else list(self.last.problems),
            "longest_pause": round(self._driver.longest, 6),
        }

    def tell(self, repository: str, snapshot: Snapshot) -> Deferred[Outcome]:
        """A repository says something else: reload.

        Args:
            repository: Its name, as messages have it.
            snapshot: All that it says; what did not change is the same object as before.
        """
        self.running.heard(repository, snapshot)
        return self.reload(repository)

    def exclusively(self, doing: Callable[[], Deferred[T]]) -> Deferred[T]:
        """Do something while no reload is under way, and begin none before it has come to its end.

        Returns:
            Fires, or fails, as what was done does.
        """
        done: Deferred[T] = self._lock.run(doing)
        return done

    def plan(self) -> Deferred[Plan]:
        """Find out what a reload would change.

        Returns:
            Fires with that; fails with `ConfigurationError` if the main file can not be used.
        """
        planned: Deferred[Plan] = self._lock.run(self._planned)
        return planned

    @inlineCallbacks
    def _planned(self) -> Generator[Deferred[Any], Any, Plan]:
        written = yield from self._written(is_patient=False)
        planned: Plan = yield self._plan_of(written)
        return planned

    def _plan_of(self, written: Written) -> Deferred[Plan]:
        running = self.running
        there = running.registry.directory.services
        return self.drive(sparing(planning(running.settings, written.settings, written.changes, there)))

    def _written(self, **how: bool) -> Generator[Deferred[Any], Any, Written]:
        """What is written now; fails as `Running.written`, and when the main file, or a test in it, is not good."""
        main = yield self.drive(sparing(self._parts.read(self.running.path)))
        written: Written = yield self.drive(sparing(self.running.written(main, **how)))
        yield self.drive(sparing(refusing(self.running, written)))
        return written

    @inlineCallbacks
    def _begin(self) -> Generator[Deferred[Any], Any, None]:
        asked = self._join(_Asked())
        if not asked.waiting:  # one that was under way has done it
            return
        try:
            with collector_at_rest():
                outcome = yield from self._reload(asked)
        except Exception as error:  # noqa: BLE001 - whatever it is: who waits is told
            self._log.failure("fault while reloading")
            outcome = Outcome(Status.FAILED, problems=(f"a fault of our own, see the log: {error}",))
        self.last = outcome
        self.count += 1
        self.refused += outcome.status in (Status.REFUSED, Status.FAILED)
        self._tell(outcome)
        for each in asked.waiting:
            each.callback(outcome)

    def _join(self, asked: _Asked) -> _Asked:
        """Those who have asked so far are told what becomes of what is read from now on."""
        more, self._next, self._is_due = self._next, _Asked(), False
        asked.waiting += more.waiting
        asked.accepts_loss |= more.accepts_loss
        return asked

    def _tell(self, outcome: Outcome) -> None:
        for problem in outcome.problems:
            self._log.warn("reload: {problem}", problem=problem)
        self._log.info(
            "reload {status} after {seconds:.3f} s: {summary}",
            status=outcome.status.value,
            seconds=outcome.seconds,
            summary=outcome.summary(),
        )
        self._parts.tell(self.running.problems or (outcome.problems if outcome.status is Status.FAILED else ()))

    def _reload(self, asked: _Asked) -> Generator[Deferred[Any], Any, Outcome]:
        """Changes what may be changed at once; then, when files are at rest, what takes something away."""
        begin, waited = self._monotonic(), 0.0
        outcome, waiting = yield from self._pass(accepts_loss=asked.accepts_loss)
        end = self._monotonic() + PATIENCE  # however long one reading takes, there is another one
        while waiting and self._monotonic() < end:
            yield deferLater(self._clock, QUIET)
            waited += QUIET
            self._join(asked)
            then, waiting = yield from self._pass(accepts_loss=asked.accepts_loss)
            outcome = both(outcome, then)
        late = "it is being written: what it takes away does not count yet; reload when it is complete"
        lines = tuple(f"{source}:1:1: {late}" for source in waiting)
        self._parts.doubts((*self.troubles, *lines))
        return attrs.evolve(
            outcome, problems=(*outcome.problems, *lines), seconds=self._monotonic() - begin, waited=waited
        )  # fmt: skip

    @property
    def troubles(self) -> tuple[str, ...]:
        """Of which sources what they said before is in force: bad, unreadable, or not believed since much would go."""
        return (*self.running.registry.kept, *self.running.doubted)

    def _pass(self, *, accepts_loss: bool) -> Generator[Deferred[Any], Any, tuple[Outcome, tuple[str, ...]]]:
        """One reading, and what comes of it; with the sources that have to be read once more."""
        planned = Plan()
        if self.closed:
            return Outcome(Status.REFUSED, problems=(self.closed,)), ()
        try:
            written = yield from self._written(accepts_loss=accepts_loss)
            settings, changes = written.settings, written.changes
            planned = yield self._plan_of(written)
            planned.refuse_restart()
            preparing = self._parts.names.prepare(settings, self.running.registry.directory, changes, written.secrets)
            prepared = yield self.drive(sparing(preparing))
        except RealmGatewayError as error:
            lines = tuple(str(error).splitlines())
            self.running.problems = lines
            return Outcome(Status.REFUSED, planned, lines), ()
        try:
            # No setting may be different, and the line where a rule stands.
            is_different = bool(planned.keys) or stages(settings) != stages(self.running.settings)
            yield from self._change_kernel(written, is_different=is_different)
        except RealmGatewayError as error:
            return Outcome(Status.FAILED, planned, (str(error),)), ()
        coming = yield self.drive(beyond(settings.pools.networks, self.running.settings.pools.networks))
        yield self.drive(self._commit(written, prepared, planned, coming))
        yield self.running.settled(changes)
        for snapshot in self.running.in_force():
            self.running.believe(snapshot)
        ended, problems = yield from self._after(written, is_different=is_different)
        found: Findings = yield self._parts.datapath.restore()
        status = Status.APPLIED if planned or found.repaired else Status.UNCHANGED
        lines = (*planned.problems, *problems, *found.broken, *found.unloaded)
        return Outcome(status, planned, lines, flows_ended=ended, restored=found.repaired), changes.waiting

    def _change_kernel(self, written: Written, *, is_different: bool) -> Generator[Deferred[Any], Any, None]:
        changes, settings = written.changes, written.settings
        gone, came = changes.hosts
        leaving = yield self.drive(beyond(self.running.settings.pools.networks, settings.pools.networks))
        if leaving:
            yield from self._withdraw(leaving)
        try:
            if gone or came or is_different:
                yield self._parts.datapath.change(settings, gone, came)
        except RealmGatewayError:
            yield self.drive(self._extending(leaving))
            raise

    def _withdraw(self, networks: Collection[Network]) -> Generator[Deferred[Any], Any, None]:
        """Take addresses out of the pool before the kernel forgets them: who was told one may still come."""
        allocator, end = self._parts.allocator, self._monotonic() + DRAIN
        for portion in small(networks):
            yield deferLater(self._clock, 0)
            allocator.withdraw(portion, now=self._monotonic())
        while allocator.leaving and self._monotonic() < end:
            yield deferLater(self._clock, DRAIN_STEP)
        allocator.abandon(now=self._monotonic())

    def _extending(self, networks: Collection[Network]) -> Steps[None]:
        """Lend the addresses of more prefixes; few all at once."""
        for count, portion in enumerate(small(networks)):
            if count:
                yield None
            self._parts.allocator.extend(portion, now=self._monotonic())

    def _commit(self, written: Written, prepared: Any, planned: Plan, coming: Collection[Network]) -> Steps[None]:
        """The swap. With few changes there is no yield in it: a query meets all of the old state or all of the new."""
        parts, now, settings, changes = self._parts, self._monotonic(), written.settings, written.changes
        parts.allocator.configure(settings.allocation, settings.ipv6)
        if any(change.key.startswith(_LENDING) for change in planned.keys):  # else its counts would begin anew
            yield from parts.allocator.configuring_policy(settings.policy, now=now)
        yield from forgetting(parts.allocator, changes, self._monotonic)
        yield from self._extending(coming)
        parts.configure(settings)
        yield from parts.names.commit(prepared)
        yield from self.running.commit(written)
        if len(changes.added) + len(changes.changed) >= MANY:
            gc.freeze()

    def _after(self, written: Written, *, is_different: bool) -> Generator[Deferred[Any], Any, tuple[int, list[str]]]:
        """What does not hold up anybody: flows of hosts that are gone end, and the settings are kept."""
        ended, problems, parts = 0, list[str](), self._parts
        try:
            ended = yield from ending(parts.allocator, parts.datapath, written.changes, self._monotonic, parts.welcome)
        except RealmGatewayError as error:
            problems.append(str(error))
        try:
            if is_different:
                yield self._parts.keep(written.settings)
        except RealmGatewayError as error:
            problems.append(str(error))
        return ended, problems

    def drive(self, steps: Steps[T]) -> Deferred[T]:
        """See `Driver.drive`."""
        return self._driver.drive(steps)
