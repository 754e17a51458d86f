"""Tests for `realmgw.config.dashboard`: what can be said of the page for operators."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import PurePath

from twisted.trial.unittest import SynchronousTestCase

from realmgw.config import schema
from realmgw.config.document import Problems, parse
from realmgw.config.limits import DASHBOARD_CONNECTIONS, DASHBOARD_READERS, open_files
from realmgw.config.settings import Dashboard, DashboardTls
from realmgw.config.writing import dump
from realmgw.system.endpoints import Endpoint
from realmgw.test.config.test_portal import read

WHOLE = """dashboard:
  listen: [127.0.0.1, '[::1]:8443', /run/realmgw/dashboard.sock]
  token_file: /etc/realmgw/dashboard.token
  tls: {name: Gateway.example.org, certificate_file: a, key_file: b}
  group: adm
  actions: false
"""


class DashboardTests(SynchronousTestCase):
    """The section."""

    def problem(self, text: str) -> str:
        """The only one."""
        [line] = read(f"dashboard: {text}\n")[1]
        return line.split(": ", 1)[1]

    def test_everything_that_can_be_said_is_read(self) -> None:
        """And written again the same; there is none unless one is written."""
        found, problems = read(WHOLE)
        self.assertEqual(problems, ())
        assert found is not None
        here, six = Endpoint(ip_address("127.0.0.1"), 12347), Endpoint(ip_address("::1"), 8443)
        path = PurePath("/run/realmgw/dashboard.sock")
        tls = DashboardTls("gateway.example.org.", PurePath("a"), PurePath("b"))
        token = PurePath("/etc/realmgw/dashboard.token")
        self.assertEqual(found.dashboard, Dashboard((here, six, path), token, tls, "adm", False))
        self.assertEqual(found.listened[-2:], (here, six))
        plain, _ = read("")
        assert plain is not None
        self.assertIsNone(plain.dashboard)
        again = parse(dump(found).encode(), Problems("f"))
        assert again is not None
        self.assertEqual(schema.GATEWAY(again, Problems("f")), found)
        self.assertEqual(open_files(found) - open_files(plain), DASHBOARD_CONNECTIONS + DASHBOARD_READERS + 3)

    def test_nobody_reads_along(self) -> None:
        """Without TLS it is served to this machine only."""
        said = "whoever is between could read along at 192.0.2.7: write 'tls', or 127.0.0.1, or ::1"
        self.assertEqual(self.problem("{listen: [127.0.0.1, 192.0.2.7], token_file: t}"), said)

    def test_whoever_reaches_an_address_has_to_show_something(self) -> None:
        """A unix socket has permissions."""
        self.assertIn("write 'token_file', or a unix socket only", self.problem("{listen: [127.0.0.1]}"))
        self.assertEqual(read("dashboard: {listen: [/run/d.sock]}\n")[1], ())

    def test_what_has_no_use_is_told(self) -> None:
        """And what can not be."""
        tls = "tls: {name: a.example, certificate_file: a, key_file: b}"
        self.assertIn("'tls' is for addresses", self.problem(f"{{listen: [/run/d.sock], {tls}}}"))
        self.assertIn("'group' is for unix sockets", self.problem("{listen: [127.0.0.1], token_file: t, group: adm}"))
        self.assertIn("write at least 1", self.problem("{listen: []}"))
        self.assertIn("the key 'listen' is missing", self.problem("{}"))
        self.assertIn("write one like /run/realmgw/dashboard.sock", self.problem("{listen: [run/d.sock]}"))

    def test_nobody_else_has_its_place(self) -> None:
        """Neither metrics, nor itself."""
        self.assertIn("is where dashboard.listen listens", self.problem("{listen: [/a.sock, /a.sock]}"))
        both = "{listen: [127.0.0.1], token_file: t}\nmetrics: {listen: ['127.0.0.1:12347']}"
        self.assertIn("is where metrics.listen listens", self.problem(both))
