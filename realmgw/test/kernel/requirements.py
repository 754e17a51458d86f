"""What kernel tests need, by name: the reason to skip when it is missing."""

from __future__ import annotations

import ctypes
import importlib.util
import os

CLONE_NEWNET = 0x40000000
"""For unshare(2): a network namespace."""


def missing_for_testbed() -> str | None:
    """What is missing to build a testbed, or None (trial takes any text, even an empty one, for a reason to skip)."""
    if os.geteuid() != 0:
        return "needs root (network namespaces)"
    for module in ("pyroute2", "testbed"):
        if importlib.util.find_spec(module) is None:
            return f"needs the Python package {module}" + (" (run from a checkout)" if module == "testbed" else "")
    return _missing_namespaces()


def _missing_namespaces() -> str | None:
    """Tries, in a child process, whether we may make a network namespace."""
    child = os.fork()
    if child == 0:
        os._exit(0 if ctypes.CDLL(None).unshare(CLONE_NEWNET) == 0 else 1)
    refused = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return "needs CAP_SYS_ADMIN and CAP_NET_ADMIN (network namespaces)" if refused else None
