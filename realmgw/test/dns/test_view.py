"""What is answered, on both views."""

from __future__ import annotations

from typing import Any

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.dns.codec.wire import BadQueryError, decode
from realmgw.dns.counts import Count
from realmgw.dns.view import Asker, View
from realmgw.errors import Reason
from realmgw.test.dns import realm
from realmgw.test.dns.allocator import MemoryAllocator

SERIAL_TTL = 5  # seconds; the negative TTL of the realm's zones


def ask(answers: View, name: str, kind: str = "A", tcp: bool = False, **options: Any) -> bytes | None:
    """What the full path says to a query; nothing may come later."""
    query = decode(dns.message.make_query(name, kind, **options).to_wire())
    return answers.answer(query, Asker(realm.RESOLVER, never, tcp), now=1.0)


def never(answer: bytes) -> None:
    """Stands for a delivery that must not come."""
    raise AssertionError(answer)


def read(octets: bytes | None) -> dns.message.Message:
    """An answer, as dnspython understands it."""
    assert octets
    return dns.message.from_wire(octets)


class AnswersTestCase(SynchronousTestCase):
    """Asks, and compares what is said."""

    def assert_addresses(self, answer: dns.message.Message, addresses: list[str], ttl: int) -> None:
        """An authoritative answer with just these addresses."""
        self.assertEqual(answer.rcode(), dns.rcode.NOERROR)
        self.assertTrue(answer.flags & dns.flags.AA)
        self.assertEqual([record.address for rrset in answer.answer for record in rrset], addresses)
        self.assertEqual({rrset.ttl for rrset in answer.answer}, {ttl})

    def assert_negative(self, answer: dns.message.Message, rcode: int, apex: str = "example.org.") -> None:
        """An authoritative answer without records, with the SOA of the right zone."""
        self.assertEqual((answer.rcode(), answer.answer), (rcode, []))
        self.assertTrue(answer.flags & dns.flags.AA)
        (soa,) = answer.authority
        self.assertEqual((soa.name.to_text(), soa.rdtype, soa.ttl), (apex, dns.rdatatype.SOA, SERIAL_TTL))


