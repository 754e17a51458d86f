"""Tests for `realmgw.dns.forward.forwarder`: a LAN's view, and resolvers that say what the test wants."""

from __future__ import annotations

from ipaddress import IPv6Network
from typing import Any

import dns.edns
import dns.flags
import dns.message
import dns.rcode
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config import settings
from realmgw.dns.codec.wire import decode
from realmgw.dns.counts import TYPES, Count, Counts
from realmgw.dns.forward.events import Event
from realmgw.dns.forward.forwarder import Forwarder
from realmgw.dns.forward.repeated import Repeated
from realmgw.dns.lan import lan_view
from realmgw.dns.view import Asker
from realmgw.dns.zones import compile_table
from realmgw.test.dns import realm
from realmgw.test.dns.forward.resolvers import ONE, RECORD, TWO, Elsewhere

HOST, OTHER = ("192.168.0.7", 4000), ("192.168.0.8", 4000)
SOA = "example.net. 900 IN SOA ns.example.net. h.example.net. 1 2 3 4 60"


class ForwarderTestCase(SynchronousTestCase):
    """A LAN with two resolvers."""

    def setUp(self) -> None:
        """Nothing is known."""
        self.elsewhere = Elsewhere()
        self.forwarder = Forwarder(self.elsewhere.means)
        self.counts = Counts()
        self.repeated = Repeated(self.forwarder, self.counts, self.elsewhere.events)
        self.delivered: list[tuple[Any, dns.message.Message]] = []
        self.view = lan_view(realm.make_settings(), realm.table(), self.counts, self.repeated.forward)
        self.configure()

    def configure(self, **keys: Any) -> None:
        """Goes by these keys of `dns.forward`."""
        self.made = made = realm.make_settings(forward=settings.Forwarding(**{"resolvers": (ONE, TWO), **keys}))
        self.forwarder.configure(made, self.view.table)
        self.view.configure(made, self.view.table)

    def ask(self, name: str = "www.example.net.", kind: str = "A", *, host: Any = HOST, **query: Any) -> Any:
        """Asks; the answer, or None if it comes later."""
        asked = dns.message.make_query(name, kind, **{"use_edns": 0, **query})
        asker = Asker(host, lambda octets: self.delivered.append((host, dns.message.from_wire(octets))))
        octets = self.view.answer(decode(asked.to_wire()), asker, now=self.elsewhere.clock.seconds())
        return None if octets is None else dns.message.from_wire(octets)

    def event(self, event: Event) -> int:
        """How often that was."""
        return self.elsewhere.events[event]

    def know(self, *records: str, **said: Any) -> None:
        """Asks for `www.example.net.`, and a resolver says that."""
        self.assertIsNone(self.ask())
        self.elsewhere.last.say(*(records if records or said else RECORD), **said)

    def fail_all(self) -> None:
        """No resolver is there."""
        outstanding = self.forwarder.counts()["outstanding"]
        while self.forwarder.counts()["outstanding"] == outstanding:
            self.elsewhere.last.failed("connection refused")


