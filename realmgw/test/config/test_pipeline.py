"""Tests for `realmgw.config.pipeline`: what is written in `policies.d`, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from realmgw import config
from realmgw.config.pipeline import USUAL_CHECKS, Check, Pipeline, Policing, Refused
from realmgw.config.rules import Direction, Target
from realmgw.config.settings import Settings
from realmgw.errors import ConfigurationError
from realmgw.test.config.test_schema import MINIMAL

FULL = """pipeline:
  tunnels: [wg0]
  marking: true
  reject: [tcp]
  preemptive:
    checks: [white_list, black_list, sources, new_rates, rules]
    management: {prefixes: [192.0.2.9], interfaces: [lan0]}
    black_list:
      prefixes: [203.0.113.0/24]
      file: black.txt
    sources: [{interface: lan0, fib: true}]
    fragments: [wg0]
    new_rates: [{interface: wan0, rate: 7}]
    rules:
      - {priority: 9, tcp: {dport: 22}, target: REJECT}
      - {priority: 1, interface: wg0, udp: {dport: [1, 2]}, limit: {limit: 5/sec}, target: DROP, comment: {comment: x}}
  services:
    dhcp: {wan: drop, rate: 3}
    dns: {rate: 25}
    others: {wan: reject}
  segments: [{interface: wg0, size: 1360}]
"""


GROUPS = """# tariffs
pipeline:
  groups:
    basic: {rules: [
      {priority: 9, direction: EGRESS, tcp: {dport: 25}, target: REJECT},
      {priority: 1, direction: INGRESS, protocol: udp, target: DROP}]}
    free: {rules: [{priority: 1, direction: EGRESS, target: ACCEPT}]}
