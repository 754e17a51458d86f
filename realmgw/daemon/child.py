"""A process beside the gateway, as this has it: begun, told, listened to, ended.

It is the same interpreter with the same packages, and nothing that the environment or the folder says. It is told news
(`realmgw.daemon.frames`) by its standard input, and reports by its standard output, in JSON, a line each.

Edge: processes, the reactor.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

FAREWELL = 5.0  # seconds
"""How long it may take to end what it has begun."""
DEATH = 1.0  # seconds
"""How long it may take to die, once it was killed."""
MOST_UNREAD = 1 << 26  # octets
"""So much may wait here until it listens again."""
MOST_SAID = 4000  # octets
"""So much is kept of what it says when something is wrong with it."""
LONGEST = 1 << 20  # octets
"""Of a report: of the recorder's, with a hundred groups of long names. What is longer is let go."""
_CODE = "import sys; sys.path[:] = {path!r}; from {module} import main; main()"


class Child(ProcessProtocol):
    """One, as long as it runs.

    Args:
        what: What people call it.
        module: Whose `main` it runs.
        reactor: Twisted's.
        report: Told of each report.
        ended: Called once, when it does not run any more, with why, in a line.

    Attributes:
        pid: Its process id.
        has_room: Whether it listens; else what it is told waits here.
    """

    def __init__(
        self,
        what: str,
        module: str,
        reactor: Any,
        report: Callable[[dict[str, Any]], object],
        ended: Callable[[Child, str], object],
    ) -> None:
        self._what, self._module = what, module
        self._reactor = reactor
        self._report = report
        self._ended = ended
        self._said, self._begun, self._is_cut = b"", bytearray(), False
        self._gone: Deferred[None] | None = None
        self._is_over = False
        self._kill: Any = None
        self.pid, self.has_room, self._unread = 0, True, 0

    def begin(self, first: bytes, given: Mapping[int, int]) -> None:
        """Start it, and tell it what to do; raises `OSError` if that is refused.

        Args:
            first: That.
            given: Files that it has as well: ours, by the numbers that they have there.
        """
        files = {0: "w", 1: "r", 2: "r", **given}
        command = [sys.executable, "-I", "-c", _CODE.format(path=sys.path, module=self._module)]
        self.pid = self._reactor.spawnProcess(self, command[0], command, env={}, childFDs=files).pid
        self._transport.registerProducer(self, streaming=True)
        self.tell(first)

    def tell(self, news: bytes) -> None:
        """Tell it something; where it has not listened for too long, it is ended."""
        if self._is_over:
            return
        self._transport.write(news)
        if not self.has_room:
            self._unread += len(news)
            if self._unread > MOST_UNREAD:
                self.kill()

    def kill(self) -> None:
        """End it at once; nothing where that was begun."""
        if not self._is_over and self._kill is None:
            self._signal()

    def end(self) -> Deferred[None]:
        """Have it end when it has done what it has begun; fires when it does not run any more.

        One that waits for a disk which does not answer can not even be killed: it is waited for no longer.
        """
        if self._is_over:
            return succeed(None)
        if self._gone is None:
            self._gone = Deferred()
            self._transport.unregisterProducer()
            self._transport.closeStdin()
            self._kill = self._reactor.callLater(FAREWELL, self._signal)
        return self._gone

    @property
    def _transport(self) -> Any:
        return self.transport

    def _signal(self) -> None:
        if self._transport.pid:
            self._transport.signalProcess("KILL")
        self._kill = self._reactor.callLater(DEATH, self._is_gone)

    def _is_gone(self) -> None:
        if self._gone is not None and not self._gone.called:
            self._gone.callback(None)

    # Where it does not read, what it is told is kept back

    def pauseProducing(self) -> None:
        """See `IPushProducer`."""
        self.has_room = False

    def resumeProducing(self) -> None:
        """See `IPushProducer`."""
        self.has_room, self._unread = True, 0

    def stopProducing(self) -> None:
        """See `IPushProducer`."""
        self.has_room = False

    # What it says

    def outReceived(self, data: bytes) -> None:
        """Reports, a line each; of those that come at once, the last one. What is none is let go."""
        self._begun += data
        *lines, begun = self._begun.rsplit(b"\n", 2)
        if lines:
            is_whole = len(lines) > 1 or not self._is_cut
            self._begun, self._is_cut = begun, False
            report = None
            with suppress(ValueError):
                report = json.loads(lines[-1]) if is_whole else None
            if report is not None:
                self._report(report)
        if len(self._begun) > LONGEST:
            self._begun, self._is_cut = bytearray(), True

    def errReceived(self, data: bytes) -> None:
        """What is wrong with it, the last of that."""
        self._said = (self._said + data)[-MOST_SAID:]

    def processEnded(self, reason: Failure) -> None:
        """It does not run any more."""
        self._is_over, self.has_room = True, False
        if self._kill is not None and self._kill.active():
            self._kill.cancel()
        how: Any = reason.value
        by = f"by signal {how.signal}" if how.signal else f"with status {how.exitCode}"
        last = self._said.decode(errors="replace").strip().rpartition("\n")[2]
        self._ended(self, f"{self._what} has ended {by}" + (f": {last}" if last else ""))
        self._is_gone()
