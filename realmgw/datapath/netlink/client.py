"""Sockets of netlink, of the network namespace of whichever thread opens them. Edge: netlink sockets."""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Iterable

from realmgw.errors import RealmGatewayError

ROUTE, SOCK_DIAG, NETFILTER = 0, 4, 12
"""Protocols of netlink."""
TIMEOUT = 5.0  # seconds
"""So long an answer is waited for; the kernel gives it at once."""
_SOL_NETLINK, _ADD_MEMBERSHIP, _STRICT_CHECK = 270, 1, 12
_SO_ATTACH_FILTER, _SO_RCVBUFFORCE = 26, 33


def open_socket(
    protocol: int = NETFILTER,
    *,
    timeout: float = TIMEOUT,
    groups: Iterable[int] = (),
    program: bytes = b"",
    buffer: int = 0,
) -> socket.socket:
    """A socket to ask the kernel by, or to hear what it tells.

    Args:
        protocol: Of netlink.
        timeout: How long it is waited, in seconds; 0: never.
        groups: Numbers of the groups whose messages are heard.
        program: A filter, see `attach`; empty: everything is delivered.
        buffer: How much may wait to be read, in octets; 0: as the kernel has it.

    Raises:
        RealmGatewayError: The kernel does not let us, has no such protocol, or there are too many files.
    """
    made = None
    try:
        made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        made.settimeout(timeout)
        if buffer:
            made.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, buffer)
        made.bind((0, 0))
        if program:
            attach(made, program)
        for group in groups:
            made.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, group)
    except OSError as error:
        if made is not None:
            made.close()
        raise RealmGatewayError(f"netlink: {error.strerror or error}") from error
    return made


def attach(channel: socket.socket, program: bytes) -> None:
    """Have the kernel deliver only what a filter lets through (classic BPF, see `realmgw.datapath.netlink.bpf`)."""
    instructions = ctypes.create_string_buffer(program, len(program))
    described = struct.pack("@HP", len(program) // 8, ctypes.addressof(instructions))
    channel.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, described)


def check_strictly(channel: socket.socket) -> None:
    """Have the kernel choose what it lists by what the question says (a full table has a million routes)."""
    channel.setsockopt(_SOL_NETLINK, _STRICT_CHECK, 1)
