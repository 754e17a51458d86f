"""Netlink's messages and attributes: octets taken apart and put together. Pure; headers are in host byte order."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import attrs

from realmgw.errors import RealmGatewayError

# linux/netlink.h
ERROR, DONE = 2, 3
REQUEST, ACK, DUMP, INTERRUPTED = 0x1, 0x4, 0x300, 0x10
NESTED = 0x8000

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_KIND = 0x3FFF


@attrs.frozen
class Message:
    """A message without its header."""

    kind: int
    """Its type."""
    flags: int
    """Its flags."""
    sequence: int
    """The sequence number of what it answers."""
    port: int
    """Of an event: the netlink port of the socket by which it was caused."""
    body: bytes
    """What follows the header."""


def messages(received: bytes) -> Iterator[Message]:
    """Every message of what one read of a socket gave.

    Raises:
        RealmGatewayError: It is cut off.
    """
    at = 0
    while at + _HEADER.size <= len(received):
        length, kind, flags, sequence, port = _HEADER.unpack_from(received, at)
        if not _HEADER.size <= length <= len(received) - at:
            raise RealmGatewayError(f"netlink: a message says it has {length} octets, {len(received) - at} are there")
        yield Message(kind, flags, sequence, port, received[at + _HEADER.size : at + length])
        at += aligned(length)


def message(kind: int, flags: int, sequence: int, body: bytes) -> bytes:
    """A message to be sent."""
    return _HEADER.pack(_HEADER.size + len(body), kind, flags, sequence, 0) + body


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Type (without its flag bits) and value of each attribute.

    Raises:
        RealmGatewayError: One is cut off.
    """
    at = 0
    while at + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if not _ATTRIBUTE.size <= length <= len(data) - at:
            raise RealmGatewayError(f"netlink: an attribute says it has {length} octets, {len(data) - at} are there")
        yield kind & _KIND, data[at + _ATTRIBUTE.size : at + length]
        at += aligned(length)


def attribute(kind: int, value: bytes) -> bytes:
    """An attribute, padded; its length does not count the padding."""
    length = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(length, kind) + value + bytes(aligned(length) - length)


def text(value: bytes) -> str:
    """A name as the kernel writes it."""
    return value.rstrip(b"\0").decode(errors="replace")


def error_of(body: bytes) -> int:
    """An error message and the end of a dump both begin with a negative error number, or 0; here it is positive."""
    return -int(struct.unpack_from("=i", body)[0]) if len(body) >= 4 else 0


def aligned(length: int) -> int:
    """A length with its padding."""
    return (length + 3) & ~3
