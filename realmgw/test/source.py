"""The project's modules as text, for tests of what they look like."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import attrs
from twisted.trial.unittest import SynchronousTestCase

from realmgw.test.checkout import CHECKOUT, PACKAGE

NO_WORLD = {
    "__future__", "_ruamel_yaml", "abc", "attrs", "automat", "base64", "bisect", "codecs", "collections", "contextlib",
    "csv", "difflib", "dns.name", "dns.rdataclass", "dns.rdatatype", "dns.rdtypes", "dns.tsig", "enum", "errno",
    "functools", "hashlib", "heapq", "hmac", "html", "http.HTTPStatus", "io.BytesIO", "io.SEEK_END", "ipaddress",
    "itertools", "json", "marshal", "math", "msgspec", "operator", "pathlib.PurePath", "re", "realmgw", "ruamel.yaml",
    "shlex", "siphashc", "stat", "string", "struct", "sys.maxsize", "textwrap", "typing", "urllib.parse", "zlib",
    "zope.interface",
}  # fmt: skip
"""What every module may import. All else is taken for the world: time, chance, whatever reads, writes or waits."""
WORLDLY = {"__import__", "breakpoint", "eval", "exec", "input", "open", "print"}
"""What meets the world without an import, or may."""

FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)
"""What is a function, or a method."""


@attrs.frozen
class Module:
    """A module of the package, or of the testbed."""

    path: Path
    """Its file."""
    tree: ast.Module
    """What is in it."""

    @property
    def place(self) -> Path:
        """Its file as seen from the project."""
        return self.path.relative_to(CHECKOUT)

    @property
    def name(self) -> str:
        """The name that it is imported by."""
        return ".".join(self.place.with_suffix("").parts).removesuffix(".__init__")

    @property
    def room(self) -> str:
        """The room that it is in, or its own name where it is a room by itself."""
        return self.place.with_suffix("").parts[1]

    @property
    def edge(self) -> str | None:
        """What of the world it meets, by the last sentence of its docstring; None where that does not say so."""
        found = re.search(r"(?:^|\s)Edge: ([^.]+)\.\Z", ast.get_docstring(self.tree) or "")
        return found and found[1]

    def imports(self) -> Iterator[tuple[int, str]]:
        """Everything that it imports, with the line; of `from a import b` it is `a.b`."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((node.lineno, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                if node.level or node.module is None:
                    raise AssertionError(f"{self.place}:{node.lineno}: write the whole name of what you import")
                yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)

    def bare_names(self) -> Iterator[tuple[int, str]]:
        """Every bare name, with the line: what is called, or handed to somebody who calls it."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Name):
                yield node.lineno, node.id


def modules(folder: Path) -> list[Module]:
    """Every module in a folder, but those of others that lie where something is built."""
    found = sorted(path for path in folder.rglob("*.py") if "build" not in path.relative_to(folder).parts)
    return [Module(path, ast.parse(path.read_text())) for path in found]


ALL = modules(PACKAGE)
"""The package."""
PRODUCT = [module for module in ALL if module.room not in ("test", "testing", "__init__")]
"""The rooms, without tests and fakes."""
EDGES = {module.name for module in PRODUCT if module.edge}
"""The names of those that say that they meet the world."""
NAMES = {module.name for module in ALL}
"""Of all modules."""
TESTBED = modules(CHECKOUT / "testbed")
"""The testbed; nothing where the package is installed."""


def touches(module: Module, edges: Collection[str] = ()) -> list[tuple[int, str]]:
    """What of the world a module imports or names, with the line; types count as well.

    Args:
        module: The module.
        edges: The names of others that meet the world; their functions do so for whoever calls them.
    """
    imported = [(line, name) for line, name in module.imports() if not is_within(name, NO_WORLD)]
    called = [(line, name) for line, name in module.imports() if name in edges or is_function_of(name, edges)]
    return [*imported, *called, *((line, name) for line, name in module.bare_names() if name in WORLDLY)]


def is_function_of(name: str, modules: Collection[str]) -> bool:
    """Whether a dotted name is that of a function of some module, and not of a class, a constant or a module in it."""
    module, _, own = name.rpartition(".")
    return module in modules and own.lstrip("_")[:1].islower() and name not in NAMES


def is_within(name: str, names: Iterable[str]) -> bool:
    """Whether a dotted name is one of some, or below one of them."""
    return any(f"{name}.".startswith(f"{each}.") for each in names)


def circle(graph: Mapping[str, Iterable[str]]) -> str:
    """A circle in a graph; empty where there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return " -> ".join(error.args[1])
    return ""


def files(modules: Iterable[Module]) -> dict[str, set[str]]:
    """Which of some modules each of them imports."""
    imported = {module.name: {name for _, name in module.imports()} for module in modules}
    return {
        module: {name if name in imported else name.rpartition(".")[0] for name in names} & imported.keys()
        for module, names in imported.items()
    }


def explanations(module: Module) -> Iterator[tuple[str, set[str]]]:
    """Every class of a module, by its name and by its whole name, with its fields and methods that are explained."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ClassDef):
            methods = {each.name for each in node.body if isinstance(each, FUNCTION) and ast.get_docstring(each)}
            fields = {ast.unparse(each.target) for each in node.body if isinstance(each, ast.AnnAssign)}
            yield from ((name, methods | fields) for name in (node.name, f"{module.name}.{node.name}"))


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
        elif isinstance(child, FUNCTION) and re.fullmatch("[a-z][a-z0-9_]*", child.name):
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


class SourceTestCase(SynchronousTestCase):
    """Tests that gather what is wrong."""

    def assert_none(self, wrong: Iterable[str]) -> None:
        """Fails with everything that is wrong."""
        lines = sorted(set(wrong))
        if lines:
            self.fail("\n".join(["not as docs/architecture.md says:", *lines]))
