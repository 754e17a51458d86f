"""Tests for `realmgw.datapath.capture.pcapng`: blocks, read again."""

from __future__ import annotations

import struct

from twisted.trial.unittest import SynchronousTestCase

from realmgw.datapath.capture import pcapng


def read(octets: bytes) -> tuple[int, bytes]:
    """Type and body of a block, which is the only one."""
    kind, length = struct.unpack_from("<II", octets)
    assert length == len(octets)
    assert not length % 4
    assert octets[-4:] == octets[4:8]
    return kind, octets[8:-4]


def options(octets: bytes) -> dict[int, bytes]:
    """Options up to their end, which is all."""
    found: dict[int, bytes] = {}
    while (head := struct.unpack_from("<HH", octets)) != (0, 0):
        found[head[0]] = octets[4 : 4 + head[1]]
        octets = octets[4 + head[1] + -head[1] % 4 :]
    assert len(octets) == 4
    return found


class BlockTests(SynchronousTestCase):
    """Each block."""

    def test_a_section_says_who_writes_and_in_which_order_octets_are(self) -> None:
        """Its length is not known before."""
        kind, body = read(pcapng.section("realmgw 1"))
        self.assertEqual((kind, body[:16]), (0x0A0D0D0A, bytes.fromhex("4d3c2b1a 0100 0000 ffffffffffffffff")))
        self.assertEqual(options(body[16:]), {4: b"realmgw 1"})

    def test_an_interface_counts_in_nanoseconds(self) -> None:
        """With name and link type."""
        kind, body = read(pcapng.interface("wan0", pcapng.ETHERNET, 65535))
        self.assertEqual((kind, struct.unpack_from("<HHI", body)), (1, (1, 0, 65535)))
        self.assertEqual(options(body[8:]), {2: b"wan0", 9: b"\x09"})

    def test_a_packet_has_its_time_its_lengths_and_a_comment(self) -> None:
        """Octets are filled up to four; no comment is no option."""
        kind, body = read(pcapng.packet(3, 0x1_0000_0002, b"12345", 99, "why"))
        self.assertEqual((kind, struct.unpack_from("<IIIII", body)), (6, (3, 1, 2, 5, 99)))
        self.assertEqual(body[20:28], b"12345\0\0\0")
        self.assertEqual(options(body[28:]), {1: b"why"})
        self.assertEqual(options(read(pcapng.packet(0, 0, b"1234", 4, ""))[1][24:]), {})

    def test_a_long_comment_is_cut_between_characters(self) -> None:
        """It stays UTF-8."""
        body = read(pcapng.packet(0, 0, b"", 0, "x" + "\u20ac" * 1000))[1]
        self.assertEqual(options(body[20:])[1].decode(), "x" + "\u20ac" * 333)

    def test_statistics_say_what_was_dropped(self) -> None:
        """And what was received, and written."""
        kind, body = read(pcapng.statistics(1, 5, 0x2_0000_0003, 10, 4, 6))
        self.assertEqual((kind, struct.unpack_from("<III", body)), (5, (1, 2, 3)))
        found = {code: int.from_bytes(value, "little") for code, value in options(body[12:]).items()}
        self.assertEqual({code: found[code] for code in (4, 6, 7)}, {4: 10, 6: 6, 7: 4})
        self.assertEqual(options(body[12:])[2], struct.pack("<II", 0, 5))
