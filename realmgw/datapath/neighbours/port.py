"""A packet socket on the WAN, in the reactor. Edge: a packet socket in the reactor."""

from __future__ import annotations

import errno
import fcntl
import socket
import struct
from collections.abc import Callable, Collection
from contextlib import suppress
from ipaddress import IPv6Network
from typing import Any

from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from realmgw.datapath.machine.capabilities import NO_RAW
from realmgw.datapath.neighbours import messages
from realmgw.datapath.netlink.client import attach
from realmgw.errors import PlatformError, RealmGatewayError

PER_TURN = 64
"""So many frames are taken in one turn of the reactor."""
BUFFER = 1 << 20  # octets
"""So much may wait to be taken: more than a thousand solicitations; what is beyond it is lost, and counted."""
_FRAME = 2048  # octets
_SOL_PACKET, _ADD_MEMBERSHIP, _ALL_MULTICAST, _STATISTICS = 263, 1, 2, 6
_MEMBERSHIP, _FIGURES = struct.Struct("=iHH8x"), struct.Struct("=II")
_SO_RCVBUFFORCE = 33
_SIOCGIFINDEX, _SIOCGIFFLAGS, _IFF_UP, _IFF_RUNNING = 0x8933, 0x8913, 0x1, 0x40
_REQUEST, _NUMBER, _FLAGS = struct.Struct("=16s24x"), struct.Struct("=16xi"), struct.Struct("=16xH")
_ETHERNET = 1


@implementer(IReadDescriptor)
class NeighbourPort:
    """Hears solicitations, and sends frames.

    While it hears, the interface takes frames to all groups (PACKET_MR_ALLMULTI): each target has a group of its own.

    Args:
        interface: Name of the interface.
        reactor: Where to be read.

    Attributes:
        is_allowed: Whether we may open it, as far as that was tried.
        link: The interface's link-layer address, as it was last looked at.
        lost: How many frames were not taken, or could not be sent.
    """

    def __init__(self, interface: str, reactor: Any) -> None:
        self._interface = interface
        self._reactor = reactor
        self._channel: socket.socket | None = None
        self._index = 0
        self._answer: Callable[[bytes], bytes | None] = lambda _: None
        self.is_allowed = True
        self.link = bytes(messages.LINK)
        self.lost = 0

    def open(self, networks: Collection[IPv6Network], answer: Callable[[bytes], bytes | None]) -> None:
        """Begin to hear solicitations for these prefixes, none: only to send.

        Args:
            networks: They.
            answer: Called with each, gives the frame to be sent, if there is one. It does not raise.

        Raises:
            PlatformError: We may not.
            RealmGatewayError: There is no such interface, or the kernel refuses for another reason.
        """
        self.close()
        self._answer, self.is_allowed = answer, True
        try:
            # It hears nothing before it is bound.
            self._channel = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
            self._bind(self._channel, networks)
        except PermissionError as error:
            self.close()
            self.is_allowed = False
            raise PlatformError(NO_RAW) from error
        except OSError as error:
            self.close()
            raise RealmGatewayError(f"{self._interface}: {error.strerror or error}") from error
        if networks:
            self._reactor.addReader(self)

    def send(self, frame: bytes) -> bool:
        """Send a frame; returns whether it was."""
        if self._channel is None:
            return False
        try:
            self._channel.sendto(frame, (self._interface, 0))  # of the type that stands in it
        except OSError:  # there is no room (ENOBUFS), or the interface is down
            self.lost += 1
            return False
        return True

    def look(self) -> str:
        """See what became of the interface, and count what was lost; returns what keeps it from working, in words."""
        if self._channel is None:
            return "it was not there"
        received = self._channel.getsockopt(_SOL_PACKET, _STATISTICS, _FIGURES.size)
        self.lost += _FIGURES.unpack(received)[1]
        try:
            (index,) = _NUMBER.unpack_from(self._ask(self._channel, _SIOCGIFINDEX))
            (flags,) = _FLAGS.unpack_from(self._ask(self._channel, _SIOCGIFFLAGS))
        except OSError:
            return "it is gone"
        if index != self._index:
            return "it is another one now"
        *_, kind, self.link = self._channel.getsockname()
        if kind != _ETHERNET or len(self.link) != messages.LINK:
            return "it is no Ethernet"
        return "" if flags & _IFF_UP and flags & _IFF_RUNNING else "it is down"

    def close(self) -> None:
        """Let go of the interface."""
        if self._channel is not None:
            self._reactor.removeReader(self)
            self._channel.close()
        self._channel = None

    def fileno(self) -> int:
        """See `IFileDescriptor`."""
        return -1 if self._channel is None else self._channel.fileno()

    def logPrefix(self) -> str:
        return "neighbours"

    def doRead(self) -> None:
        """Take what there is, so many at most. Never raises: that would end all reading."""
        for _ in range(PER_TURN):
            if self._channel is None:
                return
            try:
                frame = self._channel.recv(_FRAME)
            except OSError as error:  # there is no more (EAGAIN), or the interface went down: `look` sees that
                if error.errno != errno.ENETDOWN:
                    return
                continue
            said = self._answer(frame)
            if said is not None:
                self.send(said)

    def connectionLost(self, reason: Failure) -> None:  # noqa: ARG002 - the interface's; the next look finds out
        """The reactor saw an error without data, or it ends: it is opened anew when it is looked at."""
        self.close()

    def _bind(self, channel: socket.socket, networks: Collection[IPv6Network]) -> None:
        with suppress(PermissionError):
            channel.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, BUFFER)
        (self._index,) = _NUMBER.unpack_from(self._ask(channel, _SIOCGIFINDEX))
        if networks:
            attach(channel, messages.program(networks))
            channel.setsockopt(_SOL_PACKET, _ADD_MEMBERSHIP, _MEMBERSHIP.pack(self._index, _ALL_MULTICAST, 0))
        channel.bind((self._interface, messages.IPV6 if networks else 0))
        self.link = channel.getsockname()[4]

    def _ask(self, channel: socket.socket, question: int) -> bytes:
        return fcntl.ioctl(channel.fileno(), question, _REQUEST.pack(self._interface.encode()))
