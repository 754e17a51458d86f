"""Records and accounts as lines."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from realmgw.control.command import past

FLOW: dict[str, Any] = {
    "at": 1_795_778_324.743, "start": 1_795_778_264.7, "direction": "in", "protocol": "tcp",
    "host": "web.example.org.", "name": "www.example.org.", "address": "192.168.0.11", "port": 80,
    "via": "192.0.2.3", "via_port": 80, "client": "203.0.113.5", "client_port": 40112, "octets_in": 1164,
    "octets_out": 9_164_000, "trace_id": "2f3",
}  # fmt: skip


class PastTests(SynchronousTestCase):
    """What people see."""

    def test_a_flow_is_a_line(self) -> None:
        """What is not known is a dash; and it is said if there are more."""
        unknown = {**FLOW, **dict.fromkeys(("start", "host", "name", "via", "via_port", "octets_in", "trace_id"))}
        title, one, other, more = past.flows({"flows": [FLOW, unknown], "more": True})
        self.assertEqual(title.split()[:4], ["ended", "after", "protocol", "host"])
        self.assertEqual(one.split()[:2], past.when(FLOW["at"]).split())
        self.assertIn("web.example.org.  192.168.0.11:80  192.0.2.3:80  203.0.113.5:40112  www.example.org.", one)
        self.assertTrue(one.endswith("1.16 kB  9.16 MB  2f3"), one)
        self.assertEqual(other.split()[2:5], ["-", "in", "tcp"])
        self.assertIn("there are more", more)

    def test_an_account_is_a_line(self) -> None:
        """With its day or hour."""
        row: dict[str, Any] = {"name": "gold", "since": 1_795_777_200, "flows": 7, "packets_in": 9, "octets_in": 999,
                               "packets_out": 8, "octets_out": 1000}  # fmt: skip
        _, line = past.accounts({"accounts": [row], "more": False})
        hour = past.when(row["since"])[:-3].split()
        self.assertEqual(line.split(), ["gold", *hour, "7", "999", "B", "1", "kB", "9", "8"])

    def test_sizes_have_three_figures(self) -> None:
        """Whatever they are."""
        told = [past.size(each) for each in (0, 999, 1000, 999_499, 999_600, 10**15, 10**19, None)]
        self.assertEqual(told, ["0 B", "999 B", "1 kB", "999 kB", "1 MB", "1 PB", "1e+04 PB", "-"])
