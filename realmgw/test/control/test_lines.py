"""Tests for `realmgw.control.lines`."""

from __future__ import annotations

import attrs
from twisted.trial.unittest import SynchronousTestCase

from realmgw import __version__
from realmgw.config.settings import Dnat
from realmgw.control.counting import Period
from realmgw.control.lines import PREFIXES, started, stopped, summary
from realmgw.datapath.machine.capabilities import Capabilities
from realmgw.subscribers.model import Directory
from realmgw.test.config.test_schema import MINIMAL, settings

SETTINGS = settings(MINIMAL)
NUMBERS = {
    "dns.wan.queries": 100,
    "dns.lan.queries": 20,
    "dns.wan.reserved": 50,
    "admission.admitted": 40,
    "admission.refused.late": 1,
    "admission.refused.no_reservation": 5,
    "allocation.refused.policy": 2,
    "datapath.strays_told": 3,
    "kernel.stray_limited.packets": 7,
}


class LinesTests(SynchronousTestCase):
    """What the log says of the gateway as a whole."""

    def test_the_start_line_has_what_one_wants_to_know_first(self) -> None:
        """Version, name, addresses, interfaces, pool, back ends, subscribers, time."""
        line = started(SETTINGS, Directory({}, {}), Capabilities(0, 0, native_queue=True, dnat=Dnat.MARKDNAT), 1.234)
        for words in (
            f"realmgw {__version__} serves gw.example.org.",
            "DNS for the WAN at 192.0.2.1, for LANs at none",
            "interfaces wan0 (WAN), lan0 (LAN)",
            "pool of 256 addresses (198.51.100.0/24 routed)",
            "table realmgw, dnat by markdnat",
            "queue 1 by nftables",
            "between LANs: dropped (datapath.forward.lan_to_lan)",
            "0 hosts, 0 services",
            "started in 1.23 s",
        ):
            self.assertIn(words, line)
        other = started(SETTINGS, Directory({}, {}), Capabilities(0, 0), 0)
        self.assertIn("queue 1 by iptables", other)

    def test_a_pool_of_many_pieces_does_not_fill_the_line(self) -> None:
        """Some are named, the others counted."""
        pools = attrs.evolve(SETTINGS.pools, circular=SETTINGS.pools.circular * (PREFIXES + 3))
        line = started(attrs.evolve(SETTINGS, pools=pools), Directory({}, {}), Capabilities(0, 0), 0)
        self.assertIn("routed, 3 more)", line)

    def test_the_stop_line_says_what_stays(self) -> None:
        """Or that nothing does."""
        line = stopped(SETTINGS, 3700, purged=False)
        self.assertIn("realmgw stopped after 1 h 1 min; in the kernel stay the table realmgw", line)
        self.assertIn("nothing of it is left in the kernel", stopped(SETTINGS, 1, purged=True))

    def test_a_summary_has_the_traffic(self) -> None:
        """With reasons, the most frequent first."""
        self.assertEqual(
            summary(Period(60.0, NUMBERS, {}), 0.25),
            "in 60 s: 120 queries, 50 addresses lent, 40 flows admitted; refused 6 packets (no_reservation 5, late 1) "
            "and 2 queries (policy 2); dropped by the kernel 7; 3 strays; load 0.25",
        )

    def test_a_quiet_minute_has_none(self) -> None:
        """Nothing that counts has changed."""
        self.assertIsNone(summary(Period(60.0, NUMBERS, NUMBERS), 0.25))

    def test_scans_and_floods_are_traffic(self) -> None:
        """Even when nobody asks and nobody is admitted."""
        for name in ("admission.refused.late", "kernel.stray_limited.packets", "datapath.strays_told"):
            self.assertIsNotNone(summary(Period(60.0, NUMBERS, {**NUMBERS, name: 0}), 0.0), name)
