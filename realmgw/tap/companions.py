"""The services beside allocation, admission and DNS. A new one is made here, in its place among those that start.

Each hears of new settings (`configure`), may say what is wrong with it (`Context.telling`), may count (`counts`, found
by `Counting.take`), and may have commands: these are named in `Companions.commands`.

Edge: what is kept on disk, the clock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from time import monotonic, time
from typing import Any

from realmgw.admission.conntrack import Conntrack
from realmgw.alerts.service import AlertsService, Clocks, Known
from realmgw.allocation.allocator import Allocator
from realmgw.allocation.opened import NAMELESS, Opened
from realmgw.allocation.openers import Openers
from realmgw.config.settings import Settings
from realmgw.config.steps import Steps
from realmgw.control import parameters
from realmgw.control.commands import MOST
from realmgw.control.degrading import looked_at_neighbours
from realmgw.control.history import PastFlows
from realmgw.control.present import Present
from realmgw.control.refusals import RefusalsService
from realmgw.dashboard.service import DashboardService
from realmgw.datapath.neighbours.answering import Answers
from realmgw.datapath.neighbours.service import NeighboursService
from realmgw.datapath.service import DatapathService
from realmgw.dns.forward.keeping import ForwarderService
from realmgw.dns.service import DnsService
from realmgw.metrics.gateway import GATEWAY
from realmgw.metrics.service import MetricsService, built
from realmgw.portal.service import PortalService
from realmgw.records.service import RecordsService, Sources
from realmgw.subscribers.registry import Changes
from realmgw.synproxy.service import SynproxyService
from realmgw.system.port import group_number
from realmgw.system.worker import WorkerThread
from realmgw.tap import kept
from realmgw.tap.context import Context
from realmgw.webproxy.service import WebproxyService


class Companions:
    """All of them.

    Args:
        context: What they stand on.
        allocator: The pool.
        conntrack: Which flows there are.
        datapath: What stands in the kernel.
        dns: Names.

    Attributes:
        portal: Has to be told of addresses that are guests' no more.
        proxy: Has to be told that nobody may come in.
        present: Has to be told what to look into; metrics say what it tells.
        dashboard: Has to be told who does commands.
        ended: Tells of flows that have ended; see `RecordsService.ended`.
        before_dns: Those that start before names are answered: what is told there has to hold by then.
        after_dns: Those that start after it, since nobody waits for them.
    """

    def __init__(
        self, context: Context, allocator: Allocator, conntrack: Conntrack, datapath: DatapathService, dns: DnsService
    ) -> None:
        self.portal = _portal(context)
        self.proxy = webproxy = _webproxy(context)
        records = _records(context, allocator, conntrack)
        past, self.ended = PastFlows(records, context.running.registry, time), records.ended
        context.running.registry.told = partial(_in_turn, webproxy.noting, records.noting)
        alerts = _alerts(context, allocator, conntrack, datapath)
        synproxy = _synproxy(context, allocator)
        self.present = Present(synproxy.show, time, built(time()))
        metrics = MetricsService(context.settings.metrics, GATEWAY, self.present.read, context.reactor, monotonic)
        self.dashboard = _dashboard(context)
        self.before_dns = (
            synproxy,
            _neighbours(context, allocator),
            webproxy,
            records,
            _refusals(context, allocator, alerts),
        )
        forwarder = ForwarderService(dns.shared, context.reactor, context.telling("forwarder"))
        self.after_dns = (forwarder, alerts, self.portal, metrics, self.dashboard)
        self.commands: Mapping[str, Callable[..., Any]] = {
            "synproxy/show": lambda: {"proxies": synproxy.show()},
            "webproxy/show": webproxy.show,
            "flows/history": past.list,
            "flows/accounts": past.accounts,
            "alerts": lambda limit: alerts.show(parameters.number(limit, "limit", MOST)),
        }

    def configure(self, settings: Settings) -> None:
        """From now on, these settings."""
        self.present.configure()
        for each in (*self.before_dns, *self.after_dns):
            each.configure(settings)


def _synproxy(context: Context, allocator: Allocator) -> SynproxyService:
    """Keeps SYN proxies in step."""
    return SynproxyService(context.settings, allocator, context.reactor, context.elsewhere, context.telling("synproxy"))


def _webproxy(context: Context) -> WebproxyService:
    """Runs the reverse proxy of the service pool, which hears of whatever becomes of subscribers."""
    directory, path = context.running.registry.directory, kept.web_proxy(context.running)
    return WebproxyService(
        context.settings, directory, path, context.reactor, context.elsewhere, context.telling("webproxy")
    )


def _records(context: Context, allocator: Allocator, conntrack: Conntrack) -> RecordsService:
    """Writes down what becomes of flows, and hears of whatever becomes of subscribers as well."""
    running, opened = context.running, Opened(allocator)
    registry, tells = running.registry, conntrack.tells_of_ends
    sources = Sources(registry, lambda: running.around, opened.take, NAMELESS, opened.watch, tells, opened.again)
    path, tell = kept.flow_records(running), context.telling("records")
    return RecordsService(context.settings, path, sources, context.reactor, context.elsewhere, tell, time)


def _refusals(context: Context, allocator: Allocator, alerts: AlertsService) -> RefusalsService:
    """Writes down what rules have dropped or refused, and what bans have."""
    decisions, tell = allocator.ledger.decisions, context.telling("refusals")
    return RefusalsService(context.running, decisions, monotonic, context.reactor, tell, alerts.cause)


def _in_turn(
    one: Callable[[Changes], Steps[None]], other: Callable[[Changes], Steps[None]], of: Changes
) -> Steps[None]:
    """Goes through changes for both."""
    yield from one(of)
    yield from other(of)


def _neighbours(context: Context, allocator: Allocator) -> NeighboursService:
    """Tells neighbours where pool addresses are."""
    answers = Answers(lambda address: allocator.fresh.is_live(address, now=monotonic()))
    looked, worker = partial(looked_at_neighbours, context.health), WorkerThread(context.reactor, "realmgw-neighbours")
    return NeighboursService(context.settings, answers, worker, looked, context.reactor)


def _alerts(context: Context, allocator: Allocator, conntrack: Conntrack, datapath: DatapathService) -> AlertsService:
    """Takes alerts: conntrack knows whose flows they are of, and the allocation who has asked for their clients."""
    openers, running, group_of = Openers(allocator), context.running, partial(group_number, key="alerts.group")
    host_at = running.registry.host_at
    known = Known(conntrack.find, conntrack.end, openers.of, openers.watch, host_at, lambda: running.around)
    clocks, tell = Clocks(context.reactor, monotonic, time), context.telling("alerts")
    return AlertsService(context.settings, known, datapath, clocks, context.elsewhere, tell, group_of)


def _portal(context: Context) -> PortalService:
    """Shows guests why they get no further."""
    return PortalService(context.settings, context.running.registry.host_at, context.reactor, context.elsewhere)


def _dashboard(context: Context) -> DashboardService:
    """Shows operators what goes on."""
    return DashboardService(context.settings, context.reactor, context.elsewhere, monotonic, time)
