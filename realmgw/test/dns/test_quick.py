"""The fast path against the full one: two gateways, one of which has no fast path, are asked the same."""

from __future__ import annotations

from typing import Any

import attrs
import dns.edns
import dns.flags
import dns.message
import dns.rdatatype
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.allocator import Allocator
from realmgw.config import settings
from realmgw.dns.answers import Asker
from realmgw.dns.counts import Count
from realmgw.dns.wan import WanAnswers
from realmgw.dns.wire import BadQueryError, Query, decode
from realmgw.dns.zones import compile_table
from realmgw.errors import Reason
from realmgw.subscribers.model import Directory, Service
from realmgw.test.dns import realm

RESOLVERS = ("198.51.100.53", "198.51.100.54", "203.0.113.53", "2001:db8::53")
NAMES = (
    "one.example.org.",
    "Two.Example.ORG.",
    "deep.empty.nodes.example.org.",
    "nodes.example.org.",
    "www.two.example.org.",
    "nobody.example.org.",
    "x.y.nobody.child.example.org.",
    "below.ns1.example.org.",
    "below.hostmaster.example.org.",
    "below.xyz.example.org.",
    "below.hostmaestr.example.org.",
    "child.example.org.",
    "ns1.example.org.",
    "example.org.",
    "a.example.org.",
    "x.a.example.org.",
    "1.0.168.192.in-addr.arpa.",
    "example.net.",
    "org.",
    ".",
    f"{'l' * 63}.{'o' * 63}.{'n' * 63}.{'g' * 40}.example.org.",
    f"{'l' * 63}.{'o' * 63}.{'n' * 63}.{'g' * 40}.example.net.",
)
KINDS = ("A", "A", "A", "A", "AAAA", "HTTPS", "ANY", "DS", "NS", "SOA", "AXFR", "OPT", "TYPE97")
SWITCHES = ("tcpcname", "tcp", "cname", "adaptive", "log_untrusted")


@attrs.frozen
class Step:
    """One query of a course of them."""

    name: str | None = None
    """What is asked for; None: the alias that was given last."""
    kind: str = "A"
    """Of what type."""
    resolver: str = RESOLVERS[0]
    """From where."""
    tcp: bool = False
    """By TCP."""
    cookie: str = ""
    """Whether there is an OPT record, and what cookie in it."""
    flags: int = dns.flags.RD
    """Of the header."""
    wait: float = 0.0
    """Seconds since the one before."""
    id: int = 7
    """The ID."""


class Gateway:
    """A WAN's face with everything behind it, by itself."""

    def __init__(self, made: settings.Settings, has_quick: bool) -> None:
        """Nothing was asked."""
        self.now = 100.0
        self.later: list[Any] = []
        self.allocator = Allocator(settings.Allocation(), [realm.POOL], now=self.now, policy=made.policy)
        # A zone's apex without an address can be a service as well.
        table = compile_table(made.zones, realm.directory(extra=("child.example.org.",)))
        defences = realm.defences(made, most=4)
        self.wan = WanAnswers(table, made, self.allocator, defences, lambda *args: self.later.append(args))
        self.delivered: list[bytes] = []
        self._has_quick = has_quick

    def ask(self, message: bytes, resolver: str, tcp: bool) -> bytes | None:
        """What is said to a query; None if nothing yet, or if it can not be read."""
        address = (resolver, 5353) if not tcp else (resolver, 5353, 1)
        outcome = self.wan.quick(message, address, now=self.now, tcp=tcp) if self._has_quick else None
        if isinstance(outcome, bytes):
            return outcome
        try:
            return self.wan.answer(decode(message), Asker(address, self._deliver, tcp), now=self.now, refused=outcome)
        except BadQueryError:
            return None

    def _deliver(self, query: Query, outcome: bytes | Reason) -> None:
        del query, outcome

    @property
    def books(self) -> tuple[Any, ...]:
        """What was counted and noted."""
        groups = sorted(
            (str(group.nodes), group.passed, group.proven_at, group.trusted, group.untrusted)
            for group in self.allocator.groups
        )
        return (self.wan.counts.events, self.wan.counts.refused, attrs.asdict(self.allocator.counters), groups)


