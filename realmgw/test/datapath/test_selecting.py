"""Tests for `realmgw.datapath.selecting`."""

from __future__ import annotations

import contextlib
from functools import partial

from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.steps import Blocking, advanced, finish, now
from realmgw.datapath import selecting
from realmgw.datapath.netlink import codec
from realmgw.errors import RealmGatewayError
from realmgw.test.datapath.answers import AnsweringChannel, done, refusal
from realmgw.test.datapath.netlink.test_flows import CLIENT, HOST, POOL, entry
from realmgw.test.datapath.netlink.test_tracked import entry6

OTHER = b"\xc0\xa8\0\2"


class SelectingTests(SynchronousTestCase):
    """Flows out of all that conntrack has."""

    def channel(self, *reads: bytes | OSError) -> AnsweringChannel:
        """Conntrack; at the end of each test it is to be closed."""
        made = AnsweringChannel(*reads)
        self.addCleanup(lambda: self.assertTrue(made.is_closed))
        return made

    def test_keeps_some_and_counts_the_others(self) -> None:
        """Of both families; what nobody wants is neither."""
        channel = self.channel(entry(1, HOST) * 3 + entry(1, OTHER), entry6(1), done(1))
        steps = selecting.listed(lambda flow: flow[3] != OTHER, 2, lambda **_: channel)
        found = finish(steps)
        self.assertEqual([flow.reply.source for flow in found.kept], [HOST, HOST])
        self.assertEqual((found.total, found.seen), (4, 5))

    def test_lets_others_have_their_turn(self) -> None:
        """However few are wanted."""
        reads = [entry(1, OTHER) * 100 for _ in range(10)]
        channel = self.channel(*reads, done(1))
        steps = selecting.listed(lambda _: False, 1000, lambda **_: channel)
        turns, waits, step = 0, 0, next(steps)
        with contextlib.suppress(StopIteration):
            while True:
                turns, waits = turns + (step is None), waits + (step is not None)
                step = advanced(steps, step, now)
        self.assertEqual(turns, 1000 // selecting.TURN)
        self.assertEqual(waits, 1 + len(reads) + 1)  # the question, the portions, and their end

    def test_waits_for_the_kernel_elsewhere(self) -> None:
        """Nothing is read or sent by whoever takes the steps; who gives up waiting is told."""
        channel = self.channel(done(1))
        steps = selecting.listed(lambda _: True, 1, lambda **_: channel)
        self.assertIsInstance(next(steps), Blocking)
        self.assertEqual((channel.sent, len(channel.reads)), ([], 1))
        self.assertRaises(RealmGatewayError, steps.throw, OSError("late"))

    def test_ends_those_that_are_wanted_and_no_others(self) -> None:
        """One had ended meanwhile."""
        listing = entry(1, HOST) + entry(1, OTHER) + entry(1, HOST, b"\0\0\0\x08")
        channel = self.channel(listing + done(1), BlockingIOError(), refusal(2, 0), refusal(3, codec.ENOENT))
        found = finish(selecting.ended(lambda flow: flow[1:4] == (CLIENT, POOL, HOST), lambda **_: channel))
        self.assertEqual((found.kept, found.total, found.seen), ([True, False], 2, 3))
        self.assertEqual(len(channel.sent), 3)

    def test_a_refusal_is_told(self) -> None:
        """In the listing, or at the end of a flow; the socket is given back."""
        for reads in (
            [refusal(1, 1)],
            [entry(1, HOST) + done(1), BlockingIOError(), refusal(2, 1)],
            [entry(1, HOST), OSError(105, "lost")],
            [],
        ):
            steps = selecting.ended(lambda _: True, partial(self._open, self.channel(*reads)))
            self.assertRaises(RealmGatewayError, finish, steps)

    def _open(self, channel: AnsweringChannel, **_: float) -> AnsweringChannel:
        return channel
