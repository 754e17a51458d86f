"""Tests for `realmgw.log.client`, with real sockets, pipes and terminals at whose other end the test sits."""

from __future__ import annotations

import errno
import io
import json
import os
import pty
import select
import shutil
import signal
import socket
import tempfile
import time
import tty
from pathlib import Path
from typing import Any

import attrs
from twisted.logger import Logger, LogLevel
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.external import LogFormat, Logging
from realmgw.config.external import LogLevel as Level
from realmgw.log.client import Journal, Stream, Syslog
from realmgw.log.lines import LONGEST, Line
from realmgw.log.port import Log, Outlet

LINE = Line("2026-01-31T12:00:00.461+00:00", "warn", "tap", "no route")
FOLLOWED = Line(LINE.time, "critical", "tap", "fault", "Traceback:\n  File")
PATIENCE = 60  # seconds
"""Whoever waits for somebody who does not read waits for ever: so long, then."""
MANY = 5_000
"""So many lines fill whatever nobody reads."""


class Logged:
    """A log with an outlet.

    Attributes:
        log: It.
    """

    def __init__(self, outlet: Outlet, form: LogFormat = LogFormat.TEXT) -> None:
        """Writes there, whatever is told."""
        self.log = Log()
        self.log.configure(Logging(Level.DEBUG, (), form))
        self.log.write_to(outlet)
        self._logger = Logger("realmgw.tap", observer=self.log)

    def tell(self, text: str, times: int = 1) -> None:
        """As a part does; at the level debug, at which nothing is held back."""
        for _ in range(times):
            self._logger.emit(LogLevel.debug, "{text}", text=text)


class PatientTestCase(SynchronousTestCase):
    """Nothing here waits for a reader."""

    def setUp(self) -> None:
        """A call that does not return is interrupted."""

        def interrupt(*_: object) -> None:
            raise AssertionError("somebody is waited for")

        self.addCleanup(signal.signal, signal.SIGALRM, signal.signal(signal.SIGALRM, interrupt))
        self.addCleanup(signal.alarm, 0)
        signal.alarm(PATIENCE)


