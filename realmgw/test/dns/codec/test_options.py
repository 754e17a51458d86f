"""EDNS options: what is read, what is refused, what goes back."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network

import dns.edns
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.dns.codec.options import (
    CLIENT_IDENTIFIER,
    CLIENT_INFORMATION,
    CLIENT_SUBNET,
    BadOptionError,
    ClientInformation,
    ClientSubnet,
    Options,
    read,
)

COOKIE = 10


@st.composite
def subnets(draw: st.DrawFn) -> tuple[str, int]:
    """An address and a prefix length."""
    address = draw(st.ip_addresses())
    return str(address), draw(st.integers(0, address.max_prefixlen))


class CookieOptionTests(SynchronousTestCase):
    """Code 10."""

    def test_has_8_or_16_to_40_octets(self) -> None:
        """Any other length is FORMERR (RFC 7873 section 5.2.2)."""
        for length in (8, 16, 24, 40):
            self.assertEqual(read(((COOKIE, bytes(length)),)).cookie, bytes(length))
        for length in (0, 7, 9, 15, 41):
            self.assertRaises(BadOptionError, read, ((COOKIE, bytes(length)),))

    def test_only_the_first_counts(self) -> None:
        """RFC 7873 section 5.2; of the others not even the length."""
        self.assertEqual(read(((COOKIE, bytes(8)), (COOKIE, b"x"))), Options(cookie=bytes(8)))


class ClientSubnetTests(SynchronousTestCase):
    """Code 8 (RFC 7871)."""

    @given(subnets())
    def test_reads_what_dnspython_writes_and_the_other_way(self, subnet: tuple[str, int]) -> None:
        """Of either family, any length; the answer's scope is told."""
        address, length = subnet
        option = dns.edns.ECSOption(address, length)
        found = read(((CLIENT_SUBNET, option.to_wire() or b""),)).subnet
        assert found is not None
        self.assertEqual(found.network.prefixlen, length)
        for believed in (False, True):
            expected = dns.edns.ECSOption(address, length, length * believed).to_wire()
            self.assertEqual(found.reply(believed), expected)

    def test_refuses_what_is_malformed(self) -> None:
        """Each a clause of RFC 7871 section 6."""
        rows = {
            "too short": b"\0\1\x18",
            "FAMILY neither 1 nor 2": b"\0\3\x08\0\x01",
            "SOURCE PREFIX-LENGTH beyond the address": b"\0\1\x21\0\xc0\0\2\1\0",
            "SCOPE PREFIX-LENGTH not 0 in a query": b"\0\1\x18\x18\xc0\0\2",
            "fewer octets than the prefix": b"\0\1\x18\0\xc0\0",
            "more octets than the prefix": b"\0\1\x18\0\xc0\0\2\0",
            "bits beyond the prefix": b"\0\1\x17\0\xc0\0\3",
        }
        for clause, data in rows.items():
            with self.subTest(clause):
                self.assertRaises(BadOptionError, read, ((CLIENT_SUBNET, data),))

    def test_tells_no_network_with_a_prefix_of_0(self) -> None:
        """The client does not want it told; the option goes back all the same."""
        found = read(((CLIENT_SUBNET, b"\0\1\0\0"),))
        self.assertIsNone(found.network)
        self.assertEqual(found.subnet and found.subnet.reply(False), b"\0\1\0\0")

    def test_takes_no_family_with_a_prefix_of_0(self) -> None:
        """As others do: it is as if there were no option; a scope or octets beside it are malformed."""
        self.assertEqual(read(((CLIENT_SUBNET, bytes(4)),)), Options())
        for data in (b"\0\0\1\0\0", b"\0\0\0\1", bytes(5)):
            self.assertRaises(BadOptionError, read, ((CLIENT_SUBNET, data),))

    @given(st.binary(max_size=30))
    def test_raises_nothing_but_its_own_error(self, data: bytes) -> None:
        """And what it reads is written back as it was, but for the scope."""
        try:
            found = read(((CLIENT_SUBNET, data),)).subnet
        except BadOptionError:
            return
        self.assertEqual(bytes(4) if found is None else found.reply(False), data)


class ClientInformationTests(SynchronousTestCase):
    """0xFF01."""

    def test_reads_either_family(self) -> None:
        """Address, protocol, the client's transaction."""
        found = read(((CLIENT_INFORMATION, b"\0\1\xc0\0\2\1\0\6\x12\x34"),), agreed=True)
        self.assertEqual(found.information, ClientInformation(IPv4Network("192.0.2.1/32"), 6, 0x1234))
        address = IPv6Network("2001:db8::1/128").network_address.packed
        found = read(((CLIENT_INFORMATION, b"\0\2" + address + b"\0\x11\0\x35"),), agreed=True)
        self.assertEqual(found.information, ClientInformation(IPv6Network("2001:db8::1/128"), 17, 53))

    @given(st.binary(max_size=30))
    def test_raises_nothing_but_its_own_error(self, data: bytes) -> None:
        """Only two lengths are right, each with its family."""
        right = (data[:2], len(data)) in ((b"\0\1", 10), (b"\0\2", 22))
        try:
            found = read(((CLIENT_INFORMATION, data),), agreed=True)
        except BadOptionError:
            self.assertFalse(right)
        else:
            self.assertTrue(right)
            self.assertIsNotNone(found.information)

    def test_goes_before_the_subnet(self) -> None:
        """It is more exact."""
        subnet = (CLIENT_SUBNET, b"\0\1\x18\0\xc0\0\2")
        self.assertEqual(read((subnet,)).network, IPv4Network("192.0.2.0/24"))
        both = read((subnet, (CLIENT_INFORMATION, b"\0\1\xc0\0\2\1\0\6\0\0")), agreed=True)
        self.assertEqual(both.network, IPv4Network("192.0.2.1/32"))
        self.assertEqual(both.subnet, ClientSubnet(IPv4Network("192.0.2.0/24")))


class ClientIdentifierTests(SynchronousTestCase):
    """0xFF02."""

    def test_is_opaque(self) -> None:
        """1 to 255 octets of anything."""
        self.assertEqual(read(((CLIENT_IDENTIFIER, b"\0x"),), agreed=True).identifier, b"\0x")
        for data in (b"", bytes(256)):
            self.assertRaises(BadOptionError, read, ((CLIENT_IDENTIFIER, data),), agreed=True)


class OptionsTests(SynchronousTestCase):
    """All together."""

    @given(st.lists(st.tuples(st.sampled_from([3, 8, 10, 11, 15, 0xFF01, 0xFF02, 0xFF03]), st.binary(max_size=41))))
    def test_raises_nothing_but_its_own_error(self, options: list[tuple[int, bytes]]) -> None:
        """Whatever comes; unknown ones are ignored."""
        try:
            read(tuple(options))
        except BadOptionError:
            self.assertTrue({8, 10} & {code for code, _ in options})

    @given(st.lists(st.tuples(st.sampled_from([0xFF01, 0xFF02]), st.binary(max_size=41)), max_size=3))
    def test_ignores_what_was_not_agreed_on(self, options: list[tuple[int, bytes]]) -> None:
        """The codes of the local range are anybody's."""
        self.assertEqual(read(tuple(options)), Options())
