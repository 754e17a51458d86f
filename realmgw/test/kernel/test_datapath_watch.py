"""A running gateway whose side of the kernel is changed by somebody else: it is put back, and told."""

from __future__ import annotations

import time

from realmgw.control.command.client import ask
from realmgw.test.kernel.realm_case import FIRST, SECOND
from realmgw.test.kernel.watch_case import WatchTestCase

SAVED = "saved.nft"


class PutBackTests(WatchTestCase):
    """What is ours to put back."""

    def damage(self, commands: str, told: str) -> str:
        """Somebody does that; it is put back, told once, and flows come through; what was logged."""
        before, unused = self.repairs(), self.unused()
        self.shell(commands)
        self.wait(lambda: self.repairs() > before, commands)
        self.assertEqual(self.fetch(), FIRST)
        logged = self.log()  # of texts that come again within a minute, the first one only
        self.assertIn(told, logged)
        self.assertEqual(self.status()["state"], "healthy")
        self.assertEqual(self.unused(), unused)
        wrong = [each for each in self.status()["placed"] if each["is"] != each["should_be"]]
        self.assertEqual(wrong, [])
        return logged

    def test_routes(self) -> None:
        """As a restart of systemd-networkd takes them away."""
        self.damage("ip route flush table local proto 82", "route local 100.64.1.131/32 is gone; it was put back")
        self.damage("ip route flush table all proto 82", "route unreachable 100.64.2.0/28 is gone; it was put back")

    def test_a_route_that_somebody_has_taken_keeps_no_other_away(self) -> None:
        """It is told for as long as that lasts."""
        taken, other = "100.64.1.131", "100.64.2.0/28"
        self.shell(f"ip route replace local {taken} dev lo table local proto 2; ip route flush {other} proto 82")
        found = lambda: self.testbed.run("gwa", ["ip", "route", "show", other, "proto", "82"]).stdout  # noqa: E731
        self.wait(lambda: "unreachable" in found(), other)
        self.wait(lambda: self.status()["state"] == "degraded", taken)
        self.assertIn(f"route local {taken}/32 is gone", str(self.status()["troubles"]))
        self.shell(f"ip route delete local {taken} dev lo table local proto 2")
        self.wait(lambda: self.status()["state"] == "healthy", taken)

    def test_somebody_elses_route_in_the_place_of_ours_is_told_and_not_taken_over(self) -> None:
        """With how to find it, and no address is lent; when it has gone, ours is put back, of either kind."""
        for theirs, prefix in (("local 100.64.1.131 dev lo table local proto static", "100.64.1.131"),
                               ("100.64.2.0/28 via 100.64.1.129 proto static", "100.64.2.0/28")):  # fmt: skip
            self.shell(f"ip route replace {theirs}")
            self.wait(lambda: self.status()["state"] == "degraded", theirs)
            troubles = str(self.status()["troubles"])
            self.assertIn("was refused (File exists): is there another for that prefix", troubles)
            self.assertIn(f"(ip route show table all {prefix}", troubles)
            stands = self.testbed.run("gwa", ["ip", "route", "show", "table", "all", prefix]).stdout
            self.assertIn("static", stands)
            self.shell(f"ip route delete {theirs}")
            self.wait(lambda: self.status()["state"] == "healthy", theirs)
            self.assertEqual(self.fetch(), FIRST)

    def test_a_route_of_ours_too_many(self) -> None:
        """What carries our number and is for no prefix of the pool goes."""
        self.damage("ip route add unreachable 203.0.113.0/24 proto 82", "route unreachable 203.0.113.0/24 is there")
        self.assertEqual(self.testbed.run("gwa", ["ip", "route", "show", "203.0.113.0/24"]).stdout, "")

    def test_forwarding(self) -> None:
        """Of the machine, and of one interface alone: the kernel tells of it at once."""
        self.damage("sysctl -qw net.ipv4.ip_forward=0", "net.ipv4.ip_forward is 0, not 1")
        self.damage("sysctl -qw net.ipv4.conf.wan0.forwarding=0", "net.ipv4.conf.wan0.forwarding is 0, not 1")
        self.damage("sysctl -qw net.ipv4.conf.lan0.forwarding=0", "net.ipv4.conf.lan0.forwarding is 0, not 1")

    def test_settings_that_the_kernel_does_not_tell_of(self) -> None:
        """They are looked at every two seconds."""
        key = "net.netfilter.nf_conntrack_tcp_loose"
        self.damage(f"sysctl -qw {key}=1", f"{key} is 1, not 0")

    def test_queue_step(self) -> None:
        """Its chain, and the jump to it alone; where the kernel has the step in our table, that is all there is."""
        if "iptables" not in str(self.status()["placed"]):
            return
        self.damage("iptables -t mangle -F", "queue step realmgw is changed")
        self.damage("iptables -t mangle -F PREROUTING", "queue step realmgw is changed")
        logged = self.damage("iptables -t mangle -F realmgw", "queue step realmgw is changed")
        self.assertIn("queue step realmgw is changed, by iptables (process ", logged)

    def test_table(self) -> None:
        """Flushed (its counters stay), deleted, and with every other table of the machine; the log says by whom."""
        self.assertRegex(
            self.damage("nft flush table inet realmgw", "nftables table realmgw is changed"), r"by nft \(process \d+\)"
        )
        for commands in ("nft delete table inet realmgw", "nft flush ruleset"):
            self.damage(commands, "nftables table realmgw is gone, by nft (process ")

    def test_pieces_of_the_table(self) -> None:
        """Whatever was removed, added or changed in it, and whatever flows it would let through."""
        for commands in (
            "nft flush chain inet realmgw for_pool",
            "nft insert rule inet realmgw forwarding accept",
            "nft add chain inet realmgw forwarding '{ policy accept; }'",
            "nft add chain inet realmgw extra",
            "nft 'add table inet realmgw { flags dormant; }'",
            "nft 'flush chain inet realmgw first_packet; delete set inet realmgw strays'",
            "nft insert rule inet realmgw own_sockets accept",
        ):
            self.damage(commands, "nftables table realmgw is changed")

    def test_elements(self) -> None:
        """Of the map and of the pool: nobody lists them, but whoever changes them is heard."""
        for commands in (
            "nft delete element inet realmgw hosts '{ 0x20000001 }'",
            "nft flush map inet realmgw hosts",
            "nft flush set inet realmgw pool",
            "nft add element inet realmgw hosts '{ 0x20000777 : 192.168.0.101 }'",
        ):
            self.damage(commands, "nftables table realmgw may have other elements, by nft (process ")
        self.assertNotIn("777", self.testbed.run("gwa", ["nft", "list", "map", "inet", "realmgw", "hosts"]).stdout)

    def test_stray_senders_may_be_added_by_hand(self) -> None:
        """To slow somebody down does no harm, and is no reason to repair anything."""
        before = self.repairs()
        self.shell("nft add element inet realmgw strays '{ 203.0.113.9 }'")
        time.sleep(0.3)
        self.assertEqual(self.repairs(), before)
        listed = self.testbed.run("gwa", ["nft", "list", "set", "inet", "realmgw", "strays"]).stdout
        self.assertIn("203.0.113.9", listed)

    def test_other_tables_are_not_our_business(self) -> None:
        """Whatever somebody does with them."""
        before = self.repairs()
        self.shell("nft add table inet theirs; nft add chain inet theirs c; nft delete table inet theirs")
        time.sleep(0.3)
        self.assertEqual(self.repairs(), before)

    def test_guard_can_not_be_removed(self) -> None:
        """By nobody but the gateway itself."""
        self.assertIn("realmgw_guard", self.testbed.run("gwa", ["nft", "list", "tables"]).stdout)
        for command in ("delete", "flush"):
            self.assertNotEqual(
                self.testbed.run("gwa", ["nft", command, "table", "inet", "realmgw_guard"]).returncode, 0
            )
        self.assertEqual(self.fetch(), FIRST)


