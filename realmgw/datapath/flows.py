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

from realmgw.datapath import netlink
from realmgw.errors import RealmGatewayError

# linux/netfilter/nfnetlink.h and nfnetlink_conntrack.h
_KIND = struct.Struct("=4xH")  # of the first message
_NEW, _GET, _DELETE = 1 << 8, 1 << 8 | 1, 1 << 8 | 2
_TUPLE_ORIG, _TUPLE_REPLY, _ID = 1, 2, 12
_TUPLE_IP = 1
_IP_SRC = {4: 1, 16: 3}
_IPV4_DST = 2
AF_INET = 2
_FAMILY = {4: AF_INET, 16: 10}
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
    return _message(_GET, netlink.REQUEST | netlink.DUMP, sequence, family, b"")


def families(addresses: Iterable[bytes]) -> frozenset[int]:
    """The families (AF_INET, AF_INET6) that packed addresses are of."""
    return frozenset(_FAMILY[len(address)] for address in addresses)


def sources(addresses: Iterable[bytes]) -> re.Pattern[bytes]:
    """What is found in a listing where one of these packed addresses is the source of a tuple, and hardly elsewhere.

    Most of a listing is of no interest, and is not parsed.
    """
    wanted = (re.escape(netlink.attribute(_IP_SRC[len(address)], address)) for address in addresses)
    return re.compile(b"|".join(wanted), re.DOTALL)


def destinations(networks: Iterable[IPv4Network]) -> re.Pattern[bytes]:
    """What is found in a listing where an address of these prefixes is the destination of a tuple."""
    head = re.escape(netlink.attribute(_IPV4_DST, bytes(4))[:4])
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
    body = netlink.attribute(_TUPLE_ORIG | netlink.NESTED, flow.original) + netlink.attribute(_ID, flow.identity)
    return _message(_DELETE, netlink.REQUEST | netlink.ACK, sequence, flow.family, body)


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
    if _KIND.unpack_from(received)[0] == _NEW and wanted.search(received) is None:
        return False  # what a read gives is flows only, or the end
    for each in netlink.messages(received):
        if each.sequence != sequence:
            continue
        if each.kind in (netlink.ERROR, netlink.DONE):
            error = netlink.error_of(each.body)
            if error:
                raise RealmGatewayError(f"netlink: the kernel refused to list flows (error {error})")
            return True
        if each.kind == _NEW and wanted.search(each.body) is not None:
            into.append(_flow(each.body))
    return False


def acknowledgements(received: bytes) -> Iterator[int]:
    """The error number, or 0, of every acknowledgement in what one read of the socket gave."""
    return (netlink.error_of(each.body) for each in netlink.messages(received) if each.kind == netlink.ERROR)


def _flow(body: bytes) -> Flow:
    fields = dict(netlink.attributes(body[4:]))
    tuples = (fields.get(_TUPLE_ORIG, b""), fields.get(_TUPLE_REPLY, b""))
    sources = (_source(dict(netlink.attributes(each)).get(_TUPLE_IP, b"")) for each in tuples)
    return Flow(body[0], tuples[0], frozenset(filter(None, sources)), fields.get(_ID, b""))


def _source(addresses: bytes) -> bytes | None:
    fields = dict(netlink.attributes(addresses))
    return fields.get(_IP_SRC[4]) or fields.get(_IP_SRC[16])


def _message(kind: int, flags: int, sequence: int, family: int, attributes: bytes) -> bytes:
    return netlink.message(kind, flags, sequence, struct.pack("!BBH", family, 0, 0) + attributes)
