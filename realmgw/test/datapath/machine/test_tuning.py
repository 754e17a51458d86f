"""Tests for `realmgw.datapath.machine.tuning`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from realmgw.datapath.machine import sysctls, tuning
from realmgw.test.checkout import CHECKOUT, NO_CHECKOUT


class DropInTests(SynchronousTestCase):
    """What is recommended, and the files that set it."""

    skip = NO_CHECKOUT

    def test_says_what_the_doctor_compares(self) -> None:
        """Line by line."""
        text = (CHECKOUT / tuning.DROP_IN).read_text()
        lines = (f"# {each.why}\n{sysctls.dotted(each.key)} = {each.text}\n" for each in tuning.TUNED)
        self.assertEqual(text.partition("\n\n")[2], "".join(lines))

    def test_limits_are_those_that_are_recommended(self) -> None:
        """For both kinds of limit."""
        lines = (CHECKOUT / "conf/limits.d/realmgw.conf").read_text().splitlines()
        wanted = [f"root  {kind}  nofile  {tuning.FILES}" for kind in ("hard", "soft")]
        self.assertEqual([line for line in lines if not line.startswith("#")], wanted)

    def test_is_not_less_than_what_is_warned_of(self) -> None:
        """Else the doctor's own command would not do."""
        values = {each.key: each.wanted[0] for each in tuning.TUNED}
        from_conntrack = values[sysctls.MAXIMUM] <= sysctls.ENTRIES_PER_BUCKET * values[sysctls.BUCKETS]
        self.assertTrue(from_conntrack)
        self.assertGreaterEqual(values[sysctls.MAXIMUM], sysctls.RECOMMENDED_FLOWS)
