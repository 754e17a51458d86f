"""How a command asks a running process: HTTP, with the standard library only. Edge: a unix socket, the clock."""

from __future__ import annotations

import http.client
import select
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath

PREFIX = "/v1/"
"""Of every path that operators ask for."""
CONTROL_SOCKET = PurePath("/run/realmgw/control.sock")
"""Where a gateway listens whose main file does not say otherwise."""
TIMEOUT = 5.0  # seconds
"""How long a process may be silent; one that is at a longer piece of work is asked meanwhile whether it answers."""
IN_LINE = 0.02  # seconds
"""How soon it is tried again where others wait to be connected as well, as many as can."""

_CREDENTIALS = struct.Struct("=iII")


def credentials(handle: socket.socket) -> tuple[int, int, int]:
    """Process, user and group at the other end of a unix socket (SO_PEERCRED)."""
    pid, uid, gid = _CREDENTIALS.unpack(handle.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return pid, uid, gid


class UnixConnection(http.client.HTTPConnection):
    """HTTP to a unix socket.

    Args:
        path: It.
        timeout: How long the other end may be silent, in seconds.
    """

    timeout: float

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """See `http.client.HTTPConnection`."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        end = time.monotonic() + self.timeout
        while True:
            try:
                return self.sock.connect(str(self._path))
            except BlockingIOError:  # others are in the line, and it is full
                if time.monotonic() > end:
                    raise TimeoutError from None
            time.sleep(IN_LINE)

    @property
    def peer(self) -> int | None:
        """The process that listens there; None without a connection."""
        return None if self.sock is None else credentials(self.sock)[0]

    def answers_within(self, seconds: float) -> bool:
        """Whether there is something to be read by then."""
        return bool(select.select([self.sock], [], [], seconds)[0])


@contextmanager
def asking(
    path: Path,
    timeout: float,
    refused: Callable[[str], Exception],
    *,
    absent: Callable[[str], Exception] | None = None,
    who: str = "gateway",
    program: str = "realmgw",
) -> Iterator[UnixConnection]:
    """A connection to a running process; it is closed at the end.

    Args:
        path: Its socket.
        timeout: How long it may be silent, in seconds.
        refused: Makes the error that is raised when nobody answers there, or not as he should; its text says why.
        absent: Makes that where nobody listens there; None: `refused` does.
        who: What the process is.
        program: What starts it, by twistd.
    """
    connection = UnixConnection(path, timeout)
    try:
        yield connection
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
        text = f"no {who} runs: nobody answers at {path} (start it: twistd {program})"
        raise (absent or refused)(text) from None
    except PermissionError:
        raise refused(f"{path}: we may not speak to the {who}: be root") from None
    except TimeoutError:
        process = "its process" if connection.peer is None else f"process {connection.peer}"
        text = f"{path}: the {who} does not answer within {TIMEOUT:g} s: {process} is stopped or busy"
        raise refused(text) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise refused(f"{path}: the {who} does not answer: {error!r}") from None
    finally:
        connection.close()
