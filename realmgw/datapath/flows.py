"""Conntrack's netlink messages: which flows an address has, and the end of one. Pure: values to octets and back.

A flow has two tuples, one for each direction; after translation a private address stands in one of them only. So all
flows of a host are those with its address as the source of either tuple: what it began itself, and what was admitted to
it.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network

import attrs

from realmgw.errors import RealmGatewayError

# linux/netlink.h, linux/netfilter/nfnetlink.h and nfnetlink_conntrack.h. Netlink is in host order.
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_NESTED = 0x8000
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_REQUEST, _ACK, _DUMP = 0x1, 0x4, 0x300
_NEW, _GET, _DELETE = 1 << 8, 1 << 8 | 1, 1 << 8 | 2
_TUPLE_ORIG, _TUPLE_REPLY, _ID = 1, 2, 12
_TUPLE_IP = 1
_IP_SRC = {4: 1, 16: 3}
_IPV4_DST = 2
_FAMILY = {4: 2, 16: 10}
ENOENT = 2
"""The flow ended by itself meanwhile."""


@attrs.frozen
class Flow:
    """An entry of conntrack."""

    family: int
    """AF_INET or AF_INET6."""
    original: bytes
    """The tuple of the original direction, as the kernel wrote it: what selects the entry."""
    sources: frozenset[bytes]
    """Packed source addresses of both tuples."""
    identity: bytes
    """The entry's own number, as the kernel wrote it: another flow with that tuple is another entry."""


def listing(sequence: int, family: int) -> bytes:
    """The message that asks for all flows of a family.

    The kernel could choose those of an address, but it would look for them with its softirqs shut off for all of the
    table, and packets would wait meanwhile; listing all of them is done in small portions.

    Args:
        sequence: What the answers shall carry.
        family: AF_INET or AF_INET6.
    """
    return _message(_GET, _REQUEST | _DUMP, sequence, family, b"")


def families(addresses: Iterable[bytes]) -> frozenset[int]:
    """The families (AF_INET, AF_INET6) that packed addresses are of."""
    return frozenset(_FAMILY[len(address)] for address in addresses)


def sources(addresses: Iterable[bytes]) -> re.Pattern[bytes]:
    """What is found in a listing where one of these packed addresses is the source of a tuple, and hardly elsewhere.

    Most of a listing is of no interest, and is not parsed.
    """
    wanted = (re.escape(_attribute(_IP_SRC[len(address)], address)) for address in addresses)
    return re.compile(b"|".join(wanted), re.DOTALL)


def destinations(networks: Iterable[IPv4Network]) -> re.Pattern[bytes]:
    """What is found in a listing where an address of these prefixes is the destination of a tuple."""
    head = re.escape(_ATTRIBUTE.pack(_ATTRIBUTE.size + 4, _IPV4_DST))
    return re.compile(b"|".join(head + _within(network) for network in networks), re.DOTALL)


def _within(network: IPv4Network) -> bytes:
    """A pattern of the packed addresses of a prefix: what is fixed, a range of the octet that is in part, the rest."""
    first, last = network.network_address.packed, network.broadcast_address.packed
    return b"".join(
        re.escape(bytes([low])) if low == high else b"[%s-%s]" % (re.escape(bytes([low])), re.escape(bytes([high])))
        for low, high in zip(first, last, strict=True)
    )


def deletion(sequence: int, flow: Flow) -> bytes:
    """The message that ends a flow, and asks for an acknowledgement."""
    body = _attribute(_TUPLE_ORIG | _NESTED, flow.original) + _attribute(_ID, flow.identity)
    return _message(_DELETE, _REQUEST | _ACK, sequence, flow.family, body)


def parse(received: bytes, sequence: int, wanted: re.Pattern[bytes], into: list[Flow]) -> bool:
    """Take in what one read of the socket gave.

    Args:
        received: One or more whole netlink messages.
        sequence: What the request carried; answers to others are passed over.
        wanted: From `sources`; what it finds nothing in is passed over.
        into: Flows are added to it: those that are wanted, and some more.

    Returns:
        Whether the answer is complete.

    Raises:
        RealmGatewayError: The kernel refused; the text tells the error number.
    """
    if _HEADER.unpack_from(received)[1] == _NEW and wanted.search(received) is None:
        return False  # what a read gives is flows only, or the end
    for kind, number, body in _messages(received):
        if number != sequence:
            continue
        if kind in (_NLMSG_ERROR, _NLMSG_DONE):
            error = error_of(body)
            if error:
                raise RealmGatewayError(f"netlink: the kernel refused to list flows (error {error})")
            return True
        if kind == _NEW and wanted.search(body) is not None:
            into.append(_flow(body))
    return False


def acknowledgements(received: bytes) -> Iterator[int]:
    """The error number, or 0, of every acknowledgement in what one read of the socket gave."""
    return (error_of(body) for kind, _, body in _messages(received) if kind == _NLMSG_ERROR)


def error_of(body: bytes) -> int:
    """An error message and the end of a dump both begin with a negative error number, or 0."""
    return -struct.unpack_from("=i", body)[0] if len(body) >= 4 else 0


def _messages(received: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Type, sequence number and body of each message."""
    at = 0
    while at + _HEADER.size <= len(received):
        length, kind, _, number, _ = _HEADER.unpack_from(received, at)
        if not _HEADER.size <= length <= len(received) - at:
            raise RealmGatewayError(f"netlink: a message says it has {length} octets, {len(received) - at} are there")
        yield kind, number, received[at + _HEADER.size : at + length]
        at += (length + 3) & ~3


def _flow(body: bytes) -> Flow:
    fields = dict(_attributes(body[4:]))
    tuples = (fields.get(_TUPLE_ORIG, b""), fields.get(_TUPLE_REPLY, b""))
    sources = (_source(dict(_attributes(each)).get(_TUPLE_IP, b"")) for each in tuples)
    return Flow(body[0], tuples[0], frozenset(filter(None, sources)), fields.get(_ID, b""))


def _source(addresses: bytes) -> bytes | None:
    fields = dict(_attributes(addresses))
    return fields.get(_IP_SRC[4]) or fields.get(_IP_SRC[16])


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Type (without its flag bits) and value of each attribute."""
    at = 0
    while at + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if not _ATTRIBUTE.size <= length <= len(data) - at:
            raise RealmGatewayError(f"netlink: an attribute says it has {length} octets, {len(data) - at} are there")
        yield kind & 0x3FFF, data[at + _ATTRIBUTE.size : at + length]
        at += (length + 3) & ~3


def _attribute(kind: int, value: bytes) -> bytes:
    length = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(length, kind) + value + bytes(-length % 4)


def _message(kind: int, flags: int, sequence: int, family: int, attributes: bytes) -> bytes:
    body = struct.pack("!BBH", family, 0, 0) + attributes
    return _HEADER.pack(_HEADER.size + len(body), kind, flags, sequence, 0) + body
