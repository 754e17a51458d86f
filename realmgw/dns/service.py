"""The DNS server as a Twisted service: binds its sockets, and lets go of them. Edge: sockets, the clock, chance."""

# mypy: disable-error-code="no-untyped-call"
# (Twisted's Service has no types.)

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import attrs
from twisted.application import service
from twisted.internet import defer
from twisted.internet.interfaces import IListeningPort
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from realmgw.allocation.allocator import Allocator
from realmgw.allocation.reputation.challenges import Proof
from realmgw.config import NO_SECRETS, Secrets
from realmgw.config.settings import DnsView, Network, Settings
from realmgw.config.steps import Steps, finish
from realmgw.dns.codec.message import MAX_MESSAGE
from realmgw.dns.codec.wire import Type
from realmgw.dns.counts import Counts
from realmgw.dns.explain import NameExplanation, Question, explain_name
from realmgw.dns.forward.policy import HostAt, NameSet
from realmgw.dns.forward.service import NO_FILES, Files, Forwarding, reading
from realmgw.dns.forward.telling import together
from realmgw.dns.guests import Guests
from realmgw.dns.lan import lan_view
from realmgw.dns.mitigation.defences import Defences
from realmgw.dns.port import UDP_TURN, UDP_TURN_BESIDE, UDP_TURN_UPDATES, DnsDatagrams
from realmgw.dns.server import ViewServer
from realmgw.dns.update.server import UpdateServer
from realmgw.dns.update.updater import Updates
from realmgw.dns.view import View
from realmgw.dns.wan import wan_view
from realmgw.dns.zones import NameChanges, ZoneTable, amending, compile_table, compiling, naming, same
from realmgw.errors import PlatformError, RealmGatewayError
from realmgw.subscribers.model import Directory
from realmgw.subscribers.registry import Changes
from realmgw.system.endpoints import Endpoint
from realmgw.system.port import explained

LOOK_INTERVAL = 10.0  # seconds
"""How often it is looked which networks the LANs have."""
BACKLOG = 128
"""How many TCP connections the kernel holds for us before we accept them."""


@attrs.frozen(eq=False)
class Prepared:
    """What a reload will change in the answers."""

    settings: Settings
    """From then on."""
    table: ZoneTable
    """The table, or another one when the zones are different."""
    names: NameChanges
    """What changes in it."""
    secrets: Secrets = NO_SECRETS
    """Of files that only the gateway may read."""
    files: Files = NO_FILES
    """What is read for the forwarder."""


def _nobody_cares() -> None:
    """There is nothing but the gateway."""


@attrs.define(eq=False)
class Shared:
    """What a forwarder in a process of its own has to know (`realmgw.dns.forward.keeping`), and what it tells."""

    settings: Settings
    """Those in force."""
    lists: tuple[NameSet, ...]
    """Names that are not to be had."""
    note: Callable[[bytes, str, str], object]
    """Told which of them somebody has asked for: the name in wire form, who asked, and what the list is called."""
    sockets: list[tuple[Any, DnsDatagrams]] = attrs.field(factory=list)
    """The LAN's by UDP, each with its protocol, while they are bound."""
    changed: Callable[[], object] = _nobody_cares
    """Is called when the former are others."""
    counts: Callable[[], Mapping[str, Any]] = dict[str, Any]
    """What it has counted, by the names that it has in the counts of the gateway."""


def _nobody(address: bytes) -> None:
    """There are no subscribers."""
    del address


