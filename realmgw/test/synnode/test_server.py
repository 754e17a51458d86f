"""Tests for `realmgw.synnode.server`."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as some
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from realmgw.synnode.entries import Entries
from realmgw.synnode.server import ADOPTED_KEPT, HALF, ControlConnection, ControlServer
from realmgw.synproxy.codec import IPV6, encode
from realmgw.test.synnode.keys import FULL, HOST, HOST6, add, delete, flush, key, mod, packed

GATEWAY = IPv4Address("TCP", "192.0.2.1", 40000)
UNKNOWN = bytes(7) + b"\x03" + bytes(4)
"""A request with an operation that there is not."""
SHORT6 = bytes(7) + bytes((0x04 | IPV6,)) + bytes((1, 0, 0, 0)) + bytes(3)
"""One whose address of IPv6 is not whole."""


class Peer(StringTransport):
    """The other end of a connection."""

    def __init__(self) -> None:
        super().__init__()
        self.kept_alive = self.aborted = False

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """See `ITCPTransport`."""
        self.kept_alive = bool(enabled)

    def abortConnection(self) -> None:
        """See `ITCPTransport`."""
        self.aborted = True


class ServerTestCase(SynchronousTestCase):
    """A server for two, and its table."""

    def setUp(self) -> None:
        """Nobody is connected."""
        self.clock, self.told = Clock(), 0
        self.entries = Entries(1000)
        self.server = ControlServer(
            self.entries, self.tell, lambda address: address.startswith("192.0.2."), 2, self.clock
        )

    def tell(self) -> None:
        """The table has changed."""
        self.told += 1

    def connect(self, address: Any = GATEWAY) -> tuple[ControlConnection, Peer]:
        """Somebody who may."""
        connection, peer = self.server.buildProtocol(address), Peer()
        assert connection is not None
        connection.callLater = self.clock.callLater  # type: ignore[assignment]  # as TimeoutMixin wants it
        connection.makeConnection(peer)
        return connection, peer


class RequestTests(ServerTestCase):
    """What is answered."""

    def test_answers_are_in_the_order_of_the_requests(self) -> None:
        """Each in its turn; the kernel is told once."""
        connection, peer = self.connect()
        requests = (flush(), add(key()), add(key()), mod(key()), delete(key(HOST6)), delete(key()))
        connection.dataReceived(b"".join(map(encode, requests)))
        self.assertEqual(peer.value(), b"1\n1\n0\n1\n0\n1\n")
        self.assertEqual(self.told, 1)
        self.assertEqual(dict(self.server.counts.requests), {"flush": 1, "add": 1, "mod": 1, "del": 1})
        self.assertEqual(dict(self.server.counts.refused), {"exists": 1, "missing": 1})

    def test_what_is_malformed_is_answered_and_counted_and_the_next_is_read(self) -> None:
        """Where a request ends does not depend on what it says."""
        connection, peer = self.connect()
        sack = bytearray(encode(mod(key())))
        sack[10] = 2
        connection.dataReceived(UNKNOWN + encode(mod(key())) + sack + encode(mod(key(HOST6))))
        self.assertEqual(peer.value(), b"0\n1\n0\n1\n")
        self.assertEqual(dict(self.server.counts.refused), {"operation": 1, "sack": 1})
        self.assertEqual(len(self.entries), 2)

    @given(some.lists(some.integers(1, 30), max_size=20))
    def test_requests_may_be_cut_anywhere(self, lengths: list[int]) -> None:
        """The answers are the same."""
        self.setUp()
        connection, peer = self.connect()
        text = b"".join(map(encode, (mod(key()), mod(key(HOST6, 80)), delete(key(HOST, 9)), mod(key(HOST, 1)))))
        for length in lengths:
            connection.dataReceived(text[:length])
            text = text[length:]
        connection.dataReceived(text)
        self.assertEqual(peer.value(), b"1\n1\n0\n1\n")
        connection.setTimeout(None)

    def test_half_a_request_is_not_waited_for_for_ever(self) -> None:
        """The rest has so long to come; it is counted where it does not."""
        connection, peer = self.connect()
        connection.dataReceived(encode(mod(key())) + SHORT6)
        self.clock.advance(HALF - 1)
        self.assertFalse(peer.aborted)
        self.clock.advance(2)
        self.assertTrue(peer.aborted)
        connection.connectionLost()
        self.assertEqual((self.server.counts.connections["half"], len(self.entries)), (1, 1))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_who_says_nothing_stays(self) -> None:
        """Whoever has vanished is noticed by the operating system."""
        connection, peer = self.connect()
        connection.dataReceived(encode(mod(key())))
        self.assertEqual((self.clock.getDelayedCalls(), peer.kept_alive), ([], True))

    def test_who_does_not_read_is_not_read(self) -> None:
        """So nothing grows but what the operating system keeps for him."""
        connection, peer = self.connect()
        self.assertEqual((peer.producer, peer.streaming), (connection, True))
        connection.pauseProducing()
        self.assertEqual(peer.producerState, "paused")
        connection.resumeProducing()
        self.assertEqual(peer.producerState, "producing")
        connection.stopProducing()

    def test_gateways_have_tables_of_their_own(self) -> None:
        """Who begins anew takes nothing of the other's away, who is gone leaves his, and comes back to it."""
        (one, _), (two, _) = self.connect(), self.connect(IPv4Address("TCP", "192.0.2.2", 40000))
        one.dataReceived(encode(flush()) + encode(mod(key())))
        two.dataReceived(encode(flush()) + encode(mod(key(HOST6))))
        self.assertEqual([each.key for each in self.entries], [key(), key(HOST6)])
        one.connectionLost()
        two.dataReceived(encode(flush()))
        self.assertEqual([(each.client, each.key) for each in self.entries], [("192.0.2.1", key())])
        again, peer = self.connect(IPv4Address("TCP", "192.0.2.1", 40001))
        again.dataReceived(encode(delete(key())))
        self.assertEqual((peer.value(), len(self.entries)), (b"1\n", 0))

    def test_what_an_earlier_run_has_left_holds_until_gateways_may_be_back(self) -> None:
        """From the first that begins anew on; without any, for ever."""
        self.entries.adopt({(packed(HOST), 80): FULL})
        connection, _ = self.connect()
        connection.dataReceived(encode(flush(HOST)))
        self.clock.advance(ADOPTED_KEPT)
        self.assertEqual(len(self.entries), 1)
        connection.dataReceived(encode(flush()) + encode(flush()))
        self.clock.advance(ADOPTED_KEPT - 1)
        self.assertEqual((len(self.entries), self.told), (1, 2))
        self.clock.advance(1)
        self.assertEqual((len(self.entries), self.told), (0, 3))
        connection.dataReceived(encode(flush()))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_server_that_ends_waits_for_nothing(self) -> None:
        """What an earlier run has left is the next one's."""
        self.entries.adopt({(packed(HOST), 80): FULL})
        connection, _ = self.connect()
        connection.dataReceived(encode(flush()))
        self.server.close()
        self.assertEqual((self.clock.getDelayedCalls(), len(self.entries)), ([], 1))

    def test_what_was_said_holds_on(self) -> None:
        """When who has said it is gone."""
        connection, _ = self.connect()
        connection.dataReceived(encode(mod(key())))
        connection.connectionLost()
        self.assertEqual((len(self.entries), self.server.peers), (1, []))


