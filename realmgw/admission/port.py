"""The packet queue in the reactor, and what conntrack tells of flows that have ended.

`QueuePort` is what the reactor sees: a descriptor to read from, which takes a bounded number of packets per turn and
gives each exactly one verdict. An exception that leaves `doRead` removes a descriptor from the reactor for good, and a
judge must not raise. So nothing leaves either.

Edge: the reactor's descriptors and timers.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Collection
from typing import Any, Protocol

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IDelayedCall, IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from realmgw.admission.backlog import Backlog
from realmgw.admission.client import PacketQueue
from realmgw.admission.faults import Faults
from realmgw.admission.gate import DROP
from realmgw.config import settings
from realmgw.config.distribution import EACH, SPENT_BOUNDS, Distribution
from realmgw.datapath import marks
from realmgw.datapath.netlink import destroyed
from realmgw.datapath.netlink.client import open_socket
from realmgw.datapath.netlink.port import NetlinkListener
from realmgw.errors import PlatformError, RealmGatewayError

FLOOD = 20_000  # per second
"""From so many refused packets on, the queue is polled instead of waited for."""
OBSERVED = 0.01  # seconds
"""How often that is found out."""
HALF = 0.5
"""So much of the processor time is for packets while they wait: whom an answer brought is let in before others ask."""
LONGEST = 0.005  # seconds
"""No turn takes longer for that."""
PAUSE = 0.001  # seconds
"""Between two looks at a queue that is polled; what came meanwhile is taken together."""
OURS = marks.REJECTED
"""The mark that packets of our own go on with: where it means anything, it refuses them."""
_MARK_MAX = 0xFFFF_FFFF
_EVENT_SIZE = 1024  # octets
"""More than what conntrack tells of one flow."""
_EVENT_BUFFER = 1 << 23  # octets
"""Conntrack looks for flows whose time is over now and then, and tells of all of them at once."""
_LISTENED = 1024
"""So many ends are heard at most before it is decided about a packet."""


class Flood:
    """Whether so many packets are refused that waking up for each of them would cost more than to decide about it."""

    def __init__(self) -> None:
        self._since = 0.0
        self._taken = 0
        self._admitted = 0
        self.rages = False

    def note(self, taken: int, admitted: int, now: float) -> None:
        """Note a turn.

        Args:
            taken: How many packets it took.
            admitted: How many packets were admitted, ever.
            now: Monotonic seconds.
        """
        self._taken += taken
        elapsed = now - self._since
        if elapsed >= OBSERVED:
            refused = self._taken - (admitted - self._admitted)
            self.rages = refused >= FLOOD * elapsed
            self._since, self._taken, self._admitted = now, 0, admitted


class Decider(Protocol):
    """What the port needs to know of the gate."""

    admitted: int
    faults: Faults

    def decide(self, payload: bytes, *, now: float) -> int:
        """The mark to accept a packet with, or `DROP`."""


@implementer(IReadDescriptor)
class QueuePort:
    """The descriptor in the reactor.

    While a flood rages it is not there: the queue is polled once a millisecond, as network drivers do under load. Each
    packet of a flood would else wake us up by itself.

    Args:
        gate: Decides, and is told of faults of our own.
        queue: The kernel's queue.
        reactor: Where to be read: an `IReactorFDSet` and `IReactorTime`.
        monotonic: The clock, in seconds; read once for `per_turn` packets, and now and then behind them.
        behind: Told for how many seconds packets wait in the queue, and when some were lost there last, when either is
            another time than before.
        spent: The processor time of this thread, in seconds.

    Attributes:
        hangups: How often the reactor took the descriptor for lost and was told better.
        times: How long packets took, in seconds, until the kernel had their verdicts, each of those that were taken
            together its part; of one such time in `EACH`.
    """

    def __init__(
        self,
        gate: Decider,
        queue: PacketQueue,
        reactor: Any,
        monotonic: Callable[[], float],
        behind: Callable[[float, float], object] = max,
        spent: Callable[[], float] = time.thread_time,
    ) -> None:
        self._gate = gate
        self._decide: Callable[..., int] = gate.decide
        self._queue = queue
        self._reactor = reactor
        self._monotonic = monotonic
        self._faults = gate.faults
        self._flood = Flood()
        self._behind = behind
        self._spent = spent
        self._backlog = Backlog(self._look_at_queue)
        self._look: IDelayedCall | None = None
        self._now = 0.0
        self._filled: float | None = None
        self._per_turn = 0
        self._length = self._taken = 0
        self.hangups = 0
        self.times = Distribution(SPENT_BOUNDS)
        self._turns = 0

    def start(self, admission: settings.Admission) -> None:
        """Bind the queue and let the reactor read it.

        Args:
            admission: Number and length of the queue, packets per turn.

        Raises:
            PlatformError: The queue can not be had; nothing was changed.
        """
        self._per_turn = admission.per_turn
        self._length = admission.queue_length
        self._queue.bind(admission, self._judge)
        self._reactor.addReader(self)

    def stop(self) -> None:
        """Leave the reactor, decide once more about what waits, and give the queue back.

        At most the queue's length is decided about: under a flood it would never be empty. The kernel drops the rest.
        """
        self._leave()
        left = self._length
        while left > 0 and (taken := self._take(min(left, self._per_turn))):
            left -= taken
        self._queue.close()

    def _leave(self) -> None:
        look, self._look = self._look, None
        if look is not None:
            look.cancel()
        self._reactor.removeReader(self)

    @property
    def taken(self) -> int:
        """How many packets the queue has given, our own among them."""
        return self._taken

    def expect(self, is_ours: Callable[[bytes], object] | None) -> None:
        """Let packets through that are our own, and are no business of the gate's; None: there are none any more."""
        decide = self._gate.decide

        def judge(payload: bytes, *, now: float) -> int:
            if is_ours is None or not is_ours(payload):
                return decide(payload, now=now)
            self._turns += self._turns % EACH == 0  # a turn with it is none of those that are measured
            return OURS

        self._decide = decide if is_ours is None else judge

    def fileno(self) -> int:
        """See `IFileDescriptor`."""
        return self._queue.fileno()

    def logPrefix(self) -> str:
        return "admission"

    def doRead(self) -> None:
        """Take a turn. Never raises: that would end all reading."""
        self._turn()
        if self._flood.rages:
            self._reactor.removeReader(self)
            self._look = self._reactor.callLater(PAUSE, self._poll)

    def _poll(self) -> None:
        """Take a turn while a flood rages, and the next one when more has come; or wait for packets again."""
        taken = self._turn()
        if self._flood.rages:
            self._look = self._reactor.callLater(PAUSE if taken < self._per_turn else 0.0, self._poll)
        else:
            self._look = None
            self._reactor.addReader(self)

    def connectionLost(self, reason: Failure) -> None:
        """The reactor removed the descriptor.

        Epoll-like reactors do so when they see an error without data (`ConnectionDone`), which for a netlink socket is
        only an overrun: reading takes the error away, and the descriptor goes back. Everything else (the reactor ends
        with us still in it) is final: the queue is given back.
        """
        if isinstance(reason.value, ConnectionDone) and self._queue.fileno() >= 0:
            self.hangups += 1
            self.doRead()
            if self._look is None:
                self._reactor.addReader(self)
        else:
            self._queue.close()

    def _turn(self) -> int:
        """Take a turn; fewer than `per_turn` is what it ends with unless packets still wait.

        When the turn before was full as well, and most of its packets were admitted, further ones follow for half of
        the processor time that went since. By number alone, the queries of a turn bring more packets than it takes as
        soon as all of the processor is used. A flood of strays makes no turn longer.
        """
        before = self._gate.admitted
        taken = self._take(self._per_turn)
        if taken < self._per_turn or 2 * (self._gate.admitted - before) < taken:
            self._filled = None
            return taken
        spent = self._spent()
        if self._filled is not None:
            until = spent + min((spent - self._filled) * HALF, LONGEST)
            while taken == self._per_turn and self._spent() < until:
                taken = self._take(self._per_turn)
        self._filled = spent if taken == self._per_turn else None
        return taken

    def _take(self, limit: int) -> int:
        """Decide about some packets; 0 when none waits, or when a fault kept us from it."""
        try:
            self._now = self._monotonic()
            taken = self._queue.run(limit)
            self._turns += 1
            if taken and self._turns % EACH == 1:
                self.times.share(self._monotonic() - self._now, taken)
            self._taken += taken
            self._flood.note(taken, self._gate.admitted, self._now)
            if self._backlog.note(taken, self._now, more=taken >= limit):
                self._behind(self._backlog.seconds, self._backlog.lost_at)
        except Exception as fault:  # noqa: BLE001 - see above: nothing may leave
            self._faults.record(fault, now=self._now)
            return 0
        return taken

    def _look_at_queue(self) -> tuple[int, int]:
        figures = self._queue.figures()
        return (0, 0) if figures is None else (figures.waiting, figures.full + figures.unsent)

    def _judge(self, payload: bytes) -> int:
        """A packet's one verdict; a fault of ours is a drop."""
        try:
            mark = self._decide(payload, now=self._now)
            if not 0 <= mark <= _MARK_MAX:
                _not_a_mark(mark)
        except Exception as fault:  # noqa: BLE001 - see above: no packet may stay undecided
            self._faults.record(fault, now=self._now)
            return DROP
        return mark


