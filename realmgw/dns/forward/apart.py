"""The forwarder in a process of its own: it reads the LAN's UDP sockets, and answers what lies in no zone of ours.

The sockets are the gateway's, which has them as well: whatever else comes, and what depends on who asks, is handed
back, and answered by the gateway from the same socket, as if it had been read there. While rules are told nothing is
read here. Cache, questions, counters and limits are a forwarder's as in the gateway; so is the view.

Edge: a process, sockets, pipes, the reactor, the clock.
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from json import dumps
from typing import Any

from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Protocol
from twisted.internet.stdio import StandardIO
from twisted.internet.task import LoopingCall
from twisted.logger import ILogObserver, LogLevel, eventAsText, globalLogPublisher
from twisted.python.failure import Failure
from zope.interface import implementer

from realmgw.daemon import collecting
from realmgw.daemon.frames import Frames
from realmgw.dns.counts import Counts
from realmgw.dns.forward.service import Files, Forwarding
from realmgw.dns.forward.telling import BEGIN, Hearing, Rules, handed_back
from realmgw.dns.lan import lan_view
from realmgw.dns.port import UDP_TURN, DnsDatagrams, DnsStream
from realmgw.dns.server import ViewServer
from realmgw.dns.view import Asked, Asker
from realmgw.dns.zones import compile_table
from realmgw.errors import RealmGatewayError, Reason
from realmgw.subscribers.model import Directory
from realmgw.system.reactor import the_reactor
from realmgw.system.trust import trust

REPORT = 1.0  # seconds
"""How often the gateway is told how it is."""
GRACE, MOMENT = 2.0, 0.02  # seconds
"""So long those who wait for resolvers are waited for in the end, and how often it is looked whether any do."""
BACK, FIRST = 3, 4
"""Which of its files is the way back, and which is the first of the LAN's sockets."""
ROOM = 1 << 20  # octets
"""So much may be on the way back, if the kernel lets us."""
MOST_WITHHELD = 32
"""So many names that were not to be had are told in a report, the latest: again and again, since one may be missed."""
MOST_CALLED = 100  # characters
"""Of the name of a list, in a report."""
MOST_SAID = 500  # characters
"""Of what is wrong, in a report."""


class Apart:
    """The forwarder.

    Args:
        reactor: The reactor.
        present: The present, in monotonic seconds.
        back: The way back: each message is a query. It does not block.
        sockets: The LAN's.
    """

    def __init__(
        self, reactor: Any, present: Callable[[], float], back: socket.socket, sockets: list[socket.socket]
    ) -> None:
        self._reactor, self._present, self._back, self._sockets = reactor, present, back, sockets
        self._withheld = deque[tuple[float, str, str, str]](maxlen=MOST_WITHHELD)
        self._forwarding = Forwarding(reactor, present, None, self._note, self._hand_back)
        self._hearing = Hearing()
        self._server: _Server | None = None
        self._ports: list[Any] = []
        self._numbers: dict[DnsDatagrams, int] = {}
        self.number = self.unreturned = 0

    def hear(self, news: tuple[Any, ...]) -> bool:
        """The gateway has told something; whether other rules are in force now.

        Raises:
            PlatformError: The certificates that the rules name can not be used any more.
        """
        if news[0] == BEGIN:
            self.rest()
        rules = self._hearing.hear(news)
        if rules is None:
            return False
        self._follow(rules)
        return True

    def _follow(self, rules: Rules) -> None:
        settings, table = rules.settings, compile_table(rules.settings.zones, Directory({}, {}))
        files = Files(trust(settings.dns.forward.ca_file), rules.lists)
        self._forwarding.configure(settings, table, files)
        if self._server is None:
            counts = Counts()
            forward, fast = self._forwarding.repeated(counts)
            view = lan_view(settings, table, counts, forward, fast, own=self._hand_back)
            self._server = _Server(view, settings.dns.lan, self._reactor, self._present)
            self._listen(self._server, settings.dns.udp_size + 1)
        else:
            self._server.view.configure(settings, table)
            for port in self._ports:
                port.startReading()
        self.number = rules.number

    def _listen(self, server: ViewServer, longest: int) -> None:
        for number, each in enumerate(self._sockets):
            datagrams = DnsDatagrams(server, self._reactor, UDP_TURN)
            self._numbers[datagrams] = number
            self._ports.append(
                self._reactor.adoptDatagramPort(each.fileno(), each.family, datagrams, maxPacketSize=longest)
            )

    def _hand_back(self, asked: Asked) -> None:
        """Has the gateway answer (a `view.Part`)."""
        assert self._server is not None
        message, to = self._server.last
        to.overlook()
        host, port = asked.asker.address[:2]
        try:
            self._back.send(handed_back(self._numbers[to], host, port, message))
        except BlockingIOError:  # who asks, asks again
            self.unreturned += 1

    def _note(self, now: float, name: bytes, resolver: str, listed: str) -> None:
        self._withheld.append((now, name.hex(), resolver, listed[:MOST_CALLED]))

    def rest(self) -> bool:
        """Read nothing; whether nobody waits for an answer."""
        for port in self._ports:
            port.stopReading()
        return not self._forwarding.outstanding

    def report(self) -> dict[str, Any]:
        """What the gateway is told."""
        lan = {} if self._server is None else {"lan": self._server.counts()}
        counts = {**lan, **self._forwarding.counts()}
        own = {"number": self.number, "unreturned": self.unreturned, "withheld": [*self._withheld]}
        return {**own, "counts": counts}


