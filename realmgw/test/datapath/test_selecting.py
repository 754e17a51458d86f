"""Tests for `realmgw.datapath.selecting`."""

from __future__ import annotations

from functools import partial

from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.steps import finish
from realmgw.datapath import selecting
from realmgw.datapath.netlink import codec
from realmgw.errors import RealmGatewayError
from realmgw.test.datapath.answers import AnsweringChannel, done, refusal
from realmgw.test.datapath.netlink.test_flows import CLIENT, HOST, POOL, entry
from realmgw.test.datapath.netlink.test_tracked import entry6

OTHER = b"\xc0\xa8\0\2"


class SelectingTests(SynchronousTestCase):
    """Flows out of all that conntrack has."""

    def channel(self, *reads: bytes) -> AnsweringChannel:
        """Conntrack; at the end of each test it is to be closed."""
        made = AnsweringChannel(*reads)
        self.addCleanup(lambda: self.assertTrue(made.is_closed))
        return made

    def test_keeps_some_and_counts_the_others(self) -> None:
        """Of both families; what nobody wants is neither."""
        channel = self.channel(entry(1, HOST) * 3 + entry(1, OTHER), done(1), entry6(2), done(2))
        steps = selecting.listed(lambda flow: flow[3] != OTHER, 2, lambda **_: channel)
        found = finish(steps)
        self.assertEqual([flow.reply.source for flow in found.kept], [HOST, HOST])
        self.assertEqual((found.total, found.seen), (4, 5))

    def test_lets_others_have_their_turn(self) -> None:
        """However few are wanted."""
        reads = [entry(1, OTHER) * 100 for _ in range(10)]
        channel = self.channel(*reads, done(1), done(2))
        steps = selecting.listed(lambda _: False, 1000, lambda **_: channel)
        self.assertEqual(len(list(steps)), 1000 // selecting.TURN)

    def test_ends_those_that_are_wanted_and_no_others(self) -> None:
        """One had ended meanwhile."""
        listing = entry(1, HOST) + entry(1, OTHER) + entry(1, HOST, b"\0\0\0\x08")
        channel = self.channel(listing, done(1), done(2), refusal(3, 0), refusal(4, codec.ENOENT))
        found = finish(selecting.ended(lambda flow: flow[1:] == (CLIENT, POOL, HOST), lambda **_: channel))
        self.assertEqual((found.kept, found.total, found.seen), ([True, False], 2, 3))
        self.assertEqual(len(channel.sent), 4)

    def test_a_refusal_is_told(self) -> None:
        """In the listing, or at the end of a flow; the socket is given back."""
        for reads in ([refusal(1, 1)], [entry(1, HOST), done(1), done(2), refusal(3, 1)], []):
            steps = selecting.ended(lambda _: True, partial(self._open, self.channel(*reads)))
            self.assertRaises(RealmGatewayError, finish, steps)

    def _open(self, channel: AnsweringChannel, **_: float) -> AnsweringChannel:
        return channel
