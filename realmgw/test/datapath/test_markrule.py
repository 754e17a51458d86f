"""The rule that takes the address from the mark: which marks stand for which address, and the bytes for the kernel."""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.datapath import markrule, marks
from realmgw.errors import PlatformError, RealmGatewayError

REMOVE = bytes.fromhex(
    # NFNL_MSG_BATCH_BEGIN, subsystem 10
    "14000000 1000 0100 00000000 00000000  00 00 000a"
    # NFT_MSG_NEWTABLE: request, ack, create; family 2; NFTA_TABLE_NAME "realmgw_mark", 17 octets and padding
    "28000000 000a 0504 01000000 00000000  02 00 0000  1100 0100 7265616c 6d67775f 6d61726b 00 000000"
    # NFT_MSG_DELTABLE: request, ack
    "28000000 020a 0500 02000000 00000000  02 00 0000  1100 0100 7265616c 6d67775f 6d61726b 00 000000"
    # NFNL_MSG_BATCH_END
    "14000000 1100 0100 03000000 00000000  00 00 000a"
)
"""The whole batch of `remove`, by linux/netfilter/nfnetlink.h and nf_tables.h, on a little-endian machine."""
EXPRESSIONS = bytes.fromhex(
    # meta: NFTA_META_KEY mark, NFTA_META_DREG 1
    "2400 0180  0900 0100 6d657461 00 000000  1400 0280  0800 0200 00000003  0800 0100 00000001"
    # bitwise: from 1 into 1, 4 octets, mask 0xffffff00, xor 0
    "4400 0180  0c00 0100 62697477 69736500  3400 0280  0800 0100 00000001  0800 0200 00000001  0800 0300 00000004"
    "0c00 0480 0800 0100 00ffffff  0c00 0580 0800 0100 00000000"
    # cmp: register 1 equal to 0x200000a8 << 8: a mark, host byte order
    "2c00 0180  0800 0100 636d7000  2000 0280  0800 0100 00000001  0800 0200 00000000  0c00 0380 0800 0100 0000a820"
    # meta again
    "2400 0180  0900 0100 6d657461 00 000000  1400 0280  0800 0200 00000003  0800 0100 00000001"
    # bitwise: mask 0x00ffffff, xor 0xc0000000
    "4400 0180  0c00 0100 62697477 69736500  3400 0280  0800 0100 00000001  0800 0200 00000001  0800 0300 00000004"
    "0c00 0480 0800 0100 ffffff00  0c00 0580 0800 0100 000000c0"
    # byteorder: from 1 into 1, hton, 4 octets as one number
    "4000 0180  0e00 0100 62797465 6f726465 7200 0000  2c00 0280  0800 0100 00000001  0800 0200 00000001"
    "0800 0300 00000001  0800 0400 00000004  0800 0500 00000004"
    # nat: dnat, family 2, address in register 1
    "2800 0180  0800 0100 6e617400  1c00 0280  0800 0100 00000001  0800 0200 00000002  0800 0300 00000001"
)
"""The expressions of `indexed(192.168.0.0/24)`, each an NFTA_LIST_ELEM of NFTA_EXPR_NAME and NFTA_EXPR_DATA."""
LAN = IPv4Network("192.168.0.0/24")

networks = st.builds(
    lambda address, length: IPv4Network((address, length), strict=False),
    st.integers(0x01000000, 0xFEFFFFFF),
    st.integers(8, 32),
)
layouts: st.SearchStrategy[Callable[[IPv4Network], markrule.MarkRule]] = st.sampled_from(
    [markrule.addressed, markrule.indexed]
)
marks_of_any_kind = st.integers(0, 0xFFFFFFFF)


