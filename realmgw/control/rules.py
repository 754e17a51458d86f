"""Rules as operators see them: of stages, and of hosts by classes, with what each rule has counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs

from realmgw.config.quoting import shortened
from realmgw.control.commands import CommandError, ExitStatus
from realmgw.control.running import Running
from realmgw.datapath.netlink.counters import Count
from realmgw.datapath.pipeline import parts
from realmgw.datapath.pipeline.stages import stages
from realmgw.datapath.policy import classes, rules
from realmgw.datapath.policy.classes import Class
from realmgw.subscribers.firewall import Firewall
from realmgw.subscribers.model import Host

Value = Any
"""What JSON has."""
Deferred = Any
"""Twisted's."""
_NOTHING = Count(0, 0)


class Rules:
    """What the command about rules does.

    Args:
        running: The subscribers.
        read: A Deferred of the classes in the kernel, and of what it has counted by name.
    """

    def __init__(self, running: Running, read: Callable[[], Deferred]) -> None:
        self._running = running
        self._read = read

    def list(self, host: str) -> Deferred:
        """Stages and classes with their rules, or the class of a host.

        Args:
            host: Its name, or that of one of its services; empty: all.

        Returns:
            A Deferred of them; it fails with `RealmGatewayError` if the kernel does not tell.

        Raises:
            CommandError: There is no such host.
        """
        found = self._host(host) if host else None
        return self._read().addCallback(lambda read: self._told(found, *read))

    def _host(self, name: str) -> Host:
        found = self._running.registry.host_called(name)
        if found is None:
            raise CommandError(ExitStatus.NOT_FOUND, f"there is no subscriber and no service {shortened(name)}")
        return found

    def _told(self, host: Host | None, known: Mapping[Firewall, Class], counts: Mapping[str, Count]) -> Value:
        if host is None:
            return {"host": None, "source": None, "stages": list(self._stages(counts)), "classes": [
                _class(each, said, counts) for said, each in known.items()
            ]}  # fmt: skip
        each = known.get(host.profile.firewall)
        found = [] if each is None else [_class(each, host.profile.firewall, counts)]
        source = self._running.registry.source_of(host.name)
        return {"host": host.name, "source": source, "stages": [], "classes": found}

    def _stages(self, counts: Mapping[str, Count]) -> Iterator[Value]:
        for each in parts.told(stages(self._running.settings)):
            count = counts.get(each.counter)
            figures = {"packets": None, "octets": None} if count is None else attrs.asdict(count)
            yield {**attrs.asdict(each), **figures}


def _class(each: Class, said: Firewall, counts: Mapping[str, Count]) -> Value:
    return {"number": each.number, "hosts": each.hosts, "rules": list(_rules(each, said, counts))}


def _rules(each: Class, said: Firewall, counts: Mapping[str, Count]) -> Iterator[Value]:
    for rule, place in classes.placed(each.number, said):
        count = counts.get(place.counter, _NOTHING)
        yield {
            "tier": place.tier,
            "priority": rule.priority,
            "direction": rule.direction.value,
            "target": rule.target.value,
            "comment": rule.comment,
            "counter": place.counter,
            "packets": count.packets,
            "octets": count.octets,
            "nft": list(rules.lines(rule, place)),
        }
