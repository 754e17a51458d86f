"""The gateway's nftables ruleset as data, and its text: pure, no kernel in sight.

There is one table of ours, family inet, and nothing of ours outside of it (but for the queue step where the kernel
lacks nftables' own `queue` statement, see `xtables`). It is replaced as a whole in one transaction, so that a packet
meets either the old rules or the new ones. What the chains are for, in the order in which a packet meets them, is told
in `docs/datapath.md`.

Addresses come as values; this module and the DNS codec are where they are written out, and here only IPv4 can be.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import attrs

from realmgw.config import rulenames
from realmgw.config.settings import Address, Dnat, Forward, Network, Settings
from realmgw.datapath import forwarding, marks, translation
from realmgw.datapath.hosts import HostChange
from realmgw.datapath.links import first_run
from realmgw.datapath.netlink.counters import COUNTERS as COUNTERS
from realmgw.datapath.watch import ownership
from realmgw.errors import ConfigurationError
from realmgw.subscribers.model import Host

STRAYS = ("strays",)
"""The sets that elements may be added to by anybody: to slow somebody down by hand does no harm."""
STRAYS_KEPT = 65536
"""How many stray senders the kernel remembers at once; further ones are presented to user space as before."""
ELEMENTS_PER_COMMAND = 1024
"""How many elements one command of a transaction adds or deletes; longer lines are no faster, and take more memory."""

OWN_REFUSAL = 'iifname "lo" ct state established,related accept comment "a refusal that we tell ourselves"'
"""The gateway knocks at the pool itself, and is told so by itself."""
_STEP = f"meta mark & {marks.STEP_MASK:#x}"


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
    """The circular pool."""
    outbound: tuple[Address, Address]
    """First and last address that the LANs' own flows leave from."""
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

    def __attrs_post_init__(self) -> None:
        """Refuse names that nft's grammar would read as something else."""
        interfaces = (rulenames.problem(rulenames.interface_name, name) for name in (self.wan, *self.lan))
        problems = tuple(filter(None, (rulenames.problem(rulenames.table_name, self.table), *interfaces)))
        if problems:
            raise ConfigurationError(problems)

    @classmethod
    def of(cls, settings: Settings, *, native_queue: bool, dnat: Dnat = Dnat.MAP) -> Ruleset:
        """The ruleset that the settings ask for.

        Args:
            settings: The gateway's settings.
            native_queue: Whether the kernel has nftables' own queue statement.
            dnat: How a flow is sent to its host; not AUTO.

        Raises:
            ConfigurationError: There is no pool, an address is not IPv4, or a name can not be written in a rule.
        """
        pool = tuple(prefix.network for prefix in settings.pools.circular)
        if not pool:
            raise ConfigurationError(("pools.circular is empty: without it no address can be lent",))
        outbound = settings.pools.outbound or first_run(pool)
        for value in (*pool, *outbound):
            if value.version != 4:
                raise ConfigurationError((f"pools: {value} is not IPv4, and only IPv4 can be translated",))
        return cls(
            table=settings.datapath.table,
            wan=settings.interfaces.wan,
            lan=settings.interfaces.lan,
            pool=pool,
            outbound=outbound,
            outbound_ports=settings.pools.outbound_ports,
            queue=settings.admission.queue if native_queue else None,
            stray_rate=settings.admission.stray_rate,
            stray_timeout=settings.admission.stray_timeout,
            reject_rate=settings.datapath.reject_rate,
            dnat=dnat,
            forward=settings.datapath.forward,
            gateway=settings.name,
        )

    @property
    def interfaces(self) -> tuple[str, str, str]:
        """The one towards the Internet, those towards the private hosts, and all of them: a name and sets for nft."""
        wan, *lans = (f'"{name}"' for name in (self.wan, *self.lan))
        return wan, f"{{ {', '.join(lans)} }}", f"{{ {', '.join((wan, *lans))} }}"

    @property
    def pool_set(self) -> str:
        """The set with the circular pool, as it is declared in a table."""
        pool = ", ".join(map(str, self.pool))
        return f"set pool {{ type ipv4_addr; flags interval; auto-merge; elements = {{ {pool} }}; }}"


