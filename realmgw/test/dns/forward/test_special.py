"""Tests for `realmgw.dns.forward.special`."""

from __future__ import annotations

from ipaddress import IPv6Network, ip_address, ip_network

from twisted.trial.unittest import SynchronousTestCase

from realmgw.dns.codec.message import Record
from realmgw.dns.codec.names import to_wire
from realmgw.dns.codec.wire import Rcode, Type
from realmgw.dns.forward.special import Special

HOME = (
    "x.invalid.", "x.test.", "printer.local.", "x.onion.", "x.alt.", "x.internal.", "x.home.arpa.", "x.resolver.arpa.",
    "1.0.0.10.in-addr.arpa.", "1.1.31.172.in-addr.arpa.", "1.0.168.192.in-addr.arpa.", "1.1.254.169.in-addr.arpa.",
    "1.0.64.100.in-addr.arpa.", "1.0.0.127.in-addr.arpa.", f"{'1.' + '0.' * 29}d.f.ip6.arpa.",
    f"{'1.' + '0.' * 28}8.e.f.ip6.arpa.", f"{'0.' * 24}8.b.d.0.1.0.0.2.ip6.arpa.",
)  # fmt: skip
ABROAD = (
    "www.example.net.", "test.example.net.", "1.0.32.172.in-addr.arpa.", "1.0.128.100.in-addr.arpa.", "arpa.",
    "1.1.1.8.in-addr.arpa.", f"{'0.' * 28}0.f.2.2.ip6.arpa.",
)  # fmt: skip
PRIVATE = (
    "10.0.0.1", "127.0.0.1", "0.0.0.0", "169.254.1.1", "172.31.0.1", "192.168.3.4", "::1", "::", "fd00::1", "fe80::1",
    "::ffff:10.0.0.1", "::ffff:0:10.0.0.1", "64:ff9b::192.168.0.1", "203.0.113.9", "::ffff:203.0.113.9",
    "2001:db8:1::9", "2002:c0a8:1::1", "2001:db8:64:c0:a8:1::",
)  # fmt: skip
PUBLIC = (
    "198.51.100.7",
    "172.32.0.1",
    "100.64.0.1",
    "2001:db8::1",
    "64:ff9b::198.51.100.7",
    "::ffff:198.51.100.7",
    "2002:c633:6407::1",
    "2001:db8:64:c6:33:6407::",
)


def address(text: str) -> Record:
    """A record of an address."""
    packed = ip_address(text).packed
    return Record(to_wire("www.example.net."), Type.A if len(packed) == 4 else Type.AAAA, 5, packed)


EDGES = ("12.0.0.0/7", "20.32.0.0/11", "198.51.100.8/30", "198.51.100.7/32", "2400::/12", "2001:db8:1::/48")
"""Networks that are private if they are one's own."""


