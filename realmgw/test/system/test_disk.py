"""Tests for `realmgw.system.disk`."""

from __future__ import annotations

import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.errors import MalformedError, PlatformError
from realmgw.system import disk
from realmgw.test.checkout import PACKAGE


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


class CreateTests(SynchronousTestCase):
    """`create` writes a new file as a whole or not at all."""

    def setUp(self) -> None:
        """A path in a folder that is not there yet."""
        self.path = Path(self.mktemp()) / "a" / "b.yaml"

    def test_makes_folder_and_file(self) -> None:
        """And nothing beside it."""
        disk.create(self.path, [b"one", b"two"])
        self.assertEqual((self.path.read_bytes(), list(self.path.parent.iterdir())), (b"onetwo", [self.path]))

    def test_who_may_read_a_folder_may_read_what_is_made_in_it(self) -> None:
        """Whatever the umask is; who may write in it may write, if the umask has nothing against it."""
        around = self.path.parents[1]
        around.mkdir()
        for umask, mode, folder, file in (
            (0o077, 0o755, 0o755, 0o644),
            (0o077, 0o2750, 0o2750, 0o640),
            (0o022, 0o700, 0o700, 0o600),
            (0o022, 0o770, 0o750, 0o640),
            (0o002, 0o2770, 0o2770, 0o660),
            (0o022, 0o1777, 0o755, 0o644),
        ):
            around.chmod(mode)
            former = os.umask(umask)
            try:
                disk.create(self.path, [b"one"])
            finally:
                os.umask(former)
            found = [each.stat().st_mode & 0o7777 for each in (self.path.parent, self.path)]
            self.assertEqual(found, [folder, file], oct(mode))
            shutil.rmtree(self.path.parent)

    def test_what_is_made_in_a_folder_is_of_its_group(self) -> None:
        """Where that is ours to give; else only the umask says who may read it, and it is made all the same."""
        around = self.path.parents[1]
        around.mkdir(mode=0o750)
        around.chmod(0o750)
        if os.geteuid() == 0:
            os.chown(around, -1, 12345)
        disk.create(self.path, [b"one"])
        self.assertEqual({each.stat().st_gid for each in (self.path.parent, self.path)}, {around.stat().st_gid})
        shutil.rmtree(self.path.parent)
        self.patch(os, "chown", Mock(side_effect=PermissionError))
        former = os.umask(0o077)
        try:
            disk.create(self.path, [b"one"])
        finally:
            os.umask(former)
        expected = 0o600 if os.geteuid() == 0 else 0o640
        self.assertEqual((self.path.read_bytes(), self.path.stat().st_mode & 0o777), (b"one", expected))

    def test_never_touches_a_file_that_is_there(self) -> None:
        """Nor one that comes while it is written."""

        def content() -> Iterator[bytes]:
            yield b"ours"
            self.path.write_bytes(b"theirs")

        for _ in range(2):
            self.assertRaises(FileExistsError, disk.create, self.path, content())
            self.assertEqual((self.path.read_bytes(), list(self.path.parent.iterdir())), (b"theirs", [self.path]))

    def test_a_disk_without_room_is_left_as_it_was(self) -> None:
        """No empty file, no part of one, and a former one stays."""
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        for function, content in ((disk.create, [bytes(9000)]), (disk.write, bytes(9000))):
            if function is disk.write:
                disk.write(self.path, b"former")
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
            try:
                error = self.assertRaises(PlatformError, function, self.path, content)
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            self.assertIn("File too large", str(error))
            left = [each.read_bytes() for each in self.path.parent.iterdir()]
            self.assertEqual(left, [b"former"] if function is disk.write else [])


