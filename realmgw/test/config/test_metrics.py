"""Tests for `realmgw.config.metrics`: where metrics are told, and who else may not be there."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from pathlib import PurePath

from twisted.trial.unittest import SynchronousTestCase

from realmgw.config import consistency, schema
from realmgw.config.document import Problems, parse
from realmgw.config.limits import METRICS_CONNECTIONS, open_files
from realmgw.config.metrics import METRICS_PORT, THIS_MACHINE
from realmgw.config.settings import Metrics
from realmgw.config.steps import finish
from realmgw.config.writing import digesting, dump
from realmgw.system.endpoints import Endpoint
from realmgw.test.config.test_portal import PORTAL, read
from realmgw.test.config.test_schema import MINIMAL

METRICS = """metrics:
  listen: [127.0.0.1, '[::1]:9000', /run/realmgw/metrics.sock]
  clients: [127.0.0.1, '::1', '2001:db8::/64']
  group: prometheus
"""


class MetricsTests(SynchronousTestCase):
    """The section."""

    def problems(self, text: str) -> list[str]:
        """Them, without their places."""
        return [line.split(": ", 1)[1] for line in read(text)[1]]

    def test_nothing_is_told_unless_somebody_wants_it(self) -> None:
        """No port is opened, and no file more is needed."""
        found, problems = read("")
        assert found is not None
        self.assertEqual((problems, found.metrics), ((), Metrics((), THIS_MACHINE, None)))
        empty, _ = read("metrics:\n")
        self.assertEqual(empty, found)

    def test_everything_that_can_be_said_is_read(self) -> None:
        """And written again the same."""
        found, problems = read(METRICS)
        assert found is not None
        here = Endpoint(ip_address("127.0.0.1"), METRICS_PORT)
        there, socket = Endpoint(ip_address("::1"), 9000), PurePath("/run/realmgw/metrics.sock")
        clients = (ip_network("127.0.0.1"), ip_network("::1"), ip_network("2001:db8::/64"))
        self.assertEqual((problems, found.metrics), ((), Metrics((here, there, socket), clients, "prometheus")))
        self.assertEqual((found.metrics.endpoints, found.metrics.sockets), ((here, there), (socket,)))
        plain = read("")[0]
        assert plain is not None
        self.assertEqual(open_files(found) - open_files(plain), METRICS_CONNECTIONS + 3)
        self.assertIn("/run/realmgw/metrics.sock", dump(found))
        self.assertNotEqual(finish(digesting(found)), finish(digesting(plain)))
        self.assertEqual(finish(digesting(found)), finish(digesting(read(METRICS)[0])))  # type: ignore[arg-type]  # it is one

    def test_what_is_no_place_is_refused(self) -> None:
        """A path that is not absolute, a wildcard, a port that is none."""
        for text, said in (
            ("run/metrics.sock", "absolute path"),
            ("0.0.0.0", "every address"),
            ("127.0.0.1:0", "no port from 1 to 65535"),
        ):
            [line] = self.problems(f"metrics: {{listen: ['{text}']}}\n")
            self.assertIn(said, line)
        [line] = self.problems("metrics: {listen: [127.0.0.1], clients: [here]}\n")
        self.assertIn("'here'", line)

    def test_a_place_that_somebody_else_has_is_refused(self) -> None:
        """The DNS server, dns.local and dns.update, the portal, or metrics themselves."""
        for others, place, clients, said in (
            (PORTAL, "192.168.0.1:80", ", clients: [192.0.2.0/24]", "192.168.0.1 port 80 is where the portal listens"),
            ("", "192.0.2.1:53", ", clients: [192.0.2.0/24]", "192.0.2.1 port 53 is where the DNS server listens"),
            ("", "/a, /a", "", "/a is where metrics.listen listens"),
            ("", "127.0.0.1, '127.0.0.1:12346'", "", f"127.0.0.1 port {METRICS_PORT} is where metrics.listen listens"),
        ):
            [line] = self.problems(f"{others}metrics: {{listen: [{place}]{clients}}}\n")
            self.assertIn(said, line)

    def test_where_updates_come_is_somebodys(self) -> None:
        """As it listens to the whole list of them."""
        problems = Problems("f")
        local = "dns: {wan: {listen: [192.0.2.1]}, update: {listen: ['127.0.0.1:54'], unsigned: true}}"
        text = MINIMAL.replace("dns: {wan: {listen: [192.0.2.1]}}", f"{local}\nmetrics: {{listen: ['127.0.0.1:54']}}")
        root = parse(text.encode(), problems)
        assert root is not None
        schema.GATEWAY(root, problems)
        consistency.check(problems)
        self.assertIn("127.0.0.1 port 54 is where dns.update listens", problems.lines()[0])
