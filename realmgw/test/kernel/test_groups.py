"""Rules of groups, by packets both ways, of both families: what a group forbids its hosts, and how that changes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar
from unittest import skipIf

import attrs

from realmgw.datapath.policy.classes import Classes
from realmgw.datapath.watch.keeper import Noticed
from realmgw.test.checkout import CHECKOUT, NO_CHECKOUT
from realmgw.test.datapath.moves import change
from realmgw.test.datapath.pipeline.test_stages import staged
from realmgw.test.kernel.rules_case import FAMILIES, RulesTestCase, firewall

MAIL = "{priority: 1, direction: EGRESS, tcp: {dport: 25}, target: REJECT}"
NO_UDP_OUT = "{priority: 2, direction: EGRESS, protocol: udp, target: DROP}"
NO_UDP_IN = "{priority: 3, direction: INGRESS, protocol: udp, target: DROP}"


class GroupsTestCase(RulesTestCase):
    """Groups, and hosts that belong to one, to several or to none."""

    forbidding: ClassVar[str] = "stage_groups"

    def tell(self, *groups: str) -> None:
        """Which groups there are from now on, as a reload does."""
        self.stage(f"{{groups: {{{', '.join(groups)}}}}}")

    def stage(self, text: str) -> None:
        """What the stages are from now on."""
        after = staged(text, self.settings)
        self.testbed.call("gwa", self.kernel.change, after, change(self.hosts, self.hosts))
        self.settings = after

    def packets(self, counter: str) -> int:
        """What a counter has counted; one that is not there yet, nothing."""
        found = self.testbed.call("gwa", self.kernel.figures)[0]
        return found[counter].packets if counter in found else 0

    def join(self, *groups: str, hosts: Iterable[int] = (0,), rules: str = "") -> None:
        """Some hosts are of these groups from now on, and have these rules of their own."""
        chosen = set(hosts)
        self.lead(tuple(
            attrs.evolve(host, profile=attrs.evolve(host.profile, groups=groups, firewall=firewall(rules)))
            if at in chosen else host for at, host in enumerate(self.hosts)
        ))  # fmt: skip

    def of_group(self, group: str, at: int) -> int:
        """What a rule of a group has counted."""
        return self.packets(f"rule_group_{group}_{at}")


class GroupsTests(GroupsTestCase):
    """Two groups at most."""

    def test_what_a_group_forbids_its_hosts_can_not_do(self) -> None:
        """Either way, of both families, and counted under the group; hosts of no group are not touched."""
        self.tell(f"basic: {{rules: [{MAIL}, {NO_UDP_OUT}, {NO_UDP_IN}]}}", "other-1.b: {}")
        self.join("basic", "other-1.b")
        for family in FAMILIES:
            before = [self.of_group("basic", at) for at in (1, 2, 3)]
            self.assertEqual(self.connect(inwards=False, family=family, port=25), "ConnectionRefusedError")
            self.assertFalse(self.datagram(inwards=False, family=family, port=99))
            self.assertFalse(self.datagram(inwards=True, family=family, port=99))
            self.assertTrue(self.passes(inwards=False, family=family, port=80))
            self.assertTrue(self.datagram(inwards=False, family=family, port=99, which=1))
            self.assertTrue(self.datagram(inwards=True, family=family, port=99, which=1))
            self.assertEqual([self.of_group("basic", at) for at in (1, 2, 3)], [each + 1 for each in before])
        self.assertEqual((self.packets("stage_groups"), self.packets("forbidden")), (6, 0))

    def test_what_a_group_accepts_the_next_one_and_the_host_itself_may_forbid(self) -> None:
        """And what none of them is about passes."""
        accepts = "{rules: [{priority: 1, direction: EGRESS, protocol: udp, target: ACCEPT}]}"
        udp = "{priority: 1, direction: EGRESS, udp: {dport: 99}, target: DROP}"
        self.tell(f"a: {accepts}", f"b: {{rules: [{udp.replace('99', '98')}]}}")
        self.join("b", "a", rules=udp)
        for family in FAMILIES:
            before = self.packets("forbidden"), self.packets("stage_groups")
            self.assertFalse(self.datagram(inwards=False, family=family, port=98))
            self.forbidding = "forbidden"  # type: ignore[misc]  # of this test only
            self.assertFalse(self.datagram(inwards=False, family=family, port=99))
            self.forbidding = "stage_groups"  # type: ignore[misc]
            self.assertTrue(self.datagram(inwards=False, family=family, port=97))
            self.assertEqual((self.packets("forbidden"), self.packets("stage_groups")), tuple(n + 1 for n in before))

    def test_a_limit_is_kept_for_each_host_of_the_group(self) -> None:
        """What one has used up the other one has."""
        rule = "{priority: 1, direction: EGRESS, protocol: udp, limit: {limit: 1/hour, limit-burst: 2}, target: ACCEPT}"
        self.tell(f"few: {{rules: [{rule}, {NO_UDP_OUT}]}}")
        self.join("few", hosts=(0, 1))
        for family in FAMILIES:
            for which in (0, 1):
                arrived = [self.datagram(inwards=False, family=family, port=99, which=which) for _ in range(3)]
                self.assertEqual(arrived, [True, True, False], (family, which))

    def test_rules_change_under_their_hosts(self) -> None:
        """Only the group's chains do: what is in both goes on counting, classes and what others count stay."""
        self.tell(f"basic: {{rules: [{NO_UDP_OUT}, {NO_UDP_IN}]}}")
        self.join("basic")
        self.assertFalse(self.datagram(inwards=False, family=4, port=99))
        numbers = self.kernel.classes.by_rules
        self.tell(f"basic: {{rules: [{NO_UDP_OUT}]}}")
        self.assertIs(self.kernel.classes.by_rules, numbers)
        self.assertEqual((self.of_group("basic", 1), self.packets("stage_groups")), (1, 1))
        self.assertTrue(self.datagram(inwards=True, family=6, port=99))
        self.assertFalse(self.datagram(inwards=False, family=6, port=99))
        self.tell("basic: {}")
        self.assertTrue(self.datagram(inwards=False, family=4, port=99))
        self.assert_stands()

    def test_groups_come_and_go_and_hosts_move_between_them(self) -> None:
        """One that is not told of forbids nothing, and nothing of it is left."""
        self.join("basic", hosts=(0, 1))
        self.assertFalse(self.kernel.classes)
        self.assertTrue(self.datagram(inwards=False, family=4, port=99))
        self.tell(f"basic: {{rules: [{NO_UDP_OUT}]}}", f"more: {{rules: [{MAIL}]}}")
        for which in (0, 1):
            self.assertFalse(self.datagram(inwards=False, family=4, port=99, which=which))
        self.join("more", hosts=(1,))
        self.assertTrue(self.datagram(inwards=False, family=4, port=99, which=1))
        self.assertEqual(self.connect(inwards=False, family=6, port=25, which=1), "ConnectionRefusedError")
        self.tell()
        self.assertFalse(self.kernel.classes)
        self.assertTrue(self.datagram(inwards=False, family=4, port=99))
        self.assertNotIn("stage_group_", self.nft("list", "ruleset"))

    def test_a_start_has_what_changes_lead_to(self) -> None:
        """But for the numbers."""
        self.tell(f"basic: {{rules: [{NO_UDP_OUT}]}}", f"more: {{rules: [{MAIL}]}}")
        self.join("basic", "more", hosts=(0, 1))
        self.join("more", hosts=(1,))
        self.tell(f"basic: {{rules: [{NO_UDP_OUT}]}}", f"more: {{rules: [{NO_UDP_OUT}]}}")
        changed = self.tables()
        self.testbed.call("gwa", self.kernel.apply, self.hosts)
        self.assertEqual(self.tables(), changed)

    def test_others_changes_are_undone(self) -> None:
        """Of groups, as of everything else."""
        self.tell(f"basic: {{rules: [{NO_UDP_OUT}]}}")
        self.join("basic")
        self.nft("flush", "chain", "inet", "realmgw", "stage_group_basic_out")
        self.assertTrue(self.datagram(inwards=False, family=4, port=99))
        found = self.testbed.call("gwa", self.kernel.look, Noticed(lost=True), lambda: self.hosts)
        self.assertTrue(found.repaired)
        self.assertFalse(self.datagram(inwards=False, family=4, port=99))
        self.assertEqual(set(self.kernel.classes.by_rules), set(Classes.of(self.hosts, ["basic"]).by_rules))