class ReadTests(SynchronousTestCase):
    """`read` takes regular files, and nothing makes it wait."""

    def test_reads_a_file_up_to_its_limit(self) -> None:
        """By a link, too; a longer one is refused."""
        path = Path(self.mktemp())
        path.write_bytes(b"12345")
        link = path.with_name(f"{path.name}.link")
        link.symlink_to(path.absolute())
        self.assertEqual((disk.read(path, 5), disk.read(link, 5)), (b"12345", b"12345"))
        self.assertIn("more than 4 octets", str(self.assertRaises(OSError, disk.read, path, 4).strerror))

    def test_takes_no_more_memory_than_the_file_has(self) -> None:
        """However long it might be."""
        path = Path(self.mktemp())
        path.write_bytes(b"12345")
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        self.assertEqual(disk.read(path, 2**30), b"12345")
        self.assertLess(tracemalloc.get_traced_memory()[1], 2**20)
        self.assertIn("more than 4 octets", str(self.assertRaises(OSError, disk.read, path, 4).strerror))

    def test_whatever_else_is_there_is_refused_at_once(self) -> None:
        """A pipe that nobody writes to, a device that never ends, a folder, a socket; links to them, too."""
        folder = Path(tempfile.mkdtemp(prefix="realmgw-"))  # a socket's path has at most 107 octets
        os.mkfifo(folder / "pipe")
        (folder / "link").symlink_to("pipe")
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(folder / "socket"))
        found = {}
        for path in (folder / "pipe", folder / "link", folder / "socket", folder, Path("/dev/zero")):
            found[path.name] = str(self.assertRaises(OSError, disk.read, path, 100).strerror).rpartition(" ")[2]
        self.assertEqual(list(found.values()), ["pipe", "pipe", "socket", "folder", "device"])

    def test_what_only_looks_like_a_file_is_refused(self) -> None:
        """The kernel's messages: a file by its kind, and who reads takes them from others; nothing is read of it."""
        for name in ("/proc/kmsg", "/proc/version", "/sys/kernel/uevent_seqnum"):
            error = self.assertRaises(OSError, disk.read, Path(name), 1000)
            self.assertEqual(error.strerror, "it is not a regular file, but something that the kernel tells")

    def test_an_empty_file_is_a_file(self) -> None:
        """Although it takes no more room than one that the kernel tells."""
        path = Path(self.mktemp())
        path.touch()
        self.assertEqual(disk.read(path, 10), b"")

    def test_what_the_system_refuses_is_its_error(self) -> None:
        """Here: there is none."""
        self.assertRaises(FileNotFoundError, disk.read, Path(self.mktemp()), 100)


HOLDING = """
import os, sys
from pathlib import Path
from realmgw.system.disk import Hold
hold = Hold(Path(sys.argv[1]), "it")
hold.take()
print(os.getpid(), flush=True)
sys.stdin.read()
"""