class BothViewsTests(AnswersTestCase):
    """What WAN and LAN say alike."""

    def setUp(self) -> None:
        """One of each."""
        self.allocator = MemoryAllocator()
        self.views: list[View] = [realm.wan(self.allocator), realm.lan()]

    def ask_both(self, name: str, kind: str = "A", **options: Any) -> list[dns.message.Message]:
        """The answers of both."""
        return [read(ask(view, name, kind, **options)) for view in self.views]

    def test_gives_soa_and_ns_of_the_zone(self) -> None:
        """With the name server's address beside it, if it is ours."""
        for answer in self.ask_both("example.org.", "SOA"):
            self.assertEqual(answer.answer[0].to_text().split()[4:6], ["ns1.example.org.", "hostmaster.example.org."])
        for answer in self.ask_both("example.org.", "NS"):
            self.assertEqual(answer.answer[0][0].target.to_text(), "ns1.example.org.")
            self.assertEqual(answer.additional[0][0].address, str(realm.GATEWAY))
        for answer in self.ask_both("child.example.org.", "NS"):
            self.assertEqual(answer.additional, [])

    def test_gives_the_addresses_of_apex_and_name_server(self) -> None:
        """They are configured, and never reserved."""
        for name in ("example.org.", "ns1.example.org."):
            for answer in self.ask_both(name):
                self.assert_addresses(answer, [str(realm.GATEWAY)], 300)
        self.assertEqual(self.allocator.asked, [])

    def test_says_nodata_for_a_type_that_a_name_does_not_have(self) -> None:
        """Services, apex, and names that only stand above others; HTTPS hints would bypass the allocation."""
        for name in ("one.example.org.", "example.org.", "nodes.example.org.", "www.two.example.org."):
            for kind in ("AAAA", "HTTPS", "SVCB", "MX", "TXT", "TYPE65280"):
                for answer in self.ask_both(name, kind):
                    self.assert_negative(answer, dns.rcode.NOERROR)
        self.assertEqual(self.allocator.asked, [])

    def test_says_nxdomain_for_a_name_that_is_not(self) -> None:
        """In the zone that the name lies in, with that zone's SOA."""
        for answer in self.ask_both("nobody.example.org."):
            self.assert_negative(answer, dns.rcode.NXDOMAIN)
        for answer in self.ask_both("x.one.example.org.", "ANY"):
            self.assert_negative(answer, dns.rcode.NXDOMAIN)
        for answer in self.ask_both("nobody.child.example.org."):
            self.assert_negative(answer, dns.rcode.NXDOMAIN, "child.example.org.")

    def test_answers_any_with_a_token(self) -> None:
        """HINFO of RFC 8482; nothing is reserved, and a name without records has not even that."""
        for name in ("one.example.org.", "example.org."):
            for answer in self.ask_both(name, "ANY"):
                self.assertEqual(answer.answer[0].rdtype, dns.rdatatype.HINFO)
                self.assertEqual(answer.answer[0][0].cpu, b"RFC8482")
        for answer in self.ask_both("nodes.example.org.", "ANY"):
            self.assert_negative(answer, dns.rcode.NOERROR)
        self.assertEqual(self.allocator.asked, [])

    def test_says_from_above_that_there_is_no_ds(self) -> None:
        """DS of an apex belongs to the zone above, where that is ours (RFC 4035 section 3.1.4.1)."""
        for answer in self.ask_both("child.example.org.", "DS"):
            self.assert_negative(answer, dns.rcode.NOERROR, "example.org.")
        for answer in self.ask_both("example.org.", "DS"):
            self.assert_negative(answer, dns.rcode.NOERROR, "example.org.")

    def test_refuses_what_is_not_ours(self) -> None:
        """Other zones, other classes, zone transfers; without AA, without records."""
        for name, kind, options in (
            ("example.net.", "A", {}),
            (".", "NS", {}),
            ("one.example.org.", "A", {"rdclass": "CH"}),
            ("one.example.org.", "A", {"rdclass": "ANY"}),
            ("example.org.", "AXFR", {}),
        ):
            for answer in self.ask_both(name, kind, **options):
                self.assertEqual((answer.rcode(), answer.flags & dns.flags.AA), (dns.rcode.REFUSED, 0))
                self.assertEqual((answer.answer, answer.authority), ([], []))
        self.assertEqual([view.counts.events[Count.REFUSED] for view in self.views], [5, 5])

    def test_refuses_types_that_can_not_be_asked_for(self) -> None:
        """OPT and TSIG are no data."""
        for kind in ("OPT", "TSIG"):
            for answer in self.ask_both("one.example.org.", kind):
                self.assertEqual(answer.rcode(), dns.rcode.FORMERR)

    def test_says_which_edns_version_there_is(self) -> None:
        """BADVERS before anything else, with an OPT record of version 0, whatever options came along."""
        options = [dns.edns.GenericOption("100", b"")]
        for answer in self.ask_both("example.net.", use_edns=100, options=options):
            self.assertEqual((answer.rcode(), answer.edns, answer.options), (dns.rcode.BADVERS, 0, ()))

    def test_knows_no_keys(self) -> None:
        """A signed query is not answered as if it were not (RFC 8945 section 5.2.1)."""
        for use_edns in (-1, 0):
            query = dns.message.make_query("one.example.org.", "A", use_edns=use_edns)
            query.use_tsig({"key.example.": b"secret"}, original_id=0x1234)
            asked = query.to_wire()
            for view in self.views:
                answered = view.answer(decode(asked), Asker(realm.RESOLVER, never), now=1.0)
                answer = dns.message.from_wire(answered or b"", continue_on_error=True, keyring=False)
                self.assertEqual((answer.rcode(), answer.edns), (dns.rcode.NOTAUTH, use_edns))
                assert answer.tsig is not None
                self.assertEqual(answer.tsig.name.to_text(), "key.example.")
                [said] = answer.tsig
                self.assertEqual((said.error, said.mac, said.original_id), (17, b"", 0x1234))

    def test_answers_from_another_table_after_a_change(self) -> None:
        """On the fast path too."""
        for view in self.views:
            view.configure(realm.make_settings(), realm.table(extra=("new.example.org.",)))
            self.assertTrue(read(ask(view, "new.example.org.")).answer)
        query = dns.message.make_query("new.example.org.", "A").to_wire()
        self.assertIsInstance(self.views[0].fast(query, realm.RESOLVER, now=1.0), bytes)


