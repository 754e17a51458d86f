"""The testbed itself: what it builds, and that nothing of it is left behind."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from realmgw.test.kernel import requirements

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.realm import ipv6, owner, reaper, topology

PREFIX = f"t{os.getpid()}-"
"""No other testbed has it while this process lives."""
BUILDER = """
import signal, sys
from testbed.realm.topology import Testbed
testbed = Testbed(sys.argv[1], resolvers=True)
testbed.__enter__()
testbed.spawn("test_gwa", ["sh", "-c", "trap '' TERM INT HUP; setsid sh -c 'while :; do sleep 1; done' & wait"])
print("built", flush=True)
signal.pause()
"""
"""Builds a testbed with processes that no polite signal ends, one of them in a session of its own."""
ORPHAN = """
import signal, sys
from testbed.programs.alerted import stalled
from testbed.realm.topology import Testbed
with Testbed(sys.argv[1], resolvers=True) as testbed:
    testbed.spawn("test_gwa", ["sleep", "100"])
    place = testbed.folder / "a place"
    place.mkdir()
    with stalled(place):
        print("built", flush=True)
        signal.pause()
"""
"""The same, with a file system whose process it is itself."""
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
DEADLINE = 2.0  # seconds
"""How long after its builder's death anything of a testbed may be left."""


def leftovers(prefix: str) -> list[Path]:
    """Everything on this machine that belongs to the testbed of a prefix."""
    left = [reaper.NAMESPACES / (prefix + name) for name in topology.NAMESPACES]
    left += [reaper.RESOLVERS / (prefix + name) for name in topology.NAMESPACES]
    left.append(topology.folder_of(prefix))
    return [path for path in left if path.exists()]


def alive(namespaces: set[tuple[int, int]]) -> list[int]:
    """The processes that are in namespaces, whether these still have a name or not."""
    return list(reaper.processes(namespaces))


def until(condition: Callable[[], bool], patience: float) -> bool:
    """Waits for what the kernel or another process does. Returns whether it came true in time."""
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


class TestbedTests(SynchronousTestCase):
    """`testbed.realm.topology.Testbed`."""

    skip = requirements.missing_for_testbed()

    def test_routes_the_pool_to_the_gateway(self) -> None:
        """What a client sends to a routed pool address arrives on the gateway's WAN interface."""
        with topology.Testbed(PREFIX) as testbed:
            testbed.call("gwa", Path("/proc/sys/net/ipv4/ip_forward").write_text, "1")
            testbed.run("gwa", ["ip", "address", "add", "100.64.2.7/32", "dev", "lo"])
            with testbed.inside("gwa"):
                server = socket.create_server(("100.64.2.7", 80))
            with testbed.inside("public"):
                client = socket.create_connection(("100.64.2.7", 80), timeout=2)
            self.addCleanup(server.close)
            self.addCleanup(client.close)
            self.assertEqual(topology.CLIENT, server.accept()[1][0])

    def test_routes_no_private_address(self) -> None:
        """The router knows nothing of the realm behind the gateway."""
        with topology.Testbed(PREFIX) as testbed, testbed.inside("public"):
            self.assertRaises(OSError, socket.create_connection, ("192.168.0.100", 80), 1)

    def test_has_as_many_hosts_as_asked(self) -> None:
        """Each private host is an address of test_gwa, reachable from the gateway."""
        with topology.Testbed(PREFIX, hosts=20) as testbed:
            for address in testbed.hosts:
                with testbed.inside("test_gwa"):
                    server = socket.create_server((address, 80))
                with testbed.inside("gwa"):
                    socket.create_connection((address, 80), timeout=2).close()
                server.close()
        self.assertEqual("192.168.0.119", testbed.hosts[-1])

    def test_routes_ipv6_as_ipv4(self) -> None:
        """The pool of IPv6 arrives at the gateway, a host's own public address at the host, the private one nowhere."""
        with topology.Testbed(PREFIX, clients=2) as testbed:
            testbed.call("gwa", Path("/proc/sys/net/ipv6/conf/all/forwarding").write_text, "1")
            testbed.run("gwa", ["ip", "address", "add", "2001:db8:2::7/128", "dev", "lo"])
            for namespace, address in (("gwa", "2001:db8:2::7"), ("test_gwa", testbed.own6[1])):
                with testbed.inside(namespace):
                    server = socket.create_server((address, 80), family=socket.AF_INET6)
                with testbed.inside("public"):
                    client = socket.create_connection((address, 80), timeout=2)
                self.addCleanup(server.close)
                self.addCleanup(client.close)
                self.assertEqual(ipv6.CLIENT, server.accept()[1][0])
            with testbed.inside("public"):
                self.assertRaises(OSError, socket.create_connection, (testbed.hosts6[1], 80), 1)

    def test_comes_back_to_its_own_namespace(self) -> None:
        """After `inside` the thread is where it was, also when the body raised."""
        before = Path("/proc/thread-self/ns/net").readlink()

        def fail_inside() -> None:
            with testbed.inside("public"):
                self.assertNotEqual(before, Path("/proc/thread-self/ns/net").readlink())
                raise ZeroDivisionError

        with topology.Testbed(PREFIX) as testbed:
            self.assertRaises(ZeroDivisionError, fail_inside)
        self.assertEqual(before, Path("/proc/thread-self/ns/net").readlink())

    def test_leaves_another_testbed_alone(self) -> None:
        """A second testbed of the same prefix is refused, and the first one stays."""
        with topology.Testbed(PREFIX) as first:
            self.assertRaises(topology.TestbedError, topology.Testbed(PREFIX).__enter__)
            self.assertEqual(0, first.run("public", ["true"]).returncode)
        self.assertEqual([], leftovers(PREFIX))

    def test_leaves_nothing_when_closed(self) -> None:
        """At the end of the context nothing is there: no namespace, no process, no file."""
        with topology.Testbed(PREFIX, resolvers=True) as testbed:
            sleeper = testbed.spawn("public", ["sleep", "60"])
        self.assertEqual(-signal.SIGKILL, sleeper.wait(DEADLINE))
        self.assertEqual([], leftovers(PREFIX))

    def test_stays_when_kept(self) -> None:
        """`keep` leaves it running beyond its builder, and beyond his terminal, until `take_down`."""
        testbed = topology.Testbed(PREFIX)
        testbed.__enter__()
        self.addCleanup(topology.take_down, PREFIX)
        sleeper = testbed.spawn("public", ["sleep", "60"])
        testbed.keep()
        self.assertTrue(leftovers(PREFIX))
        self.assertIsNone(sleeper.poll())
        self.assertEqual(sleeper.pid, os.getsid(sleeper.pid))
        self.assertTrue(topology.take_down(PREFIX))
        self.assertEqual(-signal.SIGKILL, sleeper.wait(DEADLINE))
        self.assertEqual([], leftovers(PREFIX))


