"""Tests for `realmgw.control.known`: which name an address stood for, when."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.decisionlog import Answered
from realmgw.config.steps import finish
from realmgw.control.known import Known

FIRST, SECOND = b"\xc0\x00\x02\x01", b"\xc0\x00\x02\x02"


def answers(*told: tuple[float, str, bytes]) -> tuple[list[Any], list[Any]]:
    """Logs with answers only: when, the name, and the address."""
    return [Answered(at, number, name, "r", None, to) for number, (at, name, to) in enumerate(told, 1)], []


class KnownTests(SynchronousTestCase):
    """Addresses that pass from one name to the next."""

    def names(self, known: Known, address: bytes, *times: float) -> list[str | None]:
        """What an address stood for at these times."""
        return [None if (told := known.told(address, at)) is None else told.name for at in times]

    def test_an_address_stands_for_what_it_was_told_for_last_by_then(self) -> None:
        """Also where it is another's by now, and one that has heard of it in two portions."""
        known = Known(10, 10)
        finish(known.learn(answers((1.0, "a", FIRST), (2.0, "b", FIRST), (3.0, "x", SECOND))))
        self.assertEqual(self.names(known, FIRST, 0.9, 1.0, 1.9, 2.0, 9.0), [None, "a", "a", "b", "b"])
        finish(known.learn(answers((4.0, "c", FIRST))))
        self.assertEqual(self.names(known, FIRST, 1.5, 3.9, 4.0), ["a", "b", "c"])
        self.assertEqual(self.names(known, SECOND, 2.0, 9.0), [None, "x"])

    def test_so_many_answers_are_remembered_of_an_address(self) -> None:
        """The latest ones, however many there are."""
        known = Known(10, 3)
        for at in range(1, 1001):
            finish(known.learn(answers((float(at), str(at), FIRST))))
        self.assertEqual(self.names(known, FIRST, 1.0, 998.0, 999.5, 2000.0), [None, "998", "999", "1000"])
