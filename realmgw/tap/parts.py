"""The parts that every query and packet meets, each made of what it has to know. Edge: the clock, services."""

from __future__ import annotations

import time
from functools import partial
from time import monotonic

from realmgw import config
from realmgw.admission.conntrack import Conntrack
from realmgw.admission.faults import Faults
from realmgw.admission.gate import Gate
from realmgw.admission.service import AdmissionService, Hearing, log_fault
from realmgw.admission.twice import Twice
from realmgw.admission.unsolicited import Unsolicited
from realmgw.allocation.allocator import Allocator
from realmgw.allocation.ipv6.lendable import SHARE, Lendable
from realmgw.config.settings import Settings
from realmgw.control.apply import Reloader
from realmgw.control.degrading import looked_at
from realmgw.control.health import Severity
from realmgw.control.purging import Proxy, Purging
from realmgw.control.running import Running
from realmgw.datapath.apply import Kernel
from realmgw.datapath.bans import BANNED
from realmgw.datapath.client import networks_of
from realmgw.datapath.elements import STRAYS
from realmgw.datapath.incoming import Lent
from realmgw.datapath.machine.seeing import conntrack_use
from realmgw.datapath.service import DatapathService
from realmgw.datapath.tracing.port import Tracer
from realmgw.datapath.watch.including import Includes
from realmgw.datapath.watch.port import KernelListener
from realmgw.dns.guests import Guests
from realmgw.dns.service import DnsService
from realmgw.system.worker import WorkerThread
from realmgw.tap.context import Context


def allocator_of(running: Running, its: Conntrack, lendable: Lendable) -> Allocator:
    """The pool, with conntrack to ask."""
    settings, at, now = running.settings, running.registry.host_at, monotonic()
    how, policy, answered = settings.allocation, settings.policy, its.answered
    networks = [piece.network for piece in settings.pools.circular]
    allocator = Allocator(
        how, networks, now=now, policy=policy, answered=answered, entries=its, host_at=at, ipv6=settings.ipv6,
        chance=lendable,
    )  # fmt: skip
    allocator.ledger.decisions.number = int(time.time()) << 20  # no trace id is one of an earlier run's
    return allocator


def dns_of(context: Context, allocator: Allocator, secrets: config.Secrets, guests: Guests) -> DnsService:
    """The DNS server, with the kernel, the subscribers and the book of registrations to ask who is on a LAN."""
    registry, thread = context.running.registry, context.kernel_thread
    return DnsService(
        context.settings, registry.directory, allocator, context.reactor, monotonic, secrets,
        lambda n: thread.call(networks_of, n), registry.host_at, guests,
    )  # fmt: skip


def _answered(allocator: Allocator) -> int:
    """How many questions were answered with an address, of either family, ever."""
    every = (allocator.counters, allocator.fresh.counters, allocator.fresh.pinholes.ledger.counters)
    return sum(each.claimed + each.retransmitted for each in every)


class Packets:
    """What first packets meet: the kernel's rules, and the gate that they are led to.

    Args:
        context: What it stands on.
        allocator: Says who waits.
        conntrack: Which flows there are.
        lendable: Which addresses of IPv6 prefixes may be lent.
        purging: Whether everything goes from the kernel on stop.

    Attributes:
        kernel: What is to stand there.
        datapath: How it gets there, and stays.
        gate: Decides.
        hearing: What conntrack tells.
        follow: Follows single packets through all rules.
    """

    def __init__(
        self, context: Context, allocator: Allocator, conntrack: Conntrack, lendable: Lendable, *, purging: bool
    ) -> None:
        settings, reactor = context.settings, context.reactor
        hosts, looked = (
            context.running.registry.directory.hosts,
            partial(looked_at, context.health, allocator, monotonic),
        )
        self.kernel = Kernel(settings, lent=Lent(lendable.seed, SHARE))
        self.datapath = DatapathService(
            self.kernel, hosts.values(), clock=reactor, worker=context.kernel_thread, purging=purging,
            lister=WorkerThread(reactor, "realmgw-conntrack"), listener=KernelListener(reactor, (*STRAYS, *BANNED)),
            stray_timeout=settings.admission.stray_timeout, tell=looked, includes=Includes(settings),
        )  # fmt: skip
        self._unsolicited = Unsolicited(settings.admission, self.datapath.push_stray)
        self.gate = Gate(
            allocator,
            self._unsolicited,
            Faults(log_fault),
            settings.datapath.reject_rate,
            allocator.ledger.decisions.refuse,
        )
        self.hearing = Hearing(conntrack, allocator, context.health.tell, reactor, monotonic)
        self.follow = Tracer(self.kernel, context.kernel_thread, reactor).follow
        tell = context.telling("admission")
        answered = partial(_answered, allocator)
        self._twice = Twice(settings, self.datapath, answered, allocator.behind, tell, reactor, monotonic)
        self._context, self._allocator = context, allocator

    def admission(self) -> AdmissionService:
        """The queue."""
        how, clock = self._context.settings.admission, self._context.reactor
        return AdmissionService(how, self.gate, clock, monotonic, hearing=self.hearing, twice=self._twice)

    def figures(self) -> dict[str, object]:
        """What the kernel has counted, by name, and how full conntrack is. It blocks, in any thread."""
        return {**self.datapath.figures(), "conntrack": conntrack_use()}

    def configure(self, settings: Settings) -> None:
        """From now on, these settings; the kernel is told of them by who reloads."""
        self._unsolicited.configure(settings.admission)
        self.gate.configure(settings.datapath.reject_rate)
        self._twice.configure(settings)

    def purging(self, reloader: Reloader, proxy: Proxy) -> Purging:
        """What ends lending and admission, and the web proxy, without a stop."""
        context = self._context
        tell = partial(context.health.tell, "purge", severity=Severity.DEGRADED)
        return Purging(
            self.datapath, self._allocator, self.gate, proxy, reloader, lambda: context.settings.pools.networks, tell,
            monotonic,
        )  # fmt: skip
