"""Tests for `realmgw.config.pointers`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config import pointers
from realmgw.config.document import MAX_DEPTH, Mapping, Node, Problems, Scalar, Sequence, parse
from realmgw.errors import MalformedError

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=12,
)


def resolve(value: object, pointer: str) -> object:
    """What a pointer points at (RFC 6901 section 4)."""
    for token in pointer.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        value = value[int(name)] if isinstance(value, list) else value[name]  # type: ignore[index]  # or it is wrong
    return value


def walk(node: Node) -> Iterator[Node]:
    """A node and all below it."""
    yield node
    if isinstance(node, Sequence):
        for item in node.items:
            yield from walk(item)
    if isinstance(node, Mapping):
        for _, member in node.pairs.values():
            yield from walk(member)


class CodecTests(SynchronousTestCase):
    """JSON texts."""

    @given(VALUES)
    def test_what_is_encoded_can_be_decoded(self, value: object) -> None:
        """And equal values have equal texts of one line."""
        text = pointers.encode(value)
        self.assertEqual(pointers.encode(pointers.decode(text)), text)
        self.assertEqual(pointers.decode(text.encode()), value)
        self.assertNotIn("\n", text)

    @given(
        st.binary(max_size=30)
        | st.text('[]{}":,0e1\\u\ud800d8', max_size=20).map(lambda text: text.encode("utf-8", "replace"))
    )
    def test_any_octets_are_json_or_refused(self, text: bytes) -> None:
        """There is no third."""
        with contextlib.suppress(MalformedError):
            pointers.encode(pointers.decode(text)).encode()

    def test_refuses_what_json_does_not_say(self) -> None:
        """Python's reader would take some of it."""
        for text in ('{"a":1,"a":2}', "NaN", "-Infinity", "1e999", '"\\ud800"', "", "[", "[" * 100_000, "1" * 5000):
            self.assertRaises(MalformedError, pointers.decode, text)


class NodeTests(SynchronousTestCase):
    """Values as nodes."""

    @given(VALUES)
    def test_every_node_has_the_pointer_of_its_value(self, value: object) -> None:
        """By its line."""
        for node in walk(pointers.node(value)):
            found = resolve(value, pointers.placed(value, [node.line])[node.line])
            if isinstance(node, Scalar):
                self.assertEqual(pointers.value(node), found)
            else:
                self.assertIsInstance(found, list if isinstance(node, Sequence) else dict)

    @given(VALUES)
    def test_a_node_stands_for_its_value(self, value: object) -> None:
        """There and back."""
        self.assertEqual(pointers.value(pointers.node(value)), value)

    def test_a_document_keeps_its_types(self) -> None:
        """What was written without quotes is a number or a boolean, if it is spelt as JSON spells it."""
        root = parse(b"a: [1, '1', 1.5, 007, TRUE, no, ~, '', 1e3]", Problems("f"))
        assert root is not None
        self.assertEqual(pointers.value(root), {"a": [1, "1", 1.5, "007", True, "no", None, "", "1e3"]})

    def test_refuses_what_is_nested_too_deep(self) -> None:
        """As documents are."""
        value: object = 1
        for _ in range(MAX_DEPTH):
            value = [value]
        pointers.node(value)
        self.assertRaises(MalformedError, pointers.node, [value])

    def test_finds_texts_and_names(self) -> None:
        """The first one, in the order of the document."""
        value = {"a": ["x", {"y/~": "x"}]}
        self.assertEqual(pointers.find(value, "x".__eq__), "/a/0")
        self.assertEqual(pointers.find(value, "y/~".__eq__), "/a/1/y~1~0")
        self.assertIs(pointers.find(value, "z".__eq__), None)
        self.assertRaises(KeyError, pointers.placed, value, [1, 99])
