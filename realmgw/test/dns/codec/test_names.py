"""Names on the wire and as text."""

from __future__ import annotations

import contextlib

import dns.exception
import dns.name
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.dns.codec import names

LABELS = st.lists(st.binary(min_size=1, max_size=63), max_size=12)


def wire(labels: list[bytes]) -> bytes:
    """Labels as a wire name."""
    return b"".join(bytes((len(label),)) + label for label in labels) + names.ROOT


class TextTests(SynchronousTestCase):
    """`to_wire` and `to_text`."""

    def test_writes_labels_with_their_lengths_in_lower_case(self) -> None:
        """Each label follows its length; the root's zero octet ends the name."""
        self.assertEqual(names.to_wire("WWW.Example.org."), b"\3www\7example\3org\0")

    def test_knows_the_root(self) -> None:
        """A lone dot is the root."""
        self.assertEqual(names.to_wire("."), b"\0")
        self.assertEqual(names.to_text(b"\0"), ".")

    def test_reads_escapes(self) -> None:
        r"""`\.` is a dot within a label, `\DDD` any octet (RFC 1035 section 5.1)."""
        self.assertEqual(names.to_wire(r"a\.b\000.example."), b"\4a.b\0\7example\0")

    def test_refuses_what_is_no_name(self) -> None:
        """Empty and long labels, long names, relative ones, octets over 255 and other than ASCII are refused."""
        long = ".".join(["a" * 63] * 4) + "."
        for text in ("", "a..b.", ".a.", "a" * 64 + ".", long, "relative", r"a\256.", "ä.example.", r"a\."):
            with self.assertRaises(names.BadNameError, msg=text):
                names.to_wire(text)

    @given(LABELS)
    def test_text_comes_back_as_the_same_name(self, labels: list[bytes]) -> None:
        """Whatever octets a name has, its text means that name again, to us and to dnspython."""
        name = wire(labels).lower()
        if len(name) <= names.MAX_NAME:
            text = names.to_text(name)
            self.assertEqual(names.to_wire(text), name)
            self.assertEqual(dns.name.from_text(text).to_wire(), name)


class BelowTests(SynchronousTestCase):
    """A label below a name that is known in its wire form."""

    def test_is_the_wire_name_of_the_whole(self) -> None:
        """In lower case."""
        self.assertEqual(names.below(names.to_wire("example.org."), "WWW"), names.to_wire("www.example.org."))

    def test_refuses_what_is_no_label_there(self) -> None:
        """As `to_wire` does for the whole name."""
        for label in ("", "a" * 64, "a\\.b", "\u00fc", "a" * 60):
            with self.assertRaises(names.BadNameError):
                names.below(names.to_wire("b." * 100), label)


class AncestorsTests(SynchronousTestCase):
    """`ancestors`."""

    def test_begins_with_the_name_and_ends_with_the_root(self) -> None:
        """One label less each time."""
        self.assertEqual(names.ancestors(b"\1a\1b\0"), [b"\1a\1b\0", b"\1b\0", b"\0"])


PIECES = (
    b"\0",
    b"\1a",
    b"\2bc",
    b"\x3f" + b"x" * 63,
    b"\x40",
    b"\x3d",
    b"\xc0",
    *[bytes((0xC0, at)) for at in range(10, 20)],
)
"""What names are put together from, and what they should not be."""


