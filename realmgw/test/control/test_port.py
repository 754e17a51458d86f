"""Tests for `realmgw.control.port`."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.disk import HeldError
from realmgw.control.port import Named, Place, sockets, unwritable
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


class UnwritableTests(SynchronousTestCase):
    """`unwritable`: whether files can be made in a folder."""

    def setUp(self) -> None:
        """A folder."""
        self.folder = Path(self.mktemp())
        self.folder.mkdir()

    def test_nothing_is_left_of_the_trial(self) -> None:
        """Of a folder that is there, and of one that is not."""
        self.assertEqual([unwritable(self.folder), unwritable(self.folder / "new" / "newer")], ["", ""])
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_what_is_no_folder_is_told(self) -> None:
        """Wherever on the way it is."""
        file = self.folder / "file"
        file.touch()
        self.assertEqual(unwritable(file / "state"), f"{file.absolute()} is no folder")

    def test_folders_of_the_kernel_take_no_files(self) -> None:
        """Although root may do everything by their permissions."""
        for folder in (Path("/proc/nope"), Path("/proc")):
            self.assertIn("/proc", unwritable(folder))


class PlaceTests(SynchronousTestCase):
    """A gateway's place in a network namespace."""

    def setUp(self) -> None:
        """A table that no other test has."""
        self.table = f"place{os.getpid()}"

    def test_is_had_by_one(self) -> None:
        """Others are refused as often as they ask, and told who has it."""
        first = Place(self.table)
        first.take()
        self.addCleanup(first.release)
        for _ in range(20):
            error = self.assertRaises(HeldError, Place(self.table).take)
        self.assertIn(f"(process {os.getpid()})", str(error))
        self.assertEqual(Place(self.table).refusal(), str(error))
        first.release()
        self.assertIsNone(Place(self.table).refusal())

    def test_tables_whose_names_begin_alike_are_different_ones(self) -> None:
        """And gateways of both may run."""
        places = [Place(self.table), Place(f"{self.table}_2"), Place(self.table[:-1])]
        for each in places:
            each.take()
        for each in places:
            each.release()

    def test_a_gateway_with_another_table_is_told_of(self) -> None:
        """It would take routes, and lose its own; one of the same table is another matter."""
        first = Place(f"{self.table}_2")
        first.take()
        self.addCleanup(first.release)
        [line] = [line for line in Place(self.table).company() if self.table in line]
        self.assertIn(f"another gateway runs here, with the table {self.table}_2 (process {os.getpid()})", line)
        self.assertEqual([line for line in Place(f"{self.table}_2").company() if self.table in line], [])

    def test_strangers_can_neither_take_nor_block_it(self) -> None:
        """Whatever names they bind, and however full those sockets are."""
        if os.geteuid() != 0:
            self.skipTest("root only: another user is needed")
        names = [f"realmgw/{self.table}", f"realmgw/{self.table}/1-0", f"realmgw/{self.table}/{os.getpid()}-ff"]
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
        place = Place(self.table)
        place.take()
        self.assertRaises(HeldError, Place(self.table).take)
        place.release()

    def test_ends_with_the_process_however_that_ends(self) -> None:
        """Nothing of it is left."""
        code = "import sys; from realmgw.control.port import Place; p = Place(sys.argv[1]); p.take(); sys.stdin.read()"
        process = subprocess.Popen([sys.executable, "-c", code, self.table], cwd=PACKAGE.parent, stdin=subprocess.PIPE)
        self.addCleanup(process.communicate)
        while Place(self.table).refusal() is None and process.poll() is None:
            pass
        process.kill()
        process.wait()
        place = Place(self.table)
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
