"""Tests for `realmgw.dns.forward.service`: a DNS server that forwards, and resolvers on the loopback interface."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import attrs
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rrset
from twisted.internet import reactor, threads

from realmgw.config import settings
from realmgw.config.addresses import resolver
from realmgw.config.steps import finish
from realmgw.dns.service import DnsService
from realmgw.metrics.gateway import GATEWAY
from realmgw.subscribers.registry import Changes
from realmgw.test.dns import realm
from realmgw.test.dns.test_service import LOOPBACK, OTHER, PATIENCE, ServiceTestCase, free_ports, make_settings

LONGEST, TEXT = 65_535, 268  # octets
"""Of a message, and of a record with a text of 255."""


class Upstream(threading.Thread):
    """A resolver, by UDP and TCP, in a thread of its own.

    Attributes:
        asked: How often it was asked, by UDP and by TCP.
    """

    def __init__(
        self, port: int, datagrams: Callable[[bytes], list[bytes]], streamed: Callable[[bytes], bytes]
    ) -> None:
        """Listens at a port; `datagrams` says what comes back to a query by UDP, `streamed` to one by TCP."""
        super().__init__(daemon=True)
        self._datagrams, self._streamed = datagrams, streamed
        self.asked = [0, 0]
        self.udp = socket.socket(type=socket.SOCK_DGRAM)
        self.udp.bind((str(LOOPBACK), port))
        self.tcp = socket.create_server((str(LOOPBACK), port))

    def run(self) -> None:
        """By UDP here, by TCP in another thread, until both are closed."""
        threading.Thread(target=self._streams, daemon=True).start()
        while True:
            try:
                message, source = self.udp.recvfrom(4096)
            except OSError:
                return
            if not message:  # it is closed
                return
            self.asked[0] += 1
            for answer in self._datagrams(message):
                self.udp.sendto(answer, source)

    def _streams(self) -> None:
        while True:
            try:
                connection, _ = self.tcp.accept()
            except OSError:
                return
            with connection, connection.makefile("rwb") as stream:
                while length := stream.read(2):
                    self.asked[1] += 1
                    answer = self._streamed(stream.read(int.from_bytes(length, "big")))
                    stream.write(len(answer).to_bytes(2, "big") + answer)
                    stream.flush()

    def close(self) -> None:
        """No resolver any more."""
        for each in (self.udp, self.tcp):
            with contextlib.suppress(OSError):  # it is not connected; whoever waits for it wakes up nevertheless
                each.shutdown(socket.SHUT_RDWR)
            each.close()


def said(message: bytes, count: int = 1) -> bytes:
    """An answer with so many addresses."""
    query = dns.message.from_wire(message)
    answer = dns.message.make_response(query, recursion_available=True)
    addresses = [f"198.51.{number >> 8}.{number & 0xFF}" for number in range(count)]
    answer.answer = [dns.rrset.from_text_list(query.question[0].name, 300, "IN", "A", addresses)]
    return bytes(answer.to_wire(max_size=65535))


def many(message: bytes) -> bytes:
    """One of 32 kB."""
    return said(message, 2000)


def longest(message: bytes) -> bytes:
    """An answer as long as any message can be: 65 535 octets, all of them texts."""
    query = dns.message.from_wire(message)
    answer = dns.message.make_response(query, recursion_available=True)
    length = LONGEST - len(answer.to_wire())
    texts = [f'"{number:0>255}"' for number in range(length // TEXT)]
    texts.append(f'"{"x" * (length % TEXT - (TEXT - 255))}"')
    answer.answer = [dns.rrset.from_text_list(query.question[0].name, 300, "IN", "TXT", texts)]
    return bytes(answer.to_wire(max_size=LONGEST))


def truncated(message: bytes) -> bytes:
    """Come by TCP."""
    answer = dns.message.make_response(dns.message.from_wire(message), recursion_available=True)
    answer.flags |= dns.flags.TC
    return bytes(answer.to_wire())


class ForwardingTests(ServiceTestCase):
    """What those on a LAN are told."""

    def resolver(
        self, datagrams: Callable[[bytes], list[bytes]], streamed: Callable[[bytes], bytes] = many
    ) -> Upstream:
        """A resolver, which the service asks."""
        [self.port] = free_ports(1)
        upstream = Upstream(self.port, datagrams, streamed)
        upstream.start()
        self.addCleanup(upstream.close)
        return upstream

    def settings(self, **limits: Any) -> settings.Settings:
        """Those of a gateway with resolvers."""
        made = make_settings(self.wan_port, self.lan_port, **limits)
        forward = settings.Forwarding((resolver(f"{LOOPBACK}:{self.port}"),))
        local = settings.DnsView((settings.Endpoint(OTHER, self.lan_port),))
        return attrs.evolve(made, dns=attrs.evolve(made.dns, forward=forward, local=local))

    def make(self, **limits: Any) -> DnsService:
        """A service with resolvers."""
        return DnsService(self.settings(**limits), realm.directory(), self.allocator, reactor, time.monotonic)

    async def tell(
        self, *, tcp: bool = False, port: int = 0, where: str = str(LOOPBACK), kind: str = "A"
    ) -> dns.message.Message:
        """The answer to a question for an address, or something else."""
        query = dns.message.make_query("www.example.net.", kind, use_edns=0)
        how = dns.query.tcp if tcp else dns.query.udp
        return await threads.deferToThread(how, query, where, PATIENCE, port or self.lan_port)

    async def test_by_udp_and_tcp(self) -> None:
        """The resolver is asked once; it stands in the counters."""
        upstream, service = self.resolver(lambda message: [said(message)]), None
        service = self.start()
        for tcp in (False, True):
            self.assertEqual((await self.tell(tcp=tcp)).answer[0][0].address, "198.51.0.0")
        self.assertEqual(upstream.asked, [1, 0])
        counts: Any = service.counts()
        forward, resolver = counts["forward"], counts[f"resolver 127.0.0.1:{self.port}"]
        self.assertEqual((forward["questions"], forward["hits"], forward["kept"], resolver["answers"]), (1, 1, 1, 1))
        self.assertEqual(counts["resolvers_dropped"], {"answers": 0, "failures": 0, "refused": 0})

    async def test_long_answers_come_by_tcp(self) -> None:
        """From the resolver, and to who asks: 32 kB."""
        upstream = self.resolver(lambda message: [truncated(message)])
        self.start()
        self.assertEqual(len((await self.tell(tcp=True)).answer[0]), 2000)
        self.assertTrue((await self.tell()).flags & dns.flags.TC)
        self.assertEqual(upstream.asked, [1, 1])

    async def test_answers_as_long_as_any_message(self) -> None:
        """Whole by TCP, to the last octet; by UDP who asks is sent there. Each is kept, and asked for once."""
        upstream = self.resolver(lambda message: [truncated(message)], longest)
        service = self.start()
        for _ in range(2):
            self.assertTrue((await self.tell(kind="TXT")).flags & dns.flags.TC)
            answer = await self.tell(tcp=True, kind="TXT")
            self.assertEqual(len(answer.to_wire(max_size=LONGEST)), LONGEST)
            [texts] = answer.answer
            self.assertEqual(sum(len(each.strings[0]) + 13 for each in texts), LONGEST - 44)
        self.assertEqual(upstream.asked, [1, 1])
        counts: Any = service.counts()
        self.assertEqual((counts["forward"]["malformed"], counts["forward"]["kept"]), (0, 1))

    async def test_forged_answers_are_not_believed(self) -> None:
        """However many; the true one by TCP is."""
        forged = said(dns.message.make_query("www.example.net.", "A").to_wire())
        upstream = self.resolver(lambda _: [number.to_bytes(2, "big") + forged[2:] for number in range(500)])
        self.start()
        self.assertEqual(len((await self.tell(tcp=True)).answer[0]), 2000)
        self.assertEqual(upstream.asked, [1, 1])

    async def test_nobody_else_is_told(self) -> None:
        """On the WAN, and the gateway's own processes: REFUSED."""
        upstream = self.resolver(lambda message: [said(message)])
        self.start()
        for port, where in ((self.wan_port, LOOPBACK), (self.lan_port, OTHER)):
            self.assertEqual((await self.tell(port=port, where=str(where))).rcode(), dns.rcode.REFUSED)
        self.assertEqual(upstream.asked, [0, 0])

    async def test_a_reload_brings_another_resolver(self) -> None:
        """What the former one said is forgotten, and it is not asked any more; but it counts."""
        former = self.resolver(lambda message: [said(message)])
        service = self.start()
        await self.tell()
        latter = self.resolver(lambda message: [said(message, 2)])
        finish(service.commit(finish(service.prepare(self.settings(), realm.directory(), Changes()))))
        self.assertEqual(len((await self.tell()).answer[0]), 2)
        self.assertEqual((former.asked, latter.asked), ([1, 0], [1, 0]))
        [answers] = [metric for metric in GATEWAY if metric.name == "forwarder_resolver_answers"]
        told = dict(answers.values({"dns": service.counts()}))
        self.assertEqual(told[("result", "answered"),], 2)

    async def test_the_resolver_is_gone(self) -> None:
        """SERVFAIL at once, which says so."""
        [self.port] = free_ports(1)
        self.start()
        answer = await self.tell()
        self.assertEqual(answer.rcode(), dns.rcode.SERVFAIL)
        self.assertIn("Connection refused", str(answer.options[0]))