class ForwardTests(ForwarderTestCase):
    """Questions and answers."""

    def test_asks_once_for_all_and_keeps_the_answer(self) -> None:
        """Each gets it with his own ID, and a retransmission is nothing new."""
        for host in (HOST, OTHER):
            self.assertIsNone(self.ask(host=host, id=7))
        self.assertIsNone(self.ask(host=HOST, id=7))
        self.elsewhere.last.say(*RECORD)
        self.assertEqual([host for host, _ in self.delivered], [HOST, OTHER])
        self.elsewhere.clock.advance(10)
        answer = self.ask("WWW.example.net.", id=9)
        self.assertEqual((answer.id, answer.answer[0].ttl, str(answer.question[0].name)), (9, 290, "WWW.example.net."))
        self.assertTrue(answer.flags & dns.flags.RA)
        self.assertEqual(len(self.elsewhere.transport.sent), 1)
        self.assertEqual(self.counts.events[Count.FORWARDED], 3)

    def test_after_its_life_it_is_asked_for_again(self) -> None:
        """As is what there is not."""
        for records, said, life in ((RECORD, {}, 300), ((), {"authority": SOA, "rcode": "NXDOMAIN"}, 60)):
            self.know(*records, **said)
            self.elsewhere.clock.advance(life - 1)
            self.assertIsNotNone(self.ask())
            self.elsewhere.clock.advance(1)
        self.assertIsNone(self.ask())

    def test_flags_and_types_are_questions_of_their_own(self) -> None:
        """DO, CD, and each type."""
        self.know()
        for other in ({"want_dnssec": True}, {"flags": dns.flags.RD | dns.flags.CD}, {"kind": "AAAA"}):
            self.assertIsNone(self.ask(**other))
        self.assertEqual(self.event(Event.QUESTIONS), 4)

    def test_our_names_and_special_ones_are_not_asked_for(self) -> None:
        """Nothing is sent."""
        self.assertEqual(self.ask("one.example.org.").answer[0][0].address, "192.168.0.1")
        self.assertEqual(self.ask("x.home.arpa.").rcode(), dns.rcode.NXDOMAIN)
        inner = settings.Zone("a.x.home.arpa.", (realm.SERVER,), "hostmaster.example.org.")
        self.forwarder.configure(self.made, compile_table((*realm.ZONES, inner), realm.directory()))
        self.assertEqual(self.ask("x.home.arpa.").rcode(), dns.rcode.NOERROR)
        self.assertEqual(self.elsewhere.transport.sent, [])

    def test_whether_a_zone_of_ours_is_signed_is_asked_for(self) -> None:
        """Of the zone above it, if that is not ours: a resolver on the LAN that checks signatures wants a proof."""
        self.assertIsNone(self.ask("example.org.", "DS", want_dnssec=True))
        self.assertEqual(self.elsewhere.last.query.question[0].to_text().lower(), "example.org. IN DS".lower())
        for name in ("www.example.org.", "child.example.org."):
            self.assertEqual(self.ask(name, "DS", want_dnssec=True).answer, [])
        self.configure(resolvers=())
        self.assertEqual(self.ask("example.org.", "DS", want_dnssec=True).rcode(), dns.rcode.NOERROR)
        self.assertEqual(len(self.elsewhere.transport.sent), 1)

    def test_without_resolvers_and_without_recursion_it_is_refused(self) -> None:
        """But what is known is told to who does not want recursion."""
        self.assertEqual(self.ask(flags=0).rcode(), dns.rcode.REFUSED)
        self.know()
        self.assertEqual(len(self.ask(flags=0).answer), 1)
        self.configure(resolvers=())
        answer = self.ask()
        self.assertEqual((answer.rcode(), answer.flags & dns.flags.RA), (dns.rcode.REFUSED, 0))

    def test_private_addresses_are_taken_out(self) -> None:
        """And it is said; names of one's own network keep them."""
        self.know("300 IN A 192.168.0.1", *RECORD)
        [(_, answer)] = self.delivered
        self.assertEqual([each.to_text() for each in answer.answer[0]], ["198.51.100.7"])
        self.assertEqual(self.codes(answer), [dns.edns.EDECode.BLOCKED])
        self.configure(internal=("example.net.",))
        self.know("300 IN A 192.168.0.1")
        self.assertEqual(self.delivered[-1][1].answer[0][0].address, "192.168.0.1")

    def codes(self, answer: dns.message.Message) -> list[int]:
        """Its extended errors."""
        return [option.code for option in answer.options if isinstance(option, dns.edns.EDEOption)]

    def test_popular_names_are_asked_for_before_their_end(self) -> None:
        """Once, and who asks gets what there is."""
        self.know()
        for second, sent in ((100.0, 1), (171.0, 2), (0.1, 2)):
            self.elsewhere.clock.advance(second)
            self.assertIsNotNone(self.ask())
            self.assertEqual(len(self.elsewhere.transport.sent), sent)
        self.elsewhere.last.say(*RECORD)
        self.elsewhere.clock.advance(100)
        self.assertEqual(self.ask().answer[0].ttl, 200)

    def test_a_clients_network_is_told_if_that_is_wanted(self) -> None:
        """And makes it another question."""
        ecs = dns.edns.ECSOption("198.51.100.0", 24)
        self.ask(options=[ecs])
        types = [[option.otype for option in self.elsewhere.last.query.options]]
        self.elsewhere.last.say(*RECORD)
        self.configure(client_subnet=True)
        self.assertIsNone(self.ask(options=[ecs]))
        types.append([option.otype for option in self.elsewhere.last.query.options])
        self.assertEqual(types, [[10], [8, 10]])


