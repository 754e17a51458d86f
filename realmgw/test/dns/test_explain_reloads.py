"""The fast path, the full one and `explain` are asked the same, while settings and names change under them."""

from __future__ import annotations

from ipaddress import ip_address

import attrs
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.explain import explain_ask
from realmgw.allocation.reputation.challenges import Challenge, Proof
from realmgw.config import settings
from realmgw.dns.codec import names
from realmgw.dns.codec.wire import Rcode, Type
from realmgw.dns.counts import Count
from realmgw.dns.explain import NameExplanation, Question, explain_name
from realmgw.errors import Reason
from realmgw.subscribers.model import Directory, Service, Terms
from realmgw.test.dns import realm
from realmgw.test.dns.pair import RESOLVERS, STEPS, SWITCHES, Gateway, Pair, Step

HARMLESS = {"subnet", "subnet of IPv6", "no subnet", "no family", "NSID", "keepalive", "padding", "client", "unknown"}
"""Options that make no difference to who asks without an agreement."""
OTHER_ALIASES = attrs.evolve(realm.ALIASES, name="b.example.org.")
FAR_ALIASES = attrs.evolve(realm.ALIASES, name="x.y.example.net.")
NO_ALIASES = attrs.evolve(realm.ALIASES, aliases=False)
NESTED = attrs.evolve(realm.CHILD, name="e.f.child.example.org.", challenges=settings.Challenges(tcp=True))
ZONES = (
    (*realm.ZONES, realm.ALIASES),
    (*realm.ZONES, OTHER_ALIASES),
    (*realm.ZONES, FAR_ALIASES),
    (*realm.ZONES, NO_ALIASES),
    (realm.ZONE, realm.REVERSE),
    (*realm.ZONES, realm.ALIASES, NESTED),
)
ONE, TWO = realm.host(1, "one.example.org."), realm.host(2, "two.example.org.")
MOVED = realm.host(3, "one.example.org.")
DIRECTORIES = (
    realm.directory(extra=("child.example.org.",)),
    realm.directory(),
    Directory({"one.example.org.": Service("one.example.org.", MOVED, Terms(proxy_required=True))}, {3: MOVED}),
    Directory(
        {
            "two.example.org.": Service("two.example.org.", TWO),
            "www.two.example.org.": Service("www.two.example.org.", TWO, Terms(protocol=6, port=443)),
            "child.example.org.": Service("child.example.org.", ONE, Terms(proxy_required=True)),
        },
        {1: ONE, 2: TWO},
    ),
)
MADE = st.builds(
    lambda words, rate, audit, cookies, refuse, zones, pool, size: realm.make_settings(
        settings.Policy(
            challenges=settings.Challenges(**dict.fromkeys(words, True)), audit=tuple(audit), refuse_udp=refuse
        ),
        settings.RateLimit(rate),
        zones,
        pool,
        cookies=settings.Cookies(enabled=cookies),
        udp_size=size,
    ),
    st.sets(st.sampled_from(SWITCHES), max_size=2),
    st.sampled_from([0, 0, 3]),
    st.sets(st.sampled_from(settings.Audit), max_size=1),
    st.booleans(),
    st.sampled_from(settings.Refusal),
    st.sampled_from(ZONES),
    st.sampled_from([realm.SERVICE_POOL, ()]),
    st.sampled_from([512, 1232]),
)
RELOADS = st.tuples(MADE, st.sampled_from(DIRECTORIES))
RESOLUTIONS = st.builds(
    lambda one, kinds, resolver, tcp, cookie: [
        attrs.evolve(one, kind=kinds[0], wait=0.0),
        attrs.evolve(one, name=None, kind=kinds[1], wait=0.0, tcp=tcp, resolver=resolver, cookie=cookie),
    ],
    STEPS,
    st.tuples(*[st.sampled_from(["A", "AAAA"])] * 2),
    st.sampled_from(RESOLVERS),
    st.booleans(),
    st.sampled_from(["", "given", "client"]),
)
"""A name, and the alias that came of it, from the same resolver or another one."""
COURSES = st.lists(st.one_of(STEPS.map(lambda step: [step]), RESOLUTIONS, RELOADS), min_size=2, max_size=14)


