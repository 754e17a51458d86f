"""Tests for `realmgw.config.files`."""

from __future__ import annotations

import os
from itertools import product
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from realmgw.config import load, load_partly
from realmgw.config.document import Problems
from realmgw.config.files import MAX_MAIN_FILE, read
from realmgw.errors import ConfigurationError
from realmgw.test.config.test_schema import MINIMAL


class LoadTests(SynchronousTestCase):
    """`load` reads the main file."""

    def setUp(self) -> None:
        """A folder of the test's own."""
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.path = self.folder / "realmgw.yaml"

    def refusals(self) -> tuple[str, ...]:
        """Every problem of the file."""
        error = self.assertRaises(ConfigurationError, load, self.path)
        assert isinstance(error, ConfigurationError)
        return error.problems

    def test_relative_folders_start_at_the_file(self) -> None:
        """Absolute ones stay where they are."""
        self.path.write_text(MINIMAL + "subscribers: [subscribers.d, /etc/subscribers.d]\n")
        self.assertEqual(load(self.path).subscribers, (self.folder / "subscribers.d", Path("/etc/subscribers.d")))

    def test_tells_all_problems_at_once_in_their_order(self) -> None:
        """Unknown keys, bad values and contradictions, each with file, line and column."""
        self.path.write_text(MINIMAL.replace("lan0", "wan0").replace("/24", "/33") + "allocations: {}\n")
        first, second, third = self.refusals()
        self.assertTrue(first.startswith(f"{self.path}:4:31: the interface wan0 stands twice"))
        self.assertTrue(second.startswith(f"{self.path}:5:32: '198.51.100.0/33' is no prefix"))
        self.assertEqual(third, f"{self.path}:7:1: the key 'allocations' is not known: did you mean 'allocation'?")

    def test_what_is_good_can_be_looked_at_beside_what_is_not(self) -> None:
        """Key by key; without zones there is nothing to look at."""
        self.path.write_text(MINIMAL.replace("/24", "/33") + "allocations: {}\nsubscribers: [s]\n")
        found = load_partly(self.path)
        assert found.settings is not None
        self.assertEqual([zone.name for zone in found.settings.zones], ["example.org."])
        self.assertEqual(found.settings.subscribers, (self.folder / "s",))
        self.assertEqual((found.left_out, len(found.problems)), (("pools", "allocations"), 2))
        self.path.write_text(MINIMAL.replace("contact:", "contakt:"))
        self.assertIsNone(load_partly(self.path).settings)

    def test_policies_of_existing_deployments_are_read(self) -> None:
        """With rules for iptables in which a key stands twice: they are left alone."""
        (self.folder / "policies.d").mkdir()
        (self.folder / "policies.d" / "p.yaml").write_text(
            "IPTABLES:\n  NAT:\n    rules:\n"
            "      - {'table': 'nat', 'comment': {'comment': 'a'}, 'comment': {'comment': 'b'}, 'target': 'RETURN'}\n"
            "CIRCULARPOOL: {max: 7}\n"
        )
        self.path.write_text(MINIMAL)
        self.assertEqual(load(self.path).policy.max_claims, 7)

    def test_an_empty_file_is_told_what_it_needs(self) -> None:
        """Every key of the main file."""
        self.path.write_text("# nothing yet\n")
        [line] = self.refusals()
        self.assertIn("the file is empty: write name, zones, interfaces", line)

    def test_a_problem_of_yaml_alone_is_a_refusal(self) -> None:
        """Although all the keys that could be read were good."""
        self.path.write_text(MINIMAL + "---\n")
        [line] = self.refusals()
        self.assertIn("a second document", line)

    def test_a_missing_file_is_a_refusal(self) -> None:
        """So is a folder in its place."""
        self.assertEqual(self.refusals(), (f"{self.path}:1:1: there is no such file",))
        self.path.mkdir()
        self.assertEqual(
            self.refusals(), (f"{self.path}:1:1: can not be read: it is not a regular file, but a folder",)
        )