class ConnectionTests(ServerTestCase):
    """Who may connect."""

    def test_strangers_may_not(self) -> None:
        """They are counted; an IPv4 address is what it is, however the socket has it."""
        self.assertIsNone(self.server.buildProtocol(IPv4Address("TCP", "198.51.100.1", 1)))
        self.assertIsNone(self.server.buildProtocol(IPv6Address("TCP", "2001:db8::1", 1)))
        self.assertEqual(self.server.counts.connections["strangers"], 2)
        self.connect(IPv6Address("TCP", "::ffff:192.0.2.1", 1))
        self.assertEqual(self.server.peers, ["192.0.2.1"])

    def test_who_comes_again_takes_the_place_of_his_oldest_connection(self) -> None:
        """When there is no other: he may have been restarted without a word."""
        (_, first), (_, second) = self.connect(), self.connect()
        self.assertIsNone(self.server.buildProtocol(IPv4Address("TCP", "192.0.2.9", 1)))
        self.connect()
        self.assertEqual((first.aborted, second.aborted), (True, False))
        connections = self.server.counts.connections
        self.assertEqual((connections["full"], connections["displaced"], connections["accepted"]), (1, 1, 3))

    def test_all_are_let_go_at_the_end(self) -> None:
        """At once."""
        peers = [self.connect()[1], self.connect()[1]]
        self.server.close()
        self.assertEqual([peer.aborted for peer in peers], [True, True])