class LayoutTests(SynchronousTestCase):
    """`addressed` and `indexed`."""

    def test_a_mark_is_an_address(self) -> None:
        """In the layout `addressed`, the mark is the address as a number."""
        self.assertEqual(0xC0A80064, markrule.addressed(LAN).mark(IPv4Address("192.168.0.100").packed))

    def test_an_index_is_the_end_of_an_address(self) -> None:
        """In the layout `indexed`, the mark is that of `marks`; the host's index is the end of its address."""
        self.assertEqual(marks.admitted(0xA80064), markrule.indexed(LAN).mark(IPv4Address("192.168.0.100").packed))

    def test_refuses_an_address_outside_its_network(self) -> None:
        """There is no mark for an address that the rule would not translate to."""
        for layout in (markrule.addressed, markrule.indexed):
            self.assertRaises(ValueError, layout(LAN).mark, IPv4Address("192.168.1.100").packed)

    def test_lets_the_steps_alone(self) -> None:
        """`indexed` translates no packet that is still queued, or is to be rejected, whatever the other bits say."""
        rule = markrule.indexed(LAN)
        for mark in (0, 0xA80064, marks.QUEUED | 0xA80064, marks.REJECTED | 0xA80064, 0xFFFFFFFF):
            self.assertIsNone(rule.address(mark))

    def test_refuses_networks_that_a_layout_can_not_hold(self) -> None:
        """0.0.0.0 is the mark of everybody else, 255.x.x.x those of classification, and an index has three bytes."""
        for network in ("0.0.0.0/0", "0.0.0.0/8", "255.0.0.0/8", "240.0.0.0/4"):
            self.assertRaises(ValueError, markrule.addressed, IPv4Network(network))
        self.assertRaises(ValueError, markrule.indexed, IPv4Network("10.0.0.0/7"))

    @given(networks, layouts, st.data())
    def test_every_address_has_its_mark(
        self, network: IPv4Network, layout: Callable[[IPv4Network], markrule.MarkRule], data: st.DataObject
    ) -> None:
        """The mark of an address sends there, for every address of the network."""
        rule = layout(network)
        host = network[data.draw(st.integers(0, network.num_addresses - 1))].packed
        self.assertEqual(host, rule.address(rule.mark(host)))

    @given(networks, layouts, marks_of_any_kind)
    def test_never_leaves_the_network(
        self, network: IPv4Network, layout: Callable[[IPv4Network], markrule.MarkRule], mark: int
    ) -> None:
        """Whatever the mark, no flow is sent outside the network."""
        address = layout(network).address(mark)
        self.assertTrue(address is None or IPv4Address(address) in network)


class BatchTests(SynchronousTestCase):
    """`install` and `remove`."""

    if sys.byteorder != "little":
        skip = "the bytes to compare with are those of a little-endian machine"

    def test_removes_by_these_bytes(self) -> None:
        """To remove is to make the table, unless it is there, and to delete it, in one transaction."""
        self.assertEqual(REMOVE, markrule.remove())

    def test_writes_a_rule_by_these_bytes(self) -> None:
        """The expressions of a rule are those of the module's docstring, in that order."""
        rule = markrule.install([markrule.indexed(LAN)])
        self.assertIn(struct.pack("=HH", 4 + len(EXPRESSIONS), 0x8004) + EXPRESSIONS, rule)

    def test_replaces_what_is_there(self) -> None:
        """To install is to remove first, in the same transaction."""
        batch = markrule.install([markrule.addressed(LAN)])
        messages = [kind & 0xFF for kind in kinds(batch)]
        self.assertEqual([0x10, 0, 2, 0, 3, 6, 0x11], messages)

    def test_refuses_rules_that_select_the_same_mark(self) -> None:
        """Two networks whose addresses end alike can not share the layout `indexed`."""
        rules = [markrule.indexed(IPv4Network(network)) for network in ("10.1.2.0/24", "172.1.0.0/16")]
        self.assertRaises(ValueError, markrule.install, rules)

    @given(st.lists(networks, max_size=3, unique_by=lambda network: int(network.network_address) >> 24))
    def test_is_a_row_of_messages(self, lans: list[IPv4Network]) -> None:
        """Every batch is messages of four-byte aligned lengths from end to end, numbered from 0."""
        batch = markrule.install([markrule.addressed(lan) for lan in lans])
        self.assertEqual(6 + len(lans), len(kinds(batch)))


