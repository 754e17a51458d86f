"""Rules by iptables: the queue step, and MARKDNAT."""

from __future__ import annotations

from ipaddress import ip_network

from twisted.trial.unittest import SynchronousTestCase

from realmgw.datapath.iptables import xtables

QUEUE = xtables.queue_chain("realmgw", 7)
DNAT = xtables.dnat_chain("realmgw", "wan0", [ip_network("192.0.2.0/24"), ip_network("198.51.100.1/32")], 192)
LISTED = """-P PREROUTING ACCEPT
-N realmgw
-A PREROUTING -i wan0 -m mark --mark 0x20000000/0xff000000 -j realmgw
-A realmgw -d 192.0.2.0/24 -j MARKDNAT --set-xmark 0xc0000000/0xff000000
-A realmgw -d 198.51.100.1/32 -j MARKDNAT --set-xmark 0xc0000000/0xff000000
"""
"""What iptables lists when `DNAT` is in place."""


class ChainTests(SynchronousTestCase):
    """What the programs are told."""

    def test_queue_bypasses_when_nobody_is_at_it(self) -> None:
        """The packet goes on to our own rule, which drops it, too, but counts it."""
        self.assertIn("-A realmgw -j NFQUEUE --queue-num 7 --queue-bypass\n", xtables.chain_input(QUEUE))

    def test_only_packets_under_way_to_user_space_jump(self) -> None:
        """Every other packet is done after one comparison."""
        self.assertIn("0x10000000/0xf0000000", xtables.jump(QUEUE))

    def test_only_admitted_packets_from_the_wan_to_the_pool_are_translated(self) -> None:
        """The interface and the step are compared before the chain, the pool within it, prefix by prefix."""
        told = xtables.jump(DNAT)
        self.assertEqual(told[-8:], ("-i", "wan0", "-m", "mark", "--mark", "0x20000000/0xff000000", "-j", "realmgw"))
        self.assertEqual(
            xtables.chain_input(DNAT),
            "*nat\n:realmgw - [0:0]\n"
            "-A realmgw -d 192.0.2.0/24 -j MARKDNAT --set-xmark 0xc0000000/0xff000000\n"
            "-A realmgw -d 198.51.100.1/32 -j MARKDNAT --set-xmark 0xc0000000/0xff000000\n"
            "COMMIT\n",
        )


class ListingTests(SynchronousTestCase):
    """What the listing of a table tells."""

    def test_chain_stands_when_all_of_it_is_there(self) -> None:
        """A missing rule or jump, one more of either, or another one, is told."""
        self.assertTrue(xtables.is_installed(LISTED, DNAT))
        lines = LISTED.splitlines(keepends=True)
        for changed in (
            [*lines[:2], *lines[3:]],
            lines[:-1],
            [*lines, lines[2]],
            [*lines, lines[-1]],
            [line.replace("wan0", "wan1") for line in lines],
            [line.replace("0xc0", "0xa0") for line in lines],
        ):
            self.assertFalse(xtables.is_installed("".join(changed), DNAT), changed)

    def test_other_rules_do_not_matter(self) -> None:
        """Those of an operator's own, in other chains or before the jump."""
        self.assertTrue(
            xtables.is_installed(f"-A PREROUTING -j mine\n{LISTED}-A mine -j realmgw\n-A realmgw2 -j x\n", DNAT)
        )

    def test_every_jump_is_removed_whatever_it_matches(self) -> None:
        """Those of an earlier configuration too: a chain that is referred to can not be deleted."""
        listed = f'{LISTED}-A PREROUTING -i wan9 -m comment --comment "a b" -j realmgw\n-A PREROUTING -j other\n'
        calls = xtables.removal(listed, "nat", "realmgw")
        self.assertEqual([call[4] for call in calls], ["-D", "-D", "-F", "-X"])
        self.assertEqual(
            calls[1][5:], ("PREROUTING", "-i", "wan9", "-m", "comment", "--comment", "a b", "-j", "realmgw")
        )

    def test_chain_is_found_by_its_whole_name(self) -> None:
        """A chain whose name begins with ours is somebody else's."""
        listed = "-P PREROUTING ACCEPT\n-N realmgw2\n"
        self.assertFalse(xtables.has_chain(listed, "realmgw"))
        self.assertTrue(xtables.has_chain(listed, "realmgw2"))

    def test_policy_of_others_counts_as_a_rule(self) -> None:
        """A builtin chain that drops is in use; one that accepts is not."""
        self.assertFalse(xtables.has_rules("-P PREROUTING ACCEPT\n-P INPUT ACCEPT\n"))
        for line in ("-P FORWARD DROP", "-N chain", "-A PREROUTING -j ACCEPT"):
            self.assertTrue(xtables.has_rules(f"-P PREROUTING ACCEPT\n{line}\n"))


class ForeignTests(SynchronousTestCase):
    """`is_foreign`: whose a chain is."""

    def listing(self, *lines: str) -> str:
        """A table of iptables with a chain."""
        return "\n".join(["-P PREROUTING ACCEPT", "-N gw", *lines])

    def test_chains_that_we_make_are_ours(self) -> None:
        """With the jump, without it, and empty."""
        nets = [ip_network("192.0.2.0/28"), ip_network("198.51.100.1/32")]
        for chain in (xtables.queue_chain("gw", 7), xtables.dnat_chain("gw", "wan0", nets, 192)):
            for lines in (chain.lines, chain.lines[1:], ()):
                self.assertFalse(xtables.is_foreign(self.listing(*lines), "gw"))

    def test_others_are_not(self) -> None:
        """By any rule in it, and any jump to it, that we would not make; and chains of other names do not matter."""
        ours = xtables.queue_chain("gw", 7).lines
        for line in ("-A gw -j ACCEPT", "-A OUTPUT -j gw", "-A FORWARD -p tcp -g gw", "-A gw -j NFQUEUE --queue-num 1"):
            self.assertTrue(xtables.is_foreign(self.listing(*ours, line), "gw"), line)
        for line in ("-A gw2 -j ACCEPT", "-A OUTPUT -j agw", "-A OUTPUT -j gw2"):
            self.assertFalse(xtables.is_foreign(self.listing(*ours, line), "gw"), line)
