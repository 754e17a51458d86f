"""Flows that begin and end as lines of Suricata's EVE, for whoever joins them with what else he has.

By the Community ID (version 1, seed 0) other programs know a flow by its addresses and ports, whichever direction they
have seen: https://github.com/corelight/community-id-spec. A flow that is translated has one outside, and one inside.

Edge: the calendar.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from datetime import datetime, timezone
from hashlib import sha1
from ipaddress import ip_address
from typing import Any

from realmgw.config import protocols
from realmgw.control.command.shown import Answer

_WITH_PORTS = frozenset(protocols.NAMES[each] for each in protocols.WITH_PORTS)
_STATES = {"begins": "new", "ends": "closed"}
_End = tuple[str, int]


def lines(value: Answer) -> Iterator[str]:
    """What `flows/watch` tells, as EVE; what was left out is a record of `event_type` `realmgw`."""
    yield json.dumps(record(value), separators=(",", ":"))


def record(value: Answer) -> dict[str, Any]:
    """A record of EVE: `src_ip` is where the first packet came from, and addresses are those that the WAN sees."""
    when = datetime.fromtimestamp(value["at"], timezone.utc) if "at" in value else datetime.now(timezone.utc)
    stamp = {"timestamp": when.strftime("%Y-%m-%dT%H:%M:%S.%f%z")}
    if "client" not in value:
        return {**stamp, "event_type": "realmgw", "realmgw": {key: value[key] for key in value if key != "at"}}
    client, host = (value["client"], value["client_port"]), (value["address"], value["port"])
    via = host if value["via"] is None else (value["via"], value["via_port"])
    source, destination = (client, via) if value["direction"] == "in" else (via, client)
    protocol = value["protocol"]
    inside = {name: value[name] for name in ("event", "direction", "host", "service", "address", "port")}
    return {
        **stamp,
        "event_type": "flow",
        "src_ip": source[0], "src_port": source[1], "dest_ip": destination[0], "dest_port": destination[1],
        "proto": protocol.upper(),
        **_known("community_id", community_id(protocol, source, destination)),
        "flow": {"state": _STATES[value["event"]]},
        "realmgw": {
            **inside, **_known("community_id", community_id(protocol, host, client)),
            **_known("trace_id", value["trace_id"]),
        },
    }  # fmt: skip


def community_id(protocol: str, one: _End, other: _End) -> str | None:
    """The Community ID of a flow between two ends; None for protocols without ports, whose rules are others.

    >>> community_id("tcp", ("128.232.110.120", 34855), ("66.35.250.204", 80))
    '1:LQU9qZlK+B5F3KDmev6m5PMibrg='
    """
    if protocol not in _WITH_PORTS:
        return None
    ends = sorted((ip_address(address).packed, port.to_bytes(2, "big")) for address, port in (one, other))
    (low, low_port), (high, high_port) = ends
    number = protocols.PROTOCOLS[protocol].to_bytes(1, "big")
    told = bytes(2) + low + high + number + bytes(1) + low_port + high_port
    return "1:" + b64encode(sha1(told, usedforsecurity=False).digest()).decode()


def _known(name: str, value: object) -> dict[str, Any]:
    return {} if value is None else {name: value}
