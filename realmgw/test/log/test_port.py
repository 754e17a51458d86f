"""Tests for `realmgw.log.port`."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from pathlib import Path
from typing import Any

import attrs
from twisted.application.service import Application
from twisted.logger import ILogObserver, Logger, LogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.external import LogFormat, Logging, LogLevel
from realmgw.daemon.ordered import OrderedService
from realmgw.errors import PlatformError
from realmgw.log.client import Journal, Stream, Syslog
from realmgw.log.lines import Line
from realmgw.log.port import CALM, Log, LogFile, outlet
from realmgw.log.storms import WINDOW
from realmgw.system import rotating

LINE = Line("now", "info", "tap", "x" * 80)


class RecordingOutlet:
    """Where lines go.

    Attributes:
        lines: Those.
        error: What is raised instead.
    """

    def __init__(self) -> None:
        """Nothing came yet."""
        self.lines: list[Line] = []
        self.error: Exception | None = None

    def write(self, line: Line, form: LogFormat) -> None:
        """Notes it."""
        if self.error is not None:
            raise self.error
        self.lines.append(line)


class LogTests(SynchronousTestCase):
    """From events to lines."""

    def setUp(self) -> None:
        """A log, and loggers that tell it."""
        self.now = 0.0
        self.log, self.outlet = Log(None, lambda: self.now), RecordingOutlet()
        self.log.write_to(self.outlet)
        self.publisher = LogPublisher(self.log)

    def logger(self, namespace: str = "realmgw.dns.server") -> Logger:
        """A part that tells something."""
        return Logger(namespace, observer=self.publisher)

    @property
    def texts(self) -> list[str]:
        """What was written."""
        return [line.text for line in self.outlet.lines]

    def test_levels_have_effect(self) -> None:
        """That of all, those of parts, and Twisted's; also when they change."""
        for namespace in ("realmgw.dns.server", "realmgw.control.apply", "twisted.web.client._HTTP11ClientFactory"):
            self.logger(namespace).info("first")
        self.log.configure(Logging(LogLevel.ERROR, (("dns", LogLevel.DEBUG), ("twisted", LogLevel.INFO))))
        for namespace in ("realmgw.dns.server", "realmgw.control.apply", "twisted.web.client._HTTP11ClientFactory"):
            self.logger(namespace).debug("second")
            self.logger(namespace).info("third")
        self.assertEqual(
            [(line.part, line.text) for line in self.outlet.lines],
            [
                ("dns.server", "first"), ("control.apply", "first"),
                ("dns.server", "second"), ("dns.server", "third"),
                ("twisted.web.client._HTTP11ClientFactory", "third"),
            ],
        )  # fmt: skip

    def test_a_storm_is_one_line_with_a_count(self) -> None:
        """The count has the level and the part of the event."""
        for _ in range(1000):
            self.logger().warn("no route to {where}", where="192.0.2.1")
        self.assertEqual(self.texts, ["no route to 192.0.2.1"])
        self.now = WINDOW
        self.log.tell_storms()
        self.assertEqual(self.texts[1:], ["no route to 192.0.2.1 (again, 999 times)"])
        self.assertEqual((self.outlet.lines[1].level, self.outlet.lines[1].part), ("warn", "dns.server"))
        self.assertEqual(self.log.counts(), {"written": 2, "lost": 0, "held_back": 999})

    def test_different_texts_of_one_kind_are_bounded(self) -> None:
        """What was held back is told at the end in any case."""
        for number in range(1000):
            self.logger().warn("problem {number}", number=number)
        self.assertLess(len(self.texts), 100)
        held_back = 1000 - len(self.texts)
        self.log.tell_storms(every=True)
        self.assertEqual(self.texts[-1], f"problem 999 (and {held_back} more of this kind)")

    def test_news_may_come_twice(self) -> None:
        """Somebody who does the same again wants to see it."""
        for _ in range(10):
            self.logger().info("reload asked for")
        self.assertEqual(len(self.texts), CALM)

    def test_who_wants_everything_gets_it(self) -> None:
        """At the level debug."""
        self.log.configure(Logging(LogLevel.DEBUG))
        for _ in range(100):
            self.logger().debug("packet")
        self.assertEqual(len(self.texts), 100)

    def test_a_fault_has_its_traceback(self) -> None:
        """Below its line."""
        self.logger().failure("fault", Failure(ZeroDivisionError("no")))
        [line] = self.outlet.lines
        self.assertEqual((line.level, line.text), ("critical", "fault"))
        self.assertIn("ZeroDivisionError: no", line.traceback)

    def test_what_can_not_be_written_is_counted(self) -> None:
        """A full disk stops nobody, and is told when there is room again."""
        self.outlet.error = OSError(28, "No space left on device")
        self.logger().error("a")
        self.outlet.error = None
        self.logger().error("b")
        self.assertEqual(self.texts, ["1 lines before this one could not be written", "b"])
        self.assertEqual(self.log.counts(), {"written": 1, "lost": 1, "held_back": 0})


