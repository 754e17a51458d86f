"""A server of a view: its connections, and the allocator behind it."""

from __future__ import annotations

from ipaddress import IPv4Network

import dns.flags
import dns.message
import dns.opcode
import dns.rcode
from twisted.internet.error import ConnectionAborted

from realmgw.allocation.allocator import Allocator
from realmgw.config import settings
from realmgw.dns import server
from realmgw.dns.counts import Count
from realmgw.errors import Reason
from realmgw.test.dns import realm, transports
from realmgw.test.dns.transports import ServerTestCase, end, framed, query

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
        self.assertGreater(self.pool.admit(CLIENT, realm.POOL_ADDRESS.packed, 6, 4000, 80, now=0.2), 0)
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
