"""The control protocol's server: gateways say what is to be answered.

Each request is answered in its turn, as soon as the table has it; the kernel has it with the next transaction, a moment
later. A request that is malformed or refused is answered `0` and counted by its reason, and the next one is read: where
it begins does not depend on what the former said. Who sends and does not read is not read any more until he does.

Edge: connections in the reactor.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.protocols.policies import TimeoutMixin
from twisted.python.failure import Failure
from zope.interface import implementer

from realmgw.synnode.entries import Entries
from realmgw.synproxy.codec import Operation, ProtocolError, Request, RequestReader, response
from realmgw.system.endpoints import plain_address

HALF = 30.0  # seconds
"""How long the rest of a request may take."""
ADOPTED_KEPT = 10.0  # seconds
"""So long after the first gateway has begun anew, what an earlier run has left holds for those who are not back yet."""
REQUESTS = tuple(operation.name.lower() for operation in Operation)

_log = Logger()


class Counts:
    """What happened since the start, by name.

    Attributes:
        requests: Those that were done, by operation.
        refused: Those that were not, by reason.
        connections: What became of connections.
    """

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter(dict.fromkeys(REQUESTS, 0))
        self.refused: Counter[str] = Counter()
        self.connections: Counter[str] = Counter(accepted=0, strangers=0, displaced=0, full=0, half=0)


@implementer(IPushProducer)
class ControlConnection(Protocol, TimeoutMixin):
    """A gateway.

    Args:
        server: What it belongs to.
        peer: The other end's address, as text.
    """

    transport: Any

    def __init__(self, server: ControlServer, peer: str) -> None:
        self.peer = peer
        self._server = server
        self._reader = RequestReader()

    def connectionMade(self) -> None:
        """It has come; a peer that has vanished is noticed by the operating system."""
        self.transport.setTcpKeepAlive(1)
        self.transport.registerProducer(self, True)
        self._server.came(self)

    def dataReceived(self, data: bytes) -> None:
        """Requests, or parts of them."""
        reader, do = self._reader, self._server.do
        reader.receive(data)
        answers = []
        while True:
            try:
                request = reader.next()
                if request is None:
                    break
                answers.append(do(self.peer, request))
            except ProtocolError as error:
                answers.append(self._server.refuse(error.fault.name.lower()))
        self.setTimeout(HALF if reader.pending else None)  # type: ignore[no-untyped-call]  # Twisted does not say
        if answers:
            self.transport.write(b"".join(answers))
            self._server.changed()

    def timeoutConnection(self) -> None:
        """The rest of a request has not come."""
        self.transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """It has gone; what it has said holds on."""
        del reason
        self.setTimeout(None)  # type: ignore[no-untyped-call]  # Twisted does not say
        self._server.went(self, in_half=bool(self._reader.pending))

    def pauseProducing(self) -> None:
        """It does not read what it is answered."""
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        """It does again."""
        self.transport.resumeProducing()

    def stopProducing(self) -> None:
        """It has gone."""


class ControlServer(Factory):
    """Serves gateways.

    Args:
        entries: Their tables.
        changed: Called when there may be something in them that the kernel does not have.
        may_connect: Tells by an address (as text) whether who has it may have something done.
        most: How many may be connected at once. Beyond, one who is connected already loses his oldest connection: he
            may have been restarted; who is not is refused.
        clock: The reactor.

    Attributes:
        counts: What happened.
    """

    noisy = False

    def __init__(
        self,
        entries: Entries,
        changed: Callable[[], object],
        may_connect: Callable[[str], bool],
        most: int,
        clock: IReactorTime,
    ) -> None:
        self._entries, self._clock = entries, clock
        self._forgetting: IDelayedCall | None = None
        self.changed = changed
        self._may_connect = may_connect
        self._most = most
        self._connections: dict[ControlConnection, None] = {}  # in the order in which they came
        self.counts = Counts()

    @property
    def peers(self) -> list[str]:
        """The addresses of those who are connected, in the order in which they came."""
        return [each.peer for each in self._connections]

    def buildProtocol(self, addr: Any) -> ControlConnection | None:
        """A connection; None, by which it is closed, for who may not connect or has no place."""
        peer = str(plain_address(addr.host))
        if not self._may_connect(peer):
            self.counts.connections["strangers"] += 1
            _log.warn("{peer} has connected, and is none of `clients`", peer=peer)
            return None
        if len(self._connections) >= self._most:
            oldest = next((each for each in self._connections if each.peer == peer), None)
            if oldest is None:
                self.counts.connections["full"] += 1
                _log.warn("{peer} has no place: {most} are connected", peer=peer, most=self._most)
                return None
            self.counts.connections["displaced"] += 1
            del self._connections[oldest]
            oldest.transport.abortConnection()
        return ControlConnection(self, peer)

    def do(self, peer: str, request: Request) -> bytes:
        """Do what a gateway asks for, in its own table; returns the response."""
        refusal = self._entries.apply(peer, request)
        if refusal is not None:
            return self.refuse(refusal.value)
        is_anew = request.operation is Operation.FLUSH and not any(request.key.address)
        if is_anew and self._entries.has_adopted and self._forgetting is None:
            self._forgetting = self._clock.callLater(ADOPTED_KEPT, self._forget_adopted)
        self.counts.requests[request.operation.name.lower()] += 1
        return response(True)

    def refuse(self, reason: str) -> bytes:
        """Count a request that is not done; returns the response."""
        self.counts.refused[reason] += 1
        return response(False)

    def came(self, connection: ControlConnection) -> None:
        """Somebody is connected."""
        self._connections[connection] = None
        self.counts.connections["accepted"] += 1
        _log.info("{peer} is connected", peer=connection.peer)

    def went(self, connection: ControlConnection, *, in_half: bool) -> None:
        """Somebody is not any more, perhaps in the middle of a request."""
        self._connections.pop(connection, None)
        self.counts.connections["half"] += in_half
        _log.info("{peer} is gone; what it has said holds on", peer=connection.peer)

    def _forget_adopted(self) -> None:
        self._forgetting = None
        self._entries.forget_adopted()
        self.changed()

    def close(self) -> None:
        """Let go of all."""
        if self._forgetting is not None:
            self._forgetting.cancel()
            self._forgetting = None
        for each in list(self._connections):
            each.transport.abortConnection()
