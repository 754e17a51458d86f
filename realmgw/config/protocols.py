"""IP protocols by number or by name."""

from __future__ import annotations

from realmgw.config.validators import parsed

ICMP, TCP, UDP, DCCP, ICMP6, SCTP, UDP_LITE = 1, 6, 17, 33, 58, 132, 136
WITH_PORTS = frozenset((TCP, UDP, SCTP))
"""Those whose ports are written in rules, services and tests."""
PORTED = WITH_PORTS | {DCCP, UDP_LITE}
"""All whose first octets are ports, as conntrack knows them: GRE has its key in their place."""
PROTOCOLS = {"any": 0, "icmp": ICMP, "tcp": TCP, "udp": UDP, "sctp": SCTP}
"""Protocols that have a name here; every other one is written as its number."""
NAMES = {number: name for name, number in PROTOCOLS.items()}
"""The other way."""


def _protocol(text: str) -> int:
    if text.lower() in PROTOCOLS:
        return PROTOCOLS[text.lower()]
    if not (text.isascii() and text.isdigit() and len(text) <= 3 and int(text) <= 255):
        raise ValueError(f"{text!r} is no protocol: write a number from 0 to 255, or {', '.join(PROTOCOLS)}")
    return int(text)


_WORDS = rf"^([0-9]{{1,3}}|{'|'.join(PROTOCOLS)})$"
protocol = parsed(_protocol, type=["integer", "string"], minimum=0, maximum=255, pattern=_WORDS)
"""A protocol by number or by name."""
