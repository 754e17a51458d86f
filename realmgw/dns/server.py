"""One side of the DNS server: its sockets, and the view that is behind them.

Edge: the reactor's timers.
"""

# mypy: disable-error-code="no-untyped-call"
# (Twisted's DNS protocols have no types.)

from __future__ import annotations

from collections.abc import Callable, Iterable

from twisted.internet import defer, protocol
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from realmgw.config import settings
from realmgw.config.distribution import SPENT_BOUNDS, Distribution
from realmgw.dns.codec.wire import BadQueryError, Query, Rcode, decode
from realmgw.dns.counts import Count, Tally
from realmgw.dns.port import DnsDatagrams, DnsStream, Way
from realmgw.dns.view import Asker, View
from realmgw.errors import Reason

FAULT_LOG_INTERVAL = 1.0  # seconds
"""Of our own faults one in so long a time is logged; all of them are counted."""
STOP_GRACE = 1.0  # seconds
"""How long clients may take their last answers when the gateway stops."""


class ViewServer(protocol.ServerFactory):
    """One side of the DNS server: has a view answer what sockets receive, and keeps count of TCP connections.

    Attributes:
        probed: From which addresses and ports we ask it ourselves at present; see `realmgw.dns.probing`.
    """

    noisy = False
    stream: type[DnsStream] = DnsStream
    _log = Logger()

    def __init__(
        self, view: View, limits: settings.DnsView, clock: IReactorTime, monotonic: Callable[[], float]
    ) -> None:
        """Makes one without sockets.

        Args:
            view: What is answered.
            limits: Of TCP connections.
            clock: For timeouts.
            monotonic: The present, in seconds.
        """
        super().__init__()
        self.view = view
        self.limits = limits
        self.monotonic = monotonic
        self.events = view.counts.events
        self.streams: dict[DnsStream, None] = {}
        self.tallies: dict[Way, Tally] = {}
        """Messages by how they came."""
        self.probed: set[tuple[str, int]] = set()
        self._clock = clock
        self._clients: dict[str, dict[DnsStream, None]] = {}
        self._next_log = 0.0
        self._all_closed: defer.Deferred[None] | None = None

    def tally(self, way: Way) -> Tally:
        """Counts messages that come so."""
        return self.tallies.setdefault(way, Tally(self.monotonic))

    def counts(self) -> dict[str, object]:
        """What was counted since the start, by the view and here."""
        messages, every = dict[str, dict[str, int]](), Distribution(SPENT_BOUNDS)
        for (transport, family), tally in self.tallies.items():
            messages.setdefault(transport, {})[family] = tally.received
            every.absorb(tally.spent)
        own = {"tcp_open": len(self.streams), "messages": messages, "seconds": every.counts()}
        return {**self.view.counts.counts(), **own}

    def receive(self, message: bytes, to: DnsDatagrams | DnsStream, asker: Asker, refused: Reason | None) -> None:
        """Answers a query that the fast path left over.

        Args:
            message: As it came.
            to: Sends the answer.
            asker: Who sent it.
            refused: What `View.fast` said, which is None if it did nothing.
        """
        try:
            query = decode(message)
        except BadQueryError as error:
            self._unreadable(error, to, asker)
            return
        if self.probed and isinstance(to, DnsDatagrams) and asker.address[:2] in self.probed:
            to.overlook()
            to.send(self.view.unnoticed(query, asker, now=self.monotonic()), asker.address)
            return
        answer = self.view.answer(query, asker, now=self.monotonic(), refused=refused)
        if answer is None:
            to.expect()
        else:
            to.send(answer, asker.address)

    def _unreadable(self, error: BadQueryError, to: DnsDatagrams | DnsStream, asker: Asker) -> None:
        """A response is never answered, or two servers could keep each other busy for ever."""
        if error.query is None:
            self.events[Count.RESPONSE] += 1
        else:
            self._send_error(error.query, error.rcode, to, asker)

    def _send_error(self, query: Query, rcode: Rcode, to: DnsDatagrams | DnsStream, asker: Asker) -> None:
        to.send(self.view.error(query, rcode, asker, now=self.monotonic()), asker.address)

    def fault(self, message: bytes, to: DnsDatagrams | DnsStream, asker: Asker) -> None:
        """After an exception that is our fault: counts and logs it, and answers SERVFAIL if that can still be done."""
        self.report_fault()
        try:
            self._send_error(decode(message), Rcode.SERVFAIL, to, asker)
        except Exception:  # noqa: BLE001 - it is counted and logged there
            self.report_fault()

    def report_fault(self) -> None:
        """Counts the current exception, and logs it unless another one was logged just now."""
        self.events[Count.FAULT] += 1
        now = self.monotonic()
        if now >= self._next_log:
            self._next_log = now + FAULT_LOG_INTERVAL
            self._log.failure("fault {count} while answering a query", Failure(), count=self.events[Count.FAULT])

    def buildProtocol(self, addr: IAddress | None) -> DnsStream | None:
        """Accepts a TCP connection; for one too many, of its client or altogether, the one silent longest is closed."""
        host = str(getattr(addr, "host", ""))
        client = self.view.senders.who(host)
        own, limits = self._clients.get(client, {}), self.limits
        full = len(own) >= limits.tcp_connections_per_client and not self._evict(own)
        if full or (len(self.streams) >= limits.tcp_connections and not self._evict(self.streams)):
            self.events[Count.TCP_REFUSED] += 1
            return None
        stream = self.stream(self, self._clock, host, client)
        stream.factory = self
        return stream

    def _evict(self, streams: Iterable[DnsStream]) -> bool:
        """Close the first one with nothing outstanding; False if there is none."""
        for stream in streams:
            if not stream.outstanding:
                self.events[Count.TCP_EVICTED] += 1
                self.connectionLost(stream)
                stream.abort()
                return True
        return False

    def connectionMade(self, protocol: DnsStream) -> None:
        """A stream joins; the one that was silent longest stands first."""
        self.events[Count.TCP_CONNECTIONS] += 1
        self.streams[protocol] = None
        self._clients.setdefault(protocol.client, {})[protocol] = None

    def spoke(self, stream: DnsStream) -> None:
        """A stream has brought a query."""
        if stream in self.streams:
            for streams in (self.streams, self._clients[stream.client]):
                del streams[stream]
                streams[stream] = None

    def connectionLost(self, protocol: DnsStream) -> None:
        """A stream leaves; nothing happens if it has left already."""
        if protocol in self.streams:
            del self.streams[protocol]
            del self._clients[protocol.client][protocol]
            if not self._clients[protocol.client]:
                del self._clients[protocol.client]
            if not self.streams and self._all_closed is not None:
                self._all_closed.callback(None)
                self._all_closed = None

    def disconnect(self) -> defer.Deferred[None]:
        """Closes all connections; those whose clients do not take their last answers in `STOP_GRACE` are aborted.

        Returns:
            Fires when all are closed.
        """
        if not self.streams:
            return defer.succeed(None)
        for stream in list(self.streams):
            stream.close()
        grace = self._clock.callLater(STOP_GRACE, self._abort)
        self._all_closed = defer.Deferred()
        return self._all_closed.addCallback(lambda _: grace.cancel() if grace.active() else None)

    def _abort(self) -> None:
        for stream in list(self.streams):
            stream.abort()
