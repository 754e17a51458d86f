"""What conntrack tells of flows that have ended, as octets."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.datapath.netlink import bpf, codec, destroyed

TCP, UDP, GRE, ESP, SCTP = 6, 17, 47, 50, 132
SOURCE, POOL, HOST = (bytes(each) for each in ((100, 64, 3, 10), (100, 64, 2, 1), (192, 168, 0, 100)))
FLOW = (SOURCE, POOL, UDP, 5000, 2000)
SEEN_REPLY, ASSURED, CONFIRMED, TRANSLATED, DYING = 1 << 1, 1 << 2, 1 << 3, 1 << 5, 1 << 9
ENDED = SEEN_REPLY | ASSURED | CONFIRMED | TRANSLATED | DYING
FROM_A_KERNEL = bytes.fromhex(
    "940000000201000000000000381169d002000000340000018014000180080001006440030a08000200644002011c000280050001001100000006"
)
"""The beginning of what one has told."""


def side(source: bytes, destination: bytes, protocol: int, ports: tuple[int, int] | None) -> bytes:
    """A tuple, as the kernel writes it."""
    addresses = codec.attribute(1, source) + codec.attribute(2, destination)
    numbers = codec.attribute(1, bytes([protocol]))
    if ports is not None:
        numbers += b"".join(codec.attribute(2 + n, port.to_bytes(2, "big")) for n, port in enumerate(ports))
    return codec.attribute(1 | codec.NESTED, addresses) + codec.attribute(2 | codec.NESTED, numbers)


def told(
    protocol: int = UDP, *, status: int = ENDED, ports: tuple[int, int] | None = (5000, 2000), family: int = 2
) -> bytes:
    """The message about a flow of ours."""
    back = None if ports is None else (ports[1], ports[0])
    body = (
        struct.pack("!BBH", family, 0, 0)
        + codec.attribute(1 | codec.NESTED, side(SOURCE, POOL, protocol, ports))
        + codec.attribute(2 | codec.NESTED, side(HOST, SOURCE, protocol, back))
        + codec.attribute(12, b"\1\2\3\4")
        + codec.attribute(3, status.to_bytes(4, "big"))
        + codec.attribute(7, (3).to_bytes(4, "big"))
    )
    return codec.message(1 << 8 | 2, 0, 0, body)


def delivers(program: bytes, message: bytes) -> bool:
    """What the kernel does with a filter and a message."""
    instructions = list(struct.iter_unpack("=HBBI", program))
    at = loaded = index = 0
    while True:
        code, if_true, if_false, value = instructions[at]
        at += 1
        if code == bpf.RETURN:
            return bool(value)
        if code == bpf.IF_EQUAL:
            at += if_true if loaded == value else if_false
        elif code == bpf.AND:
            loaded &= value
        elif code == bpf.LOAD_OCTET:
            loaded = message[value]
        elif code == bpf.LOAD_NUMBER:
            loaded = value
        elif code == bpf.INDEX_NUMBER:
            index = value
        elif code == bpf.INDEX_LOADED:
            index = loaded
        elif code == bpf.LOAD_WORD_BEYOND:
            loaded = int.from_bytes(message[index + value : index + value + 4], "big")
        else:
            assert (code, value) == (bpf.LOAD_WORD, bpf.FIND_ATTRIBUTE)
            loaded = found(message, loaded, index)


def found(message: bytes, start: int, kind: int) -> int:
    """Where an attribute is, 0 if it is not there."""
    at = start
    for each, value in codec.attributes(message[start:]):
        if each == kind:
            return at
        at += codec.aligned(4 + len(value))
    return 0


class ParseTests(SynchronousTestCase):
    """`parse`."""

    def test_reads_a_flow_of_udp_and_its_host(self) -> None:
        """By the source of the answers it is known where it went."""
        self.assertEqual(destroyed.parse(told()), (FLOW, HOST))

    def test_reads_a_protocol_without_ports(self) -> None:
        """Its ports are 0, as in the packets that the gate decides about."""
        self.assertEqual(destroyed.parse(told(ESP, ports=None)), ((SOURCE, POOL, ESP, 0, 0), HOST))

    def test_keys_of_gre_are_no_ports(self) -> None:
        """Conntrack has them in their place, and the gate does not see them."""
        self.assertEqual(destroyed.parse(told(GRE, ports=(0, 7))), ((SOURCE, POOL, GRE, 0, 0), HOST))

    def test_single_exchanges_and_flows_of_others_are_passed_over(self) -> None:
        """So the filter may let them through, where the kernel has no filters."""
        for status in (ENDED & ~ASSURED, ENDED & ~TRANSLATED, 0):
            self.assertIsNone(destroyed.parse(told(status=status)))

    def test_another_family_is_passed_over(self) -> None:
        """Only IPv4 is translated."""
        self.assertIsNone(destroyed.parse(told(family=10)))

    @given(cut=st.integers(0, 200), noise=st.binary(max_size=300))
    def test_nothing_that_is_told_raises(self, cut: int, noise: bytes) -> None:
        """Cut off, or something else altogether: it is passed over."""
        self.assertIsNone(destroyed.parse(told()[: min(cut, 139)]))
        destroyed.parse(noise)
        destroyed.parse(told()[:cut] + noise)
        self.assertIsNone(destroyed.parse(FROM_A_KERNEL))


class ProgramTests(SynchronousTestCase):
    """`program`."""

    def test_lets_through_what_may_be_of_use(self) -> None:
        """Conversations that were translated, of all protocols but those that are not wanted."""
        program = destroyed.program((TCP, SCTP))
        for protocol, ports in ((UDP, (1, 2)), (GRE, (0, 7)), (ESP, None)):
            self.assertTrue(delivers(program, told(protocol, ports=ports)))

    def test_wakes_nobody_up_for_the_rest(self) -> None:
        """Connections of TCP, single exchanges, flows that went where they were sent, IPv6."""
        program = destroyed.program((TCP, SCTP))
        rest = [told(TCP), told(SCTP), told(status=ENDED & ~ASSURED), told(status=ENDED & ~TRANSLATED), told(family=10)]
        self.assertEqual([delivers(program, each) for each in rest], [False] * 5)