def _not_a_mark(mark: int) -> None:
    raise OverflowError(f"a mark has 32 bits, and {mark:#x} has more")


class EndedFlows:
    """Hears of flows that conntrack has forgotten: see `destroyed`.

    Args:
        reactor: Where to be read: an `IReactorFDSet`.
        unwanted: IP protocols of which nothing is to be heard.

    Attributes:
        heard: How many ends were told.
        lost: How often some were lost, since more came than there was room for.
    """

    def __init__(self, reactor: Any, unwanted: Collection[int]) -> None:
        self._reactor = reactor
        self._program = destroyed.program(unwanted)
        self._listener: NetlinkListener | None = None
        self.heard = self.lost = 0

    def open(self, told: Callable[[destroyed.Flow, bytes], object]) -> None:
        """Begin to listen.

        Args:
            told: Called with what `destroyed.parse` makes of each; must not raise.

        Raises:
            PlatformError: The kernel does not let us.
        """

        def take(received: bytes) -> None:
            ended = destroyed.parse(received)
            if ended is not None:
                self.heard += 1
                told(*ended)

        try:
            channel = open_socket(timeout=0.0, groups=(destroyed.GROUP,), program=self._program, buffer=_EVENT_BUFFER)
        except RealmGatewayError as error:
            raise PlatformError(f"conntrack does not tell of flows that have ended ({error})") from error
        self._poll = select.poll()
        self._poll.register(channel, select.POLLIN)
        self._listener = NetlinkListener(channel, take, self._lose, self._reactor, _EVENT_SIZE)

    def listen(self) -> None:
        """Hear what has been told so far: a flow is known to have ended before its next packet is looked at."""
        if self._listener is not None and self._poll.poll(0) and self.is_open:
            self._listener.read(_LISTENED)

    @property
    def is_open(self) -> bool:
        """Whether it is listened."""
        return self._listener is not None and self._listener.fileno() >= 0

    def close(self) -> None:
        """End."""
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.close()

    def _lose(self) -> None:
        self.lost += 1
