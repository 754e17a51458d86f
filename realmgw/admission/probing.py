"""Whether a packet gets through the kernel's queue: one of our own, when somebody wants to know.

It is a datagram from a socket to itself, by 127.0.0.1, with the mark that the kernel's rules give first packets: so it
meets the step that leads to the queue, and no other rule of ours. While it is under way it is looked for among what the
queue has, and let through before the gate sees it: nothing is asked of the allocation, and nothing is counted. The
queue is the same for both families; every machine speaks IPv4 with itself.

Edge: a UDP socket, the reactor's timers.
"""

# mypy: disable-error-code="no-untyped-call"
# (Twisted's protocols have no types.)

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import DatagramProtocol

from realmgw.admission.port import QueuePort
from realmgw.datapath import marks

LENGTH = 16  # octets
"""Of what is in the datagram, which nobody can guess."""
HERE = "127.0.0.1"
_HEADERS = 28  # octets of IPv4 and UDP
_SO_MARK = 36  # asm-generic/socket.h


class QueueProbe:
    """Asks, once at a time.

    Args:
        port: What reads the queue.
        reactor: Has sockets and timers.
        chance: Makes so many random octets.
    """

    def __init__(self, port: QueuePort, reactor: Any, chance: Callable[[int], bytes]) -> None:
        self._port = port
        self._reactor = reactor
        self._chance = chance

    def look(self, patience: float) -> Deferred[list[str]]:
        """Send a packet.

        Args:
            patience: So long it is waited for, in seconds.

        Returns:
            Fires with what is wrong, a line; none: it came through, or others did meanwhile.
        """
        sent = _Sent(self._port, self._reactor, self._chance(LENGTH))
        return sent.go(patience).addCallback(lambda why: [why] if why else [])


class _Sent(DatagramProtocol):
    """A packet that is under way."""

    noisy = False

    def __init__(self, port: QueuePort, reactor: Any, octets: bytes) -> None:
        self._port = port
        self._reactor = reactor
        self._octets = octets
        self._before = port.taken
        self._was_judged = False
        self._listening: Any = None
        self._late: Any = None
        self._told = Deferred[str]()

    def go(self, patience: float) -> Deferred[str]:
        self._late = self._reactor.callLater(patience, self._end, "no packet comes through the packet queue")
        self._port.expect(self._is_it)
        try:
            self._listening = self._reactor.listenUDP(0, self, interface=HERE)
        except Exception as error:  # noqa: BLE001 - whatever keeps us from asking, it is told
            self._end(f"the packet queue can not be asked: {error}")
        return self._told

    def startProtocol(self) -> None:
        """Send it, to where it came from."""
        transport: Any = self.transport
        transport.getHandle().setsockopt(socket.SOL_SOCKET, _SO_MARK, marks.QUEUED)
        transport.write(self._octets, (HERE, transport.getHost().port))

    def datagramReceived(self, data: bytes, addr: object) -> None:  # noqa: ARG002 - it can only be our own
        """It came; whether through the queue, the queue's port has told."""
        if data == self._octets:
            self._end("" if self._was_judged else "packets go past the packet queue")

    def _is_it(self, payload: bytes) -> bool:
        found = payload[_HEADERS:] == self._octets
        self._was_judged = self._was_judged or found
        return found

    def _end(self, why: str) -> None:
        if self._told.called:
            return
        self._port.expect(None)
        if self._late.active():
            self._late.cancel()
        if self._listening is not None:
            self._listening.stopListening()
        others = self._port.taken - self._before - self._was_judged
        self._told.callback("" if others else why)
