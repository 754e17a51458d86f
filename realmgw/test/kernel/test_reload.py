"""A running gateway is told something else: what lives on, and what ends."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

from twisted.trial.unittest import SynchronousTestCase

from realmgw.control.command.client import ask
from realmgw.test import programs
from realmgw.test.kernel import requirements
from realmgw.test.kernel.realm_case import FIRST, PREFIX, SECOND, RealmTestCase

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.load import generator
    from testbed.programs import storm
    from testbed.realm import client
    from testbed.realm.gateway import Subscriber

    ONE, TWO = Subscriber("one.gwa.demo.", FIRST), Subscriber("two.gwa.demo.", SECOND)


class ReloadTests(RealmTestCase):
    """Two hosts, and files that change."""

    def write(self, *subscribers: Subscriber) -> None:
        """Other subscribers."""
        (self.testbed.folder / "subscribers.d" / "testbed.yaml").write_text(
            "".join(each.text() for each in subscribers)
        )

    def reload(self) -> Any:
        """Has the gateway reload; what became of it."""
        return ask(self.gateway.control, "reload")

    def tearDown(self) -> None:
        """The next test begins with both hosts."""
        self.write(ONE, TWO)
        self.reload()

    def test_flows_of_a_host_that_is_gone_end_and_others_go_on(self) -> None:
        """In both directions; a host that stays keeps its downloads."""
        with ThreadPoolExecutor(2) as pool:
            ends = self.download(pool, "one.gwa.demo", 4_000_000)
            stays = self.download(pool, "two.gwa.demo", 2_000_000)
            self.write(TWO)
            answer = self.reload()
            self.assertEqual((answer["status"], answer["plan"]["hosts_removed"]), ("applied", ["one.gwa.demo."]))
            self.assertGreaterEqual(answer["flows_ended"], 1)
            listed = self.testbed.run("gwa", ["cat", "/proc/net/nf_conntrack"]).stdout
            self.assertNotIn(f"src={FIRST} ", listed)
            self.assertEqual(stays.result(20.0).size, 2_000_000)
            self.assertIsNotNone(ends.exception(30.0))

    def test_a_name_that_is_new_is_served_after_a_signal(self) -> None:
        """SIGHUP is a reload, too."""
        self.write(ONE, TWO, Subscriber("new.gwa.demo.", "192.168.0.102"))
        os.kill(self.gateway.pid, signal.SIGHUP)
        deadline = time.monotonic() + 30.0
        while ask(self.gateway.control, "status")["hosts"] != 3 and time.monotonic() < deadline:
            time.sleep(0.02)
        self.assertTrue(self.ask("new.gwa.demo").startswith("100.64."))

    def test_the_pool_changes_in_the_kernel_too(self) -> None:
        """Set and routes, and new flows come through."""
        text = self.gateway.config.read_text()
        self.gateway.config.write_text(text.replace("100.64.2.0/28", "100.64.2.8/29"))
        try:
            self.assertEqual(self.reload()["status"], "applied")
            self.assertIn(
                "100.64.2.8/29", self.testbed.run("gwa", ["nft", "list", "set", "inet", "realmgw", "pool"]).stdout
            )
            routes = self.testbed.run("gwa", ["ip", "route", "show", "table", "all", "proto", "82"]).stdout
            self.assertIn("unreachable 100.64.2.8/29", routes)
            self.assertNotIn("100.64.2.0/28", routes)
            self.assertEqual(FIRST, self.public(client.fetch(self.ask("one.gwa.demo"))))
        finally:
            self.gateway.config.write_text(text)

    def test_a_policy_test_that_fails_refuses_it(self) -> None:
        """And one that comes true does not; a host that it is about does not go, and is served as before."""
        text = self.gateway.config.read_text()
        test = "{packet: {source: 198.51.100.80, asked: one.gwa.demo, port: 80}, expect: %s}"
        try:
            self.gateway.config.write_text(f"{text}\ntests: [{test % 'admitted'}]\n")
            self.assertEqual(self.reload()["status"], "applied")
            self.write(TWO)
            refused = self.reload()
            self.assertEqual(refused["status"], "refused")
            self.assertIn("the test expects ADMITTED, and what comes is NXDOMAIN", refused["problems"][0])
            self.assertTrue(self.ask("one.gwa.demo").startswith("100.64."))
            self.write(ONE, TWO)
            self.gateway.config.write_text(f"{text}\ntests: [{test % 'no_reservation'}]\n")
            self.assertIn("what comes is ADMITTED", self.reload()["problems"][0])
        finally:
            self.gateway.config.write_text(text)

    def test_what_the_kernel_refuses_leaves_everything_as_it_was(self) -> None:
        """A pool that overlaps the LAN."""
        text = self.gateway.config.read_text()
        before = self.testbed.run("gwa", ["nft", "list", "table", "inet", "realmgw"]).stdout
        self.gateway.config.write_text(text.replace("100.64.2.0/28", "192.168.0.64/30"))
        try:
            answer = self.reload()
        finally:
            self.gateway.config.write_text(text)
        self.assertEqual(answer["status"], "failed")
        self.assertIn("192.168.0.0/24", answer["problems"][0])
        after = self.testbed.run("gwa", ["nft", "list", "table", "inet", "realmgw"]).stdout
        self.assertEqual(_rules(after), _rules(before))
        self.assertEqual(ask(self.gateway.control, "pool")["size"], 19)

    def test_second_gateway_touches_nothing(self) -> None:
        """It ends with one line, and the first one serves on."""
        before = self.testbed.run("gwa", ["nft", "-a", "list", "table", "inet", "realmgw"]).stdout
        second = self.testbed.run("gwa", [sys.executable, *self.gateway.command], timeout=20.0)
        self.assertEqual(second.returncode, 1)
        self.assertIn(f"(process {self.gateway.pid})", second.stdout + second.stderr)
        after = self.testbed.run("gwa", ["nft", "-a", "list", "table", "inet", "realmgw"]).stdout
        self.assertEqual(_rules(after), _rules(before))
        self.assertEqual(FIRST, self.public(client.fetch(self.ask("one.gwa.demo"))))


def _rules(listing: str) -> list[str]:
    """A table without what is counted."""
    return [line for line in listing.splitlines() if "packets" not in line]


class StormTests(SynchronousTestCase):
    """Reloads again and again; `testbed/reload-storm` is the long form."""

    skip = requirements.missing_for_gateway() or programs.missing("make", "cc")
    reloads: ClassVar[int] = 60

    def test_no_flow_is_lost(self) -> None:
        """At 2000 flows a second, and every reload has its answer; nothing stays behind."""
        generator.build()
        found = storm.run_storm(self.reloads, seed=2, prefix=f"{PREFIX}storm-")
        self.assertEqual(sum(found.statuses.values()), self.reloads)
        self.assertNotIn("failed", found.statuses)
        for flows in found.flows:
            self.assertEqual(dict.fromkeys(flows.lost, 0), dict(flows.lost))
        self.assertLessEqual(found.end.threads, found.middle.threads)
        self.assertLessEqual(found.end.files, found.middle.files + 1)
