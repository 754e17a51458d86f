"""What is done about an alert: whose flow it is, whether the client can be who he seems, and what the rules say of it.

Whoever can have a packet seen by the intrusion detection system can have it told of, under any source address. So an
alert says nothing of anybody before conntrack has been asked: what it has no flow of, ends nothing; and only where it
has seen a handshake to its end, the client is banned, or counts against who has asked for him. A flow of UDP can be
forged from end to end, so it may end, and that is all.

Alerts are taken some at once: conntrack is asked about the flows of all of them by one message, and those come first of
which more comes than a row.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import islice
from typing import Any, Protocol

import attrs

from realmgw.alerts.bans import Bans, Cause, shown, who
from realmgw.alerts.eve import NO_FLOW, WITH_PORTS, Alert, Flow
from realmgw.alerts.recent import Recent, Told, Way, Whose
from realmgw.alerts.rules import Rules
from realmgw.config import protocols
from realmgw.config.alerts import Action, Alerts
from realmgw.datapath.netlink.tracked import Direction, Tracked
from realmgw.subscribers.entry import shown as written

_NOT_FOUND = ("conntrack has no such flow",)
_NO_ADDRESSES = ("the packet had no addresses",)
_NO_PORTS = ("flows of a protocol without ports are not looked for",)
_NOT_KEPT_FROM = "it came to the gateway itself, from which bans keep nobody but at the web proxy"
_NOT_ASKED_FOR = "it came to the gateway itself, for whose addresses nobody is asked"
_GOES_ON = "flow not ended: it came to the gateway itself, where it would go on without conntrack"


class Seen(Protocol):
    """A flow of conntrack's: see `realmgw.admission.conntrack.Seen`."""

    @property
    def tracked(self) -> Tracked: ...
    @property
    def is_proven(self) -> bool: ...


class Opener(Protocol):
    """Who has asked for the client of a flow: see `realmgw.allocation.openers.Opener`."""

    @property
    def name(self) -> str: ...
    def blame(self, now: float) -> None: ...


@attrs.frozen
class Means:
    """What a response is made with. None of it waits."""

    find: Callable[[Sequence[Flow]], Sequence[Seen | None]]
    """The flows that packets are of, each in whichever of its four views; None: conntrack has none."""
    end: Callable[[Sequence[Any]], Sequence[bool]]
    """Ends flows that were found; returns of each whether it was there still."""
    way: Callable[[Tracked], Way]
    """From where to where a flow was begun."""
    is_proxied: Callable[[Direction], object]
    """Whether it is the web proxy of the gateway that answers so."""
    name_of: Callable[[bytes], str | None]
    """The name of the host with a packed address, if a subscriber has it."""
    opener: Callable[[bytes, bytes], Opener | None]
    """Who has asked for a client, by the client's packed address and the one that he came to."""
    ban: Callable[[bytes, float], object]
    """Has nothing of a sender's reach a host for so many seconds."""


_Case = tuple[Told, Collection[Action]]
"""An alert, and what its rule says is to be done."""


class _Held(enum.Enum):
    """What is held against a client."""

    NOTHING = "nothing"
    ENOUGH = "enough"
    """He could be banned, and is not, as too many are."""
    BANNED = "banned"
    """He is banned, or would be."""


@attrs.define
class Counts:
    """What became of alerts."""

    repeated: int = 0
    """Were the same as one within the second before."""
    without_rule: int = 0
    """Fell under no rule."""
    without_flow: int = 0
    """Were of no flow that conntrack has."""
    not_proven: int = 0
    """Could have banned or blamed, and nothing shows that their client is not forged."""
    ended: int = 0
    """Flows that were ended."""
    not_ended: int = 0
    """Flows that conntrack would not end, or had ended, or that came to the gateway itself."""
    banned: int = 0
    """Clients that were banned."""
    not_banned: int = 0
    """Clients that were proven, and were not: ours, never to be, too many, already, or no client of hosts."""
    blamed: int = 0
    """Counted against whoever had asked."""
    nobody_blamed: int = 0
    """Were to, and it is not known who."""
    audited: int = 0
    """Had nothing done, since it is only told what would be."""


