"""Views that are put together from other parts than ours: what a part can do, and when."""

from __future__ import annotations

import sys
from types import FrameType

import attrs
import dns.message
import dns.rcode
from twisted.trial.unittest import SynchronousTestCase

from realmgw.dns.codec.message import Response
from realmgw.dns.codec.wire import Query, Rcode, decode
from realmgw.dns.counts import Count
from realmgw.dns.decision import Outcome
from realmgw.dns.view import Answer, Asked, Asker, Sender, Senders, View, said
from realmgw.dns.zones import compile_table
from realmgw.test.dns import realm

QUERY = decode(dns.message.make_query("www.example.net.", "A").to_wire())


class CountingSenders(Senders):
    """Knows how many queries were read."""

    count = 0

    def read(self, query: Query, asker: Asker, now: float) -> Sender:
        """One more."""
        self.count += 1
        return super().read(query, asker, now)


class PartTests(SynchronousTestCase):
    """A LAN's view with a part for names that are not ours, as one that forwards them would be."""

    def setUp(self) -> None:
        """It has not answered yet."""
        self.view = realm.lan()
        self.view.parts = {Outcome.ELSEWHERE: self.part}
        self.kept: list[Asked] = []
        self.delivered: list[bytes] = []
        self.failed: list[bool] = []

    def part(self, asked: Asked) -> Answer | None:
        """Keeps the query."""
        self.kept.append(asked)
        return None

    def ask(self) -> Asked:
        """Asks, and is told that the answer comes later."""
        asker = Asker(realm.RESOLVER, self.delivered.append, fail=lambda: self.failed.append(True))
        self.assertIsNone(self.view.answer(QUERY, asker, now=1.0))
        return self.kept[-1]

    def test_it_answers_later(self) -> None:
        """What it says gets its form, and is counted, when it says it."""
        asked = self.ask()
        self.assertEqual(self.view.counts.events[Count.SERVFAIL], 0)
        asked.respond(lambda: said(Response(Rcode.SERVFAIL)))
        self.assertEqual(dns.message.from_wire(self.delivered[0]).rcode(), dns.rcode.SERVFAIL)
        self.assertEqual(self.view.counts.events[Count.SERVFAIL], 1)

    def test_it_hands_over_a_whole_message(self) -> None:
        """Which was made elsewhere: octet by octet."""
        self.ask().asker.deliver(b"a message")
        self.assertEqual(self.delivered, [b"a message"])

    def test_its_fault_reaches_the_server_and_not_who_calls(self) -> None:
        """Nothing is delivered."""
        self.ask().respond(lambda: said(Response(Rcode(1 // 0))))
        self.assertEqual((self.delivered, self.failed), ([], [True]))

    def test_it_may_be_for_an_opcode(self) -> None:
        """UPDATE is 5 (RFC 2136); all others are NOTIMP as before."""
        self.view.opcodes = {5: self.part}
        for opcode, later in ((5, True), (4, False)):
            update = attrs.evolve(QUERY, flags=opcode << 11)
            asker = Asker(realm.RESOLVER, self.delivered.append)
            self.assertEqual(self.view.answer(update, asker, now=1.0) is None, later)
        self.assertEqual((len(self.kept), self.view.counts.events[Count.NOTIMP]), (1, 1))

    def test_it_gets_what_was_read_once(self) -> None:
        """However late it answers."""
        self.view.senders = senders = CountingSenders()
        self.ask().respond(lambda: said(Response(Rcode.REFUSED)))
        self.assertEqual(senders.count, 1)


class ReloadTests(SynchronousTestCase):
    """A view that is told its zones anew."""

    def calls(self, view: View, count: int) -> int:
        """How many functions are called, with so many zones."""
        zones = tuple(attrs.evolve(realm.CHILD, name=f"z{number}.example.org.") for number in range(count))
        made = realm.make_settings(zones=(realm.ZONE, *zones))
        table, counted = compile_table(made.zones, realm.directory()), 0

        def seen(_: FrameType, event: str, __: object) -> None:
            nonlocal counted
            counted += event == "call"

        before = sys.getprofile()
        sys.setprofile(seen)
        try:
            view.configure(made, table)
        finally:
            sys.setprofile(before)
        return counted

    def test_nothing_is_made_of_each_zone(self) -> None:
        """A reload tells all of them at once, and there may be tens of thousands."""
        for view in (realm.wan(), realm.lan()):
            self.assertGreater(self.calls(view, 1), 1)
            self.assertEqual(self.calls(view, 1000), self.calls(view, 1))
