"""What was decided lately, as operators ask for it: by name, client or resolver, or by a flow.

Edge: the machine's time zone, subscriber files.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Generator, Iterator, Reversible, Sequence
from functools import lru_cache
from heapq import merge
from ipaddress import ip_address, ip_network
from operator import attrgetter, itemgetter
from typing import Any

import attrs

from realmgw.allocation.decisionlog import (
    Admitted,
    Answered,
    DecisionLog,
    Ended,
    Forbidden,
    Logs,
    Refused,
    Unanswered,
    Way,
    Withheld,
)
from realmgw.allocation.flow import Flow
from realmgw.allocation.reputation.requestors import ClientPrefix
from realmgw.config import protocols
from realmgw.config.quoting import trace_id
from realmgw.config.settings import Network
from realmgw.config.steps import finish, portions
from realmgw.control import causes, ended, listed, parameters, standing
from realmgw.control.between import Between, End, end
from realmgw.control.commands import CommandError, Deferred, ExitStatus, Value
from realmgw.control.known import Known
from realmgw.control.moments import moment
from realmgw.control.running import Running
from realmgw.control.standing import Unplaced
from realmgw.control.streaming import BEFORE, PERIOD, Stream
from realmgw.control.whose import Whose, whose
from realmgw.errors import RealmGatewayError, Reason
from realmgw.subscribers.files.standing import Sought

_Raw = tuple[Any, ...]  # as the log has it
Entry = Answered | Admitted | Unanswered | Refused | Ended | Forbidden | Withheld
"""A decision."""
_KINDS: tuple[Callable[..., Entry], ...] = (
    Answered._make, Admitted._make, Unanswered._make, Refused._make, Ended._make, Forbidden._make,
    Withheld._make,
)  # fmt: skip
AT_ONCE = 1000
"""So many decisions of a kind are looked at in a period for those who follow."""
BESIDE = 4
"""Who follows all is told each beside others: so many of each kind are looked at for each that there is room for."""
BACK = 16
"""For those who follow, so many answers with the same address are remembered: of a period, and the one before it."""
ASKERS = 4096
"""Of so many resolvers it is remembered whether they are meant."""
FOLLOWERS = 4
"""More do not follow at once."""
PROXIED = "an address of the service pool: what comes there the web proxy has answered, see `realmgw webproxy show`"
OWN = "the gateway's own address: its own flows are not decided about"
LONGEST = 10_000_000  # seconds
"""Nothing is kept for so long."""


@attrs.frozen
class Wanted:
    """Which decisions are meant; empty: whatever it is."""

    name: str = ""
    """Part of the service's name."""
    client: Network | None = None
    """Where packets come from."""
    resolver: Network | None = None
    """Who asked."""
    called: Collection[str] = ()
    """What decisions call that one by as well: its prefix of IPv6, its group."""
    refused: bool = False
    """Only refusals."""
    host: Whose | None = None
    """Only what is of this host."""
    flow: Between | None = None
    """Only what is of the flows between these ends."""
    until: float = math.inf
    """Not later than this, in monotonic seconds."""


