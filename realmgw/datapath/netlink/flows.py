"""Conntrack's netlink messages: which flows an address has, and the end of one. Pure: values to octets and back.

A flow has two tuples, one for each direction; after translation a private address stands in one of them only. So all
flows of a host are those with its address as the source of either tuple: what it began itself, and what was admitted to
it.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterable, Iterator

import attrs

from realmgw.config.protocols import SCTP, TCP
from realmgw.config.settings import Network
from realmgw.datapath.netlink import codec
from realmgw.datapath.netlink.codec import Message

# linux/netfilter/nfnetlink.h and nfnetlink_conntrack.h
_NEW, _GET, _DELETE = 1 << 8, 1 << 8 | 1, 1 << 8 | 2
_TUPLE_ORIG, _TUPLE_REPLY, _ID = 1, 2, 12
_STATUS, _PROTOCOL_INFO, _TIMEOUT = 3, 4, 7
_TUPLE_IP, _TUPLE_PROTOCOL = 1, 2
_IP_SRC = {4: 1, 16: 3}
_IP_DST = {4: 2, 16: 4}
_PROTOCOL_NUMBER = 1  # then come source and destination port
AF_INET = 2
_FAMILY = {4: AF_INET, 16: 10}
_INFO_TCP, _TCP_STATE, _CLOSED = 1, 1, b"\x08"
# linux/netfilter/nf_conntrack_common.h
_SEEN_REPLY, _ASSURED = 1 << 1, 1 << 2


@attrs.frozen
class Entry:
    """An entry of conntrack, as it was when it was told."""

    family: int
    """AF_INET or AF_INET6."""
    original: bytes
    """The tuple of the original direction, as the kernel wrote it: what selects the entry."""
    sources: frozenset[bytes]
    """Packed source addresses of both tuples."""
    identity: bytes
    """The entry's own number, as the kernel wrote it: another flow with that tuple is another entry."""
    assured: bool
    """Packets went in both directions for more than a moment."""
    remaining: int
    """When it will be forgotten, unless a packet comes, in seconds."""

    @property
    def destination(self) -> bytes:
        """Packed address that its first packet was sent to, before translation; empty where that is not told.

        Raises:
            RealmGatewayError: The tuple is malformed.
        """
        return _destination(self.original)


def listing(sequence: int, family: int) -> bytes:
    """The message that asks for all flows of a family.

    The kernel could choose those of an address, but it would look for them with its softirqs shut off for all of the
    table, and packets would wait meanwhile; listing all of them is done in small portions.

    Args:
        sequence: What the answers shall carry.
        family: AF_INET or AF_INET6.
    """
    return codec.netfilter(_GET, codec.REQUEST | codec.DUMP, sequence, family)


def question(sequence: int, src: bytes, dst: bytes, protocol: int, sport: int, dport: int) -> bytes:
    """The message that asks for one flow, by the tuple of its first packet.

    Args:
        sequence: What the answer shall carry.
        src: Packed address of the sender.
        dst: Packed address that he sent to, before translation.
        protocol: One with ports.
        sport: Source port.
        dport: Destination port.
    """
    pack, (begin, head, between, ahead, padding, apart, end) = _QUESTIONS[len(src)]
    ports = sport.to_bytes(2, "big"), dport.to_bytes(2, "big")
    return pack(begin, sequence, head, src, between, dst, ahead, protocol, padding, ports[0], apart, ports[1], end)


def _question(sequence: int, src: bytes, dst: bytes, protocol: int, sport: int, dport: int) -> bytes:
    """The same, put together piece by piece; it takes ten times as long."""
    addresses = codec.attribute(_IP_SRC[len(src)], src), codec.attribute(_IP_DST[len(dst)], dst)
    numbers = bytes((protocol,)), sport.to_bytes(2, "big"), dport.to_bytes(2, "big")
    ports = (codec.attribute(kind, value) for kind, value in enumerate(numbers, _PROTOCOL_NUMBER))
    of_flow = codec.nested(_TUPLE_ORIG, codec.nested(_TUPLE_IP, *addresses), codec.nested(_TUPLE_PROTOCOL, *ports))
    return codec.netfilter(_GET, codec.REQUEST, sequence, _FAMILY[len(src)], of_flow)


def is_answered(said: Message | None, protocol: int) -> bool | None:
    """What the answer to a question says of the flow.

    Args:
        said: It; None if there is no such flow.
        protocol: That of the flow.

    Returns:
        True if the handshake of TCP or SCTP came to its end (an assured entry), or of another protocol anything was
        replied. False if a handshake did not, or there is no such flow. None where that says nothing: a connection
        that was reset, a protocol that need not be replied to.

    Raises:
        RealmGatewayError: It is malformed.
    """
    if said is None:
        return False if protocol in (TCP, SCTP) else None
    return _says_answered(said.body, protocol)


