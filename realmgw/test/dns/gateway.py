"""A WAN for tests, asked as the sockets ask it."""

from __future__ import annotations

from ipaddress import IPv4Network
from random import Random
from typing import Any

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.allocator import Allocator
from realmgw.config import settings
from realmgw.dns.codec.wire import decode
from realmgw.dns.view import Asker
from realmgw.errors import Reason
from realmgw.test.dns import realm

RESOLVER, ELSEWHERE = "198.51.100.53", "203.0.113.53"
COOKIE = 10
CLIENT_COOKIE = b"12345678"
ZONES = (*realm.ZONES, realm.ALIASES)


class WanTestCase(SynchronousTestCase):
    """A WAN with challenges, as the port asks it: on the fast path first."""

    def setUp(self) -> None:
        """Time stands still."""
        self.clock = Clock()
        self.clock.advance(100.0)
        self.outcomes: list[bytes] = []

    def start(self, *words: str, allocator: Allocator | None = None, **policy: Any) -> None:
        """Begins, with these switches."""
        switches = settings.Challenges(**dict.fromkeys(words, True))
        rate = policy.pop("rate", realm.NO_LIMIT)
        zones = policy.pop("zones", ZONES)
        service_pool = policy.pop("service_pool", realm.SERVICE_POOL)
        made = settings.Policy(**{"system_load": (), "challenges": switches, **policy})
        now = self.clock.seconds()
        self.allocator = allocator or Allocator(
            settings.Allocation(),
            [IPv4Network("192.0.2.0/28"), realm.POOL6],
            now=now,
            policy=made,
            chance=Random(7).randbytes,
        )
        self.settings = realm.make_settings(made, rate, zones, service_pool)
        self.wan = realm.wan(self.allocator, self.settings, self.later, self.clock.seconds)
        self.events = self.wan.counts.events

    def later(self, seconds: float, function: Any) -> None:
        """By that clock."""
        self.clock.callLater(seconds, lambda: function(self.clock.seconds()))

    def ask(
        self,
        name: str = "one.example.org.",
        kind: str = "A",
        resolver: str = RESOLVER,
        tcp: bool = False,
        **options: Any,
    ) -> dns.message.Message | None:
        """The answer; None if there is none, or none yet."""
        cookie, others = options.pop("cookie", None), options.pop("options", [])
        listed = [*others] if cookie is None else [dns.edns.GenericOption(str(COOKIE), cookie), *others]
        query = dns.message.make_query(name, kind, options=listed or None, **options)
        message, address = query.to_wire(), (resolver, 5353, 1) if tcp else (resolver, 5353)
        now = self.clock.seconds()
        who = self.wan.senders.who(resolver)
        answer: bytes | Reason | None = self.wan.fast(message, address, who, now=now, tcp=tcp)
        if not isinstance(answer, bytes):
            asker = Asker(address, self.outcomes.append, tcp)
            answer = self.wan.answer(decode(message), asker, now=now, refused=answer)
        return dns.message.from_wire(answer) if answer else None

    def said(self, *args: Any, **rest: Any) -> str:
        """The answer in a word."""
        answer = self.ask(*args, **rest)
        if answer is None:
            return "silence"
        if answer.rcode() != dns.rcode.NOERROR:
            return dns.rcode.to_text(answer.rcode())
        if answer.flags & dns.flags.TC:
            return "TC"
        return dns.rdatatype.to_text(answer.answer[0].rdtype) if answer.answer else "NODATA"

    def cookie(self, resolver: str = RESOLVER) -> bytes:
        """A valid cookie of a resolver."""
        answer = self.ask("nobody.example.org.", resolver=resolver, cookie=CLIENT_COOKIE)
        assert answer is not None
        return bytes(answer.options[0].to_wire() or b"")

    def alias(self, **rest: Any) -> str:
        """The alias that is given."""
        answer = self.ask(**rest)
        assert answer is not None
        return str(answer.answer[0][0].target)
