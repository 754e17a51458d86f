"""What the kernel tells of changes: who committed which transaction of nftables, and what became of links and routes.

Each transaction ends with a message that names its generation and the program that made it. What it did comes before,
in messages that all begin with the table that they are about. Our own are not even woken up for: the kernel drops them
by the port of the socket that they came from (`filter_out`). Pure: octets to values.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator

import attrs

from realmgw.datapath.links import PROTOCOL
from realmgw.datapath.netlink import bpf, codec
from realmgw.datapath.netlink.codec import Message
from realmgw.datapath.netlink.nftables import GENERATION, GENERATION_ID, IN_TABLE, SUBSYSTEM, Table

NFTABLES_GROUP = 7
"""NFNLGRP_NFTABLES, of NETLINK_NETFILTER."""
LINK_GROUPS = (1, 5, 7, 9, 11, 24, 25)
"""RTNLGRP_LINK, _IPV4_IFADDR, _IPV4_ROUTE, _IPV6_IFADDR, _IPV6_ROUTE, _IPV4_NETCONF and _IPV6_NETCONF (forwarding,
rp_filter), of NETLINK_ROUTE."""

MOST_PORTS = 200
"""So many ports a filter can tell apart."""

# linux/netfilter/nf_tables.h
_ELEMENTS = (SUBSYSTEM | 12, SUBSYSTEM | 14)
_NAMING_SET, _PROCESS, _PROGRAM = 2, 2, 3
# linux/rtnetlink.h
_ROUTES = (24, 25)
_ROUTE = struct.Struct("=BBBBBB")  # family, length of destination and source, TOS, table, protocol
_REPLACE = 0x100
_AT_KIND, _AT_FLAGS, _AT_PORT = 4, 6, 12
_AT_LENGTH, _AT_PROTOCOL = 17, 21
"""Of a route: that of its destination, and who has made it."""


@attrs.frozen
class Transaction:
    """A transaction of nftables."""

    generation: int
    """The number of the generation that it made."""
    port: int
    """The netlink port of the socket that it came from."""
    process: int
    """The thread that made it, by the number that the kernel itself has for it."""
    program: str
    """The program's name, cut at 15 octets."""
    tables: frozenset[Table]
    """What it changed, but for elements that anybody may add (`free`)."""

    def __str__(self) -> str:
        return f"{self.program} (process {self.process})"


class Transactions:
    """Puts transactions together from what reads of the socket give.

    Args:
        free: Names of the sets that anybody may add elements to.
    """

    def __init__(self, free: Collection[str] = ()) -> None:
        self._free = frozenset(name.encode() for name in free)
        self._tables: set[Table] = set()

    def take(self, received: bytes) -> Iterator[Transaction]:
        """Take in what one read gave.

        Args:
            received: One or more whole netlink messages.

        Yields:
            Each transaction whose end is there.

        Raises:
            RealmGatewayError: It is cut off.
        """
        for each in codec.messages(received):
            if each.kind == SUBSYSTEM | GENERATION:
                yield self._end(each)
            elif each.kind & 0xFF00 == SUBSYSTEM:
                self._note(each)

    def _note(self, message: Message) -> None:
        named = codec.fields(message)
        if message.kind in _ELEMENTS and named.get(_NAMING_SET, b"").rstrip(b"\0") in self._free:
            return
        if IN_TABLE in named:
            self._tables.add((message.body[0], codec.text(named[IN_TABLE])))

    def _end(self, message: Message) -> Transaction:
        said = codec.fields(message)
        tables, self._tables = frozenset(self._tables), set()
        generation, process = (codec.number(said.get(key, b"")) for key in (GENERATION_ID, _PROCESS))
        program = codec.text(said.get(_PROGRAM, b"?"))
        return Transaction(generation, message.port, process, program, tables)


def concerns_us(received: bytes) -> bool:
    """Whether a message about links, addresses or routes may be about what we placed or need.

    Of routes these are ours, default routes, and those that took the place of another. There may be a million others.

    Raises:
        RealmGatewayError: It is cut off.
    """
    for each in codec.messages(received):
        if each.kind not in _ROUTES:
            return True
        _, length, _, _, _, protocol = codec.unpack(_ROUTE, each.body)
        if protocol == PROTOCOL or length == 0 or each.flags & _REPLACE:
            return True
    return False


def of_concern() -> bytes:
    """A filter for the socket that hears of links: what `concerns_us`, of messages that come alone.

    A routing daemon that loads a full table has a million others.
    """
    one, other = map(_in_network_order, _ROUTES)
    return bpf.program(
        (bpf.LOAD_HALF, 0, 0, _AT_KIND),
        (bpf.IF_EQUAL, 1, 0, one),
        (bpf.IF_EQUAL, 0, 6, other),
        (bpf.LOAD_OCTET, 0, 0, _AT_PROTOCOL),
        (bpf.IF_EQUAL, 4, 0, PROTOCOL),
        (bpf.LOAD_OCTET, 0, 0, _AT_LENGTH),
        (bpf.IF_EQUAL, 2, 0, 0),
        (bpf.LOAD_HALF, 0, 0, _AT_FLAGS),
        (bpf.IF_ANY, 0, 1, _in_network_order(_REPLACE)),
        bpf.WHOLE,
        bpf.NOTHING,
    )


def _in_network_order(number: int) -> int:
    """What a filter loads where the machine has written such a number, of two octets."""
    return codec.number(struct.pack("=H", number))


def filter_out(ports: Collection[int]) -> bytes:
    """A filter for the socket (classic BPF): everything but what came from these ports, at most `MOST_PORTS`."""
    compared = [
        # It loads numbers in network order, and this one is in that of the host.
        (bpf.IF_EQUAL, len(ports) - at, 0, codec.number(struct.pack("=I", port)))
        for at, port in enumerate(ports)
    ]
    return bpf.program((bpf.LOAD_WORD, 0, 0, _AT_PORT), *compared, bpf.WHOLE, bpf.NOTHING)
