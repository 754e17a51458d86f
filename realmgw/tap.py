"""`twistd realmgw`: the parts are made, and handed to each other, here. Edge: the reactor, the clock, chance."""

from __future__ import annotations

import gc
import os
import random
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

from twisted.application.service import IService, Service
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.usage import Options as UsageOptions

from realmgw import config
from realmgw.admission.conntrack import Conntrack
from realmgw.admission.faults import Faults
from realmgw.admission.gate import Gate
from realmgw.admission.service import AdmissionService, Hearing, log_fault
from realmgw.admission.unsolicited import Unsolicited
from realmgw.allocation.allocator import Allocator
from realmgw.allocation.ipv6.lendable import SHARE, Lendable
from realmgw.allocation.reputation.disk import ReputationFile
from realmgw.allocation.reputation.records import Book
from realmgw.allocation.service import AllocationService, ReputationService
from realmgw.config.disk import Hold
from realmgw.config.service import Readers
from realmgw.config.settings import Settings
from realmgw.config.steps import Blocking, now
from realmgw.control.amending import Amending
from realmgw.control.apply import Parts, Reloader
from realmgw.control.counting import Counting
from realmgw.control.degrading import looked_at, looked_at_neighbours
from realmgw.control.examination import around, loading, refuse
from realmgw.control.flows import Flows
from realmgw.control.gateway import Gateway, Insight
from realmgw.control.health import Health, Severity, tell_kept, tell_written
from realmgw.control.instance import InstanceLock
from realmgw.control.leases import Leases
from realmgw.control.purging import Purging
from realmgw.control.reputation import Reputations
from realmgw.control.rules import Rules
from realmgw.control.running import Running
from realmgw.control.saying import Says
from realmgw.control.server import ControlService
from realmgw.control.service import (
    ReloadService,
    RepositoryService,
    beside,
    trouble_began,
    trouble_ended,
)
from realmgw.control.tracing import Tracing
from realmgw.daemon.ordered import OrderedService
from realmgw.daemon.service import EarlySignals, ProcessService, refusing, take_pid_file, the_reactor
from realmgw.datapath import selecting
from realmgw.datapath.apply import Kernel
from realmgw.datapath.client import networks_of
from realmgw.datapath.dualstack import served
from realmgw.datapath.elements import STRAYS
from realmgw.datapath.hearing import FlowEvents
from realmgw.datapath.incoming import Lent
from realmgw.datapath.neighbours.answering import Answers
from realmgw.datapath.neighbours.service import NeighboursService
from realmgw.datapath.service import DatapathService
from realmgw.datapath.tracing.port import Tracer
from realmgw.datapath.watch.including import Includes
from realmgw.datapath.watch.port import KernelEars
from realmgw.datapath.worker import KernelThread
from realmgw.dns.service import DnsService
from realmgw.errors import PlatformError
from realmgw.log.port import Log
from realmgw.log.service import LogService
from realmgw.portal.service import PortalService
from realmgw.subscribers.files.disk import LastGood
from realmgw.subscribers.files.folders import Folders
from realmgw.subscribers.leases.journal import Journal
from realmgw.subscribers.leases.service import LeaseService
from realmgw.subscribers.reach import NOWHERE, Around
from realmgw.subscribers.remote.client import rest_repository
from realmgw.subscribers.service import KEEP_TIME, LastGoodService
from realmgw.synproxy.service import SynproxyService

GC_THRESHOLDS = 500_000, 20, 100
"""Claims live for seconds, and leave no cycles behind: at any rate that a core can serve, the collector finds nothing
among them, and only makes everybody wait (10 ms for each 50 000 objects). What it is for, connections and failures that
refer to each other, is rare enough to come to half a million objects once in a long while."""

ROWS = 2
"""So many times `allocation.max_groups` reputations are kept: groups, and the clients that they named."""

_log = Logger()


class Options(UsageOptions):
    """The command line of `twistd realmgw`."""

    synopsis = "[--config FILE] [--purge]"
    # The names are Twisted's.
    optParameters = (  # noqa: N815
        ("config", "c", "/etc/realmgw/realmgw.yaml", "The main configuration file."),
    )
    optFlags = (  # noqa: N815
        ("purge", None, "On stop, remove everything of ours from the kernel, established flows too."),
    )

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted does not say
        self.begun, self.signals = monotonic(), EarlySignals()
        self.log = Log()

    def postOptions(self) -> None:
        """See `take_pid_file` and `EarlySignals`; the log goes where twistd is told."""
        self.signals.take(self)
        take_pid_file(self)
        self.log = Log(self.parent)


