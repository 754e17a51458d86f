"""Where captured packets go: a file of pcapng, or lines. Edge: files, the terminal, the clock."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from realmgw import __version__
from realmgw.control.command import passing
from realmgw.control.command.asking import print_lines
from realmgw.control.commands import CommandError, ExitStatus
from realmgw.datapath.capture import pcapng
from realmgw.datapath.capture.frames import Seen
from realmgw.datapath.capture.port import LONGEST, Frame, Interface
from realmgw.datapath.tracing.packets import described

STANDARD_OUTPUT = Path("-")
"""What a file is called that is none."""

Write = Callable[[Frame, Seen, str], int]
"""Writes a packet with its comment; returns how many octets that were."""


class File:
    """A file of pcapng, whole after each packet.

    Args:
        path: A new file; or `STANDARD_OUTPUT`.
        ports: Whose packets are written.
        clock: The present, in nanoseconds since 1970.

    Raises:
        CommandError: It can not be written.
    """

    def __init__(self, path: Path, ports: Sequence[Interface], clock: Callable[[], int] = time.time_ns) -> None:
        self._path, self._ports, self._clock = path, ports, clock
        self._began = clock()
        self._accepted, self._whole = [0] * len(ports), 0
        if path == STANDARD_OUTPUT and sys.stdout.isatty():
            raise CommandError(ExitStatus.USAGE, "capture: a terminal can not show pcapng: write -w FILE, or a pipe")
        with self._refusals():
            self._file = sys.stdout.buffer if path == STANDARD_OUTPUT else _created(path)
        self._put(pcapng.section(f"realmgw {__version__}"))
        for each in ports:
            self._put(pcapng.interface(each.name, each.link, LONGEST))

    def write(self, frame: Frame, _seen: Seen, comment: str) -> int:
        """A packet; see `Write`."""
        self._accepted[frame.interface] += 1
        return self._put(pcapng.packet(frame.interface, frame.time, frame.octets, frame.length, comment))

    def close(self) -> None:
        """With what became of each interface's packets."""
        now = self._clock()
        try:
            for number, (each, accepted) in enumerate(zip(self._ports, self._accepted, strict=True)):
                self._put(pcapng.statistics(number, self._began, now, each.received, each.dropped, accepted))
        finally:
            if self._path != STANDARD_OUTPUT:
                self._file.close()

    def _put(self, octets: bytes) -> int:
        """Write a block: all of it, or where there is no room for that, none."""
        left = memoryview(octets)
        with self._refusals():
            try:
                while left:
                    left = left[self._file.write(left) :]
                self._file.flush()
            except OSError:
                if self._path != STANDARD_OUTPUT:
                    self._file.truncate(self._whole)
                    self._file.seek(self._whole)
                raise
        self._whole += len(octets)
        return len(octets)

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:  # whoever reads it has seen enough
            raise
        except OSError as error:
            raise CommandError(ExitStatus.FAILED, f"{self._path}: {error.strerror}") from None


def _created(path: Path) -> BinaryIO:
    """A new file that nobody else can read: packets are nobody else's business. Nothing waits in memory."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb", buffering=0)


def lines(ports: Sequence[Interface], *, as_json: bool) -> Write:
    """Prints packets, each in a line."""

    def write(frame: Frame, seen: Seen, comment: str) -> int:
        value = {"at": frame.time / 1e9, "interface": ports[frame.interface].name, **described(seen.headers)}
        when = datetime.fromtimestamp(value["at"]).astimezone().time().isoformat("microseconds")
        said = f"{when} {value['interface']} {passing.headers(value)}  # {comment}"
        text = json.dumps({**value, "octets": frame.length, "comment": comment}) if as_json else said
        print_lines([text])
        sys.stdout.flush()
        return len(text) + 1

    return write
