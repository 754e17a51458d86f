"""The gateway: its parts, their order, and what each is handed of the others. Edge: the reactor, the clock, chance."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from functools import partial
from time import monotonic
from typing import Any

import attrs
from twisted.application.service import Service

from realmgw import config
from realmgw.admission.conntrack import Conntrack
from realmgw.allocation.allocator import Allocator
from realmgw.allocation.ipv6.lendable import Lendable
from realmgw.allocation.reputation.records import Book
from realmgw.allocation.service import AllocationService, ReputationService
from realmgw.config.settings import Settings
from realmgw.control.amending import Amending
from realmgw.control.apply import Parts, Reloader
from realmgw.control.counting import Counting
from realmgw.control.decided import Decided
from realmgw.control.examination import loading
from realmgw.control.flows import Flows
from realmgw.control.gateway import Gateway, Insight
from realmgw.control.health import Health
from realmgw.control.leases import Leases
from realmgw.control.lifecycle import LifecycleLog
from realmgw.control.purging import Purging
from realmgw.control.reputation import Reputations
from realmgw.control.rules import Rules
from realmgw.control.running import Running
from realmgw.control.server import ControlService
from realmgw.control.service import ReloadService, beside, repeated, trouble_began, trouble_ended
from realmgw.control.tracing import Tracing
from realmgw.daemon import collecting
from realmgw.daemon.ordered import OrderedService
from realmgw.daemon.service import ProcessService
from realmgw.datapath import selecting
from realmgw.datapath.hearing import FlowEvents
from realmgw.datapath.instance import InstanceLock
from realmgw.datapath.place import Place
from realmgw.dns.service import DnsService
from realmgw.log.port import Log
from realmgw.log.service import LogService
from realmgw.subscribers.leases.service import LeaseService
from realmgw.system.reactor import the_reactor
from realmgw.system.worker import WorkerThread
from realmgw.tap import kept
from realmgw.tap.companions import Companions
from realmgw.tap.context import Context
from realmgw.tap.options import Options
from realmgw.tap.parts import Packets, allocator_of, dns_of
from realmgw.tap.probing import looking


@attrs.frozen(eq=False)
class _Made:
    """The parts that work on queries, packets and what is kept; each is handed those before it."""

    context: Context
    """What all stand on."""
    allocator: Allocator
    """Who lends addresses."""
    leases: LeaseService
    """Hosts that are registered by dynamic update."""
    book: Book
    """What is remembered of those who ask."""
    reputations: ReputationService
    """Where that is kept."""
    packets: Packets
    """The datapath and admission."""
    dns: DnsService
    """The DNS server."""
    companions: Companions
    """The services beside these."""


def compose(running: Running, options: Options, secrets: config.Secrets = config.NO_SECRETS) -> OrderedService:
    """Put the gateway together: who starts later tells nobody what those before could not honour."""
    made = _make(running, secrets, purging=bool(options["purge"]))
    context, packets, companions, log = made.context, made.packets, made.companions, options.log
    reloader = _reloader(made, log)
    purging, admission = packets.purging(reloader, companions.proxy), packets.admission()
    insight = _insight(made, reloader, purging)
    commands = Gateway(insight)
    companions.present.look_into(insight, lambda: packets.datapath.findings, reloader.drive)
    companions.dashboard.look_into(commands.do)
    lifecycle = LifecycleLog(insight, packets.datapath, options.begun)
    process = ProcessService("realmgw", options, context.reactor)
    gateway = OrderedService(partial(_report, context, lifecycle, process), process.fail, lifecycle.stopped)
    process.look, gateway.log = looking(context, made.dns, admission), log
    _give(gateway, insight.counting, (
        process,
        LogService(log, lifecycle.summary, context.reactor),
        InstanceLock(Place(running.settings.datapath.table), kept.held(running)),
        ControlService(running.settings.control, commands, context.reactor, running.path),
        packets.datapath,
        admission,
        made.reputations,
        AllocationService(made.allocator, context.reactor, monotonic),
        *companions.before_dns,
        made.leases,
        made.dns,
        *companions.after_dns,
        ReloadService(purging.reload, context.reactor.callFromThread, lambda: options.signals.reload),
        kept.subscribers(context),
        *kept.repositories(context, reloader),
    ))  # fmt: skip
    _count(insight.counting, health=context.health, subscribers=running.folders, reloads=reloader)
    return gateway


def _make(running: Running, secrets: config.Secrets, *, purging: bool) -> _Made:
    """The parts that work."""
    reactor = the_reactor()
    allocator = allocator_of(running, conntrack := Conntrack(monotonic), lendable := Lendable(os.urandom))
    health = Health(monotonic, trouble_began, trouble_ended, allocator.outage.degrade)
    context = Context(running, health, reactor, WorkerThread(reactor, "realmgw-kernel"))
    leases, book = kept.leases(context), Book(allocator.askers)  # first: hosts that are kept come to the kernel at once
    packets = Packets(context, allocator, conntrack, lendable, purging=purging)
    dns = dns_of(context, allocator, secrets, leases.hosts.guests)
    companions = Companions(context, allocator, conntrack, packets.datapath, dns)
    return _Made(context, allocator, leases, book, kept.reputations(context, book), packets, dns, companions)


def _reloader(made: _Made, log: Log) -> Reloader:
    """What changes the parts while they run: as a whole, or a registered host at a time."""
    context, running = made.context, made.context.running
    parts = Parts(
        made.packets.datapath, made.allocator, made.dns, partial(_configure, log, made),
        partial(kept.keep, context), loading, context.health.tell_written, context.elsewhere, context.health.tell_kept,
        made.companions.portal.dismiss)  # fmt: skip
    reloader = Reloader(running, parts, context.reactor, monotonic)
    made.leases.in_force = Amending(reloader, parts, monotonic)
    made.dns.updates.book, running.settled = made.leases, made.leases.settled
    return reloader


def _insight(made: _Made, reloader: Reloader, purging: Purging) -> Insight:
    """What operators look into."""
    context, allocator, packets, drive = made.context, made.allocator, made.packets, reloader.drive
    running, health, reactor = context.running, context.health, context.reactor
    who = Reputations(allocator.groups, allocator.requestors, made.book, drive, monotonic)
    return Insight(
        running, health, allocator, who,
        Flows(running, allocator, drive, selecting.listed, selecting.ended, FlowEvents(reactor).hear, time.time),
        Leases(made.leases, time.time), Rules(running, packets.datapath.rules, drive), Tracing(running, packets.follow),
        Decided(running, allocator.ledger.decisions, drive, partial(repeated, reactor), made.companions.ended,
            monotonic, time.time, who.called), made.dns.explain,
        Counting(monotonic, partial(beside, packets.figures, health, reactor)),
        made.companions.commands, packets.datapath.placed, reloader.plan, purging.reload, purging.purge, monotonic,
    )  # fmt: skip


def _give(gateway: OrderedService, counting: Counting, parts: Iterable[Service]) -> None:
    """The gateway has these parts, in this order."""
    for part in parts:
        part.setServiceParent(gateway)  # type: ignore[no-untyped-call]  # Twisted does not say
        counting.take(part)


def _count(counting: Counting, **others: Any) -> None:
    """Others than services count, too."""
    for name, each in others.items():
        counting.add(name, each.counts)


def _configure(log: Log, made: _Made, new: Settings) -> None:
    """What a reload means for parts that have no other business with it."""
    log.configure(new.logging)
    made.packets.configure(new)
    kept.resize(made.reputations, new)
    made.companions.configure(new)


def _report(context: Context, lifecycle: LifecycleLog, process: ProcessService) -> None:
    """All services run."""
    collecting.settle()
    lifecycle.started()
    lifecycle.datapath.settle()
    kept.keep_first(context)
    context.health.tell_written(context.running.problems)
    process.serves()