@refusing("realmgw")
def make_service(options: Options) -> IService:
    """Make the gateway of a configuration file.

    Args:
        options: The parsed command line.

    Returns:
        All services in their order; nothing is started, bound or changed yet.

    Raises:
        SystemExit: Neither the main file nor the last good one can be used, or the machine lacks something; the
            message has every problem.
    """
    path, do = Path(options["config"]), Readers().wait
    loaded = config.load_or_last_good(path, do=do)
    options.log.configure(loaded.settings.logging)
    for line in refuse(loaded.settings, do).wrong:
        _log.warn("{line}", line=line)
    if loaded.from_last_good:
        _log.critical("the configuration can not be used: this is the last good one. Problems:")
    for problem in loaded.problems:
        _log.critical("{problem}", problem=problem)
    running = read(path, served(loaded.settings), around(loaded.settings), do)
    running.problems = loaded.problems
    return compose(running, options, config.secrets(loaded.settings))


def read(path: Path, settings: Settings, around: Around = NOWHERE, do: Callable[[Blocking], Any] = now) -> Running:
    """Read the subscribers; those of files that can not be used, as they were when they were good last.

    Args:
        path: The main file.
        settings: What it says.
        around: What is around the gateway.
        do: Makes the calls that may block.
    """
    last_good = last_good_of(path, settings)
    try:
        kept = do(Blocking(str(settings.state), last_good.sources))
    except (PlatformError, OSError) as error:
        _log.warn("what subscriber files said last is not known: {error}", error=error)
        kept = {}
    running = Running(path, settings, Folders(time.time, monotonic, last_good.text), around=around)
    gc.disable()  # it would walk through the growing directory again and again
    try:
        running.begin(kept, do)
    finally:
        gc.freeze()  # what was read stays
        gc.enable()
    running.folders.settle()
    for problem in running.registry.problems:
        _log.warn("subscribers: {problem}", problem=problem)
    return running


def compose(running: Running, options: Options, secrets: config.Secrets = config.NO_SECRETS) -> OrderedService:
    """Put the gateway together: who starts later tells nobody what those before could not honour."""
    reactor, settings = the_reactor(), running.settings
    allocator = _allocator(running, conntrack := Conntrack(monotonic), lendable := Lendable(os.urandom))
    thread, process = KernelThread(reactor), ProcessService("realmgw", options, reactor)
    health = Health(monotonic, trouble_began, trouble_ended, allocator.outage.degrade)
    leases, dns = _leases(running, health, reactor), _dns(running, allocator, thread, reactor, secrets)
    kernel, looked = Kernel(settings, lent=Lent(lendable.seed, SHARE)), partial(looked_at, health, allocator, monotonic)
    datapath = _datapath(kernel, running, looked, thread, reactor, bool(options["purge"]))
    unsolicited, follow = Unsolicited(settings.admission, datapath.push_stray), Tracer(kernel, thread, reactor).follow
    gate = Gate(allocator, unsolicited, Faults(log_fault), settings.datapath.reject_rate)
    hearing, book = Hearing(conntrack, allocator, health.tell, reactor, monotonic), Book(allocator.askers)
    keeping, doubts = _keeping(running, book, reactor), partial(tell_kept, health)
    elsewhere, told = partial(Readers().call, reactor=reactor), partial(tell_written, health)
    neighbours, keep = _neighbours(running, allocator, health, thread, reactor), partial(_keep, running, thread)
    portal = PortalService(settings, running.registry.host_at, reactor, elsewhere)
    synproxy = SynproxyService(settings, allocator, reactor, elsewhere, partial(health.tell, "synproxy"))
    configure = partial(_configure, unsolicited, gate, keeping, (neighbours, portal, synproxy), options.log)
    parts = Parts(datapath, allocator, dns, configure, keep, loading, told, elsewhere, doubts, portal.dismiss)
    reloader = Reloader(running, parts, reactor, monotonic)
    leases.in_force, dns.updates.book, running.settled = Amending(reloader, parts, monotonic), leases, leases.settled
    counting = Counting(monotonic, partial(beside, datapath.figures, health, reactor))
    purging, drive = _purging(running, datapath, allocator, gate, reloader, health), reloader.drive
    insight = Insight(
        running, health, allocator, Reputations(allocator.groups, allocator.requestors, book, drive, monotonic),
        Flows(running, allocator, drive, selecting.listed, selecting.ended, FlowEvents(reactor).hear, time.time),
        Leases(leases, time.time), Rules(running, datapath.rules), Tracing(running, follow), dns.explain, counting,
        synproxy.show, datapath.placed, reloader.plan, purging.reload, purging.purge, monotonic,
    )  # fmt: skip
    gateway = _gateway(says := Says(insight, datapath, options.begun), process, thread, options.log)
    _give(gateway, counting, (
        process,
        LogService(options.log, says.summary, reactor),
        InstanceLock(settings.datapath.table, _state_hold(running)),
        ControlService(settings.control, Gateway(insight), reactor, running.path),
        datapath,
        AdmissionService(settings.admission, gate, reactor, monotonic, hearing=hearing, behind=allocator.behind),
        synproxy,
        keeping,
        AllocationService(allocator, reactor, monotonic),
        neighbours,
        leases,
        dns,
        portal,
        ReloadService(purging.reload, reactor.callFromThread, lambda: options.signals.reload),
        _keeping_subscribers(running, health, reactor),
        *_repositories(running, reloader, reactor, partial(health.tell, "repository")),
    ))  # fmt: skip
    _count(counting, health=health, subscribers=running.folders, reloads=reloader)
    return gateway


