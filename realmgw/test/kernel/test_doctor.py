"""`realmgw doctor` beside a running gateway and without one, and beside other firewalls."""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
from typing import Any

from realmgw.control.command.client import ask
from realmgw.test import programs
from realmgw.test.kernel.realm_case import RealmTestCase

FOREIGN = """
table inet strange { chain fwd1 { type filter hook forward priority 10; policy drop; ct state established accept; }; }
table inet firewalld { chain filter_INPUT { type filter hook input priority 10; policy accept; tcp dport 9 reject; }; }
table ip6 quiet { chain c { type filter hook forward priority 0; policy accept; }; chain d { counter; }; }
"""
"""What other programs have placed."""


class DoctorTests(RealmTestCase):
    """The command as an operator gives it."""

    def doctor(self) -> tuple[int, dict[str, list[Any]]]:
        """The exit status, and what was found by topic."""
        argv = [sys.executable, "-m", "realmgw.control.command.cli", "doctor", "--json", "--config"]
        done = self.testbed.run("gwa", [*argv, str(self.gateway.config)])
        found: dict[str, list[Any]] = {}
        for each in json.loads(done.stdout)["findings"]:
            found.setdefault(each["topic"], []).append(each)
        return done.returncode, found

    def states(self, found: dict[str, list[Any]], *topics: str) -> list[str]:
        """How some topics are."""
        return [each["state"] for topic in topics for each in found[topic]]

    def nft(self, commands: str) -> None:
        """Does something to the ruleset."""
        done = self.testbed.run("gwa", ["nft", commands])
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_beside_a_gateway(self) -> None:
        """Nothing of ours is taken for somebody else's; nothing is left behind."""
        folder = self.gateway.config.parent / "nft.d"
        folder.mkdir()
        self.addCleanup(shutil.rmtree, folder)
        (folder / "a.nft").write_text("chain c { type filter hook input priority 0; tcp dport 9 drop; }")
        self.assertEqual(ask(self.gateway.control, "reload")["problems"], [])
        before = self.testbed.run("gwa", ["nft", "list", "tables"]).stdout
        self.assertIn("realmgw_local", before)
        _, found = self.doctor()
        topics = ("configuration", "gateway", "start", "conntrack", "MTU", "offloads", "nft", "firewalls")
        self.assertEqual(set(self.states(found, *topics)), {"ok"}, found)
        self.assertEqual(self.testbed.run("gwa", ["nft", "list", "tables"]).stdout, before)

    def test_other_firewalls_are_named_with_what_mends_it(self) -> None:
        """And when that is done, our rule stands before the others' policy."""
        self.nft(FOREIGN)
        self.addCleanup(self.nft, "delete table inet strange; delete table inet firewalld; delete table ip6 quiet")
        status, found = self.doctor()
        strange, firewalld = sorted(found["firewalls"], key=lambda each: str(each["state"]))
        self.assertEqual((status, strange["state"], firewalld["state"]), (1, "doubt", "note"))
        self.assertIn("inet strange: chain fwd1 at forward (priority 10) drops what no rule", strange["text"])
        self.assertIn("inet firewalld, of firewalld: chain filter_INPUT at input", firewalld["text"])
        for each in (strange, firewalld):
            self.assertEqual(self.testbed.run("gwa", ["sh", "-c", each["command"]]).returncode, 0, each)
        rules = self.testbed.run("gwa", ["nft", "list", "chain", "inet", "strange", "fwd1"]).stdout
        self.assertIn('iifname { "lan0", "wan0" } oifname { "lan0", "wan0" } accept', rules)

    def test_iptables_of_both_kinds(self) -> None:
        """The older one is not to be seen by nftables."""
        for program in ("iptables-nft", "iptables-legacy"):
            if (missing := programs.missing(program)) is not None:
                self.skipTest(missing)
            self.testbed.run("gwa", [program, "-P", "FORWARD", "DROP"])
            self.addCleanup(self.testbed.run, "gwa", [program, "-P", "FORWARD", "ACCEPT"])
        _, found = self.doctor()
        texts = {each["text"].split(":")[0]: each for each in found["firewalls"]}
        self.assertEqual(set(texts), {"nftables table ip filter", "iptables-legacy"}, texts)
        for each in texts.values():
            self.assertEqual(each["state"], "doubt")
            self.assertIn("-I FORWARD -i wan0 -o lan0 -j ACCEPT", each["command"])

    def test_without_a_gateway(self) -> None:
        """It says so, looks at the kernel itself, and leaves nothing there; a table that is not ours is in its way."""
        self.gateway.stop()
        self.addCleanup(self.gateway.start)
        _, found = self.doctor()
        self.assertEqual(self.states(found, "gateway", "start"), ["note", "ok"], found)
        with contextlib.suppress(AssertionError):
            self.nft("delete table inet realmgw")
        self.nft("add table inet realmgw")
        self.addCleanup(self.nft, "delete table inet realmgw")
        status, found = self.doctor()
        self.assertEqual((status, self.states(found, "start")), (1, ["wrong"]), found)
        self.nft("delete table inet realmgw")
        self.nft("add table inet realmgw")

    def test_interfaces_and_settings(self) -> None:
        """A LAN that carries more than the WAN; a machine that does not answer ARP for the pool."""
        run = self.testbed.run
        run("gwa", ["ip", "link", "set", "wan0", "mtu", "1400"])
        self.addCleanup(run, "gwa", ["ip", "link", "set", "wan0", "mtu", "1500"])
        run("gwa", ["sysctl", "-w", "net.ipv4.conf.wan0.arp_ignore=1"])
        self.addCleanup(run, "gwa", ["sysctl", "-w", "net.ipv4.conf.wan0.arp_ignore=0"])
        _, found = self.doctor()
        self.assertEqual(found["MTU"][0]["command"], "ip link set dev lan0 mtu 1400")
        self.assertEqual(found["settings"][0]["command"], "sysctl -w net.ipv4.conf.wan0.arp_ignore=0")
