"""A flow is found by whichever of its addresses an operator knows: the whole gateway, real flows of both families."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, ClassVar

import attrs

from realmgw.control.command.client import ask
from realmgw.test.kernel.datapath_case import until
from realmgw.test.kernel.realm_case import FIRST, SECOND
from realmgw.test.kernel.test_dual_stack import FIRST6, OWN6, POOL4, ROUTED6, SECOND6, DualTestCase

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.realm import client
    from testbed.realm.gateway import Subscriber

NAME, SERVICE, OTHER = "one.gwa.demo", "www.one.gwa.demo", "two.gwa.demo"
ECHO = 2000
"""Where the hosts echo datagrams."""


@attrs.frozen
class Came:
    """A client has come."""

    protocol: str
    """By this."""
    client: str
    """From this address."""
    sport: int
    """And port; 0: the protocol has none."""
    via: str
    """To this address; the host's own where nothing is translated."""
    own: str
    """The host's own."""
    other: str
    """Another host's own."""
    port: int
    """Of both."""

    def end(self, address: str, port: int | None) -> str:
        """As an operator writes it."""
        there = f"[{address}]" if ":" in address and port is not None else address
        return there if port is None else f"{there}:{port}"

    def is_told(self, row: Any) -> bool:
        """Whether a row is about it."""
        return bool(row["source_port"] == self.sport and row["protocol"] == self.protocol)

    def forms(self) -> Iterator[tuple[str, str]]:
        """All ways to write it, in either order, by either address of ours, with ports and without."""
        for own in {self.via, self.own}:
            for sport in (None, self.sport):
                for port in (None, self.port):
                    ends = self.end(self.client, sport), self.end(own, port)
                    yield from (ends, ends[::-1])


