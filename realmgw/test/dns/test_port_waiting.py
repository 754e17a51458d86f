"""Queries by TCP that wait: each is answered, whoever asks the same, and nothing of it stays; by the real allocator."""

from __future__ import annotations

from ipaddress import IPv4Network

import dns.rcode

from realmgw.allocation.allocator import Allocator
from realmgw.config import settings
from realmgw.dns.counts import Count
from realmgw.dns.lending import AGAIN
from realmgw.dns.port import DnsStream
from realmgw.dns.server import ViewServer
from realmgw.errors import Reason
from realmgw.test.dns.allocator import MemoryAllocator
from realmgw.test.dns.gateway import WanTestCase
from realmgw.test.dns.transports import LIMITS, MemoryConnection, connect, end, framed, query

TWO = "two.example.org."


class WaitingTests(WanTestCase):
    """With one address, where somebody else is expected."""

    def setUp(self) -> None:
        """Challenges are made by aliases, which have an address when their client can come."""
        super().setUp()
        self.allocator = Allocator(settings.Allocation(), [IPv4Network("192.0.2.1")], now=self.clock.seconds())
        self.start("cname", allocator=self.allocator)
        self.server = ViewServer(self.wan, LIMITS, self.clock, self.clock.seconds)
        self.asked = self.alias()
        self.assertEqual(self.said(self.alias(name=TWO)), "A")

    def connected(self, host: str = "198.51.100.53") -> tuple[DnsStream, MemoryConnection]:
        """A client's connection."""
        made = connect(self.server, host)
        assert made is not None
        return made

    def is_over(self, *streams: DnsStream) -> None:
        """They are closed as soon as their clients have sent all, and are forgotten."""
        for stream in streams:
            self.assertEqual(stream.outstanding, 0)
            stream.readConnectionLost()
            self.assertTrue(stream.transport.disconnecting)
            end(stream)
        self.assertEqual((len(self.server.streams), self.allocator.waiting), (0, 0))

    def come(self) -> None:
        """The other one's client comes, and his address is had by who waits."""
        self.clock.advance(0.1)
        now = self.clock.seconds()
        self.assertGreater(
            self.allocator.admit((bytes(4), IPv4Network("192.0.2.1")[0].packed, 6, 1234, 80), now=now), 0
        )
        self.clock.advance(0.6)
        self.allocator.expire(now=self.clock.seconds())

    def test_an_alias_that_is_asked_for_twice_is_told_twice(self) -> None:
        """By one connection, or by two: it is one client's, and each query has its answer (RFC 7766 section 6.2.1)."""
        stream, connection = self.connected()
        other, second = self.connected()
        stream.dataReceived(framed(query(self.asked, id=1), query(self.asked, id=2)))
        other.dataReceived(framed(query(self.asked, id=3)))
        self.assertEqual((stream.outstanding, other.outstanding, self.allocator.waiting), (2, 1, 1))
        pending = self.allocator.counters.pending
        self.come()
        told = [(each.id, len(each.answer)) for one in (connection, second) for each in one.answers()]
        self.assertEqual(told, [(1, 1), (2, 1), (3, 1)])
        self.assertEqual(self.allocator.counters.pending, pending)
        self.is_over(stream, other)

    def test_who_hangs_up_is_told_so_and_others_wait(self) -> None:
        """Whether he was first or last; with the last one nobody waits any more."""
        streams = [self.connected() for _ in range(3)]
        for number, (stream, _) in enumerate(streams):
            stream.dataReceived(framed(query(self.asked, id=number)))
        for left in (0, 2):
            streams[left][0].readConnectionLost()
            [answer] = streams[left][1].answers()
            self.assertEqual((answer.id, answer.rcode()), (left, dns.rcode.SERVFAIL))
            self.assertEqual(self.allocator.waiting, 1)
        self.come()
        [answer] = streams[1][1].answers()
        self.assertEqual(len(answer.answer), 1)
        self.is_over(*(stream for stream, _ in streams))

    def test_when_the_last_one_hangs_up_it_waits_no_more(self) -> None:
        """Its address would be kept for nobody."""
        streams = [self.connected()[0] for _ in range(2)]
        for number, stream in enumerate(streams):
            stream.dataReceived(framed(query(self.asked, id=number)))
        for stream in streams:
            stream.readConnectionLost()
        self.is_over(*streams)
        self.assertEqual(self.allocator.counters.refused[Reason.GONE], 2)

    def test_a_datagram_does_not_take_the_answer_away(self) -> None:
        """The same alias by UDP, from anywhere."""
        stream, connection = self.connected()
        stream.dataReceived(framed(query(self.asked, id=1)))
        self.assertIsNone(self.ask(self.asked, id=9))
        self.assertEqual(self.allocator.waiting, 1)
        self.come()
        self.assertEqual(([each.id for each in connection.answers()], len(self.outcomes)), ([1], 1))
        self.is_over(stream)


class RefusedTests(WanTestCase):
    """What the policy refuses by TCP is looked at again after a moment."""

    def setUp(self) -> None:
        """It refuses everybody, until it is told otherwise."""
        super().setUp()
        self.fake = MemoryAllocator()
        self.start(allocator=self.fake)
        self.fake.refusal = Reason.POLICY
        self.server = ViewServer(self.wan, LIMITS, self.clock, self.clock.seconds)
        self.stream, self.connection = self.connected()

    def connected(self) -> tuple[DnsStream, MemoryConnection]:
        """A client's connection."""
        made = connect(self.server)
        assert made is not None
        return made

    def test_nothing_is_lent_to_who_is_gone_by_then(self) -> None:
        """Whether he has closed his side, or all of it."""
        other, _ = self.connected()
        for number, stream in enumerate((self.stream, other)):
            stream.dataReceived(framed(query(id=number)))
        self.stream.readConnectionLost()
        end(other)
        self.fake.refusal = None
        self.clock.advance(AGAIN)
        self.assertEqual((len(self.fake.asked), self.wan.counts.refused[Reason.GONE]), (2, 2))
        self.assertEqual((self.stream.outstanding, other.outstanding), (0, 0))
        self.assertEqual([each.rcode() for each in self.connection.answers()], [dns.rcode.SERVFAIL])

    def test_who_is_gone_after_that_waits_no_more_either(self) -> None:
        """The connection was reset while it was about to wait for an address."""
        self.stream.dataReceived(framed(query(id=1)))
        self.fake.refusal = Reason.EXHAUSTED
        self.clock.advance(AGAIN)
        self.assertEqual(len(self.fake.held), 1)
        end(self.stream)
        self.assertEqual((self.fake.held, self.stream.outstanding), ({}, 0))

    def test_what_is_sent_again_meanwhile_is_told_the_same(self) -> None:
        """However often, and whether it waits for an address then or not."""
        for later in (None, Reason.EXHAUSTED):
            stream, connection = self.connected()
            self.fake.refusal = Reason.POLICY
            for _ in range(3):
                stream.dataReceived(framed(query(id=1)))
                self.clock.advance(AGAIN / 4)
            asked = len(self.fake.asked)
            self.fake.refusal = later
            self.clock.advance(AGAIN)
            stream.dataReceived(framed(query(id=1)))
            if self.fake.held:
                self.fake.finish(self.fake.address)
            self.assertEqual(([each.id for each in connection.answers()], stream.outstanding), ([1] * 4, 0))
            self.assertEqual(len(self.fake.asked), asked + 1 + (later is None))
        self.assertEqual(self.events[Count.REPEATED], 5)