def outcome(answer: bytes | None) -> object:
    """An answer in a word, or the address that is in it."""
    if not answer:
        return "silence" if answer is not None else "waits"
    said = dns.message.from_wire(answer)
    if said.rcode() != dns.rcode.NOERROR:
        return Rcode(said.rcode()).name
    if said.flags & dns.flags.TC:
        return "TC"
    if not said.answer:
        return "NODATA"
    rrset = said.answer[0]
    return "CNAME" if rrset.rdtype == dns.rdatatype.CNAME else tuple(sorted(each.address for each in rrset))


def foretold(gateway: Gateway, step: Step, found: NameExplanation) -> set[object]:
    """What an explanation allows, if the rate limit has no objection."""
    if found.response is not None:
        if found.response.rcode is not Rcode.NOERROR:
            return {found.response.rcode.name}
        if not found.response.answers:
            return {"NODATA"}
        return {tuple(sorted(str(ip_address(record.rdata)) for record in found.response.answers))}
    if found.challenge is not None:
        said = {Challenge.COOKIE: "BADCOOKIE", Challenge.TC: "TC", Challenge.CNAME: "CNAME"}[found.challenge]
        return {said, "TC"} if said == "CNAME" else {said}  # there may be too many aliases, or a name too long
    assert found.service is not None
    why = explain_ask(gateway.allocator, found.service, found.resolver, now=gateway.now, family=found.family)
    if why.address is not None:
        return {(str(ip_address(why.address)),)}
    if why.reason is None:
        return {"some address"}
    if why.reason is Reason.EXHAUSTED and not step.tcp and gateway.follows_tc(step.resolver):
        return {"TC", "some address"}
    if why.reason is Reason.EXHAUSTED:
        return {"waits", "some address", *_refused(step)}
    return _refused(step)


def _refused(step: Step) -> set[object]:
    return {"SERVFAIL", "waits", "NODATA"} if step.tcp else {"silence", "SERVFAIL"}


