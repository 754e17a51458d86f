"""What conntrack tells of connections as they are established. Pure.

Of all that changes only that is delivered which is of use (`PROGRAM`): connections of TCP by IPv4 that were translated
to another destination, and are established ("assured") by then. Such a message begins as the one that tells of its end.
"""

from __future__ import annotations

from realmgw.config.protocols import TCP
from realmgw.datapath.netlink import bpf, destroyed

GROUP = 2
"""NFNLGRP_CONNTRACK_UPDATE, of NETLINK_NETFILTER."""
_TO_THE_STATUS = len(destroyed.BY_STATUS)
PROGRAM = bpf.program(
    (bpf.LOAD_OCTET, 0, 0, destroyed.FAMILY),
    (bpf.IF_EQUAL, 0, _TO_THE_STATUS, destroyed.IPV4),
    (bpf.LOAD_OCTET, 0, 0, destroyed.PROTOCOL),
    (bpf.IF_EQUAL, 0, _TO_THE_STATUS - 2, TCP),
    *destroyed.BY_STATUS,
)
"""The filter for the socket."""


def parse(received: bytes) -> destroyed.Flow | None:
    """Read a message; None if it is none of those."""
    told = destroyed.parse(received)
    return None if told is None or told[0][2] != TCP else told[0]
