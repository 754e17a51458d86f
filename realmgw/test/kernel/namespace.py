"""A network namespace for the length of a test.

The test's own thread moves into a fresh namespace that has no name: nothing has to be cleaned up, and nothing can be
left behind. Sockets stay in the namespace that they were opened in, and child processes begin in their parent's.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from realmgw.test.kernel.requirements import CLONE_NEWNET


@contextmanager
def fresh_namespace() -> Iterator[None]:
    """Works in a new network namespace, with its loopback interface up.

    Raises:
        OSError: The kernel refuses.
    """
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _checked(ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET))
        try:
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True, stdin=subprocess.DEVNULL)
            yield
        finally:
            enter(home)
    finally:
        os.close(home)


def enter(namespace: int) -> None:
    """Moves this thread into a network namespace, by a file descriptor of it.

    Raises:
        OSError: The kernel refuses.
    """
    _checked(ctypes.CDLL(None, use_errno=True).setns(namespace, CLONE_NEWNET))


def _checked(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
