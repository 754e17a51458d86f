"""The kernel's answers about routes: which are ours, and where an address leads. Pure: octets to values.

The kernel chooses among a full table's million routes; none of the others is sent.
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Network, ip_address

import attrs

from realmgw.datapath import netlink
from realmgw.datapath.links import PROTOCOL, Kind, Route
from realmgw.errors import RealmGatewayError

# linux/rtnetlink.h
_NEWROUTE, _GETROUTE = 24, 26
_ROUTE = struct.Struct("=BBBBBBBBI")  # family, lengths, TOS, table, protocol, scope, type, flags
_AF_INET = 2
_FAMILY = {4: _AF_INET, 16: 10}
_DESTINATION, _OUT = 1, 4
_OURS = frozenset(kind.value for kind in Kind)


@attrs.frozen
class Way:
    """Where an address leads."""

    is_local: bool
    """To this machine."""
    interface: int
    """The number of the interface; 0: to none."""


def listing(sequence: int) -> bytes:
    """The message that asks for the routes that carry our protocol number, of a socket that checks strictly."""
    body = _ROUTE.pack(_AF_INET, 0, 0, 0, 0, PROTOCOL, 0, 0, 0)
    return netlink.message(_GETROUTE, netlink.REQUEST | netlink.DUMP, sequence, body)


def parse(received: bytes, sequence: int, into: set[Route]) -> bool:
    """Take in what one read of the socket gave.

    Args:
        received: One or more whole netlink messages.
        sequence: What the request carried.
        into: Our routes are added.

    Returns:
        Whether the answer is complete.

    Raises:
        RealmGatewayError: The kernel refused; the text tells the error number.
    """
    for each in netlink.messages(received):
        if each.sequence != sequence:
            continue
        if each.kind in (netlink.ERROR, netlink.DONE):
            error = netlink.error_of(each.body)
            if error:
                raise RealmGatewayError(f"netlink: the kernel refused to list routes (error {error})")
            return True
        _, length, _, _, _, protocol, _, kind, _ = _ROUTE.unpack_from(each.body)
        if each.kind == _NEWROUTE and protocol == PROTOCOL and kind in _OURS:
            found = dict(netlink.attributes(each.body[_ROUTE.size :]))
            address = found.get(_DESTINATION, bytes(4))
            into.add(Route(IPv4Network((address, length)), Kind(kind)))
    return False


def question(address: str, sequence: int) -> bytes:
    """The message that asks where an address leads, of either family."""
    packed = ip_address(address).packed
    body = _ROUTE.pack(_FAMILY[len(packed)], len(packed) * 8, 0, 0, 0, 0, 0, 0, 0)
    body += netlink.attribute(_DESTINATION, packed)
    return netlink.message(_GETROUTE, netlink.REQUEST, sequence, body)


def way(received: bytes, sequence: int) -> Way:
    """The answer to that; an address that leads nowhere leads to no interface."""
    for each in netlink.messages(received):
        if each.sequence == sequence and each.kind == _NEWROUTE:
            kind = _ROUTE.unpack_from(each.body)[7]
            found = dict(netlink.attributes(each.body[_ROUTE.size :]))
            return Way(kind == Kind.LOCAL.value, int(struct.unpack("=I", found.get(_OUT, bytes(4)))[0]))
    return Way(is_local=False, interface=0)
