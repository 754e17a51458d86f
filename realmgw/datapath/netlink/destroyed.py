"""What conntrack tells of flows that it has forgotten, or that somebody has ended. Pure: octets to values.

Of the ends of all flows only those are delivered that may be of use (`program`): flows that were translated to another
destination, that were more than one exchange of packets ("assured"), and of protocols that are wanted. The kernel
writes the attributes of such a message in the same order always, and so they are read where they are; a message that is
different is none of ours.
"""

from __future__ import annotations

import struct
from collections.abc import Collection

from realmgw.config.protocols import PORTED
from realmgw.datapath.netlink import bpf

GROUP = 3
"""NFNLGRP_CONNTRACK_DESTROY, of NETLINK_NETFILTER."""

Flow = tuple[bytes, bytes, int, int, int]
"""Packed source, packed destination (before translation), protocol, source port and destination port (0: none)."""

# linux/netfilter/nfnetlink_conntrack.h
_STATUS = 3
_STATUS_FOLLOWS = struct.pack("=HH", 8, _STATUS)
# linux/netfilter/nf_conntrack_common.h
_WANTED = 1 << 2 | 1 << 5
"""IPS_ASSURED and IPS_DST_NAT."""
IPV4 = 2
FAMILY, _FIRST_ATTRIBUTE, PROTOCOL = 16, 20, 52
"""Where these are in a message: behind the headers comes the tuple of the first packet, addresses first."""
BY_STATUS = (
    (bpf.INDEX_NUMBER, 0, 0, _STATUS),
    (bpf.LOAD_NUMBER, 0, 0, _FIRST_ATTRIBUTE),
    (bpf.LOAD_WORD, 0, 0, bpf.FIND_ATTRIBUTE),
    (bpf.IF_EQUAL, 4, 0, 0),
    (bpf.INDEX_LOADED, 0, 0, 0),
    (bpf.LOAD_WORD_BEYOND, 0, 0, 4),
    (bpf.AND, 0, 0, _WANTED),
    (bpf.IF_EQUAL, 1, 0, _WANTED),
    bpf.NOTHING,
    bpf.WHOLE,
)
"""The end of a filter: whole if the flow is assured and translated to another destination, else nothing."""
_WITH_PORTS = struct.Struct("!16xB15x4s4x4s8xB7xH6xH14x4s48xI")
_WITHOUT_PORTS = struct.Struct("!16xB15x4s4x4s8xB15x4s32xI")
_LENGTH = struct.Struct("=20xH")
_LAYOUTS = {52: _WITH_PORTS, 36: _WITHOUT_PORTS}
"""By how long the tuple is: family, source, destination, protocol, ports if there are any; the source of the answers;
the status."""


def program(unwanted: Collection[int]) -> bytes:
    """The filter for the socket: only IPv4, assured, translated to another destination, and none of these protocols.

    Args:
        unwanted: IP protocol numbers.
    """
    compared = [(bpf.IF_EQUAL, len(unwanted) - number + 7, 0, each) for number, each in enumerate(unwanted)]
    return bpf.program(
        (bpf.LOAD_OCTET, 0, 0, FAMILY),
        (bpf.IF_EQUAL, 0, len(unwanted) + 9, IPV4),
        (bpf.LOAD_OCTET, 0, 0, PROTOCOL),
        *compared,
        *BY_STATUS,
    )


def parse(received: bytes) -> tuple[Flow, bytes] | None:
    """Read a message.

    Args:
        received: One message, as the kernel tells of one flow by each.

    Returns:
        The flow, and the packed address of the host that it went to; None if that is not what the message tells.
    """
    layout = _LAYOUTS.get(_LENGTH.unpack_from(received)[0]) if len(received) >= _LENGTH.size else None
    if layout is None or len(received) < layout.size:
        return None
    family, source, destination, protocol, *ports, host, status = layout.unpack_from(received)
    at = layout.size
    if family != IPV4 or received[at - 8 : at - 4] != _STATUS_FOLLOWS or status & _WANTED != _WANTED:
        return None
    sport, dport = ports if protocol in PORTED and ports else (0, 0)
    return (source, destination, protocol, sport, dport), host
