"""The ends of flows beside the decisions that let them in: of records, where there are any. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address
from typing import Any

from realmgw.config.settings import Network

Ends = tuple[bytes, bytes, int, int]
"""Packed addresses and ports of a flow, from the client to us."""


def conditions(name: str, client: Network | None, flow: Ends | None, since: float) -> dict[str, Any]:
    """Which records are asked for.

    Args:
        name: Part of the name that the client came by; empty: any.
        client: Where the client is; None: anywhere.
        flow: Only this one; None: any.
        since: Not those that ended before, in seconds since 1970.
    """
    given: dict[str, Any] = {"since": since, "direction": "in"}
    if name:
        given["named"] = name
    if flow is not None:
        given["client"] = str(ip_address(flow[0]))
    elif client is not None:
        given["client"] = str(client)
    return given


def rows(records: Iterable[dict[str, Any]], flow: Ends | None) -> list[dict[str, Any]]:
    """They, as decisions are told; with `start`, and the octets that it has carried.

    Args:
        records: What was recorded.
        flow: Only this one; None: any.
    """
    found = (_row(each) for each in records)
    return [each for each in found if flow is None or _ends(each) == flow]


def _row(record: dict[str, Any]) -> dict[str, Any]:
    own = (record["address"], record["port"])
    destination, port = own if record["via"] is None else (record["via"], record["via_port"])
    return {
        "at": record["at"], "what": "flow_ended", "id": record["trace_id"], "name": record["name"],
        "protocol": record["protocol"], "source": record["client"], "source_port": record["client_port"],
        "destination": destination, "port": port, "why": record["event"], "start": record["start"],
        "octets_in": record["octets_in"], "octets_out": record["octets_out"],
    }  # fmt: skip


def _ends(row: dict[str, Any]) -> Ends:
    return ip_address(row["source"]).packed, ip_address(row["destination"]).packed, row["source_port"], row["port"]
