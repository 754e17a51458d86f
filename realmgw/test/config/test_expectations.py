"""Tests for `realmgw.config.expectations`."""

from __future__ import annotations

from ipaddress import ip_address

from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.expectations import (
    MOST_TESTS,
    WORDS,
    AddressType,
    AskTest,
    Expectation,
    FlowTest,
    PacketTest,
    Transport,
)
from realmgw.config.writing import dump
from realmgw.test.config.test_portal import read
from realmgw.test.config.test_schema import MINIMAL, settings

TESTS = """tests:
  - ask: {name: www.example.org, resolver: 203.0.113.53, type: aaaa, transport: tcp, cookie: true, load: 40}
    expect: given
  - packet: {source: 203.0.113.80, asked: www.example.org, resolver: 203.0.113.53, protocol: udp, port: 53}
    expect: No_Claim
  - flow: {source: www.example.org, destination: 203.0.113.80, protocol: udp, port: 53, source_port: 53}
    expect: reject
    rule: no DNS
"""
CLIENT, RESOLVER = ip_address("203.0.113.80"), ip_address("203.0.113.53")


class ExpectationTests(SynchronousTestCase):
    """The list."""

    def test_everything_is_read_and_written_back(self) -> None:
        """As it was meant, and with its place."""
        found, lines = read(TESTS)
        assert found is not None
        ask = AskTest("www.example.org.", RESOLVER, AddressType.AAAA, Transport.TCP, True, 40.0)
        packet = PacketTest(CLIENT, None, "www.example.org.", RESOLVER, 17, 53)
        self.assertEqual(lines, ())
        flow = FlowTest("www.example.org.", CLIENT, 17, 53, 53)
        first, second = Expectation(ask=ask, expect="GIVEN"), Expectation(packet=packet, expect="NO_CLAIM")
        self.assertEqual(found.tests, (first, second, Expectation(flow=flow, expect="REJECT", rule="no DNS")))
        places = [tuple(map(int, each.origin.split(":")[1:])) for each in found.tests]
        self.assertEqual([(line - places[0][0], column) for line, column in places], [(0, 5), (2, 5), (4, 5)])
        self.assertEqual(settings(dump(found)), found)
        self.assertEqual(settings(MINIMAL).tests, ())

    def test_what_means_nothing_is_refused(self) -> None:
        """Each with its line and column."""
        at = MINIMAL.count("\n") + 2
        ask, packet = "ask: {name: a.example.org, resolver: 203.0.113.53}", "packet: {source: 203.0.113.80"
        rows = {
            f"{{{ask}, {packet}, destination: 198.51.100.1, port: 80}}, expect: tc}}": "5: a test is about one thing",
            "{expect: given}": "5: a test is about one thing: write one of ask, packet, flow",
            f"{{{ask}}}": "5: the key 'expect' is missing: write one of given, tc, cookie",
            f"{{{ask}, expect: admitted}}": f"{len(ask) + 16}: 'admitted' is nothing that is said of 'ask': write one",
            f"{{{ask}, expected: tc}}": f"{len(ask) + 8}: the key 'expected' is not known: did you mean 'expect'?",
            "{ask: {name: a.example.org}, expect: tc}": "11: the key 'resolver' is missing: write it",
            f"{{{packet}, port: 80}}, expect: admitted}}": "14: write either 'destination', or 'asked'",
            f"{{{packet}, asked: a.example.org}}, expect: admitted}}": "14: what is of this protocol has a port",
            f"{{{packet}, destination: '2001:db8::1', port: 1}}, expect: admitted}}": "14: source and destination are",
            f"{{{packet}, destination: 198.51.100.1, resolver: 203.0.113.53, port: 1}}, expect: admitted}}": "14: 'r",
            "{flow: {source: 203.0.113.80, destination: 192.0.2.1, port: 1}, expect: drop}": "12: no host has a part",
            "{flow: {source: a.example.org, destination: a_b!, port: 1}, expect: drop}": "49: 'a_b!' is no domain name",
            "{flow: {source: a.example.org, destination: 192.0.2.1, protocol: any}, expect: drop}": "12: a flow has a",
            f"{{{ask}, expect: tc, rule: x}}": f"{len(ask) + 20}: rules decide on flows",
        }
        for test, line in rows.items():
            found, lines = read(f"tests:\n  - {test}\n")
            self.assertIsNone(found)
            self.assertEqual(len(lines), 1, lines)
            self.assertIn(f":{at}:{line}", lines[0])

    def test_there_are_not_too_many(self) -> None:
        """All of them are run before a reload."""
        one = "  - {ask: {name: a.example.org, resolver: 203.0.113.53}, expect: tc}\n"
        self.assertIsNotNone(read(f"tests:\n{one * MOST_TESTS}")[0])
        self.assertIn("write at most 200", read(f"tests:\n{one * (MOST_TESTS + 1)}")[1][0])

    def test_a_subject_has_its_words(self) -> None:
        """Those of a question are none of a packet."""
        self.assertEqual({*WORDS["ask"]} & {*WORDS["packet"]}, set())
