"""Tests for `realmgw.dns.forward.inward`: aliases of other people's names that lead to ours."""

from __future__ import annotations

from ipaddress import IPv6Network
from typing import Any

import dns.edns
import dns.flags
import dns.message
import dns.rcode

from realmgw.config import settings
from realmgw.dns.codec.wire import decode
from realmgw.dns.counts import Count
from realmgw.dns.view import Answer, Asker
from realmgw.dns.zones import compile_table
from realmgw.subscribers.model import Directory
from realmgw.test.dns import realm
from realmgw.test.dns.forward import test_forwarder
from realmgw.test.dns.forward.resolvers import TWO

ALIAS, OTHER = "www.example.net. 300 IN CNAME one.example.org.", "www.example.net. 300 IN CNAME a.example.com."
LENT = "one.example.org. 0 IN A 192.0.2.1"
SOA = "example.org. 5 IN SOA ns.example.org. h.example.org. 1 2 3 4 5"
SIGNATURE = "300 IN RRSIG {} 8 3 300 20300101000000 20200101000000 1 example.net. AAAA"


class InwardTests(test_forwarder.ForwarderTestCase):
    """`example.net` is internal, `example.org` is ours."""

    def setUp(self) -> None:
        """As the gateway has it."""
        super().setUp()
        self.forwarder.ours = self.view.said_of
        self.configure(internal=("example.net.",))

    def told(self, *records: str, kind: str = "A", **said: Any) -> dns.message.Message:
        """The answer to `www.example.net.`, which resolvers answer like this."""
        self.assertIsNone(self.ask(kind=kind))
        self.elsewhere.last.say(*records, **said)
        return self.delivered[-1][1]

    def lines(self, answer: dns.message.Message) -> list[str]:
        """Its answers."""
        return [line for each in answer.answer for line in each.to_text().split("\n")]

    def test_ends_with_what_the_lan_is_told(self) -> None:
        """Whatever resolvers say of it, also from what is kept, with TTLs that go down, and once for all."""
        answer = self.told(ALIAS, LENT)
        own = "one.example.org. 30 IN A 192.168.0.1"
        self.assertEqual(self.lines(answer), [ALIAS, own])
        self.assertEqual((answer.options, answer.flags & dns.flags.AD), ((), 0))
        self.elsewhere.clock.advance(100)
        self.assertEqual(self.lines(self.ask()), [ALIAS.replace("300", "200"), own])
        self.assertEqual(len(self.elsewhere.transport.sent), 1)
        self.assertEqual(self.counts.events[Count.FORWARDED], 2)
        self.elsewhere.clock.advance(200)
        self.assertIsNone(self.ask())

    def test_at_the_end_of_several(self) -> None:
        """And with their signatures, for who asks for them; not with what others sign."""
        signatures = [SIGNATURE.format(each) for each in ("CNAME", "A")]
        further = "a.example.com. 60 IN CNAME one.example.org."
        self.assertIsNone(self.ask(want_dnssec=True))
        self.elsewhere.last.say(OTHER, signatures[0], signatures[1], further, LENT)
        lines = self.lines(self.delivered[-1][1])
        self.assertEqual([line.split()[3] for line in lines], ["CNAME", "RRSIG", "CNAME", "A"])
        self.elsewhere.clock.advance(60)
        self.assertIsNone(self.ask(want_dnssec=True), "as long as the shortest")

    def test_it_is_said_by_what_there_is_now(self) -> None:
        """A name that the Internet is told that there is none of, and the other way round; types, and their lack."""
        answer = self.told(ALIAS, rcode="NXDOMAIN", authority=SOA)
        self.assertEqual((answer.rcode(), len(self.lines(answer))), (dns.rcode.NOERROR, 2))
        answer = self.told("www.example.net. 300 IN CNAME none.example.org.", LENT, kind="AAAA")
        self.assertEqual((answer.rcode(), len(self.lines(answer))), (dns.rcode.NXDOMAIN, 1))
        self.assertEqual(str(answer.authority[0].name), "example.org.")
        answer = self.told(ALIAS, kind="MX")
        self.assertEqual((answer.rcode(), len(self.lines(answer))), (dns.rcode.NOERROR, 1))
        self.assertEqual(str(answer.authority[0].name), "example.org.")

    def test_the_same_octets_are_not_given_again(self) -> None:
        """Within the same second there may be somebody else of that name: it is looked at each time."""
        self.told(ALIAS, LENT)
        wire = dns.message.make_query("www.example.net.", "A", use_edns=0).to_wire()
        now, seen = self.elsewhere.clock.seconds(), []

        def ours(asked: Any) -> Answer | None:
            seen.append(asked.query.name)
            return self.view.said_of(asked)

        self.forwarder.ours = ours
        self.assertIsNone(self.repeated.answer(wire, test_forwarder.HOST, now=now))
        first = self.view.answer(decode(wire), Asker(test_forwarder.HOST, lambda octets: None), now=now)
        for _ in range(2):
            self.assertEqual(self.repeated.answer(wire, test_forwarder.HOST, now=now), first)
        self.assertEqual(seen, [b"\3one\7example\3org\0"] * 3)

    def test_zones_that_are_others_after_a_reload(self) -> None:
        """What is kept led into one that is no more, or not into one that is new: it is asked for again."""
        fewer, far = realm.ZONES[1:], "one.example.org. 300 IN A 198.51.100.7"
        self.told(ALIAS, LENT)
        for zones, records in ((fewer, [ALIAS, far]), (realm.ZONES, [ALIAS, "one.example.org. 30 IN A 192.168.0.1"])):
            table = compile_table(zones, Directory({}, {}) if zones is fewer else realm.directory())
            forward = settings.Forwarding(resolvers=(TWO,), internal=("example.net.",))
            made = realm.make_settings(zones=zones, forward=forward)
            for each in (self.forwarder, self.view):
                each.configure(made, table)
            self.assertEqual(self.lines(self.told(ALIAS, far)), records)
            self.assertEqual(self.lines(self.ask()), records)

    def test_who_asks_for_aliases_gets_them(self) -> None:
        """And for all there is."""
        for kind in ("CNAME", "ANY"):
            self.assertEqual(self.lines(self.told(ALIAS, kind=kind)), [ALIAS])

    def test_nothing_is_made_of_it(self) -> None:
        """DNS64 leaves names of ours as they are."""
        prefix = IPv6Network("2001:db8:64::/96")
        self.configure(internal=("example.net.",), dns64=settings.Dns64(prefix))
        answer = self.told(ALIAS, kind="AAAA")
        self.assertEqual((self.lines(answer), str(answer.authority[0].name)), ([ALIAS], "example.org."))

    def test_what_has_outlived_its_ttl(self) -> None:
        """Leads there still, if it may."""
        self.configure(internal=("example.net.",), stale=3600)
        self.told(ALIAS, LENT)
        self.elsewhere.clock.advance(301)
        self.assertIsNone(self.ask())
        self.fail_all()
        answer = self.delivered[-1][1]
        self.assertEqual(self.lines(answer), [ALIAS.replace("300", "30"), "one.example.org. 30 IN A 192.168.0.1"])
        self.assertEqual([option.otype for option in answer.options], [dns.edns.OptionType.EDE])

    def test_names_of_others_lead_nowhere(self) -> None:
        """No page of theirs is to reach a host by them; nor do aliases that lead elsewhere change."""
        self.configure(internal=("example.com.",))
        answer = self.told(ALIAS, "one.example.org. 0 IN A 192.168.0.1")
        self.assertEqual(self.lines(answer), [ALIAS])
        self.assertEqual([option.otype for option in answer.options], [dns.edns.OptionType.EDE])
        self.configure(internal=("example.net.",), resolvers=(TWO,))
        far = "a.example.com. 300 IN A 198.51.100.7"
        self.assertEqual(self.lines(self.told(OTHER, far)), [OTHER, far])

    def test_who_does_not_know_ours_asks_who_does(self) -> None:
        """In a process of its own: for internal names, and no others."""
        handed = []
        self.forwarder.careful = lambda asked: handed.append(asked.query.name)
        self.assertIsNone(self.ask())
        self.assertEqual((handed, self.elsewhere.transport.sent), ([b"\3www\7example\3net\0"], []))
        self.assertIsNone(self.ask("www.example.com."))
        self.assertEqual((len(handed), len(self.elsewhere.transport.sent)), (1, 1))
