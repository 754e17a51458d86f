"""Tests for the house as a whole: docs/architecture.md says what, and why, these only check it."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Mapping
from configparser import ConfigParser
from graphlib import CycleError, TopologicalSorter
from importlib.metadata import packages_distributions

from twisted.trial.unittest import SynchronousTestCase

from realmgw.test.checkout import CHECKOUT, NO_CHECKOUT, PACKAGE, project_files
from realmgw.test.source import ALL, PRODUCT, TESTBED, Module, SourceTestCase

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
INSIDE = {
    "allocation": ("reputation", "pool", "claims"),
    "control": ("command",),
    "datapath": ("netlink", "iptables", "machine", "watch"),
    "dns": ("codec", "mitigation", "fastpath"),
    "subscribers": ("fastpath", "files", "remote", "tools"),
    "testbed": ("realm", "load", "player", "measuring", "simulated", "programs"),
}
"""The rooms inside of rooms: each may import what stands beside them, and those before it."""
DEEPEST = 3
"""A room, a room inside it, a module."""
INCLUDED = re.compile(r'^#include "(\w+)\.h"', re.MULTILINE)
FUNCTION = re.compile(r"^(?!static)\w[\w *]*\b(\w+)\([^;]*?\)\n\{", re.MULTILINE)
DECLARED = re.compile(r"^\w[\w *]*\b(\w+)\(", re.MULTILINE)
"""What stands in sources in C."""
PENDING = ("realmgw.dns.",)
"""Where circles are being opened at present."""
NO_WORLD = {
    "__future__", "_ruamel_yaml", "abc", "attrs", "base64", "bisect", "codecs", "collections", "contextlib", "difflib",
    "enum", "errno", "functools", "hashlib", "heapq", "hmac", "http.HTTPStatus", "io.BytesIO", "io.SEEK_END",
    "ipaddress", "itertools", "json", "math", "operator", "pathlib.PurePath", "re", "realmgw", "ruamel.yaml", "shlex",
    "siphashc", "stat", "string", "struct", "sys.maxsize", "textwrap", "typing", "urllib.parse", "zlib",
    "zope.interface",
}  # fmt: skip
"""What every module may import. All else is taken for the world: time, chance, whatever reads, writes or waits."""
WORLDLY = {"breakpoint", "input", "open", "print"}
"""What meets the world without an import."""


def touches(module: Module) -> list[tuple[int, str]]:
    """What of the world a module imports or calls, with the line; types that are only named count as well."""
    imported = ((line, name) for line, name in module.imports() if not is_within(name, NO_WORLD))
    return [*imported, *((line, name) for line, name in module.calls() if name in WORLDLY)]


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
        if not module.startswith(PENDING)
    }


def forbidden(module: str) -> list[str]:
    """The rooms that a module must not import as they come after its own, in the same room."""
    parts = module.removeprefix("realmgw.").split(".")
    inside = INSIDE.get(parts[0], ())
    room = module[: module.index(parts[0])] + parts[0]
    later = inside[inside.index(parts[1]) + 1 :] if len(parts) > 1 and parts[1] in inside else ()
    return [f"{room}.{each}" for each in later]


class ImportTests(SourceTestCase):
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

    def test_rooms_inside_import_only_those_before_them(self) -> None:
        """The testbed's, too."""
        for module in [*PRODUCT, *TESTBED]:
            above = forbidden(module.name)
            self.assert_none(
                f"{module.place}:{line}: imports {name}"
                for line, name in module.imports()
                if is_within(name, above) and not module.name.startswith(PENDING)
            )

    def test_rooms_have_one_level_of_rooms_inside(self) -> None:
        """And no other than those of the table."""
        known = {(room, each) for room, inside in INSIDE.items() for each in inside}
        self.assert_none(
            f"{module.place}: no room of this name"
            for module in [*PRODUCT, *TESTBED]
            if len(parts := module.name.removeprefix("realmgw.").split(".")) > DEEPEST
            or (len(parts) == DEEPEST and (parts[0], parts[1]) not in known)
        )

    def test_nothing_imports_in_a_circle(self) -> None:
        """Neither rooms, nor files, wherever the import stands, and if it is for a type only."""
        self.assertEqual(circle(MAY_IMPORT), "")
        self.assertEqual(circle(files([*ALL, *TESTBED])), "")

    def test_sources_in_c_call_each_other_in_no_circle(self) -> None:
        """By the headers that they include: what a file has for others stands in the header of its name."""
        sources = {path: path.read_text() for path in (CHECKOUT / "testbed" / "load").glob("*.[ch]")}
        included: dict[str, set[str]] = {}
        for path, text in sources.items():
            names = {name for name in INCLUDED.findall(text) if name != path.stem}
            included.setdefault(path.stem, set()).update(names)
        self.assertEqual(circle(included), "")
        self.assert_none(
            f"{path.relative_to(CHECKOUT)}: {name} is neither static nor in {path.stem}.h"
            for path, text in sources.items()
            for name in FUNCTION.findall(text)
            if path.suffix == ".c" and name not in ("main", *DECLARED.findall(sources.get(path.with_suffix(".h"), "")))
        )

    test_sources_in_c_call_each_other_in_no_circle.skip = NO_CHECKOUT  # type: ignore[attr-defined]  # trial's way

    def test_only_edges_meet_the_world(self) -> None:
        """Decisions get time and chance handed in."""
        self.assert_none(
            f"{module.place}:{line}: {name} is of the world, and the docstring does not end with `Edge: ...`"
            for module in PRODUCT
            if not module.edge
            for line, name in touches(module)
        )

    def test_only_what_meets_the_world_says_so(self) -> None:
        """Or nobody would believe it."""
        self.assert_none(
            f"{module.place}: meets no world, and says `Edge: {module.edge}.`"
            for module in PRODUCT
            if module.edge and not touches(module)
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
        text = "import re, new\nfrom pathlib import Path, PurePath\nfrom io import open\nprint(open())"
        self.assertEqual(
            touches(module(text)), [(1, "new"), (2, "pathlib.Path"), (3, "io.open"), (4, "print"), (4, "open")]
        )

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

    def test_sees_what_a_room_inside_must_not_import(self) -> None:
        """Those after it, and nothing where it is in none."""
        self.assertEqual(forbidden("realmgw.dns.codec.wire"), ["realmgw.dns.mitigation", "realmgw.dns.fastpath"])
        self.assertEqual(forbidden("testbed.simulated.caches"), ["testbed.programs"])
        self.assertEqual(forbidden("realmgw.dns.server"), [])
        self.assertEqual(forbidden("realmgw.tap"), [])


def module(text: str) -> Module:
    """A module with this text."""
    return Module(PACKAGE / "x.py", ast.parse(text))


class TestTreeTests(SourceTestCase):
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


class ProjectTests(SourceTestCase):
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

    def test_the_document_has_the_same_rooms_inside(self) -> None:
        """In the same order."""
        text = (CHECKOUT / "docs" / "architecture.md").read_text()
        documented: dict[str, tuple[str, ...]] = {}
        for room, inside in re.findall(r"^\| `(\w+)/(\w+)/` \|", text, re.MULTILINE):
            documented[room] = (*documented.get(room, ()), inside)
        self.assertEqual(documented, INSIDE)

    def test_plugins_are_found(self) -> None:
        """A package of ours in their place would hide Twisted's own."""
        self.assertTrue((CHECKOUT / "twisted" / "plugins" / "realmgw_plugin.py").is_file())
        self.assertEqual(list((CHECKOUT / "twisted").rglob("__init__.py")), [])
