"""The gateway's nftables ruleset as data, and its text: pure, no kernel in sight.

There is one table of ours, family inet, and nothing of ours outside of it (but for the queue step where the kernel
lacks nftables' own `queue` statement, see `xtables`). It is replaced as a whole in one transaction, so that a packet
meets either the old rules or the new ones. `docs/datapath.md` tells what the chains are for, in their order.

The chains up to a flow's host are in `realmgw.datapath.incoming`, what is forwarded and how LANs leave in
`realmgw.datapath.forwarding`, the elements of sets and maps in `realmgw.datapath.elements`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain

import attrs

from realmgw.config import identifiers
from realmgw.config.ipv6 import Ipv6
from realmgw.config.pipeline import Refused
from realmgw.config.settings import Address, Dnat, Forward, Network, Nflog, Settings
from realmgw.datapath import bans, elements, forwarding, incoming, marks, outbound6, proxied, translation, twice
from realmgw.datapath.batches import Elements, InSteps
from realmgw.datapath.guests import Guests
from realmgw.datapath.hosts import HostChange
from realmgw.datapath.incoming import Lent as Lent
from realmgw.datapath.links import first_run
from realmgw.datapath.netlink.counters import COUNTERS as COUNTERS
from realmgw.datapath.netlink.counters import COUNTERS6 as COUNTERS6
from realmgw.datapath.offload import Carrying
from realmgw.datapath.outbound6 import Leaving
from realmgw.datapath.pipeline import groups, parts, relisting, stages
from realmgw.datapath.pipeline.parts import Stages
from realmgw.datapath.policy import classes, noted
from realmgw.datapath.policy.classes import Classes
from realmgw.datapath.proxied import Proxied
from realmgw.datapath.watch import ownership
from realmgw.errors import ConfigurationError
from realmgw.subscribers.model import Host

Texts = Mapping[str, Sequence[str]]
"""The rules of each chain of the table, as they were written."""


@attrs.frozen
class Ruleset:
    """All that the rules depend on, but for the hosts."""

    table: str
    """Name of the table."""
    wan: str
    """Name of the interface towards the public Internet."""
    lan: tuple[str, ...]
    """Names of the interfaces towards the private hosts."""
    pool: tuple[Network, ...]
    """The circular pool of IPv4."""
    outbound: tuple[Address, Address] | None
    """First and last address that the LANs' own flows of IPv4 leave from; None: there is none, and they do not."""
    outbound_ports: tuple[int, int]
    """First and last port that they leave from."""
    queue: int | None
    """The queue's number, where the kernel has nftables' own queue statement; None: the step is done elsewhere."""
    stray_rate: int
    """First packets a second that a stray sender may present to user space."""
    stray_timeout: float
    """Seconds for which a stray sender is remembered."""
    reject_rate: int
    """Refusals told to senders a second."""
    dnat: Dnat = Dnat.MAP
    """How a flow is sent to its host; not AUTO."""
    forward: Forward = attrs.Factory(Forward)
    """What is forwarded besides admitted flows, and flows from a LAN to the WAN."""
    gateway: str = ""
    """The gateway's name, for the tables' comment."""
    ipv6: bool = False
    """Whether there is anything of IPv6: a pool, or hosts that are reached at their own addresses."""
    pool6: tuple[Network, ...] = ()
    """The pool of IPv6."""
    modes: Ipv6 = attrs.Factory(Ipv6)
    """How hosts are reached by IPv6; the rest of it says nothing here."""
    leaving6: Leaving | None = None
    """How the LANs' own flows of IPv6 leave; None: nothing of IPv6 is our business."""
    guests: Guests = attrs.Factory(Guests)
    """What becomes of LAN hosts that are no subscribers."""
    lent: Lent | None = None
    """Which addresses of the pool of IPv6 may have been lent; None: that can not be told, and each of them may."""
    stages: Stages = attrs.Factory(Stages)
    """What the operator's stages place."""
    groups: tuple[str, ...] = ()
    """Groups of subscribers, of whose rules there are chains among them."""
    proxied: Proxied | None = None
    """The reverse proxy of the service pool; None: there is none."""
    told: frozenset[Refused] = frozenset(Refused)
    """Who is told that the pool has refused him."""
    bans: bool = False
    """Whether somebody can be banned."""
    nflog: Nflog | None = None
    """Which group the target LOG tells; None: the kernel can not tell any."""
    carrying: Carrying | None = None
    """What a flowtable takes; None: there is none."""
    asks_twice: bool = False
    """Whether TCP is to come twice."""

    def __attrs_post_init__(self) -> None:
        """Refuse names that nft's grammar would read as something else."""
        interfaces = (identifiers.problem(identifiers.interface_name, name) for name in (self.wan, *self.lan))
        problems = tuple(filter(None, (identifiers.problem(identifiers.table_name, self.table), *interfaces)))
        if problems:
            raise ConfigurationError(problems)

    @classmethod
    def of(
        cls, settings: Settings, *, native_queue: bool, dnat: Dnat = Dnat.MAP,
        pinholes: bool = False, lent: Lent | None = None, logs: bool = True, carrying: Carrying | None = None,
    ) -> Ruleset:  # fmt: skip
        """The ruleset that the settings ask for.

        Args:
            settings: The gateway's settings.
            native_queue: Whether the kernel has nftables' own queue statement.
            dnat: How a flow is sent to its host; not AUTO.
            pinholes: Whether any host has it in its file that it is reached at its own address.
            lent: Which addresses of the pool of IPv6 may have been lent, where the kernel can tell.
            logs: Whether the kernel can tell of packets, for the target LOG.
            carrying: What a flowtable takes; None: there is none.

        Raises:
            ConfigurationError: There is no pool, or a name can not be written in a rule.
        """
        pools, ipv6 = settings.pools, pinholes or elements.takes_ipv6(settings)
        if not pools.circular:
            raise ConfigurationError(("pools.circular is empty: without it no address can be lent",))
        nflog = settings.datapath.log if logs else None
        return cls(
            table=settings.datapath.table,
            wan=settings.interfaces.wan,
            lan=settings.interfaces.lan,
            pool=pools.networks4,
            outbound=pools.outbound or (first_run(pools.networks4) if pools.networks4 else None),
            outbound_ports=pools.outbound_ports,
            queue=settings.admission.queue if native_queue else None,
            stray_rate=settings.admission.stray_rate,
            stray_timeout=settings.admission.stray_timeout,
            reject_rate=settings.datapath.reject_rate,
            dnat=dnat,
            forward=settings.datapath.forward,
            gateway=settings.name,
            ipv6=ipv6,
            pool6=pools.networks6,
            modes=Ipv6(mode=settings.ipv6.mode, prefixes=settings.ipv6.prefixes),
            leaving6=outbound6.leaving(settings) if ipv6 or settings.ipv6.outbound else None,
            guests=Guests.of(settings),
            lent=lent,
            stages=parts.noting(stages.stages(settings, logs=logs), nflog),
            groups=tuple(each.name for each in groups.told(settings)),
            proxied=Proxied.of(settings),
            told=stages.told(settings),
            bans=settings.alerts is not None,
            nflog=nflog,
            carrying=carrying,
        )

    @property
    def interfaces(self) -> tuple[str, str, str]:
        """The one towards the Internet, those towards the private hosts, and all of them: a name and sets for nft."""
        wan, *lans = (f'"{name}"' for name in (self.wan, *self.lan))
        return wan, f"{{ {', '.join(lans)} }}", f"{{ {', '.join((wan, *lans))} }}"

    @property
    def needs_subscribers(self) -> bool:
        """Whether it matters who is a subscriber."""
        return self.guests.needs_subscribers or self.proxied is not None

    @property
    def pool_sets(self) -> tuple[str, ...]:
        """The sets with the pools, as they are declared in a table."""
        sets = [("pool", "ipv4_addr", self.pool), *([("pool6", "ipv6_addr", self.pool6)] if self.ipv6 else [])]
        return tuple(elements.interval_set(*each) for each in sets)

    @property
    def to_pools(self) -> tuple[str, str]:
        """What matches packets for the pool, of IPv4 and of IPv6."""
        return elements.to_pool(self.pool, ipv6=False), elements.to_pool(self.pool6, ipv6=True)

    @property
    def bare(self) -> Ruleset:
        """The same without guests and stages, whose sets may be large, and without interfaces that may be gone."""
        return attrs.evolve(self, guests=Guests(), stages=Stages(), groups=(), carrying=None)

    @property
    def bans6(self) -> bool:
        """Whether there is a set of those who are banned by IPv6."""
        return self.bans and (self.ipv6 or (self.proxied is not None and self.proxied.has_ipv6))

    @property
    def hosts6(self) -> Ipv6 | None:
        """How hosts are reached by IPv6; None: not at all."""
        return self.modes if self.ipv6 else None


