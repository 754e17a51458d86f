"""Tests for `realmgw.config.consistency.beside`."""

from __future__ import annotations

from realmgw.test.config.consistency.case import ConsistencyTestCase
from realmgw.test.config.test_schema import MINIMAL


class BesideTests(ConsistencyTestCase):
    """What is wrong with registered hosts, the web proxy and a repository."""

    def test_finds_services_of_registered_hosts_that_can_not_be(self) -> None:
        """Two of one name, and one that needs a proxy where there is no service pool."""
        update = "update: {defaults: {services: [{}, {label: www, proxy_required: true}%s]}}, "
        [line] = self.problems(("dns: {", f"dns: {{{update % ''}"))
        self.assertIn("'proxy_required' needs the service pool", line)
        pool = ("pools: {", "pools: {service: [192.0.2.9], ")
        self.assertEqual(self.problems(pool, ("dns: {", f"dns: {{{update % ''}")), [])
        [line] = self.problems(pool, ("dns: {", f"dns: {{{update % ', {label: WWW}'}"))
        self.assertIn("two services of this name", line)

    def test_finds_a_web_proxy_that_has_no_place(self) -> None:
        """Without a service pool, with one port for both, and where somebody else listens; if it is asked for."""
        pool, on = ("pools: {", "pools: {service: [192.0.2.9], "), "webproxy: {enabled: true%s}\n"
        self.assertEqual(self.problems(pool, more=on % ""), [])
        self.assertEqual(self.problems(more="webproxy: {enabled: false, http_port: 443}\n"), [])
        [line] = self.problems(more=on % "")
        self.assertIn("there is none: write pools.service", line)
        [line] = self.problems(pool, more=on % ", http_port: 443")
        self.assertIn("HTTP and TLS can not both have port 443", line)
        text = MINIMAL.replace(*pool) + "webproxy:\n  enabled: true\n"
        for written in ("http_port: 443", "https_port: 80", "https_port: 8\n  http_port: 8"):
            [line] = self.lines(f"{text}  {written}\n")
            self.assertTrue(line.startswith("f:9:3: HTTP and TLS"), line)
        [line] = self.problems(pool, more=on % "" + "portal: {listen: [192.0.2.9, '192.0.2.9:8080', 192.168.0.1]}\n")
        self.assertIn("the web proxy has port 80 of 192.0.2.9: have the portal listen elsewhere", line)
        metrics = "metrics: {listen: ['192.0.2.9:443', '192.0.2.9:444', /a.sock], clients: [192.0.2.0/24]}\n"
        [line] = self.problems(pool, more=on % "" + metrics)
        self.assertIn("the web proxy has port 443 of 192.0.2.9: have metrics.listen listen elsewhere", line)

    def test_finds_files_of_a_repository_that_is_not_there(self) -> None:
        """And certificates for a connection without any."""
        [token, ca] = self.problems(more="repository: {token_file: a, ca_file: b}\n")
        self.assertIn("'token_file' is of no use without 'url'", token)
        self.assertIn("'ca_file' is of no use without 'url'", ca)
        [line] = self.problems(more="repository: {url: 'http://192.0.2.9', ca_file: b}\n")
        self.assertIn("'ca_file' is of no use with http", line)
