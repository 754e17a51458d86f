"""Many sockets that the reactor knows as one."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from realmgw.dns.forward.polled import TURN, Polled


class Readers(Clock):
    """A reactor, as far as it has to know who reads."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: list[Any] = []

    def addReader(self, reader: Any) -> None:
        self.readers.append(reader)

    def removeReader(self, reader: Any) -> None:
        self.readers.remove(reader)


class One:
    """A socket that may be told, and what it does then."""

    def __init__(self, polled: Polled) -> None:
        self.handle = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.handle.bind(("127.0.0.1", 0))
        self.polled = polled
        self.read: list[bytes] = []
        self.lost: list[Failure] = []
        self.fault: Exception | None = None
        self.closes: list[One] = []
        polled.addReader(self)

    def fileno(self) -> int:
        """The socket's."""
        return self.handle.fileno()

    def gets(self, octets: bytes) -> None:
        """Somebody sends it a datagram."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.sendto(octets, self.handle.getsockname())

    def doRead(self) -> None:
        self.read.append(self.handle.recv(100))
        if self.fault is not None:
            raise self.fault
        for each in self.closes:
            each.close()

    def connectionLost(self, reason: Failure) -> None:
        self.lost.append(reason)
        self.close()

    def close(self) -> None:
        """Ends it."""
        self.polled.removeReader(self)
        self.handle.close()


class PolledTests(SynchronousTestCase):
    """`Polled`, with sockets of the kernel."""

    def setUp(self) -> None:
        self.reactor = Readers()
        self.polled = Polled(self.reactor)
        self.addCleanup(self.polled.close)

    def some(self, count: int) -> list[One]:
        """So many sockets, each with a datagram."""
        made = [One(self.polled) for _ in range(count)]
        for number, each in enumerate(made):
            self.addCleanup(each.close)
            each.gets(b"%d" % number)
        return made

    def test_one_reader(self) -> None:
        """The reactor knows of one, whatever the number of sockets; each gets what came to it."""
        made = self.some(TURN)
        self.assertEqual(self.reactor.readers, [self.polled])
        self.assertGreaterEqual(self.polled.fileno(), 0)
        self.polled.doRead()
        self.assertEqual([each.read for each in made], [[b"%d" % number] for number in range(TURN)])
        self.polled.doRead()
        self.assertEqual(sum(len(each.read) for each in made), TURN)

    def test_turn(self) -> None:
        """In one turn only so many are read; the rest has the next ones, and nobody is forgotten."""
        made = self.some(3 * TURN)
        for turn in range(1, 4):
            self.polled.doRead()
            self.assertEqual(sum(len(each.read) for each in made), turn * TURN)
        self.assertEqual({len(each.read) for each in made}, {1})

    def test_closed_meanwhile(self) -> None:
        """One that another one closed in the same turn is passed over, and so is what has its number then."""
        first, second = self.some(2)
        first.closes, second.closes = [second], [first]
        self.polled.doRead()
        self.assertEqual(sorted((len(first.read), len(second.read))), [0, 1])

    def test_removed(self) -> None:
        """One that was removed hears nothing more; it may be removed again."""
        one, other = self.some(2)
        self.polled.removeReader(one)
        self.polled.removeReader(one)
        self.polled.doRead()
        self.assertEqual((one.read, other.read), ([], [b"1"]))

    def test_fault(self) -> None:
        """A fault of one ends it, is told, and leaves the others alone."""
        one, other = self.some(2)
        one.fault = ValueError("a fault")
        self.polled.doRead()
        other.gets(b"again")
        self.reactor.advance(0)
        self.polled.doRead()
        self.assertEqual(other.read, [b"1", b"again"])
        self.assertEqual([each.type for each in one.lost], [ValueError])
        self.assertEqual((self.reactor.readers, len(self.flushLoggedErrors(ValueError))), ([self.polled], 1))

    def test_end(self) -> None:
        """Closed, it is known to nobody; it begins anew with the next socket. When the reactor ends, all are told."""
        (one,) = self.some(1)
        self.polled.close()
        self.polled.doRead()
        self.assertEqual((one.read, self.reactor.readers, self.polled.fileno()), ([], [], -1))
        (other,) = self.some(1)
        self.polled.doRead()
        self.assertEqual((other.read, self.reactor.readers), ([b"0"], [self.polled]))
        self.polled.connectionLost(Failure(ValueError("the end")))
        self.assertEqual((len(other.lost), self.reactor.readers), (1, []))
