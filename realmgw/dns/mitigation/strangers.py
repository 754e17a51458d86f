"""What is made of who asks from anywhere: he shows who he is, by TCP or by a cookie, or is given only so much."""

from __future__ import annotations

from realmgw.allocation.reputation.challenges import Proof
from realmgw.allocation.reputation.groups import Groups
from realmgw.config import settings
from realmgw.dns.codec import cookies, options
from realmgw.dns.codec.message import Response
from realmgw.dns.codec.wire import COOKIE, Query, Rcode
from realmgw.dns.counts import Count
from realmgw.dns.mitigation.defences import Defences
from realmgw.dns.mitigation.ratelimit import Verdict, amplifies
from realmgw.dns.view import Answer, Asked, Asker, Sender, Senders, read_options, said
from realmgw.dns.zones import ZoneTable


class Strangers(Senders):
    """Those who ask the WAN's view.

    Args:
        defences: Cookies and rate limit.
        groups: Tell which senders are one, and with whom there is an agreement about options of the local range.
        events: Counters by `Count`.
    """

    def __init__(self, defences: Defences, groups: Groups, events: list[int]) -> None:
        self._defences, self._cookies = defences, defences.cookies
        self._groups, self._resolvers = groups, groups.resolvers
        self._events = events

    def configure(self, settings: settings.Settings, table: ZoneTable) -> None:
        del table
        self._resolvers.configure(settings.ipv6.resolver_prefix)

    def who(self, address: str) -> str:
        return self._resolvers.of(address)

    def read(self, query: Query, asker: Asker, now: float) -> Sender:
        address = asker.address[0]
        resolver = self.who(address)
        group = self._groups.find(resolver) if query.edns is not None and query.edns.options else None
        found = read_options(query, agreed=group is not None and group.sla)
        cookie = found.cookie if found is not None and self._cookies.enabled else None
        if asker.tcp:
            return Sender(resolver, found, Proof.TCP, cookie)
        proves = cookie is not None and self._cookies.proves(cookie, address, now=now)
        return Sender(resolver, found, Proof.COOKIE if proves else Proof.NONE, cookie)

    def greet(self, asked: Asked) -> Answer:
        cookie = asked.sender.cookie
        if cookie is None:
            return said(Response(Rcode.FORMERR))
        if len(cookie) > cookies.CLIENT_LENGTH and not self._cookies.proves(cookie, asked.address, now=asked.now):
            return said(Response(Rcode.BADCOOKIE))
        return Answer(Response(), Count.COOKIES)

    def replies(self, asked: Asked, count: Count) -> tuple[tuple[int, bytes], ...]:
        """The cookie, and for how large a network an answer is (RFC 7871 section 7.2.1)."""
        sender, found = asked.sender, []
        if sender.cookie is not None:
            found.append((COOKIE, self._cookies.reply(sender.cookie, asked.address, now=asked.now)))
        if sender.options is not None and sender.options.subnet is not None:
            believed = count is Count.RESERVED and asked.client is not None
            found.append((options.CLIENT_SUBNET, sender.options.subnet.reply(believed)))
        return tuple(found)

    def judge(self, asked: Asked, count: Count, length: int) -> Verdict:
        if count is Count.RESERVED or asked.sender.proof or not amplifies(asked.query.length, length):
            return Verdict.PASS
        return self._defences.verdict(asked.address, self._events, now=asked.now)