def kinds(batch: bytes) -> list[int]:
    """The types of a batch's messages; fails if lengths or numbers are not in order."""
    found: list[int] = []
    offset = 0
    while offset < len(batch):
        length, kind, _, sequence = struct.unpack_from("=IHHI", batch, offset)
        assert length % 4 == 0, length
        assert sequence == len(found), sequence
        found.append(kind)
        offset += length
    assert offset == len(batch)
    return found


class RecordedChannel:
    """A kernel that answers with datagrams prepared beforehand."""

    def __init__(self, *datagrams: bytes) -> None:
        self.sent: list[bytes] = []
        self.answers = list(datagrams)

    def send(self, data: bytes) -> int:
        """Keep it."""
        self.sent.append(data)
        return len(data)

    def recv(self, size: int) -> bytes:
        """The next answer; there must be one."""
        return self.answers.pop(0)


def answer(sequence: int, error: int = 0) -> bytes:
    """An answer to the message of that number, as the kernel gives it."""
    return struct.pack("=IHHIIiIHHII", 36, 2, 0x100, sequence, 0, -error, 40, 0xA00, 5, sequence, 0)


class ChainTests(SynchronousTestCase):
    """`trial`, `fill`, `listing` and `rules_in`."""

    def test_trial_has_no_end(self) -> None:
        """So the kernel undoes it."""
        self.assertEqual([0x10, 0, 3, 6], [kind & 0xFF for kind in kinds(markrule.trial(table="t"))])

    def test_fill_empties_first(self) -> None:
        """In the same transaction; without a rule the chain stays empty."""
        self.assertEqual(
            [0x10, 8, 6, 0x11], [kind & 0xFF for kind in kinds(markrule.fill(markrule.indexed(LAN), table="t"))]
        )
        self.assertEqual([0x10, 8, 0x11], [kind & 0xFF for kind in kinds(markrule.fill(None, table="t"))])

    def test_rules_are_counted_to_the_end_of_the_answers(self) -> None:
        """They come in one datagram or in several."""
        rule, done = struct.pack("=IHHII", 16, 0xA06, 2, 1, 0), struct.pack("=IHHIIi", 20, 3, 2, 1, 0, 0)
        self.assertEqual(3, markrule.rules_in(RecordedChannel(rule + rule, rule + done), markrule.listing(table="t")))
        self.assertEqual(0, markrule.rules_in(RecordedChannel(done), markrule.listing(table="t")))

    def test_refused_listing_is_told(self) -> None:
        """For want of the capability, say."""
        channel = RecordedChannel(answer(1, 1))
        self.assertRaises(RealmGatewayError, markrule.rules_in, channel, markrule.listing(table="t"))


class PutTests(SynchronousTestCase):
    """`put`."""

    def test_returns_when_every_message_is_answered(self) -> None:
        """The answers may come in several datagrams or in one, with others' before them."""
        channel = RecordedChannel(answer(7) + answer(1), answer(2))
        markrule.put(markrule.remove(), channel)
        self.assertEqual(([markrule.remove()], []), (channel.sent, channel.answers))

    def test_raises_what_the_kernel_says(self) -> None:
        """A refusal names the kernel's error."""
        channel = RecordedChannel(answer(1), answer(2, 2))
        error = self.assertRaises(PlatformError, markrule.put, markrule.remove(), channel)
        self.assertIn("ENOENT", str(error))

    def test_raises_when_the_batch_itself_is_refused(self) -> None:
        """Without the capability, the kernel answers to the beginning of the batch alone."""
        channel = RecordedChannel(answer(0, 1))
        error = self.assertRaises(PlatformError, markrule.put, markrule.remove(), channel)
        self.assertIn("EPERM", str(error))
