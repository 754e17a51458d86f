"""Tests for `realmgw.config.addresses`."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, summarize_address_range

from hypothesis import given, strategies
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.addresses import (
    address,
    endpoint,
    host,
    host4,
    ipv4,
    ipv4_range,
    network,
    overlap,
    overlapping,
    port_range,
    prefix6,
    prefixes,
    resolver,
)
from realmgw.config.settings import Network, Resolver
from realmgw.config.steps import finish
from realmgw.system.endpoints import Endpoint

NUMBERS = strategies.integers(int(IPv4Address("192.0.2.0")), int(IPv4Address("198.51.100.255")))

NETWORKS: strategies.SearchStrategy[Network] = strategies.builds(
    lambda kind, length, first: kind[0]((first >> (4 - length) << (4 - length) << 8, kind[1] - 12 + length)),
    strategies.sampled_from([(IPv4Network, 32), (IPv6Network, 128)]),
    strategies.integers(0, 4),
    strategies.integers(0, 15),
)
"""Small and large ones in a small space, and that of both families."""


class AddressTests(SynchronousTestCase):
    """`address` and `ipv4` read single addresses."""

    def test_reads_both_families(self) -> None:
        """As `ipaddress` values."""
        self.assertEqual(address("192.0.2.1"), IPv4Address("192.0.2.1"))
        self.assertEqual(address("2001:db8::1"), IPv6Address("2001:db8::1"))

    def test_refuses_what_no_host_can_have(self) -> None:
        """Wildcards, groups, names and lies."""
        for text in ("0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255", "192.0.2.256", "192.0.2.1/32", "host"):
            self.assertRaises(ValueError, address, text)
        for text in ("::ffff:192.0.2.1", "::ffff:c000:201"):
            self.assertIn("write 192.0.2.1", str(self.assertRaises(ValueError, endpoint, text)))

    def test_refuses_ipv6_where_ipv4_is_wanted(self) -> None:
        """The message says so."""
        self.assertIn("write an IPv4 one", str(self.assertRaises(ValueError, ipv4, "2001:db8::1")))


class PrefixesTests(SynchronousTestCase):
    """`prefixes` and `ipv4_range` read pieces of a pool."""

    def test_reads_a_prefix_a_range_and_an_address(self) -> None:
        """A range becomes as few prefixes as possible."""
        self.assertEqual(prefixes("192.0.2.0/28"), (IPv4Network("192.0.2.0/28"),))
        self.assertEqual(prefixes("192.0.2.7"), (IPv4Network("192.0.2.7/32"),))
        self.assertEqual(
            prefixes("192.0.2.131 - 192.0.2.133"), (IPv4Network("192.0.2.131/32"), IPv4Network("192.0.2.132/31"))
        )

    def test_refuses_host_bits_and_says_the_prefix(self) -> None:
        """A prefix with bits beyond its length is more often a slip than meant."""
        error = self.assertRaises(ValueError, prefixes, "192.0.2.1/28")
        self.assertIn("write 192.0.2.0/28", str(error))

    def test_reads_prefixes_of_ipv6(self) -> None:
        """Long enough for a pool and short enough that nobody guesses an address in it."""
        for text in ("2001:db8::/16", "2001:db8:1::/64", "2001:DB8:0:0::/96", "fd00:1::/48"):
            if text == "2001:db8::/16":
                self.assertIn("write 2001::/16", str(self.assertRaises(ValueError, prefixes, text)))
            else:
                self.assertEqual(prefixes(text), (IPv6Network(text),))
        for text in ("2001:db8::1/128", "2001:db8::/97"):
            self.assertRaises(ValueError, prefixes, text)
        said = str(self.assertRaises(ValueError, prefixes, "2001:db8::1/128"))
        self.assertEqual(
            said,
            "'2001:db8::1/128': write an IPv6 prefix from /16 to /96: in a longer one, addresses could be guessed",
        )
        said = str(self.assertRaises(ValueError, prefixes, "2001:db8::1-2001:db8::9"))
        self.assertIn("of IPv6, a pool has prefixes only: write one like 2001:db8:1::/64", said)

    def test_refuses_a_range_that_ends_before_it_begins(self) -> None:
        """The message has it the right way round."""
        error = self.assertRaises(ValueError, ipv4_range, "192.0.2.9-192.0.2.3")
        self.assertIn("write 192.0.2.3-192.0.2.9", str(error))

    def test_refuses_what_is_no_prefix(self) -> None:
        """Wrong lengths, other families, wildcards, words."""
        for text in (
            "192.0.2.0/33",
            "192.0.2.0/",
            "2001:db8::/15",
            "2001:db8::/97",
            "2001:db8::1/128",
            "2001:db8::1",
            "2001:db8::1-2001:db8::2",
            "2001:db8::%eth0/64",
            "0.0.0.0/0",
            "pool",
            "-",
        ):
            self.assertRaises(ValueError, prefixes, text)

    @given(NUMBERS, NUMBERS)
    def test_covers_a_range_exactly(self, one: int, other: int) -> None:
        """No address more and none less, whatever the bounds."""
        first, last = IPv4Address(min(one, other)), IPv4Address(max(one, other))
        found = prefixes(f"{first}-{last}")
        self.assertEqual(found, tuple(summarize_address_range(first, last)))
        self.assertEqual(sum(network.num_addresses for network in found), int(last) - int(first) + 1)


class PortRangeTests(SynchronousTestCase):
    """`port_range` reads from which ports flows leave."""

    def test_reads_two_ports(self) -> None:
        """The lower one first."""
        self.assertEqual(port_range(" 32768 - 65535 "), (32768, 65535))
        self.assertEqual(port_range("1024-2047"), (1024, 2047))

    def test_refuses_everything_else(self) -> None:
        """Single ports, well-known ones, too few, what is no number, and numbers without end."""
        for text in (
            "32768", "32768-", "-65535", "65535-32768", "32768-65536", "80-65535", "32768-32800", "a-b", "1e5-65535",
            "-1-65535", "", f"32768-{'9' * 5000}", "\u0661024-65535",
        ):  # fmt: skip
            self.assertRaises(ValueError, port_range, text)


class EndpointTests(SynchronousTestCase):
    """`endpoint` reads where a server listens."""

    def test_reads_every_form(self) -> None:
        """Port 53 is the default."""
        v4, v6 = IPv4Address("192.0.2.1"), IPv6Address("2001:db8::1")
        for text, expected in (
            ("192.0.2.1", Endpoint(v4, 53)),
            ("192.0.2.1:5353", Endpoint(v4, 5353)),
            ("2001:db8::1", Endpoint(v6, 53)),
            ("[2001:db8::1]", Endpoint(v6, 53)),
            ("[2001:db8::1]:5353", Endpoint(v6, 5353)),
        ):
            self.assertEqual(endpoint(text), expected)

    def test_refuses_wildcards_and_bad_ports(self) -> None:
        """Answers must leave from the address that was asked, so each is listed."""
        for text in (
            "0.0.0.0", "[::]:53", "192.0.2.1:0", "192.0.2.1:65536", "192.0.2.1:", "192.0.2.1:x", "[2001:db8::1]53",
            "[2001:db8::1]:", "[2001:db8::1", ":53", "",
        ):  # fmt: skip
            self.assertRaises(ValueError, endpoint, text)


class OverlapTests(SynchronousTestCase):
    """`overlap` compares prefixes."""

    def test_knows_shared_addresses(self) -> None:
        """One within the other, or apart."""
        self.assertTrue(overlap(IPv4Network("192.0.2.0/24"), IPv4Network("192.0.2.128/25")))
        self.assertFalse(overlap(IPv4Network("192.0.2.0/25"), IPv4Network("192.0.2.128/25")))


class HostTests(SynchronousTestCase):
    """`host`."""

    def test_refuses_what_no_host_on_another_machine_has(self) -> None:
        """Loopback, this network, this link, reserved, multicast, broadcast."""
        nobodys = ("127.0.0.1", "127.255.0.9", "0.0.0.0", "0.1.2.3", "169.254.1.1", "240.0.0.1", "255.255.255.255")
        for text in (*nobodys, "224.0.0.1"):
            self.assertRaises(ValueError, host, text)

    def test_takes_the_others(self) -> None:
        """Private, shared, public."""
        for text in ("192.168.0.10", "10.0.0.0", "100.64.0.1", "8.8.8.8", "126.0.0.1", "128.0.0.1", "1.0.0.0"):
            self.assertEqual(str(host(text)), text)
            self.assertEqual(str(host4(text)), text)
        for text in ("fd00::10", "2001:db8::10", "2a00::", "3fff::1", "64:ff9b::c000:201"):
            self.assertEqual(str(host(text)), text)

    def test_refuses_what_no_host_has_of_ipv6(self) -> None:
        """Itself, everybody, this link, a group, IPv4 in disguise, what is discarded; and a zone identifier."""
        for text, said in (
            ("::1", "is every machine itself"),
            ("::", "stands for every address"),
            ("fe80::1", "no router forwards to (RFC 4291)"),
            ("febf::1", "no router forwards to (RFC 4291)"),
            ("ff02::1", "of a group of hosts"),
            ("::ffff:192.0.2.1", "write 192.0.2.1"),
            ("::192.0.2.1", "no host has (RFC 6890)"),
            ("100::1", "no host has (RFC 6890)"),
            ("fe80::1%eth0", "write it without '%...'"),
            ("2001:db8::1%2", "write it without '%...'"),
        ):
            self.assertIn(said, str(self.assertRaises(ValueError, host, text)))
        self.assertIn("write an IPv4 one", str(self.assertRaises(ValueError, host4, "2001:db8::1")))

    def test_no_address_has_a_zone_identifier(self) -> None:
        """Wherever one may stand: nobody else knows what it means."""
        for read, text in (
            (address, "fe80::1%wan0"),
            (endpoint, "[fe80::1%wan0]:53"),
            (endpoint, "fe80::1%wan0"),
            (network, "fe80::%wan0/64"),
            (prefix6, "fe80::%wan0/64"),
            (prefixes, "2001:db8::1%wan0"),
            (prefixes, "2001:db8::%wan0/64"),
        ):
            self.assertIn("write it without '%...'", str(self.assertRaises(ValueError, read, text)))


class OverlappingTests(SynchronousTestCase):
    """`overlapping` says what comparing each with each says."""

    @given(strategies.lists(NETWORKS, max_size=20))
    def test_is_what_comparing_all_says(self, networks: list[Network]) -> None:
        """The first one before it, larger, smaller or the same; of one family only."""
        expected = [
            (index, first)
            for index, network in enumerate(networks)
            if (first := next((at for at in range(index) if overlap(networks[at], network)), None)) is not None
        ]
        self.assertEqual(finish(overlapping(networks)), expected)


class ResolverTests(SynchronousTestCase):
    """`resolver` reads where resolvers are, and by which name they are known."""

    def test_reads_what_it_writes(self) -> None:
        """With ports of their own, which are those of DNS by UDP and TCP, or by TLS."""
        for text, port, name in (
            ("192.0.2.53", 53, None),
            ("192.0.2.53:5353", 5353, None),
            ("192.0.2.53#dns.Example.net", 853, "dns.example.net"),
            ("[2001:db8::53]:8853#dns.example.net.", 8853, "dns.example.net"),
        ):
            value = resolver(text)
            self.assertEqual((value.endpoint.port, value.name), (port, name))
            self.assertEqual(resolver(value.text), value)

    def test_refuses_what_is_none(self) -> None:
        """No name behind the mark, no address before it, no such name."""
        for text in ("192.0.2.53#", "#dns.example.net", "dns.example.net", "192.0.2.53#-", "192.0.2.53:0#a"):
            with self.assertRaises(ValueError):
                resolver(text)
        self.assertEqual(Resolver(Endpoint(IPv6Address("2001:db8::53"), 53)).text, "[2001:db8::53]:53")