class ExplainedTests(DualTestCase):
    """All commands about flows, asked in all ways."""

    resolvers: ClassVar[bool] = False
    circular: ClassVar = (POOL4, ROUTED6)
    settings: ClassVar = {
        "flow_records": {"enabled": True}, "ipv6": {"prefixes": [{"prefix": "2001:db8:5::/64", "mode": "pinhole"}]},
    }  # fmt: skip

    @classmethod
    def subscribers(cls) -> list[Subscriber]:
        """Two hosts with both families, one of which has a further name; and one with a public address of its own."""
        further = {"SFQDN": [{"fqdn": NAME}, {"fqdn": SERVICE}]}
        return [
            Subscriber(f"{NAME}.", FIRST, address6=FIRST6, more=further),
            Subscriber(f"{OTHER}.", SECOND, address6=SECOND6),
            Subscriber("own.gwa.demo.", "", address6=OWN6),
        ]

    def command(self, *words: str) -> list[Any]:
        """What the command tells, a value for each line."""
        argv = [sys.executable, "-m", "realmgw.control.command.cli", *words, "--json"]
        argv += ["--socket", str(self.gateway.control)]
        done = subprocess.run(argv, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def asked(self, path: str, **given: str) -> list[Any]:
        """What the gateway tells."""
        found = ask(self.gateway.control, path, given)
        rows: list[Any] = found.get("decisions", found.get("flows"))
        return rows

    def come(self, name: str, kind: int, *, ipv6: bool, own: str, other: str) -> Came:
        """By UDP or TCP, and be answered."""
        family, there = (socket.AF_INET6, self.ask6(name)) if ipv6 else (socket.AF_INET, self.ask(name))
        port = 80 if kind == socket.SOCK_STREAM else ECHO
        with self.testbed.inside("public"):
            made = socket.socket(family, kind)
        self.addCleanup(made.close)
        made.settimeout(10)
        made.bind(((self.testbed.clients6 if ipv6 else self.testbed.clients)[0], 0))
        made.connect((there, port))
        made.send(b"GET / HTTP/1.0\r\n\r\n")
        self.assertTrue(made.recv(9))
        address, sport = made.getsockname()[:2]
        return Came("tcp" if port == 80 else "udp", address, sport, there, own, other, port)

    def check(self, came: Came, host: str) -> str:
        """It is found by all that it is known by, and by nothing else; returns its trace id."""
        ids = set()
        for source, destination in came.forms():
            told = self.asked("explain/flow", source=source, destination=destination)
            mine = [each for each in told if each["what"] == "admitted" and came.is_told(each)]
            self.assertEqual([each["protocol"] for each in mine], [came.protocol], (source, destination))
            self.assertIn("answered", {each["what"] for each in told})
            ids |= {each["id"] for each in mine}
        [trace] = ids
        ends = came.end(came.client, came.sport), came.end(came.other, came.port)
        self.assertEqual(self.asked("explain/flow", source=ends[0], destination=ends[1]), [])
        for given in ({"host": host}, {"host": came.own}, {"via": came.via}, {"client": came.client}):
            rows = self.asked("flows/list", protocol=came.protocol, **given)
            self.assertEqual([each["trace_id"] for each in rows if each["client_port"] == came.sport], [trace], given)
        self.assertNotIn(trace, [each["trace_id"] for each in self.asked("flows/list", host=came.other)])
        for words in (["--host", host], ["--host", came.own], ["--client", came.client]):
            self.assertIn(trace, [each["id"] for each in self.command("log", *words)], words)
        self.assertNotIn(trace, [each["id"] for each in self.command("log", "--host", came.other)])
        return str(trace)

    def check_ended(self, came: Came, trace: str, host: str) -> None:
        """The same, when it has ended."""
        ask(self.gateway.control, "flows/kill", {"host": came.own, "client": came.client, "via": came.via})
        self.assertTrue(until(lambda: bool(self.asked("flows/history", trace=trace))))
        for given in ({"host": host}, {"host": came.own}, {"via": came.via}, {"client": came.client}):
            rows = self.asked("flows/history", protocol=came.protocol, **given)
            self.assertIn(trace, [each["trace_id"] for each in rows], given)
        for source, destination in came.forms():
            told = self.asked("explain/flow", source=source, destination=destination)
            self.assertIn((trace, "flow_ended"), [(each["id"], each["what"]) for each in told], (source, destination))

    def test_is_found_by_either_address(self) -> None:
        """Of TCP and UDP, of both families; by a further name of the host; also when it has ended."""
        for ipv6, own, other in ((False, FIRST, SECOND), (True, FIRST6, SECOND6)):
            for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                came = self.come(NAME, kind, ipv6=ipv6, own=own, other=other)
                self.check_ended(came, self.check(came, SERVICE), SERVICE)

    def test_is_found_where_nothing_is_translated(self) -> None:
        """The public address is the host's own."""
        came = self.come("own.gwa.demo", socket.SOCK_DGRAM, ipv6=True, own=OWN6, other=SECOND6)
        self.assertEqual(came.via, OWN6)
        self.check_ended(came, self.check(came, "own.gwa.demo"), "own.gwa.demo")

    def test_is_found_without_ports(self) -> None:
        """ICMP has none."""
        for ipv6, own, other in ((False, FIRST, SECOND), (True, FIRST6, SECOND6)):
            via = self.ask6(NAME) if ipv6 else self.ask(NAME)
            source = (self.testbed.clients6 if ipv6 else self.testbed.clients)[1]
            self.public(client.ping(via, source=source))
            came = Came("58" if ipv6 else "icmp", source, 0, via, own, other, 0)
            self.check_ended(came, self.check(came, SERVICE), NAME)

    def told(self, source: str, destination: str) -> Any:
        """The only thing that is known of a flow, as soon as it is."""
        self.assertTrue(until(lambda: bool(self.asked("explain/flow", source=source, destination=destination))))
        [told] = self.asked("explain/flow", source=source, destination=destination)
        return told

    def test_what_a_host_began_is_found_when_it_has_ended(self) -> None:
        """By its own address, and by the one that it left from."""
        with self.testbed.inside("test_gwa"):
            made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(made.close)
        made.bind((FIRST, 0))
        peer, port = self.testbed.clients[2], made.getsockname()[1]
        made.sendto(b"x", (peer, 4242))
        [row] = self.asked("flows/list", host=FIRST, client=peer)
        self.assertEqual([each["port"] for each in self.asked("flows/list", via=row["via"], client=peer)], [port])
        ask(self.gateway.control, "flows/kill", {"via": row["via"], "client": peer})
        for source in (f"{FIRST}:{port}", f"{row['via']}:{row['via_port']}"):
            told = self.told(source, f"{peer}:4242")
            self.assertEqual((told["what"], told["source"], told["destination"]), ("flow_ended", FIRST, peer))
