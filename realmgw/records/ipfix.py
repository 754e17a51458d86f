"""IPFIX messages of records: pure, values to octets in network byte order (RFC 7011).

All elements are IANA's (RFC 7012, and RFC 8158 for what is translated), or reverse ones of RFC 5103: a flow is seen
from who began it, and what came back are the reverse elements. The subscriber is `userName`. The trace id is
`commonPropertiesId`, since it is what all flows have in common that came by one answer; 0: there is none.

Family: each has elements of its own for addresses, and so a template.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import ip_address
from typing import NamedTuple

from realmgw.config.protocols import PROTOCOLS
from realmgw.records.record import INWARD, REMEMBERED, Record

VERSION = 10
LONGEST = 1232  # octets
"""Of a message: IPv6 carries as much everywhere, with its header and that of UDP (RFC 8200 section 5)."""
TEMPLATES, FOUR, SIX = 2, 256, 257
"""Identifiers of sets: of templates, and of records by the template for IPv4 and IPv6."""
IDLE, ACTIVE = 1, 2
"""Why a record is sent (`flowEndReason`): conntrack has the flow no more, or it lasts."""
MOST_TEXT = 255  # octets
"""More of a name is cut off."""

_HEADER, _SET = struct.Struct("!HHIII"), struct.Struct("!HH")
_FIXED = struct.Struct("!QQBBBHHHHQQQQQ")
_ENTERPRISE, _REVERSE = 0x8000, 29305  # RFC 5103 section 6.1
_VARIABLE = 0xFFFF
_ADDRESSES = {
    FOUR: (8, 12, 225, 226),  # source, destination; after the translation: source, destination
    SIX: (27, 28, 281, 282),
}
_LENGTHS = {FOUR: 4, SIX: 16}
_FIELDS = (
    (152, 8),  # flowStartMilliseconds
    (153, 8),  # flowEndMilliseconds
    (4, 1),  # protocolIdentifier
    (61, 1),  # flowDirection
    (136, 1),  # flowEndReason
    (7, 2),  # sourceTransportPort
    (11, 2),  # destinationTransportPort
    (227, 2),  # postNAPTSourceTransportPort
    (228, 2),  # postNAPTDestinationTransportPort
    (1, 8),  # octetDeltaCount
    (2, 8),  # packetDeltaCount
    (1 | _ENTERPRISE, 8),  # reverseOctetDeltaCount
    (2 | _ENTERPRISE, 8),  # reversePacketDeltaCount
    (137, 8),  # commonPropertiesId
)
_USER = (371, _VARIABLE)  # userName


class Data(NamedTuple):
    """A record, as it is sent."""

    template: int
    """`FOUR` or `SIX`."""
    octets: bytes
    """It."""


def template_set() -> bytes:
    """The set of both templates (RFC 7011 sections 3.3.2 and 3.4.1)."""
    body = b""
    for template, elements in _ADDRESSES.items():
        fields = [*((each, _LENGTHS[template]) for each in elements), *_FIELDS, _USER]
        body += _SET.pack(template, len(fields)) + b"".join(map(_field, fields))
    return _SET.pack(TEMPLATES, _SET.size + len(body)) + body


def _field(field: tuple[int, int]) -> bytes:
    element, length = field
    enterprise = struct.pack("!I", _REVERSE) if element & _ENTERPRISE else b""
    return _SET.pack(element, length) + enterprise


def data(record: Record, before: Record | None = None) -> Data:
    """What is sent of a flow: what it has carried since it was told of last.

    Args:
        record: It.
        before: What was told of it before.
    """
    there, back = _amounts(record, before)
    inside, outside = (record.address, record.port), (record.client, record.client_port)
    via = inside if record.via is None else (record.via, record.via_port or 0)
    is_inward = record.direction == INWARD
    if is_inward:
        source, destination, post_source, post_destination = outside, via, outside, inside
    else:
        source, destination, post_source, post_destination = inside, outside, via, outside
        there, back = back, there
    ends = source, destination, post_source, post_destination
    at = round(record.at * 1000)
    fixed = _FIXED.pack(
        at if record.start is None else round(record.start * 1000), at,
        PROTOCOLS.get(record.protocol) or int(record.protocol), 0 if is_inward else 1,
        ACTIVE if record.event == "lasts" else IDLE, *(port for _, port in ends), *there, *back,
        int(record.trace_id or "0", 16),
    )  # fmt: skip
    user = (record.host or "").encode()[:MOST_TEXT]
    length = bytes([len(user)]) if len(user) < MOST_TEXT else struct.pack("!BH", MOST_TEXT, len(user))
    addresses = [_packed(address) for address, _ in ends]
    return Data(FOUR if len(addresses[0]) == 4 else SIX, b"".join((*addresses, fixed, length, user)))


@lru_cache(REMEMBERED)
def _packed(address: str) -> bytes:
    return ip_address(address).packed


def _amounts(record: Record, before: Record | None) -> tuple[tuple[int, int], tuple[int, int]]:
    """Octets and packets towards the host, and from it; what conntrack has not counted is 0."""
    packets_in, octets_in, packets_out, octets_out = record.since(before)
    return (octets_in, packets_in), (octets_out, packets_out)


def message(domain: int, now: float, sequence: int, records: Sequence[Data], *, templates: bool) -> bytes:
    """A message (RFC 7011 section 3.1).

    Args:
        domain: The observation domain.
        now: The present, in seconds since 1970.
        sequence: How many records were sent before it, modulo 2^32.
        records: What is in it; `fitting` says how many fit.
        templates: Whether the templates come first.
    """
    sets = [template_set()] if templates else []
    for template in (FOUR, SIX):
        body = b"".join(each.octets for each in records if each.template == template)
        if body:
            sets.append(_SET.pack(template, _SET.size + len(body)) + body)
    content = b"".join(sets)
    return _HEADER.pack(VERSION, _HEADER.size + len(content), int(now), sequence & 0xFFFF_FFFF, domain) + content


def fitting(records: Sequence[Data]) -> int:
    """How many of these, from the first on, fit into a message without templates; at least one."""
    room = LONGEST - _HEADER.size - 2 * _SET.size
    for count, each in enumerate(records):
        room -= len(each.octets)
        if room < 0:
            return max(1, count)
    return len(records)
