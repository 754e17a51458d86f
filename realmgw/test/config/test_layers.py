"""Tests for `realmgw.config.layers`."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from realmgw.config import layers
from realmgw.config.document import Node, Problems, parse
from realmgw.config.pointers import value
from realmgw.config.steps import finish


def node(text: str, source: str | None = None) -> Node:
    """A document."""
    root = parse(text.encode(), Problems("f"), source=source)
    assert root is not None
    return root


class MergedTests(SynchronousTestCase):
    """`merged` lays a document over another."""

    def merged(self, base: str, over: str) -> object:
        """What comes of two texts, without problems."""
        problems = Problems("f")
        found = finish(layers.merged(node(base), node(over), problems))
        self.assertEqual(problems.lines(), ())
        return value(found)

    def test_mappings_are_merged_at_every_depth(self) -> None:
        """Keys keep the order of the base, new ones come last."""
        found = self.merged("a: {b: {c: 1, d: 2}}\ne: 3", "a: {b: {d: 4, f: 5}}\ng: 6")
        self.assertEqual(found, {"a": {"b": {"c": 1, "d": 4, "f": 5}}, "e": 3, "g": 6})

    def test_lists_and_values_are_replaced(self) -> None:
        """So is a mapping by something else, and the other way round."""
        self.assertEqual(self.merged("a: [1, 2]\nb: 1\nc: {x: 1}", "a: [3]\nb: {y: 2}\nc: 4"),
                         {"a": [3], "b": {"y": 2}, "c": 4})  # fmt: skip

    def test_nothing_changes_nothing(self) -> None:
        """A key without a value is no order to remove what is there; a new one stands as it is written."""
        self.assertEqual(self.merged("a: {x: 1}", "a:\nb:"), {"a": {"x": 1}, "b": None})
        self.assertEqual(self.merged("a: 1", "~"), {"a": 1})

    def test_only_mappings_can_be_laid_over(self) -> None:
        """The problem names the file that it is in."""
        problems = Problems("f")
        finish(layers.merged(node("a: 1"), node("\n[1]", "over.yaml"), problems))
        self.assertEqual(problems.lines(), ("over.yaml:2:1: a list stands here: write a mapping, {key: value}",))

    def test_the_base_is_not_changed(self) -> None:
        """It may be laid over again."""
        base = node("a: {b: 1}")
        finish(layers.merged(base, node("a: {b: 2, c: 3}"), Problems("f")))
        self.assertEqual(value(base), {"a": {"b": 1}})


class FilesTests(SynchronousTestCase):
    """`files` lists the drop-ins that count."""

    def setUp(self) -> None:
        """Two folders."""
        self.vendor, self.own = Path(self.mktemp()), Path(self.mktemp())
        self.vendor.mkdir()
        self.own.mkdir()

    def files(self) -> list[str]:
        """The files, without the folder that all have in common."""
        problems = Problems("f")
        found = layers.files([self.vendor, self.own], problems)
        self.assertEqual(problems.lines(), ())
        return [f"{'vendor' if path.parent == self.vendor else 'own'}/{path.name}" for path in found]

    def test_are_in_the_order_of_their_names(self) -> None:
        """Whichever folder they are in; only YAML files that are not hidden count."""
        for path in ("b.yaml", "d.yaml", ".x.yaml", "y.yaml~", "z.yml"):
            (self.vendor / path).touch()
        (self.own / "c.yaml").touch()
        self.assertEqual(self.files(), ["vendor/b.yaml", "own/c.yaml", "vendor/d.yaml"])

    def test_a_later_folder_replaces(self) -> None:
        """By name; a link to /dev/null takes away."""
        for name in ("a.yaml", "b.yaml", "c.yaml"):
            (self.vendor / name).touch()
        (self.own / "b.yaml").touch()
        (self.own / "c.yaml").symlink_to("/dev/null")
        self.assertEqual(self.files(), ["vendor/a.yaml", "own/b.yaml"])

    def test_a_folder_that_is_not_there_has_none(self) -> None:
        """One that is no folder is a problem."""
        self.assertEqual(layers.files([self.own / "missing"], Problems("f")), [])
        (self.own / "file").touch()
        problems = Problems("f")
        self.assertEqual(layers.files([self.own / "file"], problems), [])
        self.assertIn("can not be read: Not a directory", problems.lines()[0])
