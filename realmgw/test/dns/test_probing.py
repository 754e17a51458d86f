"""Tests for `realmgw.dns.probing`: the server's own answers, at real sockets of the loopback interface."""

from __future__ import annotations

import os
from ipaddress import IPv4Address

import attrs
import dns.message
from twisted.internet import reactor
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config import settings
from realmgw.dns.counts import Count
from realmgw.dns.probing import QueryProbe, is_answer, question
from realmgw.dns.service import DnsService
from realmgw.test.dns.test_service import LOOPBACK, PATIENCE, ServiceTestCase, free_ports

SHORT = 1.0  # seconds
"""So long is waited where nothing comes."""


class QuestionTests(SynchronousTestCase):
    """What is asked."""

    def test_is_a_query_as_others_send_them(self) -> None:
        """With an option that nobody has."""
        asked = dns.message.from_wire(question("example.org.", b"\x12\x34abcdefgh"))
        self.assertEqual((asked.id, str(asked.question[0])), (0x1234, "example.org. IN SOA"))
        self.assertEqual([(int(each.otype), each.to_wire()) for each in asked.options], [(65001, b"abcdefgh")])

    def test_only_its_answer_is_one(self) -> None:
        """Not that of another question, an error, or something without a record."""
        asked = question("example.org.", b"\x12\x34abcdefgh")
        said = bytearray(asked)
        said[2], said[7] = 0x84, 1
        self.assertTrue(is_answer(bytes(said), asked))
        for place, octet in ((0, 0), (2, 0), (3, 5), (7, 0)):
            other = bytearray(said)
            other[place] = octet
            self.assertFalse(is_answer(bytes(other), asked), place)
        self.assertFalse(is_answer(asked[:5], asked))


class QueryProbeTests(ServiceTestCase):
    """A server that runs."""

    def probe(self, service: DnsService, zone: str = "example.org.") -> QueryProbe:
        """Asks both views."""
        return QueryProbe((service.wan, service.lan), lambda: zone, reactor, os.urandom)

    async def test_is_answered_at_each_address_and_nothing_is_counted(self) -> None:
        """By the WAN's view and the LAN's; the server knows of nobody afterwards."""
        service = self.start()
        before = service.counts()
        self.assertEqual(await self.probe(service).look(PATIENCE), [])
        self.assertEqual(service.counts(), before)
        self.assertEqual((service.wan.probed, service.lan.probed), (set(), set()))

    async def test_says_where_nothing_is_answered(self) -> None:
        """Nobody is there, or it is no answer; others' queries are as good a sign."""
        service = self.start()
        [port] = free_ports(1)
        listen = (settings.Endpoint(LOOPBACK, port), *service.wan.limits.listen)
        service.wan.limits = attrs.evolve(service.wan.limits, listen=listen)
        wrong = await self.probe(service).look(SHORT)
        self.assertEqual(wrong, [f"DNS at 127.0.0.1 port {port} is not answered"])
        self.assertEqual(len(await self.probe(service, "example.com.").look(SHORT)), 4)
        looking = self.probe(service).look(SHORT)
        service.wan.events[Count.NODATA] += 1
        self.assertEqual(await looking, [])

    async def test_says_where_it_can_not_ask(self) -> None:
        """The address is gone."""
        service = self.start()
        gone = settings.Endpoint(IPv4Address("192.0.2.9"), 53)
        service.wan.limits = attrs.evolve(service.wan.limits, listen=(gone,))
        [wrong] = await self.probe(service).look(PATIENCE)
        self.assertIn("DNS at 192.0.2.9 port 53 can not be asked: ", wrong)
