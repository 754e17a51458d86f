"""Tests for `realmgw.subscribers.families`."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network, ip_network

import attrs
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.addresses import UNIQUE_LOCAL
from realmgw.config.ipv6 import Ipv6, Ipv6Mode, PrefixMode
from realmgw.config.settings import Attachment, PoolPrefix, Pools
from realmgw.subscribers.families import mode_of, unanswered
from realmgw.subscribers.model import Host, Profile

SETTINGS = Ipv6(
    Ipv6Mode.POOL,
    (
        PrefixMode(IPv6Network("2001:db8::/32"), Ipv6Mode.PINHOLE),
        PrefixMode(IPv6Network("2001:db8:7:1::/64"), Ipv6Mode.POOL),
        PrefixMode(IPv6Network("2001:db8:7::/48"), Ipv6Mode.OFF),
    ),
)
_NESTED = st.lists(
    st.builds(
        lambda number, length, mode: PrefixMode(IPv6Network((number >> length << length, 128 - length)), mode),
        st.integers(0, 2**128 - 1),
        st.integers(0, 128),
        st.sampled_from(Ipv6Mode),
    ),
    max_size=8,
    unique_by=lambda each: each.prefix,
)


def host(address: str = "", mode: Ipv6Mode | None = None) -> Host:
    """A host with an IPv6 address, or none."""
    packed = IPv6Address(address).packed if address else b""
    return Host(1, "a.example.org.", b"\xc0\xa8\0\1", Profile(ipv6=mode), address6=packed)


class ModeOfTests(SynchronousTestCase):
    """`mode_of` decides how names of a host are answered with AAAA."""

    def test_the_longest_prefix_counts(self) -> None:
        """In whatever order they are written; those in none are as the configuration says."""
        for address, mode in (
            ("fd00::1", Ipv6Mode.POOL),
            ("2001:db8::1", Ipv6Mode.PINHOLE),
            ("2001:db8:7::1", Ipv6Mode.OFF),
            ("2001:db8:7:1::1", Ipv6Mode.POOL),
        ):
            self.assertIs(mode_of(host(address), SETTINGS), mode)

    @given(_NESTED, st.integers(0, 2**128 - 1))
    def test_finds_what_a_search_through_all_finds(self, prefixes: list[PrefixMode], number: int) -> None:
        """Of nested prefixes, from everything to a single address, as it is asked for in each query."""
        settings = Ipv6(Ipv6Mode.POOL, tuple(prefixes))
        for address in (IPv6Address(number), *(each.prefix.network_address for each in prefixes)):
            within = [each for each in prefixes if address in each.prefix]
            longest = max(within, key=lambda each: each.prefix.prefixlen, default=None)
            said = mode_of(host(str(address)), settings)
            wanted = Ipv6Mode.POOL if longest is None else longest.mode
            is_private = address in UNIQUE_LOCAL and wanted is Ipv6Mode.PINHOLE
            self.assertIs(said, Ipv6Mode.OFF if is_private else wanted)

    def test_a_query_looks_no_more_often_however_many_prefixes_there_are(self) -> None:
        """Once for each length."""
        prefixes = [PrefixMode(each, Ipv6Mode.OFF) for each in IPv6Network("2001:db8::/32").subnets(new_prefix=42)]
        self.assertEqual([len(modes) for _, modes in Ipv6(prefixes=tuple(prefixes)).by_length], [1024])

    def test_what_the_host_says_counts_first(self) -> None:
        """Each of them."""
        for mode in Ipv6Mode:
            self.assertIs(mode_of(host("2001:db8::1", mode), SETTINGS), mode)

    def test_without_prefixes_all_are_alike(self) -> None:
        """As the configuration says."""
        for mode in Ipv6Mode:
            self.assertIs(mode_of(host("2001:db8::1"), Ipv6(mode)), mode)

    def test_nobody_is_told_a_private_address(self) -> None:
        """Whatever is set: nobody outside reaches it."""
        pinhole = Ipv6(Ipv6Mode.PINHOLE)
        for address, mode in (("fd00::1", Ipv6Mode.OFF), ("fc00::1", Ipv6Mode.OFF), ("fe00::1", Ipv6Mode.PINHOLE)):
            self.assertIs(mode_of(host(address), pinhole), mode)
        self.assertIs(mode_of(host("fd00::1", Ipv6Mode.PINHOLE), SETTINGS), Ipv6Mode.OFF)
        self.assertIs(mode_of(host("fd00::1", Ipv6Mode.POOL), pinhole), Ipv6Mode.POOL)

    def test_nobody_is_told_an_address_where_the_machine_has_no_ipv6(self) -> None:
        """Whatever the host says: nothing comes to it."""
        for mode in Ipv6Mode:
            self.assertIs(mode_of(host("2001:db8::1", mode), attrs.evolve(SETTINGS, is_served=False)), Ipv6Mode.OFF)

    def test_a_host_without_an_address_has_none_to_answer_with(self) -> None:
        """Whatever it says."""
        self.assertIs(mode_of(host(), SETTINGS), Ipv6Mode.OFF)
        self.assertIs(mode_of(host(mode=Ipv6Mode.PINHOLE), SETTINGS), Ipv6Mode.OFF)


class UnansweredTests(SynchronousTestCase):
    """`unanswered` counts hosts that have an address of a family and no answer of it."""

    def test_tells_of_hosts_without_a_pool(self) -> None:
        """Of each family; those that are off by what is written are not meant to have an answer."""
        hosts = [host("fd00::1"), host("fd00::2"), host("2001:db8::1"), host("fd00::3", Ipv6Mode.OFF), host()]
        for networks, lines in (
            (("198.51.100.0/28", "2001:db8:1::/64"), []),
            (
                ("198.51.100.0/28",),
                ["2 hosts have an address of IPv6 and no AAAA: pools.circular has no prefix of IPv6."],
            ),
            (
                ("2001:db8:1::/64",),
                ["5 hosts have an address of IPv4 and no A: pools.circular has no prefix of IPv4."],
            ),
        ):
            pools = Pools(tuple(PoolPrefix(ip_network(each), Attachment.ROUTED) for each in networks))
            self.assertEqual(list(unanswered(hosts, pools, SETTINGS)), lines)

    def test_tells_of_private_addresses_that_would_be_told(self) -> None:
        """By the prefix, or by what holds for all."""
        pools = Pools((PoolPrefix(ip_network("2001:db8:1::/64"), Attachment.ROUTED),))
        hosts = [attrs.evolve(host(address), address=b"") for address in ("fd00::1", "2001:db8::1")]
        self.assertEqual(
            list(unanswered(hosts, pools, Ipv6(Ipv6Mode.PINHOLE))),
            ["1 host has no AAAA: 'ipv6: pinhole' holds there, and what is at fc00::/7 nobody reaches."],
        )
        self.assertEqual(list(unanswered(hosts, pools, Ipv6())), [])

    def test_tells_of_pinholes_where_the_machine_has_no_ipv6(self) -> None:
        """Those that nobody is told of."""
        pools = Pools((PoolPrefix(ip_network("198.51.100.0/28"), Attachment.ROUTED),))
        hosts = [host("2001:db8:8::1", Ipv6Mode.PINHOLE), host("2001:db8:8::2", Ipv6Mode.OFF)]
        self.assertEqual(
            list(unanswered(hosts, pools, Ipv6(is_served=False))),
            ["1 host has no AAAA: 'ipv6: pinhole' holds there, and IPv6 is switched off on this machine."],
        )
