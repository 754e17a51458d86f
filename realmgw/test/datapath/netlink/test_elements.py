"""Tests for `realmgw.datapath.netlink.elements`; `realmgw.test.kernel` has kernels that take them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.datapath.batches import ELEMENTS_PER_COMMAND, Elements, Word, named
from realmgw.datapath.netlink import codec, elements
from realmgw.datapath.netlink.nftables import INET

WORDS = st.sampled_from((4, 16)).flatmap(lambda size: st.binary(min_size=size, max_size=size))
MANY = Elements("add", "s", tuple((Word("", bytes((10, 0, at >> 8, at & 255))), None) for at in range(2500)))


def said(changes: list[Elements]) -> list[codec.Message]:
    """The messages of a transaction."""
    return list(codec.messages(elements.transaction((INET, "t"), changes, 7)))


def pairs(message: codec.Message) -> list[tuple[bytes, bytes]]:
    """Keys, and what stands for them."""
    listed = codec.attributes(codec.fields(message)[3])
    return [(codec.find(each, 1, 1), codec.find(each, 2, 1)) for _, each in listed]


class TransactionTests(SynchronousTestCase):
    """`transaction`."""

    @given(WORDS, WORDS)
    def test_keys_and_values_are_as_the_kernel_has_them(self, key: bytes, value: bytes) -> None:
        """A key alone is deleted."""
        pair = (Word("k", key), Word("v", value))
        first, added, deleted, last = said([Elements("add", "m", (pair,)), Elements("delete", "m", (pair,))])
        self.assertEqual([each.kind for each in (first, added, deleted, last)], [0x10, 0xA0C, 0xA0E, 0x11])
        self.assertEqual((pairs(added), pairs(deleted)), ([(key, value)], [(key, b"")]))
        self.assertEqual([codec.text(codec.fields(added)[at]) for at in (1, 2)], ["t", "m"])
        self.assertEqual(added.body[0], INET)

    def test_objects_are_told_by_their_names_and_keys_may_need_padding(self) -> None:
        """Ports have two octets, the numbers of families one."""
        for key, padding in ((b"\0\x50", 2), (b"\2", 3), (bytes(20), 0)):
            pair = (Word("k", key), named("m536w1"))
            _, added, deleted, _ = said([Elements(verb, "m", (pair,), are_objects=True) for verb in ("add", "delete")])
            [(_, element)] = codec.attributes(codec.fields(added)[3])
            self.assertEqual(element, codec.nested(1, codec.attribute(1, key)) + codec.attribute(9, b"m536w1\0"))
            self.assertEqual(len(codec.find(element, 1)), 4 + len(key) + padding)
            self.assertEqual(pairs(deleted), [(key, b"")])

    def test_the_last_order_is_acknowledged_and_all_answers_are_known(self) -> None:
        """By one number; a refusal is told anyway."""
        every = said([MANY, MANY])
        self.assertEqual([bool(each.flags & codec.ACK) for each in every], [False] * 6 + [True, False])
        self.assertEqual({each.sequence for each in every}, {7})

    def test_there_are_so_many_in_a_message(self) -> None:
        """The length of an attribute has 16 bits."""
        _, *portions, _ = said([MANY])
        self.assertEqual([len(pairs(each)) for each in portions], [ELEMENTS_PER_COMMAND, ELEMENTS_PER_COMMAND, 452])
        found = [key for each in portions for key, _ in pairs(each)]
        self.assertEqual(found, [key.packed for key, _ in MANY.elements])
        wide = tuple((Word("", bytes(16)), Word("", bytes(16))) for _ in range(ELEMENTS_PER_COMMAND))
        _, one, _ = said([Elements("add", "m", wide)])
        self.assertEqual(len(pairs(one)), ELEMENTS_PER_COMMAND)