class ReadTests(SynchronousTestCase):
    """`read` takes care of what a file can be."""

    def test_refuses_a_file_that_is_too_long(self) -> None:
        """One octet too many, and nothing of it is parsed."""
        path = Path(self.mktemp())
        path.write_bytes(b"[" + b" " * (MAX_MAIN_FILE - 2) + b"]")
        problems = Problems("f")
        self.assertIsNotNone(read(path, MAX_MAIN_FILE, problems))
        self.assertIsNone(read(path, MAX_MAIN_FILE - 1, problems))
        self.assertEqual(problems.lines(), (f"f:1:1: can not be read: it has more than {MAX_MAIN_FILE - 1} octets",))

    def test_refuses_what_is_no_regular_file(self) -> None:
        """Reading a pipe would wait for ever."""
        path = Path(self.mktemp())
        os.mkfifo(path)
        problems = Problems("f")
        self.assertIsNone(read(path, 10, problems))
        self.assertEqual(problems.lines(), ("f:1:1: can not be read: it is not a regular file, but a pipe",))

    def test_tells_the_operating_systems_refusal(self) -> None:
        """In its words: here, a name that is too long."""
        problems = Problems("f")
        self.assertIsNone(read(Path("x" * 300), 10, problems))
        self.assertEqual(problems.lines(), ("f:1:1: can not be read: File name too long",))


