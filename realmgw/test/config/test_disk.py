"""Tests for `realmgw.config.disk`."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config import disk
from realmgw.errors import MalformedError, PlatformError


class WriteTests(SynchronousTestCase):
    """`write` replaces files as a whole."""

    def test_makes_folders_and_leaves_nothing_else_behind(self) -> None:
        """And only the owner may read it."""
        path = Path(self.mktemp()) / "a" / "b"
        disk.write(path, b"one")
        disk.write(path, b"two")
        self.assertEqual((path.read_bytes(), path.stat().st_mode & 0o777), (b"two", 0o600))
        self.assertEqual(list(path.parent.iterdir()), [path])

    def test_what_can_not_be_written_leaves_nothing_behind(self) -> None:
        """A folder is in its place."""
        path = Path(self.mktemp())
        path.mkdir()
        error = self.assertRaises(PlatformError, disk.write, path, b"one")
        self.assertIn(f"{path} can not be written: Is a directory", str(error))
        self.assertEqual([each.name for each in path.parent.iterdir()], [path.name])


class SealTests(SynchronousTestCase):
    """`sealed` and `unsealed`."""

    @given(st.binary())
    def test_what_is_sealed_can_be_unsealed(self, body: bytes) -> None:
        """Whatever it is."""
        self.assertEqual(disk.unsealed(b"x-1", disk.sealed(b"x-1", body)), body)

    @given(st.binary(max_size=40), st.data())
    def test_a_bit_that_is_not_as_it_was_is_found(self, body: bytes, data: st.DataObject) -> None:
        """So is what is missing or was added."""
        whole = bytearray(disk.sealed(b"x-1", body))
        whole[data.draw(st.integers(0, len(whole) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        self.assertRaises(MalformedError, disk.unsealed, b"x-1", bytes(whole))
        self.assertRaises(MalformedError, disk.unsealed, b"x-1", disk.sealed(b"x-1", body) + b"x")
        self.assertRaises(MalformedError, disk.unsealed, b"x-1", disk.sealed(b"x-1", body)[:-1])
