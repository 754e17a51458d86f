"""UDP and TCP: Twisted's DNS protocols, with our codec in them.

Family: fragments are forbidden in another way in each, and queries are counted by it.

Edge: UDP and TCP sockets.
"""

# mypy: disable-error-code="no-untyped-call"
# (Twisted's DNS protocols have no types.)

from __future__ import annotations

import functools
import socket
from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.interfaces import IHalfCloseableProtocol, IReactorTime
from twisted.names import dns
from twisted.protocols.basic import Int16StringReceiver
from twisted.protocols.policies import TimeoutMixin
from twisted.python.failure import Failure
from zope.interface import implementer

from realmgw.config.settings import DnsView
from realmgw.dns.codec.wire import HEADER
from realmgw.dns.counts import Count, Tally
from realmgw.dns.view import Asker, View
from realmgw.errors import Reason
from realmgw.system.buffers import enlarge

RECEIVE_BUFFER = 2 << 20  # octets
"""Of each UDP socket: some 2000 queries may come while we are busy."""
UDP_TURN = 2048  # octets
"""After so many octets of queries (some 40 of them) first packets and timers get their turn."""
UDP_TURN_BESIDE = 64  # octets
"""The same of views beside that of the WAN (one query or two), so that a LAN that asks a lot holds up nobody there."""
UDP_TURN_UPDATES = 1024  # octets
"""The same of updates (seven or eight): each host that comes waits for its own, and `dns.update.rate` bounds them. They
take as long as a turn of queries; with half as many, those who come wait for seconds where the gateway is busy."""
MAX_QUERY = 2048  # octets
"""The longest query by TCP."""
MAX_OUTSTANDING = 256
"""So many queries of one TCP connection may wait for an address; then it is not read until one of them is answered, and
nobody knows of those that wait there. unbound has up to 200 on one connection (`max-reuse-tcp-queries`)."""
TCP_TURN = 32
"""So many queries of one TCP connection are answered in one turn of the reactor."""

# The socket module has no names for these.
_IP_MTU_DISCOVER, _IP_PMTUDISC_PROBE = 10, 3  # linux/in.h

Address = tuple[Any, ...]
"""As the socket module has it, and for TCP with the number of the query behind it."""


Way = tuple[str, str]
"""How queries come: `udp` or `tcp`, and `ipv4` or `ipv6`."""


class Controller(Protocol):
    """What the sockets need of `realmgw.dns.server.ViewServer`."""

    view: View
    limits: DnsView
    events: list[int]
    monotonic: Callable[[], float]

    def receive(
        self, message: bytes, to: DnsDatagrams | DnsStream, asker: Asker, refused: Reason | None, /
    ) -> None: ...

    def fault(self, message: bytes, to: DnsDatagrams | DnsStream, asker: Asker, /) -> None: ...

    def report_fault(self) -> None: ...

    def connectionMade(self, protocol: DnsStream, /) -> None: ...

    def connectionLost(self, protocol: DnsStream, /) -> None: ...

    def spoke(self, stream: DnsStream, /) -> None: ...

    def tally(self, way: Way, /) -> Tally: ...


