"""Tests for `realmgw.system.privileges`: what this process may do."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from realmgw.system import privileges


class PrivilegesTests(SynchronousTestCase):
    """Capabilities, as bits."""

    def test_effective_ones_are_read_from_the_status(self) -> None:
        """Of the five sets the effective one; our own are there."""
        status = "Name:\tpython\nCapInh:\t0\nCapPrm:\t000001ffffffffff\nCapEff:\t0000000000003000\nCapBnd:\tff\n"
        self.assertEqual(privileges.effective(status), 1 << 12 | 1 << 13)
        self.assertGreaterEqual(privileges.held(), 0)
