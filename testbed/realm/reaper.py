"""Takes a testbed down when its builder is gone, even if that was killed by SIGKILL.

The builder starts this file as a process of its own, outside of its process group, and says on a pipe what there is to
take down: one line for each thing, *before* it makes it. At the end of the pipe, or when the builder is gone although
somebody else holds the pipe open, the reaper ends every process in the namespaces, removes the namespaces and then the
paths.

    namespace NAME      there will be a namespace of that name
    path PATH           there will be a file or folder of that name
    forget NAME         it was not us who made it: leave it alone
    keep                leave everything as it is, and end

It uses the standard library only, and imports nothing of the project: it must be up in a few milliseconds.
"""

from __future__ import annotations

import ctypes
import os
import re
import select
import shutil
import signal
import sys
import time
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

NAMESPACES = Path("/run/netns")
"""Where named network namespaces are, for us as for `ip netns`."""
RESOLVERS = Path("/etc/netns")
"""Where `ip netns exec` looks for a namespace's own resolv.conf; a folder for each namespace."""
MNT_DETACH = 2
"""umount2(2): the name goes at once, the namespace with its last user."""
PATIENCE = 1.5  # seconds
"""How long processes that were sent SIGKILL are waited for."""


def reap(namespaces: Iterable[str], paths: Iterable[str] = (), spare: Collection[int] = ()) -> None:
    """Ends all processes in the namespaces, then removes the namespaces and the paths; what does not exist is no error.

    Args:
        namespaces: Names of network namespaces.
        paths: Files and folders, removed with all that is in them.
        spare: Processes that are left alone wherever they are.
    """
    names = [name for name in namespaces if (NAMESPACES / name).exists()]
    end_processes({_identity(NAMESPACES / name) for name in names}, {os.getpid(), *spare})
    for name in names:
        remove_namespace(name)
    for path in map(Path, paths):
        _remove(path)
        if path.parent == RESOLVERS and RESOLVERS.is_dir() and not any(RESOLVERS.iterdir()):
            RESOLVERS.rmdir()


def remove_namespace(name: str) -> None:
    """Removes the name; the namespace itself and its interfaces go when its last process has gone.

    Args:
        name: Name of an existing network namespace.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.umount2(
        os.fsencode(NAMESPACES / name), MNT_DETACH
    )  # fails for a name that was never mounted: unlink is enough
    (NAMESPACES / name).unlink(missing_ok=True)


def end_processes(identities: Collection[tuple[int, int]], spare: Collection[int]) -> None:
    """Sends SIGKILL to every process in the namespaces until there is none, for at most `PATIENCE` seconds.

    Args:
        identities: Device and inode of each namespace.
        spare: Processes that are left alone.
    """
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        inhabitants = [pid for pid in processes(identities) if pid not in spare]
        for pid in inhabitants:
            _kill(pid, identities)
        if not inhabitants:
            return
        time.sleep(0.01)


def processes(identities: Collection[tuple[int, int]]) -> Iterator[int]:
    """The ids of the processes whose main thread is in one of the namespaces.

    Args:
        identities: Device and inode of each namespace.
    """
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and _namespace_of(int(entry.name)) in identities:
            yield int(entry.name)


def _remove(path: Path) -> None:
    """Removes a folder with all that is in it, or a file; what can not be removed stays.

    What is mounted there is unmounted at once, whoever uses it: a file system whose process is gone answers nobody.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    for mounted in _mounts(path):
        libc.umount2(os.fsencode(mounted), MNT_DETACH)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _mounts(path: Path) -> list[Path]:
    """Where something is mounted at or below a path, the last that was mounted first (proc_pid_mountinfo(5))."""
    fields = (line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines())
    places = [Path(re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), field)) for field in fields]
    return [each for each in reversed(places) if each.is_relative_to(path)]


def _kill(pid: int, identities: Collection[tuple[int, int]]) -> None:
    """Kills a process, unless its id has passed to one outside of the namespaces in the meantime."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if _namespace_of(pid) in identities:
            signal.pidfd_send_signal(process, signal.SIGKILL)
    except ProcessLookupError:
        pass  # it went by itself
    finally:
        os.close(process)


def _namespace_of(pid: int) -> tuple[int, int] | None:
    """Identity of a process's network namespace, None when it is gone (a zombie has none either)."""
    try:
        return _identity(Path(f"/proc/{pid}/ns/net"))
    except OSError:
        return None


def _identity(path: Path) -> tuple[int, int]:
    """Device and inode, which tell namespaces apart."""
    status = path.stat()
    return status.st_dev, status.st_ino


def _watch(builder: int) -> list[str]:
    """Reads what the builder says until its end. Returns the lines; a last one without newline was never finished."""
    try:
        watched = os.pidfd_open(builder)
    except ProcessLookupError:
        watched = -1  # it has gone already: all it said is in the pipe
    received = b""
    while True:
        ready, _, _ = select.select([0] if watched < 0 else [0, watched], [], [])
        chunk = os.read(0, 65536) if 0 in ready else b""
        if not chunk:
            return received.decode().split("\n")[:-1]
        received += chunk


def _main(builder: int) -> None:
    """Waits for the builder's end and does what is to be done then."""
    namespaces: dict[str, None] = {}
    paths: dict[str, None] = {}
    for line in _watch(builder):
        order, _, name = line.partition(" ")
        if order == "keep":
            return
        if order == "namespace":
            namespaces[name] = None
        elif order == "path":
            paths[name] = None
        elif order == "forget":
            namespaces.pop(name, None)
            paths.pop(name, None)
    reap(namespaces, paths, {builder})


if __name__ == "__main__":
    if not "".join(sys.argv[1:]).isdigit():  # by hand, as with --help
        print(__doc__)
        sys.exit()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # only the builder's end is ours
    _main(int(sys.argv[1]))
