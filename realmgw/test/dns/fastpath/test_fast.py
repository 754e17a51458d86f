"""The fast path against the full one: two gateways, one of which has no fast path, are asked the same."""

from __future__ import annotations

import sys
from types import FrameType

import attrs
import dns.edns
import dns.flags
import dns.message
import dns.rdatatype
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config import settings
from realmgw.dns.counts import QUERIES, Count
from realmgw.dns.fastpath.fast import REMEMBERED
from realmgw.dns.fastpath.headers import OPT_BEGINS
from realmgw.dns.zones import compile_table
from realmgw.subscribers.model import Directory, Service, Terms
from realmgw.test.dns import realm
from realmgw.test.dns.forward.resolvers import ONE
from realmgw.test.dns.pair import NAMES, STEPS, SWITCHES, Pair, Step, misshapen

RESOLUTIONS = st.builds(
    lambda one, kinds, other, tcp: [
        attrs.evolve(one, kind=kinds[0], wait=0.0),
        attrs.evolve(one, name=None, kind=kinds[1], wait=0.0, tcp=tcp),
        attrs.evolve(one, name=None, kind=kinds[2], wait=0.0, id=other, tcp=tcp),
    ],
    STEPS,
    st.tuples(*[st.sampled_from(["A", "A", "AAAA"])] * 3),
    st.integers(0, 3),
    st.booleans(),
)
"""A name, the alias that came of it, and the alias again."""
COURSES = st.lists(
    st.one_of(STEPS.map(lambda step: [step]), RESOLUTIONS, st.builds(lambda step: [step] * 4, STEPS)),
    min_size=1,
    max_size=12,
).map(lambda parts: [step for part in parts for step in part])
MADE = st.builds(
    lambda words, rate, audit, cookies, refuse: realm.make_settings(
        settings.Policy(
            challenges=settings.Challenges(**dict.fromkeys(words, True)), audit=tuple(audit), refuse_udp=refuse
        ),
        settings.RateLimit(rate),
        (*realm.ZONES, realm.ALIASES),
        cookies=settings.Cookies(enabled=cookies),
    ),
    st.sets(st.sampled_from(SWITCHES), max_size=2),
    st.sampled_from([0, 2]),
    st.sets(st.sampled_from(settings.Audit), max_size=1),
    st.booleans(),
    st.sampled_from(settings.Refusal),
)


