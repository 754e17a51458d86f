"""The operator's own rules beside a running gateway: real nft, real kernel."""

from __future__ import annotations

import contextlib
import re
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import skipIf

from realmgw.control.command.client import ask
from realmgw.control.commands import CommandError
from realmgw.test.checkout import CHECKOUT, NO_CHECKOUT
from realmgw.test.kernel.datapath_case import until
from realmgw.test.kernel.realm_case import FIRST, SECOND, RealmTestCase

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.realm.gateway import Subscriber
    from testbed.realm.topology import CLIENT

THIRD = "192.168.0.102"

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


class SetsTests(RealmTestCase):
    """Rules of the operator's own about subscribers and their groups."""

    hosts = 3

    @classmethod
    def subscribers(cls) -> list[Subscriber]:
        """One of a tariff, one of none."""
        return [Subscriber("one.gwa.demo.", FIRST, more={"GROUP": ["prepaid"]}), Subscriber("two.gwa.demo.", SECOND)]

    def setUp(self) -> None:
        super().setUp()
        self.folder = Path(self.gateway.config).parent

    def nft(self, *words: str) -> str:
        """What the program nft says."""
        return self.testbed.run("gwa", ["nft", *words]).stdout

    def sends(self, address: str) -> None:
        """A host sends a datagram to the Internet."""
        with self.testbed.inside("test_gwa"), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            one.bind((address, 0))
            one.sendto(b"x", (CLIENT, 4000))

    def counted(self, chain: str) -> int:
        """What the first rule of a chain has counted."""
        found = re.search(r"counter packets (\d+)", self.nft("list", "chain", "inet", "realmgw_local", chain))
        assert found is not None
        return int(found[1])

    def counts(self, chain: str, more: int, *addresses: str) -> None:
        """What hosts send is counted so often."""
        before = self.counted(chain)
        for each in addresses:
            self.sends(each)
        self.assertTrue(until(lambda: self.counted(chain) == before + more), (chain, before, self.counted(chain)))

    @skipIf(NO_CHECKOUT is not None, "the package is installed: its checkout is not there")
    def test_know_who_is_a_subscriber_and_of_which_group(self) -> None:
        """From the start, and when hosts come, go or change; the rules of `conf/nft.d` are one of its users."""
        (self.folder / "nft.d").mkdir(exist_ok=True)
        shipped = (CHECKOUT / "conf" / "nft.d" / "50-lower-effort.nft").read_text()
        (self.folder / "nft.d" / "a.nft").write_text(shipped)
        counting = "type filter hook forward priority 10; ip saddr @subscribers counter"
        (self.folder / "nft.d" / "b.nft").write_text(f"chain everybody {{ {counting}\n}}\n")
        self.assertEqual(ask(self.gateway.control, "reload")["problems"], [])
        self.assertNotIn("subscribers6", self.nft("list", "table", "inet", "realmgw_local"))
        self.counts("lower_effort", 1, FIRST, SECOND)
        self.counts("everybody", 2, FIRST, SECOND, THIRD)
        handle = self.nft("-a", "list", "chain", "inet", "realmgw_local", "everybody")
        more = self.folder / "subscribers.d" / "more.yaml"
        more.parent.mkdir(exist_ok=True)
        more.write_text(f"three.gwa.demo: {{address: {THIRD}, groups: [prepaid, x]}}\n")
        self.assertEqual(ask(self.gateway.control, "reload")["problems"], [])
        self.counts("lower_effort", 2, FIRST, SECOND, THIRD)
        self.counts("everybody", 3, FIRST, SECOND, THIRD)
        more.write_text(f"three.gwa.demo: {{address: {THIRD}, groups: [x]}}\n")
        ask(self.gateway.control, "reload")
        self.counts("lower_effort", 1, FIRST, THIRD)
        more.unlink()
        ask(self.gateway.control, "reload", {"accept_loss": "yes"})
        self.counts("everybody", 2, FIRST, SECOND, THIRD)
        again = self.nft("-a", "list", "chain", "inet", "realmgw_local", "everybody")
        self.assertEqual(*(re.sub(r"packets \d+ bytes \d+", "", each) for each in (handle, again)))
        self.nft("flush", "set", "inet", "realmgw_local", "subscribers")
        ask(self.gateway.control, "reload")
        self.counts("everybody", 2, FIRST, SECOND, THIRD)
        self.nft("delete", "table", "inet", "realmgw_local")
        self.assertTrue(until(lambda: "lower_effort" in self.nft("list", "ruleset")))
        self.counts("lower_effort", 1, FIRST, SECOND)
        (self.folder / "nft.d" / "c.nft").write_text("set subscribers { type ipv4_addr; }\n")
        [line] = ask(self.gateway.control, "reload")["problems"]
        self.assertIn("c.nft:1:1: 'subscribers' is one of the gateway's own sets", line)