class FailureTests(ForwarderTestCase):
    """There is a clear answer, in time."""

    def test_nobody_answers(self) -> None:
        """SERVFAIL after the schedule, and at once for a second; then they are asked again."""
        self.assertIsNone(self.ask())
        self.elsewhere.clock.pump((0.25, 0.25, 0.25))
        for answer in (self.delivered[0][1], self.ask(id=3)):
            self.assertEqual(answer.rcode(), dns.rcode.SERVFAIL)
            [option] = answer.options
            self.assertEqual((option.code, option.text), (23, f"{ONE.text}: no answer in time"))
        self.elsewhere.clock.advance(1)
        self.assertIsNone(self.ask())

    def test_schedules_are_by_type(self) -> None:
        """As `timeouts` says."""
        self.configure(timeouts=settings.Timeouts((5.0,), a=(0.1,)))
        self.assertIsNone(self.ask())
        self.assertIsNone(self.ask(kind="MX"))
        self.elsewhere.clock.advance(0.1)
        self.assertEqual(len(self.delivered), 1)

    def test_they_refuse(self) -> None:
        """So do we."""
        self.assertIsNone(self.ask())
        for _ in range(3):
            self.elsewhere.last.say(rcode="REFUSED")
        self.assertEqual(self.delivered[0][1].rcode(), dns.rcode.REFUSED)

    def test_they_say_why(self) -> None:
        """So do we."""
        self.assertIsNone(self.ask())
        while not self.delivered:
            answer = dns.message.from_wire(self.elsewhere.last.answer(rcode="SERVFAIL"))
            answer.use_edns(0, options=[dns.edns.EDEOption(dns.edns.EDECode.DNSSEC_BOGUS, "no")])
            self.elsewhere.last.heard(answer.to_wire())
        for answer in (self.delivered[0][1], self.ask(id=3)):
            [option] = answer.options
            self.assertEqual((answer.rcode(), option.code, option.text), (dns.rcode.SERVFAIL, 6, "no"))

    def test_they_say_that_they_can_not_and_not_why(self) -> None:
        """It is told who said what, be it a code that has a name here or not."""
        for code, called in (("SERVFAIL", "SERVFAIL"), ("BADVERS", "BADVERS"), ("BADTIME", "RCODE 18")):
            self.delivered.clear()
            self.assertIsNone(self.ask(f"{code}.example.net."))
            while not self.delivered:
                self.elsewhere.last.say(rcode=code)
            answer = self.delivered[0][1]
            [option] = answer.options
            self.assertEqual(answer.rcode(), dns.rcode.SERVFAIL)
            self.assertEqual(option.code, 0)
            self.assertIn(f"it says {called}", option.text)

    def test_reasons_do_not_make_it_longer_than_the_asker_takes(self) -> None:
        """Who says that he takes 512 octets by UDP comes by TCP for those of a resolver that says much."""
        self.assertIsNone(self.ask(payload=512))
        reasons: list[dns.edns.Option] = [dns.edns.EDEOption(dns.edns.EDECode.OTHER, "x" * 250)] * 3
        while not self.delivered:
            answer = dns.message.from_wire(self.elsewhere.last.answer(rcode="SERVFAIL"))
            answer.use_edns(0, options=reasons)
            self.elsewhere.last.heard(answer.to_wire())
        [(_, told)] = self.delivered
        self.assertLessEqual(len(told.to_wire()), 512)
        self.assertEqual((told.rcode(), bool(told.flags & dns.flags.TC)), (dns.rcode.SERVFAIL, True))

    def test_what_has_outlived_its_ttl_is_better_than_nothing(self) -> None:
        """If that is wanted, and for so long."""
        self.configure(stale=100.0)
        self.know()
        self.elsewhere.clock.advance(350)
        self.assertIsNone(self.ask())
        self.fail_all()
        answer = self.delivered[-1][1]
        self.assertEqual((answer.answer[0].ttl, answer.options[0].code), (30, dns.edns.EDECode.STALE_ANSWER))
        self.assertEqual(self.ask().answer[0].ttl, 30)
        self.elsewhere.clock.advance(60)
        self.assertIsNone(self.ask())
        self.fail_all()
        self.assertEqual(self.delivered[-1][1].rcode(), dns.rcode.SERVFAIL)

    def test_it_is_given_as_well_where_nobody_can_be_asked(self) -> None:
        """Too many questions wait, or the host asks too much: what is given costs none."""
        for limit in ("outstanding", "outstanding_per_client"):
            self.configure(stale=1000.0, **{limit: 1})
            self.know()
            self.elsewhere.clock.advance(350)
            self.assertIsNone(self.ask("n.example.net."))
            self.assertEqual(self.ask().answer[0].ttl, 30)
            self.elsewhere.last.say(*RECORD)
            self.forwarder.cache.clear()

    def test_our_own_question_comes_back(self) -> None:
        """A resolver asks us what we ask it."""
        self.assertIsNone(self.ask())
        answer = self.ask(host=(str(ONE.endpoint.address), 53))
        self.assertEqual(answer.rcode(), dns.rcode.SERVFAIL)
        self.assertEqual((self.event(Event.LOOPED), len(self.elsewhere.transport.sent)), (1, 1))

    def test_a_host_asks_too_much(self) -> None:
        """Too many at once, too many a second; others are served."""
        self.configure(outstanding_per_client=2)
        self.assertEqual(
            [self.rcode(f"n{number}.example.net.") for number in range(3)], [None, None, dns.rcode.REFUSED]
        )
        self.assertIsNone(self.ask(host=OTHER))
        self.configure(rate_per_client=4)
        self.assertEqual(
            [self.rcode(f"m{number}.example.net.") for number in range(3)], [None, None, dns.rcode.REFUSED]
        )
        self.elsewhere.clock.advance(1)
        self.assertIsNone(self.ask())

    def rcode(self, name: str) -> Any:
        """Of the answer to a question for a name; None if it comes later."""
        answer = self.ask(name)
        return None if answer is None else answer.rcode()

    def test_too_many_questions_wait(self) -> None:
        """One more is SERVFAIL, and joins are none; when they are over, there is room again."""
        self.configure(outstanding=1)
        self.assertIsNone(self.ask())
        self.assertEqual(self.rcode("n.example.net."), dns.rcode.SERVFAIL)
        self.assertIsNone(self.ask(host=OTHER))
        self.elsewhere.last.say(*RECORD)
        self.assertIsNone(self.ask("n.example.net."))

    def test_stops(self) -> None:
        """Nothing is delivered, or waited for."""
        self.assertIsNone(self.ask())
        self.forwarder.stop()
        self.elsewhere.last.say(*RECORD)
        self.assertEqual((self.delivered, self.elsewhere.clock.getDelayedCalls()), ([], []))


