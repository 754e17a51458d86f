"""A running gateway between a flush of the whole ruleset and the repair: nothing gets in, and flows live on."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from realmgw.test.admission.packets import ipv4, tcp
from realmgw.test.kernel.datapath_case import must, until
from realmgw.test.kernel.realm_case import FIRST
from realmgw.test.kernel.watch_case import WatchTestCase

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.realm.topology import CLIENT, GATEWAY, GATEWAY_LAN, ON_LINK, ROUTER_WAN


class ClosedTests(WatchTestCase):
    """Between a flush and the repair."""

    FLUSHES = 20

    def setUp(self) -> None:
        """Somebody on the WAN knows a way to the LAN."""
        super().setUp()
        must(self.testbed, "router", ["ip", "route", "replace", "192.168.0.0/24", "via", GATEWAY])
        must(self.testbed, "public", ["ip", "route", "replace", "192.168.0.0/24", "via", "100.64.3.1"])

    @contextlib.contextmanager
    def hammering(self, *targets: tuple[str, int]) -> Iterator[list[int]]:
        """Sends a datagram to each of these at any moment, from the public side; how many were sent is counted."""
        sent, ending = [0], threading.Event()
        with self.testbed.inside("public"):
            out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        out.setblocking(False)

        def hammer() -> None:
            while not ending.is_set():
                for target in targets:
                    with contextlib.suppress(OSError):  # refused by an ICMP error
                        out.sendto(b"in", target)
                        sent[0] += 1
                time.sleep(0.0002)

        thread = threading.Thread(target=hammer)
        thread.start()
        try:
            yield sent
        finally:
            ending.set()
            thread.join()
            out.close()

    def listener(self, namespace: str, port: int) -> socket.socket:
        """A server that listens at every address there."""
        with self.testbed.inside(namespace):
            made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(made.close)
        made.bind(("0.0.0.0", port))
        made.setblocking(False)
        return made

    def test_nothing_gets_in_while_the_ruleset_is_flushed(self) -> None:
        """Neither to a private host by its own address, nor to a server of the gateway by a pool address."""
        private, own = self.listener("test_gwa", 9999), self.listener("gwa", 9998)
        with self.hammering((FIRST, 9999), (ON_LINK[0], 9998), ("100.64.2.1", 9998)) as sent:
            for _ in range(self.FLUSHES):
                before = self.repairs()
                self.shell("nft flush ruleset")
                self.wait(lambda before=before: self.repairs() > before, "a flush")  # type: ignore[misc]
        self.assertGreater(sent[0], 1000)
        for listening in (private, own):
            self.assertRaises(BlockingIOError, listening.recv, 99)

    def test_what_conntrack_has_no_entry_of_passes_neither_way(self) -> None:
        """Segments of no flow, and with a checksum that is none: they have a state, and no status."""
        listening = self.raw("test_gwa"), self.raw("router")
        ways = ("public", CLIENT, FIRST), ("test_gwa", FIRST, ROUTER_WAN)
        segments = [tcp(4000, 80, flags=flags) for flags in (0x10, 0x03, 0x14)]
        os.kill(self.gateway.pid, signal.SIGSTOP)
        try:
            self.shell("nft flush ruleset")
            for namespace, source, destination in ways:
                sending = self.raw(namespace, socket.IPPROTO_RAW)
                for segment in segments:
                    packet = ipv4(
                        6, segment, source=socket.inet_aton(source), destination=socket.inet_aton(destination)
                    )
                    sending.sendto(packet, (destination, 0))
            must(self.testbed, "test_gwa", ["ping", "-c1", GATEWAY_LAN])  # whatever was sent before has come by now
            for each in listening:
                self.assertRaises(BlockingIOError, each.recv, 99)
        finally:
            os.kill(self.gateway.pid, signal.SIGCONT)
        self.assertEqual(self.fetch(), FIRST)

    def raw(self, namespace: str, protocol: int = socket.IPPROTO_TCP) -> socket.socket:
        """A raw socket that waits for nothing."""
        with self.testbed.inside(namespace):
            made = socket.socket(socket.AF_INET, socket.SOCK_RAW, protocol)
        self.addCleanup(made.close)
        made.setblocking(False)
        return made

    def test_established_flows_live_on(self) -> None:
        """A download goes on through all of it."""
        with ThreadPoolExecutor(1) as pool:
            download = self.download(pool, "one.gwa.demo", 3_000_000)
            for _ in range(5):
                self.shell("nft flush ruleset")
                time.sleep(0.2)
            self.assertEqual(download.result(20.0).size, 3_000_000)

    def test_with_the_process_dead_the_table_stays_and_the_guard_goes(self) -> None:
        """`kill -9`: established flows live, nothing new gets in, and a start puts the guard back."""
        self.assertTrue(until(lambda: "table inet realmgw\n" in self.tables()))
        self.gateway.kill()
        self.assertTrue(until(lambda: "realmgw_guard" not in self.tables()))
        self.assertIn("table inet realmgw\n", self.tables())
        self.gateway.start()
        self.assertIn("realmgw_guard", self.tables())
        self.assertEqual(self.fetch(), FIRST)

    def tables(self) -> str:
        """The machine's tables."""
        return self.testbed.run("gwa", ["nft", "list", "tables"]).stdout + "\n"