class _Server(ViewServer):
    """The LAN's side, by UDP; knows which message is being answered.

    Attributes:
        last: It, and the socket that it came to.
    """

    last: tuple[bytes, DnsDatagrams]

    def receive(self, message: bytes, to: DnsDatagrams | DnsStream, asker: Asker, refused: Reason | None) -> None:
        """As `ViewServer.receive`."""
        assert isinstance(to, DnsDatagrams)
        self.last = message, to
        super().receive(message, to, asker, refused)


@implementer(IPushProducer, ILogObserver)
class Gateway(Protocol):
    """The pipes to the gateway and from there; ends with them.

    Args:
        apart: Who is told, and tells.
        reactor: The reactor.

    Attributes:
        why: What it could not go by.
    """

    def __init__(self, apart: Apart, reactor: Any) -> None:
        self._apart, self._reactor = apart, reactor
        self._frames, self._reporting = Frames(), LoopingCall(self._report)
        self._listens, self._said = True, (0, "")
        self._reporting.clock = reactor
        self.why = ""

    def __call__(self, event: Any) -> None:
        """Something is to be logged: what is wrong, the gateway logs."""
        if event["log_level"] >= LogLevel.error:
            text = eventAsText(event, includeTimestamp=False, includeSystem=False).strip()
            self._said = self._said[0] + 1, text[-MOST_SAID:]

    def connectionMade(self) -> None:
        """The gateway is there."""
        self.transport.registerProducer(self, True)  # type: ignore[union-attr]  # it is there
        self._reporting.start(REPORT, now=False)

    def dataReceived(self, data: bytes) -> None:
        """It has told something; what we can not go by ends us."""
        try:
            for [news] in self._frames.take(data):
                if self._apart.hear(pickle.loads(news)):  # noqa: S301 - the gateway's own
                    collecting.settle()
                    self._report()
        except RealmGatewayError as error:
            self.why = str(error)
            self._reactor.stop()

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]  # Twisted's has a default
        """The gateway wants it, or is gone: those who wait have their answers, if these come soon."""
        del reason
        self._reporting.stop()
        if not self.why:
            self._finish(self._reactor.seconds() + GRACE)

    def _finish(self, end: float) -> None:
        if self._apart.rest() or self._reactor.seconds() >= end:
            self._reactor.stop()
        else:
            self._reactor.callLater(MOMENT, self._finish, end)

    def _report(self) -> None:
        if self._listens:
            said = dumps({**self._apart.report(), "said": self._said})
            self.transport.write(said.encode() + b"\n")  # type: ignore[union-attr]  # it is there

    def pauseProducing(self) -> None:
        """The gateway has not read the last reports yet."""
        self._listens = False

    def resumeProducing(self) -> None:
        """It has."""
        self._listens = True

    def stopProducing(self) -> None:
        """It never will."""
        self._listens = False


def main() -> None:
    """The process: how many sockets there are is the first that the gateway tells, the rules are next."""
    reactor = the_reactor()
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)  # the gateway, which gets them as well, says when it is over
    with suppress(OSError):
        os.nice(5)
    back = socket.socket(fileno=BACK)
    back.setblocking(False)
    back.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, ROOM)
    sockets = [socket.socket(fileno=FIRST + number) for number in range(sum(os.read(0, 1)))]
    gateway = Gateway(Apart(reactor, time.monotonic, back, sockets), reactor)
    globalLogPublisher.addObserver(gateway)
    StandardIO(gateway, reactor=reactor)  # type: ignore[no-untyped-call]  # Twisted does not say
    reactor.run(installSignalHandlers=False)
    if gateway.why:
        raise SystemExit(gateway.why)
