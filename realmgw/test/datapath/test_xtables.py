"""The queue step by iptables."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from realmgw.datapath import xtables


class XtablesTests(SynchronousTestCase):
    """What the programs are told, and what their listing tells."""

    def test_chain_bypasses_when_nobody_is_at_the_queue(self) -> None:
        """The packet goes on to our own rule, which drops it, too, but counts it."""
        self.assertIn("-A realmgw -j NFQUEUE --queue-num 7 --queue-bypass\n", xtables.chain_input("realmgw", 7))

    def test_only_packets_under_way_to_user_space_jump(self) -> None:
        """Every other packet is done after one comparison."""
        self.assertIn("0x10000000/0xf0000000", xtables.jump("-I", "realmgw"))

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
