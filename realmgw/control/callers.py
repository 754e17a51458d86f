"""Who is at the other end of a unix socket. Edge: sockets."""

from __future__ import annotations

import socket
from typing import Any

from realmgw.system.unix_http import credentials


def peer_of(transport: Any) -> tuple[int, int, int] | None:
    """Process, user and group at the other end of a unix socket (SO_PEERCRED); None where there is none."""
    handle = getattr(transport, "socket", None)
    return credentials(handle) if isinstance(handle, socket.socket) else None


def described(transport: Any) -> str:
    """The process at the other end, for people."""
    peer = peer_of(transport)
    return "somebody" if peer is None else "process {}, user {}, group {}".format(*peer)
