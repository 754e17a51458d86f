"""Alerts: the whole gateway, told by a socket, real conntrack, and the kernel's set of who is banned."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
from pathlib import Path
from typing import Any, ClassVar

from twisted.trial.unittest import SynchronousTestCase

from realmgw.alerts.service import LOOK
from realmgw.control.command.client import ask, follow
from realmgw.test import programs
from realmgw.test.kernel import requirements
from realmgw.test.kernel.datapath_case import until
from realmgw.test.kernel.realm_case import FIRST, SECOND, RealmTestCase
from realmgw.test.kernel.web_case import Origin, WebTestCase, answer, request

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.programs import alerted
    from testbed.realm import ipv6
    from testbed.realm.gateway import ON_LINK_POOL, ROUTED_POOL, Subscriber
    from testbed.realm.topology import CLIENT, GATEWAY

END, BAN = 1000001, 1000002
"""Signatures: flows of the first one end, clients of the second one are banned."""
WEB = "www.one.gwa.demo"
"""A name that the web proxy serves."""
RULES = [{"signatures": [END], "actions": ["end"]}, {"signatures": [BAN], "actions": ["ban"]}]


def line(signature: int, source: tuple[str, int], destination: tuple[str, int]) -> bytes:
    """A line of EVE about a packet of TCP."""
    alert = {"signature_id": signature, "signature": "TEST", "category": "", "severity": 1}
    ends = {"src_ip": source[0], "src_port": source[1], "dest_ip": destination[0], "dest_port": destination[1]}
    said = {"timestamp": "2026-01-01T00:00:00.000000+0000", "event_type": "alert", "proto": "TCP", **ends}
    return json.dumps({**said, "alert": alert}).encode() + b"\n"


def syn(source: str, sport: int, destination: str, dport: int) -> bytes:
    """The segment by which a connection is begun."""
    head = struct.pack("!HHIIBBHHH", sport, dport, 1, 0, 5 << 4, 2, 65535, 0, 0)
    ends = socket.inet_aton(source) + socket.inet_aton(destination)
    words = struct.unpack("!16H", ends + struct.pack("!HH", socket.IPPROTO_TCP, len(head)) + head)
    total = sum(words)
    total = (total & 0xFFFF) + (total >> 16)
    return head[:16] + struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF) + head[18:]


class AlertedTestCase(RealmTestCase):
    """A gateway that listens at a unix socket."""

    settings: ClassVar = {
        "alerts": {"socket": "alerts.sock", "rules": RULES, "ban_time": 60}, "datapath": {"log": {"refused": 100}},
    }  # fmt: skip

    def setUp(self) -> None:
        """Writes to the socket, where the gateway is, and lifts all bans afterwards."""
        super().setUp()
        self.writer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.addCleanup(self.writer.close)
        self.writer.connect(str(Path(self.gateway.control).with_name("alerts.sock")))

    def tell(self, signature: int, source: tuple[str, int], destination: tuple[str, int]) -> None:
        """The intrusion detection system does."""
        self.writer.send(line(signature, source, destination))

    def counts(self) -> Any:
        """What was counted of alerts."""
        return ask(self.gateway.control, "status")["counts"]["alerts"]

    def latest(self) -> Any:
        """The last alert."""
        return ask(self.gateway.control, "alerts", {"limit": "1"})["alerts"][0]

    def banned(self) -> str:
        """The kernel's set."""
        return self.testbed.run("gwa", ["nft", "list", "set", "inet", "realmgw", "banned"]).stdout

    def dropped(self) -> int:
        """How many packets of theirs the kernel has dropped."""
        return int(ask(self.gateway.control, "status")["counts"]["kernel"]["banned"]["packets"])


