"""Tests for `realmgw.config.last_good`."""

from __future__ import annotations

import errno
from pathlib import Path

import attrs
from twisted.trial.unittest import SynchronousTestCase

from realmgw import config
from realmgw.config.files import located
from realmgw.config.steps import Blocking
from realmgw.errors import ConfigurationError, PlatformError
from realmgw.test.config.test_schema import MINIMAL


class LastGoodTests(SynchronousTestCase):
    """`keep` and `load_or_last_good`."""

    def setUp(self) -> None:
        """A gateway that ran once."""
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.path = self.folder / "realmgw.yaml"
        self.path.write_text(f"{MINIMAL}state: state\n")
        self.settings = config.load(self.path)
        config.keep(self.path, self.settings)
        [self.kept] = (self.folder / "state").iterdir()

    def refusals(self) -> tuple[str, ...]:
        """Why neither can be used."""
        error = self.assertRaises(ConfigurationError, config.load_or_last_good, self.path)
        assert isinstance(error, ConfigurationError)
        return error.problems

    def test_the_present_configuration_counts_if_it_is_good(self) -> None:
        """Whatever was kept."""
        self.path.write_text(f"{MINIMAL}state: state\nadmission: {{queue: 7}}\n")
        loaded = config.load_or_last_good(self.path)
        self.assertEqual((loaded.settings.admission.queue, loaded.problems, loaded.from_last_good), (7, (), False))

    def test_the_last_good_one_counts_if_the_present_one_is_broken(self) -> None:
        """With every problem of the present one."""
        self.path.write_text(f"{MINIMAL}state: state\nbogus: 1\nadmission: {{queue: x}}\n")
        loaded = config.load_or_last_good(self.path)
        self.assertEqual((loaded.settings, loaded.from_last_good), (self.settings, True))
        self.assertEqual(len(loaded.problems), 2)
        self.assertTrue(loaded.problems[0].startswith(f"{self.path}:8:1: the key 'bogus'"))

    def test_is_found_by_the_callers_word_if_the_file_is_no_yaml(self) -> None:
        """Since then nobody can tell what it says of the state folder."""
        self.path.write_text("state: state\n[")
        self.assertTrue(config.load_or_last_good(self.path, self.folder / "state").from_last_good)

    def test_what_does_not_answer_can_not_be_used(self) -> None:
        """The present one: then the last good one counts; that one too: both are told. All is read by the call."""
        asked: list[str] = []

        def do(blocking: Blocking) -> object:
            asked.append(blocking.where)
            if blocking.where in silent:
                raise OSError(errno.ETIMEDOUT, "it has not answered")
            return blocking.call()

        silent = {str(self.path)}
        loaded = config.load_or_last_good(self.path, self.folder / "state", do)
        self.assertEqual((loaded.settings, loaded.from_last_good), (self.settings, True))
        self.assertEqual(loaded.problems, (f"{self.path}:1:1: can not be read: it has not answered",))
        silent.add(str(self.folder / "state"))
        error = str(
            self.assertRaises(ConfigurationError, config.load_or_last_good, self.path, self.folder / "state", do)
        )
        self.assertEqual(error.count("can not be read: it has not answered"), 2)
        self.assertEqual(set(asked), silent)

    def test_drop_ins_are_part_of_it(self) -> None:
        """As they were when the gateway ran."""
        drop_in = self.folder / "realmgw.d" / "a.yaml"
        drop_in.parent.mkdir()
        drop_in.write_text("admission: {queue: 9}\n")
        config.keep(self.path, config.load(self.path))
        drop_in.write_text("admission: {queue: x}\n")
        loaded = config.load_or_last_good(self.path)
        self.assertEqual((loaded.settings.admission.queue, loaded.from_last_good), (9, True))
        self.assertTrue(loaded.problems[0].startswith(f"{drop_in}:1:20: 'x' does not do"))

    def test_a_damaged_copy_is_not_used(self) -> None:
        """Nor is one of another format; both files' problems are told."""
        self.path.write_text("state: state\n")
        whole = self.kept.read_bytes()
        for damaged, what in (
            (whole[:-1], "it is damaged"),
            (whole.replace(b"wan0", b"wan1"), "it is damaged"),
            (whole.replace(b"settings-1", b"settings-9"), "it is not of the format realmgw-settings-1"),
        ):
            self.kept.write_bytes(damaged)
            *_, line = self.refusals()
            self.assertIn(f"{self.kept}:1:1: the last good configuration can not be used: {what}", line)

    def test_without_a_copy_the_problems_of_the_present_one_are_told(self) -> None:
        """And that there is none."""
        self.kept.unlink()
        self.path.write_text("state: state\n")
        *problems, line = self.refusals()
        self.assertTrue(problems)
        self.assertIn("there is no last good configuration yet", line)

    def test_gateways_that_share_a_folder_have_their_own(self) -> None:
        """Told apart by their main files."""
        other = self.folder / "other.yaml"
        other.write_text("state: state\n")
        self.assertRaises(ConfigurationError, config.load_or_last_good, other)

    def test_relative_paths_are_kept_as_absolute_ones(self) -> None:
        """The next start may be in another folder."""
        settings = attrs.evolve(self.settings, subscribers=(Path("a.d"),))
        config.keep(self.path, settings)
        self.path.write_text("state: state\n")
        found = config.load_or_last_good(self.path).settings
        self.assertEqual(found, located(settings, Path().absolute()))

    def test_a_folder_that_can_not_be_written_is_told(self) -> None:
        """What was kept before stays as it was."""
        settings = attrs.evolve(self.settings, state=self.path)
        error = self.assertRaises(PlatformError, config.keep, self.path, settings)
        self.assertIn("can not be written", str(error))
        self.assertEqual(config.load(self.path), self.settings)
