"""What conntrack tells of connections that are established, as octets."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from realmgw.datapath.netlink import assured
from realmgw.test.datapath.netlink.test_destroyed import (
    ASSURED,
    ENDED,
    POOL,
    SOURCE,
    TCP,
    TRANSLATED,
    UDP,
    delivers,
    told,
)


class AssuredTests(SynchronousTestCase):
    """The filter, and `parse`."""

    def test_lets_through_and_reads_connections_of_tcp(self) -> None:
        """Once they are established, if they were translated to a host."""
        self.assertTrue(delivers(assured.PROGRAM, told(TCP)))
        self.assertEqual(assured.parse(told(TCP)), (SOURCE, POOL, TCP, 5000, 2000))

    def test_wakes_nobody_up_for_the_rest(self) -> None:
        """Handshakes that are not completed, connections to the machine itself, UDP, IPv6; nor are they read."""
        rest = [
            told(TCP, status=ENDED & ~ASSURED),
            told(TCP, status=ENDED & ~TRANSLATED),
            told(UDP),
            told(TCP, family=10),
        ]
        self.assertEqual([delivers(assured.PROGRAM, each) for each in rest], [False] * 4)
        self.assertEqual([assured.parse(each) for each in [*rest, b""]], [None] * 5)
