"""Tests for `realmgw.config.quoting`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.quoting import MAX_PROBLEM, quoting, shortened


class QuotingTests(SynchronousTestCase):
    """Only what may be quoted is."""

    @given(st.text(st.sampled_from("ab'\"\\ \n"), max_size=20), st.text(st.sampled_from("cd'\"\\"), max_size=20))
    def test_nothing_else_is(self, secret: str, other: str) -> None:
        """Whatever quotation marks stand in it; a word's own apostrophe begins no quotation."""
        text = f"the operator's {secret!r} is not {other!r}: write 'plain'"
        told = quoting(text, lambda quoted: quoted == "plain")
        self.assertEqual(told, "the operator's '...' is not '...': write 'plain'")

    def test_long_ones_are_cut(self) -> None:
        """And so is the whole."""
        self.assertEqual(shortened(f"{'x' * 99!r} is wrong"), f"'{'x' * 60}...' is wrong")
        self.assertLessEqual(len(shortened("y" * 999)), MAX_PROBLEM)