class ReloadTests(ForwarderTestCase):
    """What a change of the configuration does to what is kept."""

    def test_it_stays(self) -> None:
        """Unless other resolvers or names decide now."""
        self.know()
        self.configure(prefetch=False)
        self.assertIsNotNone(self.ask())
        self.configure(resolvers=(TWO,))
        self.assertIsNone(self.ask())

    def test_what_is_under_way_is_asked_of_those_who_are_asked_now(self) -> None:
        """Who was asked before may know other names, and what he says late is not kept."""
        self.configure(resolvers=(ONE,))
        self.assertIsNone(self.ask())
        former = self.elsewhere.last
        self.configure(resolvers=(TWO,))
        former.say("300 IN A 198.51.100.9")
        self.assertEqual((self.delivered, former.cancelled, self.elsewhere.last.resolver), ([], True, TWO))
        self.elsewhere.last.say(*RECORD)
        self.assertEqual([answer.answer[0][0].address for _, answer in self.delivered], ["198.51.100.7"])
        self.assertEqual(self.ask().answer[0][0].address, "198.51.100.7")

    def test_nobody_is_asked_any_more(self) -> None:
        """Who waits is told that at once."""
        self.configure(dns64=settings.Dns64(IPv6Network("2001:db8:64::/96")))
        self.assertIsNone(self.ask(kind="AAAA"))
        self.configure(resolvers=())
        self.assertEqual([answer.rcode() for _, answer in self.delivered], [dns.rcode.SERVFAIL])
        self.assertEqual((self.forwarder.counts()["outstanding"], self.elsewhere.clock.getDelayedCalls()), (0, []))

    def test_less_room_is_less(self) -> None:
        """At once."""
        self.know()
        self.configure(cache=0)
        self.assertIsNone(self.ask())


