"""The recorder's loop, with a kernel that says what it is told to."""

from __future__ import annotations

import errno
import json
import struct
from collections import deque
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from realmgw.datapath.netlink import codec
from realmgw.datapath.netlink.accounted import DESTROYED
from realmgw.records.frames import HOSTS, OPENED
from realmgw.records.history import History
from realmgw.records.recorder import PATIENCE, Recorder, Reports
from realmgw.records.store import Store
from realmgw.records.writing import Kept, Writing

CLIENT, POOL, HOST = (ip_address(each).packed for each in ("203.0.113.5", "192.0.2.3", "192.168.0.11"))
NOW = 1_795_778_325.0


def ended(sport: int, began: float, source: bytes = HOST) -> bytes:
    """What the kernel says when the flow of a client ends."""

    def direction(kind: int, ends: tuple[bytes, bytes], ports: tuple[int, int]) -> bytes:
        numbers = (codec.attribute(at, port.to_bytes(2, "big")) for at, port in enumerate(ports, 2))
        addresses = map(codec.attribute, (1, 2), ends)
        return codec.nested(kind, codec.nested(1, *addresses), codec.nested(2, codec.attribute(1, b"\x11"), *numbers))

    def pair(kind: int, *numbers: int) -> bytes:
        return codec.nested(kind, *(codec.attribute(at, n.to_bytes(8, "big")) for at, n in enumerate(numbers, 1)))

    there, back = direction(1, (CLIENT, POOL), (sport, 53)), direction(2, (source, CLIENT), (53, sport))
    words = (codec.attribute(kind, bytes(4)) for kind in (12, 3, 7))
    times = pair(20, int(began * 1e9), int(NOW * 1e9))
    return codec.netfilter(DESTROYED, 0, 0, 2, there, back, *words, pair(9, 1, 60), pair(10, 1, 90), times)


class MemoryChannel:
    """A socket that has been told something.

    Attributes:
        told: What comes next: octets, or an error.
        dropped: How much the kernel had no room for.
    """

    def __init__(self) -> None:
        self.told = deque[bytes | OSError]()
        self.dropped = 0

    def recv(self, size: int) -> bytes:
        """The next of it."""
        del size
        if not self.told:
            raise BlockingIOError
        said = self.told.popleft()
        if isinstance(said, OSError):
            raise said
        return said

    def getsockopt(self, _level: int, _option: int, size: int) -> bytes:
        """What `SO_MEMINFO` says."""
        return struct.pack("=9I", *[7] * 8, self.dropped)[:size]


