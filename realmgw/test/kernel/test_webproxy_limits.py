"""Limits at the web proxy, with the real HAProxy: of clients, of hosts, and of time."""

from __future__ import annotations

import contextlib
import socket
from typing import Any, ClassVar

from realmgw.test import programs
from realmgw.test.kernel import requirements
from realmgw.test.kernel.realm_case import FIRST
from realmgw.test.kernel.web_case import PATIENCE, Origin, WebTestCase, answer, request

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.realm.gateway import ON_LINK_POOL, ROUTED_POOL, Subscriber
    from testbed.realm.topology import CLIENT, GATEWAY

NAME, FEW, SILENT = "www.one.gwa.demo", "few.one.gwa.demo", "silent.one.gwa.demo"
MOST = 6
"""So many connections one client may have."""
AT_HOST = 2
"""So many the host takes at its port for few."""


def settings() -> dict[str, Any]:
    """What the configuration says besides."""
    pools = {"circular": [dict(ON_LINK_POOL), dict(ROUTED_POOL)], "service": [GATEWAY]}
    return {"webproxy": {"enabled": True, "connections_per_client": MOST, "idle_timeout": 8}, "pools": pools}


class LimitTests(WebTestCase):
    """A host with two web servers; at one of them its rules let few connections in."""

    skip = requirements.missing_for_gateway() or programs.missing("haproxy")
    settings: ClassVar[dict[str, Any]] = {} if skip else settings()
    origins: ClassVar[list[Origin]] = []

    @classmethod
    def subscribers(cls) -> list[Subscriber]:
        """Who lives behind the gateway."""
        ports = {NAME: 8080, FEW: 8082, SILENT: 8083}
        services = [{"fqdn": f"{name}.", "proxy_required": True, "http_port": port} for name, port in ports.items()]
        few = {"priority": 1, "direction": "INGRESS", "protocol": "6", "tcp": {"dport": 8082},
               "connlimit": {"connlimit-above": AT_HOST}, "target": "REJECT"}  # fmt: skip
        return [Subscriber("one.gwa.demo.", FIRST, more={"SFQDN": services, "FIREWALL": {"FIREWALL_ADMIN": [few]}})]

    def setUp(self) -> None:
        """The web servers run."""
        super().setUp()
        if not self.origins:
            self.origins.extend(self.testbed.call("test_gwa", Origin, FIRST, port) for port in (8080, 8082))
        self.until(lambda: self.shown()["state"] == "in step" and not self.shown()["counts"]["connected"])

    def connect_from(self, source: str) -> socket.socket:
        """Another client's connection."""
        with self.testbed.inside("public"):
            connection = socket.create_connection((GATEWAY, 80), PATIENCE, (source, 0))
        self.addCleanup(connection.close)
        return connection

    def status(self, connection: socket.socket, name: str = NAME) -> int:
        """That of an answer; 0 where the connection has ended instead."""
        try:
            connection.sendall(request(name))
            return answer(connection)[0]
        except ConnectionError:
            return 0

    def test_a_client_has_so_many_connections_and_others_have_theirs(self) -> None:
        """By HTTP and TLS together; one more is closed at once, until one of them has ended."""
        other = next(each for each in self.testbed.clients if each != CLIENT)
        before = self.shown()["counts"]["too_many"]
        secure, *held = self.connect(443), *(self.connect() for _ in range(MOST - 1))
        self.assertEqual({self.status(each) for each in held}, {200})
        self.assertTrue(all(self.is_closed(port) for port in (80, 443)))
        self.assertEqual(self.shown()["counts"]["too_many"] - before, 2)
        self.assertEqual(self.status(self.connect_from(other)), 200)
        secure.close()
        self.until(lambda: not self.is_closed(80))

    def is_closed(self, port: int) -> bool:
        """Whether a connection ends at once."""
        with contextlib.suppress(ConnectionError), self.connect(port) as connection:
            return self.status(connection) == 0
        return True

    def test_limits_of_a_hosts_rules_hold_behind_the_proxy(self) -> None:
        """Its rules count the proxy's connections, whoever they are for; who is refused is told so."""
        held = [self.connect_from(each) for each in self.testbed.clients[: AT_HOST + 1]]
        self.assertEqual([self.status(each, FEW) for each in held], [200] * AT_HOST + [503])
        self.assertEqual(self.status(held[-1], NAME), 200)
        held[0].close()
        self.until(lambda: self.status(self.connect_from(self.testbed.clients[-1]), FEW) == 200)

    def test_neither_side_may_say_nothing_for_long(self) -> None:
        """A host that does not answer, a client that does not go on with his request, and one that has no other."""
        silent = self.testbed.call("test_gwa", socket.create_server, (FIRST, 8083))
        self.addCleanup(silent.close)
        half, idle = self.connect(), self.connect()
        half.sendall(b"POST / HTTP/1.1\r\nHost: %s\r\nContent-Length: 10\r\n\r\nhalf" % NAME.encode())
        self.assertEqual(self.status(idle), 200)
        self.assertEqual(self.status(self.connect(), SILENT), 504)
        for each in (half, idle):
            while each.recv(1000):
                pass
