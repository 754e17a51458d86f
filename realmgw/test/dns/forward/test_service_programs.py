"""Tests for `realmgw.dns.forward.service` with resolvers of other people: what they say comes through unchanged."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import attrs
import dns.message
import dns.query
import dns.rcode
from twisted.internet import reactor, threads

from realmgw.config import settings
from realmgw.config.addresses import resolver
from realmgw.dns.service import DnsService
from realmgw.test import programs
from realmgw.test.dns import realm
from realmgw.test.dns.test_service import LOOPBACK, PATIENCE, ServiceTestCase, free_ports, make_settings
from realmgw.test.subscribers.authority import Authority

UNBOUND = """server:
  interface: 127.0.0.1@{port}
  interface: 127.0.0.1@{tls}
  tls-port: {tls}
  tls-service-key: "{key}"
  tls-service-pem: "{certificate}"
  do-daemonize: no
  chroot: ""
  username: ""
  pidfile: ""
  directory: "{folder}"
  use-syslog: no
  logfile: "{folder}/log"
  module-config: "iterator"
  access-control: 127.0.0.0/8 allow
  local-zone: "example.com." static
  local-data: "example.com. 300 IN SOA ns.example.com. h.example.com. 1 2 3 4 60"
  local-data: "example.com. 300 IN MX 10 mail.example.com."
  local-data: "a.example.com. 300 IN A 198.51.100.7"
  local-data: "a.example.com. 300 IN AAAA 2001:db8:9::7"
  local-data: "_sip._udp.example.com. 300 IN SRV 1 2 5060 a.example.com."
  local-data: 'n.example.com. 300 IN NAPTR 1 2 "s" "SIP+D2U" "" _sip._udp.example.com.'
  local-data: 'long.example.com. 300 IN TXT {text}'
  local-data: "odd.example.com. 300 IN TYPE65280 \\# 3 010203"
"""
QUESTIONS = (
    ("a.example.com.", "A"), ("A.eXample.com.", "AAAA"), ("a.example.com.", "TXT"), ("none.example.com.", "A"),
    ("example.com.", "MX"), ("_sip._udp.example.com.", "SRV"), ("n.example.com.", "NAPTR"),
    ("long.example.com.", "TXT"), ("odd.example.com.", "TYPE65280"), ("example.com.", "SOA"),
)  # fmt: skip


def sections(message: dns.message.Message) -> tuple[Any, ...]:
    """What an answer says, besides TTLs."""
    negative = message.authority if not message.answer else []
    return message.rcode(), sorted(str(each.to_rdataset()) for each in message.answer), [each.name for each in negative]


class UnboundTests(ServiceTestCase):
    """With unbound behind it."""

    skip = programs.missing("unbound")

    def setUp(self) -> None:
        """It runs, with a certificate for `dns.example.net`."""
        super().setUp()
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.authority = Authority(self.folder)
        certificate, key = self.authority.issue("dns.example.net")
        self.port, self.tls = free_ports(2)
        path, text = self.folder / "unbound.conf", " ".join(f'"{"x" * 200}"' for _ in range(10))
        keys = {"port": self.port, "tls": self.tls, "key": key, "certificate": certificate, "text": text}
        path.write_text(UNBOUND.format(**keys, folder=self.folder))
        process = subprocess.Popen(["unbound", "-d", "-c", str(path)], stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        self.wait()

    def wait(self) -> None:
        """Until it takes connections, which it does when it answers."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            with contextlib.suppress(OSError), socket.create_connection((str(LOOPBACK), self.tls)):
                return
            time.sleep(0.02)
        raise AssertionError((self.folder / "log").read_text())

    def make(self, **limits: Any) -> DnsService:
        """A service that asks it."""
        forward = limits.pop("forward")
        made = make_settings(self.wan_port, self.lan_port, **limits)
        made = attrs.evolve(made, dns=attrs.evolve(made.dns, forward=forward))
        return DnsService(made, realm.directory(), self.allocator, reactor, time.monotonic)

    def ask(self, name: str, kind: str, port: int) -> dns.message.Message:  # type: ignore[override]  # another one
        """The answer, by TCP where UDP has no room; blocks."""
        query = dns.message.make_query(name, kind, use_edns=0, payload=1232)
        return dns.query.udp_with_fallback(query, str(LOOPBACK), PATIENCE, port)[0]

    def differences(self) -> list[tuple[str, str]]:
        """The questions that are answered otherwise than unbound does; blocks."""
        return [
            question
            for question in QUESTIONS
            if sections(self.ask(*question, self.port)) != sections(self.ask(*question, self.lan_port))
        ]

    async def test_says_the_same_by_udp_and_tcp(self) -> None:
        """Of all types, also of those that nobody here knows."""
        service = self.start(forward=settings.Forwarding((resolver(f"127.0.0.1:{self.port}"),)))
        self.assertEqual(await threads.deferToThread(self.differences), [])
        counts: Any = service.counts()["forward"]
        self.assertEqual((counts["questions"], counts["truncated"], counts["malformed"]), (len(QUESTIONS), 1, 0))

    async def test_says_the_same_by_tls(self) -> None:
        """Nothing goes by UDP."""
        where = resolver(f"127.0.0.1:{self.tls}#dns.example.net")
        service = self.start(forward=settings.Forwarding((where,), ca_file=self.authority.path))
        self.assertEqual(await threads.deferToThread(self.differences), [])
        counts: Any = service.counts()["forward"]
        self.assertEqual((counts["datagrams"], counts["streamed"]), (0, len(QUESTIONS)))

    async def test_is_not_asked_by_another_name(self) -> None:
        """SERVFAIL, which says why."""
        where = resolver(f"127.0.0.1:{self.tls}#dns.example.org")
        self.start(forward=settings.Forwarding((where,), ca_file=self.authority.path))
        await threads.deferToThread(self.ask, "a.example.com.", "A", self.port)
        answer = await threads.deferToThread(self.ask, "a.example.com.", "A", self.lan_port)
        self.assertEqual(answer.rcode(), dns.rcode.SERVFAIL)
        self.assertIn("its certificate is not for dns.example.org", str(answer.options[0]))
