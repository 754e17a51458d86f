"""A flow of conntrack as people see it: from where, to where, how it is. Pure: octets to values.

What stands where the kernel always writes it is read there, and by its attributes only what is different: of a listing
most is of no interest (`glance`), and of an alert the flow is wanted at once (`_direction`).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping

import attrs

from realmgw.datapath.netlink import codec
from realmgw.datapath.netlink.codec import Message

Glance = tuple[int, bytes, bytes, bytes, bytes]
"""Protocol; packed source and destination of the first packet before translation; those of the answers, likewise."""

# linux/netfilter/nfnetlink_conntrack.h
_ORIGINAL, _REPLY, _STATUS, _PROTOCOL_INFO, _TIMEOUT, _COUNTED, _COUNTED_REPLY = 1, 2, 3, 4, 7, 9, 10
_ADDRESSES, _PROTOCOL = 1, 2
_SOURCE, _DESTINATION = (1, 3), (2, 4)
_NUMBER, _SPORT, _DPORT = 1, 2, 3
_TCP, _STATE, _PACKETS, _OCTETS = 1, 1, 1, 2
_STATES = (
    "none", "syn_sent", "syn_recv", "established", "fin_wait", "close_wait", "last_ack", "time_wait", "close",
    "syn_sent2",
)  # fmt: skip
# linux/netfilter/nf_conntrack_common.h
_SEEN_REPLY, _ASSURED = 1 << 1, 1 << 2
_BEGIN = struct.pack("=HHH", *(codec.NESTED | kind for kind in (_ORIGINAL, _ADDRESSES, _REPLY)))
_LENGTH = struct.Struct("=H")
_SIZES: Mapping[int, int] = {2: 4, 10: 16}  # by the family (AF_INET, AF_INET6): octets of an address


@attrs.frozen
class Direction:
    """What the packets of one direction carry."""

    source: bytes
    """Packed address."""
    destination: bytes
    """Packed address."""
    protocol: int
    """IP protocol number."""
    sport: int
    """Source port; 0: the protocol has none."""
    dport: int
    """Destination port, likewise."""


@attrs.frozen
class Tracked:
    """A flow, as it was when it was told."""

    original: Direction
    """As its first packet, before translation."""
    reply: Direction
    """As the answers, before they are translated back."""
    state: str
    """Of a TCP connection, as conntrack calls it; empty: it has none."""
    answered: bool
    """Packets were seen in both directions."""
    assured: bool
    """They were for more than a moment."""
    remaining: int
    """When it will be forgotten, unless a packet comes, in seconds."""
    packets: int | None
    """How many there were in both directions; None: conntrack does not count them (net.netfilter.nf_conntrack_acct)."""
    octets: int | None
    """Likewise."""


def glance(body: bytes) -> Glance:
    """What says whether a flow is of interest.

    Args:
        body: Of conntrack's message.

    Raises:
        RealmGatewayError: It is malformed.
    """
    size = _SIZES.get(body[0], 0) if body else 0
    if size and body[6:8] == _BEGIN[:2] and body[10:12] == _BEGIN[2:4]:
        reply = 4 + codec.aligned(_LENGTH.unpack_from(body, 4)[0])
        if body[reply + 2 : reply + 4] == _BEGIN[4:] and len(body) >= reply + 16 + 2 * size:
            there, number, back = 20 + size, 28 + 2 * size, reply + 12 + size
            one, other = body[16 : 16 + size], body[there : there + size]
            return body[number], one, other, body[back - size : back], body[back + 4 : back + 4 + size]
    first, answer = (_direction(codec.find(body[4:], kind)) for kind in (_ORIGINAL, _REPLY))
    return first.protocol, first.source, first.destination, answer.source, answer.destination


def tracked(said: Message) -> Tracked:
    """The flow that a message tells of.

    Raises:
        RealmGatewayError: It is malformed.
    """
    found = codec.fields(said)
    status = codec.number(found.get(_STATUS, b""))
    counted = [found[kind] for kind in (_COUNTED, _COUNTED_REPLY) if kind in found]
    packets, octets = (sum(codec.number(codec.find(each, kind)) for each in counted) for kind in (_PACKETS, _OCTETS))
    state = codec.find(found.get(_PROTOCOL_INFO, b""), _TCP, _STATE)
    return Tracked(
        _direction(found.get(_ORIGINAL, b"")),
        _direction(found.get(_REPLY, b"")),
        _STATES[state[0]] if state and state[0] < len(_STATES) else "",
        bool(status & _SEEN_REPLY),
        bool(status & _ASSURED),
        codec.number(found.get(_TIMEOUT, b"")),
        packets if counted else None,
        octets if counted else None,
    )


def _usual(size: int) -> re.Pattern[bytes]:
    """A tuple of a protocol with ports as the kernel always writes it; with addresses of so many octets."""

    def value(kind: int, length: int) -> bytes:
        whole = codec.attribute(kind, bytes(length))
        return re.escape(whole[:4]) + b"(.{%d})" % length + b"." * (len(whole) - 4 - length)

    def group(kind: int, length: int, *values: bytes) -> bytes:
        return re.escape(codec.nested(kind, bytes(length))[:4]) + b"".join(values)

    source, destination = (value(kinds[size == _SIZES[10]], size) for kinds in (_SOURCE, _DESTINATION))
    ports = value(_NUMBER, 1), value(_SPORT, 2), value(_DPORT, 2)
    whole = group(_ADDRESSES, 2 * size + 8, source, destination) + group(_PROTOCOL, 24, *ports)
    return re.compile(whole, re.DOTALL)


_USUAL = {2 * size + 40: _usual(size).fullmatch for size in _SIZES.values()}


def _direction(data: bytes) -> Direction:
    usual = _USUAL.get(len(data))
    if usual is not None and (found := usual(data)) is not None:
        source, destination, number, sport, dport = found.groups()
        return Direction(source, destination, number[0], codec.number(sport), codec.number(dport))
    addresses, protocol = (dict(codec.attributes(codec.find(data, kind))) for kind in (_ADDRESSES, _PROTOCOL))
    source, destination = (
        next((addresses[kind] for kind in kinds if kind in addresses), b"") for kinds in (_SOURCE, _DESTINATION)
    )
    return Direction(
        source, destination, *(codec.number(protocol.get(kind, b"")) for kind in (_NUMBER, _SPORT, _DPORT))
    )