def replacement(ruleset: Ruleset, hosts: Iterable[Host], *, shut: bool = False) -> str:
    """The transaction that puts the table in place, whether there was one or not.

    Args:
        ruleset: What the rules depend on.
        hosts: Every host that a flow may be translated to. Their classes are those of `Classes`, were there no others.
        shut: Some have rules that are not known: no flow of any host begins.

    Returns:
        Commands for nft; run at once they are one transaction.

    Raises:
        ConfigurationError: A host's address is not what it is said to be.
    """
    # Declaring the table first makes the deletion succeed when there was none.
    lines = [f"table inet {ruleset.table}", f"delete table inet {ruleset.table}", *_table(ruleset, shut=shut)]
    lines += _hosts(ruleset, HostChange({}, came=tuple(hosts), classes=Classes(ruleset.groups, ruleset.nflog)))
    lines += _no_mark_table(ruleset.table)
    return "\n".join(lines) + "\n"


def changes(before: Ruleset, after: Ruleset, hosts: HostChange) -> str:
    """The transaction that leads from one ruleset and its hosts to another.

    Hosts, the pool, the addresses for outgoing flows and what is forwarded are changed in place; anything else replaces
    the whole table, and its counters begin anew (see `is_replaced`).

    Args:
        before: What the kernel has.
        after: What it shall have.
        hosts: What becomes of the hosts.

    Returns:
        Commands for nft, empty when nothing changes.

    Raises:
        ConfigurationError: A host's address is not what it is said to be.
    """
    if is_replaced(before, after):
        return replacement(after, hosts.after().values())
    lines = list(_hosts(after, hosts))
    for name, was, now in (("pool", before.pool, after.pool), ("pool6", before.pool6, after.pool6)):
        if was != now:
            lines.append(f"flush set inet {after.table} {name}")
            lines += elements.commands("add", after.table, name, map(str, elements.apart(now)))
    if before.to_pools != after.to_pools:
        lines += _refilled(after, incoming.SETTLE)
    if (before.outbound, before.outbound_ports) != (after.outbound, after.outbound_ports):
        lines += _refilled(after, "outbound")
    if before.forward != after.forward:
        lines += _refilled(after, forwarding.CHAIN)
    lines += parts.changes(after.table, before.stages, after.stages)
    return "".join(line + "\n" for line in lines)