def entry(said: Message) -> Entry:
    """The entry that the kernel tells of.

    Raises:
        RealmGatewayError: It is malformed.
    """
    found = codec.fields(said)
    original, status, remaining = (found.get(field, b"") for field in (_TUPLE_ORIG, _STATUS, _TIMEOUT))
    addresses = (codec.find(each, _TUPLE_IP) for each in (original, found.get(_TUPLE_REPLY, b"")))
    sources = frozenset(filter(None, (_source(each) for each in addresses)))
    assured = bool(codec.number(status) & _ASSURED)
    return Entry(codec.number(said.body[:1]), original, sources, found.get(_ID, b""), assured, codec.number(remaining))


def _source(addresses: bytes) -> bytes | None:
    found = dict(codec.attributes(addresses))
    return found.get(_IP_SRC[4]) or found.get(_IP_SRC[16])


def _says_answered(body: bytes, protocol: int) -> bool | None:
    """What an entry says; no more of it is read than that takes."""
    for field, value in codec.attributes(body[4:]):
        if field == _STATUS:
            status = codec.number(value)
            if protocol not in (TCP, SCTP):
                return True if status & _SEEN_REPLY else None
            if status & _ASSURED:
                return True
        elif field == _PROTOCOL_INFO:
            return None if codec.find(value, _INFO_TCP, _TCP_STATE) == _CLOSED else False
    return False if protocol in (TCP, SCTP) else None


def families(addresses: Iterable[bytes]) -> frozenset[int]:
    """The families (AF_INET, AF_INET6) that packed addresses are of."""
    return frozenset(_FAMILY[len(address)] for address in addresses)


def sources(addresses: Iterable[bytes]) -> re.Pattern[bytes]:
    """What is found in a listing where one of these packed addresses is the source of a tuple, and hardly elsewhere.

    Most of a listing is of no interest, and is not parsed. Neighbours share what they begin with: a pattern that has
    hundreds of addresses one by one takes 10 ms to be made.
    """
    ends: dict[bytes, list[bytes]] = {}
    for address in addresses:
        octets = codec.attribute(_IP_SRC[len(address)], address)
        ends.setdefault(octets[:-1], []).append(re.escape(octets[-1:]))
    return re.compile(b"|".join(re.escape(each) + b"[%s]" % b"".join(last) for each, last in ends.items()), re.DOTALL)


def destinations(networks: Iterable[Network]) -> re.Pattern[bytes]:
    """What is found in a listing where an address of these prefixes is the destination of a tuple."""
    return re.compile(b"|".join(map(_within, networks)), re.DOTALL)


def _within(network: Network) -> bytes:
    """A pattern of the packed addresses of a prefix: what is fixed, a range of the octet that is in part, the rest."""
    first, last = network.network_address.packed, network.broadcast_address.packed
    head = codec.attribute(_IP_DST[len(first)], first)[:4]
    return re.escape(head) + b"".join(
        re.escape(bytes([low])) if low == high else b"[%s-%s]" % (re.escape(bytes([low])), re.escape(bytes([high])))
        for low, high in zip(first, last, strict=True)
    )


def deletion(sequence: int, flow: Entry) -> bytes:
    """The message that ends a flow, and asks for an acknowledgement."""
    chosen = codec.nested(_TUPLE_ORIG, flow.original), codec.attribute(_ID, flow.identity)
    return codec.netfilter(_DELETE, codec.REQUEST | codec.ACK, sequence, flow.family, *chosen)


def listed(messages: Iterable[Message], wanted: re.Pattern[bytes]) -> Iterator[Entry]:
    """Flows of a listing in which a pattern is found.

    Args:
        messages: The answers to `listing`.
        wanted: As `sources` and `destinations` make them.

    Raises:
        RealmGatewayError: One is malformed, or as `messages` does.
    """
    return (entry(each) for each in messages if each.kind == _NEW and wanted.search(each.body) is not None)


def sent_to(messages: Iterable[Message], wanted: re.Pattern[bytes]) -> Iterator[bytes]:
    """The packed addresses that flows of a listing were sent to before translation; arguments and errors as `listed`.

    No more of each is read than that takes.
    """
    for each in messages:
        if each.kind == _NEW and wanted.search(each.body) is not None:
            yield _destination(codec.find(each.body[4:], _TUPLE_ORIG))


def _destination(original: bytes) -> bytes:
    addresses = codec.find(original, _TUPLE_IP)
    return codec.find(addresses, _IP_DST[4]) or codec.find(addresses, _IP_DST[16])


def _template(length: int) -> tuple[Callable[..., bytes], tuple[bytes, ...]]:
    """What is the same in all questions about flows of a family, and what packs it together with the rest.

    Args:
        length: That of an address, in octets.
    """
    blank, first, second = _question(0, bytes(length), bytes(length), 0, 0, 0), 32 + length, 36 + 2 * length
    rests = ((0, 8), (12, 32), (first, first + 4), *((second + at, second + to) for at, to in _RESTS))
    form = struct.Struct(f"=8sI20s{length}s4s{length}s8sB7s2s6s2s2s")
    return form.pack, tuple(blank[begin:end] for begin, end in rests)


_RESTS = ((0, 8), (9, 16), (18, 24), (26, 28))
"""Behind the destination: up to the protocol, to the source port, to the destination port, and to the end."""
_QUESTIONS = {length: _template(length) for length in _FAMILY}
