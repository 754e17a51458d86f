"""Names in rules: what nft, iptables and the kernel take for something else is refused, and nothing else is."""

from __future__ import annotations

import re
import string
import subprocess
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from realmgw.config import identifiers
from realmgw.config.settings import Attachment, Interfaces, PoolPrefix, Pools, Settings
from realmgw.datapath import ruleset
from realmgw.datapath.client import open_nft
from realmgw.datapath.nft import Nft
from realmgw.datapath.ruleset import Ruleset
from realmgw.errors import RealmGatewayError
from realmgw.test.kernel import requirements
from realmgw.test.kernel.namespace import fresh_namespace

POOL = Pools((PoolPrefix(ip_network("192.0.2.0/24"), Attachment.ROUTED),))
SETTINGS = Settings(name="gw.example.org.", zones=(), interfaces=Interfaces("wan0", ("lan0",)), pools=POOL)
COMMANDS = """\
table inet {0} {{
\tset strays {{ type ipv4_addr; }}
\tchain outbound {{
\t}}
}}
add element inet {0} strays {{ 192.0.2.1 }}
flush chain inet {0} outbound
add rule inet {0} outbound accept
delete table inet {0}
"""
"""What we say to nft of a table by its name, and what an operator says."""


def candidates() -> list[str]:
    """Every word that nft's library has in it."""
    words = set(identifiers.WORDS)
    for library in Path("/usr/lib").rglob("libnftables.so.1"):
        words |= {word.decode() for word in re.findall(rb"(?<![\w.-])[a-z][a-z0-9_]+(?=\0)", library.read_bytes())}
    return sorted(word for word in words if len(word) <= identifiers.TABLE_NAME)


class NameTestCase(SynchronousTestCase):
    """Asks nft in a namespace of its own."""

    skip = requirements.missing_for_testbed()

    def accepts(self, nft: Nft, commands: str) -> bool:
        """Whether nft understands them; what the kernel says is another matter."""
        try:
            nft.run(commands, dry=True)
        except RealmGatewayError as error:
            return "syntax error" not in str(error)
        return True


class TableNameTests(NameTestCase):
    """`datapath.table`."""

    def test_every_word_that_nft_refuses_is_refused(self) -> None:
        """Of all that it may know, in the commands that name a table; the rest of its words would do."""
        with fresh_namespace():
            nft = open_nft()
            self.addCleanup(nft.close)
            refused = [word for word in candidates() if not self.accepts(nft, COMMANDS.format(word))]
        self.assertGreater(len(refused), 100)
        self.assertEqual(set(refused) - identifiers.WORDS, set())

    def test_whole_ruleset_stands_under_the_longest_name(self) -> None:
        """With everything that is put behind it."""
        name = "Z" + "z_" * 10 + "9"
        self.assertEqual(len(identifiers.table_name(name)), identifiers.TABLE_NAME)
        rules = Ruleset.of(SETTINGS, native_queue=False)
        with fresh_namespace():
            nft = open_nft()
            self.addCleanup(nft.close)
            nft.run(ruleset.replacement(rules, ()).replace("realmgw", name))
            chain = f":{name}_probe - [0:0]"
            done = subprocess.run(
                ["iptables-restore", "--noflush"], input=f"*mangle\n{chain}\nCOMMIT\n", text=True, check=False
            )
        self.assertEqual(done.returncode, 0)


class InterfaceNameTests(NameTestCase):
    """`interfaces`."""

    def names(self) -> Iterator[str]:
        """Every sign of ASCII, in the middle of a name, at its end and at its beginning."""
        for sign in string.punctuation + string.ascii_letters + string.digits:
            yield from (f"w{sign}n", f"wn{sign}", f"{sign}wn")

    def test_every_name_that_does_is_one_for_nft_iptables_and_the_kernel(self) -> None:
        """It is made, has its kernel settings, and stands in a rule that means it alone."""
        good = [name for name in self.names() if identifiers.problem(identifiers.interface_name, name) is None]
        self.assertGreater(len(good), 200)
        with fresh_namespace():
            nft = open_nft()
            self.addCleanup(nft.close)
            nft.run("table inet t {\n\tchain c {\n\t}\n}\n")
            nft.run("".join(f'add rule inet t c iifname "{name}" oifname {{ "{name}" }} accept\n' for name in good))
            listed = nft.run("list table inet t\n")
            for name in good:
                self.assertIn(f'iifname "{name}" oifname "{name}" accept\n', listed)
            for name in ("w;n", "w$n", "w#n", "w{n", "+wn", "w@n", "w,n", "a" * 15):
                self.make(name)
                rule = ["iptables", "-t", "nat", "-A", "PREROUTING", "-i", name, "-j", "ACCEPT"]
                self.assertEqual(subprocess.run(rule, check=False).returncode, 0, name)

    def make(self, name: str) -> None:
        """Makes an interface."""
        done = subprocess.run(
            ["ip", "link", "add", "name", name, "type", "veth"], capture_output=True, text=True, check=False
        )
        self.assertEqual(done.returncode, 0, done.stderr)
