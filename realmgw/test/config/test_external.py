"""Tests for `realmgw.config.external`."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.settings import Control, LogFormat, Logging, LogLevel, Peer, Repository, Synproxy, Watch
from realmgw.system.endpoints import Endpoint
from realmgw.test.config.test_schema import MINIMAL, refusals
from realmgw.test.config.test_schema import settings as read


class ExternalTests(SynchronousTestCase):
    """A repository, a SYN proxy, the control socket, the log."""

    def test_reads_every_section(self) -> None:
        """A SYN proxy has a port of its own by default; a URL loses its last slash."""
        found = read(
            MINIMAL
            + "repository: {url: 'https://policy.example.org/', token_file: t, watch: interval, interval: 5}\n"
            + "synproxy: {proxies: [203.0.113.9, '[2001:db8::9]:99#proxy.example.org'], sack: false}\n"
            + "control: {socket: s, group: adm}\n"
            + "logging: {level: warn, levels: {dns: debug, dns.server: error}, format: json, files: 0}\n"
        )
        self.assertEqual(
            found.repository, Repository("https://policy.example.org", Path("t"), watch=Watch.INTERVAL, interval=5.0)
        )
        plain = Peer(Endpoint(IPv4Address("203.0.113.9"), 12345))
        by_tls = Peer(Endpoint(IPv6Address("2001:db8::9"), 99), "proxy.example.org")
        self.assertEqual(found.synproxy, Synproxy((plain, by_tls), sack=False))
        self.assertEqual(found.control, Control(Path("s"), "adm"))
        self.assertEqual(
            found.logging,
            Logging(LogLevel.WARN, (("dns", LogLevel.DEBUG), ("dns.server", LogLevel.ERROR)), LogFormat.JSON, files=0),
        )

    def test_refuses_what_can_not_be(self) -> None:
        """Each told at its place."""
        for wrong, message in (
            ("repository: {url: ftp://policy.example.org}", "is no such URL"),
            ("repository: {url: 'https://policy.example.org:99999'}", "has no port"),
            ("repository: {url: 'https://a:b@policy.example.org'}", "write none"),
            ("repository: {url: 'https://policy.example.org/?a'}", "write no query"),
            ("synproxy: {window_scale: 15}", "from 0 to 14"),
            ("control: {group: 'a b'}", "the name of a group of users"),
            ("logging: {level: loud}", "write debug or info"),
            ("logging: {levels: {DNS: info}}", "the name of a room"),
            ("logging: {levels: {dsn.server: info}}", "did you mean 'dns'?"),
            ("logging: {format: xml}", "write text or json"),
            ("logging: {size: -1}", "a whole number from 0"),
        ):
            [line] = refusals(f"{MINIMAL}{wrong}\n")
            self.assertIn(message, line)
            self.assertTrue(line.startswith("f:7:"))
