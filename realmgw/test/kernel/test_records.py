"""Records of flows: the whole gateway with its recorder, real conntrack, and flows whose octets are known."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

from realmgw.control.command.client import ask
from realmgw.test.kernel.datapath_case import until
from realmgw.test.kernel.realm_case import FIRST, SECOND, RealmTestCase

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.realm.topology import CLIENT

HEADERS = 20 + 8
"""Octets of a datagram of UDP by IPv4 before what it carries."""
SAID, ANSWER = 100, 40
"""What client and host say to each other, in octets."""


class RecordsTests(RealmTestCase):
    """A gateway that records flows."""

    settings: ClassVar = {"flow_records": {"enabled": True, "file": "flows.jsonl", "interval": 1}}

    def setUp(self) -> None:
        """Knows the file."""
        super().setUp()
        self.file = Path(self.gateway.control).with_name("flows.jsonl")

    def records(self) -> list[dict[str, Any]]:
        """What is written, but for a line that has no end yet."""
        if not self.file.exists():
            return []
        return [json.loads(line) for line in self.file.read_bytes().splitlines(keepends=True) if line[-1:] == b"\n"]

    def peer(self, namespace: str, source: str) -> socket.socket:
        """Somebody with a socket of UDP."""
        with self.testbed.inside(namespace):
            made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(made.close)
        made.settimeout(2.0)
        made.bind((source, 0))
        return made

    def exchange(self, name: str, times: int = 1) -> tuple[str, int]:
        """A client says something to a host, and is answered; the address that he came to, and his port."""
        address, client, host = self.ask(name), self.peer("public", CLIENT), self.peer("test_gwa", SECOND)
        for _ in range(times):
            client.sendto(bytes(SAID), (address, host.getsockname()[1]))
            _, there = host.recvfrom(9999)
            host.sendto(bytes(ANSWER), there)
            client.recv(9999)
        return address, client.getsockname()[1]

    def end(self, host: str) -> None:
        """All flows of a host."""
        ask(self.gateway.control, "flows/kill", {"host": host})

    def record(self, port: int) -> dict[str, Any]:
        """The last record of a client's flow that has ended, by his port."""
        self.assertTrue(until(lambda: bool(self.told(port, "ends"))))
        return self.told(port, "ends")[-1]

    def told(self, port: int, event: str) -> list[dict[str, Any]]:
        """What is written of a flow."""
        return [each for each in self.records() if (each["event"], each.get("client_port")) == (event, port)]

    def counts(self) -> Any:
        """What was counted of records."""
        return ask(self.gateway.control, "status")["counts"]["records"]

    def test_a_clients_flow_is_recorded_with_host_name_and_octets(self) -> None:
        """Both directions are counted, with their headers."""
        address, port = self.exchange("two.gwa.demo", 3)
        self.end(SECOND)
        found = self.record(port)
        expected = {
            "event": "ends", "direction": "in", "protocol": "udp", "host": "two.gwa.demo.", "name": "two.gwa.demo.",
            "address": SECOND, "via": address, "client": CLIENT, "answered": True, "packets_in": 3,
            "octets_in": 3 * (HEADERS + SAID), "packets_out": 3, "octets_out": 3 * (HEADERS + ANSWER),
        }  # fmt: skip
        self.assertEqual({key: found[key] for key in expected}, expected)
        self.assertTrue(found["at"] - 5.0 < found["start"] <= found["at"])
        ends = {"source": f"{CLIENT}:{port}", "destination": f"{address}:{found['via_port']}"}
        told = ask(self.gateway.control, "explain/flow", ends)
        self.assertEqual({each["id"] for each in told["decisions"]}, {found["trace_id"]})
        self.assertTrue(until(lambda: ask(self.gateway.control, "explain/flow", ends)["decisions"][2:]))
        *_, end = ask(self.gateway.control, "explain/flow", ends)["decisions"]
        expected = {"what": "flow_ended", "id": found["trace_id"], "at": found["at"], "octets_in": found["octets_in"]}
        self.assertEqual({key: end[key] for key in expected}, expected)

    def test_what_was_is_found_again(self) -> None:
        """By its name, and not by another; and it is added up for the subscriber."""
        address, port = self.exchange("two.gwa.demo")
        self.end(SECOND)
        self.record(port)
        self.assertTrue(until(lambda: any(each["client_port"] == port for each in self.history("two.gwa.demo"))))
        self.assertEqual([each for each in self.history("one.gwa.demo") if each["client_port"] == port], [])
        told = ask(self.gateway.control, "flows/history", {"via": address, "client": CLIENT, "since": "1m"})["flows"]
        self.assertIn(self.record(port), told)
        [account] = ask(self.gateway.control, "flows/accounts", {"of": "two.gwa.demo"})["accounts"]
        ours = ask(self.gateway.control, "flows/history", {"host": "two.gwa.demo"})["flows"]
        sums = len(ours), sum(each["octets_in"] for each in ours), sum(each["octets_out"] for each in ours)
        self.assertEqual((account["flows"], account["octets_in"], account["octets_out"]), sums)

    def history(self, name: str) -> Any:
        """What the command finds that was opened by a name."""
        argv = [sys.executable, "-m", "realmgw.control.command.cli", "flows", "history", "--name", name, "--json"]
        argv += ["--since", "1h", "--socket", str(self.gateway.control)]
        done = subprocess.run(argv, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL)
        return json.loads(done.stdout)["flows"]

    def test_a_flow_that_lasts_is_told_while_it_does(self) -> None:
        """With what it has carried by then."""
        _, port = self.exchange("two.gwa.demo")
        self.assertTrue(until(lambda: bool(self.told(port, "lasts"))))
        expected = {"host": "two.gwa.demo.", "name": "two.gwa.demo.", "octets_in": HEADERS + SAID}
        self.assertEqual({key: self.told(port, "lasts")[0][key] for key in expected}, expected)
        self.end(SECOND)
        self.record(port)

    def test_what_a_host_began_is_recorded(self) -> None:
        """With the public address in its place; in is what came to the host."""
        self.peer("test_gwa", FIRST).sendto(bytes(SAID), (CLIENT, 4242))
        self.end(FIRST)
        found = self.record(4242)
        self.assertEqual((found["direction"], found["host"], found["name"]), ("out", "one.gwa.demo.", None))
        self.assertEqual((found["octets_in"], found["octets_out"], found["answered"]), (0, HEADERS + SAID, False))
        self.assertNotIn(found["via"], (None, FIRST))

    def test_a_recorder_that_is_killed_is_begun_anew(self) -> None:
        """The half line that it has left is none; the gateway says so, and goes on, and forgets no count."""
        _, port = self.exchange("two.gwa.demo")
        self.end(SECOND)
        self.record(port)
        before = self.counts()
        [recorder] = [
            pid for each in Path("/proc").glob("[0-9]*/cmdline")
            if b"records.recorder" in read(each) and parent(pid := int(each.parent.name)) == self.gateway.pid
        ]  # fmt: skip
        with self.file.open("ab") as file:
            file.write(b'{"event":"ends","client_port":')
        os.kill(recorder, signal.SIGKILL)
        self.assertTrue(until(lambda: ask(self.gateway.control, "status")["troubles"]))
        self.assertTrue(until(lambda: self.counts()["begun"] == before["begun"] + 1))
        self.assertTrue(until(lambda: not ask(self.gateway.control, "status")["troubles"]))
        _, port = self.exchange("two.gwa.demo")
        self.end(SECOND)
        self.assertEqual(self.record(port)["name"], "two.gwa.demo.")
        self.assertTrue(until(lambda: self.counts()["written"] > before["written"]))
        self.assertEqual(self.counts()["cut"], before["cut"] + 1)


def read(path: Path) -> bytes:
    """A file of /proc, whose process may be gone."""
    with contextlib.suppress(OSError):
        return path.read_bytes()
    return b""


def parent(pid: int) -> int:
    """The parent of a process; 0: it is gone."""
    said = read(Path(f"/proc/{pid}/stat"))
    return int(said.rpartition(b")")[2].split()[1]) if said else 0
