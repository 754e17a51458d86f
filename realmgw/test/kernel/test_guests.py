"""LAN hosts that are no subscribers, in a kernel: they get DNS and the portal, and nothing else, until registered."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPResponse
from ipaddress import ip_address
from typing import Any, ClassVar

import attrs

from realmgw.config.policy import UnknownHosts
from realmgw.config.settings import Portal
from realmgw.control.command.client import ask
from realmgw.datapath.watch.keeper import Noticed
from realmgw.system.endpoints import Endpoint
from realmgw.system.http import LIFE
from realmgw.test.datapath.moves import change
from realmgw.test.kernel.datapath_case import DatapathTestCase, must, until
from realmgw.test.kernel.realm_case import FIRST, SECOND, RealmTestCase
from realmgw.test.kernel.test_forwarder import SERVER

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    import dns.message
    import dns.query

    from testbed.realm import ipv6
    from testbed.realm.gateway import ON_LINK_POOL, ROUTED_POOL, ROUTED_POOL6, Subscriber, configuration
    from testbed.realm.topology import GATEWAY_LAN

THIRD, RESOLVER = "192.168.0.102", "100.64.3.10"
SERVE = """
import socket, sys, threading
server = socket.create_server(("::", int(sys.argv[1])), family=socket.AF_INET6, dualstack_ipv6=True)
def talk(client):
    with client:
        while client.recv(4096):
            client.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 7\\r\\n\\r\\noutside")
print("ready", flush=True)
while True:
    threading.Thread(target=talk, args=(server.accept()[0],), daemon=True).start()
"""
"""A server of others, which keeps connections."""
FLOOD = """
import socket, sys
held = []
for number in range(int(sys.argv[2])):
    each = socket.socket()
    each.setblocking(False)
    each.connect_ex((sys.argv[1], 80))
    held.append(each)
print("knocked", flush=True)
sys.stdin.read()
"""
"""A guest who connects very often, and says nothing."""


class GuestTestCase(RealmTestCase):
    """A gateway with one subscriber, and guests."""

    hosts = 3
    settings: ClassVar[Mapping[str, Any]] = {}
    dns: ClassVar[Mapping[str, Any]] = {}
    policies: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def subscribers(cls) -> list[Subscriber]:
        """The first host only."""
        return [Subscriber("one.gwa.demo.", FIRST, address6="2001:db8:5::100")]

    def build(self) -> Any:
        """Whatever is not said otherwise is as ever."""
        cls = type(self)
        cls.circular = (ON_LINK_POOL, ROUTED_POOL, ROUTED_POOL6)
        own = configuration(cls.circular)
        cls.settings = {
            "zones": {**own["zones"], "0.168.192.in-addr.arpa": None},
            "dns": {**own["dns"], "forward": {"resolvers": [RESOLVER]}, **cls.dns},
            "policies": [*cls.policies],
            "datapath": {"unknown_hosts": "guest"},
            "portal": {"listen": [GATEWAY_LAN, ipv6.GATEWAY_LAN], "reachable": ["100.64.3.12", "2001:db8:3:12::1"]},
        }
        built = super().build()
        for port in ("80", "443"):
            server = built[0].spawn("public", [sys.executable, "-c", SERVE, port], stdout=subprocess.PIPE)
            assert server.stdout is not None
            with server.stdout as told:
                self.assertEqual(told.readline(), b"ready\n")
        return built

    def setUp(self) -> None:
        super().setUp()
        self.far, self.far6 = self.testbed.clients[0], self.testbed.clients6[0]
        self.own6 = self.testbed.own6

    def tearDown(self) -> None:
        """The next test begins with one subscriber."""
        self.register()

    def register(self, *others: Subscriber) -> Any:
        """These, and the first one, are subscribers; what became of the reload."""
        every = (*self.subscribers(), *others)
        (self.testbed.folder / "subscribers.d" / "testbed.yaml").write_text("".join(each.text() for each in every))
        answer = ask(self.gateway.control, "reload", {"accept_loss": "1"})
        self.assertIn(answer["status"], ("applied", "unchanged"))
        return answer

    def connect(self, source: str, destination: str, port: int = 80) -> HTTPConnection:
        """A connection of a private host's."""
        made = HTTPConnection(destination, port, timeout=3, source_address=(source, 0))
        self.addCleanup(made.close)
        self.testbed.call("test_gwa", made.connect)
        return made

    def get(self, source: str, destination: str, path: str = "/", port: int = 80) -> tuple[HTTPResponse, bytes]:
        """What a private host is answered."""
        connection = self.connect(source, destination, port)
        connection.request("GET", path)
        response = connection.getresponse()
        return response, response.read()

    def counted(self, part: str, name: str) -> Any:
        """What the gateway has counted."""
        return ask(self.gateway.control, "status")["counts"][part][name]


