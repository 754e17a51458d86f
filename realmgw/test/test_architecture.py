"""Tests for the house as a whole: docs/architecture.md says what, and why, these only check it."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from configparser import ConfigParser
from importlib.metadata import packages_distributions
from pathlib import Path

import attrs
from twisted.trial.unittest import SynchronousTestCase

from realmgw.test.checkout import CHECKOUT, NO_CHECKOUT, PACKAGE, project_files

BASE = {"subscribers", "config", "errors"}
MAY_IMPORT = {
    "control": {"allocation", "datapath", "log", *BASE},
    "repository": {"daemon", "log", *BASE},
    "webproxy": {"allocation", "datapath", *BASE},
    "synproxy": {"allocation", "datapath", *BASE},
    "dns": {"allocation", "datapath", *BASE},
    "admission": {"allocation", "datapath", *BASE},
    "allocation": BASE,
    "datapath": BASE,
    "subscribers": {"config", "errors"},
    "daemon": {"config", "errors"},
    "log": {"config", "errors"},
    "config": {"errors"},
    "errors": set[str](),
}
"""The rooms, and the other rooms that each may import. `tap` may import all of them; nothing imports `tap`."""
EDGES = {"server", "port", "client", "apply", "service", "disk", "tap"}
"""The names of the modules that meet the outside world."""
WORLD = {
    "asyncio", "datetime", "logging", "multiprocessing", "os", "random", "secrets", "select", "socket", "subprocess",
    "threading", "time", "twisted",
}  # fmt: skip
"""What only they may import: time, chance, and everything that reads or writes."""
MAX_MODULE = 400  # lines
MAX_FUNCTION = 50  # lines


@attrs.frozen
class Module:
    """A module of the package."""

    path: Path
    """Its file."""
    tree: ast.Module
    """What is in it."""

    @property
    def place(self) -> Path:
        """Its file as seen from the project."""
        return self.path.relative_to(CHECKOUT)

    @property
    def room(self) -> str:
        """The room that it is in, or its own name where it is a room by itself."""
        return self.path.relative_to(PACKAGE).with_suffix("").parts[0]

    def imports(self) -> Iterator[tuple[int, str]]:
        """Every module that it imports, absolute, with the line; of `from a import b` both `a` and `a.b`."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((node.lineno, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                if node.level or node.module is None:
                    raise AssertionError(f"{self.place}:{node.lineno}: write the whole name of what you import")
                yield node.lineno, node.module
                yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def modules(folder: Path = PACKAGE) -> list[Module]:
    """Every module of the package."""
    return [Module(path, ast.parse(path.read_text())) for path in sorted(folder.rglob("*.py"))]


ALL = modules()
PRODUCT = [module for module in ALL if module.room not in ("test", "testing", "__init__")]
"""The rooms, without tests and fakes."""


class ArchitectureTestCase(SynchronousTestCase):
    """Tests that gather what is wrong."""

    def assert_none(self, wrong: Iterable[str]) -> None:
        """Fails with everything that is wrong."""
        lines = sorted(set(wrong))
        if lines:
            self.fail("\n".join(["not as docs/architecture.md says:", *lines]))


class ImportTests(ArchitectureTestCase):
    """Who may import whom."""

    def test_every_room_is_in_the_table(self) -> None:
        """A new room goes through the document first."""
        self.assert_none(
            f"{module.place}: no room of this name" for module in PRODUCT if module.room not in {*MAY_IMPORT, "tap"}
        )

    def test_rooms_import_only_what_lies_below_them(self) -> None:
        """Rooms on one level meet in tap.py."""
        for module in PRODUCT:
            allowed = {module.room, "__version__", *MAY_IMPORT.get(module.room, MAY_IMPORT)}
            self.assert_none(
                f"{module.place}:{line}: {module.room} imports {name}"
                for line, name in module.imports()
                if name.startswith("realmgw.") and name.split(".")[1] not in allowed
            )

    def test_the_table_has_no_circles(self) -> None:
        """What a room may import may not import it."""
        self.assert_none(
            f"{room} and {other}"
            for room, others in MAY_IMPORT.items()
            for other in others
            if room in MAY_IMPORT[other]
        )

    def test_only_edges_meet_the_world(self) -> None:
        """Decisions get time and chance handed in."""
        self.assert_none(
            f"{module.place}:{line}: imports {name}, and is called neither of {', '.join(sorted(EDGES))}"
            for module in PRODUCT
            if module.path.stem not in EDGES
            for line, name in module.imports()
            if name.split(".")[0] in WORLD
        )

    def test_every_requirement_is_declared(self) -> None:
        """In setup.cfg; packages of other people only."""
        declared = {requirement.lower() for requirement in requirements()}
        owners = packages_distributions()
        for module in PRODUCT:
            foreign = {(line, name.split(".")[0]) for line, name in module.imports()}
            self.assert_none(
                f"{module.place}:{line}: {name} is not in setup.cfg"
                for line, name in foreign
                if name not in {*sys.stdlib_module_names, "realmgw"}
                and declared.isdisjoint(owner.lower() for owner in owners.get(name, ()))
            )

    test_every_requirement_is_declared.skip = NO_CHECKOUT  # type: ignore[attr-defined]  # trial's way