class NameTests(SynchronousTestCase):
    """Which names are answered here."""

    def test_what_means_something_here_or_nowhere(self) -> None:
        """It does not exist, and the SOA of its zone says for how long."""
        for name in HOME:
            answer = Special().answer(to_wire(name), Type.A)
            assert answer is not None, name
            self.assertEqual((answer.rcode, answer.authority[0].type), (Rcode.NXDOMAIN, Type.SOA))

    def test_what_does_not_is_asked_for(self) -> None:
        """Be it as similar as it may."""
        for name in ABROAD:
            self.assertIsNone(Special().answer(to_wire(name), Type.A), name)

    def test_localhost_is_here(self) -> None:
        """And all below it; of other types there is nothing (RFC 6761 section 6.3)."""
        for name in ("localhost.", "a.localhost."):
            for kind, length in ((Type.A, 4), (Type.AAAA, 16)):
                answer = Special().answer(to_wire(name), kind)
                assert answer is not None
                self.assertEqual(len(answer.answers[0].rdata), length)
            other = Special().answer(to_wire(name), Type.HTTPS)
            assert other is not None
            self.assertEqual((other.rcode, other.answers), (Rcode.NOERROR, ()))

    def test_zones_themselves_exist(self) -> None:
        """They have a SOA."""
        answer = Special().answer(to_wire("home.arpa."), Type.SOA)
        assert answer is not None
        self.assertEqual(answer.answers[0].type, Type.SOA)

    def test_whether_they_are_signed_is_asked_for(self) -> None:
        """Of those that somebody has delegated, and of nothing below: only the zone above can prove it (RFC 8375)."""
        for name, is_asked in (
            ("home.arpa.", True),
            ("10.in-addr.arpa.", True),
            ("x.home.arpa.", False),
            ("local.", False),
            ("onion.", False),
        ):
            self.assertEqual(Special().answer(to_wire(name), Type.DS) is None, is_asked, name)

    def test_names_above_a_zone_of_ones_own_exist(self) -> None:
        """Or who believes that nothing is below what does not exist (RFC 8020) would ask for none of its names."""
        special = Special(apexes=map(to_wire, ("0.0.10.in-addr.arpa.", "a.b.home.arpa.")))
        for name, rcode in (
            ("0.10.in-addr.arpa.", Rcode.NOERROR),
            ("b.home.arpa.", Rcode.NOERROR),
            ("1.10.in-addr.arpa.", Rcode.NXDOMAIN),
            ("c.home.arpa.", Rcode.NXDOMAIN),
        ):
            answer = special.answer(to_wire(name), Type.A)
            assert answer is not None
            self.assertEqual((answer.rcode, answer.answers, len(answer.authority)), (rcode, (), 1), name)

    def test_names_of_a_network_of_ones_own_are_asked_for(self) -> None:
        """With all below them."""
        special = Special(("10.in-addr.arpa.", "corp.home.arpa."))
        for name in ("1.0.0.10.in-addr.arpa.", "x.corp.home.arpa."):
            self.assertIsNone(special.answer(to_wire(name), Type.PTR))
        self.assertIsNotNone(special.answer(to_wire("x.home.arpa."), Type.A))


class StripTests(SynchronousTestCase):
    """Which addresses public names may have."""

    special = Special(
        ("corp.example.com.",), map(ip_network, ("203.0.113.0/24", "2001:db8:1::/64")), IPv6Network("2001:db8:64::/56")
    )

    def test_private_ones_are_taken_out(self) -> None:
        """And those of our own pool; also where they stand in an address of IPv6."""
        for text in PRIVATE:
            records = (address("198.51.100.7"), address(text))
            self.assertEqual(self.special.strip(to_wire("www.example.net."), records), records[:1], text)

    def test_public_ones_stay(self) -> None:
        """The very same tuple."""
        records = tuple(map(address, PUBLIC))
        self.assertIs(self.special.strip(to_wire("www.example.net."), records), records)

    def test_the_first_and_the_last_address_of_each_network_count(self) -> None:
        """And neither the one before nor the one after, however long the network's prefix is."""
        for text in EDGES:
            network = ip_network(text)
            for each, stays in (
                (network[0] - 1, True),
                (network[0], False),
                (network[-1], False),
                (network[-1] + 1, True),
            ):
                records = (address(str(each)),)
                special = Special(own=(network,))
                self.assertEqual(bool(special.strip(to_wire("www.example.net."), records)), stays, str(each))

    def test_names_of_a_network_of_ones_own_may_have_them(self) -> None:
        """With all below them."""
        records = (address("10.0.0.1"),)
        self.assertIs(self.special.strip(to_wire("a.corp.example.com."), records), records)

    def test_hints_count(self) -> None:
        """Of HTTPS and SVCB records (RFC 9460), among other parameters."""
        for text, stays in (("198.51.100.7", True), ("192.168.0.1", False), ("fd00::1", False)):
            packed = ip_address(text).packed
            key = b"\0\4" if len(packed) == 4 else b"\0\6"
            rdata = b"\0\1\1a\0" + b"\0\1\0\2h2" + key + len(packed).to_bytes(2, "big") + packed
            records = (Record(to_wire("www.example.net."), Type.HTTPS, 5, rdata),)
            self.assertEqual(bool(self.special.strip(to_wire("www.example.net."), records)), stays)