class LogFileTests(SynchronousTestCase):
    """A file that is watched and bounded."""

    def setUp(self) -> None:
        """A folder."""
        self.path = Path(self.mktemp())
        self.path.mkdir()
        self.path /= "log"

    def file(self, **settings: Any) -> LogFile:
        """The file."""
        return LogFile(self.path, Logging(**settings))

    def test_is_begun_anew_when_it_was_moved_or_removed(self) -> None:
        """As logrotate does it; nothing is written on into the former one."""
        file, aside = self.file(), self.path.with_name("aside")
        file.write(LINE, LogFormat.TEXT)
        self.path.rename(aside)
        before = aside.read_text()
        file.write(LINE, LogFormat.TEXT)
        self.assertEqual((aside.read_text(), self.path.read_text()), (before, LINE.plain()))
        self.path.unlink()
        file.write(LINE, LogFormat.TEXT)
        self.assertEqual(self.path.read_text(), LINE.plain())

    def test_goes_on_at_the_end(self) -> None:
        """What an earlier process wrote stays, and what truncates it is no trouble."""
        self.path.write_text("before\n")
        file = self.file()
        file.write(LINE, LogFormat.TEXT)
        self.assertEqual(self.path.read_text(), "before\n" + LINE.plain())
        os.truncate(self.path, 0)
        file.write(LINE, LogFormat.TEXT)
        self.assertEqual(self.path.read_text(), LINE.plain())

    def test_size_and_number_are_bounded(self) -> None:
        """The oldest goes first."""
        file = self.file(size=1000, files=2)
        for number in range(100):
            file.write(attrs.evolve(LINE, part=str(number)), LogFormat.TEXT)
        sizes = {path.name: path.stat().st_size for path in self.path.parent.iterdir()}
        self.assertEqual(set(sizes), {"log", "log.1", "log.2"})
        self.assertLessEqual(max(sizes.values()), 1000)
        self.assertIn("[99]", self.path.read_text())

    def test_where_it_can_not_be_moved_aside_it_goes_on(self) -> None:
        """That is told once; and it is moved when it can be."""
        file, now = self.file(size=1000, files=1), time.monotonic()
        self.patch(time, "monotonic", lambda: now)
        (in_the_way := self.path.with_name("log.1")).mkdir()
        for _ in range(30):
            file.write(LINE, LogFormat.JSON)
        lines = [json.loads(line) for line in self.path.read_text().splitlines()]
        [told] = [line for line in lines if "event" in line]
        self.assertEqual((len(lines), told["event"], told["level"]), (31, "log-stuck", "warn"))
        self.assertIn("can not be moved aside, and grows: Is a directory: write another --logfile", told["text"])
        in_the_way.rmdir()
        file.write(LINE, LogFormat.JSON)
        self.assertFalse(in_the_way.exists(), "it is not tried for each line")
        now += rotating.TRY_AGAIN
        file.write(LINE, LogFormat.JSON)
        self.assertEqual((len(self.path.read_text().splitlines()), in_the_way.exists()), (1, True))

    def test_none_need_be_kept(self) -> None:
        """Then a file that is full is forgotten."""
        file = self.file(size=1000, files=0)
        for _ in range(100):
            file.write(LINE, LogFormat.TEXT)
        self.assertEqual([path.name for path in self.path.parent.iterdir()], ["log"])

    def test_may_grow_without_end(self) -> None:
        """If somebody else looks after it."""
        file = self.file(size=0)
        for _ in range(1000):
            file.write(LINE, LogFormat.TEXT)
        self.assertEqual(self.path.read_text(), LINE.plain() * 1000)

    def test_is_a_file(self) -> None:
        """A FIFO that nobody reads is not waited for; nor is a folder."""
        os.mkfifo(self.path)
        self.assertIn("--logfile", str(self.assertRaises(PlatformError, self.file)))
        self.path = self.path.parent
        self.assertIn("--logfile", str(self.assertRaises(PlatformError, self.file)))

    def test_a_file_that_can_not_be_begun_anew_is_written_on(self) -> None:
        """A line more in the former one is better than none."""
        file = self.file()
        self.path.rename(self.path.with_name("aside"))
        os.mkfifo(self.path)
        log = Log()
        log.write_to(file)
        Logger("realmgw.tap", observer=log).error("lost")
        self.assertEqual(log.counts()["lost"], 1)
        self.path.unlink()
        Logger("realmgw.tap", observer=log).error("there again")
        self.assertIn("there again", self.path.read_text())


