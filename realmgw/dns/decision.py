"""What a question comes to: one decision, whoever puts it into octets, and whoever wants it explained.

Nothing is changed or counted here. A decision holds for who asks, how, and at that moment; what is said by it is either
lent or a challenge, which a view sees to, or the same for whoever asks, which is what `Decisions.response` is.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping

import attrs

from realmgw.allocation.reputation.challenges import Challenge, Proof
from realmgw.config import settings
from realmgw.dns.codec.message import Record, Response
from realmgw.dns.codec.names import MAX_LABEL, MAX_NAME, to_wire
from realmgw.dns.codec.wire import Rcode, Type
from realmgw.dns.families import Families, Source
from realmgw.dns.mitigation.aliases import LENGTH, Alias
from realmgw.dns.mitigation.challenger import Challenger
from realmgw.dns.zones import Authority, RecordSets, ZoneTable, address_record
from realmgw.subscribers.model import Host, Service

ADDRESS_TYPES = frozenset((Type.A, Type.AAAA))

_MINIMAL_ANY = b"\x07RFC8482\0"  # HINFO: CPU "RFC8482", OS "" (RFC 8482 section 4.2)
_A, _ANY, _DS = int(Type.A), int(Type.ANY), int(Type.DS)


class Outcome(enum.IntEnum):
    """What is done with a question."""

    LENT = 0
    """An address is reserved, if there is one."""
    CHALLENGED = 1
    """Its sender has to show something first."""
    ADDRESSES = 2
    """The addresses of the service are told, the same to everybody."""
    OWN = 3
    """There are records of the name besides a service's, of this type or of others."""
    ANY = 4
    """Whatever there is of a service was asked for."""
    NODATA = 5
    """There is such a name, but nothing of this type."""
    NXDOMAIN = 6
    """There is no such name in our zones."""
    ELSEWHERE = 7
    """It lies in none of our zones."""
    BAD_NAME = 8
    """It is no name at all, which is only known now to who has not decoded it."""


Decision = tuple[Outcome, Service | None, Alias | None, Challenge | None, Authority | None]
"""The outcome; the service that the name, or what its alias stands for, is of; that alias; the challenge that is due
(of `LENT`: and is only counted); and the zone, of what there is not. A tuple, since an object costs more than that."""

_LENT, _CHALLENGED, _ADDRESSES = Outcome.LENT, Outcome.CHALLENGED, Outcome.ADDRESSES  # slow to get at by name
_NODATA, _NXDOMAIN = Outcome.NODATA, Outcome.NXDOMAIN
_OWN: Decision = (Outcome.OWN, None, None, None, None)
_ELSEWHERE: Decision = (Outcome.ELSEWHERE, None, None, None, None)
_BAD_NAME: Decision = (Outcome.BAD_NAME, None, None, None, None)
UNDECIDED = _BAD_NAME
"""Nothing is known yet."""


@attrs.frozen(eq=False)
class AddressPolicy:
    """Which addresses of services a view gives; sets are of record types."""

    addresses: Callable[[Service], tuple[bytes, ...]]
    """The packed addresses that are told of a service."""
    ttl: int
    """Theirs, in seconds."""
    families: Families | None = None
    """What is lent to who asks, of services that need no proxy; None: nothing."""
    direct: frozenset[int] = frozenset()
    """What is told of services that need no proxy."""
    proxied: frozenset[int] = frozenset()
    """What is told of services that do."""
    pointers: bool = False
    """The hosts' addresses have PTR records."""


