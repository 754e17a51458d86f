"""nf_tables' netlink messages about a table: whether it stands, and what is said of it. Pure: values and octets."""

from __future__ import annotations

import struct

import attrs

from realmgw.datapath.netlink import codec
from realmgw.datapath.netlink.codec import Channel, RefusedError
from realmgw.errors import PlatformError, RealmGatewayError

FAMILIES = {"inet": 1, "ip": 2}
"""Families of tables, by nft's name (NFPROTO_INET, NFPROTO_IPV4)."""

# linux/netfilter/nfnetlink.h and nf_tables.h; handles are in network order.
_NEWTABLE, _GETTABLE = 10 << 8, 10 << 8 | 1
_NAME, _HANDLE, _USERDATA = 1, 4, 6
_COMMENT = 0  # libnftnl: NFTNL_UDATA_TABLE_COMMENT
_EPERM = 1


@attrs.frozen
class Standing:
    """A table that stands."""

    handle: int
    """The kernel's number for it; another table of the same name has another."""
    comment: str = ""
    """What whoever made it says of it."""


def request(family: str, name: str, sequence: int) -> bytes:
    """The message that asks for a table.

    Args:
        family: One of `FAMILIES`.
        name: The table's name.
        sequence: What the answer shall carry.
    """
    body = struct.pack("!BBH", FAMILIES[family], 0, 0) + codec.attribute(_NAME, name.encode() + b"\0")
    return codec.message(_GETTABLE, codec.REQUEST, sequence, body)


def standing(channel: Channel, request: bytes) -> Standing | None:
    """What the kernel answers to that.

    Args:
        channel: Where to ask.
        request: The message.

    Returns:
        The table; None when there is none.

    Raises:
        PlatformError: The kernel does not let us.
        RealmGatewayError: It refused, or it says what nobody can understand.
    """
    try:
        said = codec.ask(channel, request, "a table")
    except RefusedError as error:
        if error.number == codec.ENOENT:
            return None
        if error.number == _EPERM:
            raise PlatformError("CAP_NET_ADMIN is missing: run as root, or give it to the service") from error
        raise
    fields = dict(codec.attributes(said.body[4:]))
    if said.kind != _NEWTABLE or len(fields.get(_HANDLE, b"")) != 8:
        raise RealmGatewayError("netlink: the kernel's answer is not about a table")
    return Standing(struct.unpack("!Q", fields[_HANDLE])[0], _comment(fields.get(_USERDATA, b"")))


def _comment(data: bytes) -> str:
    """User data is a row of type, length and value."""
    at = 0
    while at + 2 <= len(data):
        kind, length = data[at], data[at + 1]
        if kind == _COMMENT:
            return data[at + 2 : at + 2 + length].rstrip(b"\0").decode(errors="replace")
        at += 2 + length
    return ""
