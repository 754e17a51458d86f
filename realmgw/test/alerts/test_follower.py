"""Tests for `realmgw.alerts.follower`."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from realmgw.alerts.follower import CHUNK, Follower


class FollowerTests(SynchronousTestCase):
    """What is read of a file."""

    def setUp(self) -> None:
        """A file with something old in it."""
        self.path = Path(self.mktemp())
        self.path.write_bytes(b"old\n")
        self.follower = Follower(self.path)
        self.addCleanup(self.follower.close)

    def append(self, data: bytes) -> None:
        """Somebody writes."""
        with self.path.open("ab") as file:
            file.write(data)

    def read(self) -> list[bytes | None]:
        """All that is there."""
        while self.follower.read():
            pass
        return list(self.follower.take())

    def test_what_is_written_from_the_start_on(self) -> None:
        """Some at a time."""
        self.assertEqual(self.read(), [])
        self.append(b"new\n")
        self.assertEqual(self.read(), [b"new\n"])
        self.append(b"x" * (CHUNK + 1))
        self.assertEqual([len(each or b"") for each in self.read()], [CHUNK, 1])

    def test_a_file_that_comes_later_is_read_from_its_beginning(self) -> None:
        """It is not there yet, or its folder is not."""
        self.path.unlink()
        self.assertEqual(self.read(), [])
        self.append(b"first\n")
        self.assertEqual(self.read(), [b"first\n"])

    def test_what_could_not_be_read_at_first_is_old(self) -> None:
        """Whoever runs the gateway may read it later; it has the alerts of weeks."""
        self.append(b"old\n")
        self.path.chmod(0)
        os.seteuid(65534)
        try:
            self.assertRaises(PermissionError, self.follower.read)
        finally:
            os.seteuid(0)
        self.path.chmod(0o640)
        self.assertEqual(self.read(), [])
        self.append(b"new\n")
        self.assertEqual(self.read(), [b"new\n"])

    def test_another_file_in_its_place(self) -> None:
        """The former one is read to its end, also what is written to it until the next one is begun."""
        self.read()
        former = self.path.open("ab", buffering=0)
        self.addCleanup(former.close)
        former.write(b"one\n")
        self.path.rename(f"{self.path}.1")
        self.assertEqual(self.read(), [b"one\n"])
        self.path.touch()
        former.write(b"two\n")
        self.assertEqual(self.read(), [b"two\n"])
        former.write(b"thr")
        self.append(b"four\n")
        self.assertEqual(self.read(), [b"thr", None, b"four\n"])

    def test_a_file_that_is_cut_off(self) -> None:
        """It goes on at its beginning (copytruncate of logrotate)."""
        self.read()
        self.append(b"one\n" * 10)
        self.read()
        os.truncate(self.path, 0)
        self.append(b"two\n")
        self.assertEqual(self.read(), [None, b"two\n"])

    def test_what_is_no_file_is_refused(self) -> None:
        """A pipe would wait for ever, and a folder can not be read."""
        self.path.unlink()
        os.mkfifo(self.path)
        self.assertRaises(OSError, self.follower.read)
        self.path.unlink()
        self.path.mkdir()
        self.assertRaises(OSError, self.follower.read)