class KilledBuilderTests(SynchronousTestCase):
    """`testbed.realm.reaper`: the builder gets no chance to clean up."""

    skip = requirements.missing_for_testbed()

    def test_leaves_nothing_when_killed(self) -> None:
        """Two seconds after its builder's SIGKILL there is no namespace, process or file of a testbed."""
        builder = self.start_builder()
        status = [path.stat() for path in leftovers(PREFIX) if path.parent == reaper.NAMESPACES]
        namespaces = {(each.st_dev, each.st_ino) for each in status}
        self.assertTrue(until(lambda: len(alive(namespaces)) >= 2, DEADLINE))
        builder.kill()
        builder.wait()
        self.assertTrue(until(lambda: not leftovers(PREFIX) and not alive(namespaces), DEADLINE), leftovers(PREFIX))

    def test_leaves_nothing_when_killed_half_way(self) -> None:
        """The same at any moment of the building."""
        for delay in (0.15, 0.18, 0.2, 0.23):
            builder = self.start_builder(wait=False)
            time.sleep(delay)
            builder.kill()
            builder.wait()
            self.assertTrue(until(lambda: not leftovers(PREFIX), DEADLINE), leftovers(PREFIX))

    def test_the_next_one_removes_what_is_left_over(self) -> None:
        """Of a builder that was killed together with its reaper, and had a file system mounted that answers nobody."""
        builder = self.start_builder(ORPHAN)
        names = [path for path in leftovers(PREFIX) if path.parent == reaper.NAMESPACES]
        namespaces = {(each.stat().st_dev, each.stat().st_ino) for each in names}
        owners = [int(line.split()[0]) for line in (topology.folder_of(PREFIX) / owner.FILE).read_text().splitlines()]
        self.assertEqual(owners[0], builder.pid)
        for pid in reversed(owners):
            os.kill(pid, signal.SIGKILL)
        builder.wait()
        self.assertTrue(leftovers(PREFIX))
        with contextlib.redirect_stderr(io.StringIO()) as told, topology.Testbed(PREFIX) as testbed:
            self.assertEqual(0, testbed.run("public", ["true"]).returncode)
        self.assertEqual(
            told.getvalue(),
            f"removed what process {builder.pid}, which is gone, has left of {topology.folder_of(PREFIX)}\n",
        )
        self.assertEqual([], leftovers(PREFIX))
        self.assertTrue(until(lambda: not alive(namespaces), DEADLINE), alive(namespaces))  # who was killed dies soon

    def test_a_program_says_in_a_sentence_whose_it_is(self) -> None:
        """A testbed of that prefix has a process that runs: no traceback, and nothing is touched."""
        builder = self.start_builder()
        program = (
            f"import testbed.programs; from testbed.realm.topology import Testbed; Testbed({PREFIX!r}).__enter__()"
        )
        second = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=False, env=ENVIRONMENT
        )
        said = f"process {builder.pid} has the testbed {topology.folder_of(PREFIX)} and runs: end it first, "
        self.assertEqual((second.returncode, second.stderr), (1, f"{said}or use another prefix\n"))
        self.assertEqual(len(leftovers(PREFIX)), 2 * len(topology.NAMESPACES) - 1)

    def start_builder(self, program: str = BUILDER, wait: bool = True) -> subprocess.Popen[str]:
        """A process that builds a testbed and then waits for its end."""
        builder = subprocess.Popen(
            [sys.executable, "-c", program, PREFIX],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
        )
        assert builder.stdout is not None
        self.addCleanup(builder.stdout.close)
        self.addCleanup(builder.kill)
        if wait:
            self.assertEqual("built\n", builder.stdout.readline())
        return builder
