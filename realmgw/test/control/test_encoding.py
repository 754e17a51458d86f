"""Tests for `realmgw.control.encoding`."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.steps import PORTION, finish
from realmgw.control.encoding import encoded

_PLAIN = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
_VALUES = st.recursive(
    _PLAIN | st.text(st.characters()),
    lambda each: st.lists(each, max_size=4) | st.dictionaries(st.text(), each, max_size=4),
)


class EncodedTests(SynchronousTestCase):
    """What operators are answered."""

    @given(_VALUES)
    def test_whatever_it_is_is_read_as_it_was(self, value: Any) -> None:
        """Also the name of a file that is no UTF-8, in which there is half of a pair of surrogates."""
        self.assertEqual(json.loads(finish(encoded(value))), value)

    def test_long_lists_are_gone_through_in_portions(self) -> None:
        """Others have their turn in between."""
        value = {"total": 3 * PORTION, "rows": [{"name": f"h{n}"} for n in range(3 * PORTION)], "few": [1], "none": []}
        steps, turns = encoded(value), 0
        try:
            while True:
                next(steps)
                turns += 1
        except StopIteration as end:
            self.assertEqual((json.loads(end.value), turns), (value, 3))

    def test_what_has_no_form_is_a_fault(self) -> None:
        """In a list as well."""
        for value in (object(), {"rows": [object()] * 2 * PORTION}):
            self.assertRaises(TypeError, finish, encoded(value))
