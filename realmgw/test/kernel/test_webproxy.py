"""The reverse proxy of the service pool with the real HAProxy: names, hosts that come and go, and its end."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from realmgw.control.command.client import ask
from realmgw.test import programs
from realmgw.test.kernel import requirements
from realmgw.test.kernel.realm_case import FIRST, SECOND
from realmgw.test.kernel.web_case import (
    AMBIGUOUS,
    MALFORMED,
    PATIENCE,
    UPGRADE,
    Origin,
    WebTestCase,
    answer,
    hello,
    hiding,
    request,
)
from realmgw.test.subscribers.authority import Authority

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.realm import ipv6
    from testbed.realm.gateway import ON_LINK_POOL, ROUTED_POOL, Subscriber
    from testbed.realm.topology import CLIENT, GATEWAY

FORGED = (
    "X-Forwarded-For",
    "Forwarded",
    "X_Forwarded_For",
    "X-Forwarded_For",
    "X-Forwarded-Host",
    "X-Real-IP",
    "x_real_ip",
)
UNRECOGNIZED = b"\x15\x03\x03\x00\x02\x02\x70"
"""The alert `unrecognized_name`, fatal."""
NAME = "www.one.gwa.demo"
OTHER = "www.two.gwa.demo"


def subscriber(name: str, address: str, *services: dict[str, Any], address6: str = "", **more: Any) -> Subscriber:
    """A host whose web server is reached by the proxy."""
    web = {"fqdn": f"www.{name}", "proxy_required": True}
    return Subscriber(name, address, address6=address6, more={"SFQDN": [{"fqdn": name}, web, *services], **more})


def six() -> str:
    """A host's address of IPv6."""
    return ipv6.addresses(1, 1)[0][0]


def settings() -> dict[str, Any]:
    """What the configuration says besides."""
    pools = {"circular": [dict(ON_LINK_POOL), dict(ROUTED_POOL)], "service": [GATEWAY, ipv6.GATEWAY]}
    return {"webproxy": {"enabled": True, "request_timeout": 1}, "pools": pools}


def host_of(body: str) -> str:
    """The host that says where it is; empty if none does."""
    found = re.search(r"192\.168\.0\.[0-9]+", body)
    return found[0] if found else ""


