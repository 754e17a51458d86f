"""Tests for `realmgw.control.command.captured`: packets, flows and answers."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import attrs
import dns.message
import dns.rrset
from twisted.trial.unittest import SynchronousTestCase

from realmgw.control.command.captured import STANDS, Held, Selection, Service, Wanted, addresses_of, services_of
from realmgw.datapath.capture.frames import seen
from realmgw.test.admission import packets

WEB, MAIL = Service("web.example.org.", 6, 80), Service("mail.example.org.", 6, 25)
CLIENT, POOL, HOST = "198.51.100.7", "192.0.2.3", "192.168.0.10"
ROW: dict[str, Any] = {
    "event": "begins", "direction": "in", "protocol": "tcp", "host": "one.example.org.", "service": WEB.name,
    "address": HOST, "port": 80, "via": POOL, "via_port": 80, "client": CLIENT, "client_port": 4000,
    "trace_id": "2f3",
}  # fmt: skip
SAID = (
    f"one.example.org., by name {WEB.name}: admitted, tcp client {CLIENT}:4000 via {POOL}:80 to {HOST}:80, trace id 2f3"
)
WITH = frozenset((ip_address(HOST).packed,))
REFUSED: dict[str, Any] = {
    "what": "refused", "name": MAIL.name, "protocol": "tcp", "source": CLIENT, "source_port": 4000, "destination": POOL,
    "port": 80, "why": "late", "by": [{"key": "allocation.linger", "origin": None}],
}  # fmt: skip
LET_IN: dict[str, Any] = {**REFUSED, "what": "admitted", "id": "2f4", "why": "claim"}


def packet(source: str, sport: int, to: str, dport: int, data: bytes | None = None, flags: int = 2) -> bytes:
    """A SYN, or what has other flags; or a datagram."""
    tcp = packets.tcp(sport, dport, flags=flags)
    number, segment = (6, tcp) if data is None else (17, packets.udp(sport, dport, data))
    return packets.ipv4(number, segment, source=ip_address(source).packed, destination=ip_address(to).packed)


def answer(name: str, *records: str) -> bytes:
    """An answer that says these, each name, type and data."""
    made = dns.message.make_response(dns.message.make_query(name, "A"))
    for each in records:
        owner, kind, data = each.split()
        made.answer.append(dns.rrset.from_text(owner, 0, "IN", kind, data))
    return made.to_wire()


class SelectionTestCase(SynchronousTestCase):
    """A selection."""

    wanted = Wanted(WITH, (WEB,), is_whole=False)

    def setUp(self) -> None:
        """Makes it."""
        self.selection = Selection(self.wanted)
        self.now = 0

    def said(self, octets: bytes) -> str | None:
        """What is said of a packet."""
        found = seen(octets)
        assert found is not None
        return self.selection.comment(found, self.now)

    def to(self, address: str, port: int = 80, source: str = CLIENT) -> str | None:
        """What is said of a first packet."""
        return self.said(packet(source, 4000, address, port))


class NameTests(SelectionTestCase):
    """One name of a host."""

    def test_a_flow_of_it_is_known_on_both_sides_and_both_ways(self) -> None:
        """By the same words."""
        self.selection.hear(ROW)
        self.assertEqual([self.to(POOL), self.to(HOST)], [SAID, SAID])
        self.assertEqual(self.said(packet(HOST, 80, CLIENT, 4000)), SAID)
        self.assertIsNone(self.to(POOL, 81))

    def test_an_error_about_a_flow_is_one_of_its_packets(self) -> None:
        """Whoever sends it."""
        self.selection.hear(ROW)
        error = packets.icmp(3, 3)[:8] + packet(CLIENT, 4000, POOL, 80)
        self.assertEqual(self.said(packets.ipv4(1, error)), f"about: {SAID}")
        self.assertIsNone(self.said(packets.ipv4(1, packets.icmp(3)[:8] + packet(CLIENT, 4001, POOL, 80))))

    def test_flows_by_other_names_are_not_meant(self) -> None:
        """Even where the host's port is the same."""
        self.selection.hear({**ROW, "service": MAIL.name})
        self.selection.hear({**ROW, "service": None, "direction": "out", "client_port": 4001})
        self.assertIsNone(self.to(HOST))
        self.assertIsNone(self.said(packet(HOST, 80, CLIENT, 4001)))

    def test_questions_and_answers_in_any_letters(self) -> None:
        """By TCP, too; of names below it nothing is said."""
        query = dns.message.make_query("WEB.example.org", "A").to_wire()
        self.assertEqual(self.said(packet(CLIENT, 4000, "192.0.2.1", 53, query)), f"question for {WEB.name}")
        by_tcp = packets.tcp(53, 4000) + len(query).to_bytes(2, "big") + query
        self.assertEqual(self.said(packets.ipv4(6, by_tcp)), f"question for {WEB.name}")
        for name in ("www.web.example.org", "web.example.org.example.com"):
            other = dns.message.make_query(name, "A").to_wire()
            self.assertIsNone(self.said(packet(CLIENT, 4000, "192.0.2.1", 53, other)))
        for length in range(len(query)):
            self.said(packet(CLIENT, 4000, "192.0.2.1", 53, query[:length]))

    def test_what_came_to_the_address_of_an_answer_is_its(self) -> None:
        """For a while, and for its port; both ways, such as a refusal."""
        self.assertIsNone(self.to(POOL))
        told = answer("web.example.org.", f"web.example.org. A {POOL}")
        self.assertEqual(self.said(packet("192.0.2.1", 53, CLIENT, 4000, told)), f"answer for {WEB.name}: {POOL}")
        unknown = f"by name {WEB.name}: no flow of it is known"
        self.assertEqual([self.to(POOL), self.said(packet(POOL, 80, CLIENT, 4000))], [unknown, unknown])
        self.assertIsNone(self.to(POOL, 25))
        self.now += STANDS
        self.assertIsNone(self.to(POOL))

    def tell(self) -> None:
        """The answer is read: the address is the name's."""
        told = answer("web.example.org.", f"web.example.org. A {POOL}")
        self.assertIsNotNone(self.said(packet("192.0.2.1", 53, CLIENT, 4000, told)))

    def test_why_a_first_packet_was_refused(self) -> None:
        """With what is written in the configuration; and so of what it was told in return. A flow is known better."""
        self.tell()
        self.selection.hear(REFUSED)
        why = f"by name {WEB.name}: refused: late, by allocation.linger (default)"
        self.assertEqual([self.to(POOL), self.said(packet(POOL, 80, CLIENT, 4000, flags=0x14))], [why, why])
        self.assertEqual(self.said(packet(CLIENT, 4001, POOL, 80)), f"by name {WEB.name}: no flow of it is known")
        self.selection.hear(ROW)
        self.assertEqual(self.to(POOL), SAID)

    def test_which_rule_of_the_host_has_refused_it(self) -> None:
        """The rule has met it behind the translation: the host's own address stands there, and his port."""
        self.tell()
        rule = {"key": "admin, priority 1: no games", "origin": "subscribers.d/web.yaml"}
        self.selection.hear({**REFUSED, "destination": HOST, "port": 8080, "why": "dropped", "by": [rule]})
        why = "refused: dropped, by admin, priority 1: no games (subscribers.d/web.yaml)"
        self.assertEqual(self.to(POOL), f"by name {WEB.name}: {why}")
        self.assertEqual(self.to(HOST), f"to what {WEB.name} leads to: {why}")

    def test_what_comes_for_another_name_to_the_same_address(self) -> None:
        """Is none of its packets, by whatever protocol; unless a flow of it is told."""
        self.selection = Selection(Wanted(WITH, (Service(WEB.name, 0, 0),), "one.example.org.", is_whole=False))
        self.tell()
        for each in (LET_IN, {**LET_IN, "protocol": "udp"}):
            self.selection.hear(each)
        self.assertEqual([self.to(POOL), self.said(packet(CLIENT, 4000, POOL, 80, b"data"))], [None, None])
        for name in (WEB.name, "one.example.org."):
            self.selection.hear({**LET_IN, "name": name, "source_port": 4001})
            self.assertEqual(self.said(packet(CLIENT, 4001, POOL, 80)), f"by name {WEB.name}: no flow of it is known")
        self.selection.hear(ROW)
        self.selection.hear(LET_IN)
        self.assertEqual(self.to(POOL), SAID)

    def test_a_connection_from_before_is_somebody_elses(self) -> None:
        """Who shares the address with the name; its beginning was not seen. With it, what follows is known as well."""
        self.tell()
        later, back = packet(CLIENT, 4000, POOL, 80, flags=0x18), packet(POOL, 80, CLIENT, 4000, flags=0x12)
        self.assertEqual([self.said(later), self.said(back)], [None, None])
        unknown = f"by name {WEB.name}: no flow of it is known"
        self.assertEqual([self.to(POOL), self.said(back), self.said(later)], [unknown] * 3)

    def test_a_name_that_it_was_sent_to_is_its_as_well(self) -> None:
        """As challenges do."""
        first = answer("web.example.org.", "web.example.org. CNAME x1.web.example.org.")
        self.assertEqual(self.said(packet("192.0.2.1", 53, CLIENT, 4, first)), f"answer for {WEB.name}: no address")
        then = answer("x1.web.example.org.", f"x1.web.example.org. A {POOL}")
        self.assertEqual(self.said(packet("192.0.2.1", 53, CLIENT, 4, then)), f"answer for {WEB.name}: {POOL}")
        self.assertIsNotNone(self.to(POOL))

    def test_an_address_of_the_web_proxy_is_everybodys(self) -> None:
        """It is told, and packets to it are not taken for the name's."""
        self.selection = Selection(Wanted(WITH, (Service(WEB.name, 0, 0, is_proxied=True),), is_whole=False))
        told = answer("web.example.org.", f"web.example.org. A {POOL}")
        self.assertEqual(self.said(packet("192.0.2.1", 53, CLIENT, 4000, told)), f"answer for {WEB.name}: {POOL}")
        self.assertIsNone(self.to(POOL))

    def test_what_is_no_answer(self) -> None:
        """Nothing is learned of it."""
        told = answer("web.example.org.", f"web.example.org. A {POOL}")
        self.assertEqual(self.said(packet("192.0.2.1", 53, CLIENT, 4, told[:-1])), f"answer for {WEB.name}: no address")
        self.assertIsNone(self.to(POOL))

    def test_at_the_host_itself_its_port_counts(self) -> None:
        """As long as no flow is known."""
        self.assertEqual(self.to(HOST), f"to what {WEB.name} leads to: no flow of it is known")
        self.assertIsNone(self.to(HOST, 25))

    def test_what_else_the_gateway_tells(self) -> None:
        """That something was left out."""
        self.selection.hear({"left_out": 3})
        self.assertIsNone(self.to(POOL))

    def test_as_many_are_known_as_may(self) -> None:
        """The oldest one makes room."""
        self.selection = Selection(self.wanted, most=4)
        for port in (4000, 4001, 4002):
            self.selection.hear({**ROW, "client_port": port})
        self.assertIsNone(self.to(POOL))
        self.assertIsNotNone(self.said(packet(CLIENT, 4002, POOL, 80)))


