"""What there is at a name, for prerequisites and for what an update may touch.

Registered is what came by updates; beside it there are the zones' own records, and what follows from subscribers.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from realmgw.dns.codec import names
from realmgw.dns.codec.wire import Type
from realmgw.dns.zones import ZoneTable, address_record
from realmgw.subscribers.leases.records import Record

RecordSets = dict[int, set[bytes]]
"""Type and RDATA of the records at a name."""


@attrs.frozen(eq=False)
class Contents:
    """All names at one moment."""

    table: ZoneTable
    """What is answered for."""
    registered: Callable[[str], tuple[Record, ...]]
    """What is registered at a name."""
    is_leaving: Callable[[str], bool]
    """Whether there is a host of a name for a moment only, since it is registered no more: as if there were none."""

    def at(self, name: bytes) -> RecordSets:
        """All records of a wire name, in lower case."""
        found: RecordSets = {}
        for kind, records in self.table.static.get(name, {}).items():
            found[kind] = {b"".join(each.targets) + each.rdata for each in records}
        registered = self.registered(names.to_text(name))
        for record in registered:
            found.setdefault(record.type, set()).add(record.data)
        service = self.table.services.get(name)
        if service is not None and not registered and not self.is_leaving(service.host.name):
            for each in service.host.own:
                found.setdefault(address_record(name, 0, each).type, set()).add(each)
        host = self.table.pointers.get(name)
        if host is not None and Type.PTR not in found and not self.is_leaving(host.name):
            found[Type.PTR] = {names.to_wire(host.name)}
        return found

    def owner(self, name: bytes) -> str:
        """Why nobody may change a name by an update, whatever is to be changed; empty if somebody may."""
        if name in self.table.static:
            return "it is the zone's own"
        service = self.table.services.get(name)
        if service is not None and not (self.registered(names.to_text(name)) or self.is_leaving(service.host.name)):
            return "it is a subscriber's"
        return ""
