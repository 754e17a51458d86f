"""What the WAN wants of askers, whom it believes, and what it says to those whom the policy refuses."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any

import attrs
import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype

from realmgw.allocation.reputation.load_policy import Kind
from realmgw.config import settings
from realmgw.dns.counts import Count
from realmgw.dns.lending import AGAIN, MOST_AGAIN
from realmgw.errors import Reason
from realmgw.test.dns import realm
from realmgw.test.dns.allocator import MemoryAllocator
from realmgw.test.dns.gateway import CLIENT_COOKIE, ELSEWHERE, RESOLVER, ZONES, WanTestCase


class SwitchTests(WanTestCase):
    """What is said by which switch."""

    def test_says_what_the_switches_demand(self) -> None:
        """By bare UDP, with a client cookie, with a valid cookie, by TCP."""
        rows = {
            "": ["A", "A", "A", "A"],
            "tcp": ["TC", "BADCOOKIE", "A", "A"],
            "cname": ["CNAME", "CNAME", "CNAME", "CNAME"],
            "tcp cname": ["TC", "BADCOOKIE", "CNAME", "CNAME"],
            "tcpcname": ["TC", "BADCOOKIE", "CNAME", "CNAME"],
            "adaptive": ["TC", "BADCOOKIE", "A", "A"],
        }
        for words, expected in rows.items():
            with self.subTest(words):
                self.start(*words.split())
                ways: list[dict[str, Any]] = [{}, {"cookie": CLIENT_COOKIE}, {"cookie": self.cookie()}, {"tcp": True}]
                self.assertEqual([self.said(**each) for each in ways], expected)

    def test_gives_an_address_for_the_alias(self) -> None:
        """By bare UDP, unless it is tcpcname; by TCP in any case."""
        for words, expected in (("cname", "A"), ("tcp cname", "A"), ("tcpcname", "TC")):
            self.start(*words.split())
            self.assertEqual(self.said(self.alias(tcp=True)), expected)
            self.assertEqual(self.said(self.alias(tcp=True), tcp=True), "A")

    def test_challenges_only_what_would_be_reserved(self) -> None:
        """The zone's own names, other types, names of the proxy and names that are not are answered as ever."""
        self.start("tcpcname")
        rows = [
            ("example.org.", "A", "A"),
            ("example.org.", "SOA", "SOA"),
            ("ns1.example.org.", "A", "A"),
            ("one.example.org.", "AAAA", "NODATA"),
            ("one.example.org.", "HTTPS", "NODATA"),
            ("www.two.example.org.", "A", "A"),
            ("nobody.example.org.", "A", "NXDOMAIN"),
            ("example.net.", "A", "REFUSED"),
        ]
        for name, kind, expected in rows:
            self.assertEqual(self.said(name, kind), expected)

    def test_goes_by_the_zone_before_the_policy(self) -> None:
        """A zone with challenges of its own, and one without; on both paths."""
        own = attrs.evolve(realm.ZONE, challenges=settings.Challenges())
        self.start("tcp", zones=(own, realm.CHILD, realm.ALIASES))
        self.assertEqual(self.said(), "A")
        other = attrs.evolve(realm.ZONE, challenges=settings.Challenges(cname=True))
        self.start("tcp", zones=(other, realm.CHILD, realm.ALIASES))
        self.assertEqual([self.said(), self.said(cookie=bytes(16))], ["CNAME", "CNAME"])

    def test_goes_by_other_switches_after_a_reload(self) -> None:
        """Aliases that were given are known still."""
        self.start("cname")
        alias = self.alias()
        self.wan.configure(realm.make_settings(zones=ZONES), self.wan.table)
        self.assertEqual([self.said(), self.said(alias)], ["A", "A"])

    def test_only_counts_in_audit_mode(self) -> None:
        """Who was due a challenge is given his address."""
        self.start("tcp", audit=(settings.Audit.CHALLENGES,))
        self.assertEqual([self.said(), self.said(cookie=bytes(16)), self.said(tcp=True)], ["A", "A", "A"])
        self.assertEqual(self.events[Count.CHALLENGE_AUDITED], 2)

    def test_counts_how_queries_came(self) -> None:
        """Where `log_untrusted` is on; of groups that are known, there too."""
        self.start("tcp", "log_untrusted")
        ways: list[dict[str, Any]] = [{}, {"tcp": True}, {"cookie": self.cookie()}, {}]
        for how in ways:
            self.said(**how)
        group = self.allocator.groups.find(RESOLVER)
        assert group is not None
        self.assertEqual([self.events[each] for each in (Count.TRUSTED, Count.UNTRUSTED)], [2, 2])
        self.assertEqual((group.trusted, group.untrusted), (2, 1))