class DropInTests(SynchronousTestCase):
    """`load` lays drop-ins over the main file."""

    def setUp(self) -> None:
        """A main file in a layer of its own, above one of a package."""
        self.vendor, self.own = Path(self.mktemp()), Path(self.mktemp())
        self.path = self.write(self.own, "realmgw.yaml", f"{MINIMAL}drop_ins: [{self.vendor.absolute()}, .]\n")

    def write(self, layer: Path, place: str, text: str) -> Path:
        """A file in a layer."""
        path = layer / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def refusals(self) -> tuple[str, ...]:
        """Every problem."""
        error = self.assertRaises(ConfigurationError, load, self.path)
        assert isinstance(error, ConfigurationError)
        return error.problems

    def test_zones_and_policies_have_files_of_their_own(self) -> None:
        """A zone takes from the main file's first zone what it lacks."""
        self.write(self.own, "zones.d/a.yaml", "example.net: {ttl: 60}\n")
        self.write(self.vendor, "policies.d/a.yaml", "max_claims: 7\n")
        self.write(self.own, "policies.d/b.yaml", "CIRCULARPOOL: {CONTROL_VARIABLES: {PBRA_DNS_POLICY_TCP: true}}\n")
        settings = load(self.path)
        self.assertEqual(
            [(zone.name, zone.ttl) for zone in settings.zones], [("example.org.", 300), ("example.net.", 60)]
        )
        self.assertEqual(settings.zones[1].contact, "admin.example.org.")
        self.assertEqual((settings.policy.max_claims, settings.policy.challenges.tcp), (7, True))

    def test_fragments_are_laid_over_everything_else(self) -> None:
        """In the order of their names, whichever layer they are in."""
        self.write(self.own, "realmgw.d/10.yaml", "admission: {queue: 1, per_turn: 5}\n")
        self.write(self.vendor, "realmgw.d/20.yaml", "admission: {queue: 2}\n")
        admission = load(self.path).admission
        self.assertEqual((admission.queue, admission.per_turn), (2, 5))

    def test_a_key_is_the_same_by_its_former_name(self) -> None:
        """What comes later counts, whoever has heard of the new name; what is in force by the former one is told."""
        own = self.write(self.own, "realmgw.d/30.yaml", "")
        for words in product(("company", "hold_after_use"), repeat=3):
            main, vendor, last = (f"allocation: {{{word}: 0.{index}}}\n" for index, word in enumerate(words, 1))
            self.write(self.own, "realmgw.yaml", f"{MINIMAL}drop_ins: [{self.vendor.absolute()}, .]\n{main}")
            self.write(self.vendor, "realmgw.d/20.yaml", vendor)
            own.write_text(last)
            settings = load(self.path)
            told = f"{own}:1:14: the key 'company' is 'hold_after_use' now: write that before the next release"
            self.assertEqual(settings.allocation.hold_after_use, 0.3, words)
            self.assertEqual(settings.outdated, (told,) if words[-1] == "company" else (), words)
        own.write_text("allocation: {company: 0.1, hold_after_use: 0.1}\n")
        self.assertIn("stands twice", self.refusals()[0])

    def test_an_own_file_replaces_that_of_the_package(self) -> None:
        """An empty one takes it away."""
        self.write(self.vendor, "realmgw.d/a.yaml", "admission: {queue: 2, per_turn: 7}\n")
        own = self.write(self.own, "realmgw.d/a.yaml", "admission: {queue: 3}\n")
        self.assertEqual((load(self.path).admission.queue, load(self.path).admission.per_turn), (3, 32))
        own.write_text("")
        self.assertEqual(load(self.path).admission.queue, 1)

    def test_problems_name_the_file_that_they_are_in(self) -> None:
        """The main file's first; a contradiction names both."""
        first = self.write(self.own, "realmgw.d/a.yaml", "admission:\n  queue: x\n")
        second = self.write(
            self.own, "realmgw.d/b.yaml", "pools: {circular: [{addresses: 192.0.2.1, attachment: routed}]}\n"
        )
        third = self.write(self.own, "zones.d/c.yaml", "[")
        self.path.write_text(self.path.read_text() + "bogus: 1\n")
        main, *others = self.refusals()
        self.assertTrue(main.startswith(f"{self.path}:8:1: the key 'bogus'"))
        self.assertEqual([line.split(": ")[0] for line in others], [f"{first}:2:10", f"{second}:1:32", f"{third}:1:2"])

    def test_where_drop_ins_are_is_said_in_the_main_file(self) -> None:
        """A drop-in that would say so is refused."""
        path = self.write(self.own, "realmgw.d/a.yaml", "drop_ins: []\n")
        [line] = self.refusals()
        self.assertTrue(line.startswith(f"{path}:1:1: 'drop_ins' says where files like this one are"))
        self.path.write_text(f"{MINIMAL}drop_ins: []\n")
        self.assertEqual(load(self.path).drop_ins, ())

    def test_a_folder_that_can_not_be_read_is_told_where_it_is_named(self) -> None:
        """Be it the one, or one within it; what nobody has named is told of the file as a whole.

        It may be absent only where it is looked for without being named.
        """
        (self.path.parent / "taken").touch()
        for written, place in (
            ("policies:\n- taken\n", "8:3"), ("drop_ins:\n- .\n- taken\n", "9:3"),
            ("policies: [policies.d, taken]\n", "7:24"), ("policies: [policies.d, absent]\n", "7:24"),
        ):  # fmt: skip
            self.path.write_text(MINIMAL + written)
            lines = self.refusals()
            self.assertEqual({line.split(": ")[0] for line in lines}, {f"{self.path}:{place}"}, lines)
            self.assertRegex(lines[0], "the folder .*/(taken|absent).* can not be read: ")
        self.path.write_text(MINIMAL)
        (self.own / "zones.d").touch()
        self.assertTrue(self.refusals()[0].startswith(f"{self.path}:1:1: the folder "))

    def test_subscriber_folders_of_the_layers_come_first(self) -> None:
        """Those that are there; one that is named as well keeps its later place."""
        (self.vendor / "subscribers.d").mkdir(parents=True)
        (self.own / "subscribers.d").mkdir()
        vendor = self.vendor.absolute() / "subscribers.d"
        self.assertEqual(load(self.path).subscribers, (vendor, self.own / "subscribers.d"))
        self.path.write_text(self.path.read_text() + "subscribers: [more.d, subscribers.d]\n")
        self.assertEqual(load(self.path).subscribers, (vendor, self.own / "more.d", self.own / "subscribers.d"))

    def test_the_main_file_may_leave_zones_to_drop_ins(self) -> None:
        """What is needed may come from anywhere."""
        [zones] = [line for line in MINIMAL.splitlines() if line.startswith("zones")]
        self.path.write_text(self.path.read_text().replace(zones, ""))
        self.write(self.own, "zones.d/a.yaml", zones.removeprefix("zones: "))
        self.assertEqual(load(self.path).zones[0].name, "example.org.")
