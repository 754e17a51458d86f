"""Tests for `realmgw.config.consistency.policy`."""

from __future__ import annotations

from realmgw.test.config.consistency.case import ConsistencyTestCase


class PolicyTests(ConsistencyTestCase):
    """What is wrong with stages, groups and challenges."""

    def test_finds_what_stands_twice(self) -> None:
        """Service addresses, stages, rules that are only counted, resolvers of groups."""
        [line] = self.problems(more="policy: {audit: [load, rate, load]}\n")
        self.assertEqual(line, "'load' stands twice: remove one")
        [line] = self.problems(("pools: {", "pools: {service: [192.0.2.2, 192.0.2.2], "))
        self.assertIn("192.0.2.2 stands twice in the service pool", line)
        [line] = self.problems(
            more="datapath: {policy_order: [NAT, CUSTOMER_POLICY, GUEST_SERVICES, GUEST_SERVICES]}\n"
        )
        self.assertIn("the stage GUEST_SERVICES stands twice", line)
        groups = "policy: {groups: [{nodes: [203.0.113.0/24]}, {nodes: [203.0.113.7, '2001:db8::1']}]}\n"
        [line] = self.problems(more=groups)
        self.assertEqual(line, "203.0.113.7/32 belongs to a group already, at line 7: remove one of them")

    def test_finds_alias_challenges_without_a_zone_for_aliases(self) -> None:
        """Of the policy or of a zone; with such a zone all is well."""
        cname = "policy: {challenges: {cname: true}}\n"
        [line] = self.problems(more=cname)
        self.assertIn("'cname' gives one-time aliases, and there is no zone for them", line)
        [line] = self.problems(("contact:", "challenges: {tcpcname: true}, contact:"))
        self.assertIn("'tcpcname' gives one-time aliases", line)
        for word in ("tcp", "adaptive"):
            self.assertEqual(self.problems(more=f"policy: {{challenges: {{{word}: true}}}}\n"), [])
        aliases = ("zones: {example.org: {", "zones: {example.org: {aliases: true, ")
        self.assertEqual(self.problems(aliases, more=cname), [])
