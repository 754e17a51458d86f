"""Tests of what is read of nftables; `realmgw.test.kernel.test_datapath_watch` reads a kernel's."""

from __future__ import annotations

import contextlib
import struct
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.datapath.netlink import codec, nftables
from realmgw.datapath.netlink.codec import InterruptedDumpError
from realmgw.datapath.netlink.nftables import INET, Standing
from realmgw.datapath.watch.reader import RulesetReader
from realmgw.errors import PlatformError, RealmGatewayError
from realmgw.test.datapath.answers import AnsweringChannel, done, refusal

TABLE = (INET, "t")
SEQUENCE = 7
NEWTABLE, NEWCHAIN, NEWRULE, NEWSET, NEWOBJ, NEWGEN = (10 << 8 | kind for kind in (0, 3, 6, 9, 18, 15))


def message(kind: int, attributes: dict[int, bytes], flags: int = 0, sequence: int = SEQUENCE) -> bytes:
    """A message as the kernel writes it."""
    body = struct.pack("!BBH", INET, 0, 0) + b"".join(codec.attribute(*each) for each in attributes.items())
    return codec.message(kind, flags, sequence, body)


def number(value: int) -> bytes:
    """As the kernel writes it."""
    return struct.pack("!I", value)


def counter(packets: int, name: bytes = b"c\0", kind: int = 1) -> bytes:
    """A counter, or another object with such data."""
    return message(NEWOBJ, {1: b"t\0", 2: name, 3: number(kind), 4: number(packets), 5: number(packets)})


def chain(name: bytes, policy: int = 0, packets: int = 0) -> bytes:
    """A base chain that has counted something."""
    return message(NEWCHAIN, {1: b"t\0", 2: bytes(8), 3: name, 5: number(policy), 6: number(3), 8: number(packets)})


def rule(chain_name: bytes, expressions: bytes) -> bytes:
    """A rule."""
    return message(NEWRULE, {1: b"t\0", 2: chain_name, 3: bytes(8), 4: expressions})


def read(*messages: bytes) -> dict[str, bytes]:
    """What is in the table."""
    answers = [done(SEQUENCE)] * 4  # to the requests for what is of other kinds
    channel = AnsweringChannel(b"".join((*messages, done(SEQUENCE))), *answers)
    reader = RulesetReader(lambda **_: channel)
    reader._sequence = SEQUENCE - 1
    return dict(reader.contents(TABLE))


class ParseTests(SynchronousTestCase):
    """`requests` and `take`."""

    def test_asks_for_everything_but_elements(self) -> None:
        """Tables, chains, rules, sets and objects; elements would be kind 13."""
        kinds = [struct.unpack_from("=IH", each)[1] & 0xFF for each in nftables.requests(TABLE, SEQUENCE)]
        self.assertEqual(kinds, [1, 4, 7, 10, 19])

    def test_names_what_it_finds(self) -> None:
        """In the words of nft."""
        flags = {0: b"set", 8: b"map"}
        sets = [message(NEWSET, {1: b"t\0", 2: word + b"\0", 3: number(flag)}) for flag, word in flags.items()]
        table = message(NEWTABLE, {1: b"t\0", 2: number(0)})
        objects = [counter(1), counter(1, b"l\0", kind=4), counter(1, b"s\0", kind=10)]
        found = read(table, chain(b"c\0"), *sets, *objects)
        named = {"table", "chain c", "set set", "map map", "counter c", "limit l", "SYN proxy s"}
        self.assertEqual(set(found), named)

    def test_what_was_counted_makes_no_difference(self) -> None:
        """Of counters and chains; policies, rules and limits do."""
        before = read(chain(b"c\0", packets=1), counter(1))
        self.assertEqual(before, read(chain(b"c\0", packets=9), counter(9)))
        self.assertNotEqual(before, read(chain(b"c\0", policy=1), counter(1)))
        self.assertNotEqual(read(counter(1, kind=4)), read(counter(2, kind=4)))

    def test_order_of_rules_makes_a_difference(self) -> None:
        """A packet meets the first that matches."""
        one, other = rule(b"c\0", b"accept"), rule(b"c\0", b"drop")
        self.assertNotEqual(read(chain(b"c\0"), one, other), read(chain(b"c\0"), other, one))

    def test_other_tables_and_other_answers_are_passed_over(self) -> None:
        """The kernel lists the chains of all tables."""
        foreign = message(NEWCHAIN, {1: b"u\0", 3: b"c\0"})
        late = message(NEWCHAIN, {1: b"t\0", 3: b"c\0"}, sequence=SEQUENCE - 1)
        self.assertEqual(read(foreign, late), {})

    def test_interrupted_listing_is_told(self) -> None:
        """Half of it may be of before and half of after."""
        interrupted = message(NEWCHAIN, {1: b"t\0", 3: b"c\0"}, flags=codec.INTERRUPTED)
        self.assertRaises(InterruptedDumpError, read, interrupted)

    def test_missing_table_has_nothing_in_it_and_other_refusals_are_told(self) -> None:
        """ENOENT is an answer."""
        self.assertEqual(read(refusal(SEQUENCE, codec.ENOENT)), {})
        self.assertRaises(RealmGatewayError, read, refusal(SEQUENCE, 1))