class WanTests(AnswersTestCase):
    """What only the WAN says."""

    def setUp(self) -> None:
        """An allocator that has an address."""
        self.allocator = MemoryAllocator(realm.POOL_ADDRESS.packed)
        self.wan = realm.wan(self.allocator)

    def test_reserves_an_address_for_a_service(self) -> None:
        """TTL 0; the allocator learns who asks, and can tell a retransmission."""
        self.assert_addresses(read(ask(self.wan, "one.example.org.", id=7)), [str(realm.POOL_ADDRESS)], 0)
        resolver, question = realm.RESOLVER[0], (realm.RESOLVER, b"\0\7")
        self.assertEqual(self.allocator.asked, [("one.example.org.", resolver, question, 1.0)])
        self.assertEqual(self.wan.counts.events[Count.RESERVED], 1)

    def test_sends_clients_to_the_proxy_where_one_is_required(self) -> None:
        """All addresses of the service pool, TTL 10, no reservation."""
        answer = read(ask(self.wan, "www.two.example.org."))
        self.assert_addresses(answer, [str(address) for address in realm.SERVICE_POOL], 10)
        self.assertEqual(self.allocator.asked, [])

    def test_says_nodata_where_the_proxy_has_no_address(self) -> None:
        """The name exists all the same."""
        wan = realm.wan(self.allocator, realm.make_settings(service_pool=()))
        self.assert_negative(read(ask(wan, "www.two.example.org.")), dns.rcode.NOERROR)

    def test_does_not_tell_private_names(self) -> None:
        """The reverse zone of the private addresses looks empty from outside."""
        for name in ("1.0.168.192.in-addr.arpa.", "0.168.192.in-addr.arpa."):
            self.assert_negative(read(ask(self.wan, name, "PTR")), dns.rcode.NXDOMAIN, "168.192.in-addr.arpa.")

    def test_is_silent_over_udp_without_an_address(self) -> None:
        """The resolver tries again; the reason is counted."""
        for reason in (Reason.HOST_LIMIT, Reason.POLICY, Reason.STOPPING):
            self.allocator.refusal = reason
            self.assertEqual(ask(self.wan, "one.example.org."), b"")
            self.assertEqual(self.wan.counts.refused[reason], 1)
        self.assertEqual(self.wan.counts.events[Count.SILENT], 3)

    def test_says_why_over_tcp_without_an_address(self) -> None:
        """SERVFAIL, and never NXDOMAIN; with an Extended DNS Error for who knows EDNS."""
        for reason, code in ((Reason.HOST_LIMIT, 14), (Reason.CLAIM_LIMIT, 14)):
            self.allocator.refusal = reason
            answer = read(ask(self.wan, "one.example.org.", tcp=True, use_edns=0))
            self.assertEqual((answer.rcode(), answer.options[0].code), (dns.rcode.SERVFAIL, code))
            self.assertTrue(answer.options[0].text)
        self.assertEqual(read(ask(self.wan, "one.example.org.", tcp=True)).rcode(), dns.rcode.SERVFAIL)


