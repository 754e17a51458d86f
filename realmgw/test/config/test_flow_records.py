"""Tests for `realmgw.config.flow_records`: where records are sent."""

from __future__ import annotations

from ipaddress import ip_address

from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.flow_records import IPFIX_PORT, Ipfix, Transport
from realmgw.system.endpoints import Endpoint
from realmgw.test.config.test_portal import read

HEAD = "flow_records:\n  enabled: true\n  ipfix: "


class IpfixTests(SynchronousTestCase):
    """A collector."""

    def test_all_that_can_be_said_is_read(self) -> None:
        """By default nothing is sent; an address is enough."""
        for text, expected in (
            ("", None),
            (f"{HEAD}{{collector: 192.0.2.50}}", Ipfix(Endpoint(ip_address("192.0.2.50"), IPFIX_PORT))),
            (
                f"{HEAD}{{collector: '[2001:db8::5]:9995', transport: tcp, domain: 7, templates: 600}}",
                Ipfix(Endpoint(ip_address("2001:db8::5"), 9995), Transport.TCP, 7, 600.0),
            ),
        ):
            found, problems = read(text)
            assert found is not None, problems
            self.assertEqual((found.flow_records.ipfix, problems), (expected, ()))

    def test_what_can_not_be_is_refused(self) -> None:
        """With its line."""
        for text, said in (
            ("{}", "'collector' is missing"),
            ("{collector: collector.example.org}", "is no address"),
            ("{collector: 0.0.0.0}", "stands for every address"),
            ("{collector: 'fe80::1'}", "one of a link"),
            ("{collector: 192.0.2.50, transport: sctp}", "tcp"),
            ("{collector: 192.0.2.50, domain: 0}", "from 1"),
        ):
            found, problems = read(f"{HEAD}{text}")
            self.assertIsNone(found)
            self.assertTrue(any(said in each for each in problems), (said, problems))