class ShippedTests(GroupsTestCase):
    """`conf/policies.d/tariffs.yaml`, as it is."""

    @skipIf(NO_CHECKOUT is not None, "the package is installed: its checkout is not there")
    def test_does_what_it_says(self) -> None:
        """What nobody needs goes neither way, whatever is paid; who has used up a rate waits, and others do not."""
        text = (CHECKOUT / "conf" / "policies.d" / "tariffs.yaml").read_text()
        self.stage("\n" + text.partition("\npipeline:\n")[2])
        self.join("tidy", "prepaid-1")
        self.join("tidy", "postpaid", hosts=(1,))
        for family in FAMILIES:
            for which in (0, 1):
                for port in (25, 445):
                    said = self.connect(inwards=False, family=family, port=port, which=which)
                    self.assertEqual(said, "ConnectionRefusedError", (family, which, port))
                self.assertFalse(self.datagram(inwards=False, family=family, port=137, which=which))
                for port in (1900, 5351, 161):
                    self.assertFalse(self.datagram(inwards=True, family=family, port=port, which=which))
                self.assertTrue(self.datagram(inwards=True, family=family, port=443, which=which))
            self.assertEqual(self.connect(inwards=True, family=family, port=7547), "TimeoutError")
            asked = [sum(self.datagram(inwards=False, family=family, port=53, which=which) for _ in range(32))
                     for which in (0, 1)]  # fmt: skip
            self.assertTrue(25 <= asked[0] < 32, asked)
            self.assertEqual(asked[1], 32)
        counts = [self.of_group("tidy", at) for at in range(1, 6)]
        self.assertEqual([counts[0], counts[1], counts[2], counts[4]], [4, 4, 4, 12])
        self.assertGreaterEqual(counts[3], 2)
        self.assertGreater(self.of_group("prepaid-1", 1), 0)
        self.assert_stands()
