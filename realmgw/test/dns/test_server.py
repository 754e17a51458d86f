"""A server of a view: its connections, and the allocator behind it."""

from __future__ import annotations

import socket
from ipaddress import IPv4Network
from typing import Any, cast

import dns.flags
import dns.message
import dns.opcode
import dns.rcode
from twisted.internet.error import ConnectionAborted
from twisted.internet.interfaces import IUDPTransport

from realmgw.allocation.allocator import Allocator
from realmgw.config import settings
from realmgw.config.distribution import EACH, SPENT_BOUNDS
from realmgw.dns import server
from realmgw.dns.counts import Count
from realmgw.dns.port import DnsDatagrams
from realmgw.dns.view import nothing_usual
from realmgw.errors import Reason
from realmgw.test.dns import realm, transports
from realmgw.test.dns.transports import MemoryDatagramPort, ServerTestCase, datagrams, end, framed, query

CLIENT = bytes((198, 51, 100, 9))


class AllocatorTests(ServerTestCase):
    """With the real allocator, and one address for two hosts."""

    def setUp(self) -> None:
        """Somebody is expected at the only address already."""
        super().setUp()
        self.pool = Allocator(settings.Allocation(linger=0.0), [IPv4Network("192.0.2.1/32")], now=0.0)
        self.server = self.make_server(realm.wan(self.pool))
        self.events = self.server.view.counts.events
        self.protocol, self.port = transports.datagrams(self.server, self.clock)
        self.protocol.datagramReceived(query(id=1), realm.RESOLVER)

    def ids(self) -> list[int]:
        """The IDs of the answers by UDP."""
        return [answer.id for answer in self.port.answers()]

    def test_gives_a_retransmission_the_same_answer(self) -> None:
        """From the same port with the same ID: one claim for both."""
        self.protocol.datagramReceived(query(id=1), realm.RESOLVER)
        self.assertEqual(self.ids(), [1, 1])
        self.assertEqual(self.pool.counters.retransmitted, 1)

    def test_answers_a_waiting_query_when_the_first_client_has_come(self) -> None:
        """Its first packet makes the address free for the other host; a retransmission meanwhile changes nothing."""
        for _ in range(2):
            self.protocol.datagramReceived(query("two.example.org.", id=2), realm.RESOLVER)
        self.assertEqual(self.ids(), [1])
        self.assertGreater(self.pool.admit((CLIENT, realm.POOL_ADDRESS.packed, 6, 4000, 80), now=0.2), 0)
        self.pool.expire(now=0.6)
        self.assertEqual(self.ids(), [1, 2])

    def test_answers_by_tcp_that_nothing_came_free(self) -> None:
        """After the time that a query may wait."""
        stream, connection = self.connect()
        stream.dataReceived(framed(query("two.example.org.", id=2, use_edns=0)))
        self.pool.expire(now=0.45)
        self.pool.dismiss(Reason.STOPPING)
        (answer,) = connection.answers()
        self.assertEqual((answer.rcode(), answer.options[0].code), (dns.rcode.SERVFAIL, 14))


class CountTests(ServerTestCase):
    """What is told of queries, besides what is said to them."""

    def setUp(self) -> None:
        """The clock goes on by 0.3 ms whenever it is looked at."""
        super().setUp()

        def monotonic() -> float:
            self.clock.advance(0.0003)
            return self.clock.seconds()

        self.server.monotonic = monotonic

    def counts(self, *names: str) -> list[Any]:
        """Some of it."""
        counts: dict[str, Any] = self.server.counts()
        return [counts[name] for name in names]

    def test_by_how_they_came(self) -> None:
        """Transport and family, whether or not they are queries; of TCP only what is one."""
        datagrams(self.server, self.clock)[0].datagramReceived(query(), realm.RESOLVER)
        protocol, port = DnsDatagrams(self.server, self.clock), MemoryDatagramPort()
        port.family = socket.AF_INET6
        protocol.makeConnection(cast(IUDPTransport, port))
        for message in (query(kind="TXT"), b"", query() + b"!"):
            protocol.datagramReceived(message, ("2001:db8::53", 53, 0, 0))
        self.connect()[0].dataReceived(framed(query(), query(kind="MX")))
        messages, queries = self.counts("messages", "queries")
        self.assertEqual(messages, {"udp": {"ipv4": 1, "ipv6": 3}, "tcp": {"ipv4": 2}})
        self.assertEqual(queries, 5)

    def test_by_the_type_that_they_ask_for(self) -> None:
        """By the fast path and after it; rare ones are counted together, and one that waits when it is answered."""
        stream = self.connect()[0]
        for kind in ("A", "AAAA", "HTTPS", "TYPE64000", "ANY", "CAA"):
            stream.dataReceived(framed(query(kind=kind), query("www.two.example.org.", kind, use_edns=0, payload=512)))
        self.allocator.refusal = Reason.EXHAUSTED
        stream.dataReceived(framed(query()))
        [types] = self.counts("types")
        told = {"A": 2, "AAAA": 2, "HTTPS": 2, "ANY": 2, "other": 4}
        self.assertEqual({name: count for name, count in types.items() if count}, told)
        self.allocator.finish(realm.POOL_ADDRESS.packed)
        [types, queries] = self.counts("types", "queries")
        self.assertEqual((types["A"], sum(types.values())), (3, queries))

    def test_how_long_they_took(self) -> None:
        """Until the answer was given away, also where the kernel does not take it: of a way the first, the ninth."""
        self.server.view.fast = nothing_usual
        self.connect()[0].dataReceived(framed(query(), query()))
        protocol, port = datagrams(self.server, self.clock)
        port.broken = True
        for _ in range(EACH + 1):
            protocol.datagramReceived(query(), realm.RESOLVER)
        [seconds] = self.counts("seconds")
        self.assertEqual((sum(seconds["counts"]), seconds["counts"][SPENT_BOUNDS.index(0.001)]), (3, 3))
        self.assertAlmostEqual(seconds["sum"], 3 * 0.0006)


