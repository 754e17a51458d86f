"""Tests for `realmgw.allocation.admittedlog`: what was let in, as octets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.admittedlog import EACH, AdmittedLog, Entry, Mark, values

SIX, FOUR = b"\x20\x01" + bytes(14), b"\xc0\0\2\1"


def entry(number: int) -> Entry:
    """One of many, one a second."""
    return float(number), number << 40, f"h{number}.example.org.", (FOUR, FOUR, 6, number % 65536, 80), 1


class AdmittedLogTests(SynchronousTestCase):
    """The log."""

    def log(self, size: int, *entries: Entry) -> AdmittedLog:
        """One with these."""
        found = AdmittedLog()
        found.resize(size)
        for each in entries:
            found.add(*each)
        return found

    def test_is_a_list_that_forgets_its_first(self) -> None:
        """Whatever its size, and however many are written and asked for; in either direction."""

        @given(st.integers(0, 3 * EACH), st.integers(0, 6 * EACH), st.integers(0, 4 * EACH))
        def same(size: int, many: int, asked: int) -> None:
            every = [entry(number) for number in range(many)]
            log, kept = self.log(size, *every), every[max(0, many - size) :]
            told = kept[max(0, len(kept) - asked) :]
            found = log.latest(asked)
            self.assertEqual((len(log), len(found), list(found), [*reversed(found)]),
                             (len(kept), len(told), told, told[::-1]))  # fmt: skip
            for since in (-1.0, many - asked, many - 0.5):
                self.assertEqual(log.count(since), sum(each[0] >= since for each in kept))

        same()

    def test_of_either_family(self) -> None:
        """As it was written."""
        six = 1.0, 0, "six.example.org.", (SIX, SIX, 17, 0, 53), 4
        self.assertEqual([*self.log(9, entry(1), six).latest(9)], [entry(1), six])

    def test_what_is_behind_a_mark_is_told_once(self) -> None:
        """Whole segments and parts of them; what is forgotten by then is left out."""

        @given(st.lists(st.integers(0, 2 * EACH), max_size=6))
        def same(steps: list[int]) -> None:
            log, mark, number = self.log(EACH), Mark(), 0
            for step in steps:
                some = [entry(number + each) for each in range(step)]
                number += step
                for each in some:
                    log.add(*each)
                count, octets = log.after(mark)
                mark, told = log.mark, values(octets)
                self.assertEqual((len(told), told), (count, some[len(some) - count :]))
                self.assertGreaterEqual(count, min(EACH, step))
            self.assertEqual(log.after(mark)[0], 0)

        same()

    def test_what_can_not_be_written_spoils_nothing(self) -> None:
        """Those beside it stay as they were, and as many."""
        log = self.log(EACH, entry(1))
        for number, name in ((1 << 64, "a.example.org."), (2, "\ud800")):
            with self.assertRaises((OverflowError, ValueError)):
                log.add(2.0, number, name, (FOUR, FOUR, 6, 1, 80), 1)
        log.add(*entry(3))
        self.assertEqual(([*log.latest(9)], len(values(log.after(Mark())[1]))), ([entry(1), entry(3)], 2))

    def test_what_was_asked_for_stays(self) -> None:
        """Also when more come meanwhile."""
        log = self.log(EACH, *map(entry, range(5)))
        found = log.latest(EACH)
        log.add(*entry(5))
        self.assertEqual([*found], [*map(entry, range(5))])

    def test_another_size_keeps_the_latest(self) -> None:
        """None, nothing; and a mark from before is before what comes then."""
        log = self.log(5 * EACH, *map(entry, range(4 * EACH + 7)))
        mark = log.mark
        log.resize(EACH)
        self.assertEqual([*log.latest(9 * EACH)], [*map(entry, range(3 * EACH + 7, 4 * EACH + 7))])
        log.resize(0)
        log.add(*entry(1))
        self.assertEqual((len(log), log.after(mark)[0], log.count(0.0)), (0, 0, 0))
        log.resize(3)
        log.add(*entry(2))
        self.assertEqual(([*log.latest(9)], values(log.after(mark)[1])), ([entry(2)], [entry(2)]))