class Decided:
    """What the commands about decisions do.

    Args:
        running: What is in force: which key of it has refused somebody.
        decisions: The log.
        drive: Goes through steps a few at a time; a Deferred of what they return.
        repeat: Calls a function every so many seconds until what it returns is called.
        recorded: Flows that have ended; see `realmgw.records.service.RecordsService.ended`.
        monotonic: The clock of the log.
        time: The present, in seconds since 1970.
        called: See `Wanted`.
    """

    def __init__(
        self,
        running: Running,
        decisions: DecisionLog,
        drive: Callable[..., Deferred],
        repeat: Callable[[float, Callable[[], object]], Callable[[], object]],
        recorded: Callable[[dict[str, Any], int], Deferred],
        monotonic: Callable[[], float],
        time: Callable[[], float],
        called: Callable[[Network], Collection[str]] = lambda _resolver: (),
    ) -> None:
        self._running, self._called = running, called
        self._decisions, self._drive, self._repeat, self._recorded = decisions, drive, repeat, recorded
        self._monotonic, self._time = monotonic, time
        self._followers = 0

    def lately(self, since: str, until: str, refused: str, limit: str, follow: str, **of: str) -> Deferred:
        """The latest ones, the oldest of them first; a Deferred of a `Stream` of them.

        Args:
            since: Not those before.
            until: Not those after.
            refused: Whether only refusals.
            limit: At most so many.
            follow: Whether to go on with what is decided from now on.
            **of: `name`, `host`, `client` and `resolver`; empty: whichever.

        Raises:
            CommandError: What is written is nothing that there is; or so many follow already.
        """
        client, resolver = (parameters.network(of[each], each) if of[each] else None for each in ("client", "resolver"))
        last, host = self._when(until, "until") if until else math.inf, of["host"]
        his = whose(self._running.registry, host) if host else None
        called = () if resolver is None else self._called(resolver)
        wanted = Wanted(of["name"].lower(), client, resolver, called, bool(refused), his, until=last)
        most, least = parameters.number(limit, "limit", BEFORE), self._when(since, "since") if since else 0.0
        if follow and until:
            raise CommandError(
                ExitStatus.USAGE, "until: who follows is told of what comes later: leave out one of both"
            )
        if follow and self._followers >= FOLLOWERS:
            raise CommandError(ExitStatus.FAILED, f"{FOLLOWERS} follow already: ask again when one has gone")

        logs, taken = self._decisions.logs(), self._monotonic()

        def begin(rows: list[Value]) -> Stream:
            stream = Stream()
            for each in rows:
                stream.tell(each)
            if follow:
                return self._follow(stream, wanted, taken)
            stream.end()
            return stream

        return self._found(wanted, most, least, logs).addCallback(begin)

    def flow(self, source: str, destination: str) -> Deferred:
        """What is known of a flow: its first packet, the answer that brought it, and its end if flows are recorded."""
        ends = end(source, "source"), end(destination, "destination")
        wanted = Wanted(flow=Between(*ends, self._running.registry))
        found = self._found(wanted, BEFORE, 0.0, self._decisions.logs())
        return found.addCallback(lambda rows: {"decisions": rows, "note": None if rows else self._note(*ends)})

    def _note(self, *ends: End) -> str | None:
        """Why nothing can be known of a flow with one of these ends; None: there is no reason."""
        addresses = {ip_address(packed) for packed, _ in ends}
        for own, why in ((self._running.settings.pools.service, PROXIED), (self._running.around.own, OWN)):
            if met := addresses.intersection(own):
                return f"{met.pop()} is {why}"
        return None

    def _when(self, text: str, name: str) -> float:
        """A time, in monotonic seconds; one without a unit, or a colon, is so many seconds ago."""
        if text.isdigit() or parameters.span(text) is not None:
            return self._monotonic() - parameters.seconds(text, name, 0, LONGEST)
        return self._monotonic() - (self._time() - moment(text, name, self._time()))

    def _found(self, wanted: Wanted, most: int, least: float, logs: Logs) -> Deferred:
        """The rows of the latest that are meant, and of flows that have ended since the oldest that is kept."""
        found = self._drive(self._rows(wanted, most, least, logs))
        if wanted.refused or wanted.resolver:
            return found  # records do not say who asked
        since = self._time() - (self._monotonic() - max(least, self._decisions.oldest(self._monotonic())))
        host = "" if wanted.host is None else wanted.host.name
        given = ended.conditions(since, name=wanted.name, host=host, client=wanted.client, flow=wanted.flow)
        if wanted.until < math.inf:
            given["until"] = self._time() - (self._monotonic() - wanted.until)

        def merged(records: list[Value], rows: list[Value]) -> list[Value]:
            return sorted([*rows, *ended.rows(records, wanted.flow)], key=itemgetter("at"))[-most:] if most else []

        def unread(failure: Any, rows: list[Value]) -> list[Value]:  # what was decided is told all the same
            failure.trap(RealmGatewayError)
            return [*rows, {"at": self._time(), "what": "unread", "name": None, "why": failure.getErrorMessage()}]

        def beside(rows: list[Value]) -> Deferred:
            return self._recorded(given, BEFORE).addCallbacks(merged, unread, (rows,), None, (rows,))

        return found.addCallback(beside)

    def _rows(self, wanted: Wanted, most: int, least: float, logs: Logs) -> Generator[Any, Any, list[Value]]:
        """The rows of the latest that are meant, the oldest of them first."""
        most_kept = self._decisions.most
        known, rows, unplaced = Known(most_kept, most_kept), list[Value](), list[Unplaced]()
        yield from known.learn(logs)
        for portion in portions(_latest_first(logs)):
            for each in portion:
                if each.at < least or len(rows) >= most:
                    break
                if each.at <= wanted.until and is_meant(each, wanted, known):
                    rows.append(self._row(each, known, unplaced))
            else:
                yield None
                continue
            break
        yield from standing.placing(self._running.registry, unplaced)
        yield from listed.placing(self._running.settings, rows)
        return rows[::-1]

    def _follow(self, stream: Stream, wanted: Wanted, last: float) -> Stream:
        """Tell what is decided from then on: in each period the latest, as many as there is room for."""
        known, every = Known(AT_ONCE, BACK), wanted == Wanted()

        def look() -> None:
            nonlocal last
            most = BESIDE * stream.room if every else AT_ONCE
            (logs, total), last = self._decisions.news(last, min(AT_ONCE, most)), self._monotonic()
            rows, seen = list[Value](), 0
            if stream.room:
                finish(known.learn(logs))
                for each in _latest_first(logs):
                    seen += 1
                    if every or is_meant(each, wanted, known):
                        rows.append(self._row(each, known, []))
                        if len(rows) == stream.room:
                            break
            if total != seen:  # of those that were not looked at nobody knows who is meant, unless everybody is
                stream.leave_out(total - seen if every and total is not None else None)
            for row in reversed(rows):
                stream.tell(row)

        self._followers += 1
        stop_looking = self._repeat(PERIOD, look)

        def stop() -> None:
            self._followers -= 1
            stop_looking()

        stream.stop = stop
        return stream

    def _row(self, entry: Entry, known: Known, unplaced: list[Unplaced]) -> Value:
        at = self._time() - (self._monotonic() - entry.at)
        if isinstance(entry, Answered):
            came = known.came(entry.number)
            after = None if came is None else round(came.at - entry.at, 6)
            more = {"name": entry.name, **_asker(entry), "address": str(ip_address(entry.told)), "came_after": after}
            return {"at": at, "what": "answered", "id": trace_id(entry.number), **more}
        if isinstance(entry, Unanswered):
            more = {"name": entry.name, **_asker(entry), "why": entry.reason.name.lower()}
            return {"at": at, "what": "not_answered", **more, "by": self._by(entry, unplaced)}
        if isinstance(entry, Admitted):
            more = {"name": entry.name, **_flow(entry.flow), "why": Way(entry.way).name.lower()}
            return {"at": at, "what": "admitted", "id": trace_id(entry.number), **more}
        if isinstance(entry, Ended):
            more = {"name": entry.name, "why": entry.how.name.lower()}
            return {"at": at, "what": "claim_ended", "id": trace_id(entry.number), **more}
        if isinstance(entry, Withheld):
            return {"at": at, "what": "not_answered", **listed.row(self._running.settings, entry)}
        if isinstance(entry, Forbidden):
            return {"at": at, "what": "refused", **self._ruled(entry, known, unplaced)}
        told = known.told(entry.flow[1], entry.at)
        more = {"name": None if told is None else told.name, **_flow(entry.flow)}
        reason = Reason(entry.reason)
        by = causes.causes(self._running.settings, reason)
        return {"at": at, "what": "refused", **more, "why": reason.name.lower(), "by": by}

    def _ruled(self, entry: Forbidden, known: Known, unplaced: list[Unplaced]) -> dict[str, Value]:
        """The packet, and the rule that has ended it; of a host's own rule it is to be found out where it stands."""
        told, ruled = known.told(entry.flow[1], entry.at), entry.ruled
        name = ruled.host or (None if told is None else told.name)
        by: dict[str, Value] = {"key": ruled.rule, "origin": ruled.origin or None}
        if ruled.host:
            by["origin"] = standing.source_of(self._running.registry, ruled.host)
            unplaced.append(Unplaced(by, Sought(ruled.host, ruled.own)))
        return {"name": name, **_flow(entry.flow), "why": ruled.verdict, "by": [by]}

    def _by(self, entry: Unanswered, unplaced: list[Unplaced]) -> list[Value]:
        """The keys that have refused a query; of those of its host it is to be found out where they stand."""
        found = causes.causes(self._running.settings, entry.reason, entry.resolver)
        host, key = self._running.registry.host_called(entry.name), causes.OF_HOST.get(entry.reason)
        if host is not None and key is not None:
            value = {"key": key, "origin": standing.source_of(self._running.registry, host.name)}
            unplaced.append(Unplaced(value, Sought(host.name, key=key)))
            found.append(value)
        return found


