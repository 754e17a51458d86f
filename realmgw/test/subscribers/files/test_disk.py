"""Tests for `realmgw.subscribers.files.disk`."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from realmgw.errors import PlatformError
from realmgw.subscribers.files.disk import Good, LastGood
from realmgw.subscribers.files.listing import content


class LastGoodTests(SynchronousTestCase):
    """Copies of the files that are in force."""

    def setUp(self) -> None:
        """Two files, of which nothing is kept yet."""
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.path = self.folder / "state" / "kept.sqlite"
        self.files = [self.folder / name for name in ("a.yaml", "b.yaml")]
        for path in self.files:
            path.write_text(f"# {path.name}\n" * 1000)
        self.kept = LastGood(self.path)

    def force(self) -> dict[str, Good]:
        """What is in force when everything is."""
        return {str(path): Good(content(path).digest, 7) for path in self.files}

    def test_keeps_what_is_in_force(self) -> None:
        """And forgets what is not any more."""
        force = self.force()
        self.assertEqual((self.kept.sources(), self.kept.text(str(self.files[0]))), ({}, None))
        self.assertEqual(self.kept.keep(force), 0)
        again = LastGood(self.path)
        self.assertEqual(again.sources(), force)
        self.assertEqual(again.text(str(self.files[0])), self.files[0].read_bytes())
        del force[str(self.files[0])]
        again.keep(force)
        self.assertEqual((again.sources(), again.text(str(self.files[0]))), (force, None))

    def test_a_file_that_says_something_else_by_now_is_not_copied(self) -> None:
        """What was in force before stays, until it is in force itself."""
        force = self.force()
        self.kept.keep(force)
        self.files[0].write_text("# new\n")
        self.files[1].write_text("# newer\n")
        new = {**self.force(), str(self.files[1]): Good(b"what was read before", 3)}
        self.assertEqual(self.kept.keep(new), 1)
        self.assertEqual(self.kept.text(str(self.files[0])), b"# new\n")
        self.assertEqual(self.kept.text(str(self.files[1])), b"# b.yaml\n" * 1000)

    def test_a_damaged_database_is_begun_anew(self) -> None:
        """It is told once."""
        self.kept.keep(self.force())
        self.path.write_bytes(b"no database at all, but long enough to be looked at" * 99)
        self.assertIsNone(self.kept.text(str(self.files[0])))
        self.path.write_bytes(b"no database at all, but long enough to be looked at" * 99)
        self.assertRaises(PlatformError, self.kept.sources)
        self.assertEqual(self.kept.keep(self.force()), 0)
        self.assertEqual(len(self.kept.sources()), 2)

    def test_a_folder_that_can_not_be_written_is_told(self) -> None:
        """Here: a file is in its place."""
        self.path.parent.write_text("")
        self.assertIn(str(self.path), str(self.assertRaises(PlatformError, self.kept.keep, self.force())))