class Response:
    """Does what the rules say.

    Args:
        settings: The rules.
        bans: Who is banned.
        means: What it is done with.
    """

    def __init__(self, settings: Alerts, bans: Bans, means: Means) -> None:
        self.recent, self.counts = Recent(), Counts()
        self._bans, self._means = bans, means
        self.configure(settings)

    def configure(self, settings: Alerts) -> list[bytes]:
        """From now on, these rules; returns what `Bans.configure` does."""
        self._settings, self._rules = settings, Rules(settings.rules)
        return self._bans.configure(settings)

    def take(self, alerts: Iterable[Alert], now: float, at: float) -> None:
        """Do what is to be done about some alerts.

        Args:
            alerts: They: so many that conntrack may be asked about all of them at once.
            now: The present, in monotonic seconds.
            at: The same, in seconds since 1970.
        """
        acted, shown = list[_Case](), list[_Case]()
        for alert in alerts:
            if self.recent.is_repeated(alert, now, at):
                self.counts.repeated += 1
                continue
            number, rule = self._rules.of(alert) or (None, None)
            told = Told(alert, number, now, at)
            self.recent.add(told)
            if rule is None or rule.actions == (Action.COUNT,):
                self.counts.without_rule += rule is None
                shown.append((told, ()))
            else:
                acted.append((told, rule.actions))
        for cases in (acted, shown):
            if cases:
                self._look(cases, now)

    def _look(self, cases: Iterable[_Case], now: float) -> None:
        """Whose flows they are of, and what the rules say of it."""
        asked = list({told.alert.flow: None for told, _ in cases if told.alert.flow[2] in WITH_PORTS})
        found = dict(zip(asked, self._means.find(asked), strict=True))
        ends = list[tuple[Told, Seen]]()
        for told, actions in cases:
            seen = found.get(told.alert.flow)
            if seen is not None:
                if self._respond(told, seen, actions, now):
                    ends.append((told, seen))
                continue
            self.counts.without_flow += 1
            told.not_done = _NOT_FOUND if told.alert.flow in found else _NO_PORTS
            if told.alert.flow == NO_FLOW:
                told.not_done = _NO_ADDRESSES
        if ends:
            self._end(ends)
        if self._settings.audit:
            self.counts.audited += sum(bool(told.done) for told, _ in cases)

    def _respond(self, told: Told, seen: Seen, actions: Collection[Action], now: float) -> bool:
        """Do what a rule says; returns whether the flow is to end."""
        first, answer, way = seen.tracked.original, seen.tracked.reply, self._means.way(seen.tracked)
        name = self._means.name_of(first.source if way is Way.OUT else answer.source)
        told.whose = Whose(seen.tracked, name, way, seen.is_proven)
        held = self._ban(told, seen, way, now) if Action.BAN in actions else _Held.NOTHING
        if Action.BLAME in actions:
            self._blame(told, seen, way, now)
        is_to_end = Action.END in actions or held is not _Held.NOTHING
        if is_to_end and way is Way.GATEWAY and held is not _Held.BANNED:
            told.not_done += (_GOES_ON,)
            self.counts.not_ended += 1
            return False
        return is_to_end

    def _ban(self, told: Told, seen: Seen, way: Way, now: float) -> _Held:
        source = seen.tracked.original.source
        why, held = self._unproven(seen, way), _Held.NOTHING
        if why is None:
            why = self._spared(seen, way)
            if why is None:
                why = self._bans.refuses(source, now)
                held = _Held.BANNED if why is None or source in self._bans else _Held.ENOUGH
            self.counts.not_banned += why is not None
        if why is not None:
            told.not_done += (f"not banned: {why}",)
            return held
        told.done += (f"{shown(who(source))} banned for {self._settings.ban_time:g} s",)
        if not self._settings.audit:
            assert told.rule is not None
            cause = Cause(told.alert.signature, told.alert.text, self._settings.rules[told.rule - 1])
            self._means.ban(self._bans.add(source, now, cause).network_address.packed, self._settings.ban_time)
            self.counts.banned += 1
        return held

    def _spared(self, seen: Seen, way: Way) -> str | None:
        """Why the client is never banned for this flow, although it is proven; None: he could be."""
        if way is Way.GATEWAY and not self._means.is_proxied(seen.tracked.reply):
            return _NOT_KEPT_FROM
        return self._bans.spares(seen.tracked.original.source)

    def _blame(self, told: Told, seen: Seen, way: Way, now: float) -> None:
        why, opener = self._unproven(seen, way), None
        if why is None:
            first = seen.tracked.original
            opener = None if way is Way.GATEWAY else self._means.opener(first.source, first.destination)
            self.counts.nobody_blamed += opener is None
        if opener is None:
            unknown = _NOT_ASKED_FOR if way is Way.GATEWAY else "it is not known any more who asked"
            told.not_done += (f"nobody blamed: {why or unknown}",)
            return
        told.done += (f"{opener.name} blamed",)
        if not self._settings.audit:
            opener.blame(now)
            self.counts.blamed += 1

    def _unproven(self, seen: Seen, way: Way) -> str | None:
        """Why nothing can be held against the client."""
        if way is Way.OUT:
            return "the flow was begun inside"
        if seen.is_proven:
            return None
        self.counts.not_proven += 1
        return "conntrack has seen no handshake, so the client's address may be forged"

    def _end(self, ends: Iterable[tuple[Told, Seen]]) -> None:
        """Have flows end, each once whatever number of alerts are of it, in whichever view."""
        meant = {seen.tracked.original: seen for _, seen in ends}
        over = dict.fromkeys(meant, True)
        if not self._settings.audit:
            over = dict(zip(meant, self._means.end(tuple(meant.values())), strict=True))
            self.counts.ended += sum(over.values())
            self.counts.not_ended += len(over) - sum(over.values())
        for told, seen in ends:
            if over[seen.tracked.original]:
                told.done += ("flow ended",)
            else:
                told.not_done += ("flow not ended: conntrack has not ended it, or it was over",)

    def show(self, limit: int, at: float) -> dict[str, Any]:
        """The alerts that came last, as plain values, the latest first.

        Args:
            limit: So many at most.
            at: The present, in seconds since 1970.
        """
        rows = [{"ago": round(at - told.at, 3), **self._row(told)} for told in islice(self.recent, limit)]
        return {"audit": self._settings.audit, "banned": len(self._bans), "total": len(self.recent), "alerts": rows}

    def _row(self, told: Told) -> dict[str, Any]:
        alert = told.alert
        return {
            "at": told.at, "times": told.times, "signature_id": alert.signature, "signature": alert.text,
            "category": alert.category, "severity": alert.severity,
            **_ends(alert.flow),
            "rule": told.rule, "flow": told.whose and _shown(told.whose),
            "done": [*told.done], "not_done": [*told.not_done],
        }  # fmt: skip


def _ends(flow: Flow) -> dict[str, Any]:
    """From where to where a packet went, as plain values; empty texts where it had no addresses."""
    source, destination, protocol, sport, dport = flow
    is_known = flow != NO_FLOW
    return {
        "src_ip": written(source) if is_known else "", "src_port": sport,
        "dest_ip": written(destination) if is_known else "", "dest_port": dport,
        "proto": protocols.NAMES.get(protocol, str(protocol)) if is_known else "",
    }  # fmt: skip


def _shown(whose: Whose) -> dict[str, Any]:
    """Whose flow it is, as plain values."""
    first, answer = whose.tracked.original, whose.tracked.reply
    is_out = whose.way is Way.OUT
    return {
        "direction": whose.way.value,
        "protocol": protocols.NAMES.get(first.protocol, str(first.protocol)),
        "host": whose.host,
        "address": written(first.source if is_out else answer.source),
        "port": first.sport if is_out else answer.sport,
        "client": written(first.destination if is_out else first.source),
        "client_port": first.dport if is_out else first.sport,
        "proven": whose.is_proven,
    }
