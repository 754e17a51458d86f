"""What a first packet says: addresses, protocol, ports, and whether it may begin a flow at all.

The kernel hands over the first octets of an IP packet (`COPY_RANGE` of them), so the payload is usually shorter than
the packet; only the headers that are read here must be inside. Nothing is trusted: every length is compared with the
others and with what is there, and every sequence of bytes gives a `Packet` or a `Reason`, never an exception.

`parse` decides in two steps. Most packets are flawless IPv4 without options, or IPv6 without extension headers, TCP or
UDP; those are recognized with one `struct` call, and that code can say nothing but yes. Whatever it does not recognize
is looked at by the careful parser, which alone names reasons. So a mistake in the short cut can cost time, but it can
not change a reason.

What may begin a flow, by protocol (everything else is `Reason.NOT_INITIAL`):

========  ==========================================================================================
TCP       of FIN, SYN, RST and ACK only SYN is set; ECE, CWR (RFC 3168), PSH and URG do not matter
UDP       every datagram
SCTP      an INIT chunk (RFC 9260 section 5.1)
ICMP      echo, timestamp, information and address mask requests: what conntrack takes as new
ICMPv6    echo requests; what else conntrack takes as new is nobody else's business (RFC 4890 4.3.5)
others    every packet that has something in it; they have no ports for us
========  ==========================================================================================

The kernel has put fragments together before it hands a packet over, and has dropped those that overlap (RFC 5722). Its
rules have dropped what comes from addresses that nobody sends from; here that is looked at again, since it costs a look
at one octet.

Family: each, as they come.
"""

from __future__ import annotations

import struct

from realmgw.errors import Reason

Packet = tuple[bytes, bytes, int, int, int]
"""A first packet: source, destination (packed, network order, 4 or 16 octets), IP protocol number, source port and
destination port (both 0 for a protocol without ports). A plain tuple, since it is made for every first packet and goes
as it is into the allocator's `admit`. Type, code and flags are not in it: they decide only whether it may begin a
flow."""

COPY_RANGE = 128
"""How many octets of each packet the kernel shall copy: IPv4 with 40 octets of options and the 14 octets of TCP or 13
of SCTP that are read, or IPv6 with 68 octets of extension headers."""

ICMP = 1
TCP = 6
UDP = 17
ICMP_V6 = 58
SCTP = 132

_COMMON = struct.Struct("!xxHxxHxBxx4s4sHHH").unpack_from
"""IPv4 without options, and the first six octets of what follows: for UDP, ports and length."""
_COMMON_MIN = 28  # octets
_COMMON6 = struct.Struct("!xxxxHBx16s16sHHH").unpack_from
"""The same of IPv6 without extension headers."""
_COMMON6_MIN = 48  # octets
_COMMON6_TCP = 54  # octets, up to the flags
_IPV4 = struct.Struct("!HxxHxBxx4s4s")
_IPV6 = struct.Struct("!HBx16s16s")
_IPV4_MORE = 0x2000
_IPV4_OFFSET = 0x1FFF
_IPV4_FRAGMENT = _IPV4_MORE | _IPV4_OFFSET
_IPV6_MORE = 0x0001
_IPV6_OFFSET = 0xFFF8

_TCP_OPENING = 0x17
"""FIN, SYN, RST and ACK, the flags that tell whether a segment opens a connection (RFC 9293 section 3.10.7.2)."""
_TCP_SYN = 0x02
_SCTP_INIT = 1
_SCTP_INIT_MIN = 20  # octets
_ICMP_REQUESTS = {ICMP: frozenset((8, 13, 15, 17)), ICMP_V6: frozenset((128,))}

_HOP_BY_HOP, _ROUTING, _IPV6_FRAGMENT, _AUTHENTICATION, _DESTINATION = 0, 43, 44, 51, 60
_NOTHING = 59
"""No next header: there is nothing behind it (RFC 8200 4.7)."""
_EXTENSIONS = frozenset((_HOP_BY_HOP, _ROUTING, _IPV6_FRAGMENT, _AUTHENTICATION, _DESTINATION))
_SUSPECT = frozenset((0x00, 0xFE, 0xFF))
"""What IPv6 addresses begin with that no forwarded packet can come from; see `_is_nobody`."""
MAX_EXTENSIONS = 8
"""How many IPv6 extension headers a packet may have; RFC 8200 section 4.1 recommends each at most once, one twice."""

_Ports = tuple[int, int]
_NO_PORTS = (0, 0)


