"""What SYN proxies shall answer with."""

from __future__ import annotations

from ipaddress import ip_address

from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.settings import Settings
from realmgw.subscribers.model import Terms
from realmgw.synproxy.codec import TCP, TcpOptions
from realmgw.synproxy.table import Table, key_of
from realmgw.test.config.test_schema import MINIMAL
from realmgw.test.config.test_schema import settings as read

FULL = TcpOptions(1460, True, 7)
POOL, SERVICE, ELSEWHERE = (ip_address(each).packed for each in ("198.51.100.1", "192.0.2.80", "203.0.113.1"))
FRESH = ip_address("2001:db8:1::1").packed
HTTP = TCP << 16 | 80
UDP = 17


def settings(
    how: str = "",
    pool: str = "198.51.100.0/31",
    service: str = "192.0.2.80",
    ipv6: str = "",
    proxies: str = "203.0.113.9",
) -> Settings:
    """A gateway with two addresses and one for services, unless it has others."""
    piece = f"circular: [{{addresses: '{pool}', attachment: routed}}], service: ['{service}']"
    line = next(each for each in MINIMAL.splitlines() if each.startswith("pools:"))
    text = MINIMAL.replace(line, f"pools: {{{piece}}}")
    return read(f"{text}synproxy: {{proxies: [{proxies}]{how}}}\n{ipv6}")


class TableTests(SynchronousTestCase):
    """Two addresses, and one for services."""

    def setUp(self) -> None:
        """Nothing is reserved."""
        self.table = Table(settings())

    def test_pool_and_service_addresses_last(self) -> None:
        """With the options of the configuration; nothing else does."""
        bases = list(self.table.bases())
        self.assertEqual([str(key_of(each)) for each in bases], [
            "198.51.100.0 any any", "198.51.100.1 any any", "192.0.2.80 any any",
        ])  # fmt: skip
        self.assertEqual([self.table.lasting(each) for each in bases], [FULL] * 3)
        for other in ((ELSEWHERE, 0), (POOL, HTTP), (FRESH, 0)):
            self.assertIsNone(self.table.lasting(other))

    def test_what_is_reserved_is_wanted_until_it_ends(self) -> None:
        """For TCP, or every protocol."""
        for key in (HTTP, TCP << 16, 80, 0):
            self.assertEqual(self.table.note(POOL, key, Terms()), (POOL, key))
            self.assertEqual(self.table.wanted((POOL, key)), FULL)
        self.assertEqual(len(self.table), 4)
        self.table.note(POOL, HTTP, None)
        self.assertIsNone(self.table.wanted((POOL, HTTP)))

    def test_other_protocols_do_not_concern_it(self) -> None:
        """They have no SYN."""
        self.assertIsNone(self.table.note(POOL, UDP << 16 | 53, Terms()))
        self.assertEqual(len(self.table), 0)

    def test_a_service_has_options_of_its_own(self) -> None:
        """What it does not say is that of the configuration, also of one that comes later."""
        self.table.note(POOL, HTTP, Terms(tcp_mss=1380, tcp_sack=False))
        self.assertEqual(self.table.wanted((POOL, HTTP)), TcpOptions(1380, False, 7))
        self.table.note(POOL, HTTP, Terms(tcp_window_scale=0))
        self.assertTrue(self.table.configure(settings(", mss: 1400")))
        self.assertEqual(self.table.wanted((POOL, HTTP)), TcpOptions(1400, True, 0))

    def test_tells_whether_what_lasts_is_different(self) -> None:
        """A reload that changes something else is none of its business."""
        self.assertFalse(self.table.configure(settings(", reconnect: 5")))
        for other in (settings(", sack: false"), settings(pool="198.51.100.0/30"), settings(service="192.0.2.81")):
            self.assertTrue(self.table.configure(other))
            self.assertTrue(self.table.configure(settings()))

    def test_ipv6_is_in_it_where_there_is_some(self) -> None:
        """Unless it is said otherwise."""
        self.assertFalse(self.table.takes6)
        for there in (
            settings(pool="2001:db8:1::/64"), settings(service="2001:db8::80"), settings(", ipv6: true"),
            settings(ipv6="ipv6: {mode: pinhole}\n"),
        ):  # fmt: skip
            self.table.configure(there)
            self.assertTrue(self.table.takes6)
        self.table.configure(settings(", ipv6: false", service="2001:db8::80"))
        self.assertFalse(self.table.takes6)
        self.assertEqual([str(key_of(each)) for each in self.table.bases()], [
            "198.51.100.0 any any", "198.51.100.1 any any",
        ])  # fmt: skip
