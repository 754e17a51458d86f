"""What the pure modules of this room say is done to the kernel here, in the order that keeps it closed.

Everything blocks, and all calls of one `Kernel` come from one thread (`realmgw.datapath.service` has one for it), but
for `counts` and `queue_figures`, which any thread may call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from ipaddress import IPv4Network
from pathlib import Path

import attrs
from pyroute2 import IPRoute

from realmgw.config.settings import Attachment, Dnat, Settings
from realmgw.datapath import (
    capabilities,
    client,
    counters,
    links,
    markrule,
    ruleset,
    sysctls,
    translation,
    xtables,
)
from realmgw.datapath.capabilities import Capabilities, Feature
from realmgw.datapath.client import Run, open_nft, run_program
from realmgw.datapath.counters import Count, QueueFigures
from realmgw.datapath.hosts import HostChange
from realmgw.datapath.links import Route
from realmgw.datapath.markrule import MarkRule
from realmgw.datapath.nft import Nft
from realmgw.datapath.own import IPTABLES, Own
from realmgw.datapath.ruleset import Ruleset
from realmgw.datapath.xtables import Chain
from realmgw.errors import PlatformError, RealmGatewayError
from realmgw.subscribers.model import Host

_ATTEMPTS = 5
_MANGLE, _NAT = IPTABLES
_TRIAL = IPv4Network("192.0.2.0/24")
_SET_FULL = "Too many open files in system"  # what ENFILE is called


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
        run: What runs programs.

    Attributes:
        stood: Whether our table stood before the last `apply`; None while that is not known.
    """

    def __init__(self, settings: Settings, *, open_nft: Callable[[], Nft] = open_nft, run: Run = run_program) -> None:
        self._settings = settings
        self._table = settings.datapath.table
        self._open_nft = open_nft
        self._own = Own(self._table, settings.state, lambda: self.nft, run)
        self._chains = self._own.chains
        self.stood: bool | None = None
        self._nft: Nft | None = None
        self._sequence = 0
        self._native_queue = False
        # What the last `apply` chose.
        self._dnat = Dnat.MAP
        self._first_octet: int | None = None

    def probe(self) -> Capabilities:
        """Find out what the machine can do; nothing is left behind.

        Raises:
            PlatformError: There is no nftables at all.
        """
        found = Capabilities(
            privileges=capabilities.effective(Path("/proc/self/status").read_text()),
            lowest_port=client.read_sysctl("net/ipv4/ip_unprivileged_port_start") or 0,
        )
        if not found.has(capabilities.CAP_NET_ADMIN):
            return found
        native = self._accepts(capabilities.NATIVE_QUEUE)
        return attrs.evolve(
            found,
            missing=tuple(feature for feature in capabilities.FEATURES if not self._accepts(feature)),
            native_queue=native,
            xtables_queue=not native and self._chains.works(self._queue_chain(f"{self._table}_probe")),
            queue_socket=client.queue_socket_works(),
            dnat=self._try_ways(),
        )

    def refuse_foreign(self) -> None:
        """Look whether all that has our names is ours; nothing is touched.

        Raises:
            PlatformError: Something is somebody else's; the text says what.
            RealmGatewayError: The kernel, or iptables, does not tell.
        """
        self._own.stands()

    def apply(self, hosts: Iterable[Host]) -> Applied:
        """Put everything in place, whatever there was before; established flows go on.

        Raises:
            PlatformError: Something is missing or in the way, or has our name and is somebody else's; the text says
                what to do. The rules that were there before are still there, or the new ones when a route or a setting
                was refused: both are closed.
            ConfigurationError: A host can not be translated to; nothing was changed.
            RealmGatewayError: nft or the kernel refused the ruleset; the old one is still there.
        """
        settings, hosts = self._settings, tuple(hosts)
        self.stood = None
        faces = (*settings.dns.wan.listen, *settings.dns.lan.listen)
        found = self.probe()
        capabilities.require(found, ports=tuple(endpoint.port for endpoint in faces), dnat=settings.datapath.dnat)
        self.stood = self._own.stands()
        with client.route_socket() as netlink:
            addresses = client.addresses(netlink)
            links.check_interfaces(settings.interfaces, addresses)
            doubts = links.check_pool(settings.pools, settings.interfaces, addresses, client.routers(netlink))
            review = self._review(netlink, settings)
            # The rules first: nothing is opened (forwarding, the pool's local routes) before they stand.
            self._place_rules(found, hosts)
            self._native_queue = found.native_queue
            changes = [*self._place_routes(netlink, links.wanted_routes(settings.pools.circular))]
        unknown = self._own.remember(standing=self.stood)
        changes += [client.write_sysctl(key, value) for key, value in review.changes]
        return Applied(found, tuple(changes), (*doubts, *review.warnings, *unknown))

    def change(self, settings: Settings, hosts: HostChange) -> None:
        """Lead from what was applied to other settings and hosts: the rules in one transaction, then the routes.

        Interfaces, table and queue must be the same.

        Args:
            settings: From now on.
            hosts: What becomes of the hosts.

        Raises:
            PlatformError: The pool takes what the machine itself needs, or nobody would answer ARP for it; nothing was
                changed.
            ConfigurationError: A host can not be translated to; nothing was changed.
            RealmGatewayError: Something was refused. What was changed before that was changed back.
        """
        native, dnat, pools = self._native_queue, self._dnat, self._settings.pools
        before, after = (Ruleset.of(each, native_queue=native, dnat=dnat) for each in (self._settings, settings))
        octet = translation.first_octet(hosts.after().values(), dnat) if dnat is not Dnat.MAP else None
        there = ruleset.changes(before, after, hosts)
        if pools == settings.pools:
            is_closed = octet != self._first_octet or ruleset.is_replaced(before, after)
            self._run(settings, there, octet, closed=is_closed)
            return
        with client.route_socket() as netlink:
            links.check_pool(settings.pools, settings.interfaces, client.addresses(netlink), client.routers(netlink))
            self._review(netlink, settings)
            back = ruleset.changes(after, before, hosts.undone())
            self._change_pool(settings, netlink, (there, octet), (back, self._first_octet))

    def _change_pool(
        self, settings: Settings, netlink: IPRoute, there: tuple[str, int | None], back: tuple[str, int | None]
    ) -> None:
        """Rules and routes; when a route is refused, all is put back."""
        former = self._settings
        self._run(settings, *there, closed=True)
        try:
            tuple(self._place_routes(netlink, links.wanted_routes(settings.pools.circular)))
        except RealmGatewayError:
            self._run(former, *back, closed=True)
            tuple(self._place_routes(netlink, links.wanted_routes(former.pools.circular)))
            raise

    def _run(self, settings: Settings, commands: str, octet: int | None, *, closed: bool) -> None:
        """Change the table, and the last step of the translation where it is not in it; all or nothing.

        `closed`: nothing may be sent to the end of one address behind the beginning of another, nor by the rule of
        another pool. So there is no last step meanwhile: first packets are dropped, and sent again.
        """
        if self._dnat is Dnat.MAP or not closed:
            self._run_if_any(commands)
            self._settings = settings
            return
        left = self._first_octet
        self._change_first_octet(None)
        try:
            self._run_if_any(commands)
            self._settings, left = settings, octet
        finally:
            self._change_first_octet(left)

    def _run_if_any(self, commands: str) -> None:
        if commands:
            self._own.run(commands)

    def end_flows(self, addresses: Iterable[bytes]) -> int:
        """End every flow of these private addresses (packed), and tell how many there were.

        Raises:
            RealmGatewayError: The kernel refused; some may have been ended.
        """
        return client.end_flows(addresses)

    def add_strays(self, sources: Iterable[bytes]) -> None:
        """Tell the kernel of stray senders (packed addresses); who is known already keeps his time.

        Raises:
            RealmGatewayError: It was refused, most likely because the set is full; none of these was added.
        """
        commands = ruleset.stray_additions(self._table, sources)
        try:
            if commands:
                self.nft.run(commands)
        except RealmGatewayError as error:
            if _SET_FULL not in str(error):
                raise
            raise RealmGatewayError(f"the kernel's set of stray senders is full ({ruleset.STRAYS_KEPT})") from error

    def purge(self) -> tuple[str, ...]:
        """Remove everything of ours, and put kernel settings back; see `own`.

        Returns:
            What was done and what stays, one line each.

        Raises:
            PlatformError: Something of our name is somebody else's; nothing was done.
            RealmGatewayError: Something was refused; what was not reached yet is still there.
        """
        return self._own.remove()

    def close(self) -> None:
        """Give back what is held; the kernel keeps what it has."""
        if self._nft is not None:
            self._nft.close()
            self._nft = None

    def stands(self) -> bool:
        """Whether the table is there, and with it what translates.

        Raises:
            RealmGatewayError: The kernel, or iptables, does not tell.
        """
        return bool(self.counts()) and self._translates()

    def counts(self) -> dict[str, Count]:
        """The named counters (`ruleset.COUNTERS`), in a fraction of a millisecond; empty when there is no table.

        Raises:
            RealmGatewayError: The kernel refused.
        """
        for _ in range(_ATTEMPTS):
            self._sequence += 1
            try:
                return client.read_counters(self._table, self._sequence)
            except counters.InterruptedDumpError:
                continue
        raise RealmGatewayError("the counters could not be read: the ruleset changed all the while")

    def queue_figures(self) -> QueueFigures | None:
        """What the kernel says of our queue; None when nobody listens at it.

        Raises:
            RealmGatewayError: The kernel does not tell.
        """
        try:
            listing = Path("/proc/net/netfilter/nfnetlink_queue").read_text()
        except OSError as error:
            raise RealmGatewayError(f"the queue's figures can not be read: {error}") from error
        return counters.queue_figures(listing, self._settings.admission.queue)

    @property
    def nft(self) -> Nft:
        """Access to nftables, made at its first use."""
        if self._nft is None:
            self._nft = self._open_nft()
        return self._nft

    def _accepts(self, feature: Feature) -> bool:
        commands = capabilities.trial(feature, f"{self._table}_probe")
        try:
            self.nft.run(commands, dry=True)
        except RealmGatewayError:
            return False
        return True

    def _review(self, netlink: IPRoute, settings: Settings) -> sysctls.Review:
        wan = settings.interfaces.wan
        read = {key: client.read_sysctl(key) for key in sysctls.keys(wan)}
        return sysctls.review(
            {key: value for key, value in read.items() if value is not None},
            wan=wan,
            on_link=any(prefix.attachment is Attachment.ON_LINK for prefix in settings.pools.circular),
            default_by_wan=lambda: client.default_leaves_by(netlink, wan),
        )

    def _place_rules(self, found: Capabilities, hosts: tuple[Host, ...]) -> None:
        dnat = found.dnat or Dnat.MAP
        rules = ruleset.Ruleset.of(self._settings, native_queue=found.native_queue, dnat=dnat)
        first_octet = translation.first_octet(hosts, dnat)
        commands = ruleset.replacement(rules, hosts)
        self._dnat, self._first_octet = dnat, first_octet
        self._clear_translation()
        self._own.run(commands)
        self._place_queue_step(native=found.native_queue)
        self._place_translation()

    def _change_first_octet(self, octet: int | None) -> None:
        self._first_octet = octet
        self._clear_translation()
        self._place_translation()

    def _place_routes(self, netlink: IPRoute, wanted: frozenset[Route]) -> Iterator[str]:
        changes = links.route_changes(tuple(client.our_routes(netlink)), wanted)
        for route in changes.add:
            client.change_route(netlink, "add", route)
            yield f"route added: {route.kind.name.lower()} {route.network}"
        for route in changes.delete:
            client.change_route(netlink, "del", route)
            yield f"route deleted: {route.kind.name.lower()} {route.network}"

    def _try_ways(self) -> Dnat | None:
        """The first of the ways to translate that works."""
        return next((way for way in capabilities.ways(self._settings.datapath.dnat) if self._way_works(way)), None)

    def _way_works(self, way: Dnat) -> bool:
        if way is Dnat.MAP:
            return self._accepts(capabilities.MAP_OF_HOSTS)
        if not self._accepts(capabilities.MAP_OF_MARKS):
            return False
        if way is Dnat.MARKDNAT:
            return self._chains.works(xtables.dnat_chain(f"{self._table}_probe", "lo", [_TRIAL], 192))
        try:
            client.put_mark_rules(markrule.trial(table=f"{self._table}_probe"))
        except PlatformError:
            return False
        return True

    def _place_queue_step(self, *, native: bool) -> None:
        if native:
            self._chains.remove(_MANGLE, self._table)  # of an earlier run on a kernel without the statement
        else:
            self._chains.place(self._queue_chain(self._table))

    def _queue_chain(self, name: str) -> Chain:
        return xtables.queue_chain(name, self._settings.admission.queue)

    def _translation_chain(self) -> Chain | None:
        """The chain of MARKDNAT as it should be now; None if there should be none."""
        if self._dnat is not Dnat.MARKDNAT or self._first_octet is None:
            return None
        pool = (prefix.network for prefix in self._settings.pools.circular)
        return xtables.dnat_chain(self._table, self._settings.interfaces.wan, pool, self._first_octet)

    def _clear_translation(self) -> None:
        """Before a table, or hosts, that another rule of the last step would send astray; until it is placed, drops."""
        chain = self._translation_chain()
        if chain is None or not self._chains.stands(chain):
            self._chains.remove(_NAT, self._table)

    def _place_translation(self) -> None:
        """The last step of the translation, where it is not in the table: it stood empty, and was closed, until now."""
        if self._dnat is Dnat.MARK:
            client.put_mark_rules(markrule.fill(self._mark_rule(), table=translation.mark_table(self._table)))
        chain = self._translation_chain()
        if chain is not None and not self._chains.stands(chain):
            self._chains.place(chain)

    def _mark_rule(self) -> MarkRule | None:
        if self._first_octet is None:
            return None
        return markrule.indexed(IPv4Network((self._first_octet << 24, 8)))

    def _translates(self) -> bool:
        """Whether the last step of the translation is there, where it is not in the table."""
        if self._dnat is Dnat.MARK:
            wanted = 0 if self._first_octet is None else 1
            return client.count_mark_rules(translation.mark_table(self._table)) == wanted
        chain = self._translation_chain()
        return chain is None or self._chains.stands(chain)
