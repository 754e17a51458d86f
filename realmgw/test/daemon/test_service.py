"""Tests for `realmgw.daemon.service`: a small twistd plugin's part, in processes of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from realmgw.test.checkout import PACKAGE

PATIENCE = 30.0  # seconds
PROGRAM = """
import sys, threading, time
from twisted.application import app, service
from twisted.application.service import Service
from twisted.internet import reactor, threads
from twisted.logger import Logger, globalLogPublisher, textFileLogObserver
from twisted.python.failure import Failure
from twisted.python.usage import Options
from twisted.scripts import _twistd_unix, twistd
from realmgw.daemon.service import ProcessService, refusing, take_pid_file
from realmgw.errors import PlatformError

case = sys.argv.pop(1)

class OwnOptions(Options):
    def postOptions(self):
        take_pid_file(self)

class Case(Service):
    def startService(self):
        reactor.callLater(0.05, getattr(self, case))

    def serves(self):
        process.serves()
        print("serving", flush=True)

    def late(self):
        process.fail(Failure(PlatformError("no\\nnot at all")))

    def bug(self):
        process.fail(Failure(ZeroDivisionError("no")))

    def memory(self):
        process.serves()
        raise MemoryError

    def thread(self):
        process.serves()
        threads.deferToThread(self.starve)

    def starve(self):
        raise MemoryError

    def crash(self):
        process.serves()
        globalLogPublisher.addObserver(textFileLogObserver(sys.__stdout__))  # twistd's own is gone by then
        threads.deferToThread(time.sleep, 3600)
        reactor.callLater(0.2, reactor.crash)

@refusing("it")
def make(options):
    global process
    if case == "refused":
        raise PlatformError("no")
    parts = service.MultiService()
    process = ProcessService("it", options, reactor)
    process.setServiceParent(parts)
    Case().setServiceParent(parts)
    return parts

class Maker:
    tapname, description, options, makeService = "it", "", OwnOptions, staticmethod(make)

class Server(twistd.ServerOptions):
    def _getPlugins(self, interface):
        return [Maker]

app.run(twistd.runApp, Server)
"""


class EndTests(SynchronousTestCase):
    """How a process ends, in the foreground and in the background."""

    def setUp(self) -> None:
        """A folder."""
        self.folder = Path(self.mktemp())
        self.folder.mkdir()

    def begin(self, case: str, *options: str, **environment: str) -> subprocess.Popen[str]:
        """A process of a case."""
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, case, *options, "it"],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(PACKAGE.parent), **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.addCleanup(process.kill)
        return process

    def run_case(self, case: str, *options: str) -> tuple[int, str]:
        """The status and the output of a process of a case."""
        process = self.begin(case, *options)
        told, _ = process.communicate(timeout=PATIENCE)
        return process.returncode, told

    def test_signals_that_stop_end_with_0(self) -> None:
        """Whichever it is."""
        for number in (signal.SIGTERM, signal.SIGINT):
            process = self.begin("serves", "--nodaemon")
            assert process.stdout is not None
            while "serving" not in process.stdout.readline():
                self.assertIsNone(process.poll())
            process.send_signal(number)
            told, _ = process.communicate(timeout=PATIENCE)
            self.assertEqual(process.returncode, 0, told)
            self.assertIn(f"{signal.Signals(number).name}: stopping", told)
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_the_service_manager_hears_of_the_start_and_of_the_end(self) -> None:
        """Of one that can not start, why."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear, tempfile.TemporaryDirectory() as folder:
            ear.bind(f"{folder}/notify")
            ear.settimeout(PATIENCE)
            process = self.begin("serves", "--nodaemon", NOTIFY_SOCKET=f"{folder}/notify")
            self.assertEqual(ear.recv(4096), b"READY=1")
            process.send_signal(signal.SIGTERM)
            self.assertEqual(ear.recv(4096), b"STOPPING=1")
            told, _ = process.communicate(timeout=PATIENCE)
            self.assertEqual(process.returncode, 0, told)
            process = self.begin("late", "--nodaemon", NOTIFY_SOCKET=f"{folder}/notify")
            self.assertEqual([ear.recv(4096), ear.recv(4096)], [b"STATUS=no; not at all", b"STOPPING=1"])
            process.communicate(timeout=PATIENCE)

    def test_refusals_end_with_1_and_their_lines(self) -> None:
        """Early or late, without a traceback."""
        self.assertEqual(self.run_case("refused", "--nodaemon"), (1, "it can not start: no\n"))
        status, told = self.run_case("late", "--nodaemon")
        self.assertEqual((status, "Traceback" in told), (1, False))
        self.assertIn("it can not start: no\n", told)
        self.assertIn("it can not start: not at all\n", told)

    def test_refusals_in_the_background_reach_who_waits(self) -> None:
        """With status 1; what serves, 0."""
        self.assertEqual(self.run_case("refused"), (1, "it can not start: no\n"))
        status, told = self.run_case("late")
        self.assertEqual((status, "no; not at all" in told), (1, True), told)
        status, told = self.run_case("serves", "--pidfile=pid")
        self.assertEqual(status, 0, told)
        os.kill(int((self.folder / "pid").read_text()), signal.SIGKILL)

    def test_faults_of_our_own_end_with_1_and_a_traceback(self) -> None:
        """That is for who mends them."""
        status, told = self.run_case("bug", "--nodaemon")
        self.assertEqual((status, "ZeroDivisionError" in told), (1, True))

    def test_no_memory_left_ends_with_1_and_a_line(self) -> None:
        """In whatever thread it happens; nothing is stopped first, as that takes memory."""
        for case in ("memory", "thread"):
            status, told = self.run_case(case, "--nodaemon")
            self.assertEqual(status, 1, told)
            self.assertIn("it can not go on: there is no memory left", told)

    def test_end_of_the_reactor_is_the_end_of_the_process(self) -> None:
        """Even if a thread is stuck; that is not success, and there is a line."""
        status, told = self.run_case("crash", "--nodaemon")
        self.assertEqual(status, 1, told)
        self.assertIn("it can not go on: nothing runs its services any more", told)

    def test_pid_file_that_names_another_process_counts(self) -> None:
        """It is as twistd has it."""
        (self.folder / "pid").write_text(str(os.getpid()))
        status, told = self.run_case("serves", "--nodaemon", "--pidfile=pid")
        self.assertEqual(status, 1)
        self.assertIn("Another twistd server is running", told)