class AlertTests(AlertedTestCase):
    """Flows of hosts."""

    def client(self, name: str, source: str = CLIENT) -> socket.socket:
        """A connection from the Internet, over which something was said."""
        with self.testbed.inside("public"):
            made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.addCleanup(made.close)
        made.settimeout(0.4)
        made.bind((source, 0))
        made.connect((self.ask(name), 80))
        made.send(b"GET / HTTP/1.1\r\n")
        return made

    def flows(self, host: str) -> Any:
        """Those of TCP that conntrack has."""
        return ask(self.gateway.control, "flows/list", {"host": host, "protocol": "tcp"})["flows"]

    def test_a_flow_ends_in_whichever_view_it_was_seen(self) -> None:
        """Outside and inside, there and back; the host's name is told, and other flows go on."""
        other = self.client("two.gwa.demo")
        for number in range(4):
            made = self.client("one.gwa.demo")
            client, pool, host = made.getsockname(), made.getpeername(), (FIRST, 80)
            views = ((client, pool), (pool, client), (client, host), (host, client))
            self.assertEqual(len(self.flows(FIRST)), 1)
            self.tell(END, *views[number])
            self.assertTrue(until(lambda: not self.flows(FIRST)))
            told = self.latest()
            self.assertEqual((told["flow"]["host"], told["flow"]["client"]), ("one.gwa.demo.", CLIENT))
            self.assertEqual((told["rule"], told["done"]), (1, ["flow ended"]))
        other.send(b"Host: x\r\n\r\n")
        self.assertIn(SECOND.encode(), other.recv(9999))

    def told(self, client: str) -> Any:
        """What `realmgw log` has of packets of a client that were dropped."""
        return [row for row in follow(self.gateway.control, "log", {"client": client, "refused": "1"}) if row]

    def test_who_is_banned_reaches_no_host_and_still_resolves_names(self) -> None:
        """His flow ends, another of his stands still, and what he begins is dropped; others, and DNS, go on."""
        bad, good = self.testbed.clients[1:3]
        caught, another = self.client("one.gwa.demo", bad), self.client("two.gwa.demo", bad)
        self.tell(BAN, caught.getsockname(), caught.getpeername())
        self.assertTrue(until(lambda: bad in self.banned()))
        self.assertEqual(self.latest()["done"], [f"{bad} banned for 60 s", "flow ended"])
        another.send(b"Host: x\r\n\r\n")
        self.assertRaises(TimeoutError, another.recv, 99)
        self.assertGreater(self.dropped(), 0)
        self.assertTrue(until(lambda: self.told(bad)))
        [by] = self.told(bad)[-1]["by"]
        self.assertRegex(
            f"{by['key']} ({by['origin']})", rf"^alerts\.rules: signature {BAN} TEST \(.*/realmgw\.yaml:[0-9]+\)$"
        )
        self.assertRaises(OSError, self.client, "one.gwa.demo", bad)
        self.client("one.gwa.demo", good)
        self.testbed.run("gwa", ["nft", "flush", "ruleset"])
        self.assertTrue(until(lambda: bad in self.banned()), "after the table was placed anew")
        main = self.gateway.config.read_text()
        self.gateway.config.write_text(main.replace("ban_time: 60", f"ban_time: 60\n  never_ban: [{bad}]"))
        self.assertEqual(ask(self.gateway.control, "reload")["status"], "applied")
        self.assertTrue(until(lambda: bad not in self.banned()), "when a reload finds him in the white list")
        self.client("one.gwa.demo", bad)

    def test_who_is_banned_stays_so_whatever_replaces_the_table(self) -> None:
        """A reload that is refused after a purge, or led back as a route was; but not whom an operator has lifted."""
        bad, other = self.testbed.clients[3], "100.64.9.0/28"
        caught, main = self.client("one.gwa.demo", bad), self.gateway.config.read_text()
        self.addCleanup(self.gateway.config.write_text, main)
        self.tell(BAN, caught.getsockname(), caught.getpeername())
        self.assertTrue(until(lambda: bad in self.banned()))
        ask(self.gateway.control, "purge", {"name": ask(self.gateway.control, "status")["name"]})
        self.assertEqual(self.banned(), "")
        self.gateway.config.write_text("nothing good")
        self.assertEqual(ask(self.gateway.control, "reload")["status"], "refused")
        self.assertTrue(until(lambda: bad in self.banned()), "after a purge")
        self.testbed.run("gwa", ["ip", "route", "add", "blackhole", other])
        self.addCleanup(self.testbed.run, "gwa", ["ip", "route", "delete", "blackhole", other])
        self.gateway.config.write_text(main.replace("100.64.2.0/28", other))
        refused = ask(self.gateway.control, "reload")
        self.assertIn(f"route for {other} was refused", "".join(refused["problems"]))
        self.assertTrue(until(lambda: bad in self.banned()), "after all was put back")
        self.testbed.run("gwa", ["nft", "delete", "element", "inet", "realmgw", "banned", f"{{ {bad} }}"])
        self.assertFalse(until(lambda: bad in self.banned(), 2 * LOOK), "an operator has lifted it")
        self.client("two.gwa.demo", bad)

    def test_forged_sources_ban_nobody(self) -> None:
        """Whom conntrack has never seen; a SYN that was not answered to; and a flow that was begun inside."""
        victim, unfinished = self.testbed.clients[3:5]
        pool = self.ask("one.gwa.demo")
        self.tell(BAN, (victim, 4000), (pool, 80))
        self.assertTrue(until(lambda: self.latest()["src_ip"] == victim))
        self.assertEqual(self.latest()["not_done"], ["conntrack has no such flow"])
        with self.testbed.inside("public"):
            half = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)
        self.addCleanup(half.close)
        half.bind((unfinished, 0))
        half.sendto(syn(unfinished, 4001, pool, 80), (pool, 0))
        self.assertTrue(until(lambda: any(each["client_port"] == 4001 for each in self.flows(FIRST))))
        self.tell(BAN, (unfinished, 4001), (pool, 80))
        self.assertTrue(until(lambda: self.latest()["src_ip"] == unfinished))
        [why] = self.latest()["not_done"]
        self.assertIn("may be forged", why)
        self.assertNotIn(victim, self.banned())
        self.assertNotIn(unfinished, self.banned())


