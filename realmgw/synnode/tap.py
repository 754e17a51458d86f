"""`twistd realmgw-synproxy`: the node's parts are made here. Edge: the reactor, threads, TLS."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from twisted.application.service import IService, Service
from twisted.internet.defer import succeed
from twisted.internet.ssl import CertificateOptions
from twisted.internet.threads import deferToThreadPool
from twisted.python.usage import Options as UsageOptions

from realmgw.daemon.ordered import OrderedService
from realmgw.daemon.service import EarlySignals, ProcessService, refusing, take_pid_file
from realmgw.datapath.instance import InstanceLock
from realmgw.datapath.place import Place
from realmgw.datapath.watch.port import KernelListener
from realmgw.errors import RealmGatewayError
from realmgw.log.port import Log
from realmgw.log.service import LogService
from realmgw.metrics.others import NODE
from realmgw.metrics.service import MetricsService
from realmgw.synnode.control import ControlService, Questions
from realmgw.synnode.entries import Entries
from realmgw.synnode.files import load
from realmgw.synnode.insight import Figures, Insight
from realmgw.synnode.kernel import NodeKernel
from realmgw.synnode.server import ControlServer
from realmgw.synnode.service import PortsService, TableService
from realmgw.synnode.settings import DEFAULT_CONFIG, TENANT, NodeSettings
from realmgw.system.port import Sockets
from realmgw.system.reactor import the_reactor
from realmgw.system.tls import tls_options
from realmgw.system.worker import WorkerThread


class Options(UsageOptions):
    """Command line of `twistd realmgw-synproxy`."""

    synopsis = "[--config FILE] [--purge]"
    # The names are Twisted's.
    optParameters = (("config", "c", DEFAULT_CONFIG, "The main configuration file."),)  # noqa: N815
    optFlags = (  # noqa: N815
        ("purge", None, "On stop, remove everything of ours from the kernel: SYNs reach the gateways again."),
    )

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted does not say
        self.log = Log()

    def postOptions(self) -> None:
        """See `take_pid_file` and `EarlySignals`; the log goes where twistd is told."""
        EarlySignals().take(self)
        take_pid_file(self)
        self.log = Log(self.parent)


@refusing("the SYN proxy node")
def make_service(options: Options) -> IService:
    """Make the node of a configuration file.

    Args:
        options: The parsed command line.

    Returns:
        All services in their order; nothing is started, bound or changed yet.

    Raises:
        SystemExit: The main file can not be used, or a certificate; the message has every problem.
    """
    settings = load(Path(options["config"]))
    options.log.configure(settings.logging)
    tls = None if settings.tls is None else tls_options(settings.tls.certificate_file, settings.tls.key_file)
    return compose(settings, options, tls)


def compose(settings: NodeSettings, options: Options, tls: CertificateOptions | None = None) -> OrderedService:
    """Put the node together: who listens starts last, and stops first."""
    reactor, entries = the_reactor(), Entries(settings.entries, settings.guards)
    kernel, process = NodeKernel(settings), ProcessService("the SYN proxy node", options, reactor)
    thread, listener = WorkerThread(reactor, "realmgw-synproxy-kernel"), KernelListener(reactor)
    table = TableService(
        kernel, entries, clock=reactor, worker=thread, listener=listener, purging=bool(options["purge"])
    )
    sockets = Sockets(reactor, "the control protocol", certificate=tls)
    server = ControlServer(entries, table.changed, settings.may_connect, settings.connections, reactor)
    insight = Insight(settings, entries, table, server, options.log.counts)
    ask = partial(_asked, kernel, reactor)

    def serves() -> None:
        table.settle()
        process.serves()

    node = OrderedService(serves, process.fail)
    node.log = options.log
    parts: tuple[Service, ...] = (
        process,
        LogService(options.log, lambda: succeed(None), reactor),
        InstanceLock(Place(settings.table, TENANT)),
        ControlService(settings.control, _questions(insight, ask), reactor),
        table,
        PortsService(settings.listen, sockets, server),
        MetricsService.of(settings.metrics, NODE, lambda: ask(insight.metrics), reactor),
    )
    for part in parts:
        part.setServiceParent(node)  # type: ignore[no-untyped-call]  # Twisted does not say
    return node


def _asked(kernel: NodeKernel, reactor: Any, then: Callable[[Figures], object]) -> Any:
    """Whatever is made of what the kernel has counted, which is asked in a thread that nobody else waits for."""

    def figures() -> Figures:
        try:
            return kernel.figures()
        except RealmGatewayError:
            return {}  # what stands against it is among what is broken

    return deferToThreadPool(reactor, reactor.getThreadPool(), figures).addCallback(then)


def _questions(insight: Insight, ask: Callable[[Callable[[Figures], object]], Any]) -> Questions:
    """What operators can ask for."""
    return {
        "status": lambda: ask(insight.status),
        "counters": lambda: ask(insight.counters),
        "entries": insight.entries,
    }


makeService = make_service  # noqa: N816 - what twistd looks for
