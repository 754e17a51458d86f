"""What has TCP come twice, with a clock that is turned, and rules that only note what they are told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from realmgw.admission.overload import CALM, REFUSED
from realmgw.admission.twice import EVERY, TOLD, Twice
from realmgw.config.settings import Settings
from realmgw.datapath.netlink.counters import Count
from realmgw.errors import RealmGatewayError
from realmgw.test.config.test_schema import MINIMAL, settings

STEP = 0.02  # seconds
SETTINGS = settings(MINIMAL)


class RecordingRules:
    """Rules that note what they are told.

    Attributes:
        asked: What they were told, in order.
        refusal: If set, everything fails with it.
        first: SYNs that came first.
    """

    def __init__(self) -> None:
        self.asked: list[bool] = []
        self.refusal: Exception | None = None
        self.first = 0

    def ask_twice(self, *, asked: bool) -> Deferred[Any]:
        """Notes it."""
        if self.refusal is not None:
            return fail(self.refusal)
        self.asked.append(asked)
        return succeed(None)

    def counted(self) -> Deferred[Mapping[str, Count]]:
        """Nobody comes again."""
        return succeed({"syn_first": Count(self.first, 0)}) if self.refusal is None else fail(self.refusal)


class TwiceTests(SynchronousTestCase):
    """A queue from which 10 000 packets a second are taken."""

    def setUp(self) -> None:
        self.clock, self.rules = Clock(), RecordingRules()
        self.clock.advance(100.0)
        self.answered = 0
        self.behind: list[tuple[float, float]] = []
        self.told: list[tuple[str, ...]] = []
        self.twice = self.of(SETTINGS)

    def of(self, of: Settings) -> Twice:
        """One that runs."""
        told = lambda seconds, lost_at: self.behind.append((seconds, lost_at))  # noqa: E731
        made = Twice(of, self.rules, lambda: self.answered, told, self.told.append, self.clock, self.clock.seconds)
        made.start(lambda: round(10_000 * self.clock.seconds()))
        self.addCleanup(made.stop)
        return made

    def lose(self, seconds: float = 1.0) -> None:
        """Packets are lost all the time."""
        for _ in range(round(seconds / STEP)):
            self.clock.advance(STEP)
            self.twice.behind(0.3, self.clock.seconds())

    def flood(self, seconds: int, rate: int = 50_000) -> None:
        """So many come first in each second; none is lost any more."""
        for _ in range(seconds):
            self.rules.first += rate
            self.clock.advance(EVERY)

    def asks(self) -> object:
        """Whether it is asked for, as counted."""
        return self.twice.counts()["asks_twice"]

    def test_it_is_asked_for_and_told_while_the_flood_lasts(self) -> None:
        """And no longer than some seconds more."""
        self.lose()
        self.assertEqual((self.rules.asked, self.told, self.asks()), ([True], [(TOLD,)], 1))
        self.flood(20)
        self.assertEqual((self.rules.asked, self.told), ([True], [(TOLD,)]))
        self.flood(int(CALM) + 2, 10)
        self.assertEqual((self.rules.asked, self.told, self.asks()), ([True, False], [(TOLD,), ()], 0))

    def test_nothing_runs_while_nothing_is_lost(self) -> None:
        """No timer, and nobody is asked."""
        self.clock.advance(STEP)
        self.twice.behind(0.1, float("-inf"))
        self.assertEqual((self.clock.getDelayedCalls(), self.rules.asked), ([], []))
        self.lose()
        self.flood(20, 10)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_who_is_looked_at_hears_of_it_as_ever(self) -> None:
        """What the queue has lost, and when."""
        self.twice.behind(0.5, 7.0)
        self.assertEqual(self.behind, [(0.5, 7.0)])

    def test_those_who_come_again_have_a_second_more(self) -> None:
        """All the while: their first SYN was lost, too."""
        self.lose()
        self.flood(3)
        self.assertEqual(self.behind[-1], (0.3, self.clock.seconds()))
        self.clock.advance(STEP)
        self.twice.behind(0.0, 100.0)
        self.assertEqual(self.behind[-1], (0.0, self.clock.seconds()))

    def test_it_is_not_wanted(self) -> None:
        """Where it is switched off, or where SYN proxies stand in front."""
        off = attrs.evolve(SETTINGS, admission=attrs.evolve(SETTINGS.admission, ask_twice=False))
        proxied = settings(MINIMAL + "synproxy: {proxies: [192.0.2.1]}\n")
        for unwanted in (off, proxied):
            self.twice = self.of(unwanted)
            self.lose()
            self.assertEqual(self.rules.asked, [])

    def test_a_crowd_is_let_alone(self) -> None:
        """Those who were told to come."""
        for _ in range(round(2.0 / STEP)):
            self.answered += round(10_000 * STEP)
            self.lose(STEP)
        self.assertEqual((self.rules.asked, self.told), ([], []))

    def test_a_reload_ends_it(self) -> None:
        """Within a second."""
        self.lose()
        self.twice.configure(attrs.evolve(SETTINGS, admission=attrs.evolve(SETTINGS.admission, ask_twice=False)))
        self.flood(1)
        self.assertEqual((self.rules.asked, self.told), ([True, False], [(TOLD,), ()]))

    def test_a_kernel_that_refuses_is_told_of(self) -> None:
        """It is asked again, each second at most."""
        self.rules.refusal = RealmGatewayError("no")
        with capturedLogs() as events:
            self.lose(0.5)
        self.assertEqual((len(events), self.told, self.asks(), self.twice.failed), (1, [], 0, 1))
        self.rules.refusal = None
        self.lose(2 * REFUSED)
        self.assertEqual(self.rules.asked, [True])

    def test_it_is_switched_off_once_the_kernel_does_it(self) -> None:
        """Whatever fails meanwhile."""
        self.lose()
        self.flood(10)
        self.rules.refusal = OSError("no")
        with capturedLogs():
            self.flood(10, 10)
        self.rules.refusal = None
        self.assertEqual(self.rules.asked, [True])
        self.flood(int(CALM) + 2, 10)
        self.assertEqual((self.rules.asked, self.asks()), ([True, False], 0))

    def test_it_stops_with_the_queue(self) -> None:
        """The rules stay: nothing gets in by them alone."""
        self.lose()
        self.twice.stop()
        self.assertEqual((self.rules.asked, self.clock.getDelayedCalls()), ([True], []))
