"""Tests for `realmgw.dns.forward.upstreams`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.distribution import DELAY_BOUNDS, Distribution
from realmgw.dns.forward.upstreams import LONGEST_REST, MOST_DENIALS, MOST_FAILURES
from realmgw.test.dns.forward.resolvers import ONE, TWO, Elsewhere


class OrderTests(SynchronousTestCase):
    """Who is asked first."""

    def setUp(self) -> None:
        """Nobody was asked yet."""
        self.elsewhere = Elsewhere(ONE, TWO)
        self.upstreams = self.elsewhere.means.upstreams
        self.one, self.two = self.upstreams.all

    def first(self, now: float = 0.0) -> object:
        """Who it is."""
        return self.upstreams.order(now)[0]

    def test_who_answers_faster(self) -> None:
        """Once all were tried."""
        self.upstreams.answered(self.one, 0.020)
        self.assertIs(self.first(), self.two)
        self.upstreams.answered(self.two, 0.010)
        self.assertIs(self.first(), self.two)

    def test_how_long_they_took_is_told(self) -> None:
        """Of all together."""
        self.upstreams.answered(self.one, 0.020)
        self.upstreams.answered(self.two, 0.010)
        latencies = Distribution(DELAY_BOUNDS)
        for seconds in (0.020, 0.010):
            latencies.add(seconds)
        self.assertEqual(self.upstreams.latencies.counts(), latencies.counts())

    def test_slower_ones_are_tried_now_and_then(self) -> None:
        """Since their latency fades."""
        self.upstreams.answered(self.one, 0.020)
        self.upstreams.answered(self.two, 0.010)
        order = [self.first() for _ in range(50)]
        self.assertIs(order[0], self.two)
        self.assertIs(order[-1], self.one)

    def test_who_fails_is_left_alone(self) -> None:
        """After some failures, and longer each time; that is told once, and so is its end."""
        for _ in range(MOST_FAILURES):
            self.assertEqual(self.elsewhere.told, [])
            self.upstreams.failed(self.one, "no answer", 0.0)
        self.assertEqual((self.one.rests_until, self.elsewhere.told), (1.0, [(ONE, "no answer")]))
        for _ in range(20):
            self.upstreams.failed(self.one, "no answer", 0.0)
        self.assertEqual(self.one.rests_until, LONGEST_REST)
        self.upstreams.answered(self.two, 5.0)
        self.assertIs(self.first(59.0), self.two)
        self.upstreams.answered(self.one, 0.010)
        self.assertEqual(self.elsewhere.told, [(ONE, "no answer"), (ONE, "")])
        self.assertIs(self.first(59.0), self.one)

    def test_who_has_no_answer_time_and_again_is_left_alone(self) -> None:
        """Of some names nobody has one; an answer in between shows that it is well. It counts as asked."""
        self.upstreams.answered(self.two, 0.010)
        self.upstreams.denied(self.one, "it says SERVFAIL", 0.020, 0.0)
        self.assertIs(self.first(), self.two)
        self.two.latency = 1.0
        for _ in range(MOST_DENIALS - 2):
            self.upstreams.denied(self.one, "it says SERVFAIL", 0.020, 0.0)
        self.upstreams.answered(self.one, 0.001)
        for _ in range(MOST_DENIALS - 1):
            self.upstreams.denied(self.one, "it says SERVFAIL", 0.020, 0.0)
        self.assertEqual((self.first(), self.elsewhere.told), (self.one, []))
        self.upstreams.denied(self.one, "it says SERVFAIL", 0.020, 0.0)
        self.assertEqual((self.first(), self.elsewhere.told), (self.two, [(ONE, "it says SERVFAIL")]))
        self.assertEqual(self.one.refused, 2 * MOST_DENIALS - 1)

    def test_those_that_stay_are_known_still(self) -> None:
        """After a change of the configuration."""
        self.upstreams.answered(self.two, 0.010)
        self.upstreams.configure((TWO,))
        self.assertEqual(self.upstreams.all, (self.two,))

    def test_what_those_have_counted_that_go_stays(self) -> None:
        """All together, also when one of them comes back, which begins anew."""
        self.upstreams.answered(self.one, 0.010)
        self.upstreams.failed(self.one, "no answer", 0.0)
        self.upstreams.denied(self.one, "it says REFUSED", 0.010, 0.0)
        for resolvers in ((TWO,), (ONE, TWO), ()):
            self.upstreams.configure(resolvers)
            self.assertEqual(self.upstreams.dropped, {"answers": 1, "failures": 1, "refused": 1})
