"""Messages of the update face, whatever their octets are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.dns.codec import names
from realmgw.dns.update.message import MAX_RECORDS, BadMessageError, Message, read
from realmgw.errors import MalformedError
from realmgw.test.dns.update.face import signed, update


def example() -> bytes:
    """A signed update with something in each section, names in data among it."""
    message = update()
    message.present("here", "NS", "Ns1.example.org.")
    message.absent("there")
    message.add("new", 300, "PTR", "Target.example.org.")
    message.add("new", 300, "SOA", "A.example.org. B.example.org. 1 2 3 4 5")
    message.delete("old")
    message.use_edns(0)
    return signed(message).octets


def whole(octets: bytes) -> Message | None:
    """A message of which all can be read; None if it is none."""
    try:
        message = read(octets)
        message.entries()
    except MalformedError:
        return None
    return message


class ReadTests(SynchronousTestCase):
    """What is read."""

    def test_all_of_it(self) -> None:
        """Names in data are in lower case and whole, and what was signed is there without its signature."""
        message = read(example())
        prerequisites, updates = message.entries()
        self.assertEqual(
            [names.to_text(each.owner) for each in prerequisites], ["here.example.org.", "there.example.org."]
        )
        self.assertEqual(prerequisites[0].data, names.to_wire("ns1.example.org."))
        self.assertEqual(updates[0].data, names.to_wire("target.example.org."))
        soa = names.to_wire("a.example.org.") + names.to_wire("b.example.org.")
        self.assertEqual(updates[1].data[:-20], soa)
        self.assertEqual((updates[2].type, updates[2].cls), (255, 255))
        assert message.signature is not None
        self.assertEqual((message.signature.fudge, len(message.signature.mac)), (300, 32))
        self.assertEqual(message.unsigned[10:12], b"\0\1")
        self.assertEqual(read(message.unsigned).unsigned, message.unsigned)

    def test_no_part_of_one_is_one(self) -> None:
        """Nor one with an octet more."""
        octets = example()
        self.assertIsNotNone(whole(octets))
        for end in range(len(octets)):
            self.assertIsNone(whole(octets[:end]))
        self.assertIsNone(whole(octets + b"\0"))

    def test_what_gets_no_answer(self) -> None:
        """Responses, and what is shorter than a header; everything else has one that can be answered."""
        octets = example()
        for bad in (octets[:11], b"", octets[:2] + b"\xa8" + octets[3:]):
            self.assertIsNone(self.assertRaises(BadMessageError, read, bad).query)
        query = self.assertRaises(BadMessageError, read, octets[:-1]).query
        assert query is not None
        self.assertEqual(query.id, octets[:2])

    def test_signatures_where_none_may_be(self) -> None:
        """Before the last record, twice, and among updates."""
        octets = example()
        message = read(octets)
        record = octets[len(message.unsigned) :]
        more = octets[:10] + b"\0\3" + octets[12:]
        self.assertRaises(BadMessageError, read, more + record)
        opt = message.unsigned[-11:]
        self.assertRaises(BadMessageError, read, more + opt)
        moved = octets[:8] + b"\0\4\0\1" + octets[12 : len(message.unsigned) - 11] + record + opt
        self.assertIsNone(whole(moved))

    def test_too_many_records(self) -> None:
        """Are not counted out."""
        head = example()[:8] + MAX_RECORDS.to_bytes(2, "big") + b"\0\0"
        self.assertRaises(BadMessageError, read, head + b"\0\0\1\0\1\0\0\0\0\0\0" * MAX_RECORDS)

    def test_names_that_lead_nowhere(self) -> None:
        """Pointers to themselves and forward: found when the records are read, and not before."""
        octets = bytearray(example())
        at = octets.index(b"\6Target")
        for pointer in (at, at + 30, 0):
            octets[at : at + 2] = (0xC000 | pointer).to_bytes(2, "big")
            self.assertIsNone(whole(bytes(octets)))

    @given(st.binary(max_size=200), st.integers(0, 300), st.binary(max_size=4))
    def test_nothing_but_its_own_error(self, octets: bytes, at: int, other: bytes) -> None:
        """Whatever comes, and wherever a good one is damaged."""
        whole(octets)
        good = example()
        whole(good[:at] + other + good[at + len(other) :])
        whole(good[:12] + octets)
