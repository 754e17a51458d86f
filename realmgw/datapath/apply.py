"""What the pure modules of this room say is done to the kernel here, in the order that keeps it closed.

Everything blocks, and all calls of one `Kernel` come from one thread (`realmgw.datapath.service` has one for it), but
for `counts` and `queue_figures`, which any thread may call.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import attrs
from pyroute2 import IPRoute

from realmgw.config.settings import Attachment, Settings
from realmgw.datapath import capabilities, client, counters, links, ruleset, sysctls, xtables
from realmgw.datapath.capabilities import Capabilities, Feature
from realmgw.datapath.client import Run, open_nft, run_program
from realmgw.datapath.counters import Count, QueueFigures
from realmgw.datapath.links import Route
from realmgw.datapath.nft import Nft
from realmgw.datapath.ruleset import HostChange, Ruleset
from realmgw.errors import PlatformError, RealmGatewayError
from realmgw.subscribers.model import Host

_ATTEMPTS = 5
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
    """

    def __init__(self, settings: Settings, *, open_nft: Callable[[], Nft] = open_nft, run: Run = run_program) -> None:
        self._settings = settings
        self._table = settings.datapath.table
        self._open_nft = open_nft
        self._run = run
        self._nft: Nft | None = None
        self._sequence = 0
        self._native_queue = False

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
            xtables_queue=not native and self._xtables_works(),
            queue_socket=client.queue_socket_works(),
        )

    def apply(self, hosts: Iterable[Host]) -> Applied:
        """Put everything in place, whatever there was before; established flows go on.

        Raises:
            PlatformError: Something is missing or in the way; the text says what to do. The rules that were there
                before are still there, or the new ones when a route or a setting was refused: both are closed.
            RealmGatewayError: nft or the kernel refused the ruleset; the old one is still there.
        """
        settings = self._settings
        faces = (*settings.dns.wan.listen, *settings.dns.lan.listen)
        found = self.probe()
        capabilities.require(found, ports=tuple(endpoint.port for endpoint in faces))
        with client.route_socket() as netlink:
            addresses = client.addresses(netlink)
            links.check_interfaces(settings.interfaces, addresses)
            doubts = links.check_pool(settings.pools, settings.interfaces, addresses)
            review = self._review(netlink)
            # The rules first: nothing is opened (forwarding, the pool's local routes) before they stand.
            self.nft.run(ruleset.replacement(Ruleset.of(settings, native_queue=found.native_queue), hosts))
            self._native_queue = found.native_queue
            self._place_queue_step(found)
            changes = [*self._place_routes(netlink, links.wanted_routes(settings.pools.circular))]
        changes += [client.write_sysctl(key, value) for key, value in review.changes]
        return Applied(found, tuple(changes), (*doubts, *review.warnings))

    def change(self, settings: Settings, hosts: HostChange) -> None:
        """Lead from what was applied to other settings and hosts: the rules in one transaction, then the routes.

        Interfaces, table and queue must be the same.

        Args:
            settings: From now on.
            hosts: What becomes of the hosts.

        Raises:
            RealmGatewayError: Something was refused. What was changed before that was changed back.
        """
        old, native = self._settings, self._native_queue
        before, after = (Ruleset.of(each, native_queue=native) for each in (old, settings))
        if old.pools == settings.pools:
            self._run_if_any(ruleset.changes(before, after, hosts))
        else:
            self._change_pool(settings, before, after, hosts)
        self._settings = settings

    def _change_pool(self, settings: Settings, before: Ruleset, after: Ruleset, hosts: HostChange) -> None:
        with client.route_socket() as netlink:
            links.check_pool(settings.pools, settings.interfaces, client.addresses(netlink))
            self._run_if_any(ruleset.changes(before, after, hosts))
            try:
                tuple(self._place_routes(netlink, links.wanted_routes(settings.pools.circular)))
            except RealmGatewayError:
                self._run_if_any(ruleset.changes(after, before, hosts.undone()))
                tuple(self._place_routes(netlink, links.wanted_routes(self._settings.pools.circular)))
                raise

    def _run_if_any(self, commands: str) -> None:
        if commands:
            self.nft.run(commands)

    def end_flows(self, addresses: Iterable[bytes]) -> int:
        """End every flow of these private addresses (packed), and tell how many there were.

        Raises:
            RealmGatewayError: The kernel refused; some may have been ended.
        """
        return client.end_flows(addresses)

    def change_hosts(self, old: Iterable[Host], new: Iterable[Host]) -> None:
        """Change the map of hosts in one transaction, and nothing else.

        Raises:
            RealmGatewayError: It was refused; the map is as it was.
        """
        commands = ruleset.host_changes(self._table, old, new)
        if commands:
            self.nft.run(commands)

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
        """Remove everything of ours: routes, the queue step, the table. Kernel settings stay, see the docs.

        Returns:
            What was done and what stays, one line each.

        Raises:
            RealmGatewayError: Something was refused; what was not reached yet is still there.
        """
        with client.route_socket() as netlink:
            done = [*self._place_routes(netlink, frozenset())]
        if self._remove_queue_step():
            done.append(f"iptables chain {self._table} removed from mangle")
        self.nft.run(ruleset.removal(self._table))
        done.append(f"nftables table inet {self._table} removed")
        if client.read_sysctl(sysctls.FORWARDING):
            done.append("net.ipv4.ip_forward stays 1: this machine still routes, and no rule of ours limits it")
        return tuple(done)

    def close(self) -> None:
        """Give back what is held; the kernel keeps what it has."""
        if self._nft is not None:
            self._nft.close()
            self._nft = None

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

    def _review(self, netlink: IPRoute) -> sysctls.Review:
        wan = self._settings.interfaces.wan
        read = {key: client.read_sysctl(key) for key in sysctls.keys(wan)}
        return sysctls.review(
            {key: value for key, value in read.items() if value is not None},
            wan=wan,
            on_link=any(prefix.attachment is Attachment.ON_LINK for prefix in self._settings.pools.circular),
            default_by_wan=lambda: client.default_leaves_by(netlink, wan),
        )

    def _place_routes(self, netlink: IPRoute, wanted: frozenset[Route]) -> Iterator[str]:
        changes = links.route_changes(tuple(client.our_routes(netlink)), wanted)
        for route in changes.add:
            client.change_route(netlink, "add", route)
            yield f"route added: {route.kind.name.lower()} {route.network}"
        for route in changes.delete:
            client.change_route(netlink, "del", route)
            yield f"route deleted: {route.kind.name.lower()} {route.network}"

    def _place_queue_step(self, found: Capabilities) -> None:
        if found.native_queue:
            self._remove_queue_step()  # of an earlier run on a kernel without the statement
            return
        self._fill_xtables_chain(self._table)
        if not self._iptables_agrees(xtables.jump("-C", self._table)):
            self._iptables(xtables.jump("-I", self._table))

    def _remove_queue_step(self) -> bool:
        """Whether there was one. What iptables itself left in nftables for us goes, too, when nobody else uses it."""
        if not shutil.which("iptables"):
            return False
        if not xtables.has_chain(self._iptables(xtables.listing()), self._table):
            return False
        while self._iptables_agrees(xtables.jump("-C", self._table)):
            self._iptables(xtables.jump("-D", self._table))
        self._remove_xtables_chain(self._table)
        self._tidy_mangle()
        return True

    def _tidy_mangle(self) -> None:
        """The nftables variant of iptables leaves an empty builtin chain and an empty table behind."""
        if xtables.has_rules(self._iptables(xtables.listing())):
            return
        if self._iptables_agrees(xtables.builtin_removal()) and "chain" not in self.nft.run("list table ip mangle\n"):
            self.nft.run("delete table ip mangle\n")

    def _xtables_works(self) -> bool:
        chain = f"{self._table}_probe"
        try:
            self._fill_xtables_chain(chain)
            self._remove_xtables_chain(chain)
        except RealmGatewayError:
            return False
        return True

    def _fill_xtables_chain(self, chain: str) -> None:
        text = xtables.chain_input(chain, self._settings.admission.queue)
        self._run(["iptables-restore", "-w", "10", "--noflush"], text)

    def _remove_xtables_chain(self, chain: str) -> None:
        for arguments in xtables.chain_removal(chain):
            self._iptables(arguments)

    def _iptables(self, arguments: Sequence[str]) -> str:
        return self._run(["iptables", *arguments], "")

    def _iptables_agrees(self, arguments: Sequence[str]) -> bool:
        try:
            self._iptables(arguments)
        except PlatformError:
            raise
        except RealmGatewayError:
            return False
        return True
