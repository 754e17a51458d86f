"""Tests for `realmgw.datapath.policy.classes`; what a kernel makes of it is asked in realmgw.test.kernel."""

from __future__ import annotations

import sys
from typing import Any

import attrs
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.datapath import ruleset
from realmgw.datapath.policy import classes
from realmgw.datapath.policy.classes import Class, Classes, Said
from realmgw.datapath.ruleset import Ruleset
from realmgw.errors import ConfigurationError
from realmgw.subscribers.firewall import NO_RULES, Direction, Firewall, Rule, Target, firewall
from realmgw.subscribers.model import Host, Identity, Profile
from realmgw.test.datapath.moves import change
from realmgw.test.datapath.test_ruleset import SETTINGS


def ruled(*priorities: int) -> Firewall:
    """A firewall with these rules of the user's."""
    return firewall((), tuple(Rule(each, Direction.INGRESS, Target.DROP) for each in priorities))


TARIFFS = [NO_RULES, ruled(1), ruled(2), ruled(1, 2)]


def host(index: int, said: Firewall) -> Host:
    """A host of that index."""
    address = bytes((192, 168, index // 256, index % 256))
    return Host(index, f"h{index}.example.org.", address, Profile(firewall=said), address6=bytes(14) + address[2:])


HOSTS = st.dictionaries(st.integers(1, 9), st.sampled_from(TARIFFS), max_size=9).map(
    lambda pairs: {index: host(index, said) for index, said in pairs.items()}
)


class ClassesTests(SynchronousTestCase):
    """`Classes.led`."""

    @given(st.lists(HOSTS, min_size=1, max_size=6))
    def test_are_those_of_the_hosts_that_there_are(self, states: list[dict[int, Host]]) -> None:
        """However they came about; a number stays as long as there is a host, and no two have the same."""
        found, hosts = Classes(), dict[int, Host]()
        for state in states:
            gone = [each for index, each in hosts.items() if state.get(index) is not each]
            came = [each for index, each in state.items() if hosts.get(index) is not each]
            before = dict(found.by_rules)
            found.take(found.led(gone, came))
            counts = {Said(said): sum(each.profile.firewall == said for each in state.values()) for said in TARIFFS[1:]}
            self.assertEqual({said: each.hosts for said, each in found.by_rules.items()},
                             {said: count for said, count in counts.items() if count})  # fmt: skip
            numbers = [each.number for each in found.by_rules.values()]
            self.assertEqual(len(numbers), len(set(numbers)))
            for said in before.keys() & found.by_rules.keys():
                self.assertEqual(before[said].number, found.by_rules[said].number)
            hosts = state

    def test_a_number_is_given_again_but_not_in_the_change_that_frees_it(self) -> None:
        """So however often classes come and go, there are no more numbers than there were classes at once, and one."""
        found = Classes(most=2)
        for turn in range(100):
            one, other = host(1, ruled(turn)), host(1, ruled(turn + 1))
            if not turn:
                found.take(found.led((), [one]))
            numbers = {each.number for each in found.by_rules.values()}
            found.take(found.led([one], [other]))
            self.assertTrue(numbers.isdisjoint(each.number for each in found.by_rules.values()))
        self.assertEqual(len(found.by_rules), 1)

    def test_too_many_are_refused_and_nothing_is_changed(self) -> None:
        """Rather than that two have one number."""
        found = Classes(most=2)
        found.take(found.led((), [host(1, ruled(1)), host(2, ruled(2))]))
        before = dict(found.by_rules)
        with self.assertRaisesRegex(ConfigurationError, "more than 2 different sets of rules"):
            found.led((), [host(3, ruled(3))])
        self.assertEqual(found.by_rules, before)
        found.take(found.led([host(1, ruled(1))], []))
        found.take(found.led((), [host(3, ruled(3))]))
        self.assertEqual({each.number for each in found.by_rules.values()}, {1, 2})

    def test_a_change_looks_at_what_it_changes(self) -> None:
        """And not at all classes that there are: their rules are long, and hosts come 200 times a second."""

        class Looked(dict[Said, Class]):
            """Can be asked for one, and not gone through."""

            def __iter__(self) -> Any:
                raise AssertionError("all classes were looked at")

            keys = values = items = __iter__

        one, other = host(1, ruled(1)), host(2, ruled(2))
        found = Classes.of([one])
        found.by_rules = Looked(found.by_rules)
        led = found.led([one], [other])
        self.assertTrue(list(classes.commands("realmgw", led, [one], [other])))
        found.take(led)
        self.assertEqual((Said(ruled(1)) in found.by_rules, Said(ruled(2)) in found.by_rules), (False, True))

    def test_numbers_are_priorities_that_nobody_else_gives(self) -> None:
        """In the form of the kernel's listing."""
        self.assertEqual((Class(1, 1).key.text, Class(0x12_0034, 1).key.text), ("7200:1", "7212:34"))
        self.assertEqual(int.from_bytes(Class(1, 1).key.packed, sys.byteorder), 0x7200_0001)


class CommandsTests(SynchronousTestCase):
    """`commands`."""

    def changes(self, old: list[Host], new: list[Host]) -> list[str]:
        """The commands that lead from hosts to others."""
        rules = Ruleset.of(SETTINGS, native_queue=False)
        led = attrs.evolve(change(old, new), classes=Classes.of(old))
        return [line for line in ruleset.changes(rules, rules, led).splitlines() if " hosts " not in line]

    def test_a_host_of_a_class_that_stands_costs_its_elements(self) -> None:
        """Its chains are neither made nor touched."""
        one, other = host(1, TARIFFS[1]), host(2, TARIFFS[1])
        self.assertEqual(
            self.changes([one], [one, other]),
            [
                "add element inet realmgw classes4 { 192.168.0.2 : 7200:1 }",
                "add element inet realmgw classes6 { ::2 : 7200:1 }",
            ],
        )
        self.assertEqual(
            self.changes([one, other], [one]),
            ["delete element inet realmgw classes4 { 192.168.0.2 }", "delete element inet realmgw classes6 { ::2 }"],
        )

    def test_a_host_without_rules_costs_nothing(self) -> None:
        """Whatever else is said of it."""
        self.assertEqual(self.changes([], [host(1, NO_RULES)]), [])

    def test_a_class_comes_before_its_elements_and_goes_after_them(self) -> None:
        """In one transaction: nothing is referred to that is not there."""
        one, other = host(1, TARIFFS[1]), attrs.evolve(host(1, TARIFFS[2]))
        made = self.changes([one], [other])
        words = [" ".join(line.split()[:5]).removesuffix(" {") for line in made]
        self.assertEqual(
            [each.replace(" inet realmgw", "") for each in words],
            [
                "delete element classes4",
                "delete element classes6",
                "delete element ingress",
                "flush chain class_1_in",
                "delete chain class_1_in",
                "delete counter rule_1_1",
                "add chain class_2_in",
                "add rule class_2_in",
                "add counter rule_2_1",
                "add rule class_2_in",
                "table",
                "map ingress",
                "type classid : verdict",
                "elements = { 7200:2 :",
                "}",
                "}",
                "add element classes4",
                "add element classes6",
            ],
        )

    def test_all_addresses_of_a_host_are_its_own(self) -> None:
        """Also those that flows do not go to, and when only these change."""
        one = host(1, TARIFFS[1])
        more = attrs.evolve(one, identity=Identity(addresses=(bytes((192, 0, 2, 1)),)))
        added = [line for line in self.changes([one], [more]) if line.startswith("add element inet realmgw classes4")]
        self.assertEqual(len(added), 1)
        self.assertIn("192.0.2.1 : 7200:1", added[0])
        self.assertIn("192.168.0.1 : 7200:1", added[0])

    def test_many_hosts_of_few_tariffs_have_few_chains(self) -> None:
        """So many as there are tariffs."""
        hosts = [host(index, TARIFFS[index % 4]) for index in range(1, 2001)]
        text = ruleset.replacement(Ruleset.of(SETTINGS, native_queue=False), hosts)
        self.assertEqual(text.count("\nadd chain "), 3)
        self.assertEqual(text.count(" : 7200:"), 2 * 1500)

    def test_shut_no_flow_of_a_host_begins(self) -> None:
        """Neither out nor in."""
        made = classes.chains("drop")
        self.assertEqual((made[classes.OUT], made[classes.IN]), (["drop"], ["drop"]))