class DnsService(service.Service):
    """All views of the DNS server.

    Attributes:
        wan: The WAN's view, with its sockets.
        lan: The LAN's.
        local: That of the gateway's own processes: as the LAN's, and nothing is forwarded.
        update: Takes dynamic updates.
        updates: What becomes of them; its `book` is to be set where they shall be taken.
        shared: What the forwarder in a process of its own has to know.
    """

    name = "dns"
    _log = Logger()

    def __init__(
        self,
        settings: Settings,
        directory: Directory,
        allocator: Allocator,
        reactor: Any,
        monotonic: Callable[[], float],
        secrets: Secrets = NO_SECRETS,
        lan_networks: Callable[[Collection[str]], defer.Deferred[tuple[Network, ...]]] | None = None,
        host_at: HostAt = _nobody,
        guests: Guests | None = None,
    ) -> None:
        """Compiles the zones; nothing is bound yet.

        Args:
            settings: All settings; zones, service pool and DNS matter here.
            directory: Whose names are answered.
            allocator: Where pool addresses come from.
            reactor: Twisted's; has sockets and timers.
            monotonic: The present, in seconds; the same that the allocator is told.
            secrets: Of DNS cookies, shared with other servers, and the keys of updates.
            lan_networks: Tells which networks interfaces are in. Who asks the WAN's view from there is answered as on
                the LAN; without this, nobody is.
            host_at: The subscriber that has an address.
            guests: Who has a name on LANs and is no subscriber; None: nobody.

        Raises:
            names.BadNameError: A zone, name server or service has no valid name.
        """
        self._settings, self._reactor, self._monotonic = settings, reactor, monotonic
        table = compile_table(settings.zones, directory)
        self._defences = Defences.of(settings, os.urandom, time.time, now=monotonic())
        self._defences.configure(settings, secrets.cookies, now=monotonic())
        self._forwarding = Forwarding(reactor, monotonic, host_at, withhold := allocator.ledger.decisions.withhold)
        self._forwarding.configure(settings, table, files := finish(reading(settings)))
        forward, counts = self._forwarding.answer, Counts()
        wan = wan_view(settings, table, allocator, self._defences, self._later, monotonic, forward, guests)
        lan = lan_view(settings, table, counts, *self._forwarding.repeated(counts), guests)
        self._forwarding.lead_to(lan.said_of)
        self.wan = self._server(wan, settings.dns.wan)
        self.lan = self._server(lan, settings.dns.lan)
        self.local = self._server(lan_view(settings, table, guests=guests), settings.dns.local)
        self.updates = Updates(reactor, monotonic)
        self.updates.configure(settings, table, secrets.keys)
        self.update = UpdateServer(self.updates, lan_view(settings, table), settings.dns.update, reactor, monotonic)
        self._ports: list[IListeningPort] = []
        self.shared = Shared(settings, files.lists, lambda *said: withhold(monotonic(), *said))
        self._lan_networks, self._unseen = lan_networks, False
        self._looking = LoopingCall(self._look_around)
        self._looking.clock = reactor

    def _server(self, view: View, limits: DnsView) -> ViewServer:
        return ViewServer(view, limits, self._reactor, self._monotonic)

    def _later(self, seconds: float, function: Callable[[float], None]) -> None:
        self._reactor.callLater(seconds, lambda: function(self._monotonic()))

    def prepare(
        self, settings: Settings, directory: Directory, changes: Changes, secrets: Secrets = NO_SECRETS
    ) -> Steps[Prepared]:
        """Finds out what a reload means for the answers; nothing is done yet. Yields every now and then.

        Args:
            settings: From now on; where the server listens is the same.
            directory: The present one; must not be changed before this has come to its end.
            changes: What becomes of it.
            secrets: Of DNS cookies, shared with other servers, and the keys of updates, from now on.

        Returns:
            What `commit` wants.

        Raises:
            names.BadNameError: A name is not valid.
            PlatformError: The certificates of who signs those of resolvers can not be read.
            ConfigurationError: A list of names can not be used.
        """
        files = yield from reading(settings)
        table = self.wan.view.table
        if not (yield from same(settings.zones, self._settings.zones)):
            table = yield from compiling(settings.zones, directory)
        return Prepared(settings, table, (yield from _naming(table, changes)), secrets, files)

    def naming(self, changes: Changes) -> Steps[NameChanges]:
        """Finds out what it means for the answers when only hosts change; nothing is done yet.

        Raises:
            names.BadNameError: A name is not valid.
        """
        return _naming(self.wan.view.table, changes)

    def amending(self, changes: NameChanges) -> Steps[None]:
        """Answers by these names, from the next query on. Nothing in here can fail."""
        return amending(self.wan.view.table, changes)

    def commit(self, prepared: Prepared) -> Steps[None]:
        """Answers by what was prepared, from the next query on. Nothing in here can fail.

        Changes of up to `zones.AT_ONCE` names are made all at once; with more, it yields now and then, and for a moment
        some names are as before.
        """
        settings = prepared.settings
        yield from amending(prepared.table, prepared.names)
        self._defences.configure(settings, prepared.secrets.cookies, now=self._monotonic())
        self.updates.configure(settings, prepared.table, prepared.secrets.keys)
        self._forwarding.configure(settings, prepared.table, prepared.files)
        for server, limits in self._sides(settings):
            server.view.configure(settings, prepared.table)
            server.limits = limits
        self._settings = settings
        self.shared.settings, self.shared.lists = settings, prepared.files.lists
        self.shared.changed()
        self._look_around()

    def explain(
        self, name: str, resolver: str, *, kind: int = Type.A, tcp: bool = False, cookie: bool = False
    ) -> NameExplanation:
        """What the WAN would make of a question for a name's address, now.

        Args:
            name: With or without the final dot.
            resolver: The address that it comes from, as text.
            kind: The type asked for.
            tcp: It comes by TCP.
            cookie: It has a valid server cookie.

        Raises:
            names.BadNameError: The name is none.
        """
        proof = Proof.TCP if tcp else Proof.COOKIE if cookie else Proof.NONE
        asked = Question(name, resolver, kind, proof)
        elsewhere = self._forwarding.explain if self._settings.dns.forward.resolvers else None
        return explain_name(self.wan.view, asked, self._monotonic(), elsewhere)

    def counts(self) -> dict[str, object]:
        """What the views have counted since the start, and the forwarder, also in a process of its own."""
        sides = zip(("wan", "lan", "local", "update"), self._servers, strict=True)
        here = {**{name: side.counts() for name, side in sides}, **self._forwarding.counts()}
        apart = {name: counts for name, counts in self.shared.counts().items() if name in here}
        return {**together(here, apart), "updates": self.updates.told()}

    @property
    def _servers(self) -> tuple[ViewServer, ...]:
        return self.wan, self.lan, self.local, self.update

    def _sides(self, settings: Settings) -> Iterator[tuple[ViewServer, DnsView]]:
        return zip(self._servers, settings.dns.views, strict=True)

    def startService(self) -> None:
        """Binds all sockets.

        Raises:
            PlatformError: One of them can not be bound; none is bound then.
        """
        try:
            for server in self._servers:
                for endpoint in server.limits.listen:
                    self._listen(server, endpoint)
        except PlatformError:
            self._unbind()
            raise
        super().startService()
        if self._lan_networks is not None:
            self._looking.start(LOOK_INTERVAL)

    def _look_around(self) -> defer.Deferred[None]:
        """Find out who is on a LAN; fires when that is known, or has failed and been logged."""
        if self._lan_networks is None:
            return defer.succeed(None)
        asked = self._lan_networks(self._settings.interfaces.lan)
        return asked.addCallbacks(self._looked_around, self._saw_nothing)

    def _looked_around(self, networks: tuple[Network, ...]) -> None:
        self._unseen = False
        self.wan.view.inside.configure(networks)

    def _saw_nothing(self, failure: Failure) -> None:
        failure.trap(RealmGatewayError)
        if not self._unseen:  # once, and who was known to be on a LAN still is
            self._log.warn("the networks of the LANs are not known: {why}", why=failure.getErrorMessage())
        self._unseen = True

    def _listen(self, server: ViewServer, endpoint: Endpoint) -> None:
        """One socket for each address and transport, so that answers leave from the address that was asked."""
        address, port = str(endpoint.address), endpoint.port
        longest = MAX_MESSAGE if server is self.update else self._settings.dns.udp_size + 1  # longer ones are cut
        with explained("UDP", endpoint):
            turn = {self.wan: UDP_TURN, self.update: UDP_TURN_UPDATES}.get(server, UDP_TURN_BESIDE)
            datagrams = DnsDatagrams(server, self._reactor, turn)
            self._ports.append(self._reactor.listenUDP(port, datagrams, interface=address, maxPacketSize=longest))
            if server is self.lan:
                self.shared.sockets.append((self._ports[-1], datagrams))
        with explained("TCP", endpoint):
            self._ports.append(self._reactor.listenTCP(port, server, backlog=BACKLOG, interface=address))

    def _unbind(self) -> defer.Deferred[None]:
        ports, self._ports, self.shared.sockets = self._ports, [], []
        done = defer.gatherResults([defer.maybeDeferred(port.stopListening) for port in ports], consumeErrors=True)
        return done.addErrback(lambda failure: self._log.failure("closing a DNS socket", failure)).addCallback(_nothing)

    def stopService(self) -> defer.Deferred[None]:
        """Closes all sockets and connections; fires when they are closed. Queries still waiting get no answer."""
        super().stopService()
        if self._looking.running:
            self._looking.stop()
        self._forwarding.close()
        parts = [self._unbind(), *(side.disconnect() for side in self._servers)]
        return defer.gatherResults(parts).addCallback(_nothing)


def _naming(table: ZoneTable, changes: Changes) -> Steps[NameChanges]:
    gone, came = changes.hosts
    return naming(table, changes.names_gone, changes.services, gone, came)


def _nothing(_: object) -> None:
    """Ends a Deferred's chain without a result."""
