"""The operator's own rules beside a running gateway: real nft, real kernel."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from realmgw.control.command.client import ask
from realmgw.control.commands import CommandError
from realmgw.test.kernel.datapath_case import until
from realmgw.test.kernel.realm_case import RealmTestCase

GOOD = """chain mine {
    type filter hook forward priority 10; policy accept;
    udp dport 4242 counter drop comment "mine"
}
"""
ESCAPES = {
    "ends.nft": "}\nflush ruleset\ntable inet realmgw_local {\n",
    "string.nft": 'chain c { type filter hook input priority 0; log prefix "}"; }\n}\nflush ruleset\n#',
    "command.nft": "flush ruleset\n",
    "other.nft": "table inet realmgw {\n chain forwarding { accept; }\n}\n",
    "loop.nft": 'include "loop.nft"\n',
    "half.nft": "chain half {\n type filter hook input priority 0; ",
    "kernel.nft": "chain k {\n  type filter hook input priority 0;\n  jump nowhere\n}\n",
    "owner.nft": 'comment "somebody else"\n',
    "dormant.nft": "flags dormant\n",
    "owned.nft": "flags owner;\n",
}
"""Files none of which may do anything."""


class IncludesTests(RealmTestCase):
    """`nft.d` beside the main file."""

    def setUp(self) -> None:
        super().setUp()
        self.folder = Path(self.gateway.config).parent / "nft.d"
        self.folder.mkdir(exist_ok=True)
        self.addCleanup(self.clear)

    def clear(self) -> None:
        """Removes the files, and has that made true."""
        for each in self.folder.iterdir():
            each.unlink()
        with contextlib.suppress(CommandError):
            self.reload()

    def reload(self) -> Any:
        """What becomes of a reload."""
        return ask(self.gateway.control, "reload")

    def nft(self, *words: str) -> str:
        """What the program nft says."""
        done = self.testbed.run("gwa", ["nft", *words])
        return done.stdout + done.stderr

    def local(self) -> str:
        """The table of includes."""
        return self.nft("list", "table", "inet", "realmgw_local")

    def eventually(self, condition: Callable[[], bool]) -> None:
        """Something is true within a few seconds."""
        self.assertTrue(until(condition), self.local())

    def test_stand_in_a_table_of_their_own(self) -> None:
        """They are there after a reload, and gone with their file; counters go on where nothing is different."""
        (self.folder / "a.nft").write_text(GOOD)
        self.assertEqual(self.reload()["problems"], [])
        self.assertIn('udp dport 4242 counter packets 0 bytes 0 drop comment "mine"', self.local())
        handle = self.nft("-a", "list", "table", "inet", "realmgw_local")
        self.reload()
        self.assertEqual(self.nft("-a", "list", "table", "inet", "realmgw_local"), handle)
        (self.folder / "a.nft").write_text(GOOD.replace("4242", "4243"))
        self.reload()
        self.assertIn("4243", self.local())
        (self.folder / "a.nft").unlink()
        self.reload()
        self.assertIn("No such file", self.local())

    def test_are_put_back(self) -> None:
        """After a flush of everything, and after a rule was taken away; what somebody has added stays."""
        (self.folder / "a.nft").write_text(GOOD)
        self.reload()
        self.nft("flush", "ruleset")
        self.eventually(lambda: "4242" in self.local())
        self.nft("flush", "chain", "inet", "realmgw_local", "mine")
        self.eventually(lambda: "4242" in self.local())
        self.nft("add", "rule", "inet", "realmgw_local", "mine", "tcp", "dport", "9", "drop")
        self.reload()
        self.assertIn("tcp dport 9", self.local())

    def test_a_bad_one_disables_only_itself(self) -> None:
        """It is named with its line, by the reload, by the status, and by check; our table does not notice."""
        before = self.nft("-s", "list", "table", "inet", "realmgw")
        for name, text in {
            "a.nft": GOOD,
            **ESCAPES,
            "z.nft": GOOD.replace("mine", "last").replace("4242", "4244"),
        }.items():
            (self.folder / name).write_text(text)
        problems = self.reload()["problems"]
        self.assertEqual({Path(line.partition(":")[0]).name for line in problems}, set(ESCAPES), problems)
        [kernel] = [line for line in problems if "kernel.nft" in line]
        self.assertIn("kernel.nft:3:", kernel)
        local = self.local()
        self.assertIn("4242", local)
        self.assertIn("4244", local)
        self.assertEqual(self.nft("-s", "list", "table", "inet", "realmgw"), before)
        health = ask(self.gateway.control, "health")
        self.assertEqual(health["state"], "last good")
        argv = [sys.executable, "-m", "realmgw.control.command.cli", "check", "--config", str(self.gateway.config)]
        done = self.testbed.run("gwa", argv)
        self.assertEqual(done.returncode, 1)
        for name in ESCAPES:
            self.assertIn(f"{name}:", done.stdout)
        self.clear()
        self.assertEqual(ask(self.gateway.control, "health")["state"], "healthy")

    def test_go_with_a_purge_and_come_with_a_start(self) -> None:
        """Somebody else's table of that name is left alone, and told."""
        (self.folder / "a.nft").write_text(GOOD)
        self.reload()
        ask(self.gateway.control, "purge", {"name": "gateway.gwa.demo"})
        self.assertIn("No such file", self.local())
        self.reload()
        self.assertIn("4242", self.local())
        self.gateway.stop()
        self.assertIn("4242", self.local())
        (self.folder / "a.nft").rename(self.folder / "a.no")
        self.gateway.start()
        self.assertIn("No such file", self.local())
        (self.folder / "a.no").rename(self.folder / "a.nft")
        self.reload()
        self.gateway.kill()
        self.assertIn("4242", self.local())
        argv = [sys.executable, "-m", "realmgw.control.command.cli", "purge", "--offline", "--yes", "--config"]
        done = self.testbed.run("gwa", [*argv, str(self.gateway.config)])
        self.assertIn("table inet realmgw_local removed", done.stdout)
        self.nft("add", "table", "inet", "realmgw_local")
        self.gateway.start()
        [trouble] = ask(self.gateway.control, "health")["troubles"]
        self.assertIn("somebody else's", trouble["text"])
        self.nft("delete", "table", "inet", "realmgw_local")
        self.assertEqual(self.reload()["problems"], [])
        self.assertIn("4242", self.local())
