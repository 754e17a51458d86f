"""Tests for `realmgw.log.lines`."""

from __future__ import annotations

import json

import attrs
from twisted.trial.unittest import SynchronousTestCase

from realmgw.log.lines import LONGEST, Line, one_line, part

LINE = Line("2026-01-01T00:00:00.000+00:00", "warn", "dns.server", "no answer", values={"count": 3, "path": object})


class LineTests(SynchronousTestCase):
    """The forms of a line."""

    def test_is_for_people(self) -> None:
        """Time, level, part and text."""
        self.assertEqual(LINE.plain(), "2026-01-01T00:00:00.000+00:00 warn  [dns.server] no answer\n")

    def test_a_traceback_is_indented(self) -> None:
        """So that lines begin with a time, or belong to the one above."""
        line = Line("now", "critical", "tap", "fault", "Traceback:\n  here\n")
        self.assertEqual(line.plain(), "now critical [tap] fault\n    Traceback:\n      here\n")

    def test_the_journal_reads_the_level(self) -> None:
        """On every line, and no time, which it knows itself."""
        line = Line("now", "error", "tap", "fault", "Traceback:")
        self.assertEqual(line.journal(), "<3>[tap] fault\n<3>    Traceback:\n")

    def test_values_are_fields_of_the_journal(self) -> None:
        """With what is told, by whom, and its name; what can name no field is left out, and nothing is empty."""
        values = {"count": 3, "who": "a\nb", "x" * 70: 1, "nothing": ""}
        line = Line("now", "error", "tap", "fault", "Traceback:", values, "fault")
        self.assertEqual(line.fields(), {
            "MESSAGE": "[tap] fault\n    Traceback:", "PRIORITY": "3", "REALMGW_MODULE": "tap",
            "REALMGW_EVENT": "fault", "REALMGW_COUNT": "3", "REALMGW_WHO": "a\\nb",
        })  # fmt: skip
        self.assertNotIn("REALMGW_EVENT", LINE.fields())

    def test_its_name_is_in_json(self) -> None:
        """If it has one."""
        self.assertEqual(json.loads(attrs.evolve(LINE, event="trouble").json())["event"], "trouble")
        self.assertNotIn("event", json.loads(LINE.json()))

    def test_is_an_object_of_json(self) -> None:
        """On one line; values that JSON has not are texts."""
        text = LINE.json()
        self.assertEqual(text.count("\n"), 1)
        found = json.loads(text)
        self.assertEqual((found["level"], found["part"], found["text"]), ("warn", "dns.server", "no answer"))
        self.assertEqual(found["values"], {"count": 3, "path": "<class 'object'>"})
        self.assertNotIn("traceback", found)

    def test_nothing_in_a_text_begins_a_line(self) -> None:
        """Neither does it move the cursor of a terminal."""
        self.assertEqual(one_line("a\nb\x1b[2Jc\u2028d\te"), "a\\nb\\x1b[2Jc\\u2028d\\te")

    def test_a_text_has_an_end(self) -> None:
        """What is missing is told."""
        self.assertEqual(one_line("x" * (LONGEST + 7)), "x" * LONGEST + "... (7 more characters)")

    def test_a_part_is_named_as_the_settings_have_it(self) -> None:
        """Without the package."""
        self.assertEqual(
            [part("realmgw.dns.server"), part("twisted.web"), part("")], ["dns.server", "twisted.web", "?"]
        )
