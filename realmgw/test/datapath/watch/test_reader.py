"""Tests of what is read of the ruleset, and whose a transaction was."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from realmgw.datapath.netlink import codec
from realmgw.datapath.watch.reader import RulesetReader
from realmgw.test.datapath.answers import AnsweringChannel
from realmgw.test.datapath.netlink.test_events import NEWGEN, end


def generation(sequence: int, number: int) -> bytes:
    """The answer to the question for it."""
    return codec.netfilter(NEWGEN, 0, sequence, 0, codec.attribute(1, number.to_bytes(4, "big")))


class OwnPortsTests(SynchronousTestCase):
    """`RulesetReader.ports_of`."""

    def ports(self, *heard: bytes) -> frozenset[int]:
        """Of the transaction that made the eighth generation, where this is told."""
        asking = AnsweringChannel(generation(1, 7), generation(2, 8))
        reader = RulesetReader(lambda groups=(): AnsweringChannel(*heard) if groups else asking)
        return reader.ports_of(lambda: None)

    def test_are_those_of_our_own_transaction(self) -> None:
        """Whatever else was told in the same read."""
        self.assertEqual(self.ports(end(8, port=99)), {99})

    def test_are_nobody_elses(self) -> None:
        """Somebody's who came between the socket and the question: nothing would be heard of him any more."""
        self.assertEqual(self.ports(end(7, port=66), end(8, port=99)), {99})
        self.assertEqual(self.ports(end(7, port=66) + end(8, port=99)), {99})