class RecorderTests(SynchronousTestCase):
    """Ends in, lines out."""

    def setUp(self) -> None:
        """A recorder that knows one host."""
        self.path = Path(self.mktemp())
        self.now, self.put_back = NOW, 0.0
        self.channel = MemoryChannel()
        writing = Writing(Kept(self.path, 1_000_000, 2, 3.0), self.wall, self.monotonic)
        self.addCleanup(writing.close)
        self.recorder = self.make(writing, clock=self.wall, monotonic=self.monotonic)
        self.recorder.hear((HOSTS, 0.0, [(HOST, "one.example.org.", ())]))

    def make(self, *arguments: Any, **more: Any) -> Recorder:
        """A recorder at that socket."""
        channel: Any = self.channel
        return Recorder(channel, *arguments, **more)

    def wall(self) -> float:
        """The time of day."""
        return self.now - self.put_back

    def monotonic(self) -> float:
        """What is not put back."""
        return self.now

    def lines(self) -> list[dict[str, Any]]:
        """What is written."""
        return [json.loads(line) for line in self.path.read_bytes().splitlines()] if self.path.exists() else []

    def test_a_young_flow_waits_for_its_name(self) -> None:
        """Which is told some time after it was let in; who comes without one does not wait for ever."""
        self.channel.told += [ended(1, NOW - 0.1), ended(2, NOW - 0.1), ended(3, NOW - 60.0)]
        self.recorder.take()
        self.assertEqual([each["client_port"] for each in self.lines()], [3])
        opened = [(0.0, 0x2F3, "www.example.org.", (CLIENT, POOL, 17, 1, 53), 1)]
        self.recorder.hear((OPENED, 4, msgspec.msgpack.encode(opened)))
        self.recorder.take()
        self.now += PATIENCE
        self.recorder.take()
        self.assertEqual([each["name"] for each in self.lines()], [None, "www.example.org.", None])
        self.assertEqual([each["trace_id"] for each in self.lines()], [None, "2f3", None])
        counts = self.recorder.counts()
        self.assertEqual((counts["written"], counts["unnamed"], counts["waiting"], counts["open"]), (3, 2, 0, 0))

    def test_a_clock_that_is_put_back_holds_up_nobody(self) -> None:
        """Who waits for a name waits no longer for that."""
        self.channel.told += [ended(1, NOW - 0.1)]
        self.recorder.take()
        self.put_back = 3600.0
        self.now += PATIENCE
        self.recorder.take()
        self.assertEqual(len(self.lines()), 1)

    def test_all_is_written_at_the_end(self) -> None:
        """Also what would wait, and what was not taken yet."""
        self.channel.told += [ended(port, NOW - 0.1) for port in range(1, 3000)]
        self.recorder.finish()
        self.assertEqual(len(self.lines()), 2999)

    def test_all_of_it_is_kept_in_the_database_as_well(self) -> None:
        """In time, and at the end; what is wrong with it is told."""
        path = Path(self.mktemp())
        writing = Writing(Kept(self.path, 1_000_000, 2, 3.0), self.wall, self.monotonic)
        store = Store(path, 10, 3.0, self.wall, self.monotonic)
        recorder = self.make(writing, store, clock=self.wall, monotonic=self.monotonic)
        recorder.hear((HOSTS, 0.0, [(HOST, "one.example.org.", ())]))
        self.channel.told += [ended(1, 1.0)]
        recorder.take()
        self.channel.told += [ended(2, NOW - 0.1)]
        recorder.finish()
        found = History(path).flows({"host": "one.example.org."}, 9)["flows"]
        self.assertEqual([each["client_port"] for each in found], [2, 1])
        self.assertEqual((recorder.counts()["unkept"], recorder.problem), (0, ""))

    def test_what_the_kernel_had_no_room_for_is_counted(self) -> None:
        """One by one, by the kernel; a line stands where they would."""
        self.channel.told += [ended(1, 1.0), OSError(errno.ENOBUFS, "no room"), ended(2, 1.0)]
        self.channel.dropped = 17
        self.recorder.take()
        self.recorder.take()
        self.assertEqual([each["event"] for each in self.lines()], ["lost", "ends", "ends"])
        self.assertEqual(self.lines()[0]["flows"], 17)
        counts = self.recorder.counts()
        self.assertEqual((counts["lost"], counts["overruns"]), (17, 1))

    def test_the_next_recorder_does_not_count_them_again(self) -> None:
        """The socket is the same, and so is the kernel's count."""
        self.channel.dropped = 17
        writing = Writing(Kept(self.path, 1_000_000, 2, 3.0), self.wall, self.monotonic)
        recorder = self.make(writing, None, 0.0, 12, self.wall)
        self.addCleanup(writing.close)
        recorder.take()
        self.assertEqual((recorder.lost, recorder.dropped), (5, 17))

    def test_what_is_malformed_or_nobodys_is_counted(self) -> None:
        """And recorded nowhere."""
        self.channel.told += [b"", ended(1, 1.0)[:40], ended(1, 1.0, source=POOL), codec.netfilter(DESTROYED, 0, 0, 2)]
        self.recorder.take()
        counts = self.recorder.counts()
        self.assertEqual((self.lines(), counts["malformed"], counts["others"]), ([], 3, 1))

    def test_the_gateway_is_told_whole_lines_however_slowly_it_reads(self) -> None:
        """A report longer than the pipe has room for goes on when there is room; others wait until it is told."""
        self.recorder.totals.by_group = {"x" * 900 + str(number): {"flows": 1} for number in range(100)}
        pipe, rooms = bytearray(), [65_536, 0, 0, 60_000, 70_000]

        def write(data: bytes) -> int:
            some = data[: rooms.pop(0) if rooms else 0]
            if not some:
                raise BlockingIOError
            pipe.extend(some)
            return len(some)

        reports = Reports(write)
        for _ in range(3):
            reports.tell(self.recorder)
        first, _begun = bytes(pipe).splitlines()
        self.assertEqual(len(json.loads(first)["groups"]), 100)
        rooms.append(100_000)
        reports.go_on()
        self.assertEqual(json.loads(bytes(pipe).splitlines()[1])["problem"], "")

    def test_any_other_error_ends_it(self) -> None:
        """The gateway begins another one."""
        self.channel.told += [OSError(errno.EBADF, "bad")]
        self.assertRaises(OSError, self.recorder.take)