def is_running(pid: int) -> bool:
    """Whether a process runs; one that has ended, and that nobody has asked for, does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except FileNotFoundError:
        return False


class WebproxyTests(WebTestCase):
    """Two hosts with web servers, and a third that is no subscriber at first."""

    skip = requirements.missing_for_gateway() or requirements.missing_ipv6() or programs.missing("haproxy")
    hosts = 3
    settings: ClassVar[dict[str, Any]] = {} if skip else settings()
    origins: ClassVar[list[Origin]] = []

    @classmethod
    def subscribers(cls) -> list[Subscriber]:
        """Who lives behind the gateway."""
        plain = {"proxy_required": True, "http_port": 8080, "https_port": 8443}
        told = {"fqdn": "told.one.gwa.demo.", **plain, "proxy_protocol": True}
        secure = {"fqdn": "secure.one.gwa.demo.", **plain, "https_redirect": True}
        closed = {"fqdn": "closed.one.gwa.demo.", **plain, "http_port": 8081}
        refuse = {"priority": 1, "direction": "INGRESS", "protocol": "6", "tcp": {"dport": 8081}, "target": "REJECT"}
        return [
            subscriber("one.gwa.demo.", FIRST, told, secure, closed, FIREWALL={"FIREWALL_ADMIN": [refuse]}),
            subscriber("two.gwa.demo.", SECOND),
            subscriber("six.gwa.demo.", "", address6=six()),
        ]

    def setUp(self) -> None:
        """Web servers, and a proxy that knows all names."""
        super().setUp()
        if not self.origins:
            authority = Authority(self.testbed.folder)
            files = {name: authority.issue(name) for name in (NAME, OTHER)}
            type(self).certificate = str(authority.path)
            self.origins.extend(
                self.testbed.call("test_gwa", Origin, *where)
                for where in (
                    (FIRST, 8080, None), (FIRST, 8081, None), (FIRST, 443, files[NAME]), (FIRST, 8443, files[NAME]),
                    (SECOND, 443, files[OTHER]),
                )
            )  # fmt: skip
        self.until(lambda: self.shown()["state"] == "in step")

    def write(self, *some: Subscriber) -> None:
        """Other subscribers, in force."""
        path = self.testbed.folder / "subscribers.d" / "testbed.yaml"
        path.write_text("".join(each.text() for each in some))
        self.assertIn(ask(self.gateway.control, "reload", {"accept_loss": "yes"})["status"], ("applied", "unchanged"))

    @contextlib.contextmanager
    def asked_all_the_time(self) -> Iterator[list[tuple[int, str]]]:
        """Somebody asks for a name that stays, again and again; what was answered."""
        answers, is_over = list[tuple[int, str]](), threading.Event()

        def go_on() -> None:
            while not is_over.is_set():
                try:
                    status, _, body = self.get(OTHER)
                except OSError as error:
                    status, body = -1, str(error)
                answers.append((status, host_of(body) or body))

        asking = threading.Thread(target=go_on)
        asking.start()
        try:
            yield answers
        finally:
            is_over.set()
            asking.join()

    def test_names_lead_to_hosts_however_they_are_written(self) -> None:
        """With a port, in upper case, with the last dot; names of nobody, and none, are told so."""
        self.assertEqual(self.ask(NAME), GATEWAY)
        for host in (NAME, f"{NAME}:80", NAME.upper(), f"{NAME}.", f"{NAME}.:80"):
            status, _, body = self.get(host)
            self.assertEqual((status, host_of(body)), (200, FIRST), host)
        for host in ("nobody.gwa.demo", "one.gwa.demo", "[2001:db8::1]:80", "192.168.0.100", ""):
            status, head, body = self.get(host)
            self.assertEqual((status, "<h1>Not here</h1>" in body), (421, True), host)
            self.assertIn("text/html", head)
        before = self.counts("http_malformed")[0]
        for some in MALFORMED:
            with self.connect() as connection:
                connection.sendall(f"POST / {some.format(name=NAME, other=OTHER)}\r\n\r\n".encode())
                self.assertEqual(answer(connection)[0], 400, some)
        self.assertEqual(self.counts("http_malformed")[0] - before, len(MALFORMED))
        with self.connect() as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            self.assertEqual(answer(connection)[0], 421)
        with self.connect() as connection:
            connection.sendall(request(OTHER, f"http://{NAME}/"))
            self.assertEqual(answer(connection)[0], 400)
        with self.connect() as connection:
            connection.sendall(request(NAME, "/", "X-Long: " + "x" * 64_000))
            self.assertEqual(answer(connection)[0], 400)

    def test_each_request_of_a_connection_goes_where_its_own_name_leads(self) -> None:
        """To a host of another one, too."""
        secure, told = "secure.one.gwa.demo", "told.one.gwa.demo"
        with self.connect() as connection:
            for host, wanted in ((told, FIRST), (OTHER, SECOND), (told, FIRST), ("nobody.gwa.demo", "")):
                connection.sendall(request(host))
                status, _, body = answer(connection)
                self.assertEqual((status, host_of(body)), (200 if wanted else 421, wanted))
        status, head, _ = self.get(f"{secure}:80", target="/path?query=%41")
        self.assertEqual((status, head.rpartition("\r\n")[2]), (308, f"location: https://{secure}/path?query=%41"))
        challenge = "/.well-known/acme-challenge/token"
        self.assertEqual(self.get(secure, target=challenge)[0], 200)

    def test_hosts_are_told_who_asks(self) -> None:
        """Whatever the client says; by the PROXY protocol where that is wanted."""
        forged = ("X-Forwarded-For: 203.0.113.6", "Forwarded: for=203.0.113.6")
        _, _, body = self.get("told.one.gwa.demo", *forged)
        self.assertEqual(body.lower(), f"{FIRST}:8080 {CLIENT} x-forwarded-for={CLIENT}")

    def test_what_only_proxies_may_say_is_no_clients_to_say(self) -> None:
        """Nor with an underscore, which to CGI is a hyphen; nor is it of another host."""
        heard = self.origins[0].heard
        del heard[:]
        self.get("told.one.gwa.demo", *(f"{name}: 203.0.113.6" for name in FORGED))
        self.assertNotIn(b"203.0.113.6", heard)
        self.assertIn(f"x-forwarded-for: {CLIENT}\r\nx-forwarded-proto: http\r\n".encode(), heard)

    def test_nothing_that_the_proxy_says_is_taken_away(self) -> None:
        """Neither by HTTP/2 within the connection, which the proxy would not see, nor as something for the next one."""
        heard = self.origins[0].heard
        for fields in (
            ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"),
            ("Connection: upgrade", "Upgrade: echo, H2C"),
            ("Connection: keep-alive, X-Forwarded-For",),
            ("Connection: X-Forwarded-For", "Upgrade: echo"),
            ("Connection: upgrade, X-Forwarded-For", "Upgrade: echo"),
        ):
            del heard[:]
            self.get("told.one.gwa.demo", *fields)
            said = bytes(heard).lower()
            self.assertEqual(said.count(b"x-forwarded-for"), 1, fields)
            self.assertEqual((b"h2c" in said, b"http2-settings" in said), (False, False), fields)

    def test_where_a_request_ends_nobody_thinks_differently(self) -> None:
        """What is ambiguous is refused, or said to the host in one way only; a request hidden in it is none."""
        heard, refused = self.origins[0].heard, 0
        for fields in AMBIGUOUS:
            del heard[:]
            with self.connect() as connection:
                head = f"POST / HTTP/1.1\r\nHost: told.one.gwa.demo\r\n{fields}\r\n\r\n"
                connection.sendall(f"{head}0\r\n\r\nGET /hidden HTTP/1.1\r\nHost: {OTHER}\r\n\r\n".encode())
                refused += answer(connection)[0] == 400
            said, _, body = bytes(heard).partition(b"\r\n\r\n")
            lengths = re.findall(rb"(?im)^content-length: ([0-9]+)\r?$", said + b"\r")
            is_chunked = b"transfer-encoding: chunked" in said.lower()
            self.assertLessEqual(len(lengths) + is_chunked, 1, fields)
            self.assertIn(body, (b"", b"0\r\n\r\n", b"0\r\n\r"[: int(lengths[0])] if lengths else b""), fields)
        self.assertGreater(refused, len(AMBIGUOUS) // 2)

    def test_either_family_leads_to_either(self) -> None:
        """A client of IPv6 to a host of IPv4, and the other way round."""
        with self.testbed.inside("public"):
            connection = socket.create_connection((ipv6.GATEWAY, 80), timeout=PATIENCE)
        with connection:
            connection.sendall(request("told.one.gwa.demo"))
            self.assertEqual(answer(connection)[2].partition(" ")[0], f"{FIRST}:8080")
        status, _, body = self.get("www.six.gwa.demo")
        self.assertEqual((status, six() in body), (200, True), body)

    def test_http2_and_other_protocols_pass(self) -> None:
        """HTTP/2 without TLS, for a client that begins so; and whatever is spoken after an upgrade."""
        asking = ["curl", "--silent", "--show-error", "--max-time", "5", "--http2-prior-knowledge", "--write-out",
                  " %{http_version}", "--header", "Host: told.one.gwa.demo", f"http://{GATEWAY}/"]  # fmt: skip
        done = self.testbed.run("public", asking)
        self.assertEqual((done.stdout.partition(" ")[0], done.stdout[-2:]), (f"{FIRST}:8080", " 2"), done.stderr)
        with self.connect() as connection:
            connection.sendall(request("secure.one.gwa.demo", UPGRADE, "Connection: upgrade", "Upgrade: echo"))
            self.assertEqual(connection.recv(12), b"HTTP/1.1 101")
            while not connection.recv(1000).endswith(b"\r\n\r\n"):
                pass
            connection.sendall(b"anything")
            self.assertEqual(connection.recv(100), b"anything")

    def test_tls_is_the_hosts_own(self) -> None:
        """By its certificate; who asks for nobody's name, or for none, is told so."""
        for name, address in ((NAME, FIRST), (OTHER, SECOND)):
            with self.secure(name) as connection:
                connection.sendall(request(name))
                self.assertEqual(answer(connection)[2], f"{address}:443 -")
        [refusal] = self.testbed.folder.rglob("refusal.sock")
        self.assertEqual((refusal.stat().st_mode & 0o777, refusal.parent.stat().st_uid), (0o600, 0))
        reasons = "tls_unknown", "tls_hidden", "tls_nameless", "tls_malformed"
        before = self.counts(*reasons)
        for said, wanted in (
            (hello("nobody.gwa.demo"), UNRECOGNIZED),
            (hiding(hello("nobody.gwa.demo")), UNRECOGNIZED),
            (hello(None), UNRECOGNIZED),
            (request(NAME), b""),
        ):
            with self.connect(443) as connection:
                connection.sendall(said)
                self.assertEqual(connection.recv(7), wanted)
        with self.connect(443) as connection:
            connection.sendall(hiding(hello(NAME)))
            self.assertEqual(connection.recv(3), b"\x16\x03\x03")
        self.until(lambda: self.counts(*reasons) == [each + 1 for each in before])

    def test_a_client_hello_may_come_in_any_pieces(self) -> None:
        """Cut in two at each octet; upper case."""
        said = hello(NAME.upper())
        for cut in range(1, len(said)):
            with self.connect(443) as connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection.sendall(said[:cut])
                time.sleep(0.002)
                connection.sendall(said[cut:])
                self.assertEqual(connection.recv(3), b"\x16\x03\x03", cut)

    def test_who_says_nothing_is_not_waited_for(self) -> None:
        """Neither for a request nor for a ClientHello."""
        slow = [self.connect(port) for port in (80, 443)]
        slow[0].sendall(b"GET / HTTP/1.1\r\n")
        slow[1].sendall(hello(NAME)[:50])
        begin = time.monotonic()
        for each in slow:
            while each.recv(1000):
                pass
        self.assertLess(time.monotonic() - begin, PATIENCE)

    def test_rules_of_hosts_hold_behind_the_proxy(self) -> None:
        """It gets to no port that they close, and to nobody else of the LAN; others of the machine do as before."""
        self.assertEqual(self.get("closed.one.gwa.demo")[0], 503)
        third = self.testbed.hosts[2]
        for who, host, is_let in (("haproxy", FIRST, True), ("haproxy", third, False), ("root", third, True)):
            self.assertEqual(self.reaches(who, host), is_let, (who, host))

    def reaches(self, who: str, host: str) -> bool:
        """Whether a user of the gateway's machine gets to a host."""
        trying = ["timeout", "1", "setpriv", f"--reuid={who}", "--clear-groups", "bash", "-c",
                  f"exec 3<>/dev/tcp/{host}/80"]  # fmt: skip
        return self.testbed.run("gwa", trying).returncode == 0

    def test_it_begins_nothing_while_the_table_is_gone(self) -> None:
        """A gateway that is stopped can not put it back; others of the machine are not concerned."""
        os.kill(self.gateway.pid, signal.SIGSTOP)
        try:
            self.testbed.run("gwa", ["nft", "flush", "ruleset"])
            third = self.testbed.hosts[2]
            reached = [self.reaches(*each) for each in (("haproxy", FIRST), ("haproxy", third), ("root", third))]
        finally:
            os.kill(self.gateway.pid, signal.SIGCONT)
        self.assertEqual(reached, [False, False, True])
        self.until(lambda: self.reaches("haproxy", FIRST))
        self.assertFalse(self.reaches("haproxy", third))

    def test_quic_is_refused_at_once(self) -> None:
        """So that browsers come by TCP."""
        with self.testbed.inside("public"):
            client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with client:
            client.settimeout(PATIENCE)
            client.connect((GATEWAY, 443))
            client.send(bytes(1200))
            self.assertRaises(ConnectionRefusedError, client.recv, 100)

    def test_subscribers_come_and_go_and_nobody_else_notices(self) -> None:
        """By a reload; connections of a host that is gone end, those of others go on."""
        one, two, *_ = self.subscribers()
        third = self.testbed.hosts[2]
        stays, goes = self.secure(OTHER), self.secure(NAME)
        with self.asked_all_the_time() as answers:
            self.write(one, two, subscriber("three.gwa.demo.", third))
            self.until(lambda: self.get("www.three.gwa.demo")[2] == f"This is {third}.\n")
            self.write(two, subscriber("three.gwa.demo.", FIRST))
            self.until(lambda: self.get("www.three.gwa.demo")[2] == f"This is {FIRST}.\n")
            self.until(lambda: self.get(NAME)[0] == 421)
            self.assertRaises(OSError, self.ask_for_more, goes)
        self.assertEqual(set(answers), {(200, SECOND)})
        self.assertGreater(len(answers), 20)
        stays.sendall(request(OTHER))
        self.assertEqual(answer(stays)[0], 200)
        self.write(one, two)
        self.until(lambda: self.get(NAME)[0] == 200)
        self.assertEqual(self.shown()["counts"]["starts"], 1)

    def test_one_that_is_killed_is_back_soon_and_one_that_was_left_over_is_ended(self) -> None:
        """With all names; when the gateway is killed, the next one ends what it has left."""
        pid = self.shown()["pid"]
        os.kill(pid, signal.SIGKILL)
        self.until(lambda: self.shown()["pid"] not in (None, pid) and self.shown()["state"] == "in step")
        self.assertEqual(self.get(NAME)[0], 200)
        left = self.shown()["pid"]
        self.gateway.kill()
        self.assertEqual(self.get(NAME)[0], 200)
        self.gateway.start()
        self.until(lambda: self.shown()["state"] == "in step")
        self.assertNotEqual(self.shown()["pid"], left)
        self.until(lambda: not is_running(left))
        self.assertEqual(self.get(NAME)[0], 200)

    def ask_for_more(self, connection: ssl.SSLSocket) -> None:
        """Requests on a connection, until it has ended."""
        for _ in range(100):
            connection.sendall(request(NAME))
            if not answer(connection)[0]:
                raise ConnectionResetError
        self.fail("it goes on")

    def test_a_purge_ends_it_and_a_reload_begins_it_anew(self) -> None:
        """Without the kernel's rules nobody gets in by the proxy."""
        pid = self.shown()["pid"]
        ask(self.gateway.control, "purge", {"name": "gateway.gwa.demo."})
        self.assertFalse(is_running(pid))
        self.assertRaises(ConnectionRefusedError, self.get, NAME)
        self.assertEqual(self.shown()["state"], "closed")
        ask(self.gateway.control, "reload")
        self.until(lambda: self.shown()["state"] == "in step")
        self.assertEqual(self.get(NAME)[0], 200)

    def counts(self, *names: str) -> list[int]:
        """What was counted."""
        counts = self.shown()["counts"]
        return [counts[name] for name in names]
