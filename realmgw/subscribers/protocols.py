"""IP protocols by number or by name."""

from __future__ import annotations

from realmgw.config.document import Node, Problems
from realmgw.config.validators import scalar

PROTOCOLS = {"any": 0, "icmp": 1, "tcp": 6, "udp": 17, "sctp": 132}
"""Protocols that have a name here; every other one is written as its number."""


def protocol(node: Node, problems: Problems) -> int | None:
    """A kind: a protocol by number or by name."""
    text = scalar(node, problems)
    if text is None:
        return None
    if text.lower() in PROTOCOLS:
        return PROTOCOLS[text.lower()]
    if not (text.isascii() and text.isdigit() and len(text) <= 3 and int(text) <= 255):
        problems.add(node, f"{text!r} is no protocol: write a number from 0 to 255, or {', '.join(PROTOCOLS)}")
        return None
    return int(text)
