"""Hosts that the web proxy looks at, with the real HAProxy: one that stops, one that is back, and many."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from typing import Any, ClassVar

from realmgw.control.command.client import ask
from realmgw.test import programs
from realmgw.test.kernel import requirements
from realmgw.test.kernel.realm_case import FIRST, SECOND
from realmgw.test.kernel.web_case import Origin, WebTestCase, answer, hello, request
from realmgw.test.subscribers.authority import Authority

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.realm.gateway import ON_LINK_POOL, ROUTED_POOL, Subscriber
    from testbed.realm.topology import GATEWAY

NAME, TOLD, NOBODY = "www.one.gwa.demo", "told.one.gwa.demo", "www.nobody.gwa.demo"
NOWHERE = "192.168.0.250"
"""Nobody answers there, not even that there is nobody: without a look, clients would wait for a long time."""
MANY = 1000


def settings() -> dict[str, Any]:
    """What the configuration says besides."""
    pools = {"circular": [dict(ON_LINK_POOL), dict(ROUTED_POOL)], "service": [GATEWAY]}
    health = {"interval": 0.5, "timeout": 1, "rise": 1, "fall": 1, "status": "200-399", "most": 2 * MANY}
    return {"webproxy": {"enabled": True, "connect_timeout": 60, "health": health}, "pools": pools}


class HealthTests(WebTestCase):
    """A host with a web server in both ways, and a name of nobody."""

    skip = requirements.missing_for_gateway() or programs.missing("haproxy")
    settings: ClassVar[dict[str, Any]] = {} if skip else settings()
    origins: ClassVar[dict[int, Origin]] = {}
    secret: ClassVar[Any] = None

    @classmethod
    def subscribers(cls, *more: dict[str, Any]) -> list[Subscriber]:
        """Who lives behind the gateway."""
        usual = {"proxy_required": True, "http_port": 8080, "http_health": "request", "health_path": "/well?all=1"}
        services = [
            {"fqdn": f"{NAME}.", **usual, "https_health": "request"},
            {"fqdn": f"{TOLD}.", **usual, "proxy_protocol": True, "https_health": "connect"},
        ]
        nobody = {"fqdn": f"{NOBODY}.", "proxy_required": True, "http_health": "connect"}
        return [
            Subscriber("one.gwa.demo.", FIRST, more={"SFQDN": services}),
            Subscriber("two.gwa.demo.", SECOND, more={"SFQDN": [{"fqdn": "two.gwa.demo."}, *more]}),
            Subscriber("nobody.gwa.demo.", NOWHERE, more={"SFQDN": [nobody]}),
        ]

    def setUp(self) -> None:
        """The host's web servers run, and that is known."""
        super().setUp()
        if self.secret is None:
            authority = Authority(self.testbed.folder)
            type(self).secret = authority.issue(NAME)
            type(self).certificate = str(authority.path)
        for port in {8080, 443} - self.origins.keys():
            self.begin(port)
        self.until(lambda: (self.ill(), self.counts()["well"]) == ({NOBODY: "http"}, 2))

    def begin(self, port: int) -> None:
        """The host's web server runs at a port."""
        self.origins[port] = self.testbed.call("test_gwa", Origin, FIRST, port, self.secret if port == 443 else None)

    def ill(self) -> dict[str, str]:
        """The names that are down, with one way of each."""
        return {each["name"]: each["by"] for each in self.shown()["ill"]}

    def counts(self) -> Any:
        """What is counted."""
        return self.shown()["counts"]

    def servers(self) -> list[str]:
        """The servers that HAProxy has for hosts that it looks at."""
        [path] = self.testbed.folder.rglob("webproxy-*.sock")
        with socket.socket(socket.AF_UNIX) as conversation:
            conversation.connect(str(path))
            conversation.sendall(b"show stat -1 4 -1\n")
            text = b"".join(iter(lambda: conversation.recv(65536), b"")).decode()
        rows = (line.split(",") for line in text.splitlines())
        return [row[1] for row in rows if row[0].endswith(("-hosts-connect", "-hosts-request"))]

    def write(self, *some: Subscriber) -> None:
        """Other subscribers, in force."""
        path = self.testbed.folder / "subscribers.d" / "testbed.yaml"
        path.write_text("".join(each.text() for each in some))
        self.assertEqual(ask(self.gateway.control, "reload", {"accept_loss": "yes"})["status"], "applied")

    def assert_served(self) -> None:
        """By HTTP, told who asks, and by TLS."""
        for name in (NAME, TOLD):
            self.assertEqual(self.get(name)[0], 200, name)
        with self.secure(NAME) as connection:
            connection.sendall(request(NAME))
            self.assertEqual(answer(connection)[0], 200)

    def test_one_that_stops_gets_nobody_until_it_is_back(self) -> None:
        """Clients are told at once, by each way for itself; HAProxy is told anew when it was killed."""
        self.assert_served()
        heard = bytes(self.origins[8080].heard).lower()
        self.assertIn(f"get /well?all=1 http/1.1\r\nhost: {NAME}\r\n".encode(), heard)
        status, head, body = self.get(NOBODY)
        self.assertEqual((status, "retry-after: 10" in head, "<h1>Not reached</h1>" in body), (503, True, True))
        self.origins.pop(8080).close()
        self.until(lambda: self.ill() == {NAME: "http", TOLD: "http", NOBODY: "http"})
        self.assertRegex(self.shown()["ill"][0]["reason"], "Connection (refused|reset)")  # one that waited is reset
        self.assertEqual(self.get(NAME)[0], 503)
        with self.secure(NAME) as connection:
            connection.sendall(request(NAME))
            self.assertEqual(answer(connection)[0], 200)
        self.begin(8080)
        self.until(lambda: self.ill() == {NOBODY: "http"})
        self.assert_served()
        self.origins.pop(443).close()
        self.until(lambda: self.ill() == {NAME: "tls", TOLD: "tls", NOBODY: "http"})
        with self.connect(443) as connection:
            connection.sendall(hello(NAME))
            self.assertEqual(connection.recv(1), b"")
        self.begin(443)
        before = self.shown()["pid"]
        os.kill(before, signal.SIGKILL)
        self.until(lambda: self.shown()["pid"] not in (before, None) and self.counts()["well"] == 2)
        self.assert_served()

    def test_many_come_and_go(self) -> None:
        """Nobody else notices; nothing of them is left."""
        fields = {"proxy_required": True, "http_port": 8080, "http_health": "connect"}
        before = self.servers()
        self.assertEqual(len(before), 5)
        self.write(*self.subscribers(*({"fqdn": f"www{number}.two.gwa.demo.", **fields} for number in range(MANY))))
        self.until(lambda: self.counts()["ill"] == MANY + 1)
        self.assertEqual(self.get("www7.two.gwa.demo")[0], 503)
        self.assert_served()
        self.write(*self.subscribers())
        self.until(lambda: sorted(self.servers()) == sorted(before))
        self.assertEqual(self.get("www7.two.gwa.demo")[0], 421)
        self.assert_served()
