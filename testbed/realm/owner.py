"""Whose a testbed is: what was left over of one whose builder is gone is removed, that of a living one is left alone.

The folder of a testbed says which processes have it, the builder and its reaper, each with when it was started: ids are
used again. A testbed that is kept has no such file, and belongs to whoever takes it down.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from testbed.realm import reaper

FILE = "builder"
"""It, in the folder."""
PATIENCE = 10.0  # seconds
"""How long a reaper is waited for that is at work."""


@contextlib.contextmanager
def vacated(folder: Path, namespaces: Sequence[str]) -> Iterator[str]:
    """Removes what was left over, with all processes in it; one line on the standard error output tells of it.

    While this lasts, nobody else does so, or takes a folder beside this one: it is the time to take this one.

    Args:
        folder: The testbed's.
        namespaces: The names of its namespaces.

    Yields:
        Why somebody still has it, and then nothing was touched; empty: nothing is there any more.
    """
    lock = os.open(folder.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield _refused(folder, namespaces)
    finally:
        os.close(lock)


def take(folder: Path, processes: Iterable[int]) -> None:
    """Makes a folder, which belongs to these processes, the builder first."""
    folder.mkdir(mode=0o700)
    (folder / FILE).write_text("".join(f"{pid} {_started(pid)}\n" for pid in processes))


def keep(folder: Path) -> None:
    """From now on, it belongs to none."""
    (folder / FILE).unlink()


def _refused(folder: Path, namespaces: Sequence[str]) -> str:
    """See `vacated`."""
    owners = _owners(folder)
    if owners and _is_alive(owners[0]):
        return f"process {owners[0][0]} has the testbed {folder} and runs: end it first, or use another prefix"
    deadline = time.monotonic() + PATIENCE
    while any(map(_is_alive, owners)):
        if time.monotonic() > deadline:
            return f"process {owners[-1][0]} is still about to remove the testbed {folder}: end it, or wait"
        time.sleep(0.01)
    there = [name for name in namespaces if (reaper.NAMESPACES / name).exists()]
    if there and not owners:
        return (
            f"the network namespace {there[0]} is there already: another testbed runs,"
            " and ./testbed/demo --down removes it"
        )
    if owners and (there or folder.exists()):
        print(f"removed what process {owners[0][0]}, which is gone, has left of {folder}", file=sys.stderr)
    resolvers = [str(reaper.RESOLVERS / name) for name in namespaces] if owners else []
    reaper.reap(there, [str(folder), *resolvers])
    return ""


def _owners(folder: Path) -> list[tuple[int, int]]:
    """The processes that a folder belongs to, each with when it was started; none if nothing says so."""
    try:
        lines = (folder / FILE).read_text().splitlines()
    except OSError:
        return []
    return [(int(pid), int(start)) for pid, start in map(str.split, lines)]


def _is_alive(process: tuple[int, int]) -> bool:
    pid, start = process
    return _started(pid) == start


def _started(pid: int) -> int:
    """When a process was started, in ticks since the machine was; 0: it is gone, or has ended (proc_pid_stat(5))."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if state in "ZX" else int(fields[18])
