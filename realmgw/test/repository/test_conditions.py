"""Tests for `realmgw.repository.conditions`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from realmgw.repository.conditions import Condition, tag, tags
from realmgw.repository.refusals import RefusedError


class TagsTests(SynchronousTestCase):
    """Values of If-Match and If-None-Match."""

    def test_reads_lists(self) -> None:
        """Weak ones match by the weak comparison only (RFC 9110 section 8.8.3.2)."""
        found = tags('"a" , W/"b",, "c,d"')
        assert found is not None
        self.assertEqual(found.listed, {'"a"', 'W/"b"', '"c,d"'})
        self.assertEqual([found.match(each) for each in ('"a"', '"b"', None)], [True, False, False])
        self.assertEqual([found.match_weakly(each) for each in ('"a"', '"b"', '"d"')], [True, True, False])

    def test_a_star_matches_whatever_is_there(self) -> None:
        """But not nothing."""
        found = tags(" * ")
        assert found is not None
        self.assertEqual((found.match('"x"'), found.match(None)), (True, False))

    def test_refuses_what_is_no_list(self) -> None:
        """Quotes are part of a tag."""
        for text in ("", "a", '"a', '"a" "b"', 'w/"a"', '"a", b', '* , "a"'):
            self.assertRaises(RefusedError, tags, text)

    def test_empty_elements_count_for_nothing(self) -> None:
        """Wherever they stand, and however many (RFC 9110 section 5.6.1)."""
        for text in (', "a"', '"a",', ',,\t, "a" , ,', '"a"' + ", " * 60):
            found = tags(text)
            assert found is not None
            self.assertEqual(found.listed, {'"a"'}, text)
        for text in (",", ", ,", '"a"' + ", " * 60 + "x"):
            self.assertRaises(RefusedError, tags, text)

    def test_a_missing_field_is_none(self) -> None:
        """No condition."""
        self.assertIs(tags(None), None)

    def test_equal_content_has_equal_tags(self) -> None:
        """And other content others."""
        self.assertEqual(tag("{}"), tag("{}"))
        self.assertNotEqual(tag("{}"), tag("[]"))


class ConditionTests(SynchronousTestCase):
    """Who may change what."""

    def status(self, condition: Condition, present: str | None) -> int:
        """What a change is refused with; 0 if it is not."""
        try:
            condition.check(present)
        except RefusedError as refusal:
            return refusal.status.value
        return 0

    def test_every_case(self) -> None:
        """With something there, and with nothing."""
        there = '"x"'
        for condition, with_it, without in (
            (Condition(), 428, 0),
            (Condition(match=tags('"x"')), 0, 412),
            (Condition(match=tags('"y"')), 412, 412),
            (Condition(match=tags("*")), 0, 412),
            (Condition(none_match=tags("*")), 412, 0),
            (Condition(none_match=tags('"y"')), 0, 0),
        ):
            self.assertEqual((self.status(condition, there), self.status(condition, None)), (with_it, without))
