"""Which addresses are one resolver's."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_network

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.reputation.groups import Groups
from realmgw.allocation.reputation.resolvers import MOST, Resolvers
from realmgw.config.policy import ResolverGroup

FIRST = IPv6Address("2001:db8::1")


def nobody_apart(address: IPv6Address, length: int) -> bool:
    """The operator has told of nobody."""
    del address, length
    return False


class ResolverTests(SynchronousTestCase):
    """By their text, as a socket has it."""

    @given(st.ip_addresses(v=4))
    def test_an_ipv4_address_is_one(self, address: IPv4Address) -> None:
        """As such, and in the form of IPv6."""
        resolvers = Resolvers(nobody_apart)
        self.assertEqual([resolvers.of(f"{form}{address}") for form in ("", "::ffff:")], [str(address)] * 2)

    @given(st.ip_addresses(v=6), st.integers(0, 2**64 - 1), st.integers(32, 128))
    def test_a_prefix_of_ipv6_is_one(self, address: IPv6Address, bits: int, length: int) -> None:
        """All of its addresses are the first one, and no other prefix's is."""
        if address.ipv4_mapped or address.is_link_local:
            return
        resolvers = Resolvers(nobody_apart, length)
        other = IPv6Address(int(address) ^ bits)
        prefix = ip_network((address, length), strict=False)
        self.assertEqual(resolvers.of(str(address)), str(prefix[0]))
        if not (other.ipv4_mapped or other.is_link_local):
            self.assertEqual(resolvers.of(str(address)) == resolvers.of(str(other)), other in prefix)

    def test_a_link_local_address_is_one(self) -> None:
        """Everybody on the link is in the same prefix; which link it is, is not part of it."""
        self.assertEqual(Resolvers(nobody_apart).of("fe80::5%wan0"), "fe80::5")

    def test_whom_the_operator_tells_apart_stays_so(self) -> None:
        """By a longer prefix than that of a resolver; a shorter one has many resolvers in it."""
        groups = Groups(8)
        nodes = ("2001:db8:0:1::53/128", "2001:db8:0:2::/80", "2001:db8:0:300::/56", "192.0.2.53/32")
        groups.preset([ResolverGroup((ip_network(node),), 0.8) for node in nodes], now=0.0)
        rows = {
            "2001:db8:0:1::53": "2001:db8:0:1::53",
            "2001:db8:0:1::54": "2001:db8:0:1::",
            "2001:db8:0:2::7": "2001:db8:0:2::7",
            "2001:db8:0:2:1::7": "2001:db8:0:2::",
            "2001:db8:0:301::7": "2001:db8:0:301::",
        }
        self.assertEqual({each: groups.resolvers.of(each) for each in rows}, rows)
        self.assertIsNotNone(groups.of(groups.resolvers.of("2001:db8:0:1::53")).preset)
        self.assertIsNone(groups.of(groups.resolvers.of("2001:db8:0:1::54")).preset)

    def test_goes_by_another_length_after_a_reload(self) -> None:
        """Also for those who were seen before."""
        resolvers = Resolvers(nobody_apart)
        self.assertEqual(resolvers.of("2001:db8:1:2:3::4"), "2001:db8:1:2::")
        resolvers.configure(48)
        self.assertEqual(resolvers.of("2001:db8:1:2:3::4"), "2001:db8:1::")

    def test_remembers_so_many_only(self) -> None:
        """Whoever writes what address into his queries."""
        resolvers = Resolvers(nobody_apart)
        for number in range(MOST + 10):
            resolvers.of(str(FIRST + number))
        self.assertLessEqual(len(resolvers), MOST)
