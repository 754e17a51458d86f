"""The kernel's figures: named counters by raw netlink, and the queue's line in /proc. Pure: octets and text to values.

libnftables is no use for reading counters: to list them it first reads every element of every set (half a second with
100 000 hosts, where this takes a tenth of a millisecond).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping

import attrs

from realmgw.errors import RealmGatewayError

# linux/netlink.h, linux/netfilter/nfnetlink.h and nf_tables.h. Netlink is in host order, counters are in network order.
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_FAMILY_INET = 1
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_REQUEST, _DUMP, _INTERRUPTED = 0x1, 0x300, 0x10
_NEWOBJ, _GETOBJ = 10 << 8 | 18, 10 << 8 | 19
_OBJ_TABLE, _OBJ_NAME, _OBJ_TYPE, _OBJ_DATA = 1, 2, 3, 4
_TYPE_COUNTER = 1
_COUNTER_BYTES, _COUNTER_PACKETS = 1, 2


COUNTERS: Mapping[str, str] = {
    "presented": "first packets presented to user space",
    "admitted": "first packets that user space admitted to a host",
    "stray_limited": "dropped: a sender refused so often that he is kept to a rate",
    "not_syn": "dropped: a first TCP segment that is no bare SYN",
    "spoofed_source": "dropped: from the WAN with a source of ours or of a LAN",
    "pool_from_inside": "refused: addressed to the pool, but not from the WAN",
    "pool_invalid": "dropped: addressed to the pool, and no state that conntrack could have",
    "not_admitted": "dropped: nobody decided about it (no process at the queue)",
    "refused_tcp": "refused: told by a TCP reset",
    "refused_udp": "refused: told port unreachable",
    "refused_icmp": "refused: told administratively prohibited",
    "refused_other": "refused: told protocol unreachable",
    "refused_silently": "refused: not told, beyond reject_rate or an ICMP message that is never answered",
    "host_unknown": "dropped: admitted to a host that the kernel does not know",
    "untranslated": "dropped: admitted, and the rule that translates is not there",
    "pool_local": "dropped: addressed to the pool, and about to reach a socket of the gateway",
    "forward_invalid": "dropped: to be forwarded, and no state that conntrack could have",
    "forward_refused": "dropped: to be forwarded, and neither of an admitted flow nor otherwise allowed",
}
"""Every named counter of the table, and what it counts; the text is the counter's comment in the kernel, too."""


@attrs.frozen
class Count:
    """What a named counter has counted since the table was put in place."""

    packets: int
    """Packets."""
    octets: int
    """Their octets, from the network header on."""


@attrs.frozen
class QueueFigures:
    """What the kernel says of a queue (/proc/net/netfilter/nfnetlink_queue)."""

    waiting: int
    """Packets that wait for a verdict."""
    full: int
    """Packets that were dropped because the queue was full."""
    unsent: int
    """Packets that were dropped because the buffer of user space's socket was full."""
    last: int
    """Number of the last packet."""


class InterruptedDumpError(RealmGatewayError):
    """The ruleset changed while it was read; ask again."""


def request(table: str, sequence: int) -> bytes:
    """The netlink message that asks for all counters of a table of family inet.

    Args:
        table: The table's name.
        sequence: What the answers shall carry.
    """
    body = struct.pack("!BBH", _FAMILY_INET, 0, 0)
    body += _attribute(_OBJ_TABLE, table.encode() + b"\0") + _attribute(_OBJ_TYPE, struct.pack("!I", _TYPE_COUNTER))
    return _HEADER.pack(_HEADER.size + len(body), _GETOBJ, _REQUEST | _DUMP, sequence, 0) + body


def parse(received: bytes, sequence: int, into: dict[str, Count]) -> bool:
    """Take in what one read of the socket gave.

    Args:
        received: One or more whole netlink messages.
        sequence: What the request carried; answers to others are passed over.
        into: Counters by name; what was received is added to it.

    Returns:
        Whether the answer is complete.

    Raises:
        InterruptedDumpError: The ruleset changed meanwhile, `into` may hold old and new values.
        RealmGatewayError: The kernel refused; the text tells the error number.
    """
    for kind, flags, number, body in _messages(received):
        if number != sequence:
            continue
        if flags & _INTERRUPTED:
            raise InterruptedDumpError("the ruleset changed while its counters were read")
        if kind in (_NLMSG_ERROR, _NLMSG_DONE):
            _check(body)
            return True
        if kind == _NEWOBJ:
            _take(body, into)
    return False


def queue_figures(listing: str, queue: int) -> QueueFigures | None:
    """What the kernel says of one queue.

    Args:
        listing: The text of /proc/net/netfilter/nfnetlink_queue.
        queue: The queue's number.

    Returns:
        None when nobody listens at that queue.
    """
    for line in listing.splitlines():
        fields = line.split()
        if len(fields) >= 8 and int(fields[0]) == queue:
            return QueueFigures(waiting=int(fields[2]), full=int(fields[5]), unsent=int(fields[6]), last=int(fields[7]))
    return None


def _messages(received: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Type, flags, sequence number and body of each message."""
    at = 0
    while at + _HEADER.size <= len(received):
        length, kind, flags, number, _ = _HEADER.unpack_from(received, at)
        if not _HEADER.size <= length <= len(received) - at:
            raise RealmGatewayError(f"netlink: a message says it has {length} octets, {len(received) - at} are there")
        yield kind, flags, number, received[at + _HEADER.size : at + length]
        at += _aligned(length)


def _check(body: bytes) -> None:
    """An error message and the end of a dump both begin with a negative error number, or 0."""
    error = struct.unpack_from("=i", body)[0] if len(body) >= 4 else 0
    if error:
        raise RealmGatewayError(f"netlink: the kernel refused to list the counters (error {-error})")


def _take(body: bytes, into: dict[str, Count]) -> None:
    fields = dict(_attributes(body[4:]))
    data = dict(_attributes(fields.get(_OBJ_DATA, b"")))
    if _OBJ_NAME in fields and _COUNTER_PACKETS in data and _COUNTER_BYTES in data:
        name = fields[_OBJ_NAME].rstrip(b"\0").decode(errors="replace")
        (packets,), (octets,) = (struct.unpack("!Q", data[key]) for key in (_COUNTER_PACKETS, _COUNTER_BYTES))
        into[name] = Count(packets, octets)


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Type (without its flag bits) and value of each attribute."""
    at = 0
    while at + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if not _ATTRIBUTE.size <= length <= len(data) - at:
            raise RealmGatewayError(f"netlink: an attribute says it has {length} octets, {len(data) - at} are there")
        yield kind & 0x3FFF, data[at + _ATTRIBUTE.size : at + length]
        at += _aligned(length)


def _attribute(kind: int, value: bytes) -> bytes:
    length = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(length, kind) + value + bytes(_aligned(length) - length)


def _aligned(length: int) -> int:
    return (length + 3) & ~3
