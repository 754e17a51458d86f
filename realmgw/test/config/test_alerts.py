"""Tests for `realmgw.config.alerts`."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from pathlib import PurePath

from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.alerts import Action, AlertRule, Alerts
from realmgw.config.limits import ALERT_CONNECTIONS, open_files
from realmgw.config.writing import dump
from realmgw.system.endpoints import Endpoint
from realmgw.test.config.test_portal import read
from realmgw.test.config.test_schema import MINIMAL

ALERTS = """alerts:
  socket: /run/realmgw/alerts.sock
  group: suricata
  udp: 127.0.0.1
  senders: [127.0.0.1]
  file: /var/log/suricata/eve.json
  rules:
    - {signatures: [2019401], actions: [ban, blame]}
    - {severity: 1, categories: ['Web Application Attack'], actions: [end]}
  audit: true
  ban_time: 60
  bans_per_minute: 5
  never_ban: [203.0.113.0/24, '2001:db8::/64']
"""


class AlertsTests(SynchronousTestCase):
    """The section."""

    def test_everything_is_read_and_written_back(self) -> None:
        """As it was meant."""
        found, lines = read(ALERTS)
        assert found is not None
        self.assertEqual(lines, ())
        self.assertEqual(
            found.alerts,
            Alerts(
                PurePath("/run/realmgw/alerts.sock"),
                "suricata",
                Endpoint(ip_address("127.0.0.1"), 12346),
                (ip_network("127.0.0.1/32"),),
                PurePath("/var/log/suricata/eve.json"),
                (
                    AlertRule((Action.BAN, Action.BLAME), (2019401,)),
                    AlertRule((Action.END,), severity=1, categories=("Web Application Attack",)),
                ),
                audit=True,
                ban_time=60.0,
                bans_per_minute=5,
                never_ban=(ip_network("203.0.113.0/24"), ip_network("2001:db8::/64")),
            ),
        )
        written = dump(found)
        again, lines = read(
            written.removeprefix(MINIMAL) if written.startswith(MINIMAL) else written[written.index("alerts:") :]
        )
        self.assertEqual(lines, ())
        self.assertEqual(again and again.alerts, found.alerts)

    def test_there_is_none_unless_it_is_written(self) -> None:
        """It needs some files more."""
        without, with_it = read("")[0], read("alerts: {file: a}\n")[0]
        assert without is not None
        assert with_it is not None
        self.assertIsNone(without.alerts)
        self.assertEqual(open_files(with_it) - open_files(without), ALERT_CONNECTIONS)

    def test_what_can_not_be(self) -> None:
        """Each is told at its place."""
        for text, said in (
            ("{audit: true}", "alerts come from nowhere: write 'socket', 'udp' or 'file'"),
            ("{udp: 192.0.2.1:53, senders: [192.0.2.0/24]}", "the DNS server listens there: write another port"),
            ("{file: a, group: suricata}", "'group' is of no use without 'socket'"),
            ("{file: a, rules: [{signatures: [1]}]}", "'actions'"),
            ("{file: a, rules: [{actions: []}]}", "at least"),
            ("{file: a, rules: [{actions: [shoot]}]}", "'shoot'"),
            ("{file: a, rules: [{actions: [end], severity: 0}]}", "from 1 to 255"),
            ("{file: a, rules: [{actions: [end], signatures: [0]}]}", "from 1 to 4294967295"),
            ("{file: a, never_ban: [nobody]}", "nobody"), ("{file: a, ban_time: 0}", "from 1 to 604800"),
            ("{file: a, senders: []}", "at least"), ("{udp: '0.0.0.0'}", "0.0.0.0"),
        ):  # fmt: skip
            _, lines = read(f"alerts: {text}\n")
            self.assertEqual(len(lines), 1, lines)
            self.assertTrue(lines[0].startswith("f:"), lines)
            self.assertIn(said, lines[0])