class ClientTests(WanTestCase):
    """Clients that resolvers name."""

    def setUp(self) -> None:
        """One resolver is believed."""
        super().setUp()
        group = settings.ResolverGroup((ip_network(f"{RESOLVER}/32"),), sla=True)
        self.fake = MemoryAllocator()
        self.policy = settings.Policy(system_load=(), groups=(group,))
        self.fake.configure_policy(self.policy, now=0.0)
        self.start(allocator=self.fake)

    def subnet(self, resolver: str = RESOLVER, name: str = "one.example.org.") -> tuple[int, int] | None:
        """The source and scope in the answer to a query with a subnet."""
        answer = self.ask(name, resolver=resolver, options=[dns.edns.ECSOption("198.18.7.0", 24)])
        assert answer is not None
        option = answer.options[0]
        assert isinstance(option, dns.edns.ECSOption)
        return option.srclen, option.scopelen

    def test_believes_whom_there_is_an_agreement_with(self) -> None:
        """The claim is bound to the network, and the answer's scope says so (RFC 7871 section 7.2.1)."""
        self.assertEqual(self.subnet(), (24, 24))
        (client,) = self.fake.clients
        assert client is not None
        assert client.network is not None
        self.assertIn(bytes((198, 18, 7, 9)), client.network)
        self.assertNotIn(bytes((198, 18, 8, 9)), client.network)

    def test_believes_nobody_else(self) -> None:
        """The option goes back with scope 0; so it does where nothing is reserved."""
        self.assertEqual(self.subnet(ELSEWHERE), (24, 0))
        self.assertEqual(self.fake.clients, [None])
        self.assertEqual(self.subnet(name="nobody.example.org."), (24, 0))

    def test_a_subnet_of_the_other_family_binds_no_claim(self) -> None:
        """It says for whom the question is, and his packets come by the family that he asked for."""
        self.start(groups=self.policy.groups)
        for name, kind, subnet, source in (
            ("one.example.org.", "A", ("2001:db8:7::", 48), bytes((198, 51, 100, 9))),
            ("six.example.org.", "AAAA", ("198.18.7.0", 24), ip_address("2001:db8:9::9").packed),
        ):
            answer = self.ask(name, kind, options=[dns.edns.ECSOption(*subnet)])
            assert answer is not None
            packed = ip_address(answer.answer[0][0].address).packed
            self.assertGreater(self.allocator.admit((source, packed, 6, 4000, 80), now=100.0), 0)
            (client,) = self.allocator.requestors
            self.assertEqual(self.allocator.requestors.forget(client.key), True)

    def test_a_subnet_of_ipv6_binds_the_claim(self) -> None:
        """To so long a prefix as it tells."""
        self.start(groups=self.policy.groups)
        answer = self.ask("six.example.org.", "AAAA", options=[dns.edns.ECSOption("2001:db8:7::", 48)])
        assert answer is not None
        packed = ip_address(answer.answer[0][0].address).packed
        for source, is_let_in in (("2001:db8:8::9", False), ("2001:db8:7:ffff::9", True)):
            said = self.allocator.admit((ip_address(source).packed, packed, 6, 4000, 80), now=100.0)
            self.assertEqual(said > 0, is_let_in)

    def test_has_no_subnet_in_the_answer_without_one(self) -> None:
        """RFC 7871 section 7.2.1."""
        answer = self.ask(use_edns=0)
        self.assertEqual(answer and answer.options, ())

    def test_knows_clients_by_the_local_options(self) -> None:
        """0xFF01 by its address, 0xFF02 by its name there."""
        self.ask(options=[dns.edns.GenericOption(str(0xFF01), b"\0\1\xc6\x12\x07\x09\0\6\0\x50")])
        self.ask(options=[dns.edns.GenericOption(str(0xFF02), b"phone")])
        by_address, by_name = self.fake.clients
        assert by_address is not None
        assert by_name is not None
        self.assertEqual(str(by_address.network), "198.18.7.9/32")
        self.assertIsNone(by_name.network)

    def test_reads_local_options_of_nobody_else(self) -> None:
        """Strangers may mean something else by them. Malformed ones of the believed are FORMERR."""
        for name, said in (("one.example.org.", "A"), ("nobody.example.org.", "NXDOMAIN"), ("example.org.", "A")):
            for code in (0xFF01, 0xFF02):
                option = dns.edns.GenericOption(str(code), b"")
                self.assertEqual(self.said(name, resolver=ELSEWHERE, options=[option]), said)
                self.assertEqual(self.said(name, options=[option]), "FORMERR")

    def test_believes_only_who_has_shown_where_he_is(self) -> None:
        """Where challenges are due, a bare datagram in the believed resolver's name is not believed."""
        self.start("adaptive", allocator=self.fake)
        self.fake.groups.proven(RESOLVER, now=100.0)
        self.assertEqual(self.subnet(), (24, 0))
        self.assertEqual(self.fake.clients, [None])