def _latest_first(logs: Sequence[Reversible[_Raw]]) -> Iterator[Entry]:
    """Decisions of all kinds, made of what the log has only as they are taken."""
    kinds = [map(make, reversed(raw)) for make, raw in zip(_KINDS, logs, strict=True)]
    return merge(*reversed(kinds), key=attrgetter("at"), reverse=True)


def is_meant(entry: Entry, wanted: Wanted, known: Known) -> bool:
    """Whether a decision is one of those that somebody wants to know of.

    Args:
        entry: The decision.
        wanted: Which ones.
        known: The others: a packet has come for an answer, and an answer has brought a packet.
    """
    if wanted.refused and not isinstance(entry, Refused | Unanswered | Forbidden | Withheld):
        return False
    if isinstance(entry, Withheld):
        his = wanted.host is None or ip_address(entry.resolver.partition("%")[0]).packed in wanted.host.addresses
        return his and listed.is_meant(entry, wanted.name, wanted.client, wanted.resolver) and wanted.flow is None
    answer = entry if isinstance(entry, Answered | Unanswered) else known.answer(getattr(entry, "number", 0))
    packet = entry if isinstance(entry, Admitted | Refused | Forbidden) else known.came(getattr(entry, "number", 0))
    if wanted.flow is not None:
        return packet is not None and _is_of(packet, wanted.flow, known)
    if isinstance(entry, Refused | Forbidden):
        answer = known.told(entry.flow[1], entry.at)
    if wanted.name and wanted.name not in _name(entry, answer):
        return False
    if wanted.host is not None and not _is_his(wanted.host, entry, _name(entry, answer)):
        return False
    if wanted.resolver is not None and (
        answer is None
        or isinstance(entry, Refused | Forbidden)
        or not (str(answer.resolver) in wanted.called or _asks_from(str(answer.resolver), wanted.resolver))
    ):
        return False
    return wanted.client is None or _is_from(wanted.client, packet, answer)


