"""Lines of EVE to alerts: what is needed of them, each value checked. Whatever else is in a line is skipped.

They are read by msgspec, which makes objects of nothing else. What it does not take - a number or a text beyond what
it knows, something else in the place of an object - is read by `json`, which says whether that is a line of EVE.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from ipaddress import ip_address

import attrs
import msgspec

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
_MARK, _BEGIN = b'"alert"', b'{"timestamp":'
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]+")
"""What a terminal acts upon, what turns the order of others around (Unicode's Bidi_Control), halves of characters."""

Flow = tuple[bytes, bytes, int, int, int]
"""Packed source, packed destination, protocol, source port, destination port."""


class _Said(msgspec.Struct, gc=False):
    """What is said of an alert, in the object of this name."""

    signature_id: object = None
    signature: object = ""
    category: object = ""
    severity: object = None


class _Event(msgspec.Struct, gc=False):
    """What is said of an event."""

    event_type: object = None
    src_ip: object = None
    dest_ip: object = None
    proto: object = None
    src_port: object = None
    dest_port: object = None
    alert: _Said | None = None


_read = msgspec.json.Decoder(_Event).decode


@attrs.frozen
class Alert:
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
    """Where the packet came from and went to, as it was seen; ports are 0 where the protocol has none."""


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
    return Alert(
        _number(said.signature_id, "signature_id", 1, 2**32 - 1),
        _text(said.signature, "signature"),
        _text(said.category, "category"),
        _number(said.severity, "severity", 1, 255),
        _flow(event),
    )


def _read_patiently(line: bytes) -> _Event:
    try:
        said = json.loads(line.decode("utf-8", "surrogatepass"))  # which has not to find out that it is UTF-8
    except (ValueError, RecursionError):
        raise MalformedError("no JSON") from None
    if not isinstance(said, dict):
        raise MalformedError("no object of JSON")
    alert = said.get("alert")
    known = {each: said[each] for each in _Event.__struct_fields__ if each in said}
    about = (
        {each: alert[each] for each in _Said.__struct_fields__ if each in alert} if isinstance(alert, dict) else None
    )
    return _Event(**{**known, "alert": None if about is None else _Said(**about)})


def after_cut(line: bytes) -> bytes:
    """What may be a whole line at the end of a malformed one; empty: nothing.

    Where a socket takes only a part of a line, Suricata goes on with the next one.
    """
    at = line.rfind(_BEGIN)
    return line[at:] if at > 0 else b""


def _flow(event: _Event) -> Flow:
    source, destination = _address(event.src_ip), _address(event.dest_ip)
    if len(source) != len(destination):
        raise MalformedError("two addresses of different families")
    protocol = _protocol(event.proto)
    if protocol not in WITH_PORTS:
        return source, destination, protocol, 0, 0
    sport, dport = _number(event.src_port, "src_port", 0, 65535), _number(event.dest_port, "dest_port", 0, 65535)
    return source, destination, protocol, sport, dport


def _address(text: object) -> bytes:
    if not isinstance(text, str):
        raise MalformedError("an address is missing")
    packed = _packed(text[:64])
    if packed is None:
        raise MalformedError("an address is none")
    return packed


@lru_cache(4096)
def _packed(text: str) -> bytes | None:
    try:
        return None if "%" in text else ip_address(text).packed
    except ValueError:
        return None


def _protocol(text: object) -> int:
    if isinstance(text, str):
        known = PROTOCOLS.get(text.lower())
        if known is not None:
            return known
        if text.isascii() and text.isdigit() and len(text) <= 3 and int(text) <= 255:
            return int(text)
    raise MalformedError("the protocol is missing, or not known")


def _number(value: object, name: str, low: int, high: int) -> int:
    if type(value) is not int or not low <= value <= high:
        raise MalformedError(f"{name} is missing, or no number from {low} to {high}")
    return value


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise MalformedError(f"{name} is no text")
    value = value[:LONGEST_TEXT]
    return value if value.isprintable() else _CONTROL.sub(" ", value)  # what is meant by that is not printable
