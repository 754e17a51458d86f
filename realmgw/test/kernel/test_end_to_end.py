"""The whole gateway, started by twistd, between real clients and real hosts in namespaces."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import io
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, ClassVar

import dns.message
from twisted.trial.unittest import SynchronousTestCase

from realmgw.control.command.cli import main
from realmgw.control.command.client import ask
from realmgw.test.kernel import requirements
from realmgw.test.kernel.realm_case import FIRST, PREFIX, SECOND, RealmTestCase

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.player import visits
    from testbed.realm import client, host
    from testbed.realm.gateway import ORDERLY, Service, Subscriber
    from testbed.realm.topology import CHECKOUT, GATEWAY, GATEWAY_LAN, ON_LINK, ROUTED, TestbedError, environment

TCP, UDP = 6, 17
CLAIM = 2.1  # seconds
"""A claim is over by then."""
STALL = 2.5  # seconds
"""Longer than a claim lives."""
ONE_ADDRESS = "100.64.2.1"
"""The whole pool of the tests in which services share."""


class FlowTests(RealmTestCase):
    """A name is asked for, and a flow is opened to the answer."""

    def test_carries_tcp(self) -> None:
        """A TCP connection to the answered address is one to the name's host."""
        self.assertEqual(FIRST, self.public(client.fetch(self.ask("one.gwa.demo"))))
        self.assertEqual(SECOND, self.public(client.fetch(self.ask("two.gwa.demo"))))

    def test_carries_udp(self) -> None:
        """Datagrams reach the name's host, and its answers come from the address that was asked."""
        self.assertEqual([SECOND], self.public(client.echo(self.ask("two.gwa.demo"))))

    def test_carries_icmp(self) -> None:
        """An echo request is answered by the name's host."""
        self.assertEqual(SECOND, self.public(client.ping(self.ask("two.gwa.demo"))))

    def test_carries_sctp(self) -> None:
        """An SCTP association can be set up with the name's host."""
        self.assertEqual(FIRST, self.public(client.associate(self.ask("one.gwa.demo"))))

    def test_keeps_a_burst(self) -> None:
        """Three datagrams sent back to back from one socket all arrive, although there was one query."""
        for _ in range(20):
            self.assertEqual([FIRST] * 3, self.public(client.echo(self.ask("one.gwa.demo"), burst=3)))

    def test_serves_parallel_connections(self) -> None:
        """A browser's further connections are let in with the first one."""
        address = self.ask("one.gwa.demo")

        async def six() -> list[str]:
            return await asyncio.gather(*(client.fetch(address) for _ in range(6)))

        self.assertEqual([FIRST] * 6, self.public(six()))

    def test_gives_a_retransmission_the_same_address(self) -> None:
        """A resolver that asks again for a name that it waits for is told the same address."""
        self.assertEqual(self.ask("two.gwa.demo"), self.ask("two.gwa.demo"))

    def test_leaves_no_private_host_open(self) -> None:
        """Who routes packets to the private addresses past the gateway's back does not get there."""
        self.testbed.run("router", ["ip", "route", "replace", "192.168.0.0/24", "via", GATEWAY])
        self.addCleanup(self.testbed.run, "router", ["ip", "route", "delete", "192.168.0.0/24"])
        self.assertRaises(OSError, self.public, client.fetch(FIRST, timeout=0.5))

    def test_leaves_no_server_of_its_own_open(self) -> None:
        """A server of the gateway machine that listens everywhere is not reached at a pool address."""
        with self.testbed.inside("gwa"):
            server = socket.create_server(("0.0.0.0", 8080))
        self.addCleanup(server.close)
        self.assertRaises(OSError, self.public, client.fetch(ON_LINK[2], 8080, timeout=0.5))

    def test_serves_hosts_of_the_lan_at_the_wans_face(self) -> None:
        """They are told the private address, which works from there, and nobody is expected for them."""
        status = ask(self.gateway.control, "status")
        for tcp in (False, True):
            answer = self.testbed.call("test_gwa", asyncio.run, client.resolve("two.gwa.demo", server=GATEWAY, tcp=tcp))
            self.assertEqual(answer.addresses, [SECOND])
        after = ask(self.gateway.control, "status")
        before, now = (each["counts"] for each in (status, after))
        self.assertEqual(now["allocation"]["claimed"], before["allocation"]["claimed"])
        self.assertEqual(now["dns"]["wan"]["inside"], before["dns"]["wan"]["inside"] + 2)

    def test_is_looked_on(self) -> None:
        """`realmgw top` has the name that was asked for, and who asked, as people read it and for programs."""
        self.assertEqual(SECOND, self.public(client.fetch(self.ask("two.gwa.demo"))))
        seen = {}
        for more in ((), ("--json",)):
            seen[more] = self.command("top", "--once", "--match", "two", *more)
        self.assertIn("two.gwa.demo.", seen[()][1])
        status, text = seen["--json",]
        answer = json.loads(text)
        self.assertEqual((status, [row["name"] for row in answer["names"]]), (0, ["two.gwa.demo."]))
        self.assertGreaterEqual(answer["hosts"][0]["admitted"], 1)

    def command(self, *words: str) -> tuple[int, str]:
        """What `realmgw` says, asked at the gateway's socket, and how it ends."""
        with contextlib.redirect_stdout(io.StringIO()) as output:
            status = main([*words, "--socket", str(self.gateway.control)])
        return status, output.getvalue()

    def test_answers_nobody_on_the_wan_who_says_that_he_is_on_the_lan(self) -> None:
        """A query with a private host's address as its sender's, sent to the WAN, brings him nothing."""
        with self.testbed.inside("test_gwa"):
            victim = socket.socket(type=socket.SOCK_DGRAM)
        self.addCleanup(victim.close)
        victim.bind((FIRST, 5353))
        victim.settimeout(0.5)
        query = dns.message.make_query("two.gwa.demo", "A").to_wire()
        with self.testbed.inside("router"):
            liar = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        self.addCleanup(liar.close)
        ends = socket.inet_aton(FIRST) + socket.inet_aton(GATEWAY)
        header = struct.pack("!BBHHHBBH8s", 0x45, 0, 28 + len(query), 0, 0, 64, UDP, 0, ends)
        liar.sendto(header + struct.pack("!HHHH", 5353, 53, 8 + len(query), 0) + query, (GATEWAY, 0))
        self.assertRaises(TimeoutError, victim.recv, 512)

    def test_lets_hosts_out(self) -> None:
        """A private host's own connection leaves from an address of the pool."""
        with self.testbed.inside("public"):
            server = socket.create_server((self.testbed.clients[0], 9000))
        self.addCleanup(server.close)
        with self.testbed.inside("test_gwa"):
            connection = socket.create_connection((self.testbed.clients[0], 9000), timeout=2)
        self.addCleanup(connection.close)
        accepted, (address, _) = server.accept()
        self.addCleanup(accepted.close)
        self.assertIn(address, ON_LINK)


