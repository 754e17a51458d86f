"""Tests for `realmgw.datapath.membership`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from realmgw.datapath import membership
from realmgw.subscribers.model import Host, Identity, Profile


class MembershipTests(SynchronousTestCase):
    """Which sets there are, and who is in them."""

    def test_sets_are_those_that_files_name(self) -> None:
        """Each once, whatever stands around it; nothing else is taken for one."""
        texts = (
            "ip saddr @subscribers drop\nip6 saddr { @group6_a-1.b } ip daddr @group_A.",
            "ip saddr @subscribers ip6 saddr @subscribers6 @subscribers7 @mine @group_ @subscribers/x",
        )
        named = membership.named(texts)
        self.assertEqual(named, ("group6_a-1.b", "group_A.", "subscribers", "subscribers6"))
        kinds = ["ipv6_addr", "ipv4_addr", "ipv4_addr", "ipv6_addr"]
        self.assertEqual([membership.kind(name) for name in named], kinds)

    def test_a_host_is_in_the_sets_of_its_groups_with_all_of_its_addresses(self) -> None:
        """Of the family of each; what no file names is not there, and nothing is told of a set without anybody."""
        host = Host(1, "h.", b"\xc0\xa8\0\1", Profile(groups=("a", "a", "6_x")), Identity((), (bytes(15) + b"\2",)))
        names = ("subscribers", "subscribers6", "group_a", "group6_a", "group_b", "group_6_x")
        found = {
            each.name: [key.text for key, _ in each.elements] for each in membership.elements("add", names, [host])
        }
        own, other = ["192.168.0.1"], ["::2"]
        self.assertEqual(found, {
            "subscribers": own, "subscribers6": other, "group_a": own, "group6_a": other, "group_6_x": own,
        })  # fmt: skip
        self.assertEqual(list(membership.elements("delete", (), [host])), [])
