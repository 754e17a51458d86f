"""Packet sockets at interfaces: what is sent and received there, with the kernel's time.

The kernel keeps what is not taken in time, up to a bound, and counts what finds no room: it waits for nobody.

Edge: packet sockets.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import suppress

import attrs

from realmgw.datapath.capture import pcapng
from realmgw.datapath.netlink.client import attach
from realmgw.errors import PlatformError, RealmGatewayError

LONGEST = 1 << 18  # octets
"""So many octets of a packet are kept; one that an interface takes apart only later has 64 KiB."""
BUFFER = 1 << 23  # octets
"""So much may wait to be taken, at each interface."""
_AT_ONCE = 256
_EVERYTHING = 0x0003  # linux/if_ether.h: ETH_P_ALL
_SOL_PACKET, _STATISTICS, _FIGURES = 263, 6, struct.Struct("=II")
_SO_RCVBUFFORCE, _SO_TIMESTAMPNS = 33, 35
_TIME = struct.Struct("@ll")
_ETHERNET, _LOOPBACK = 1, 772  # linux/if_arp.h


@attrs.frozen
class Frame:
    """A packet as an interface has it."""

    time: int
    """In nanoseconds since 1970."""
    interface: int
    """Its number."""
    octets: bytes
    """What was kept of it."""
    length: int
    """How long it was."""


class Interface:
    """Packets of an interface.

    Args:
        number: What frames call it.
        name: Its name.
        program: A filter, see `realmgw.datapath.capture.frames.lets_through`.

    Attributes:
        name: Its name.
        link: What its frames begin with, as `pcapng` has it.
        received: How many packets the filter has let through, as far as the kernel was asked.
        dropped: How many of them have found no room.

    Raises:
        PlatformError: We may not.
        RealmGatewayError: There is no such interface here, or the kernel refuses for another reason.
    """

    def __init__(self, number: int, name: str, program: bytes) -> None:
        self._number = number
        self._buffer = bytearray(LONGEST)
        self.name = name
        self.received = self.dropped = 0
        try:
            self.link, self._channel = _opened(name, program)
        except PermissionError as error:
            raise PlatformError("CAP_NET_RAW is missing: whoever captures packets has to be root") from error
        except OSError as error:
            why = error.strerror or error
            raise RealmGatewayError(f"{name}: {why}: capture in the gateway's own network namespace") from error

    def fileno(self) -> int:
        """To be waited for."""
        return self._channel.fileno()

    def read(self) -> Iterator[Frame]:
        """What is there, up to a bound. Nothing of an interface that has gone down."""
        for _ in range(_AT_ONCE):
            try:
                length, told, _, _ = self._channel.recvmsg_into([self._buffer], 64, socket.MSG_TRUNC)
            except OSError:  # there is no more, or the interface went down
                return
            for level, kind, value in told:
                if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS):
                    seconds, rest = _TIME.unpack_from(value)
                    yield Frame(seconds * 10**9 + rest, self._number, bytes(self._buffer[:length]), length)

    def look(self) -> None:
        """Ask the kernel what it has counted."""
        received, dropped = _FIGURES.unpack(self._channel.getsockopt(_SOL_PACKET, _STATISTICS, _FIGURES.size))
        self.received += received
        self.dropped += dropped

    def close(self) -> None:
        """Capture no more."""
        self._channel.close()


def _opened(name: str, program: bytes) -> tuple[int, socket.socket]:
    """What an interface's frames begin with, and where they are read; of what is no Ethernet, packets without it."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as asked:
        asked.bind((name, 0))
        is_ethernet = asked.getsockname()[3] in (_ETHERNET, _LOOPBACK)
    kind = socket.SOCK_RAW if is_ethernet else socket.SOCK_DGRAM
    channel = socket.socket(socket.AF_PACKET, kind | socket.SOCK_NONBLOCK, 0)  # it hears nothing before it is bound
    try:
        with suppress(PermissionError):  # then as much as the system lets everybody have
            channel.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, BUFFER)
        channel.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        attach(channel, program)
        channel.bind((name, _EVERYTHING))
    except OSError:
        channel.close()
        raise
    return pcapng.ETHERNET if is_ethernet else pcapng.RAW, channel
