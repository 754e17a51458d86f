"""Tests for `realmgw.datapath.neighbours.messages`."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address, IPv6Network

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.datapath.neighbours import messages
from realmgw.test.datapath.neighbours.solicitations import (
    NOBODY,
    OWN_LINK,
    ROUTER,
    ROUTER_LINK,
    SOURCE_OPTION,
    TARGET,
    checksum,
    group,
    solicitation,
)

ALL_NODES = IPv6Address("ff02::1").packed
NONCE = b"\x0e\x01" + b"\1\2\3\4\5\6"


class SolicitationTests(SynchronousTestCase):
    """What is read, and what is ignored (RFC 4861 section 7.1.1)."""

    def assert_ignored(self, **fields: object) -> None:
        """A solicitation with something in it is."""
        self.assertIsNone(messages.solicitation(solicitation(**fields)))  # type: ignore[arg-type]  # any of them

    def test_says_who_asks_for_what(self) -> None:
        """By a group, and to the target itself when the router looks whether it is still there."""
        for destination in (None, TARGET):
            expected = messages.Solicitation(TARGET, ROUTER, ROUTER_LINK, is_probe=destination is not None)
            self.assertEqual(messages.solicitation(solicitation(destination=destination)), expected)

    def test_link_layer_address_is_the_one_that_is_said(self) -> None:
        """And the frame's where none is, or one of another length."""
        other = b"\x02\0\0\0\0\x0c"
        for options, link in (
            (NONCE + b"\x01\x01" + other, other),
            (b"", ROUTER_LINK),
            (b"\x01\x02" + bytes(14), ROUTER_LINK),
        ):
            found = messages.solicitation(solicitation(options=options))
            self.assertEqual(found and found.link, link)

    def test_who_wants_the_address_himself_has_none_yet(self) -> None:
        """He says no link-layer address, and asks the group."""
        found = messages.solicitation(solicitation(source=NOBODY, options=NONCE))
        self.assertEqual(found, messages.Solicitation(TARGET, messages.UNSPECIFIED, ROUTER_LINK))
        self.assert_ignored(source=NOBODY)
        self.assert_ignored(source=NOBODY, options=b"", destination=TARGET)

    def test_what_came_by_a_router_is_ignored(self) -> None:
        """It would have taken something from the hop limit."""
        self.assert_ignored(hops=254)

    def test_wrong_numbers_are_ignored(self) -> None:
        """The checksum, the code, the type."""
        for fields in ({"wrong": 1}, {"code": 1}, {"kind": 136}):
            self.assert_ignored(**fields)

    def test_wrong_addresses_are_ignored(self) -> None:
        """A target or a source that is a group, a destination that is neither the target nor its group."""
        self.assert_ignored(target=group(TARGET))
        self.assert_ignored(source=ALL_NODES)
        self.assert_ignored(destination=ALL_NODES)
        self.assert_ignored(destination=group(TARGET[:-1] + b"\xff"))

    def test_malformed_options_are_ignored(self) -> None:
        """Without a length, longer than the message, half of one."""
        for options in (b"\x01\x00" + bytes(6), b"\x01\x02" + bytes(6), SOURCE_OPTION + b"\x05"):
            self.assert_ignored(options=options)

    def test_length_is_what_is_there(self) -> None:
        """What is behind it belongs to the frame; what is missing is."""
        frame = solicitation()
        self.assertIsNotNone(messages.solicitation(frame + bytes(9)))
        for length in range(len(frame)):
            self.assertIsNone(messages.solicitation(frame[:length]))
        short = frame[:18] + struct.pack("!H", 23) + frame[20:]
        self.assertIsNone(messages.solicitation(short))

    @given(st.binary(max_size=120))
    def test_any_octets_are_read_or_ignored(self, octets: bytes) -> None:
        """Nothing is raised, whatever stands behind the first octets of a real one."""
        messages.solicitation(octets)
        frame = solicitation()
        messages.solicitation(frame[: len(frame) - min(len(octets), 40)] + octets)