def replacement(ruleset: Ruleset, hosts: Iterable[Host]) -> str:
    """The transaction that puts the table in place, whether there was one or not.

    Args:
        ruleset: What the rules depend on.
        hosts: Every host that a flow may be translated to.

    Returns:
        Commands for nft; run at once they are one transaction.

    Raises:
        ConfigurationError: A host's address is not IPv4.
    """
    # Declaring the table first makes the deletion succeed when there was none.
    lines = [f"table inet {ruleset.table}", f"delete table inet {ruleset.table}", *_table(ruleset)]
    lines += _commands("add", ruleset.table, "hosts", _elements(hosts, ruleset.dnat))
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
        ConfigurationError: A host's address is not IPv4.
    """
    if is_replaced(before, after):
        return replacement(after, hosts.after().values())
    lines = list(_hosts_changed(after.table, hosts.gone, hosts.came, after.dnat))
    if before.pool != after.pool:
        lines.append(f"flush set inet {after.table} pool")
        lines += _commands("add", after.table, "pool", map(str, after.pool))
    if (before.outbound, before.outbound_ports) != (after.outbound, after.outbound_ports):
        lines += _refilled(after, "outbound")
    if before.forward != after.forward:
        lines += _refilled(after, forwarding.CHAIN)
    return "".join(line + "\n" for line in lines)


def is_replaced(before: Ruleset, after: Ruleset) -> bool:
    """Whether `changes` replaces the table."""
    outbound, ports = after.outbound, after.outbound_ports
    alike = attrs.evolve(before, pool=after.pool, outbound=outbound, outbound_ports=ports, forward=after.forward)
    return alike != after


def _refilled(ruleset: Ruleset, name: str) -> Iterator[str]:
    """The commands that put other rules into a chain that stands, with its hook and policy, in the same transaction."""
    _, *rules = _chains(ruleset)[name]
    yield f"flush chain inet {ruleset.table} {name}"
    yield from (f"add rule inet {ruleset.table} {name} {rule}" for rule in rules)


def _hosts_changed(table: str, gone: Iterable[Host], came: Iterable[Host], dnat: Dnat) -> Iterator[str]:
    yield from _commands("delete", table, "hosts", (f"{marks.admitted(host.index):#x}" for host in gone))
    yield from _commands("add", table, "hosts", _elements(came, dnat))


def replaces(commands: str) -> bool:
    """Whether commands of ours replace or remove tables."""
    return commands.startswith("table ")


def stray_additions(table: str, sources: Iterable[bytes]) -> str:
    """The transaction that tells the kernel of stray senders.

    Args:
        table: Name of the table.
        sources: Their addresses, packed; what is not IPv4 is left out, since no rule could match it.
    """
    elements = (_dotted(source) for source in sources if len(source) == 4)
    return "".join(line + "\n" for line in _commands("add", table, "strays", elements))


def removal(table: str) -> str:
    """The transaction that removes the tables, whether there are any or not."""
    return "".join(
        f"{line}\n" for line in (f"table inet {table}", f"delete table inet {table}", *_no_mark_table(table))
    )


def _elements(hosts: Iterable[Host], dnat: Dnat) -> Iterator[str]:
    """Each host's element in the map: the whole mark, and what it stands for."""
    for host in hosts:
        if len(host.address) != 4:
            raise ConfigurationError((f"{host.name}: its address is not IPv4, and only IPv4 can be translated",))
        value = _dotted(host.address) if dnat is Dnat.MAP else f"{marks.addressed(host.address):#x}"
        yield f"{marks.admitted(host.index):#x} : {value}"


def _dotted(address: bytes) -> str:
    a, b, c, d = address
    return f"{a}.{b}.{c}.{d}"


def _commands(verb: str, table: str, name: str, elements: Iterable[str]) -> Iterator[str]:
    every = list(elements)
    for start in range(0, len(every), ELEMENTS_PER_COMMAND):
        yield f"{verb} element inet {table} {name} {{ {', '.join(every[start : start + ELEMENTS_PER_COMMAND])} }}"


def _table(ruleset: Ruleset) -> Iterator[str]:
    yield f"table inet {ruleset.table} {{"
    yield _comment(ruleset)
    yield from _objects(ruleset)
    for name, lines in _chains(ruleset).items():
        yield from (f"\tchain {name} {{", *(f"\t\t{line}" for line in lines), "\t}")
    yield "}"


def _no_mark_table(table: str) -> tuple[str, str]:
    """The commands after which there is no table beside ours, whether an earlier version has left one or not."""
    return f"table ip {translation.mark_table(table)}", f"delete table ip {translation.mark_table(table)}"


def _comment(ruleset: Ruleset) -> str:
    return f'\tcomment "{ownership.comment(ruleset.gateway)}"'


def _admitted(wan: str) -> str:
    return f"iifname {wan} ip daddr @pool {_STEP} == {marks.ADMITTED:#x}"


def _objects(ruleset: Ruleset) -> Iterator[str]:
    """Counters, the limit of told refusals, sets and the map."""
    for name, comment in COUNTERS.items():
        yield f'\tcounter {name} {{ comment "{comment}"; }}'
    rate = ruleset.reject_rate
    yield f"\tlimit refusals_told {{ rate {rate}/second burst {rate} packets; }}"
    yield f"\t{ruleset.pool_set}"
    # Each element has a limit of its own, so the lookup matches only what is over that sender's rate.
    yield (
        f"\tset strays {{ type ipv4_addr; size {STRAYS_KEPT}; flags dynamic, timeout;"
        f" timeout {max(1, round(ruleset.stray_timeout * 1000))}ms;"
        f" limit rate over {ruleset.stray_rate}/second burst {ruleset.stray_rate} packets; }}"
    )
    yield f"\tmap hosts {{ type mark : {'ipv4_addr' if ruleset.dnat is Dnat.MAP else 'mark'}; }}"


