"""docs/getting-started.md, command by command: from no configuration to a name that answers."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import sys
import time
from typing import TYPE_CHECKING

from realmgw.test.checkout import CHECKOUT
from realmgw.test.kernel.realm_case import FIRST, RealmTestCase

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.realm import client, host
    from testbed.realm.gateway import Gateway
    from testbed.realm.topology import GATEWAY, PATIENCE, ROUTED, Testbed

if TYPE_CHECKING:
    from pathlib import Path

PAGE = CHECKOUT / "docs" / "getting-started.md"
HERE = (
    ("gw.example.org", "gwa.demo"),
    ("198.51.100.0/28", "{routed}"),
    ("192.168.1.10", FIRST),
    ("192.0.2.2", "{gateway}"),
)
"""What the page's names and addresses are in the testbed."""


class GettingStartedTests(RealmTestCase):
    """A machine with addresses and nothing else."""

    def build(self) -> tuple[Testbed, Gateway]:
        """A testbed, whose gateway was never configured."""
        testbed = Testbed("g" + self.id()[-3:] + "-", hosts=1).__enter__()
        try:
            host.start(testbed)
            gateway = Gateway(testbed, ())
            gateway.config = testbed.folder / "new" / "realmgw.yaml"
        except BaseException:
            testbed.close()
            raise
        return testbed, gateway

    def commands(self, program: str) -> list[list[str]]:
        """Those of the page, in its order, with the testbed's names."""
        found = re.findall(rf"^ +{program} (.*)$", PAGE.read_text(), re.MULTILINE)
        self.assertTrue(found)
        return [self.here(line).split() for line in found]

    def here(self, line: str) -> str:
        """With the testbed's names."""
        for there, here in HERE:
            line = line.replace(there, here.format(routed=ROUTED, gateway=GATEWAY))
        return line

    def realmgw(self, *arguments: str) -> tuple[int, str]:
        """The exit status of `realmgw` on the gateway's machine, and what it says."""
        argv = [sys.executable, "-m", "realmgw.control.command.cli", *arguments, "--config", str(self.gateway.config)]
        done = self.testbed.run("gwa", argv)
        return done.returncode, done.stdout + done.stderr

    def test_a_name_answers(self) -> None:
        """The configuration is accepted, the gateway starts by it, and the host is reached."""
        init, doctor, add, top, explain = self.commands("realmgw")
        main: Path = self.gateway.config
        status, said = self.realmgw(*init)
        self.assertEqual(status, 0, said)
        self.assertIn("No problems.", said)
        self.assertIn(f"ns1.gwa.demo.  A  {GATEWAY}", said)
        self.assertEqual(self.realmgw(*init)[0], 1)  # it is the operator's now
        with main.open("a") as more:  # the machine's own folders are not the test's
            more.write(f"control: {{socket: {self.gateway.control}}}\nstate: {self.testbed.folder}\n")
        self.assertIn("ok", self.realmgw(*doctor)[1])
        status, said = self.realmgw(*add)
        self.assertEqual(status, 0, said)
        self.gateway.start()
        self.addCleanup(self.gateway.stop)
        (dig,) = self.commands("dig")
        self.assertEqual(dig[0], f"@{GATEWAY}")
        self.assertEqual(self.public(client.fetch(self.ask(dig[1]))), FIRST)
        status, said = self.realmgw(*top, "--once")
        self.assertEqual(status, 0, said)
        self.assertIn("www.gwa.demo.", said)
        status, said = self.realmgw(*explain)
        self.assertEqual(status, 0, said)

    def test_a_person_is_asked(self) -> None:
        """Six questions: what is proposed is taken by return, and what can not be is asked for once more."""
        folder = self.testbed.folder / "asked"
        argv = [sys.executable, "-m", "realmgw.control.command.cli", "init", "--config", str(folder / "realmgw.yaml")]
        leader, follower = pty.openpty()
        try:
            with os.fdopen(follower, "w") as screen:
                process = self.testbed.spawn("gwa", argv, stdin=screen, stdout=screen, stderr=screen)
            said = ""
            for question, words in (
                ("The zone", "a..b"), ("The zone", "gwa.demo"), ("towards the Internet", "wan9"),
                ("towards the Internet", ""), ("private hosts", ""), ("of the DNS server", "here"),
                ("of the DNS server", ""), ("The pool", "198.51.100.300"), ("The pool", ROUTED),
                ("Resolvers", "-"),
            ):  # fmt: skip
                said += read_until(leader, rf"{question}.*: $")
                os.write(leader, f"{words}\n".encode())
            said += read_until(leader, "No problems")
            self.assertEqual(process.wait(PATIENCE), 0, said)
        finally:
            os.close(leader)
        self.assertEqual(said.count("Error: "), 4, said)
        for wrong in ("a..b", "there is no interface wan9 (there are ", "'here' does not", "198.51.100.300"):
            self.assertIn(wrong, said)
        written = (folder / "realmgw.yaml").read_text()
        for line in ("  wan: wan0\n", "  lan: [lan0]\n", f'    - {{addresses: "{ROUTED}", attachment: routed}}\n'):
            self.assertIn(line, written)
        self.assertNotIn("forward:", written)


def read_until(leader: int, pattern: str) -> str:
    """What a terminal is told, until it ends so."""
    said, until = "", time.monotonic() + PATIENCE
    while not re.search(pattern, said):
        ready, _, _ = select.select([leader], [], [], max(0.0, until - time.monotonic()))
        assert ready, said
        said += os.read(leader, 4096).decode()
    return said
