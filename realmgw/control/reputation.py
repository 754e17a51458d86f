"""What operators see of those who ask, and what they can tell the gateway about them. Results are plain values."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable
from heapq import heappush, heappushpop
from ipaddress import ip_address
from typing import Any

import attrs

from realmgw.allocation.reputation.challenges import Challenge
from realmgw.allocation.reputation.group import Group
from realmgw.allocation.reputation.groups import Groups
from realmgw.allocation.reputation.records import Book
from realmgw.allocation.reputation.requestors import Requestor, Requestors
from realmgw.allocation.reputation.score import Reputation
from realmgw.config.settings import Network
from realmgw.control import parameters
from realmgw.control.commands import MOST, CommandError, ExitStatus, Value

TURN = 100
"""So many are looked at before something else may have its turn."""

Known = Group | Requestor


@attrs.frozen(eq=False)
class Reputations:
    """Does the commands about reputations."""

    groups: Groups
    """Resolver groups."""
    requestors: Requestors
    """Clients that were named by groups under agreement."""
    book: Book
    """Where they are kept."""
    drive: Callable[[Generator[Any, Any, Value]], Any]
    """Goes through steps a few at a time; a Deferred of what they return."""
    monotonic: Callable[[], float]
    """The present, in seconds."""

    def list(self, match: str, limit: str, clients: str) -> Any:
        """Those of whom something is known, the worst first; a Deferred."""
        known: Iterable[Known] = self.requestors if clients else self.groups
        return self.drive(self._listed(known, match, parameters.number(limit, "limit", MOST)))

    def _listed(self, known: Iterable[Known], match: str, limit: int) -> Generator[None, None, Value]:
        now, total, wanted = self.monotonic(), 0, match.lower()
        worst: list[tuple[float, int, Known]] = []  # a heap, the best of them first
        for count, each in enumerate(known, 1):
            if not wanted or any(wanted in name.lower() for name in names(each)):
                total += 1
                entry = (-each.reputation.value(now), -total, each)
                if len(worst) < limit:
                    heappush(worst, entry)
                elif limit:
                    heappushpop(worst, entry)
            if count % TURN == 0:
                yield
        rows = []
        for count, (_, _, each) in enumerate(sorted(worst, reverse=True), 1):
            rows.append(brief(each, now))
            if count % TURN == 0:
                yield
        return {"total": total, "reputations": rows}

    def show(self, who: str) -> Value:
        """One of them, with all that is known."""
        now, found = self.monotonic(), self._find(who)
        value = {**brief(found, now), "period": _period(found.reputation), "weight": found.reputation.weight}
        return {**value, **_group(found, now)} if isinstance(found, Group) else value

    def set(self, who: str, reputation: str) -> Value:
        """Give somebody a reputation, known or not."""
        value = _share(reputation)
        now = self.monotonic()
        known: Known | None = self._requestor(who)
        if known is None:
            known = self.groups.set(self._resolver(who), value, now=now)
        else:
            known.reputation.set(value, now=now)
        if known.journal is not None:
            known.journal.note(known)  # no claim of his has ended, and it is to be kept all the same
        return brief(known, now)

    def forget(self, who: str) -> Value:
        """Forget somebody, who will be a stranger."""
        found = self._find(who)
        answer = brief(found, self.monotonic())
        self.book.forget(found)
        if isinstance(found, Requestor):
            self.requestors.forget(found.key)
        else:
            self.groups.forget(self._resolver(who), now=self.monotonic())
        return answer

    def called(self, resolver: Network) -> frozenset[str]:
        """What decisions call a resolver by besides its address: its prefix of IPv6, its group; of a prefix nothing."""
        if resolver.num_addresses > 1:
            return frozenset()
        who = self.groups.resolvers.of(str(resolver.network_address))
        group = self.groups.find(who)
        return frozenset({who} if group is None else {who, str(group.resolver)})

    def _find(self, who: str) -> Known:
        found = self._requestor(who) or self.groups.find(self._resolver(who))
        if found is None:
            raise CommandError(ExitStatus.NOT_FOUND, f"nothing is known of {who}")
        return found

    def _resolver(self, who: str) -> str:
        """Whose an address is."""
        return self.groups.resolvers.of(_address(who))

    def _requestor(self, who: str) -> Requestor | None:
        """A client, which is written as its network, or as `realmgw reputation list --clients` has it."""
        return next((each for each in self.requestors if names(each)[0] == who), None) if "/" in who else None


def names(known: Known) -> tuple[str, ...]:
    """What somebody is known by, as text."""
    return known.nodes if isinstance(known, Group) else (str(known.key),)


def brief(known: Known, now: float) -> dict[str, Value]:
    """Somebody in a line."""
    reputation = known.reputation
    value = round(reputation.value(now), 4)
    past_ok, past_nok, past_neutral = reputation.past
    ever = past_ok + reputation.ok, past_nok + reputation.nok, past_neutral + reputation.neutral
    outcomes = {name: _weight(count) for name, count in zip(("ok", "nok", "neutral"), ever, strict=True)}
    if isinstance(known, Requestor):
        return {"name": str(known.key), "kind": "client", "reputation": value, **outcomes}
    kind = "preset" if known.preset is not None else "proven" if known.proven_at > -math.inf else "unproven"
    return {"name": str(known.resolver), "kind": kind, "reputation": value, **outcomes, "sla": known.sla,
            "nodes": len(known.nodes), "passed": passed(known)}  # fmt: skip


def passed(group: Group) -> list[str]:
    """The names of the challenges that a group has passed."""
    return [challenge.name.lower() for challenge in Challenge if group.passed & challenge]


def _group(group: Group, now: float) -> dict[str, Value]:
    """What is known of groups only."""
    return {
        "nodes": list(group.nodes),
        "trusted": group.trusted,
        "untrusted": group.untrusted,
        "doubted_for": round(max(0.0, group.word.doubted_until - now), 3),
        "proven_ago": round(now - group.proven_at, 3) if group.proven_at > -math.inf else None,
        "guard": round(group.claim_timeout, 4),
        "patience": round(group.delay_p999, 4),
        "delays": group.delays.total if group.delays is not None else 0,
    }


def _period(reputation: Reputation) -> dict[str, Value]:
    """How the present value comes about; it was asked for just before."""
    return {
        "previous": round(reputation.previous, 4),
        "current": round(reputation.current(), 4),
        "initial": round(reputation.initial, 4),
        "ok": _weight(reputation.ok),
        "nok": _weight(reputation.nok),
        "neutral": _weight(reputation.neutral),
    }


def _weight(count: float) -> float:
    """Claims by their weights, to be read; whole where they are."""
    rounded = round(count, 2)
    return int(rounded) if rounded == int(rounded) else rounded


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= 1.0:
        raise CommandError(ExitStatus.USAGE, f"reputation: {text!r} is no number from 0 to 1")
    return value


def _address(text: str) -> str:
    try:
        return str(ip_address(text.partition("/")[0]))  # of a preset group, its first address
    except ValueError:
        raise CommandError(ExitStatus.USAGE, f"{text!r} is no address of a resolver, and no known client") from None