class BothPathsTests(SynchronousTestCase):
    """With every combination of switches, cookies, transports, and what went before."""

    @given(MADE, COURSES)
    @hypothesis_settings(max_examples=200, deadline=None)
    def test_say_the_same_octets_and_count_the_same(self, made: settings.Settings, steps: list[Step]) -> None:
        """The whole course long; what is said is a response to what was asked, and each answer counts as one thing."""
        pair, answered = Pair(made), 0
        for step in steps:
            quick, full = pair.ask(step)
            self.assertEqual(quick, full)
            answered += quick is not None
            counted = sum(pair.one.wan.counts.events[each] for each in QUERIES)
            self.assertEqual(counted, answered + len(pair.one.delivered), step)
            self.assertEqual(sum(pair.one.wan.counts.types), counted, step)
            self.assertEqual(pair.one.books, pair.other.books)
            self.assertEqual(full and misshapen(pair.asked, full), full and [], (step, full))

    @given(MADE, STEPS, st.data())
    @hypothesis_settings(max_examples=200, deadline=None)
    def test_say_the_same_to_what_is_damaged(self, made: settings.Settings, step: Step, data: st.DataObject) -> None:
        """Cut, lengthened, or with other octets."""
        pair = Pair(made)
        message = pair.message(step)
        at = data.draw(st.integers(0, len(message) - 1))
        changed = message[:at] + data.draw(st.binary(min_size=1, max_size=2)) + message[at + 1 :]
        for octets in (message[:at], message + b"\0", message + OPT_BEGINS, changed):
            quick, full = [gateway.ask(octets, step.resolver, step.tcp) for gateway in (pair.one, pair.other)]
            self.assertEqual(quick, full)

    def test_leave_records_that_are_not_counted_to_the_full_path(self) -> None:
        """What follows the last record is FORMERR, and be it the beginning of an OPT record."""
        pair = Pair(realm.make_settings())
        message = pair.message(Step("one.example.org."))
        for octets in (message + OPT_BEGINS, message[:11] + b"\1" + message[12:], message + b"\0"):
            self.assertIsNone(pair.one.wan.fast(octets, realm.RESOLVER, now=100.0))

    def test_take_the_usual_queries_on_the_fast_path(self) -> None:
        """All of these; without that the tests above would compare the full path with itself."""
        policy = settings.Policy(system_load=(), challenges=settings.Challenges(tcp=True, cname=True))
        made = realm.make_settings(policy, zones=(*realm.ZONES, realm.ALIASES))
        pair = Pair(made)
        for step, count in (
            (Step("one.example.org."), Count.CHALLENGED_TC),
            (Step("one.example.org.", cookie="client"), Count.CHALLENGED_COOKIE),
            (Step("one.example.org.", cookie="given"), Count.CHALLENGED_CNAME),
            (Step(cookie="given"), Count.RESERVED),
            (Step("one.example.org.", tcp=True), Count.CHALLENGED_CNAME),
            (Step(tcp=True), Count.RESERVED),
            (Step("one.example.org.", "AAAA"), Count.NODATA),
            (Step("one.example.org.", "HTTPS", cookie="given"), Count.NODATA),
            (Step("nobody.example.org.", cookie="client"), Count.NXDOMAIN),
            (Step("example.net.", cookie="plain"), Count.REFUSED),
        ):
            wan = pair.one.wan
            before = wan.counts.events[count]
            address = (step.resolver, 5353)
            answer = wan.fast(pair.message(step), address, now=100.0, tcp=step.tcp)
            self.assertIsInstance(answer, bytes, step)
            self.assertEqual(wan.counts.events[count], before + 1, step)
            pair.learn(step, dns.message.from_wire(answer))  # type: ignore[arg-type]

    def called(self, pair: Pair, step: Step) -> list[str]:
        """Which functions of the DNS a query runs through that is answered on the fast path."""
        message, called, before = pair.message(step), list[str](), sys.getprofile()

        def seen(frame: FrameType, event: str, _: object) -> None:
            if event == "call" and frame.f_globals["__name__"].startswith("realmgw.dns."):
                called.append(frame.f_code.co_name)

        sys.setprofile(seen)
        try:
            answer = pair.one.wan.fast(message, realm.RESOLVER, now=101.0)
        finally:
            sys.setprofile(before)
        self.assertIsInstance(answer, bytes)
        return called

    def test_ask_nothing_twice_about_who_is_known(self) -> None:
        """By default a resolver shows now and then where it is; in between its queries run through two functions."""
        pair, step = Pair(realm.make_settings(settings.Policy())), Step("dual.example.org.", id=9)
        pair.one.wan.fast(pair.message(Step("one.example.org.")), (*realm.RESOLVER, 1), now=100.0, tcp=True)
        self.assertEqual(self.called(pair, step), ["answer", "_take_apart", "lets_pass"])
        self.assertEqual(self.called(pair, attrs.evolve(step, id=10)), ["answer", "lets_pass"])

    def test_take_apart_once_what_is_asked_for_all_the_time(self) -> None:
        """Unless the name is of nobody, cases are mixed, or very many other queries were taken apart since."""
        pair = Pair(realm.make_settings())
        usual, kinds = Step("one.example.org."), [f"TYPE{kind}" for kind in range(1000, 1000 + REMEMBERED)]
        for step, remembered in (
            (usual, True),
            (attrs.evolve(usual, cookie="plain"), True),
            (attrs.evolve(usual, cookie="client"), False),
            (attrs.evolve(usual, case=5), False),
            (attrs.evolve(usual, name="nobody.example.org."), False),
        ):
            self.assertIn("_take_apart", self.called(pair, step), step)
            self.assertEqual("_take_apart" not in self.called(pair, step), remembered, step)
        for kind in kinds:
            pair.one.wan.fast(pair.message(attrs.evolve(usual, kind=kind)), realm.RESOLVER, now=101.0)
        self.assertIn("_take_apart", self.called(pair, usual))

    def test_take_what_is_the_same_for_everybody_on_the_fast_path(self) -> None:
        """The zones' own names and the service pool's, and those beside them: nothing is left to the full path.

        Resolvers, which are the LAN's, change nothing of that.
        """
        pair = Pair(realm.make_settings(forward=settings.Forwarding(resolvers=(ONE,))))
        for name in (*NAMES[3:9], *NAMES[11:18]):
            for kind in ("A", "AAAA", "SOA", "NS", "DS", "TXT", "HTTPS", "PTR", "TYPE4711"):
                for cookie in ("", "plain", "client"):
                    step = Step(name, kind, cookie=cookie)
                    quick, full = pair.ask(step)
                    self.assertEqual(quick, full, step)
                    said = pair.one.wan.fast(pair.message(step), (step.resolver, 1), now=100.0)
                    self.assertIsInstance(said, bytes, step)

    def test_cut_what_is_too_long_for_the_fast_path(self) -> None:
        """An alias in a zone with a long name, for a long name: TC, or whole where it may be longer; counted once."""
        long = f"{'l' * 63}.{'o' * 63}.{'n' * 63}.{'g' * 40}.example.org."
        zones = (*realm.ZONES, attrs.evolve(realm.ALIASES, name=f"{'a' * 63}.{'b' * 63}.{'c' * 63}.dd.example.net."))
        policy = settings.Policy(challenges=settings.Challenges(cname=True, log_untrusted=True))
        pair = Pair(realm.make_settings(policy, zones=zones))
        for gateway in (pair.one, pair.other):
            host = next(iter(realm.directory().hosts.values()))
            wide = Directory({long: Service(long, host)}, {})
            gateway.wan.configure(gateway.settings, compile_table(zones, wide))
        for cookie, flag in (("", dns.flags.TC), ("plain", 0)):
            quick, full = pair.ask(Step(long, cookie=cookie))
            assert quick is not None
            self.assertEqual(quick, full)
            self.assertEqual(dns.message.from_wire(quick).flags & dns.flags.TC, flag)
            self.assertEqual(pair.one.books, pair.other.books)

    def test_cut_many_addresses_of_a_service_with_a_long_name(self) -> None:
        """As many as fit beside a short name; whichever was asked for first."""
        host, long = realm.host(1, "s.example.org."), NAMES[-2]
        names = {name: Service(name, host, Terms(proxy_required=True)) for name in (host.name, long)}
        for order in ((host.name, long), (long, host.name)):
            pair = Pair(realm.make_settings(service_pool=tuple(realm.GATEWAY + last for last in range(1, 21))))
            for gateway in (pair.one, pair.other):
                gateway.wan.configure(gateway.settings, compile_table(realm.ZONES, Directory(names, {})))
            for name in order:
                quick, full = pair.ask(Step(name))
                assert quick is not None
                self.assertEqual(quick, full)
                self.assertEqual(bool(dns.message.from_wire(quick).flags & dns.flags.TC), name == long)

    def test_compress_the_soa_of_names_below_its_own(self) -> None:
        """The SOA's name server and contact stand in some questions, and not in others of the same length."""
        for names in (NAMES[7:11], NAMES[10:6:-1]):
            pair = Pair(realm.make_settings())
            for name in names:
                quick, full = pair.ask(Step(name))
                self.assertEqual(quick, full)

    def test_have_only_so_many_aliases(self) -> None:
        """After that it is TC."""
        policy = settings.Policy(challenges=settings.Challenges(cname=True))
        pair = Pair(realm.make_settings(policy, zones=(*realm.ZONES, realm.ALIASES)))
        for number in range(6):
            quick, full = pair.ask(Step("one.example.org.", resolver=f"198.51.100.{number}"))
            self.assertEqual(quick, full)
        self.assertEqual(pair.one.books, pair.other.books)
        self.assertEqual(pair.one.wan.counts.events[Count.ALIASES_FULL], 2)

    def test_follow_a_change_of_table_and_settings(self) -> None:
        """The fast path's prepared octets go with them."""
        pair = Pair(realm.make_settings())
        other = attrs.evolve(realm.ZONE, contact="else.example.org.", negative_ttl=77)
        made = realm.make_settings(zones=(other,), udp_size=999)
        for step in (Step("nobody.example.org.", cookie="plain"), Step("one.example.org.", cookie="plain")):
            pair.ask(step)
        for gateway in (pair.one, pair.other):
            gateway.wan.configure(made, compile_table(made.zones, realm.directory()))
        for step in (Step("nobody.example.org.", cookie="plain"), Step("one.example.org.", cookie="client")):
            quick, full = pair.ask(step)
            assert quick is not None
            self.assertEqual(quick, full)
            self.assertEqual(dns.message.from_wire(quick).payload, 999)
