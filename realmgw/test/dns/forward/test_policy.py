"""Tests for `realmgw.dns.forward.policy`."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import PurePath

import dns.edns
import dns.message
import dns.rcode
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.namelists import Listed, Verdict
from realmgw.config.settings import ListReason, NameList
from realmgw.config.steps import finish
from realmgw.dns.codec.message import Response
from realmgw.dns.codec.names import to_wire
from realmgw.dns.codec.wire import decode
from realmgw.dns.forward.policy import BLOCKED_TTL, NamePolicy, compiling
from realmgw.dns.lan import lan_view
from realmgw.dns.view import Answer, Asker, said
from realmgw.subscribers.model import Host, Profile
from realmgw.test.dns.realm import make_settings, table

GONE, EMPTY, PASS = Verdict.NXDOMAIN, Verdict.NODATA, Verdict.PASS
FILE = PurePath("list")
CHILD, PARENT, GUEST = "192.168.0.7", "192.168.0.8", "fe80::9%lan"
HOSTS = {
    ip_address(CHILD).packed: Host(7, "child.example.org.", b"", Profile(groups=("school", "home"))),
    ip_address(PARENT).packed: Host(8, "parent.example.org.", b"", Profile(groups=("home",))),
}


class PolicyTestCase(SynchronousTestCase):
    """A LAN with lists."""

    def setUp(self) -> None:
        """No list, and somebody who answers everything."""
        self.looked: list[bytes] = []
        self.noted: list[tuple[float, bytes, str, str]] = []
        self.policy = NamePolicy(self.host_at, lambda *noted: self.noted.append(noted))
        self.passed: list[str] = []
        part = self.policy.before(lambda asked: self.answered("anybody"), lambda asked: self.answered("careful"))
        self.view = lan_view(make_settings(), table(), forward=part)

    def host_at(self, address: bytes) -> Host | None:
        """Who has an address."""
        self.looked.append(address)
        return HOSTS.get(address)

    def answered(self, how: str) -> Answer:
        """A question that passed."""
        self.passed.append(how)
        return said(Response())

    def configure(self, *lists: tuple[NameList, dict[str, Verdict]]) -> None:
        """There are these lists."""
        self.policy.configure(finish(compiling(Listed(rules, tuple(names.items())) for rules, names in lists)))

    def ask(self, name: str, address: str = PARENT, kind: str = "A", *, edns: bool = True) -> dns.message.Message:
        """What is said to a host."""
        query = dns.message.make_query(name, kind, use_edns=0 if edns else -1)
        octets = self.view.answer(decode(query.to_wire()), Asker((address, 1024), lambda _: None), now=0.0)
        assert octets is not None
        return dns.message.from_wire(octets)

    def assert_passes(self, name: str, address: str = PARENT, how: str = "anybody") -> None:
        """It does, in that way."""
        self.ask(name, address)
        self.assertEqual(self.passed, [how])
        self.passed.clear()

    def assert_blocked(self, name: str, address: str = PARENT) -> None:
        """It is."""
        self.assertEqual(self.ask(name, address).rcode(), dns.rcode.NXDOMAIN)
        self.assertEqual(self.passed, [])


class NotedTests(PolicyTestCase):
    """What is told of names that are not to be had."""

    def test_each_that_is_not_to_be_had(self) -> None:
        """Which name, who asked, and the list; nothing of names that may be had."""
        rules = NameList("ads", FILE), NameList("school", FILE, groups=("school",))
        self.configure((rules[0], {"ads.example.net": GONE}), (rules[1], {"*.games.example.net": EMPTY}))
        self.ask("Ads.example.net.")
        self.ask("x.games.example.net.", CHILD)
        for address in (PARENT, GUEST):
            self.ask("x.games.example.net.", address)
        self.ask("example.net.")
        self.assertEqual(self.noted, [
            (0.0, to_wire("ads.example.net."), PARENT, "ads"), (0.0, to_wire("x.games.example.net."), CHILD, "school"),
        ])  # fmt: skip


class ExplainTests(PolicyTestCase):
    """What lists say of a name, in words."""

    def test_says_which_list_decides(self) -> None:
        """As a question would be answered; nothing is counted or told of."""
        allow = NameList("homework", FILE, allow=True, groups=("school",))
        self.configure((allow, {"good.example.net": PASS}), (NameList("ads", FILE), {"*.example.net": EMPTY}))
        for name, address, words, is_had in (
            ("good.example.net.", CHILD, "list homework (list) says that it is had", True),
            ("good.example.net.", PARENT, "list ads (list) keeps it from who asks: NODATA", False),
            ("example.org.", CHILD, "no list that holds for who asks has it", True),
        ):
            told, had = self.policy.explain(to_wire(name), address)
            self.assertIn(words, told)
            self.assertIs(had, is_had)
        self.assertEqual(self.noted, [])
        self.assertEqual({each["decided"] for each in self.policy.counts().values()}, {0})  # type: ignore[index]


class NameTests(PolicyTestCase):
    """Which names a list has."""

    def test_has_the_name_itself(self) -> None:
        """Neither those above nor those below, in whatever case."""
        self.configure((NameList("ads", FILE), {"ads.example.net": GONE}))
        self.assert_blocked("ads.example.net.")
        self.assert_blocked("aDs.example.NET.")
        for other in ("example.net.", "www.ads.example.net.", "xads.example.net.", "."):
            self.assert_passes(other)

    def test_has_all_below_a_name(self) -> None:
        """Not the name itself; the nearest one decides, and the name itself before that."""
        self.configure(
            (
                NameList("ads", FILE),
                {"*.example.net": GONE, "*.b.example.net": PASS, "c.b.example.net": GONE, "d.example.net": PASS},
            )
        )
        self.assert_passes("example.net.")
        self.assert_blocked("a.example.net.")
        self.assert_blocked("a.a.example.net.")
        self.assert_passes("a.b.example.net.")
        self.assert_blocked("c.b.example.net.")
        self.assert_passes("d.example.net.")

    def test_may_have_every_name(self) -> None:
        """What was allowed before it passes nevertheless, and our own names are not asked for elsewhere."""
        self.configure(
            (NameList("good", FILE, allow=True), {"*.example.net": PASS}), (NameList("all", FILE), {"*": GONE})
        )
        self.assert_passes("www.example.net.")
        self.assert_blocked("www.example.com.")
        self.assertEqual(self.ask("one.example.org.").answer[0][0].to_text(), "192.168.0.1")

    def test_first_list_decides(self) -> None:
        """In the order of the configuration."""
        lists = ((NameList("a", FILE), {"x.test": EMPTY}), (NameList("b", FILE), {"x.test": GONE}))
        self.configure(*lists)
        self.assertEqual(self.ask("x.test.").rcode(), dns.rcode.NOERROR)
        self.configure(*reversed(lists))
        self.assertEqual(self.ask("x.test.").rcode(), dns.rcode.NXDOMAIN)


class AnswerTests(PolicyTestCase):
    """What is said."""

    def test_says_why(self) -> None:
        """Who decided, by an extended error, and by which list; to those who know EDNS."""
        for reason, code in ((ListReason.BLOCKED, 15), (ListReason.CENSORED, 16), (ListReason.FILTERED, 17)):
            self.configure((NameList("ads", FILE, reason=reason), {"ads.example.net": GONE}))
            option = self.ask("ads.example.net.").options[0]
            assert isinstance(option, dns.edns.EDEOption)
            self.assertEqual((option.code, option.text), (code, "list ads"))
            self.assertEqual(self.ask("ads.example.net.", edns=False).options, ())

    def test_says_for_how_long(self) -> None:
        """There is no name, or nothing of this type, and a SOA (RFC 2308)."""
        self.configure((NameList("ads", FILE), {"a.test": GONE, "b.test": EMPTY}))
        for name, kind, rcode in (("a.test.", "A", 3), ("b.test.", "AAAA", 0), ("b.test.", "TYPE65280", 0)):
            answer = self.ask(name, kind=kind)
            self.assertEqual((answer.rcode(), answer.answer), (rcode, []))
            soa = answer.authority[0]
            self.assertEqual((str(soa.name), soa.ttl, soa[0].minimum), (name, BLOCKED_TTL, BLOCKED_TTL))

    def test_counts(self) -> None:
        """By list, over a reload; those of lists that are gone are together."""
        ads = (NameList("ads", FILE), {"a.test": GONE, "*.b.test": GONE})
        self.configure((NameList("good", FILE, allow=True), {"c.test": PASS}), ads)
        for name in ("a.test.", "x.b.test.", "c.test.", "d.test."):
            self.ask(name)
        counted = {"list ads": {"names": 2, "decided": 2}}
        self.assertEqual(self.policy.counts(), {"list good": {"names": 1, "decided": 1}, **counted})
        self.configure(ads)
        self.assertEqual((self.policy.counts(), self.policy.dropped), (counted, 1))
        self.configure()
        self.assertEqual((self.policy.counts(), self.policy.dropped), ({}, 3))


class SubscriberTests(PolicyTestCase):
    """Lists that are not for everybody."""

    def test_list_of_a_subscriber(self) -> None:
        """Nobody else's, and not of those who are none."""
        self.configure((NameList("mine", FILE, subscribers=("child.example.org.",)), {"games.test": GONE}))
        self.assert_blocked("games.test.", CHILD)
        self.assert_passes("games.test.", PARENT, "careful")
        self.assert_passes("games.test.", GUEST, "careful")

    def test_list_of_a_group(self) -> None:
        """Of its members."""
        self.configure((NameList("school", FILE, groups=("school", "work")), {"games.test": GONE}))
        self.assert_blocked("games.test.", CHILD)
        self.assert_passes("games.test.", PARENT, "careful")

    def test_lists_of_both_come_in_their_order(self) -> None:
        """What one subscriber is allowed is not to be had by others."""
        self.configure(
            (NameList("parents", FILE, allow=True, subscribers=("parent.example.org.",)), {"games.test": PASS}),
            (NameList("home", FILE), {"games.test": GONE}),
        )
        self.assert_passes("games.test.", PARENT, "careful")
        self.assert_blocked("games.test.", CHILD)
        self.assert_blocked("games.test.", GUEST)

    def test_who_asks_is_looked_up_for_such_names_only(self) -> None:
        """And once for a question."""
        school = NameList("school", FILE, groups=("school",)), {"games.test": GONE}
        self.configure(school, school, (NameList("ads", FILE), {"a.test": GONE}))
        self.assert_blocked("a.test.")
        self.assert_passes("b.test.")
        self.assertEqual(self.looked, [])
        self.assert_passes("games.test.", PARENT, "careful")
        self.assertEqual(self.looked, [ip_address(PARENT).packed])


class CompilingTests(SynchronousTestCase):
    """Lists of many names."""

    def test_is_done_in_steps(self) -> None:
        """Others have their turn."""
        names = tuple((f"n{number}.test", GONE) for number in range(5000))
        self.assertGreaterEqual(sum(1 for _ in compiling([Listed(NameList("ads", FILE), names)])), 9)
