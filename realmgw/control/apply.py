"""Carries a reload out: everything is found out first, then the kernel is changed, and last the tables are.

A step that fails leaves everything as it was. The parts that take time are generators; they run in the reactor for a
moment at a time, so that queries and packets in between do not wait for longer than that.
"""

from __future__ import annotations

import enum
import gc
from collections.abc import Callable, Collection, Generator, Iterable
from pathlib import Path
from typing import Any, Protocol, TypeVar

import attrs
from twisted.internet.defer import Deferred, DeferredLock, inlineCallbacks
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from realmgw import config
from realmgw.allocation.allocator import Allocator
from realmgw.config.settings import Network, Settings
from realmgw.control.plan import Plan, beyond, plan
from realmgw.control.running import Running, Written
from realmgw.datapath.keeper import Findings
from realmgw.errors import RealmGatewayError
from realmgw.subscribers.model import Directory, Host
from realmgw.subscribers.register import Changes
from realmgw.subscribers.snapshot import Snapshot

SLICE = 0.002  # seconds
"""For so long a reload works before the reactor may do something else."""
DRAIN = 2.5  # seconds
"""For so long those who were told an address that leaves the pool may still come."""
DRAIN_STEP = 0.05  # seconds
"""How often it is looked whether all of them have come."""
MANY = 5000
"""From so many new hosts on, the garbage collector is told not to look at them again and again."""

T = TypeVar("T")


class Status(enum.Enum):
    """What became of a reload."""

    APPLIED = "applied"
    """What is written is in force, but for `problems`."""
    UNCHANGED = "unchanged"
    """What is written was in force already."""
    REFUSED = "refused"
    """What is written can not be used; all is as it was."""
    FAILED = "failed"
    """The kernel refused; all is as it was."""


@attrs.frozen
class Outcome:
    """What became of a reload."""

    status: Status
    """That."""
    plan: Plan = attrs.Factory(Plan)
    """What was to be changed."""
    problems: tuple[str, ...] = ()
    """What is not as it is written, and why; with REFUSED and FAILED, why nothing is."""
    seconds: float = 0.0
    """How long it took."""
    flows_ended: int = 0
    """Flows of hosts that are gone."""
    restored: tuple[str, ...] = ()
    """What others had removed or changed outside of the process, and is as it should be again."""


class Datapath(Protocol):
    """What a reload needs of `realmgw.datapath.service.DatapathService`."""

    def change(self, settings: Settings, gone: tuple[Host, ...], came: tuple[Host, ...]) -> Deferred[None]:
        """See there."""

    def end_flows(self, addresses: Collection[bytes]) -> Deferred[int]:
        """See there."""

    def restore(self) -> Deferred[Findings]:
        """See there."""


class Names(Protocol):
    """What a reload needs of `realmgw.dns.service.DnsService`."""

    def prepare(
        self, settings: Settings, directory: Directory, changes: Changes, secrets: tuple[bytes, ...]
    ) -> Generator[None, None, Any]:
        """See there."""

    def commit(self, prepared: Any) -> Generator[None, None, None]:
        """See there."""