def web_settings() -> dict[str, Any]:
    """Of a gateway with the web proxy that is told of alerts."""
    pools = {"circular": [dict(ON_LINK_POOL), dict(ROUTED_POOL)], "service": [GATEWAY, ipv6.GATEWAY]}
    return {**AlertedTestCase.settings, "webproxy": {"enabled": True}, "pools": pools}


class ProxyTests(AlertedTestCase, WebTestCase):
    """The same at the web proxy, and at other sockets of the gateway itself."""

    skip = requirements.missing_for_gateway() or requirements.missing_ipv6() or programs.missing("haproxy")
    settings: ClassVar[dict[str, Any]] = {} if skip else web_settings()
    origins: ClassVar[list[Origin]] = []

    @classmethod
    def subscribers(cls) -> list[Subscriber]:
        """Who lives behind the gateway."""
        web = {"fqdn": f"{WEB}.", "proxy_required": True, "http_port": 8080}
        return [Subscriber("one.gwa.demo.", FIRST, more={"SFQDN": [web]})]

    def setUp(self) -> None:
        """The web server runs, and the proxy knows it."""
        super().setUp()
        if not self.origins:
            self.origins.append(self.testbed.call("test_gwa", Origin, FIRST, 8080))
        self.until(lambda: self.shown()["state"] == "in step")

    def come(self, source: str, to: str = "", port: int = 80) -> socket.socket:
        """A client's connection to the gateway itself."""
        with self.testbed.inside("public"):
            made = socket.create_connection((to or GATEWAY, port), 1.0, (source, 0))
        self.addCleanup(made.close)
        return made

    def page(self, connection: socket.socket) -> int:
        """The status of the host's page."""
        connection.sendall(request(WEB))
        return answer(connection)[0]

    def test_who_is_banned_gets_no_page(self) -> None:
        """Neither by a connection that stands nor by another, nor by HTTPS; DNS he reaches, and others get theirs."""
        bad, good = self.testbed.clients[1:3]
        caught, another, others = self.come(bad), self.come(bad), self.come(good)
        self.assertEqual([self.page(each) for each in (caught, another, others)], [200, 200, 200])
        self.tell(END, caught.getsockname(), caught.getpeername())
        self.assertTrue(until(lambda: self.latest()["signature_id"] == END))
        [why] = self.latest()["not_done"]
        self.assertIn("flow not ended: it came to the gateway itself", why)
        self.assertEqual(self.page(caught), 200)
        self.tell(BAN, caught.getpeername(), caught.getsockname())
        self.assertTrue(until(lambda: bad in self.banned()))
        told = self.latest()
        self.assertEqual(told["done"], [f"{bad} banned for 60 s", "flow ended"])
        self.assertEqual((told["flow"]["direction"], told["flow"]["client"]), ("gateway", bad))
        before = self.dropped()
        for each in (caught, another):
            self.assertRaises(TimeoutError, self.page, each)
        for port in (80, 443):
            self.assertRaises(TimeoutError, self.come, bad, port=port)
        self.assertGreater(self.dropped(), before)
        self.assertEqual([self.page(each) for each in (others, self.come(good))], [200, 200])
        self.come(bad, port=53)

    def test_the_same_by_ipv6_where_no_host_is_reached_by_it(self) -> None:
        """The proxy is: of all of the client's /64."""
        bad = self.testbed.clients6[0]
        caught = self.come(bad, ipv6.GATEWAY)
        self.assertEqual(self.page(caught), 200)
        self.tell(BAN, caught.getsockname()[:2], caught.getpeername()[:2])
        self.assertTrue(until(lambda: self.latest()["src_ip"] == bad))
        self.assertEqual(self.latest()["done"][-1:], ["flow ended"])
        self.assertRaises(TimeoutError, self.page, caught)

    def test_what_comes_to_the_gateways_own_services_bans_nobody(self) -> None:
        """DNS by TCP; it is told."""
        client = self.testbed.clients[3]
        made = self.come(client, port=53)
        self.tell(BAN, made.getsockname(), made.getpeername())
        self.assertTrue(until(lambda: self.latest()["src_ip"] == client))
        self.assertIn("not banned: it came to the gateway itself", self.latest()["not_done"][0])
        self.assertNotIn(client, self.banned())


class LoadTests(SynchronousTestCase):
    """The program that measures, for a moment."""

    skip = requirements.missing_for_gateway()

    def test_flows_end_soon_while_many_alerts_come_and_a_disk_stands_still(self) -> None:
        """Nothing is lost of what the machine can look at."""
        seen = alerted.measure(1.0, rate=1000)
        self.assertGreater(seen.counts["lines"], 100)
        self.assertEqual((seen.counts["lost"], seen.counts["malformed"]), (0, 0))
        self.assertGreaterEqual(2 * seen.counts["ended"], len(seen.ends))
        self.assertLess(sorted(seen.ends)[len(seen.ends) // 2], alerted.PATIENCE / 2)
