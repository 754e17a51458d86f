"""Whether DNS is answered where it is to be: by a question of our own at each address, when somebody wants to know.

It is a query for the SOA of our first zone, by UDP, from the address itself. Who asks is told to the server before,
which answers as it would anybody, and counts nothing. An option of EDNS that nobody has keeps it from the fast path.

Edge: UDP sockets, the reactor's timers.
"""

# mypy: disable-error-code="no-untyped-call"
# (Twisted's protocols have no types.)

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.protocol import DatagramProtocol

from realmgw.dns.codec import names
from realmgw.dns.codec.wire import HEADER, IN, QR, Rcode, Type
from realmgw.dns.counts import Count
from realmgw.dns.server import ViewServer
from realmgw.system.endpoints import Endpoint

_OPTION = 65001  # of those for local use (RFC 6891 section 9)
_SIZE = 1232  # octets
_OPT = struct.Struct("!HHIH")  # TYPE, size, flags, RDLENGTH (RFC 6891 section 6.1.2)


def question(zone: str, octets: bytes) -> bytes:
    """A query for the SOA of a zone, with these octets as ID and in an option.

    Args:
        zone: The zone's name.
        octets: Two, and more.
    """
    option = _OPTION.to_bytes(2, "big") + (len(octets) - 2).to_bytes(2, "big") + octets[2:]
    begin = HEADER.pack(int.from_bytes(octets[:2], "big"), 0, 1, 0, 0, 1)
    asked = names.to_wire(zone) + Type.SOA.to_bytes(2, "big") + IN.to_bytes(2, "big")
    return begin + asked + names.ROOT + _OPT.pack(Type.OPT, _SIZE, 0, len(option)) + option


def is_answer(message: bytes, asked: bytes) -> bool:
    """Whether a message says what was asked for."""
    if len(message) < HEADER.size or message[:2] != asked[:2]:
        return False
    _, flags, _, answers, *_ = HEADER.unpack_from(message)
    return bool(flags & QR and flags & 0xF == Rcode.NOERROR and answers)


class QueryProbe:
    """Asks, once at a time.

    Args:
        servers: Whom.
        zone: Gives the name of a zone of ours.
        reactor: Has sockets and timers.
        chance: Makes so many random octets.
    """

    def __init__(
        self, servers: Iterable[ViewServer], zone: Callable[[], str], reactor: Any, chance: Callable[[int], bytes]
    ) -> None:
        self._servers = tuple(servers)
        self._zone = zone
        self._reactor = reactor
        self._chance = chance

    def look(self, patience: float) -> Deferred[list[str]]:
        """Ask at each address.

        Args:
            patience: So long an answer is waited for, in seconds.

        Returns:
            Fires with what is wrong, a line for each address that nothing is answered at: neither we nor anybody else.
        """
        asked = [
            _Asked(server, endpoint, self._reactor, question(self._zone(), self._chance(10))).go(patience)
            for server in self._servers
            for endpoint in server.limits.listen
        ]
        return gatherResults(asked).addCallback(lambda found: [each for each in found if each])


class _Asked(DatagramProtocol):
    """A query that is under way."""

    noisy = False

    def __init__(self, server: ViewServer, endpoint: Endpoint, reactor: Any, query: bytes) -> None:
        self._server = server
        self._to = str(endpoint.address), endpoint.port
        self._reactor = reactor
        self._query = query
        self._before = _answered(server)
        self._listening: Any = None
        self._late: Any = None
        self._from: tuple[str, int] | None = None
        self._told = Deferred[str]()

    def go(self, patience: float) -> Deferred[str]:
        self._late = self._reactor.callLater(patience, self._end, "is not answered")
        try:
            self._listening = self._reactor.listenUDP(0, self, interface=self._to[0])
        except Exception as error:  # noqa: BLE001 - whatever keeps us from asking, it is told
            self._end(f"can not be asked: {error}")
        return self._told

    def startProtocol(self) -> None:
        """Ask; the server knows who."""
        transport: Any = self.transport
        self._from = self._to[0], transport.getHost().port
        self._server.probed.add(self._from)
        transport.write(self._query, self._to)

    def datagramReceived(self, data: bytes, addr: object) -> None:  # noqa: ARG002 - anybody may say something
        """Whatever it is, only the answer counts."""
        if is_answer(data, self._query):
            self._end("")

    def _end(self, why: str) -> None:
        if self._told.called:
            return
        if self._late.active():
            self._late.cancel()
        if self._from is not None:
            self._server.probed.discard(self._from)
        if self._listening is not None:
            self._listening.stopListening()
        is_wrong = why and _answered(self._server) == self._before
        self._told.callback(f"DNS at {self._to[0]} port {self._to[1]} {why}" if is_wrong else "")


def _answered(server: ViewServer) -> int:
    """How many queries have come to an end."""
    return sum(server.events[: Count.RESPONSE])
