"""The sockets, in memory."""

from __future__ import annotations

import socket
from collections.abc import Callable

import dns.flags
import dns.message
import dns.opcode
import dns.rcode
from hypothesis import given
from hypothesis import strategies as st

from realmgw.config import settings
from realmgw.dns import port, server
from realmgw.dns.counts import QUERIES, Count
from realmgw.dns.decision import Outcome
from realmgw.dns.zones import compile_table
from realmgw.errors import Reason
from realmgw.subscribers.model import Directory
from realmgw.test.dns import realm, transports
from realmgw.test.dns.transports import ServerTestCase, end, framed, query


class DatagramTests(ServerTestCase):
    """UDP."""

    def setUp(self) -> None:
        """One socket."""
        super().setUp()
        self.protocol, self.port = transports.datagrams(self.server, self.clock)

    def receive(self, message: bytes) -> None:
        """A query comes."""
        self.protocol.datagramReceived(message, realm.RESOLVER)

    def test_answers_to_where_the_query_came_from(self) -> None:
        """By the fast path and by the full one."""
        self.receive(query())
        self.receive(query("www.two.example.org."))
        self.assertEqual([address for _, address in self.port.sent], [realm.RESOLVER, realm.RESOLVER])
        self.assertEqual([answer.rcode() for answer in self.port.answers()], [dns.rcode.NOERROR] * 2)

    def test_drops_responses_and_fragments_of_a_header(self) -> None:
        """Two servers that answered each other's answers would never end."""
        response = dns.message.make_response(dns.message.make_query("one.example.org.", "A")).to_wire()
        for message in (response, b"", query()[:11]):
            self.receive(message)
        self.assertEqual((self.port.sent, self.events[Count.RESPONSE]), ([], 3))

    def test_says_formerr_to_what_can_not_be_read(self) -> None:
        """With the ID."""
        self.receive(query(id=77) + b"!")
        (answer,) = self.port.answers()
        self.assertEqual((answer.id, answer.rcode()), (77, dns.rcode.FORMERR))

    def test_says_notimp_to_other_opcodes(self) -> None:
        """With the opcode copied, and with OPT if it came with one; whether or not the rest can be read."""
        for opcode in range(1, 16):
            message = dns.message.make_query("example.org.", "SOA", use_edns=0)
            message.set_opcode(dns.opcode.from_text(str(opcode)))
            self.receive(bytes(message.to_wire()))
            self.receive(bytes(message.to_wire())[:12])
        self.assertEqual({answer.rcode() for answer in self.port.answers()}, {dns.rcode.NOTIMP})
        self.assertEqual([answer.opcode() for answer in self.port.answers()[::2]], list(range(1, 16)))
        self.assertEqual([answer.edns for answer in self.port.answers()], [0, -1] * 15)

    def test_gives_a_waiting_query_its_answer_later(self) -> None:
        """When the allocator has an address."""
        self.allocator.refusal = Reason.EXHAUSTED
        self.receive(query(id=5))
        self.assertEqual(self.port.sent, [])
        self.allocator.finish(realm.POOL_ADDRESS.packed)
        (answer,) = self.port.answers()
        self.assertEqual((answer.id, len(answer.answer)), (5, 1))

    def test_gives_a_waiting_query_no_answer_without_an_address(self) -> None:
        """The resolver asks again; it is not asked twice of the allocator for one query."""
        self.allocator.refusal = Reason.EXHAUSTED
        self.receive(query())
        self.allocator.finish(Reason.WAITED)
        self.assertEqual((self.port.sent, len(self.allocator.asked)), ([], 1))

    def test_survives_a_fault_of_ours(self) -> None:
        """SERVFAIL; all faults are counted, one in a second is logged."""
        self.allocator.ask = lambda *_, **__: 1 // 0  # type: ignore[assignment,method-assign]  # a fault
        broken = self.make_server(realm.wan(self.allocator))
        protocol, sent = transports.datagrams(broken, self.clock)
        for wait in (0.0, 0.0, server.FAULT_LOG_INTERVAL):
            self.clock.advance(wait)
            protocol.datagramReceived(query(use_edns=0), realm.RESOLVER)
        self.assertEqual([answer.rcode() for answer in sent.answers()], [dns.rcode.SERVFAIL] * 3)
        self.assertEqual(broken.view.counts.events[Count.FAULT], 3)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)

    def test_survives_a_fault_in_the_answer_to_a_fault(self) -> None:
        """Then there is none."""
        self.server.view.senders = transports.RaisingSenders()
        self.receive(query("one.example.org.", "ANY"))
        self.assertEqual((self.port.sent, self.events[Count.FAULT]), ([], 2))
        self.assertEqual(sum(self.events[each] for each in QUERIES), 0)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_survives_a_fault_when_the_waiting_ends(self) -> None:
        """The allocator, who calls, does not notice."""
        self.allocator.refusal = Reason.EXHAUSTED
        self.receive(query())
        self.server.view.senders = transports.RaisingSenders()
        self.allocator.finish(realm.POOL_ADDRESS.packed)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_counts_answers_that_the_kernel_does_not_take(self) -> None:
        """On both paths, and when the socket is closed."""
        self.port.broken = True
        self.receive(query())
        self.receive(query("nobody.example.org."))
        self.protocol.doStop()
        self.receive(query())
        self.assertEqual(self.events[Count.UNSENT], 3)

    def test_prepares_its_socket(self) -> None:
        """A turn of the reactor is bounded; the kernel holds queries for us meanwhile."""
        self.assertEqual(self.port.maxThroughput, port.UDP_TURN)
        self.assertIn(((socket.SOL_SOCKET, 33), port.RECEIVE_BUFFER), self.port.options.items())

    def test_prepares_its_socket_without_privilege(self) -> None:
        """The buffer is then as large as the kernel lets everybody make it."""
        self.port.privileged = False
        self.protocol.startProtocol()
        self.assertIn(((socket.SOL_SOCKET, socket.SO_RCVBUF), port.RECEIVE_BUFFER), self.port.options.items())

    @given(
        st.binary(max_size=100), st.binary(min_size=2, max_size=2), st.lists(st.integers(0, 2), min_size=4, max_size=4)
    )
    def test_makes_no_fault_whatever_comes(self, body: bytes, flags: bytes, counts: list[int]) -> None:
        """Any octets, some of them behind a header that may be right."""
        self.receive(body)
        self.receive(b"\0\0" + flags + b"".join(count.to_bytes(2, "big") for count in counts) + query()[12:] + body)
        self.assertEqual(self.events[Count.FAULT], 0)


