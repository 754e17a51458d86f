"""Tests for `realmgw.control.command.shown`: the screen of `realmgw status`."""

from __future__ import annotations

import sys
from functools import partial
from io import StringIO
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from realmgw.control.command import live, shown
from realmgw.control.command.asking import print_lines

ANSWER: dict[str, Any] = {
    "state": "healthy", "troubles": [], "version": "0.1.0", "name": "gw.example.org.", "config": "realmgw.yaml",
    "uptime": 61.0, "hosts": 2, "services": 3, "problems": [],
    "pool": {"size": 20, "load": 0.1, "free": 13, "waiting": 2, "lingering": 5, "leaving": 0, "queries_waiting": 0,
             "ipv6": {"prefixes": [], "waiting": 0, "kept": 0}, "held_for_keepers": 0, "keepers": []},
    "placed": [{"what": "route", "name": "local 192.0.2.3/32", "should_be": "there", "is": "there"}],
    "rates": {"seconds": 61.0, "queries": 12.34, "lent": 4.0, "admitted": 3.0},
    "counts": {
        "log": {"written": 7, "lost": 0},
        "admission": {"admitted": 9, "untold": 0, "refused": {"late": 1, "fragment": 0}},
        "allocation": {"claimed": 9, "refused": {"policy": 2}, "policy": {"band_1_permitted": 4}},
        "dns": {"wan": {"queries": 9, "nodata": 0, "refused_by": {"policy": 2}}, "lan": {"queries": 0}},
        "reputation": {"failing": False, "damaged": 0},
        "reloads": {"count": 0, "last": None, "problems": []},
        "kernel": {"presented": {"packets": 10, "octets": 400}, "not_syn": {"packets": 0, "octets": 0}},
    },
}  # fmt: skip
TROUBLES = [
    {"part": "datapath", "severity": "degraded", "text": "a route is gone", "for": 3.0},
    {"part": "repository", "severity": "notice", "text": "does not answer", "for": 1.0},
]


class StatusTests(SynchronousTestCase):
    """One screen."""

    def test_a_number_and_its_unit_stand_on_one_line(self) -> None:
        """However narrow the screen is."""
        keepers = {**ANSWER["pool"], "keepers": [{"resolver": "192.0.2.53", "seconds": 3.0}]}
        for width in range(30, 100):
            lines = self.screen(width=width, uptime=1543.0, pool=keepers)
            for text in ("up 25 min 43 s", "61 s", "192.0.2.53 (3 s)"):
                self.assertTrue(any(text in line for line in lines), (width, text))

    def screen(self, *, width: int = 100, every: bool = False, **different: Any) -> list[str]:
        """What is shown."""
        return list(shown.status({**ANSWER, **different}, width=width, every=every))

    def test_names_those_who_keep_answers(self) -> None:
        """And for how long, and what stands for them."""
        keepers = [{"resolver": "203.0.113.5", "seconds": 5.1}]
        lines = self.screen(pool={**ANSWER["pool"], "held_for_keepers": 3, "keepers": keepers})
        [line] = [line for line in lines if "keepers" in line]
        self.assertIn("203.0.113.5 (5.1 s); 3 addresses stand for them", line)

    def test_names_what_is_not_in_place(self) -> None:
        """Of all that is to be outside of the process."""
        self.assertIn("placed       1 things, all in place", self.screen())
        gone = {"what": "interface", "name": "wan0", "should_be": "up", "is": "down"}
        self.assertIn("placed       1 things, not as they should be: interface wan0 down", self.screen(placed=[gone]))

    def test_begins_with_how_the_gateway_is(self) -> None:
        """With the reason on the same line, and what else is wrong below."""
        self.assertEqual(self.screen()[0], "healthy")
        lines = self.screen(state="degraded", troubles=TROUBLES)
        self.assertEqual(lines[:2], ["degraded: datapath: a route is gone", "also         repository: does not answer"])
        lines = self.screen(state="healthy", troubles=TROUBLES[1:])
        self.assertEqual(lines[:2], ["healthy", "also         repository: does not answer"])

    def test_has_a_picture_of_the_pool_and_rates(self) -> None:
        """By the second, over the last time."""
        lines = self.screen()
        self.assertIn(
            "pool         [##+++++.............] 20 addresses, 13 free, 2 waiting, 5 lingering; ", lines[3] + " "
        )
        self.assertIn("over the last 61 s: 12.3 queries, 4.0 addresses lent, 3.0 flows admitted", lines[5])

    def test_tells_why_it_refused(self) -> None:
        """Packets and queries."""
        lines = self.screen()
        self.assertIn("refused      packets: late 1", lines)
        self.assertIn("refused      queries: policy 2", lines)

    def test_leaves_out_what_did_not_happen(self) -> None:
        """Unless everything is wanted; then in words, too."""
        lines = self.screen()
        self.assertIn("kernel       presented 10", lines)
        self.assertIn("allocation   claimed 9; policy: band_1_permitted 4", lines)
        for words in ("failing", "None", "none", "lost 0", "not_syn", "dns lan"):
            self.assertFalse([line for line in lines if words in line], words)
        every = "\n".join(self.screen(every=True))
        for words in ("failing no", "last none", "not_syn 0", "dns lan      queries 0"):
            self.assertIn(words, every)

    def test_every_counter_is_there_when_everything_is_wanted(self) -> None:
        """Whatever part hands it in."""
        every = "\n".join(self.screen(every=True, counts={"new": {"thing": 0, "below": {"more": 0}}}))
        self.assertIn("new          thing 0; below: more 0", every)

    def test_fits_the_screen(self) -> None:
        """No line is longer than it is wide, and no counter is torn from its number."""
        counts = {"dns": {"wan": {f"counter_{number}": number for number in range(1, 60)}}}
        for width in (40, 80, 132):
            lines = self.screen(width=width, counts=counts)
            self.assertLessEqual(max(map(len, lines)), width)
            self.assertFalse([line for line in lines if line.rstrip(",").split()[-1].startswith("counter")])

    def test_problems_are_bounded(self) -> None:
        """Some are shown, and how many more there are."""
        problems = [f"file:{number}:1: bad" for number in range(100)]
        lines = self.screen(problems=problems)
        self.assertEqual(lines[-1], "90 more problems: `realmgw check` has all of them, and `--all`")
        self.assertEqual(self.screen(problems=problems, every=True)[-1], "problem: file:99:1: bad")
        lines = self.screen(state="degraded", troubles=TROUBLES[:1] * 100)
        self.assertEqual(lines[shown.MOST + 1], "also         89 more")

    def test_what_others_have_written_moves_no_cursor(self) -> None:
        """In columns, in lines, and where an answer is shown again and again; each row stays one."""
        written = "e\x1b[31mred\r\t\u202e\nnew"
        rows = list(shown.listed(("group", "flows"), [(written, 1), ("gold", 2)]))
        self.assertEqual(len(rows), 3)
        self.assertIn("e\\x1b[31mred\\r\\t\\u202e\\nnew  1", rows[1])
        for put in (print_lines, partial(live._print, apart=False)):
            self.patch(sys, "stdout", out := StringIO())
            put([f"groups {written}"])
            self.assertFalse(set("\x1b\r\t\u202e") & set(out.getvalue()), put)
