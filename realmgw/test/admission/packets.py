"""Packets for tests, and a second, naive opinion about them.

The builders make what a well-meaning sender sends; every field that a liar would change is an argument. `opinion` reads
a packet field by field, with no thought of speed, and knows nothing of the parser under test.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from realmgw.errors import Reason

CLIENT = bytes((198, 51, 100, 7))
POOL = bytes((192, 0, 2, 1))
CLIENT_V6 = bytes.fromhex("20010db8000000000000000000000007")
POOL_V6 = bytes.fromhex("20010db8000100000000000000000001")


def ipv4(
    protocol: int,
    segment: bytes,
    *,
    options: bytes = b"",
    total: int | None = None,
    fragment: int = 0,
    header_words: int | None = None,
    source: bytes = CLIENT,
    destination: bytes = POOL,
) -> bytes:
    """An IPv4 packet; `fragment` is the whole 16 bit field, `options` are a multiple of four octets."""
    words = 5 + len(options) // 4 if header_words is None else header_words
    length = 20 + len(options) + len(segment) if total is None else total
    head = struct.pack("!BBHHHBBH", 0x40 | words, 0, length, 1, fragment, 64, protocol, 0)
    return head + source + destination + options + segment


def ipv6(next_header: int, rest: bytes, *, length: int | None = None, source: bytes = CLIENT_V6) -> bytes:
    """An IPv6 packet; `rest` begins with its extension headers, if it has any."""
    head = struct.pack("!IHBB", 6 << 28, len(rest) if length is None else length, next_header, 64)
    return head + source + POOL_V6 + rest


def tcp(sport: int = 1025, dport: int = 80, *, flags: int = 0x02, words: int = 5, options: bytes = b"") -> bytes:
    """A TCP segment; `words` is its data offset."""
    return struct.pack("!HHIIBBHHH", sport, dport, 1, 0, words << 4, flags, 65535, 0, 0) + options


def udp(sport: int = 1025, dport: int = 53, data: bytes = b"data", *, length: int | None = None) -> bytes:
    """A UDP datagram."""
    return struct.pack("!HHHH", sport, dport, 8 + len(data) if length is None else length, 0) + data


def sctp(sport: int = 1025, dport: int = 9, *, chunk: int = 1, length: int = 20) -> bytes:
    """An SCTP packet with one chunk of 20 octets, of which `length` is what it says itself."""
    return struct.pack("!HHIIBBH", sport, dport, 0, 0, chunk, 0, length) + bytes(16)


def icmp(kind: int = 8, code: int = 0) -> bytes:
    """An ICMP message of either family."""
    return struct.pack("!BBHHH", kind, code, 0, 1, 1) + bytes(8)


def opinion(packet: bytes) -> tuple[bytes, bytes, int, int, int] | Reason | None:
    """What a naive reader says of a packet: its five fields, a reason, or None for "some reason or other".

    Of IPv6 it knows no extension headers.
    """
    fields = _Fields(packet)
    try:
        if fields.at(0, 1) // 16 == 6:
            fields.at(39, 1)
            fields.end = min(40 + fields.at(4, 2), len(packet))
            return _transport(_Said(fields, 40, fields.at(6, 1), fields.at(4, 2)), (packet[8:24], packet[24:40]))
        header = fields.at(0, 1) % 16 * 4
        if fields.at(0, 1) // 16 != 4 or header < 20 or fields.at(2, 2) < header:
            return None
        fields.at(header - 1, 1)
        if fields.at(6, 2) % 8192 != 0:
            return Reason.FRAGMENT
        fields.end = min(fields.at(2, 2), len(packet))
        addresses = packet[12:16], packet[16:20]
        whole = fields.at(6, 2) & 0x2000 == 0
        return _transport(_Said(fields, header, fields.at(9, 1), fields.at(2, 2) - header, whole), addresses)
    except IndexError:
        return None


class _Fields:
    """Fields of a packet, by offset and width in octets."""

    def __init__(self, packet: bytes) -> None:
        self._packet = packet
        self.end = len(packet)

    def at(self, offset: int, width: int) -> int:
        if offset + width > self.end:
            raise IndexError(offset)
        return int.from_bytes(self._packet[offset : offset + width], "big")


class _Said(NamedTuple):
    """What a header of either family says of what follows it."""

    fields: _Fields
    start: int
    protocol: int
    room: int
    whole: bool = True


def _transport(said: _Said, addresses: tuple[bytes, bytes]) -> tuple[bytes, bytes, int, int, int] | Reason | None:
    fields, start, protocol, room, whole = said
    if protocol in (1, 58):
        fields.at(start + 7, 1)
        requests = (8, 13, 15, 17) if protocol == 1 else (128,)
        return (*addresses, protocol, 0, 0) if fields.at(start, 1) in requests else Reason.NOT_INITIAL
    if protocol not in (6, 17, 132):
        return (*addresses, protocol, 0, 0)
    ports = fields.at(start, 2), fields.at(start + 2, 2)
    fields.at(start + {6: 13, 17: 7, 132: 15}[protocol], 1)
    if 0 in ports:
        return Reason.ZERO_PORT
    if protocol == 17:
        claimed = fields.at(start + 4, 2)
        return None if claimed < 8 or (whole and claimed > room) else (*addresses, 17, *ports)
    if protocol == 132:
        if fields.at(start + 12, 1) != 1:
            return Reason.NOT_INITIAL
        return None if fields.at(start + 14, 2) < 20 else (*addresses, 132, *ports)
    if not 20 <= fields.at(start + 12, 1) // 16 * 4 <= room:
        return None
    syn, others = fields.at(start + 13, 1) & 2, fields.at(start + 13, 1) & (1 | 4 | 16)
    return (*addresses, 6, *ports) if syn and not others else Reason.NOT_INITIAL
