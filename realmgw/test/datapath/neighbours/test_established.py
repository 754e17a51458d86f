"""Tests for `realmgw.datapath.neighbours.established`; the kernel's own listing is read in the kernel's tests."""

from __future__ import annotations

import struct
from ipaddress import IPv4Network, IPv6Address, IPv6Network

from twisted.trial.unittest import SynchronousTestCase

from realmgw.datapath.neighbours import established
from realmgw.datapath.netlink import codec
from realmgw.test.datapath.answers import AnsweringChannel, done
from realmgw.test.datapath.neighbours.solicitations import TARGET

CLIENT, HOST = IPv6Address("3fff::1").packed, IPv6Address("fd00::1").packed
ON_LINK = IPv6Network("2001:db8:0:1:5::/80")


def flow(destination: bytes, source: bytes = CLIENT, answers_from: bytes = HOST, sequence: int = 1) -> bytes:
    """A flow as the kernel lists it, by its addresses only."""
    kinds = (1, 2) if len(destination) == 4 else (3, 4)

    def addresses(*of: bytes) -> bytes:
        return codec.nested(1, *(codec.attribute(kind, each) for kind, each in zip(kinds, of, strict=True)))

    body = codec.nested(1, addresses(source, destination)) + codec.nested(2, addresses(answers_from, source))
    return codec.message(1 << 8, 0, sequence, struct.pack("!BBH", 10, 0, 0) + body)


class EstablishedTests(SynchronousTestCase):
    """Which addresses flows were sent to."""

    def test_destinations_within_the_prefixes_are_found(self) -> None:
        """Once each; not those that are a host's peer, nor others."""
        outwards = flow(CLIENT, HOST, CLIENT)
        there = flow(TARGET) + flow(TARGET) + flow(IPv6Address("2001:db8:0:1:6::9").packed)
        back = flow(CLIENT, TARGET, CLIENT)
        channel = AnsweringChannel(there + outwards + back, done(1))
        self.assertEqual(established.found(channel, [ON_LINK]), {TARGET})

    def test_both_families_are_asked_for(self) -> None:
        """Each once, whatever the number of prefixes."""
        old = bytes((192, 0, 2, 130))
        reads = [flow(old, bytes(4), bytes(4), each) + flow(TARGET, sequence=each) + done(each) for each in (1, 2)]
        channel = AnsweringChannel(*reads)
        self.assertEqual(established.found(channel, [ON_LINK, IPv4Network("192.0.2.128/30")]), {TARGET, old})
        self.assertEqual({each[16] for each in channel.sent}, {2, 10})

    def test_so_many_are_kept_and_no_more(self) -> None:
        """The rest is asked for anew by its senders."""
        many = b"".join(flow(TARGET[:-1] + bytes((number,))) for number in range(5))
        channel = AnsweringChannel(many, done(1))
        self.assertEqual(len(established.found(channel, [ON_LINK], 2)), 2)

    def test_without_prefixes_nobody_is_asked(self) -> None:
        """There is nothing to be found."""
        self.assertEqual(established.established((), bool), frozenset())
