"""Tests of the one list of everything outside of the process."""

from __future__ import annotations

from ipaddress import ip_address

import attrs
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.settings import Interfaces
from realmgw.datapath.watch import placed
from realmgw.datapath.watch.placed import AS_PLACED, DOWN, GONE, THERE, UP, Kind
from realmgw.system.endpoints import Endpoint
from realmgw.test.config.test_schema import MINIMAL, settings

NPTV6 = "ipv6: {outbound: [{lan: lan0, leave: nptv6, inside: 'fd01::/48', outside: '2001:db8:1::/48'}]}\n"
SETTINGS = settings(f"{MINIMAL}{NPTV6}datapath: {{offload: software}}\n")
EVERYTHING, NOTHING = placed.OPTIONAL, frozenset[Kind]()


class DeclaredTests(SynchronousTestCase):
    """`declared`."""

    def test_names_everything_that_is_outside_of_the_process(self) -> None:
        """Whatever is of a kind stands there once, by its name."""
        things = placed.declared(SETTINGS, EVERYTHING)
        self.assertEqual({thing.kind for thing in things}, set(Kind))
        self.assertEqual(len({thing.key for thing in things}), len(things))
        interfaces = SETTINGS.interfaces
        names = {thing.name for thing in things if thing.kind is Kind.INTERFACE}
        self.assertEqual(names, {interfaces.wan, *interfaces.lan})
        keys = {thing.name for thing in things if thing.kind is Kind.SETTING}
        self.assertLessEqual({"net.ipv4.ip_forward", f"net.ipv4.conf.{interfaces.wan}.forwarding"}, keys)

    def test_leaves_out_what_this_machine_does_not_have(self) -> None:
        """Steps that are in the table itself, a guard that the kernel can not have, a default route by another link."""
        kinds = {thing.kind for thing in placed.declared(SETTINGS, NOTHING)}
        without = {Kind.QUEUE_STEP, Kind.TRANSLATION, Kind.GUARD, Kind.CARRIED, Kind.WAY_OUT, Kind.WAY_OUT6}
        self.assertEqual(set(Kind) - kinds, without)
        kinds = {thing.kind for thing in placed.declared(settings(MINIMAL), NOTHING)}
        self.assertEqual(set(Kind) - kinds, {*without, Kind.PREFIXES})

    def test_links_and_addresses_are_not_ours_to_put_back(self) -> None:
        """What can be done about them is told instead."""
        for thing in placed.declared(SETTINGS, EVERYTHING):
            self.assertEqual(thing.is_ours, not thing.remedy, thing)


class CompareTests(SynchronousTestCase):
    """`compare` and `are_broken`."""

    def setUp(self) -> None:
        """All is as it should be."""
        self.things = placed.declared(SETTINGS, EVERYTHING)
        self.found = {thing.key: thing.wanted for thing in self.things}

    def wrong(self) -> list[str]:
        """What is not, in words."""
        return list(map(str, placed.compare(self.things, self.found)))

    def test_nothing_is_wrong_when_all_is_as_it_should_be(self) -> None:
        """The words are the same."""
        self.assertEqual(self.wrong(), [])

    def test_what_is_not_found_is_gone(self) -> None:
        """Whatever it is; flows need most of it."""
        self.found.clear()
        wrong = placed.compare(self.things, self.found)
        self.assertEqual([each.found for each in wrong], [GONE] * len(self.things))
        spared = {thing.kind for thing in self.things} - {kind for kind, _ in placed.are_broken(self.things, wrong)}
        self.assertEqual(spared, {Kind.GUARD, Kind.PREFIXES, Kind.CARRIED, Kind.WAY_OUT6})

    def test_says_what_it_is_and_what_a_setting_should_be(self) -> None:
        """In words for an operator; for as long as it lasts, with what to do."""
        self.found[Kind.SETTING, "net.ipv4.ip_forward"] = "0"
        self.found[Kind.INTERFACE, SETTINGS.interfaces.wan] = DOWN
        self.assertEqual(self.wrong()[0], "kernel setting net.ipv4.ip_forward is 0, not 1")
        self.assertIn("ip link set", placed.compare(self.things, self.found)[1].told)

    def test_route_too_many_is_wrong_and_needed_by_nobody(self) -> None:
        """It carries our number, and no prefix of the pool wants it."""
        self.found[Kind.ROUTE, "local 203.0.113.0/24"] = THERE
        [wrong] = placed.compare(self.things, self.found)
        self.assertEqual((str(wrong), wrong.thing.is_ours), ("route local 203.0.113.0/24 is there", True))
        self.assertEqual(placed.are_broken(self.things, [wrong]), set())

    def test_one_lan_of_several_may_be_down(self) -> None:
        """Hosts of the others are reached; with all of them down nobody is."""
        several = attrs.evolve(SETTINGS, interfaces=Interfaces(wan="wan0", lan=("lan0", "lan1")))
        things = placed.declared(several, NOTHING)
        found = {thing.key: thing.wanted for thing in things}
        for downs, count in ((("lan0",), 0), (("lan0", "lan1"), 2)):
            found.update({(Kind.INTERFACE, name): DOWN for name in downs})
            self.assertEqual(len(placed.are_broken(things, placed.compare(things, found))), count)

    def test_address_of_ipv6_is_needed_where_dns_has_no_other(self) -> None:
        """A link that was down has lost it, and IPv4 goes on; of those of IPv4 each is needed."""
        four, six = (Endpoint(ip_address(each), 53) for each in ("192.0.2.1", "2001:db8::1"))
        for listen, gone, is_broken in (((four, six), six, 0), ((four, six), four, 1), ((six,), six, 1)):
            wan = attrs.evolve(SETTINGS.dns.wan, listen=listen)
            things = placed.declared(attrs.evolve(SETTINGS, dns=attrs.evolve(SETTINGS.dns, wan=wan)), NOTHING)
            found = {thing.key: thing.wanted for thing in things if thing.name != str(gone.address)}
            [wrong] = placed.compare(things, found)
            self.assertEqual(len(placed.are_broken(things, [wrong])), is_broken)

    def test_conntrack_that_picks_up_flows_does_not_keep_any_from_getting_through(self) -> None:
        """It is put back, and nothing is held up for it."""
        self.found[Kind.SETTING, "net.netfilter.nf_conntrack_tcp_loose"] = "1"
        self.assertEqual(placed.are_broken(self.things, placed.compare(self.things, self.found)), set())

    def test_words_tell_the_states_apart(self) -> None:
        """A comparison of words is a comparison of states."""
        words = (AS_PLACED, placed.CHANGED, THERE, GONE, UP, DOWN, placed.NO_CARRIER)
        self.assertEqual(len(set(words)), len(words))
