"""Tests for `realmgw.control.command.capturing` and `realmgw.control.command.packets`: packets of sockets, files."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
import resource
import signal
import socket
from collections import deque
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from click.testing import CliRunner
from twisted.trial.unittest import SynchronousTestCase

from realmgw.control.command.arguments import Usual
from realmgw.control.command.capture import capture
from realmgw.control.command.captured import Selection, Wanted
from realmgw.control.command.capturing import HOLD, Capturing, meant, of_flow
from realmgw.control.command.packets import STANDARD_OUTPUT, File, lines
from realmgw.control.commands import CommandError, ExitStatus
from realmgw.datapath.capture import pcapng
from realmgw.datapath.capture.frames import Seen, seen
from realmgw.datapath.capture.port import Frame
from realmgw.test.control.command.test_captured import CLIENT, HOST, POOL, ROW, SAID, WEB, WITH, packet

SECOND = 10**9  # nanoseconds


class Port:
    """An interface with packets."""

    link = pcapng.RAW

    def __init__(self, number: int, name: str) -> None:
        self.number, self.name = number, name
        self.received = self.dropped = self.looked = 0
        self.frames: list[Frame] = []
        self.bell, self._mine = socket.socketpair()

    def put(self, time: float, octets: bytes) -> None:
        """One comes."""
        self.frames.append(Frame(int(time * SECOND), self.number, octets, len(octets)))
        self._mine.send(b"!")

    def fileno(self) -> int:
        """See `Interface`."""
        return self.bell.fileno()

    def read(self) -> Iterator[Frame]:
        """See `Interface`."""
        self.bell.recv(1000)
        frames, self.frames = self.frames, []
        yield from frames

    def look(self) -> None:
        """See `Interface`."""
        self.looked += 1
        self.received, self.dropped = 7, 2

    def close(self) -> None:
        """It ends."""
        self.bell.close()
        self._mine.close()


class PortsTestCase(SynchronousTestCase):
    """The WAN and a LAN."""

    def setUp(self) -> None:
        """Makes them."""
        self.wan, self.lan = Port(0, "wan0"), Port(1, "lan0")
        self.ports: Any = [self.wan, self.lan]
        for each in self.ports:
            self.addCleanup(each.close)


class CapturingTests(PortsTestCase):
    """What is written, when, until when."""

    def setUp(self) -> None:
        """A name is meant."""
        super().setUp()
        self.written: list[tuple[str, str]] = []
        self.heard: deque[Any] = deque()
        self.time = 100.0
        self.capturing = self.made()

    def made(self, room: int = 10_000) -> Capturing:
        """Captures what comes by a name."""
        selection = Selection(Wanted(WITH, (WEB,), is_whole=False))
        return Capturing(self.ports, selection, self.heard, self.write, room, lambda: self.time)

    def write(self, frame: Frame, _seen: Seen, comment: str) -> int:
        """Writes one."""
        self.written.append((self.ports[frame.interface].name, comment))
        return 100

    def test_a_packet_waits_for_what_is_told_of_its_flow(self) -> None:
        """Then it is written in its order; what is not meant is not."""
        self.lan.put(100.2, packet(CLIENT, 4000, HOST, 80))
        self.wan.put(100.1, packet(CLIENT, 4000, POOL, 80))
        self.wan.put(100.1, packet(CLIENT, 4001, POOL, 80))
        self.wan.put(100.1, b"")
        self.capturing.turn(is_reading=True)
        self.assertEqual(self.written, [])
        self.heard.append(ROW)
        self.time = 100.3 + HOLD
        self.capturing.turn(is_reading=True)
        self.assertEqual(self.written, [("wan0", SAID), ("lan0", SAID)])
        self.assertEqual(self.capturing.written, 2)

    def test_it_is_over_when_its_time_is(self) -> None:
        """What came before is decided about; what comes then is not read."""
        self.wan.put(100.0, packet(CLIENT, 4000, POOL, 80))
        self.heard.append(ROW)
        times = iter((100.0, 100.1, 100.1, 101.1, 101.2, 101.0 + 2 * HOLD))
        self.capturing.clock = lambda: next(times)
        self.capturing.run(1.0)
        self.assertEqual((self.written, self.wan.looked), ([("wan0", SAID)], 1))

    def test_it_is_over_when_there_is_no_more_room(self) -> None:
        """Within a read, too."""
        self.capturing = self.made(room=150)
        self.heard.append(ROW)
        for _ in range(5):
            self.wan.put(1.0, packet(CLIENT, 4000, POOL, 80))
        self.capturing.run(1.0)
        self.assertEqual(len(self.written), 2)

    def test_whoever_ends_it_has_what_came_before(self) -> None:
        """By Ctrl-C, or SIGTERM, with what is told of it a moment later; signals mean what they did afterwards."""
        before = signal.getsignal(signal.SIGTERM)
        for number in (signal.SIGINT, signal.SIGTERM):
            self.written.clear()
            capturing = self.made()
            capturing.clock = self.interrupted(number, 1)
            self.wan.put(99.9, packet(CLIENT, 4000, POOL, 80))
            capturing.run(600.0)
            self.assertEqual(self.written, [("wan0", SAID)])
        self.assertEqual(signal.getsignal(signal.SIGTERM), before)

    def test_whoever_is_in_a_hurry_ends_it_twice(self) -> None:
        """Then nothing is waited for."""
        capturing = self.made()
        capturing.clock = self.interrupted(signal.SIGINT, 2)
        self.wan.put(99.9, packet(CLIENT, 4000, POOL, 80))
        capturing.run(600.0)
        self.assertEqual((self.written, capturing.is_over), ([], True))

    def interrupted(self, number: int, times: int) -> Callable[[], float]:
        """A clock that stands until there is a signal, so often; then the gateway tells of the flow, and it goes on."""
        state = {"asked": 0, "told": 0}

        def clock() -> float:
            state["asked"] += 1
            if state["asked"] == 4:  # it has read
                for _ in range(times):
                    os.kill(os.getpid(), number)
            if state["asked"] > 10 and not state["told"]:
                state["told"] = 1
                self.heard.append(ROW)
            return 100.0 if state["asked"] <= 10 else 100.0 + HOLD + 0.1 * (state["asked"] - 10)

        return clock


class OutputTests(PortsTestCase):
    """Where packets go."""

    def frame(self) -> tuple[Frame, Seen]:
        """One."""
        octets = packet(CLIENT, 4000, POOL, 80)
        found = seen(octets)
        assert found is not None
        return Frame(1_700_000_000 * SECOND + 5, 1, octets, 40), found

    def test_a_file_is_whole_after_each_packet(self) -> None:
        """And says at its end what was dropped; nobody else can read it."""
        path = Path(self.mktemp())
        file = File(path, self.ports, lambda: 5)
        before = path.read_bytes()
        head = pcapng.interface("wan0", pcapng.RAW, 1 << 18) + pcapng.interface("lan0", pcapng.RAW, 1 << 18)
        self.assertTrue(before.endswith(head))
        frame, found = self.frame()
        length = file.write(frame, found, "why")
        made = pcapng.packet(1, frame.time, frame.octets, 40, "why")
        self.assertEqual((path.read_bytes(), length), (before + made, len(made)))
        self.lan.look()
        file.close()
        figures = pcapng.statistics(0, 5, 5, 0, 0, 0) + pcapng.statistics(1, 5, 5, 7, 2, 1)
        self.assertEqual(path.read_bytes(), before + made + figures)
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)

    def test_a_file_that_is_there_is_not_touched(self) -> None:
        """Nor is one made where there is no folder."""
        path = Path(self.mktemp())
        path.write_text("mine")
        for place, why in ((path, "File exists"), (path.with_name("nowhere") / "f", "No such file or directory")):
            error = self.assertRaises(CommandError, File, place, self.ports)
            self.assertEqual((str(error), error.status), (f"{place}: {why}", ExitStatus.FAILED))
        self.assertEqual(path.read_text(), "mine")

    def test_a_terminal_is_not_written_to(self) -> None:
        """Since it can show nothing of it."""
        leader, follower = pty.openpty()
        with os.fdopen(leader, "rb"), os.fdopen(follower, "w") as screen, contextlib.redirect_stdout(screen):
            error = self.assertRaises(CommandError, File, STANDARD_OUTPUT, self.ports)
        self.assertIn("write -w FILE, or a pipe", str(error))

    def test_a_disk_that_is_full(self) -> None:
        """It is said."""
        with Path("/dev/full").open("wb") as full, contextlib.redirect_stdout(io.TextIOWrapper(full)):
            error = self.assertRaises(CommandError, File, STANDARD_OUTPUT, self.ports)
            self.assertEqual(str(error), "-: No space left on device")
            with contextlib.suppress(OSError):
                full.close()

    def test_a_packet_for_which_there_is_no_room_leaves_the_file_whole(self) -> None:
        """Nothing of it is there, wherever the disk was full; what comes when there is room again is."""
        path = Path(self.mktemp())
        file, (frame, found) = File(path, self.ports, lambda: 5), self.frame()
        file.write(frame, found, "why")
        before = path.read_bytes()
        usual = resource.getrlimit(resource.RLIMIT_FSIZE)
        for room in (0, 10, 50):
            resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + room, usual[1]))
            try:
                self.assertRaises(CommandError, file.write, frame, found, "why")
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, usual)
            self.assertEqual(path.read_bytes(), before)
        length = file.write(frame, found, "why")
        self.assertEqual(path.read_bytes(), before + before[-length:])
        file.close()

    def test_packets_as_lines(self) -> None:
        """For people, and as JSON."""
        frame, found = self.frame()
        with contextlib.redirect_stdout(io.StringIO()) as said:
            length = lines(self.ports, as_json=False)(frame, found, "why")
            lines(self.ports, as_json=True)(frame, found, "why")
        line, value = said.getvalue().splitlines()
        self.assertEqual(len(line) + 1, length)
        self.assertRegex(line, rf"^[0-9:.]+ lan0 tcp {CLIENT}:4000 > {POOL}:80 syn  # why$")
        told = json.loads(value)
        self.assertEqual((told["interface"], told["destination"], told["octets"]), ("lan0", POOL, 40))


class WordsTests(SynchronousTestCase):
    """What can be said."""

    def test_one_thing_is_meant(self) -> None:
        """Neither none nor two."""
        for given in ((None, None, None), ("a.example.org", "b.example.org", None)):
            error = self.assertRaises(CommandError, meant, Usual(), *given)
            self.assertEqual(str(error), "capture: write which: --name, --host or --flow")

    def test_a_flow(self) -> None:
        """Whichever of its ends was written first; what is no address is refused."""
        client, host, other = (
            (ip_address(address).packed, port) for address, port in ((CLIENT, 4000), (HOST, 80), (POOL, None))
        )
        for one, two, ends in (
            (client, host, (client, host)), (host, client, (client, host)), (client, other, (client, other)),
            (other, client, (other, client)), (host, host, (host, host)),
        ):  # fmt: skip
            wanted, which = of_flow(one, two, HOST.__eq__)
            self.assertEqual((wanted.ends, which), (ends, {"client": str(ip_address(ends[0][0]))}))
        error = self.assertRaises(CommandError, meant, Usual(), None, None, ("there", "192.0.2.1:80"))
        self.assertEqual(error.status, ExitStatus.USAGE)

    def test_times_and_sizes_have_units(self) -> None:
        """And bounds."""
        for words in (("--for", "2d"), ("--for", "61m"), ("--for", "0"), ("--max-size", "1T"), ("--max-size", "-1")):
            done = CliRunner().invoke(capture, ["--name", "a.example.org", *words], obj=Usual())
            self.assertEqual(done.exit_code, 2)
            self.assertIn("is no number with a unit", done.output)
