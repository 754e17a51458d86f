"""The fast path's second half: usual queries that are not simply given an address.

Queries with a cookie, for aliases, of zones with challenges, for the zones' own names and the service pool's, and for
what there is not. None of them is decoded; what is not recognised octet by octet is left to the full path, which gives
the same answers.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from realmgw.allocation.allocator import Allocator
from realmgw.allocation.reputation.challenges import Challenge, Proof
from realmgw.config import settings
from realmgw.dns.codec.names import MAX_LABEL, MAX_NAME, ancestors
from realmgw.dns.codec.wire import MIN_UDP_SIZE, Type
from realmgw.dns.counts import Count, Counts
from realmgw.dns.fastpath.prepared import LEFT, OPT_MOST, Found, Respond, StaticOctets, ZoneOctets
from realmgw.dns.fastpath.usual import A_IN, OPT_BEGINS, Shape, cookie_opts, plain_opts
from realmgw.dns.mitigation.aliases import LENGTH, Alias
from realmgw.dns.mitigation.challenger import Challenger
from realmgw.dns.mitigation.defences import Defences
from realmgw.dns.mitigation.ratelimit import Verdict, amplifies
from realmgw.dns.zones import ZoneTable
from realmgw.errors import Reason
from realmgw.subscribers.model import Service

POOL_RECORD = b"\xc0\x0c" + A_IN + b"\0\0\0\0" + b"\0\4"
"""Owner, type, class, TTL 0 and length of a pool address."""

_CNAME_RECORD = b"\xc0\x0c" + Type.CNAME.to_bytes(2, "big") + b"\0\1" + b"\0\0\0\0"
_IN = b"\0\1"
_A, _AAAA, _ANY = (kind.to_bytes(2, "big") for kind in (Type.A, Type.AAAA, Type.ANY))
_REST_MOST = 4 + len(_CNAME_RECORD) + 2 + OPT_MOST  # octets, of an answer with an alias, besides both names
_NO_PROOF, _COOKIE, _TCP = Proof  # members of enums are slow to get at by name
_PASS, _DROP = Verdict.PASS, Verdict.DROP
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
        respond: What the full path says to whoever asks; it is put into octets once, and remembered.
    """

    def __init__(
        self, allocator: Allocator, challenger: Challenger, defences: Defences, counts: Counts, respond: Respond
    ) -> None:
        self._ask = allocator.ask
        self._challenger = challenger
        self._defences = defences
        self._cookies = defences.cookies
        self._aliases = defences.aliases
        self._events = counts.events
        self._judge = defences.limit.judge
        self._respond = respond

    def configure(self, table: ZoneTable, dns: settings.Dns) -> None:
        """From now on, answer from this table."""
        self._services, self._below = table.services, table.below
        self._static = StaticOctets(table, self._respond, dns.udp_size)
        self._own_names = table.static
        self._zones = {apex: ZoneOctets(zone, dns.udp_size) for apex, zone in table.zones.by_apex.items()}
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
        """Answers a query of a usual shape, and returns what `Answers.quick` does.

        Args:
            message: It.
            shape: What its flags and counts say.
            end: Where, behind the header, the first octet of 0 ends. If the query is usual that is its name's end.
            service: What has this name, if it is one.
            address: As `Asker.address`.
            now: The present, in monotonic seconds.
            tcp: It came by TCP.
        """
        tail = message[end:]
        kind = tail[:2]
        unusual = tail[4:7] != OPT_BEGINS if shape.with_opt else len(tail) != 4
        if unusual or tail[2:4] != _IN or kind in LEFT:
            return None
        proof = _TCP if tcp else _NO_PROOF
        opt = badcookie = b""
        if shape.with_opt:
            opt = self._plain.get(tail[9:], b"")
            if not opt:
                read = self._read_cookie(tail, address[0], now)
                if read is None:
                    return None
                proof, opt, badcookie = proof or read[0], read[1], read[2]
        name = message[12:end].lower()
        asked = message, shape, end, name, address, opt, badcookie, proof
        if service is not None and (kind == _A or service.terms.proxy_required):
            return self._serve(asked, service, kind, now)
        if name in self._own_names:
            found = self._static.own(name, kind)
            return None if found is None else self._say(asked, found, now)
        if service is not None:
            return None if kind == _ANY else self._negative(asked, True, now)
        if name[0] == LENGTH and (alias := self._aliases.find(name, now=now)) is not None:
            return self._resolve(asked, alias, kind, now)
        return self._negative(asked, False, now)

    def _read_cookie(self, tail: bytes, address: str, now: float) -> tuple[Proof, bytes, bytes] | None:
        """What a cookie proves, and our OPT record for an answer and for BADCOOKIE; None if there is something else."""
        known = self._with_cookie.get(tail[9:19])
        if known is None or len(tail) != 19 + known[0] or not self._cookies.enabled:
            return None
        proof = _COOKIE if self._cookies.proves(tail[19:], address, now=now) else _NO_PROOF
        cookie = self._cookies.reply(tail[19:], address, now=now)
        return proof, known[1] + cookie, known[2] + cookie

    def _serve(self, asked: _Usual, service: Service, kind: bytes, now: float) -> bytes | Reason | None:
        """Answers a query for the address of a service, or for anything of one that needs a proxy."""
        message, _, _, name, address, _, badcookie, proof = asked
        if service.terms.proxy_required:
            found = self._static.pooled(name, kind, service) if kind in (_A, _AAAA) else None
            if found is None and name in self._own_names:
                found = self._static.own(name, kind)
            if found is not None:
                return self._say(asked, found, now)
            return None if kind == _ANY else self._negative(asked, True, now)
        if self._challenger.active:
            cookie = badcookie != b""
            challenge = self._challenger.demand(name, None, address[0], proof=proof, cookie=cookie, now=now)
            if challenge is not None:
                return self._challenge(asked, challenge, now)
        return self._reserve(asked, service, (address, message[:2]), now)

    def _resolve(self, asked: _Usual, alias: Alias, kind: bytes, now: float) -> bytes | Reason | None:
        """Answers a query for an alias."""
        _, _, _, name, address, _, badcookie, proof = asked
        service = self._services.get(alias.owner)
        if service is None or service.terms.proxy_required:
            return None
        if kind != _A:
            return self._negative(asked, True, now)
        cookie = badcookie != b""
        challenge = self._challenger.demand(name, alias, address[0], proof=proof, cookie=cookie, now=now)
        if challenge is not None:
            return self._challenge(asked, challenge, now)
        return self._reserve(asked, service, alias.name, now)

    def _reserve(self, asked: _Usual, service: Service, question: Hashable, now: float) -> bytes | Reason:
        message, shape, end, _, address, opt, _, proof = asked
        if proof:
            self._challenger.vouch(address[0], proof, now=now)
        given = self._ask(service, address[0], question, now=now)
        if type(given) is not bytes:
            return given
        self._events[_RESERVED] += 1
        return message[:2] + shape.answer + message[12 : end + 4] + POOL_RECORD + given + opt

    # What gives no address

    def _challenge(self, asked: _Usual, challenge: Challenge, now: float) -> bytes | None:
        message, shape, end, _, _, opt, badcookie, _ = asked
        if challenge is _CNAME:
            return self._send_to_alias(asked, now)
        if challenge is _TC:
            self._events[_CHALLENGED_TC] += 1
            return message[:2] + shape.truncated + message[12 : end + 4] + opt
        self._events[_CHALLENGED_COOKIE] += 1
        return message[:2] + shape.badcookie + message[12 : end + 4] + badcookie

    def _send_to_alias(self, asked: _Usual, now: float) -> bytes | None:
        message, shape, end, name, address, opt, _, _ = asked
        alias = self._aliases.give(name, address[0], now=now)
        rdata = b"" if alias is None else self._compressed(alias.name, name)
        if end + len(rdata) + _REST_MOST > MIN_UDP_SIZE:
            return None
        if (other := self._limited(asked, len(_CNAME_RECORD) + 2 + len(rdata), now)) is not None:
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

    def _negative(self, asked: _Usual, exists: bool, now: float) -> bytes | None:
        """That there is no such type, no such name, or no such zone here.

        Args:
            asked: The query; not for a zone's own name.
            exists: There is such a name.
            now: The present, in monotonic seconds.
        """
        message, shape, end, name, _, opt, _, _ = asked
        at = above = 0
        zones = self._zones
        zone = zones.get(name)
        while zone is None and name[at]:
            above, at = at, at + 1 + name[at]
            if at >= len(name) or at - above > MAX_LABEL + 1:
                return None
            zone = zones.get(name[at:])
        ending = b"" if zone is None else zone.ending(name, above)
        if ending is None or len(name) > MAX_NAME:
            return None
        if zone is None:
            count, begin = _REFUSED, shape.refused
        elif exists or name in self._below:
            count, begin = _NODATA, shape.nodata
        else:
            count, begin = _NXDOMAIN, shape.nxdomain
        if (other := self._limited(asked, len(ending), now)) is not None:
            return other
        self._events[count] += 1
        return message[:2] + begin + message[12 : end + 4] + ending + opt

    def _say(self, asked: _Usual, found: Found, now: float) -> bytes:
        """What is the same for whoever asks."""
        message, shape, end, _, _, opt, _, _ = asked
        if (other := self._limited(asked, len(found.ending), now)) is not None:
            return other
        self._events[found.count] += 1
        return message[:2] + shape.found + found.counts[shape.with_opt] + message[12 : end + 4] + found.ending + opt

    def _limited(self, asked: _Usual, records: int, now: float) -> bytes | None:
        """What is said in place of records of so many octets to whom too much is said already; None: the records."""
        message, shape, end, _, address, opt, _, proof = asked
        if proof or not amplifies(len(message), end + 4 + records + len(opt)):
            return None
        verdict = self._judge(address[0], now=now)
        if verdict is _PASS or (verdict := self._defences.enforced(verdict, self._events)) is _PASS:
            return None
        return b"" if verdict is _DROP else message[:2] + shape.slipped + message[12 : end + 4] + opt


_Usual = tuple[bytes, Shape, int, bytes, tuple[Any, ...], bytes, bytes, Proof]
"""A usual query, taken apart: as it came, its shape, where its name ends, its name (lower case), where it came from,
our OPT record for an answer and for BADCOOKIE (empty if there shall be none), and what it proves. A tuple, since an
object costs as much as the look-up that it is for."""