class SavedTests(WatchTestCase):
    """A copy of our table from another time."""

    def tearDown(self) -> None:
        """Hosts have the addresses that the next test expects."""
        self.write(FIRST, SECOND)
        ask(self.gateway.control, "reload")

    def write(self, one: str, two: str) -> None:
        """Two hosts with these addresses."""
        self.testbed.folder.joinpath("subscribers.d", "testbed.yaml").write_text(
            f"one.gwa.demo: {{address: {one}}}\ntwo.gwa.demo: {{address: {two}}}\n"
        )

    def test_old_copy_leads_nobody_to_the_wrong_host(self) -> None:
        """Two hosts have swapped their addresses since; after a moment flows come to who is meant."""
        self.shell(f"nft list table inet realmgw > {self.testbed.folder}/{SAVED}")
        self.write(SECOND, FIRST)
        self.assertEqual(ask(self.gateway.control, "reload")["status"], "applied")
        before = self.repairs()
        self.shell(f"(echo delete table inet realmgw; cat {self.testbed.folder}/{SAVED}) | nft -f -")
        self.wait(lambda: self.repairs() > before, "the copy")
        self.assertEqual([self.fetch("one.gwa.demo"), self.fetch("two.gwa.demo")] * 3, [SECOND, FIRST] * 3)

    def test_copy_loaded_on_top_is_undone_too(self) -> None:
        """Its rules stand there twice, its elements are older or there already."""
        self.shell(f"nft list table inet realmgw > {self.testbed.folder}/{SAVED}")
        before = self.repairs()
        self.testbed.run("gwa", ["nft", "-f", f"{self.testbed.folder}/{SAVED}"])
        self.wait(lambda: self.repairs() > before, "the copy")
        listed = self.testbed.run("gwa", ["nft", "list", "chain", "inet", "realmgw", "forwarding"]).stdout
        self.assertEqual(listed.count("forward_invalid"), 1)

    def test_reload_after_a_lost_element_succeeds(self) -> None:
        """It removes the host whose element somebody took away: no restart is needed."""
        self.shell("nft delete element inet realmgw hosts '{ 0x20000001 }'")
        file = self.testbed.folder / "subscribers.d" / "testbed.yaml"
        file.write_text(f"two.gwa.demo: {{address: {SECOND}}}\n")
        answer = ask(self.gateway.control, "reload")
        self.assertEqual((answer["status"], answer["plan"]["hosts_removed"]), ("applied", ["one.gwa.demo."]))
        self.assertEqual(self.fetch("two.gwa.demo"), SECOND)
