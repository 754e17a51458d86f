"""What is on disk: written as a whole or not at all, and held by one process at a time. Edge: files and locks."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import stat
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path, PurePath

from realmgw.errors import MalformedError, PlatformError

_LOOKING = os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
"""How a path that others named is opened: nothing that may be there makes us wait for somebody else."""
_MOUNTS = Path("/proc/thread-self/mountinfo")
_KERNELS_OWN = frozenset({"bpf", "cgroup", "cgroup2", "configfs", "debugfs", "efivarfs", "fusectl", "proc", "pstore",
                          "securityfs", "selinuxfs", "sysfs", "tracefs"})  # fmt: skip
"""File systems whose files are no files: what is read from them is made at that moment, may have no end, and is gone
from then on."""
_PID = 20  # octets
"""As many as a process id may have in a held file."""


class HeldError(PlatformError):
    """Another process has what only one may have."""


def write(path: Path, content: bytes) -> None:
    """Writes a file so that a crash at any moment leaves either the former one or the new one.

    The folder is made if it is missing. Only its owner may read the file.

    Args:
        path: The file.
        content: All of it.

    Raises:
        PlatformError: It can not be written; the former one is as it was.
    """
    with _beside(path, [content], 0o600) as new:
        new.replace(path)


def create(path: Path, content: Iterable[bytes]) -> None:
    """Writes a new file, as a whole or not at all; whoever looks into the folder sees it when it is complete.

    The folder is made if it is missing, see `make_folder`. The file is of its group, and whoever may read the folder
    may read the file, whatever the process's umask is: who writes it is not who reads it. Nothing secret is written so.

    Args:
        path: The file.
        content: All of it, in parts.

    Raises:
        FileExistsError: There is one; it is as it was.
        PlatformError: It can not be written; there is none.
    """
    if path.exists():  # before it is written in vain
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    is_taken = False
    with _beside(path, content, 0o666, as_folder=True) as new:
        try:
            path.hardlink_to(new)
        except FileExistsError:
            is_taken = True
        except OSError:  # a file system without links
            new.replace(path)
    if is_taken:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))


@contextlib.contextmanager
def _beside(path: Path, content: Iterable[bytes], mode: int, *, as_folder: bool = False) -> Iterator[Path]:
    """A file with this content beside another one, to be put in its place; nothing of it is left afterwards."""
    new = path.with_name(f".{path.name[:200]}.{os.urandom(4).hex()}")
    try:
        if as_folder:
            make_folder(path.parent)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), "wb") as file:
                if as_folder:
                    _share(new)
                file.writelines(content)
                file.flush()
                os.fsync(file.fileno())
            yield new
        finally:
            new.unlink(missing_ok=True)
        _sync(path.parent)
    except OSError as error:
        raise PlatformError(
            f"{path} can not be written: {error.strerror}: let {path.parent} be ours to write, and have room"
        ) from None


def make_folder(folder: Path) -> None:
    """Makes a folder for files that others read, and those above it that are missing.

    Each is of the group of the one around it, and whoever may read that may read it, whatever the process's umask is.

    Raises:
        OSError: The operating system refuses it.
    """
    for each in reversed([each for each in (folder, *folder.parents) if not each.exists()]):
        each.mkdir(exist_ok=True)
        _share(each)


def _share(new: Path) -> None:
    """Who may read something new is who may read the folder around it, if that group is ours to give."""
    around, found = new.parent.stat(), new.stat()
    readers = stat.S_IRGRP | stat.S_IROTH | (stat.S_IXGRP | stat.S_IXOTH if stat.S_ISDIR(found.st_mode) else 0)
    own = found.st_mode & (stat.S_IRWXU | stat.S_ISGID)
    with contextlib.suppress(OSError):
        if found.st_gid != around.st_gid:
            os.chown(new, -1, around.st_gid)
        new.chmod(own | around.st_mode & (readers | found.st_mode & stat.S_IWGRP))


def _sync(folder: Path) -> None:
    """Makes a change of a folder survive a loss of power, on file systems that can."""
    descriptor = os.open(folder, os.O_RDONLY)
    with contextlib.suppress(OSError):  # some file systems refuse this
        os.fsync(descriptor)
    os.close(descriptor)


def stamp(path: PurePath) -> object:
    """What is another one when a file was replaced or changed; the error's number where it can not be seen."""
    try:
        found = Path(path).stat()
    except OSError as error:
        return error.errno
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def read(path: PurePath, limit: int) -> bytes:
    """Reads a file that an operator named; whatever else may be there is refused, and not waited for.

    A network file system may still take its time, so a running gateway calls this in a thread.

    Args:
        path: The file.
        limit: How many octets it may have; no more of it is read.

    Raises:
        OSError: The operating system refuses it, or it is no regular file, or longer; `strerror` says what.
    """
    _regular(Path(path).stat())  # to open a device may do something
    descriptor = os.open(path, os.O_RDONLY | _LOOKING)
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        _regular(found)
        content: bytes | None = file.read(min(found.st_size, limit) + 1)  # as much memory is taken, however short it is
        if content and len(content) > found.st_size:  # it has grown, or does not tell its size
            content += file.read(limit + 1 - len(content)) or b""
    if content is None:  # it looks like a file, and is written by the kernel when it likes to
        raise OSError(errno.EAGAIN, "it is not a regular file: nothing can be read from it at present")
    if len(content) > limit:
        raise OSError(errno.EFBIG, f"it has more than {limit} octets")
    return content


