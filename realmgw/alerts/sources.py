"""Where alerts come from: a unix socket, UDP, or a file. Each hands over whole lines. Edge: the reactor, files."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterable
from errno import EINVAL
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, gatherResults, inlineCallbacks, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import DatagramProtocol, Factory, Protocol, connectionDone
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

from realmgw.alerts.follower import Follower
from realmgw.alerts.lines import LONGEST, LineCounts, Lines
from realmgw.config.addresses import Inside
from realmgw.config.alerts import Alerts
from realmgw.config.settings import Network
from realmgw.config.steps import Blocking
from realmgw.errors import PlatformError
from realmgw.system.buffers import dropped, enlarge
from realmgw.system.endpoints import Endpoint
from realmgw.system.port import HeldSocket, refusal

CONNECTIONS = 16
"""So many may write to the socket at once."""
ROOM = 8 << 20  # octets
"""So much of datagrams waits in the kernel: thousands of alerts."""
LOOK = 0.1  # seconds
"""How often a file is looked at."""
WHERE = "alerts.file"

Take = Callable[[Collection[bytes]], object]
"""Takes lines."""


class _Writing(Protocol):
    """Somebody who writes."""

    factory: _Written

    def connectionMade(self) -> None:
        self._lines = Lines(self.factory.counts)
        self.factory.connections.append(self)

    def dataReceived(self, data: bytes) -> None:
        self.factory.take(self._lines.take(data))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        del reason
        self._lines.end()
        self.factory.connections.remove(self)


class _Written(Factory):
    """What is written to: `CONNECTIONS` at once; for one more, the oldest goes.

    Attributes:
        connections: Those who write.
        closed: How many had to go.
    """

    noisy = False

    def __init__(self, take: Take, counts: LineCounts) -> None:
        self.take, self.counts = take, counts
        self.connections: list[_Writing] = []
        self.closed = 0

    def buildProtocol(self, addr: Any) -> Protocol | None:
        if len(self.connections) >= CONNECTIONS:
            self.closed += 1
            _transport(self.connections[0]).abortConnection()
        del addr
        made = _Writing()
        made.factory = self
        return made

    def disconnect(self) -> None:
        """Nobody writes any more."""
        for each in tuple(self.connections):
            _transport(each).abortConnection()


def _transport(protocol: Protocol) -> Any:
    return protocol.transport


class _Datagrams(DatagramProtocol):
    """Alerts by UDP: whole lines in each datagram.

    Attributes:
        refused: Datagrams of others than those who may send.
    """

    noisy = False

    def __init__(self, take: Take, counts: LineCounts) -> None:
        self._take, self._counts = take, counts
        self._known: dict[str, bool] = {}
        self._senders = Inside()
        self.refused = 0

    def configure(self, senders: Iterable[Network]) -> None:
        """From now on, take those of these."""
        self._senders, self._known = Inside(), {}
        for number, network in enumerate(senders):
            self._senders.add(number, network)

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        """One has come."""
        host = addr[0]
        if host not in self._known:
            if len(self._known) >= CONNECTIONS:
                self._known.clear()
            self._known[host] = any(True for _ in self._senders.having(ip_address(host.partition("%")[0])))
        if not self._known[host]:
            self.refused += 1
            return
        lines = Lines(self._counts)
        self._take(lines.take(datagram if datagram.endswith(b"\n") else datagram + b"\n"))


class _Followed:
    """A file that is looked at again and again; while its disk does not answer, nobody waits but the one who looks.

    Args:
        follower: Reads it.
        take: Takes lines.
        has_room: Whether they can be taken now; else they stay in the file.
        counts: Where lines that are none are counted.
        elsewhere: Makes a call that may block.
        clock: The reactor.

    Attributes:
        problem: Why it can not be read; empty: it can.
    """

    def __init__(
        self,
        follower: Follower,
        take: Take,
        has_room: Callable[[], bool],
        counts: LineCounts,
        elsewhere: Callable[[Blocking], Deferred[Any]],
        clock: Any,
    ) -> None:
        self._follower, self._take, self._has_room, self._elsewhere = follower, take, has_room, elsewhere
        self._lines = Lines(counts)
        self._looking = LoopingCall(self._look)
        self._looking.clock = clock
        self.problem = ""

    def start(self) -> None:
        """Begin; what is in the file already is old."""
        self._looking.start(LOOK)

    def stop(self) -> None:
        """End."""
        if self._looking.running:
            self._looking.stop()
        closing = Blocking(WHERE, self._follower.close)  # where it is read, so that nobody reads meanwhile
        self._elsewhere(closing).addErrback(lambda _: None)  # the disk does not answer: the process's end closes it

    @inlineCallbacks
    def _look(self) -> Generator[Deferred[Any], Any, None]:
        try:
            has_more = True
            while has_more and self._looking.running and self._has_room():
                has_more = yield self._elsewhere(Blocking(WHERE, self._follower.read))
                self._hand_over()
            self.problem = ""
        except (OSError, PlatformError) as error:
            self.problem = f"alerts.file: {error}"
        self._hand_over()

    def _hand_over(self) -> None:
        for data in self._follower.take():
            if data is None:
                self._lines.end()
            else:
                self._take(self._lines.take(data))


class Sources:
    """All that are configured.

    Args:
        settings: Which.
        take: Takes lines.
        has_room: Whether they can be taken now, where they can wait elsewhere.
        reactor: Twisted's.
        elsewhere: Makes a call that may block, where it holds up nobody.
        group_of: The number of a group of users; raises `PlatformError` if there is none.

    Attributes:
        counts: What became of what is no line.
    """

    def __init__(
        self,
        settings: Alerts,
        take: Take,
        has_room: Callable[[], bool],
        reactor: Any,
        elsewhere: Callable[[Blocking], Deferred[Any]],
        group_of: Callable[[str], int],
    ) -> None:
        self._settings, self._reactor, self._group_of = settings, reactor, group_of
        self.counts = LineCounts()
        self._written, self._datagrams = _Written(take, self.counts), _Datagrams(take, self.counts)
        self._datagrams.configure(settings.senders)
        path, file = settings.socket, settings.file
        self._socket = None if path is None else HeldSocket(Path(path), "alerts.socket:")
        self._port: Any = None
        self._followed = None
        if file is not None:
            self._followed = _Followed(Follower(Path(file)), take, has_room, self.counts, elsewhere, reactor)

    def configure(self, settings: Alerts) -> None:
        """From now on, take those of these senders; where they come from is the same."""
        self._datagrams.configure(settings.senders)

    def start(self) -> None:
        """Begin.

        Raises:
            PlatformError: It can not be listened there; what has begun is to be stopped.
        """
        group, udp = self._settings.group, self._settings.udp
        if self._socket is not None:
            self._socket.listen(self._reactor, self._written, -1 if group is None else self._group_of(group))
        if udp is not None:
            self._port = self._listen(udp)
        if self._followed is not None:
            self._followed.start()

    def stop(self) -> Deferred[Any]:
        """End; fires when all sockets are closed."""
        if self._followed is not None:
            self._followed.stop()
        port, self._port = self._port, None
        self._written.disconnect()
        stops = [] if port is None else [port.stopListening]
        stops += [] if self._socket is None else [self._socket.stop]
        return gatherResults([maybeDeferred(stop) for stop in stops], consumeErrors=True)

    def problems(self) -> list[str]:
        """What is wrong with them now."""
        return [self._followed.problem] if self._followed is not None and self._followed.problem else []

    @property
    def datagrams_lost(self) -> int:
        """How many datagrams the kernel had no room for, since it is listened."""
        return 0 if self._port is None else dropped(self._port.getHandle())

    def numbers(self) -> dict[str, int]:
        """What was counted."""
        return {
            "too_long": self.counts.too_long, "cut": self.counts.cut, "connections": len(self._written.connections),
            "connections_closed": self._written.closed, "senders_refused": self._datagrams.refused,
            "datagrams_lost": self.datagrams_lost,
        }  # fmt: skip

    def _listen(self, endpoint: Endpoint) -> Any:
        try:
            port = self._reactor.listenUDP(
                endpoint.port, self._datagrams, interface=str(endpoint.address), maxPacketSize=LONGEST
            )
        except CannotListenError as error:
            number = error.socketError.errno or EINVAL
            raise PlatformError(refusal("UDP", endpoint, number, "alerts")) from error
        enlarge(port.getHandle(), ROOM)
        return port
