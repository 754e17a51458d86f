"""Tests for `realmgw.control.command.frame`."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from realmgw.control.command.frame import SORTS, frame, lines, standing

ROWS = [
    {"service": "www.a.example.", "host": "a.example.", "claims": [{}, {}], "sources": 1},
    {"service": "a.example.", "host": "a.example.", "claims": [], "sources": 3},
    {"service": "www.a.example.", "host": "a.example.", "claims": [], "sources": 0},
    {"service": "b.example.", "host": "b.example.", "claims": [{}], "sources": 9},
]
RESOLVERS = [{"name": "198.51.100.1", "reputation": 0.25, "ok": 1, "nok": 3}]
POOL = {
    "size": 4, "free": 1, "waiting": 2, "lingering": 1, "queries_waiting": 5,
    "ipv6": {"prefixes": ["2001:db8::/64"], "waiting": 7, "kept": 8},
}  # fmt: skip


def status(uptime: float, queries: int, strays: int) -> dict[str, Any]:
    """What a gateway says."""
    return {
        "state": "degraded", "name": "gwa.example.", "uptime": uptime, "pool": POOL,
        "troubles": [{"part": "dns", "text": "it is slow"}],
        "rates": {"seconds": 60.0, "queries": 0.5, "lent": 0.25, "admitted": 0.125},
        "counts": {
            "dns": {"wan": {"queries": queries, "reserved": queries}, "lan": {"queries": 0}},
            "admission": {"admitted": 0, "refused": {"no_claim": strays, "fragment": 100, "never": 0}},
            "allocation": {"refused": {"pool_full": 2}},
        },
    }  # fmt: skip


class FrameTests(SynchronousTestCase):
    """What stands on the screen."""

    def frame(self, before: dict[str, Any] | None = None, sort: str = "admitted", match: str = "") -> dict[str, Any]:
        """It, with 100 queries and 50 strays in ten seconds if there was something before."""
        shown = frame(status(70.0, 300, 150), before, RESOLVERS, match=match)
        return {**shown, **standing(ROWS, sort=sort, match=match)}

    def test_rates_are_those_of_the_gateway_at_first(self) -> None:
        """Nobody has looked before; of reasons it is only known how often they were given."""
        seen = self.frame()
        self.assertEqual((seen["rates"]["seconds"], seen["rates"]["queries"]), (60.0, 0.5))
        self.assertEqual([(row["reason"], row["rate"], row["total"]) for row in seen["refused"]],
                         [("no_claim", None, 150), ("fragment", None, 100), ("pool_full", None, 2)])  # fmt: skip

    def test_then_they_are_of_the_time_between(self) -> None:
        """What is refused now stands first."""
        seen = self.frame(status(60.0, 200, 100))
        self.assertEqual(seen["rates"], {"seconds": 10.0, "queries": 10.0, "lent": 10.0, "admitted": 0.0})
        self.assertEqual([(row["reason"], row["rate"]) for row in seen["refused"]],
                         [("no_claim", 5.0), ("fragment", 0.0), ("pool_full", 0.0)])  # fmt: skip

    def test_a_restart_begins_anew(self) -> None:
        """No rate is below zero."""
        self.assertEqual(self.frame(status(1000.0, 5000, 5000))["rates"]["seconds"], 60.0)

    def test_names_and_hosts_are_summed(self) -> None:
        """And sorted by what is wanted."""
        names = {sort: [row["name"] for row in self.frame(sort=sort)["names"]] for sort in SORTS}
        self.assertEqual(names["admitted"], ["b.example.", "a.example.", "www.a.example."])
        self.assertEqual(names["addresses"], ["www.a.example.", "a.example.", "b.example."])
        self.assertEqual(names["waiting"], ["www.a.example.", "b.example.", "a.example."])
        self.assertEqual(names["name"], ["a.example.", "b.example.", "www.a.example."])
        hosts = self.frame()["hosts"]
        self.assertEqual(hosts[1], {"name": "a.example.", "addresses": 3, "waiting": 2, "admitted": 4})

    def test_some_only(self) -> None:
        """By a part of their names, in capitals or not; a resolver's may have an interface in it."""
        seen = self.frame(match="wWw")
        self.assertEqual([row["name"] for row in seen["names"]], ["www.a.example."])
        self.assertEqual(seen["resolvers"], [])
        self.assertEqual(len(self.frame(match="198.51")["resolvers"]), 1)
        there = frame(status(70.0, 300, 150), None, [{**RESOLVERS[0], "name": "fe80::a%LAN0"}], match="FE80::A%lan")
        self.assertEqual(len(there["resolvers"]), 1)

    def test_for_people(self) -> None:
        """What is left out is counted."""
        self.assertEqual(
            list(lines(self.frame(status(60.0, 200, 100)), 2)),
            [
                "gwa.example.  degraded, up 1 min 10 s",
                "dns: it is slow",
                "10.0 queries/s, 10.0 addresses lent/s, 0.0 flows admitted/s, over 10 s",
                "pool [##########+++++.....] 4 addresses, 1 free, 2 waiting, 1 lingering; 5 queries wait",
                "pool IPv6 2001:db8::/64: 7 addresses waiting, 8 kept",
                "",
                "refused  reason    a second  in all",
                "packets  no_claim  5.0       150",
                "packets  fragment  0.0       100",
                "1 more",
                "",
                "names       addresses  waited for  let in",
                "b.example.  1          1           9",
                "a.example.  1          0           3",
                "1 more",
                "",
                "hosts       addresses  waited for  let in",
                "b.example.  1          1           9",
                "a.example.  3          2           4",
                "",
                "resolvers     reputation  used  unused",
                "198.51.100.1  0.25        1     3",
            ],
        )
