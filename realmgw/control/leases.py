"""What is registered by dynamic update, as operators see it, register, and remove it."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

from realmgw.config.names import absolute, normal
from realmgw.config.quoting import shortened
from realmgw.config.steps import Steps
from realmgw.config.values import Address
from realmgw.control import parameters
from realmgw.control.commands import CommandError, ExitStatus, Value
from realmgw.control.sorting import by_name
from realmgw.subscribers.leases.book import AAAA, TYPES, A, Lease
from realmgw.subscribers.leases.records import ContradictionError, Record, Transaction
from realmgw.subscribers.leases.service import LeaseService

LONGEST = 31_536_000  # seconds
"""A year: what stays longer is written in a file."""
TTL = 600  # seconds
"""Of the record; nobody is told it, names are answered with `dns.host_ttl`."""


class Leases:
    """Does what the commands say.

    Args:
        service: What is registered.
        wall: The time of day, in seconds.
    """

    def __init__(self, service: LeaseService, wall: Callable[[], float]) -> None:
        self._service = service
        self._wall = wall

    def list(self, match: str, key: str, most: int) -> Steps[Value]:
        """What is registered, by name, so many at most."""
        leases, wanted, by = self._service.book.leases.values(), match.lower(), key.lower()
        total, rows = yield from by_name(leases, lambda each: wanted in each.name and by in each.key, most, self._shown)
        return {"total": total, "leases": rows}

    def of(self, name: str) -> Value:
        """What is registered at a name; None: nothing."""
        lease = self._service.book.leases.get(name)
        return None if lease is None else self._shown(lease)

    def add(self, name: str, address: str, lifetime: str) -> Any:
        """Register a host's address, in the place of the one of that family."""
        life = parameters.number(lifetime, "lifetime", LONGEST) if lifetime else 0
        try:
            host, packed = absolute(name), ip_address(address).packed
        except ValueError as error:
            raise CommandError(ExitStatus.USAGE, f"leases add: {shortened(str(error))}") from None
        kind = A if ip_address(address).version == 4 else AAAA
        former = tuple(each for each in self._service.records(host) if each.type == kind)
        change = Transaction("", former, (Record(host, kind, TTL, packed),))
        return self._service.change(change, float(life)).addCallbacks(lambda _: self.of(host), _contradicts)

    def remove(self, name: str, address: str) -> Any:
        """Remove what is registered at a name: one address, or all; with the last address all. Its flows end at once.

        Returns:
            A Deferred of what was registered, with the addresses that are left.

        Raises:
            CommandError: Nothing is registered there, or not this address.
        """
        host, his = normal(name), parameters.address(address, "address") if address else None
        lease = self._service.book.leases.get(host)
        if lease is None or not (his is None or his in lease.addresses):
            at = "" if his is None else f" with {his}"
            raise CommandError(ExitStatus.NOT_FOUND, f"nothing is registered at {host}{at}")
        left = [str(each) for each in lease.addresses if his not in (None, each)]
        gone = tuple(each for each in lease.records if not left or _is_of(each, his))
        was = {**self._shown(lease), "left": left}
        return self._service.remove(gone).addCallback(lambda _: was)

    def _shown(self, lease: Lease) -> Value:
        now, ends = self._wall(), self._service.ends_in(lease.name)
        return {
            "name": lease.name,
            "addresses": [str(each) for each in lease.addresses],
            "types": sorted({TYPES[each.type] for each in lease.records}),
            "key": lease.key,
            "since": round(max(0.0, now - lease.since), 3),
            "refreshed": round(max(0.0, now - lease.refreshed), 3),
            "ends_in": None if ends is None else round(ends, 3),
            "guest": bool(self._service.hosts.guests.addresses(lease.name)),
            "idle": self._service.hosts.idle.get(lease.name, ""),
        }


def _is_of(record: Record, address: Address | None) -> bool:
    return address is not None and record.type in (A, AAAA) and record.data == address.packed


def _contradicts(failure: Any) -> None:
    """What can not be beside what there is, is a problem of what was written, as in a file."""
    failure.trap(ContradictionError)
    raise CommandError(ExitStatus.PROBLEMS, failure.getErrorMessage())