def in_steps(before: Ruleset, after: Ruleset, hosts: HostChange) -> InSteps | None:
    """What `changes` comes to where hosts, their classes and lists of prefixes change only; None: there is more to it.

    Raises:
        ConfigurationError: As `changes`.
    """
    is_same = before is after or before == after
    slices = () if is_same else relisting.slices(before.stages, after.stages)
    if slices is None or not (is_same or attrs.evolve(before, stages=after.stages) == after):
        return None
    led, table = hosts.led, after.table
    every = (*_reached(after, hosts), *classes.elements(led, hosts.gone, hosts.came))
    first, last = classes.additions(table, led), classes.removals(table, led)
    changed = tuple(each for each in every if each.elements)
    return InSteps("".join(f"{line}\n" for line in first), changed, "".join(f"{line}\n" for line in last), slices)


def _hosts(ruleset: Ruleset, hosts: HostChange) -> Iterator[str]:
    for each in _reached(ruleset, hosts):
        yield from each.commands(ruleset.table)
    yield from classes.commands(ruleset.table, hosts.led, hosts.gone, hosts.came)


def _reached(ruleset: Ruleset, hosts: HostChange) -> Iterator[Elements]:
    return elements.hosts(hosts, ruleset.dnat, ruleset.hosts6, known=ruleset.needs_subscribers)


