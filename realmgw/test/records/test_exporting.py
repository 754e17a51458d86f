"""Records on their way to a collector, which is there, or is not: real sockets of this machine."""

from __future__ import annotations

import contextlib
import select
import socket

from twisted.trial.unittest import SynchronousTestCase

from realmgw.records import exporting as module
from realmgw.records.exporting import PATIENCE, PROOF, TRY_AGAIN, Collector, Exporting
from realmgw.test.records.ipfix_reader import Reader
from realmgw.test.records.test_ipfix import CAME

MANY = 1000


class ExportingTestCase(SynchronousTestCase):
    """A collector."""

    is_stream = False

    def setUp(self) -> None:
        """It listens."""
        self.now, self.reader = 1000.0, Reader()
        self.collector = self.listen(0)
        self.port = self.collector.getsockname()[1]
        self.exporting = self.make()

    def listen(self, port: int) -> socket.socket:
        """A socket of the collector's."""
        made = socket.socket(socket.AF_INET, socket.SOCK_STREAM if self.is_stream else socket.SOCK_DGRAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(("127.0.0.1", port))
        made.settimeout(5.0)
        if self.is_stream:
            made.listen()
        self.addCleanup(made.close)
        return made

    def make(self) -> Exporting:
        """Whoever sends to it."""
        collector = Collector("127.0.0.1", self.port, self.is_stream, 7, 60.0)
        made = Exporting(collector, lambda: self.now, lambda: self.now)
        self.addCleanup(made.close)
        return made

    def send(self, *ports: int, after: float = PROOF) -> None:
        """Records of clients at these ports, some time later."""
        self.exporting.add([(CAME._replace(client_port=port), None) for port in ports])
        self.now += after
        self.exporting.step()

    def told(self, exporting: Exporting) -> tuple[int, int, int]:
        """How many were sent, were lost, and wait."""
        return exporting.exported, exporting.unexported, len(exporting)


class DatagramTests(ExportingTestCase):
    """By UDP."""

    def heard(self) -> list[int]:
        """The clients' ports of all that has come."""
        self.collector.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                self.reader.message(self.collector.recv(9999))
        return [each[0, 7] for each in self.reader.records]

    def test_templates_come_before_records_and_again(self) -> None:
        """Sequence numbers count records; many are in several messages."""
        self.send(after=0.0)
        self.send(1, 2)
        self.assertEqual((self.heard(), self.reader.unknown), ([1, 2], 0))
        self.send(*range(3, 103), after=1.0)
        self.assertEqual(self.heard(), [*range(1, 103)])
        self.assertEqual(self.told(self.exporting), (102, 0, 0))
        numbers = [number for _, _, number, _ in self.reader.headers]
        self.assertEqual(numbers[:4], [0, 0, 2, 2 + (numbers[3] - 2)])
        self.assertTrue(len(numbers) > 4 and numbers == sorted(numbers))
        self.reader.templates.clear()
        self.send(7, after=60.0)
        self.heard()
        self.assertEqual((self.reader.unknown, self.reader.headers[-1][2]), (0, 102))

    def test_who_does_not_listen_is_found_out_and_gets_it_later(self) -> None:
        """What it would get waits; it is said what is wrong."""
        self.collector.close()
        self.send(1, after=0.0)
        self.send(2)
        self.assertIn(f"UDP 127.0.0.1 port {self.port}) can not be reached: Connection refused", self.exporting.problem)
        self.collector = self.listen(self.port)
        self.send(after=TRY_AGAIN)
        self.send(3)
        self.assertEqual((self.heard(), self.reader.unknown, self.exporting.problem), ([1, 2, 3], 0, ""))

    def test_what_waits_is_bounded(self) -> None:
        """The oldest make room, and are counted; what is left at the end is, too."""
        self.patch(module, "MOST_WAITING", 5)
        self.collector.close()
        self.send(*range(9), after=0.0)
        self.assertEqual(self.told(self.exporting), (0, 4, 5))
        self.exporting.close()
        self.assertEqual(self.told(self.exporting), (0, 9, 0))

    def test_an_address_without_a_way_is_a_problem(self) -> None:
        """And no more than that."""
        self.exporting = Exporting(Collector("fe80::1", 4739, False, 7, 60.0), lambda: self.now, lambda: self.now)
        self.send(1)
        self.assertIn("can not be reached: Invalid argument", self.exporting.problem)


class StreamTests(ExportingTestCase):
    """By TCP."""

    is_stream = True

    def accepted(self) -> socket.socket:
        """The connection."""
        made, _ = self.collector.accept()
        self.addCleanup(made.close)
        made.settimeout(5.0)
        return made

    def heard(self, connection: socket.socket) -> list[int]:
        """The clients' ports of all that has come until it is over."""
        octets = b""
        while more := connection.recv(99_999):
            octets += more
        self.reader.stream(octets)
        return [each[0, 7] for each in self.reader.records]

    def test_templates_come_once(self) -> None:
        """And whatever waits at the end is sent."""
        self.send(after=0.0)
        self.send(1, 2)
        connection = self.accepted()
        self.send(3, after=600.0)
        self.exporting.add([(CAME._replace(client_port=4), None)])
        self.exporting.close()
        self.assertEqual(self.heard(connection), [1, 2, 3, 4])
        self.assertEqual([number for _, _, number, _ in self.reader.headers], [0, 0, 2, 3])
        self.assertEqual(self.told(self.exporting), (4, 0, 0))

    def test_a_collector_that_ends_the_connection_gets_the_rest_by_another(self) -> None:
        """With templates, and numbers from 0 on."""
        self.send(after=0.0)
        self.send(1)
        connection = self.accepted()
        self.assertTrue(select.select([connection], [], [], 5.0)[0])
        connection.close()
        self.send(2)
        self.assertIn("TCP 127.0.0.1", self.exporting.problem)
        self.send(after=TRY_AGAIN)
        self.send(3)
        connection = self.accepted()
        self.exporting.close()
        self.assertEqual(self.heard(connection), [2, 3])
        self.assertEqual([number for _, _, number, _ in self.reader.headers], [0, 0])

    def test_one_that_does_not_read_holds_up_nobody(self) -> None:
        """What finds no room with it waits; when it has read, it gets whole messages, in order."""
        self.send(after=0.0)
        self.send()
        connection = self.accepted()
        sent, octets = list[int](), b""
        while len(self.exporting) <= MANY:
            self.send(*range(MANY), after=0.01)
            sent += range(MANY)
            self.assertLess(len(sent), 1000 * MANY)
        while len(self.exporting):
            octets += connection.recv(1 << 20)
            self.send(after=0.01)
        self.exporting.close()
        self.reader.stream(octets + b"".join(iter(lambda: connection.recv(1 << 20), b"")))
        self.assertEqual([each[0, 7] for each in self.reader.records], sent)
        self.assertEqual(self.told(self.exporting), (len(sent), 0, 0))

    def test_one_that_is_not_there(self) -> None:
        """It is tried again; one that says nothing at all is given up after a while."""
        self.collector.close()
        self.send(1, after=0.0)
        self.send()
        self.assertIn("Connection refused", self.exporting.problem)
        self.assertEqual(self.told(self.exporting), (0, 0, 1))

    def test_a_connection_that_is_never_made_is_given_up(self) -> None:
        """After a while; meanwhile records wait."""
        left, right = socket.socketpair()
        self.addCleanup(right.close)
        self.addCleanup(left.close)
        left.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                left.send(bytes(65_536))  # it can not be written to, as one that is not made yet
        collector = Collector("192.0.2.50", 4739, True, 7, 60.0)
        self.exporting = Exporting(collector, lambda: self.now, lambda: self.now, lambda *_: Unconnected(left))
        self.send(1, after=0.0)
        self.send(after=PATIENCE - 1.0)
        self.assertEqual(self.exporting.problem, "")
        self.send(after=1.0)
        self.assertIn("timed out", self.exporting.problem)


class Unconnected:
    """A socket whose connection is never made."""

    def __init__(self, real: socket.socket) -> None:
        self._real = real
        self.fileno, self.setblocking, self.close = real.fileno, real.setblocking, real.close

    def connect(self, address: object) -> None:
        """It is begun."""
        del address
        raise BlockingIOError
