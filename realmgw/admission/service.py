"""The admission as a service of the gateway."""

from __future__ import annotations

from collections.abc import Callable

from twisted.application.service import Service
from twisted.internet.interfaces import IReactorFDSet
from twisted.logger import Logger
from twisted.python.failure import Failure

from realmgw.admission.client import Conntrack, KernelPacketQueue, PacketQueue
from realmgw.admission.counters import QueueStatus
from realmgw.admission.gate import Gate
from realmgw.admission.port import QueuePort
from realmgw.config import settings

_log = Logger()


def log_fault(fault: Exception, faults: int) -> None:
    """Write a fault of our own to the log: what `Faults` reports to.

    Args:
        fault: What was raised, with its traceback.
        faults: How many there were since the last one that was written.
    """
    failure = Failure(fault)  # type: ignore[no-untyped-call]  # Twisted does not say
    _log.failure("A fault of our own dropped a first packet ({faults} since the last report)", failure, faults=faults)


class AdmissionService(Service):
    """Binds the packet queue while it runs.

    Starting it needs CAP_NET_ADMIN, and so does every verdict: the kernel checks each message, so the process must keep
    the capability when it gives up being root.
    """

    name = "admission"

    def __init__(
        self,
        admission: settings.Admission,
        gate: Gate,
        reactor: IReactorFDSet,
        monotonic: Callable[[], float],
        queue: PacketQueue | None = None,
        conntrack: Conntrack | None = None,
    ) -> None:
        """Bind nothing yet.

        Args:
            admission: The settings of the queue.
            gate: Who decides.
            reactor: Where the queue is read.
            monotonic: The clock, in seconds.
            queue: The queue; by default the kernel's.
            conntrack: What tells whether first packets were answered; it is closed with the queue.
        """
        self._admission = admission
        self._gate = gate
        self._conntrack = conntrack or Conntrack()
        self._queue: PacketQueue = KernelPacketQueue() if queue is None else queue
        self._port = QueuePort(gate, self._queue, reactor, monotonic)

    @property
    def overruns(self) -> int:
        """How often messages of the kernel were lost for want of buffer space (ENOBUFS)."""
        return self._queue.overruns

    def counts(self) -> dict[str, object]:
        """What was counted since the start, at the queue and by the gate."""
        own = {"overruns": self.overruns, "hangups": self._port.hangups, "unasked": self._conntrack.unasked}
        return {**self._gate.counts(), **own}

    def status(self) -> QueueStatus | None:
        """What the kernel counts about the queue; None while the service does not run."""
        return self._queue.status()

    def startService(self) -> None:
        """Bind the queue and read it.

        Raises:
            PlatformError: The queue can not be had, with one line that says what to do; the service does not run.
        """
        self._port.start(self._admission)
        self._gate.start()
        super().startService()  # type: ignore[no-untyped-call]  # Twisted does not say

    def stopService(self) -> None:
        """Drop what waits and give the queue back; the kernel's rules then refuse every new flow."""
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted does not say
        self._gate.stop()
        self._port.stop()
        self._conntrack.close()