class StreamTests(ServerTestCase):
    """TCP."""

    def setUp(self) -> None:
        """One connection."""
        super().setUp()
        self.stream, self.connection = self.connect()

    def ids(self) -> list[int]:
        """The IDs of the answers, in their order."""
        return [answer.id for answer in self.connection.answers()]

    @given(st.lists(st.integers(1, 40), max_size=30))
    def test_answers_queries_however_they_are_cut(self, lengths: list[int]) -> None:
        """Several in one segment, one in several, octet by octet."""
        stream, connection = self.connect()
        octets = framed(query(id=1), query("nobody.example.org.", id=2), query(id=3))
        for length in [*lengths, len(octets)]:
            stream.dataReceived(octets[:length])
            octets = octets[length:]
        self.assertEqual([answer.id for answer in connection.answers()], [1, 2, 3])
        end(stream)

    def test_does_not_hold_up_the_next_query_for_a_waiting_one(self) -> None:
        """Answers leave as they come (RFC 7766 section 6.2.1.1)."""
        self.allocator.refusal = Reason.EXHAUSTED
        self.stream.dataReceived(framed(query(id=1)))
        self.allocator.refusal = None
        self.stream.dataReceived(framed(query(id=2)))
        self.assertEqual(self.ids(), [2])
        self.allocator.finish(realm.POOL_ADDRESS.packed)
        self.assertEqual(self.ids(), [2, 1])

    def test_answers_a_refusal(self) -> None:
        """SERVFAIL, at once or after waiting."""
        self.allocator.refusal = Reason.EXHAUSTED
        self.stream.dataReceived(framed(query(id=1)))
        self.allocator.finish(Reason.WAITED)
        self.allocator.refusal = Reason.HOST_LIMIT
        self.stream.dataReceived(framed(query(id=2)))
        self.assertEqual([answer.rcode() for answer in self.connection.answers()], [dns.rcode.SERVFAIL] * 2)

    def test_is_not_truncated(self) -> None:
        """What does not fit into 512 octets by UDP does by TCP."""
        zone = settings.Zone(
            "example.org.",
            tuple(settings.NameServer(f"{'n' * 60}{i}.example.org.") for i in range(9)),
            "h.example.org.",
        )
        self.server.view.configure(realm.make_settings(), compile_table((zone,), Directory({}, {})))
        self.stream.dataReceived(framed(query("example.org.", "NS")))
        (answer,) = self.connection.answers()
        self.assertEqual((len(answer.answer[0]), answer.flags & dns.flags.TC), (9, 0))

    def test_survives_a_fault_of_ours(self) -> None:
        """The connection goes on."""
        self.server.view.parts = {Outcome.ANY: transports.broken}
        self.stream.dataReceived(framed(query("one.example.org.", "ANY", id=1), query(id=2)))
        self.assertEqual(self.ids(), [1, 2])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_survives_a_fault_when_the_waiting_ends(self) -> None:
        """The allocator, who calls, does not notice; the connection goes on."""
        self.allocator.refusal = Reason.EXHAUSTED
        self.stream.dataReceived(framed(query(id=1)))
        self.server.view.senders = transports.RaisingSenders()
        self.allocator.finish(realm.POOL_ADDRESS.packed)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.allocator.refusal = None
        self.stream.dataReceived(framed(query(id=2)))
        self.assertEqual(self.ids(), [2])

    def test_survives_a_fault_when_an_address_is_asked_for_once_more(self) -> None:
        """What the policy had refused: no answer is waited for any longer."""
        self.server = self.make_server(realm.wan(self.allocator, later=lambda _, again: put_off.append(again)))
        put_off: list[Callable[[float], None]] = []
        stream, _ = self.connect()
        self.allocator.refusal = Reason.POLICY
        stream.dataReceived(framed(query()))
        self.assertEqual(stream.outstanding, 1)
        self.allocator.ask = lambda *_, **__: 1 // 0  # type: ignore[assignment,method-assign]  # a fault
        put_off[0](1.0)
        self.assertEqual((stream.outstanding, self.server.events[Count.FAULT]), (0, 1))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_has_nothing_wait_for_a_closed_connection(self) -> None:
        """The query waits no more, and its answer is dropped, which is counted; nothing else happens."""
        self.allocator.refusal = Reason.EXHAUSTED
        self.stream.dataReceived(framed(query()))
        end(self.stream)
        self.assertEqual((self.allocator.held, self.allocator.hung_up), ({}, [1.0]))
        self.assertEqual((self.connection.value(), self.events[Count.UNSENT]), (b"", 1))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_what_is_sent_again_while_it_waits_is_told_the_same(self) -> None:
        """One client is expected, and each gets its answer; afterwards it is a query of its own."""
        self.allocator.refusal = Reason.EXHAUSTED
        self.stream.dataReceived(framed(query(id=1), query(id=2), query(id=1), query("two.example.org.", id=1)))
        other, connection = self.connect("198.51.100.1")
        other.dataReceived(framed(query(id=1)))
        self.assertEqual((len(self.allocator.held), self.stream.outstanding, self.events[Count.REPEATED]), (4, 4, 1))
        self.allocator.finish(realm.POOL_ADDRESS.packed)
        self.assertEqual([answer.id for answer in self.connection.answers()], [1, 1])
        self.stream.dataReceived(framed(query(id=1)))
        self.assertEqual((len(self.allocator.held), self.stream.outstanding, self.events[Count.REPEATED]), (4, 3, 1))
        self.assertEqual(connection.value(), b"")
        for stream in (self.stream, other):
            end(stream)

    def test_repetitions_wait_in_bounds(self) -> None:
        """As any other queries: then nothing is read until they have their answer."""
        self.allocator.refusal = Reason.EXHAUSTED
        for _ in range(port.MAX_OUTSTANDING + 9):
            self.stream.dataReceived(framed(query(id=1)))
            self.clock.advance(0)
        self.assertEqual((len(self.allocator.held), self.stream.outstanding), (1, port.MAX_OUTSTANDING))
        self.allocator.finish(realm.POOL_ADDRESS.packed)
        self.assertEqual(len(self.connection.answers()), port.MAX_OUTSTANDING)

    def test_has_no_answered_query_hang_up(self) -> None:
        """What is told its answer is forgotten; another connection's queries go on waiting."""
        self.allocator.refusal = Reason.EXHAUSTED
        other, _ = self.connect("198.51.100.1")
        for stream in (self.stream, other):
            stream.dataReceived(framed(query(id=1), query(id=2)))
        self.allocator.finish(realm.POOL_ADDRESS.packed)
        end(self.stream)
        self.assertEqual(self.server.view.counts.refused[Reason.GONE], 1)
        self.assertEqual(len(self.allocator.held), 2)
        end(other)