class AdvertisementTests(SynchronousTestCase):
    """What is told (RFC 4861 section 4.4)."""

    def read(self, frame: bytes) -> tuple[bytes, bytes, bytes, int]:
        """Link-layer address, source, destination and flags of an advertisement that is right in everything else."""
        to, own, kind, first, length, following, hops, source, destination = struct.unpack_from(
            "!6s6sHIHBB16s16s", frame
        )
        body = frame[54:]
        self.assertEqual((own, kind, first, length, following, hops), (OWN_LINK, 0x86DD, 6 << 28, len(body), 58, 255))
        number, code, _, flags, target = struct.unpack_from("!BBHI16s", body)
        self.assertEqual((number, code, target, body[24:]), (136, 0, TARGET, b"\x02\x01" + OWN_LINK))
        self.assertEqual(checksum(source, destination, body), 0)
        return to, source, destination, flags

    def test_who_asks_is_answered(self) -> None:
        """Solicited, in place of what he knew before."""
        asked = messages.Solicitation(TARGET, ROUTER, ROUTER_LINK)
        told = self.read(messages.advertisement(asked, OWN_LINK))
        self.assertEqual(told, (ROUTER_LINK, TARGET, ROUTER, 0x6000_0000))

    def test_who_wants_the_address_himself_hears_it_with_all_nodes(self) -> None:
        """Unsolicited, as he has no address to be answered at."""
        asked = messages.Solicitation(TARGET, messages.UNSPECIFIED, ROUTER_LINK)
        told = self.read(messages.advertisement(asked, OWN_LINK))
        self.assertEqual(told, (b"\x33\x33\0\0\0\x01", TARGET, ALL_NODES, 0x2000_0000))
        self.assertEqual(messages.announcement(TARGET, OWN_LINK), messages.advertisement(asked, OWN_LINK))

    def test_address_of_ipv4_is_announced_by_arp(self) -> None:
        """To everybody: a request for oneself."""
        address = IPv4Address("192.0.2.1").packed
        expected = b"\xff" * 6 + OWN_LINK + bytes.fromhex("0806 0001 0800 06 04 0001") + OWN_LINK + address
        self.assertEqual(messages.announcement(address, OWN_LINK), expected + bytes(6) + address)


class FilterTests(SynchronousTestCase):
    """The filter, run by a small machine of our own; the kernel runs it in the kernel's tests."""

    def passes(self, frame: bytes, *networks: str, packet_type: int = 0) -> bool:
        """Whether the filter for some prefixes lets a frame through."""
        program = messages.program([IPv6Network(each) for each in networks])
        instructions = [struct.unpack_from("=HBBI", program, at) for at in range(0, len(program), 8)]
        loaded, at = 0, 0
        number: int
        while True:
            code, true, false, number = instructions[at]
            at += 1
            if code == 0x20:
                loaded = packet_type if number > len(frame) else int.from_bytes(frame[number : number + 4], "big")
            elif code == 0x30:
                loaded = frame[number]
            elif code == 0x54:
                loaded &= number
            elif code == 0x15:
                at += true if loaded == number else false
            else:
                return number > 0

    def test_solicitations_for_the_prefixes_pass(self) -> None:
        """Whatever their lengths are."""
        for networks in (("2001:db8:0:1:5::/80",), ("3fff::/20", "2001:db8::/61"), (str(IPv6Address(TARGET)),)):
            self.assertTrue(self.passes(solicitation(), *networks))
        self.assertFalse(self.passes(solicitation(), "2001:db8:0:1:4::/80", "2001:db8:0:2::/64"))
        self.assertFalse(self.passes(solicitation()))

    def test_nothing_else_passes(self) -> None:
        """Other messages, other protocols, frames for others."""
        self.assertFalse(self.passes(solicitation(kind=136), "::/0"))
        self.assertFalse(self.passes(solicitation(), "::/0", packet_type=3))
        frame = solicitation()
        self.assertFalse(self.passes(frame[:20] + b"\x11" + frame[21:], "::/0"))

    def test_very_many_prefixes_are_told_apart_elsewhere(self) -> None:
        """There is no room for them in a filter."""
        many = [f"2001:db8:{number:x}::/64" for number in range(messages.MOST_PREFIXES + 1)]
        self.assertTrue(self.passes(solicitation(), *many))
        self.assertFalse(self.passes(solicitation(kind=133), *many))