class OutletTests(SynchronousTestCase):
    """What twistd's command line says."""

    def test_says_where_the_log_goes(self) -> None:
        """A file, the standard output in the foreground, or syslog."""
        folder = Path(self.mktemp())
        folder.mkdir()
        cases: tuple[tuple[dict[str, Any], type], ...] = (
            ({"logfile": str(folder / "log")}, LogFile),
            ({"logfile": str(folder / "log"), "nodaemon": True}, LogFile),
            ({"logfile": "-", "nodaemon": True}, Stream),
            ({"logfile": None, "nodaemon": True}, Stream),
            ({"syslog": True, "prefix": "gw"}, Syslog),
        )
        for options, kind in cases:
            self.assertIsInstance(outlet(options, Logging()), kind, options)

    def test_a_daemon_has_no_standard_output(self) -> None:
        """It is told what to write instead."""
        self.assertIn("--nodaemon", str(self.assertRaises(PlatformError, outlet, {"logfile": "-"}, Logging())))

    def test_the_journal_is_known_by_its_socket(self) -> None:
        """As systemd tells it in the environment; nobody else is told of fields."""
        ours, theirs = socket.socketpair()
        with ours, theirs, ours.makefile("w") as stream:
            there = os.fstat(ours.fileno())
            self.patch(sys, "stdout", stream)
            for told, kind in ((f"{there.st_dev}:{there.st_ino}", Journal), ("1:2", Stream)):
                self.patch(os, "environ", {"JOURNAL_STREAM": told})
                self.assertIs(type(outlet({"nodaemon": True}, Logging())), kind, told)

    def test_lines_are_by_the_gateway_unless_the_command_line_says_otherwise(self) -> None:
        """And not by twistd's own name."""
        for said, called in (("twisted", "realmgw"), ("", "realmgw"), ("gw-1", "gw-1")):
            made: Any = outlet({"syslog": True, "prefix": said}, Logging())
            self.assertEqual(made.prefix, called)

    def test_json_is_json_everywhere(self) -> None:
        """In files and streams."""
        path = Path(self.mktemp()).absolute()
        LogFile(path, Logging()).write(LINE, LogFormat.JSON)
        self.assertEqual(json.loads(path.read_text())["text"], LINE.text)


class JoinTests(SynchronousTestCase):
    """How twistd finds the log."""

    def observer(self, **options: Any) -> object:
        """What an application logs to."""
        application: Any = Application("test")
        service = OrderedService(lambda: None, lambda _: None)
        service.log = Log(options)
        service.setServiceParent(application)
        return application.getComponent(ILogObserver, None)

    def test_is_the_applications_observer(self) -> None:
        """Unless the command line has a logger of its own."""
        self.assertIsInstance(self.observer(nodaemon=True), Log)
        self.assertIsNone(self.observer(nodaemon=True, logger="their.own"))

    def test_a_log_that_can_not_be_had_ends_the_start(self) -> None:
        """With a line that says what to write instead."""
        error = self.assertRaises(SystemExit, self.observer, logfile="/nonexistent/folder/log")
        self.assertIn("/nonexistent/folder/log can not be opened", str(error))
