"""Tests for `realmgw.repository.merge`."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.repository.merge import merged

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=10,
)
EXAMPLES = """
{"a":"b"} {"a":"c"} {"a":"c"}
{"a":"b"} {"b":"c"} {"a":"b","b":"c"}
{"a":"b"} {"a":null} {}
{"a":"b","b":"c"} {"a":null} {"b":"c"}
{"a":["b"]} {"a":"c"} {"a":"c"}
{"a":"c"} {"a":["b"]} {"a":["b"]}
{"a":{"b":"c"}} {"a":{"b":"d","c":null}} {"a":{"b":"d"}}
{"a":[{"b":"c"}]} {"a":[1]} {"a":[1]}
["a","b"] ["c","d"] ["c","d"]
{"a":"b"} ["c"] ["c"]
{"a":"foo"} null null
{"a":"foo"} "bar" "bar"
{"e":null} {"a":1} {"e":null,"a":1}
[1,2] {"a":"b","c":null} {"a":"b"}
{} {"a":{"bb":{"ccc":null}}} {"a":{"bb":{}}}
"""
"""RFC 7396 appendix A: target, patch, result."""


class MergedTests(SynchronousTestCase):
    """Merge patches."""

    def test_does_what_the_examples_say(self) -> None:
        """All of the RFC's."""
        for line in EXAMPLES.strip().splitlines():
            target, patch, result = map(json.loads, line.split())
            self.assertEqual(merged(target, patch), result, line)

    @given(VALUES, VALUES)
    def test_once_is_enough(self, target: object, patch: object) -> None:
        """The same patch again changes nothing, and the arguments are left alone."""
        before = json.dumps([target, patch])
        once = merged(target, patch)
        self.assertEqual(merged(once, patch), once)
        self.assertEqual(json.dumps([target, patch]), before)
