"""The fast path's second half: usual queries that are not simply given an address.

Queries with a cookie, for aliases, of zones with challenges, and for what there is not. None of them is decoded; what
is not recognised octet by octet is left to the full path, which gives the same answers.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import attrs

from realmgw.allocation.allocator import Allocator
from realmgw.allocation.challenges import Challenge, Proof
from realmgw.config import settings
from realmgw.config.policy import Challenges
from realmgw.dns.aliases import Alias
from realmgw.dns.challenger import NO_CHALLENGES, Challenger
from realmgw.dns.counts import Count, Counts
from realmgw.dns.defences import LIMITED, Defences
from realmgw.dns.message import MAX_MESSAGE, Response, encode
from realmgw.dns.names import MAX_LABEL, MAX_NAME, ROOT, ancestors
from realmgw.dns.ratelimit import Kind, Verdict
from realmgw.dns.usual import A_IN, OPT_BEGINS, Shape, cookie_opts, plain_opts
from realmgw.dns.wire import MIN_UDP_SIZE, Query, Type
from realmgw.dns.zones import Authority, ZoneTable
from realmgw.errors import Reason
from realmgw.subscribers.model import Service

POOL_RECORD = b"\xc0\x0c" + A_IN + b"\0\0\0\0" + b"\0\4"
"""Owner, type, class, TTL 0 and length of a pool address."""

_CNAME_RECORD = b"\xc0\x0c" + Type.CNAME.to_bytes(2, "big") + b"\0\1" + b"\0\0\0\0"
_IN = b"\0\1"
_A = b"\0\1"
_LEFT = frozenset(
    kind.to_bytes(2, "big") for kind in (Type.OPT, Type.TSIG, Type.AXFR, Type.IXFR, Type.ANY, Type.DS)
)  # types with rules of their own
_OPT_MOST = 39  # octets, of our OPT record with a cookie
_REST_MOST = 4 + len(_CNAME_RECORD) + 2 + _OPT_MOST  # octets, of an answer with an alias, besides both names
_NO_PROOF, _COOKIE, _TCP = Proof
_PASS, _DROP, _SLIP = Verdict
_BADCOOKIE, _TC, _CNAME = Challenge


class QuickAnswers:
    """Answers usual queries from octets prepared before.

    Args:
        allocator: Where pool addresses come from.
        challenger: Who must show something first.
        defences: Cookies, aliases, rate limit.
        counts: What is counted.
    """

    def __init__(self, allocator: Allocator, challenger: Challenger, defences: Defences, counts: Counts) -> None:
        self._ask = allocator.ask
        self._challenger = challenger
        self._defences = defences
        self._cookies = defences.cookies
        self._aliases = defences.aliases
        self._events = counts.events
        self._endings: dict[tuple[bytes, int], bytes] = {}

    def regard(self, table: ZoneTable, dns: settings.Dns) -> None:
        """From now on, answer from this table."""
        self._table = table
        self._services = table.services
        self._by_apex = table.zones.by_apex
        self._plain = plain_opts(dns.udp_size)
        self._with_cookie = cookie_opts(dns.udp_size)
        self._udp_size = dns.udp_size
        self._endings.clear()
        self._own_names = {apex: _below_apex(zone) for apex, zone in self._by_apex.items()}
        zone = self._aliases.zone
        self._alias_suffixes = [] if zone is None else ancestors(zone)[:-1]

    def answer(
        self, message: bytes, shape: Shape, end: int, address: tuple[Any, ...], *, now: float, tcp: bool
    ) -> bytes | Reason | None:
        """Answers a query of a usual shape.

        Args:
            message: It.
            shape: What its flags and counts say.
            end: Where, behind the header, the first octet of 0 ends. If the query is usual that is its name's end.
            address: As `Asker.address`.
            now: The present, in monotonic seconds.
            tcp: It came by TCP.

        Returns:
            As `Answers.quick`.
        """
        tail = message[end:]
        if tail[2:4] != _IN:
            return None
        proof = _TCP if tcp else _NO_PROOF
        opt = badcookie = b""
        if shape.with_opt:
            plain = self._plain.get(tail[9:])
            if plain is not None:
                opt = plain
            else:
                known = self._with_cookie.get(tail[9:19])
                if known is None or len(tail) != 19 + known[0] or not self._cookies.enabled:
                    return None
                if self._cookies.proves(tail[19:], address[0], now=now) and not tcp:
                    proof = _COOKIE
                cookie = self._cookies.reply(tail[19:], address[0], now=now)
                opt, badcookie = known[1] + cookie, known[2] + cookie
            if tail[4:7] != OPT_BEGINS:
                return None
        elif len(tail) != 4:
            return None
        name = message[12:end].lower()
        return self._answer(_Usual(message, shape, end, name, address, opt, badcookie, proof), tail[:2], now)

    def _answer(self, asked: _Usual, kind: bytes, now: float) -> bytes | Reason | None:
        service = self._services.get(asked.name)
        if service is not None:
            if service.proxy_required or kind in _LEFT or asked.name in self._table.static:
                return None
            if kind != _A:
                return self._negative(asked, service, now)
            if self._challenger.active:
                rules = self._rules(asked.name)
                challenge = self._challenger.of_name(
                    rules, asked.address[0], proof=asked.proof, cookie=bool(asked.badcookie), now=now
                )
                if challenge is not None:
                    return self._challenge(asked, challenge, now)
            return self._reserve(asked, service, (asked.address, asked.message[:2]), now)
        if kind in _LEFT:
            return None
        alias = self._aliases.find(asked.name, now=now)
        return self._negative(asked, None, now) if alias is None else self._resolve(asked, kind, alias, now)

    def _resolve(self, asked: _Usual, kind: bytes, alias: Alias, now: float) -> bytes | Reason | None:
        """Answers a query for an alias."""
        service = self._services.get(alias.owner)
        if service is None or kind != _A:
            return None
        rules = self._rules(alias.owner)
        challenge = self._challenger.of_alias(
            alias, rules, asked.address[0], proof=asked.proof, cookie=bool(asked.badcookie), now=now
        )
        if challenge is not None:
            return self._challenge(asked, challenge, now)
        return self._reserve(asked, service, alias.name, now)

    def _rules(self, name: bytes) -> Challenges:
        """What the zone of a service wants."""
        uniform = self._challenger.uniform
        if uniform is not None:
            return uniform
        zone = self._table.zones.of(name)
        return NO_CHALLENGES if zone is None else self._challenger.rules(zone.apex)

    def _reserve(self, asked: _Usual, service: Service, question: Hashable, now: float) -> bytes | Reason:
        given = self._ask(service, asked.address[0], question, now=now)
        if type(given) is not bytes:
            return given
        self._events[Count.RESERVED] += 1
        message = asked.message
        return message[:2] + asked.shape.answer + message[12 : asked.end + 4] + POOL_RECORD + given + asked.opt

    # What gives no address

    def _challenge(self, asked: _Usual, challenge: Challenge, now: float) -> bytes | None:
        if challenge is _CNAME:
            return self._send_to_alias(asked, now)
        if challenge is _TC:
            return self._say(asked, asked.shape.truncated, b"", Count.CHALLENGED_TC, now)
        return self._say(asked, asked.shape.badcookie, b"", Count.CHALLENGED_COOKIE, now)

    def _send_to_alias(self, asked: _Usual, now: float) -> bytes | None:
        if not asked.proof and self._defences.limit.active:
            verdict = self._defences.verdict(Kind.CHALLENGE, asked.address[0], self._events, now=now)
            if verdict is not _PASS:
                return self._instead(asked, verdict)
        alias = self._aliases.give(asked.name, asked.address[0], now=now)
        if alias is None:
            self._events[Count.ALIASES_FULL] += 1
            return self._finish(asked, asked.shape.truncated, b"")
        rdata = self._compressed(alias.name, asked.name)
        if asked.end + len(rdata) + _REST_MOST > MIN_UDP_SIZE:
            return None
        self._events[Count.CHALLENGED_CNAME] += 1
        return self._finish(asked, asked.shape.answer, _CNAME_RECORD + len(rdata).to_bytes(2, "big") + rdata)

    def _compressed(self, alias: bytes, owner: bytes) -> bytes:
        """An alias as it stands behind the name that it is for, which is the question's and begins at octet 12."""
        for suffix in self._alias_suffixes:
            if owner.endswith(suffix):
                return alias[: -len(suffix)] + (0xC000 | 12 + len(owner) - len(suffix)).to_bytes(2, "big")
        return alias

    def _negative(self, asked: _Usual, service: Service | None, now: float) -> bytes | None:
        """That there is no such type, no such name, or no such zone here."""
        name, by_apex = asked.name, self._by_apex
        at = above = 0
        while name[at]:
            zone = by_apex.get(name[at:])
            if zone is not None:
                break
            above, at = at, at + 1 + name[at]
            if at >= len(name) or name[above] > MAX_LABEL:
                return None
        else:
            zone = by_apex.get(ROOT)
        if len(name) > MAX_NAME:
            return None
        if zone is None:
            return self._say(asked, asked.shape.refused, b"", Count.REFUSED, now)
        if service is None and (not at or name in self._table.static or name in self._table.below):
            return None
        ending = self._ending(zone, name, above)
        if ending is None:
            return None
        if service is not None:
            return self._say(asked, asked.shape.nodata, ending, Count.NODATA, now)
        return self._say(asked, asked.shape.nxdomain, ending, Count.NXDOMAIN, now)

    def _ending(self, zone: Authority, name: bytes, above: int) -> bytes | None:
        """The SOA as it stands behind a question for a name of this length in a zone.

        None where it depends on more than the length: the SOA's own names may be those that the question's end with.
        """
        if name[above:] in self._own_names[zone.apex]:
            return None
        key = zone.apex, len(name)
        ending = self._endings.get(key)
        if ending is None:
            question = name + A_IN
            whole = encode(
                Query(b"\0\0", 0, question, name), Response(authority=(zone.negative,)), MAX_MESSAGE, self._udp_size
            )
            ending = whole[12 + len(question) :]
            if len(whole) + _OPT_MOST > MIN_UDP_SIZE:
                return None
            self._endings[key] = ending
        return ending

    def _say(self, asked: _Usual, begin: bytes, record: bytes, count: Count, now: float) -> bytes:
        """An answer that is subject to the rate limit, counted."""
        if not asked.proof and self._defences.limit.active:
            verdict = self._defences.verdict(LIMITED[count], asked.address[0], self._events, now=now)
            if verdict is not _PASS:
                return self._instead(asked, verdict)
        self._events[count] += 1
        if count is Count.CHALLENGED_COOKIE:
            asked.opt = asked.badcookie
        return self._finish(asked, begin, record)

    def _instead(self, asked: _Usual, verdict: Verdict) -> bytes:
        return b"" if verdict is _DROP else self._finish(asked, asked.shape.slipped, b"")

    def _finish(self, asked: _Usual, begin: bytes, record: bytes) -> bytes:
        message = asked.message
        return message[:2] + begin + message[12 : asked.end + 4] + record + asked.opt


@attrs.define(eq=False)
class _Usual:
    """A usual query, taken apart."""

    message: bytes
    """As it came."""
    shape: Shape
    """What its flags and counts say."""
    end: int
    """Where its name ends."""
    name: bytes
    """The name: wire form, lower case."""
    address: tuple[Any, ...]
    """As `Asker.address`."""
    opt: bytes
    """Our OPT record, if there shall be one."""
    badcookie: bytes
    """The same for BADCOOKIE, if the query has a cookie."""
    proof: Proof
    """What it shows of its sender."""


def _below_apex(zone: Authority) -> frozenset[bytes]:
    """Of the SOA's own names in a zone: the names above them, or they themselves, that stand right below the apex."""
    found = set()
    for target in zone.soa.targets:
        above = ancestors(target)
        if zone.apex in above and target != zone.apex:
            found.add(above[above.index(zone.apex) - 1])
    return frozenset(found)
