"""The fast path's second half: usual queries that are not simply given an address.

Queries with a cookie, for aliases, of zones with challenges, and for what there is not. None of them is decoded; what
is not recognised octet by octet is left to the full path, which gives the same answers.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from realmgw.allocation.allocator import Allocator
from realmgw.allocation.challenges import Challenge, Proof
from realmgw.config import settings
from realmgw.config.policy import Challenges
from realmgw.dns.aliases import LENGTH, Alias
from realmgw.dns.challenger import NO_CHALLENGES, Challenger
from realmgw.dns.counts import Count, Counts
from realmgw.dns.defences import Defences
from realmgw.dns.message import MAX_MESSAGE, Response, encode
from realmgw.dns.names import MAX_LABEL, MAX_NAME, ancestors
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
_NO_PROOF, _COOKIE, _TCP = Proof  # members of enums are slow to get at by name
_PASS, _DROP = Verdict.PASS, Verdict.DROP
_REFUSALS, _NXDOMAINS, _NODATAS, _CHALLENGES = Kind.REFUSED, Kind.NXDOMAIN, Kind.NODATA, Kind.CHALLENGE
_RESERVED, _REFUSED, _NXDOMAIN, _NODATA = Count.RESERVED, Count.REFUSED, Count.NXDOMAIN, Count.NODATA
_CHALLENGED_COOKIE, _CHALLENGED_TC = Count.CHALLENGED_COOKIE, Count.CHALLENGED_TC
_CHALLENGED_CNAME, _ALIASES_FULL = Count.CHALLENGED_CNAME, Count.ALIASES_FULL
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
        self._judge = defences.limit.judge

    def regard(self, table: ZoneTable, dns: settings.Dns) -> None:
        """From now on, answer from this table."""
        self._table = table
        self._services = table.services
        self._zones = {apex: _ZoneOctets(zone, dns.udp_size) for apex, zone in table.zones.by_apex.items()}
        self._plain = plain_opts(dns.udp_size)
        self._with_cookie = cookie_opts(dns.udp_size)
        zone = self._aliases.zone
        self._alias_suffixes = [] if zone is None else ancestors(zone)[:-1]

    def answer(
        self,
        message: bytes,
        shape: Shape,
        end: int,
        service: Service | None,
        address: tuple[Any, ...],
        *,
        now: float,
        tcp: bool,
    ) -> bytes | Reason | None:
        """Answers a query of a usual shape.

        Args:
            message: It.
            shape: What its flags and counts say.
            end: Where, behind the header, the first octet of 0 ends. If the query is usual that is its name's end.
            service: What has this name, if it is one.
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
                read = self._read_cookie(tail, address[0], now)
                if read is None:
                    return None
                opt, badcookie = read[1], read[2]
                proof = proof or read[0]
            if tail[4:7] != OPT_BEGINS:
                return None
        elif len(tail) != 4:
            return None
        asked = message, shape, end, message[12:end].lower(), address, opt, badcookie, proof
        if service is not None:
            return self._serve(asked, service, tail[:2], now)
        if asked[3][0] == LENGTH and (alias := self._aliases.find(asked[3], now=now)) is not None:
            return self._resolve(asked, alias, tail[:2], now)
        return self._negative(asked, None, tail[:2], now)

    def _read_cookie(self, tail: bytes, address: str, now: float) -> tuple[Proof, bytes, bytes] | None:
        """What a cookie proves, and our OPT record for an answer and for BADCOOKIE; None if there is something else."""
        known = self._with_cookie.get(tail[9:19])
        if known is None or len(tail) != 19 + known[0] or not self._cookies.enabled:
            return None
        proof = _COOKIE if self._cookies.proves(tail[19:], address, now=now) else _NO_PROOF
        cookie = self._cookies.reply(tail[19:], address, now=now)
        return proof, known[1] + cookie, known[2] + cookie

    def _serve(self, asked: _Usual, service: Service, kind: bytes, now: float) -> bytes | Reason | None:
        """Answers a query for a service's name."""
        message, _, _, name, address, _, badcookie, proof = asked
        if service.proxy_required:
            return None
        if kind != _A:
            return None if name in self._table.static else self._negative(asked, service, kind, now)
        if self._challenger.active:
            challenge = self._challenger.of_name(
                self._rules(name), address[0], proof=proof, cookie=badcookie != b"", now=now
            )
            if challenge is not None:
                return self._challenge(asked, challenge, now)
        return self._reserve(asked, service, (address, message[:2]), now)

    def _resolve(self, asked: _Usual, alias: Alias, kind: bytes, now: float) -> bytes | Reason | None:
        """Answers a query for an alias."""
        _, _, _, _, address, _, badcookie, proof = asked
        service = self._services.get(alias.owner)
        if service is None or kind != _A:
            return None
        challenge = self._challenger.of_alias(
            alias, self._rules(alias.owner), address[0], proof=proof, cookie=badcookie != b"", now=now
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
        message, shape, end, _, address, opt, _, _ = asked
        given = self._ask(service, address[0], question, now=now)
        if type(given) is not bytes:
            return given
        self._events[_RESERVED] += 1
        return message[:2] + shape.answer + message[12 : end + 4] + POOL_RECORD + given + opt

    # What gives no address

    def _challenge(self, asked: _Usual, challenge: Challenge, now: float) -> bytes | None:
        message, shape, end, _, address, opt, badcookie, proof = asked
        if challenge is _CNAME:
            return self._send_to_alias(asked, now)
        verdict = _PASS if proof else self._judge(_CHALLENGES, address[0], now=now)
        if verdict is not _PASS and (other := self._exceeded(asked, verdict)) is not None:
            return other
        if challenge is _TC:
            self._events[_CHALLENGED_TC] += 1
            return message[:2] + shape.truncated + message[12 : end + 4] + opt
        self._events[_CHALLENGED_COOKIE] += 1
        return message[:2] + shape.badcookie + message[12 : end + 4] + badcookie

    def _send_to_alias(self, asked: _Usual, now: float) -> bytes | None:
        message, shape, end, name, address, opt, _, proof = asked
        alias = self._aliases.give(name, address[0], now=now)
        rdata = b"" if alias is None else self._compressed(alias.name, name)
        if end + len(rdata) + _REST_MOST > MIN_UDP_SIZE:
            return None
        verdict = _PASS if proof else self._judge(_CHALLENGES, address[0], now=now)
        if verdict is not _PASS and (other := self._exceeded(asked, verdict)) is not None:
            return other
        if not rdata:
            self._events[_ALIASES_FULL] += 1
            return message[:2] + shape.truncated + message[12 : end + 4] + opt
        self._events[_CHALLENGED_CNAME] += 1
        record = _CNAME_RECORD + len(rdata).to_bytes(2, "big") + rdata
        return message[:2] + shape.answer + message[12 : end + 4] + record + opt

    def _compressed(self, alias: bytes, owner: bytes) -> bytes:
        """An alias as it stands behind the name that it is for, which is the question's and begins at octet 12."""
        for suffix in self._alias_suffixes:
            if owner.endswith(suffix):
                return alias[: -len(suffix)] + (0xC000 | 12 + len(owner) - len(suffix)).to_bytes(2, "big")
        return alias

    def _negative(self, asked: _Usual, service: Service | None, kind: bytes, now: float) -> bytes | None:
        """That there is no such type, no such name, or no such zone here."""
        message, shape, end, name, address, opt, _, proof = asked
        at = above = 0
        zones = self._zones
        zone = zones.get(name)
        while zone is None and name[at]:
            above, at = at, at + 1 + name[at]
            if at >= len(name) or at - above > MAX_LABEL + 1:
                return None
            zone = zones.get(name[at:])
        if kind in _LEFT or len(name) > MAX_NAME:
            return None
        if zone is None:
            number, count, begin, ending = _REFUSALS, _REFUSED, shape.refused, b""
        else:
            found = zone.ending(name, above)
            if found is None:
                return None
            if service is not None:
                number, count, begin, ending = _NODATAS, _NODATA, shape.nodata, found
            elif at and name not in self._table.static and name not in self._table.below:
                number, count, begin, ending = _NXDOMAINS, _NXDOMAIN, shape.nxdomain, found
            else:
                return None
        if not proof:
            verdict = self._judge(number, address[0], now=now)
            if verdict is not _PASS and (other := self._exceeded(asked, verdict)) is not None:
                return other
        self._events[count] += 1
        return message[:2] + begin + message[12 : end + 4] + ending + opt

    def _exceeded(self, asked: _Usual, verdict: Verdict) -> bytes | None:
        """What is said to whom too much is said already; None: what was to be said, since that is only counted."""
        verdict = self._defences.enforced(verdict, self._events)
        if verdict is _PASS:
            return None
        message, shape, end, _, _, opt, _, _ = asked
        return b"" if verdict is _DROP else message[:2] + shape.slipped + message[12 : end + 4] + opt


_Usual = tuple[bytes, Shape, int, bytes, tuple[Any, ...], bytes, bytes, Proof]
"""A usual query, taken apart: as it came, its shape, where its name ends, its name (lower case), where it came from,
our OPT record for an answer and for BADCOOKIE (empty if there shall be none), and what it proves. A tuple, since an
object costs as much as the look-up that it is for."""


class _ZoneOctets:
    """How negative answers of a zone end."""

    def __init__(self, zone: Authority, udp_size: int) -> None:
        self._zone = zone
        self._udp_size = udp_size
        self._own = _below_apex(zone)
        self._endings: dict[int, bytes] = {}

    def ending(self, name: bytes, above: int) -> bytes | None:
        """The SOA as it stands behind a question for a name of this length.

        None where it depends on more than the length: a name below those that the SOA names, and a long one.

        Args:
            name: The name: wire form, lower case.
            above: Where in it the label right below the apex begins.
        """
        if name[above:] in self._own:
            return None
        ending = self._endings.get(len(name))
        return self._make(name) if ending is None else ending

    def _make(self, name: bytes) -> bytes | None:
        asked, said = Query(b"\0\0", 0, name + A_IN, name), Response(authority=(self._zone.negative,))
        whole = encode(asked, said, MAX_MESSAGE, self._udp_size)
        if len(whole) + _OPT_MOST > MIN_UDP_SIZE:
            return None
        ending = self._endings[len(name)] = whole[12 + len(asked.question) :]
        return ending


def _below_apex(zone: Authority) -> frozenset[bytes]:
    """Of the SOA's own names in a zone: the names above them, or they themselves, that stand right below the apex."""
    found = set()
    for target in zone.soa.targets:
        above = ancestors(target)
        if zone.apex in above and target != zone.apex:
            found.add(above[above.index(zone.apex) - 1])
    return frozenset(found)