def requirements() -> list[str]:
    """The names of what the package requires at run time."""
    configuration = ConfigParser()
    configuration.read(CHECKOUT / "setup.cfg")
    lines = configuration["options"]["install_requires"].split()
    return [re.split(r"[<>=!;\[]", line)[0] for line in lines]


class ShapeTests(ArchitectureTestCase):
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

    def test_sees_imports_wherever_they_stand(self) -> None:
        """In functions and under conditions too; what is imported from a package may be a module."""
        tree = ast.parse("if 1:\n  import os.path as p\ndef f():\n  from realmgw import tap")
        found = list(Module(PACKAGE / "x.py", tree).imports())
        self.assertEqual(found, [(2, "os.path"), (4, "realmgw"), (4, "realmgw.tap")])

    def test_refuses_relative_imports(self) -> None:
        """They would hide from the table."""
        module = Module(PACKAGE / "x.py", ast.parse("from . import tap"))
        self.assertIn("x.py:1", str(self.assertRaises(AssertionError, list, module.imports())))

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


class TestTreeTests(ArchitectureTestCase):
    """Tests stand where one looks for them."""

    def test_tests_mirror_the_rooms(self) -> None:
        """The tests of room/module.py are in test/room/test_module.py, or in a file whose name begins so."""
        for folder in {path.parent for path in (PACKAGE / "test").rglob("test_*.py")}:
            place = folder.relative_to(PACKAGE / "test")
            if place.parts[:1] in ((), ("kernel",)):
                continue
            known = {path.stem for path in (PACKAGE / place).glob("*.py")}
            self.assert_none(
                f"realmgw/test/{place}/{path.name}: realmgw/{place} has no such module"
                for path in folder.glob("test_*.py")
                if not any(path.stem == f"test_{name}" or path.stem.startswith(f"test_{name}_") for name in known)
            )

    def test_every_room_has_tests(self) -> None:
        """In a folder of its name."""
        rooms = [path.parent.name for path in PACKAGE.glob("*/__init__.py") if path.parent.name != "test"]
        self.assert_none(
            f"realmgw/test/{room}: no tests" for room in rooms if not any((PACKAGE / "test" / room).glob("test_*.py"))
        )


class ProjectTests(ArchitectureTestCase):
    """The project's files."""

    skip = NO_CHECKOUT

    def test_no_file_names_a_path_outside_of_the_project(self) -> None:
        """What is on one machine is not on the next."""
        outside = re.compile(rb"/(?:work|farm|home)/|(?<![\w.])/[r]oot/|shared/(?:spec|design|facts|seeds|tools)")
        for path in project_files():
            self.assert_none(
                f"{path.relative_to(CHECKOUT)}:{number}: {line.decode(errors='replace').strip()}"
                for number, line in enumerate(path.read_bytes().splitlines(), 1)
                if outside.search(line)
            )

    def test_the_document_has_the_same_table(self) -> None:
        """Each room is a row of docs/architecture.md, with what it may import."""
        text = (CHECKOUT / "docs" / "architecture.md").read_text()
        rows = re.findall(r"^\| `(\w+)` \| ([^|]*) \|", text, re.MULTILINE)
        documented = {room: set(re.findall(r"`(\w+)`", others)) for room, others in rows}
        self.assertEqual(documented, {"tap": set(MAY_IMPORT), **MAY_IMPORT})

    def test_plugins_are_found(self) -> None:
        """A package of ours in their place would hide Twisted's own."""
        self.assertTrue((CHECKOUT / "twisted" / "plugins" / "realmgw_plugin.py").is_file())
        self.assertEqual(list((CHECKOUT / "twisted").rglob("__init__.py")), [])