class JournalTests(PatientTestCase):
    """A receiver of entries in the place of the journal."""

    def setUp(self) -> None:
        """It listens; what it does not take goes to a text."""
        super().setUp()
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        self.path = f"{folder}/socket"
        self.receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.receiver.close)
        self.receiver.bind(self.path)
        self.receiver.settimeout(PATIENCE)
        self.otherwise = io.StringIO()
        self.journal = Journal("gw", Stream(self.otherwise, is_journal=True), self.path)

    def test_a_line_is_an_entry(self) -> None:
        """With its fields, each in a line."""
        self.journal.write(attrs.evolve(LINE, event="trouble", values={"count": 3}), LogFormat.TEXT)
        self.assertEqual(sorted(self.receiver.recv(4096).splitlines()), [
            b"MESSAGE=[tap] no route", b"PRIORITY=4", b"REALMGW_COUNT=3", b"REALMGW_EVENT=trouble",
            b"REALMGW_MODULE=tap", b"SYSLOG_IDENTIFIER=gw",
        ])  # fmt: skip
        self.assertEqual(self.otherwise.getvalue(), "")

    def test_a_traceback_is_in_the_same_entry(self) -> None:
        """Its length is told before it."""
        self.journal.write(FOLLOWED, LogFormat.TEXT)
        text = b"[tap] fault\n    Traceback:\n      File"
        self.assertIn(b"MESSAGE\n" + len(text).to_bytes(8, "little") + text + b"\n", self.receiver.recv(4096))

    def test_what_is_no_entry_goes_to_the_standard_output(self) -> None:
        """JSON, what is too long, and everything while the journal is not there."""
        self.journal.write(LINE, LogFormat.JSON)
        self.assertEqual(json.loads(self.otherwise.getvalue())["text"], "no route")
        self.journal.write(attrs.evolve(LINE, part="x" * 1_000_000), LogFormat.TEXT)
        self.receiver.close()
        self.journal.write(LINE, LogFormat.TEXT)
        self.assertEqual(self.otherwise.getvalue().splitlines()[-1], "<4>[tap] no route")
        self.assertEqual(len(self.otherwise.getvalue().splitlines()), 3)

    def test_a_journal_that_does_not_read_holds_up_nobody(self) -> None:
        """What it has no room for is lost, and counted; not half of it elsewhere."""
        logged = Logged(self.journal)
        logged.tell("x" * 100, MANY)
        self.assertGreater(logged.log.counts()["lost"], MANY // 2)
        self.assertEqual(self.otherwise.getvalue(), "")


class SyslogTests(PatientTestCase):
    """A receiver of datagrams in the place of /dev/log."""

    def setUp(self) -> None:
        """It listens; paths of sockets are short."""
        super().setUp()
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        self.path = f"{folder}/log"
        self.receiver = self.listen()
        self.syslog = Syslog("gw", self.path, lambda: 1_767_225_600.0 + 5 * 86400)

    def listen(self) -> socket.socket:
        """A receiver."""
        made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(made.close)
        made.bind(self.path)
        made.settimeout(0.2)
        return made

    def received(self) -> list[str]:
        """All messages that are there."""
        found = []
        while select.select([self.receiver], [], [], 0)[0]:
            found.append(self.receiver.recv(1 << 20).decode())
        return found

    def texts(self) -> list[str]:
        """Without what they begin with."""
        return [message.partition("]: ")[2] for message in self.received()]

    def test_a_line_is_a_message(self) -> None:
        """Facility and severity, the time with a day of two places, the name with the process, and the text."""
        self.patch(os, "environ", {"TZ": "UTC"})
        time.tzset()
        self.addCleanup(time.tzset)
        self.syslog.write(LINE, LogFormat.TEXT)
        [message] = self.received()
        self.assertEqual(message, f"<28>Jan  6 00:00:00 gw[{os.getpid()}]: warn  [tap] no route")

    def test_a_traceback_is_a_message_for_each_line(self) -> None:
        """All of the same severity."""
        self.syslog.write(FOLLOWED, LogFormat.TEXT)
        messages = self.received()
        self.assertEqual([message[:4] for message in messages], ["<26>"] * 3)
        self.assertEqual(messages[2].partition("]: ")[2], "      File")

    def test_json_is_one_message(self) -> None:
        """Which is an object behind the beginning."""
        self.syslog.write(FOLLOWED, LogFormat.JSON)
        [text] = self.texts()
        self.assertEqual(json.loads(text)["text"], "fault")

    def test_nothing_in_a_text_makes_a_message_of_its_own(self) -> None:
        """Ends of lines, zero octets, escape sequences and halves of characters."""
        logged = Logged(self.syslog)
        logged.tell("one\n<0>two\r\0three\x1b[2J\u2028four\ud800")
        [text] = self.texts()
        self.assertEqual(text, "debug [tap] one\\n<0>two\\r\\x00three\\x1b[2J\\u2028four?")

    def test_a_long_text_is_cut(self) -> None:
        """And says so; what is too long for the kernel all the same is lost and does no harm."""
        logged = Logged(self.syslog)
        logged.tell("\u20ac" * 1_000_000)
        [text] = self.texts()
        self.assertTrue(text.endswith(f"... ({1_000_000 - LONGEST} more characters)"))
        error = self.assertRaises(OSError, self.syslog.write, Line("", "info", "x" * 10_000_000, ""), LogFormat.TEXT)
        self.assertEqual(error.errno, errno.EMSGSIZE)

    def test_a_receiver_that_was_never_there_is_found_when_it_comes(self) -> None:
        """What was lost until then is told."""
        self.receiver.close()
        Path(self.path).unlink()
        logged = Logged(Syslog("gw", self.path))
        logged.tell("nobody", 3)
        self.receiver = self.listen()
        logged.tell("somebody")
        self.assertEqual(
            self.texts(), ["warn  [log] 3 lines before this one could not be written", "debug [tap] somebody"]
        )
        self.assertEqual(logged.log.counts(), {"written": 1, "lost": 3, "held_back": 0})

    def test_a_receiver_that_went_and_came_back_is_found_again(self) -> None:
        """Its path leads to another socket then, as after a restart of the system's logger."""
        logged = Logged(self.syslog)
        logged.tell("before")
        self.assertEqual(self.texts(), ["debug [tap] before"])
        self.receiver.close()  # the path is there still
        logged.tell("meanwhile")
        Path(self.path).unlink()
        logged.tell("meanwhile")
        self.receiver = self.listen()
        logged.tell("after")
        self.assertEqual([text.partition("] ")[2][:7] for text in self.texts()], ["2 lines", "after"])

    def test_a_receiver_that_does_not_read_holds_up_nobody(self) -> None:
        """What it has no room for is lost, counted, and told when it reads again."""
        logged = Logged(self.syslog)
        logged.tell("x" * 100, MANY)
        counts = logged.log.counts()
        self.assertEqual(counts["written"] + counts["lost"], MANY)
        self.assertGreater(counts["lost"], MANY // 2)
        self.assertEqual(len(self.received()), counts["written"])
        logged.tell("there is room")
        self.assertEqual(
            [text.partition("] ")[2] for text in self.texts()],
            [f"{counts['lost']} lines before this one could not be written", "there is room"],
        )


class SocketTests(PatientTestCase):
    """As under systemd, whose journal reads a socket."""

    def ends(self) -> tuple[Any, int]:
        """The stream, and its reader's descriptor."""
        ours, theirs = socket.socketpair()
        with ours:
            return ours.makefile("w"), theirs.detach()

    def setUp(self) -> None:
        """Both ends."""
        super().setUp()
        self.stream, self.reader = self.ends()
        self.addCleanup(self.stream.close)
        self.addCleanup(self.leave)
        os.set_blocking(self.reader, False)

    def leave(self) -> None:
        """The reader goes."""
        if self.reader >= 0:
            os.close(self.reader)
        self.reader = -1

    def read(self) -> str:
        """All that is there."""
        found = bytearray()
        try:
            while octets := os.read(self.reader, 1 << 16):
                found += octets
        except BlockingIOError:
            pass
        return found.decode()

    def test_lines_arrive(self) -> None:
        """As they are; the stream's own flags are nobody's to change."""
        Stream(self.stream).write(LINE, LogFormat.TEXT)
        self.assertEqual(self.read(), LINE.plain())
        self.assertTrue(os.get_blocking(self.stream.fileno()))

    def test_a_long_line_arrives_whole(self) -> None:
        """In pieces, while its reader reads; longer ones than that are cut where they are made."""
        line = Line("now", "info", "tap", "\u20ac" * 1300)
        Stream(self.stream).write(line, LogFormat.TEXT)
        self.assertEqual(self.read(), line.plain())

    def test_a_reader_that_does_not_read_holds_up_nobody(self) -> None:
        """What it has no room for is lost, counted and told; no line is mixed with another one."""
        logged = Logged(Stream(self.stream))
        logged.tell("x" * 1000, MANY)
        counts = logged.log.counts()
        self.assertGreater(counts["lost"], MANY // 2)
        before = self.read()
        logged.tell("there is room")
        lines = (before + self.read()).splitlines()
        told = [line for line in lines if "lines before this one" in line]  # a terminal finds room now and then
        self.assertEqual(sum(int(line.partition("[log] ")[2].split()[0]) for line in told), counts["lost"])
        self.assertEqual(lines[-2], told[-1])
        self.assertTrue(lines[-1].endswith("there is room"))
        whole = [line for line in lines[:-2] if line.endswith("x" * 1000)]
        self.assertEqual(len(whole), counts["written"])
        self.assertLessEqual(len(lines) - 1 - len(told) - len(whole), len(told))  # whose beginnings had room

    def test_a_reader_that_has_gone_is_none(self) -> None:
        """The line is lost, and nothing else."""
        logged = Logged(Stream(self.stream))
        self.leave()
        logged.tell("nobody")
        self.assertEqual(logged.log.counts()["lost"], 1)


class PipeTests(SocketTests):
    """As `twistd -n | program`."""

    def ends(self) -> tuple[Any, int]:
        """Those of a pipe."""
        reader, writer = os.pipe()
        return os.fdopen(writer, "w"), reader


class TerminalTests(SocketTests):
    """As `twistd -n` by hand."""

    def ends(self) -> tuple[Any, int]:
        """Those of a terminal."""
        reader, writer = pty.openpty()
        tty.setraw(writer)
        return os.fdopen(writer, "w"), reader


class OtherStreamTests(SynchronousTestCase):
    """What has nobody at its other end."""

    def test_an_object_of_the_program_is_written_to(self) -> None:
        """A test's, for example."""
        stream = io.StringIO()
        Stream(stream).write(LINE, LogFormat.TEXT)
        self.assertEqual(stream.getvalue(), LINE.plain())

    def test_a_file_is_written_to(self) -> None:
        """Behind what is there already."""
        path = Path(self.mktemp())
        with path.open("w") as stream:
            Stream(stream).write(LINE, LogFormat.TEXT)
            Stream(stream).write(LINE, LogFormat.TEXT)
        self.assertEqual(path.read_text(), LINE.plain() * 2)

    def test_what_an_encoding_has_not_is_replaced(self) -> None:
        """A line with a question mark in it is better than none."""
        path = Path(self.mktemp())
        with path.open("w", encoding="latin-1") as stream:
            Stream(stream).write(Line("now", "info", "tap", "caf\u00e9 \u20ac"), LogFormat.TEXT)
        self.assertEqual(path.read_bytes(), b"now info  [tap] caf\xe9 ?\n")
