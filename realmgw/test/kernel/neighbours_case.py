"""What the kernel tests of neighbours share: a WAN link, and at its other end a router with a kernel of its own."""

from __future__ import annotations

import contextlib
import select
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from realmgw.test.kernel import requirements
from realmgw.test.kernel.namespace import enter, fresh_namespace

WAN = "wan0"
PATIENCE = 30.0  # seconds


class ReadingClock(Clock):
    """A reactor whose time passes, and which reads, when a test says so."""

    def __init__(self) -> None:
        """Knows no readers."""
        super().__init__()
        self.readers: list[Any] = []

    def addReader(self, reader: Any) -> None:
        """See `IReactorFDSet`."""
        self.readers.append(reader)

    def removeReader(self, reader: Any) -> None:
        """See `IReactorFDSet`."""
        if reader in self.readers:
            self.readers.remove(reader)

    def read(self, seconds: float = 0.0) -> None:
        """Reads what there is, and what comes within some time."""
        ready, _, _ = select.select(self.readers, [], [], seconds)
        for each in ready:
            each.doRead()


class NeighboursTestCase(SynchronousTestCase):
    """A namespace with `WAN`, and a router at its other end, `peer0`."""

    skip = requirements.missing_for_testbed()

    def setUp(self) -> None:
        """Builds both; this thread is in the gateway's."""
        stack = contextlib.ExitStack()
        self.addCleanup(stack.close)
        stack.enter_context(fresh_namespace())
        self.reactor = ReadingClock()
        self.router = self.namespace()
        self.link()

    def namespace(self) -> subprocess.Popen[bytes]:
        """A further namespace, by a process in it: it ends with its input, and a namespace with its last process."""
        held = subprocess.Popen(
            ["unshare", "-n", "sh", "-c", "echo; exec cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.addCleanup(held.communicate)
        assert held.stdout is not None
        held.stdout.readline()
        return held

    def link(self) -> None:
        """Makes the link, with an address at each end."""
        pid = str(self.router.pid)
        self.run_program("ip", "link", "add", WAN, "type", "veth", "peer", "name", "peer0", "netns", pid)
        self.run_program("ip", "addr", "add", "2001:db8:0:1::2/64", "dev", WAN, "nodad")
        self.run_program("sysctl", "-qw", f"net.ipv6.conf.{WAN}.accept_dad=0")  # it asks nobody before its own is there
        self.run_program("ip", "link", "set", WAN, "up")
        self.run_program("sysctl", "-qw", f"net.ipv6.neigh.{WAN}.retrans_time_ms=200")
        self.at_router("ip", "link", "set", "lo", "up")
        self.at_router("ip", "addr", "add", "2001:db8:0:1::1/64", "dev", "peer0", "nodad")
        self.at_router("ip", "link", "set", "peer0", "up")
        self.at_router("sysctl", "-qw", "net.ipv6.neigh.peer0.retrans_time_ms=200")
        self.until(lambda: "tentative" not in self.at_router("ip", "-6", "addr", "show", "dev", "peer0"))

    def run_program(self, *argv: str, text: str = "") -> str:
        """Runs a program here, to its end."""
        done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False, timeout=PATIENCE)
        self.assertEqual(done.returncode, 0, f"{argv}: {done.stderr}")
        return done.stdout

    @property
    def own(self) -> str:
        """The link-layer address of `WAN`."""
        return self.run_program("ip", "-br", "link", "show", WAN).split()[2]

    def at_router(self, *argv: str) -> str:
        """Runs a program at the router, to its end."""
        return self.run_program("nsenter", "-t", str(self.router.pid), "-n", *argv)

    def router_socket(self, family: int, kind: int, protocol: int = 0) -> socket.socket:
        """A socket of the router's; non-blocking."""
        made = self.socket_of(self.router, family, kind, protocol)
        made.setblocking(False)
        return made

    def socket_of(self, namespace: subprocess.Popen[bytes], family: int, kind: int, protocol: int = 0) -> socket.socket:
        """A socket in another namespace."""
        theirs, ours = Path(f"/proc/{namespace.pid}/ns/net"), Path("/proc/thread-self/ns/net")
        with theirs.open() as there, ours.open() as here:
            enter(there.fileno())
            try:
                made = socket.socket(family, kind, protocol)
            finally:
                enter(here.fileno())
        self.addCleanup(made.close)
        return made

    def until(self, condition: Any) -> None:
        """Reads until something has come true."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            self.assertLess(time.monotonic(), deadline, "it did not come true")
            self.reactor.read(0.01)

    def neighbour(self, address: str) -> str:
        """What the router knows of an address, after it has sent something there."""
        sender = self.router_socket(socket.AF_INET6, socket.SOCK_DGRAM)
        sender.sendto(b"?", (address, 9))

        def known() -> str:
            return self.at_router("ip", "-6", "neigh", "show", address)

        self.until(lambda: any(word in known() for word in ("REACHABLE", "FAILED", "STALE", "DELAY")))
        return known()
