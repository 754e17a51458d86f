"""Tests for `realmgw.control.listed`, as rows of `realmgw.control.decided`, and of what the command prints of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.defer import succeed
from twisted.trial.unittest import SynchronousTestCase

from realmgw import config
from realmgw.control.command import decided as shown
from realmgw.control.commands import COMMANDS, checked
from realmgw.control.decided import Decided
from realmgw.dns.codec.names import to_wire
from realmgw.test.control.parts import TestGateway


class ListedTests(SynchronousTestCase):
    """Names that were asked for, and that lists keep from who asked."""

    def setUp(self) -> None:
        """Nothing yet."""
        self.made = TestGateway(Path(self.mktemp()))
        self.log, now = self.made.allocator.ledger.decisions, self.made.clock.seconds
        self.decided = Decided(
            self.made.running, self.log, self.made.reloader.drive, lambda *_: lambda: None, lambda *_: succeed([]), now,
            lambda: now() + 3600,
        )  # fmt: skip

    def rows(self, **given: str) -> list[Any]:
        """All that is told."""
        told: list[Any] = []
        stream = self.successResultOf(self.decided.lately(**checked(COMMANDS["log"], given)))
        stream.follow(told.append, lambda: None)
        return told

    def test_tells_which_list_has_a_name(self) -> None:
        """Where the list is named, and where the name, or one above it, stands in it; where it does not, the file."""
        ads = self.made.folder / "ads.hosts"
        ads.write_text("# ads\n0.0.0.0 one.example.net\n*.two.example.net\n")
        lists = "  forward:\n    resolvers: [192.0.2.53]\n    lists:\n    - {name: ads, file: ads.hosts}\n"
        head = self.made.path.read_text().partition("dns: ")[0]
        self.made.path.write_text(f"{head}dns:\n  wan: {{listen: [192.0.2.1]}}\n{lists}")
        self.made.running.settings = config.load(self.made.path)
        now, place = self.made.clock.seconds(), self.made.folder.name
        line = len(self.made.path.read_text().splitlines())
        for name, listed in (("one", "ads"), ("x.y.two", "ads"), ("gone", "ads"), ("one", "former")):
            self.log.withhold(now, to_wire(f"{name}.example.net."), "192.168.0.7", listed)
        rows, key = self.rows(), f"by dns.forward.lists ({place}/realmgw.yaml:{line}), list ads ({place}/ads.hosts"
        asked = "-             refused  192.168.0.7 asked for"
        self.assertEqual([next(shown.line(row)).partition(" ")[2] for row in rows], [
            f"{asked} one.example.net.: listed, {key}:2)", f"{asked} x.y.two.example.net.: listed, {key}:3)",
            f"{asked} gone.example.net.: listed, {key})", f"{asked} one.example.net.: listed, by list former (default)",
        ])  # fmt: skip
        for given, told in (
            ({"name": "two"}, 1), ({"refused": "1"}, 4), ({"resolver": "192.0.2.9"}, 0),
            ({"resolver": "192.168.0.7"}, 4), ({"client": "192.168.0.0/24"}, 4), ({"client": "198.51.100.4"}, 0),
        ):  # fmt: skip
            self.assertEqual(len(self.rows(**given)), told, given)
        self.assertEqual(self.successResultOf(self.decided.flow("192.168.0.7:1", "192.0.2.1:80"))["decisions"], [])
        ads.unlink()
        self.assertEqual(self.rows()[0]["by"][1]["origin"], f"{place}/ads.hosts")
