"""The fast path: usual queries, answered from octets that were built before.

It takes a query apart without decoding it; what is not recognised octet by octet is left to the full path. What becomes
of a question is decided by the same `Decisions`, so both give the same answers: this is the one half of them that is in
a hurry.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from realmgw.allocation.allocator import Allocator
from realmgw.allocation.reputation.challenges import Challenge, Proof
from realmgw.config import settings
from realmgw.dns.codec.names import ancestors
from realmgw.dns.codec.wire import MIN_UDP_SIZE, Type
from realmgw.dns.counts import Count, Counts
from realmgw.dns.decision import Decision, Decisions, Outcome
from realmgw.dns.fastpath.headers import (
    A_IN,
    HEADERS,
    KINDS,
    KINDS_WITH_OPT,
    LEFT,
    OPT_BEGINS,
    Header,
    cookie_opts,
    plain_opts,
)
from realmgw.dns.fastpath.prebuilt import OPT_MOST, StaticOctets, ZoneOctets
from realmgw.dns.inside import Inside
from realmgw.dns.mitigation.challenger import Challenger
from realmgw.dns.mitigation.defences import Defences
from realmgw.dns.mitigation.ratelimit import Verdict, amplifies
from realmgw.dns.zones import Authority, ZoneTable
from realmgw.errors import Reason

POOL_RECORD = b"\xc0\x0c" + A_IN + b"\0\0\0\0" + b"\0\4"
"""Owner, type, class, TTL 0 and length of an IPv4 address of the pool."""
POOL_RECORD6 = b"\xc0\x0c" + Type.AAAA.to_bytes(2, "big") + A_IN[2:] + b"\0\0\0\0" + b"\0\x10"
"""The same of IPv6."""

_FOUR, _SIX = (4, 0, POOL_RECORD), (6, 1, POOL_RECORD6)
"""The family of the pool, the place of the type in `counts.TYPES`, and how an address of it begins."""
_CNAME_RECORD = b"\xc0\x0c" + Type.CNAME.to_bytes(2, "big") + b"\0\1" + b"\0\0\0\0"
_IN = b"\0\1"
_ASKED = 4  # octets, of type and class
REMEMBERED = 4096
"""So many queries for services are remembered, without their IDs: what follows from those is the same each time."""
_REST_MOST = 4 + len(_CNAME_RECORD) + 2 + OPT_MOST  # octets, of an answer with an alias, besides both names
_A = int(Type.A)
_NO_PROOF, _COOKIE, _TCP = Proof  # members of enums are slow to get at by name
_PASS, _DROP = Verdict.PASS, Verdict.DROP
_LENT, _CHALLENGED, _ADDRESSES, _OWN = Outcome.LENT, Outcome.CHALLENGED, Outcome.ADDRESSES, Outcome.OWN
_NODATA, _ELSEWHERE = Outcome.NODATA, Outcome.ELSEWHERE
_TC, _CNAME = Challenge.TC, Challenge.CNAME
_NODATA_COUNT, _NXDOMAIN_COUNT, _REFUSED_COUNT = Count.NODATA, Count.NXDOMAIN, Count.REFUSED
_CHALLENGED_COOKIE, _CHALLENGED_TC = Count.CHALLENGED_COOKIE, Count.CHALLENGED_TC
_CHALLENGED_CNAME, _ALIASES_FULL = Count.CHALLENGED_CNAME, Count.ALIASES_FULL


class FastPath:
    """Answers the WAN's usual queries.

    Args:
        decisions: What becomes of them.
        inside: Those whom the view has other answers for, so they are left.
        allocator: Where pool addresses come from.
        challenger: Learns what a query has shown.
        defences: Cookies, aliases, rate limit.
        counts: What is counted.
    """

    def __init__(
        self,
        decisions: Decisions,
        inside: Inside,
        allocator: Allocator,
        challenger: Challenger,
        defences: Defences,
        counts: Counts,
    ) -> None:
        self._decisions = decisions
        self._inside = inside
        self._ask = allocator.ask
        self._challenger = challenger
        self._defences = defences
        self._cookies, self._aliases = defences.cookies, defences.aliases
        self._events, self._types, self._asked = counts.events, counts.types, counts.asked
        self._remembered: dict[bytes, _Apart] = {}

    def configure(self, settings: settings.Settings, table: ZoneTable) -> None:
        """From the next query on, go by these; all others were told them before."""
        size = settings.dns.udp_size
        self._services, self._lent = table.services, self._decisions.lent
        self._lets_pass = _pass if self._decisions.free else self._challenger.lets_pass
        self._lends6 = self._decisions.lends6
        self._static = StaticOctets(table, self._decisions, size)
        self._zones = _Zones(size)
        self._remembered = {}
        self._plain, self._with_cookie = plain_opts(size), cookie_opts(size)
        zone = self._aliases.zone
        self._alias_suffixes = [] if zone is None else ancestors(zone)[:-1]

    def answer(
        self, message: bytes, address: tuple[Any, ...], resolver: str = "", *, now: float, tcp: bool = False
    ) -> bytes | Reason | None:
        """Answers a query, as `realmgw.dns.view.Fast` says.

        What follows from its octets alone is remembered; what hangs on who asks, and when, is not.
        """
        source, near = address[0], self._inside
        if source.startswith(near.beginnings) and near.holds(source):
            return None
        apart = self._remembered.get(message[2:])
        if apart is None and (apart := self._take_apart(message)) is None:
            return None
        end, name, kind, family, place, begin, opt = apart
        proof, has_cookie, badcookie = _TCP if tcp else _NO_PROOF, False, b""
        if opt is None:
            read = self._read_cookie(message[end:], source, now)
            if read is None:
                return None
            has_cookie, opt, badcookie = True, read[1], read[2]
            proof = proof or read[0]
        who = resolver or source
        question: Hashable = (address, message[:2])
        is_free = kind in self._lent and not proof and self._lets_pass(who, now)
        service = self._services.get(name) if is_free else None
        if service is None or not (service.direct4 if family == 4 else service.direct6 and self._lends6(service.host)):
            decision = self._decisions.decide(name, kind, who, proof, has_cookie, now)
            outcome, service, alias, counted, _ = decision
            if outcome is not _LENT or service is None:
                asked = message, HEADERS[message[2:12]][2], end, name, source, who, opt, badcookie, proof
                return self._tell(asked, kind, decision, now)
            self._challenger.accept(name, alias, counted, who, proof, now)
            if alias is not None:
                question = alias.name
        given = self._ask(service, who, question, now=now, family=family)
        if type(given) is not bytes:
            return given
        self._events[0] += 1  # Count.RESERVED; looking the member up costs more than counting
        self._types[place] += 1
        return b"".join((message[:2], begin, given, opt))

    def _take_apart(self, message: bytes) -> _Apart | None:
        """What a query says by its octets behind the ID; None if it is not usual.

        Only the name is lower-cased, since type and class may look like letters (HTTPS is 65, which is `A`). Where it
        ends is where the first octet of 0 is; that it is a name is known when it is found in a table.
        """
        known = HEADERS.get(message[2:12])
        if known is None:
            return None
        end = message.find(0, 12) + 1
        tail = message[end:]
        if known[1]:
            kind, opt = KINDS_WITH_OPT.get(tail[:7]), self._plain.get(tail[9:])
        else:
            kind, opt = KINDS.get(tail), b""
        if kind is None and (kind := _rare_kind(tail, known[1])) is None:
            return None
        family, place, record = _FOUR if kind == _A else _SIX
        name = message[12:end].lower()
        apart = end, name, kind, family, place, known[0] + message[12 : end + 4] + record, opt
        if opt is not None and name in self._services and name == message[12:end]:  # cookies, and who mixes cases, vary
            if len(self._remembered) >= REMEMBERED:
                self._remembered.clear()
            self._remembered[message[2:]] = apart
        return apart

    def _read_cookie(self, tail: bytes, source: str, now: float) -> tuple[Proof, bytes, bytes] | None:
        """What a cookie proves, and our OPT record for an answer and for BADCOOKIE; None if there is something else."""
        known = self._with_cookie.get(tail[9:19])
        if known is None or len(tail) != 19 + known[0] or not self._cookies.enabled:
            return None
        proof = _COOKIE if self._cookies.proves(tail[19:], source, now=now) else _NO_PROOF
        cookie = self._cookies.reply(tail[19:], source, now=now)
        return proof, known[1] + cookie, known[2] + cookie

    # What gives no address

    def _tell(self, asked: _Usual, kind: int, decision: Decision, now: float) -> bytes | None:
        """What is said without the allocator; None if that was not built before, and nothing is counted."""
        said = self._said(asked, kind, decision, now)
        if said is not None:
            self._asked(kind)
        return said

    def _said(self, asked: _Usual, kind: int, decision: Decision, now: float) -> bytes | None:
        outcome, _, alias, challenge, zone = decision
        message, header, end, name, _, resolver, opt, _, proof = asked
        if zone is not None:
            octets = self._zones[zone]
            ending = None if name.endswith(octets.near) else octets.endings.get(len(name))
            if ending is None and (ending := octets.ending(name)) is None:
                return None
            begin, count = header.nxdomain, _NXDOMAIN_COUNT
            if outcome is _NODATA:
                begin, count = header.nodata, _NODATA_COUNT
        elif outcome is _ELSEWHERE:
            begin, ending, count = header.refused, b"", _REFUSED_COUNT
        elif outcome is _CHALLENGED:
            said = self._challenge(asked, challenge, now)
            if said is not None and self._challenger.logs:
                self._challenger.send_round(name, alias, resolver, proof)
            return said
        else:
            found = self._static.find(name, kind, decision) if outcome is _OWN or outcome is _ADDRESSES else None
            if found is None:
                return None
            begin, ending, count = header.found + found.counts[header.with_opt], found.ending, found.count
        if not proof and amplifies(len(message), end + 4 + len(ending) + len(opt)):
            other = self._instead(asked, now)
            if other is not None:
                return other
        self._events[count] += 1
        return message[:2] + begin + message[12 : end + 4] + ending + opt

    def _challenge(self, asked: _Usual, challenge: Challenge | None, now: float) -> bytes | None:
        message, header, end, _, _, _, opt, badcookie, _ = asked
        if challenge is _CNAME:
            return self._send_to_alias(asked, now)
        if challenge is _TC:
            self._events[_CHALLENGED_TC] += 1
            return message[:2] + header.truncated + message[12 : end + 4] + opt
        self._events[_CHALLENGED_COOKIE] += 1
        return message[:2] + header.badcookie + message[12 : end + 4] + badcookie

    def _send_to_alias(self, asked: _Usual, now: float) -> bytes | None:
        message, header, end, name, _, resolver, opt, _, proof = asked
        alias = self._aliases.give(name, resolver, now=now)
        rdata = b"" if alias is None else self._compressed(alias.name, name)
        if end + len(rdata) + _REST_MOST > MIN_UDP_SIZE:
            return None
        if not proof and amplifies(len(message), end + 4 + len(_CNAME_RECORD) + 2 + len(rdata) + len(opt)):
            other = self._instead(asked, now)
            if other is not None:
                return other
        if not rdata:
            self._events[_ALIASES_FULL] += 1
            return message[:2] + header.truncated + message[12 : end + 4] + opt
        self._events[_CHALLENGED_CNAME] += 1
        record = _CNAME_RECORD + len(rdata).to_bytes(2, "big") + rdata
        return message[:2] + header.answer + message[12 : end + 4] + record + opt

    def _compressed(self, alias: bytes, owner: bytes) -> bytes:
        """An alias as it stands behind the name that it is for, which is the question's and begins at octet 12."""
        for suffix in self._alias_suffixes:
            if owner.endswith(suffix):
                return alias[: -len(suffix)] + (0xC000 | 12 + len(owner) - len(suffix)).to_bytes(2, "big")
        return alias

    def _instead(self, asked: _Usual, now: float) -> bytes | None:
        """What is said in place of an answer that amplifies to whom too much is said already; None: the answer."""
        message, header, end, _, source, _, opt, _, _ = asked
        verdict = self._defences.verdict(source, self._events, now=now)
        if verdict is _PASS:
            return None
        return b"" if verdict is _DROP else message[:2] + header.slipped + message[12 : end + 4] + opt


