"""Tests for `realmgw.subscribers.files`."""

from __future__ import annotations

import gc
from ipaddress import IPv4Address
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.settings import NameServer, Zone
from realmgw.subscribers import load
from realmgw.subscribers.model import Directory

SERVERS = (NameServer("ns.example.org.", IPv4Address("192.0.2.1")),)
ZONES = (
    Zone("example.org.", SERVERS, "admin.example.org.", IPv4Address("192.0.2.1")),
    Zone("0.168.192.in-addr.arpa.", SERVERS, "admin.example.org."),
)


class LoadTestCase(SynchronousTestCase):
    """Writes subscriber files and loads them."""

    def setUp(self) -> None:
        """Two folders of the test's own."""
        self.folder, self.later = Path(self.mktemp()), Path(self.mktemp())
        self.folder.mkdir()
        self.later.mkdir()

    def write(self, name: str, text: str, folder: Path | None = None) -> None:
        """Writes a file."""
        ((folder or self.folder) / name).write_text(text)

    def load(self, previous: Directory | None = None) -> Directory:
        """The directory, of files without problems."""
        directory, problems = load([self.folder, self.later], ZONES, previous)
        self.assertEqual(problems, ())
        return directory

    def problems(self) -> tuple[list[str], list[str]]:
        """The hosts that were loaded nevertheless, and what is wrong, without the places."""
        directory, problems = load([self.folder, self.later], ZONES)
        return sorted(directory.indices.by_name), [line.split(": ", 1)[1] for line in problems]


class LoadTests(LoadTestCase):
    """`load` makes a directory."""

    def test_joins_the_files_of_all_folders(self) -> None:
        """Hosts by index, in the order of their names, and services by name."""
        self.write("z.yaml", "a.example.org: {address: 192.168.0.1, services: {x.example.org: , y.example.org: }}")
        self.write("a.yaml", "b.example.org: {address: 192.168.0.2, max_claims: 5, groups: [g]}", self.later)
        directory = self.load()
        a, b = directory.hosts[1], directory.hosts[2]
        self.assertEqual((a.index, a.name, a.address), (1, "a.example.org.", bytes([192, 168, 0, 1])))
        self.assertEqual((b.index, b.name, b.max_claims, b.groups), (2, "b.example.org.", 5, ("g",)))
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

    def test_leaves_the_garbage_collector_as_it_was(self) -> None:
        """It rests only while the files are read."""
        self.load()
        self.assertTrue(gc.isenabled())


class ReloadTests(LoadTestCase):
    """`load` with a directory before."""

    def test_what_did_not_change_stays_the_same_object(self) -> None:
        """So claims and flows that hold on to a host or a service remain valid."""
        self.write("a.yaml", "a.example.org: {address: 192.168.0.1}\nb.example.org: {address: 192.168.0.2}")
        before = self.load()
        self.write("a.yaml", "A.example.org: {address: 192.168.0.1}\nb.example.org: {address: 192.168.0.3}")
        after = self.load(before)
        self.assertIs(after.hosts[1], before.hosts[1])
        self.assertIs(after.services["a.example.org."], before.services["a.example.org."])
        self.assertIsNot(after.hosts[2], before.hosts[2])
        self.assertIsNot(after.services["b.example.org."], before.services["b.example.org."])
        self.assertIs(after.services["b.example.org."].host, after.hosts[2])

    def test_hosts_keep_their_indices(self) -> None:
        """A new one between them gets a fresh index."""
        self.write("a.yaml", "a.example.org: {address: 192.168.0.1}\nc.example.org: {address: 192.168.0.3}")
        before = self.load()
        self.write("b.yaml", "b.example.org: {address: 192.168.0.2}")
        self.assertEqual(
            self.load(before).indices.by_name, {"a.example.org.": 1, "c.example.org.": 2, "b.example.org.": 3}
        )


class ProblemTests(LoadTestCase):
    """`load` with files that are not good."""

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
        _, problems = load([self.folder], ZONES)
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
        for line, what in zip(problems, ("a.example.org. ", "192.168.0.1 ", "s.example.org. "), strict=True):
            self.assertTrue(line.startswith(f"{what}stands in {self.folder}/a.yaml:1 too"), line)

    def test_a_refused_file_takes_no_names(self) -> None:
        """A later one may have them."""
        self.write("a.yaml", "a.example.org: {address: 192.168.0.1}\nb.example.org: {address: 192.168.0.1}")
        self.write("b.yaml", "b.example.org: {address: 192.168.0.1}")
        hosts, problems = self.problems()
        self.assertEqual((hosts, len(problems)), (["b.example.org."], 1))

    def test_a_missing_folder_is_a_problem(self) -> None:
        """The others are read nevertheless."""
        self.write("a.yaml", "a.example.org: {address: 192.168.0.1}")
        directory, [line] = load([Path("nowhere.d"), self.folder], ZONES)
        self.assertEqual(line, "nowhere.d:1:1: the folder can not be read: No such file or directory")
        self.assertEqual(len(directory.hosts), 1)
