"""Tests for `realmgw.datapath.pipeline.stages`; what each stage does to packets is asked in realmgw.test.kernel."""

from __future__ import annotations

import re
from collections.abc import Collection

import attrs
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.consistency import unused
from realmgw.config.document import Problems, parse
from realmgw.config.files import filling
from realmgw.config.pipeline import Pipeline, Preemptive, Refused
from realmgw.config.policy import ALWAYS
from realmgw.config.policy_schema import POLICY
from realmgw.config.settings import PolicyStage, Settings
from realmgw.config.steps import finish
from realmgw.datapath.incoming import PASSES
from realmgw.datapath.pipeline import parts
from realmgw.datapath.pipeline.parts import Stages
from realmgw.datapath.pipeline.stages import stages, told
from realmgw.test.datapath.test_ruleset import SETTINGS

ALL = """{
  tunnels: [wg0], marking: true,
  preemptive: {
    checks: [management, black_list, white_list, sources, flags, not_syn, invalid, ports, new_rates, rules],
    management: {prefixes: [192.0.2.1, '2001:db8:7::/64'], interfaces: [lan0]},
    black_list: {prefixes: [203.0.113.0/24, 203.0.113.7]}, white_list: {prefixes: ['2001:db8:8::/48']},
    sources: [{interface: lan0, fib: true, allowed: [192.168.0.0/24], refused: [10.0.0.0/8]}], fragments: [wg0],
    new_rates: [{interface: wan0}],
    rules: [{priority: 1, interface: wg0, hashlimit: {hashlimit-above: 5/sec, hashlimit-mode: srcip}, target: DROP}]
  },
  services: {
    dhcp: {wan: drop, rate: 10}, http: {wan: reject, rate: 100},
    dns: {black_list: {prefixes: [198.51.100.0/24]}, white_list: {prefixes: [192.0.2.0/24]},
          well_known: {prefixes: ['2001:db8:9::/48']}, rate: 25, lan_rate: 200},
    rules: [{priority: 1, protocol: tcp, connlimit: {connlimit-above: 5}, target: DROP}],
    others: {wan: drop, lan: reject, rate: 5}
  },
  groups: {prepaid-1: {rules: [
    {priority: 1, direction: EGRESS, hashlimit: {hashlimit-above: 5/sec}, target: REJECT},
    {priority: 2, direction: INGRESS, protocol: udp, target: DROP},
    {priority: 3, direction: INGRESS, target: ACCEPT}]}, late: },
  segments: [{interface: wg0, size: 1360}, {interface: lan0}]
}"""
"""Every stage, with all that can be said."""


def staged(text: str, settings: Settings = SETTINGS) -> Settings:
    """Settings with these stages."""
    problems = Problems("policies.d/50.yaml")
    root = parse(f"pipeline: {text}".encode(), problems)
    assert root is not None, problems.lines()
    policy = POLICY(root, problems)
    assert policy is not None, problems.lines()
    return finish(filling(attrs.evolve(settings, policy=policy), problems))


