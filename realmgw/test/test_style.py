"""Tests for the shape of modules and functions; docs/architecture.md says what, and why."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping

from twisted.trial.unittest import SynchronousTestCase

from realmgw.test.checkout import PACKAGE
from realmgw.test.source import ALL, PRODUCT, Module, SourceTestCase

MAX_MODULE = 400  # lines
MAX_FUNCTION = 50  # lines


class ShapeTests(SourceTestCase):
    """What modules and functions look like."""

    def test_modules_are_short(self) -> None:
        """A longer one wants a wall."""
        self.assert_none(
            f"{module.place}: {length} lines"
            for module in ALL
            if (length := len(module.path.read_text().splitlines())) > MAX_MODULE
        )

    def test_functions_are_short(self) -> None:
        """From `def` to the last line."""
        self.assert_none(
            f"{module.place}:{node.lineno}: {node.name} has {length} lines"
            for module in ALL
            for node in ast.walk(module.tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and (length := (node.end_lineno or 0) - node.lineno + 1) > MAX_FUNCTION
        )

    def test_everything_public_has_a_docstring(self) -> None:
        """Modules, classes, functions and methods; a method that Twisted named has its interface's."""
        explained: dict[str, set[str]] = {}
        for module in ALL:
            for name, members in explanations(module):
                explained.setdefault(name, set()).update(members)
        self.assert_none(
            f"{module.place}:{line}: {name} has no docstring"
            for module in ALL
            for line, name in undocumented(module.tree, "the module", explained)
        )

    def test_every_public_field_of_a_value_is_explained(self) -> None:
        """By a line under it."""
        self.assert_none(
            f"{module.place}:{line}: {name} is not explained"
            for module in PRODUCT
            for node in ast.walk(module.tree)
            if isinstance(node, ast.ClassDef) and any(map(is_attrs, node.decorator_list))
            for line, name in unexplained(node)
        )


def explanations(module: Module) -> Iterator[tuple[str, set[str]]]:
    """Every class of a module, by its name and by its whole name, with its fields and methods that are explained."""
    whole = ".".join(module.path.relative_to(PACKAGE.parent).with_suffix("").parts)
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ClassDef):
            methods = {each.name for each in node.body if isinstance(each, ast.FunctionDef) and ast.get_docstring(each)}
            fields = {ast.unparse(each.target) for each in node.body if isinstance(each, ast.AnnAssign)}
            yield from ((name, methods | fields) for name in (node.name, f"{whole}.{node.name}"))


def elsewhere(node: ast.Module | ast.ClassDef, explained: Mapping[str, set[str]]) -> set[str]:
    """What a class need not explain: its bases do, or, for a Protocol, the class of ours that its docstring names."""
    if isinstance(node, ast.Module):
        return set()
    bases = [ast.unparse(base).partition("[")[0].rpartition(".")[2] for base in node.bases]
    named = re.findall(r"`(realmgw\.[a-z_.]+\.[A-Z]\w*)`", ast.get_docstring(node) or "")
    return {each for name in (*bases, *named * ("Protocol" in bases)) for each in explained.get(name, ())}


def undocumented(
    node: ast.Module | ast.ClassDef, name: str, explained: Mapping[str, set[str]]
) -> Iterator[tuple[int, str]]:
    """Every public thing in a module or class that is explained nowhere, with its line.

    Args:
        node: The module or class.
        name: What it is called.
        explained: What each class explains.
    """
    if ast.get_docstring(node) is None:
        yield getattr(node, "lineno", 1), name
    inherited = elsewhere(node, explained)
    for child in node.body:
        if isinstance(child, ast.ClassDef) and not child.name.startswith("_"):
            yield from undocumented(child, child.name, explained)
        elif isinstance(child, ast.FunctionDef) and re.fullmatch("[a-z][a-z0-9_]*", child.name):
            overload = any(getattr(decorator, "id", "") == "overload" for decorator in child.decorator_list)
            if ast.get_docstring(child) is None and not overload and child.name not in inherited:
                yield child.lineno, child.name


def is_attrs(decorator: ast.expr) -> bool:
    """Whether a decorator makes an attrs class."""
    return "attrs." in ast.unparse(decorator)


def unexplained(node: ast.ClassDef) -> Iterator[tuple[int, str]]:
    """Every public field of a class that is not followed by a text."""
    following = [*node.body[1:], None]
    for child, after in zip(node.body, following, strict=True):
        if isinstance(child, ast.AnnAssign) and isinstance(child.target, ast.Name):
            explained = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            if not child.target.id.startswith("_") and not explained:
                yield child.lineno, f"{node.name}.{child.target.id}"


class InspectionTests(SynchronousTestCase):
    """What these tests see of a module: a check that sees nothing would always pass."""

    def test_sees_what_has_no_docstring(self) -> None:
        """Public things only, and no names that Twisted gave."""
        tree = ast.parse("class A:\n  def b(self): ...\n  def _c(self): ...\n  def logPrefix(self): ...\ndef d(): 'it'")
        self.assertEqual(list(undocumented(tree, "m", {})), [(1, "m"), (1, "A"), (2, "b")])

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