class DnsDatagrams(dns.DNSDatagramProtocol):
    """A UDP socket. The usual query takes the fast path, which ends in this class's first lines."""

    noisy = False
    controller: Controller
    _done: Callable[[float], object]

    def __init__(self, controller: Controller, clock: IReactorTime, turn: int = UDP_TURN) -> None:
        """Makes a protocol for one UDP socket of a view, which takes so many octets of queries in one turn."""
        super().__init__(controller, clock)
        self._turn = turn
        self._fast: Callable[..., bytes | Reason | None] = controller.view.fast
        self._monotonic = controller.monotonic
        self._sendto: Callable[[bytes, Address], object] = _closed

    def startProtocol(self) -> None:
        """The socket is bound: enlarges its buffer, bounds a turn's work, and forbids fragments (RFC 9715)."""
        super().startProtocol()
        port: Any = self.transport
        port.maxThroughput = self._turn
        handle: socket.socket = port.getHandle()
        enlarge(handle, RECEIVE_BUFFER)
        self._done = self.controller.tally(("udp", "ipv4" if handle.family == socket.AF_INET else "ipv6")).done
        if handle.family == socket.AF_INET:
            handle.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _IP_PMTUDISC_PROBE)
        else:
            self._fast = self._fast_of_many  # `udp_size` is no more than every IPv6 link takes whole
        # Not Twisted's `write`, which would parse each address again, and swallows some errors.
        self._sendto = handle.sendto

    def stopProtocol(self) -> None:
        """The socket is closed: what is answered from now on is not sent."""
        super().stopProtocol()
        self._sendto = _closed

    def datagramReceived(self, data: bytes, addr: Address) -> None:
        """Answers a query. Raises nothing, whatever happens."""
        began = self._monotonic()
        try:
            answer = self._fast(data, addr, now=began)
            if isinstance(answer, bytes):
                if answer:
                    self._sendto(answer, addr)
            else:
                self.controller.receive(data, self, self._asker(addr), answer)
        except OSError:
            self.controller.events[Count.UNSENT] += 1
        except Exception:  # noqa: BLE001 - it is counted, logged and answered there
            self.controller.fault(data, self, self._asker(addr))
        self._done(began)

    def _fast_of_many(self, message: bytes, address: Address, /, *, now: float) -> bytes | Reason | None:
        """The fast path for senders of IPv6, of whose addresses many are one resolver's."""
        view = self.controller.view
        return view.fast(message, address, view.senders.who(address[0]), now=now)

    def overlook(self) -> None:
        """The message at hand is our own, and none that is counted among those that came."""
        done = self._done

        def once(_began: float) -> None:
            self._done = done

        self._done = once

    def send(self, answer: bytes, address: Address) -> None:
        """Sends an answer, if there is one; if the kernel does not take it, it is lost, which UDP may do anyway."""
        try:
            if answer:
                self._sendto(answer, address)
        except OSError:
            self.controller.events[Count.UNSENT] += 1

    def expect(self) -> None:
        """An answer will come later; a socket has nothing to remember of that."""

    def _asker(self, address: Address) -> Asker:
        return Asker(address, functools.partial(self.send, address=address), fail=self.controller.report_fault)


def _closed(answer: bytes, address: Address) -> object:
    """Stands for the socket where there is none."""
    del answer, address
    raise OSError("the socket is closed")


