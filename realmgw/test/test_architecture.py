"""Tests for the house as a whole: docs/architecture.md says what, and why, these only check it."""

from __future__ import annotations

import ast
import re
import sys
from configparser import ConfigParser
from importlib.metadata import packages_distributions

from realmgw.test.checkout import CHECKOUT, NO_CHECKOUT, PACKAGE, project_files
from realmgw.test.octets import OCTETS, family, octets
from realmgw.test.source import (
    ALL,
    EDGES,
    PRODUCT,
    TESTBED,
    SourceTestCase,
    circle,
    explanations,
    files,
    is_attrs,
    is_within,
    touches,
    undocumented,
    unexplained,
)  # fmt: skip

BASE = {"subscribers", "config", "system", "errors"}
MAY_IMPORT = {
    "control": {"dns", "allocation", "datapath", "log", *BASE},
    "dashboard": {"control", *BASE},
    "repository": {"daemon", "metrics", "log", *BASE},
    "synnode": {"synproxy", "datapath", "daemon", "metrics", "log", *BASE},
    "webproxy": {"allocation", "datapath", *BASE},
    "synproxy": {"allocation", "datapath", *BASE},
    "records": {"datapath", "daemon", *BASE},
    "dns": {"allocation", "datapath", "daemon", *BASE},
    "alerts": {"allocation", "datapath", *BASE},
    "admission": {"allocation", "datapath", *BASE},
    "portal": BASE,
    "allocation": BASE,
    "datapath": BASE,
    "subscribers": {"config", "system", "errors"},
    "daemon": {"config", "system", "errors"},
    "metrics": {"config", "system", "errors"},
    "log": {"config", "system", "errors"},
    "config": {"system", "errors"},
    "system": {"errors"},
    "errors": set[str](),
}
"""The rooms, and the other rooms that each may import. `tap` may import all of them; nothing imports `tap`."""
INSIDE = {
    "allocation": ("reputation", "pool", "claims", "ipv6"),
    "config": ("consistency", "translation"),
    "control": ("command",),
    "datapath": ("netlink", "iptables", "policy", "pipeline", "machine", "watch", "neighbours", "tracing", "capture"),
    "dns": ("codec", "mitigation", "fastpath", "forward", "update"),
    "subscribers": ("fastpath", "files", "remote", "leases", "tools"),
    "testbed": ("realm", "load", "player", "measuring", "simulated", "programs"),
}
"""The rooms inside of rooms: each may import what stands beside them, and those before it."""
DEEPEST = 3
"""A room, a room inside it, a module."""
INCLUDED = re.compile(r'^#include "(\w+)\.h"', re.MULTILINE)
FUNCTION = re.compile(r"^(?!static)\w[\w *]*\b(\w+)\([^;]*?\)\n\{", re.MULTILINE)
DECLARED = re.compile(r"^\w[\w *]*\b(\w+)\(", re.MULTILINE)
"""What stands in sources in C."""
MAX_MODULE = 400  # lines
MAX_FUNCTION = 50  # lines


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
        """Rooms on one level meet in tap/."""
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
                f"{module.place}:{line}: imports {name}" for line, name in module.imports() if is_within(name, above)
            )

    def test_what_a_room_inside_must_not_import_is_seen(self) -> None:
        """Those after it, and nothing where it is in none."""
        later = ["realmgw.dns.mitigation", "realmgw.dns.fastpath", "realmgw.dns.forward", "realmgw.dns.update"]
        self.assertEqual(forbidden("realmgw.dns.codec.wire"), later)
        self.assertEqual(forbidden("testbed.simulated.caches"), ["testbed.programs"])
        self.assertEqual(forbidden("realmgw.dns.server"), [])
        self.assertEqual(forbidden("realmgw.tap"), [])

    def test_rooms_have_one_level_of_rooms_inside(self) -> None:
        """And no other than those of the table, if there is nothing in them yet."""
        known = {(room, each) for room, inside in INSIDE.items() for each in inside}
        self.assert_none(
            f"{module.place}: no room of this name"
            for module in [*PRODUCT, *TESTBED]
            if len(parts := str(module.place.with_suffix("")).removeprefix("realmgw/").split("/")) > DEEPEST
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
            for line, name in touches(module, EDGES)
        )

    def test_only_what_meets_the_world_says_so(self) -> None:
        """Or nobody would believe it."""
        self.assert_none(
            f"{module.place}: meets no world, and says `Edge: {module.edge}.`"
            for module in PRODUCT
            if module.edge and not touches(module, EDGES)
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


class FamilyTests(SourceTestCase):
    """Addresses are of either family, and hosts have one or both."""

    def test_only_modules_that_say_so_take_an_address_for_four_octets(self) -> None:
        """By their docstring: what has another form in each family, or is of one of them alone."""
        self.assert_none(
            f"{module.place}:{line}: {what}, and the docstring does not say `Family: ...`"
            for module in PRODUCT
            if family(module) is None and not is_within(module.name, OCTETS)
            for line, what in octets(module.tree)
        )

    def test_only_what_needs_it_says_so(self) -> None:
        """Or nobody would believe it."""
        self.assert_none(
            f"{module.place}: nothing of one family, and says `Family: {said}.`"
            for module in PRODUCT
            if (said := family(module)) is not None and not octets(module.tree)
        )

    def test_what_takes_an_address_for_four_octets_is_seen(self) -> None:
        """Each of these was there before there was IPv6, or could have been."""
        for text in (
            "len(source) != 4", "if len(packed) == 16: pass", "4 < len(x)", "a = packed[:4]", "b = packed[12:16]",
            "c = number.to_bytes(4, 'big')", "NOBODY = bytes(4)", "IPv4Address(packed)", "IPv4Network((0, bits))",
            "[IPv4Address(each) for each in identity.addresses]", "'.'.join(map(str, packed))",
            "'.'.join(str(octet) for octet in reversed(packed))", "struct.Struct('!H4s4s')", "struct.unpack('!4s', a)",
            "socket.socket(socket.AF_INET)", "inet_aton(text)", "service.host.address", "self._hosts[number].address",
            "def f(each: Host): return each.address", "def f(entry): return int(entry.address)", "x: Host\nx.address",
            "def f(before: Host, after: Host | None): return before.address",
        ):  # fmt: skip
            self.assertEqual(len(octets(ast.parse(text))), 1, text)

    def test_what_knows_both_families_is_not_meant(self) -> None:
        """Nor numbers and lengths of other things."""
        for text in (
            "ip_address(packed)", "IPv4Address('192.0.2.1')", "IPv4Address(a) if a else IPv6Address(b)", "len(a) == 3",
            "AF_INET, AF_INET6", "host.address or host.address6", "endpoint.address", "a[:3]", "a[4:]",
            "'.'.join(labels)", "'.'.join(map(encode, a))", "struct.Struct('!HI')", "a == 4", "a[at : at + 4]",
            "bytes(size)", "network.version == 4", "address.packed", "isinstance(a, IPv4Address)", "a[4:7]",
        ):  # fmt: skip
            self.assertEqual(octets(ast.parse(text)), [], text)


class ShapeTests(SourceTestCase):
    """What modules and functions look like."""

    def test_modules_are_short(self) -> None:
        """A longer one wants a wall."""
        self.assert_none(
            f"{module.place}: {length} lines"
            for module in [*ALL, *TESTBED]
            if (length := len(module.path.read_text().splitlines())) > MAX_MODULE
        )

    def test_functions_are_short(self) -> None:
        """From `def` to the last line."""
        self.assert_none(
            f"{module.place}:{node.lineno}: {node.name} has {length} lines"
            for module in [*ALL, *TESTBED]
            for node in ast.walk(module.tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and (length := (node.end_lineno or 0) - node.lineno + 1) > MAX_FUNCTION
        )

    def test_everything_public_has_a_docstring(self) -> None:
        """Modules, classes, functions and methods; a method that Twisted named has its interface's."""
        explained: dict[str, set[str]] = {}
        for module in [*ALL, *TESTBED]:
            for name, members in explanations(module):
                explained.setdefault(name, set()).update(members)
        self.assert_none(
            f"{module.place}:{line}: {name} has no docstring"
            for module in [*ALL, *TESTBED]
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
