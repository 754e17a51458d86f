"""The blocks of a pcapng file (draft-ietf-opsawg-pcapng, version 1.0): pure, values to octets.

A file is a section header, a description of each interface, and then packets; a file that ends with any block is whole.
Octets are in little-endian order, which the section header tells; times are in nanoseconds since 1970.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

ETHERNET, RAW = 1, 101
"""Link types (LINKTYPE_ETHERNET, LINKTYPE_RAW): frames of Ethernet; packets that begin with their IP header."""
LONGEST_COMMENT = 1000  # octets
"""More of a comment is cut off."""

_SECTION, _INTERFACE, _STATISTICS, _PACKET = 0x0A0D0D0A, 1, 5, 6
_MAGIC = 0x1A2B3C4D
_END, _COMMENT = 0, 1
_APPLICATION = 4
_NAME, _RESOLUTION = 2, 9
_START, _STOP, _RECEIVED, _DROPPED, _ACCEPTED = 2, 3, 4, 7, 6
_NANOSECONDS = b"\x09"
_UNKNOWN = 0xFFFF_FFFF_FFFF_FFFF  # the length of the section

Option = tuple[int, bytes]
"""Code and value."""


def section(application: str) -> bytes:
    """What a file begins with.

    Args:
        application: Who writes it.
    """
    return _block(_SECTION, struct.pack("<IHHQ", _MAGIC, 1, 0, _UNKNOWN), [(_APPLICATION, application.encode())])


def interface(name: str, link: int, longest: int) -> bytes:
    """Describes an interface; packets name it by how many were described before it.

    Args:
        name: It.
        link: `ETHERNET` or `RAW`.
        longest: So many octets of a packet are kept.
    """
    return _block(
        _INTERFACE, struct.pack("<HHI", link, 0, longest), [(_NAME, name.encode()), (_RESOLUTION, _NANOSECONDS)]
    )


def packet(number: int, time: int, octets: bytes, length: int, comment: str) -> bytes:
    """A packet.

    Args:
        number: Of its interface, from 0 on.
        time: When, in nanoseconds.
        octets: What was kept of it.
        length: How long it was.
        comment: What is said of it; empty: nothing.
    """
    fixed = struct.pack("<IIIII", number, time >> 32, time & 0xFFFF_FFFF, len(octets), length)
    said = [(_COMMENT, _cut(comment))] if comment else []
    return _block(_PACKET, fixed + _padded(octets), said)


def statistics(number: int, began: int, ended: int, received: int, dropped: int, accepted: int) -> bytes:
    """What became of an interface's packets.

    Args:
        number: Of the interface, from 0 on.
        began: When, in nanoseconds.
        ended: Likewise.
        received: How many packets the filter let through.
        dropped: How many of them found no room (isb_osdrop).
        accepted: How many were written (isb_filteraccept).
    """
    numbers = ((_RECEIVED, received), (_ACCEPTED, accepted), (_DROPPED, dropped))
    times = [
        (code, struct.pack("<II", when >> 32, when & 0xFFFF_FFFF)) for code, when in ((_START, began), (_STOP, ended))
    ]
    fixed = struct.pack("<III", number, ended >> 32, ended & 0xFFFF_FFFF)
    return _block(_STATISTICS, fixed, [*times, *((code, struct.pack("<Q", each)) for code, each in numbers)])


def _cut(comment: str) -> bytes:
    """No longer than it may be, and still UTF-8."""
    return comment.encode()[:LONGEST_COMMENT].decode(errors="ignore").encode()


def _padded(octets: bytes) -> bytes:
    return octets + bytes(-len(octets) % 4)


def _block(kind: int, fixed: bytes, options: Iterable[Option]) -> bytes:
    body = b"".join([fixed, *(struct.pack("<HH", code, len(value)) + _padded(value) for code, value in options)])
    body += struct.pack("<HH", _END, 0)
    length = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + length + body + length