def _name(entry: Entry, answer: Answered | Unanswered | None) -> str:
    if isinstance(entry, Refused | Forbidden):
        name = (entry.ruled.host if isinstance(entry, Forbidden) else "") or ("" if answer is None else answer.name)
    else:
        name = entry.name
    return name.lower()


@lru_cache(ASKERS)
def _asks_from(resolver: str, network: Network) -> bool:
    """Whether a resolver, whose group is known by an address or by a prefix, is one that is meant."""
    try:
        return ip_network(resolver.partition("%")[0]).overlaps(network)
    except ValueError:
        return False


def _is_his(host: Whose, entry: Entry, name: str) -> bool:
    """Whether a decision is about a host: by a name of its own, or by its address, which its rules have met."""
    if isinstance(entry, Forbidden) and not host.addresses.isdisjoint(entry.flow[:2]):
        return True
    return name in host.names


def _is_from(
    network: Network, packet: Admitted | Refused | Forbidden | None, answer: Answered | Unanswered | None
) -> bool:
    if packet is not None:
        return ip_address(packet.flow[0]) in network
    client = None if answer is None else answer.client
    return isinstance(client, ClientPrefix) and ip_address(client.packed) in network


def _is_of(packet: Admitted | Refused | Forbidden, wanted: Between, known: Known) -> bool:
    """Whether a packet is of a flow: rules of hosts see its host's own address in the place of ours."""

    def told(address: bytes) -> str | None:
        found = known.told(address, packet.at)
        return None if found is None else found.name

    if isinstance(packet, Forbidden) and packet.ruled.host:
        return wanted.met_behind(packet.flow, told)
    return wanted.brings(packet.flow, lambda: packet.name if isinstance(packet, Admitted) else told(packet.flow[1]))


def _asker(entry: Answered | Unanswered) -> dict[str, Value]:
    return {"resolver": str(entry.resolver), "client": None if entry.client is None else str(entry.client)}


def _flow(flow: Flow) -> dict[str, Value]:
    src, dst, protocol, sport, dport = flow
    return {
        "protocol": protocols.NAMES.get(protocol, str(protocol)), "source": str(ip_address(src)), "source_port": sport,
        "destination": str(ip_address(dst)), "port": dport,
    }  # fmt: skip