class HoldTests(SynchronousTestCase):
    """`Hold` is had by one process at a time."""

    def setUp(self) -> None:
        """A path in a folder that is not there yet."""
        self.path = Path(self.mktemp()) / "a" / "held"

    def holder(self) -> subprocess.Popen[bytes]:
        """Another process that has it."""
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDING, str(self.path.absolute())],
            cwd=PACKAGE.parent,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        assert process.stdout is not None
        process.stdout.readline()
        return process

    def test_second_one_is_refused_and_told_who_has_it(self) -> None:
        """As often as it asks; what is held is in the message."""
        process = self.holder()
        for _ in range(5):
            error = self.assertRaises(disk.HeldError, disk.Hold(self.path, "the thing").take)
        self.assertEqual(
            str(error), f"the thing is in use by process {process.pid}, which has {self.path}: stop that first"
        )

    def test_ends_with_the_process_however_that_ends(self) -> None:
        """The number in the file may be that of a living process: our own, in a container that was started again."""
        process = self.holder()
        process.kill()
        process.wait()
        self.path.write_text(f"{os.getpid()}\n")
        hold = disk.Hold(self.path, "it")
        hold.take()
        hold.release()
        hold.release()

    def test_may_be_taken_again_after_it_was_released(self) -> None:
        """By the same process, too, which is refused meanwhile."""
        first, second = disk.Hold(self.path, "it"), disk.Hold(self.path, "it")
        first.take()
        self.assertIn(f"process {os.getpid()}", str(self.assertRaises(disk.HeldError, second.take)))
        first.release()
        second.take()
        second.release()

    def test_number_that_is_not_the_holders_is_not_told(self) -> None:
        """It comes from another container, where numbers mean something else."""
        self.holder()
        self.path.write_text("1\n")
        self.assertIn("another container", str(self.assertRaises(disk.HeldError, disk.Hold(self.path, "it").take)))

    def test_what_somebody_else_has_put_there_is_not_followed(self) -> None:
        """A link, a pipe or a file of another user: a stranger could hold it."""
        self.path.parent.mkdir(parents=True)
        self.path.symlink_to("elsewhere")
        self.assertIn("can not be made", str(self.assertRaises(PlatformError, disk.Hold(self.path, "it").take)))
        self.path.unlink()
        os.mkfifo(self.path)
        self.assertIn("not ours", str(self.assertRaises(PlatformError, disk.Hold(self.path, "it").take)))
        self.path.unlink()
        self.assertFalse((self.path.parent / "elsewhere").exists())

    def test_file_of_another_user_is_refused(self) -> None:
        """He may have it locked already."""
        if os.geteuid() != 0:
            self.skipTest("root only")
        self.path.parent.mkdir(parents=True)
        self.path.touch()
        os.chown(self.path, 12345, 12345)
        self.assertIn("user 12345", str(self.assertRaises(PlatformError, disk.Hold(self.path, "it").take)))

    def test_second_name_of_another_file_is_refused(self) -> None:
        """Who may read that could hold it, and it would be written over."""
        self.path.parent.mkdir(parents=True)
        (self.path.parent / "other").write_text("important")
        self.path.hardlink_to(self.path.parent / "other")
        self.assertIn("second name", str(self.assertRaises(PlatformError, disk.Hold(self.path, "it").take)))
        self.assertEqual((self.path.parent / "other").read_text(), "important")

    def test_folder_that_can_not_be_made_is_told(self) -> None:
        """A file is in its place."""
        self.path.parent.parent.write_text("")
        self.assertIn("can not be made", str(self.assertRaises(PlatformError, disk.Hold(self.path, "it").take)))


class ExposedTests(SynchronousTestCase):
    """`exposed` and `stranger`: who else may put something into a folder."""

    def setUp(self) -> None:
        """A folder in another one."""
        self.folder = Path(self.mktemp()).absolute() / "above" / "own"
        self.folder.mkdir(parents=True, mode=0o755)

    def test_own_folder_is_nobody_elses(self) -> None:
        """Whether it is there or is to be made."""
        for folder in (self.folder, self.folder / "new" / "newer"):
            self.assertEqual((disk.exposed(folder), disk.stranger(folder)), ("", None))

    def test_folder_that_others_may_write_in(self) -> None:
        """With the sticky bit they can still put a file where we want one; above it, that suffices."""
        for mode, own, above in ((0o777, True, True), (0o1777, True, False), (0o755, False, False)):
            self.folder.chmod(mode)
            self.assertEqual(bool(disk.exposed(self.folder)), own)
            self.folder.chmod(0o755)
            self.folder.parent.chmod(mode)
            for each in (self.folder, self.folder / "new"):
                self.assertEqual(bool(disk.exposed(each)), above)
            self.folder.parent.chmod(0o755)

    def test_link_to_a_folder_is_looked_through(self) -> None:
        """Both where it stands and where it leads to count."""
        link = Path(self.mktemp()).absolute()
        link.symlink_to(self.folder)
        self.assertEqual(disk.exposed(link), "")
        self.folder.parent.chmod(0o777)
        self.assertEqual(disk.exposed(link), f"everybody may write in {self.folder.parent}")

    def test_folder_of_another_group_or_user(self) -> None:
        """Who may use the socket may be in its folder's group."""
        if os.geteuid() != 0:
            self.skipTest("root only")
        os.chown(self.folder, 12345, 54321)
        self.folder.chmod(0o775)
        self.assertEqual(disk.stranger(self.folder), 12345)
        self.assertEqual(disk.exposed(self.folder), f"group 54321 may write in {self.folder}")
        self.assertEqual(disk.exposed(self.folder, (54321,)), "")


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