class Decisions:
    """What a view says of our zones.

    Args:
        policy: What is to be given of services by some settings.
        challenger: Who must show something before he is lent an address, and which aliases there are; None where
            nothing is lent.
        is_forwarding: Whether resolvers, if there are any, are asked what lies in no zone of ours.

    Attributes:
        lent: What is lent: types of addresses, of services by their own names that need no proxy, if their hosts have
            an IPv4 address (A), or as `lends6` says (AAAA).
        free: Those of them that are lent without further ado.
        lends6: Whether AAAA of a host is lent.
    """

    def __init__(
        self,
        policy: Callable[[settings.Settings], AddressPolicy],
        challenger: Challenger | None = None,
        *,
        is_forwarding: bool = False,
    ) -> None:
        self._make_policy, self._is_forwarding = policy, is_forwarding
        self.challenger = challenger

    def configure(self, settings: settings.Settings, table: ZoneTable) -> None:
        """From now on, decide by these; the challenger was told them before."""
        self._policy = policy = self._make_policy(settings)
        self._direct, self._proxied, families = policy.direct, policy.proxied, policy.families
        self.lent = frozenset[int]() if families is None else families.lent
        self.lends6: Callable[[Host], bool] = _lends_none if families is None else families.lends6
        challenging = self.challenger is not None and self.challenger.active
        self.free = frozenset[int]() if challenging else self.lent
        self._table, self._services, self._by_apex = table, table.services, table.zones.by_apex
        self._pointers: Mapping[bytes, Host] = table.pointers if policy.pointers else {}
        self._own, self._below = table.static, table.below
        self._asks_above = self._is_forwarding and bool(settings.dns.forward.resolvers)
        self._pointers_below: Mapping[bytes, int] = table.pointers_below if policy.pointers else {}

    def decide(self, name: bytes, kind: int, resolver: str, proof: Proof, cookie: bool, now: float) -> Decision:
        """What becomes of a question of class IN.

        Args:
            name: What is asked for: wire form, lower case.
            kind: Of which type.
            resolver: Who asks, as `Sender.resolver` is.
            proof: What it shows of its sender.
            cookie: It has a client cookie, and those are given.
            now: The present, in monotonic seconds.
        """
        service, alias, challenger = self._services.get(name), None, self.challenger
        if service is None and name[0] == LENGTH and challenger is not None:
            alias = challenger.alias(name, now)
            service = None if alias is None else self._services.get(alias.owner)
        if service is not None:
            if (
                kind in self.lent
                and challenger is not None
                and (service.direct4 if kind == _A else service.direct6 and self.lends6(service.host))
            ):
                is_free = alias is None and kind in self.free
                due = None if is_free else challenger.due(name, alias, resolver, proof, cookie, now)
                return _LENT if due is None or challenger.audit else _CHALLENGED, service, alias, due, None
            if kind in (self._proxied if service.terms.proxy_required else self._direct):
                return _ADDRESSES, service, alias, None, None
        if name in self._own or name in self._pointers:
            return _ELSEWHERE if kind == _DS and self._asks_above and self._is_cut(name) else _OWN
        if service is not None and kind == _ANY and alias is None:
            return Outcome.ANY, service, None, None, None
        zones, above, at = self._by_apex, 0, 0
        zone = zones.get(name)
        while zone is None and name[at]:  # names are not looked at before this
            above, at = at, at + 1 + name[at]
            if at >= len(name) or at - above > MAX_LABEL + 1:
                return _BAD_NAME
            zone = zones.get(name[at:])
        if zone is None or len(name) > MAX_NAME:
            return _BAD_NAME if len(name) > MAX_NAME else _ELSEWHERE
        exists = service is not None or name in self._below or name in self._pointers_below
        return _NODATA if exists else _NXDOMAIN, service, alias, None, zone

    def _is_cut(self, name: bytes) -> bool:
        """Whether a name is an apex of ours in a zone of others': only these can prove that there is no DS record."""
        zone = self._by_apex.get(name)
        return zone is not None and self._table.zones.above(zone) is None

    def source(self, service: Service, kind: int) -> Source | None:
        """What a question of a type for a service is answered from, and why not; None where nothing like it is lent."""
        families = self._policy.families
        if families is None or kind not in ADDRESS_TYPES or service.terms.proxy_required:
            return None
        return families.source(service.host, kind)

    def response(self, name: bytes, kind: int, decision: Decision) -> Response:
        """What is said to whoever asks, as long as table and settings are the same.

        Args:
            name: As for `decide`.
            kind: As for `decide`.
            decision: What it said; neither `LENT` nor `CHALLENGED`.
        """
        outcome, service, _, _, zone = decision
        zone = zone or self._table.zones.of(name)
        if zone is None:
            return Response(Rcode.REFUSED)
        if outcome is _NXDOMAIN:
            return Response(Rcode.NXDOMAIN, True, authority=(zone.negative,))
        if outcome is _NODATA:
            return no_data(zone)
        if outcome is _ADDRESSES and service is not None:
            policy = self._policy
            told = [address_record(name, policy.ttl, address) for address in policy.addresses(service)]
            found = tuple([record for record in told if record.type == kind])
            return Response(authoritative=True, answers=found) if found else no_data(zone)
        if kind == _ANY:
            return something(name, zone)
        return self._own_records(name, kind, zone)

    def _own_records(self, name: bytes, kind: int, zone: Authority) -> Response:
        if kind == _DS and name == zone.apex:  # which belongs to the zone above (RFC 4035 section 3.1.4.1)
            return no_data(self._table.zones.above(zone) or zone)
        host = self._pointers.get(name)
        found = self._table.static[name].get(kind, ()) if host is None else self._pointer(name, kind, host)
        return Response(authoritative=True, answers=found, additional=self._glue(found)) if found else no_data(zone)

    def _pointer(self, name: bytes, kind: int, host: Host) -> tuple[Record, ...]:
        return (Record(name, Type.PTR, self._policy.ttl, targets=(to_wire(host.name),)),) if kind == Type.PTR else ()

    def _glue(self, records: tuple[Record, ...]) -> tuple[Record, ...]:
        """The addresses of the name servers that NS records name, where they are ours."""
        nothing: RecordSets = {}
        sets = [self._table.static.get(record.targets[0], nothing) for record in records if record.type == Type.NS]
        return tuple([record for each in sets for kind in sorted(ADDRESS_TYPES) for record in each.get(kind, ())])


def _lends_none(host: Host) -> bool:
    """Of no host."""
    del host
    return False


def something(name: bytes, zone: Authority) -> Response:
    """There is such a name, and whoever asks for everything is told no more than that (RFC 8482)."""
    return Response(authoritative=True, answers=(Record(name, Type.HINFO, zone.ttl, _MINIMAL_ANY),))


def no_data(zone: Authority) -> Response:
    """There is such a name, but no record of that type (RFC 2308 section 2.2)."""
    return Response(authoritative=True, authority=(zone.negative,))