class RepeatedTests(ForwarderTestCase):
    """`Repeated` gives the same octets within a second."""

    def octets(self, message: bytes, *, tcp: bool = False) -> bytes | None:
        """What is said to a query, by the fast path or after it."""
        now = self.elsewhere.clock.seconds()
        fast = self.repeated.answer(message, HOST, now=now, tcp=tcp)
        return fast or self.view.answer(decode(message), Asker(HOST, lambda _: None, tcp), now=now)

    def test_but_for_the_id(self) -> None:
        """By UDP only, and not longer than TTLs are the same."""
        self.know()
        self.elsewhere.clock.advance(0.5)
        query = dns.message.make_query("www.example.net.", "A", id=1).to_wire()
        first = self.octets(query)
        assert first is not None
        self.assertEqual(self.octets(b"\0\2" + query[2:]), b"\0\2" + first[2:])
        self.assertEqual((self.event(Event.REPEATED), self.event(Event.HITS)), (1, 1))
        self.assertEqual(self.counts.types[0], 3)  # with the one of `know`
        self.octets(query, tcp=True)
        self.elsewhere.clock.advance(0.5)
        later = self.octets(query)
        assert later is not None
        self.assertEqual(dns.message.from_wire(later).answer[0].ttl, 299)
        self.assertEqual(self.event(Event.REPEATED), 1)

    def test_made_anew_in_each_second_until_its_end(self) -> None:
        """Of what is kept, without the way that a query takes otherwise; it counts as that, and is forgotten then."""
        self.know()
        query = dns.message.make_query("www.example.net.", "A").to_wire()
        self.octets(query)
        for age in range(1, 300):
            self.elsewhere.clock.advance(1.0)
            said = self.repeated.answer(query, HOST, now=self.elsewhere.clock.seconds())
            assert said is not None
            self.assertEqual(dns.message.from_wire(said).answer[0].ttl, 300 - age)
        self.assertEqual((self.event(Event.HITS), self.event(Event.REPEATED)), (300, 0))
        self.assertEqual(self.counts.types, [301, *[0] * len(TYPES)])
        self.elsewhere.clock.advance(1.0)
        self.assertIsNone(self.repeated.answer(query, HOST, now=self.elsewhere.clock.seconds()))
        self.assertEqual(self.repeated._said, {})

    def test_not_after_a_reload(self) -> None:
        """The name may be ours now."""
        self.know()
        query = dns.message.make_query("www.example.net.", "A").to_wire()
        self.octets(query)
        self.configure()
        self.octets(query)
        self.assertEqual(self.event(Event.REPEATED), 0)
