"""Where the log leaves the process: a file that is watched and bounded, or another process (`client`).

`twistd` says where to (`--logfile`, `--syslog`, `--nodaemon`); a logger of the operator's own (`--logger`) is left in
its place.

Edge: files, standard output, the clock.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Protocol

from twisted.logger import ILogObserver, LogLevelFilterPredicate, PredicateResult, formatEvent
from twisted.logger import LogLevel as Level
from twisted.python.components import Componentized
from zope.interface import implementer

from realmgw.config.external import LogFormat, Logging
from realmgw.errors import PlatformError
from realmgw.log import events, levels
from realmgw.log.client import Journal, Stream, Syslog
from realmgw.log.levels import OURS
from realmgw.log.lines import Line, one_line, part
from realmgw.log.storms import Storms, Untold
from realmgw.system.rotating import RotatingFile

DEFAULT = "twistd.log"
"""Where a daemon's log is, when the command line does not say."""
TWISTD = "twisted"
"""What twistd's lines are by, when its command line does not say."""
CALM = 3
"""So often the same text is written within a minute, if it is no cause for concern."""

Event = dict[str, Any]


class Outlet(Protocol):
    """Where lines go."""

    def write(self, line: Line, form: LogFormat) -> None:
        """Write a line.

        Raises:
            OSError: It could not be written.
        """


class LogFile:
    """A file; see `RotatingFile`.

    Args:
        path: It; the folder must be there.
        settings: How long it may become, and how many former ones are kept.

    Raises:
        PlatformError: It can not be opened, or is no file; one line says what to do.
    """

    def __init__(self, path: Path, settings: Logging) -> None:
        self._file = RotatingFile(path, settings, "the log", "write another --logfile")

    def configure(self, settings: Logging) -> None:
        """From now on, these are the bounds."""
        self._file.bounds = settings

    def write(self, line: Line, form: LogFormat) -> None:
        """See `Outlet.write`; that it can not be moved aside is told once."""
        before = self._file.stuck
        self._file.write(_octets(line, form))
        if (stuck := self._file.stuck) and not before:
            told = Line(line.time, Level.warn.name, "log", stuck, event=events.STUCK)
            self._file.write(_octets(told, form))


def _octets(line: Line, form: LogFormat) -> bytes:
    return (line.json() if form is LogFormat.JSON else line.plain()).encode(errors="replace")