class HostTests(SelectionTestCase):
    """All of a host."""

    wanted = Wanted(WITH, (WEB, MAIL))

    def test_whatever_it_sends_and_receives(self) -> None:
        """With a flow or without."""
        self.selection.hear({**ROW, "service": None, "direction": "out", "via_port": 61000, "client_port": 443,
                             "trace_id": None})  # fmt: skip
        said = f"one.example.org.: going out, tcp client {CLIENT}:443 via {POOL}:61000 to {HOST}:80"
        self.assertEqual(self.said(packet(CLIENT, 443, POOL, 61000)), said)
        self.assertEqual(self.to(HOST, 9), "of the host: no flow of it is known")
        self.assertIsNone(self.to(POOL))

    def test_an_address_that_is_not_translated_and_has_no_ports(self) -> None:
        """A flow of ICMPv6 to the host's own address."""
        one, other = (str(ip_address(each)) for each in (packets.CLIENT_V6, packets.POOL_V6))
        row = {**ROW, "protocol": "58", "host": None, "service": None, "address": other, "port": 0, "via": None,
               "via_port": None, "client": one, "client_port": 0, "trace_id": None}  # fmt: skip
        self.selection.hear(row)
        said = f"no subscriber: admitted, 58 client {one} via - to {other}"
        self.assertEqual(self.said(packets.ipv6(58, packets.icmp(128))), said)


