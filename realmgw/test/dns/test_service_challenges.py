"""Challenges on real sockets, and the secrets of cookies from a file."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import attrs
import dns.edns
import dns.flags
import dns.message
import dns.query
from twisted.internet import reactor, threads
from twisted.trial.unittest import TestCase

from realmgw import config
from realmgw.config import settings
from realmgw.config.steps import Steps
from realmgw.dns.counts import Count
from realmgw.dns.service import DnsService
from realmgw.subscribers.registry import Changes
from realmgw.test.dns import realm
from realmgw.test.dns.allocator import MemoryAllocator
from realmgw.test.dns.test_service import LOOPBACK, PATIENCE, free_ports, make_settings

NO_CHANGES = Changes()


class ChallengeTests(TestCase):
    """A service with challenges, and a client of dnspython."""

    timeout = 60

    def setUp(self) -> None:
        """Nothing runs yet."""
        self.port, self.lan_port = free_ports(2)
        self.allocator = MemoryAllocator(realm.POOL_ADDRESS.packed)

    def make(self, secret_file: Path | None = None, **challenges: bool) -> settings.Settings:
        """Settings with these switches."""
        made = make_settings(self.port, self.lan_port)
        policy = settings.Policy(system_load=(), challenges=settings.Challenges(**challenges))
        cookies = settings.Cookies(secret_file=secret_file)
        zones = (*realm.ZONES, realm.ALIASES)
        return attrs.evolve(made, policy=policy, zones=zones, dns=attrs.evolve(made.dns, cookies=cookies))

    def start(self, made: settings.Settings) -> DnsService:
        """Starts a service; it is stopped after the test."""
        service = DnsService(made, realm.directory(), self.allocator, reactor, time.monotonic, config.secrets(made))
        service.startService()
        self.addCleanup(service.stopService)
        return service

    def ask(self, name: str = "one.example.org.", tcp: bool = False, cookie: bytes = b"") -> dns.message.Message:
        """Blocks, so call it in a thread."""
        options: list[dns.edns.Option] | None = [dns.edns.GenericOption("10", cookie)] if cookie else None
        query = dns.message.make_query(name, "A", options=options)
        ask: Any = dns.query.tcp if tcp else dns.query.udp
        answer: dns.message.Message = ask(query, str(LOOPBACK), PATIENCE, self.port)
        return answer

    async def test_demands_tcp_and_then_an_alias(self) -> None:
        """As the switches say; the alias may be asked for by UDP."""
        service = self.start(self.make(tcp=True, cname=True))
        answer = await threads.deferToThread(self.ask)
        self.assertTrue(answer.flags & dns.flags.TC)
        answer = await threads.deferToThread(self.ask, tcp=True)
        answer = await threads.deferToThread(self.ask, str(answer.answer[0][0].target))
        self.assertEqual(answer.answer[0][0].address, str(realm.POOL_ADDRESS))
        counted = [service.wan.events[each] for each in (Count.CHALLENGED_TC, Count.CHALLENGED_CNAME, Count.RESERVED)]
        self.assertEqual(counted, [1, 1, 1])

    async def test_believes_cookies_of_the_shared_secret(self) -> None:
        """Before and after a reload that brings another one, if the first is still in the file; and not else."""
        path = Path(self.mktemp())
        path.write_text(f"{'01' * 16}\n")
        made = self.make(path, tcp=True)
        service = self.start(made)
        answer = await threads.deferToThread(self.ask, cookie=bytes(8))
        cookie = answer.options[0].to_wire() or b""
        for secrets, said in ((("02", "01"), 0), (("02",), 23)):
            path.write_text("".join(f"{each * 16}\n" for each in secrets))
            self.reload(service, made)
            answer = await threads.deferToThread(self.ask, cookie=cookie)
            self.assertEqual(answer.rcode(), said)

    def reload(self, service: DnsService, made: settings.Settings) -> None:
        """With these settings."""

        def steps() -> Steps[None]:
            prepared = yield from service.prepare(made, realm.directory(), NO_CHANGES, config.secrets(made))
            yield from service.commit(prepared)

        for _ in steps():
            pass
