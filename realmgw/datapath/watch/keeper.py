"""Compares what was placed with what is there, and puts it back. It blocks. Edge: a routing socket."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from typing import Protocol

import attrs
from pyroute2 import IPRoute

from realmgw.config.settings import Settings
from realmgw.datapath import client, offload
from realmgw.datapath.iptables.prefixes import PrefixStep
from realmgw.datapath.iptables.steps import LastStep, QueueStep
from realmgw.datapath.machine import interfaces, sysctls
from realmgw.datapath.machine.sysctls import Needs
from realmgw.datapath.netlink import codec, nftables
from realmgw.datapath.netlink.events import Transaction
from realmgw.datapath.netlink.nftables import INET, IPV4, IPV6, Contents, Table
from realmgw.datapath.nft import Nft
from realmgw.datapath.watch import placed
from realmgw.datapath.watch.generations import Culprit, Generations
from realmgw.datapath.watch.placed import AS_PLACED, CHANGED, GONE, THERE, Deviation, Key, Kind, Thing
from realmgw.datapath.watch.reader import RulesetReader
from realmgw.errors import RealmGatewayError
from realmgw.subscribers.model import Host

_CLOSING = (Kind.TABLE,)
_ORDER = (_CLOSING, tuple(Kind)[1:6], tuple(Kind)[6:])
"""What is looked at and put back one after the other: what closes, what else is of the rules, and the rest."""
_MANGLE = {(IPV4, "mangle"), (IPV6, "mangle")}
NAMED = 4
"""So many things of a table are named when they are not as they should be."""


@attrs.frozen
class Noticed:
    """What was heard of changes since the last look."""

    transactions: tuple[Transaction, ...] = ()
    """Of nftables, most likely somebody else's."""
    lost: bool = False
    """There was more than could be heard."""
    links: bool = True
    """There was something about links, addresses or routes; True where that is not known."""

    @property
    def mangle(self) -> bool:
        """Whether rules in iptables' mangle may have become others."""
        return self.lost or any(not _MANGLE.isdisjoint(each.tables) for each in self.transactions)


@attrs.frozen
class Findings:
    """What a look has found, and what became of it."""

    repaired: tuple[str, ...] = ()
    """What was not as it should be and is so again, a line each."""
    broken: tuple[str, ...] = ()
    """What is not as it should be, and flows need it, a line each."""
    doubtful: tuple[str, ...] = ()
    """What is not as it should be, and flows get through all the same."""
    unloaded: tuple[str, ...] = ()
    """What of the operator's own rules is not in force, and why, a line each."""
    disturbed: bool = False
    """Flows may not have got through until it was repaired."""
    things: tuple[Thing, ...] = ()
    """All that was looked at."""
    left: tuple[Deviation, ...] = ()
    """What of it is not as it should be."""
    unexplained: Mapping[str, Culprit] = attrs.Factory(dict)
    """Lines of `repaired` that do not say who it was, where the kernel may say so later: it tells after the deed."""

    def placed(self) -> Iterator[dict[str, str]]:
        """Everything that was looked at, and what each was."""
        found = {each.thing: each.found for each in self.left}
        for thing in dict.fromkeys((*self.things, *found)):
            is_ = found.get(thing, thing.wanted)
            yield {"what": thing.kind.value, "name": thing.name, "should_be": thing.wanted, "is": is_}

    def counts(self) -> dict[str, int]:
        """How many of these were as they should be, and how many were not."""
        return {"right": len(self.things) - len(self.left), "wrong": len(self.left)}

    def explained(self, transactions: Collection[Transaction]) -> Findings:
        """The same, with whoever is among these."""
        found = {line: culprit.among(transactions) for line, culprit in self.unexplained.items()}
        by = {line: f"{line}, by {culprit}" for line, culprit in found.items() if culprit is not None}
        unexplained = {line: culprit for line, culprit in self.unexplained.items() if line not in by}
        return attrs.evolve(self, repaired=tuple(by.get(line, line) for line in self.repaired), unexplained=unexplained)


class Rules(Protocol):
    """What puts rules in place; see `realmgw.datapath.apply.Kernel`."""

    queue_step: QueueStep
    last_step: LastStep
    prefix_step: PrefixStep

    @property
    def settings(self) -> Settings: ...
    @property
    def nft(self) -> Nft:
        """Access to nftables, made at its first use."""

    @property
    def optional(self) -> frozenset[Kind]: ...
    @property
    def needs6(self) -> Needs: ...
    @property
    def is_guarded(self) -> bool: ...
    def shut(self) -> None: ...
    def place(self, hosts: tuple[Host, ...]) -> None: ...
    def place_guard(self) -> None: ...
    def place_routes(self, channel: IPRoute) -> Iterator[Callable[[], str]]: ...
    def review(self) -> tuple[str, ...]: ...