class WholeNameTests(SelectionTestCase):
    """A name that leads to all of a host."""

    wanted = Wanted(frozenset((packets.POOL_V6,)), (Service("all.example.org.", 0, 0),), is_whole=False)

    def test_what_is_of_the_link_is_none_of_it(self) -> None:
        """Neighbours are asked for whatever name brought somebody; other ICMPv6 is, and all of it of a host."""
        for kind in (133, 134, 135, 136, 137, 143):
            self.assertIsNone(self.said(packets.ipv6(58, packets.icmp(kind))), kind)
        self.assertIn("all.example.org.", self.said(packets.ipv6(58, packets.icmp(128))) or "")
        self.selection = Selection(attrs.evolve(self.wanted, is_whole=True))
        self.assertIn("of the host", self.said(packets.ipv6(58, packets.icmp(135))) or "")


class FlowTests(SelectionTestCase):
    """One flow."""

    wanted = Wanted(ends=((ip_address(CLIENT).packed, 4000), (ip_address(POOL).packed, 80)))

    def test_either_side_leads_to_the_other(self) -> None:
        """And no other flow is."""
        self.assertEqual(self.to(POOL), "no flow is known")
        self.selection.hear(LET_IN)
        self.selection.hear(REFUSED)
        self.assertEqual(self.to(POOL), "refused: late, by allocation.linger (default)")
        self.selection.hear({**ROW, "client_port": 4001})
        self.selection.hear(ROW)
        self.assertEqual([self.to(POOL), self.to(HOST)], [SAID, SAID])
        self.assertIsNone(self.said(packet(CLIENT, 4001, POOL, 80)))


