"""Rules as operators see them: of stages, and of hosts by classes, with what each rule has counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import attrs

from realmgw.config.nflog import Nflog
from realmgw.config.settings import Settings
from realmgw.config.steps import Steps, portions
from realmgw.control import parameters
from realmgw.control.commands import Deferred, Value
from realmgw.control.running import Running
from realmgw.datapath.netlink.counters import Count
from realmgw.datapath.pipeline import groups, parts
from realmgw.datapath.pipeline.groups import GroupPlace
from realmgw.datapath.pipeline.parts import where
from realmgw.datapath.pipeline.stages import stages
from realmgw.datapath.policy import classes, rules
from realmgw.datapath.policy.classes import Class, Classes, Said
from realmgw.datapath.policy.rules import Place
from realmgw.subscribers.firewall import Rule
from realmgw.subscribers.model import Host

_NOTHING = Count(0, 0)
_ROWS = 100
"""So many rules of stages are told between two steps."""


class Rules:
    """What the command about rules does.

    Args:
        running: The subscribers.
        read: A Deferred of the classes in the kernel, and of what it has counted by name.
        drive: Goes through steps a few at a time; a Deferred of what they return.
    """

    def __init__(
        self, running: Running, read: Callable[[], Deferred], drive: Callable[[Steps[Value]], Deferred]
    ) -> None:
        self._running = running
        self._read, self._drive = read, drive

    def list(self, host: str) -> Deferred:
        """Stages and classes with their rules, or the class of a host.

        Args:
            host: Its name, or that of one of its services; empty: all.

        Returns:
            A Deferred of them; it fails with `RealmGatewayError` if the kernel does not tell.

        Raises:
            CommandError: There is no such host.
        """
        found = parameters.host(self._running.registry, host) if host else None
        if found is None:
            return self._read().addCallback(lambda read: self._drive(self._all(*read)))
        return self._read().addCallback(lambda read: self._told(found, *read))

    def _all(self, known: Classes, counts: Mapping[str, Count]) -> Steps[Value]:
        """What holds for anybody: of a tariff for each host there are as many classes as hosts."""
        rows, found = list[Value](), list[Value]()
        for some in portions(self._stages(counts, known.nflog), _ROWS):
            rows += some
            yield None
        for said, each in known.by_rules.items():
            found.append(_class(each, said, counts, known.nflog))
            yield None
        return {"host": None, "source": None, "stages": rows, "classes": found}

    def _told(self, host: Host, known: Classes, counts: Mapping[str, Count]) -> Value:
        said, each = known.class_of(host)
        found = [] if each is None else [_class(each, said, counts, known.nflog)]
        for told in found:
            told["rules"] = [*self._group_rules(said, counts, known.nflog), *told["rules"]]
        source = self._running.registry.source_of(host.name)
        return {"host": host.name, "source": source, "stages": [], "classes": found}

    def _group_rules(self, said: Said, counts: Mapping[str, Count], nflog: Nflog | None) -> Iterator[Value]:
        """The rules of the groups of a class: in the order in which they are tried, before its own."""
        for group in groups.told(self._running.settings):
            for rule, place in groups.placed(group) if group.name in said.groups else ():
                yield _rule(rule, place, f"group {group.name}", counts, nflog)

    def _stages(self, counts: Mapping[str, Count], nflog: Nflog | None) -> Iterator[Value]:
        for each in parts.told(stages(self._running.settings, logs=nflog is not None)):
            count = counts.get(each.counter)
            figures = {"packets": None, "octets": None} if count is None else attrs.asdict(count)
            yield {**attrs.asdict(each), **figures}


def origins(settings: Settings, host: Host) -> dict[str, str]:
    """Where the groups of a host are told of, by name; those that are not told of are not in it."""
    told = {group.name: where(group.origin) for group in groups.told(settings)}
    return {name: told[name] for name in host.profile.groups if name in told}


def _class(each: Class, said: Said, counts: Mapping[str, Count], nflog: Nflog | None) -> dict[str, Value]:
    own = [_rule(rule, place, place.tier, counts, nflog) for rule, place in classes.placed(each.number, said.own)]
    return {"number": each.number, "hosts": each.hosts, "groups": list(said.groups), "rules": own}


def _rule(rule: Rule, place: Place | GroupPlace, tier: str, counts: Mapping[str, Count], nflog: Nflog | None) -> Value:
    count = counts.get(place.counter, _NOTHING)
    return {
        "tier": tier,
        "priority": rule.priority,
        "direction": rule.direction.value,
        "target": rule.target.value,
        "comment": rule.comment,
        "origin": where(place.origin) if isinstance(place, GroupPlace) else "",
        "counter": place.counter,
        "packets": count.packets,
        "octets": count.octets,
        "nft": list(rules.lines(rule, place, nflog)),
    }
