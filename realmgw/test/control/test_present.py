"""Tests for `realmgw.control.present`."""

from __future__ import annotations

from typing import Any

import attrs

from realmgw.control.health import Severity
from realmgw.control.present import FRESH, TURN, Present
from realmgw.datapath.watch.keeper import Findings
from realmgw.datapath.watch.placed import Deviation, Kind, Thing
from realmgw.test.control.test_gateway import KERNEL, PROXY, GatewayTestCase


class PresentTests(GatewayTestCase):
    """A gateway with two subscribers, and two SYN proxies of which one is behind."""

    def setUp(self) -> None:
        super().setUp()
        self.wall, self.findings = 1000.0, Findings()
        proxies = [PROXY, {**PROXY, "state": "behind"}]
        self.present = Present(lambda: proxies, lambda: self.wall, {"build": {"version": "1"}, "start": 1000.0})
        self.present.look_into(self.gateway._insight, lambda: self.findings, self.made.reloader.drive)

    def read(self) -> dict[str, Any]:
        """All that is told."""
        done = self.present.read()
        self.made.pass_time()
        return dict(self.successResultOf(done))

    def test_counters_are_told_and_how_the_gateway_is(self) -> None:
        """In one tree."""
        self.made.health.tell("x", ["broken"], Severity.DEGRADED)
        tree = self.read()
        now = tree["now"]
        self.assertEqual((tree["kernel"], tree["dns"]["wan"]["queries"]), (KERNEL["kernel"], 120))
        self.assertEqual((now["hosts"], now["state"], now["build"]), (2, "degraded", {"version": "1"}))
        self.assertEqual(now["troubles"], {"notice": 0, "last_good": 0, "degraded": 1})
        self.assertEqual(now["synproxies"], {"in_step": 1, "behind": 1})
        pool = self.made.allocator.pool
        self.assertEqual((now["pool"]["free"], now["pool"]["load"]), (pool.size, 0.0))

    def test_what_is_out_of_place_is_counted(self) -> None:
        """In the kernel, as it was seen last."""
        here, there = (Thing(Kind.ROUTE, name, "there", needed=True) for name in "ab")
        self.findings = Findings(things=(here, there), left=(Deviation(there, "gone"),))
        self.assertEqual(self.read()["now"]["placed"], {"right": 1, "wrong": 1})

    def test_the_configuration_has_a_number_of_its_own(self) -> None:
        """Another one for other settings; and since when they are in force is known."""
        first = self.read()["now"]
        self.assertEqual((len(first["config"]["hash"]), first["config_since"], first["start"]), (16, 1000.0, 1000.0))
        self.wall = 1060.0
        running = self.made.running
        running.settings = attrs.evolve(running.settings, name="other.example.org.")
        self.present.configure()
        second = self.read()["now"]
        self.assertNotEqual(first["config"], second["config"])
        self.assertEqual((second["config_since"], second["start"]), (1060.0, 1000.0))

    def test_reputations_are_looked_at_once_in_a_while(self) -> None:
        """Few at a time, however often somebody asks; until then the former result is told."""
        for number in range(3 * TURN):
            self.made.allocator.groups.of(f"192.0.2.{number}")
        steps = self.present._distributed()
        self.assertGreaterEqual(sum(1 for _ in steps), 3)
        self.read()
        told = self.read()["now"]["reputation"]
        self.assertEqual((sum(told["resolver"]["counts"]), sum(told["client"]["counts"])), (3 * TURN, 0))
        self.made.allocator.groups.of("198.51.100.1")
        self.assertEqual(self.read()["now"]["reputation"], told)
        self.made.clock.advance(FRESH)
        self.read()
        self.assertEqual(sum(self.read()["now"]["reputation"]["resolver"]["counts"]), 3 * TURN + 1)

    def test_nothing_is_gone_through_host_by_host(self) -> None:
        """Of hosts only their number is asked for: of a hundred thousand it costs as much."""

        class Uncountable(dict[Any, Any]):
            """What may be counted, and not gone through."""

            def __iter__(self) -> Any:
                raise AssertionError("it was gone through")

            values = items = keys = __iter__

        directory = self.made.running.registry.directory
        self.read()
        hosts, services = Uncountable(directory.hosts), Uncountable(directory.services)
        registry: Any = self.made.running.registry
        registry.directory = attrs.evolve(directory, hosts=hosts, services=services)
        now = self.read()["now"]
        self.assertEqual((now["hosts"], now["services"]), (len(hosts), len(services)))