@implementer(ILogObserver)
class Log:
    """What twisted.logger hands every event to. It can be called from any thread, and never raises.

    Args:
        twistd: Its parsed command line; None in a test.
        monotonic: The present, in seconds.

    Attributes:
        written: How many lines were written.
        lost: How many could not be.
    """

    def __init__(
        self, twistd: Mapping[str, Any] | None = None, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._twistd = twistd
        self._monotonic = monotonic
        self._lock = threading.RLock()
        self._storms = Storms()
        self._outlet: Outlet | None = None
        self._predicate = LogLevelFilterPredicate()
        self._missing = 0
        self.written = 0
        self.lost = 0
        self.configure(Logging())

    def configure(self, settings: Logging) -> None:
        """From now on, these are the settings."""
        predicate = LogLevelFilterPredicate(defaultLogLevel=Level.levelWithName(settings.level.value))
        for namespace, level in levels.levels(settings).items():
            predicate.setLogLevelForNamespace(namespace, Level.levelWithName(level.value))
        with self._lock:
            self._settings = settings
            self._predicate = predicate
            if isinstance(self._outlet, LogFile):
                self._outlet.configure(settings)

    def join(self, application: object) -> None:
        """Be what an application logs to, unless twistd's command line names a logger.

        Raises:
            SystemExit: The log can not be opened; the message is one line that says what to do.
        """
        if isinstance(application, Componentized) and self._twistd is not None and not self._twistd.get("logger"):
            try:
                self.write_to(outlet(self._twistd, self._settings))
            except PlatformError as error:
                raise SystemExit(f"realmgw: {error}") from error
            application.setComponent(ILogObserver, self)  # type: ignore[no-untyped-call]  # Twisted does not say

    def write_to(self, place: Outlet) -> None:
        """From now on, lines go there."""
        self._outlet = place

    def __call__(self, event: Event) -> None:
        """Write an event, or count it."""
        if self._predicate(event) is PredicateResult.no:
            return
        kind, now = _kind(event), self._monotonic()
        kept = {key: value for key, value in event.items() if key != "log_failure"}  # which holds on to its frames
        with self._lock:
            if event["log_level"] is Level.debug:
                self._write(_line(event))
            elif not self._storms.is_beyond(kind, kept, now=now):
                line = _line(event)
                times = CALM if event["log_level"] is Level.info else 1
                if not self._storms.is_again(kind, kept, line.text, now=now, times=times):
                    self._write(line)

    def tell_storms(self, *, every: bool = False) -> None:
        """Write how much was held back.

        Args:
            every: Also of what a window is open for still.
        """
        with self._lock:
            for untold in self._storms.over(now=float("inf") if every else self._monotonic()):
                self._write(_told(untold))

    def counts(self) -> dict[str, int]:
        """What became of events that were to be written."""
        return {"written": self.written, "lost": self.lost, "held_back": self._storms.held_back}

    def _write(self, line: Line) -> None:
        if self._outlet is None:
            return
        try:
            if self._missing:
                self._outlet.write(_missed(self._missing), self._settings.format)
                self._missing = 0
            self._outlet.write(line, self._settings.format)
            self.written += 1
        except (OSError, ValueError, PlatformError):  # a full disk, a closed pipe: it is told when there is room again
            self.lost += 1
            self._missing += 1


def outlet(twistd: Mapping[str, Any], settings: Logging) -> Outlet:
    """What a command line of twistd says where the log goes.

    Raises:
        PlatformError: A file can not be opened.
        SystemExit: A daemon has no standard output.
    """
    path, is_daemon = twistd.get("logfile") or "", not twistd.get("nodaemon")
    if twistd.get("syslog"):
        return Syslog(_called(twistd))
    if path == "-" and is_daemon:
        raise PlatformError("a daemon has no standard output: write --nodaemon, or another --logfile")
    if path == "-" or not (path or is_daemon):
        is_journal = _is_journal(os.environ.get("JOURNAL_STREAM", ""), sys.stdout)
        stream = Stream(sys.stdout, is_journal=is_journal)
        return Journal(_called(twistd), stream) if is_journal else stream
    return LogFile(Path(path or DEFAULT).absolute(), settings)


def _called(twistd: Mapping[str, Any]) -> str:
    """What lines are by, where there are others': what the command line says, in the place of twistd's own name."""
    said = twistd.get("prefix") or TWISTD
    return OURS if said == TWISTD else str(said)


def _is_journal(told: str, stream: Any) -> bool:
    """Whether the journal reads a stream, as systemd.exec(5) says: the variable has its device and inode."""
    try:
        there = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return told == f"{there.st_dev}:{there.st_ino}"


def _kind(event: Event) -> tuple[object, ...]:
    """What an event has in common with others from the same place in the code."""
    failure = event.get("log_failure")
    return (
        event.get("log_namespace"),
        event["log_level"].name,
        event.get("log_format"),
        None if failure is None else failure.type,
    )


def _line(event: Event) -> Line:
    failure = event.get("log_failure")
    when = datetime.fromtimestamp(event.get("log_time", time.time()), timezone.utc).astimezone()
    told_by, is_fault = part(str(event.get("log_namespace") or "")), failure is not None
    text = formatEvent(event) or ("" if failure is None else failure.getErrorMessage())
    return Line(
        when.isoformat(timespec="milliseconds"),
        event["log_level"].name,
        told_by,
        one_line(text),
        "" if failure is None else failure.getTraceback(),
        {key: value for key, value in event.items() if not key.startswith("log_") and key.isidentifier()},
        events.name_of(told_by, str(event.get("log_format") or ""), is_fault=is_fault),
    )


def _missed(lines: int) -> Line:
    """That there was no room for so many lines."""
    now = datetime.now(timezone.utc).astimezone().isoformat(timespec="milliseconds")
    text = f"{lines} lines before this one could not be written"
    return Line(now, Level.warn.name, "log", text, values={"lines": lines}, event=events.LOST)


def _told(untold: Untold) -> Line:
    """How much was held back, as a line with the last event's level and place."""
    event: Any = untold.last
    line = _line({**event, "log_time": time.time()})
    again = f"{untold.text} (again, {untold.count} times)"
    more = f"{line.text} (and {untold.count} more of this kind)"
    text, values = more if untold.text is None else again, {"count": untold.count}
    return Line(line.time, line.level, line.part, text, values=values, event=line.event)
