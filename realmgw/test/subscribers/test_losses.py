"""Tests for `realmgw.subscribers.losses`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from realmgw.subscribers.losses import FEW, HINT, Loss, doubtful


class DoubtfulTests(SynchronousTestCase):
    """Which losses somebody has to confirm."""

    def doubts(self, *losses: Loss, hosts: int = 100, share: float = 0.2) -> list[str]:
        """The sources that are not believed."""
        found = dict(doubtful(losses, hosts, share, {"there"}))
        self.assertTrue(all(source in line and HINT in line for source, line in found.items()))
        return list(found)

    def test_a_source_that_says_nothing_any_more(self) -> None:
        """Whatever share is allowed, and be it a single host; not one whose hosts are elsewhere now."""
        self.assertEqual(self.doubts(Loss("there/a", 1, 1, 0, is_gone=False), share=1.0), ["there/a"])
        self.assertEqual(self.doubts(Loss("there/a", 9, 0, 0, is_gone=False)), [])

    def test_a_source_that_is_gone_is_meant(self) -> None:
        """Up to the share of all, and if something is left in its folder, or it was alone there."""
        self.assertEqual(self.doubts(Loss("there/a", 20, 20, 0, is_gone=True)), [])
        self.assertEqual(self.doubts(Loss("there/a", 21, 21, 0, is_gone=True)), ["there/a"])
        self.assertEqual(self.doubts(Loss("empty/a", 3, 3, 0, is_gone=True)), [])
        both = Loss("empty/a", 3, 3, 0, is_gone=True), Loss("empty/b", 3, 3, 0, is_gone=True)
        self.assertEqual(self.doubts(*both), ["empty/a", "empty/b"])

    def test_a_few_may_always_go(self) -> None:
        """Of a small gateway as well."""
        self.assertEqual(self.doubts(Loss("there/a", 12, FEW, 2, is_gone=False), hosts=12), [])
        self.assertEqual(self.doubts(Loss("there/a", 13, FEW + 1, 2, is_gone=False), hosts=13), ["there/a"])

    def test_more_than_half_of_a_source(self) -> None:
        """However many hosts there are elsewhere; if any share is allowed, that is as well."""
        cut = Loss("there/a", 30, 16, 14, is_gone=False)
        self.assertEqual(self.doubts(cut, hosts=10_000), ["there/a"])
        self.assertEqual(self.doubts(cut, hosts=10_000, share=1.0), [])