class ConnectionCapTests(ServerTestCase):
    """How many TCP connections there may be."""

    def test_refuses_a_client_with_too_many(self) -> None:
        """Whose queries all wait. Others are accepted still, and the client again when one of its own is gone."""
        self.allocator.refusal = Reason.EXHAUSTED
        streams = [self.connect("198.51.100.1")[0] for _ in range(3)]
        for stream in streams:
            stream.dataReceived(framed(query()))
        self.assertIsNone(transports.connect(self.server, "198.51.100.1"))
        self.connect("198.51.100.2")
        end(streams[0])
        self.connect("198.51.100.1")
        self.assertEqual(self.events[Count.TCP_REFUSED], 1)

    def test_a_prefix_of_ipv6_is_one_client(self) -> None:
        """One machine may have all of its addresses."""
        self.allocator.refusal = Reason.EXHAUSTED
        for number in range(3):
            self.connect(f"2001:db8::{number}")[0].dataReceived(framed(query()))
        self.assertIsNone(transports.connect(self.server, "2001:db8::9"))
        self.connect("2001:db8:0:1::9")
        self.assertEqual(self.events[Count.TCP_REFUSED], 1)

    def test_closes_a_clients_own_that_was_silent_longest(self) -> None:
        """For one more of it; those of others are not touched."""
        other = self.connect("198.51.100.2")[1]
        held = [self.connect("198.51.100.1") for _ in range(3)]
        held[0][0].dataReceived(framed(query()))
        self.connect("198.51.100.1")
        self.assertEqual([connection.disconnected for _, connection in held], [False, True, False])
        self.assertFalse(other.disconnected)

    def test_makes_room_by_closing_the_one_silent_longest(self) -> None:
        """Who holds connections and says nothing keeps nobody out."""
        held = [self.connect(f"198.51.100.{number}") for number in range(4)]
        held[0][0].dataReceived(framed(query()))
        self.connect("198.51.100.9")
        self.assertEqual([connection.disconnected for _, connection in held], [False, True, False, False])
        self.assertEqual(len(self.server.streams), 4)
        self.assertEqual(self.events[Count.TCP_EVICTED], 1)

    def test_closes_none_whose_query_waits(self) -> None:
        """If that are all, the new one is refused."""
        self.allocator.refusal = Reason.EXHAUSTED
        for number in range(4):
            self.connect(f"198.51.100.{number}")[0].dataReceived(framed(query()))
        self.assertIsNone(transports.connect(self.server, "198.51.100.9"))

    def test_closes_all_when_it_stops(self) -> None:
        """It waits for them, and aborts those that linger."""
        streams = [self.connect(f"198.51.100.{number}") for number in range(2)]
        done = self.server.disconnect()
        self.assertTrue(all(connection.disconnecting for _, connection in streams))
        end(streams[0][0])
        self.assertNoResult(done)
        self.clock.advance(server.STOP_GRACE)
        self.assertTrue(streams[1][1].disconnected)
        end(streams[1][0], ConnectionAborted())
        self.successResultOf(done)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_is_done_at_once_without_connections(self) -> None:
        """There is nothing to wait for."""
        self.successResultOf(self.server.disconnect())
