"""Fakes for the tests of where alerts come from, and of what is done."""

# mypy: disable-error-code="no-untyped-call"
# (Twisted's protocols have no types.)

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import CannotListenError, ConnectionDone
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure


class MemoryKernel:
    """A kernel that bans, or refuses."""

    placements = repairs = 0

    def __init__(self) -> None:
        """Nobody is banned."""
        self.banned: list[dict[bytes, float]] = []
        self.refusal: Exception | None = None

    def ban(self, left: Mapping[bytes, float]) -> Deferred[None]:
        """Notes it."""
        self.banned.append(dict(left))
        return succeed(None) if self.refusal is None else fail(self.refusal)


class MemoryHandle:
    """A socket of UDP.

    Attributes:
        room: How large its buffer was made.
        dropped: What had no room in it.
    """

    room = dropped = 0

    def setsockopt(self, _level: int, _option: int, value: int) -> None:
        """It gets what it wants."""
        self.room = value

    def getsockopt(self, _level: int, _option: int, size: int) -> bytes:
        """What `SO_MEMINFO` says."""
        return struct.pack("=9I", *[7] * 8, self.dropped)[:size]


class Reactor(MemoryReactorClock):
    """One that has UDP, and makes the unix sockets that are listened at."""

    udp: Any
    refuses = False

    def __init__(self) -> None:
        super().__init__()
        self.handle = MemoryHandle()

    def listenUDP(self, port: int, protocol: Any, interface: str = "", maxPacketSize: int = 8192) -> Any:
        """Notes the protocol."""
        del maxPacketSize
        if self.refuses:
            raise CannotListenError(interface, port, OSError(98, "in use"))
        self.udp = protocol
        listening = self.listenTCP(port, protocol, interface=interface)
        listening.getHandle = lambda: self.handle
        return listening

    def listenUNIX(
        self, address: str, factory: Any, backlog: int = 50, mode: int = 0o666, wantPID: bool = False
    ) -> Any:
        """The socket is there."""
        Path(address).touch()
        return super().listenUNIX(address, factory, backlog, mode, wantPID)


class Wire(StringTransport):
    """A connection that ends at once when it is to."""

    def __init__(self, protocol: Any) -> None:
        super().__init__()
        self.protocol = protocol
        self.disconnected = False

    def abortConnection(self) -> None:
        """At once."""
        self.disconnected = True
        self.protocol.connectionLost(Failure(ConnectionDone()))
