"""Tests for what the documents promise: every example is read, every key is explained."""

from __future__ import annotations

import ast
import re
import symtable
from collections.abc import Iterator, Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any

import attrs
from twisted.trial.unittest import SynchronousTestCase

from realmgw import config
from realmgw.config import consistency
from realmgw.config.dns import NameList
from realmgw.config.document import Mapping as MappingNode
from realmgw.config.document import Problems, parse
from realmgw.config.policy import LoadBand, ResolverGroup
from realmgw.config.policy_schema import POLICY
from realmgw.config.schema import GATEWAY, ZONE
from realmgw.config.settings import POOL_PIECE
from realmgw.config.steps import finish
from realmgw.config.unsupported import WITHOUT_EFFECT
from realmgw.config.updates import reading_keys
from realmgw.config.validators import Key, Section, keys_of
from realmgw.control.command import local
from realmgw.log.events import EVENTS, FAULT, name_of
from realmgw.subscribers import schema
from realmgw.synnode.settings import NODE
from realmgw.test.checkout import CHECKOUT, NO_CHECKOUT, project_files, yaml_blocks
from realmgw.test.source import ALL, PRODUCT, TESTBED
from realmgw.test.test_architecture import requirements


def keys(section: Section[Any]) -> Iterator[str]:
    """Every key of a section and of the sections in it."""
    for name, key in section.keys.items():
        yield name
        if isinstance(key.validator, Section):
            yield from keys(key.validator)


EVERY_KEY = {*keys(GATEWAY), *ZONE.keys, *POOL_PIECE.keys}
"""Of the main file, but for those of policies, which have a file of their own."""


def definitions(node: ast.AST, head: str = "") -> set[str]:
    """The names of all functions and classes in a module, those within classes with the class's before them."""
    found = set[str]()
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef | ast.FunctionDef):
            found |= {head + child.name, *definitions(child, f"{head}{child.name}.")}
    return found


def bound(text: str) -> set[str]:
    """The names that a module has: what it defines, and what it imports."""
    table = symtable.symtable(text, "", "exec")
    return {symbol.get_name() for symbol in table.get_symbols() if symbol.is_assigned() or symbol.is_imported()}


def prefixes(name: str) -> Iterator[str]:
    """A dotted name, and those above it."""
    while name:
        yield name
        name = name.rpartition(".")[0]


LEVELS = frozenset(("debug", "info", "warn", "error", "critical", "failure"))
"""How a logger is called, see twisted.logger."""


def tells(node: ast.AST) -> list[str]:
    """The levels at which something tells an event when it is called: a method of a logger, or a choice of two."""
    loggers = (each for each in ast.walk(node) if isinstance(each, ast.Attribute) and each.attr in LEVELS)
    return [each.attr for each in loggers if ast.unparse(each.value).rpartition(".")[2] in ("log", "_log")]