def parse(payload: bytes) -> Packet | Reason:
    """Read the headers of a first packet.

    Args:
        payload: The packet from its IP header on; at least its first `COPY_RANGE` octets, if it has as many.

    Returns:
        A `Packet` for what may begin a flow. Else `Reason.TRUNCATED`, `BAD_HEADER`, `FRAGMENT`, `ZERO_PORT` or
        `NOT_INITIAL`; when several apply, the one that shows first in the order of the bytes.
    """
    if len(payload) < _COMMON_MIN or payload[0] != 0x45:
        return _parse_common6(payload)
    total, fragment, protocol, source, destination, sport, dport, length = _COMMON(payload)
    if total < _COMMON_MIN or fragment & _IPV4_FRAGMENT or not (sport and dport):
        return _parse_carefully(payload)
    if protocol == UDP and 8 <= length <= total - 20:
        return source, destination, UDP, sport, dport
    if (
        protocol == TCP
        and len(payload) > 33
        and payload[33] & _TCP_OPENING == _TCP_SYN
        and _tcp_header_fits(payload[32], total - 20)
    ):
        return source, destination, TCP, sport, dport
    return _parse_carefully(payload)


def _parse_common6(payload: bytes) -> Packet | Reason:
    """The same for the other family; what is of neither is looked at carefully."""
    if len(payload) < _COMMON6_MIN or payload[0] & 0xF0 != 0x60:
        return _parse_carefully(payload)
    total, protocol, source, destination, sport, dport, length = _COMMON6(payload)
    if source[0] in _SUSPECT or not (sport and dport):
        return _parse_carefully(payload)
    if protocol == UDP and 8 <= length <= total:
        return source, destination, UDP, sport, dport
    if (
        protocol == TCP
        and len(payload) >= _COMMON6_TCP
        and payload[53] & _TCP_OPENING == _TCP_SYN
        and _tcp_header_fits(payload[52], total)
    ):
        return source, destination, TCP, sport, dport
    return _parse_carefully(payload)


def _tcp_header_fits(offset: int, length: int) -> bool:
    """Whether the data offset, in the upper four bits of its octet, is possible in a segment of that length."""
    return 20 <= (offset >> 4) * 4 <= length


def source_of(payload: bytes) -> bytes | None:
    """The source address, also of a packet that `parse` refuses.

    Returns:
        The packed address, or None if the payload ends before it or is of no known IP version.
    """
    version = payload[0] >> 4 if payload else 0
    if version == 4 and len(payload) >= 20:
        return payload[12:16]
    if version == 6 and len(payload) >= 40:
        return payload[8:24]
    return None


def _parse_carefully(payload: bytes) -> Packet | Reason:
    """Every check, by IP version."""
    if not payload:
        return Reason.TRUNCATED
    version = payload[0] >> 4
    if version == 4:
        return _parse_ipv4(payload)
    if version == 6:
        return _parse_ipv6(payload)
    return Reason.BAD_HEADER


def _parse_ipv4(payload: bytes) -> Packet | Reason:
    """RFC 791 section 3.1."""
    if len(payload) < 20:
        return Reason.TRUNCATED
    start = (payload[0] & 0x0F) * 4
    end, fragment, protocol, source, destination = _IPV4.unpack_from(payload, 2)
    if start < 20 or end < start:
        return Reason.BAD_HEADER
    if len(payload) < start:
        return Reason.TRUNCATED
    if fragment & _IPV4_OFFSET:
        return Reason.FRAGMENT
    ports = _ports(protocol, payload[start:end], end - start, whole=not fragment & _IPV4_MORE)
    return ports if isinstance(ports, Reason) else (source, destination, protocol, *ports)


def _parse_ipv6(payload: bytes) -> Packet | Reason:
    """RFC 8200 section 3. Jumbograms (RFC 2675) do not exist for us: they say that nothing is behind the header."""
    if len(payload) < 40:
        return Reason.TRUNCATED
    length, protocol, source, destination = _IPV6.unpack_from(payload, 4)
    if source[0] in _SUSPECT and _is_nobody(source):
        return Reason.BAD_HEADER
    upper = _skip_extensions(payload[: 40 + length], protocol, 40 + length)
    if isinstance(upper, Reason):
        return upper
    protocol, start, whole = upper
    ports = _ports(protocol, payload[start : 40 + length], 40 + length - start, whole=whole)
    return ports if isinstance(ports, Reason) else (source, destination, protocol, *ports)


def _is_nobody(source: bytes) -> bool:
    """Whether an address is a group's, one of a link (fe80::/10), or one of those that begin with 80 zeros.

    The latter are ::, ::1, ::192.0.2.1 and ::ffff:192.0.2.1 (RFC 4291 2.5).
    """
    return source[0] == 0xFF or (source[0] == 0xFE and source[1] & 0xC0 == 0x80) or not any(source[:10])


