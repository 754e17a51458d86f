"""Tests for `realmgw.datapath.place`."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from realmgw.datapath.place import Named, Place, Tenant, sockets
from realmgw.system.disk import HeldError
from realmgw.test.checkout import PACKAGE

NOBODY = 65534
STRANGER = f"""
import os, socket, sys
os.setgid({NOBODY})
os.setuid({NOBODY})
bound = []
for name in sys.argv[1:]:
    bound.append(socket.socket(socket.AF_UNIX))
    bound[-1].bind("\\0" + name)
    bound[-1].listen(0)
print("bound", flush=True)
sys.stdin.read()
"""


class PlaceTests(SynchronousTestCase):
    """A gateway's place in a network namespace."""

    def setUp(self) -> None:
        """A table that no other test has."""
        self.table = f"place{os.getpid()}"

    def test_is_had_by_one(self) -> None:
        """Others are refused as often as they ask, and told who has it."""
        first = self.place()
        first.take()
        self.addCleanup(first.release)
        for _ in range(20):
            error = self.assertRaises(HeldError, self.place().take)
        self.assertIn(f"(process {os.getpid()})", str(error))
        self.assertEqual(self.place().refusal(), str(error))
        first.release()
        self.assertIsNone(self.place().refusal())

    def place(self, suffix: str = "", *, is_single: bool = True) -> Place:
        """That of a kind of process that no other test knows of."""
        return Place(f"{self.table}{suffix}", Tenant(f"test-{self.table}", "gateway", "`table`", is_single=is_single))

    def test_tables_whose_names_begin_alike_are_different_ones(self) -> None:
        """And processes of both may run, where they have nothing else in common."""
        places = [self.place(suffix, is_single=False) for suffix in ("", "_2", "_")]
        for each in places:
            each.take()
        for each in places:
            each.release()

    def test_a_gateway_with_another_table_is_in_the_way(self) -> None:
        """They would take each other's routes; one of the same table is another matter."""
        first = self.place("_2")
        first.take()
        self.addCleanup(first.release)
        [line] = self.place().neighbours()
        self.assertIn(f"another gateway runs here, with the table {self.table}_2 (process {os.getpid()})", line)
        self.assertEqual(str(self.assertRaises(HeldError, self.place().take)), line)
        self.assertEqual(self.place("_2").neighbours(), [])
        first.release()
        self.place().take()

    def test_each_kind_of_process_has_its_own(self) -> None:
        """A node and a gateway are in each other's way by their tables only, which the kernel has."""
        node = Place(self.table, Tenant("realmgw-synproxy", "SYN proxy node", "`table`"))
        for each in (self.place(), node):
            each.take()
            self.addCleanup(each.release)
        self.assertEqual(len(self.place("_2").neighbours()), 1)
        kind = Tenant("realmgw-synproxy", "SYN proxy node", "`table`")
        self.assertEqual(Place(f"{self.table}_2", kind).neighbours(), [])
        refusal = Place(self.table, kind).refusal()
        who = f"another SYN proxy node has the table {self.table} here already (process {os.getpid()})"
        self.assertEqual(refusal, f"{who}: stop it first, or give this one another `table`")

    def test_strangers_can_neither_take_nor_block_it(self) -> None:
        """Whatever names they bind, and however full those sockets are."""
        if os.geteuid() != 0:
            self.skipTest("root only: another user is needed")
        names = [f"test-{self.table}/{self.table}{end}" for end in ("", "/1-0", f"/{os.getpid()}-ff")]
        stranger = subprocess.Popen(
            [sys.executable, "-c", STRANGER, *names],
            cwd=PACKAGE.parent,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.addCleanup(stranger.communicate)
        self.addCleanup(stranger.kill)
        assert stranger.stdout is not None
        stranger.stdout.readline()
        self.assertIn(Named(b"\0" + names[0].encode(), NOBODY), list(sockets()))
        place = self.place()
        place.take()
        self.assertRaises(HeldError, self.place().take)
        place.release()

    def test_ends_with_the_process_however_that_ends(self) -> None:
        """Nothing of it is left."""
        code = (
            "import sys; from realmgw.datapath.place import Place, Tenant;"
            " p = Place(sys.argv[1], Tenant('test-' + sys.argv[1], 'gateway', '`table`')); p.take(); input()"
        )
        process = subprocess.Popen([sys.executable, "-c", code, self.table], cwd=PACKAGE.parent, stdin=subprocess.PIPE)
        self.addCleanup(process.communicate)
        while self.place().refusal() is None and process.poll() is None:
            pass
        process.kill()
        process.wait()
        place = self.place()
        place.take()
        place.release()

    def test_sees_every_socket_however_many_there_are(self) -> None:
        """An answer that does not fit into one datagram comes in several."""
        bound = []
        for number in range(3000):
            bound.append(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
            bound[-1].bind(f"\0{self.table}/{number}")
            self.addCleanup(bound[-1].close)
        seen = {each.name for each in sockets()}
        self.assertTrue(seen.issuperset({b"\0%s/%d" % (self.table.encode(), number) for number in range(3000)}))
