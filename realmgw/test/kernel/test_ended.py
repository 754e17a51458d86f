"""Flows that conntrack forgets while their addresses pass on: the whole gateway, real conntrack."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, ClassVar

from realmgw.control.command.client import ask
from realmgw.test.kernel.realm_case import FIRST, PREFIX, SECOND, RealmTestCase

if TYPE_CHECKING:
    from collections.abc import Iterator

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.realm import host
    from testbed.realm.gateway import Gateway
    from testbed.realm.topology import CLIENT, Testbed

ONE_ADDRESS = "100.64.2.1"
"""The whole pool."""
TIMES = {"udp_timeout": 3, "udp_timeout_stream": 6}
"""When conntrack forgets flows of UDP, in seconds: a single exchange, and a longer one."""
TCP_REPAIR = 19
"""An option: a socket that has it is closed without a word."""
PORT = 2000
"""Where the hosts echo datagrams."""


class Peer:
    """A client with a port of its own, as WireGuard, NTP and IKE have one."""

    def __init__(self, flow: socket.socket) -> None:
        self._flow = flow

    def say(self) -> str | None:
        """Send a datagram; the host that answers, or None: it was refused."""
        try:
            self._flow.send(b"x")
            return self._flow.recv(99).split(b"\n")[0].decode()
        except ConnectionRefusedError:
            return None


class EndedTestCase(RealmTestCase):
    """One address for two hosts, and a conntrack with a short memory."""

    circular: ClassVar[Sequence[Mapping[str, str]]] = [{"addresses": ONE_ADDRESS, "attachment": "routed"}]
    times: ClassVar[Mapping[str, int]] = TIMES

    def build(self) -> tuple[Testbed, Gateway]:
        """A gateway at whose addresses nobody lingers for long."""
        testbed = Testbed(PREFIX, hosts=2, clients=5).__enter__()
        try:
            host.start(testbed)
            for name, seconds in self.times.items():
                testbed.run("gwa", ["sysctl", "-w", f"net.netfilter.nf_conntrack_{name}={seconds}"])
            gateway = Gateway(
                testbed, self.subscribers(), circular=self.circular, settings={"allocation": {"linger": 1}}
            )
            gateway.start()
        except BaseException:
            testbed.close()
            raise
        return testbed, gateway

    def peer(self, port: int, source: str = "") -> Peer:
        """A client that sends from this port."""
        with self.testbed.inside("public"):
            made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(made.close)
        made.settimeout(5)
        made.bind((source or CLIENT, port))
        made.connect((ONE_ADDRESS, PORT))
        return Peer(made)

    def counts(self) -> Any:
        """What the gateway has counted."""
        return ask(self.gateway.control, "status")["counts"]

    @contextlib.contextmanager
    def counted(self, **more: int) -> Iterator[None]:
        """Counters of the allocation grow by so many meanwhile."""
        before = self.counts()["allocation"]
        yield
        after = self.counts()["allocation"]
        self.assertEqual({name: after[name] - before[name] for name in more}, more)


class PausingTests(EndedTestCase):
    """Flows of UDP that are silent for longer than conntrack remembers."""

    def test_goes_on_however_often_it_pauses(self) -> None:
        """To its own host, without another query, long after the address lingered."""
        one = self.peer(5001)
        self.ask("one.gwa.demo")
        self.assertEqual(one.say(), FIRST)
        with self.counted(resumed=2, by_claim=0):
            for _ in range(2):
                time.sleep(TIMES["udp_timeout"] + 1.5)
                self.assertEqual(one.say(), FIRST)

    def test_goes_on_after_a_conversation(self) -> None:
        """Whose end conntrack tells of."""
        one, before = self.peer(5002), self.counts()["admission"]
        self.ask("one.gwa.demo")
        for _ in range(6):
            self.assertEqual(one.say(), FIRST)
            time.sleep(0.5)
        time.sleep(TIMES["udp_timeout_stream"] + 1)
        self.assertEqual(one.say(), FIRST)
        after = self.counts()["admission"]
        self.assertGreater(after["ends_heard"], before["ends_heard"])
        self.assertEqual(after["ends_lost"], 0)

    def test_is_refused_when_its_address_has_passed_on(self) -> None:
        """By ICMP; and the other host's claim is there still, for its client."""
        one, two = self.peer(5003), self.peer(5003, self.testbed.clients[3])
        self.ask("one.gwa.demo")
        self.assertEqual(one.say(), FIRST)
        time.sleep(TIMES["udp_timeout"] + 1.5)
        self.ask("two.gwa.demo")
        before = self.unreachables()
        self.assertIsNone(one.say())
        self.assertEqual(self.unreachables(), before + 1)
        with self.counted(by_claim=1):
            self.assertEqual(two.say(), SECOND)
        self.assertGreater(self.counts()["admission"]["refused"]["passed_on"], 0)


