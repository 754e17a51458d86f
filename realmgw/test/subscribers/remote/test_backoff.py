"""Tests for `realmgw.subscribers.remote.backoff`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.subscribers.remote.backoff import Backoff


class BackoffTests(SynchronousTestCase):
    """Delays."""

    def test_delays_double_up_to_the_bound(self) -> None:
        """And begin anew after a success."""
        backoff = Backoff(10.0, lambda: 1.0)
        self.assertEqual([backoff.failed() for _ in range(6)], [1.0, 2.0, 4.0, 8.0, 10.0, 10.0])
        backoff.succeeded()
        self.assertEqual(backoff.failed(), 1.0)

    @given(st.floats(0.0, 1.0, exclude_max=True), st.floats(0.1, 100.0), st.integers(1, 200))
    def test_delays_are_never_nothing_and_never_beyond_the_bound(self, chance: float, most: float, times: int) -> None:
        """Whatever chance says."""
        backoff = Backoff(most, lambda: chance)
        for _ in range(times):
            self.assertTrue(min(1.0, most) / 2 <= backoff.failed() <= most)
