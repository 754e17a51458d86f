"""A dashboard without sockets, for tests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import count
from typing import Any

from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from realmgw.control.streaming import Stream
from realmgw.dashboard.access import Access
from realmgw.dashboard.live import Live
from realmgw.dashboard.port import DashboardFactory

TOKEN = "0123456789abcdef-secret"
PEER = IPv4Address("TCP", "127.0.0.1", 40000)
STATUS: Mapping[str, Any] = {
    "state": "healthy", "troubles": [], "name": "gw.example.org.", "uptime": 60.0, "version": "1", "hosts": 2,
    "services": 3, "pool": {"size": 4}, "rates": {"seconds": 60.0, "queries": 1.0, "lent": 1.0, "admitted": 1.0},
    "counts": {"admission": {"refused": {"no_claim": 7}}},
}  # fmt: skip
ANSWERS: Mapping[str, Any] = {
    "status": STATUS,
    "reservations": {"addresses": 0, "reservations": []},
    "reputation/list": {"total": 0, "reputations": []},
    "picture": {"size": 4, "each": 1, "waiting": [1, 0, 0, 0], "lingering": [0, 1, 0, 0]},
}
FLOW = {"event": "begins", "at": 5.0, "client": "198.51.100.7", "service": "a.example.org."}


class RecordingCommands:
    """Does commands.

    Attributes:
        asked: Which, with what they were told.
        answers: What each says, or raises.
        streams: What was told of flows over a while.
        logs: The same of decisions.
        stopped: How many of those nobody follows any more.
    """

    def __init__(self) -> None:
        """Nothing was asked."""
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.answers: dict[str, Any] = dict(ANSWERS)
        self.streams: list[Stream] = []
        self.logs: list[Stream] = []
        self.stopped = 0

    def do(self, path: str, given: Mapping[str, str]) -> Any:
        """Notes it."""
        self.asked.append((path, dict(given)))
        answer = self.answers.get(path, {"answer": 42})
        if isinstance(answer, Exception):
            raise answer
        if path == "flows/watch":
            self.streams.append(Stream(self.stop))
            return self.streams[-1]
        if path == "log" and answer == {"answer": 42}:
            self.logs.append(Stream(self.stop))
            return succeed(self.logs[-1])
        return answer if isinstance(answer, Deferred) else succeed(answer)

    def stop(self) -> None:
        """One is followed no more."""
        self.stopped += 1


class Transport(StringTransport):
    """What a browser is sent.

    Attributes:
        aborted: Whether the connection was ended at once.
    """

    aborted = False

    def abortConnection(self) -> None:
        """Notes it."""
        self.aborted = True
        self.disconnecting = True

    def fill(self) -> None:
        """The browser takes nothing more."""
        assert self.producer is not None
        self.producer.pauseProducing()

    def drain(self) -> None:
        """It takes everything again."""
        assert self.producer is not None
        self.producer.resumeProducing()


class LookingTestCase(SynchronousTestCase):
    """A dashboard that wants a token."""

    def setUp(self) -> None:
        """Makes it."""
        self.clock, self.commands, numbers = Clock(), RecordingCommands(), count(1)
        self.access = Access(lambda octets: next(numbers).to_bytes(octets, "big"), ["gw.example.org"])
        self.access.demand(TOKEN)
        live = Live(self.commands.do, self.clock, lambda: 1000.0 + self.clock.seconds())
        self.factory = DashboardFactory(self.clock, self.commands.do, self.access, live, self.clock.seconds)

    def connect(self, *, unix: bool = False) -> tuple[Any, Transport]:
        """A browser connects."""
        peer: Any = UNIXAddress(None) if unix else PEER
        protocol: Any = self.factory.buildProtocol(peer)
        transport = Transport(hostAddress=peer, peerAddress=peer)
        protocol.makeConnection(transport)
        return protocol, transport

    def ask(self, line: str, *fields: str, host: str = "localhost") -> Transport:
        """What is said to a request."""
        protocol, transport = self.connect()
        head = "\r\n".join([f"{line} HTTP/1.1", f"Host: {host}", *fields])
        protocol.dataReceived(f"{head}\r\n\r\n".encode())
        if transport.disconnecting:
            protocol.connectionLost(Failure(ConnectionDone()))
        return transport

    def said(self, line: str, *fields: str, host: str = "localhost") -> tuple[int, Any]:
        """The status, and what is told as JSON."""
        head, _, body = self.ask(line, *fields, host=host).value().partition(b"\r\n\r\n")
        return int(head.split()[1]), json.loads(body)

    def enter(self) -> str:
        """Shows the token; returns the field that says so."""
        head = self.ask("POST /session", "Origin: http://localhost", f"Authorization: Bearer {TOKEN}").value()
        [cookie] = [line for line in head.split(b"\r\n") if line.lower().startswith(b"set-cookie:")]
        return f"Cookie: {cookie.decode().partition(': ')[2].partition(';')[0]}"

    def look(self, cookie: str) -> tuple[Any, Transport]:
        """Opens a page, and returns its connection."""
        protocol, transport = self.connect()
        protocol.dataReceived(f"GET /live HTTP/1.1\r\nHost: localhost\r\n{cookie}\r\n\r\n".encode())
        return protocol, transport


def events(transport: Transport) -> list[tuple[str, Any]]:
    """What a page was told: the events' names, and what they say."""
    found, name = [], ""
    for line in transport.value().decode().replace("\r\n", "\n").splitlines():
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            found.append((name, json.loads(line.removeprefix("data: "))))
    return found
