"""What is asked of records, and how."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from realmgw.control.commands import COMMANDS, CommandError, checked
from realmgw.control.history import PastFlows
from realmgw.test.control.parts import TestGateway

NOW = datetime(2026, 1, 31, 12, tzinfo=timezone.utc).timestamp()


class RecordingRecords:
    """Says what it was asked for."""

    def flows(self, given: dict[str, Any], most: int) -> Any:
        """Records."""
        return given, most

    def accounts(self, **given: Any) -> Any:
        """Accounts."""
        return given


class PastFlowsTests(SynchronousTestCase):
    """From words to a question."""

    def setUp(self) -> None:
        """Two subscribers, one with a service."""
        self.made = TestGateway(Path(self.mktemp()))
        text = "c.example.org:\n  address: 192.168.0.3\n  services: {www.example.org: {}}\n"
        (self.made.folder / "subscribers.d" / "c.yaml").write_text(text)
        self.made.reload()

    def ask(self, path: str, **said: str) -> Any:
        """What is asked for."""
        past = PastFlows(RecordingRecords(), self.made.running.registry, lambda: NOW)
        does: Any = {"flows/history": past.list, "flows/accounts": past.accounts}[path]
        return does(**checked(COMMANDS[path], said))

    def test_the_last_day_is_asked_for_if_nothing_is_said(self) -> None:
        """Of everybody."""
        self.assertEqual(self.ask("flows/history"), ({"since": NOW - 86_400}, 1000))
        told = {"groups": False, "since": NOW - 86_400, "name": "", "most": 1000}
        self.assertEqual(self.ask("flows/accounts"), told)

    def test_times_are_told_in_either_way(self) -> None:
        """So long ago, or when."""
        for text, at in (("2h", NOW - 7200), ("30m", NOW - 1800), ("45s", NOW - 45), ("7d", NOW - 7 * 86_400)):
            self.assertEqual(self.ask("flows/history", since=text)[0]["since"], at)
        given, _ = self.ask("flows/history", since="2026-01-31T10:42Z", until="2026-01-31T11:42:00+00:00")
        self.assertEqual((given["until"] - given["since"], NOW - given["until"]), (3600, 1080))
        local = self.ask("flows/history", since="2026-01-31T10:42")[0]["since"]
        self.assertEqual(local, datetime(2026, 1, 31, 10, 42).astimezone().timestamp())

    def test_each_filter_is_told_as_it_is_kept(self) -> None:
        """Names absolute, addresses as they are written."""
        said = {"host": "Web.example.org", "name": "www.example.org.", "via": "2001:DB8::0:3", "client": "203.0.113.9",
                "protocol": "6", "trace": "2F3", "limit": "7"}  # fmt: skip
        given, most = self.ask("flows/history", **said)
        expected = {"since": NOW - 86_400, "host": "web.example.org.", "name": "www.example.org.",
                    "via": "2001:db8::3", "client": "203.0.113.9/32", "protocol": "tcp",
                    "trace_id": "2f3"}  # fmt: skip
        self.assertEqual((given, most), (expected, 7))
        self.assertEqual(self.ask("flows/history", host="192.168.0.11")[0]["address"], "192.168.0.11")
        self.assertEqual(self.ask("flows/history", host="WWW.example.org")[0]["host"], "c.example.org.")
        self.assertEqual(self.ask("flows/accounts", of="www.example.org")["name"], "c.example.org.")
        self.assertEqual(self.ask("flows/history", protocol="47")[0]["protocol"], "47")
        for every in ("any", "0"):
            self.assertNotIn("protocol", self.ask("flows/history", protocol=every)[0])
        self.assertEqual(self.ask("flows/accounts", of="Web.example.org")["name"], "web.example.org.")
        self.assertEqual(self.ask("flows/accounts", of="Gold", groups="1"), {
            "groups": True, "since": NOW - 86_400, "name": "Gold", "most": 1000})  # fmt: skip

    def test_what_is_none_of_this_is_refused(self) -> None:
        """In a line."""
        for said in ({"since": "yesterday"}, {"until": "2h3m"}, {"via": "192.0.2"}, {"client": "x"}, {"limit": "-1"}):
            self.assertRaises(CommandError, self.ask, "flows/history", **said)
        self.assertRaises(CommandError, self.ask, "flows/accounts", since="0001-01-01T00:00+14:00")
