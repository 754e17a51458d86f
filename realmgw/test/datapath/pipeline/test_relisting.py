"""Tests for `realmgw.datapath.pipeline.relisting`."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, collapse_addresses
from itertools import pairwise

import attrs
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.prefixlists import Prefixes
from realmgw.datapath.batches import Elements
from realmgw.datapath.pipeline.parts import Stages, prefix_sets
from realmgw.datapath.pipeline.relisting import AT_ONCE, slices

LISTS = ("stage_black", "stage_white")
NETWORKS = st.lists(
    st.builds(lambda at, length: IPv4Network((at >> (8 - length) << (8 - length), 24 + length)),
              st.integers(0, 255), st.integers(0, 8)),
    min_size=1, max_size=40,
)  # fmt: skip


def staged(*lists: Sequence[IPv4Network | IPv6Network]) -> Stages:
    """Stages that have these lists."""
    objects: dict[str, str] = {}
    for name, networks in zip(LISTS, lists, strict=False):
        by = {4: list[str](), 6: list[str]()}
        for each in networks:
            by[each.version].append(str(each))
        objects |= prefix_sets(name, Prefixes(", ".join(by[4]), ", ".join(by[6])))
    return Stages({**objects, "counter c": "{ }"}, {"stage_preemptive": ("ip saddr @stage_black_ip drop",)})


def changed(some: set[tuple[int, int]], each: Elements) -> None:
    """What a transaction does to a set of first addresses, and those behind."""
    for key, behind in each.elements:
        span = int.from_bytes(key.packed, "big"), int.from_bytes(behind.packed, "big") if behind else 1 << 32
        assert (span in some) is (each.verb == "delete"), span
        some ^= {span}


def spans(networks: Sequence[IPv4Network]) -> set[tuple[int, int]]:
    """The same of a list."""
    return {(int(each[0]), int(each[-1]) + 1) for each in networks}


class SlicesTests(SynchronousTestCase):
    """`slices`."""

    @given(*[NETWORKS.map(lambda some: list(collapse_addresses(some)))] * 4, st.integers(1, 9))
    def test_each_sender_is_on_all_lists_as_before_or_as_afterwards(
        self, black: list[IPv4Network], white: list[IPv4Network], black2: list[IPv4Network], white2: list[IPv4Network],
        most: int,
    ) -> None:  # fmt: skip
        """After each transaction; and nothing overlaps in any set, since the kernel would not take it."""
        made = slices(staged(black, white), staged(black2, white2), most)
        assert made is not None
        found = {f"{name}_ip": spans(some) for name, some in zip(LISTS, (black, white), strict=True)}

        def of_all(at: int) -> tuple[bool, ...]:
            return tuple(any(first <= at < behind for first, behind in found[f"{name}_ip"]) for name in LISTS)

        before = [of_all(at) for at in range(256)]
        wanted = (spans(black2), spans(white2))
        after = [tuple(any(first <= at < behind for first, behind in some) for some in wanted) for at in range(256)]
        for transaction in made:
            for each in transaction:
                changed(found[each.name], each)
            for some in found.values():
                ordered = sorted(some)
                self.assertTrue(all(one[1] <= two[0] for one, two in pairwise(ordered)))
            for at in range(256):
                self.assertIn(of_all(at), (before[at], after[at]))
        self.assertEqual(tuple(found.values()), wanted)

    def test_no_transaction_is_longer_than_some(self) -> None:
        """Of either family; what is in both lists is not touched, and the last address has none behind it."""
        old, new = ([IPv4Network((at << 9 | last << 8, 24)) for at in range(3000)] for last in (0, 1))
        six = [IPv6Network((at << 80, 48)) for at in range(2000)]
        end = IPv4Network("255.255.255.255/32")
        made = slices(staged([*old, end, *six[:1]]), staged([*new, *six]))
        assert made is not None
        sizes = [sum(len(each.elements) for each in one) for one in made]
        self.assertEqual(sum(sizes), 3000 + 1 + 3000 + 1999)
        self.assertLessEqual(max(sizes), AT_ONCE + 1)
        behind = [value for one in made for each in one for _, value in each.elements]
        self.assertEqual(behind.count(None), 1)

    def test_more_than_lists_is_left_to_others(self) -> None:
        """Other rules, another set, another object, no list any more; nothing at all is nothing."""
        some = staged([IPv4Network("192.0.2.0/24")])
        for other in (
            attrs.evolve(some, chains={}),
            staged([IPv4Network("192.0.2.0/24"), IPv6Network("2001:db8::/32")]),
            staged([IPv6Network("2001:db8::/32")]),
            attrs.evolve(some, objects={**some.objects, "counter c": '{ comment "other"; }'}),
        ):
            self.assertIsNone(slices(some, other))
        self.assertEqual(slices(some, some), ())
