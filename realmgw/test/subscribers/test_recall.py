"""Tests for `realmgw.subscribers.recall`."""

from __future__ import annotations

from collections.abc import Generator
from ipaddress import IPv4Address
from pathlib import Path
from typing import TypeVar

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.errors import MalformedError
from realmgw.subscribers import recall
from realmgw.subscribers.pieces import Unit
from realmgw.subscribers.recall import Memory
from realmgw.subscribers.register import Register
from realmgw.subscribers.schema import Entry, Offer
from realmgw.test.config.test_schema import MINIMAL
from realmgw.test.config.test_schema import settings as read
from realmgw.test.subscribers.examples import ENTRIES

T = TypeVar("T")
ZONES = read(MINIMAL).zones
VERSION = (1, 2, 3, 4)


def finish(steps: Generator[None, None, T]) -> T:
    """What comes out of all steps."""
    while True:
        try:
            next(steps)
        except StopIteration as end:  # noqa: PERF203 - the only way to get at what a generator returns
            result: T = end.value
            return result


def unit(source: str, *entries: Entry) -> Unit:
    """A source that says this, a piece for each entry."""
    tokens = {entry.name: bytes([number]) * 12 for number, entry in enumerate(entries)}
    return Unit(source, tokens, {entry.name: entry for entry in entries})


def registered(*units: Unit) -> Register:
    """A register of these sources."""
    register = Register()
    finish(register.commit(finish(register.changes(units, ZONES))))
    assert register.problems == (), register.problems
    return register


def without_conflicts(entries: list[Entry]) -> list[Entry]:
    """The same subscribers with names and addresses of their own."""
    return [
        attrs.evolve(
            entry,
            name=f"h{number}.example.org.",
            address=IPv4Address(0x0A000000 + number),
            identity=attrs.evolve(entry.identity, addresses=(bytes([10, 1, 0, number]),)[: number % 2]),
            services=tuple(
                Offer(f"{place}-{number}.example.org." if place else f"h{number}.example.org.", offer.terms)
                for place, offer in enumerate(entry.services or ())
            ),
        )
        for number, entry in enumerate(entries)
    ]


class MemoryTests(SynchronousTestCase):
    """`Memory` reads what `written` made."""

    @settings(max_examples=50, deadline=None)
    @given(st.lists(ENTRIES, max_size=5))
    def test_what_is_written_is_remembered(self, found: list[Entry]) -> None:
        """By piece and by source, everything of it."""
        entries = without_conflicts(found)
        said = unit("a.yaml", *entries)
        expected = {entry.name: attrs.astuple(entry, recurse=False) for entry in entries}
        tokens = dict(said.tokens)
        text = finish(recall.written(registered(said), {"a.yaml": VERSION}))
        assert text is not None
        memory = Memory(text)
        known = memory.unchanged("a.yaml", VERSION)
        assert known is not None
        self.assertEqual(known.tokens, tokens)
        self.assertEqual({name: attrs.astuple(each, recurse=False) for name, each in known.entries.items()}, expected)
        for name, token in tokens.items():
            assert isinstance(token, bytes)
            recalled = memory.recall(token)
            assert recalled is not None
            self.assertEqual([attrs.astuple(each, recurse=False) for each in recalled], [expected[name]])

    def setUp(self) -> None:
        """Two sources, of which one has a version."""
        [self.a], [self.b] = without_conflicts([ENTRY]), [attrs.evolve(ENTRY, name="b.example.org.")]
        self.register = registered(unit("a.yaml", self.a), unit("b.yaml", self.b))
        text = finish(recall.written(self.register, {"a.yaml": VERSION}))
        assert text is not None
        self.text = text

    def test_a_source_that_was_written_since_is_not_unchanged(self) -> None:
        """Nor is one whose version was not known; but what they said last is."""
        memory = Memory(self.text)
        self.assertIsNotNone(memory.unchanged("a.yaml", VERSION))
        self.assertIsNone(memory.unchanged("a.yaml", (1, 2, 3, 5)))
        self.assertIsNone(memory.unchanged("b.yaml", VERSION))
        last = memory.last_good("b.yaml")
        assert last is not None
        self.assertEqual(list(last.entries), ["b.example.org."])
        self.assertIsNone(memory.last_good("c.yaml"))

    def test_another_version_of_the_program_reads_everything_again(self) -> None:
        """Since it may make something else of it; what a source said last is good all the same."""
        memory = Memory(self.text.replace(b'"program":"', b'"program":"0'))
        self.assertIsNone(memory.unchanged("a.yaml", VERSION))
        self.assertIsNotNone(memory.last_good("a.yaml"))

    def test_an_empty_memory_knows_nothing(self) -> None:
        """As at the first start."""
        self.assertIsNone(Memory().recall(bytes(12)))
        self.assertIsNone(Memory().last_good("a.yaml"))

    def test_nothing_is_written_of_a_register_that_changes_meanwhile(self) -> None:
        """It would be neither the one nor the other."""
        steps = recall.written(self.register, {})
        next(steps)
        finish(self.register.commit(finish(self.register.changes([unit("a.yaml")], ZONES))))
        self.assertIsNone(finish(steps))


class FileTests(SynchronousTestCase):
    """`read` and `write`."""

    def setUp(self) -> None:
        """A file of the test's own."""
        self.path = Path(self.mktemp())
        text = finish(recall.written(registered(unit("a.yaml", ENTRY)), {}))
        assert text is not None
        recall.write(self.path, text)

    def test_what_is_written_is_read(self) -> None:
        """Nothing if there is no file."""
        self.assertIsNotNone(recall.read(self.path).last_good("a.yaml"))
        self.assertIsNone(recall.read(self.path.with_name("missing")).last_good("a.yaml"))

    def test_a_damaged_file_is_refused(self) -> None:
        """Wherever a bit is not as it was, and whatever is missing at its end."""
        whole = self.path.read_bytes()
        for place in range(0, len(whole), 7):
            for damaged in (whole[:place], whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]):
                self.path.write_bytes(damaged)
                self.assertRaises(MalformedError, recall.read, self.path)


ENTRY = Entry("a.example.org.", IPv4Address("10.0.0.1"), (), (), 3)
