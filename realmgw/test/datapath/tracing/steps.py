"""Steps of packets, for tests."""

from __future__ import annotations

from ipaddress import ip_address

from realmgw.datapath.netlink.traces import Headers, Kind, Step
from realmgw.datapath.tracing.match import BEGIN, trace_table

OURS = "realmgw"
"""The main table."""


def headers(to: str = "192.0.2.2") -> Headers:
    """A datagram."""
    return Headers(ip_address("192.0.2.1").packed, ip_address(to).packed, 17, 1024, 53)


def step(
    chain: str,
    rule: int,
    verdict: str = "continue",
    packet: int = 7,
    *,
    table: str = OURS,
    to: str = "",
    kind: Kind = Kind.RULE,
    headers: Headers | None = None,
) -> Step:
    """A rule has matched, in a chain of our table."""
    return Step(packet, (1, table, chain), kind, rule, verdict, to, headers, 0, 0, 0)


def begin(packet: int = 7) -> Step:
    """The kernel begins to follow one."""
    return step(BEGIN, 2, packet=packet, table=trace_table(OURS))
