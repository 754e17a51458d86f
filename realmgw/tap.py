"""`twistd realmgw`: the composition root. All parts of the gateway are made and handed to each other here."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

from twisted.application.service import IService
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.usage import Options as UsageOptions
from twisted.python.usage import UsageError

from realmgw import __version__, config, subscribers
from realmgw.admission.faults import Faults
from realmgw.admission.gate import Gate
from realmgw.admission.service import AdmissionService, log_fault
from realmgw.admission.strays import Strays
from realmgw.allocation.allocator import Allocator
from realmgw.allocation.service import AllocationService
from realmgw.config.settings import Settings
from realmgw.control.service import OrderedService
from realmgw.datapath.apply import Kernel
from realmgw.datapath.service import DatapathService, KernelThread
from realmgw.dns.service import DnsService
from realmgw.errors import ConfigurationError, PlatformError
from realmgw.subscribers.model import Directory

GC_THRESHOLDS = 50_000, 20, 100
"""Claims live for seconds: the default of 700 only moves them from generation to generation."""

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


def make_service(options: Options) -> IService:
    """Make the gateway of a configuration file.

    Args:
        options: The parsed command line.

    Returns:
        All services in their order; nothing is started, bound or changed yet.

    Raises:
        UsageError: The main file can not be used; the message has every problem.
    """
    try:
        settings = config.load(Path(options["config"]))
    except ConfigurationError as error:
        raise UsageError(str(error)) from error
    directory, problems = subscribers.load(settings.subscribers, settings.zones)
    for problem in problems:
        _log.warn("subscribers: {problem}", problem=problem)
    return compose(settings, directory, purge=bool(options["purge"]))


def compose(settings: Settings, directory: Directory, *, purge: bool) -> OrderedService:
    """Put the gateway together.

    The order of the services is that of starting: nobody is told an address before the datapath can honour it.
    """
    reactor = _reactor()
    networks = [prefix.network for prefix in settings.pools.circular]
    allocator = Allocator(settings.allocation, networks, now=monotonic())
    thread = KernelThread(reactor)
    datapath = DatapathService(Kernel(settings), directory.hosts.values(), clock=reactor, worker=thread, purging=purge)
    gate = Gate(allocator, Strays(settings.admission, datapath.push_stray), Faults(log_fault))
    gateway = OrderedService(_report(settings, directory), _give_up)
    for part in (
        datapath,
        AdmissionService(settings.admission, gate, reactor, monotonic),
        AllocationService(allocator, reactor, monotonic),
        DnsService(settings, directory, allocator, reactor, monotonic),
    ):
        part.setServiceParent(gateway)  # type: ignore[no-untyped-call]  # Twisted does not say
    return gateway


def _reactor() -> Any:
    """The reactor that twistd has installed; importing it any sooner would install the default one."""
    from twisted.internet import reactor  # noqa: PLC0415 - see above

    return reactor


def _report(settings: Settings, directory: Directory) -> Callable[[], None]:
    def report() -> None:
        # What was loaded stays for good: the collector need not walk through it again and again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        _log.info(
            "realmgw {version} serves {name}: {hosts} hosts, {services} services",
            version=__version__,
            name=settings.name,
            hosts=len(directory.hosts),
            services=len(directory.services),
        )

    return report


def _give_up(failure: Failure) -> None:
    """Say in one line why the gateway can not run, and end the process with status 1."""
    if isinstance(failure.value, (PlatformError, ConfigurationError)):
        _log.critical("realmgw can not start: {reason}", reason=failure.getErrorMessage())
    else:
        _log.failure("realmgw can not start", failure)
    atexit.register(_exit_failed)
    reactor = _reactor()
    reactor.callWhenRunning(reactor.stop)


def _exit_failed() -> None:
    """End with status 1: twistd itself knows none but 0 once the reactor has run."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)


makeService = make_service  # noqa: N816 - what twistd looks for
