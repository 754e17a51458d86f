"""Tests for `realmgw.control.permissions`."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from realmgw.control.permissions import unwritable


class UnwritableTests(SynchronousTestCase):
    """`unwritable`: whether files can be made in a folder."""

    def setUp(self) -> None:
        """A folder."""
        self.folder = Path(self.mktemp())
        self.folder.mkdir()

    def test_nothing_is_left_of_the_trial(self) -> None:
        """Of a folder that is there, and of one that is not."""
        self.assertEqual([unwritable(self.folder), unwritable(self.folder / "new" / "newer")], ["", ""])
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_what_is_no_folder_is_told(self) -> None:
        """Wherever on the way it is."""
        file = self.folder / "file"
        file.touch()
        self.assertEqual(unwritable(file / "state"), f"{file.absolute()} is no folder")

    def test_folders_of_the_kernel_take_no_files(self) -> None:
        """Although root may do everything by their permissions."""
        for folder in (Path("/proc/nope"), Path("/proc")):
            self.assertIn("/proc", unwritable(folder))
