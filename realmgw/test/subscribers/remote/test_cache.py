"""Tests for `realmgw.subscribers.remote.cache`."""

from __future__ import annotations

import errno
from io import BytesIO
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.errors import MalformedError
from realmgw.subscribers.remote.cache import MAX_CHANGES, Cache

BLOCKS = [b"one\ntwo\n", b"three\n", b"", b"four"]


class CacheTests(SynchronousTestCase):
    """The file."""

    def setUp(self) -> None:
        """None yet."""
        self.path = Path(self.mktemp())
        self.synced: list[int] = []

    def cache(self) -> Cache:
        """As after a start."""
        return Cache(self.path, self.synced.append)

    def filled(self, blocks: list[bytes]) -> Cache:
        """A cache with these blocks."""
        cache = self.cache()
        cache.replace(BytesIO(blocks[0]))
        for block in blocks[1:]:
            cache.append(BytesIO(block))
        return cache

    def read(self, cache: Cache) -> tuple[list[bytes], bool]:
        """The good blocks, and whether that is all there is."""
        good: list[bytes] = []
        try:
            for lines in cache.blocks():
                good.append(b"".join(lines))  # noqa: PERF401 - those before a damaged one count
        except MalformedError:
            return good, False
        return good, True

    def test_what_was_written_is_read(self) -> None:
        """Block by block; each was made sure of."""
        self.filled(BLOCKS)
        self.assertEqual(self.read(self.cache()), (BLOCKS, True))
        self.assertEqual(len(self.synced), len(BLOCKS))

    def test_no_file_is_no_problem(self) -> None:
        """There are no blocks."""
        self.assertEqual(self.read(self.cache()), ([], True))

    @given(st.integers(0, 1000), st.integers(1, 255))
    def test_a_damaged_block_does_not_count(self, place: int, change: int) -> None:
        """Nor do those after it; the ones before do, and the next change is written over it."""
        self.filled(BLOCKS)
        text = bytearray(self.path.read_bytes())
        text[place % len(text)] ^= change
        self.path.write_bytes(text)
        cache = self.cache()
        good, is_all = self.read(cache)
        self.assertEqual((good, is_all), (BLOCKS[: len(good)], False))
        if good:
            cache.append(BytesIO(b"five"))
            self.assertEqual(self.read(self.cache()), ([*good, b"five"], True))

    @given(st.integers(0, 1000))
    def test_a_block_that_was_not_finished_does_not_count(self, length: int) -> None:
        """As after a power failure."""
        self.filled(BLOCKS)
        text = self.path.read_bytes()
        self.path.write_bytes(text[: length % len(text)])
        good, _ = self.read(self.cache())
        self.assertEqual(good, BLOCKS[: len(good)])

    def test_many_changes_make_it_full(self) -> None:
        """Until it is written anew; also for who reads it."""
        cache = self.filled([b"x", b"y" * MAX_CHANGES])
        self.assertTrue(cache.is_full)
        again = self.cache()
        self.read(again)
        self.assertTrue(again.is_full)
        cache.replace(BytesIO(b"z"))
        self.assertFalse(cache.is_full)

    def test_a_full_disk_leaves_what_was_there(self) -> None:
        """And nothing beside it: the room that is left is other people's."""
        self.filled([b"x"])

        def full(_descriptor: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        cache = Cache(self.path, full)
        self.assertEqual(self.read(cache), ([b"x"], True))
        for write in (cache.replace, cache.append):
            self.assertRaises(OSError, write, BytesIO(b"y"))
            self.assertEqual([path.name for path in self.path.parent.glob(f"{self.path.name}*")], [self.path.name])
            self.assertEqual(self.read(self.cache()), ([b"x"], True))

    def test_a_file_that_can_not_be_replaced_stays(self) -> None:
        """And who wrote it is told."""
        cache = self.filled([b"x"])
        (self.path.parent / (self.path.name + ".new")).mkdir()
        self.assertRaises(OSError, cache.replace, BytesIO(b"y"))
        self.assertEqual(self.read(self.cache()), ([b"x"], True))
