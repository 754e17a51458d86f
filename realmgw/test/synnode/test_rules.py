"""Tests for `realmgw.synnode.rules`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path

import attrs
from twisted.trial.unittest import SynchronousTestCase

from realmgw.synnode import rules
from realmgw.synnode.entries import Target
from realmgw.synnode.rules import Guarding
from realmgw.synproxy.codec import TcpOptions
from realmgw.test.synnode.keys import FULL, HOST, HOST6, PLAIN, packed

GOLDEN = Path(__file__).with_name("golden.nft")
"""The whole transaction, as it was found to be good."""
GUARDING = Guarding("sp", ("wan0", "wan1"), (ip_network("203.0.113.0/24"), ip_network("2001:db8::/48")), True, PLAIN)
ANY, ANY6 = (bytes(4), 0), (bytes(16), 0)
ENTRIES = {(packed(HOST), 80): FULL, (packed(HOST), 0): PLAIN, (packed(HOST6), 443): FULL, (bytes(16), 25): PLAIN}


class ReplacementTests(SynchronousTestCase):
    """The whole table."""

    def test_is_as_it_was_found_to_be_good(self) -> None:
        """Line by line; whoever changes it tries it with a kernel, and writes golden.nft anew."""
        text = rules.replacement(GUARDING, rules.complete(GUARDING, ENTRIES))
        self.assertEqual(text.splitlines(), GOLDEN.read_text().splitlines())

    def test_without_timestamps_nothing_but_the_mss_is_offered(self) -> None:
        """The kernel has nowhere to keep the rest, and leaves it out."""
        text = rules.replacement(attrs.evolve(GUARDING, timestamps=False), rules.complete(GUARDING, ENTRIES))
        self.assertIn("add synproxy inet sp m1460w7s { mss 1460; wscale 7; }", text)

    def test_without_prefixes_of_a_family_its_set_is_empty(self) -> None:
        """And no rule of it ever matches."""
        text = rules.replacement(attrs.evolve(GUARDING, guarded=GUARDING.guarded[:1]), rules.complete(GUARDING, {}))
        self.assertIn("set guarded6 { type ipv6_addr; flags interval; auto-merge; }", text)


class ChangesTests(SynchronousTestCase):
    """From some entries to others."""

    def test_what_is_so_already_is_no_change(self) -> None:
        """Neither is that something stays away, nor a default that is the configuration's."""
        same = {**ENTRIES, ANY: PLAIN, ANY6: None, (packed(HOST6), 1): None}
        self.assertEqual(_changes(rules.complete(GUARDING, ENTRIES), same), [])

    def test_another_variety_is_an_object_first(self) -> None:
        """It is deleted with the last of its entries, behind it."""
        third = attrs.evolve(FULL, mss=1400)
        lines = _changes(rules.complete(GUARDING, ENTRIES), {(packed(HOST), 80): third, (packed(HOST6), 443): third})
        self.assertEqual(lines, [
            "add synproxy inet sp m1400w7s { mss 1400; wscale 7; timestamp sack-perm; }",
            "delete element inet sp services4 { 203.0.113.5 . 80 }",
            "delete element inet sp services6 { 2001:db8::5 . 443 }",
            'add element inet sp services4 { 203.0.113.5 . 80 : "m1400w7s" }',
            'add element inet sp services6 { 2001:db8::5 . 443 : "m1400w7s" }',
            "delete synproxy inet sp m1460w7s",
        ])  # fmt: skip

    def test_a_default_that_is_gone_is_the_configurations_again(self) -> None:
        """There is always one for each family."""
        lines = _changes(rules.complete(GUARDING, {ANY: FULL}), {ANY: None})
        self.assertEqual(lines, [
            "delete element inet sp defaults { ipv4 }",
            'add element inet sp defaults { ipv4 : "m536w1" }',
            "delete synproxy inet sp m1460w7s",
        ])  # fmt: skip


def _changes(placed: Mapping[Target, TcpOptions], wanted: Mapping[Target, object]) -> list[str]:
    """Each transaction, elements as nft would have them."""
    steps = rules.changes(GUARDING, placed, Counter(placed.values()), wanted)
    elements = [line for each in steps.elements for line in each.commands(GUARDING.table)]
    return [*steps.before.splitlines(), *elements, *steps.after.splitlines()]
