"""Tests for `realmgw.config.portal`: what can be said of the page for guests."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from pathlib import PurePath

from twisted.trial.unittest import SynchronousTestCase

from realmgw.config import consistency, schema
from realmgw.config.document import Problems, parse
from realmgw.config.limits import PORTAL_CONNECTIONS, open_files
from realmgw.config.policy import UnknownHosts
from realmgw.config.portal import LONGEST_TEXT
from realmgw.config.settings import Portal, PortalTls, Settings
from realmgw.config.writing import dump
from realmgw.system.endpoints import Endpoint
from realmgw.test.config.test_schema import MINIMAL

PORTAL = """portal:
  listen: [192.168.0.1, '[fd00::1]:8080']
  text: {de: 'Zum "Empfang"', en: Come in.}
  link: https://example.org/in
  reachable: [192.0.2.80, '2001:db8::/64']
  tls: {listen: [192.168.0.1], name: Portal.example.org, certificate_file: a, key_file: b}
"""


def read(text: str) -> tuple[Settings | None, tuple[str, ...]]:
    """What is said, and what is wrong with it."""
    problems = Problems("f")
    root = parse((MINIMAL + text).encode(), problems)
    assert root is not None
    found = schema.GATEWAY(root, problems)
    consistency.check(problems)
    return found, problems.lines()


class PortalTests(SynchronousTestCase):
    """The section."""

    def problem(self, text: str) -> str:
        """The only one."""
        [line] = read(text)[1]
        return line.split(": ", 1)[1]

    def test_everything_that_can_be_said_is_read(self) -> None:
        """And written again the same; there is none unless one is written."""
        found, problems = read(PORTAL)
        self.assertEqual(problems, ())
        assert found is not None
        here, six, secure = (
            Endpoint(ip_address(address), port)
            for address, port in (("192.168.0.1", 80), ("fd00::1", 8080), ("192.168.0.1", 443))
        )
        tls = PortalTls((secure,), "portal.example.org.", PurePath("a"), PurePath("b"))
        texts = (("de", 'Zum "Empfang"'), ("en", "Come in."))
        reachable = (ip_network("192.0.2.80"), ip_network("2001:db8::/64"))
        self.assertEqual(found.portal, Portal((here, six), tls, texts, "https://example.org/in", reachable))
        self.assertEqual(found.listened[-3:], (here, six, secure))
        text = dump(found)
        again = parse(text.encode(), Problems("f"))
        assert again is not None
        self.assertEqual(schema.GATEWAY(again, Problems("f")), found)
        none, _ = read("")
        assert none is not None
        self.assertIsNone(none.portal)
        self.assertEqual(open_files(found) - open_files(none), PORTAL_CONNECTIONS + 3)

    def test_a_link_is_any_page(self) -> None:
        """With whatever stands behind its path, to the letter."""
        link = "https://example.org/in/?network=gwa&from=a@b#form"
        found, problems = read(f"portal: {{listen: [192.168.0.1], link: '{link}'}}\n")
        self.assertEqual(problems, ())
        assert found is not None
        assert found.portal is not None
        self.assertEqual(found.portal.link, link)

    def test_guests_need_a_portal(self) -> None:
        """Else they would see nothing; whoever drops them needs none."""
        line = self.problem("datapath: {unknown_hosts: guest}\n")
        self.assertEqual(line, "guests are shown the portal, and there is none: write portal.listen, or 'drop'")
        for how in UnknownHosts:
            found, problems = read(f"datapath: {{unknown_hosts: {how.value}}}\n{PORTAL}")
            assert found is not None
            self.assertEqual((found.datapath.unknown_hosts, problems), (how, ()))
        self.assertEqual(read("datapath: {unknown_hosts: drop}\n")[1], ())

    def test_where_nobody_can_come_is_refused(self) -> None:
        """Addresses that lead nowhere, that stand twice, or lie in the pool."""
        for address, said in (
            ("127.0.0.1", "is every machine itself"), ("'::1'", "is every machine itself"), ("0.0.0.0", "stands for"),
            ("'fe80::1'", "no router forwards"), ("192.168.0.1, '192.168.0.1:80'", "stands twice"),
            ("198.51.100.7", "where the portal listens: leave it out of the pool"), ("192.168.0.1:0", "no port"),
        ):  # fmt: skip
            self.assertIn(said, self.problem(f"portal: {{listen: [{address}]}}\n"), address)
        self.assertIn("at least 1", self.problem("portal: {listen: []}\n"))
        self.assertIn("'listen' is missing", self.problem("portal: {text: {en: Hello}}\n"))

    def test_what_can_not_be_shown_is_refused(self) -> None:
        """Languages that it does not speak, a text for a book, links that are none."""
        long = "x" * (LONGEST_TEXT + 1)
        for text, said in (
            ("text: {xx: Hello}", "'xx' is not known"), (f"text: {{en: {long}}}", "write at most 2000"),
            ("link: 'javascript:alert(1)'", "no such URL"), ("link: ftp://example.org", "no such URL"),
            ("link: 'https://[::1'", "no such URL"), ('link: "https://example.org/a b"', "no such URL"),
            ("link: 'https://a:b@example.org/?c'", "write none"), ("link: 'https://example.org:x'", "has no port"),
            ("reachable: [everybody]", "is no prefix"), ("tls: {listen: [192.168.0.1]}", "is missing"),
        ):  # fmt: skip
            lines = read(f"portal: {{listen: [192.168.0.1], {text}}}\n")[1]
            self.assertIn(said, lines[0], text)