def is_replaced(before: Ruleset, after: Ruleset) -> bool:
    """Whether `changes` replaces the table."""
    if before is after:  # as it is whenever hosts come and go
        return False
    alike = attrs.evolve(before, pool=after.pool, pool6=after.pool6, outbound=after.outbound, stages=after.stages)
    return attrs.evolve(alike, outbound_ports=after.outbound_ports, forward=after.forward) != after


def _refilled(ruleset: Ruleset, name: str) -> Iterator[str]:
    """The commands that put other rules into a chain that stands, with its hook and policy, in the same transaction."""
    _, *rules = _chains(ruleset)[name]
    yield f"flush chain inet {ruleset.table} {name}"
    yield from (f"add rule inet {ruleset.table} {name} {rule}" for rule in rules)


def replaces(commands: str) -> bool:
    """Whether commands of ours replace or remove tables."""
    return commands.startswith("table ")


def removal(table: str) -> str:
    """The transaction that removes the tables, whether there are any or not."""
    lines = (f"table inet {table}", f"delete table inet {table}", *_no_mark_table(table))
    return "".join(f"{line}\n" for line in lines)


def _table(ruleset: Ruleset, *, shut: bool) -> Iterator[str]:
    yield f"table inet {ruleset.table} {{"
    yield _comment(ruleset)
    yield from _objects(ruleset)
    for name, lines in _all_chains(ruleset, shut=shut).items():
        yield from (f"\tchain {name} {{", *(f"\t\t{line}" for line in lines), "\t}")
    yield "}"


def _all_chains(ruleset: Ruleset, *, shut: bool = False) -> incoming.Chains:
    """Those that there are whatever hosts there are."""
    return classes.chains(incoming.drop("forward_refused") if shut else "") | _chains(ruleset)


def texts(ruleset: Ruleset, known: Classes) -> Texts:
    """The rules of each chain of the table, as they were written, in their order.

    Args:
        ruleset: What stands.
        known: The classes that there are.
    """
    chains = _all_chains(ruleset).items()
    standing = {name: [each for each in lines if not each.startswith("type ")] for name, lines in chains}
    return {**standing, **classes.texts(known)}


def _no_mark_table(table: str) -> tuple[str, str]:
    """The commands after which there is no table beside ours, whether an earlier version has left one or not."""
    return f"table ip {translation.mark_table(table)}", f"delete table ip {translation.mark_table(table)}"


def _comment(ruleset: Ruleset) -> str:
    return f'\tcomment "{ownership.comment(ruleset.gateway)}"'


