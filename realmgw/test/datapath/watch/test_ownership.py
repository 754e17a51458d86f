"""Tests for `realmgw.datapath.watch.ownership`; whether a kernel goes by it is asked in realmgw.test.kernel."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from realmgw.datapath.netlink.nftables import Standing
from realmgw.datapath.watch import ownership
from realmgw.datapath.watch.ownership import Tables
from realmgw.errors import PlatformError

OURS = Standing(4, ownership.comment("gw.example.org."))
FIRST = Standing(5, "realmgw: replaced as a whole at every start; do not edit")


class ForeignTests(SynchronousTestCase):
    """Whose a table is."""

    def test_ours_are_known_by_their_comment(self) -> None:
        """Whatever the gateway's name; and where there is no table, it is nobody's."""
        for main in (None, OURS, FIRST, Standing(1, ownership.comment("a" * 250 + "."))):
            for mark in (None, OURS):
                Tables("t", main, mark).refuse_foreign()

    def test_others_are_refused(self) -> None:
        """By the name that nft knows them by, with what to do."""
        for text in ("", "realmgw", "realmgw: mine", f"not {OURS.comment}", f"{OURS.comment} of mine"):
            error = self.assertRaises(PlatformError, Tables("t", Standing(1, text), None).refuse_foreign)
            self.assertIn("table inet t is somebody else's: choose another datapath.table", str(error))
            error = self.assertRaises(PlatformError, Tables("t", OURS, Standing(1, text)).refuse_foreign)
            self.assertIn("table ip t_mark is somebody else's", str(error))

    def test_table_without_a_comment_is_ours_beside_the_first_version(self) -> None:
        """Which wrote none into it."""
        Tables("t", FIRST, Standing(1)).refuse_foreign()
        self.assertRaises(PlatformError, Tables("t", None, Standing(1)).refuse_foreign)

    def test_comment_fits_the_kernel_whatever_the_name(self) -> None:
        """It has room for 127 characters."""
        longest = ownership.comment(".".join(["a" * 63] * 4) + ".")
        self.assertLessEqual(len(longest), 127)
        self.assertEqual(ownership.comment("gw.example.org."), ownership.comment("gw.example.org"))


class GuardTests(SynchronousTestCase):
    """`Tables.precondition`."""

    def test_names_what_was_seen_by_its_number(self) -> None:
        """And makes what was not there, which fails where there is one."""
        self.assertEqual(Tables("t", OURS, None).precondition(), "delete table inet handle 4\ncreate table ip t_mark\n")
        self.assertEqual(Tables("t", None, OURS).precondition(), "create table inet t\ndelete table ip handle 4\n")
