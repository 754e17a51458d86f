"""What flows through, listed and ended: the whole gateway, real conntrack."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import subprocess
import sys
from ipaddress import ip_address
from typing import Any

from realmgw.config.steps import finish
from realmgw.control.command.client import ask, follow
from realmgw.datapath import selecting
from realmgw.datapath.netlink import codec
from realmgw.datapath.netlink.client import open_socket
from realmgw.test.kernel.datapath_case import until
from realmgw.test.kernel.realm_case import FIRST, SECOND, RealmTestCase

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.realm import client
    from testbed.realm.topology import CLIENT

MANY = 20_000
"""Flows that conntrack is told of; more than one read of the socket has many times over."""


def made_up(sequence: int, source: str, destination: str, sport: int, protocol: int = 17) -> bytes:
    """The message by which conntrack learns of a flow, of UDP if nothing else is said."""
    one, other = (ip_address(each).packed for each in (source, destination))
    kinds = (1, 2) if len(one) == 4 else (3, 4)

    def direction(kind: int, ends: tuple[bytes, bytes], ports: tuple[int, int]) -> bytes:
        addresses = map(codec.attribute, kinds, ends)
        numbers = (codec.attribute(at, port.to_bytes(2, "big")) for at, port in enumerate(ports, 2))
        ported = codec.nested(2, codec.attribute(1, bytes([protocol])), *numbers)
        return codec.nested(kind, codec.nested(1, *addresses), ported)

    there, back = direction(1, (one, other), (sport, 53)), direction(2, (other, one), (53, sport))
    timeout, family = codec.attribute(7, (300).to_bytes(4, "big")), 2 if len(one) == 4 else 10
    return codec.netfilter(1 << 8, codec.REQUEST | codec.ACK | 0x600, sequence, family, there, back, timeout)


class FlowsTests(RealmTestCase):
    """`realmgw flows`."""

    def peer(
        self, namespace: str, source: str, to: tuple[str, int], kind: int = socket.SOCK_DGRAM, said: bytes = b"x"
    ) -> socket.socket:
        """Somebody who sends something to somebody else."""
        with self.testbed.inside(namespace):
            made = socket.socket(socket.AF_INET, kind)
        self.addCleanup(made.close)
        made.settimeout(1.0)
        made.bind((source, 0))
        made.connect(to)
        made.send(said)
        return made

    def rows(self, **filters: str) -> Any:
        """What the gateway lists."""
        return ask(self.gateway.control, "flows/list", filters)["flows"]

    def make_up(self, source: str, destination: str, count: int) -> None:
        """Tells conntrack of flows that nobody has sent a packet of."""
        with self.testbed.inside("gwa"):
            channel = open_socket()
        with contextlib.closing(channel):
            for number in range(1, count + 1):
                codec.ask(channel, made_up(number, source, destination, number), "a flow")

    def run_command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """The `realmgw` command."""
        argv = [sys.executable, "-m", "realmgw.control.command.cli", *words, "--socket", str(self.gateway.control)]
        return subprocess.run(argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)

    def test_a_client_is_listed_with_host_and_name_and_ends_when_it_is_killed(self) -> None:
        """What he sends arrives no more; the connection to another host lives on."""
        peers = {}
        for name, there in (("one.gwa.demo", FIRST), ("two.gwa.demo", SECOND)):
            peers[there] = self.peer("public", CLIENT, (self.ask(name), 80), socket.SOCK_STREAM, b"GET / HTTP/1.1\r\n")
        [row] = self.rows(host="one.gwa.demo", protocol="tcp")
        pool, port = peers[FIRST].getpeername()[0], peers[FIRST].getsockname()[1]
        expected = {
            "direction": "in", "protocol": "tcp", "host": "one.gwa.demo.", "service": "one.gwa.demo.", "address": FIRST,
            "port": 80, "via": pool, "via_port": 80, "client": CLIENT, "client_port": port, "state": "established",
        }  # fmt: skip
        self.assertEqual({key: row[key] for key in expected}, expected)
        done = self.run_command("flows", "kill", "--host", "one.gwa.demo", "--yes")
        self.assertEqual((done.returncode, done.stdout), (0, "1 flows ended\n"), done.stderr)
        self.assertEqual(self.rows(host="one.gwa.demo"), [])
        for each in peers.values():
            each.send(b"Host: x\r\n\r\n")
        self.assertIn(SECOND.encode(), peers[SECOND].recv(9999))
        with contextlib.suppress(ConnectionError):
            self.assertRaises(TimeoutError, peers[FIRST].recv, 99)

    def test_what_a_host_began_is_listed_and_ends(self) -> None:
        """With the address that it leaves from."""
        self.peer("test_gwa", SECOND, (CLIENT, 4242))
        [row] = self.rows(host=SECOND, client=CLIENT, protocol="udp")
        self.assertEqual((row["direction"], row["host"], row["client_port"]), ("out", "two.gwa.demo.", 4242))
        self.assertNotIn(row["via"], (None, SECOND))
        self.assertIsNone(row["service"])
        self.assertEqual(
            ask(self.gateway.control, "flows/kill", {"client": CLIENT, "host": SECOND, "protocol": "17"})["ended"], 1
        )
        self.assertEqual(self.rows(host=SECOND, client=CLIENT, protocol="udp"), [])

    def test_both_families_by_the_thousand(self) -> None:
        """What is left out is counted; and all of them end."""
        self.make_up("192.168.0.77", "203.0.113.7", MANY)
        with self.testbed.inside("gwa"):
            channel = open_socket()
        with contextlib.closing(channel):
            codec.ask(channel, made_up(1, "2001:db8::7", "2001:db8:1::1", 9), "a flow")
        answer = ask(self.gateway.control, "flows/list", {"client": "203.0.113.0/24", "limit": "5"})
        self.assertEqual((answer["total"], len(answer["flows"])), (MANY, 5))
        self.assertEqual({row["host"] for row in answer["flows"]}, {None})
        one = ip_address("2001:db8::7").packed

        def listed() -> selecting.Found[Any]:
            return finish(selecting.listed(lambda flow: flow[1] == one, 9))

        [found] = self.testbed.call("gwa", listed).kept
        self.assertEqual((found.original.sport, found.original.dport, found.reply.source[-1]), (9, 53, 1))
        done = self.run_command("flows", "kill", "--client", "203.0.113.7", "--yes", "--json")
        self.assertEqual(json.loads(done.stdout), {"total": MANY, "ended": MANY, "left": 0})

    def was_told(self, output: Any) -> bool:
        """Whether a further flow of the second host is seen by a program that may have begun to watch."""
        self.peer("test_gwa", SECOND, (CLIENT, 4243))
        return bool(select.select([output], [], [], 0.2)[0])

    def test_what_begins_and_ends_is_told(self) -> None:
        """Of the host that is meant, with the name that opened it; the command goes on until it is ended."""
        argv = [sys.executable, "-m", "realmgw.control.command.cli", "flows", "watch", "--host", SECOND, "--eve"]
        watch = subprocess.Popen(
            [*argv, "--socket", str(self.gateway.control)], stdout=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL
        )
        self.addCleanup(watch.wait)
        self.addCleanup(watch.kill)
        assert watch.stdout is not None
        self.addCleanup(watch.stdout.close)
        watched = follow(self.gateway.control, "flows/watch", {"client": CLIENT})
        self.addCleanup(watched.close)
        address = self.ask("two.gwa.demo")
        begun = self.peer("public", CLIENT, (address, 4242))
        told = next(each for each in watched if each["host"] == "two.gwa.demo.")
        expected = {"event": "begins", "direction": "in", "service": "two.gwa.demo.", "via": address, "port": 4242}
        self.assertEqual({key: told[key] for key in expected}, expected)
        self.run_command("flows", "kill", "--host", SECOND, "--yes")
        port = begun.getsockname()[1]  # flows of earlier tests end as well
        ended = next(each for each in watched if each["event"] == "ends" and each["client_port"] == port)
        self.assertEqual(ended["host"], "two.gwa.demo.")
        self.assertTrue(until(lambda: self.was_told(watch.stdout)))
        written = json.loads(watch.stdout.readline())
        self.assertEqual((written["event_type"], written["realmgw"]["host"]), ("flow", "two.gwa.demo."))

    def test_nothing_ends_where_nobody_was_asked(self) -> None:
        """Neither a terminal nor a word for it, or no filter."""
        self.make_up("192.168.0.78", "203.0.113.8", 1)
        for words in (["--client", "203.0.113.8"], ["--yes"]):
            self.assertEqual(self.run_command("flows", "kill", *words).returncode, 2)
        self.assertEqual(len(self.rows(client="203.0.113.8")), 1)
        done = self.run_command("flows", "list", "--client", "203.0.113.8")
        self.assertIn("192.168.0.78:1 ", done.stdout)

    def test_says_afterwards_what_was_decided(self) -> None:
        """A query and its packet have one id; a stray was refused; and the flow is found by its addresses and ports."""
        stray, address = self.testbed.clients[4], self.ask("one.gwa.demo")
        self.assertEqual(FIRST, self.public(client.fetch(address)))
        self.assertRaises(OSError, self.public, client.fetch("100.64.2.9", source=stray))
        text = self.run_command("log", "--client", self.testbed.clients[0], "--since", "10s", "--json").stdout
        *_, query, packet = map(json.loads, text.splitlines())
        self.assertEqual([query["what"], packet["what"], packet["why"]], ["answered", "admitted", "claim"])
        self.assertEqual((query["name"], query["address"], query["id"]), ("one.gwa.demo.", address, packet["id"]))
        ends = [f"{packet[end]}:{packet[port]}" for end, port in (("source", "source_port"), ("destination", "port"))]
        text = self.run_command("explain", "flow", *ends).stdout
        self.assertEqual((text.count(packet["id"]), text.count(f"tcp {ends[0]} > {ends[1]}")), (2, 1))
        rows = self.rows(client=packet["source"], protocol="tcp")
        ids = [row["trace_id"] for row in rows if row["client_port"] == packet["source_port"]]
        self.assertEqual(ids, [packet["id"]])
        text = self.run_command("log", "--refused", "--client", f"{stray}/32").stdout
        self.assertIn("> 100.64.2.9:80 -: no_reservation", text.splitlines()[-1])
