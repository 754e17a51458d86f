"""Tests for `realmgw.datapath.netlink.chains`."""

from __future__ import annotations

import struct

from twisted.trial.unittest import SynchronousTestCase

from realmgw.datapath.netlink import chains, codec
from realmgw.datapath.netlink.codec import Message
from realmgw.datapath.netlink.nftables import CHAIN, INET, IPV4, RULE, SUBSYSTEM
from realmgw.errors import RealmGatewayError
from realmgw.test.datapath.answers import only

BRIDGE = 7


def told(kind: int, family: int, *attributes: bytes) -> Message:
    """What the kernel tells of something."""
    return only(codec.netfilter(SUBSYSTEM | kind, 0, 1, family, *attributes))


def chain(family: int, table: str, name: str, hook: int | None = None, policy: int = 1, priority: int = 0) -> Message:
    """A chain."""
    at = codec.nested(
        4, codec.attribute(1, struct.pack("!I", hook or 0)), codec.attribute(2, struct.pack("!i", priority))
    )
    more = () if hook is None else (at, codec.attribute(5, struct.pack("!I", policy)))
    return told(CHAIN, family, codec.name(1, table), codec.name(3, name), *more)


def rule(family: int, table: str, expression: str, code: int | None = None) -> Message:
    """A rule with an expression: a verdict by its code, or another one."""
    verdict = (
        ()
        if code is None
        else (codec.nested(2, codec.nested(2, codec.nested(2, codec.attribute(1, struct.pack("!i", code))))),)
    )
    of_it = codec.nested(1, codec.name(1, expression), *verdict)
    return told(RULE, family, codec.name(1, table), codec.name(2, "c"), codec.nested(4, of_it))


class DroppingTests(SynchronousTestCase):
    """Chains that drop."""

    def test_by_their_policy(self) -> None:
        """At the hooks that matter, in families whose packets are routed."""
        every = [
            chain(IPV4, "filter", "FORWARD", 2, 0, -5), chain(IPV4, "filter", "OUTPUT", 3, 0),
            chain(IPV4, "filter", "DOCKER"), chain(BRIDGE, "b", "f", 2, 0), chain(INET, "mine", "input", 1, 1),
        ]  # fmt: skip
        [found] = chains.dropping(every, [])
        siblings = frozenset(("FORWARD", "OUTPUT", "DOCKER"))
        self.assertEqual(found, chains.Hooked("ip", "filter", "FORWARD", "forward", -5, True, siblings))

    def test_by_a_rule_of_their_table(self) -> None:
        """A verdict of drop, or a rejection; nothing else, and not of another family's table of that name."""
        every = [chain(INET, "t", "input", 1)]
        for rules, drops in (
            ([rule(INET, "t", "immediate", 0)], True), ([rule(INET, "t", "reject")], True),
            ([rule(INET, "t", "immediate", 1)], False), ([rule(INET, "t", "immediate", -3)], False),
            ([rule(INET, "t", "counter")], False), ([rule(IPV4, "t", "reject")], False), ([], False),
        ):  # fmt: skip
            found = list(chains.dropping(every, rules))
            self.assertEqual([(each.hook, each.by_policy) for each in found], [("input", False)] if drops else [])

    def test_what_is_no_rule_is_an_error(self) -> None:
        """Not a rule that drops nothing."""
        self.assertRaises(RealmGatewayError, lambda: list(chains.dropping([], [chain(INET, "t", "c")])))
