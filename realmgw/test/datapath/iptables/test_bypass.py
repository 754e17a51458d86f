"""Tests for `realmgw.datapath.iptables.bypass`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from realmgw.datapath.iptables.bypass import LASTING, Bypass
from realmgw.datapath.netlink.counters import Count, QueueFigures


class BypassTests(SynchronousTestCase):
    """`Bypass` says whether first packets get to the queue."""

    def setUp(self) -> None:
        """Ten packets were presented and queued."""
        self.bypass = Bypass()
        self.look(10, 0, 10)

    def look(self, presented: int, undecided: int, last: int | None, *, is_new: bool = False) -> bool:
        """What is found out by these figures."""
        counts = {"presented": Count(presented, 0), "not_admitted": Count(undecided, 0)}
        queue = None if last is None else QueueFigures(owner=1, waiting=0, full=0, unsent=0, last=last)
        return self.bypass.look(counts, queue, is_new=is_new)

    def test_packets_that_nobody_numbered_went_past(self) -> None:
        """Until one comes into the queue again, or rules may be others; what came before that counts no more."""
        for mend in (lambda: self.look(14, 3, 11), lambda: self.look(14, 4, 10, is_new=True)):
            self.setUp()
            self.assertTrue(self.look(13, 3, 10))
            self.assertTrue(self.look(13, 3, 10))
            self.assertFalse(mend())

    def test_is_not_taken_to_be_so_for_ever(self) -> None:
        """While nothing is lent, hardly a packet comes that could show that it is over."""
        self.look(13, 3, 10)
        found = [self.look(13, 3, 10) for _ in range(LASTING)]
        self.assertEqual((found[-2:], self.look(14, 4, 10)), ([True, False], True))

    def test_what_has_another_reason_is_none(self) -> None:
        """A full queue, nobody at it, somebody new at it, a packet on its way, a table that was placed anew."""
        for figures in ((20, 0, 10), (20, 10, None), (20, 10, 3), (20, 0, 20), (10, 0, 10), (0, 0, 10)):
            self.setUp()
            self.assertFalse(self.look(*figures), figures)
        self.setUp()
        self.look(20, 10, None)
        self.assertFalse(self.look(30, 20, 0))  # it was bound within that time