class ReadTests(SynchronousTestCase):
    """`read`: names in messages."""

    def read(self, octets: bytes, at: int = 12) -> tuple[bytes, int]:
        """Reads a name behind a header."""
        return names.read(bytes(12) + octets, at)

    def test_follows_a_pointer_and_goes_on_behind_it(self) -> None:
        """What follows the pointer follows the name."""
        self.assertEqual(self.read(b"\1b\0\1a\xc0\x0c!", 15), (b"\1a\1b\0", 19))

    def test_keeps_the_case(self) -> None:
        """Only who compares names lowers them."""
        self.assertEqual(self.read(b"\1A\0"), (b"\1A\0", 15))

    def test_refuses_a_pointer_that_does_not_lead_backwards(self) -> None:
        """To itself, forwards, to labels of the same name, and into the header."""
        for octets in (b"\xc0\x0c", b"\xc0\x0e\0", b"\1a\xc0\x0c", b"\xc0\x00", b"\xc0\x0b"):
            with self.assertRaises(names.BadNameError, msg=octets.hex()):
                self.read(octets)

    def test_refuses_what_overlaps_with_what_led_to_it(self) -> None:
        """A label, a pointer or the end behind a pointer that lies where the name itself does, or its beginning."""
        for octets, at in (
            (b"\3\xc0\x0ca\0", 13),
            (b"\1a\xc0\x0c", 14),
            (b"\2\1\xc0\x0c\0\0", 13),
            (b"\1\1a\xc0\x0c\0", 13),
        ):
            with self.assertRaises(names.BadNameError, msg=octets.hex()):
                self.read(octets, at)
        self.assertEqual(self.read(b"\1b\0\1a\xc0\x0c", 15), (b"\1a\1b\0", 19))

    def test_refuses_label_forms_that_are_not_defined(self) -> None:
        """0x40 was for extended labels, 0x80 never had a meaning (RFC 6891 section 5)."""
        for form in (b"\x40", b"\x80"):
            with self.assertRaises(names.BadNameError):
                self.read(form + b"a" * 200)

    def test_takes_255_octets_and_not_one_more(self) -> None:
        """With the root's zero octet (RFC 1035 section 2.3.4)."""
        longest = wire([b"a" * 63] * 3 + [b"a" * 61])
        self.assertEqual(self.read(longest), (longest, 12 + 255))
        with self.assertRaises(names.BadNameError):
            self.read(wire([b"a" * 63] * 3 + [b"a" * 62]))

    def test_refuses_255_octets_reached_by_pointers(self) -> None:
        """The limit is on the name, not on what it takes in the message."""
        tail = wire([b"a" * 63] * 3)
        with self.assertRaises(names.BadNameError):
            self.read(tail + b"\x3f" + b"a" * 63 + b"\xc0\x0c", 12 + len(tail))

    def test_gives_up_on_a_long_chain_of_pointers(self) -> None:
        """A name costs at most `MAX_STEPS`, however long the message is."""
        chain = b"\0" + b"".join((0xC000 | at).to_bytes(2, "big") for at in (12, *range(13, 13 + 600, 2)))
        with self.assertRaises(names.BadNameError):
            self.read(chain, 12 + len(chain) - 2)

    @given(st.binary(max_size=300) | st.lists(st.sampled_from(PIECES), max_size=12).map(b"".join), st.integers(0, 300))
    def test_agrees_with_dnspython_on_any_octets(self, octets: bytes, at: int) -> None:
        """What we read, it reads alike; what it refuses, we refuse."""
        message = bytes(12) + octets
        with contextlib.suppress(names.BadNameError):
            ours, after = names.read(message, 12 + at)
            theirs, used = dns.name.from_wire(message, 12 + at)
            self.assertEqual((ours, after - 12 - at), (theirs.to_wire(), used))
            return
        with contextlib.suppress(dns.exception.DNSException):
            theirs, _ = dns.name.from_wire(message, 12 + at)
            self.assert_only_stricter(message, 12 + at)

    def assert_only_stricter(self, message: bytes, at: int) -> None:
        """We refuse pointers into the header and long chains, which dnspython takes.

        Before 2.9 it took names as well that lead to what overlaps with them.
        """
        pointers, start, end = 0, at, len(message)
        while message[at] and message[at] < names.POINTER:
            at += 1 + message[at]
        while message[at] >= names.POINTER:
            target = (message[at] & 0x3F) << 8 | message[at + 1]
            if target < 12:
                return
            start, end, at, pointers = target, start, target, pointers + 1
            while message[at] and message[at] < names.POINTER:
                at += 1 + message[at]
            if at + (message[at] >= names.POINTER) >= end:
                return
        self.assertGreater(pointers, 100)