class DeafTests(EndedTestCase):
    """The operator has switched conntrack's events off."""

    def test_is_told_and_the_latest_flows_go_on(self) -> None:
        """They are known without."""
        self.testbed.run("gwa", ["sysctl", "-w", "net.netfilter.nf_conntrack_events=0"])
        self.ask("one.gwa.demo")
        one = self.peer(5021)
        self.assertEqual(one.say(), FIRST)
        time.sleep(11)  # by then it was looked at
        lines = [each["text"] for each in ask(self.gateway.control, "status")["troubles"]]
        self.assertIn("nf_conntrack_events is 0", " ".join(lines))
        self.assertEqual(one.say(), FIRST)


class PassingOnTests(EndedTestCase):
    """Flows that conntrack knows still; its memory is as long as ever."""

    times: ClassVar[Mapping[str, int]] = {}

    def test_a_former_client_does_not_reach_the_former_host(self) -> None:
        """From the same port, told the same address for another name: he is refused, and at no time astray."""
        one = self.peer(5011)
        self.ask("one.gwa.demo")
        self.assertEqual(one.say(), FIRST)
        time.sleep(3.5)
        with self.counted(idle_ended=1):
            self.ask("two.gwa.demo")
            for _ in range(3):
                self.assertIn(one.say(), (None, SECOND))
                time.sleep(0.2)

    def connect(self, port: int) -> socket.socket:
        """A connection from this port, which has said and heard something."""
        with self.testbed.inside("public"):
            made = socket.socket()
        self.addCleanup(made.close)
        made.settimeout(5)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((CLIENT, port))
        made.connect((ONE_ADDRESS, 80))
        made.send(b"GET / HTTP/1.0\r\n\r\n")
        return made

    def answer(self, connection: socket.socket) -> bytes:
        """All that the host says, by which it is known."""
        return b"".join(iter(lambda: connection.recv(999), b""))

    def test_a_handshake_ends_what_was_left(self) -> None:
        """Of a connection that was closed, of one that was reset, and of one that its client has lost."""
        self.ask("one.gwa.demo")
        closed, reset, lost = (self.connect(port) for port in (7001, 7002, 7003))
        for each in (closed, reset, lost):
            self.assertIn(FIRST.encode(), self.answer(each))
        reset.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        lost.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
        for each in (closed, reset, lost):
            each.close()
        time.sleep(3.2)  # until then they would be taken for packets of a burst
        self.ask("two.gwa.demo")
        for port in (7001, 7002, 7003):
            self.assertIn(SECOND.encode(), self.answer(self.connect(port)))

    def test_busy_flows_survive(self) -> None:
        """A flow of UDP, and a download: their address passes on and on meanwhile."""
        one = self.peer(5012)
        self.ask("one.gwa.demo")
        self.assertEqual(one.say(), FIRST)
        with ThreadPoolExecutor(1) as pool:
            running = self.download(pool, "one.gwa.demo", 5_000_000)
            for number in range(16):
                self.ask(("two.gwa.demo", "one.gwa.demo")[number % 2])
                other = self.peer(6000 + number, self.testbed.clients[3])
                self.assertEqual(other.say(), (SECOND, FIRST)[number % 2])
                self.assertEqual(one.say(), FIRST)
                time.sleep(0.3)
            self.assertEqual(running.result(20).checksum, host.checksum(FIRST, 5_000_000))