def _gateway(says: Says, process: ProcessService, thread: KernelThread, log: Log) -> OrderedService:
    """It, without its parts."""
    gateway = OrderedService(partial(_report, says, process, thread), process.fail, says.stopped)
    gateway.log = log
    return gateway


def _give(gateway: OrderedService, counting: Counting, parts: Iterable[Service]) -> None:
    """The gateway has these parts, in this order."""
    for part in parts:
        part.setServiceParent(gateway)  # type: ignore[no-untyped-call]  # Twisted does not say
        counting.take(part)


def _count(counting: Counting, **others: Any) -> None:
    """Others than services count, too."""
    for name, each in others.items():
        counting.add(name, each.counts)


def _state_hold(running: Running) -> Hold:
    """What says that this gateway has what is kept of it, whatever namespace it is in."""
    path = config.state_file(running.path, running.settings.state, "held")
    return Hold(path, f"what is kept of {running.path} in {running.settings.state}")


def last_good_of(path: Path, settings: Settings) -> LastGood:
    """Where it is kept what subscriber files said when they were good last."""
    return LastGood(config.state_file(path, settings.state, "subscribers").with_suffix(".sqlite"))


def _allocator(running: Running, its: Conntrack, lendable: Lendable) -> Allocator:
    """The pool, with conntrack to ask."""
    settings, at, now = running.settings, running.registry.host_at, monotonic()
    how, policy, answered = settings.allocation, settings.policy, its.answered
    networks = [piece.network for piece in settings.pools.circular]
    return Allocator(
        how, networks, now=now, policy=policy, answered=answered, entries=its, host_at=at, ipv6=settings.ipv6,
        chance=lendable,
    )  # fmt: skip


def _dns(
    running: Running, allocator: Allocator, thread: KernelThread, reactor: Any, secrets: config.Secrets
) -> DnsService:
    """The DNS server, with the kernel and the subscribers to ask who is on a LAN."""
    settings, registry = running.settings, running.registry
    return DnsService(
        settings, registry.directory, allocator, reactor, monotonic, secrets, lambda n: thread.call(networks_of, n),
        registry.host_at,
    )  # fmt: skip


def _purging(
    running: Running, datapath: DatapathService, allocator: Allocator, gate: Gate, reloader: Reloader, health: Health
) -> Purging:
    """What ends lending and admission without a stop."""
    tell = partial(health.tell, "purge", severity=Severity.DEGRADED)
    return Purging(datapath, allocator, gate, reloader, lambda: running.settings.pools.networks, tell, monotonic)