class StrayTests(RealmTestCase):
    """Nobody was announced, or not this one: the sender is told by his protocol."""

    @classmethod
    def subscribers(cls) -> list[Subscriber]:
        """Who lives behind the gateway."""
        services = (Service("open.gwa.demo.", TCP, 80, loose_packet=-1),)
        return [Subscriber("one.gwa.demo.", FIRST), Subscriber("two.gwa.demo.", SECOND, services)]

    def setUp(self) -> None:
        """Strays come from an address that was never admitted."""
        super().setUp()
        self.stray = self.testbed.clients[4]

    def test_refuses_tcp(self) -> None:
        """An unannounced SYN is answered by RST."""
        self.assert_refused(errno.ECONNREFUSED, 0, client.fetch("100.64.2.9", source=self.stray))

    def test_refuses_udp(self) -> None:
        """An unannounced datagram is answered by ICMP port unreachable."""
        self.assert_refused(errno.ECONNREFUSED, 1, client.echo("100.64.2.9", source=self.stray))

    def test_refuses_icmp(self) -> None:
        """An unannounced echo request is answered by ICMP administratively prohibited."""
        self.assert_refused(errno.EHOSTUNREACH, 1, client.ping("100.64.2.9", source=self.stray))

    def test_refuses_other_protocols(self) -> None:
        """An unannounced packet of any other protocol is answered by ICMP protocol unreachable."""
        self.assert_refused(errno.ENOPROTOOPT, 1, client.associate("100.64.2.9", source=self.stray))

    def test_refuses_on_the_link(self) -> None:
        """The same holds for the pool addresses of the WAN link."""
        self.assert_refused(errno.ECONNREFUSED, 0, client.fetch(ON_LINK[2], source=self.stray))

    def test_lets_everybody_in_where_that_is_wanted(self) -> None:
        """A service with `loose_packet` -1 is open to every client until the claim ends."""
        address = self.ask("open.gwa.demo")
        for source in self.testbed.clients[:4]:
            self.assertEqual(SECOND, self.public(client.fetch(address, source=source)))

    def test_refuses_who_comes_after_the_claim(self) -> None:
        """One query lets in its client, and others in case strays were first; nobody after its time is over.

        Its resolver is another one than that of the other tests, of which several clients come, late on a slow machine.
        """
        address = self.public(client.address_of("one.gwa.demo", source=self.stray))
        first, second, third = self.testbed.clients[1:4]
        for source in (first, second):
            self.assertEqual(FIRST, self.public(client.fetch(address, source=source)))
        time.sleep(CLAIM)
        self.assert_refused(errno.ECONNREFUSED, 0, client.fetch(address, source=third))
        self.assertEqual(FIRST, self.public(client.fetch(address, source=first)))


