"""Packets followed in the kernel: for so long, so many, for one who asks at a time.

Edge: netlink, the reactor and its timers.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Generator
from contextlib import closing
from typing import Any, Protocol

import attrs
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from realmgw.config.settings import Settings
from realmgw.datapath.netlink import codec, traces
from realmgw.datapath.netlink.client import open_socket
from realmgw.datapath.netlink.port import NetlinkListener
from realmgw.datapath.netlink.traces import Headers
from realmgw.datapath.nft import Libnftables, Nft
from realmgw.datapath.ruleset import Texts
from realmgw.datapath.tracing import packets
from realmgw.datapath.tracing.match import Match, commands, trace_table
from realmgw.datapath.tracing.packets import Listed, Met, Packet, Packets
from realmgw.errors import RealmGatewayError
from realmgw.system.worker import Worker

LOOK = 0.1  # seconds
"""How often it is looked which packets have come to their ends."""
_BUFFER = 1 << 20  # octets


@attrs.frozen
class Followed:
    """A packet, and what it has met."""

    number: int
    """Counted from 1."""
    headers: Headers | None
    """As it came; None: it is not of IP."""
    came_by: str
    """The interface; empty: the machine itself has sent it."""
    steps: tuple[Met, ...]
    """What it has met, in this order."""
    left_out: int
    """How many more steps there were."""


@attrs.frozen
class End:
    """How it was over."""

    packets: int
    """So many were followed."""
    lost: int
    """So often the kernel has told of more than was heard."""
    problem: str = ""
    """What went wrong."""


class KernelView(Protocol):
    """What of a `realmgw.datapath.apply.Kernel` is looked at, in the worker's thread; see there."""

    @property
    def settings(self) -> Settings: ...
    @property
    def texts(self) -> Texts: ...


@attrs.frozen
class Tracer:
    """Follows packets, for one who asks at a time."""

    kernel: KernelView
    """Knows what stands in our table."""
    worker: Worker
    """Where the calls that block are made."""
    reactor: Any
    """Where it is heard what the kernel tells, and its clock."""
    open_nft: Callable[[], Nft] = Libnftables
    """Makes an access to nftables that a table can have for its owner."""
    open_channel: Callable[..., Any] = open_socket
    """Opens a netlink socket."""
    taken: set[str] = attrs.Factory(set)
    """The table that has packets followed, while there is one."""

    @inlineCallbacks
    def follow(
        self, match: Match, seconds: float, most: int, tell: Callable[[Followed], object], end: Callable[[End], object]
    ) -> Generator[Deferred[Any], Any, Callable[[], object]]:
        """Begin.

        Args:
            match: Which packets.
            seconds: For how long.
            most: How many, at most.
            tell: Told of each that has come to its end.
            end: Told once, when it is over; nothing of it is left in the kernel then.

        Returns:
            A Deferred that fires, when the kernel has begun, with what ends it early. It fails with `RealmGatewayError`
            where somebody else has packets followed, or the kernel can not do it; then nothing is left behind.
        """
        table = self.kernel.settings.datapath.table
        if self.taken:
            raise RealmGatewayError("packets are followed for somebody else: ask again when that is over")
        following = _Following(self, table, most, tell, end)
        self.taken.add(table)
        try:
            following.listen()
            yield self.worker.call(following.place, match)
        except BaseException:
            yield following.leave()
            raise
        following.start(seconds)
        return following.finish


class _Following:
    """What is followed for one who has asked."""

    def __init__(
        self,
        tracer: Tracer,
        table: str,
        most: int,
        tell: Callable[[Followed], object],
        end: Callable[[End], object],
    ) -> None:
        self._tracer = tracer
        self._table = table
        self._packets = Packets(trace_table(table), most)
        self._tell = tell
        self._end = end
        self._listener: NetlinkListener | None = None
        self._nft: Nft | None = None
        self._loop = LoopingCall(self._look)
        self._loop.clock = tracer.reactor
        self._until = 0.0
        self._is_over = False
        self._lost = 0
        self._log = Logger()

    def listen(self) -> None:
        """Hear what the kernel tells."""
        channel = self._tracer.open_channel(timeout=0.0, groups=(traces.GROUP,), buffer=_BUFFER)
        self._listener = NetlinkListener(channel, self._hear, self._lose, self._tracer.reactor)

    def place(self, match: Match) -> None:
        """In the worker's thread: have the kernel tell."""
        self._nft = self._tracer.open_nft()
        self._nft.run(commands(self._table, match))

    def start(self, seconds: float) -> None:
        """Look after those that have come to their ends."""
        self._until = self._tracer.reactor.seconds() + seconds
        self._loop.start(LOOK, now=False)

    def finish(self) -> None:
        """It is over with the next look."""
        self._is_over = True

    @inlineCallbacks
    def leave(self) -> Generator[Deferred[Any], Any, None]:
        """Leave nothing behind: the table ends with the socket that owns it."""
        if self._listener is not None:
            self._listener.close()
        yield self._tracer.worker.call(self._remove)
        self._tracer.taken.discard(self._table)

    def _remove(self) -> None:
        nft, self._nft = self._nft, None
        if nft is not None:
            nft.close()

    def _hear(self, received: bytes) -> None:
        now = self._tracer.reactor.seconds()
        for step in traces.parse(received):
            self._packets.take(step, now)

    def _lose(self) -> None:
        self._lost += 1

    @inlineCallbacks
    def _look(self) -> Generator[Deferred[Any], Any, None]:
        """The next one waits until this one has come to its end."""
        now, problem = self._tracer.reactor.seconds(), ""
        is_over = self._is_over or self._packets.is_over or now >= self._until
        try:
            if is_over:
                yield self._tracer.worker.call(self._remove)
            yield from self._tell_of(self._packets.ended(float("inf") if is_over else now))
        except RealmGatewayError as error:
            is_over, problem = True, str(error)
        except Exception:  # noqa: BLE001 - whatever it is, nothing may be left behind
            is_over, problem = True, "a fault of ours: the log has it"
            self._log.failure("fault while packets are followed")
        if is_over:
            self._loop.stop()
            yield self.leave()
            self._end(End(self._packets.begun, self._lost, problem))

    def _tell_of(self, ended: list[Packet]) -> Generator[Deferred[Any], Any, None]:
        if not ended:
            return
        listed, texts = yield self._tracer.worker.call(self._rules)
        for each in ended:
            steps = tuple(packets.met(each, listed, self._table, texts))
            first = each.first
            self._tell(Followed(each.number, first.headers, _interface(first.came_by), steps, each.left_out))

    def _rules(self) -> tuple[Listed, Texts]:
        """In the worker's thread: all that a packet can have met."""

        def listed() -> Listed:
            with closing(self._tracer.open_channel()) as channel:
                return traces.rules(codec.dump(channel, traces.request(1), "rules"))

        return codec.undisturbed(listed), self._tracer.kernel.texts


def _interface(index: int) -> str:
    """The name of an interface; its number where it has none any more."""
    try:
        return socket.if_indextoname(index) if index else ""
    except OSError:
        return str(index)
