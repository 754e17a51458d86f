"""Names of guests: what those on a LAN are told of each other, and nobody else is.

A guest is no subscriber: it is not reached from the Internet, and where subscribers have a name or an address, theirs
counts.
"""

from __future__ import annotations

from typing import Protocol

from realmgw.config import settings
from realmgw.dns import reverse
from realmgw.dns.codec import names
from realmgw.dns.codec.message import Record, Response
from realmgw.dns.codec.wire import Type
from realmgw.dns.decision import Decisions, no_data, something
from realmgw.dns.view import Answer, Asked, said
from realmgw.dns.zones import ZoneTable, address_record


class Guests(Protocol):
    """Who they are (`realmgw.subscribers.leases.guests`). Names are text, absolute and lower case."""

    def addresses(self, name: str, /) -> tuple[bytes, ...]:
        """The packed addresses of a name."""

    def at(self, address: bytes, /) -> str | None:
        """The name of a packed address."""

    def is_above(self, name: str, /) -> bool:
        """Whether there is one below a name, be it one of an address."""


class GuestNames:
    """Answers questions that have no other answer.

    Args:
        guests: Who they are.
        decisions: What is said otherwise.
    """

    def __init__(self, guests: Guests, decisions: Decisions) -> None:
        self._guests, self._decisions = guests, decisions
        self._table: ZoneTable
        self._ttl = 0

    def configure(self, settings: settings.Settings, table: ZoneTable) -> None:
        """From the next query on, go by these."""
        self._ttl, self._table = settings.dns.host_ttl, table

    def answer(self, asked: Asked) -> Answer:
        """Says what there is of a name that no subscriber has (a `view.Part`)."""
        name, kind = asked.query.name, asked.query.type
        found = None if asked.decision[1] is not None else self._found(name)
        if found is None:
            return said(self._decisions.response(name, kind, asked.decision))
        zone = self._table.zones.of(name)
        assert zone is not None
        if found and kind == Type.ANY:
            return said(something(name, zone))
        answers = tuple([each for each in found if each.type == kind])
        return said(Response(authoritative=True, answers=answers) if answers else no_data(zone))

    def _found(self, name: bytes) -> list[Record] | None:
        """All records of a name, which may be none; None: there is no such name."""
        text, address = names.to_text(name), reverse.address_of(name)
        found = [address_record(name, self._ttl, each) for each in self._guests.addresses(text)]
        host = None if address is None else self._guests.at(address)
        if host is not None:
            found.append(Record(name, Type.PTR, self._ttl, targets=(names.to_wire(host),)))
        return found if found or self._guests.is_above(text) else None
