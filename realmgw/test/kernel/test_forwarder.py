"""The whole gateway as the resolver of its LAN: a host asks it, it asks a resolver in the Internet.

These tests need root. They build the testbed's namespaces under names of their own.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import dns.flags
import dns.message
import dns.query
import dns.rcode

from realmgw.control.command.client import ask
from realmgw.test.kernel.realm_case import FIRST, RealmTestCase

if TYPE_CHECKING:
    from testbed.realm.gateway import Gateway
    from testbed.realm.topology import Testbed

PATIENCE = 60.0  # seconds
LAN, WAN, RESOLVER = "192.168.0.1", "100.64.1.130", "100.64.3.10"
SERVER = """
import socket, sys
import dns.flags, dns.message, dns.rrset
server = socket.socket(type=socket.SOCK_DGRAM)
server.bind((sys.argv[1], 53))
print("ready", flush=True)
while True:
    octets, source = server.recvfrom(4096)
    query = dns.message.from_wire(octets)
    answer = dns.message.make_response(query, recursion_available=True)
    answer.answer = [dns.rrset.from_text(query.question[0].name, 300, "IN", "A", "198.51.100.7")]
    server.sendto(answer.to_wire(), source)
"""


class ForwarderTests(RealmTestCase):
    """A LAN that has no other resolver."""

    settings: ClassVar[Mapping[str, Any]] = {
        "dns": {
            "wan": {"listen": [WAN]},
            "lan": {"listen": [LAN]},
            "local": {"listen": ["127.0.0.1"]},
            "forward": {"resolvers": [RESOLVER]},
        }
    }

    def resolver(self) -> subprocess.Popen[bytes]:
        """A resolver in the Internet, until the end of the test."""
        argv = [sys.executable, "-c", SERVER, RESOLVER]
        process = self.testbed.spawn("public", argv, log="resolver.log", stdout=subprocess.PIPE)
        assert process.stdout is not None
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        self.assertEqual(process.stdout.readline(), b"ready\n")
        return process

    def tell(self, name: str, *, where: str = LAN, namespace: str = "test_gwa") -> dns.message.Message:
        """What is said to who asks from a namespace."""
        query = dns.message.make_query(name, "A", use_edns=0)
        answer: dns.message.Message = self.testbed.call(namespace, dns.query.udp, query, where, 5.0)
        return answer

    def test_a_host_gets_other_peoples_names(self) -> None:
        """At the LAN's address, and at the WAN's; once more when the resolver is gone, and no other name then."""
        process = self.resolver()
        for where in (LAN, WAN):
            answer = self.tell("www.example.net.", where=where)
            self.assertEqual(answer.answer[0][0].address, "198.51.100.7")
            self.assertTrue(answer.flags & dns.flags.RA)
        process.terminate()
        process.wait()
        self.assertEqual(self.tell("www.example.net.").answer[0][0].address, "198.51.100.7")
        answer = self.tell("other.example.net.")
        self.assertEqual(answer.rcode(), dns.rcode.SERVFAIL)
        self.assertIn(RESOLVER, str(answer.options[0]))

    def test_our_names_are_ours(self) -> None:
        """With their private addresses, and no resolver is needed."""
        self.assertEqual(self.tell("one.gwa.demo.").answer[0][0].address, FIRST)

    def test_the_internet_and_the_gateway_itself_get_ours_only(self) -> None:
        """Whatever resolvers say."""
        self.resolver()
        for namespace, where in (("public", WAN), ("gwa", "127.0.0.1")):
            self.assertEqual(
                self.tell("third.example.net.", where=where, namespace=namespace).rcode(), dns.rcode.REFUSED
            )
        answer = self.tell("one.gwa.demo.", where="127.0.0.1", namespace="gwa")
        self.assertEqual(answer.answer[0][0].address, FIRST)


class ListTests(ForwarderTests):
    """A LAN on which some names are not to be had."""

    more: ClassVar[Mapping[str, Any]] = {}

    def build(self) -> tuple[Testbed, Gateway]:
        """With a list for everybody, and one for a subscriber."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        (folder / "ads.hosts").write_text("0.0.0.0 ads.example.net\n")
        (folder / "games.rpz").write_text("*.games.example.net CNAME .\n")
        lists = [
            {"name": "ads", "file": str(folder / "ads.hosts")},
            {"name": "one", "file": str(folder / "games.rpz"), "form": "rpz", "subscribers": ["one.gwa.demo"]},
        ]
        dns = ForwarderTests.settings["dns"]
        type(self).settings = {"dns": {**dns, "forward": {**dns["forward"], **self.more, "lists": lists}}}
        return super().build()

    def test_names_are_not_to_be_had(self) -> None:
        """By everybody, or by one subscriber, at whichever address he asks; others have them."""
        self.resolver()
        for where in (LAN, WAN):
            for name in ("ads.example.net.", "a.games.example.net."):
                answer = self.tell(name, where=where)
                self.assertEqual(answer.rcode(), dns.rcode.NXDOMAIN)
                self.assertIn("list ", str(answer.options[0]))
        self.assertEqual(self.tell("ads.example.net.", namespace="gwa").rcode(), dns.rcode.NXDOMAIN)
        self.assertEqual(self.tell("a.games.example.net.", namespace="gwa").rcode(), dns.rcode.NOERROR)
        self.assertEqual(self.tell("a.games.example.net.").rcode(), dns.rcode.NXDOMAIN)


class ApartTests(ListTests):
    """The same, with a process beside the gateway that answers the LAN."""

    more: ClassVar[Mapping[str, Any]] = {"process": "own"}

    def build(self) -> tuple[Testbed, Gateway]:
        """It is waited for."""
        testbed, gateway = super().build()
        try:
            self.wait(gateway, lambda counts: counts["apart"])
        except BaseException:
            gateway.stop()
            testbed.close()
            raise
        return testbed, gateway

    def wait(self, gateway: Gateway, holds: Callable[[dict[str, int]], object]) -> None:
        """Until that holds of what is counted."""
        end = time.monotonic() + PATIENCE
        while not holds(ask(gateway.control, "status")["counts"]["forwarder"]):
            self.assertLess(time.monotonic(), end)
            time.sleep(0.1)

    def test_it_is_killed(self) -> None:
        """The gateway answers at once, and another one is begun."""
        self.resolver()
        begun = ask(self.gateway.control, "status")["counts"]["forwarder"]["begun"]
        children = (task / "children" for task in Path(f"/proc/{self.gateway.pid}/task").iterdir())
        [pid] = (int(each) for text in children for each in text.read_text().split())
        os.kill(pid, signal.SIGKILL)
        self.assertEqual(self.tell("one.gwa.demo.").answer[0][0].address, FIRST)
        self.assertEqual(self.tell("fourth.example.net.").answer[0][0].address, "198.51.100.7")
        self.wait(self.gateway, lambda counts: counts["begun"] > begun and counts["apart"])