class HeldTests(SynchronousTestCase):
    """Packets that wait."""

    def test_the_oldest_come_first_when_they_are_due(self) -> None:
        """Whichever interface was read first."""
        held = Held[str](10)
        for time, name in ((3, "c"), (1, "a"), (2, "b"), (1, "a again")):
            held.put(time, name)
        self.assertEqual(list(held.due(3)), ["a", "a again", "b"])
        self.assertEqual(list(held.due(float("inf"))), ["c"])

    def test_so_many_wait_at_most(self) -> None:
        """The oldest ones are due."""
        held = Held[int](2)
        for time in range(5):
            held.put(time, time)
        self.assertEqual(list(held.due(0)), [0, 1, 2])


class SubscriberTests(SynchronousTestCase):
    """What the gateway says of a host."""

    def test_addresses_and_services(self) -> None:
        """All, or that of a name."""
        terms = [{"name": each.name, "protocol": 6, "port": each.port, "proxy_required": False} for each in (WEB, MAIL)]
        host = {"address": HOST, "address6": None, "services": terms}
        self.assertEqual(addresses_of(host), WITH)
        self.assertEqual(services_of(host, None), (WEB, MAIL))
        self.assertEqual(services_of(host, MAIL.name), (MAIL,))
        self.assertEqual(services_of(host, "one.example.org."), ())
