"""What nfnetlink_log tells of packets: how a group is bound, and what is read of it. Pure: octets and values."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from realmgw.datapath.netlink import codec
from realmgw.datapath.netlink.traces import Headers, headers_of

# linux/netfilter/nfnetlink_log.h
_PACKET, _CONFIG = 4 << 8, 4 << 8 | 1
_MARK, _PAYLOAD = 2, 9
_COMMAND, _BIND = 1, 1
_IPV6 = 40  # octets


def binding(group: int, sequence: int) -> bytes:
    """The message that makes the socket that sends it the reader of a group."""
    body = bytes(2) + struct.pack("!H", group) + codec.attribute(_COMMAND, bytes([_BIND]))
    return codec.message(_CONFIG, codec.REQUEST | codec.ACK, sequence, body)


def packets(received: bytes) -> Iterator[tuple[int, Headers]]:
    """Marks and headers of the packets that a read of the socket tells of.

    Family: headers of IPv4 have a length of their own.

    Raises:
        RealmGatewayError: It is malformed.
    """
    for each in codec.messages(received):
        if each.kind != _PACKET:
            continue
        found = codec.fields(each)
        payload = found.get(_PAYLOAD, b"")
        begin = (payload[0] & 15) * 4 if payload[:1] and payload[0] >> 4 == 4 else _IPV6
        headers = headers_of(payload, payload[begin:])
        if headers is not None:
            yield codec.number(found.get(_MARK, b"")), headers
