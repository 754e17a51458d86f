"""The project's modules as text, for tests of what they look like."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import attrs
from twisted.trial.unittest import SynchronousTestCase

from realmgw.test.checkout import CHECKOUT, PACKAGE


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

    def calls(self) -> Iterator[tuple[int, str]]:
        """Every call of something by its bare name, with the line."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                yield node.lineno, node.func.id


def modules(folder: Path) -> list[Module]:
    """Every module in a folder."""
    return [Module(path, ast.parse(path.read_text())) for path in sorted(folder.rglob("*.py"))]


ALL = modules(PACKAGE)
"""The package."""
PRODUCT = [module for module in ALL if module.room not in ("test", "testing", "__init__")]
"""The rooms, without tests and fakes."""
TESTBED = modules(CHECKOUT / "testbed")
"""The testbed; nothing where the package is installed."""


class SourceTestCase(SynchronousTestCase):
    """Tests that gather what is wrong."""

    def assert_none(self, wrong: Iterable[str]) -> None:
        """Fails with everything that is wrong."""
        lines = sorted(set(wrong))
        if lines:
            self.fail("\n".join(["not as docs/architecture.md says:", *lines]))
