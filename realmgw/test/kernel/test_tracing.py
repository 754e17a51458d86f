"""Packets followed through all rules: the whole gateway, real packets of both families, `realmgw trace`."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import Any, ClassVar

from realmgw.test.kernel.datapath_case import until
from realmgw.test.kernel.realm_case import FIRST
from realmgw.test.kernel.test_dual_stack import FIRST6, SECOND6, DualTestCase

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.realm import ipv6
    from testbed.realm.gateway import Subscriber
    from testbed.realm.topology import CLIENT

PORT = 4711
NO_GAMES = {
    "FIREWALL": {
        "FIREWALL_ADMIN": [
            {"priority": 7, "direction": "INGRESS", "protocol": "17", "udp": {"dport": PORT}, "target": "DROP",
             "comment": {"comment": "no games"}},
            {"priority": 8, "direction": "EGRESS", "protocol": "17", "udp": {"dport": PORT}, "target": "REJECT"},
        ]
    }
}  # fmt: skip


class TracingTests(DualTestCase):
    """`realmgw trace`."""

    hosts: ClassVar[int] = 2
    resolvers: ClassVar[bool] = False

    @classmethod
    def subscribers(cls) -> list[Subscriber]:
        """One has rules, and one has none."""
        ruled = Subscriber("one.gwa.demo.", FIRST, address6=FIRST6, more=NO_GAMES)
        return [ruled, Subscriber("two.gwa.demo.", "192.168.0.101", address6=SECOND6)]

    def command(self, *words: str) -> subprocess.Popen[str]:
        """The command, when the kernel has begun; it is killed with the test."""
        argv = [sys.executable, "-m", "realmgw.control.command.cli", "trace", *words, "--socket"]
        process = subprocess.Popen(
            [*argv, str(self.gateway.control)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        self.addCleanup(self.end, process)
        self.assertTrue(until(lambda: self.stands() or process.poll() is not None))
        return process

    def end(self, process: subprocess.Popen[str]) -> None:
        """And nothing is left in the kernel."""
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
        self.assertTrue(until(lambda: not self.stands()))

    def stands(self) -> bool:
        """Whether the table is there by which packets are followed."""
        return "realmgw_trace" in self.testbed.run("gwa", ["nft", "list", "tables"]).stdout

    def send(self, namespace: str, source: str, to: str) -> None:
        """A datagram."""
        family = socket.AF_INET6 if ":" in to else socket.AF_INET
        with self.testbed.inside(namespace), socket.socket(family, socket.SOCK_DGRAM) as made:
            made.bind((source, 0))
            made.sendto(b"x", (to, PORT))

    def packet(self, send: Callable[[], object], *words: str) -> Any:
        """What is told of the one datagram that is sent, among what else passes meanwhile."""
        process = self.command("--for", "3s", "--json", *words)
        send()
        told = [json.loads(line) for line in process.communicate()[0].splitlines()]
        self.assertEqual(told[-1], {"packets": len(told) - 1, "lost": 0, "problem": None})
        [found] = [each for each in told[:-1] if each["destination_port"] == PORT]
        return found

    def test_a_first_packet_is_followed_to_the_rule_of_its_host(self) -> None:
        """By the queue, the verdict, the translation, to the class of the host that it is for now."""
        told = self.packet(lambda: self.send("public", CLIENT, self.ask("one.gwa.demo")), "--src", CLIENT)
        self.assertEqual((told["protocol"], told["in"]), ("udp", "wan0"))
        steps = {(each["table"], each["chain"]): each for each in told["steps"]}
        self.assertIn("inet realmgw", {table for table, _ in steps})
        chains = [each["chain"] for each in told["steps"]]
        for earlier, later in (("arrivals", "first_packet"), ("first_packet", "translate"), ("forwarding", "host_in")):
            self.assertLess(chains.index(earlier), chains.index(later), chains)
        self.assertIn("presented", steps["inet realmgw", "first_packet"]["rule"])
        [last] = told["steps"][-1:]
        self.assertEqual((told["verdict"], last["verdict"]), ("drop", "drop"))
        self.assertRegex(last["chain"], "class_[0-9]+_in")
        self.assertIn("udp dport 4711", last["rule"])
        self.assertRegex(last["origin"], r"^one\.gwa\.demo\. \(.*\), admin, priority 7: no games$")
        self.assertIn(last["origin"], told["by"])
        self.assertIn(FIRST, [each["now"]["destination"] for each in told["steps"] if each["now"]])

    def test_what_a_host_sends_by_ipv6_is_followed(self) -> None:
        """By the host's name; its rule leads to the refusal."""
        told = self.packet(
            lambda: self.send("test_gwa", FIRST6, ipv6.CLIENT), "--src", "one.gwa.demo", "--dst", ipv6.CLIENT
        )
        self.assertEqual((told["source"], told["in"], told["verdict"]), (FIRST6, "lan0", "drop"))
        self.assertIn("admin, priority 8", " ".join(str(each["origin"]) for each in told["steps"]))

    def test_it_ends_by_time_and_with_whoever_asked(self) -> None:
        """Also when he is killed; a second one is refused meanwhile; what is printed says what passed."""
        process = self.command("--src", "192.168.0.101", "--for", "10m")
        second = self.command("--src", FIRST)
        self.assertIn("followed for somebody else", second.communicate()[0])
        self.assertEqual(second.returncode, 5)
        process.send_signal(signal.SIGKILL)
        self.assertTrue(until(lambda: not self.stands()))
        process = self.command("--src", "192.168.0.101", "--for", "1s")
        self.send("test_gwa", "192.168.0.101", CLIENT)
        lines = process.communicate()[0].splitlines()
        self.assertRegex(lines[0], rf"^packet 1: udp 192\.168\.0\.101:\d+ > {CLIENT}:{PORT}, in lan0$")
        self.assertIn("  accept", lines)
        self.assertEqual(lines[-1], "1 packets")
