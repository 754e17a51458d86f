"""What waits in the kernel until a socket is read: how much may, and how much has found no room. Edge: sockets."""

from __future__ import annotations

import socket
import struct

# The socket module has no names for these (asm-generic/socket.h, linux/sock_diag.h).
_SO_RCVBUFFORCE, _SO_MEMINFO, _MEMINFO = 33, 55, struct.Struct("=9I")


def enlarge(handle: socket.socket, octets: int) -> None:
    """Enlarges a receive buffer beyond net.core.rmem_max if we may (CAP_NET_ADMIN), else up to it."""
    try:
        handle.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, octets)
    except PermissionError:
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, octets)


def dropped(handle: socket.socket) -> int:
    """How many messages or datagrams have found no room in it since it was made; begins anew after 2**32."""
    number: int = _MEMINFO.unpack(handle.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size))[-1]
    return number
