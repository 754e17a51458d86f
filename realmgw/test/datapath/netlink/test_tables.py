"""Tests for `realmgw.datapath.netlink.tables`."""

from __future__ import annotations

import contextlib
import struct

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.datapath.netlink import tables
from realmgw.datapath.netlink.tables import Standing
from realmgw.errors import PlatformError, RealmGatewayError
from realmgw.test.datapath.answers import AnsweringChannel


def attribute(kind: int, value: bytes) -> bytes:
    """An attribute, padded."""
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def message(kind: int, body: bytes) -> bytes:
    """A netlink message."""
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 1, 0) + body


def table(comment: bytes | None, *, handle: int = 7) -> bytes:
    """What the kernel says of a table; other user data may stand before the comment."""
    body = struct.pack("!BBH", 1, 0, 0) + attribute(1, b"realmgw\0") + attribute(4, struct.pack("!Q", handle))
    if comment is not None:
        body += attribute(6, b"\x09\x02ab" + bytes([0, len(comment)]) + comment)
    return message(10 << 8, body)


def answer(received: bytes) -> Standing | None:
    """What is made of what the kernel says."""
    return tables.standing(AnsweringChannel(received), tables.request("inet", "realmgw", 1))


class AnswerTests(SynchronousTestCase):
    """`standing`."""

    def test_table_has_its_number_and_its_comment(self) -> None:
        """Or none."""
        self.assertEqual(answer(table(b"ours\0", handle=1 << 40)), Standing(1 << 40, "ours"))
        self.assertEqual(answer(table(None)), Standing(7, ""))

    def test_no_table_is_no_error(self) -> None:
        """The kernel says ENOENT."""
        self.assertIsNone(answer(message(2, struct.pack("=i", -2))))

    def test_refusals_are_told(self) -> None:
        """By their number, or with what to do."""
        error = self.assertRaises(RealmGatewayError, answer, message(2, struct.pack("=i", -22)))
        self.assertIn("error 22", str(error))
        error = self.assertRaises(PlatformError, answer, message(2, struct.pack("=i", -1)))
        self.assertIn("run as root", str(error))

    @given(st.binary(max_size=200))
    def test_what_nobody_understands_is_refused(self, garbage: bytes) -> None:
        """Never by another exception."""
        for received in (garbage, message(10 << 8, garbage), message(2, garbage), table(garbage[:200])):
            with contextlib.suppress(RealmGatewayError):
                answer(received)


class RequestTests(SynchronousTestCase):
    """`request`."""

    def test_names_family_and_table(self) -> None:
        """As the kernel wants them."""
        asked = tables.request("ip", "abc", 5)
        self.assertEqual(struct.unpack_from("=IHHII", asked), (len(asked), 10 << 8 | 1, 1, 5, 0))
        self.assertEqual(asked[16:], b"\x02\0\0\0" + attribute(1, b"abc\0"))
