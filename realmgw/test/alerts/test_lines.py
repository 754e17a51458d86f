"""Tests for `realmgw.alerts.lines` and `realmgw.alerts.backlog`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.alerts.backlog import Backlog
from realmgw.alerts.lines import LONGEST, LineCounts, Lines


class LinesTests(SynchronousTestCase):
    """What is made of a stream."""

    def setUp(self) -> None:
        """With room for ten octets."""
        self.counts = LineCounts()
        self.lines = Lines(self.counts, 10)

    def take(self, *parts: bytes) -> list[bytes]:
        """The lines of what comes in parts."""
        return [line for part in parts for line in self.lines.take(part)]

    @given(st.lists(st.binary(max_size=14).map(lambda some: some.replace(b"\r", b"")), max_size=9), st.data())
    def test_however_it_is_cut(self, parts: list[bytes], data: st.DataObject) -> None:
        """The lines are the same, and what is too long is counted the same."""
        stream = b"\n".join(parts) + b"\n"
        whole, counts = Lines(once := LineCounts(), 10).take(stream), LineCounts()
        lines, found, at = Lines(counts, 10), list[bytes](), 0
        while at < len(stream):
            step = data.draw(st.integers(1, 9))
            found += lines.take(stream[at : at + step])
            at += step
        self.assertEqual((found, counts), (whole, once))
        expected = [line for line in stream.split(b"\n") if 0 < len(line) <= 10]
        self.assertEqual((found, counts.too_long), (expected, sum(len(line) > 10 for line in stream.split(b"\n"))))

    def test_a_line_of_a_megabyte_is_skipped_and_counted_once(self) -> None:
        """No more of it is kept than of any other; the next one is read."""
        lines = Lines(self.counts)
        for _ in range(100):
            self.assertEqual(lines.take(b"x" * 10_000), [])
            self.assertLessEqual(len(lines._begun), LONGEST)
        self.assertEqual(lines.take(b"\nnext\r\n\n"), [b"next"])
        self.assertEqual((self.counts.too_long, self.counts.cut), (1, 0))

    def test_a_line_that_does_not_end_is_counted(self) -> None:
        """And does not become the beginning of another."""
        self.assertEqual(self.take(b"one\ntw"), [b"one"])
        self.lines.end()
        self.assertEqual((self.take(b"o\n"), self.counts.cut), ([b"o"], 1))
        self.lines.end()
        self.take(b"x" * 11)
        self.lines.end()
        self.assertEqual((self.counts.cut, self.counts.too_long), (1, 1))


class BacklogTests(SynchronousTestCase):
    """Lines that wait."""

    def test_what_does_not_fit_is_lost(self) -> None:
        """By their number, and by their octets; the oldest are taken first."""
        few, short = Backlog(4, 1000), Backlog(1000, 10)
        few.add((b"1", b"2", b"3", b"4", b"5"))
        few.add((b"a", b"b", b"c", b"d", b"e"))
        self.assertEqual((few.lines, few.lost, len(few)), (10, 6, 4))
        short.add((b"1234", b"1234", b"1234", b"12"))
        self.assertEqual((short.lost, short.take(2), short.take(2)), (1, [b"1234", b"1234"], [b"12"]))
        short.add((b"1234567890",))
        self.assertEqual((short.lost, len(short)), (1, 1))

    def test_who_can_wait_waits_until_half_of_it_is_free(self) -> None:
        """And what is cleared is lost."""
        backlog = Backlog(4, 100)
        backlog.add((b"a", b"b"))
        self.assertTrue(backlog.has_room)
        backlog.add((b"c",))
        self.assertFalse(backlog.has_room)
        backlog.clear()
        self.assertEqual((backlog.has_room, backlog.lost, len(backlog)), (True, 3, 0))
