"""Tests for `realmgw.test.source`: a check that sees nothing would always pass."""

from __future__ import annotations

import ast

from twisted.trial.unittest import SynchronousTestCase

from realmgw.test.checkout import PACKAGE
from realmgw.test.source import Module, circle, files, is_attrs, touches, undocumented, unexplained


class InspectionTests(SynchronousTestCase):
    """What these tests see of a module: a check that sees nothing would always pass."""

    def test_sees_imports_wherever_they_stand(self) -> None:
        """In functions and under conditions too; what is imported from a package may be a module."""
        found = list(module("if 1:\n  import os.path as p\ndef f():\n  from realmgw import tap").imports())
        self.assertEqual(found, [(2, "os.path"), (4, "realmgw.tap")])

    def test_refuses_relative_imports(self) -> None:
        """They would hide from the table."""
        self.assertIn("x.py:1", str(self.assertRaises(AssertionError, list, module("from . import tap").imports())))

    def test_sees_what_is_of_the_world(self) -> None:
        """Whatever is not known to be none."""
        text = "import re, new\nfrom pathlib import Path, PurePath\nfrom io import open\nprint(all)\nread = open"
        found = [(1, "new"), (2, "pathlib.Path"), (3, "io.open"), (4, "print"), (5, "open")]
        self.assertEqual(sorted(touches(module(text))), found)

    def test_sees_who_calls_an_edge(self) -> None:
        """Its functions, or all of it; a type or a constant of it, and a module in it, may be known to everybody."""
        text = "from realmgw.dns import Thing, TIME, do, wan\nfrom realmgw import dns"
        self.assertEqual(touches(module(text), {"realmgw.dns"}), [(1, "realmgw.dns.do"), (2, "realmgw.dns")])

    def test_sees_what_a_module_says_of_itself(self) -> None:
        """In the last sentence of its docstring."""
        said = [
            module(text).edge for text in ("'It. Edge: files, chance.'", "'Edge: no. It.'", "'It.\\n\\nEdge: it.'", "1")
        ]
        self.assertEqual(said, ["files, chance", None, "it", None])

    def test_sees_circles(self) -> None:
        """Of modules, by what they import from each other."""
        names = ("a", "b", "c")
        texts = (
            "from realmgw.b import B",
            "if TYPE_CHECKING:\n  from realmgw import c",
            "def f():\n  import realmgw.a",
        )
        graph = files(Module(PACKAGE / f"{name}.py", ast.parse(text)) for name, text in zip(names, texts, strict=True))
        self.assertIn("realmgw.a", circle(graph))
        self.assertEqual(circle({**graph, "realmgw.c": ()}), "")

    def test_sees_what_has_no_docstring(self) -> None:
        """Public things only, and no names that Twisted gave."""
        tree = ast.parse(
            "class A:\n  def b(self): ...\n  def _c(self): ...\n  def logPrefix(self): ...\n"
            "def d(): 'it'\nasync def e(): ..."
        )
        self.assertEqual(list(undocumented(tree, "m", {})), [(1, "m"), (1, "A"), (2, "b"), (6, "e")])

    def test_sees_what_is_explained_elsewhere(self) -> None:
        """By a base; or by a class of ours that a Protocol names."""
        tree = ast.parse(
            "'m'\nclass A(B):\n  'It.'\n  def b(self): ...\n  def c(self): ...\n"
            "class P(Protocol):\n  'See `realmgw.room.module.B`.'\n  def b(self): ...\n  def c(self): ...\n"
            "class N:\n  'See `realmgw.room.module.B`.'\n  def b(self): ..."
        )
        self.assertEqual(
            list(undocumented(tree, "m", {name: {"b"} for name in ("B", "realmgw.room.module.B")})),
            [(5, "c"), (9, "c"), (12, "b")],
        )

    def test_sees_fields_that_are_not_explained(self) -> None:
        """Public ones."""
        tree = ast.parse("@attrs.frozen(eq=False)\nclass A:\n  a: int\n  'good'\n  _b: int\n  c: int\n  d: int = 1")
        [node] = [node for node in tree.body if isinstance(node, ast.ClassDef)]
        self.assertTrue(is_attrs(node.decorator_list[0]))
        self.assertEqual(list(unexplained(node)), [(6, "A.c"), (7, "A.d")])


def module(text: str) -> Module:
    """A module with this text."""
    return Module(PACKAGE / "x.py", ast.parse(text))
