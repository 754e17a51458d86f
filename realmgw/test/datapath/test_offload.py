"""Tests of `realmgw.datapath.offload`: what is carried beside the chains, and what keeps all of it with them."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network

import attrs
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.alerts import Alerts
from realmgw.config.ipv6 import Leave6, Outbound6
from realmgw.config.policy import PolicyStage
from realmgw.config.settings import Attachment, Interfaces, Offload, PoolPrefix, Pools, Settings
from realmgw.datapath import offload, ruleset
from realmgw.datapath.machine import capabilities
from realmgw.datapath.machine.capabilities import CAP_NET_ADMIN, Capabilities
from realmgw.datapath.ruleset import Ruleset
from realmgw.datapath.watch.guard import guard_rules

POOLS = Pools(circular=(PoolPrefix(IPv4Network("192.0.2.0/28"), Attachment.ROUTED),))
PLAIN = Settings("gw.example.org.", (), Interfaces("wan0", ("lan0", "lan1")), POOLS)
ASKED = attrs.evolve(PLAIN, datapath=attrs.evolve(PLAIN.datapath, offload=Offload.SOFTWARE))
MARKING = attrs.evolve(ASKED.policy, pipeline=attrs.evolve(ASKED.policy.pipeline, marking=True))
OURS = '{{ "wan0", "lan0", "lan1" }}'
RULE = f"ct state established {{}}iifname {OURS} oifname {OURS} flow add @carried"


def carried(settings: Settings, *absent: str, works: bool = True) -> offload.Carrying | None:
    """What is carried, without some interfaces."""
    return offload.carrying(settings, lambda name: name not in absent, works=works)


def text(settings: Settings, *absent: str) -> str:
    """The table."""
    return ruleset.replacement(Ruleset.of(settings, native_queue=True, carrying=carried(settings, *absent)), [])


class CarryingTests(SynchronousTestCase):
    """What stands in the table."""

    def test_nothing_is_carried_unless_asked_for_and_possible(self) -> None:
        """The table is the same as ever then."""
        self.assertIsNone(carried(PLAIN))
        self.assertIsNone(carried(ASKED, works=False))
        self.assertNotIn("flow", text(PLAIN).replace("flows", "").replace(" flow ", ""))

    def test_established_flows_of_ours_are_carried_before_they_pass(self) -> None:
        """By the rule before the one that lets them pass, which is none but the first of what is forwarded."""
        made = text(ASKED)
        self.assertIn(
            'flowtable carried { hook ingress priority filter; devices = { "wan0", "lan0", "lan1" }; counter; }', made
        )
        self.assertIn(f"rt mtu\n\t\t{RULE.format('')}\n\t\tct state established,related accept\n", made)
        self.assertEqual(made.count("flow add"), 1)

    def test_an_interface_that_is_not_there_keeps_nothing_from_being_placed(self) -> None:
        """It is left out; a table that only closes names none."""
        self.assertIn('devices = { "wan0", "lan0" }; counter; }', text(ASKED, "lan1"))
        self.assertIn("hook ingress priority filter; counter; }", text(ASKED, "wan0", "lan0", "lan1"))
        rules = Ruleset.of(ASKED, native_queue=True, carrying=carried(ASKED))
        self.assertNotIn("flowtable", ruleset.replacement(rules.bare, (), shut=True))
        self.assertNotIn("flowtable", guard_rules(rules))
        self.assertEqual(
            offload.joined("realmgw", "lan1"),
            'add flowtable inet realmgw carried { hook ingress priority filter; devices = { "lan1" }; }\n',
        )

    def test_what_is_done_to_each_packet_keeps_flows_with_the_chains(self) -> None:
        """Marks and bans all of them, the prefix translation those of IPv6."""
        self.assertIsNone(carried(attrs.evolve(ASKED, policy=MARKING)))
        self.assertIsNone(carried(attrs.evolve(ASKED, alerts=Alerts())))
        order = tuple(each for each in ASKED.datapath.policy_order if each is not PolicyStage.PACKET_MARKING)
        unmarked = attrs.evolve(ASKED.datapath, policy_order=order)
        self.assertIsNotNone(carried(attrs.evolve(ASKED, policy=MARKING, datapath=unmarked)))
        inside, outside = IPv6Network("fd00::/48"), IPv6Network("2001:db8::/48")
        ways = (Outbound6("lan0", Leave6.NPTV6, inside, outside),)
        leaving = attrs.evolve(ASKED, ipv6=attrs.evolve(ASKED.ipv6, outbound=ways))
        self.assertIn(RULE.format("meta nfproto ipv4 "), text(leaving))

    def test_a_marking_that_is_switched_on_replaces_the_table(self) -> None:
        """What was carried is so no more: its flowtable goes with the table."""
        one, other = (
            Ruleset.of(each, native_queue=True, carrying=carried(each))
            for each in (ASKED, attrs.evolve(ASKED, policy=MARKING))
        )
        self.assertTrue(ruleset.is_replaced(one, other))

    def test_what_is_asked_for_and_not_done_is_told(self) -> None:
        """Why, and what to do; nothing where nobody asks, or where it is done."""
        found = Capabilities(privileges=1 << CAP_NET_ADMIN, lowest_port=0, missing=(), logs=True, flowtables=True)
        without = attrs.evolve(found, flowtables=False)
        for settings, there, expected in (
            (ASKED, found, ""),
            (PLAIN, without, ""),
            (ASKED, without, "flowtables are missing.*modprobe nf_flow_table_inet nft_flow_offload"),
            (attrs.evolve(ASKED, policy=MARKING), found, "marks each packet: flows stay with the chains"),
            (attrs.evolve(ASKED, alerts=Alerts()), without, "alerts bans clients"),
        ):
            said = "\n".join(capabilities.doubts(there, settings))
            self.assertRegex(said, f"^datapath.offload: .*{expected}" if expected else "^$")