class StagesTests(SynchronousTestCase):
    """What settings want."""

    def test_the_usual_ones(self) -> None:
        """Impossible flags, and responses that nobody has asked for; nothing that every packet meets."""
        made = stages(SETTINGS)
        self.assertEqual(set(made.chains), {"stage_preemptive", "stage_services"})
        limit = "limit packets_told"
        self.assertEqual(set(made.objects), {"counter stage_flags", "counter stage_dns_unsolicited", limit})

    def test_a_flow_that_was_answered_passes_by_the_first_rule(self) -> None:
        """Of whatever is looked at first; of what is forwarded, nothing else is asked but SYNs for their size."""
        made = stages(staged(ALL))
        hook, first, *_ = made.chains["stage_preemptive"]
        self.assertEqual((first, "prerouting" in hook), (PASSES, True))
        forwarded = [name for name, lines in made.chains.items() if "hook forward" in "".join(lines[:1])]
        self.assertEqual(forwarded, ["stage_segments"])
        self.assertEqual(made.chains["stage_segments"][1], "tcp flags & syn != syn accept")

    def test_whatever_ends_a_packet_counts_it_and_says_where_it_is_written(self) -> None:
        """Each rule, by a counter that is there."""
        made = stages(staged(ALL))
        ends = [each for each in parts.told(made) if re.match("drop|reject|goto stage_refuse", each.verdict)
                and each.chain not in ("stage_refuse", "stage_told")]  # fmt: skip
        self.assertGreater(len(ends), 30)
        for each in ends:
            self.assertIn(f"counter {each.counter}", made.objects, each)
            self.assertRegex(each.origin, r"^policies\.d/50\.yaml:\d+$", each)
        self.assertEqual({f"counter {name}" for name in parts.COUNTERS} - set(made.objects), set())

    def test_every_jump_and_every_set_is_there(self) -> None:
        """And nothing that nobody uses."""
        for text in (ALL, "{}", "{services: {dns: {rate: 1}}}", "{preemptive: {checks: []}}"):
            made = stages(staged(text))
            every = "\n".join(line for lines in made.chains.values() for line in lines)
            self.assertEqual(set(re.findall(r"goto (\w+)", every)) - set(made.chains), set())
            sets = {name.partition(" ")[2] for name in made.objects if name.startswith("set ")}
            self.assertEqual(set(re.findall(r"@(?!th)([\w-]+)", every)), sets)

    def test_a_stage_that_is_not_listed_is_off(self) -> None:
        """One by one."""
        said = staged(ALL)
        of_stage = {
            PolicyStage.PACKET_MARKING: "stage_marks_in",
            PolicyStage.ADMIN_PREEMPTIVE: "stage_preemptive",
            PolicyStage.GROUP_POLICY: "stage_group_prepaid-1_out",
            PolicyStage.ADMIN_POLICY: "stage_for_others",
            PolicyStage.ADMIN_POLICY_DHCP: "stage_for_dhcp",
            PolicyStage.ADMIN_POLICY_HTTP: "stage_for_http",
            PolicyStage.ADMIN_POLICY_DNS: "stage_for_dns",
        }
        for stage, chain in of_stage.items():
            order = tuple(each for each in PolicyStage if each is not stage)
            without = attrs.evolve(said, datapath=attrs.evolve(said.datapath, policy_order=order))
            self.assertIn(chain, stages(said).chains)
            self.assertNotIn(chain, stages(without).chains)

    def test_what_is_of_no_use_without_a_stage(self) -> None:
        """Each key that is told to be changes nothing without it, and something with it; each stage has one."""

        def made(pipeline: Pipeline, order: Collection[PolicyStage]) -> tuple[Stages, frozenset[Refused]]:
            policy = attrs.evolve(said.policy, pipeline=pipeline)
            datapath = attrs.evolve(said.datapath, policy_order=tuple(order))
            its = attrs.evolve(said, policy=policy, datapath=datapath)
            return stages(its), told(its)

        said = staged(ALL.replace("marking: true", "marking: true, reject: [udp]"))
        pipeline = said.policy.pipeline
        for kind, words in unused.STAGES.items():
            for word, stage in words.items():
                usual = getattr(kind(), word)
                if isinstance(usual, Preemptive):
                    usual = attrs.evolve(usual, management=pipeline.preemptive.management)
                other = attrs.evolve(pipeline if kind is Pipeline else pipeline.services, **{word: usual})
                without = other if isinstance(other, Pipeline) else attrs.evolve(pipeline, services=other)
                order = [each for each in PolicyStage if each is not stage]
                self.assertEqual(made(pipeline, order), made(without, order), word)
                self.assertNotEqual(made(pipeline, tuple(PolicyStage)), made(without, tuple(PolicyStage)), word)
        named = {stage for words in unused.STAGES.values() for stage in words.values()}
        self.assertEqual(named, set(PolicyStage) - set(ALWAYS))

    def test_the_order_says_what_comes_first_at_the_gateway_itself(self) -> None:
        """Rules of hosts or these, and which of these."""
        order = (PolicyStage.NAT, PolicyStage.ADMIN_POLICY_HTTP, PolicyStage.ADMIN_POLICY_DHCP,
                 PolicyStage.CUSTOMER_POLICY)  # fmt: skip
        said = staged("{services: {http: {wan: drop}, dhcp: {wan: drop}}}")
        hook, *lines = stages(said).chains["stage_services"]
        self.assertIn("filter + 10", hook)
        hook, *lines = stages(attrs.evolve(said, datapath=attrs.evolve(said.datapath, policy_order=order))).chains[
            "stage_services"
        ]
        self.assertIn("filter - 10", hook)
        self.assertEqual([line.rpartition(" ")[2] for line in lines[-2:]], ["stage_for_http", "stage_for_dhcp"])

    def test_what_is_said_to_pass_is_none_of_the_others(self) -> None:
        """Queries ever, the gateway is there for them; DHCP and HTTP, where they are written. Else nothing is added."""
        sides = [parts.interfaces(names) for names in ([SETTINGS.interfaces.wan], SETTINGS.interfaces.lan)]
        dns = [f"iifname {by} {way} dport {{ 53 }} accept" for by in sides for way in ("udp", "tcp")]
        http, dhcp = "tcp dport { 80, 443 } accept", "udp dport { 67, 547 } accept"
        for text, added in (
            ("others: {wan: drop}", dns),
            ("others: {rate: 5}, http: {wan: accept}", [http, *dns]),
            ("others: {lan: reject}, dhcp: {}, dns: {rate: 5}", [dhcp, *dns[2:]]),
            ("http: {wan: accept}", []),
            ("others: {}", []),
        ):
            lines = stages(staged(f"{{services: {{{text}}}}}")).chains["stage_services"]
            self.assertEqual([each for each in lines if each in (http, dhcp, *dns)], added, text)

    def test_who_is_told_that_he_was_refused(self) -> None:
        """All, some, or nobody where the stage is not listed."""
        self.assertEqual(told(SETTINGS), frozenset(Refused))
        some = staged("{reject: [udp]}")
        self.assertEqual(told(some), {Refused.UDP})
        order = (PolicyStage.NAT,)
        self.assertEqual(told(attrs.evolve(some, datapath=attrs.evolve(some.datapath, policy_order=order))), set())