class SenderTests(WanTestCase):
    """Who asks by IPv6 has many addresses."""

    ONE, NEIGHBOUR, OTHER = "2001:db8::53", "2001:db8::1:54", "2001:db8:0:1::53"

    def test_what_one_address_has_shown_holds_for_its_prefix(self) -> None:
        """That it comes by TCP; nobody else's is believed by that."""
        self.start("adaptive")
        self.assertEqual(self.said(resolver=self.ONE, tcp=True), "A")
        asked = [self.said(resolver=each, id=at) for at, each in enumerate((self.ONE, self.NEIGHBOUR, self.OTHER))]
        self.assertEqual(asked, ["A", "A", "TC"])

    def test_an_alias_may_be_asked_for_by_a_neighbour(self) -> None:
        """By another address of the same resolver; by a stranger's, it is shown first where that is."""
        for kind in ("A", "AAAA"):
            self.start("cname")
            alias = self.alias(name="dual.example.org.", kind=kind, resolver=self.ONE)
            said = [self.said(alias, kind, resolver=each) for each in (self.NEIGHBOUR, self.OTHER)]
            self.assertEqual(said, [kind, "TC"])
            self.assertEqual(self.events[Count.MERGED], 0)

    def test_a_cookie_is_an_address_s(self) -> None:
        """Not a prefix's (RFC 9018 section 4.4)."""
        self.start("tcp")
        cookie = self.cookie(self.ONE)
        said = [self.said(resolver=each, cookie=cookie) for each in (self.ONE, self.NEIGHBOUR)]
        self.assertEqual(said, ["A", "BADCOOKIE"])

    def test_an_ipv4_address_in_the_form_of_ipv6_is_one(self) -> None:
        """For groups, cookies, and everything else."""
        self.start("adaptive")
        mapped = f"::ffff:{RESOLVER}"
        self.assertEqual(self.said(cookie=self.cookie(mapped)), "A")
        self.assertEqual(self.said(tcp=True, id=1), "A")
        self.assertEqual(self.said(resolver=mapped, id=2), "A")
        self.assertEqual([str(group.resolver) for group in self.allocator.groups], [RESOLVER])


