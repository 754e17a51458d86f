"""Tests for `realmgw.control.rules`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
from twisted.internet.defer import succeed
from twisted.trial.unittest import SynchronousTestCase

from realmgw.control.command import ruled
from realmgw.control.commands import CommandError, ExitStatus
from realmgw.control.rules import Rules, origins
from realmgw.datapath.netlink.counters import Count
from realmgw.datapath.policy.classes import Classes
from realmgw.subscribers.firewall import Direction, Rule, Target, firewall
from realmgw.test.control.parts import TestGateway
from realmgw.test.datapath.pipeline.test_stages import staged

SAID = firewall(
    (Rule(10, Direction.INGRESS, Target.ACCEPT, protocol=6, parts=(("multiport", (("dports", ("80,443",)),)),)),),
    (Rule(30, Direction.EGRESS, Target.DROP, comment="nothing out"),),
)

DROPPED = Direction.EGRESS, Target.DROP


class RulesTests(SynchronousTestCase):
    """Two subscribers, one with rules."""

    def setUp(self) -> None:
        """Makes them."""
        self.made = TestGateway(Path(self.mktemp()))
        hosts = self.made.running.registry.directory.hosts
        index, first = next(iter(hosts.items()))
        self.ruled = hosts[index] = attrs.evolve(first, profile=attrs.evolve(first.profile, firewall=SAID))
        self.other = next(each for each in hosts.values() if each is not self.ruled)
        classes, counts = Classes.of(hosts.values()), {"rule_1_2": Count(5, 400), "presented": Count(9, 9)}
        self.rules = Rules(self.made.running, lambda: succeed((classes, counts)), self.drive)

    def drive(self, steps: Any) -> Any:
        """Goes through steps, and counts them."""
        self.steps = 0
        while True:
            try:
                next(steps)
            except StopIteration as end:
                return succeed(end.value)
            self.steps += 1

    def told(self, host: str = "") -> Any:
        """The answer."""
        return self.successResultOf(self.rules.list(host))

    def test_all_classes_with_what_was_counted(self) -> None:
        """What a rule has not counted is 0."""
        [found] = self.told()["classes"]
        self.assertEqual((found["number"], found["hosts"]), (1, 1))
        first, second = found["rules"]
        self.assertEqual((first["tier"], first["priority"], first["packets"], first["octets"]), ("admin", 10, 0, 0))
        self.assertEqual((second["counter"], second["packets"], second["octets"]), ("rule_1_2", 5, 400))
        self.assertIn("tcp dport { 80, 443 }", first["nft"][0])

    def test_others_have_their_turn_after_each_class(self) -> None:
        """There may be one for each host, and many rules of stages."""
        hosts, many = self.made.running.registry.directory.hosts, 9
        for number in range(many):
            profile = attrs.evolve(self.ruled.profile, firewall=firewall((Rule(number, *DROPPED),)))
            hosts[100 + number] = attrs.evolve(self.ruled, index=100 + number, profile=profile)
        classes = Classes.of(hosts.values())
        self.rules = Rules(self.made.running, lambda: succeed((classes, {})), self.drive)
        self.assertEqual(len(self.told()["classes"]), many + 1)
        self.assertGreaterEqual(self.steps, many + 1)

    def test_of_one_host(self) -> None:
        """By its name or that of a service, with the source of its rules; who has none is told so."""
        source = self.made.running.registry.source_of(self.ruled.name)
        for name in (self.ruled.name, self.ruled.name.removesuffix(".").upper()):
            answer = self.told(name)
            self.assertEqual((answer["host"], answer["source"], len(answer["classes"])), (self.ruled.name, source, 1))
        self.assertEqual(
            [line.rstrip() for line in ruled.rules(answer)],
            [
                f"{self.ruled.name} ({source})",
                "class 1, 1 hosts",
                "rule               target  packets  matches                               comment",
                "admin 10  ingress  ACCEPT  0        meta l4proto 6 tcp dport { 80, 443 }",
                "user 30   egress   DROP    5        everything                            nothing out",
            ],
        )
        [line] = ruled.rules(self.told(self.other.name))
        self.assertTrue(line.endswith(": no rules"))

    def test_rules_of_groups_come_first_and_say_where_they_are_written(self) -> None:
        """With what all hosts of the group have had counted; they stand among the stages once, and in no class."""
        hosts, running = self.made.running.registry.directory.hosts, self.made.running
        rule = "{priority: 7, direction: EGRESS, tcp: {dport: 25}, target: REJECT, comment: {comment: no mail}}"
        running.settings = staged(f"{{groups: {{z: , basic: {{rules: [{rule}]}}}}}}", running.settings)
        profile = attrs.evolve(self.ruled.profile, groups=("z", "basic", "unknown"))
        self.ruled = hosts[self.ruled.index] = attrs.evolve(self.ruled, profile=profile)
        classes, counts = Classes.of(hosts.values(), ["basic", "z"]), {"rule_group_basic_1": Count(3, 180)}
        self.rules = Rules(running, lambda: succeed((classes, counts)), self.drive)
        origin = "policies.d/50.yaml:1"
        self.assertEqual(
            [line.rstrip() for line in ruled.rules(self.told(self.ruled.name))][1:4],
            [
                "class 1, 1 hosts of basic, z",
                "rule                    target  packets  matches                               comment",
                f"group basic 7  egress   REJECT  3        meta l4proto 6 tcp dport 25           {origin}: no mail",
            ],
        )
        found = self.told()
        self.assertEqual([len(each["rules"]) for each in found["classes"]], [2])
        [row] = [each for each in found["stages"] if each["counter"] == "rule_group_basic_1"]
        self.assertEqual((row["chain"], row["packets"]), ("stage_group_basic_out", 3))
        self.assertEqual((row["verdict"], row["origin"]), ("goto stage_refuse", f"{origin}: no mail"))
        self.assertEqual(origins(running.settings, self.ruled), {"z": origin, "basic": origin})

    def test_nobody(self) -> None:
        """There is no such host."""
        with self.assertRaises(CommandError) as raised:
            self.rules.list("nobody.example.org")
        self.assertEqual(raised.exception.status, ExitStatus.NOT_FOUND)