class WaitingTests(AnswersTestCase):
    """Queries that find the pool exhausted."""

    def setUp(self) -> None:
        """Nothing is free."""
        self.allocator = MemoryAllocator(realm.POOL_ADDRESS.packed)
        self.allocator.refusal = Reason.EXHAUSTED
        self.wan = realm.wan(self.allocator)
        self.outcomes: list[bytes] = []

    def ask(self, tcp: bool = False, refused: Reason | None = None) -> bytes | None:
        """Asks for a service."""
        query = decode(dns.message.make_query("one.example.org.", "A", id=7).to_wire())
        asker = Asker(realm.RESOLVER, self.outcomes.append, tcp)
        return self.wan.answer(query, asker, now=1.0, refused=refused)

    def test_waits_and_delivers_what_comes(self) -> None:
        """There is no answer until the allocator has its last word."""
        self.assertIsNone(self.ask())
        self.allocator.finish(realm.POOL_ADDRESS.packed)
        self.assert_addresses(read(self.outcomes[0]), [str(realm.POOL_ADDRESS)], 0)
        self.assertEqual(self.wan.counts.events[Count.WAITED], 1)

    def test_delivers_a_refusal(self) -> None:
        """By UDP there is no answer, and by TCP one that says so."""
        for tcp in (False, True):
            self.assertIsNone(self.ask(tcp))
            self.allocator.finish(Reason.WAITED)
        self.assertEqual(self.outcomes[0], b"")
        self.assertEqual(read(self.outcomes[1]).rcode(), dns.rcode.SERVFAIL)

    def test_does_not_ask_again_what_the_fast_path_asked(self) -> None:
        """It waits at once."""
        self.assertIsNone(self.ask(refused=Reason.EXHAUSTED))
        self.assertEqual(self.allocator.asked, [])
        self.assertEqual(list(self.allocator.held), [(realm.RESOLVER, b"\0\7")])

    def test_is_refused_when_too_many_wait(self) -> None:
        """With that reason."""
        self.allocator.wait_refusal = Reason.QUEUE_FULL
        self.assertEqual(self.ask(), b"")
        self.assertEqual(self.wan.counts.refused[Reason.QUEUE_FULL], 1)


class LanTests(AnswersTestCase):
    """What only the LAN says."""

    def setUp(self) -> None:
        """No allocator is needed."""
        self.lan = realm.lan()

    def test_gives_private_addresses(self) -> None:
        """Of all services, with and without proxy, TTL 30."""
        for name, address in (("one.example.org.", "192.168.0.1"), ("www.two.example.org.", "192.168.0.2")):
            self.assert_addresses(read(ask(self.lan, name)), [address], 30)

    def test_gives_names_of_private_addresses(self) -> None:
        """A host's own name, TTL 30; the names between exist, the others do not."""
        (pointer,) = read(ask(self.lan, "2.0.168.192.in-addr.arpa.", "PTR")).answer
        self.assertEqual((pointer[0].target.to_text(), pointer.ttl), ("two.example.org.", 30))
        apex = "168.192.in-addr.arpa."
        self.assert_negative(read(ask(self.lan, "2.0.168.192.in-addr.arpa.", "A")), dns.rcode.NOERROR, apex)
        self.assert_negative(read(ask(self.lan, "0.168.192.in-addr.arpa.", "PTR")), dns.rcode.NOERROR, apex)
        self.assert_negative(read(ask(self.lan, "9.0.168.192.in-addr.arpa.", "PTR")), dns.rcode.NXDOMAIN, apex)

    def test_has_no_fast_path(self) -> None:
        """There is nothing to reserve."""
        query = dns.message.make_query("one.example.org.", "A").to_wire()
        self.assertIsNone(self.lan.fast(query, realm.RESOLVER, now=1.0))


MIXED_CASE = st.sampled_from(
    ["one.example.org.", "ONE.eXample.Org.", "Two.EXAMPLE.org.", "deep.Empty.nodes.example.org."]
)
OTHERS = st.sampled_from(["www.two.example.org.", "nobody.example.org.", "example.org.", "example.net.", "."])


@st.composite
def usual_queries(draw: st.DrawFn) -> bytes:
    """Queries that are usual, or nearly."""
    kind = draw(st.sampled_from(["A", "A", "A", "HTTPS", "AAAA", "SOA", "NS"]))
    query = dns.message.make_query(draw(st.one_of(MIXED_CASE, MIXED_CASE, OTHERS)), kind)
    flags = st.sampled_from([dns.flags.RD, dns.flags.AD, dns.flags.CD, dns.flags.TC, dns.flags.AA, 0x40])
    query.flags = sum(draw(st.sets(flags)))
    if draw(st.booleans()):
        options: list[dns.edns.Option] = [dns.edns.GenericOption("COOKIE", b"12345678")] if draw(st.booleans()) else []
        ednsflags = draw(st.sampled_from([0, dns.flags.DO, 0x80]))
        query.use_edns(draw(st.sampled_from([0, 0, 0, 1])), ednsflags, draw(st.integers(0, 65535)), options=options)
    return bytes(query.to_wire(max_size=65535))


