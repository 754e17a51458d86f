"""Frames with solicitations, made here without the code that is tested."""

from __future__ import annotations

import struct
from ipaddress import IPv6Address

TARGET = IPv6Address("2001:db8:0:1:5::9").packed
ROUTER = IPv6Address("fe80::1").packed
NOBODY = bytes(16)
ROUTER_LINK, OWN_LINK = bytes.fromhex("0200000000aa"), bytes.fromhex("0200000000bb")
SOURCE_OPTION = b"\x01\x01" + ROUTER_LINK


def group(target: bytes) -> bytes:
    """The address of the nodes that may have a target."""
    return IPv6Address("ff02::1:ff00:0").packed[:13] + target[13:]


def checksum(source: bytes, destination: bytes, body: bytes) -> int:
    """By RFC 1071, word by word."""
    data = source + destination + struct.pack("!II", len(body), 58) + body + bytes(len(body) % 2)
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def solicitation(
    target: bytes = TARGET,
    source: bytes = ROUTER,
    destination: bytes | None = None,
    options: bytes = SOURCE_OPTION,
    *,
    hops: int = 255,
    kind: int = 135,
    code: int = 0,
    wrong: int = 0,
) -> bytes:
    """The frame of a solicitation; `wrong` is added to its checksum."""
    to = group(target) if destination is None else destination
    blank = struct.pack("!BBHI", kind, code, 0, 0) + target + options
    total = (checksum(source, to, blank) + wrong) & 0xFFFF
    body = struct.pack("!BBHI", kind, code, total, 0) + target + options
    head = struct.pack("!IHBB", 6 << 28, len(body), 58, hops) + source + to
    return b"\x33\x33" + to[12:] + ROUTER_LINK + b"\x86\xdd" + head + body
