"""Tests for `realmgw.datapath.pipeline.groups`; what it does to packets is asked in realmgw.test.kernel."""

from __future__ import annotations

import attrs
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.policy import PolicyStage
from realmgw.datapath import ruleset
from realmgw.datapath.pipeline import groups, parts
from realmgw.datapath.pipeline.stages import stages
from realmgw.datapath.policy.classes import Classes
from realmgw.datapath.ruleset import Ruleset
from realmgw.subscribers.model import Host, Profile
from realmgw.test.datapath.moves import change
from realmgw.test.datapath.pipeline.test_stages import staged

DROPS = "{priority: 1, direction: EGRESS, udp: {dport: 9}, target: DROP, comment: {comment: x}}"
LIMITED = "{priority: 2, direction: INGRESS, protocol: tcp, limit: {limit: 5/sec}, target: REJECT}"
ACCEPTS = "{priority: 3, direction: EGRESS, target: ACCEPT}"
BASIC = f"basic: {{rules: [{ACCEPTS}, {DROPS}, {LIMITED}]}}"


def host(index: int, *names: str) -> Host:
    """A host of these groups."""
    return Host(index, f"h{index}.example.org.", bytes((192, 168, 0, index)), Profile(groups=names))


class GroupsTests(SynchronousTestCase):
    """What groups place."""

    def test_rules_say_where_they_are_written_and_count(self) -> None:
        """Each by itself, and what is dropped or refused together; limits are of one host."""
        made = groups.stages(groups.told(staged(f"{{groups: {{{BASIC}}}}}")), None)
        told, at = 'counter name "stage_groups"', 'comment "policies.d/50.yaml:1'
        self.assertEqual(made.chains["stage_group_basic_out"], (
            f'meta l4proto 17 udp dport 9 counter name "rule_group_basic_1" {told} drop {at}: x"',
            f'counter name "rule_group_basic_3" return {at}"',
        ))  # fmt: skip
        first, second = made.chains["stage_group_basic_in"]
        self.assertIn("update @limit4_group_basic_2 { ip daddr limit rate 5/second", first)
        self.assertTrue(second.endswith(f'counter name "rule_group_basic_2" {told} goto stage_refuse {at}"'), second)
        self.assertEqual(set(made.objects), {
            "counter stage_groups", "set limit4_group_basic_2", "set limit6_group_basic_2",
            *(f"counter rule_group_basic_{at}" for at in (1, 2, 3)),
        })  # fmt: skip

    def test_are_asked_in_the_order_of_their_names(self) -> None:
        """However they are written, and off where the stage is not listed."""
        said = staged("{groups: {b: , a.1: , B: }}")
        self.assertEqual([each.name for each in groups.told(said)], ["B", "a.1", "b"])
        order = tuple(each for each in PolicyStage if each is not PolicyStage.GROUP_POLICY)
        off = attrs.evolve(said, datapath=attrs.evolve(said.datapath, policy_order=order))
        self.assertEqual(groups.told(off), ())
        self.assertFalse(any("group" in each for each in stages(off).chains))

    def test_names_lead_to_names_of_their_own(self) -> None:
        """Whatever two groups are called, no chain, counter and set is of both."""
        names = ("a", "a_out", "a_1", "a_1_1", "1", "A", "a.1", "a-1")
        said = [staged(f"{{groups: {{'{name}': {{rules: [{DROPS}, {LIMITED}]}}}}}}") for name in names]
        made = [groups.stages(groups.told(each), None) for each in said]
        own = [{*each.chains, *each.objects} - {"counter stage_groups"} for each in made]
        self.assertEqual(len(set().union(*own)), sum(map(len, own)))


class LedTests(SynchronousTestCase):
    """How hosts are led to the rules of their groups."""

    def commands(self, before: str, after: str, *hosts: Host) -> list[str]:
        """What leads from some groups to others under these hosts."""
        rules = [Ruleset.of(staged(f"{{groups: {{{text}}}}}"), native_queue=False) for text in (before, after)]
        led = attrs.evolve(change(hosts, hosts), classes=Classes.of(hosts, rules[0].groups))
        return ruleset.changes(rules[0], rules[1], led).splitlines()

    def test_a_class_asks_the_groups_of_its_hosts(self) -> None:
        """Those that are told of, one after the other, before its own rules; who has none costs nothing."""
        known = Classes.of([host(1, "b", "a", "b"), host(2, "a", "b"), host(3, "c"), host(4)], ["a", "b"])
        self.assertEqual([each.hosts for each in known.by_rules.values()], [2])
        rules = Ruleset.of(staged("{groups: {a: , b: }}"), native_queue=False)
        texts = ruleset.texts(rules, known)
        self.assertEqual(
            texts["class_1_out"], ["meta priority set 0", "jump stage_group_a_out", "jump stage_group_b_out"]
        )
        self.assertEqual(texts["class_1_in"][1:], ["jump stage_group_a_in", "jump stage_group_b_in"])

    def test_a_change_of_rules_touches_no_host_and_no_class(self) -> None:
        """Only the chains of groups; nothing is replaced, and what a rule has counted stays."""
        made = self.commands(BASIC, f"basic: {{rules: [{DROPS}]}}", host(1, "basic"))
        self.assertFalse([line for line in made if "class" in line or "element" in line or line.startswith("table")])
        self.assertIn("flush chain inet realmgw stage_group_basic_out", made)
        self.assertNotIn("delete counter inet realmgw rule_group_basic_1", made)
        self.assertIn("delete counter inet realmgw rule_group_basic_2", made)

    def test_a_group_that_comes_or_goes_replaces_the_table(self) -> None:
        """In one transaction: hosts that are of it lead elsewhere from then on."""
        for before, after in ((BASIC, f"{BASIC}, late: "), (f"{BASIC}, late: ", BASIC)):
            made = self.commands(before, after, host(1, "basic", "late"))
            self.assertEqual(made[0], "table inet realmgw")
            jumps = [line.split()[-1] for line in made if "class_1_out jump" in line]
            self.assertEqual(jumps, [f"stage_group_{name}_out" for name in ("basic", "late") if f"{name}:" in after])

    def test_what_is_told_of_a_rule(self) -> None:
        """Its own counter, not the one of all."""
        told = list(parts.told(stages(staged(f"{{groups: {{{BASIC}}}}}"))))
        found = {each.counter: each.verdict for each in told if each.chain.startswith("stage_group_")}
        verdicts = ("drop", "goto stage_refuse", "return")
        self.assertEqual(found, {f"rule_group_basic_{at}": verdict for at, verdict in enumerate(verdicts, 1)})
