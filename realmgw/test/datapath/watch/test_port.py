"""The watch, with a listener that a test speaks into; and the kernel's listener, as far as memory goes."""

from __future__ import annotations

import attrs
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from realmgw.datapath.netlink.events import Transaction
from realmgw.datapath.netlink.nftables import INET
from realmgw.datapath.watch.generations import Culprit
from realmgw.datapath.watch.keeper import Findings, Noticed
from realmgw.datapath.watch.port import FIGHTS, INTERVAL, PAUSE, TRUCE, Watch
from realmgw.testing import MemoryListener

FOREIGN = Transaction(generation=7, port=99, process=99, program="nft", tables=frozenset())
HEARD = Noticed((FOREIGN,), links=False)


class WatchTests(SynchronousTestCase):
    """`Watch`."""

    def setUp(self) -> None:
        """A watch that has taken its first look."""
        self.clock, self.listener = Clock(), MemoryListener()
        self.clock.advance(100.0)
        self.looks: list[Noticed] = []
        self.told: list[Findings] = []
        self.findings = Findings()
        self.answers: Deferred[Findings] | None = None
        self.watch = Watch(self.look, self.told.append, self.clock, self.listener)
        self.watch.listen(frozenset((5,)))
        self.assertEqual(self.listener.ignored, {5})
        self.assertEqual(self.successResultOf(self.watch.start()), self.findings)
        self.looks.clear()
        self.told.clear()

    def look(self, noticed: Noticed) -> Deferred[Findings]:
        """Notes it; found is what the test says, at once unless it holds it back."""
        self.looks.append(noticed)
        return succeed(self.findings) if self.answers is None else self.answers

    def test_looks_at_every_interval(self) -> None:
        """For what the kernel does not tell of; addresses are not listed for that."""
        self.clock.pump([INTERVAL, INTERVAL])
        self.assertEqual(self.looks, [Noticed(links=False)] * 2)
        self.assertEqual(self.told, [self.findings] * 2)

    def test_looks_at_once_when_something_is_heard(self) -> None:
        """A burst is one look, told of everything."""
        self.clock.advance(1.0)
        for noticed in (HEARD, Noticed(links=True), HEARD):
            self.listener.say(noticed)
        self.assertEqual(self.looks, [])
        self.clock.advance(0.0)
        self.assertEqual(self.looks, [Noticed((FOREIGN, FOREIGN), links=True)])
        self.clock.advance(INTERVAL - 0.1)
        self.assertEqual(len(self.looks), 1, "the interval begins anew")

    def test_what_is_heard_during_a_look_is_one_more(self) -> None:
        """A moment after it: the kernel's thread has other things to do as well."""
        self.answers = Deferred()
        self.listener.say(HEARD)
        self.clock.advance(PAUSE)
        self.listener.say(Noticed(lost=True, links=False))
        self.listener.say(HEARD)
        self.clock.advance(1.0)
        self.assertEqual(len(self.looks), 1)
        answers, self.answers = self.answers, None
        answers.callback(Findings())
        self.clock.advance(PAUSE)
        self.assertEqual(self.looks[1:], [Noticed((FOREIGN,), lost=True, links=False)])

    def test_who_asks_gets_what_is_found_after_he_asked(self) -> None:
        """Not what a look found that was under way already."""
        self.answers = first = Deferred[Findings]()
        one = self.watch.look()
        self.answers = None
        self.findings = Findings(broken=("wan0 is down",))
        other = self.watch.look()
        self.assertNoResult(one)
        first.callback(Findings())
        self.assertEqual(self.successResultOf(one), Findings())
        self.clock.advance(0.0)
        self.assertEqual(self.successResultOf(other), self.findings)

    def test_who_has_done_it_is_named_when_the_deed_is_seen_before_his_name_is_heard(self) -> None:
        """The kernel has told of him by then; it is read, now or while it was looked, and looked after as well."""
        table = frozenset(((INET, "realmgw"),))
        culprit = Culprit(table, after=6, until=7, own=frozenset())
        line = "nftables table realmgw is gone"
        found = Findings(repaired=(line, "a route is gone"), unexplained={line: culprit})
        done = attrs.evolve(FOREIGN, tables=table), attrs.evolve(FOREIGN, tables=table, generation=8, program="late")
        for tell in (self.listener.waiting.append, self.listener.say):
            self.answers = Deferred()
            asked = self.watch.look()
            tell(Noticed(done, links=False))
            answers, self.answers = self.answers, None
            answers.callback(found)
            self.assertEqual(self.told[-1].repaired, (f"{line}, by nft (process 99)", "a route is gone"))
            self.assertEqual(self.successResultOf(asked), self.told[-1])
            self.clock.advance(PAUSE)
            self.assertEqual(self.looks[-1].transactions, done)

    def test_who_is_never_heard_of_is_not_named(self) -> None:
        """Nor is anybody else, for what he did before or after, or to another table; nor the gateway."""
        line, table = "nftables table realmgw is gone", frozenset(((INET, "realmgw"),))
        found = Findings(repaired=(line,), unexplained={line: Culprit(table, after=6, until=9, own=frozenset((8,)))})
        innocent = [attrs.evolve(FOREIGN, tables=table, generation=number) for number in (6, 8, 10)]
        self.assertEqual(found.explained((*innocent, FOREIGN)), found)

    def test_fault_of_our_own_is_logged_and_the_next_look_taken(self) -> None:
        """The watch does not end by it; nothing is told, since nothing is known."""
        self.answers = fail(ValueError("a fault"))
        asked = self.watch.look()
        self.assertEqual(self.successResultOf(asked), Findings())
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertEqual(self.told, [])
        self.answers = None
        self.clock.advance(INTERVAL)
        self.assertEqual((len(self.looks), len(self.told)), (2, 1))

    def test_looks_become_rarer_when_somebody_fights(self) -> None:
        """That is told for as long as it lasts; the first repairs are made at once."""
        self.findings = Findings(repaired=("the table is gone",))
        for _ in range(FIGHTS):
            self.listener.say(HEARD)
            self.clock.advance(PAUSE)
        self.assertEqual(self.watch.repairs, FIGHTS)
        self.assertIn("again and again", self.told[-1].doubtful[0])
        self.listener.say(HEARD)
        self.clock.advance(TRUCE - 0.1)
        self.assertEqual(self.watch.repairs, FIGHTS)
        self.clock.advance(0.1)
        self.assertEqual(self.watch.repairs, FIGHTS + 1)
        self.findings = Findings()
        self.clock.pump([INTERVAL] * 6)
        self.assertEqual(self.told[-1].doubtful, ())

    def test_nothing_happens_after_the_stop(self) -> None:
        """No timer is left, and who waits is answered."""
        self.answers = Deferred()
        self.watch.look()
        asked = self.watch.look()
        self.watch.stop()
        self.assertEqual(self.successResultOf(asked), Findings())
        self.answers.callback(Findings(broken=("late",)))
        self.assertEqual((self.told, self.clock.getDelayedCalls(), self.listener.heard), ([], [], None))
        self.assertEqual(self.successResultOf(self.watch.look()), Findings())