@attrs.frozen(eq=False)
class Parts:
    """What a reload changes."""

    datapath: Datapath
    """The kernel's side."""
    allocator: Allocator
    """The pool."""
    names: Names
    """The DNS server."""
    regard: Callable[[Settings], object]
    """Told of settings that concern nobody else here."""
    keep: Callable[[Settings], Deferred[None]]
    """Keeps settings as the last good ones; what goes wrong is told by its failure."""
    read: Callable[[Path], Deferred[config.Written]]
    """Reads a main file, and what it names, beside the reactor; what is wrong with it is told by its failure."""
    tell: Callable[[tuple[str, ...]], object]
    """Told after each reload why what is written is not in force; empty when it is."""


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
        longest: For how long, in seconds, any part of a reload kept the reactor.
    """

    def __init__(self, running: Running, parts: Parts, clock: IReactorTime, monotonic: Callable[[], float]) -> None:
        self.running = running
        self._parts = parts
        self._clock = clock
        self._monotonic = monotonic
        self._log = Logger()
        self._busy = False
        self._lock = DeferredLock()
        self._next: list[Deferred[Outcome]] = []
        self.last: Outcome | None = None
        self.closed = ""
        self.count = 0
        self.refused = 0
        self.longest = 0.0

    def reload(self, cause: str) -> Deferred[Outcome]:
        """Make true what is written.

        Args:
            cause: Who wants it, for the log.

        Returns:
            Fires with what became of it; it does not fail. What is asked for while a reload is under way is done
            afterwards, all at once, since the one under way may have read the files already.
        """
        asked: Deferred[Outcome] = Deferred()
        self._next.append(asked)
        if not self._busy:
            self._log.info("reload asked for by {cause}", cause=cause)
            self._begin()
        return asked

    def counts(self) -> dict[str, object]:
        """How many reloads there were, and what became of the last one."""
        return {
            "count": self.count,
            "refused": self.refused,
            "last": None if self.last is None else self.last.status.value,
            "problems": [] if self.last is None else list(self.last.problems),
            "longest_pause": round(self.longest, 6),
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
        return self._written().addCallback(self._planned)

    @inlineCallbacks
    def _written(self) -> Generator[Deferred[Any], Any, Written]:
        """What is written now; fails as `Running.written`, or when the main file can not be used."""
        main = yield self._parts.read(self.running.path)
        written: Written = yield self.drive(_sparing(self.running.written(main)))
        return written

    def _planned(self, written: Written) -> Plan:
        running = self.running
        return plan(running.settings, written.settings, written.changes, services=running.register.directory.services)

    def _begin(self) -> None:
        self._busy = True
        asked, self._next = self._next, []
        self.exclusively(self._reload).addErrback(self._fault).addCallback(self._end, asked)

    def _fault(self, failure: Failure) -> Outcome:
        self._log.failure("fault while reloading", failure)
        return Outcome(Status.FAILED, problems=(f"a fault of our own, see the log: {failure.getErrorMessage()}",))

    def _end(self, outcome: Outcome, asked: Iterable[Deferred[Outcome]]) -> None:
        self.last = outcome
        self.count += 1
        self.refused += outcome.status in (Status.REFUSED, Status.FAILED)
        self._tell(outcome)
        self._busy = False
        for each in asked:
            each.callback(outcome)
        if self._next and not self._busy:
            self._begin()

    def _tell(self, outcome: Outcome) -> None:
        for problem in outcome.problems:
            self._log.warn("reload: {problem}", problem=problem)
        self._log.info(
            "reload {status} after {seconds:.3f} s: {summary}",
            status=outcome.status.value,
            seconds=outcome.seconds,
            summary=outcome.plan.summary(),
        )
        self._parts.tell(outcome.problems if outcome.status in (Status.REFUSED, Status.FAILED) else ())

    @inlineCallbacks
    def _reload(self) -> Generator[Deferred[Any], Any, Outcome]:
        begin = self._monotonic()
        planned = Plan()
        if self.closed:
            return Outcome(Status.REFUSED, problems=(self.closed,))
        try:
            written = yield self._written()
            planned = self._planned(written)
            _refuse_restart(planned)
            prepared = yield self.drive(
                _sparing(
                    self._parts.names.prepare(
                        written.settings, self.running.register.directory, written.changes, written.secrets
                    )
                )
            )
        except RealmGatewayError as error:
            lines = tuple(str(error).splitlines())
            self.running.problems = lines
            return Outcome(Status.REFUSED, planned, lines, self._monotonic() - begin)
        try:
            yield from self._change_kernel(written)
        except RealmGatewayError as error:
            return Outcome(Status.FAILED, planned, (str(error),), self._monotonic() - begin)
        yield self.drive(self._commit(written, prepared))
        for snapshot in self.running.in_force():
            self.running.believe(snapshot)
        ended, problems = yield from self._after(written, planned)
        found: Findings = yield self._parts.datapath.restore()
        status = Status.APPLIED if planned or found.repaired else Status.UNCHANGED
        problems = (*planned.problems, *problems, *found.broken)
        return Outcome(status, planned, problems, self._monotonic() - begin, ended, found.repaired)

    def _change_kernel(self, written: Written) -> Generator[Deferred[Any], Any, None]:
        changes, settings = written.changes, written.settings
        moved = [(before, after) for before, after in changes.changed if before.address != after.address]
        gone = (*changes.removed, *(before for before, _ in moved))
        came = (*changes.added, *(after for _, after in moved))
        leaving = beyond(*self._pools(settings))
        yield from self._withdraw(leaving)
        try:
            if gone or came or settings != self.running.settings:
                yield self._parts.datapath.change(settings, gone, came)
        except RealmGatewayError:
            self._parts.allocator.extend(leaving, now=self._monotonic())
            raise

    def _pools(self, settings: Settings) -> tuple[list[Network], list[Network]]:
        """The circular pool's prefixes, before and after."""
        before, after = self.running.settings.pools.circular, settings.pools.circular
        return [prefix.network for prefix in before], [prefix.network for prefix in after]

    def _withdraw(self, networks: Collection[Network]) -> Generator[Deferred[Any], Any, None]:
        """Take addresses out of the pool before the kernel forgets them: who was told one may still come."""
        if not networks:
            return
        allocator = self._parts.allocator
        end = self._monotonic() + DRAIN
        allocator.withdraw(networks, now=self._monotonic())
        while allocator.leaving and self._monotonic() < end:
            yield deferLater(self._clock, DRAIN_STEP)
        allocator.abandon(now=self._monotonic())

    def _commit(self, written: Written, prepared: Any) -> Generator[None, None, None]:
        """The swap. With few changes there is no yield in it: a query meets all of the old state or all of the new."""
        parts, now, settings, changes = self._parts, self._monotonic(), written.settings, written.changes
        before, after = self._pools(settings)
        parts.allocator.regard(settings.allocation)
        if settings.policy != self.running.settings.policy:  # else its counts would begin anew
            parts.allocator.regard_policy(settings.policy, now=now)
        parts.allocator.forget(changes.targets_gone, now=now)
        parts.allocator.extend(beyond(after, before), now=now)
        parts.regard(settings)
        yield from parts.names.commit(prepared)
        yield from self.running.register.commit(changes)
        if len(changes.added) + len(changes.changed) >= MANY:
            gc.freeze()

    def _after(self, written: Written, planned: Plan) -> Generator[Deferred[Any], Any, tuple[int, tuple[str, ...]]]:
        """What does not hold up anybody: flows of hosts that are gone end, and the settings are kept."""
        self.running.settings, self.running.problems = written.settings, ()
        ended, problems = 0, []
        try:
            ended = yield self._parts.datapath.end_flows(written.changes.addresses_gone)
        except RealmGatewayError as error:
            problems.append(str(error))
        try:
            if planned.keys:
                yield self._parts.keep(written.settings)
        except RealmGatewayError as error:
            problems.append(str(error))
        return ended, tuple(problems)

    def drive(self, steps: Generator[None, None, T]) -> Deferred[T]:
        """Go through steps, `SLICE` at a time; fires with what they return."""
        done: Deferred[T] = Deferred()
        self._run_slice(steps, done)
        return done

    def _run_slice(self, steps: Generator[None, None, T], done: Deferred[T]) -> None:
        begin = now = self._monotonic()
        try:
            while now - begin < SLICE:
                next(steps)
                now = self._monotonic()
        except StopIteration as end:
            self.longest = max(self.longest, self._monotonic() - begin)
            done.callback(end.value)
        except Exception:  # noqa: BLE001 - whoever waits is told
            done.errback()
        else:
            self.longest = max(self.longest, now - begin)
            self._clock.callLater(0, self._run_slice, steps, done)


def _sparing(steps: Generator[None, None, T]) -> Generator[None, None, T]:
    """Steps that only find out: when the memory does not suffice for them, all is as it was, and goes on."""
    try:
        return (yield from steps)
    except MemoryError:
        raise RealmGatewayError("there is not enough memory for what is written: nothing was changed") from None


def _refuse_restart(planned: Plan) -> None:
    if planned.restart:
        raise RealmGatewayError(f"only a restart can change {', '.join(planned.restart)}: nothing was changed")