class DifferenceTests(SynchronousTestCase):
    """`difference`."""

    def test_names_what_is_not_the_same(self) -> None:
        """Sets without a name of their own go with their rule."""
        placed = {"chain a": b"1", "chain b": b"1", "set __set0": b"1"}
        found = {"chain a": b"2", "chain c": b"1", "set __set1": b"1"}
        self.assertEqual(nftables.difference(placed, found), ("chain a changed", "chain b removed", "chain c added"))
        self.assertEqual(nftables.difference(placed, placed), ())


class GenerationTests(SynchronousTestCase):
    """`generation`."""

    def test_is_the_number_in_the_answer(self) -> None:
        """An answer about something else is none."""
        answers = (AnsweringChannel(message(kind, {1: number(77)})) for kind in (NEWGEN, NEWCHAIN))
        self.assertEqual(nftables.generation(next(answers), SEQUENCE), 77)
        self.assertRaises(RealmGatewayError, nftables.generation, next(answers), SEQUENCE)


def standing(received: bytes) -> Standing | None:
    """What is made of what the kernel says of a table."""
    return nftables.standing(AnsweringChannel(received), TABLE, SEQUENCE)


def table(comment: bytes | None, handle: int = 7) -> bytes:
    """What the kernel says of a table; other user data may stand before the comment."""
    data = {} if comment is None else {6: b"\x09\x02ab" + bytes([0, len(comment)]) + comment}
    return message(NEWTABLE, {1: b"t\0", 4: struct.pack("!Q", handle), **data})


class StandingTests(SynchronousTestCase):
    """`standing`."""

    def test_names_family_and_table(self) -> None:
        """As the kernel wants them."""
        channel = AnsweringChannel(refusal(5, codec.ENOENT))
        nftables.standing(channel, (nftables.IPV4, "abc"), 5)
        [asked] = channel.sent
        self.assertEqual(struct.unpack_from("=IHHII", asked), (len(asked), 10 << 8 | 1, 1, 5, 0))
        self.assertEqual(asked[16:], b"\x02\0\0\0\x08\0\x01\0abc\0")

    def test_table_has_its_number_and_its_comment(self) -> None:
        """Or none."""
        self.assertEqual(standing(table(b"ours\0", handle=1 << 40)), Standing(1 << 40, "ours"))
        self.assertEqual(standing(table(None)), Standing(7, ""))

    def test_no_table_is_no_error(self) -> None:
        """The kernel says ENOENT."""
        self.assertIsNone(standing(refusal(SEQUENCE, codec.ENOENT)))

    def test_refusals_are_told(self) -> None:
        """By their number, or with what to do."""
        error = self.assertRaises(RealmGatewayError, standing, refusal(SEQUENCE, 22))
        self.assertIn("error 22", str(error))
        error = self.assertRaises(PlatformError, standing, refusal(SEQUENCE, 1))
        self.assertIn("run as root", str(error))

    @given(st.binary(max_size=200))
    def test_what_nobody_understands_is_refused(self, garbage: bytes) -> None:
        """Never by another exception."""
        kinds = (codec.message(kind, 0, SEQUENCE, garbage) for kind in (NEWTABLE, codec.ERROR))
        for received in (garbage, *kinds, table(garbage[:200])):
            with contextlib.suppress(RealmGatewayError):
                standing(received)


class Changing(RulesetReader):
    """Reads a ruleset that changes so often while its parts are listed; without a kernel."""

    def __init__(self, changes: int) -> None:
        super().__init__(lambda **_: self.fail())
        self.changes = changes
        self.read = self.number = 0

    def fail(self) -> Any:
        """Nothing is opened."""
        raise AssertionError

    def generation(self) -> int:
        """One more after each listing, as long as it changes."""
        return self.number

    def contents(self, table: nftables.Table) -> nftables.Contents:
        """What was listed last is whole, if it does not change any more."""
        self.read += 1
        self.number += self.read <= self.changes
        return {f"listing {self.read} of {table[1]}": b""}


class UndividedTests(SynchronousTestCase):
    """A table is listed in parts."""

    def test_parts_of_two_generations_are_read_again(self) -> None:
        """Else one that is deleted meanwhile seems to be there with nothing in it."""
        self.assertEqual([*Changing(0).undivided(TABLE)], [f"listing 1 of {TABLE[1]}"])
        self.assertEqual([*Changing(2).undivided(TABLE)], [f"listing 3 of {TABLE[1]}"])

    def test_a_ruleset_that_never_rests_is_read_all_the_same(self) -> None:
        """As well as can be."""
        reader = Changing(1000)
        self.assertEqual([*reader.undivided(TABLE)], [f"listing {reader.read} of {TABLE[1]}"])
        self.assertLess(reader.read, 10)
