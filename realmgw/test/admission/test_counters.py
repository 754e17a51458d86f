"""The kernel's table of queues."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from realmgw.admission.counters import QueueStatus, parse_status

TABLE = """\
    1   4242    17 2   128     3     5   123456  1
   12  99999     0 2 65531     0     0        7  1
"""


class ParseStatusTests(SynchronousTestCase):
    """What a line of the table says."""

    def test_finds_the_queue_by_its_number(self) -> None:
        """The columns have no names in the file."""
        self.assertEqual(parse_status(TABLE, 1), QueueStatus(owner=4242, waiting=17, queue_dropped=3, user_dropped=5))
        self.assertEqual(parse_status(TABLE, 12), QueueStatus(99999, 0, 0, 0))

    def test_is_none_for_a_queue_that_nobody_has(self) -> None:
        """Also when nobody has any."""
        self.assertIsNone(parse_status(TABLE, 2))
        self.assertIsNone(parse_status("", 1))

    def test_refuses_another_format(self) -> None:
        """Better no figure than a wrong one."""
        self.assertRaises(ValueError, parse_status, "1 2 3\n", 1)
        self.assertRaises(ValueError, parse_status, "queue owner\n", 1)
