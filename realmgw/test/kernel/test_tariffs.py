"""docs/tariffs.md, followed: its files are written, its commands are typed, and packets obey."""

from __future__ import annotations

import contextlib
import re
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from unittest import skipIf

from realmgw.test.checkout import CHECKOUT, NO_CHECKOUT
from realmgw.test.kernel.realm_case import FIRST, SECOND, RealmTestCase

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.realm import client
    from testbed.realm.gateway import Subscriber
    from testbed.realm.topology import CLIENT, GATEWAY_LAN

_BLOCK = re.compile(r"^## (?P<title>[^\n]*)$|^```(?P<kind>yaml|console)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_PROMPT = "# realmgw "


class TariffsTests(RealmTestCase):
    """One section after the other, and what packets say to it."""

    @classmethod
    def subscribers(cls) -> list[Subscriber]:
        """Nobody whom the page writes."""
        return [Subscriber("other.gwa.demo.", "192.168.0.199")]

    @skipIf(NO_CHECKOUT is not None, "the package is installed: its checkout is not there")
    def test_the_page_can_be_followed(self) -> None:
        """Each command says what the page says, and each section has the effect that it tells of."""
        self.folder = Path(self.gateway.config).parent
        checks: dict[str, Callable[[], None]] = {
            "Nothing is allowed": self.nothing,
            "A first tariff": self.first,
            "Limits, and a second tariff": self.second,
        }
        title, typed = "", 0
        for found in _BLOCK.finditer((CHECKOUT / "docs" / "tariffs.md").read_text()):
            if found["title"]:
                checks.pop(title, lambda: None)()
                title = found["title"]
            elif found["kind"] == "yaml":
                path = self.folder / found["text"].split("\n", 1)[0].removeprefix("# ")
                path.parent.mkdir(exist_ok=True)
                path.write_text(found["text"])
            else:
                for words, expected in self.commands(found["text"]):
                    self.type(words, expected)
                    typed += 1
        self.assertEqual((checks, typed), ({}, 9))

    @staticmethod
    def commands(text: str) -> Iterator[tuple[list[str], list[str]]]:
        """The commands of a block, each with what it is said to say."""
        for each in text.split(_PROMPT)[1:]:
            first, *expected = each.rstrip().split("\n")
            yield first.split(), expected

    def type(self, words: list[str], expected: list[str]) -> None:
        """Types a command: its lines come in this order, with anything for three dots."""
        argv = [sys.executable, "-m", "realmgw.control.command.cli", *words, "--config", str(self.gateway.config)]
        done = self.testbed.run("gwa", argv)
        said = " ".join(f"{done.stdout}{done.stderr}".replace(str(self.folder), "/etc/realmgw").split())
        pieces = "\n".join(expected).split("...")
        self.assertRegex(said, ".*".join(re.escape(" ".join(piece.split())) for piece in pieces), words)

    def goes_out(self, port: int, address: str = FIRST, to: str = "") -> bool:
        """Whether a host connects to somebody outside, or to the gateway."""
        namespace, there = ("gwa", to) if to else ("public", CLIENT)
        with self.testbed.inside(namespace), contextlib.suppress(OSError):  # a server is there already
            server = socket.create_server((there, port))
            self.addCleanup(server.close)
        with self.testbed.inside("test_gwa"), socket.socket() as one:
            one.bind((address, 0))
            one.settimeout(1.0)
            return one.connect_ex((there, port)) == 0

    def comes_in(self, port: int, name: str = "web.gwa.demo") -> bool:
        """Whether a client reaches a host by its name."""
        try:
            self.public(client.fetch(self.ask(name), port, timeout=0.5))
        except OSError:
            return False
        return True

    def nothing(self) -> None:
        """Neither way, and not even names."""
        self.assertEqual([self.goes_out(port) for port in (80, 25)], [False, False])
        self.assertFalse(self.goes_out(53, to=GATEWAY_LAN))
        self.assertFalse(self.goes_out(80, address=SECOND))
        self.assertFalse(self.comes_in(80))

    def first(self) -> None:
        """What is open is, and nothing else; nobody else has gained anything."""
        self.assertEqual([self.goes_out(port) for port in (80, 25)], [True, False])
        self.assertTrue(self.goes_out(53, to=GATEWAY_LAN))
        self.assertFalse(self.goes_out(80, address=SECOND))
        self.assertEqual([self.comes_in(port) for port in (80, 2000)], [True, False])

    def second(self) -> None:
        """The limit is of the small tariff."""
        went: Mapping[str, list[bool]] = {host: [self.goes_out(80, host) for _ in range(8)] for host in (FIRST, SECOND)}
        self.assertEqual(went, {FIRST: [True] * 5 + [False] * 3, SECOND: [True] * 8})
        self.assertTrue(self.comes_in(80, "shop.gwa.demo"))