class RefusalTests(WanTestCase):
    """Refused by policy."""

    def setUp(self) -> None:
        """By the load policy, until somebody says otherwise."""
        super().setUp()
        self.fake = MemoryAllocator()
        self.fake.refusal = Reason.POLICY

    def refuse(self, **policy: Any) -> None:
        """Begins, with a band that demands something even of an empty pool."""
        demand = policy.pop("demand", 0.9)
        bands = (settings.LoadBand(0.0, 100.0, demand, demand, demand),)
        self.start(allocator=self.fake, system_load=bands, **policy)
        self.fake.configure_policy(settings.Policy(system_load=bands), now=100.0)
        self.fake.groups.set(RESOLVER, 0.2, now=100.0)
        best, load = self.fake.groups.set(ELSEWHERE, 1.0, now=100.0), self.fake.askers.load
        assert load is not None
        load.refuses(Kind.FQDN_NEW, 0.0, best, None, 100.0)  # somebody else is good

    def test_is_silent_or_says_so_over_udp(self) -> None:
        """As the policy has it: SERVFAIL with Extended DNS Error 18."""
        self.refuse()
        self.assertEqual(self.said(), "silence")
        self.refuse(refuse_udp=settings.Refusal.SERVFAIL)
        answer = self.ask(use_edns=0)
        assert answer is not None
        self.assertEqual((answer.rcode(), answer.options[0].code), (dns.rcode.SERVFAIL, 18))
        self.assertEqual(self.events[Count.SERVFAIL_UDP], 1)

    def test_is_written_down(self) -> None:
        """On both paths: when, for which service, who asked and why; nothing of who was given an address."""
        self.refuse()
        nsid = [dns.edns.GenericOption("3", b"")]  # which only the full path knows
        self.assertEqual([self.said(), self.said(options=nsid)], ["silence", "silence"])
        self.fake.refusal = None
        self.assertEqual(self.said(), "A")
        _, _, unanswered, *_ = self.fake.ledger.decisions.logs()
        self.assertEqual([each[1:] for each in unanswered], [("one.example.org.", RESOLVER, None, Reason.POLICY)] * 2)

    def test_says_no_data_for_now_of_ipv6_where_there_is_ipv4(self) -> None:
        """At once, and nobody is to keep it: stubs wait for both answers, or take a failure of one for all."""
        self.refuse()
        for reason in (Reason.POLICY, Reason.CLAIM_LIMIT, Reason.HOST_LIMIT):
            self.fake.refusal = reason
            for tcp in (False, True):
                answer = self.ask("dual.example.org.", "AAAA", tcp=tcp, use_edns=0)
                assert answer is not None
                self.assertEqual((answer.rcode(), answer.answer), (dns.rcode.NOERROR, []))
                self.assertEqual((answer.authority[0].rdtype, answer.authority[0].ttl), (dns.rdatatype.SOA, 0))
                self.assertEqual(len(answer.options), 1)  # Extended DNS Error, which says why
        self.assertIsNone(self.ask("six.example.org.", "AAAA"), "who has no other address may come again")
        self.assertIsNone(self.ask("dual.example.org.", "A"))
        self.fake.refusal = Reason.DEGRADED
        answer = self.ask("dual.example.org.", "AAAA")
        assert answer is not None
        self.assertEqual(answer.rcode(), dns.rcode.SERVFAIL)

    def test_says_servfail_while_flows_can_not_be_carried(self) -> None:
        """By UDP and TCP, on both paths, with Extended DNS Error 14; what needs no lent address is answered as ever."""
        self.start()
        self.allocator.outage.degrade(degraded=True, now=100.0)
        nsid = [dns.edns.GenericOption("3", b"")]  # which only the full path knows
        for asked in ({"use_edns": 0}, {"use_edns": 0, "tcp": True}, {"options": nsid}):
            answer = self.ask(**asked)
            assert answer is not None
            self.assertEqual((answer.rcode(), answer.options[0].code), (dns.rcode.SERVFAIL, 14))
        self.assertEqual(self.allocator.counters.refused[Reason.DEGRADED], 3)
        self.assertEqual([self.said("example.org.", "SOA"), self.said("none.example.org.")], ["SOA", "NXDOMAIN"])
        self.allocator.outage.degrade(degraded=False, now=100.0)
        self.assertEqual(self.said(), "A")

    def test_is_silent_over_udp_about_what_may_pass(self) -> None:
        """Whatever the policy says: the resolver asks again."""
        self.refuse(refuse_udp=settings.Refusal.SERVFAIL)
        self.fake.refusal = Reason.HOST_LIMIT
        self.assertEqual(self.said(), "silence")

    def test_tries_once_more_over_tcp(self) -> None:
        """After half a second; then the address comes, if there is one."""
        self.refuse()
        self.assertIsNone(self.ask(tcp=True))
        self.clock.advance(AGAIN - 0.1)
        self.assertEqual((self.outcomes, len(self.fake.asked)), ([], 1))
        self.fake.refusal = None
        self.clock.advance(0.1)
        self.assertEqual(len(dns.message.from_wire(self.outcomes[0]).answer), 1)
        self.assertEqual(self.events[Count.TRIED_AGAIN], 1)

    def test_shows_once_more_where_it_is(self) -> None:
        """Who came by TCP is there half a second later as well: his claim is none that anybody can have asked for."""
        self.start("adaptive", allocator=self.fake)
        self.assertIsNone(self.ask(tcp=True))
        group = self.fake.groups.find(RESOLVER)
        assert group is not None
        self.clock.advance(AGAIN)
        self.assertEqual(group.proven_at, 100.0 + AGAIN)

    def test_waits_if_then_the_pool_is_exhausted(self) -> None:
        """Like any other query."""
        self.refuse()
        self.ask(tcp=True)
        self.fake.refusal = Reason.EXHAUSTED
        self.clock.advance(AGAIN)
        self.assertEqual((self.outcomes, len(self.fake.held)), ([], 1))

    def test_says_over_tcp_whether_there_is_hope(self) -> None:
        """SERVFAIL if even an empty pool would refuse; else NOERROR without an answer, not to be cached."""
        for demand, rcode in ((0.9, dns.rcode.SERVFAIL), (0.1, dns.rcode.NOERROR)):
            self.refuse(demand=demand)
            self.ask(tcp=True, use_edns=0)
            self.clock.advance(AGAIN)
            answer = dns.message.from_wire(self.outcomes[-1])
            ttls = [each.ttl for each in answer.authority]
            self.assertEqual((answer.rcode(), answer.answer), (rcode, []))
            self.assertEqual(ttls, [0] if rcode == dns.rcode.NOERROR else [])
            self.assertEqual(answer.options[0].code, 18)

    def test_who_follows_tc_waits_by_tcp(self) -> None:
        """On the fast path and the full one: a resolver asks again by UDP after 50 ms, and by TCP it does not."""
        self.start("adaptive", allocator=self.fake)
        self.fake.refusal = None
        self.assertEqual([self.said(), self.said(tcp=True)], ["TC", "A"])
        self.fake.refusal = Reason.EXHAUSTED
        nsid = [dns.edns.GenericOption("3", b"")]
        self.assertEqual([self.said(), self.said(options=nsid)], ["TC", "TC"])
        self.assertEqual((len(self.fake.held), self.events[Count.TC_TO_WAIT]), (0, 2))
        self.assertIsNone(self.ask(tcp=True))
        self.assertEqual((len(self.fake.held), self.events[Count.WAITED]), (1, 1))

    def test_but_is_answered_at_once_if_nobody_who_waits_may_have_that(self) -> None:
        """By UDP: it would be told the same by TCP, two round trips later."""
        self.start("adaptive", allocator=self.fake)
        self.fake.refusal = None
        self.assertEqual([self.said(), self.said(tcp=True)], ["TC", "A"])
        self.fake.refusal, self.fake.free, before = Reason.EXHAUSTED, self.fake.address, self.events[Count.RESERVED]
        self.assertEqual(self.said(), "A")
        found = len(self.fake.held), self.events[Count.TC_TO_WAIT], self.events[Count.RESERVED] - before
        self.assertEqual(found, (0, 0, 1))
        self.fake.free = Reason.CLAIM_LIMIT
        self.ask()  # and is told nothing, by UDP
        self.assertEqual((self.events[Count.SILENT], self.events[Count.TC_TO_WAIT]), (1, 0))

    def test_who_is_not_known_to_follow_tc_waits_by_udp(self) -> None:
        """A stranger, and who showed where he is by a cookie."""
        self.start("adaptive", allocator=self.fake)
        self.fake.refusal = None
        cookie = self.cookie(ELSEWHERE)
        self.assertEqual(self.said(resolver=ELSEWHERE, cookie=cookie), "A")
        self.fake.refusal = Reason.EXHAUSTED
        self.assertIsNone(self.ask(resolver=ELSEWHERE, cookie=cookie))
        self.assertEqual(len(self.fake.held), 1)

    def test_tries_again_for_so_many_only(self) -> None:
        """The others are refused at once."""
        self.refuse()
        for _ in range(MOST_AGAIN):
            self.assertIsNone(self.ask(tcp=True))
        self.assertEqual(self.said(tcp=True), "SERVFAIL")
        self.assertEqual(len(self.clock.getDelayedCalls()), MOST_AGAIN)