@implementer(IHalfCloseableProtocol)
class DnsStream(dns.DNSMixin, Int16StringReceiver, TimeoutMixin):
    """A TCP connection: queries are answered as they come, and each as soon as it can be (RFC 7766 sections 6.2, 7).

    It is not read while the client does not take answers, while too many queries wait for addresses, and after each
    `TCP_TURN` of queries until the reactor's next turn. Silent is who completes no query. A query that is sent again
    while it waits, waits once, and is told the answer each time: none may have its ID (RFC 7766 section 6.2.1.1).
    """

    MAX_LENGTH = MAX_QUERY
    controller: Controller
    transport: Any

    def __init__(self, controller: Controller, clock: IReactorTime, host: str, client: str) -> None:
        """Makes a protocol for one connection of a view from the address `host`, which is of `client`."""
        super().__init__(controller, clock)
        self.host, self.client = host, client
        self._done = controller.tally(("tcp", "ipv6" if ":" in host else "ipv4")).done
        self.port = 0
        self.outstanding = 0
        """How many queries wait for an address."""
        self._waiting: dict[int, tuple[bytes, Callable[[], object]]] = {}
        self._asked: dict[bytes, int] = {}  # how often, of those that wait
        self._holds: set[str] = set()
        self._left = TCP_TURN
        self._queries = 0
        self._open = False
        self._ended = False

    def connectionMade(self) -> None:
        """The client is there; from now on it has to complete a query in time."""
        self.controller.connectionMade(self)
        self._open = True
        self.port = self.transport.getPeer().port
        self.transport.setTcpNoDelay(True)
        self.transport.registerProducer(self, True)
        self.setTimeout(self.controller.limits.tcp_idle_timeout)

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]  # Twisted's has no types
        """The connection is gone; answers that still come for it are dropped."""
        del reason
        self._open = False
        self.setTimeout(None)
        self.controller.connectionLost(self)
        self._hang_up()

    def dataReceived(self, data: bytes) -> None:
        """Takes octets, and answers the queries that they complete."""
        self._left = TCP_TURN
        super().dataReceived(data)

    def stringReceived(self, data: bytes) -> None:
        """Answers a query. Raises nothing, whatever happens."""
        if len(data) < HEADER.size:
            self.lengthLimitExceeded(len(data))
            return
        self.resetTimeout()
        self.controller.spoke(self)
        self._answer(data)
        self._left -= 1
        if not self._left:
            self._hold("turn")
            self.callLater(0, self._release, "turn")

    def _answer(self, data: bytes) -> None:
        self._queries += 1
        address, began = (self.host, self.port, self._queries), self.controller.monotonic()
        try:
            if data in self._asked:
                self._asked[data] += 1
                self.expect()
                self.controller.events[Count.REPEATED] += 1
            elif isinstance(
                answer := self.controller.view.fast(data, address, self.client, now=began, tcp=True), bytes
            ):
                self.send(answer)
            else:
                self.controller.receive(data, self, self._asker(data, address), answer)
        except Exception:  # noqa: BLE001 - it is counted, logged and answered there
            self.controller.fault(data, self, self._asker(data, address))
        self._done(began)

    def _asker(self, data: bytes, address: Address) -> Asker:
        number = address[2]
        deliver, fail = functools.partial(self._deliver, number), functools.partial(self._fail, number)
        return Asker(address, deliver, tcp=True, fail=fail, gone=functools.partial(self._waits, number, data))

    def send(self, answer: bytes, address: Address | None = None) -> None:
        """Sends an answer, if there is one and the connection is still there, to the only address that there is."""
        del address
        if self._open and answer:
            self.sendString(answer)
        elif answer:
            self.controller.events[Count.UNSENT] += 1

    def expect(self) -> None:
        """An answer will come later."""
        self.outstanding += 1
        if self.outstanding == MAX_OUTSTANDING:
            self._hold("outstanding")

    def _waits(self, number: int, data: bytes, hang_up: Callable[[], object]) -> None:
        """A query waits, for an address or to be looked at again, for as long as the client is there."""
        self._waiting[number] = data, hang_up
        self._asked.setdefault(data, 1)
        if self._ended:
            self.callLater(0, self._hang_up)

    def _hang_up(self) -> None:
        """The client is gone: what it asked waits no more."""
        for _, hang_up in list(self._waiting.values()):
            hang_up()

    def _fail(self, number: int) -> None:
        self.controller.report_fault()
        self._deliver(number, b"")

    def _deliver(self, number: int, answer: bytes) -> None:
        """A query's waiting is over. Asks nothing, since it may be the allocator that calls it."""
        data, _ = self._waiting.pop(number, (b"", None))
        times = self._asked.pop(data, 1)
        self.outstanding -= times
        for _ in range(times):
            self.send(answer)
        self.resetTimeout()
        if "outstanding" in self._holds:
            self.callLater(0, self._release, "outstanding")
        self._close_if_done()

    def _hold(self, why: str) -> None:
        """Stops reading, and leaves alone what was read, until every reason for that is gone."""
        if not self._holds:
            super().pauseProducing()
        self._holds.add(why)

    def _release(self, why: str) -> None:
        if self._open and why in self._holds:
            self._holds.remove(why)
            if not self._holds:
                super().resumeProducing()
                self._close_if_done()

    def pauseProducing(self) -> None:
        """The client does not take its answers: no further query of it is read."""
        self._hold("writing")

    def resumeProducing(self) -> None:
        """It has taken them."""
        self._release("writing")

    def stopProducing(self) -> None:
        """The connection is gone, and `connectionLost` will say so."""

    def lengthLimitExceeded(self, length: int) -> None:
        """No query has this length, so the client and we do not agree where messages begin: there is no going on."""
        del length
        self.controller.events[Count.TCP_BAD_LENGTH] += 1
        self.close()

    def timeoutConnection(self) -> None:
        """Nothing was completed for long: closes, unless it is we who are to speak; a second time aborts."""
        if self.outstanding and "writing" not in self._holds:
            self.setTimeout(self.timeOut)
            return
        if not self.transport.disconnecting:
            self.controller.events[Count.TCP_IDLE] += 1
            self.close()
        else:
            self.transport.abortConnection()

    def readConnectionLost(self) -> None:
        """The client has sent all it wants to, or is gone, which looks the same: nothing waits for it any more.

        What it asked is still answered, though by nothing but SERVFAIL where there is no address yet. A resolver that
        has waited long enough closes its connection and asks again, and an address for each of these queries would be
        kept for nobody.
        """
        self._ended = True
        self._hang_up()
        self._close_if_done()

    def writeConnectionLost(self) -> None:
        """Only we could do that, and do not."""

    def _close_if_done(self) -> None:
        if self._ended and not self.outstanding and not self._holds:
            self.close()

    def close(self) -> None:
        """Closes once the client has taken its answers, or when the idle timeout says that it will not."""
        if not self._open or "closing" in self._holds:
            return
        self._holds.add("closing")
        self.paused = True
        self.transport.unregisterProducer()
        self.transport.loseConnection()
        self.setTimeout(self.controller.limits.tcp_idle_timeout)

    def abort(self) -> None:
        """Closes at once."""
        self.transport.abortConnection()
