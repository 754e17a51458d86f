"""Starts Python programs where an interpreter takes ten seconds to import what they need: on an emulated processor.

A process that has imported all of it, the fork server, is forked for each program instead. What runs then is the same,
with the same arguments, environment, files and namespace; it is spared the imports. `subprocess` waits for it as for
any other: it is made an orphan, and orphans come to us (PR_SET_CHILD_SUBREAPER).

::

    import twisted.scripts.twistd  # and whatever else they need, but no reactor

    fork_server = ForkServer()  # before any thread is started
    process = fork_server.start(
        [sys.executable, "-m", "testbed.realm.host", "192.168.0.100"], stdin=..., stdout=..., stderr=...
    )
"""

from __future__ import annotations

import ctypes
import json
import os
import runpy
import socket
import subprocess
import sys
import traceback
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from testbed.realm import links

PR_SET_CHILD_SUBREAPER = 36
"""prctl(2): orphans among our descendants become our children."""
SIZE = 1 << 16  # octets
"""The longest order; it has the environment in it."""


class ForkServer:
    """A process that has imported what we have, and forks for each order. It ends with us."""

    def __init__(self) -> None:
        """Forks it; there must be no reactor and no thread yet."""
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        if os.fork() == 0:
            ours.close()
            _grow(its)
        its.close()
        self._orders = ours

    def start(self, argv: Sequence[str], **popen: Any) -> subprocess.Popen[bytes]:
        """Starts a Python program in the network namespace of the calling thread, in a session of its own.

        Args:
            argv: The interpreter, which is not looked at; then a script, or `-m` and a module, or `-c` and code; then
                arguments.
            popen: Of what `subprocess.Popen` takes, `stdin`, `stdout` and `stderr`, all of them, and `env`.
        """
        return _Forked(self, argv, **popen)

    def fork(self, argv: Sequence[str], env: Mapping[str, str], files: Sequence[int]) -> int:
        """Gives an order.

        Args:
            argv: See `start`.
            env: The whole environment.
            files: Standard input, output and error.

        Returns:
            The process ID of a child of ours.
        """
        order = json.dumps([list(argv), os.getcwd(), dict(env)]).encode()
        namespace = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            socket.send_fds(self._orders, [order], [namespace, *files])
        finally:
            os.close(namespace)
        return int(self._orders.recv(SIZE))


class _Forked(subprocess.Popen[bytes]):
    """A `Popen` whose child comes from the fork server."""

    def __init__(self, fork_server: ForkServer, argv: Sequence[str], **popen: Any) -> None:
        self._fork_server = fork_server
        self._env = popen["env"]
        super().__init__(list(argv), **popen)

    def _execute_child(self, argv: Sequence[str], *rest: Any) -> None:
        """What `Popen` calls to make a process (a private method, the same in Python 3.9 to 3.13)."""
        ends = rest[9:15]
        self.pid = self._fork_server.fork(argv, self._env, (ends[0], ends[3], ends[5]))
        self._child_created = True
        self._close_pipe_fds(*ends)  # type: ignore[attr-defined]  # private, likewise


def _grow(orders: socket.socket) -> NoReturn:
    """The fork server: forks for each order, until there is nobody left to give one."""
    while True:
        order, files, _, _ = socket.recv_fds(orders, SIZE, 4)
        if not order:
            os._exit(0)
        orders.send(b"%d" % _fork_twice(order, files))
        for file in files:
            os.close(file)


def _fork_twice(order: bytes, files: Sequence[int]) -> int:
    """The process ID of a grandchild; it is an orphan, and has been taken in, by the time that this returns."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        grandchild = os.fork()
        if grandchild == 0:
            argv, folder, env = json.loads(order)
            _run(argv, folder, env, files)
        os.write(writing, b"%d" % grandchild)
        os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading, "rb") as told:
        return int(told.read(32))


def _run(argv: Sequence[str], folder: str, env: Mapping[str, str], files: Sequence[int]) -> NoReturn:
    """Becomes the program, and ends as it would."""
    status = 1
    try:
        links.enter(files[0])
        os.setsid()
        for number, file in enumerate(files[1:]):
            os.dup2(file, number)
        os.closerange(3, 1 << 10)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(env)
        _execute(argv)
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - as an interpreter does
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _execute(argv: Sequence[str]) -> None:
    """Runs what the arguments of an interpreter say."""
    if argv[1] == "-m":
        sys.argv = list(argv[2:])
        warnings.simplefilter("ignore", RuntimeWarning)  # that the module was imported before
        runpy.run_module(argv[2], run_name="__main__", alter_sys=True)
    elif argv[1] == "-c":
        sys.argv = ["-c", *argv[3:]]
        exec(argv[2], {"__name__": "__main__"})
    else:
        sys.argv = list(argv[1:])
        runpy.run_path(argv[1], run_name="__main__")