def _keeping_subscribers(running: Running, health: Health, reactor: Any) -> LastGoodService:
    """Keeps what is in force of subscriber files for the next start."""
    last_good, reader = last_good_of(running.path, running.settings), Readers(KEEP_TIME)
    return LastGoodService(
        lambda: running.registry.units,
        lambda force: reader.call(Blocking(str(running.settings.state), partial(last_good.keep, force)), reactor),
        partial(health.tell, "last good subscribers"),
        reactor,
    )


def _keeping(running: Running, book: Book, reactor: Any) -> ReputationService:
    """Keeps reputations; the disk has a thread of its own, so that the kernel need not wait for it."""
    settings = running.settings
    path = config.state_file(running.path, settings.state, "reputation").with_suffix(".sqlite")
    file = ReputationFile(path, time.time, ROWS * settings.allocation.max_groups)
    return ReputationService(book, file, KernelThread(reactor, "realmgw-disk"), reactor, monotonic)


def _leases(running: Running, health: Health, reactor: Any) -> LeaseService:
    """What is registered by dynamic update; in force, as far as it is known, before anything starts."""
    path = config.state_file(running.path, running.settings.state, "leases").with_suffix(".sqlite")
    journal, thread, tell = Journal(path, time.time), KernelThread(reactor, "leases"), partial(health.tell, "leases")
    leases = LeaseService(running, journal, thread, reactor, time.time, tell)
    leases.restore(Readers(KEEP_TIME).wait)
    return leases


def _datapath(
    kernel: Kernel, running: Running, tell: Callable[..., object], thread: KernelThread, reactor: Any, purging: bool
) -> DatapathService:
    """The kernel's side; what is wrong with it is told."""
    hosts, ears = running.registry.directory.hosts.values(), KernelEars(reactor, STRAYS)
    return DatapathService(
        kernel, hosts, clock=reactor, worker=thread, purging=purging, ears=ears, tell=tell,
        includes=Includes(running.settings),
    )  # fmt: skip


def _neighbours(
    running: Running, allocator: Allocator, health: Health, thread: KernelThread, reactor: Any
) -> NeighboursService:
    """Tells neighbours where pool addresses are."""
    answers = Answers(lambda address: allocator.fresh.is_live(address, now=monotonic()))
    return NeighboursService(running.settings, answers, thread, partial(looked_at_neighbours, health), reactor)


def _configure(
    unsolicited: Unsolicited,
    gate: Gate,
    keeping: ReputationService,
    services: Iterable[NeighboursService | PortalService | SynproxyService],
    log: Log,
    new: Settings,
) -> None:
    """What a reload means for parts that have no other business with it."""
    log.configure(new.logging)
    for each in services:
        each.configure(new)
    unsolicited.configure(new.admission)
    gate.configure(new.datapath.reject_rate)
    keeping.configure(ROWS * new.allocation.max_groups)


def _repositories(
    running: Running, reloader: Reloader, reactor: Any, tell: Callable[[Iterable[str]], object]
) -> list[RepositoryService]:
    """What listens to the policy database, if there is one."""
    settings = running.settings
    url = settings.repository.url
    if url is None:
        return []
    repository = rest_repository(settings.repository, Path(settings.state), reactor, random.random, tell)
    running.believe = repository.accept
    return [RepositoryService(repository, partial(reloader.tell, url))]


def _keep(running: Running, thread: KernelThread, settings: Settings) -> Deferred[None]:
    """Keep settings as the last good ones; the disk may take its time."""
    return thread.call(config.keep, running.path, settings)


def _keep_first(running: Running, thread: KernelThread) -> None:
    """Keep the settings that came to run, if they are the written ones: the next start may want them."""
    if not running.problems:
        _keep(running, thread, running.settings).addErrback(_not_kept)


def _report(says: Says, process: ProcessService, thread: KernelThread) -> None:
    """All services run."""
    # What was loaded stays for good: the collector need not walk through it again and again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    says.started()
    says.datapath.settle()
    _keep_first(says.running, thread)
    tell_written(says.health, says.running.problems)
    process.serves()


def _not_kept(failure: Failure) -> None:
    _log.warn("not kept for the next start: {why}", why=failure.getErrorMessage())


makeService = make_service  # noqa: N816 - what twistd looks for