class SharedAddressTests(RealmTestCase):
    """Full services share an address: here, the pool's only one, which the router routes to us."""

    circular: ClassVar[Sequence[Mapping[str, str]]] = [{"addresses": ONE_ADDRESS, "attachment": "routed"}]

    @classmethod
    def subscribers(cls) -> list[Subscriber]:
        """Two hosts with services that do not clash."""
        return [
            Subscriber(
                "one.gwa.demo.", FIRST, (Service("web.gwa.demo.", TCP, 80), Service("log.gwa.demo.", UDP, 2000))
            ),
            Subscriber(
                "two.gwa.demo.", SECOND, (Service("api.gwa.demo.", TCP, 2000), Service("dns.gwa.demo.", UDP, 2001))
            ),
        ]

    def test_serves_two_hosts_by_one_address_at_once(self) -> None:
        """Each service of each host is reached at the same address by its own protocol and port."""
        for name in ("web", "log", "api", "dns"):
            self.assertEqual(ONE_ADDRESS, self.ask(f"{name}.gwa.demo"))
        self.assertEqual(SECOND, self.public(client.fetch(ONE_ADDRESS, 2000)))
        self.assertEqual(FIRST, self.public(client.fetch(ONE_ADDRESS, 80)))
        self.assertEqual([SECOND], self.public(client.echo(ONE_ADDRESS, 2001)))
        self.assertEqual([FIRST], self.public(client.echo(ONE_ADDRESS, 2000)))

    def test_serves_nothing_but_the_service(self) -> None:
        """What was asked for is reached, and no other port of the host."""
        self.assertEqual(ONE_ADDRESS, self.ask("web.gwa.demo"))
        stranger = self.testbed.clients[3]
        self.assert_refused(errno.ECONNREFUSED, 0, client.fetch(ONE_ADDRESS, 81, source=stranger))
        self.assertEqual(FIRST, self.public(client.fetch(ONE_ADDRESS, 80)))


