"""Resolvers for tests: what they are asked, and what they say."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random

import attrs
import dns.flags
import dns.message
import dns.rcode
import dns.rrset
from twisted.internet.task import Clock

from realmgw.config.addresses import resolver
from realmgw.config.settings import Resolver
from realmgw.dns.forward.asking import Cancel, Heard, Means
from realmgw.dns.forward.events import Event
from realmgw.dns.forward.upstreams import Upstreams

ONE, TWO = resolver("203.0.113.53"), resolver("198.51.100.53")
RECORD = ("300 IN A 198.51.100.7",)


@attrs.define(eq=False)
class Sent:
    """A query that was sent to a resolver."""

    resolver: Resolver
    """To whom."""
    message: bytes
    """What."""
    by_stream: bool
    """How."""
    heard: Heard
    """Takes what comes."""
    failed: Callable[[str], None]
    """Is told that nothing will."""
    cancelled: bool = False
    """Nobody waits any more, or what came is the answer."""

    @property
    def query(self) -> dns.message.Message:
        """It, decoded."""
        return dns.message.from_wire(self.message)

    def end(self, heard: Heard) -> bool:
        """Nobody waits any more, which is so; knows who did, as a socket does."""
        del heard
        self.cancelled = True
        return self.cancelled

    def forget(self) -> None:
        """Holds nobody any more, as a socket does that has another query, or is closed."""
        self.heard, self.failed = bool, print

    def say(self, *records: str, authority: str = "", rcode: str = "NOERROR", flags: int = 0) -> None:
        """Answers with records (TTL, class, type, data) of the name asked for, or of one that stands before the TTL."""
        self.heard(self.answer(*records, authority=authority, rcode=rcode, flags=flags))

    def answer(self, *records: str, authority: str = "", rcode: str = "NOERROR", flags: int = 0) -> bytes:
        """What `say` says."""
        query = self.query
        said = dns.message.make_response(query)
        said.flags |= dns.flags.RA | flags
        said.set_rcode(dns.rcode.from_text(rcode))
        said.answer = [_record(str(query.question[0].name), each) for each in records]
        said.authority = [_record("", each) for each in (authority,) if each]
        return bytes(said.to_wire(max_size=65535))


def _record(name: str, text: str) -> dns.rrset.RRset:
    first, _, rest = text.partition(" ")
    if not first.isdigit():
        name, text = first, rest
    ttl, cls, kind, data = text.split(" ", 3)
    return dns.rrset.from_text(name, int(ttl), cls, kind, data)


class MemoryTransport:
    """Keeps what is sent.

    Attributes:
        sent: All of it.
    """

    def __init__(self) -> None:
        self.sent: list[Sent] = []

    def by_datagram(self, resolver: Resolver, message: bytes, heard: Heard, failed: Callable[[str], None]) -> Cancel:
        """As `Transport.by_datagram`."""
        return self._send(Sent(resolver, message, False, heard, failed))

    def by_stream(self, resolver: Resolver, message: bytes, heard: Heard, failed: Callable[[str], None]) -> Cancel:
        """As `Transport.by_stream`."""
        return self._send(Sent(resolver, message, True, heard, failed))

    def _send(self, sent: Sent) -> Cancel:
        heard = sent.heard
        sent.heard = lambda message: heard(message) and sent.end(heard)
        self.sent.append(sent)
        return partial(sent.end, heard)


class Elsewhere:
    """Resolvers, a clock, and chance that is a sequence.

    Attributes:
        clock: It.
        transport: Keeps what is sent.
        events: By `Event`.
        told: What was said of resolvers.
        means: All of it.
    """

    def __init__(self, *resolvers: Resolver) -> None:
        self.clock = Clock()
        self.transport = MemoryTransport()
        self.events = [0] * len(Event)
        self.told: list[tuple[Resolver, str]] = []
        chance = Random(7).randbytes
        upstreams = Upstreams(chance, lambda resolver, why: self.told.append((resolver, why)))
        upstreams.configure(resolvers)
        self.means = Means(upstreams, self.transport, self._later, self.clock.seconds, chance, self.events)

    def _later(self, seconds: float, function: Callable[[], object]) -> Cancel:
        call = self.clock.callLater(seconds, function)
        return lambda: call.cancel() if call.active() else None

    @property
    def last(self) -> Sent:
        """What was sent last."""
        return self.transport.sent[-1]