def _regular(found: os.stat_result) -> None:
    if stat.S_ISREG(found.st_mode):
        if not found.st_blocks and _kind_of(found.st_dev) in _KERNELS_OWN:
            raise OSError(errno.EINVAL, "it is not a regular file, but something that the kernel tells")
        return
    kinds = {stat.S_IFDIR: "folder", stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket"}
    raise OSError(errno.EINVAL, f"it is not a regular file, but a {kinds.get(stat.S_IFMT(found.st_mode), 'device')}")


def _kind_of(device: int) -> str:
    """The kind of a file system by its device; empty where that can not be said."""
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        lines = _MOUNTS.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    found = (line.partition(" - ")[2] for line in lines if line.split(maxsplit=3)[2] == wanted)
    return next(found, "").partition(" ")[0]


def sealed(format_name: bytes, body: bytes) -> bytes:
    """A body with its format and its checksum before it, on a line of their own.

    Args:
        format_name: Name and version of the format; printable, without spaces.
        body: Anything.
    """
    return b"# %s sha256:%s\n%s" % (format_name, hashlib.sha256(body).hexdigest().encode(), body)


def unsealed(format_name: bytes, content: bytes) -> bytes:
    """The body of what `sealed` made.

    Raises:
        MalformedError: It is of another format, or it is not as it was written.
    """
    head, line_end, body = content.partition(b"\n")
    if not head.startswith(b"# %s " % format_name):
        raise MalformedError(f"it is not of the format {format_name.decode()}")
    if not line_end or head != sealed(format_name, body).partition(b"\n")[0]:
        raise MalformedError("it is damaged: its checksum is not that of its content")
    return body


def exposed(folder: PurePath, groups: Collection[int] = ()) -> str:
    """Who else may put files into a folder, or something in its place, in words; empty if nobody.

    A folder above it may be everybody's if it has the sticky bit, as `/tmp`: what we make there stays ours.

    Args:
        folder: The folder.
        groups: Groups that may, by their numbers, beside root's and our own.
    """
    own = Path(folder).resolve()
    for each in (Path(folder).absolute(), *Path(folder).absolute().parents, *own.parents):
        try:
            found = each.stat()
        except OSError:
            continue
        is_it = each.resolve() == own
        is_ours = found.st_gid in (0, os.getegid(), *groups)
        others = stat.S_IWOTH if is_ours else stat.S_IWOTH | stat.S_IWGRP
        if found.st_mode & others and (is_it or not found.st_mode & stat.S_ISVTX):
            who = "everybody" if found.st_mode & stat.S_IWOTH else f"group {found.st_gid}"
            return f"{who} may write in {each}"
    return ""


def stranger(folder: PurePath) -> int | None:
    """The user that a folder belongs to, if that is neither root nor we."""
    try:
        user = Path(folder).stat().st_uid
    except OSError:
        return None
    return None if user in (0, os.geteuid()) else user


def is_public(path: PurePath) -> bool:
    """Whether everybody on this machine may read a file."""
    try:
        mode = Path(path).stat().st_mode
    except OSError:
        return False
    return stat.S_ISREG(mode) and bool(mode & stat.S_IROTH)


class Hold:
    """A file that one process has at a time.

    The kernel keeps the lock (flock) and gives it up when the process ends, however that happens; the file itself means
    nothing and stays. It tells who has it. So nothing is left to be cleaned up, and a process that has the number of
    one that died is not taken for it.

    Args:
        path: The file; its folder is made if it is missing.
        what: What is held with it, for messages: `the state of /etc/realmgw/realmgw.yaml`.
    """

    def __init__(self, path: Path, what: str) -> None:
        self._path = path
        self._what = what
        self._descriptor = -1

    def take(self) -> None:
        """Hold it from now on. Never waits for anybody.

        Raises:
            HeldError: Somebody has it; the text says who.
            PlatformError: The file can not be made.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | _LOOKING, 0o600)
        except OSError as error:
            raise PlatformError(f"{self._path} can not be made: {error.strerror}") from None
        try:
            self._lock(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def _lock(self, descriptor: int) -> None:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_uid not in (0, os.geteuid()):
            raise PlatformError(f"{self._path} is not ours (user {found.st_uid} made it): remove it")
        if found.st_nlink > 1:
            raise PlatformError(f"{self._path} is another file's second name: remove it")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(descriptor, found)
            raise HeldError(f"{self._what} is in use by {holder}, which has {self._path}: stop that first") from None
        except OSError as error:
            raise PlatformError(f"{self._path} can not be locked: {error.strerror}") from None
        with contextlib.suppress(OSError):  # a full disk: who has it is then not told
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)

    def release(self) -> None:
        """Hold it no more; nothing happens where it is not held."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def _holder(descriptor: int, file: os.stat_result) -> str:
    """Who has a file, as far as can be told: its process id means nothing in another container."""
    text = os.pread(descriptor, _PID, 0).decode("ascii", "replace").strip()
    if not text.isdigit():
        return "another process"
    try:
        opened = [path.stat() for path in Path(f"/proc/{text}/fd").iterdir() if path.exists()]
    except OSError:
        return f"process {text}, perhaps of another container"
    is_it = any((each.st_dev, each.st_ino) == (file.st_dev, file.st_ino) for each in opened)
    return f"process {text}" if is_it else "a process of another container"
