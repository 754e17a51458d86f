"""Tests for `realmgw.webproxy.runtime`: lines of commands, and answers, also bad ones."""

from __future__ import annotations

import contextlib
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.errors import MalformedError
from realmgw.test.webproxy.peer import STAT
from realmgw.webproxy import runtime
from realmgw.webproxy.runtime import MOST_LINE, MOST_WORK, NO_FIGURES, Listing, figures

ROUTE = "192.0.2.1/80/443/no/no"


class LineTests(SynchronousTestCase):
    """What is said."""

    def test_changes_share_a_line(self) -> None:
        """An entry that there is gets another value, one that is new is added."""
        changes = [("a.example.org", ROUTE), ("b.example.org", ROUTE), ("c.example.org", None)]
        told = {"a.example.org": "", "c.example.org": ""}
        [(line, portion)] = runtime.changing("web.map", told, changes)
        self.assertEqual(portion, changes)
        self.assertEqual(
            line,
            f"set map web.map a.example.org {ROUTE};add map web.map b.example.org {ROUTE};"
            "del map web.map c.example.org".encode(),
        )

    def test_no_line_is_longer_than_haproxy_takes(self) -> None:
        """However many there are; each is told once, in order."""
        changes = [(f"{'x' * 200}{number}.example.org", ROUTE) for number in range(500)]
        lines = list(runtime.changing("web.map", {}, changes))
        self.assertEqual([change for _, portion in lines for change in portion], changes)
        self.assertLessEqual(max(len(line) for line, _ in lines), MOST_LINE)
        self.assertLessEqual(
            max(map(len, runtime.adding("web.map", 12, [(each, ROUTE) for each, _ in changes]))), MOST_LINE
        )

    def test_a_long_map_is_gone_through_a_few_times_for_a_line(self) -> None:
        """HAProxy has clients as well."""
        told = {f"{number}.example.org": "" for number in range(MOST_WORK // 4)}
        changes = [(name, ROUTE) for name in list(told)[:10]]
        self.assertEqual([len(portion) for _, portion in runtime.changing("web.map", told, changes)], [4, 4, 2])

    def test_a_new_version_is_begun_filled_and_put_in_place(self) -> None:
        """By its number."""
        self.assertEqual(runtime.preparing("web.map"), b"prepare map web.map")
        self.assertEqual(runtime.version(b"New version created: 12\n\n"), 12)
        self.assertEqual(
            list(runtime.adding("web.map", 12, [("a", "1"), ("b", "2")])),
            [b"add map @12 web.map a 1;add map @12 web.map b 2"],
        )
        self.assertEqual(runtime.committing("web.map", 12), b"commit map @12 web.map")


class AnswerTests(SynchronousTestCase):
    """What is answered."""

    def test_an_empty_answer_is_success(self) -> None:
        """One line for each command."""
        runtime.succeeded(b"\n\n\n")

    def test_anything_else_is_not(self) -> None:
        """It is told, and not all of it."""
        error = self.assertRaises(MalformedError, runtime.succeeded, b"\nentry not found.\n\n")
        self.assertEqual(str(error), "HAProxy refuses a change: entry not found.")
        error = self.assertRaises(MalformedError, runtime.version, b"x" * 100_000)
        self.assertLess(len(str(error)), 300)

    @given(st.lists(st.integers(0, 60)))
    def test_a_listing_may_come_in_any_pieces(self, cuts: list[int]) -> None:
        """With its empty line at the end."""
        said = b"0x55aa a.example.org 1/2/3\n0x55ab b.example.org 4/5/6\n\n"
        listing, places = Listing(), [0, *sorted(cuts), len(said)]
        for begin, end in pairwise(places):
            listing.receive(said[begin:end])
        self.assertEqual(listing.entries, {"a.example.org": "1/2/3", "b.example.org": "4/5/6"})

    @given(st.binary())
    def test_no_listing_raises_anything_else(self, said: bytes) -> None:
        """Whatever it is."""
        with contextlib.suppress(MalformedError):
            Listing().receive(said)

    def test_a_map_that_is_not_there_is_no_empty_one(self) -> None:
        """Nor is a line without an end read for ever."""
        self.assertRaises(MalformedError, Listing().receive, b"Unknown map identifier. Please use #<id> or <file>.\n")
        self.assertRaises(MalformedError, Listing().receive, b"x" * (MOST_LINE + 1))

    def test_figures_are_summed_up(self) -> None:
        """Over ways in, and over hosts as they are reached; columns are found by their names."""
        self.assertEqual(figures(STAT.encode()), {
            "connected": 8, "http_connections": 40, "http_requests": 75, "http_malformed": 6, "http_unknown": 7,
            "tls_connections": 60, "tls_ended": 20, "misdirected": 5,
            "tls_unknown": 8, "tls_hidden": 4, "tls_nameless": 9, "tls_malformed": 6, "too_many": 3,
            "hosts_unreachable": 7, "octets_in": 4000, "octets_out": 6000,
        })  # fmt: skip
        self.assertEqual(figures(b"# pxname,svname,\n"), NO_FIGURES)

    @given(st.binary())
    def test_no_figures_raise_anything_else(self, said: bytes) -> None:
        """Whatever they are."""
        for each in (said, b"# pxname,svname,scur\n" + said, b"# pxname,svname,scur\nhttp,FRONTEND," + said):
            with contextlib.suppress(MalformedError):
                figures(each)
