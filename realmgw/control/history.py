"""What flows were, as operators ask for it. Edge: the machine's time zone."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from typing import Any, Protocol

from realmgw.config import protocols
from realmgw.config.names import normal
from realmgw.control import parameters
from realmgw.control.commands import Deferred
from realmgw.control.moments import moment
from realmgw.subscribers.registry import Registry

MOST = 10_000
"""So many rows are told at most; whoever wants all of a large database opens it himself."""


class Recorded(Protocol):
    """What was recorded; see `realmgw.records.service.RecordsService`."""

    def flows(self, given: dict[str, Any], most: int) -> Deferred:
        """Records."""

    def accounts(self, *, groups: bool, since: float, name: str, most: int) -> Deferred:
        """What subscribers or groups had."""


class PastFlows:
    """What the commands about flows that have ended do.

    Args:
        recorded: What was recorded.
        registry: Which host a name of a service is of by now.
        time: The present, in seconds since 1970.
    """

    def __init__(self, recorded: Recorded, registry: Registry, time: Callable[[], float]) -> None:
        self._recorded, self._registry = recorded, registry
        self._time = time

    def list(self, since: str, until: str, limit: str, **said: str) -> Deferred:
        """Records; a Deferred."""
        given: dict[str, Any] = {"since": moment(since, "since", self._time())}
        if until:
            given["until"] = moment(until, "until", self._time())
        if host := said["host"]:
            given.update(self._host(host))
        if name := said["name"]:
            given["name"] = normal(name)
        if via := said["via"]:
            given["via"] = str(parameters.address(via, "via"))
        if client := said["client"]:
            given["client"] = str(parameters.network(client, "client"))
        if trace := said["trace"]:
            given["trace_id"] = trace.lower()
        wanted = parameters.only_protocol(said["protocol"])
        if wanted is not None:
            given["protocol"] = protocols.NAMES.get(wanted, str(wanted))
        return self._recorded.flows(given, parameters.number(limit, "limit", MOST))

    def accounts(self, since: str, of: str, groups: str, limit: str) -> Deferred:
        """What subscribers or groups had; a Deferred."""
        at, most = moment(since, "since", self._time()), parameters.number(limit, "limit", MOST)
        name = of if groups else self._called(of) if of else ""
        return self._recorded.accounts(groups=bool(groups), since=at, name=name, most=most)

    def _host(self, text: str) -> dict[str, str]:
        try:
            return {"address": str(ip_address(text))}
        except ValueError:
            return {"host": self._called(text)}

    def _called(self, text: str) -> str:
        """A host's own name, by that of a service too; by its own one that is there no more is found all the same."""
        found = self._registry.host_called(text)
        return normal(text) if found is None else found.name
