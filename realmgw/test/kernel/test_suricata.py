"""Alerts of a real Suricata: flows of both families end, and clients are banned, by what it has seen in them."""

from __future__ import annotations

import contextlib
import shutil
import socket
from typing import Any, ClassVar

from realmgw.control.command.alerting import alerts
from realmgw.control.command.client import ask
from realmgw.test import programs
from realmgw.test.kernel import requirements
from realmgw.test.kernel.datapath_case import until
from realmgw.test.kernel.realm_case import FIRST, RealmTestCase

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.realm import client
    from testbed.realm.gateway import ON_LINK_POOL, ROUTED_POOL, ROUTED_POOL6, Gateway, Subscriber
    from testbed.realm.suricata import Suricata
    from testbed.realm.topology import Testbed

END, BAN, ANSWERED, ASKED, PINGED, BROKEN = 1000001, 1000002, 1000003, 1000004, 1000005, 2200000
"""Signatures: of requests whose flows end, and whose clients are banned; and what is under no rule."""
RULES = f"""
alert http $EXTERNAL_NET any -> $HOME_NET any (msg:"TEST end"; flow:established,to_server; http.uri; content:"end"; \
classtype:web-application-attack; sid:{END}; rev:1;)
alert http $EXTERNAL_NET any -> $HOME_NET any (msg:"TEST ban"; flow:established,to_server; http.uri; content:"ban"; \
sid:{BAN}; rev:1;)
alert http $HOME_NET any -> $EXTERNAL_NET any (msg:"TEST answer"; flow:established,to_client; http.stat_code; \
content:"200"; sid:{ANSWERED}; rev:1;)
alert dns any any -> $HOME_NET any (msg:"TEST dns"; dns.query; content:"one.gwa.demo"; nocase; sid:{ASKED}; rev:1;)
alert icmp any any -> $HOME_NET any (msg:"TEST echo"; itype:8; sid:{PINGED}; rev:1;)
alert pkthdr any any -> any any (msg:"SURICATA IPv4 packet too small"; decode-event:ipv4.pkt_too_small; \
classtype:protocol-command-decode; sid:{BROKEN}; rev:2;)
"""
POOLS = "100.64.1.128/25,100.64.2.0/28,2001:db8:1::/64,2001:db8:2::/64"
"""What belongs to the gateway outside."""
HOSTS = "192.168.0.0/24,fd00::/64"
"""What is inside."""
SIZE, RATE = 10_000_000, 200_000
"""Of a download: octets, and how many come in a second. It is under way when its flow ends."""
SILENCE = 0.5  # seconds
"""Who sends nothing for so long sends no more."""
ACTIONS = {
    "rules": [{"signatures": [END], "actions": ["end"]}, {"signatures": [BAN], "actions": ["ban"]}], "ban_time": 60,
}  # fmt: skip


class SuricataTestCase(RealmTestCase):
    """One Suricata and one gateway for all tests of a class."""

    skip = requirements.missing_for_gateway() or programs.missing("suricata")
    interface: ClassVar[str] = "wan0"
    home: ClassVar[str] = POOLS
    suricata: ClassVar[Suricata]

    @classmethod
    def subscribers(cls) -> list[Subscriber]:
        """One of both families."""
        return [Subscriber("one.gwa.demo.", FIRST, address6="fd00::100")]

    def build(self) -> tuple[Testbed, Gateway]:
        """Suricata begins while the gateway is away."""
        cls: Any = type(self)
        cls.circular = (ON_LINK_POOL, ROUTED_POOL, ROUTED_POOL6)
        testbed, gateway = super().build()
        try:
            gateway.stop()
            path = testbed.folder / "alerts.sock" if "socket" in self.settings["alerts"] else None
            cls.suricata = Suricata(testbed, self.interface, RULES, self.home, path)
            self.suricata.start()
            gateway.start()
        except BaseException:
            testbed.close()
            raise
        return testbed, gateway

    def begin(self, what: str, kind: str = "A", number: int = 0, size: int = SIZE) -> socket.socket:
        """A client asks for the host's name, and it for a download; what has come of that is there."""
        source = (self.testbed.clients6 if kind == "AAAA" else self.testbed.clients)[number]
        address = self.public(client.resolve("one.gwa.demo", kind=kind)).addresses[0]
        with self.testbed.inside("public"):
            made = socket.socket(socket.AF_INET6 if kind == "AAAA" else socket.AF_INET)
        self.addCleanup(made.close)
        made.settimeout(20.0)
        made.bind((source, 0))
        made.connect((address, 80))
        made.send(f"GET /download?bytes={size}&rate={RATE}&x={what} HTTP/1.1\r\nHost: one.gwa.demo\r\n\r\n".encode())
        self.assertTrue(made.recv(99).startswith(b"HTTP/1.1 200 OK"))
        return made

    def rest(self, made: socket.socket, silence: float = SILENCE) -> int:
        """How many octets come until no more do for a moment."""
        made.settimeout(silence)
        octets = 0
        with contextlib.suppress(OSError):
            while some := made.recv(65536):
                octets += len(some)
        return octets

    def alerts(self, signature: int) -> list[dict[str, Any]]:
        """Those of one, the latest first."""
        told = ask(self.gateway.control, "alerts", {"limit": "1000"})["alerts"]
        return [each for each in told if each["signature_id"] == signature]

    def counts(self) -> Any:
        """What was counted of alerts."""
        return ask(self.gateway.control, "status")["counts"]["alerts"]

    def of(self, made: socket.socket, signature: int) -> dict[str, Any]:
        """What is told of a client's connection, as soon as it is."""
        port, found = made.getsockname()[1], list[dict[str, Any]]()

        def is_told() -> bool:
            found[:] = [each for each in self.alerts(signature) if each["flow"] and each["flow"]["client_port"] == port]
            return bool(found)

        self.assertTrue(until(is_told), self.suricata.said())
        return found[0]