class FastPathTests(SynchronousTestCase):
    """The fast path against the full one."""

    def setUp(self) -> None:
        """Both of one view."""
        self.allocator = MemoryAllocator(realm.POOL_ADDRESS.packed)
        self.wan = realm.wan(self.allocator)

    def full(self, message: bytes) -> bytes | None:
        """The full path's answer; None for what is no query."""
        try:
            return self.wan.answer(decode(message), Asker(realm.RESOLVER, never), now=1.0)
        except BadQueryError:
            return None

    def fast(self, message: bytes) -> bytes | Reason | None:
        """The fast path's."""
        return self.wan.fast(message, realm.RESOLVER, now=1.0)

    def test_takes_the_usual_queries(self) -> None:
        """Plain and with OPT, with any of RD, AD, CD and DO, in any case."""
        for flags in (0, dns.flags.RD, dns.flags.AD | dns.flags.CD):
            query = dns.message.make_query("ONE.example.ORG.", "A", flags=flags)
            self.assertIsInstance(self.fast(query.to_wire()), bytes)
            query.use_edns(0, dns.flags.DO, 4096)
            self.assertIsInstance(self.fast(query.to_wire()), bytes)

    def test_leaves_the_type_https_alone(self) -> None:
        """It is 65, which is the letter A, and must not be lowered."""
        for kind in ("HTTPS", "TYPE97"):
            answer = self.fast(dns.message.make_query("one.example.org.", kind).to_wire())
            assert isinstance(answer, bytes)
            self.assertEqual(dns.message.from_wire(answer).answer, [])
        self.assertEqual(self.allocator.asked, [])

    def test_reserves_nothing_for_names_of_the_proxy(self) -> None:
        """They have the service pool's addresses."""
        answer = self.fast(dns.message.make_query("www.two.example.org.", "A").to_wire())
        assert isinstance(answer, bytes)
        [told] = dns.message.from_wire(answer).answer
        self.assertEqual({each.address for each in told}, set(map(str, realm.SERVICE_POOL)))
        self.assertEqual(self.allocator.asked, [])

    def test_hands_on_a_refusal(self) -> None:
        """The full path goes on from there."""
        self.allocator.refusal = Reason.HOST_LIMIT
        query = dns.message.make_query("one.example.org.", "A").to_wire()
        self.assertIs(self.fast(query), Reason.HOST_LIMIT)

    @given(usual_queries())
    def test_says_the_same_octets_as_the_full_path(self, message: bytes) -> None:
        """Where it says anything; and it asks the allocator the same."""
        quick = self.fast(message)
        if quick is not None:
            before = len(self.allocator.asked)
            self.assertEqual(quick, self.full(message))
            self.assertEqual(self.allocator.asked[before:], self.allocator.asked[:before])
            self.allocator.asked.clear()

    @given(usual_queries(), st.data())
    def test_answers_nothing_that_the_full_path_does_not(self, message: bytes, data: st.DataObject) -> None:
        """Cut, lengthened, or with other octets: what it takes is a query, and gets the full path's answer."""
        cut = message[: data.draw(st.integers(0, len(message)))]
        at = data.draw(st.integers(0, len(message) - 1))
        changed = message[:at] + data.draw(st.binary(min_size=1, max_size=2)) + message[at + 1 :]
        for octets in (cut, message + b"\0", changed):
            quick = self.fast(octets)
            if quick is not None:
                self.assertEqual(quick, self.full(octets))

    @given(usual_queries())
    def test_makes_a_response_to_the_query(self, message: bytes) -> None:
        """Dnspython takes either path's answer as one to this query, with RD, CD and DO copied and no other flag."""
        query = dns.message.from_wire(message)
        for octets in (self.fast(message), self.full(message)):
            if isinstance(octets, bytes):
                answer = dns.message.from_wire(octets)
                self.assertTrue(query.is_response(answer))
                copied = dns.flags.RD | dns.flags.CD
                self.assertEqual(answer.flags & 0xFFF0 & ~(dns.flags.QR | dns.flags.AA), query.flags & copied)
                self.assertEqual(answer.ednsflags & 0xFFFF, query.ednsflags & dns.flags.DO)
                self.assertEqual(answer.edns, -1 if query.edns < 0 else 0)