class TurnTests(RealmTestCase):
    """Whole addresses, and one of them only."""

    circular: ClassVar[Sequence[Mapping[str, str]]] = [{"addresses": ONE_ADDRESS, "attachment": "routed"}]

    def test_serves_hosts_in_turn(self) -> None:
        """A whole address passes from host to host, as the queries come."""
        for name, expected in (("one", FIRST), ("two", SECOND), ("one", FIRST)):
            self.assertEqual(expected, self.public(client.fetch(self.ask(f"{name}.gwa.demo"))))

    def test_delivers_none_to_the_wrong_host(self) -> None:
        """Two hosts share the one address, flow by flow, and each flow reaches its own."""
        hosts = {"one.gwa.demo": FIRST, "two.gwa.demo": SECOND}
        done = self.public(visits.visit_many(hosts, 60, 150.0, len))
        self.assertEqual([], [each for each in done if not each.succeeded])

    def test_delivers_none_to_another_host_where_ports_are_used_again(self) -> None:
        """By a client that has few: the same port, to the same address, begins a flow to another host soon after."""
        ports = "net.ipv4.ip_local_port_range"
        before = self.testbed.run("public", ["sysctl", "-n", ports]).stdout.strip()
        self.addCleanup(self.testbed.run, "public", ["sysctl", "-w", f"{ports}={before}"])
        self.testbed.run("public", ["sysctl", "-w", f"{ports}=40000 40099"])
        hosts = {"one.gwa.demo": FIRST, "two.gwa.demo": SECOND}
        done = self.public(visits.visit_many(hosts, 150, 60.0, len))
        self.assertEqual([], [each for each in done if not each.succeeded])

    def test_delivers_none_to_the_wrong_host_after_a_stall(self) -> None:
        """A packet that waited while the gateway did not run goes to the host that its sender asked for."""
        address = self.ask("one.gwa.demo")
        with ThreadPoolExecutor(2) as pool:
            os.kill(self.gateway.pid, signal.SIGSTOP)
            try:
                second = pool.submit(self.ask, "two.gwa.demo")  # read first, or not: its question and the packet wait
                first = pool.submit(self.public, client.fetch(address, timeout=10.0))
                time.sleep(STALL)
            finally:
                os.kill(self.gateway.pid, signal.SIGCONT)
            self.assertEqual(FIRST, first.result(10.0))
            self.assertEqual(SECOND, self.public(client.fetch(second.result(10.0))))


class NameTests(RealmTestCase):
    """The DNS server's views."""

    def test_answers_with_the_pool(self) -> None:
        """To the public, a name has an address of the pool, lent for this moment."""
        answer = self.public(client.resolve("one.gwa.demo"))
        self.assertEqual(("NOERROR", 0, 1), (answer.rcode, answer.ttl, len(answer.addresses)))
        pool = (*ON_LINK, ROUTED.rpartition(".")[0])
        self.assertTrue(answer.addresses[0].startswith(pool))

    def test_answers_by_tcp(self) -> None:
        """The same by TCP."""
        self.assertEqual(FIRST, self.public(client.fetch(self.public(client.address_of("one.gwa.demo", tcp=True)))))

    def test_keeps_the_case_of_the_question(self) -> None:
        """Names compare without regard to case; the answer has the asker's."""
        answer = self.public(client.resolve("oNe.GwA.deMO"))
        self.assertEqual("oNe.GwA.deMO.", answer.message.answer[0].name.to_text())

    def test_answers_the_realm_with_private_addresses(self) -> None:
        """On the LAN, a name has its host's own address."""
        answer = self.testbed.call("test_gwa", asyncio.run, client.resolve("two.gwa.demo", server=GATEWAY_LAN))
        self.assertEqual([SECOND], answer.addresses)

    def test_denies_what_is_not_there(self) -> None:
        """An unknown name is NXDOMAIN, a known one without such records NODATA, both with the SOA."""
        for name, kind, rcode in (("none.gwa.demo", "A", "NXDOMAIN"), ("one.gwa.demo", "AAAA", "NOERROR")):
            answer = self.public(client.resolve(name, kind=kind))
            self.assertEqual((rcode, []), (answer.rcode, answer.message.answer))
            self.assertEqual("gwa.demo.", answer.message.authority[0].name.to_text())

    def test_refuses_foreign_names(self) -> None:
        """We are nobody's resolver."""
        self.assertEqual("REFUSED", self.public(client.resolve("www.example.org")).rcode)


