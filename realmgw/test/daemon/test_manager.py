"""Tests for `realmgw.daemon.manager`: a socket as systemd has it."""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
from collections import deque
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.logger import formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from realmgw.daemon.manager import AGAIN, LONGEST, PATIENCE, Manager


class ManagerTests(SynchronousTestCase):
    """What it hears."""

    def setUp(self) -> None:
        """Somebody who listens, at a path that is short enough for a socket."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.place = f"{folder.name}/notify"
        self.clock = Clock()
        self.ear = self.listening(self.place)

    def listening(self, place: str) -> socket.socket:
        """A socket that hears."""
        ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.addCleanup(ear.close)
        ear.bind(place)
        return ear

    def heard(self) -> list[str]:
        """What was said since, in its order."""
        said = []
        try:
            while True:
                said.append(self.ear.recv(4096).decode())
        except BlockingIOError:
            return said

    def fill(self) -> None:
        """Others say so much that nothing more fits."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as other:
            other.connect(self.place)
            with contextlib.suppress(BlockingIOError):
                for _ in range(1_000_000):
                    other.send(b"STATUS=")

    def manager(self, **environment: str) -> Manager:
        """One that listens at our socket."""
        return Manager({"NOTIFY_SOCKET": self.place, **environment}, self.clock)

    def test_hears_when_we_serve_and_when_we_stop(self) -> None:
        """Once each, and nothing in between if it watches nobody."""
        manager = self.manager()
        manager.serves()
        self.clock.pump([60.0] * 10)
        manager.stops()
        self.assertEqual(self.heard(), ["READY=1", "STOPPING=1"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_hears_that_the_reactor_turns_four_times_within_its_time(self) -> None:
        """Not before we serve, but until the end, while we stop as well."""
        manager = self.manager(WATCHDOG_USEC="30000000", WATCHDOG_PID=str(os.getpid()))
        self.clock.advance(60.0)
        self.assertEqual(self.heard(), [])
        manager.serves()
        self.clock.pump([7.5, 7.5])
        manager.stops()
        self.clock.advance(7.5)
        beat = "WATCHDOG=1"
        self.assertEqual(self.heard(), ["READY=1", beat, beat, beat, "STOPPING=1", beat])

    def test_hears_only_what_was_looked_at(self) -> None:
        """While something is wrong, or that can not be found out, it hears nothing, and the log says why."""
        coming = deque[Any]([[], ["DNS is not answered", "no packet comes"], RuntimeError(), []])
        patient: list[float] = []

        def look(patience: float) -> Deferred[list[str]]:
            patient.append(patience)
            found = coming.popleft()
            return fail(found) if isinstance(found, Exception) else succeed(found)

        manager = Manager({"NOTIFY_SOCKET": self.place, "WATCHDOG_USEC": "6000000"}, self.clock, look)
        told: list[str] = []
        observer: Any = lambda event: told.append(str(formatEvent(event)))  # noqa: E731 - it is handed in twice
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        beats = []
        manager.serves()
        for _ in range(4):
            beats.append(self.heard())
            self.clock.advance(1.5) if coming else None
        self.assertEqual(beats, [["READY=1", "WATCHDOG=1"], [], [], ["WATCHDOG=1"]])
        self.assertEqual(told[0].partition(": ")[2], "DNS is not answered; no packet comes")
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertEqual(patient, [1.5] * 4)
        manager.stops()
        self.clock.advance(1.5)
        self.assertEqual(self.heard(), ["STOPPING=1", "WATCHDOG=1"])

    def test_it_hears_in_time_after_two_looks_that_took_all_theirs(self) -> None:
        """A gateway that works again is not ended for what was."""
        wrong = deque([False, True, True, False, False])

        def look(patience: float) -> Deferred[list[str]]:
            found = Deferred[list[str]]()
            said = ["DNS is not answered"] if wrong.popleft() else []
            self.clock.callLater(patience, found.callback, said)
            return found

        Manager({"NOTIFY_SOCKET": self.place, "WATCHDOG_USEC": "60000000"}, self.clock, look).serves()
        times = []
        for second in range(60):
            times += [second] * self.heard().count("WATCHDOG=1")
            self.clock.advance(1.0)
        self.assertEqual(len(times), 2)
        self.assertLess(times[1] - times[0], 60)

    def test_a_look_that_takes_long_is_the_only_one(self) -> None:
        """What it finds is told if we serve still; a stop does not wait for it."""
        looking = [Deferred[list[str]]()]
        manager = Manager({"NOTIFY_SOCKET": self.place, "WATCHDOG_USEC": "60000000"}, self.clock, lambda _: looking[0])
        manager.serves()
        self.clock.pump([30.0] * 3)
        self.assertEqual(self.heard(), ["READY=1"])
        manager.stops()
        looking[0].callback(["whatever"])
        self.clock.advance(30.0)
        self.assertEqual(self.heard(), ["STOPPING=1", "WATCHDOG=1", "WATCHDOG=1"])

    def test_does_not_hear_of_us_when_it_watches_somebody_else(self) -> None:
        """Another process, for example one that started us; or what is no number."""
        for words in (
            {"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"},
            {"WATCHDOG_USEC": "soon"},
            {"WATCHDOG_USEC": "0"},
        ):
            self.manager(**words).serves()
            self.clock.advance(60.0)
            self.assertEqual(self.heard(), ["READY=1"])

    def test_no_process_of_ours_can_speak_in_our_name(self) -> None:
        """What it has put into the environment is gone, and nothing else."""
        environment = {"NOTIFY_SOCKET": self.place, "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1", "PATH": "/bin"}
        Manager(environment, self.clock)
        self.assertEqual(environment, {"PATH": "/bin"})

    def test_hears_at_an_abstract_socket(self) -> None:
        """That is written with an @."""
        name = f"realmgw-test-{os.getpid()}-{id(self)}"
        self.ear = self.listening(f"\0{name}")
        Manager({"NOTIFY_SOCKET": f"@{name}"}, self.clock).serves()
        self.assertEqual(self.heard(), ["READY=1"])

    def test_hears_a_refusal_cut_to_what_can_be_shown(self) -> None:
        """On one line, whatever is in it."""
        self.manager().refused("port 53 is taken " + "x" * LONGEST)
        (said,) = self.heard()
        self.assertTrue(said.startswith("STATUS=port 53 is taken x"))
        self.assertEqual(len(said), len("STATUS=") + LONGEST)

    def test_hears_later_when_its_queue_is_full(self) -> None:
        """We do not wait for that; and it is said once."""
        manager = self.manager()
        self.fill()
        manager.serves()
        self.assertNotIn("READY=1", self.heard())
        self.clock.advance(AGAIN)
        self.assertEqual(self.heard(), ["READY=1"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_queue_that_stays_full_is_given_up(self) -> None:
        """No timer goes on for ever."""
        self.fill()
        self.manager().serves()
        self.clock.pump([AGAIN] * (PATIENCE - 1))
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.clock.advance(AGAIN)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_nobody_there_is_one_warning(self) -> None:
        """And nothing is tried again; nor is where there never was one."""
        for place in (self.place + "-gone", "x" * 500, "a\0b"):
            manager = Manager({"NOTIFY_SOCKET": place, "WATCHDOG_USEC": "1000000"}, self.clock)
            manager.serves()
            self.clock.pump([1.0] * 5)
            manager.stops()
            self.assertEqual(self.clock.getDelayedCalls(), [], place)
        nobody = Manager({"WATCHDOG_USEC": "1000000"}, self.clock)
        nobody.serves()
        self.assertEqual((self.heard(), self.clock.getDelayedCalls()), ([], []))
