"""Tests for `realmgw.datapath.pipeline.parts`."""

from __future__ import annotations

from ipaddress import ip_network

from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.pipeline import PrefixList
from realmgw.config.prefixlists import Prefixes
from realmgw.datapath.pipeline import parts
from realmgw.datapath.pipeline.parts import Stages, changes, told
from realmgw.test.checkout import CHECKOUT, NO_CHECKOUT

HOOK = "type filter hook input priority filter; policy accept;"


class ChangesTests(SynchronousTestCase):
    """`changes`: from one state to another."""

    before = Stages(
        {"counter stage_a": "{ }", "set stage_b_ip": "{ type ipv4_addr; }"},
        {"stage_x": (HOOK, "accept"), "stage_y": (HOOK, "drop"), "stage_z": ("drop",)},
    )

    def led(self, after: Stages) -> list[str]:
        """The commands."""
        return list(changes("t", self.before, after))

    def test_nothing_changes(self) -> None:
        """No command."""
        self.assertEqual(self.led(self.before), [])

    def test_what_is_in_both_stays(self) -> None:
        """Chains of the same hook are filled anew, counters and sets that are the same are left alone."""
        after = Stages({"counter stage_a": "{ }"}, {"stage_x": (HOOK, "drop"), "stage_z": ("accept",)})
        self.assertEqual(self.led(after), [
            "flush chain inet t stage_x", "flush chain inet t stage_y", "flush chain inet t stage_z",
            "delete chain inet t stage_y", "delete set inet t stage_b_ip",
            "add rule inet t stage_x drop", "add rule inet t stage_z accept",
        ])  # fmt: skip

    def test_what_is_different_is_made_anew(self) -> None:
        """A chain at another hook, and a set with other elements."""
        other = HOOK.replace("filter;", "filter - 10;")
        declared = "{ type ipv4_addr; elements = { 192.0.2.1 }; }"
        after = Stages({**self.before.objects, "set stage_b_ip": declared},
                       {**self.before.chains, "stage_y": (other, "drop")})  # fmt: skip
        lines = self.led(after)
        self.assertIn("delete chain inet t stage_y", lines)
        self.assertIn(f"add chain inet t stage_y {{ {other} }}", lines)
        self.assertLess(
            lines.index("delete set inet t stage_b_ip"), lines.index(f"add set inet t stage_b_ip {declared}")
        )
        self.assertNotIn("delete counter inet t stage_a", lines)


class WordsTests(SynchronousTestCase):
    """What rules are made of."""

    def test_where_a_rule_is_written(self) -> None:
        """The file with its folder, as far as nft can quote it."""
        self.assertEqual(parts.comment("/etc/realmgw/policies.d/50.yaml:7"), 'comment "policies.d/50.yaml:7"')
        self.assertEqual(parts.comment('/x/a"b\n} drop/50.yaml:7'), 'comment "a?b?} drop/50.yaml:7"')
        self.assertEqual(parts.comment(""), 'comment "built in"')
        self.assertLess(len(parts.comment("/" + "x" * 4000 + ":1")), 127)

    def test_a_list_has_a_set_for_each_family_that_is_in_it(self) -> None:
        """An empty one has none, and matches nobody."""
        some = Prefixes("192.0.2.0/24", "", 1)
        self.assertEqual(list(parts.within("stage_l", some)), ["ip saddr @stage_l_ip"])
        self.assertEqual(list(parts.prefix_sets("stage_l", some)), ["set stage_l_ip"])
        self.assertEqual((list(parts.within("l", PrefixList().listed)), parts.prefix_sets("l", Prefixes())), ([], {}))

    def test_few_prefixes_do_not_overlap(self) -> None:
        """Nftables refuses that."""
        some = [ip_network(each) for each in ("192.0.2.7/32", "192.0.2.0/24", "2001:db8::/32", "192.0.2.0/24")]
        self.assertEqual(list(parts.written(some)), [("ip", "{ 192.0.2.0/24 }"), ("ip6", "{ 2001:db8::/32 }")])

    def test_rules_are_told_by_their_parts(self) -> None:
        """What stands in a chain, and is no hook."""
        lines = (HOOK, f"udp dport 53 {parts.drop('stage_dns_grey', 'p/f:1')}", "accept",
                 parts.refuse("stage_http", ""),
                 'tcp dport 1 counter name "r" reject with tcp reset comment "x: y"')  # fmt: skip
        found = [(each.matches, each.counter, each.verdict, each.origin) for each in told(Stages({}, {"c": lines}))]
        self.assertEqual(found, [
            ("udp dport 53", "stage_dns_grey", "drop", "p/f:1"), ("", "", "accept", ""),
            ("", "stage_http", "goto stage_refuse", "built in"), ("tcp dport 1", "r", "reject with tcp reset", "x: y"),
        ])  # fmt: skip


class CounterTests(SynchronousTestCase):
    """The counters of stages."""

    def test_are_explained(self) -> None:
        """In docs/pipeline.md, all of them."""
        text = CHECKOUT.joinpath("docs", "pipeline.md").read_text()
        self.assertEqual([name for name in parts.COUNTERS if f"`{name}`" not in text], [])

    test_are_explained.skip = NO_CHECKOUT  # type: ignore[attr-defined]  # trial's way
