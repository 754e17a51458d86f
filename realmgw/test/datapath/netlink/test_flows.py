"""Tests for `realmgw.datapath.netlink.flows`."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.datapath import ending
from realmgw.datapath.netlink import codec, flows
from realmgw.errors import RealmGatewayError
from realmgw.test.datapath.answers import AnsweringChannel, done, only, refusal

CLIENT, POOL, HOST = b"\xc6\x33\x64\x01", b"\xc0\0\2\1", b"\xc0\xa8\0\1"


def attribute(kind: int, value: bytes) -> bytes:
    """An attribute, padded."""
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def nested(kind: int, *attributes: bytes) -> bytes:
    """Attributes in one."""
    return attribute(kind | 0x8000, b"".join(attributes))


def message(kind: int, sequence: int, body: bytes) -> bytes:
    """A netlink message."""
    return struct.pack("=IHHII", 16 + len(body), kind, 0, sequence, 0) + body


def tuple_of(source: bytes, destination: bytes) -> bytes:
    """A direction of a UDP flow."""
    protocol = nested(2, attribute(1, b"\x11"), attribute(2, b"\x03\xe8"), attribute(3, b"\0\x35"))
    return nested(1, attribute(1, source), attribute(2, destination)) + protocol


def entry(sequence: int, private: bytes, identity: bytes = b"\0\0\0\7") -> bytes:
    """A flow that was admitted to a private address, as the kernel lists it."""
    body = struct.pack("!BBH", 2, 0, 0)
    body += nested(1, tuple_of(CLIENT, POOL)) + nested(2, tuple_of(private, CLIENT)) + attribute(12, identity)
    return message(1 << 8, sequence, body)


_NEIGHBOURS = st.integers(0, 255).map(lambda last: bytes((192, 168, 0, last)))
"""Addresses of one /24, in which every octet stands last."""


class ListingTests(SynchronousTestCase):
    """Which flows an address has."""

    def take(self, *received: bytes, wanted: bytes = HOST) -> list[flows.Entry]:
        """What is found in some reads."""
        listing = codec.dump(AnsweringChannel(*received), flows.listing(1, flows.AF_INET), "flows")
        return list(flows.listed(listing, flows.sources([wanted])))

    def test_finds_flows_by_the_source_of_either_direction(self) -> None:
        """What was admitted to a host has its address in the reply direction only."""
        found = self.take(entry(1, b"\xc0\xa8\0\2") + entry(1, HOST), done(1))
        self.assertEqual([flow.sources for flow in found], [frozenset((CLIENT, HOST))])

    @given(st.sets(st.one_of(st.binary(min_size=4, max_size=4), _NEIGHBOURS), min_size=1), _NEIGHBOURS)
    def test_finds_flows_of_each_of_many_and_of_nobody_else(self, every: set[bytes], one: bytes) -> None:
        """Neighbours or not, whatever their octets mean in a pattern, and beside addresses of IPv6."""
        pattern = flows.sources([*every, *(bytes(12) + each for each in every)])
        for each in {*every, one}:
            found = [
                pattern.search(attribute(kind, octets)) is not None
                for kind, octets in ((1, each), (3, bytes(12) + each), (2, each), (4, bytes(12) + each))
            ]
            self.assertEqual(found, [each in every] * 2 + [False] * 2)

    @given(st.integers(0, 2**32 - 1), st.integers(0, 32), st.integers(0, 2**32 - 1))
    def test_finds_flows_by_the_destination_of_either_direction(self, base: int, length: int, address: int) -> None:
        """Every address of a prefix, and no other."""
        network = IPv4Network((base >> (32 - length) << (32 - length) if length else 0, length))
        pattern = flows.destinations([IPv4Network("192.0.2.0/24"), network])
        for one in (IPv4Address(address), network[0], network[-1]):
            found = attribute(1, POOL) + attribute(2, one.packed)
            self.assertEqual(pattern.search(found) is not None, one in network or one in IPv4Network("192.0.2.0/24"))
        self.assertIsNone(pattern.search(attribute(1, network[0].packed)))

    def test_finds_flows_of_ipv6_as_well(self) -> None:
        """Beside those of IPv4, however long the prefix is."""
        pattern = flows.destinations([IPv4Network("192.0.2.0/24"), IPv6Network("2001:db8:0::/45")])
        within, outside = IPv6Address("2001:db8:7::1").packed, IPv6Address("2001:db8:8::1").packed
        self.assertIsNotNone(pattern.search(attribute(4, within)))
        self.assertIsNotNone(pattern.search(attribute(2, POOL)))
        self.assertIsNone(pattern.search(attribute(4, outside) + attribute(3, within)))

    def test_passes_over_answers_to_others(self) -> None:
        """And what has nothing of interest."""
        self.assertEqual(self.take(entry(9, HOST), entry(1, POOL), done(1)), [])

    def test_asks_for_each_family_once(self) -> None:
        """Whatever addresses there are."""
        self.assertEqual(flows.families([HOST, POOL, bytes(16)]), {2, 10})
        self.assertEqual(flows.listing(5, 2)[16], 2)


class DeletionTests(SynchronousTestCase):
    """The end of a flow."""

    def test_names_the_flow_as_the_kernel_did(self) -> None:
        """By its original tuple and its own number, so that another flow with that tuple lives on."""
        [found] = flows.listed([only(entry(1, HOST))], flows.sources([HOST]))
        told = flows.deletion(3, found)
        self.assertEqual(told[4:6], struct.pack("=H", 1 << 8 | 2))
        self.assertIn(tuple_of(CLIENT, POOL), told)
        self.assertIn(attribute(12, b"\0\0\0\7"), told)

    def test_counts_those_that_were_there_still(self) -> None:
        """One may have ended by itself meanwhile; another refusal is told."""
        listed = entry(1, HOST) + entry(1, HOST, b"\0\0\0\x08") + done(1)
        over = AnsweringChannel(refusal(1, 0), refusal(1, codec.ENOENT))
        wanted = flows.sources([HOST]), {flows.AF_INET}, lambda flow: HOST in flow.sources
        self.assertEqual(ending.end_all(AnsweringChannel(listed), over, *wanted), 1)
        self.assertEqual(len(over.sent), 1, "all of them at once")
        over = AnsweringChannel(refusal(1, 0) + refusal(1, 1))
        self.assertRaises(RealmGatewayError, ending.end_all, AnsweringChannel(listed), over, *wanted)

    def test_of_many_a_few_are_held(self) -> None:
        """What is read is ended before more is: a purge of a million flows needs no more room than one of ten."""
        parts, over = [entry(1, HOST) * ending.AT_ONCE] * 3, AnsweringChannel()
        left = list[int]()

        def ended(_channel: object, orders: list[bytes], _what: str) -> list[int]:
            left.append(len(listing.reads))
            return [0] * len(orders)

        self.patch(codec, "acknowledged", ended)
        listing = AnsweringChannel(*parts, done(1))
        wanted = flows.sources([HOST]), {flows.AF_INET}, lambda flow: HOST in flow.sources
        self.assertEqual(ending.end_all(listing, over, *wanted), 3 * ending.AT_ONCE)
        self.assertEqual(left, [3, 2, 1])

    def test_listing_that_was_interrupted_is_read_again(self) -> None:
        """What was ended by then counts; the rest is there still."""
        cut, flow = done(1, flags=codec.INTERRUPTED), entry(1, HOST)
        listing = AnsweringChannel(flow * ending.AT_ONCE + flow, cut, flow + done(1))
        self.patch(codec, "acknowledged", lambda _channel, orders, _what: [0] * len(orders))
        wanted = flows.sources([HOST]), {flows.AF_INET}, lambda flow: HOST in flow.sources
        self.assertEqual(ending.end_all(listing, AnsweringChannel(), *wanted), ending.AT_ONCE + 1)


def said(status: int, *, tcp_state: int | None = None) -> codec.Message:
    """What the kernel says of one flow."""
    body = struct.pack("!BBH", 2, 0, 0) + nested(1, tuple_of(CLIENT, POOL)) + attribute(3, struct.pack("!I", status))
    if tcp_state is not None:
        body += nested(4, nested(1, attribute(1, bytes((tcp_state,)))))
    return only(message(1 << 8, 7, body))


class QuestionTests(SynchronousTestCase):
    """Whether one flow was answered."""

    def test_asks_by_the_tuple_of_the_first_packet(self) -> None:
        """As the kernel writes it: addresses, protocol, ports in network order."""
        asked = flows.question(7, CLIENT, POOL, 17, 1000, 53)
        body = struct.pack("!BBH", 2, 0, 0) + nested(1, tuple_of(CLIENT, POOL))
        self.assertEqual(asked, struct.pack("=IHHII", 16 + len(body), 0x101, 1, 7, 0) + body)

    def test_asks_of_either_family_alike(self) -> None:
        """But for addresses that are longer, and of other kinds."""
        asked = flows.question(7, bytes(16), bytes(15) + b"\1", 6, 1000, 53)
        addresses = attribute(3, bytes(16)) + attribute(4, bytes(15) + b"\1")
        ports = attribute(1, b"\6") + attribute(2, b"\3\xe8") + attribute(3, b"\0\x35")
        body = struct.pack("!BBH", 10, 0, 0) + nested(1, nested(1, addresses) + nested(2, ports))
        self.assertEqual(asked, struct.pack("=IHHII", 16 + len(body), 0x101, 1, 7, 0) + body)

    def test_a_handshake_is_answered_when_it_came_to_its_end(self) -> None:
        """Not by what the host alone has said; and a reset says nothing."""
        replied, assured, close = 1 << 1, 1 << 2, 8
        self.assertIs(flows.is_answered(said(replied | assured, tcp_state=3), 6), True)
        self.assertIs(flows.is_answered(said(replied, tcp_state=2), 6), False)
        self.assertIs(flows.is_answered(said(replied), 132), False)
        self.assertIsNone(flows.is_answered(said(replied, tcp_state=close), 6))

    def test_another_flow_is_answered_by_any_reply(self) -> None:
        """And need not be."""
        self.assertIs(flows.is_answered(said(1 << 1), 17), True)
        self.assertIsNone(flows.is_answered(said(0), 17))

    def test_a_flow_that_is_not_there(self) -> None:
        """Has not completed a handshake; of others that says nothing."""
        self.assertIs(flows.is_answered(None, 6), False)
        self.assertIsNone(flows.is_answered(None, 17))
