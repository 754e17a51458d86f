"""Tests for `realmgw.subscribers.files.listing`."""

from __future__ import annotations

import gc
import os
from pathlib import Path, PurePath

from twisted.trial.unittest import SynchronousTestCase

from realmgw.subscribers.files.listing import chosen, collector_at_rest, content, listed


class FilesTests(SynchronousTestCase):
    """What is read of folders."""

    def setUp(self) -> None:
        """Two folders with files."""
        self.folders = [Path(self.mktemp()), Path(self.mktemp())]
        for number, folder in enumerate(self.folders):
            folder.mkdir()
            (folder / "b.yaml").write_text(str(number))

    def test_lists_yaml_files_that_are_not_hidden(self) -> None:
        """Editors leave others behind."""
        for name in (".a.yaml", "a.yaml~", "a.yml", "README"):
            (self.folders[0] / name).touch()
        self.assertEqual(list(listed(self.folders[0])), ["b.yaml"])

    def test_a_version_changes_with_what_is_written(self) -> None:
        """And a link to nothing has none."""
        before = listed(self.folders[0])
        (self.folders[0] / "b.yaml").write_text("longer than before")
        (self.folders[0] / "c.yaml").symlink_to("nothing")
        after = listed(self.folders[0])
        self.assertNotEqual(before["b.yaml"], after["b.yaml"])
        self.assertIsNone(after["c.yaml"])

    def test_chooses_the_later_of_files_of_one_name(self) -> None:
        """In the order of the names."""
        (self.folders[0] / "a.yaml").touch()
        files = {PurePath(folder): listed(folder) for folder in self.folders}
        self.assertEqual(list(chosen(self.folders, files)), [self.folders[0] / "a.yaml", self.folders[1] / "b.yaml"])

    def test_a_link_to_nowhere_takes_a_file_away(self) -> None:
        """That of its name in an earlier folder; not one in a later one, and no other device does."""
        (self.folders[0] / "a.yaml").touch()
        for folder, name, target in ((1, "a", os.devnull), (0, "c", os.devnull), (1, "c", "b.yaml"), (0, "d", "/tmp")):
            (self.folders[folder] / f"{name}.yaml").symlink_to(target)
        files = {PurePath(folder): listed(folder) for folder in self.folders}
        expected = [self.folders[1] / "b.yaml", self.folders[1] / "c.yaml", self.folders[0] / "d.yaml"]
        self.assertEqual(list(chosen(self.folders, files)), expected)

    def test_equal_contents_have_equal_digests(self) -> None:
        """Others have not; what is no file has no content."""
        one, other = (content(folder / "b.yaml") for folder in self.folders)
        (self.folders[1] / "b.yaml").write_bytes(one.text)
        self.assertNotEqual(one.digest, other.digest)
        self.assertEqual(one.digest, content(self.folders[1] / "b.yaml").digest)
        os.mkfifo(self.folders[0] / "pipe.yaml")
        self.assertRaises(OSError, content, self.folders[0] / "pipe.yaml")

    def test_leaves_the_garbage_collector_as_it_was(self) -> None:
        """It rests only meanwhile."""
        with collector_at_rest(), collector_at_rest():
            self.assertFalse(gc.isenabled())
        self.assertTrue(gc.isenabled())
