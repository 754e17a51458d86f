"""Tests for `realmgw.subscribers.files.folders`: the first reading, as the gateway and `realmgw check` do it."""

from __future__ import annotations

import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.steps import Steps, finish
from realmgw.subscribers.files.folders import Folders
from realmgw.subscribers.files.incremental import Unit
from realmgw.subscribers.model import Directory
from realmgw.subscribers.registry import Registry
from realmgw.test.subscribers.examples import ZONES


class LoadTestCase(SynchronousTestCase):
    """Writes subscriber files and reads them."""

    def setUp(self) -> None:
        """Two folders of the test's own."""
        self.folder, self.later = Path(self.mktemp()), Path(self.mktemp())
        self.folder.mkdir()
        self.later.mkdir()

    def write(self, name: str, text: str, folder: Path | None = None) -> None:
        """Writes a file."""
        ((folder or self.folder) / name).write_text(text)

    def register(self, *folders: Path) -> Registry:
        """What is served of folders."""
        registry, units = Registry(), list[Unit]()
        folders_ = Folders(lambda: 1e12, lambda: 0.0)

        def consume(unit: Unit) -> Steps[None]:
            units.append(unit)
            yield None

        finish(folders_.each(folders or (self.folder, self.later), consume))
        finish(registry.commit(finish(registry.changes(units, ZONES))))
        return registry

    def load(self) -> Directory:
        """The directory, of files without problems."""
        registry = self.register()
        self.assertEqual(registry.problems, ())
        return registry.directory

    def problems(self) -> tuple[list[str], list[str]]:
        """The hosts that were loaded nevertheless, and what is wrong, without the places."""
        registry = self.register()
        return sorted(registry.directory.indices.by_name), [
            re.sub(r"^.*\.yaml:[0-9:]+ ([a-z.]+: )?", "", line) for line in registry.problems
        ]


class LoadTests(LoadTestCase):
    """The first reading."""

    def test_joins_the_files_of_all_folders(self) -> None:
        """Hosts by index, in the order of the files, and services by name."""
        self.write("z.yaml", "a.example.org: {address: 192.168.0.1, services: {x.example.org: , y.example.org: }}")
        self.write("a.yaml", "b.example.org: {address: 192.168.0.2, max_claims: 5, groups: [g]}", self.later)
        directory = self.load()
        b, a = directory.hosts[1], directory.hosts[2]
        self.assertEqual((a.index, a.name, a.address), (2, "a.example.org.", bytes([192, 168, 0, 1])))
        self.assertEqual((b.index, b.name, b.profile.max_claims, b.profile.groups), (1, "b.example.org.", 5, ("g",)))
        self.assertEqual(sorted(directory.services), ["b.example.org.", "x.example.org.", "y.example.org."])
        self.assertIs(directory.services["x.example.org."].host, a)
        self.assertIs(directory.services["b.example.org."].host, b)

    def test_a_file_of_the_same_name_in_a_later_folder_replaces_the_earlier(self) -> None:
        """As a whole."""
        self.write("a.yaml", "a.example.org: {address: 192.168.0.1}")
        self.write("a.yaml", "b.example.org: {address: 192.168.0.1}", self.later)
        self.assertEqual(list(self.load().services), ["b.example.org."])

    def test_reads_only_yaml_files_that_are_not_hidden(self) -> None:
        """Editors leave others behind."""
        for name in (".a.yaml", "a.yaml~", "a.yml", "README"):
            self.write(name, "[")
        self.write("empty.yaml", "# nothing\n")
        self.assertEqual(self.load().hosts, {})


class ProblemTests(LoadTestCase):
    """Files that are not good."""

    def test_a_bad_file_disables_only_itself(self) -> None:
        """All of it, since what it meant is not known."""
        self.write("a.yaml", "a.example.org: {address: 192.168.0.1}\nb.example.org: {address: nonsense}")
        self.write("c.yaml", "c.example.org: {address: 192.168.0.3}")
        self.assertEqual(
            self.problems(),
            (["c.example.org."], ["'nonsense' is no address: write one like 192.0.2.1 or 2001:db8::1"]),
        )

    def test_problems_tell_file_line_and_column(self) -> None:
        """As every problem does."""
        self.write("a.yaml", "\n  a.example.org: {adress: 192.168.0.1}")
        problems = self.register(self.folder).problems
        self.assertTrue(problems[1].startswith(f"{self.folder}/a.yaml:2:19: the key 'adress' is not known"))

    def test_services_lie_within_the_forward_zones(self) -> None:
        """Elsewhere nobody would ask us."""
        self.write("a.yaml", "a.example.org: {address: 192.168.0.1, services: {a.example.net: }}")
        self.write("b.yaml", "b.0.168.192.in-addr.arpa: {address: 192.168.0.2}")
        hosts, problems = self.problems()
        self.assertEqual(hosts, [])
        self.assertEqual(problems[0], "a.example.net. lies outside our zones: write a name within example.org.")
        self.assertIn("b.0.168.192.in-addr.arpa. lies outside our zones", problems[1])

    def test_services_do_not_take_the_gateways_own_names(self) -> None:
        """Those have an address already: the apex and the name servers."""
        self.write("a.yaml", "a.example.org: {address: 192.168.0.1, services: {example.org: , ns.example.org: }}")
        hosts, problems = self.problems()
        self.assertEqual(hosts, [])
        self.assertEqual(
            problems,
            [
                f"{name} has an address of the gateway itself: write another name"
                for name in ("example.org.", "ns.example.org.")
            ],
        )

    def test_names_and_addresses_belong_to_one_host(self) -> None:
        """The later file is the one that is refused, and learns where the other one is."""
        self.write("a.yaml", "a.example.org: {address: 192.168.0.1, services: {s.example.org: }}")
        self.write("b.yaml", "a.example.org: {address: 192.168.0.1, services: {s.example.org: }}")
        hosts, problems = self.problems()
        self.assertEqual(hosts, ["a.example.org."])
        for line, what in zip(problems, ("this host", "192.168.0.1", "s.example.org."), strict=True):
            self.assertTrue(line.startswith(f"{what} belongs to a.example.org. of {self.folder}/a.yaml already"), line)

    def test_a_refused_file_takes_no_names(self) -> None:
        """A later one may have them."""
        self.write("a.yaml", "a.example.org: {address: 192.168.0.1}\nb.example.org: {address: 192.168.0.1}")
        self.write("b.yaml", "b.example.org: {address: 192.168.0.1}")
        hosts, problems = self.problems()
        self.assertEqual((hosts, len(problems)), (["b.example.org."], 1))

    def test_a_missing_folder_is_a_problem(self) -> None:
        """The others are read nevertheless."""
        self.write("a.yaml", "a.example.org: {address: 192.168.0.1}")
        registry = self.register(Path("nowhere.d"), self.folder)
        directory, [line] = registry.directory, registry.problems
        self.assertEqual(line, "nowhere.d:1:1: the folder can not be read: No such file or directory")
        self.assertEqual(len(directory.hosts), 1)
