"""The kernel's figures: named counters by raw netlink, and the queue's line in /proc. Pure: octets and text to values.

libnftables is no use for reading counters: to list them it first reads every element of every set (half a second with
100 000 hosts, where this takes a tenth of a millisecond).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from realmgw.datapath.netlink import codec
from realmgw.datapath.netlink.codec import Message
from realmgw.datapath.netlink.nftables import COUNTER, IN_TABLE, INET, NAME, OBJECT, OBJECT_DATA, OBJECT_TYPE, SUBSYSTEM
from realmgw.errors import RealmGatewayError

_OCTETS, _PACKETS = 1, 2
"""Attributes of a counter's data (linux/netfilter/nf_tables.h)."""

COUNTERS: Mapping[str, str] = {
    "presented": "first packets presented to user space",
    "admitted": "first packets that user space admitted to a host",
    "stray_limited": "dropped: a sender refused so often that he is kept to a rate",
    "not_syn": "dropped: a first TCP segment that is no bare SYN",
    "spoofed_source": "dropped: from the WAN with a source of ours or of a LAN",
    "syn_first": "dropped: a first SYN, which is to come twice while the queue is full",
    "syn_again": "of those that are to come twice: came again, and went on",
    "syn_soon": "dropped: of these, came again sooner than any TCP sends again",
    "syn_unnoted": "dropped: of these, a first one that there was no room to note",
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
    "forbidden": "dropped or refused: by the rules of a host",
}
"""Every named counter of the table, and what it counts; the text is the counter's comment in the kernel, too."""
COUNTERS6: Mapping[str, str] = {
    "presented6": "of those that were presented: IPv6",
    "admitted6": "of those that were admitted: IPv6",
    "admitted_pinhole": "of these: to a host at its own address",
    "guessed": "refused: to an address of the IPv6 pool that can not have been lent",
    "neighbours": "dropped: neighbour discovery for an address of the pool, which the gateway itself answers",
}
"""Those that there are besides, where hosts are reached by IPv6."""


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

    owner: int
    """Netlink port of the process that listens; mostly its process id."""
    waiting: int
    """Packets that wait for a verdict."""
    full: int
    """Packets that were dropped because the queue was full."""
    unsent: int
    """Packets that were dropped because the buffer of user space's socket was full."""
    last: int
    """Number of the last packet."""


def request(table: str, sequence: int) -> bytes:
    """The netlink message that asks for all counters of a table of family inet.

    Args:
        table: The table's name.
        sequence: What the answers shall carry.
    """
    chosen = codec.name(IN_TABLE, table), codec.attribute(OBJECT_TYPE, COUNTER.to_bytes(4, "big"))
    return codec.netfilter(SUBSYSTEM | OBJECT + 1, codec.REQUEST | codec.DUMP, sequence, INET, *chosen)


def listed(messages: Iterable[Message]) -> dict[str, Count]:
    """Counters by name, of the answers to a request.

    Args:
        messages: Those.

    Raises:
        RealmGatewayError: One is malformed, or as `messages` does.
    """
    found: dict[str, Count] = {}
    for each in messages:
        fields = codec.fields(each) if each.kind == SUBSYSTEM | OBJECT else {}
        data = dict(codec.attributes(fields.get(OBJECT_DATA, b"")))
        if NAME[OBJECT] in fields and _PACKETS in data and _OCTETS in data:
            count = Count(codec.number(data[_PACKETS]), codec.number(data[_OCTETS]))
            found[codec.text(fields[NAME[OBJECT]])] = count
    return found


def queue_figures(listing: str, queue: int) -> QueueFigures | None:
    """What the kernel says of one queue.

    Args:
        listing: The text of /proc/net/netfilter/nfnetlink_queue.
        queue: The queue's number.

    Returns:
        None when nobody listens at that queue.

    Raises:
        RealmGatewayError: The kernel writes another format than any known one.
    """
    try:
        lines = [[int(column) for column in line.split()] for line in listing.splitlines()]
        found = {number: QueueFigures(*at[:2], *at[4:7]) for number, *at in lines}
    except (ValueError, TypeError) as error:
        raise RealmGatewayError(f"unknown format of the kernel's list of packet queues: {listing!r}") from error
    return found.get(queue)