class WanTests(SuricataTestCase):
    """It looks at the WAN's interface, and writes to the gateway's socket by the drop-in."""

    settings: ClassVar = {"alerts": {"socket": "alerts.sock", **ACTIONS}}

    def setUp(self) -> None:
        """It notices with an alert that the gateway is there, and looks for it twice a second at most."""
        super().setUp()
        self.assertTrue(until(self.asks_and_is_told), self.suricata.said())

    def test_flow_ends_and_its_host_is_told(self) -> None:
        """While it goes on, by either family; without an alert all of it comes."""
        other = self.begin("good", size=RATE)
        for kind in ("A", "AAAA"):
            made = self.begin("end", kind)
            told = self.of(made, END)
            self.assertEqual(
                (told["rule"], told["done"], told["category"]), (1, ["flow ended"], "Web Application Attack")
            )
            self.assertEqual((told["dest_ip"], told["src_ip"]), (made.getpeername()[0], made.getsockname()[0]))
            flow = told["flow"]
            expected = ("one.gwa.demo.", FIRST if kind == "A" else "fd00::100", 80, "in", True)
            self.assertEqual(tuple(flow[key] for key in ("host", "address", "port", "direction", "proven")), expected)
            self.assertLess(self.rest(made), SIZE // 2)
        text = "\n".join(alerts({**ask(self.gateway.control, "alerts", {"limit": "9"})}))
        self.assertRegex(text, rf"{END} TEST end \(Web Application Attack, severity 1\)\n.*: in, one\.gwa\.demo\. ")
        self.assertGreater(self.rest(other, 20.0), RATE - 100)
        self.assertEqual(self.of(other, ANSWERED)["not_done"], [])

    def test_client_is_banned(self) -> None:
        """By either family; of IPv6 all of his /64."""
        for kind, number, name, banned in (
            ("A", 1, "banned", "100.64.3.11"),
            ("AAAA", 2, "banned6", "2001:db8:3:12::/64"),
        ):
            told = self.of(self.begin("ban", kind, number), BAN)
            self.assertEqual(told["done"], [f"{banned} banned for 60 s", "flow ended"])
            sets = self.testbed.run("gwa", ["nft", "list", "set", "inet", "realmgw", name]).stdout
            self.assertIn(banned.partition("/")[0], sets)

    def test_whatever_else_it_tells(self) -> None:
        """Alerts of queries, of packets without ports and of broken ones are told as well; nothing is malformed."""
        self.public(client.ping(self.ask("one.gwa.demo")))
        with self.testbed.inside("gwa"), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
            wire.bind(("wan0", 0))
            mac = wire.getsockname()[4]
        with self.testbed.inside("router"), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
            wire.bind(("gwa", 0))
            wire.send(mac + bytes(6) + b"\x08\x00" + b"E" * 5)
        for signature in (ASKED, PINGED, BROKEN):
            self.assertTrue(until(lambda wanted=signature: bool(self.alerts(wanted))), signature)  # type: ignore[misc]
        self.assertEqual(self.alerts(BROKEN)[0]["not_done"], ["the packet had no addresses"])
        self.assertEqual((self.counts()["malformed"], self.counts()["cut"]), (0, 0))

    def test_connects_again_when_the_gateway_was_away(self) -> None:
        """And tells it what comes then; of what it was told before, it knows nothing any more."""
        self.gateway.stop()
        self.gateway.start()
        self.assertTrue(until(self.asks_and_is_told))
        self.assertEqual(self.of(self.begin("end"), END)["done"], ["flow ended"])

    def asks_and_is_told(self) -> bool:
        """Whether any of its alerts have come."""
        self.ask("one.gwa.demo")
        return bool(self.alerts(ASKED))


class LanTests(SuricataTestCase):
    """It looks at the LAN's interface; the gateway reads the file that it writes by default."""

    interface = "lan0"
    home = HOSTS
    settings: ClassVar = {"alerts": {"file": "suricata/eve.json", **ACTIONS}}

    def test_flow_ends(self) -> None:
        """By the host's own address, of either family."""
        for kind, host in (("A", FIRST), ("AAAA", "fd00::100")):
            made = self.begin("end", kind)
            told = self.of(made, END)
            self.assertEqual(
                (told["done"], told["dest_ip"], told["flow"]["host"]), (["flow ended"], host, "one.gwa.demo.")
            )
            self.assertLess(self.rest(made), SIZE // 2)

    def test_file_is_rotated(self) -> None:
        """By another in its place, and by a copy; nothing is lost."""
        for rotate in (self.rename, self.copy):
            self.of(self.begin("end"), END)
            rotate()
            self.of(self.begin("end"), END)
        self.assertEqual((self.counts()["malformed"], self.counts()["cut"], self.counts()["lost"]), (0, 0, 0))

    def rename(self) -> None:
        """As logrotate does with `create`; the new file is there with the next event."""
        self.suricata.eve.rename(self.suricata.eve.with_suffix(".json.1"))
        self.suricata.rotate()
        self.assertTrue(until(lambda: bool(self.of(self.begin("end"), END)) and self.suricata.eve.exists()))

    def copy(self) -> None:
        """As Debian's logrotate has it: `copytruncate`, and the signal."""
        shutil.copy(self.suricata.eve, self.suricata.eve.with_suffix(".json.2"))
        self.suricata.eve.open("w").close()
        self.suricata.rotate()
