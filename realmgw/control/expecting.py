"""Policy tests, run on settings and subscribers that are not in force: nothing is changed, counted or kept by it.

What the gateway would say is found out by its own decisions: those of the WAN's view (`realmgw.dns.explain`), and those
of the allocation (`realmgw.allocation.explain`), in a pool that nobody has asked for anything yet. What the kernel
would say of a flow is found out by the rules that it would be given (`realmgw.datapath.pipeline.verdicts`). Hosts and
services are those that would be in force.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from ipaddress import ip_address
from itertools import chain

import attrs

from realmgw.allocation.allocator import Allocator
from realmgw.allocation.dry import DryPools
from realmgw.allocation.explain import explain_admit, explain_ask
from realmgw.allocation.reputation.challenges import Proof
from realmgw.allocation.trace import dotted
from realmgw.config.document import MOST_OF_ONE, bounded
from realmgw.config.expectations import AskTest, Expectation, FlowTest, PacketTest, Transport
from realmgw.config.settings import Settings
from realmgw.config.steps import Steps, portions
from realmgw.config.values import Address, Network
from realmgw.control.running import Running, Written
from realmgw.datapath.pipeline.verdicts import First, verdict
from realmgw.dns.codec.message import Response
from realmgw.dns.codec.wire import Rcode, Type
from realmgw.dns.dry import dry_view
from realmgw.dns.explain import Question, explain_name
from realmgw.dns.families import Source
from realmgw.dns.view import View
from realmgw.dns.zones import ZoneTable, compiling
from realmgw.errors import ConfigurationError, Reason
from realmgw.subscribers.firewall import Direction, Target
from realmgw.subscribers.model import Directory, Host, Service
from realmgw.subscribers.reach import Around
from realmgw.subscribers.registry import Changes, Registry

NOW = 0.0  # monotonic seconds
SHOWN = 3
"""So many of the last steps of an explanation are told."""
SOURCE_PORT = 49152
"""Of first packets; nothing is decided by it."""
_LENT = (Source.POOL, Source.PINHOLE)
_NOBODY = ("NXDOMAIN", "NODATA", "NOTHING")


@attrs.frozen
class Said:
    """What comes of a test."""

    word: str
    """In one word, see `realmgw.config.expectations.WORDS`."""
    steps: tuple[str, ...]
    """How that comes about."""
    rule: str = ""
    """Which rule says so, in words; empty: none."""


@attrs.frozen
class Ran:
    """What comes of all tests."""

    failed: tuple[str, ...] = ()
    """Those whose word did not come true, a line each that begins with file, line and column."""
    skipped: tuple[str, ...] = ()
    """Those of names that nobody has, while not all subscribers are known; a line each."""


def refusing(running: Running, written: Written) -> Steps[None]:
    """Run the tests of what is written, before it is in force.

    Args:
        running: What is.
        written: What would be.

    Raises:
        ConfigurationError: A test has failed; each that has is in it.
    """
    settings = written.settings
    is_complete = settings.repository.url is None or bool(running.repositories)
    ran = yield from expecting(settings, running.registry, written.changes, running.around.links, is_complete)
    if ran.failed:
        raise ConfigurationError(ran.failed)


def checking(settings: Settings, registry: Registry, around: Around) -> Steps[Ran]:
    """Run the tests where no gateway runs: who is registered, or known to a repository only, is not known here.

    Args:
        settings: The main file.
        registry: What the subscriber files say.
        around: What is around the gateway.
    """
    update = settings.dns.update
    is_complete = settings.repository.url is None and update.key_file is None and not update.unsigned
    return (yield from expecting(settings, registry, Changes(), around.links, is_complete))


def expecting(
    settings: Settings, registry: Registry, changes: Changes, inside: Collection[Network], is_complete: bool
) -> Steps[Ran]:
    """Run all tests.

    Args:
        settings: What would be in force, with its tests.
        registry: The subscribers.
        changes: What would become of them.
        inside: The networks of the LANs, as far as they are known.
        is_complete: Whether these are all subscribers; if not, nothing is said of names that nobody has.
    """
    failed, skipped = list[str](), list[str]()
    if not settings.tests:
        return Ran()
    wanted = {name for each in settings.tests for name in _names(each)}
    services = yield from _services(registry, changes, wanted)
    hosts = yield from _hosts(registry, changes, wanted, services)
    table = yield from compiling(settings.zones, Directory(services, {}))
    dry = _Dry(settings, table, services, hosts, inside)
    for test in settings.tests:
        unknown = [name for name in _names(test) if name not in services and name not in hosts]
        said = yield from dry.said(test)
        if unknown and not is_complete and said.word in _NOBODY:
            skipped.append(f"{test.origin}: not looked at: nobody has the name {unknown[0]} so far")
        elif said.word != test.expect or (test.rule or "") not in said.rule:
            expected = test.expect if test.rule is None else f"{test.expect} by {test.rule!r}"
            why = "; ".join(said.steps[-SHOWN:])
            failed.append(f"{test.origin}: the test expects {expected}, and what comes is {said.word}: {why}")
        yield None
    return Ran(bounded(failed, MOST_OF_ONE, what="failed tests"), bounded(skipped, MOST_OF_ONE, what="tests"))


def _names(test: Expectation) -> Iterator[str]:
    """Names of services and hosts that a test is about."""
    if test.flow is not None:
        yield from (each for each in (test.flow.source, test.flow.destination) if isinstance(each, str))
    if test.ask is not None:
        yield test.ask.name
    if test.packet is not None and test.packet.asked is not None:
        yield test.packet.asked


def _services(registry: Registry, changes: Changes, wanted: Collection[str]) -> Steps[dict[str, Service]]:
    """The services of these names when the changes are in force; and of each other name one below it, if there is."""
    found, gone = dict[str, Service](), set[str]()
    there = registry.directory.services
    for portion in portions(changes.names_gone):
        gone.update(portion)
        yield None
    found.update((name, there[name]) for name in wanted if name in there and name not in gone)
    for some in portions(changes.services):
        found.update((service.name, service) for service in some if service.name in wanted)
        yield None
    left = {name for name in wanted if name not in found}
    if left:
        yield from _below(left, chain(changes.services, there.values()), gone, found)  # nobody changes them meanwhile
    return found


def _hosts(
    registry: Registry, changes: Changes, wanted: Collection[str], services: Mapping[str, Service]
) -> Steps[dict[str, Host]]:
    """The hosts of these names, their own or those of services, when the changes are in force."""
    found = {name: services[name].host for name in wanted if name in services}
    there, by_name = registry.directory.hosts, registry.directory.indices.by_name
    found.update((name, there[by_name[name]]) for name in wanted if name in by_name)
    for gone in portions(changes.removed):
        for host in gone:
            if found.get(host.name) is host:
                del found[host.name]
        yield None
    for came in portions(chain(changes.added, (after for _, after in changes.changed))):
        found.update((host.name, host) for host in came if host.name in wanted)
        yield None
    return found


def _below(
    left: set[str], services: Iterable[Service], gone: Collection[str], found: dict[str, Service]
) -> Steps[None]:
    """A name that has names below it exists, even if it has nothing itself: one of these is enough to know it."""
    for portion in portions(services):
        for service in portion:
            _, _, above = service.name.partition(".")
            while above:
                if above in left and service.name not in gone:
                    found.setdefault(service.name, service)
                    left.discard(above)
                _, _, above = above.partition(".")
        if not left:
            return
        yield None


class _Dry:
    """What would be in force, and can be asked.

    Args:
        settings: The settings.
        table: The zones, with the names that are asked for.
        services: Them.
        hosts: Those that are named.
        inside: The networks of the LANs.
    """

    def __init__(
        self,
        settings: Settings,
        table: ZoneTable,
        services: Mapping[str, Service],
        hosts: Mapping[str, Host],
        inside: Collection[Network],
    ) -> None:
        self._settings, self._table, self._services, self._inside = settings, table, services, inside
        self._hosts = hosts
        also = {each.packet.destination for each in settings.tests if each.packet and each.packet.destination}
        self._pools = DryPools(settings, also, NOW)
        self._load = -1.0
        self._looked_at: tuple[Allocator, View] | None = None  # one at a time: of many, much would be held

    def said(self, test: Expectation) -> Steps[Said]:
        """What comes of a test."""
        subject = test.subject
        if isinstance(subject, AskTest):
            allocator, view = yield from self._at(subject.load)
            return self._asked(allocator, view, subject)
        if isinstance(subject, FlowTest):
            return self._ruled(subject)
        if subject.asked is None:
            allocator, _ = yield from self._at(0.0)
            return _met(allocator, subject, subject.destination.packed if subject.destination else b"")
        allocator, view = yield from self._made(0.0)  # its own: somebody asks it for something
        return self._met_after(allocator, view, subject, subject.asked)

    def _at(self, load: float) -> Steps[tuple[Allocator, View]]:
        """What is only looked at; the same one each time."""
        if self._looked_at is None or load != self._load:
            self._load, self._looked_at = load, (yield from self._made(load))
        return self._looked_at

    def _made(self, load: float) -> Steps[tuple[Allocator, View]]:
        allocator = yield from self._pools.made(load)
        yield None
        return allocator, dry_view(self._settings, self._table, allocator, self._inside, NOW)

    def _asked(self, allocator: Allocator, view: View, test: AskTest) -> Said:
        proof = Proof.TCP if test.transport is Transport.TCP else Proof.COOKIE if test.cookie else Proof.NONE
        found = explain_name(view, Question(test.name, str(test.resolver), Type[test.type.value], proof), NOW)
        if found.challenge is not None:
            return Said(found.challenge.name, found.steps)
        if found.service is None:
            return Said(_word(found.response or Response()), found.steps)
        asked = explain_ask(allocator, found.service, found.resolver, now=NOW, family=found.family)
        return Said("GIVEN" if asked.reason is None else asked.reason.name, (*found.steps, *asked.steps))

    def _ruled(self, test: FlowTest) -> Said:
        """What the rules of the hosts say that have a part in a flow: first those of who sends, as in the kernel."""
        parties = [self._hosts.get(each) if isinstance(each, str) else each for each in (test.source, test.destination)]
        for each, name in zip(parties, (test.source, test.destination), strict=True):
            if each is None:
                return Said("NOTHING", (f"there is no host and no service {name}",))
        source, destination = (_addresses(each) for each in parties)
        version = next((each for each in (4, 6) if each in source and each in destination), 0)
        if not version:
            return Said("NOTHING", ("the two have no addresses of one family",))
        first = First(source[version], destination[version], test.protocol, test.source_port, test.port)
        steps, rule = list[str](), ""
        for party, direction in zip(parties, Direction, strict=True):
            if isinstance(party, Host):
                found = verdict(self._settings, party, direction, first)
                steps, rule = [*steps, *found.steps], found.rule or rule
                if found.target is not Target.ACCEPT:
                    return Said(found.target.value, tuple(steps), rule)
        return Said(Target.ACCEPT.value, tuple(steps), rule)

    def _met_after(self, allocator: Allocator, view: View, test: PacketTest, name: str) -> Said:
        """What becomes of a packet to the address that is given for a name."""
        service, kind = self._services.get(name), Type.A if test.source.version == 4 else Type.AAAA
        if service is None:
            return Said("NXDOMAIN", (f"there is no service {name}",))
        source = view.decisions.source(service, kind)
        if source not in _LENT:
            why = "it needs the reverse proxy" if source is None else f"its {kind.name} is {source.name}"
            return Said("NODATA", (f"no address is given for {name}: {why}",))
        resolver = allocator.groups.resolvers.of(str(test.resolver or test.source))
        family = test.source.version
        given = allocator.ask(service, resolver, object(), now=NOW, family=family)
        if isinstance(given, Reason):
            return Said(given.name, (f"no address is given for {name}: {given.name}",))
        met = _met(allocator, test, given)
        return attrs.evolve(met, steps=(f"{dotted(given)} is given for {name}", *met.steps))


def _addresses(party: Host | Address | None) -> dict[int, Address]:
    """The addresses of one that has a part in a flow, by family."""
    if isinstance(party, Host):
        return {each.version: each for each in map(ip_address, party.own)}
    return {} if party is None else {party.version: party}


def _met(allocator: Allocator, test: PacketTest, destination: bytes) -> Said:
    """What becomes of a packet to an address."""
    flow = test.source.packed, destination, test.protocol, SOURCE_PORT, test.port
    found = explain_admit(allocator, flow, now=NOW)
    return Said("ADMITTED" if found.reason is None else found.reason.name, found.steps)


def _word(response: Response) -> str:
    """What is said where nothing is lent."""
    if response.rcode != Rcode.NOERROR:
        return Rcode(response.rcode).name
    return "ANSWERED" if response.answers else "NODATA"
