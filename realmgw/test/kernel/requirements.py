"""What kernel tests need, by name: the reason to skip when it is missing."""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Callable
from pathlib import Path

import attrs

from realmgw.config.settings import Datapath, Dnat, Interfaces, Offload, Pools, Settings
from realmgw.datapath.apply import Kernel
from realmgw.datapath.machine import capabilities
from realmgw.errors import PlatformError
from realmgw.test import programs

SETTINGS = Settings(name="probe.", zones=(), interfaces=Interfaces("wan0", ("lan0",)), pools=Pools(()))
"""What is tried does not depend on them."""
CLONE_NEWNET = 0x40000000
"""For unshare(2): a network namespace."""


def missing_for_testbed() -> str | None:
    """What is missing to build a testbed, or None (trial takes any text, even an empty one, for a reason to skip)."""
    if os.geteuid() != 0:
        return "needs root (network namespaces)"
    return programs.missing_modules("pyroute2", "testbed") or _missing_namespaces()


def _missing_namespaces() -> str | None:
    """Tries, in a child process, whether we may make a network namespace."""
    child = os.fork()
    if child == 0:
        os._exit(0 if ctypes.CDLL(None).unshare(CLONE_NEWNET) == 0 else 1)
    refused = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return "needs CAP_SYS_ADMIN and CAP_NET_ADMIN (network namespaces)" if refused else None


def missing_ipv6() -> str | None:
    """Why nothing can be done with IPv6, or None."""
    return None if Path("/proc/sys/net/ipv6").exists() else "this kernel has no IPv6"


@functools.cache
def missing_for_dnat(dnat: Dnat) -> str | None:
    """What is missing to translate in that way in a testbed, or None."""
    missing = missing_for_testbed()
    if missing is not None:
        return missing
    asked = attrs.evolve(SETTINGS, datapath=Datapath(dnat=dnat))
    problem = _first_told(lambda: _problems(asked))
    return problem and f"not on this kernel: {problem}"


@functools.cache
def missing_for_flowtables() -> str | None:
    """Why established flows can not be carried by a flowtable here, or None."""
    missing = missing_for_testbed()
    if missing is None and not _flowtables():
        missing = f"not on this kernel: nftables: {capabilities.FLOWTABLE.name} are missing"
    return missing


def has_flowtables() -> str | None:
    """Why nothing can be done without flowtables here, or None."""
    return "not on this kernel: it has flowtables" if missing_for_flowtables() is None else None


@functools.cache
def _flowtables() -> bool:
    kernel = Kernel(attrs.evolve(SETTINGS, datapath=Datapath(offload=Offload.SOFTWARE)))
    try:
        return kernel.probe().flowtables
    finally:
        kernel.close()


@functools.cache
def missing_for_gateway() -> str | None:
    """What is missing to run a gateway in a testbed, or None."""
    missing = missing_for_testbed()
    if missing is not None:
        return missing
    return programs.missing_modules("dns", "netfilterqueue") or _missing_of_kernel()


def _missing_of_kernel() -> str | None:
    """The first thing that the gateway itself finds missing."""
    return _first_told(lambda: _problems(SETTINGS))


def _first_told(problems: Callable[[], tuple[str, ...]]) -> str | None:
    """The first of the problems that are found in a namespace of its own."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            ctypes.CDLL(None).unshare(CLONE_NEWNET)
            os.write(writing, "\n".join(problems()).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as told:
        first = told.readline().strip()
    os.waitpid(child, 0)
    return first or None


def _problems(settings: Settings) -> tuple[str, ...]:
    """What the gateway finds missing in the namespace that we are in."""
    try:
        return capabilities.problems(Kernel(settings).probe(), ports=(53,), dnat=settings.datapath.dnat)
    except PlatformError as error:
        return (str(error),)