def _pass(resolver: str, now: float) -> bool:
    """Lets everybody pass, where nobody is challenged."""
    del resolver, now
    return True


def _rare_kind(tail: bytes, with_opt: int) -> int | None:
    """The type asked for, if it is just one that is rare; None if that is not all that is unusual."""
    kind = tail[0] << 8 | tail[1] if len(tail) >= _ASKED else 0
    unusual = tail[4:7] != OPT_BEGINS if with_opt else len(tail) != _ASKED
    return None if unusual or tail[2:4] != _IN or kind in LEFT else kind


class _Zones(dict[Authority, ZoneOctets]):
    """How negative answers end, by zones: each when it is first asked for, since there may be tens of thousands."""

    def __init__(self, udp_size: int) -> None:
        super().__init__()
        self._udp_size = udp_size

    def __missing__(self, zone: Authority) -> ZoneOctets:
        octets = self[zone] = ZoneOctets(zone, self._udp_size)
        return octets


_Apart = tuple[int, bytes, int, int, int, bytes, "bytes | None"]
"""What a query says by its octets: where its name ends, it (lower case), the type; the family of the pool whose address
would be the answer, where it is counted, and how it begins behind the ID, up to the address; our OPT record, see
`_Usual`, but None if the query's has options."""
_Usual = tuple[bytes, Header, int, bytes, str, str, bytes, bytes, Proof]
"""A usual query, taken apart: as it came, how answers to it begin, where its name ends, its name (lower case), where it
came from and who that is, our OPT record for an answer and for BADCOOKIE (empty if there shall be none), and what it
proves. A tuple, since an object costs as much as the look-up that it is for."""