class Pair:
    """Both gateways, and what they have said."""

    def __init__(self, made: settings.Settings) -> None:
        """Alike."""
        self.one, self.other = Gateway(made, True), Gateway(made, False)
        self.alias = "0" * 32 + ".a.example.org."
        self.cookies: dict[str, bytes] = {}

    def ask(self, step: Step) -> tuple[bytes | None, bytes | None]:
        """What both say."""
        self.one.now += step.wait
        self.other.now += step.wait
        message = self.message(step)
        answers = [gateway.ask(message, step.resolver, step.tcp) for gateway in (self.one, self.other)]
        if answers[1]:
            self.learn(step, dns.message.from_wire(answers[1]))
        return answers[0], answers[1]

    def message(self, step: Step) -> bytes:
        """A query."""
        query = dns.message.make_query(step.name or self.alias, step.kind, id=step.id, flags=step.flags)
        if step.cookie:
            data = {
                "client": b"12345678",
                "given": self.cookies.get(step.resolver, b"12345678"),
                "forged": b"12345678" + bytes((1, 0, 0, 0)) + bytes(12),
                "short": b"12345678" + bytes(8),
                "malformed": b"123456789",
            }.get(step.cookie)
            query.use_edns(0, options=[] if data is None else [dns.edns.GenericOption("10", data)])
            if step.cookie == "do":
                query.use_edns(0, dns.flags.DO)
        return bytes(query.to_wire())

    def learn(self, step: Step, answer: dns.message.Message) -> None:
        """Notes the cookie and the alias that were given."""
        for option in answer.options:
            if option.otype == 10:
                self.cookies[step.resolver] = option.to_wire() or b""
        for rrset in answer.answer:
            if rrset.rdtype == dns.rdatatype.CNAME:
                self.alias = rrset[0].target.to_text()


STEPS = st.builds(
    Step,
    name=st.one_of(st.sampled_from(NAMES[:2]), st.none(), st.sampled_from(NAMES)),
    kind=st.sampled_from(KINDS),
    resolver=st.sampled_from(RESOLVERS),
    tcp=st.sampled_from([False, False, True]),
    cookie=st.sampled_from(["", "", "plain", "do", "client", "given", "given", "forged", "short", "malformed"]),
    flags=st.sampled_from([0, dns.flags.RD, dns.flags.RD | dns.flags.AD, dns.flags.CD, dns.flags.TC]),
    wait=st.sampled_from([0.0, 0.0, 0.0, 0.0, 0.0, 0.01, 0.3, 3.0, 400.0]),
    id=st.integers(0, 3),
)
RESOLUTIONS = st.builds(
    lambda one, other, tcp: [
        attrs.evolve(one, kind="A", wait=0.0),
        attrs.evolve(one, name=None, kind="A", wait=0.0, tcp=tcp),
        attrs.evolve(one, name=None, kind="A", wait=0.0, id=other, tcp=tcp),
    ],
    STEPS,
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
        """The whole course long; and what is said is a response to what was asked."""
        pair = Pair(made)
        for step in steps:
            quick, full = pair.ask(step)
            self.assertEqual(quick, full)
            self.assertEqual(pair.one.books, pair.other.books)

    @given(MADE, STEPS, st.data())
    @hypothesis_settings(max_examples=200, deadline=None)
    def test_say_the_same_to_what_is_damaged(self, made: settings.Settings, step: Step, data: st.DataObject) -> None:
        """Cut, lengthened, or with other octets."""
        pair = Pair(made)
        message = pair.message(step)
        at = data.draw(st.integers(0, len(message) - 1))
        changed = message[:at] + data.draw(st.binary(min_size=1, max_size=2)) + message[at + 1 :]
        for octets in (message[:at], message + b"\0", changed):
            quick, full = [gateway.ask(octets, step.resolver, step.tcp) for gateway in (pair.one, pair.other)]
            self.assertEqual(quick, full)

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
            answer = wan.quick(pair.message(step), address, now=100.0, tcp=step.tcp)
            self.assertIsInstance(answer, bytes, step)
            self.assertEqual(wan.counts.events[count], before + 1, step)
            pair.learn(step, dns.message.from_wire(answer))  # type: ignore[arg-type]

    def test_cut_what_is_too_long_for_the_fast_path(self) -> None:
        """An alias in a zone with a long name, for a long name: TC, or whole where it may be longer."""
        long = f"{'l' * 63}.{'o' * 63}.{'n' * 63}.{'g' * 40}.example.org."
        zones = (*realm.ZONES, attrs.evolve(realm.ALIASES, name=f"{'a' * 63}.{'b' * 63}.{'c' * 63}.dd.example.net."))
        policy = settings.Policy(challenges=settings.Challenges(cname=True))
        pair = Pair(realm.make_settings(policy, zones=zones))
        for gateway in (pair.one, pair.other):
            host = next(iter(realm.directory().hosts.values()))
            wide = Directory({long: Service(long, host)}, {})
            gateway.wan.replace(compile_table(zones, wide))
        for cookie, flag in (("", dns.flags.TC), ("plain", 0)):
            quick, full = pair.ask(Step(long, cookie=cookie))
            assert quick is not None
            self.assertEqual(quick, full)
            self.assertEqual(dns.message.from_wire(quick).flags & dns.flags.TC, flag)

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
            gateway.wan.regard(made)
            gateway.wan.replace(compile_table(made.zones, realm.directory()))
        for step in (Step("nobody.example.org.", cookie="plain"), Step("one.example.org.", cookie="client")):
            quick, full = pair.ask(step)
            assert quick is not None
            self.assertEqual(quick, full)
            self.assertEqual(dns.message.from_wire(quick).payload, 999)
