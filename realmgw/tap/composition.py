"""The gateway: its parts, their order, and what each is handed of the others. Edge: the reactor, the clock, chance."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from functools import partial
from time import monotonic
from typing import Any

from twisted.application.service import Service

from realmgw import config
from realmgw.admission.conntrack import Conntrack
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
from realmgw.control.instance import InstanceLock
from realmgw.control.leases import Leases
from realmgw.control.lifecycle import LifecycleLog
from realmgw.control.reputation import Reputations
from realmgw.control.rules import Rules
from realmgw.control.running import Running
from realmgw.control.server import ControlService
from realmgw.control.service import ReloadService, beside, repeated, trouble_began, trouble_ended
from realmgw.control.tracing import Tracing
from realmgw.daemon import collecting
from realmgw.daemon.ordered import OrderedService
from realmgw.daemon.service import ProcessService, the_reactor
from realmgw.datapath import selecting
from realmgw.datapath.hearing import FlowEvents
from realmgw.log.port import Log
from realmgw.log.service import LogService
from realmgw.system.worker import WorkerThread
from realmgw.tap import kept
from realmgw.tap.companions import Companions
from realmgw.tap.context import Context
from realmgw.tap.options import Options
from realmgw.tap.parts import Packets, allocator_of, dns_of
from realmgw.tap.probing import looking


def compose(running: Running, options: Options, secrets: config.Secrets = config.NO_SECRETS) -> OrderedService:
    """Put the gateway together: who starts later tells nobody what those before could not honour."""
    reactor, log = the_reactor(), options.log
    allocator = allocator_of(running, conntrack := Conntrack(monotonic), lendable := Lendable(os.urandom))
    health = Health(monotonic, trouble_began, trouble_ended, allocator.outage.degrade)
    context = Context(running, health, reactor, WorkerThread(reactor, "realmgw-kernel"))
    leases, book = kept.leases(context), Book(allocator.askers)  # first: hosts that are kept come to the kernel at once
    packets = Packets(context, allocator, conntrack, lendable, purging=bool(options["purge"]))
    dns, reputations = dns_of(context, allocator, secrets, leases.hosts.guests), kept.reputations(context, book)
    companions = Companions(context, allocator, conntrack, packets.datapath, dns)
    parts = Parts(
        packets.datapath, allocator, dns, partial(_configure, log, packets, reputations, companions),
        partial(kept.keep, context), loading, context.tell_written, context.elsewhere, context.tell_kept,
        companions.portal.dismiss)  # fmt: skip
    reloader = Reloader(running, parts, reactor, monotonic)
    leases.in_force, dns.updates.book, running.settled = Amending(reloader, parts, monotonic), leases, leases.settled
    purging, drive, admission = packets.purging(reloader, companions.proxy), reloader.drive, packets.admission()
    insight = Insight(
        running, health, allocator, who := Reputations(allocator.groups, allocator.requestors, book, drive, monotonic),
        Flows(running, allocator, drive, selecting.listed, selecting.ended, FlowEvents(reactor).hear, time.time),
        Leases(leases, time.time), Rules(running, packets.datapath.rules), Tracing(running, packets.follow),
        Decided(running, allocator.ledger.decisions, drive, partial(repeated, reactor), companions.ended, monotonic,
            time.time, who.called), dns.explain, Counting(monotonic, partial(beside, packets.figures, health, reactor)),
        companions.commands, packets.datapath.placed, reloader.plan, purging.reload, purging.purge, monotonic,
    )  # fmt: skip
    companions.present.look_into(insight, lambda: packets.datapath.findings, drive)
    commands = Gateway(insight)
    companions.dashboard.look_into(commands.do)
    lifecycle, process = (
        LifecycleLog(insight, packets.datapath, options.begun),
        ProcessService("realmgw", options, reactor),
    )
    gateway = OrderedService(partial(_report, context, lifecycle, process), process.fail, lifecycle.stopped)
    process.look, gateway.log = looking(context, dns, admission), log
    _give(gateway, insight.counting, (
        process,
        LogService(log, lifecycle.summary, reactor),
        InstanceLock(running.settings.datapath.table, kept.held(running)),
        ControlService(running.settings.control, commands, reactor, running.path),
        packets.datapath,
        admission,
        reputations,
        AllocationService(allocator, reactor, monotonic),
        *companions.before_dns,
        leases,
        dns,
        *companions.after_dns,
        ReloadService(purging.reload, reactor.callFromThread, lambda: options.signals.reload),
        kept.subscribers(context),
        *kept.repositories(context, reloader),
    ))  # fmt: skip
    _count(insight.counting, health=health, subscribers=running.folders, reloads=reloader)
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


def _configure(
    log: Log, packets: Packets, reputations: ReputationService, companions: Companions, new: Settings
) -> None:
    """What a reload means for parts that have no other business with it."""
    log.configure(new.logging)
    packets.configure(new)
    kept.resize(reputations, new)
    companions.configure(new)


def _report(context: Context, lifecycle: LifecycleLog, process: ProcessService) -> None:
    """All services run."""
    collecting.settle()
    lifecycle.started()
    lifecycle.datapath.settle()
    kept.keep_first(context)
    context.tell_written(context.running.problems)
    process.serves()
