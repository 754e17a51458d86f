"""Tests for `realmgw.synnode.command`: who else is there."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

from click.testing import CliRunner, Result
from twisted.trial.unittest import SynchronousTestCase

from realmgw.datapath.place import Place
from realmgw.synnode import command
from realmgw.synnode.command import command_line
from realmgw.synnode.settings import TENANT
from realmgw.test.synnode.test_files import LEAST


class CommandTestCase(SynchronousTestCase):
    """A main file of a machine that there is not, and a table that no other test has."""

    def setUp(self) -> None:
        """A folder whose name is short enough for a socket."""
        self.folder = Path(tempfile.mkdtemp(prefix="realmgw-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.table = f"test{os.getpid()}"
        self.path = self.folder / "synproxy.yaml"
        self.path.write_text(f"{LEAST}table: {self.table}\nstate: state\ncontrol: {{socket: sock}}\n")

    def run_it(self, *arguments: str) -> Result:
        """What becomes of a command line."""
        return CliRunner().invoke(command_line, ["--config", str(self.path), *arguments])

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """A node has the table."""
        place = Place(self.table, TENANT)
        place.take()
        try:
            yield
        finally:
            place.release()

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Somebody has the control socket, and is silent."""
        with socket.socket(socket.AF_UNIX) as silent:
            silent.bind(str(self.folder / "sock"))
            silent.listen(1)
            yield


class OthersTests(CommandTestCase):
    """Another node of the same table, and a node that does not answer."""

    def test_check_refuses_a_table_that_another_node_has(self) -> None:
        """One whose control socket is another one; or whose table is, and somebody else's is ours."""
        with self.held():
            told = json.loads(self.run_it("--json", "check").output)["problems"]
            self.assertIn(f"another SYN proxy node has the table {self.table} here already", told[0])
            self.patch(command, "_question", lambda *_: {"table": "another"})
            self.assertEqual(json.loads(self.run_it("--json", "check").output)["problems"][0], told[0])
            self.patch(command, "_question", lambda *_: {"table": self.table})
            self.assertNotIn(told[0], self.run_it("check").output)

    def test_purge_is_refused_beside_a_node_that_does_not_answer(self) -> None:
        """By whichever of its table and its socket it is seen."""
        self.patch(command, "TIMEOUT", 0.05)
        self.patch(command, "_purged", lambda _: ["purged"])
        with self.held():
            result = self.run_it("purge")
            self.assertIn("a node runs, and would put it back: another SYN proxy node has the table", result.output)
        for backlog in (0, 1):
            with self.listening(), contextlib.ExitStack() as stack:
                for _ in range(3 * backlog):  # its line is full
                    waiting = stack.enter_context(socket.socket(socket.AF_UNIX))
                    waiting.setblocking(False)
                    waiting.connect_ex(str(self.folder / "sock"))
                result = self.run_it("purge")
                self.assertEqual(
                    (result.exit_code, "a node may run, and would put it back" in result.output), (1, True)
                )
            (self.folder / "sock").unlink(missing_ok=True)
        self.assertEqual(self.run_it("purge").output, "purged\n")

    def test_purge_leaves_the_place(self) -> None:
        """And has it as long as it works, so that no node begins meanwhile."""
        held = list[str | None]()

        def purged(_kernel: object) -> list[str]:
            held.append(Place(self.table, TENANT).holder())
            return []

        self.patch(command, "_purged", purged)
        self.assertEqual(self.run_it("purge").exit_code, 0)
        self.assertEqual((held, Place(self.table, TENANT).holder()), ([str(os.getpid())], None))
