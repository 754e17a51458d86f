"""What an update asks for, and whether it may: RFC 2136 section 3, in its order, and what a key is good for.

Nothing is changed here. What comes out is a transaction, or the RCODE that the RFC has for what is wrong.

Family: each has a type of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from ipaddress import ip_address

import attrs

from realmgw.config.names import absolute, is_reverse, is_within
from realmgw.config.updates import Grant, UpdateKey, UpdateType
from realmgw.dns import reverse
from realmgw.dns.codec import names
from realmgw.dns.codec.names import BadNameError
from realmgw.dns.codec.wire import ANY_CLASS, IN, Query, Rcode, Type
from realmgw.dns.update.contents import Contents, RecordSets
from realmgw.dns.update.message import Entry
from realmgw.subscribers.leases.records import Record, Transaction

NONE_CLASS = 254
"""The class of what must not be, or shall not be any more (RFC 2136 section 2.4)."""
MAX_TTL = 2**31 - 1  # seconds
"""RFC 2181 section 8."""
LONGEST = 512  # octets
"""Of RDATA."""
TAKEN = {int(Type[each.value]): each for each in UpdateType}
"""What may be registered, by its number."""
_ADDRESSES = frozenset((Type.A, Type.AAAA))
_META = frozenset((0, Type.OPT, *range(128, 256)))
"""Types that no record has (RFC 6895 section 3.1)."""
_EVERYTHING = Grant(b"")


class RefusedError(Exception):
    """An update is not done, and nothing was changed.

    Attributes:
        rcode: What its sender is told.
    """

    def __init__(self, rcode: Rcode, why: str) -> None:
        super().__init__(why)
        self.rcode = rcode


@attrs.frozen(eq=False)
class Asking:
    """An update, as far as it is known before it is looked at what there is."""

    query: Query
    """Its header and its zone section."""
    prerequisites: tuple[Entry, ...]
    """What must hold."""
    updates: tuple[Entry, ...]
    """What is to be changed."""
    key: UpdateKey | None
    """What it was signed with; None: nothing, and whoever sent it may do what a key without limits may."""

    @property
    def touched(self) -> set[bytes]:
        """Names and addresses that it is about: two that have one in common are done one after the other."""
        entries = (*self.prerequisites, *self.updates)
        return {each.owner for each in entries} | {each.data for each in self.updates if each.type in _ADDRESSES}


def refuse_zone(query: Query, contents: Contents, aliases: Collection[str]) -> None:
    """Looks at the zone section (RFC 2136 section 3.1).

    Args:
        query: With the zone section in place of its question.
        contents: What there is.
        aliases: Zones of which every name is made up by the gateway.

    Raises:
        RefusedError: It is none, or none of ours.
    """
    if not query.question or query.type != Type.SOA:
        raise RefusedError(Rcode.FORMERR, "the zone section is not one SOA")
    if query.cls != IN or query.name not in contents.table.zones.by_apex:
        raise RefusedError(Rcode.NOTAUTH, f"{names.to_text(query.name)} is none of our zones")
    if names.to_text(query.name) in aliases:
        raise RefusedError(Rcode.REFUSED, f"{names.to_text(query.name)} is for one-time aliases")


def transaction(asking: Asking, contents: Contents) -> Transaction:
    """What is to be done, by what there is at this moment.

    Raises:
        RefusedError: A prerequisite does not hold, the update is malformed, or its sender may not do it.
    """
    _require(asking, contents)
    _prescan(asking, contents)
    _refuse_names(asking, contents)
    key = "" if asking.key is None else asking.key.name
    removed, added = _changes(asking.updates, contents)
    grant = _EVERYTHING if asking.key is None else asking.key.grant
    for record in (*removed, *added):
        _refuse_record(record, grant)
    return Transaction(key, removed, added)


def _require(asking: Asking, contents: Contents) -> None:
    """Prerequisites (section 3.2)."""
    wanted: dict[bytes, RecordSets] = {}
    for each in asking.prerequisites:
        _check_prerequisite(each, asking, contents)
        if each.cls == IN:
            wanted.setdefault(each.owner, {}).setdefault(each.type, set()).add(each.data)
            continue
        there = contents.at(each.owner)
        is_there = bool(there) if each.type == Type.ANY else each.type in there
        if is_there is not (each.cls == ANY_CLASS):
            raise RefusedError(_UNMET[each.cls, each.type == Type.ANY], _of(each, "is there" if is_there else "is not"))
    for owner, sets in wanted.items():
        there = contents.at(owner)
        for kind, values in sets.items():
            if there.get(kind) != values:
                raise RefusedError(Rcode.NXRRSET, f"type {kind} of {names.to_text(owner)} is something else")


_UNMET = {
    (ANY_CLASS, True): Rcode.NXDOMAIN,
    (ANY_CLASS, False): Rcode.NXRRSET,
    (NONE_CLASS, True): Rcode.YXDOMAIN,
    (NONE_CLASS, False): Rcode.YXRRSET,
}
"""What is said of a prerequisite that does not hold: by its class, and whether it is about all of a name."""


def _check_prerequisite(each: Entry, asking: Asking, contents: Contents) -> None:
    if each.ttl:
        raise RefusedError(Rcode.FORMERR, _of(each, "is required with a TTL"))
    _check_inside(each, asking, contents)
    if each.cls in (ANY_CLASS, NONE_CLASS):
        if each.data or (each.type in _META and each.type != Type.ANY):
            raise RefusedError(Rcode.FORMERR, _of(each, "can not be required like this"))
    elif each.cls != IN or each.type in _META:
        raise RefusedError(Rcode.FORMERR, _of(each, "can not be required like this"))


def _check_inside(each: Entry, asking: Asking, contents: Contents) -> None:
    authority = contents.table.zones.of(each.owner)
    if authority is None or authority.apex != asking.query.name:
        raise RefusedError(Rcode.NOTZONE, _of(each, f"is not in {names.to_text(asking.query.name)}"))


def _prescan(asking: Asking, contents: Contents) -> None:
    """What is wrong with updates by themselves (section 3.4.1)."""
    for each in asking.updates:
        _check_inside(each, asking, contents)
        if not _is_sound(each):
            raise RefusedError(Rcode.FORMERR, _of(each, "can not be changed like this"))


def _is_sound(each: Entry) -> bool:
    if each.cls == ANY_CLASS:
        return not (each.ttl or each.data) and (each.type == Type.ANY or each.type not in _META)
    if each.type in _META or each.cls not in (IN, NONE_CLASS) or (each.cls == NONE_CLASS and each.ttl):
        return False
    return each.ttl <= MAX_TTL and (each.type not in _SOUND or _SOUND[each.type](each.data))


def _is_text(data: bytes) -> bool:
    """Whether RDATA is strings with their lengths, one at least."""
    at = 0
    while at < len(data):
        at += 1 + data[at]
    return bool(data) and at == len(data)


_SOUND: dict[int, Callable[[bytes], bool]] = {
    Type.A: lambda data: len(data) == 4,
    Type.AAAA: lambda data: len(data) == 16,
    Type.PTR: bool,
    Type.TXT: _is_text,
    Type.DHCID: lambda data: len(data) > 3,
}
"""Whether RDATA is one of its type; names in it were read already."""


def _of(each: Entry, said: str) -> str:
    return f"{names.to_text(each.owner)} (type {each.type}) {said}"


def _refuse_names(asking: Asking, contents: Contents) -> None:
    """What may not be touched, by name and type (section 3.3)."""
    in_reverse = is_reverse(names.to_text(asking.query.name))
    grant = _EVERYTHING if asking.key is None else asking.key.grant
    for each in asking.updates:
        owner = names.to_text(each.owner)
        why = contents.owner(each.owner) or _why_not(owner, each.type, grant, in_reverse=in_reverse)
        if why:
            raise RefusedError(Rcode.REFUSED, _of(each, f"can not be changed: {why}"))


def _why_not(owner: str, kind: int, grant: Grant, *, in_reverse: bool) -> str:
    try:
        absolute(owner)
    except ValueError:
        return "it is no name of a host"
    if grant.names and not any(is_within(owner, each) for each in grant.names):
        return "the key is not for this name"
    if kind == Type.ANY:
        return ""
    if kind not in TAKEN or (kind in _ADDRESSES if in_reverse else kind == Type.PTR):
        return f"no such type is registered in {'reverse' if in_reverse else 'these'} zones"
    return "" if TAKEN[kind] in grant.types else "the key is not for this type"


def _refuse_record(record: Record, grant: Grant) -> None:
    """What a key is not good for, by what is registered."""
    why = ""
    if TAKEN.get(record.type) not in grant.types:
        why = "the key is not for this type"
    elif len(record.data) > LONGEST:
        why = "its data is too long"
    elif record.type == Type.PTR:
        target, address = names.to_text(record.data), _reversed(record.name)
        if grant.names and not any(is_within(target, each) for each in grant.names):
            why = f"the key is not for {target}"
        elif address is None:
            why = "it is no address"
        else:
            why = _foreign(address, grant)
    elif record.type in _ADDRESSES:
        why = _foreign(record.data, grant)
    if why:
        raise RefusedError(Rcode.REFUSED, f"{record.name} (type {record.type}) can not be changed: {why}")


def _reversed(name: str) -> bytes | None:
    try:
        return reverse.address_of(names.to_wire(name))
    except BadNameError:
        return None


def _foreign(address: bytes, grant: Grant) -> str:
    plain = ip_address(address)
    is_ours = not grant.addresses or any(plain in each for each in grant.addresses)
    return "" if is_ours else f"the key is not for {plain}"


def _changes(updates: Iterable[Entry], contents: Contents) -> tuple[tuple[Record, ...], tuple[Record, ...]]:
    """What goes and what comes, one update after the other (section 3.4.2); a TTL of 0 takes away, too."""
    before: dict[bytes, dict[tuple[int, bytes], Record]] = {}
    after: dict[bytes, dict[tuple[int, bytes], Record]] = {}
    added: dict[bytes, dict[tuple[int, bytes], Record]] = {}
    for each in updates:
        owner, tag = each.owner, (each.type, each.data)
        if owner not in before:
            registered = contents.registered(names.to_text(owner))
            before[owner] = {(record.type, record.data): record for record in registered}
            after[owner], added[owner] = dict(before[owner]), {}
        if each.cls == IN and each.ttl:
            added[owner][tag] = after[owner][tag] = Record(names.to_text(owner), each.type, each.ttl, each.data)
            continue
        for gone in _gone(each, after[owner]):
            del after[owner][gone]
            added[owner].pop(gone, None)
    removed = [record for owner, there in before.items() for tag, record in there.items() if tag not in after[owner]]
    return tuple(removed), tuple(record for records in added.values() for record in records.values())


def _gone(each: Entry, there: dict[tuple[int, bytes], Record]) -> Iterator[tuple[int, bytes]]:
    """What an update takes away of a name's records."""
    if each.cls != ANY_CLASS:
        yield from ((each.type, each.data),) if (each.type, each.data) in there else ()
    else:
        yield from [tag for tag in there if each.type in (Type.ANY, tag[0])]
