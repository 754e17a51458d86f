"""What conntrack tells of a flow that has ended, with its counts and times. Pure: octets to values.

The kernel writes the attributes of such a message in the same order always. Where all of them are those of a usual
flow, with ports, counts and times, they are read where they are, in a tenth of the time; else one by one.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from realmgw.datapath.netlink import codec
from realmgw.errors import RealmGatewayError

GROUP = 3
"""NFNLGRP_CONNTRACK_DESTROY, of NETLINK_NETFILTER."""
SEEN_REPLY = 1 << 1
"""Of `Ended.status`: packets were seen in both directions."""
# linux/netfilter/nfnetlink_conntrack.h
DESTROYED = 1 << 8 | 2
"""The message's type."""
_LIST = 1 << 8 | 1
_ORIGINAL, _REPLY, _STATUS, _TIMEOUT, _COUNTED, _COUNTED_REPLY, _ID, _TIMES = 1, 2, 3, 7, 9, 10, 12, 20
_ADDRESSES, _PROTOCOL = 1, 2
_NUMBER, _SPORT, _DPORT = 1, 2, 3
_PACKETS, _OCTETS = _BEGAN, _STOPPED = 1, 2
_AT = 16
"""Where a message begins behind netlink's header."""
_FAMILIES = {2: (4, (1, 2)), 10: (16, (3, 4))}
"""By the family (AF_INET, AF_INET6): the octets of an address, and the attributes of source and destination."""
_DIRECTION = "4x4x4x{0}s4x{0}s4x4xB3x4xH2x4xH2x"
_COUNTS = "4x4xQ4xQ"


class Ended(NamedTuple):
    """A flow that has ended."""

    source: bytes
    """Packed, of its first packet before translation; so are the next five."""
    destination: bytes
    """Packed."""
    protocol: int
    """IP protocol number."""
    sport: int
    """Source port; 0: the protocol has none."""
    dport: int
    """Destination port, likewise."""
    answers_source: bytes
    """Packed, of the answers before these are translated back; so are the next three."""
    answers_destination: bytes
    """Packed."""
    answers_protocol: int
    """As `protocol`."""
    answers_sport: int
    """Source port."""
    answers_dport: int
    """Destination port."""
    status: int
    """See `SEEN_REPLY`."""
    packets: int | None
    """Of the original direction; None: conntrack has not counted them."""
    octets: int | None
    """Likewise, from the network header on."""
    answers_packets: int | None
    """Of the other direction."""
    answers_octets: int | None
    """Likewise."""
    began: int | None
    """In nanoseconds since 1970; None: it was not noted."""
    stopped: int | None
    """Likewise."""


class _Layout:
    """Messages of usual flows of a family: where their values are, and what is between these.

    Args:
        family: AF_INET or AF_INET6.
    """

    def __init__(self, family: int) -> None:
        direction = _DIRECTION.format(_FAMILIES[family][0])
        self.values = struct.Struct(f"!{_AT}x4x{direction}{direction}4x4x4xI4x4x{_COUNTS}{_COUNTS}4x4xQ4xQ")
        least, most = (int.from_bytes(_usual(family, fill), "big") for fill in (b"\0", b"\xff"))
        self.mask = (1 << 8 * (self.values.size - _AT)) - 1 & ~(least ^ most)
        self.between = least & self.mask


def _usual(family: int, fill: bytes) -> bytes:
    """The message of a usual flow whose values are all of one octet."""

    def pair(kind: int) -> bytes:
        return codec.nested(kind, *(codec.attribute(each, fill * 8) for each in (1, 2)))

    size, kinds = _FAMILIES[family]
    addresses = codec.nested(_ADDRESSES, *(codec.attribute(kind, fill * size) for kind in kinds))
    numbers = (codec.attribute(kind, fill * length) for kind, length in ((_NUMBER, 1), (_SPORT, 2), (_DPORT, 2)))
    flow = addresses + codec.nested(_PROTOCOL, *numbers)
    words = (codec.attribute(kind, fill * 4) for kind in (_ID, _STATUS, _TIMEOUT))
    tail = b"".join((*words, pair(_COUNTED), pair(_COUNTED_REPLY), pair(_TIMES)))
    return bytes((family, 0)) + fill * 2 + codec.nested(_ORIGINAL, flow) + codec.nested(_REPLY, flow) + tail


_LAYOUTS = {family: _Layout(family) for family in _FAMILIES}


def listing(sequence: int) -> bytes:
    """The message that asks for all flows that there are; each answer is as `read` takes it.

    Args:
        sequence: What the answers shall carry.
    """
    return codec.netfilter(_LIST, codec.REQUEST | codec.DUMP, sequence, 0)


def parse(received: bytes) -> Ended:
    """Read a message.

    Args:
        received: One message, as the kernel tells of one flow by each.

    Raises:
        RealmGatewayError: It is malformed, or tells of something else.
    """
    layout = _LAYOUTS.get(received[_AT]) if len(received) > _AT else None
    if layout is not None and len(received) >= layout.values.size:
        head = int.from_bytes(received[_AT : layout.values.size], "big")
        if head & layout.mask == layout.between:
            return Ended._make(layout.values.unpack_from(received))
    said = next(codec.messages(received), None)
    if said is None:
        raise RealmGatewayError("netlink: conntrack tells nothing")
    return read(said)


def read(said: codec.Message) -> Ended:
    """The same, attribute by attribute, of a message of conntrack about any flow, one that lasts for example.

    Raises:
        RealmGatewayError: It is malformed.
    """
    found = codec.fields(said)
    if _ORIGINAL not in found or _REPLY not in found:
        raise RealmGatewayError("netlink: conntrack tells of no flow")
    original, reply = (_direction(found[kind]) for kind in (_ORIGINAL, _REPLY))
    counts = (_number(found.get(kind, b""), each) for kind in (_COUNTED, _COUNTED_REPLY) for each in (1, 2))
    times = (_number(found.get(_TIMES, b""), each) for each in (_BEGAN, _STOPPED))
    return Ended(*original, *reply, codec.number(found.get(_STATUS, b"")), *counts, *times)


def _number(data: bytes, kind: int) -> int | None:
    value = codec.find(data, kind)
    return codec.number(value) if value else None


def _direction(data: bytes) -> tuple[bytes, bytes, int, int, int]:
    addresses, numbers = (dict(codec.attributes(codec.find(data, kind))) for kind in (_ADDRESSES, _PROTOCOL))
    for _, (one, other) in _FAMILIES.values():
        if one in addresses and other in addresses:
            protocol, sport, dport = (codec.number(numbers.get(kind, b"")) for kind in (_NUMBER, _SPORT, _DPORT))
            return addresses[one], addresses[other], protocol, sport, dport
    raise RealmGatewayError("netlink: conntrack tells of a flow without addresses")
