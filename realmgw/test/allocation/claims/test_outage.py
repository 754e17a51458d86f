"""Tests of what becomes of queries and claims while something that flows need is broken."""

from __future__ import annotations

import attrs
from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.allocator import Allocator
from realmgw.allocation.explain import explain_ask
from realmgw.config.settings import Allocation, WhileDegraded
from realmgw.errors import Reason
from realmgw.test.allocation.claims.test_outcomes import counts
from realmgw.test.allocation.scene import CLIENT, OTHER, RESOLVER, Scene, service

ONE, TWO = service(1), service(2)
OVER = 5.0  # seconds; claims of the first two seconds are over


class OutageTests(SynchronousTestCase):
    """`Outage`, by what the allocator makes of it."""

    def setUp(self) -> None:
        self.scene = Scene(1)
        self.allocator = self.scene.allocator

    def degrade(self, *, degraded: bool, now: float) -> None:
        """Something breaks, or is well again."""
        self.allocator.outage.degrade(degraded=degraded, now=now)

    def outcomes(self, resolver: str = RESOLVER) -> tuple[float, float, float]:
        """How many claims of a resolver were ok, nok, and neutral."""
        return counts(self.allocator.groups.of(resolver))

    def test_nothing_is_lent_meanwhile(self) -> None:
        """Not even the address of a claim that is pending; each refusal is counted, and it ends with the outage."""
        first = self.scene.get(ONE, question=1, now=0.0)
        self.degrade(degraded=True, now=0.1)
        told = [self.scene.ask(each, question=number, now=0.2) for number, each in ((1, ONE), (2, TWO))]
        self.assertEqual(told, [Reason.DEGRADED, Reason.DEGRADED])
        self.assertEqual(self.scene.counters.refused[Reason.DEGRADED], 2)
        self.degrade(degraded=False, now=0.3)
        self.assertEqual(self.scene.ask(ONE, question=1, now=0.3), first)

    def test_those_who_wait_are_told_when_it_begins(self) -> None:
        """Once; and whoever asks again afterwards waits again."""
        self.scene.get(ONE, now=0.0)
        self.scene.wait(TWO, question="q", now=0.1)
        self.degrade(degraded=True, now=0.2)
        self.assertEqual((self.scene.told, self.allocator.waiting), ([("q", Reason.DEGRADED)], 0))
        self.degrade(degraded=False, now=0.2)
        self.assertIsNone(self.scene.wait(TWO, question="r", now=0.2))

    def test_outcomes_of_the_time_count_against_nobody(self) -> None:
        """Claims that are pending when it begins, whether they end within or after it."""
        self.scene.get(ONE, now=0.0)
        self.degrade(degraded=True, now=0.1)
        self.allocator.expire(now=OVER)
        self.assertEqual((self.outcomes(), self.scene.counters.excused), ((0, 0, 1), 1))
        self.degrade(degraded=False, now=OVER)
        self.scene.get(ONE, OTHER, now=OVER + 0.1)
        self.degrade(degraded=True, now=OVER + 0.2)
        self.degrade(degraded=False, now=OVER + 0.3)
        self.allocator.expire(now=OVER * 2)
        self.assertEqual(self.outcomes(OTHER), (0, 0, 1))

    def test_claims_made_afterwards_count_again(self) -> None:
        """That nobody comes is the resolver's fault as ever."""
        self.degrade(degraded=True, now=0.1)
        self.degrade(degraded=False, now=0.2)
        self.scene.get(ONE, now=0.3)
        self.allocator.expire(now=OVER)
        self.assertEqual(self.outcomes(), (0, 1, 0))

    def test_a_client_who_comes_meanwhile_is_let_in(self) -> None:
        """What is broken may not concern him; and it is to his resolver's merit."""
        address = self.scene.get(ONE, now=0.0)
        self.degrade(degraded=True, now=0.1)
        self.assertEqual(self.scene.come(address, CLIENT, now=0.2), ONE.host.index)
        self.assertEqual(self.outcomes(), (1, 0, 0))

    def test_a_disturbance_that_is_over_excuses_the_claims_made_before(self) -> None:
        """Those are not refused; and while an outage lasts it changes nothing."""
        self.scene.get(ONE, now=0.0)
        self.allocator.outage.excuse(now=0.1)
        self.allocator.expire(now=OVER)
        self.assertEqual(self.outcomes(), (0, 0, 1))
        self.degrade(degraded=True, now=OVER)
        self.allocator.outage.excuse(now=OVER)
        self.assertEqual(self.scene.ask(ONE, now=OVER), Reason.DEGRADED)

    def test_addresses_are_lent_all_the_same_where_that_is_wanted(self) -> None:
        """`while_degraded: lend`, from the next query on; outcomes stay excused."""
        self.degrade(degraded=True, now=0.0)
        self.allocator.configure(Allocation(while_degraded=WhileDegraded.LEND))
        self.assertIsInstance(self.scene.ask(ONE, now=0.1), bytes)
        self.allocator.expire(now=OVER)
        self.assertEqual(self.outcomes(), (0, 0, 1))
        self.allocator.configure(Allocation())
        self.assertEqual(self.scene.ask(ONE, now=OVER), Reason.DEGRADED)

    def test_explain_says_so(self) -> None:
        """The same refusal, and where the reason is told."""
        self.degrade(degraded=True, now=0.0)
        explained = explain_ask(self.allocator, ONE, RESOLVER, now=0.1)
        self.assertEqual(explained.reason, Reason.DEGRADED)
        self.assertIn("realmgw status", explained.steps[-2])

    def test_an_allocator_begins_with_what_its_settings_say(self) -> None:
        """Told or not, it lends while nothing is broken."""
        for lends in WhileDegraded:
            made = attrs.evolve(Allocation(), while_degraded=lends)
            self.assertFalse(Allocator(made, (), now=0.0).outage.suspended)
