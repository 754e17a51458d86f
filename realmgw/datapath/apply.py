"""What the pure modules of this room say is done to the kernel here, in the order that keeps it closed.

Everything blocks, and all calls of one `Kernel` come from one thread (`realmgw.system.worker` has one), but
for `figures` and `end_flows`, which any thread may call. Edge: a routing socket.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial

import attrs
from pyroute2 import IPRoute

from realmgw.config.settings import Dnat, Settings
from realmgw.datapath import bans, client, elements, ending, links, offload, ruleset, translation
from realmgw.datapath.client import open_nft, run_program
from realmgw.datapath.dualstack import DualStack
from realmgw.datapath.guests import Guests
from realmgw.datapath.hosts import HostChange
from realmgw.datapath.iptables.bypass import TOLD, Bypass
from realmgw.datapath.iptables.prefixes import PrefixStep
from realmgw.datapath.iptables.steps import LastStep, QueueStep
from realmgw.datapath.leading import Lead, Rulesets, leads
from realmgw.datapath.machine import capabilities, interfaces, sysctls
from realmgw.datapath.machine.capabilities import Capabilities
from realmgw.datapath.machine.probing import Prober, review
from realmgw.datapath.machine.sysctls import Needs
from realmgw.datapath.netlink.counters import Count, QueueFigures
from realmgw.datapath.nft import Libnftables, Nft
from realmgw.datapath.policy.classes import Classes
from realmgw.datapath.ruleset import Lent, Ruleset, Texts
from realmgw.datapath.watch.generations import Generations, OwnNft
from realmgw.datapath.watch.guard import Guard
from realmgw.datapath.watch.keeper import Findings, Keeper, Noticed
from realmgw.datapath.watch.own import Own
from realmgw.datapath.watch.placed import AS_PLACED, Kind
from realmgw.datapath.watch.reader import RulesetReader
from realmgw.errors import ConfigurationError, PlatformError, RealmGatewayError
from realmgw.subscribers.model import Host


@attrs.frozen
class Applied:
    """What `Kernel.apply` found and did."""

    found: Capabilities
    """What the machine can do."""
    changes: tuple[str, ...]
    """What was changed besides the ruleset; one line each, empty when all of it was so already."""
    warnings: tuple[str, ...]
    """What works, but not well; one line each."""


class Kernel:
    """The kernel's side of one gateway. Making it touches nothing.

    Args:
        settings: The gateway's settings.
        open_nft: What makes the access to nftables, at its first use and in that thread.
        open_owner: What makes a further access, which owns the guard; None: there shall be no guard.
        lent: Which addresses of the pool of IPv6 may have been lent; None: each of them.

    Attributes:
        nft: Access to nftables.
        was_installed: Whether our table stood before the last `apply`; None while that is not known.
        classes: Those of the hosts in the table, by their firewall rules.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        open_nft: Callable[[], Nft] = open_nft,
        open_owner: Callable[[], Nft] | None = Libnftables,
        lent: Lent | None = None,
    ) -> None:
        self._given = self._settings = settings
        self._ipv6, self._bypass = DualStack(), Bypass()
        self._table, self._lent = settings.datapath.table, lent
        self._reader = RulesetReader()
        self._generations = Generations(self._reader.generation)
        self.nft = OwnNft(open_nft, self._generations)
        self._own = Own(self._table, settings.state, lambda: self.nft, run_program, self._generations.ours)
        self._chains = own, own6 = self._own.chains, self._own.chains6
        self.was_installed: bool | None = None
        self.classes, self._guard, self._rules = Classes(), Guard(open_owner), Rulesets()
        self._keeper = Keeper(self, self._reader, self._generations, lambda: self._own.is_halfway)
        self.queue_step = QueueStep(self._table, settings.admission.queue, self._chains)
        self.last_step, self.prefix_step = LastStep(self._table, own), PrefixStep(self._table, own6)
        self._way_out, self._found = False, Capabilities(0, 0)  # both: as the last `apply` has found

    def probe(self) -> Capabilities:
        """Find out what the machine can do; nothing is left behind.

        Raises:
            PlatformError: There is no nftables at all.
        """
        return self._prober(self._settings).probe()

    def _prober(self, settings: Settings) -> Prober:
        return Prober(settings, lambda: self.nft, self._chains, ipv6=self._ipv6.needs(settings).forwards)

    def own_ports(self) -> frozenset[int]:
        """Netlink ports that our transactions come from, until this is closed; not all of them may be known."""
        with suppress(RealmGatewayError):  # what stands against it is told by `apply`
            return frozenset((self._own.filling.port, *self.nft.ports(self._reader, self._table)))
        return frozenset()

    def refuse_foreign(self) -> None:
        """Look whether all that has our names is ours; nothing is touched.

        Raises:
            PlatformError: Something is somebody else's; the text says what.
            RealmGatewayError: The kernel, or iptables, does not tell.
        """
        self._own.is_installed()

    def apply(self, hosts: Iterable[Host]) -> Applied:
        """Put everything in place, whatever there was before; established flows go on.

        Raises:
            PlatformError: Something is missing or in the way, or has our name and is somebody else's; the text says
                what to do. The rules that were there before are still there, or the new ones when a route or a setting
                was refused: both are closed.
            ConfigurationError: A host can not be translated to; nothing was changed.
            RealmGatewayError: nft or the kernel refused the ruleset; the old one is still there.
        """
        hosts, self.was_installed = tuple(hosts), None
        self._ipv6.look(self._given)
        settings = self._settings = self._ipv6.usable(self._given)
        self._ipv6.take(hosts)
        found, self.was_installed = self._prober(settings).enough(), self._own.is_installed()
        with client.route_socket() as channel:
            capabilities.refuse(links.missing_interfaces(settings.interfaces, interfaces.addresses(channel)))
            doubts = (*interfaces.check_pool(channel, settings), *review(settings))
            # The rules first: nothing is opened (forwarding, the pool's local routes) before they stand.
            self.queue_step.is_native, self.last_step.dnat = found.native_queue, found.dnat or Dnat.MAP
            self._found = found
            self.place(hosts)
            self.place_guard()
            self._way_out = client.leaves_by(settings.interfaces.wan)
            changes = [place() for place in self.place_routes(channel)]
        unknown = self._own.remember(settings.interfaces, self.needs6, standing=self.was_installed)
        changes += client.set_sysctls(sysctls.required(settings.interfaces, self.needs6))
        return Applied(found, tuple(changes), (*doubts, *unknown))

    def change(self, settings: Settings, hosts: HostChange) -> None:
        """Lead from what was applied to other settings and hosts: the rules in one transaction, then the routes.

        Interfaces, table and queue must be the same.

        Args:
            settings: From now on.
            hosts: What becomes of the hosts.

        Raises:
            PlatformError: The pool takes what the machine itself needs, or nobody would answer ARP for it, or the
                machine lacks what IPv6 needs; nothing was changed.
            ConfigurationError: A host can not be translated to; nothing was changed.
            RealmGatewayError: Something was refused. What was changed was changed back, or is so by the next `look`.
        """
        given, former = settings, attrs.evolve(self._ipv6)
        try:
            settings = self._ipv6.follow(given, self._settings, hosts.came)
            if hosts or settings != self._settings or self._ruleset(settings) != self._ruleset(self._settings, former):
                self._change(settings, attrs.evolve(hosts, classes=self.classes), former)
        except RealmGatewayError:
            self._ipv6 = former
            raise
        self._given = given

    def _change(self, settings: Settings, hosts: HostChange, former: DualStack) -> None:
        needed, needs, step = former.needs(self._settings), self._ipv6.needs(settings), self.last_step
        before, after = self._ruleset(self._settings, former), self._ruleset(settings)
        is_solicited = settings.pools.solicited and not self._settings.pools.solicited
        if is_solicited or (needs.forwards and not needed.forwards):
            self._prober(settings).enough()
        self.queue_step.widen(ipv6=after.ipv6)
        ways = leads((self._settings, before), (settings, after), hosts, step.first_octet)
        with self.prefix_step.leading(self._settings, settings):
            if self._keeper.table() != AS_PLACED or not self._lead_in_part(ways.part, ways.back):
                self._lead(ways.whole, ways.back)
            self.place_guard()
            if needs != needed:  # IPv6 is in use from now on, or not any more
                self._own.remember(settings.interfaces, needs, standing=True)
                try:
                    tuple(client.set_sysctls(sysctls.required(settings.interfaces, needs)))
                except RealmGatewayError:
                    self._lead(ways.back, ways.whole)
                    raise

    def _lead_in_part(self, part: Lead, back: Lead) -> bool:
        """Returns whether that can be done: it can not when an element is not what we take it for."""
        try:
            self._lead(part, back)
        except (ConfigurationError, PlatformError):
            raise
        except RealmGatewayError:
            return False
        return True

    def _lead(self, there: Lead, back: Lead) -> None:
        """Rules and routes; when a route is refused, all is put back."""
        if there.settings.pools == back.settings.pools:
            self._run(there)
            return
        with client.route_socket() as channel:
            interfaces.check_pool(channel, there.settings)
            review(there.settings)
            self._run(attrs.evolve(there, closed=True))
            try:
                tuple(place() for place in self.place_routes(channel))
            except RealmGatewayError:
                self._run(back)
                tuple(place() for place in self.place_routes(channel))
                raise

    def _run(self, there: Lead) -> None:
        """Change the table, and the last step of the translation where it is not in it; all or nothing.

        Closed: nothing may be sent to the end of one address behind the beginning of another, nor by the rule of
        another pool. So there is no last step meanwhile: first packets are dropped, and sent again.
        """
        step, only_elements = self.last_step, False
        if step.dnat is Dnat.MAP or not there.closed:
            only_elements = self._own.lead(there)
            self._settings, self.classes = there.settings, there.classes()
        else:
            left = step.first_octet
            step.change(self._settings, None)
            try:
                self._own.lead(there)
                self._settings, self.classes, left = there.settings, there.classes(), there.octet
            finally:
                step.change(self._settings, left)
        self._keeper.note(elements_only=only_elements)

    def end_flows(
        self, gone: Iterable[bytes], came: Iterable[bytes] = (), is_awaited: Callable[[], bool] = ending.always
    ) -> int:
        """See `ending.end_flows`; what guests had redirected ends where it was sent to.

        Raises:
            RealmGatewayError: The kernel refused; some may have been ended.
        """
        return ending.end_flows(gone, came, Guests.of(self._settings).ends, is_awaited)

    def add_strays(self, sources: Iterable[bytes]) -> None:
        """Tell the kernel of stray senders (packed addresses); see `elements.strays`. Raises as `ban` does."""
        client.add_senders(self._own.filling, elements.strays(sources, ipv6=self._ruleset(self._settings).ipv6))

    def ban(self, left: Mapping[bytes, float]) -> None:
        """Let nothing of senders (packed addresses) reach a host for so many seconds; see `bans.elements`.

        Raises:
            RealmGatewayError: It was refused, most likely because the set is full; none of these was added.
        """
        client.add_senders(self._own.filling, bans.elements(left, ipv6=self._ruleset(self._settings).bans6))

    def ask_twice(self, *, asked: bool) -> None:
        """See `Own.ask_twice`."""
        self._own.ask_twice(asked=asked)

    def purge(self) -> tuple[str, ...]:
        """Remove everything of ours, and put kernel settings back; see `own`.

        Returns:
            What was done and what stays, one line each.

        Raises:
            PlatformError: Something of our name is somebody else's; nothing was done.
            RealmGatewayError: Something was refused; what was not reached yet is still there.
        """
        done = self._own.remove()
        self._guard.remove()
        return done

    def close(self) -> None:
        """Give back what is held; the kernel keeps what it has."""
        self._guard.remove()
        self._reader.close()
        self._own.filling.close()
        self.nft.close()

    def look(self, noticed: Noticed, hosts: Callable[[], Iterable[Host]]) -> Findings:
        """See `realmgw.datapath.watch.keeper.Keeper.look`."""
        findings = self._keeper.look(noticed, lambda: tuple(hosts()))
        with suppress(RealmGatewayError):  # it is not told: nothing is found out
            if self._bypass.look(*self.figures(), is_new=noticed.mangle):
                return attrs.evolve(findings, broken=(*findings.broken, TOLD))
        return findings

    @property
    def settings(self) -> Settings:
        """In force."""
        return self._settings

    @property
    def placements(self) -> int:
        """See `Own`."""
        return self._own.placements

    @property
    def texts(self) -> Texts:
        """The rules of each chain of the table, as they were written."""
        return ruleset.texts(self._ruleset(self._settings), self.classes)

    @property
    def optional(self) -> frozenset[Kind]:
        """What there is of `placed.OPTIONAL`, as the last `apply` has found."""
        there = {
            Kind.QUEUE_STEP: not self.queue_step.is_native,
            Kind.TRANSLATION: self.last_step.dnat is not Dnat.MAP,
            Kind.GUARD: self._guard.refusal is None,
            Kind.CARRIED: self._ruleset(self._settings).carrying is not None,
            Kind.WAY_OUT: self._way_out,
            Kind.WAY_OUT6: self._ipv6.leaves and self.needs6.forwards,
        }
        return frozenset(kind for kind, is_there in there.items() if is_there)

    @property
    def needs6(self) -> Needs:
        """What of IPv6 needs kernel settings."""
        return self._ipv6.needs(self._settings)

    @property
    def is_guarded(self) -> bool:
        """Whether the guard is there."""
        return self._guard.is_installed

    def review(self) -> tuple[str, ...]:
        """What of the kernel works, but not well; raises `PlatformError` when its settings break the gateway."""
        return (*review(self._settings), *self._ipv6.doubts(self._given), *self._guard.doubts)

    def figures(self) -> tuple[dict[str, Count], QueueFigures | None]:
        """What the kernel has counted, in a fraction of a millisecond.

        Returns:
            The named counters (`ruleset.COUNTERS`), none when there is no table; and then read, so that what came in
            between is in these only, the figures of our queue, None when nobody listens at it.

        Raises:
            RealmGatewayError: The kernel does not tell.
        """
        return client.read_counters(self._table), client.read_queue(self._settings.admission.queue)

    def place(self, hosts: tuple[Host, ...]) -> None:
        """Place the table with these hosts, and what belongs to it outside of it.

        Raises:
            ConfigurationError: A host can not be translated to; nothing was changed.
            RealmGatewayError: Something was refused.
        """
        step, rules = self.last_step, self._ruleset(self._settings)
        step.first_octet, commands = translation.first_octet(hosts, step.dnat), ruleset.replacement(rules, hosts)
        step.clear(self._settings)
        self._own.run(commands)
        self.classes, self.queue_step.ipv6 = Classes.of(hosts, rules.groups, rules.nflog), rules.ipv6
        self.queue_step.place()
        step.place(self._settings)
        self.prefix_step.place(self._settings)
        self._keeper.note()

    def shut(self) -> None:
        """Place the table without hosts: nothing new gets in, nor out where there are rules that may forbid it.

        Raises:
            RealmGatewayError: It was refused.
        """
        rules = self._ruleset(self._settings)
        shut = bool(self.classes) or rules.guests.needs_subscribers  # nobody is taken for a guest meanwhile
        self._own.run(ruleset.replacement(rules.bare, (), shut=shut))

    def place_guard(self) -> None:
        """Place the guard, where the kernel can have one.

        Raises:
            RealmGatewayError: It is to be changed, and that was refused.
        """
        self._guard.place(self._ruleset(self._settings))

    def _ruleset(self, settings: Settings, ipv6: DualStack | None = None) -> Ruleset:
        native, dnat, pinholes = self.queue_step.is_native, self.last_step.dnat, (ipv6 or self._ipv6).pinholes
        found, lent = self._found, self._lent if self._found.hashes else None
        carried = offload.carrying(settings, client.is_interface, works=found.flowtables)
        return self._rules.of(settings, native_queue=native, dnat=dnat, pinholes=pinholes, lent=lent, logs=found.logs,
                              carrying=carried, asks_twice=self._own.asks_twice)  # fmt: skip

    def place_routes(self, channel: IPRoute) -> Iterator[Callable[[], str]]:
        """What places the pool's routes, one by one: each says what it has changed, and may be refused by itself."""
        for verb, route in links.route_changes(client.our_routes(), links.wanted_routes(self._settings.pools.circular)):
            yield partial(client.change_route, channel, verb, route)