class LifeTests(RealmTestCase):
    """The gateway goes and comes back."""

    def setUp(self) -> None:
        """Each test begins with a gateway that runs."""
        super().setUp()
        if self.gateway.process is None:
            self.gateway.start()

    def test_keeps_flows_when_killed(self) -> None:
        """After SIGKILL a download goes on to its end, no new flow passes, and a restart serves again."""
        with ThreadPoolExecutor(1) as pool:
            running = self.download(pool, "one.gwa.demo", 1_500_000)
            self.gateway.kill()
            self.assertRaises(OSError, self.public, client.fetch(ON_LINK[0], timeout=0.5))
            self.assertFalse(running.done())
            self.gateway.start()
            got = running.result(20.0)
        self.assertEqual(host.checksum(FIRST, 1_500_000), got.checksum)
        self.assertEqual(SECOND, self.public(client.fetch(self.ask("two.gwa.demo"))))

    def test_keeps_flows_when_stopped(self) -> None:
        """The same after SIGTERM; and the process says that all went well."""
        with ThreadPoolExecutor(1) as pool:
            running = self.download(pool, "two.gwa.demo", 1_500_000)
            self.assertEqual(ORDERLY, self.gateway.stop())
            self.assertRaises(OSError, self.public, client.fetch(ON_LINK[0], timeout=0.5))
            self.assertFalse(running.done())
            self.gateway.start()
            got = running.result(20.0)
        self.assertEqual(host.checksum(SECOND, 1_500_000), got.checksum)
        self.assertEqual(FIRST, self.public(client.fetch(self.ask("one.gwa.demo"))))

    def test_removes_everything_when_purged(self) -> None:
        """With `--purge` the kernel has no rule and no route of ours after the stop; a start puts all of it back."""
        self.gateway.stop()
        self.gateway.start("--purge")
        self.gateway.stop()
        self.assertNotIn("realmgw", self.testbed.run("gwa", ["nft", "list", "ruleset"]).stdout)
        routes = self.testbed.run("gwa", ["ip", "route", "show", "table", "all"]).stdout
        self.assertNotIn(ON_LINK[0], routes)
        self.assertNotIn(ROUTED, routes)
        self.gateway.start()
        self.assertEqual(FIRST, self.public(client.fetch(self.ask("one.gwa.demo"))))

    def test_refuses_to_run_beside_another(self) -> None:
        """A second gateway beside the first one ends with a line that says what is taken; the first one serves on."""
        second = self.testbed.run("gwa", self.gateway.command)
        self.assertEqual(1, second.returncode)
        self.assertIn("can not start: another gateway has the table realmgw", second.stdout + second.stderr)
        self.assertEqual(FIRST, self.public(client.fetch(self.ask("one.gwa.demo"))))

    def test_refuses_to_start_without_its_port(self) -> None:
        """Where another program has port 53 of our address, the gateway ends with one line that says so."""
        self.gateway.stop()
        with self.testbed.inside("gwa"), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind((GATEWAY, 53))
            error = self.assertRaises(TestbedError, self.gateway.start)
        lines = [line for line in str(error).splitlines() if "can not start" in line]
        self.assertEqual(1, len(lines), error)
        self.assertIn(f"{GATEWAY}", lines[0])
        self.assertIn("53", lines[0])


class DocumentationTests(SynchronousTestCase):
    """docs/testbed.md."""

    skip = requirements.missing_for_gateway()

    def test_runs(self) -> None:
        """The example for Python does what the page says."""
        page = (CHECKOUT / "docs" / "testbed.md").read_text()
        example = page.partition("```python\n")[2].partition("```")[0].replace("mine-", f"{PREFIX}doc-")
        done = subprocess.run(
            [sys.executable, "-c", example], capture_output=True, text=True, timeout=30, env=environment(), check=False
        )
        self.assertEqual((f"{FIRST}\n", "", 0), (done.stdout, done.stderr, done.returncode))
