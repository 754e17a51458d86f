"""What is written to disk: as a whole or not at all, and known by its checksum."""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path
from tempfile import NamedTemporaryFile

from realmgw.errors import MalformedError, PlatformError

CHECKSUM = 32  # octets
"""Of SHA-256."""


def write(path: Path, content: bytes) -> None:
    """Writes a file so that a crash at any moment leaves either the former one or the new one.

    The folder is made if it is missing. Only its owner may read the file.

    Args:
        path: The file.
        content: All of it.

    Raises:
        PlatformError: It can not be written; the former one is as it was.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            try:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
                Path(file.name).replace(path)
            except OSError:
                Path(file.name).unlink(missing_ok=True)
                raise
        _sync(path.parent)
    except OSError as error:
        raise PlatformError(
            f"{path} can not be written: {error.strerror}: let {path.parent} be ours to write"
        ) from None


def _sync(folder: Path) -> None:
    """Makes a change of a folder survive a loss of power, on file systems that can."""
    descriptor = os.open(folder, os.O_RDONLY)
    with contextlib.suppress(OSError):  # some file systems refuse this
        os.fsync(descriptor)
    os.close(descriptor)


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