class GuestTests(GuestTestCase):
    """What guests get, and what becomes of it when they are registered."""

    def test_http_of_guests_is_answered_by_the_portal(self) -> None:
        """Whatever they ask for, by either family; they are sent to an address of their family."""
        for source, far, portal in (
            (SECOND, self.far, f"http://{GATEWAY_LAN}/"),
            (self.own6[1], self.far6, f"http://[{ipv6.GATEWAY_LAN}]/"),
        ):
            for path in ("/generate_204", "/hotspot-detect.html", "/connecttest.txt", "/success.txt?ipv4"):
                response, _ = self.get(source, far, path)
                self.assertEqual((response.status, response.headers["Location"]), (302, portal))
            response, body = self.get(source, portal.removeprefix("http://").strip("[]/"))
            self.assertEqual((response.status, b"Not registered yet" in body), (200, True))
            self.assertIn(source.encode(), body)

    def test_everything_else_is_refused_at_once(self) -> None:
        """So that nobody waits for it: by TCP, by UDP, QUIC's port too, and what is for the gateway itself."""
        before = self.counted("kernel", "guest_refused")["packets"]
        for source, places in (
            (SECOND, ((self.far, 443), (self.far, 8080), (GATEWAY_LAN, 22), (GATEWAY_LAN, 8080))),
            (self.own6[1], ((self.far6, 443), (ipv6.GATEWAY_LAN, 22))),
        ):
            for destination, port in places:
                self.assertRaises(ConnectionRefusedError, self.connect, source, destination, port)
                with self.testbed.inside("test_gwa"):
                    family = socket.AF_INET6 if ":" in source else socket.AF_INET
                    asking = socket.socket(family, socket.SOCK_DGRAM)
                with asking:
                    asking.settimeout(3)
                    asking.bind((source, 0))
                    asking.connect((destination, port))
                    asking.send(b"hello")
                    self.assertRaises(ConnectionRefusedError, asking.recv, 99)
        self.assertEqual(self.counted("kernel", "guest_refused")["packets"] - before, 12)

    def test_dns_of_guests_is_answered(self) -> None:
        """By the LAN's face of the gateway, whomever they ask; a subscriber who asks others does not come here."""
        query = dns.message.make_query("one.gwa.demo.", "A")
        for source, servers in ((SECOND, (GATEWAY_LAN, self.far)), (self.own6[1], (ipv6.GATEWAY_LAN, self.far6))):
            for server in servers:
                for way in (dns.query.udp, dns.query.tcp):
                    answer = self.testbed.call("test_gwa", way, query, server, timeout=3, source=source)
                    self.assertEqual([str(each[0]) for each in answer.answer], [FIRST])
        self.assertRaises(
            OSError, self.testbed.call, "test_gwa", dns.query.tcp, query, self.far, timeout=3, source=FIRST
        )

    def test_guests_have_other_peoples_names_and_those_of_addresses(self) -> None:
        """As everybody on the LAN has them; his own address has no name, and nobody else is asked for one."""
        resolver = self.testbed.spawn("public", [sys.executable, "-c", SERVER, RESOLVER], stdout=subprocess.PIPE)
        self.addCleanup(resolver.communicate)
        self.addCleanup(resolver.kill)
        assert resolver.stdout is not None
        self.assertEqual(resolver.stdout.readline(), b"ready\n")
        for source, server in ((SECOND, GATEWAY_LAN), (SECOND, self.far), (self.own6[1], ipv6.GATEWAY_LAN)):
            for name, kind, said in (
                ("www.example.net.", "A", ["198.51.100.7"]),
                ("100.0.168.192.in-addr.arpa.", "PTR", ["one.gwa.demo."]),
                ("101.0.168.192.in-addr.arpa.", "PTR", []),
            ):
                query = dns.message.make_query(name, kind)
                answer = self.testbed.call("test_gwa", dns.query.udp, query, server, timeout=3, source=source)
                self.assertEqual([str(each[0]) for each in answer.answer], said)

    def test_what_everybody_reaches_is_reached(self) -> None:
        """The servers of the operator's link: by HTTP as well, without the portal."""
        for source, there in ((SECOND, self.testbed.clients[2]), (self.own6[1], self.testbed.clients6[2])):
            for port in (80, 443):
                self.assertEqual(self.get(source, there, port=port)[1], b"outside")

    def test_subscribers_notice_nothing(self) -> None:
        """They come to everything, and at the portal they are told so."""
        for source, far, here in ((FIRST, self.far, GATEWAY_LAN), (self.own6[0], self.far6, ipv6.GATEWAY_LAN)):
            for port in (80, 443):
                self.assertEqual(self.get(source, far, port=port)[1], b"outside")
            response, body = self.get(source, here)
            self.assertEqual((response.status, b"You are connected" in body), (200, True))
            self.assertFalse(json.loads(self.get(source, here, "/captive-portal/api")[1])["captive"])
        self.assertTrue(json.loads(self.get(SECOND, GATEWAY_LAN, "/captive-portal/api")[1])["captive"])

    def test_registration_lifts_it_at_once(self) -> None:
        """A connection that was sent to the portal ends, no entry of one is left, and flows of others go on."""
        other, idle = self.connect(FIRST, self.far), self.connect(SECOND, self.far)
        reached = self.connect(SECOND, self.testbed.clients[2], 443)
        self.assertEqual(self.get(SECOND, self.far)[0].status, 302)
        self.assertTrue(until(lambda: self.counted("portal", "open") == 1))
        begin = time.monotonic()
        answer = self.register(Subscriber("two.gwa.demo.", SECOND, address6=self.own6[1]))
        self.assertGreaterEqual(answer["flows_ended"], 1)
        self.assertEqual(self.get(SECOND, self.far)[1], b"outside")
        self.assertEqual(self.get(SECOND, self.far, port=443)[1], b"outside")
        self.assertEqual(self.get(self.own6[1], self.far6)[1], b"outside")
        self.assertRaises(ConnectionResetError, idle.sock.recv, 99)
        self.assertLess(time.monotonic() - begin, LIFE / 2)
        listed = self.testbed.run("gwa", ["cat", "/proc/net/nf_conntrack"]).stdout
        self.assertNotRegex(listed, rf"src={SECOND} dst={self.far} .*src={GATEWAY_LAN} ")
        for kept in (other, reached):
            kept.request("GET", "/")
            self.assertEqual(kept.getresponse().read(), b"outside")

    def test_who_is_removed_is_a_guest_again(self) -> None:
        """His flows end, and what he goes on to send is refused; flows of others go on."""
        self.register(Subscriber("two.gwa.demo.", SECOND))
        his, other = self.connect(SECOND, self.far, 443), self.connect(FIRST, self.far)
        self.register()
        his.request("GET", "/")
        self.assertRaises(ConnectionResetError, his.getresponse)
        self.assertEqual(self.get(SECOND, self.far)[0].status, 302)
        other.request("GET", "/")
        self.assertEqual(other.getresponse().read(), b"outside")

    def test_a_guest_who_floods_the_portal_is_in_nobodys_way(self) -> None:
        """1 000 connections at once, which say nothing: DNS answers, another guest gets the page at once."""
        before = self.counted("datapath", "repairs")
        third = self.neighbour("02:00:00:00:00:66", "192.168.0.150")
        argv = ["nsenter", "-t", str(third.pid), "-n", sys.executable, "-c", FLOOD, GATEWAY_LAN, "1000"]
        flood = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(flood.communicate)
        assert flood.stdout is not None
        self.assertEqual(flood.stdout.readline(), b"knocked\n")
        query = dns.message.make_query("one.gwa.demo.", "A")
        for _ in range(20):
            self.testbed.call("test_gwa", dns.query.udp, query, GATEWAY_LAN, timeout=3, source=SECOND)
            self.assertEqual(self.get(SECOND, GATEWAY_LAN)[0].status, 200)
        self.assertGreater(self.counted("kernel", "guest_limited")["packets"], 500)
        self.assertLessEqual(self.counted("portal", "open"), 20)
        self.assertGreater(self.counted("portal", "crowded"), 0)
        self.assertEqual(self.counted("datapath", "repairs"), before)  # what packets write into the table is no change

    def neighbour(self, ethernet: str, address: str) -> subprocess.Popen[bytes]:
        """A further host of the LAN, with an Ethernet address of its own, by a process in its namespace."""
        held = subprocess.Popen(
            ["unshare", "-n", "sh", "-c", "echo; exec cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.addCleanup(held.communicate)
        assert held.stdout is not None
        held.stdout.readline()
        link = ["ip", "link", "add", "link", "eth0", "name", "guest0", "address", ethernet, "type", "macvlan"]
        must(self.testbed, "test_gwa", [*link, "mode", "bridge"])
        must(self.testbed, "test_gwa", ["ip", "link", "set", "guest0", "netns", str(held.pid)])
        for words in (
            f"addr add {address}/24 dev guest0",
            "link set guest0 up",
            f"route add default via {GATEWAY_LAN}",
        ):
            must(self.testbed, "test_gwa", ["nsenter", "-t", str(held.pid), "-n", "ip", *words.split()])
        return held


class UnknownHostTests(DatapathTestCase):
    """What the rules do, without a gateway."""

    def unknown(self, how: UnknownHosts) -> None:
        """Tells the kernel, as a reload does."""
        portal = Portal((Endpoint(ip_address(GATEWAY_LAN), 80),))
        wanted = attrs.evolve(
            self.settings, datapath=attrs.evolve(self.settings.datapath, unknown_hosts=how), portal=portal
        )
        self.testbed.call("gwa", self.kernel.change, wanted, change(self.hosts, self.hosts))

    def leaves(self, source: str) -> bool:
        """Whether a LAN host's datagram arrives."""
        server = self.udp(address=self.testbed.clients[0], port=0)
        server.settimeout(0.3)
        sender = self.udp("test_gwa", source)
        sender.sendto(b"hello", server.getsockname())
        with contextlib.suppress(TimeoutError):
            return bool(server.recv(99))
        return False

    def make_hosts(self) -> Any:
        """The first host is a subscriber, the second is none."""
        return super().make_hosts()[:1]

    def test_unknown_hosts_are_dropped_where_that_is_said(self) -> None:
        """They are counted, subscribers pass; and from one to the other without a gap."""
        known, unknown = self.testbed.hosts
        for how, passes in ((UnknownHosts.ACCEPT, True), (UnknownHosts.DROP, False), (UnknownHosts.GUEST, False)):
            self.unknown(how)
            self.assertEqual((self.leaves(known), self.leaves(unknown)), (True, passes), how)
            self.assert_stands()
        self.unknown(UnknownHosts.DROP)
        self.leaves(unknown)
        self.assertEqual(self.packets("unknown_dropped"), 1)

    def test_a_change_of_one_host_touches_its_elements_only(self) -> None:
        """The counters go on, so the table is the same."""
        self.unknown(UnknownHosts.DROP)
        self.leaves(self.testbed.hosts[1])
        both = super().make_hosts()
        self.testbed.call("gwa", self.kernel.change, self.kernel.settings, change(self.hosts, both))
        self.assertTrue(self.leaves(self.testbed.hosts[1]))
        self.testbed.call("gwa", self.kernel.change, self.kernel.settings, change(both, self.hosts))
        self.assertFalse(self.leaves(self.testbed.hosts[1]))
        self.assertEqual(self.packets("unknown_dropped"), 2)

    def test_nobody_is_taken_for_a_guest_while_hosts_are_not_known(self) -> None:
        """While a table is put back: a subscriber's connection waits, it is neither refused nor sent to the portal."""
        self.unknown(UnknownHosts.GUEST)
        self.testbed.call("gwa", self.kernel.shut)
        server = self.server("public", self.testbed.clients[0], 80)
        known = self.make("test_gwa", socket.SOCK_STREAM, self.testbed.hosts[0])
        known.setblocking(False)
        known.connect_ex(server.getsockname())
        self.counted("forward_refused")
        self.testbed.call("gwa", self.kernel.place, self.hosts)
        accepted, _ = server.accept()  # it tries again after a second
        accepted.close()

    def test_who_was_made_a_subscriber_by_somebody_else_is_none(self) -> None:
        """The table is placed anew with what we know; what guests do themselves does not matter."""
        self.unknown(UnknownHosts.GUEST)
        knocking = self.make("test_gwa", socket.SOCK_STREAM, self.testbed.hosts[1])
        knocking.setblocking(False)
        knocking.connect_ex((GATEWAY_LAN, 80))
        self.assertTrue(until(lambda: "elements" in self.nft("list", "set", "inet", "realmgw", "guests_knocking")))
        self.assert_stands()
        self.nft("add", "element", "inet", "realmgw", "subscribers", f"{{ {self.testbed.hosts[1]} }}")
        self.testbed.call("gwa", self.kernel.look, Noticed(lost=True), lambda: self.hosts)
        self.assertNotIn(self.testbed.hosts[1], self.nft("list", "set", "inet", "realmgw", "subscribers"))
