"""What the kernel tells of packets that are traced, from octets."""

from __future__ import annotations

import contextlib
import struct
from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.datapath.netlink import codec, traces
from realmgw.datapath.netlink.traces import Headers, Kind, Step
from realmgw.errors import RealmGatewayError
from realmgw.test.datapath.answers import AnsweringChannel, done
from realmgw.test.datapath.netlink.test_counters import attribute, message

# linux/netfilter/nf_tables.h, written out once more: the codec's own numbers would prove nothing.
TRACE, NEWRULE = 0x0A11, 0x0A06
POLICY, RULE = 1, 3
ACCEPT, DROP, GOTO, CONTINUE = 1, 0, -4, -1


def u32(kind: int, value: int) -> bytes:
    """A number of 32 bits."""
    return attribute(kind, struct.pack("!i", value))


def verdict(code: int, chain: str = "") -> bytes:
    """What came of a rule."""
    to = attribute(2, chain.encode() + b"\0") if chain else b""
    return attribute(0x8005, u32(1, code) + to)


def trace(kind: int, *more: bytes, packet: int = 7, family: int = 1) -> bytes:
    """The kernel's message about a step, in the chain `c` of the table `t`."""
    body = struct.pack("!BBH", family, 0, 0) + attribute(1, b"t\0") + attribute(2, b"c\0")
    return message(TRACE, body + u32(4, kind) + u32(6, packet) + b"".join(more))


def rule(handle: int, *more: bytes) -> bytes:
    """What says which rule it was."""
    return attribute(3, struct.pack("!Q", handle)) + b"".join(more)


def ipv4(protocol: int, *, offset: int = 0) -> bytes:
    """A header, from 192.0.2.1 to 192.0.2.2."""
    ends = (ip_address(each).packed for each in ("192.0.2.1", "192.0.2.2"))
    return struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, 9, offset, 64, protocol, 0, *ends)


def ipv6(protocol: int) -> bytes:
    """The same, from 2001:db8::1 to 2001:db8::2."""
    ends = (ip_address(each).packed for each in ("2001:db8::1", "2001:db8::2"))
    return struct.pack("!IHBB16s16s", 6 << 28, 20, protocol, 64, *ends)


def parse(*octets: bytes) -> list[Step]:
    """What they tell."""
    return list(traces.parse(b"".join(octets)))


class StepTests(SynchronousTestCase):
    """`parse`."""

    def test_a_rule_that_leads_elsewhere(self) -> None:
        """With its handle, the chain that it leads to, and what is known of the packet besides."""
        [step] = parse(trace(RULE, rule(12, verdict(GOTO, "other")), u32(10, 3), u32(12, 4), u32(14, 0x51)))
        expected = Step(7, (1, "t", "c"), Kind.RULE, 12, "goto", "other", None, 3, 4, 0x51)
        self.assertEqual(step, expected)

    def test_ends_of_chains(self) -> None:
        """A policy, or that no rule is left."""
        steps = parse(trace(POLICY, u32(16, ACCEPT)), trace(POLICY, u32(16, DROP)), trace(RULE, verdict(CONTINUE)))
        self.assertEqual([(each.verdict, each.rule) for each in steps], [("accept", 0), ("drop", 0), ("continue", 0)])

    def test_a_queue_is_one_whatever_its_number(self) -> None:
        """With the flag that lets through what nobody listens to, too."""
        for code in (0x0001_0003, 0x0001_8003, -0x63BF_7FFD):
            [step] = parse(trace(RULE, rule(1, verdict(code))))
            self.assertEqual(step.verdict, "queue", hex(code))

    def test_headers_of_both_families(self) -> None:
        """Ports where the protocol has any, flags of TCP, types of ICMP; of later fragments nothing."""
        tcp, icmp = struct.pack("!HHIIBBHHH", 1024, 80, 0, 0, 0x50, 0x12, 0, 0, 0), bytes((128, 0, 1, 2))
        pair = ip_address("192.0.2.1").packed, ip_address("192.0.2.2").packed
        pair6 = ip_address("2001:db8::1").packed, ip_address("2001:db8::2").packed
        for network, transport, expected in (
            (ipv4(6), tcp, Headers(*pair, 6, 1024, 80, "syn ack")),
            (ipv4(17), tcp[:8], Headers(*pair, 17, 1024, 80, "")),
            (ipv4(17, offset=0x2000), tcp[:8], Headers(*pair, 17, 1024, 80, "")),
            (ipv4(17, offset=0x0003), tcp[:8], Headers(*pair, 17, None, None, "fragment")),
            (ipv6(58), icmp, Headers(*pair6, 58, None, None, "type 128 code 0")),
            (ipv4(6), b"\x04", Headers(*pair, 6, None, None, "")),
            (b"\x45", b"", None),
            (b"", b"", None),
            (b"\x00\x01" * 20, b"", None),
        ):
            [step] = parse(trace(RULE, rule(1), attribute(8, network), attribute(9, transport)))
            self.assertEqual(step.headers, expected)

    def test_what_is_no_step_is_refused_or_passed_over(self) -> None:
        """A message of another kind says nothing here."""
        self.assertEqual(parse(message(NEWRULE, bytes(4))), [])
        for kind in (0, 9):
            self.assertRaises(RealmGatewayError, parse, trace(kind))

    @given(st.binary(max_size=80), st.integers(0, 120))
    def test_malformed_message_raises_nothing_but_our_error(self, noise: bytes, cut: int) -> None:
        """Cut off anywhere and followed by anything."""
        whole = trace(RULE, rule(1, verdict(GOTO, "d")), attribute(8, ipv4(6)), attribute(9, bytes(20)))
        for octets in (whole[:cut] + noise, noise, trace(RULE, attribute(8, noise), attribute(9, noise))):
            with contextlib.suppress(RealmGatewayError):
                parse(octets)


def listed_rule(handle: int, comment: bytes, chain: bytes = b"c") -> bytes:
    """The kernel's message about a rule."""
    body = struct.pack("!BBH", 1, 0, 0) + attribute(1, b"t\0") + attribute(2, chain + b"\0")
    return message(NEWRULE, body + attribute(3, struct.pack("!Q", handle)) + attribute(7, comment))


class RulesTests(SynchronousTestCase):
    """`rules`."""

    def listed(self, *reads: bytes) -> object:
        """What is in the answers."""
        return traces.rules(codec.dump(AnsweringChannel(*reads), traces.request(9), "rules"))

    def test_comments_by_chain_and_handle(self) -> None:
        """In the order of the rules; a comment stands among other user data."""
        said = b"\1\1x" + b"\0\6hello\0"
        answers = [listed_rule(5, said), listed_rule(4, b""), listed_rule(6, b"\0\3a\0", b"d"), done(9)]
        expected = {(1, "t", "c"): {5: "hello", 4: ""}, (1, "t", "d"): {6: "a"}}
        found = self.listed(*answers)
        self.assertEqual(found, expected)
        assert isinstance(found, dict)
        self.assertEqual(list(found[1, "t", "c"]), [5, 4])
