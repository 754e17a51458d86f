"""Tests of what follows from the kernel's side for lending and for the status."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from realmgw.control.degrading import looked_at
from realmgw.control.health import Health, Severity, State, Trouble
from realmgw.datapath.watch.keeper import Findings
from realmgw.errors import Reason
from realmgw.test.allocation.scene import Scene, service

ONE = service(1)


class DegradingTests(SynchronousTestCase):
    """`looked_at`, and what `Health` makes of it."""

    def setUp(self) -> None:
        """All is well."""
        self.clock, self.scene, self.troubles = Clock(), Scene(1), list[Trouble]()
        allocator = self.scene.allocator
        self.health = Health(
            self.clock.seconds,
            self.troubles.append,
            lambda each, _: self.troubles.append(each),
            allocator.outage.degrade,
        )

    def find(self, findings: Findings) -> None:
        """A look finds that."""
        looked_at(self.health, self.scene.allocator, self.clock.seconds, findings)

    def test_nothing_is_lent_while_something_is_broken(self) -> None:
        """And it is told, once, for as long as it lasts."""
        for _ in range(2):
            self.find(Findings(broken=("wan0 is down",)))
        self.assertEqual(self.scene.ask(ONE, now=0.0), Reason.DEGRADED)
        self.assertEqual((self.health.state, [each.text for each in self.troubles]), (State.DEGRADED, ["wan0 is down"]))
        self.find(Findings())
        self.assertIsInstance(self.scene.ask(ONE, now=0.0), bytes)

    def test_what_is_doubtful_holds_up_nobody(self) -> None:
        """It is a notice."""
        self.find(Findings(doubtful=("a small table",)))
        self.assertEqual([each.severity for each in self.health.troubles], [Severity.NOTICE])
        self.assertIsInstance(self.scene.ask(ONE, now=0.0), bytes)

    def test_a_repair_excuses_the_claims_made_before(self) -> None:
        """Their clients may not have got through."""
        self.scene.get(ONE, now=0.0)
        self.clock.advance(0.5)
        self.find(Findings(repaired=("the table is gone",), disturbed=True))
        self.scene.allocator.expire(now=9.0)
        self.assertEqual(self.scene.counters.excused, 1)
