"""Tests for `realmgw.control.sorting`."""

from __future__ import annotations

import attrs
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.steps import PORTION, finish
from realmgw.control.sorting import ROWS, by_name


@attrs.frozen(order=False)
class Thing:
    """Something with a name."""

    name: str


class SortingTests(SynchronousTestCase):
    """The first ones of a long list."""

    def test_the_first_by_name_and_how_many_there_are(self) -> None:
        """Of those that are meant."""
        things = [Thing(name) for name in ("c", "a", "x", "b")]
        found = finish(by_name(things, lambda each: each.name != "x", 2, lambda each: each.name.upper()))
        self.assertEqual(found, (3, ["A", "B"]))
        self.assertEqual(finish(by_name(things, lambda each: each.name > "x", 2, lambda each: each.name)), (0, []))

    def test_others_have_their_turn(self) -> None:
        """While all are gone through, while some are shown, and while the others are forgotten."""
        things = [Thing(str(number)) for number in range(3 * PORTION)]
        for most, turns in ((0, 3 + 3), (ROWS, 3 + 1 + 3), (PORTION, 3 + 6 + 2), (9 * PORTION, 3 + 16)):
            self.assertEqual(len(list(by_name(things, lambda _: True, most, lambda each: each.name))), turns)

    def test_what_comes_or_goes_meanwhile_changes_nothing(self) -> None:
        """Told is what there was at first."""
        things = {number: Thing(f"{number:04}") for number in range(2 * PORTION)}
        steps = by_name(things.values(), lambda _: True, 2, lambda each: each.name)
        next(steps)
        del things[0]
        things[-1] = Thing("-")
        self.assertEqual(finish(steps), (2 * PORTION, ["0000", "0001"]))
