"""From the entries of many files to one directory: what must be true between subscribers, and which objects live on."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator

import attrs

from realmgw.config.document import Node, Problems
from realmgw.config.names import is_reverse, is_within
from realmgw.config.settings import Zone
from realmgw.subscribers.model import Directory, Host, Service
from realmgw.subscribers.schema import Entry, Label, Offer


class Realm:
    """The names that a subscriber's services may have."""

    def __init__(self, zones: Iterable[Zone]) -> None:
        """Of a gateway with these zones; services lie within the forward ones."""
        zones = tuple(zones)
        self._forward = tuple(zone.name for zone in zones if not is_reverse(zone.name))
        self._taken = {server.name for zone in zones for server in zone.name_servers if server.address is not None}
        self._taken.update(zone.name for zone in zones if zone.apex_address is not None)

    def refusals(self, name: str) -> Iterator[str]:
        """Why a service can not have a name: what is wrong, and what to write instead."""
        if not any(is_within(name, zone) for zone in self._forward):
            yield f"{name} lies outside our zones: write a name within {' or '.join(self._forward)}"
        if name in self._taken:
            yield f"{name} has an address of the gateway itself: write another name"


class Collection:
    """Subscribers of several files that do not contradict each other."""

    def __init__(self, zones: Iterable[Zone]) -> None:
        """Begins without subscribers.

        Args:
            zones: Every zone of the gateway; services lie within the forward ones.
        """
        self._realm = Realm(zones)
        self._entries: list[Entry] = []
        self._seen: dict[tuple[Label, Hashable], str] = {}

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Everything that was added, in that order."""
        return tuple(self._entries)

    def add(self, entries: Iterable[Entry], problems: Problems) -> None:
        """Adds a file's entries, all or none of them: with any problem in the file, it is as if it were not there.

        Args:
            entries: What was read from the file.
            problems: What was found and remembered while it was read; gets what contradicts zones or earlier files.
        """
        seen = self._check(problems)
        if not problems.found:
            self._seen.update(seen)
            self._entries.extend(entries)

    def _check(self, problems: Problems) -> dict[tuple[Label, Hashable], str]:
        """Where each of the file's own names and addresses stands."""
        for value, node in problems.remembered.get(Label.SERVICE, ()):
            for refusal in self._realm.refusals(str(value)):
                problems.add(node, refusal)
        seen: dict[tuple[Label, Hashable], str] = {}
        for label, value, node in _remembered(problems):
            place = self._seen.get((label, value)) or seen.get((label, value))
            if place is not None:
                problems.add(node, f"{value} stands in {place} too: every {label.name.lower()} belongs to one host")
            else:
                seen[label, value] = f"{problems.source}:{node.line}"
        return seen


def directory(entries: Iterable[Entry], previous: Directory) -> Directory:
    """Subscribers that do not contradict each other as a directory.

    Args:
        entries: Their entries; no two with a name or an address in common.
        previous: Hosts keep the indices they have there; what did not change stays the same object.

    Raises:
        RealmGatewayError: There are more hosts than indices.
    """
    entries = tuple(entries)
    indices = previous.indices.following(entry.name for entry in entries)
    hosts: dict[int, Host] = {}
    services: dict[str, Service] = {}
    for entry in entries:
        index = indices.by_name[entry.name]
        host = hosts[index] = host_of(entry, index, previous.hosts.get(index))
        for offer in entry.services or ():
            service = service_of(offer, host, previous)
            services[service.name] = service
    return Directory(services, hosts, indices)


def _remembered(problems: Problems) -> Iterator[tuple[Label, Hashable, Node]]:
    for label in Label:
        for value, node in problems.remembered.get(label, ()):
            assert isinstance(value, Hashable)
            yield label, value, node


def host_of(entry: Entry, index: int, former: Host | None) -> Host:
    """The host of an entry; the former one, if it says the same."""
    carriergrade = tuple(address.packed for address in entry.carriergrade)
    host = Host(
        index,
        entry.name,
        entry.address.packed,
        entry.max_claims,
        entry.groups,
        entry.identity,
        entry.firewall,
        carriergrade,
    )
    return former if former is not None and _fields(former) == _fields(host) else host


def service_of(offer: Offer, host: Host, previous: Directory) -> Service:
    """A service with its host; the one of the previous directory, if it says the same."""
    service = offer.at(host)
    former = previous.services.get(service.name)
    return former if former is not None and _fields(former) == _fields(service) else service


def _fields(value: Host | Service) -> tuple[object, ...]:
    """Everything that a host or a service says; its host as an object."""
    return attrs.astuple(value, recurse=False)
