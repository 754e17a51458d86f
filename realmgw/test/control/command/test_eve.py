"""Tests for `realmgw.control.command.eve`."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from realmgw.control.command.eve import community_id, lines

BEGINS = {
    "event": "begins", "at": 1_700_000_000.25, "direction": "in", "protocol": "tcp", "host": "one.example.org.",
    "service": "www.example.org.", "address": "192.168.0.1", "port": 80, "via": "198.51.100.1", "via_port": 80,
    "client": "203.0.113.5", "client_port": 4000, "state": "", "answered": False, "assured": False, "remaining": 120,
    "packets": None, "octets": None, "trace_id": "2f3",
}  # fmt: skip


def record(**changes: Any) -> Any:
    """What is written of a flow that differs in these."""
    [line] = lines({**BEGINS, **changes})
    assert "\n" not in line
    return json.loads(line)


class RecordTests(SynchronousTestCase):
    """What is written of flows."""

    def test_flow_into_a_host(self) -> None:
        """With the addresses that the WAN sees, and what is inside."""
        self.assertEqual(
            record(),
            {
                "timestamp": "2023-11-14T22:13:20.250000+0000",
                "event_type": "flow",
                "src_ip": "203.0.113.5", "src_port": 4000, "dest_ip": "198.51.100.1", "dest_port": 80, "proto": "TCP",
                "community_id": community_id("tcp", ("203.0.113.5", 4000), ("198.51.100.1", 80)),
                "flow": {"state": "new"},
                "realmgw": {
                    "event": "begins", "direction": "in", "host": "one.example.org.", "service": "www.example.org.",
                    "address": "192.168.0.1", "port": 80,
                    "community_id": community_id("tcp", ("203.0.113.5", 4000), ("192.168.0.1", 80)),
                    "trace_id": "2f3",
                },
            },
        )  # fmt: skip

    def test_flow_out_of_a_host(self) -> None:
        """Its source is what its packets leave from."""
        said = record(event="ends", direction="out", via_port=40000, service=None, trace_id=None)
        self.assertEqual((said["src_ip"], said["src_port"], said["dest_ip"]), ("198.51.100.1", 40000, "203.0.113.5"))
        self.assertEqual(said["flow"], {"state": "closed"})
        self.assertNotIn("trace_id", said["realmgw"])

    def test_flow_that_is_not_translated(self) -> None:
        """Outside and inside are the same."""
        said = record(via=None, via_port=None, address="2001:db8:1::1", client="2001:db8::9")
        self.assertEqual(said["dest_ip"], "2001:db8:1::1")
        self.assertEqual(said["community_id"], said["realmgw"]["community_id"])

    def test_protocols_without_ports_have_no_community_id(self) -> None:
        """Theirs would be made of types and codes, which conntrack does not tell here."""
        for protocol in ("icmp", "47"):
            said = record(protocol=protocol)
            self.assertNotIn("community_id", said)
            self.assertNotIn("community_id", said["realmgw"])

    def test_what_is_missing_is_told(self) -> None:
        """As records of a type of their own, which others skip."""
        for value in ({"left_out": None}, {"left_out": 3}):
            [line] = lines(value)
            said = json.loads(line)
            self.assertEqual(said["event_type"], "realmgw")
            self.assertEqual(said["realmgw"], value)
            self.assertRegex(said["timestamp"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+0000$")


class CommunityIdTests(SynchronousTestCase):
    """What other programs know a flow by."""

    def test_published_values(self) -> None:
        """Those of the specification's own baseline, whichever direction is seen."""
        for protocol, one, other, expected in (
            ("tcp", ("128.232.110.120", 34855), ("66.35.250.204", 80), "1:LQU9qZlK+B5F3KDmev6m5PMibrg="),
            ("udp", ("192.168.1.52", 54585), ("8.8.8.8", 53), "1:d/FP5EW3wiY1vCndhwleRRKHowQ="),
            ("sctp", ("192.168.170.8", 7), ("192.168.170.56", 7), "1:MP2EtRCAUIZvTw6MxJHLV7N7JDs="),
        ):
            self.assertEqual(community_id(protocol, one, other), expected)
            self.assertEqual(community_id(protocol, other, one), expected)
