"""What the kernel tests of the datapath share: a testbed whose gateway has the datapath, and a program at its queue."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_network
from pathlib import Path
from typing import ClassVar

from twisted.trial.unittest import SynchronousTestCase

from realmgw.config import settings as config
from realmgw.datapath import marks
from realmgw.datapath.apply import Kernel
from realmgw.datapath.watch.keeper import Noticed
from realmgw.subscribers.model import Host, Profile
from realmgw.test.kernel import requirements

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.realm.topology import ON_LINK, ROUTED, Testbed

PREFIX = f"d{os.getpid()}-"
TO_FIRST, TO_SECOND, REFUSED, UNDECIDED = (f"100.64.2.{last}" for last in (1, 2, 5, 6))
"""What the program at the queue does with a packet depends on the pool address that it is for."""
TO_NOBODY, TO_FIRST_ON_LINK = "100.64.2.9", "100.64.1.131"
VERDICTS = {
    TO_FIRST: marks.admitted(1),
    TO_SECOND: marks.admitted(2),
    TO_FIRST_ON_LINK: marks.admitted(1),
    TO_NOBODY: marks.admitted(77),
    REFUSED: marks.REJECTED,
}
DECIDE = """
import sys
from ipaddress import ip_address
from netfilterqueue import NetfilterQueue
verdicts = dict(word.split("=") for word in sys.argv[1:])
def decide(packet):
    payload = packet.get_payload()
    destination = str(ip_address(payload[16:20] if payload[0] >> 4 == 4 else payload[24:40]))
    if destination in verdicts:
        packet.set_mark(int(verdicts[destination]))
    packet.accept()
queue = NetfilterQueue()
queue.bind(1, decide)
print("bound", flush=True)
queue.run()
"""
PATIENCE = 30.0  # seconds


def settings(*, stray_rate: int, reject_rate: int, dnat: config.Dnat, state: Path) -> config.Settings:
    """The settings of the testbed's gateway."""
    prefixes = [(f"{address}/32", config.Attachment.ON_LINK) for address in ON_LINK]
    prefixes.append((ROUTED, config.Attachment.ROUTED))
    return config.Settings(
        name="gwa",
        zones=(),
        interfaces=config.Interfaces(wan="wan0", lan=("lan0",)),
        pools=config.Pools(circular=tuple(config.PoolPrefix(ip_network(net), how) for net, how in prefixes)),
        admission=config.Admission(stray_rate=stray_rate),
        datapath=config.Datapath(reject_rate=reject_rate, dnat=dnat),
        state=state,
    )


def must(testbed: Testbed, namespace: str, words: Sequence[str]) -> None:
    """Runs a program in a namespace; what a test shows afterwards would mean nothing if it failed.

    Raises:
        AssertionError: It failed.
    """
    done = testbed.run(namespace, words)
    if done.returncode:
        raise AssertionError(f"{' '.join(words)}: {done.stderr}")


def until(condition: Callable[[], bool], patience: float = PATIENCE) -> bool:
    """Waits for what the kernel or another process does. Returns whether it came true in time."""
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


class DatapathTestCase(SynchronousTestCase):
    """What all of them need: a testbed, and the datapath in its gateway."""

    skip = requirements.missing_for_testbed()
    reject_rate = 1000
    dnat = config.Dnat.MAP
    verdicts: ClassVar[Mapping[str, int]] = {}
    family = socket.AF_INET

    def setUp(self) -> None:
        """Builds the testbed and applies the datapath."""
        self.testbed = Testbed(PREFIX, hosts=2, clients=2)
        self.testbed.__enter__()
        self.addCleanup(self.testbed.close)
        self.hosts = self.make_hosts()
        self.settings = self.make_settings()
        self.kernel = Kernel(self.settings)
        self.addCleanup(self.kernel.close)
        self.applied = self.testbed.call("gwa", self.kernel.apply, self.hosts)

    def make_hosts(self) -> tuple[Host, ...]:
        """Whom flows can be translated to."""
        return tuple(
            Host(
                index=number,
                name=f"h{number}.example.",
                address=socket.inet_aton(address),
                profile=Profile(max_claims=1),
            )
            for number, address in enumerate(self.testbed.hosts, 1)
        )

    def make_settings(self) -> config.Settings:
        """What the gateway is told."""
        return settings(stray_rate=5, reject_rate=self.reject_rate, dnat=self.dnat, state=self.testbed.folder)

    def assert_stands(self, kernel: Kernel | None = None) -> None:
        """Whatever was placed is there, and nothing is put back."""
        found = self.testbed.call("gwa", (kernel or self.kernel).look, Noticed(), lambda: self.hosts)
        self.assertEqual((found.repaired, found.broken), ((), ()))

    def decide(self) -> subprocess.Popen[bytes]:
        """Starts the program at the queue."""
        return self.at_queue(DECIDE, *(f"{address}={mark}" for address, mark in {**VERDICTS, **self.verdicts}.items()))

    def at_queue(self, program: str, *words: str) -> subprocess.Popen[bytes]:
        """Starts a program of Python's at the queue, which says so; what it says then can be read."""
        process = self.testbed.spawn("gwa", [sys.executable, "-c", program, *words], stdout=subprocess.PIPE)
        assert process.stdout is not None
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.addCleanup(process.stdout.close)
        self.assertEqual(process.stdout.readline(), b"bound\n")
        return process

    def packets(self, counter: str) -> int:
        """What a named counter of the gateway has counted."""
        return self.testbed.call("gwa", self.kernel.figures)[0][counter].packets

    def counted(self, counter: str, at_least: int = 1) -> None:
        """A named counter comes to that."""
        self.assertTrue(until(lambda: self.packets(counter) >= at_least), f"{counter}: {self.packets(counter)}")

    def make(self, namespace: str, kind: int, address: str = "", port: int = 0, protocol: int = 0) -> socket.socket:
        """A socket in a namespace, bound to an address there."""
        with self.testbed.inside(namespace):
            made = socket.socket(self.family, kind, protocol)
        self.addCleanup(made.close)
        made.settimeout(5.0)
        if address or port:
            made.bind((address, port))
        return made

    def server(self, namespace: str, address: str, port: int) -> socket.socket:
        """A listening TCP socket."""
        made = self.make(namespace, socket.SOCK_STREAM, address, port)
        made.listen()
        return made

    def connected(self, to: str, host: str) -> tuple[socket.socket, socket.socket]:
        """A connection from the Internet to port 80: the client's end of it, and the host's.

        Args:
            to: What the client connects to.
            host: Where that leads.
        """
        server, client = self.server("test_gwa", host, 80), self.make("public", socket.SOCK_STREAM)
        client.connect((to, 80))
        connection, _ = server.accept()
        self.addCleanup(connection.close)
        return client, connection

    def udp(self, namespace: str = "public", address: str = "", port: int = 0) -> socket.socket:
        """A UDP socket."""
        return self.make(namespace, socket.SOCK_DGRAM, address, port)

    def nft(self, *arguments: str) -> str:
        """Runs the nft program in the gateway."""
        done = self.testbed.run("gwa", ["nft", *arguments])
        self.assertEqual(done.returncode, 0, done.stderr)  # it warns of tables that iptables has made
        return done.stdout

    def tables(self) -> list[str]:
        """Every table of nftables, in any order."""
        return sorted(self.nft("list", "ruleset").split("\n}\n"))
