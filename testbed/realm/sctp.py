"""As much of SCTP (RFC 9260) as it takes to set an association up: the kernel here may have no SCTP sockets.

Packets are SCTP only, without the IP header: that is what a raw socket sends.
"""

from __future__ import annotations

import struct

import attrs

PROTOCOL = 132
"""IP protocol number."""
INIT, INIT_ACK, ABORT, COOKIE_ECHO, COOKIE_ACK = 1, 2, 6, 10, 11
"""Chunk types (section 3.2)."""
STATE_COOKIE = 7
"""The parameter of INIT ACK that the peer shall send back (section 3.3.3)."""
WINDOW = 65536  # octets
"""What we offer as receive window; nothing is ever sent into it."""

_HEADER = struct.Struct("!HHI4s")  # source port, destination port, verification tag, checksum
_CHUNK = struct.Struct("!BBH")  # type, flags, length with this header
_INIT = struct.Struct("!IIHHI")  # initiate tag, window, streams out, streams in, initial TSN


@attrs.frozen
class Packet:
    """One SCTP packet with one chunk."""

    source: int
    """Source port."""
    destination: int
    """Destination port."""
    tag: int
    """Verification tag: the receiver's, 0 in an INIT."""
    kind: int
    """Chunk type."""
    value: bytes = b""
    """The chunk's value."""

    def encode(self) -> bytes:
        """The packet on the wire, with its checksum."""
        chunk = _CHUNK.pack(self.kind, 0, _CHUNK.size + len(self.value)) + self.value + bytes(-len(self.value) % 4)
        unsigned = _HEADER.pack(self.source, self.destination, self.tag, bytes(4)) + chunk
        return unsigned[:8] + crc32c(unsigned).to_bytes(4, "little") + unsigned[12:]

    def reply(self, tag: int, kind: int, value: bytes = b"") -> Packet:
        """A packet back to the sender of this one.

        Args:
            tag: The verification tag that he expects.
            kind: Chunk type.
            value: The chunk's value.
        """
        return Packet(self.destination, self.source, tag, kind, value)


def decode(data: bytes) -> Packet | None:
    """The packet with its first chunk.

    Args:
        data: An SCTP packet without IP header.

    Returns:
        None when it is too short, contradicts itself or has a wrong checksum: a receiver drops it in silence
        (section 6.8).
    """
    if len(data) < _HEADER.size + _CHUNK.size:
        return None
    source, destination, tag, checksum = _HEADER.unpack_from(data)
    kind, _, length = _CHUNK.unpack_from(data, _HEADER.size)
    if length < _CHUNK.size or _HEADER.size + length > len(data):
        return None
    if crc32c(data[:8] + bytes(4) + data[12:]).to_bytes(4, "little") != checksum:
        return None
    return Packet(source, destination, tag, kind, data[_HEADER.size + _CHUNK.size : _HEADER.size + length])


def initiation(tag: int, cookie: bytes = b"") -> bytes:
    """The value of an INIT or INIT ACK chunk (sections 3.3.2, 3.3.3), for one stream each way.

    Args:
        tag: The sender's own tag, not 0.
        cookie: The state cookie of an INIT ACK; an INIT has none.
    """
    fixed = _INIT.pack(tag, WINDOW, 1, 1, tag)
    return fixed + struct.pack("!HH", STATE_COOKIE, 4 + len(cookie)) + cookie if cookie else fixed


def initiate_tag(value: bytes) -> int:
    """The sender's own tag in the value of an INIT or INIT ACK, 0 when there is none.

    Args:
        value: The chunk's value.
    """
    return int(_INIT.unpack_from(value)[0]) if len(value) >= _INIT.size else 0


def state_cookie(value: bytes) -> bytes:
    """The state cookie in the value of an INIT ACK, empty when there is none.

    Args:
        value: The chunk's value.
    """
    rest = value[_INIT.size :]
    while len(rest) >= 4:
        kind, length = struct.unpack_from("!HH", rest)
        if kind == STATE_COOKIE:
            return rest[4:length]
        rest = rest[max(4, length + -length % 4) :]
    return b""


def _remainder(octet: int) -> int:
    """CRC of a single octet, by the reflected Castagnoli polynomial (appendix A)."""
    value = octet
    for _ in range(8):
        value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value


_REMAINDERS = tuple(_remainder(octet) for octet in range(256))


def crc32c(data: bytes) -> int:
    """The checksum of SCTP.

    Args:
        data: The packet, with zeroes where the checksum goes.
    """
    value = 0xFFFFFFFF
    for octet in data:
        value = value >> 8 ^ _REMAINDERS[(value ^ octet) & 0xFF]
    return value ^ 0xFFFFFFFF