class AgreementTests(SynchronousTestCase):
    """Fast, full, and explained."""

    def reload(self, pair: Pair, made: settings.Settings, directory: Directory) -> None:
        """Both gateways are told."""
        for gateway in (pair.one, pair.other):
            gateway.reload(made, directory)

    def check(self, pair: Pair, step: Step) -> None:
        """One question."""
        wait, step = step.wait, attrs.evolve(step, wait=0.0)
        pair.one.pass_time(wait)
        pair.other.pass_time(wait)
        found = [self.explain(pair, gateway, step) for gateway in (pair.one, pair.other)]
        self.assertEqual(*(each and each.steps for each in found))
        before = list(pair.one.wan.counts.events)
        allowed = set() if found[0] is None else foretold(pair.one, step, found[0])
        retransmitted = pair.one.allocator.counters.retransmitted
        quick, full = pair.ask(step)
        self.assertEqual(quick, full, step)
        self.assertEqual(pair.one.books, pair.other.books)
        counted = [count for count in Count if pair.one.wan.counts.events[count] != before[count]]
        if found[0] is None or {Count.RATE_DROPPED, Count.RATE_SLIPPED, Count.MERGED} & set(counted):
            return  # no explanation knows how much was said before, nor of whom this query makes one
        if pair.one.allocator.counters.retransmitted != retransmitted:
            return  # explained is what becomes of a new question
        said = outcome(quick)
        self.assertTrue(
            said in allowed or ("some address" in allowed and isinstance(said, tuple)), (step, said, allowed)
        )

    def explain(self, pair: Pair, gateway: Gateway, step: Step) -> NameExplanation | None:
        """What would be said to a query of an address without malformed options; None for others."""
        if (
            step.kind not in ("A", "AAAA")
            or not step.usual
            or not set(step.others) <= HARMLESS
            or step.cookie == "malformed"
        ):
            return None
        query = dns.message.from_wire(pair.message(attrs.evolve(step, others=())))
        given = [option.to_wire() or b"" for option in query.options if option.otype == 10]
        enabled = gateway.defences.cookies.enabled
        valid = enabled and bool(given) and gateway.defences.cookies.proves(given[0], step.resolver, now=gateway.now)
        proof = Proof.TCP if step.tcp else Proof.COOKIE if valid else Proof.NONE
        name = names.to_text(query.question[0].name.to_wire() or b"")
        asked = Question(name, step.resolver, Type[step.kind], proof, enabled and bool(given))
        return explain_name(gateway.wan, asked, gateway.now)

    @given(MADE, COURSES)
    @hypothesis_settings(max_examples=100, deadline=None)
    def test_the_three_say_the_same(self, made: settings.Settings, course: list[object]) -> None:
        """Whatever is asked, how, and whatever was reloaded before; octet by octet where there are octets."""
        pair = Pair(made)
        for part in course:
            if isinstance(part, tuple):
                self.reload(pair, *part)
            else:
                assert isinstance(part, list)
                for step in part:
                    self.check(pair, step)

    def test_who_has_passed_shows_it_again_without_challenges(self) -> None:
        """By TCP, or with a cookie, for a name or an alias: as well when nothing is asked for any longer."""
        switches = settings.Challenges(tcp=True), settings.Challenges()
        made = [realm.make_settings(settings.Policy(challenges=each), zones=ZONES[0]) for each in switches]
        for step in (Step("one.example.org.", tcp=True), Step("one.example.org.", cookie="given")):
            pair = Pair(made[0])
            self.check(pair, Step("one.example.org.", tcp=True, cookie="client"))
            self.reload(pair, made[1], DIRECTORIES[0])
            self.check(pair, attrs.evolve(step, id=8, wait=5.0))
            self.assertEqual(pair.one.allocator.groups.of(step.resolver).proven_at, pair.one.now)

    def test_an_alias_outlives_the_challenges(self) -> None:
        """Whoever was told it gets his address; anybody else shows first where he is. Nobody is told NXDOMAIN."""
        switches = settings.Challenges(cname=True), settings.Challenges()
        made = [realm.make_settings(settings.Policy(challenges=each), zones=ZONES[0]) for each in switches]
        for step, said in (
            (Step(None), (("192.0.2.0",),)),
            (Step(None, resolver=RESOLVERS[1]), ("TC",)),
            (Step(None, resolver=RESOLVERS[1], cookie="client"), ("BADCOOKIE",)),
            (Step(None, resolver=RESOLVERS[1], tcp=True), (("192.0.2.0",),)),
        ):
            pair = Pair(made[0])
            self.check(pair, Step("one.example.org."))
            self.reload(pair, made[1], DIRECTORIES[0])
            self.check(pair, step)
            quick, _ = pair.ask(attrs.evolve(step, id=step.id + 1))
            self.assertEqual((outcome(quick),), said)

    def test_an_alias_ends_with_its_zone(self) -> None:
        """It lies in none of ours then; with another zone for aliases, those of the zone before live on."""
        made = realm.make_settings(settings.Policy(challenges=settings.Challenges(cname=True)), zones=ZONES[2])
        without = attrs.evolve(FAR_ALIASES, aliases=False)
        for zones, said in (
            (ZONES[4], "REFUSED"),
            ((*realm.ZONES, without), ("192.0.2.0",)),
        ):
            pair = Pair(made)
            self.check(pair, Step("one.example.org."))
            self.reload(pair, realm.make_settings(zones=zones), DIRECTORIES[0])
            self.check(pair, Step(None))
            quick, _ = pair.ask(Step(None, id=9))
            self.assertEqual(outcome(quick), said)
