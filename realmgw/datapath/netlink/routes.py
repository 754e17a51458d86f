"""The kernel's answers about routes: which are ours, and where an address leads. Pure: octets to values.

The kernel chooses among a full table's million routes; none of the others is sent.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address

import attrs

from realmgw.config.settings import Network
from realmgw.datapath.links import PROTOCOL, Route, RouteType
from realmgw.datapath.netlink import codec
from realmgw.datapath.netlink.codec import Message
from realmgw.errors import RealmGatewayError

# linux/rtnetlink.h
_NEWROUTE, _GETROUTE = 24, 26
_ROUTE = struct.Struct("=BBBBBBBBI")  # family, lengths, TOS, table, protocol, scope, type, flags
AF_INET, AF_INET6 = 2, 10
"""The families that there are routes of."""
_FAMILY = {4: AF_INET, 16: AF_INET6}
_LENGTH = {AF_INET: 4, AF_INET6: 16}  # octets
_DESTINATION, _OUT = 1, 4
_INTERFACE = struct.Struct("=I")
_OURS = frozenset(kind.value for kind in RouteType)


NOWHERE = frozenset((101, 113, 22, 13))  # ENETUNREACH, EHOSTUNREACH, EINVAL (blackhole), EACCES (prohibit)
"""Refusals that say that an address leads nowhere."""


@attrs.frozen
class Way:
    """Where an address leads."""

    is_local: bool
    """To this machine."""
    interface: int
    """The number of the interface; 0: to none."""


def listing(sequence: int, family: int) -> bytes:
    """The message that asks for the routes that carry our protocol number, of a socket that checks strictly."""
    body = _ROUTE.pack(family, 0, 0, 0, 0, PROTOCOL, 0, 0, 0)
    return codec.message(_GETROUTE, codec.REQUEST | codec.DUMP, sequence, body)


def listed(messages: Iterable[Message]) -> frozenset[Route]:
    """Our routes, of the answers to that; of other types than ours there are none.

    Args:
        messages: Those.

    Raises:
        RealmGatewayError: One is malformed, or as `messages` does.
    """
    found = set()
    for each in messages:
        family, length, _, _, _, protocol, _, kind, _ = codec.unpack(_ROUTE, each.body)
        if each.kind == _NEWROUTE and protocol == PROTOCOL and kind in _OURS and family in _LENGTH:
            said = dict(codec.attributes(each.body[_ROUTE.size :]))
            found.add(Route(_network(said.get(_DESTINATION, bytes(_LENGTH[family])), length), RouteType(kind)))
    return frozenset(found)


def _network(address: bytes, length: int) -> Network:
    try:
        return IPv4Network((address, length)) if len(address) == 4 else IPv6Network((address, length))
    except ValueError as error:
        raise RealmGatewayError(f"netlink: a route has no destination: {error}") from error


def question(address: str, sequence: int) -> bytes:
    """The message that asks where an address leads, of either family."""
    packed = ip_address(address).packed
    body = _ROUTE.pack(_FAMILY[len(packed)], len(packed) * 8, 0, 0, 0, 0, 0, 0, 0)
    body += codec.attribute(_DESTINATION, packed)
    return codec.message(_GETROUTE, codec.REQUEST, sequence, body)


def way(said: Message) -> Way:
    """The answer to that.

    Raises:
        RealmGatewayError: It is malformed.
    """
    kind = codec.unpack(_ROUTE, said.body)[7]
    found = dict(codec.attributes(said.body[_ROUTE.size :]))
    return Way(kind == RouteType.LOCAL.value, codec.unpack(_INTERFACE, found.get(_OUT, bytes(4)))[0])
