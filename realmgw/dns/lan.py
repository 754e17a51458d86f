"""What the LAN's face answers: private addresses, and their names."""

from __future__ import annotations

from realmgw.dns.answers import NO_RECORDS, Answers
from realmgw.dns.codec.message import Record
from realmgw.dns.codec.names import to_wire
from realmgw.dns.codec.wire import Type
from realmgw.dns.zones import RecordSets
from realmgw.subscribers.model import Service


class LanAnswers(Answers):
    """The LAN's: services have their hosts' private addresses, and these have PTR records. Nothing is reserved."""

    def _addresses(self, service: Service) -> tuple[tuple[bytes, ...], int]:
        return (service.host.address,), self._dns.host_ttl

    def _own(self, name: bytes) -> RecordSets | None:
        host = self.table.pointers.get(name)
        if host is not None:
            return {Type.PTR: (Record(name, Type.PTR, self._dns.host_ttl, targets=(to_wire(host.name),)),)}
        sets = super()._own(name)
        return NO_RECORDS if sets is None and name in self.table.pointers_below else sets
