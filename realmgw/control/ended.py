"""The ends of flows beside the decisions that let them in: of records, where there are any. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address
from typing import Any

from realmgw.config.settings import Network
from realmgw.control.between import Between


def conditions(since: float, *, name: str, host: str, client: Network | None, flow: Between | None) -> dict[str, Any]:
    """Which records are asked for.

    Args:
        since: Not those that ended before, in seconds since 1970.
        name: Part of the name that the client came by; empty: any.
        host: The host's own name; empty: any.
        client: Where the client is; None: anywhere.
        flow: Only these, also those that a host has begun; None: all that came in.
    """
    given: dict[str, Any] = {"since": since}
    if flow is None:
        given["direction"] = "in"
    else:
        given["one"], given["other"] = (str(ip_address(address)) for address, _ in (flow.one, flow.other))
    if name:
        given["named"] = name
    if host:
        given["host"] = host
    if client is not None:
        given["client"] = str(client)
    return given


def rows(records: Iterable[dict[str, Any]], flow: Between | None) -> list[dict[str, Any]]:
    """They, as decisions are told; with `start`, and the octets that it has carried.

    Args:
        records: What was recorded.
        flow: Only these; None: all.
    """
    return [_row(each) for each in records if flow is None or _is_meant(each, flow)]


def _row(record: dict[str, Any]) -> dict[str, Any]:
    outside, inside = (record["client"], record["client_port"]), (record["address"], record["port"])
    came_to = inside if record["via"] is None else (record["via"], record["via_port"])
    source, destination = (outside, came_to) if record["direction"] == "in" else (inside, outside)
    return {
        "at": record["at"], "what": "flow_ended", "id": record["trace_id"], "name": record["name"] or record["host"],
        "protocol": record["protocol"], "source": source[0], "source_port": source[1],
        "destination": destination[0], "port": destination[1], "why": record["event"], "start": record["start"],
        "octets_in": record["octets_in"], "octets_out": record["octets_out"],
    }  # fmt: skip


def _is_meant(record: dict[str, Any], flow: Between) -> bool:
    """By the other end, and by ours on either side of the translation."""
    ends = [(record[each], record[f"{each}_port" if each != "address" else "port"]) for each in ("address", "via")]
    ours = [(ip_address(address).packed, port) for address, port in ends if address is not None]
    return flow.has((ip_address(record["client"]).packed, record["client_port"]), *ours)