"""


class PipelineTestCase(SynchronousTestCase):
    """A main file with a file of policies beside it."""

    def setUp(self) -> None:
        """Makes the folder."""
        self.folder = Path(self.mktemp()).absolute()
        (self.folder / "policies.d").mkdir(parents=True)
        (self.folder / "realmgw.yaml").write_text(MINIMAL + f"state: {self.folder / 'state'}\n")
        (self.folder / "black.txt").write_text("198.51.100.0/24\n2001:db8::/32\n203.0.113.9\n")

    def load(self, text: str, *, more: str = "") -> Settings:
        """What is written."""
        (self.folder / "policies.d" / "50.yaml").write_text(text)
        (self.folder / "realmgw.yaml").write_text(MINIMAL + f"state: {self.folder / 'state'}\n{more}")
        return config.load(self.folder / "realmgw.yaml")

    def wrong(self, text: str, *, more: str = "") -> list[str]:
        """What is wrong with it, each with its file (by its name), line and column."""
        with self.assertRaises(ConfigurationError) as raised:
            self.load(text, more=more)
        return [line.replace(f"{self.folder}/policies.d/", "").replace(f"{self.folder}/", "")
                for line in raised.exception.problems]  # fmt: skip


class ReadingTests(PipelineTestCase):
    """What is written."""

    def test_nothing_is_written(self) -> None:
        """Then there is what is told of in docs/pipeline.md."""
        said = self.load("").policy.pipeline
        self.assertEqual(said, Pipeline())
        self.assertEqual(said.preemptive.checks, USUAL_CHECKS)
        self.assertEqual((said.reject, said.services.others.wan), (tuple(Refused), Policing.ACCEPT))

    def test_everything_knows_where_it_stands(self) -> None:
        """By file and line; lists have what is in their files, too."""
        said = self.load(FULL).policy.pipeline
        first, file = said.preemptive, f"{self.folder}/policies.d/50.yaml"
        every = Check.WHITE_LIST, Check.BLACK_LIST, Check.SOURCES, Check.NEW_RATES, Check.RULES
        self.assertEqual(first.checks, every)
        self.assertEqual(first.black_list.listed.ipv4, "198.51.100.0/24, 203.0.113.0/24")
        self.assertEqual((first.black_list.listed.ipv6, first.black_list.listed.count), ("2001:db8::/32", 3))
        places: tuple[Any, ...] = (
            first,
            first.black_list,
            first.sources[0],
            first.new_rates[0],
            *first.rules,
            said.services.dns,
        )
        self.assertEqual([each.origin for each in places], [f"{file}:{at}" for at in (6, 9, 11, 13, 16, 15, 19)])
        self.assertEqual([(each.rule.priority, each.interface) for each in first.rules], [(1, "wg0"), (9, "")])
        self.assertEqual(first.rules[1].rule.target, Target.REJECT)

    def test_what_is_kept_as_the_last_good_is_the_same(self) -> None:
        """With what is in lists; where a list is lost, nobody is let in for that: it is refused."""
        settings, main = self.load(FULL), self.folder / "realmgw.yaml"
        config.keep(main, settings)
        main.write_text("rubbish")
        loaded = config.load_or_last_good(main, settings.state)
        self.assertTrue(loaded.from_last_good)
        self.assertEqual(loaded.settings.policy, settings.policy)
        kept, written = (each.policy.pipeline.preemptive.black_list.listed for each in (loaded.settings, settings))
        self.assertEqual(kept, written)
        (self.folder / "black.txt").unlink()
        self.assertRaises(ConfigurationError, config.load_or_last_good, main, settings.state)

    def test_groups_have_rules_by_priority(self) -> None:
        """Each rule knows where it stands; files are laid over each other group by group."""
        (self.folder / "policies.d" / "60.yaml").write_text(GROUPS)
        (self.folder / "policies.d" / "70.yaml").write_text("pipeline: {groups: {free: {rules: []}, Late.1: }}\n")
        said = self.load(FULL).policy.pipeline.groups
        self.assertEqual([each.name for each in said], ["basic", "free", "Late.1"])
        file = f"{self.folder}/policies.d/60.yaml"
        self.assertEqual([each.origin for each in said[0].rules], [f"{file}:6", f"{file}:5"])
        self.assertEqual([each.rule.priority for each in said[0].rules], [1, 9])
        self.assertEqual([each.rule.direction for each in said[0].rules], [Direction.INGRESS, Direction.EGRESS])
        self.assertEqual((said[0].origin, said[1].rules, said[2].rules), (f"{file}:4", (), ()))

    def test_files_are_laid_over_each_other(self) -> None:
        """Key by key, as all of `policies.d`."""
        (self.folder / "policies.d" / "60.yaml").write_text("pipeline: {preemptive: {checks: []}}\n")
        said = self.load(FULL).policy.pipeline
        self.assertEqual(said.preemptive.checks, ())
        self.assertEqual(said.preemptive.new_rates[0].rate, 7)


class RefusingTests(PipelineTestCase):
    """What is wrong is told by file, line and column."""

    def test_names_that_are_no_interfaces_of_ours(self) -> None:
        """Neither a side nor a tunnel, or text of nft."""
        for name, why in (
            ("wan1", "none of wan0, lan0"),
            ("'wan0\" drop'", "can not be an interface"),
            ('"lan0\\n}"', "can not be an interface"),
            ("'*'", "can not be an interface"),
        ):
            [line] = self.wrong(f"pipeline:\n  preemptive:\n    fragments: [{name}]\n")
            self.assertTrue(line.startswith("50.yaml:3:17: "), line)
            self.assertIn(why, line)
        [line] = self.wrong("pipeline: {tunnels: [wan0]}\n")
        self.assertIn("one of the gateway's sides", line)

    def test_lists_that_can_not_be_used(self) -> None:
        """A file that is not there, half of one, a million prefixes, and what is no prefix."""
        said = "pipeline: {preemptive: {black_list: {file: black.txt}}}\n"
        (self.folder / "black.txt").write_text("192.0.2.0/24\n198.51.")
        self.assertIn("black.txt:2:1: ", self.wrong(said)[0])
        (self.folder / "black.txt").write_text("192.0.2.0/24\nelements = { }\n")
        self.assertIn("black.txt:2:1: 'elements = { }' is no prefix", self.wrong(said)[0])
        many = "".join(f"10.{at >> 16}.{at >> 8 & 255}.{at & 255}\n" for at in range(65_600))
        (self.folder / "black.txt").write_text(many)
        self.assertIn("black.txt:65537:1: there are more than 65536", self.wrong(said)[0])
        (self.folder / "black.txt").write_text("".join(f"10.{at >> 8}.{at & 255}.0/25\n" for at in range(40_000)))
        (self.folder / "white.txt").write_text("".join(f"11.{at >> 8}.{at & 255}.0/25\n" for at in range(40_000)))
        both = "pipeline: {preemptive: {black_list: {file: black.txt}, white_list: {file: white.txt}}}\n"
        [line] = self.wrong(both)
        self.assertIn(
            "50.yaml:1:1: the lists of policy.pipeline have 80000 prefixes together: write at most 65536", line
        )
        (self.folder / "black.txt").unlink()
        [line] = self.wrong(said)
        self.assertIn("50.yaml:1:38: policy.pipeline.preemptive.black_list: ", line)
        self.assertIn("black.txt can not be read: No such file", line)
        [line] = self.wrong("pipeline: {preemptive: {black_list: {prefixes: ['1.2.3.4, 5.6.7.8']}}}\n")
        self.assertIn("50.yaml:1:49: ", line)

    def test_rules_that_can_not_be(self) -> None:
        """As those of hosts; a direction is none of theirs."""
        rule = "pipeline: {services: {rules: [{priority: 1, target: DROP, %s}]}}\n"
        for said, why in (
            ("direction: INGRESS", "'direction' is not known"),
            ("string: {string: x}", "'string' can not be had"),
            ("tcp: {dport: '22 } drop'}", "does not do here"),
            ("state: {state: ESTABLISHED}", "leave this rule out"),
            ('comment: {comment: "a\\nb"}', "does not do here"),
        ):
            [line] = self.wrong(rule % said)
            self.assertIn(why, line)
            self.assertTrue(line.startswith("50.yaml:1:"), line)

    def test_groups_that_can_not_be(self) -> None:
        """Names that nft would read otherwise, rules as of hosts, more than anybody has."""
        rule = "{priority: 1, direction: EGRESS, target: DROP}"
        for said, why in (
            ("'a b': ", "50.yaml:1:21: 'a b' does not do"),
            ('"a\\n}": ', "50.yaml:1:21: "),
            (f"{'x' * 32}: ", "50.yaml:1:21: "),
            ("a: {rules: [{priority: 1, target: DROP}]}", "50.yaml:1:33: the key 'direction' is missing"),
            (
                "a: {rules: [{priority: 1, direction: EGRESS, target: DROP, interface: lan0}]}",
                "'interface' is not known",
            ),
            (", ".join(f"g{at}: " for at in range(251)), "50.yaml:1:20: there are 251 groups"),
            (", ".join(f"g{at}: {{rules: [{', '.join([rule] * 1000)}]}}" for at in range(6)), "6000 rules in all"),
        ):
            [line] = self.wrong(f"pipeline: {{groups: {{{said}}}}}\n")
            self.assertIn(why, line)

    def test_groups_that_there_are_not(self) -> None:
        """Where there are any, a list of names is for these only, and who registers is of these."""
        lists = "dns: {wan: {listen: [192.0.2.1]}, forward: {lists: [{name: a, file: a, groups: [basic, basis]}]}}\n"
        update = "dns: {wan: {listen: [192.0.2.1]}, update: {listen: [127.0.0.2], unsigned: true%s}}\n"
        main = MINIMAL.replace("dns: {wan: {listen: [192.0.2.1]}}\n", "")
        for more, why in (
            (lists, "7:88: there is no group 'basis' in policy.pipeline.groups: did you mean 'basic'?"),
            (update % "", "7:52: who registers here is of the group 'prepaid-1'"),
            (update % ", defaults: {groups: [none]}", "7:101: there is no group 'none'"),
        ):
            (self.folder / "policies.d" / "50.yaml").write_text(GROUPS)
            (self.folder / "a").write_text("0.0.0.0 x.example\n")
            (self.folder / "realmgw.yaml").write_text(f"{main}state: {self.folder / 'state'}\n{more}")
            with self.assertRaises(ConfigurationError) as raised:
                config.load(self.folder / "realmgw.yaml")
            [line] = raised.exception.problems
            self.assertIn(f"realmgw.yaml:{why}", line)
            (self.folder / "policies.d" / "50.yaml").write_text("")
            config.load(self.folder / "realmgw.yaml")
        order = "datapath: {policy_order: [NAT, CUSTOMER_POLICY, GROUP_POLICY, GUEST_SERVICES]}\n"
        [line] = self.wrong(GROUPS, more=order)
        self.assertIn("write GROUP_POLICY before CUSTOMER_POLICY", line)

    def test_orders_that_contradict_themselves(self) -> None:
        """What stands twice, what can not be left out, and what is met before it is due."""
        [line] = self.wrong("pipeline: {preemptive: {checks: [ports, ports]}}\n")
        self.assertIn("50.yaml:1:41: 'ports' stands twice", line)
        order = "datapath: {policy_order: [%s]}\n"
        lines = self.wrong("", more=order % "NAT, CUSTOMER_POLICY, GUEST_SERVICES, ADMIN_PREEMPTIVE")
        self.assertIn("ADMIN_PREEMPTIVE is met before a packet is routed, and GUEST_SERVICES after", lines[0])
        lines = self.wrong("", more=order % "PACKET_MARKING")
        self.assertEqual(len(lines), 3)
        self.assertIn("CUSTOMER_POLICY is missing", lines[0])
        self.load("", more=order % "NAT, ADMIN_POLICY, CUSTOMER_POLICY, GUEST_SERVICES")