def _skip_extensions(packet: bytes, header: int, end: int) -> tuple[int, int, bool] | Reason:
    """Find the upper layer behind at most `MAX_EXTENSIONS` extension headers (RFC 8200 section 4).

    Returns:
        The upper layer's protocol number, where it starts, and whether it is whole (False in a first fragment).
    """
    start, whole, was_fragment = 40, True, False
    for _ in range(MAX_EXTENSIONS + 1):
        if header not in _EXTENSIONS:
            return header, start, whole
        if len(packet) < start + 8:
            return Reason.TRUNCATED
        if header == _HOP_BY_HOP and start != 40:
            return Reason.BAD_HEADER
        if header == _ROUTING and packet[start + 3]:
            return Reason.BAD_HEADER  # to be sent on from here to yet another address (RFC 5095)
        if header == _IPV6_FRAGMENT:
            fragment = packet[start + 2] << 8 | packet[start + 3]
            if was_fragment:
                return Reason.BAD_HEADER
            if fragment & _IPV6_OFFSET:
                return Reason.FRAGMENT
            whole, was_fragment = not fragment & _IPV6_MORE, True
        start, header = start + _extension_length(header, packet[start + 1]), packet[start]
        if start > end:
            return Reason.TRUNCATED
    return Reason.BAD_HEADER


def _extension_length(header: int, value: int) -> int:
    """The length in octets of an extension header whose length field has that value."""
    if header == _IPV6_FRAGMENT:
        return 8
    if header == _AUTHENTICATION:  # RFC 4302 section 2.2 counts in units of four octets
        return (value + 2) * 4
    return (value + 1) * 8


def _ports(protocol: int, segment: bytes, length: int, *, whole: bool) -> _Ports | Reason:
    """Read the transport header.

    Args:
        protocol: IP protocol number.
        segment: What was copied of it.
        length: How long the IP header says it is, in octets; not less than `segment`.
        whole: False in a first fragment: it is only the beginning of what its own length field speaks of.
    """
    if protocol == TCP:
        return _tcp(segment, length)
    if protocol == UDP:
        return _udp(segment, length, whole)
    if protocol == SCTP:
        return _sctp(segment)
    if protocol in _ICMP_REQUESTS:
        return _icmp(segment, _ICMP_REQUESTS[protocol])
    return Reason.NOT_INITIAL if protocol == _NOTHING else _NO_PORTS


def _tcp(segment: bytes, length: int) -> _Ports | Reason:
    """RFC 9293 section 3.1. A header cut by fragmentation is refused: RFC 1858 tells what it is good for."""
    if len(segment) < 14:
        return Reason.TRUNCATED
    ports = segment[0] << 8 | segment[1], segment[2] << 8 | segment[3]
    if not all(ports):
        return Reason.ZERO_PORT
    header_length = (segment[12] >> 4) * 4
    if header_length < 20:
        return Reason.BAD_HEADER
    if header_length > length:
        return Reason.TRUNCATED
    return ports if segment[13] & _TCP_OPENING == _TCP_SYN else Reason.NOT_INITIAL


def _udp(segment: bytes, length: int, whole: bool) -> _Ports | Reason:
    """RFC 768. Its source port 0 means that no answer is wanted; a flow through us always wants one."""
    if len(segment) < 8:
        return Reason.TRUNCATED
    ports = segment[0] << 8 | segment[1], segment[2] << 8 | segment[3]
    if not all(ports):
        return Reason.ZERO_PORT
    claimed = segment[4] << 8 | segment[5]
    if claimed < 8:
        return Reason.BAD_HEADER
    return Reason.TRUNCATED if claimed > length and whole else ports


def _sctp(segment: bytes) -> _Ports | Reason:
    """RFC 9260 section 3: the common header, then the first chunk's type, flags and length."""
    if len(segment) < 16:
        return Reason.TRUNCATED
    ports = segment[0] << 8 | segment[1], segment[2] << 8 | segment[3]
    if not all(ports):
        return Reason.ZERO_PORT
    if segment[12] != _SCTP_INIT:
        return Reason.NOT_INITIAL
    return Reason.BAD_HEADER if segment[14] << 8 | segment[15] < _SCTP_INIT_MIN else ports


def _icmp(segment: bytes, requests: frozenset[int]) -> _Ports | Reason:
    """RFC 792, RFC 4443: type, code, checksum, and four octets that every kind has."""
    if len(segment) < 8:
        return Reason.TRUNCATED
    return _NO_PORTS if segment[0] in requests else Reason.NOT_INITIAL
