"""The admission as a service of the gateway. Edge: the reactor."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable
from typing import Any

from twisted.application.service import Service
from twisted.internet.interfaces import IReactorFDSet
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from realmgw.admission.client import KernelPacketQueue, PacketQueue
from realmgw.admission.conntrack import Conntrack
from realmgw.admission.gate import Gate
from realmgw.admission.port import EndedFlows, QueuePort
from realmgw.admission.twice import Twice
from realmgw.allocation.allocator import Allocator
from realmgw.allocation.claims.ended import UNNOTED
from realmgw.config import settings
from realmgw.datapath.netlink.destroyed import Flow
from realmgw.errors import PlatformError

LOOK = 10.0  # seconds
"""How often it is looked whether conntrack tells of flows that end."""
_SWITCHED_OFF = (
    "net.netfilter.nf_conntrack_events is 0, so conntrack does not tell of flows that end (1 or 2 would be right)"
)

_log = Logger()


def log_fault(fault: Exception, faults: int) -> None:
    """Write a fault of our own to the log: what `Faults` reports to.

    Args:
        fault: What was raised, with its traceback.
        faults: How many there were since the last one that was written.
    """
    failure = Failure(fault)  # type: ignore[no-untyped-call]  # Twisted does not say
    _log.failure("A fault of our own dropped a first packet ({faults} since the last report)", failure, faults=faults)


class Hearing:
    """What conntrack says of flows: whether those that are asked for were answered, and which ones have ended.

    Without the latter, flows that pause are refused when they go on, and that is told; it hinders nothing else.

    Args:
        conntrack: Is asked.
        allocator: Is told of flows that have ended, before it decides about packets that came later.
        tell: Told what is wrong: with what, and in lines, none when all is well.
        reactor: Where it is listened.
        monotonic: The clock, in seconds.
        ends: Hears of flows that have ended; by default the kernel is listened to.
    """

    def __init__(
        self,
        conntrack: Conntrack,
        allocator: Allocator,
        tell: Callable[[str, tuple[str, ...]], object],
        reactor: Any,
        monotonic: Callable[[], float],
        ends: EndedFlows | None = None,
    ) -> None:
        self._conntrack = conntrack
        self._ended = EndedFlows(reactor, UNNOTED) if ends is None else ends
        allocator.datagrams.listen = self._ended.listen
        allocator.ledger.candidates.answers = conntrack.answers
        self._hear = allocator.datagrams.hear
        self._memory = allocator.ended
        self._tell = tell
        self._monotonic = monotonic
        self._loop = LoopingCall(self._look)
        self._loop.clock = reactor

    def counts(self) -> dict[str, object]:
        """What was counted since the start."""
        ended, answers = self._ended, self._conntrack.answers
        told = {"answers_heard": answers.heard, "answers_lost": answers.lost, "answers_misheard": answers.misheard}
        return {"unasked": self._conntrack.unasked, "ends_heard": ended.heard, "ends_lost": ended.lost, **told}

    def start(self) -> None:
        """Begin to listen."""
        self._loop.start(LOOK)

    def stop(self) -> None:
        """Let go of everything."""
        if self._loop.running:
            self._loop.stop()
        self._ended.close()
        self._conntrack.close()

    def _told(self, flow: Flow, private: bytes) -> None:
        self._hear(flow, private, now=self._monotonic())

    def _look(self) -> None:
        """Listen if anything is to be remembered; that, and conntrack's settings, may change at any time."""
        self._conntrack.answers.rest()
        wrong = ""
        if not self._memory.is_on:
            self._ended.close()
        elif not self._conntrack.tells_of_ends():
            wrong = _SWITCHED_OFF
        elif not self._ended.is_open:
            wrong = self._open()
        line = f"{wrong}: UDP that was let in long ago, and pauses, may be refused when it goes on"
        self._tell("conntrack", (line,) if wrong else ())

    def _open(self) -> str:
        try:
            self._ended.open(self._told)
        except PlatformError as error:
            return str(error)
        return ""


class AdmissionService(Service):
    """Binds the packet queue while it runs.

    Starting it needs CAP_NET_ADMIN, and so does every verdict: the kernel checks each message, so the process must keep
    the capability when it gives up being root.

    Args:
        admission: The settings of the queue.
        gate: Who decides.
        reactor: Where the queue is read.
        monotonic: The clock, in seconds.
        queue: The queue; by default the kernel's.
        hearing: What conntrack says of flows; none: it is neither asked nor listened to.
        twice: Is told for how many seconds packets wait in the queue, and when some were lost there last; none: nobody.

    Attributes:
        port: What reads the queue.
    """

    name = "admission"

    def __init__(
        self,
        admission: settings.Admission,
        gate: Gate,
        reactor: IReactorFDSet,
        monotonic: Callable[[], float],
        queue: PacketQueue | None = None,
        hearing: Hearing | None = None,
        twice: Twice | None = None,
    ) -> None:
        self._admission = admission
        self._gate = gate
        self._hearing, self._twice = hearing, twice
        self._queue: PacketQueue = KernelPacketQueue() if queue is None else queue
        self.port = QueuePort(gate, self._queue, reactor, monotonic, max if twice is None else twice.behind)

    def counts(self) -> dict[str, object]:
        """What was counted since the start, at the queue and by the gate."""
        port = self.port
        others = (each.counts() for each in (self._hearing, self._twice) if each is not None)
        own = {"overruns": self._queue.overruns, "hangups": port.hangups, "seconds": port.times.counts()}
        return dict(ChainMap(own, self._gate.counts(), *others))

    def startService(self) -> None:
        """Bind the queue and read it.

        Raises:
            PlatformError: The queue can not be had, with one line that says what to do; the service does not run.
        """
        self.port.start(self._admission)
        if self._hearing is not None:
            self._hearing.start()
        if self._twice is not None:
            self._twice.start(lambda: self.port.taken)
        self._gate.start()
        super().startService()  # type: ignore[no-untyped-call]  # Twisted does not say

    def stopService(self) -> None:
        """Drop what waits and give the queue back; the kernel's rules then refuse every new flow."""
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted does not say
        self._gate.stop()
        self.port.stop()
        if self._hearing is not None:
            self._hearing.stop()
        if self._twice is not None:
            self._twice.stop()
