"""Tests for `realmgw.config.identifiers`; whether nft and the kernel agree is asked in realmgw.test.kernel."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from realmgw.config import identifiers
from realmgw.test.config.test_schema import MINIMAL, refusals, settings


class TableNameTests(SynchronousTestCase):
    """`datapath.table`."""

    def test_words_of_nft_are_refused_at_their_place(self) -> None:
        """Before anything is started, with a name that would do."""
        for word in ("counter", "map", "table", "inet", "destroy", "flowtables"):
            [line] = refusals(f"{MINIMAL}datapath:\n  table: {word}\n")
            self.assertTrue(line.startswith("f:8:10: "), line)
            self.assertIn(f"'{word}_gw' for example", line)
            self.assertEqual(settings(f"{MINIMAL}datapath: {{table: {word}_gw}}\n").datapath.table, f"{word}_gw")

    def test_usual_names_of_others_do(self) -> None:
        """Whether somebody has a table of that name is found out at the start."""
        for name in ("filter", "nat", "realmgw", "gateway", "t", "a" * identifiers.TABLE_NAME, "Realm_2"):
            self.assertEqual(identifiers.table_name(name), name)

    def test_what_iptables_would_misread_is_refused(self) -> None:
        """A chain of ours has the table's name: a target's can not be one, nor what is too long for it."""
        for name in (
            "ACCEPT",
            "DNAT",
            "PREROUTING",
            "G1",
            "a" * (identifiers.TABLE_NAME + 1),
            "1st",
            "a-b",
            "a b",
            "ä",
            "",
        ):
            self.assertRaises(ValueError, identifiers.table_name, name)


class InterfaceNameTests(SynchronousTestCase):
    """`interfaces`."""

    def test_names_that_no_rule_can_have_are_refused_at_their_place(self) -> None:
        """On either side."""
        for name in (
            'w"n',
            "wan*",
            "wan 0",
            "wän0",
            "a" * 16,
            "eth0:1",
            "a/b",
            "wan%d",
            "wan+",
            "-i",
            "all",
            "..",
            "w'n",
        ):
            text = MINIMAL.replace(
                "lan: [lan0]", f"lan: [lan0, {name!r}]" if "'" not in name else f'lan: [lan0, "{name}"]'
            )
            [line] = refusals(text)
            self.assertTrue(line.startswith("f:4:37: "), line)
            self.assertIn("can not be an interface in a rule", line)

    def test_usual_names_do(self) -> None:
        """VLANs, bridges, tunnels, and what udev makes."""
        for name in ("eth0.7", "enp0s31f6", "br-4f2c", "wg0", "ens18np0@if2", "veth_1", "a" * 15, "+a", "a+b"):
            self.assertEqual(identifiers.interface_name(name), name)