class StreamLimitTests(ServerTestCase):
    """What a TCP client can not do to us."""

    def setUp(self) -> None:
        """One connection."""
        super().setUp()
        self.stream, self.connection = self.connect()

    def test_closes_when_nothing_is_completed_in_time(self) -> None:
        """Single octets of a query are no sign of life."""
        for octet in framed(query())[:9]:
            self.clock.advance(1.0)
            self.stream.dataReceived(bytes((octet,)))
        self.assertFalse(self.connection.disconnecting)
        self.clock.advance(1.0)
        self.assertTrue(self.connection.disconnecting)
        self.assertEqual(self.events[Count.TCP_IDLE], 1)

    def test_stays_open_while_queries_come(self) -> None:
        """The timeout begins anew with each."""
        for _ in range(5):
            self.clock.advance(9.0)
            self.stream.dataReceived(framed(query()))
        self.assertFalse(self.connection.disconnecting)

    def test_stays_open_while_a_query_waits(self) -> None:
        """It is we who are silent then; the timeout begins anew with the answer."""
        self.allocator.refusal = Reason.EXHAUSTED
        self.stream.dataReceived(framed(query()))
        self.clock.pump([10.0, 9.0])
        self.allocator.finish(Reason.WAITED)
        self.clock.advance(9.0)
        self.assertFalse(self.connection.disconnecting)
        self.clock.advance(1.0)
        self.assertTrue(self.connection.disconnecting)

    def test_aborts_what_does_not_close(self) -> None:
        """A client that does not take its last answers has the idle timeout once more."""
        self.clock.pump([10.0, 10.0])
        self.assertTrue(self.connection.disconnected)

    def test_closes_on_a_length_that_no_query_has(self) -> None:
        """Less than a header, nothing, more than any query: the rest can not be made sense of."""
        for length in (0, 11, port.MAX_QUERY + 1, 65535):
            stream, connection = self.connect("198.51.100.1")
            stream.dataReceived(length.to_bytes(2, "big") + bytes(11) + framed(query()))
            self.assertTrue(connection.disconnecting)
            self.assertEqual(connection.value(), b"")
            end(stream)
        self.assertEqual(self.events[Count.TCP_BAD_LENGTH], 4)

    def test_reads_on_in_the_next_turn_after_so_many_queries(self) -> None:
        """First packets and other clients get their turn."""
        self.stream.dataReceived(framed(*[query(id=number) for number in range(port.TCP_TURN + 1)]))
        self.assertEqual(len(self.connection.answers()), port.TCP_TURN)
        self.assertEqual(self.connection.producerState, "paused")
        self.clock.advance(0)
        self.assertEqual(len(self.connection.answers()), port.TCP_TURN + 1)
        self.assertEqual(self.connection.producerState, "producing")

    def test_does_not_read_on_while_answers_are_not_taken(self) -> None:
        """The transport says when its buffer is full, and when it is empty."""
        self.stream.pauseProducing()
        self.assertEqual(self.connection.producerState, "paused")
        self.stream.dataReceived(framed(query()))
        self.assertEqual(self.connection.answers(), [])
        self.stream.resumeProducing()
        self.assertEqual(len(self.connection.answers()), 1)

    def test_does_not_read_on_while_many_queries_wait(self) -> None:
        """Until one of them has its answer; and not within the allocator's call. unbound has 200 at most."""
        self.allocator.refusal = Reason.EXHAUSTED
        self.stream.dataReceived(framed(*(query(id=number) for number in range(port.MAX_OUTSTANDING + 1))))
        self.clock.pump([0.0] * 9)
        self.assertGreater(len(self.allocator.held), 200)
        self.assertEqual(len(self.allocator.held), port.MAX_OUTSTANDING)
        self.allocator.finish(Reason.WAITED)
        self.assertEqual(len(self.allocator.asked), port.MAX_OUTSTANDING)
        self.clock.advance(0)
        self.assertEqual(len(self.allocator.asked), port.MAX_OUTSTANDING + 1)

    def test_does_not_read_on_while_there_is_another_reason_not_to(self) -> None:
        """The turn is over, but the client takes no answers."""
        self.stream.dataReceived(framed(*[query(id=number) for number in range(port.TCP_TURN + 1)]))
        self.stream.pauseProducing()
        self.clock.advance(0)
        self.assertEqual(len(self.connection.answers()), port.TCP_TURN)
        self.stream.resumeProducing()
        self.assertEqual(len(self.connection.answers()), port.TCP_TURN + 1)

    def test_is_not_read_again_once_it_is_closing(self) -> None:
        """Whatever the transport says, and however often it is closed."""
        self.stream.dataReceived(b"\0\0")
        self.stream.close()
        self.stream.pauseProducing()
        self.stream.resumeProducing()
        self.stream.dataReceived(framed(query()))
        self.assertEqual(self.connection.answers(), [])
        end(self.stream)
        self.stream.close()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_has_nothing_wait_for_a_client_that_has_sent_all(self) -> None:
        """Nobody can tell him from one who is gone: he is told that there is no address, then we close."""
        self.allocator.refusal = Reason.EXHAUSTED
        self.stream.dataReceived(framed(query(id=1), query(id=2)))
        self.stream.readConnectionLost()
        self.assertEqual((self.allocator.held, self.server.view.counts.refused[Reason.GONE]), ({}, 2))
        self.assertEqual([answer.rcode() for answer in self.connection.answers()], [dns.rcode.SERVFAIL] * 2)
        self.assertTrue(self.connection.disconnecting)

    def test_answers_a_client_that_has_sent_all(self) -> None:
        """What was read of him later as well: an address if there is one, else that there is none."""
        self.stream.dataReceived(framed(*[query(id=number) for number in range(port.TCP_TURN + 2)]))
        self.stream.readConnectionLost()
        self.assertFalse(self.connection.disconnecting)
        self.allocator.refusal = Reason.EXHAUSTED
        self.clock.pump([0.0, 0.0])
        codes = [answer.rcode() for answer in self.connection.answers()]
        self.assertEqual(codes, [dns.rcode.NOERROR] * port.TCP_TURN + [dns.rcode.SERVFAIL] * 2)
        self.assertTrue(self.connection.disconnecting)

    def test_closes_for_a_client_that_has_sent_all_and_has_all(self) -> None:
        """At once."""
        self.stream.readConnectionLost()
        self.assertTrue(self.connection.disconnecting)
