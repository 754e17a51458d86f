"""The process that `twistd` makes: it says whether it could start, and ends with a status that means something.

`twistd` knows failures only until its reactor runs. Ours come later, too: the kernel may refuse. So the process that
waits in the foreground (without `--nodaemon`) is told when all services run, or that they do not. Once they were begun,
the status is 1 until they have stopped in order, and whatever ends the reactor ends the process.

Edge: the process, signals.
"""

# mypy: disable-error-code="no-untyped-call"
# (Twisted's services and options have no types.)

from __future__ import annotations

import atexit
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from twisted.application.service import Service
from twisted.internet.error import ReactorNotRunning
from twisted.logger import ILogObserver, LogEvent, Logger, globalLogPublisher
from twisted.python.failure import Failure
from twisted.python.usage import Options
from zope.interface import implementer

from realmgw.daemon.manager import Look, Manager
from realmgw.errors import RealmGatewayError
from realmgw.system.disk import read
from realmgw.system.worker import DaemonThread

RESERVE = 1 << 20  # octets
"""Given back when there is no memory left, so that it can be said."""
TELLING = 98  # octets
"""So much of a refusal reaches the process that waits in the foreground; the log has all of it."""
PID_FILE = "twistd.pid"
"""Where twistd writes a process id when it is not told where."""


_P = ParamSpec("_P")
_T = TypeVar("_T")


def take_pid_file(options: Options) -> None:
    """No file with a process id, unless the command line names one; and that counts only if it names somebody else.

    twistd's own would be in whatever folder it was started in, so that a second service started there is refused. And
    in a container that was killed, the number in it is that of who finds it. Each of our services has its own lock.

    Args:
        options: Those of the plugin, when they were parsed.
    """
    outer = getattr(options, "parent", None)
    if outer is None:
        return
    if outer["pidfile"] == PID_FILE:
        outer["pidfile"] = ""
    with suppress(OSError, ValueError):
        if outer["pidfile"] and int(read(Path(outer["pidfile"]), TELLING)) == os.getpid():
            Path(outer["pidfile"]).unlink()


class EarlySignals:
    """Signals that come before a service minds them, or when it does so no more: they are not the end of the process.

    Attributes:
        reload: SIGHUP has come: what was read by then may not be all that counts.
    """

    def __init__(self) -> None:
        self.reload = False

    def take(self, options: Options) -> None:
        """From now on, if twistd has parsed the options; SIGTERM ends us with 0 until the reactor minds it."""
        if getattr(options, "parent", None) is None:
            return
        signal.signal(signal.SIGHUP, self._hung_up)
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, self._ended)

    def _hung_up(self, _number: int, _frame: object) -> None:
        self.reload = True

    def _ended(self, _number: int, _frame: object) -> None:
        raise SystemExit(0)


def refusing(name: str) -> Callable[[Callable[_P, _T]], Callable[_P, _T]]:
    """Makes what makes a service end the process with status 1 and lines, no traceback, when it is refused.

    Args:
        name: Of the service, for the lines.
    """

    def decorate(make: Callable[_P, _T]) -> Callable[_P, _T]:
        @wraps(make)
        def made(*args: _P.args, **kwargs: _P.kwargs) -> _T:
            try:
                return make(*args, **kwargs)
            except RealmGatewayError as error:
                lines = (f"{name} can not start: {line}" for line in str(error).splitlines())
                raise SystemExit("\n".join(lines)) from None

        return made

    return decorate


@implementer(ILogObserver)
class _MemoryObserver:
    """Whatever part runs out of memory: Twisted logs it and goes on, with that part half done."""

    def __init__(self, give_up: Callable[[str], object]) -> None:
        self._give_up = give_up

    def __call__(self, event: LogEvent) -> None:
        failure = event.get("log_failure")
        if failure is not None and failure.check(MemoryError):
            self._give_up("there is no memory left")


class ProcessService(Service):
    """The process; the first service of all, and the last that stops.

    Args:
        name: What it is, for messages.
        options: Those of the plugin.
        reactor: Runs it.

    Attributes:
        look: By what the service manager is told that all is well, see `realmgw.daemon.manager.Manager`; None: by that
            the reactor turns. To be set before the start.
    """

    name = "process"
    look: Look | None = None

    def __init__(self, name: str, options: Options, reactor: Any) -> None:
        self._called = name
        self._options = options
        self._reactor = reactor
        self._log = Logger()
        self._waiting: int | None = None
        self._status = 1
        self._failed = False
        self._reserve: bytearray | None = None
        self._manager = Manager({}, reactor)

    def startService(self) -> None:
        """From here on the process ends by what becomes of its services."""
        super().startService()
        self._manager = Manager(os.environ, self._reactor, self.look)
        self._waiting = getattr(self._options, "parent", {}).pop("statusPipe", None)
        self._reserve = bytearray(RESERVE)
        pool = self._reactor.getThreadPool()
        pool.threadFactory = DaemonThread  # see `_end`
        pool.adjustPoolsize(1, pool.max)  # one is had while there is memory for it
        self._reactor.callWhenRunning(self._take_signals)
        self._reactor.addSystemEventTrigger("before", "shutdown", self._manager.stops)
        self._reactor.addSystemEventTrigger("after", "shutdown", self._stopped)
        globalLogPublisher.addObserver(_MemoryObserver(self.give_up))
        atexit.register(self._end)

    def serves(self) -> None:
        """All services run."""
        self._tell(b"0")
        self._manager.serves()

    def fail(self, failure: Failure) -> None:
        """A service can not start: say why, and end with status 1."""
        lines = failure.getErrorMessage().splitlines()
        if isinstance(failure.value, RealmGatewayError):
            for line in lines:
                self._log.critical("{name} can not start: {line}", name=self._called, line=line)
        else:
            self._log.failure("{name} can not start", failure, name=self._called)
        self._failed = True
        self._manager.refused("; ".join(lines))
        self._tell(b"1 " + "; ".join(lines).encode("ascii", "replace")[:TELLING])
        self._reactor.callWhenRunning(self._stop)

    def give_up(self, why: str) -> None:
        """End at once, with a line and status 1, as if killed: whoever starts us again finds all as it was kept."""
        self._reserve = None
        try:
            self._log.critical("{name} can not go on: {why}", name=self._called, why=why)
        finally:
            self._leave(1)

    def _tell(self, word: bytes) -> None:
        """Tell the process that waits in the foreground, once."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            os.write(waiting, word)
            os.close(waiting)

    def _take_signals(self) -> None:
        """The reactor's own way ends the process by the signal that it got, as if nobody had minded it."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._signalled)

    def _signalled(self, number: int, _frame: object) -> None:
        self._reactor.callFromThread(self._log.info, "{signal}: stopping", signal=signal.Signals(number).name)
        self._reactor.callFromThread(self._stop)

    def _stop(self) -> None:
        with suppress(ReactorNotRunning):  # it was stopped already
            self._reactor.stop()

    def _stopped(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):  # the interpreter gives them up before its end
            signal.signal(number, signal.SIG_IGN)
        self._status = 1 if self._failed else 0

    def _end(self) -> None:
        """Twistd itself ends with 0 once its reactor has run, however that came to its end."""
        if not self._status:
            return
        if self._failed:
            self._leave(self._status)
        self.give_up("nothing runs its services any more")  # there was no memory to say so, for example

    def _leave(self, status: int) -> None:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(status)
