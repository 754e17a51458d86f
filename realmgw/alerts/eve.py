"""Lines of EVE to alerts: what is needed of them, each value checked. Whatever else is in a line is skipped.

They are read and checked by msgspec, which makes objects of nothing else. What it does not take - a number or a text
beyond what it knows, something else in the place of an object - is read by `json`, which says whether that is a line of
EVE.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from ipaddress import ip_address
from typing import Annotated

import msgspec
from msgspec import Meta

from realmgw.errors import MalformedError

LONGEST_TEXT = 200  # characters
"""Of a signature's text and a category; the rest is cut off."""
WITH_PORTS = frozenset((6, 17, 33, 132, 136))
"""Protocols with ports."""
PROTOCOLS: Mapping[str, int] = {
    "icmp": 1, "igmp": 2, "ip": 4, "ipip": 4, "tcp": 6, "udp": 17, "dccp": 33, "ipv6": 41, "rsvp": 46, "gre": 47,
    "esp": 50, "ah": 51, "ipv6-icmp": 58, "icmpv6": 58, "ospf": 89, "pim": 103, "sctp": 132, "udplite": 136,
}  # fmt: skip
"""By their names in EVE, in small letters; others are written as numbers."""
_OCTETS: Mapping[str, int] = {str(number): number for number in range(256)}
_MARK, _BEGIN = b'"alert"', b'{"timestamp":'
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]+")
"""What a terminal acts upon, what turns the order of others around (Unicode's Bidi_Control), halves of characters."""

Flow = tuple[bytes, bytes, int, int, int]
"""Packed source, packed destination, protocol, source port, destination port."""
NO_FLOW: Flow = (b"", b"", 0, 0, 0)
"""That of a packet without addresses: a broken one, for example, of which Suricata's own rules tell."""


_Port = Annotated[int, Meta(ge=0, le=65535)]
_Short = Annotated[str, Meta(max_length=64)]


class _Said(msgspec.Struct, gc=False):
    """What is said of an alert, in the object of this name."""

    signature_id: Annotated[int, Meta(ge=1, le=2**32 - 1)]
    severity: Annotated[int, Meta(ge=1, le=255)]
    signature: str = ""
    category: str = ""


class _Event(msgspec.Struct, gc=False):
    """What is said of an event."""

    event_type: str = ""
    src_ip: _Short = ""
    dest_ip: _Short = ""
    proto: _Short = ""
    src_port: _Port | None = None
    dest_port: _Port | None = None
    alert: _Said | None = None


_read = msgspec.json.Decoder(_Event).decode


class Alert(msgspec.Struct, frozen=True, gc=False):
    """What an intrusion detection system says of a packet."""

    signature: int
    """The number of what has matched."""
    text: str
    """What that is, for people; `LONGEST_TEXT` at most, in one line."""
    category: str
    """Likewise."""
    severity: int
    """1 is the most severe."""
    flow: Flow
    """Where the packet came from and went to, as it was seen; ports are 0 where the protocol has none. Or `NO_FLOW`."""


def decode(line: bytes) -> Alert | None:
    """The alert of a line; None if that tells of another event.

    Raises:
        MalformedError: It is no line of EVE, or has a value that can not be.
    """
    if _MARK not in line:  # most lines of an EVE file: they are not looked at any further
        if line[:1] == b"{" and line[-1:] == b"}":
            return None
        raise MalformedError("no object of JSON")
    try:
        event = _read(line)
    except (ValueError, RecursionError):  # of which msgspec's errors are
        event = _read_patiently(line)
    if event.event_type != "alert":
        return None
    said = event.alert
    if said is None:
        raise MalformedError("an alert without what it is")
    return Alert(said.signature_id, _text(said.signature), _text(said.category), said.severity, _flow(event))


def _read_patiently(line: bytes) -> _Event:
    try:
        said = json.loads(line.decode("utf-8", "surrogatepass"))  # which has not to find out that it is UTF-8
    except (ValueError, RecursionError):
        raise MalformedError("no JSON") from None
    if not isinstance(said, dict):
        raise MalformedError("no object of JSON")
    if said.get("event_type") != "alert":
        return _Event()
    try:
        return msgspec.convert(said, _Event)
    except ValueError as error:
        raise MalformedError(str(error)) from None


def after_cut(line: bytes) -> bytes:
    """What may be a whole line at the end of a malformed one; empty: nothing.

    Where a socket takes only a part of a line, Suricata goes on with the next one.
    """
    at = line.rfind(_BEGIN)
    return line[at:] if at > 0 else b""


def _flow(event: _Event) -> Flow:
    if not (event.src_ip or event.dest_ip or event.proto):
        return NO_FLOW
    source, destination, protocol = _packed(event.src_ip), _packed(event.dest_ip), _protocol(event.proto)
    if source is None or destination is None:
        raise MalformedError("an address is missing, or none")
    if len(source) != len(destination):
        raise MalformedError("two addresses of different families")
    if protocol not in WITH_PORTS:
        return source, destination, protocol, 0, 0
    if event.src_port is None or event.dest_port is None:
        raise MalformedError("a port is missing")
    return source, destination, protocol, event.src_port, event.dest_port


@lru_cache(4096)
def _packed(text: str) -> bytes | None:
    try:  # as most are written; it takes a fifth of the time
        first, second, third, last = text.split(".")
        return bytes((_OCTETS[first], _OCTETS[second], _OCTETS[third], _OCTETS[last]))
    except (KeyError, ValueError):
        pass
    try:
        return None if "%" in text else ip_address(text).packed
    except ValueError:
        return None


@lru_cache(256)
def _protocol(text: str) -> int:
    known = PROTOCOLS.get(text.lower())
    if known is not None:
        return known
    if text.isascii() and text.isdigit() and len(text) <= 3 and int(text) <= 255:
        return int(text)
    raise MalformedError("the protocol is missing, or not known")


def _text(value: str) -> str:
    value = value[:LONGEST_TEXT]
    return value if value.isprintable() else _CONTROL.sub(" ", value)  # what is meant by that is not printable
