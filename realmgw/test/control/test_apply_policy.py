"""A reload of the policy: in force from the next query on, and nobody loses what he has."""

from __future__ import annotations

from pathlib import Path

from realmgw.control.apply import Status
from realmgw.errors import Reason
from realmgw.test.control.parts import only
from realmgw.test.control.test_apply import ReloadTestCase
from realmgw.test.pauses import Work

CALL, MOST = 2.5e-7, 0.02  # seconds
"""So long a call of a function is taken to last; no part of a reload takes longer."""
NOBODY = "{threshold_min: 0, threshold_max: 100, fqdn_new: 1, sfqdn_new: 1, sfqdn_reuse: 1, math: min}"
RESOLVER, BEST = "192.0.2.53", "203.0.113.53"


class PolicyTests(ReloadTestCase):
    """Two hosts, and a policy in a file of its own."""

    def setUp(self) -> None:
        """There is none yet."""
        super().setUp()
        self.path = Path(self.gateway.folder / "policies.d" / "policy.yaml")
        self.path.parent.mkdir()
        self.allocator = self.gateway.allocator

    def reload(self, policy: str) -> None:
        """Another policy."""
        self.path.write_text(policy)
        outcome = only(self.gateway.reload())
        self.assertEqual((outcome.status, outcome.problems), (Status.APPLIED, ()))

    def ask(self, label: str, resolver: str = RESOLVER) -> bytes | Reason:
        """Somebody asks for a host."""
        return self.allocator.ask(self.service(label), resolver, (label, resolver), now=self.gateway.clock.seconds())

    def test_bands_decide_from_the_next_query_on(self) -> None:
        """Whoever is refused by the new ones keeps the claim that he has."""
        given = self.ask("a")
        assert isinstance(given, bytes)
        self.allocator.groups.set(BEST, 1.0, now=0.0)
        self.ask("a", BEST)
        self.reload(f"system_load: [{NOBODY}]")
        self.assertIsInstance(self.ask("b", BEST), bytes)
        self.assertIs(self.ask("b"), Reason.POLICY)
        self.assertEqual(self.ask("a"), given)
        host = self.service("a").host.index
        self.assertEqual(self.allocator.admit((b"\xc0\0\2\1", given, 6, 1000, 80), now=0.1), host)
        self.reload("system_load: []")
        self.assertIsInstance(self.ask("b"), bytes)

    def test_a_limit_for_all_hosts_counts_from_the_next_query_on(self) -> None:
        """With the claims that are pending already."""
        self.ask("a")
        self.reload("max_claims: 1")
        self.assertIs(self.ask("b"), Reason.CLAIM_LIMIT)
        self.reload("max_claims: 2")
        self.assertIsInstance(self.ask("b"), bytes)

    def test_what_is_only_counted_refuses_nobody(self) -> None:
        """It is counted, though."""
        self.ask("a")
        self.reload("{max_claims: 1, audit: [load]}")
        self.assertIsInstance(self.ask("b"), bytes)
        self.assertEqual(self.allocator.counters.policy_audited, 1)

    def test_reputations_live_on(self) -> None:
        """Of groups, and of preset ones whose networks stay."""
        self.allocator.groups.set(RESOLVER, 0.8, now=0.0)
        self.reload(f"groups: [{{nodes: [{BEST}], initial_reputation: 0.9}}]")
        preset = self.allocator.groups.of(BEST)
        self.assertEqual(preset.reputation.value(0.0), 0.9)
        preset.reputation.set(0.7, now=0.0)
        self.reload(f"groups: [{{nodes: [{BEST}], initial_reputation: 0.2, sla: true}}]")
        self.assertIs(self.allocator.groups.of(BEST), preset)
        self.assertEqual((preset.sla, preset.reputation.value(0.0)), (True, 0.7))
        self.assertEqual(self.allocator.groups.of(RESOLVER).reputation.value(0.0), 0.8)

    def test_many_groups_hold_up_nobody(self) -> None:
        """They come, go and stay in steps that are short."""
        work, driver = Work(), self.gateway.reloader._driver
        driver._monotonic = lambda: work.calls * CALL
        with work.counting():
            self.many_groups_come_and_go()
        self.assertLess(driver.longest, MOST)

    def many_groups_come_and_go(self) -> None:
        """They come, stay, and go."""
        for first, last in ((0, 8000), (0, 8000), (1, 8001), (0, 0)):
            groups = (f"{{nodes: [10.{number >> 8}.{number & 255}.0/24]}}" for number in range(first, last))
            self.path.write_text(f"groups: [{', '.join(groups)}]")
            self.assertEqual(only(self.gateway.reload()).problems, ())
            self.assertEqual(len(self.allocator.groups), last - first)

    def test_counts_of_a_policy_that_stays_go_on(self) -> None:
        """A reload for another reason does not touch it."""
        self.ask("a")
        before = self.allocator.askers.load
        assert before is not None
        self.gateway.write("a.yaml", b="192.168.0.2")
        self.gateway.reload()
        self.assertIs(self.allocator.askers.load, before)
        self.assertEqual(sum(before.permitted), 1)
