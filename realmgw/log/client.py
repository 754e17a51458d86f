"""Where lines are handed to another process: a terminal, a pipe, the journal, or the system's logger.

None of them is waited for. A line that its reader does not take now is lost, which `Log` counts and tells afterwards:
a gateway whose log nobody reads has to serve all the same.

Edge: file descriptors, sockets, the clock.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import stat
import struct
import time
from collections.abc import Callable
from typing import Any

from realmgw.config.external import LogFormat
from realmgw.log.lines import PRIORITIES, Line

JOURNAL = "/run/systemd/journal/socket"
"""Where the journal of systemd takes entries with fields (https://systemd.io/JOURNAL_NATIVE_PROTOCOL)."""
DEV_LOG = "/dev/log"
"""Where the system's logger listens."""
DAEMON = 3 << 3
"""The facility, as RFC 3164 section 4.1.1 counts them, where a priority is added to it."""
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Stream:
    """A terminal, a pipe, or the journal behind it. A file that it was redirected to is written as files are.

    Args:
        stream: Written to.
        is_journal: Whether the journal of systemd reads it.
    """

    def __init__(self, stream: Any, *, is_journal: bool = False) -> None:
        self._stream = stream
        self._is_journal = is_journal
        self._descriptor = _descriptor(stream)
        self._is_socket = self._descriptor >= 0 and stat.S_ISSOCK(os.fstat(self._descriptor).st_mode)
        self._is_cut = False

    def write(self, line: Line, form: LogFormat) -> None:
        """See `Outlet.write`. A line of which only the beginning was taken is ended before the next one."""
        text = line.json() if form is LogFormat.JSON else line.journal() if self._is_journal else line.plain()
        if self._descriptor < 0:
            self._stream.write(text)
            self._stream.flush()
            return
        rest = text.encode(getattr(self._stream, "encoding", None) or "utf-8", "replace")
        rest = b"\n" + rest if self._is_cut else rest
        length = len(rest)
        try:
            while rest:
                rest = rest[self._put(rest) :]
        finally:
            self._is_cut = 0 < len(rest) < length or (self._is_cut and len(rest) == length)

    def _put(self, octets: bytes) -> int:
        """How many of these were taken, without waiting for anybody.

        Raises:
            BlockingIOError: None, for now.
        """
        if self._is_socket:  # whose flags are not ours alone to change
            with socket.socket(fileno=os.dup(self._descriptor)) as there:
                return there.send(octets, socket.MSG_DONTWAIT)
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        if not poll.poll(0):
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return os.write(self._descriptor, octets[: select.PIPE_BUF])  # so much a pipe that has room takes at once


def _descriptor(stream: Any) -> int:
    """Where a stream leads; -1: to nothing of the system's. A terminal is opened anew, since its flags are shared."""
    try:
        own = int(stream.fileno())
    except (AttributeError, OSError, ValueError):
        return -1
    if os.isatty(own):
        with contextlib.suppress(OSError):  # of another user: then it is looked at before each piece, as a pipe is
            return os.open(os.ttyname(own), os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    return own


class Journal:
    """The journal of systemd, which reads our standard output as well, and is told there what it does not take here.

    Args:
        identifier: What entries are by.
        otherwise: That output. It has what is to be JSON, and what is no entry: too long, or the journal is not there.
        path: Where the journal listens.
    """

    def __init__(self, identifier: str, otherwise: Stream, path: str = JOURNAL) -> None:
        self._identifier = identifier
        self._otherwise = otherwise
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def write(self, line: Line, form: LogFormat) -> None:
        """See `Outlet.write`."""
        if form is LogFormat.TEXT:
            fields = {**line.fields(), "SYSLOG_IDENTIFIER": self._identifier}
            try:
                self._socket.sendto(b"".join(_field(*each) for each in fields.items()), self._path)
            except BlockingIOError:
                raise
            except OSError:
                pass
            else:
                return
        self._otherwise.write(line, form)


def _field(name: str, value: str) -> bytes:
    """A field; one of more than a line says how long it is."""
    octets = value.encode(errors="replace")
    if b"\n" in octets:
        return name.encode() + b"\n" + struct.pack("<Q", len(octets)) + octets + b"\n"
    return name.encode() + b"=" + octets + b"\n"


class Syslog:
    """The system's logger, by the protocol that is spoken at `DEV_LOG`: RFC 3164 without a host's name.

    The C library's `syslog` waits until the logger has room. Here the logger may stop, go, and come back.

    Args:
        prefix: What lines begin with, before the process's number.
        path: Where the logger listens.
        clock: The present, in seconds since 1970.

    Attributes:
        prefix: The same.
    """

    def __init__(self, prefix: str, path: str = DEV_LOG, clock: Callable[[], float] = time.time) -> None:
        self.prefix = prefix
        self._path = path
        self._clock = clock
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def write(self, line: Line, form: LogFormat) -> None:
        """See `Outlet.write`; each line of a traceback is a message of its own."""
        text = line.json() if form is LogFormat.JSON else line.plain().partition(" ")[2].lstrip()
        now = time.localtime(self._clock())
        when = f"{_MONTHS[now.tm_mon - 1]} {now.tm_mday:2} {now.tm_hour:02}:{now.tm_min:02}:{now.tm_sec:02}"
        begin = f"<{DAEMON | PRIORITIES[line.level]}>{when} {self.prefix}[{os.getpid()}]: "
        for each in text.rstrip("\n").split("\n"):
            self._socket.sendto((begin + each).encode(errors="replace"), self._path)
