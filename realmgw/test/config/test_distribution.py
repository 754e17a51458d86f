"""Tests for `realmgw.config.distribution`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.distribution import Distribution


class DistributionTests(SynchronousTestCase):
    """How many values lie up to each bound."""

    def test_a_value_at_a_bound_counts_there(self) -> None:
        """As Prometheus has it: `le` is "less or equal"; what is above the last bound counts besides."""
        found = Distribution((0.1, 0.5))
        for value in (0.0, 0.1, 0.10001, 0.5, 0.6, 9.0):
            found.add(value)
        self.assertEqual(found.counts(), {"bounds": [0.1, 0.5], "counts": [2, 2, 2], "sum": 10.30001})

    def test_several_have_their_parts_of_a_value(self) -> None:
        """As if each had been counted by itself."""
        found, each = Distribution((0.1, 0.5)), Distribution((0.1, 0.5))
        found.share(1.0, 4)
        for _ in range(4):
            each.add(0.25)
        self.assertEqual(found.counts(), each.counts())
        self.assertEqual(found, each)

    def test_distributions_are_added_up(self) -> None:
        """Bound by bound; what was added stays as it was."""
        found, other = Distribution((0.1, 0.5)), Distribution((0.1, 0.5))
        found.add(0.1)
        other.share(1.5, 2)
        found.absorb(other)
        self.assertEqual(found.counts(), {"bounds": [0.1, 0.5], "counts": [1, 0, 2], "sum": 1.6})
        self.assertEqual(other.counts()["counts"], [0, 0, 2])

    def test_the_latest_of_each_bucket_is_its_example(self) -> None:
        """Counted as any other; whoever has none tells of none."""
        found, other = Distribution((0.1, 0.5)), Distribution((0.1, 0.5))
        for value in (0.2, 0.3, 9.0):
            found.come(value, int(100 * value), value + 1.0)
            other.add(value)
        self.assertEqual(found, other)
        exemplars = [None, (0.3, "1e", 1.3), (9.0, "384", 10.0)]
        self.assertEqual(found.counts(), {**other.counts(), "exemplars": exemplars})

    def test_what_is_told_stays_as_it_was(self) -> None:
        """Later values do not change it."""
        found = Distribution((1.0,))
        told = found.counts()
        found.add(0.5)
        self.assertEqual(told["counts"], [0, 0])