def told(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Level and text of every event that a module tells, by a logger or by a name for one of its methods."""
    names = {
        ast.unparse(node.targets[0]): tells(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.IfExp) and tells(node.value)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            for called, arguments in ((each, node.args[at:]) for at, each in enumerate((node.func, *node.args))):
                is_logger = isinstance(called, ast.Attribute)
                levels = tells(called)[:1] if is_logger else names.get(ast.unparse(called), [])
                texts = [each.value for each in arguments[:1] if isinstance(each, ast.Constant)]
                yield from ((level, str(text)) for level in levels for text in texts)


class DocumentationTestCase(SynchronousTestCase):
    """Tests that need the project's documents."""

    skip = NO_CHECKOUT

    def text(self, *place: str) -> str:
        """A file of the project."""
        return CHECKOUT.joinpath(*place).read_text()


class ExampleTests(DocumentationTestCase):
    """Configuration that people will copy."""

    def test_the_demo_configuration_has_no_problems(self) -> None:
        """The main file, and every subscriber file beside it."""
        settings = config.load(CHECKOUT / "conf" / "realmgw.yaml")
        registry = local.subscribers(settings)
        self.assertEqual(registry.problems, ())
        self.assertIn("test.gwa.demo.", registry.directory.services)
        self.assertIsNone(config.unsupported_keys(settings))

    def test_every_yaml_file_of_conf_is_read(self) -> None:
        """By itself, as the kind of file that it is; what is for Prometheus, by `metrics.test_gateway_conf`."""
        for path in project_files():
            place = path.relative_to(CHECKOUT)
            if place.parts[0] == "conf" and place.parts[1] != "prometheus" and path.suffix == ".yaml":
                self.assertEqual(self.problems(str(place), path.read_text()), ())

    def test_commented_defaults_are_the_defaults(self) -> None:
        """Taking the comment sign away changes nothing; the stages of gwa.demo are in a file of their own."""
        text = self.text("conf", "realmgw.yaml")
        path = Path(self.mktemp())
        path.write_text(re.sub(r"^( *)# ([a-z_]+: [\w.]+ +#.*)$", r"\1\2", text, flags=re.MULTILINE))
        self.assertNotEqual(path.read_text(), text)
        written, default = config.load(path), config.load(CHECKOUT / "conf" / "realmgw.yaml")
        policy = attrs.evolve(default.policy, pipeline=written.policy.pipeline)
        default = attrs.evolve(default, policy=policy)
        for part in ("zones", "pools", "dns", "allocation", "admission", "datapath", "policy", "synproxy", "logging"):
            self.assertEqual(getattr(written, part), getattr(default, part))

    def test_every_yaml_block_of_the_documents_is_read(self) -> None:
        """A main file, some sections of one, policies, keys of updates, subscribers, or a SYN proxy node's file."""
        blocks = yaml_blocks()
        self.assertTrue(blocks)
        for place, text in blocks:
            self.assertEqual(self.problems(place, text), ())

    def problems(self, place: str, text: str) -> tuple[str, ...]:
        """What is wrong with an example."""
        problems = Problems(place)
        root = parse(text.encode(), problems)
        assert isinstance(root, MappingNode), place
        if root.pairs.keys() == {"keys"}:
            finish(reading_keys(text.encode(), problems))
            return problems.lines()
        if root.pairs.keys() >= {"outside", "guarded"}:
            NODE(root, problems)
            return problems.lines()
        if root.pairs.keys() <= POLICY.keys.keys():
            POLICY(root, problems)
        elif root.pairs.keys() >= {"name", "zones"}:
            GATEWAY(root, problems)
        elif root.pairs.keys() <= GATEWAY.keys.keys():
            for key, (_, value) in root.pairs.items():
                GATEWAY.keys[key].validator(value, problems)
        else:
            schema.entries(root, problems)
            return problems.lines()
        consistency.check(problems)
        return problems.lines()


class ReferenceTests(DocumentationTestCase):
    """Documents that list things."""

    def assert_explained(self, words: Mapping[str, Key[object]] | list[str], *place: str) -> None:
        """Every word stands in the first column of some table of the document."""
        text = self.text(*place)
        columns = re.findall(r"^\| ([^|]*) \|", text, re.MULTILINE)
        explained = set(re.findall(r"`([^`]+)`", " ".join(columns)))
        self.assertEqual(set(words) - explained, set())

    def test_every_key_of_the_main_file_is_explained(self) -> None:
        """In docs/configuration.md; the views' own names stand in the text."""
        everything = {*EVERY_KEY, *keys_of(LoadBand), *keys_of(NameList), *keys_of(ResolverGroup)} - {"wan", "lan"}
        self.assert_explained(sorted(everything), "docs", "configuration.md")

    def test_every_key_of_a_subscriber_is_explained(self) -> None:
        """In docs/configuration.md: of a host, of a service, and of firewall rules the main ones."""
        self.assert_explained(schema.PLAIN.keys, "docs", "configuration.md")
        self.assert_explained(schema.SERVICE.keys, "docs", "configuration.md")
        rule = ["priority", "direction", "target", "protocol", "src", "dst", "hashlimit", "comment"]
        self.assert_explained(rule, "docs", "configuration.md")

    def test_every_key_without_effect_is_named(self) -> None:
        """In docs/configuration.md, where it says that there are such keys; and none that has an effect by now."""
        text = self.text("docs", "configuration.md")
        [paragraph] = [part for part in text.split("\n\n") if "has no effect" in part]
        told = set(re.findall(r"`([^`]+)`", paragraph)) - {"realmgw check"}
        self.assertEqual(told, {word for key in WITHOUT_EFFECT for word in key.split(".")})

    def test_every_key_stands_in_the_example_and_the_manual(self) -> None:
        """Those of the main file."""
        for place in (("conf", "realmgw.yaml"), ("docs", "man", "realmgw.yaml.5")):
            text = self.text(*place)
            missing = [key for key in EVERY_KEY if key not in text]
            self.assertEqual(missing, [])

    def test_every_event_of_the_log_has_a_name(self) -> None:
        """In `realmgw.log.events`, and no other one has; docs/events.md has a row for each, as it is made here."""
        rows, known = set[str](), {(part, text) for part, texts in EVENTS.items() for text in texts}
        for module in PRODUCT:
            part = module.name.removeprefix("realmgw.")
            for level, text in told(module.tree):
                name = name_of(part, text, is_fault=level == "failure")
                self.assertTrue(name, f"give it a name in realmgw/log/events.py: {part}: {text}")
                known.discard((part, text))
                if name != FAULT:
                    rows.add(f"| `{name}` | {level} | `{part}` | {text} |")
        self.assertEqual(known, set(), "realmgw/log/events.py names what is not told")
        listed = [line for line in self.text("docs", "events.md").splitlines() if line.startswith("| `")]
        self.assertEqual(sorted(rows - {*listed}), [], "docs/events.md lacks these")
        self.assertEqual(sorted({*listed} - rows), [], "docs/events.md has these, and nothing tells them")

    def test_every_way_to_tell_an_event_is_seen(self) -> None:
        """Called, handed to somebody who calls it, or by a name for either of two."""
        text = """
            def f(self):
                self._log.info("a {b}", b=1)
                later.addErrback(lambda failure: _log.failure("c", failure))
                self._reactor.callFromThread(self._log.warn, "d", e=1)
                tell = _log.error if self else _log.info
                tell("f")
                other("g")
                math.log("h")
        """
        found = [("info", "a {b}"), ("failure", "c"), ("warn", "d"), ("error", "f"), ("info", "f")]
        self.assertEqual(sorted(told(ast.parse(dedent(text)))), sorted(found))

    def test_every_requirement_has_its_reason(self) -> None:
        """In docs/dependencies.md."""
        self.assert_explained(requirements(), "docs", "dependencies.md")

    def test_links_within_the_project_lead_somewhere(self) -> None:
        """From every document."""
        for path in project_files():
            if path.suffix == ".md":
                for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text()):
                    self.assertTrue((path.parent / target).exists(), f"{path.relative_to(CHECKOUT)}: {target}")

    def test_every_test_against_a_promise_is_there(self) -> None:
        """In docs/promises.md: in one of the modules that its row names."""
        rows = [line for line in self.text("docs", "promises.md").splitlines() if line.startswith("| ")]
        named = 0
        for row in rows:
            words = re.findall(r"`([^` ]+)`", row)
            modules = [word for word in words if re.fullmatch(r"(?:[a-z]+\.)*test_\w+", word) and self.module(word)]
            texts = "".join(self.text(*self.module(word)) for word in modules)
            for word in words:
                if word not in modules and re.fullmatch(r"(test_\w+|\w+Tests|(?:[a-z]+\.)+test_\w+)", word):
                    named += 1
                    self.assertRegex(texts, rf"(def|class) {word}\b", row)
            named += len(modules)
        self.assertGreater(named, 40)

    def test_every_function_on_the_way_of_a_flow_is_there(self) -> None:
        """In docs/flow.md, each in the file that stands behind it."""
        text = self.text("docs", "flow.md")
        named = re.findall(r"`([\w.]+)` in\s+\[`([\w/]+\.py)`\]\(\.\./realmgw/([\w/]+\.py)\)", text)
        self.assertEqual(len(named), len(re.findall(r"\.py\)", text)))
        self.assertGreater(len(named), 30)
        for name, told, place in named:
            self.assertEqual(told, place)
            self.assertIn(name, definitions(ast.parse(self.text("realmgw", place))), place)

    def test_every_file_that_is_named_is_there(self) -> None:
        """In documents, whole or by the end of its place; of tests, by its name alone."""
        places = [f"/{path.relative_to(CHECKOUT)}" for path in project_files()]
        tests = {name for module in ALL for name in re.findall(r"def (test_\w+)", module.path.read_text())}
        tests |= {module.path.stem for module in ALL} | {"test_gwa"}  # which is a namespace
        for path in project_files():
            if path.suffix == ".md" and path.name != "CHANGELOG.md":
                for name in re.findall(r"\b\w[\w/]*\.(?:py|[ch])\b", path.read_text()):
                    self.assertTrue(any(place.endswith(f"/{name}") for place in places), f"{path.name}: {name}")
                self.assertEqual(set(re.findall(r"`(test_\w+)`", path.read_text())) - tests, set(), path.name)

    def test_every_module_that_is_named_is_there(self) -> None:
        """In docstrings and comments, with what is named of it."""
        texts = {module.name: module.path.read_text() for module in (*ALL, *TESTBED)}
        for name in texts.keys() - {"realmgw.test.test_source"}:  # which has examples
            for named in set(re.findall(r"`((?:realmgw|testbed)(?:\.\w+)+)`", texts[name])) - {"realmgw.d"}:
                of = next(prefix for prefix in prefixes(named) if prefix in texts)
                rest = named[len(of) + 1 :].partition(".")[0]
                self.assertTrue(not rest or rest in bound(texts[of]), f"{name}: {named}")

    def test_every_program_that_is_named_is_there(self) -> None:
        """As `python -m` has it, in documents, scripts and programs: a module that can be run."""
        programs = {module.name for module in (*ALL, *TESTBED) if "__main__" in module.path.read_text()}
        named = 0
        for path in project_files():
            for name in re.findall(r'-m[", ]+((?:realmgw|testbed)(?:\.\w+)+)', path.read_text(errors="replace")):
                named += 1
                self.assertIn(name, programs, path.relative_to(CHECKOUT))
        self.assertGreater(named, 40)

    def test_what_is_written_into_documents_has_its_place(self) -> None:
        """Or it would be measured in vain."""
        documents = set()
        for path in project_files():
            documents |= set(re.findall(r"--write (docs/[\w-]+\.md)", path.read_text(errors="replace")))
        self.assertGreater(len(documents), 8)
        for each in documents:
            found = re.search(r"<!-- figures(: \w+)? -->[^<]+<!-- end of figures -->", self.text(*each.split("/")))
            self.assertIsNotNone(found, each)

    def module(self, name: str) -> tuple[str, ...]:
        """Where a module of tests is; nothing if there is none of that name."""
        place = ("realmgw", "test", *name.split("."))
        place = (*place[:-1], f"{place[-1]}.py")
        return place if CHECKOUT.joinpath(*place).is_file() else ()
