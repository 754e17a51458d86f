"""What is ours in the kernel: looked at before anything is touched, and removed by a purge.

A purge goes by what stands there, not by what the configuration says now, and its order keeps the machine closed. Where
nothing was routed before we came, nothing is from the first step on. Flows end, the pool's routes go while the rules
still stand before them, the table goes last. A step that is refused ends the purge: what it did not reach still stands.

Edge: a routing socket.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import PurePath

import attrs
from pyroute2 import IPRoute

from realmgw.config.settings import Interfaces, Network
from realmgw.datapath import client, includes, ruleset, twice
from realmgw.datapath.client import Run
from realmgw.datapath.ending import end_flows_to
from realmgw.datapath.filling import Filling
from realmgw.datapath.iptables import prefixes, xtables
from realmgw.datapath.iptables.chains import Chains
from realmgw.datapath.leading import Lead
from realmgw.datapath.links import Route
from realmgw.datapath.machine import former, sysctls
from realmgw.datapath.machine.disk import FormerValues
from realmgw.datapath.machine.former import Restoring
from realmgw.datapath.machine.sysctls import Needs
from realmgw.datapath.netlink.codec import RefusedError
from realmgw.datapath.nft import Nft
from realmgw.datapath.watch import including
from realmgw.datapath.watch.ownership import Tables

IPTABLES = ("mangle", "nat")
"""The tables of iptables in which chains of ours may stand."""
NOTHING = "nothing of ours stands here"


@attrs.frozen
class Found:
    """What of ours stands."""

    tables: Tables
    """Of nftables."""
    chains: tuple[tuple[Chains, str, str], ...]
    """Where in iptables, and in ip6tables, there are chains of ours: in which table, and by which name."""
    routes: tuple[Route, ...]
    """The pool's routes."""

    def __bool__(self) -> bool:
        return bool(self.tables.main or self.tables.mark or self.chains or self.routes)


