"""Flow records at a collector: the whole gateway with its recorder, real conntrack, and nfdump."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any, ClassVar

from realmgw.control.command.client import ask
from realmgw.test import programs
from realmgw.test.kernel.datapath_case import until
from realmgw.test.kernel.realm_case import SECOND, RealmTestCase

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.realm.topology import CLIENT

PORT = 4739
HEADERS = 20 + 8
"""Octets of a datagram of UDP by IPv4 before what it carries."""
SAID, ANSWER = 100, 40
"""What client and host say to each other, in octets."""
FIELDS = ("sa", "sp", "da", "dp", "pr", "nsa", "nsp", "nda", "ndp", "ipkt", "ibyt", "opkt", "obyt")
"""What nfdump is asked for: source, destination, protocol, both after the translation, packets and octets both ways."""
PATIENCE = 30.0  # seconds


class IpfixTests(RealmTestCase):
    """A gateway with a collector."""

    settings: ClassVar[dict[str, Any]] = {}

    def build(self) -> Any:
        """The collector is one of the clients' machine."""
        collector = {"collector": f"{CLIENT}:{PORT}", "domain": 7}
        type(self).settings = {"flow_records": {"enabled": True, "interval": 1, "ipfix": collector}}
        return super().build()

    def collect(self) -> tuple[subprocess.Popen[bytes], Path]:
        """A collector that has begun, and where it writes."""
        folder = self.testbed.folder / "collected"
        folder.mkdir()
        argv = ["nfcapd", "-C", "none", "-w", str(folder), "-b", CLIENT, "-p", str(PORT)]
        process = self.testbed.spawn("public", argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process, folder

    def exchange(self, name: str) -> tuple[str, int, int]:
        """A client and a host say something to each other; where he came to, his port, and the host's."""
        address = self.ask(name)
        with self.testbed.inside("public"):
            client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with self.testbed.inside("test_gwa"):
            host = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with client, host:
            for made, source in ((client, CLIENT), (host, SECOND)):
                made.settimeout(PATIENCE)
                made.bind((source, 0))
            port = host.getsockname()[1]
            client.sendto(bytes(SAID), (address, port))
            host.sendto(bytes(ANSWER), host.recvfrom(9999)[1])
            client.recv(9999)
            return address, client.getsockname()[1], port

    def counts(self) -> Any:
        """What was counted of records."""
        return ask(self.gateway.control, "status")["counts"]["records"]

    def troubles(self) -> str:
        """What the gateway says is wrong."""
        return " ".join(each["text"] for each in ask(self.gateway.control, "status")["troubles"])

    def read(self, folder: Path) -> list[dict[str, str]]:
        """What the collector has of the client's flows."""
        form = "fmt:" + " ".join(f"%{field}" for field in FIELDS)
        argv = ["nfdump", "-q", "-N", "-R", str(folder), "-o", form, f"src ip {CLIENT}"]
        done = subprocess.run(argv, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL)
        rows = (line.split() for line in done.stdout.splitlines())
        return [dict(zip(FIELDS, row, strict=True)) for row in rows if len(row) == len(FIELDS)]

    def test_a_real_collector_understands_what_it_gets(self) -> None:
        """Both ends on both sides of the translation, and what went each way; the gateway says that it was sent."""
        if reason := programs.missing("nfcapd"):
            self.skipTest(reason)
        address, port, there = self.exchange("two.gwa.demo")  # before there is a collector
        ask(self.gateway.control, "flows/kill", {"host": SECOND})
        self.assertTrue(until(lambda: "IPFIX collector" in self.troubles()))
        process, folder = self.collect()
        self.assertTrue(until(lambda: not self.counts()["unsent"] and self.counts()["exported"]))
        self.assertNotIn("IPFIX", self.troubles())
        sent = self.counts()["exported"]
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)
        rows = self.read(folder)
        [row] = [each for each in rows if each["sp"] == str(port)]
        self.assertEqual(row, {
            "sa": CLIENT, "sp": str(port), "da": address, "dp": str(there), "pr": "17", "nsa": CLIENT,
            "nsp": str(port), "nda": SECOND, "ndp": str(there), "ipkt": "1", "ibyt": str(HEADERS + SAID), "opkt": "1",
            "obyt": str(HEADERS + ANSWER),
        })  # fmt: skip
        self.assertEqual((self.counts()["unexported"], sent >= len(rows)), (0, True))
