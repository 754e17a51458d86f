"""What the commands do: the running gateway as operators see it. Results are plain values, for JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import attrs

from realmgw import __version__
from realmgw.allocation.allocator import Allocator
from realmgw.allocation.explain import Explanation, explain_admit, explain_ask
from realmgw.allocation.reputation.challenges import Challenge
from realmgw.allocation.reputation.requestors import ClientPrefix, Requestor
from realmgw.allocation.trace import dotted
from realmgw.config.names import normal
from realmgw.config.settings import Network
from realmgw.config.steps import Steps
from realmgw.config.writing import dump
from realmgw.control import parameters
from realmgw.control.commands import COMMANDS, MOST, CommandError, ExitStatus, Value, checked
from realmgw.control.counting import RATES, Counting
from realmgw.control.decided import Decided
from realmgw.control.flows import Flows
from realmgw.control.health import Health
from realmgw.control.leases import Leases
from realmgw.control.plan import Plan
from realmgw.control.pool import MOST_CELLS, PoolView
from realmgw.control.reputation import Reputations
from realmgw.control.rules import Rules, origins
from realmgw.control.running import Running
from realmgw.control.sorting import by_name
from realmgw.control.tracing import Tracing
from realmgw.errors import MalformedError, Reason
from realmgw.subscribers.entry import shown
from realmgw.subscribers.model import Host, Service

_KINDS = {"A": 1, "AAAA": 28}
_CLIENT = ("not believed: its resolver's group has no agreement", "believed: its resolver's group has an agreement")


class NameFound(Protocol):
    """What `realmgw.dns.explain.NameExplanation` is."""

    @property
    def steps(self) -> tuple[str, ...]: ...
    @property
    def service(self) -> Service | None: ...
    @property
    def challenge(self) -> Challenge | None: ...
    @property
    def family(self) -> int: ...


@attrs.frozen(eq=False)
class Insight:
    """How the command layer looks into the parts, and what it can have them do."""

    running: Running
    """What runs."""
    health: Health
    """What is wrong with it."""
    allocator: Allocator
    """The pool."""
    reputations: Reputations
    """What is held of those who ask."""
    flows: Flows
    """What flows through."""
    leases: Leases
    """What is registered."""
    rules: Rules
    """What hosts may send and receive."""
    tracing: Tracing
    """What becomes of single packets."""
    decided: Decided
    """What was decided lately."""
    explain_name: Callable[..., NameFound]
    """What the DNS server makes of a question: told the name, who asks, the type (`kind`), and whether by `tcp` or with
    a `cookie`. Raises `MalformedError` if the name is none."""
    counting: Counting
    """What was counted."""
    companions: Mapping[str, Callable[..., Any]]
    """What the services beside the gateway's own do, by the commands' names."""
    placed: Callable[[], Iterable[Mapping[str, Value]]]
    """Everything that is to be outside of the process, and what it is."""
    plan: Callable[[], Any]
    """A Deferred of a `Plan`."""
    reload: Callable[..., Any]
    """A Deferred of an `Outcome`; told who wants it, and whether `accepts_loss`."""
    purge: Callable[[], Any]
    """A Deferred of what was done, in lines."""
    monotonic: Callable[[], float]
    """The present, in seconds."""
    since: float = attrs.field(default=attrs.Factory(lambda self: self.monotonic(), takes_self=True))
    """When the gateway was made, by that clock."""


class Gateway:
    """Does what the commands say.

    Args:
        insight: Into the parts.

    Attributes:
        pool: How the pool is.
    """

    def __init__(self, insight: Insight) -> None:
        self._insight = insight
        self.pool = pool = PoolView(insight.running, insight.allocator, insight.monotonic)
        drive = insight.reputations.drive
        self._does: Mapping[str, Callable[..., Any]] = {
            "health": self.health,
            "status": self.status,
            "plan": self.plan,
            "reload": self.reload,
            "subscribers/list": lambda match, limit: drive(
                self.subscribers(match, parameters.number(limit, "limit", MOST))
            ),
            "subscribers/show": self.subscriber,
            "pool": lambda: drive(pool.list()),
            "picture": lambda cells: drive(pool.picture(parameters.number(cells, "cells", MOST_CELLS))),
            "reservations": lambda limit: drive(pool.reservations(parameters.number(limit, "limit", MOST))),
            "reputation/list": insight.reputations.list,
            "reputation/show": insight.reputations.show,
            "reputation/set": insight.reputations.set,
            "reputation/forget": insight.reputations.forget,
            "flows/list": insight.flows.list,
            "flows/kill": insight.flows.kill,
            "flows/watch": insight.flows.watch,
            "leases/list": lambda match, key, limit: drive(
                insight.leases.list(match, key, parameters.number(limit, "limit", MOST))
            ),
            "leases/add": insight.leases.add,
            "leases/remove": insight.leases.remove,
            "rules": insight.rules.list,
            "trace": insight.tracing.trace,
            "explain/name": self.explain_name,
            "explain/packet": self.explain_packet,
            "explain/flow": insight.decided.flow,
            "log": insight.decided.lately,
            "config": self.config,
            "purge": self.purge,
            **insight.companions,
        }

    def do(self, path: str, given: Mapping[str, str]) -> Any:
        """Do a command.

        Args:
            path: Its name.
            given: Its parameters.

        Returns:
            A value for JSON, or a `Stream` of values; or a Deferred of either.

        Raises:
            CommandError: It can not be done.
        """
        command = COMMANDS.get(path)
        if command is None:
            raise CommandError(ExitStatus.NOT_FOUND, f"there is no command {path}")
        return self._does[path](**checked(command, given))

    def health(self) -> Value:
        """How the gateway is, and what is wrong; cheap."""
        insight = self._insight
        troubles = [
            {
                "part": each.part,
                "severity": each.severity.name.lower(),
                "text": each.text,
                "for": round(insight.monotonic() - each.since, 3),
            }
            for each in insight.health.troubles
        ]
        return {"state": insight.health.state.value, "troubles": troubles}

    def status(self, brief: str) -> Any:
        """What runs; without `brief`, a Deferred."""
        counting = self._insight.counting
        return self._status(counting.shown()) if brief else counting.read().addCallback(self._status)

    def _status(self, counts: Mapping[str, Value]) -> Value:
        insight = self._insight
        running = insight.running
        directory = running.registry.directory
        lately = insight.counting.lately(counts)
        return {
            **self.health(),
            "version": __version__,
            "name": running.settings.name,
            "config": str(running.path),
            "uptime": round(insight.monotonic() - insight.since, 3),
            "hosts": len(directory.hosts),
            "services": len(directory.services),
            "problems": [*running.problems, *running.registry.problems],
            "pool": self.pool.states(),
            "placed": [dict(each) for each in insight.placed()],
            "rates": {
                "seconds": round(lately.seconds, 3),
                **{name: round(lately.total(name) / max(lately.seconds, 1.0), 3) for name in RATES},
            },
            "counts": counts,
        }

    def plan(self) -> Any:
        """What a reload would change."""
        return self._insight.plan().addCallback(described)

    def reload(self, accept_loss: str) -> Any:
        """Make true what is written."""
        reloading = self._insight.reload("the control interface", accepts_loss=bool(accept_loss))
        return reloading.addCallback(self._reloaded)

    def _reloaded(self, outcome: Any) -> Value:
        return {
            "status": outcome.status.value,
            "seconds": round(outcome.seconds, 3),
            "waited": round(outcome.waited, 3),
            "flows_ended": outcome.flows_ended,
            "restored": list(outcome.restored),
            "problems": list(outcome.problems),
            "summary": outcome.summary(),
            "plan": described(outcome.plan),
        }

    def subscribers(self, match: str, most: int) -> Steps[Value]:
        """Hosts by name, so many at most."""
        hosts = self._insight.running.registry.directory.hosts
        wanted = match.lower()
        total, rows = yield from by_name(hosts.values(), lambda host: wanted in host.name, most, _brief)
        return {"total": total, "subscribers": rows}

    def subscriber(self, name: str) -> Value:
        """One host, by its own name or by that of a service."""
        registry = self._insight.running.registry
        host = parameters.host(registry, name)
        services = [_service(each) for each in registry.services_of(host.name)]
        held = len(self._insight.allocator.ledger.places.of(host))
        return {**_brief(host), "source": registry.source_of(host.name), "max_claims": host.profile.max_claims,
                "groups": list(host.profile.groups), "places_held": held, "services": services,
                "group_origins": origins(self._insight.running.settings, host),
                "registered": self._insight.leases.of(host.name)}  # fmt: skip

    def explain_name(self, name: str, resolver: str, type: str, tcp: str, cookie: str, client: str) -> Value:  # noqa: A002  # the option's word
        """A question, dry."""
        address = str(parameters.address(resolver, "resolver"))
        network = parameters.network(client, "client") if client else None
        how = {"kind": _kind(type), "tcp": bool(tcp), "cookie": bool(cookie)}
        try:
            found = self._insight.explain_name(name, address, **how)
        except MalformedError as error:
            raise CommandError(ExitStatus.USAGE, f"name: {error}") from None
        challenge = None if found.challenge is None else found.challenge.name.lower()
        if found.service is None:
            return {"steps": list(found.steps), "answer": None, "challenge": challenge}
        now, steps, allocator = self._insight.monotonic(), list(found.steps), self._insight.allocator
        who = allocator.groups.resolvers.of(address)
        named = None if network is None else self._named(who, network)
        if network is not None:
            steps.append(f"its client {network} is {_CLIENT[named is not None]}")
        asked = explain_ask(allocator, found.service, who, now=now, client=named, family=found.family)
        answer = None if asked.address is None else dotted(asked.address)
        return {"steps": [*steps, *asked.steps], "answer": answer, "challenge": challenge, **_reason(asked)}

    def _named(self, resolver: str, network: Network) -> Requestor | None:
        """The client that a resolver names, known or not, if the resolver is believed."""
        allocator = self._insight.allocator
        group, key = allocator.groups.find(resolver), ClientPrefix.of(network.network_address.packed, network.prefixlen)
        if group is None or not group.sla:
            return None
        return allocator.requestors.find(key) or Requestor(key, key)

    def explain_packet(self, source: str, destination: str, protocol: str, port: str, source_port: str) -> Value:
        """A first packet, dry."""
        flow = (
            parameters.address(source, "source").packed,
            parameters.address(destination, "destination").packed,
            parameters.protocol(protocol),
            parameters.number(source_port, "source_port", 65535),
            parameters.number(port, "port", 65535),
        )
        asked = explain_admit(self._insight.allocator, flow, now=self._insight.monotonic())
        host = self._insight.running.registry.directory.hosts.get(asked.host)
        return {"steps": list(asked.steps), "host": host and _brief(host), **_reason(asked)}

    def config(self) -> Value:
        """The settings in force."""
        return {"config": dump(self._insight.running.settings)}

    def purge(self, name: str) -> Any:
        """Lend nothing, and remove everything of ours from the kernel."""
        own = self._insight.running.settings.name
        if normal(name) != own:
            raise CommandError(ExitStatus.USAGE, f"purge: this gateway is {own}, not {name}: nothing was done")
        return self._insight.purge().addCallback(lambda lines: {"done": list(lines)})


def described(plan: Plan) -> Value:
    """A plan as plain values."""
    value = attrs.asdict(plan)
    for key in ("prefixes_added", "prefixes_removed"):
        value[key] = [str(network) for network in value[key]]
    return {**value, "restart": list(plan.restart), "different": bool(plan), "lines": list(plan.lines()),
            "summary": plan.summary()}  # fmt: skip


def _brief(host: Host) -> dict[str, Value]:
    address, address6 = [shown(each) if each else None for each in (host.address, host.address6)]
    return {"name": host.name, "address": address, "address6": address6, "index": host.index}


def _service(service: Service) -> dict[str, Value]:
    return {"name": service.name, **attrs.asdict(service.terms)}


def _kind(text: str) -> int:
    """A type of addresses, as a number (RFC 1035, RFC 3596)."""
    kind = _KINDS.get(text.upper())
    if kind is None:
        raise CommandError(ExitStatus.USAGE, f"type: {text!r} is neither A nor AAAA")
    return kind


def _reason(explanation: Explanation) -> dict[str, Value]:
    reason: Reason | None = explanation.reason
    return {"reason": reason.name.lower() if reason else None}
