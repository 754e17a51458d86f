"""The end of flows, by a kernel that says what it was told to."""

from __future__ import annotations

import errno

from twisted.trial.unittest import SynchronousTestCase

from realmgw.datapath.ending import AT_ONCE, end_all
from realmgw.datapath.netlink import codec, flows
from realmgw.datapath.netlink.codec import RefusedError
from realmgw.test.datapath.answers import AnsweringChannel


class EndTests(SynchronousTestCase):
    """Flows that are ended many at once."""

    def test_one_that_is_refused_keeps_no_other(self) -> None:
        """As the kernel's flowtable has some: it is told when all others were ended, and what has gone is no fault."""
        found = [flows.Entry(flows.AF_INET, b"", frozenset(), b"", True, 0)] * (3 * AT_ONCE)
        told = [[errno.EBUSY] + [0] * (AT_ONCE - 1), [0] * AT_ONCE, [errno.ENOENT] * AT_ONCE]
        self.patch(flows, "listed", lambda *_: found)
        self.patch(flows, "deletion", lambda *_: b"")
        self.patch(codec, "acknowledged", lambda *_: told.pop(0))
        channels, pattern = (AnsweringChannel(), AnsweringChannel()), flows.sources([bytes(4)])
        error = self.assertRaises(RefusedError, end_all, *channels, pattern, {flows.AF_INET}, bool)
        self.assertEqual((told, error.number), ([], errno.EBUSY))
