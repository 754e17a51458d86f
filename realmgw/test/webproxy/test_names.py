"""Tests for `realmgw.webproxy.names`: which names have a route, and what it is."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.document import Problems, parse
from realmgw.config.terms import Look
from realmgw.subscribers import firewall
from realmgw.subscribers.model import Host, Profile
from realmgw.test.datapath.pipeline.test_stages import staged
from realmgw.test.webproxy.peer import ADDRESS, service
from realmgw.webproxy.names import Names, asking_groups, asks_for_sender, differences, plain, route

PLAIN = "192.0.2.1/80/443/no/no/no"
ADDRESS6 = bytes.fromhex("20010db8000000000000000000000005")


def rules(text: str) -> firewall.Firewall:
    """A firewall, from what is written."""
    problems = Problems("one.yaml")
    root = parse(text.encode(), problems)
    assert root is not None
    found = firewall.PLAIN(root, problems)
    assert not problems.lines()
    assert found is not None
    return found


class NamesTests(SynchronousTestCase):
    """Services that come and go."""

    def setUp(self) -> None:
        """None."""
        self.names = Names()

    def route(self, **terms: Any) -> str | None:
        """What the name of a service with these terms stands for."""
        self.names.put(service("www.example.org.", **terms))
        return self.names.routes.get("www.example.org")

    def test_a_route_says_where_the_host_is_and_what_is_particular(self) -> None:
        """In the order of HAProxy's fields."""
        self.assertEqual(self.route(), "192.0.2.1/80/443/no/no/no")
        self.assertEqual(self.route(http_port=8080, https_port=8443), "192.0.2.1/8080/8443/no/no/no")
        self.assertEqual(self.route(https_redirect=True), "192.0.2.1/80/443/yes/no/no")
        self.assertEqual(self.route(proxy_protocol=True), "192.0.2.1/80/443/no/yes/no")
        self.assertEqual(self.route(tls_termination=True), "192.0.2.1/80/443/no/no/yes")

    def test_a_host_that_is_looked_at_has_more_in_its_route(self) -> None:
        """How, a tag of its own, and what is requested; in one whose TLS ends here nobody gets to the other port."""
        self.names.most = 1
        looked = service("www.example.org.", http_health=Look.REQUEST, https_health=Look.CONNECT, health_path="/a/b?c")
        self.names.put(looked)
        self.assertEqual((self.names.routes, len(self.names.unchecked)), ({"www.example.org": PLAIN}, 1))
        self.assertEqual(self.names.advance(), ["www.example.org"])
        found = self.names.routes["www.example.org"]
        self.assertEqual((plain(found), found.split("/")[6:8]), (PLAIN, ["request", "connect"]))
        self.assertTrue(found.endswith("//a/b?c"))
        self.assertNotEqual(found.split("/")[8], route(service("www.example.org.", http_health=Look.REQUEST)))
        self.assertEqual(self.route(tls_termination=True, https_health=Look.CONNECT), "192.0.2.1/80/443/no/no/yes")

    def test_no_more_hosts_are_looked_at_than_is_said(self) -> None:
        """The others are served without it, until there is room; who has it keeps it when it changes."""
        self.names.most = 2
        for name in "abcd":
            self.names.put(service(f"{name}.example.org.", http_health=Look.CONNECT))
        self.assertEqual(self.names.advance(), ["a.example.org", "b.example.org"])
        self.names.put(service("a.example.org.", http_health=Look.REQUEST))
        self.assertEqual((self.names.advance(), "request" in self.names.routes["a.example.org"]), ([], True))
        self.assertEqual((self.names.routes["c.example.org"], len(self.names.unchecked)), (PLAIN, 2))
        self.names.drop("c.example.org.")
        self.names.put(service("a.example.org."))
        self.assertEqual((self.names.advance(), self.names.unchecked), (["d.example.org"], {}))
        self.assertEqual(self.names.checked, {"b.example.org", "d.example.org"})

    def test_names_whose_tls_ends_without_a_certificate_are_known(self) -> None:
        """A wildcard stands for one label; who passes TLS on needs none."""
        self.names.certified = frozenset({"www.example.org", "*.wild.example.org"})
        for name in ("www.example.org.", "a.wild.example.org.", "a.b.wild.example.org.", "wild.example.org."):
            self.names.put(service(name, tls_termination=True))
        self.names.put(service("passed.example.org."))
        self.assertEqual(self.names.uncertified, {"a.b.wild.example.org", "wild.example.org"})
        self.assertEqual(len(self.names.routes), 5)
        self.names.drop("wild.example.org.")
        self.names.put(service("a.b.wild.example.org."))
        self.assertEqual(self.names.uncertified, set())

    def test_a_host_of_ipv6_alone_is_reached_by_that(self) -> None:
        """One of both is reached by IPv4."""
        for address, wanted in ((b"", "2001:db8::5"), (ADDRESS, "192.0.2.1")):
            self.names.put(service("six.example.org.", Host(1, "six.example.org.", address, address6=ADDRESS6)))
            self.assertEqual(self.names.routes, {"six.example.org": f"{wanted}/80/443/no/no/no"})

    def test_names_that_need_no_proxy_have_none(self) -> None:
        """Nor those that nobody can ask for by HTTP; whoever needs none any more has none any more."""
        self.assertIsNotNone(self.route())
        self.assertIsNone(self.route(proxy_required=False))
        for name in ("a b.example.org.", "a;b.example.org.", r"a\.b.example.org.", "*.example.org."):
            self.names.put(service(name))
        self.assertEqual(self.names.routes, {})
        self.names.drop("never.example.org.")

    def test_a_host_whose_rules_ask_who_sends_is_withheld(self) -> None:
        """Until they do not."""
        asks = Profile(firewall=rules("{user: [{priority: 1, direction: INGRESS, src: 203.0.113.0/24, target: DROP}]}"))
        self.names.put(service("www.example.org.", Host(1, "example.org.", ADDRESS, asks)))
        self.assertEqual((self.names.routes, self.names.withheld), ({}, {"www.example.org"}))
        self.assertIsNotNone(self.route())
        self.assertEqual(self.names.withheld, set())
        self.names.put(service("www.example.org.", Host(1, "example.org.", ADDRESS, asks)))
        self.names.drop("www.example.org.")
        self.assertEqual((self.names.routes, self.names.withheld), ({}, set()))

    def test_only_rules_of_what_comes_in_are_asked_for(self) -> None:
        """Source ports count as well; an accepting rule does, too: the gateway might be meant by it."""
        for rule, asks in (
            ("direction: INGRESS, src: 192.168.0.0/24, target: ACCEPT", True),
            ("direction: INGRESS, udp: {sport: 53}, target: DROP", True),
            ("direction: INGRESS, tcp: {dport: 25}, target: DROP", False),
            ("direction: EGRESS, src: 192.168.0.5, target: DROP", False),
            ("direction: EGRESS, udp: {sport: 53}, target: DROP", False),
        ):
            found = rules(f"{{admin: [{{priority: 1, {rule}}}]}}")
            self.assertEqual(asks_for_sender(found), asks, rule)

    def test_rules_of_groups_are_asked_for_too(self) -> None:
        """Hosts of such a group are withheld."""
        pipeline = staged(
            "{groups: {asks: {rules: [{priority: 1, direction: INGRESS, src: 203.0.113.0/24, target: DROP}]},"
            " not: {rules: [{priority: 1, direction: EGRESS, src: 203.0.113.0/24, target: DROP}]}}}"
        ).policy.pipeline
        self.names.asking = asking_groups(pipeline.groups)
        for groups, is_routed in ((("asks",), False), (("not",), True), (("not", "asks"), False), ((), True)):
            host = Host(1, "example.org.", ADDRESS, Profile(groups=groups))
            self.names.put(service("www.example.org.", host))
            self.assertEqual("www.example.org" in self.names.routes, is_routed, groups)

    def test_only_what_is_different_is_told(self) -> None:
        """Of the names that are asked for."""
        told, wanted = {"a": "1", "b": "1", "c": "1"}, {"a": "1", "b": "2", "d": "1", "e": "1"}
        self.assertEqual(differences(told, wanted, "abcd"), [("b", "2"), ("c", None), ("d", "1")])