class Own:
    """What is ours, under the name of a table. Making it touches nothing.

    Args:
        table: The name of the table.
        state: The state folder, where former kernel settings are remembered.
        nft: Access to nftables.
        run: What runs programs.
        ours: Within it a program changes something of ours; see `realmgw.datapath.watch.generations`.

    Attributes:
        chains: Ours in the tables of iptables.
        chains6: The same of ip6tables.
        filling: Access to the table's elements.
        asks_twice: Whether TCP is to come twice: what is placed from now on says so, too.
        placements: How often the whole table was placed or removed: what its sets had learned is gone each time.
        is_halfway: A change in steps came to no end: what is in the table is not known until all of it is placed anew.
    """

    def __init__(
        self,
        table: str,
        state: PurePath,
        nft: Callable[[], Nft],
        run: Run,
        ours: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._table = table
        self._nft = nft
        self._former, self.filling = FormerValues(state, table), Filling(table)
        self.chains, self.chains6 = Chains(run, nft, ours), Chains(run, nft, ours, ipv6=True)
        self.is_halfway = self.asks_twice = False
        self.placements = 0

    def is_installed(self) -> bool:
        """Whether the table stands; nothing of its name may be somebody else's.

        Raises:
            PlatformError: Something is; the text says what.
            RealmGatewayError: The kernel, or iptables, does not tell.
        """
        tables = self._tables()
        self._chains()
        return tables.main is not None

    def run(self, commands: str) -> None:
        """Run commands of nft. Those that replace tables are refused where these are not those that were looked at.

        Raises:
            PlatformError: A table is somebody else's; nothing was changed.
            RealmGatewayError: They were refused; nothing was changed.
        """
        is_whole = ruleset.replaces(commands)
        if commands:
            self._nft().run(self._tables().precondition() + commands if is_whole else commands)
        self.is_halfway = self.is_halfway and not is_whole
        self.placements += is_whole

    def lead(self, there: Lead) -> bool:
        """Lead the table to another state.

        Returns:
            Whether that was one transaction at most, of elements alone.

        Raises:
            PlatformError: As `run`.
            RealmGatewayError: It was refused. Nothing was changed, or, in steps, nobody knows how far it came: then
                `is_halfway` says so.
        """
        steps = there.steps()
        if steps is None:
            self.run(there.commands())
            return False
        self.is_halfway = True
        self.filling.lead(steps, self.run)
        self.is_halfway = False
        return not (steps.before or steps.after)

    def ask_twice(self, *, asked: bool) -> None:
        """Have TCP come twice, or not; see `realmgw.datapath.twice`.

        Raises:
            RealmGatewayError: It was refused, and all is as it was.
        """
        self.filling.run(twice.switched(asked=asked))
        self.asks_twice = asked

    def remember(self, interfaces: Interfaces, needs6: Needs, *, standing: bool) -> tuple[str, ...]:
        """Remember what kernel settings are, before they are changed.

        Args:
            interfaces: The gateway's, which are to take part in forwarding.
            needs6: What there is to need further settings, of IPv6 for the most part.
            standing: Whether the table stood before this start.

        Returns:
            Why that can not be done; nothing when it was.
        """
        present = _settings(sysctls.COUNTED if needs6.counts else ())
        present |= _following(interfaces, 4, is_off=present.get(sysctls.FORWARDING) == 0)
        if needs6.forwards:
            heeding = (sysctls.accept_ra(interfaces.wan),) if needs6.advertised else ()
            present |= _settings((*sysctls.REQUIRED6, *heeding))
            present |= _following(interfaces, 6, is_off=present.get(sysctls.FORWARDING6) == 0)
        problem = self._former.remember(present, standing=standing)
        return () if problem is None else (problem,)

    def remove(self) -> tuple[str, ...]:
        """Remove everything of ours, and put kernel settings back; nothing is asked to come twice any more.

        Returns:
            What was done and what stays, one line each.

        Raises:
            PlatformError: Something of our name is somebody else's; nothing was done.
            RealmGatewayError: Something was refused; what was not reached yet still stands.
        """
        with client.route_socket() as channel:
            tables = self._tables()
            found = Found(tables, self._chains(), tuple(sorted(client.our_routes(), key=str)))
            known = self._former.known()
            found6 = any(route.network.version == 6 for route in found.routes)
            present = _settings((*sysctls.REQUIRED6, *known))
            restoring = former.restoring(known, present, found=bool(found), found6=found6)
            self.asks_twice = False
            return tuple(self._steps(found, restoring, channel))

    def _steps(self, found: Found, restoring: Restoring, channel: IPRoute) -> Iterator[str]:
        if not found:
            yield NOTHING
        yield from client.set_sysctls(restoring.first)
        networks, is_refused = [route.network for route in found.routes], False
        try:
            yield from _ended(networks)
        except RefusedError:
            is_refused = True  # as older kernels do for flows that a flowtable has: it goes with the table
        for route in found.routes:
            yield client.change_route(channel, "del", route)
        for chains, each, name in found.chains:
            if chains.remove(each, name):
                yield f"{chains.program} chain {name} removed from {each}"
        local = including.removal(self._table, including.standing(self._table))
        if local:
            self._nft().run(local)
            yield f"nftables table inet {includes.local_table(self._table)} removed"
        if found.tables.main or found.tables.mark:
            self.run(ruleset.removal(self._table))
            yield f"nftables table inet {self._table} removed"
        if is_refused:
            yield from _ended(networks)
        yield from client.set_sysctls(restoring.last)
        yield from restoring.notes
        self._former.forget()

    def _chains(self) -> tuple[tuple[Chains, str, str], ...]:
        """Where in iptables there are chains of ours; all that have our names are."""
        every = [(chains, each, self._table) for chains in (self.chains, self.chains6) for each in IPTABLES]
        every.append((self.chains6, prefixes.TABLE, xtables.prefix_name(self._table)))
        return tuple((chains, each, name) for chains, each, name in every if chains.has(each, name))

    def _tables(self) -> Tables:
        """What stands under the names of our tables; all of it is ours."""
        tables = client.standing(self._table)
        tables.refuse_foreign()
        return tables


def _ended(networks: Collection[Network]) -> Iterator[str]:
    ended = end_flows_to(networks)
    if ended:
        yield f"{ended} flows ended"


def _settings(keys: Iterable[str]) -> dict[str, int]:
    """Kernel settings as they are, those that we change in any case among them."""
    every = {*sysctls.REQUIRED, *keys}
    return {key: value for key in every if (value := client.read_sysctl(key)) is not None}


def _following(interfaces: Interfaces, version: int, *, is_off: bool) -> dict[str, int]:
    """What the interfaces' settings are that will be others when they take part in forwarding."""
    if is_off:
        return client.following_sysctls(version)
    forwarding = ((key, client.read_sysctl(key)) for key in sysctls.forwarding(interfaces, version))
    return {key: value for key, value in forwarding if value == 0}