def _chains(ruleset: Ruleset) -> dict[str, list[str]]:
    """The chains, in the order in which a packet meets them."""
    wan, lan, _ = ruleset.interfaces
    chains = {
        **_before_routing(wan, lan),
        **_translation(wan, ruleset.dnat),
        **_after_routing(wan, lan, ruleset),
        "outbound": forwarding.outbound(wan, lan, ruleset.outbound, ruleset.outbound_ports),
    }
    if ruleset.queue is not None:
        chains["present"] = [
            "type filter hook prerouting priority mangle; policy accept;",
            f"{_STEP} == {marks.QUEUED:#x} queue flags bypass to {ruleset.queue}",
        ]
    return chains


def _before_routing(wan: str, lan: str) -> dict[str, list[str]]:
    return {
        "arrivals": [
            "type filter hook prerouting priority mangle - 10; policy accept;",
            # What an admitted flow sends before it was answered is new, too, but translated already.
            f"iifname {wan} ct state new ct status ! dnat ip daddr @pool goto first_packet",
        ],
        "first_packet": _first_packet(lan),
        "settle": [
            "type filter hook prerouting priority mangle + 10; policy accept;",
            f"iifname {wan} ct state established,related accept",
            "ip daddr @pool goto for_pool",
        ],
        "for_pool": [
            OWN_REFUSAL,
            f"iifname != {wan} goto from_inside",
            f"ct state invalid {_drop('pool_invalid')}",
            'ct status dnat accept comment "an admitted flow that was not answered yet"',
            f"{_STEP} == {marks.REJECTED:#x} goto refuse",
            f'{_STEP} != {marks.ADMITTED:#x} {_drop("not_admitted")} comment "fail closed"',
        ],
        "from_inside": ['counter name "pool_from_inside" goto refuse'],
        "refuse": ['limit name "refusals_told" goto tell', _drop("refused_silently")],
        "tell": _tell(),
    }


def _translation(wan: str, dnat: Dnat) -> dict[str, list[str]]:
    """To the host that the mark stands for. Of nat chains the later ones see only what none before has translated."""
    if dnat is Dnat.MAP:
        return {
            "to_host": ["type nat hook prerouting priority dstnat; policy accept;", f"{_admitted(wan)} goto translate"],
            "translate": ['counter name "admitted" dnat ip to meta mark map @hosts', _drop("host_unknown")],
        }
    return {
        "to_host": [
            "type nat hook prerouting priority dstnat - 10; policy accept;",
            f"{_admitted(wan)} goto address_in_mark",
        ],
        "address_in_mark": [
            'meta mark set meta mark map @hosts counter name "admitted" accept',
            _drop("host_unknown"),
        ],
        "not_translated": [
            "type nat hook prerouting priority dstnat + 10; policy accept;",
            f'{_admitted(wan)} {_drop("untranslated")} comment "the rule at dstnat is not there: fail closed"',
        ],
    }


def _after_routing(wan: str, lan: str, ruleset: Ruleset) -> dict[str, list[str]]:
    drop, invalid = _drop("forward_refused"), _drop("forward_invalid")
    return {
        "own_sockets": [
            "type filter hook input priority filter; policy accept;",
            f"iifname {wan} ct state new fib saddr oifname {lan} {_drop('spoofed_source')}",
            OWN_REFUSAL,
            f'ip daddr @pool {_drop("pool_local")} comment "the kernel takes on-link pool addresses for its own"',
        ],
        forwarding.CHAIN: forwarding.rules(ruleset.interfaces, ruleset.forward, drop=drop, invalid=invalid),
    }


def _first_packet(lan: str) -> list[str]:
    return [
        f"ip saddr @strays {_drop('stray_limited')}",
        f"meta l4proto tcp tcp flags & (fin|syn|rst|ack) != syn {_drop('not_syn')}",
        # Routing would drop these as martians, but only after they have used up a claim.
        f"fib saddr type != unicast {_drop('spoofed_source')}",
        f"fib saddr oifname {lan} {_drop('spoofed_source')}",
        f'meta mark set {marks.QUEUED:#x} counter name "presented"',
    ]


def _tell() -> list[str]:
    queries = "{ echo-request, timestamp-request, info-request, address-mask-request }"
    return [
        'meta l4proto tcp counter name "refused_tcp" reject with tcp reset',
        'meta l4proto udp counter name "refused_udp" reject with icmp type port-unreachable',
        f'icmp type {queries} counter name "refused_icmp" reject with icmp type admin-prohibited',
        f'meta l4proto icmp {_drop("refused_silently")} comment "RFC 1122 3.2.2: no error about an error"',
        'counter name "refused_other" reject with icmp type prot-unreachable',
    ]


def _drop(counter: str) -> str:
    return f'counter name "{counter}" drop'
