"""What the LAN's face answers: private addresses, and their names."""

from __future__ import annotations

from realmgw.dns.answers import NO_RECORDS, Answers, Asker
from realmgw.dns.message import Record
from realmgw.dns.names import to_wire
from realmgw.dns.wire import Query, Type
from realmgw.dns.zones import Authority, RecordSets
from realmgw.errors import Reason
from realmgw.subscribers.model import Service


class LanAnswers(Answers):
    """The LAN's: services have their hosts' private addresses, and these have PTR records. Nothing is reserved."""

    def _serve(
        self, query: Query, service: Service, zone: Authority, asker: Asker, *, now: float, refused: Reason | None
    ) -> bytes | None:
        del refused  # for reservations
        return self._say_addresses(query, (service.host.address,), self._dns.host_ttl, zone, asker, now=now)

    def _own(self, query: Query, *, now: float) -> RecordSets | None:
        host = self.table.pointers.get(query.name)
        if host is not None:
            return {Type.PTR: (Record(query.name, Type.PTR, self._dns.host_ttl, targets=(to_wire(host.name),)),)}
        sets = super()._own(query, now=now)
        return NO_RECORDS if sets is None and query.name in self.table.pointers_below else sets
