"""Who is at the other end of a unix socket. Edge: sockets."""

from __future__ import annotations

import socket
import struct
from typing import Any

_CREDENTIALS = struct.Struct("=iII")


def peer_of(transport: Any) -> tuple[int, int, int] | None:
    """Process, user and group at the other end of a unix socket (SO_PEERCRED); None where there is none."""
    handle = getattr(transport, "socket", None)
    if not isinstance(handle, socket.socket):
        return None
    pid, uid, gid = _CREDENTIALS.unpack(handle.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return pid, uid, gid


def described(transport: Any) -> str:
    """The process at the other end, for people."""
    peer = peer_of(transport)
    return "somebody" if peer is None else "process {}, user {}, group {}".format(*peer)
