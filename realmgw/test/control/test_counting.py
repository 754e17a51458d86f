"""Tests for `realmgw.control.counting`."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from realmgw.control.counting import Counting, flat, picked


class Part:
    """A part that counts.

    Attributes:
        queries: What it counts.
    """

    name = "dns"

    def __init__(self) -> None:
        """Nothing happened."""
        self.queries = 0

    def counts(self) -> dict[str, Any]:
        """As the DNS server has it."""
        return {"wan": {"queries": self.queries, "refused_by": {"late": self.queries}}, "failing": False}


class CountingTests(SynchronousTestCase):
    """The counters of all parts."""

    def setUp(self) -> None:
        """A part, and a kernel."""
        self.clock, self.part, self.kernel = Clock(), Part(), {"presented": {"packets": 0}}
        self.counting = Counting(self.clock.seconds, lambda: succeed({"kernel": self.kernel}))
        self.counting.take(self.part)
        self.counting.take(object())

    def read(self) -> dict[str, Any]:
        """What is counted now."""
        return dict(self.successResultOf(self.counting.read()))

    def test_reads_every_part_and_the_kernel(self) -> None:
        """By name; a part without counters has none."""
        self.counting.add("more", lambda: {"a": 1})
        self.assertEqual(self.read(), {"dns": self.part.counts(), "more": {"a": 1}, "kernel": self.kernel})

    def test_what_is_shown_again_and_again_is_had_without_the_others(self) -> None:
        """At once: neither another part is asked nor the kernel."""
        self.counting.add("more", lambda: self.fail("it was asked"))
        self.counting.add("admission", lambda: {"admitted": 2})
        self.assertEqual(self.counting.shown(), {"dns": self.part.counts(), "admission": {"admitted": 2}})

    def test_a_period_begins_where_the_last_one_ended(self) -> None:
        """The first one with the gateway."""
        for queries, seconds in ((60, 60.0), (90, 30.0)):
            self.part.queries += queries
            self.clock.advance(seconds)
            period = self.counting.since(self.read())
            self.assertEqual((period.seconds, period.total("queries")), (seconds, queries))
            self.assertEqual(period.below("dns", "wan", "refused_by"), {"late": queries})

    def test_rates_are_of_one_to_two_periods(self) -> None:
        """So that they say something just after a period has begun, too."""
        for _ in range(3):
            self.part.queries += 60
            self.clock.advance(60)
            self.counting.since(self.read())
        self.part.queries += 6
        self.clock.advance(1)
        lately = self.counting.lately(self.read())
        self.assertEqual((lately.seconds, lately.total("queries")), (61.0, 66))

    def test_what_began_anew_has_not_shrunk(self) -> None:
        """A policy that changes, a table that is put back."""
        self.kernel["presented"]["packets"] = 9
        self.counting.since(self.read())
        self.kernel["presented"]["packets"] = 2
        self.assertEqual(self.counting.since(self.read()).more("kernel", "presented", "packets"), 0)

    def test_only_numbers_are_compared(self) -> None:
        """Words and truths are not."""
        self.assertEqual(flat({"a": {"b": 1, "c": True, "d": "x", "e": None}, "f": 2}), {"a.b": 1, "f": 2})

    def test_some_are_picked_as_they_are_among_all(self) -> None:
        """One, or all below a name; what there is not, or is no number, is none."""
        counts = {"a": {"b": 1, "c": {"d": 2, "e": 3, "f": "x"}}, "g": 4, "h": 5}
        for paths, names in (
            ([("a", "b"), ("g",)], {"a.b", "g"}),
            ([("a", "c")], {"a.c.d", "a.c.e"}),
            ([("a", "x"), ("a", "b", "y"), ("z",), ("a", "c", "f")], set()),
        ):
            every = flat(counts)
            self.assertEqual(picked(counts, paths), {name: every[name] for name in names}, paths)
