"""The layout of the mark."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.datapath import marks


class AdmittedTests(SynchronousTestCase):
    """`admitted`: the mark of a host."""

    @given(st.integers(1, marks.HOST_MASK))
    def test_step_and_host_are_read_back(self, index: int) -> None:
        """Both fit beside each other, and no bit is reserved for another use."""
        mark = marks.admitted(index)
        self.assertEqual((mark & marks.STEP_MASK, mark & ~marks.STEP_MASK), (marks.ADMITTED, index))

    @given(st.one_of(st.integers(max_value=0), st.integers(min_value=marks.HOST_MASK + 1)))
    def test_index_that_does_not_fit_is_refused(self, index: int) -> None:
        """It would select another host, or none."""
        with self.assertRaises(ValueError):
            marks.admitted(index)

    def test_steps_differ_within_their_bits(self) -> None:
        """No step contains another: a bit that is set twice does not make one out of the other."""
        steps = (marks.QUEUED, marks.ADMITTED, marks.REJECTED)
        self.assertEqual(sum(steps), steps[0] | steps[1] | steps[2])
        self.assertEqual(sum(steps) & marks.STEP_MASK, sum(steps))
