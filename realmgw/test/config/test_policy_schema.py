"""Tests for `realmgw.config.policy_schema`."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network

from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.document import Problems, parse
from realmgw.config.policy import Audit, Challenges, Combination, LoadBand, Policy, Refusal, ResolverGroup
from realmgw.config.policy_schema import POLICY, fragment

ESTABLISHED = """
CIRCULARPOOL:
    max: 1000
    DNS_GROUP_POLICY:
        - {'initial_reputation': 0.0, 'sla': true, 'nodes': ['203.0.113.53', '2001:db8::/32']}
    CONTROL_VARIABLES:
        SYSTEM_LOAD:
            - {'threshold_min': 0, 'threshold_max': 100, 'fqdn_new': 1.0, 'sfqdn_new': 0.8, 'sfqdn_reuse': 0.7, 'math': 'min'}
        PBRA_DNS_POLICY_TCPCNAME:  false
        PBRA_DNS_POLICY_TCP:       true
        PBRA_DNS_POLICY_CNAME:     true
        PBRA_DNS_LOG_UNTRUSTED:    false
IPSET: {requires: [], rules: []}
"""  # noqa: E501 - as such files are written


class PolicyTests(SynchronousTestCase):
    """Policies, in either style."""

    def read(self, text: str) -> tuple[Policy | None, tuple[str, ...]]:
        """What a policy file says, and what is wrong with it."""
        problems = Problems("f")
        root = parse(text.encode(), problems)
        assert root is not None
        said = fragment(root, problems)
        return None if said is None else POLICY(said, problems), problems.lines()

    def test_reads_existing_files(self) -> None:
        """What is for other programs is left alone."""
        self.assertEqual(
            self.read(ESTABLISHED),
            (
                Policy(
                    max_claims=1000,
                    system_load=(LoadBand(0.0, 100.0, 1.0, 0.8, 0.7, Combination.MIN),),
                    challenges=Challenges(tcp=True, cname=True),
                    groups=(ResolverGroup((IPv4Network("203.0.113.53/32"), IPv6Network("2001:db8::/32")), 0.0, True),),
                ),
                (),
            ),
        )

    def test_a_file_for_other_programs_says_nothing(self) -> None:
        """It is no problem."""
        self.assertEqual(self.read("IPTABLES: {NAT: {rules: [{table: nat}]}}"), (Policy(), ()))

    def test_reads_our_own_words(self) -> None:
        """As in the section `policy`."""
        self.assertEqual(self.read("max_claims: 5\nchallenges: {tcpcname: true}"),
                         (Policy(max_claims=5, challenges=Challenges(tcpcname=True)), ()))  # fmt: skip

    def test_an_empty_list_of_bands_is_no_load_policy(self) -> None:
        """One that is not written is the reference."""
        self.assertEqual(self.read("system_load: []"), (Policy(system_load=()), ()))

    def test_reads_what_refusals_look_like_and_what_is_only_counted(self) -> None:
        """By the words of `Refusal` and `Audit`."""
        said = Policy(refuse_udp=Refusal.SERVFAIL, audit=(Audit.RATE, Audit.LOAD, Audit.CHALLENGES))
        self.assertEqual(self.read("refuse_udp: servfail\naudit: [rate, load, challenges]"), (said, ()))
        _, [line] = self.read("audit: [everything]")
        self.assertIn("write load or challenges or rate", line)

    def test_a_group_may_be_kept_apart(self) -> None:
        """By default it is not."""
        policy, _ = self.read("groups: [{nodes: [192.0.2.1]}, {nodes: [192.0.2.2], merges: false}]")
        assert policy is not None
        self.assertEqual([group.merges for group in policy.groups], [True, False])

    def test_tells_what_is_wrong_with_existing_files_at_its_place(self) -> None:
        """Keys and values alike."""
        text = ESTABLISHED.replace("max: 1000", "maxi: 1000").replace("PBRA_DNS_POLICY_TCP:", "PBRA_DNS_TCP:")
        _, lines = self.read(text.replace("'math': 'min'", "'math': 'sum'"))
        self.assertEqual(len(lines), 3)
        self.assertIn("f:3:5: the key 'maxi' is not known", lines[0])
        self.assertIn("'sum' is not known: write max or min or avg", lines[1])
        self.assertIn("f:10:9: the key 'PBRA_DNS_TCP' is not known", lines[2])
        _, [line] = self.read("CIRCULARPOOL: 5\nIPSET: {}")
        self.assertIn("f:1:15: the single value '5' stands here", line)
        _, [line] = self.read("[a]")
        self.assertIn("write a mapping with max_claims", line)

    def test_bands_end_where_they_begin_or_above(self) -> None:
        """And reputations are from 0 to 1."""
        band = "{threshold_min: 50, threshold_max: 40, fqdn_new: 1, sfqdn_new: 1, sfqdn_reuse: 1}"
        _, [line] = self.read(f"system_load: [{band}]")
        self.assertIn("'threshold_max' is below 'threshold_min'", line)
        _, [line] = self.read(f"system_load: [{band.replace('40', '60')}]")
        self.assertIn("no band begins at 0", line)
        _, [line] = self.read(f"system_load: [{band.replace('40', '60').replace('sfqdn_reuse: 1', 'sfqdn_reuse: 2')}]")
        self.assertIn("write a number from 0 to 1", line)
