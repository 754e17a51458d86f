"""Tests for `realmgw.subscribers.families`."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network

from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.ipv6 import Ipv6, Ipv6Mode, PrefixMode
from realmgw.subscribers.families import mode_of
from realmgw.subscribers.model import Host, Profile

SETTINGS = Ipv6(
    Ipv6Mode.POOL,
    (
        PrefixMode(IPv6Network("2001:db8::/32"), Ipv6Mode.PINHOLE),
        PrefixMode(IPv6Network("2001:db8:7:1::/64"), Ipv6Mode.POOL),
        PrefixMode(IPv6Network("2001:db8:7::/48"), Ipv6Mode.OFF),
    ),
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

    def test_what_the_host_says_counts_first(self) -> None:
        """Each of them."""
        for mode in Ipv6Mode:
            self.assertIs(mode_of(host("2001:db8::1", mode), SETTINGS), mode)

    def test_without_prefixes_all_are_alike(self) -> None:
        """As the configuration says."""
        for mode in Ipv6Mode:
            self.assertIs(mode_of(host("2001:db8::1"), Ipv6(mode)), mode)

    def test_a_host_without_an_address_has_none_to_answer_with(self) -> None:
        """Whatever it says."""
        self.assertIs(mode_of(host(), SETTINGS), Ipv6Mode.OFF)
        self.assertIs(mode_of(host(mode=Ipv6Mode.PINHOLE), SETTINGS), Ipv6Mode.OFF)