class Keeper:
    """Keeps one gateway's side of the kernel as it was placed.

    Args:
        rules: Puts rules and routes in place.
        reader: Reads the ruleset.
        generations: Those of it that are our own.
        is_halfway: Whether a change of ours has left the table so that it is to be placed anew.
    """

    def __init__(
        self, rules: Rules, reader: RulesetReader, generations: Generations, is_halfway: Callable[[], bool]
    ) -> None:
        self._rules, self._is_halfway = rules, is_halfway
        self._reader = reader
        self._generations = generations
        self._placed: Contents = {}
        self._generation = 0  # of the ruleset, when the table was known to be so
        self._owed = False  # the whole table is to be placed
        self._undone = self._placing = 0  # the last generation before it was
        self._of_pool: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
        self._against: tuple[str, ...] = ()
        self._doubts: tuple[str, ...] = ()
        self._looks: dict[Kind, Callable[[Thing], str]] = {
            Kind.TABLE: lambda _: self.table(),
            Kind.GUARD: lambda _: AS_PLACED if rules.is_guarded else GONE,
            Kind.QUEUE_STEP: lambda _: AS_PLACED if rules.queue_step.is_installed() else CHANGED,
            Kind.TRANSLATION: lambda _: AS_PLACED if rules.last_step.is_installed(rules.settings) else CHANGED,
            Kind.PREFIXES: lambda _: AS_PLACED if rules.prefix_step.is_installed(rules.settings) else CHANGED,
            Kind.CARRIED: self._carried,
            Kind.SETTING: _setting,
            Kind.INTERFACE: lambda thing: client.link_state(thing.name),
            Kind.ADDRESS: lambda thing: THERE if client.is_own(thing.name) else GONE,
            Kind.WAY_OUT: lambda thing: THERE if client.leaves_by(thing.name) else GONE,
            Kind.WAY_OUT6: lambda thing: THERE if client.leaves_by(thing.name, ipv6=True) else GONE,
        }

    def note(self, *, elements_only: bool = False) -> None:
        """What is in the table now is as it was placed.

        Args:
            elements_only: Since it was looked at there was one transaction of ours at most, of elements alone.
        """
        now = self._reader.generation()
        if not elements_only or now - self._generation not in (0, 1):  # there was somebody else's, too
            self._placed = self._contents()
        self._generation = now

    def table(self) -> str:
        """What the table is, in words; it is not listed where nobody has changed anything since it was known."""
        now = self._reader.generation()
        if self._is_halfway():  # which elements there are is not told by what is listed
            return f"{CHANGED} (a change of hosts came to no end)"
        if self._placed and now == self._generation:
            return AS_PLACED
        found = self._contents()
        if not found:
            return GONE
        different = nftables.difference(self._placed, found)
        self._generation = self._generation if different else now
        more = f" and {len(different) - NAMED} more" if len(different) > NAMED else ""
        return CHANGED + f" ({', '.join(different[:NAMED])}{more})" if different else AS_PLACED

    def look(self, noticed: Noticed, hosts: Callable[[], tuple[Host, ...]]) -> Findings:
        """Find out what is not as it should be, put back what can be, and tell the rest.

        What closes is first, and nothing keeps it from being put back; a step that fails is told, the next one taken.

        Args:
            noticed: What was heard since the last time.
            hosts: Gives every host that a flow may be translated to; asked for when the table is placed anew.
        """
        things = placed.declared(self._rules.settings, self._rules.optional, self._rules.needs6)
        errors: list[str] = []
        meddled = self._owed or self._is_meddled(noticed)
        wrong: list[Deviation] = []
        for kinds in _ORDER:
            these = self._wrong([thing for thing in things if thing.kind in kinds])
            if kinds == _CLOSING and (these or meddled):
                self._owed = True
                attempt(self._rules.shut, errors)
                attempt(lambda: self._place(hosts()), errors)
            for kind in dict.fromkeys(each.thing.kind for each in these):
                self._put_back(kind, these, errors)
            wrong += these
        if not self._rules.is_guarded:
            attempt(self._rules.place_guard, errors)
        concerned = {each.thing.kind for each in wrong}
        left = self._wrong([thing for thing in things if thing.kind in concerned])
        self._question(anew=noticed.links)
        findings = self._findings(things, (wrong, left), meddled, errors)
        self._undone = self._placing
        return findings.explained(noticed.transactions)

    def _place(self, hosts: tuple[Host, ...]) -> None:
        """Place the whole table, which undoes whatever was done to it up to now."""
        now = self._reader.generation()
        self._rules.place(hosts)
        self._placing, self._owed = now, False

    def _is_meddled(self, noticed: Noticed) -> bool:
        """Whether elements may have been changed by others, which nobody looks at."""
        culprit = self._generations.culprit(self._table, after=self._undone)
        return noticed.lost or culprit.among(noticed.transactions) is not None

    @property
    def _table(self) -> Table:
        return INET, self._rules.settings.datapath.table

    def _culprits(self) -> dict[Kind, Culprit]:
        """Who has changed things of each kind, where the kernel says so."""
        sought = partial(self._generations.culprit, after=self._undone)
        return {
            Kind.TABLE: sought(self._table, until=math.inf if self._owed else self._placing),
            Kind.QUEUE_STEP: sought(*_MANGLE),
            Kind.TRANSLATION: sought((IPV4, "nat")),
            Kind.PREFIXES: sought((IPV6, "mangle")),
        }

    def _wrong(self, things: Collection[Thing]) -> tuple[Deviation, ...]:
        """Those that are not what they should be."""
        found: dict[Key, str] = {}
        routes = [thing for thing in things if thing.kind is Kind.ROUTE]
        if routes:
            try:
                found.update(((Kind.ROUTE, placed.route_name(route)), THERE) for route in client.our_routes())
            except (RealmGatewayError, OSError) as error:
                found.update((thing.key, f"not to be seen ({error})") for thing in routes)
        for thing in things:
            if thing.kind in self._looks:
                try:
                    found[thing.key] = self._looks[thing.kind](thing)
                except (RealmGatewayError, OSError) as error:
                    found[thing.key] = f"not to be seen ({error})"
        return placed.compare(things, found)

    def _carried(self, thing: Thing) -> str:
        """Whether the flowtable has an interface; one that is not there is as it should be: it is told by itself."""
        has = thing.name in self._reader.devices(self._table, offload.NAME) or not client.is_interface(thing.name)
        return THERE if has else GONE

    def _put_back(self, kind: Kind, wrong: Collection[Deviation], errors: list[str]) -> None:
        """Things of one kind, but for the table."""
        rules = self._rules
        if kind is Kind.QUEUE_STEP:
            attempt(rules.queue_step.place, errors)
        elif kind is Kind.TRANSLATION:
            attempt(partial(rules.last_step.place, rules.settings), errors)
        elif kind is Kind.PREFIXES:
            attempt(partial(rules.prefix_step.place, rules.settings), errors)
        elif kind is Kind.CARRIED:
            for name in (each.thing.name for each in wrong if each.thing.kind is kind):
                attempt(partial(rules.nft.run, offload.joined(self._table[1], name)), errors)
        elif kind is Kind.ROUTE:
            attempt(partial(self._place_routes, errors), errors)
        elif kind is Kind.SETTING:
            for thing in (each.thing for each in wrong if each.thing.kind is kind):
                set_ = partial(client.write_sysctl, sysctls.path(thing.name), int(thing.wanted))
                attempt(set_, errors)

    def _place_routes(self, errors: list[str]) -> None:
        """One that is refused, since somebody else has taken its place, keeps no other from being placed."""
        with client.route_socket() as channel:
            for place in self._rules.place_routes(channel):
                attempt(place, errors)

    def _question(self, *, anew: bool) -> None:
        """Find out what speaks against lending, and what works but not well; addresses only if they may be others."""
        if anew:
            self._of_pool = self._asked(self._pool_doubts)
        of_settings = self._asked(self._rules.review)
        self._against, self._doubts = ((*one, *other) for one, other in zip(self._of_pool, of_settings, strict=True))

    def _pool_doubts(self) -> tuple[str, ...]:
        with client.route_socket() as channel:
            return interfaces.check_pool(channel, self._rules.settings)

    def _asked(self, question: Callable[[], tuple[str, ...]]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """What speaks against lending, and what is warned of."""
        try:
            return (), question()
        except (RealmGatewayError, OSError) as error:
            return (str(error),), ()

    def _findings(
        self,
        things: Collection[Thing],
        wrong: tuple[Collection[Deviation], Collection[Deviation]],
        meddled: bool,
        errors: list[str],
    ) -> Findings:
        before, left = wrong
        remaining = {each.thing.key for each in left}
        repaired = [each for each in before if each.thing.is_ours and each.thing.key not in remaining]
        lines = {str(each): each.thing.kind for each in repaired}
        if meddled and Kind.TABLE not in {each.thing.kind for each in before}:
            lines[f"{Kind.TABLE.value} {self._table[1]} may have other elements"] = Kind.TABLE
        culprits = self._culprits() if lines else {}
        broken = placed.are_broken(things, left)
        return Findings(
            repaired=tuple(lines),
            unexplained={line: culprits[kind] for line, kind in lines.items() if kind in culprits},
            broken=(*(each.told for each in left if each.thing.key in broken), *errors, *self._against),
            doubtful=(*(each.told for each in left if each.thing.key not in broken), *self._doubts),
            disturbed=meddled or bool(placed.are_broken(things, repaired)),
            things=tuple(things),
            left=tuple(left),
        )

    def _contents(self) -> Contents:
        return codec.undisturbed(lambda: self._reader.undivided(self._table))


def attempt(step: Callable[[], object], errors: list[str]) -> None:
    """Take a step; what goes wrong is noted, once."""
    try:
        step()
    except (RealmGatewayError, OSError) as error:
        errors += [str(error)] if str(error) not in errors else []


def _setting(thing: Thing) -> str:
    """A setting's value; that of an interface that is not there is as it should be: it is told of the interface."""
    value = client.read_sysctl(sysctls.path(thing.name))
    return thing.wanted if value is None and sysctls.is_of_interface(thing.name) else str(value)