def _objects(ruleset: Ruleset) -> Iterator[str]:
    """Counters, the limit of told refusals, sets and maps."""
    more = (
        COUNTERS6 if ruleset.ipv6 else {},
        {} if ruleset.leaving6 is None else outbound6.COUNTERS,
        {} if ruleset.proxied is None else proxied.COUNTERS,
        bans.COUNTERS if ruleset.bans else {},
    )
    for name, comment in {**COUNTERS, **dict(chain.from_iterable(each.items() for each in more))}.items():
        yield f'\tcounter {name} {{ comment "{comment}"; }}'
    yield f"\tlimit refusals_told {{ rate {ruleset.reject_rate}/second burst {ruleset.reject_rate} packets; }}"
    noting = (f"{name} {said}" for name, said in noted.objects(ruleset.nflog).items())
    known = elements.SUBSCRIBER_SETS if ruleset.needs_subscribers else ()
    carried = () if ruleset.carrying is None else (ruleset.carrying.declared(),)
    every = (*ruleset.pool_sets, *known, *ruleset.guests.objects(), *noting, *ruleset.stages.declared(), *carried)
    yield from (f"\t{each}" for each in every)
    strays = elements.stray_sets(ruleset.stray_rate, ruleset.stray_timeout, ipv6=ruleset.ipv6)
    noted_syns = twice.declared(ipv6=ruleset.ipv6, asked=ruleset.asks_twice)
    yield from (f"\t{each}" for each in (*strays, *noted_syns))
    yield from (f"\t{each}" for each in (bans.declared(ipv6=ruleset.bans6) if ruleset.bans else ()))
    yield f"\tmap hosts {{ type mark : {'ipv4_addr' if ruleset.dnat is Dnat.MAP else 'mark'}; }}"
    yield from (f"\t{each}" for each in classes.OBJECTS)
    if ruleset.ipv6:
        yield "\tmap hosts6 { type mark : ipv6_addr; }\n\tset pinholes { type ipv6_addr; }"


def _chains(ruleset: Ruleset) -> incoming.Chains:
    """The chains, in the order in which a packet meets them."""
    (wan, lan, ours), ipv6, leaving6 = ruleset.interfaces, ruleset.ipv6, ruleset.leaving6
    refused, invalid = incoming.drop("forward_refused"), incoming.drop("forward_invalid")
    leaves, guests = ruleset.outbound is not None, ruleset.guests
    banned = bans.drops(ruleset.nflog, ipv6=ruleset.bans6) if ruleset.bans else []
    way = forwarding.Families(ipv4_leaves=leaves, ipv6_enters=ipv6, leaving6=leaving6, guests=guests)
    chains = {
        **incoming.before_routing(wan, lan, ruleset.told, ruleset.to_pools, ipv6=ipv6, lent=ruleset.lent),
        "tell": incoming.told(ipv6=ipv6 or ruleset.needs_subscribers),
        **incoming.translation(wan, ruleset.dnat, ipv6=ipv6),
        **guests.chains(lan),
        **incoming.own_sockets(wan, lan, ipv6=ipv6),
        forwarding.CHAIN: forwarding.rules(ruleset.interfaces, ruleset.forward, way, drop=refused, invalid=invalid),
        "outbound": forwarding.outbound(wan, lan, ruleset.outbound, ruleset.outbound_ports),
        **noted.chains(ruleset.nflog),
    }
    chains["own_sockets"] += guests.received(lan)
    if ruleset.proxied is not None:
        chains.update(ruleset.proxied.chains(wan, lan, banned))
    if leaving6 is not None:
        chains["outbound"] += leaving6.translated()
        chains[outbound6.WALL] = leaving6.wall()
    bans.put_first(chains["first_packet"], chains[forwarding.CHAIN], wan, banned)
    if ruleset.carrying is not None:
        ruleset.carrying.put_first(chains[forwarding.CHAIN], incoming.PASSES, ours)
    if ruleset.queue is not None:
        hook = "type filter hook prerouting priority mangle; policy accept;"
        # `bypass` fails closed: with nobody at the queue the packet goes on undecided, and `settle` drops it.
        chains["present"] = [hook, f"{incoming.STEP} == {marks.QUEUED:#x} queue flags bypass to {ruleset.queue}"]
    return chains | {name: list(lines) for name, lines in ruleset.stages.chains.items()}
