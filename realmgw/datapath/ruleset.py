"""The gateway's nftables ruleset as data, and its text: pure, no kernel in sight.

There is one table of ours, family inet, and nothing of ours outside of it (but for the queue step where the kernel
lacks nftables' own `queue` statement, see `xtables`). It is replaced as a whole in one transaction, so that a packet
meets either the old rules or the new ones. What the chains are for, in the order in which a packet meets them, is told
in `docs/datapath.md`.

Addresses come as values; this module and the DNS codec are where they are written out, and here only IPv4 can be.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import attrs

from realmgw.config.settings import Address, Dnat, Network, Settings
from realmgw.datapath import markrule, marks, translation
from realmgw.datapath.counters import COUNTERS as COUNTERS
from realmgw.datapath.hosts import HostChange
from realmgw.datapath.links import first_run
from realmgw.errors import ConfigurationError
from realmgw.subscribers.model import Host

STRAYS_KEPT = 65536
"""How many stray senders the kernel remembers at once; further ones are presented to user space as before."""
ELEMENTS_PER_COMMAND = 1024
"""How many elements one command of a transaction adds or deletes; longer lines are no faster, and take more memory."""

WITH_PORTS = "{ tcp, udp, dccp, sctp, udplite }"
"""The protocols whose ports the kernel can translate."""

_STEP = f"meta mark & {marks.STEP_MASK:#x}"
_TABLE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,23}")
_INTERFACE_NAME = re.compile(r'[^\s/"*\\]{1,15}')


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

    def __attrs_post_init__(self) -> None:
        """Refuse names that nft's grammar would read as something else."""
        checks = ((_TABLE_NAME, (self.table,)), (_INTERFACE_NAME, (self.wan, *self.lan)))
        problems = [name for pattern, names in checks for name in names if not pattern.fullmatch(name)]
        if problems:
            raise ConfigurationError(
                tuple(f"the name {name!r} can not be used in a rule: rename it" for name in problems)
            )

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
        )


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
    if ruleset.dnat is Dnat.MARK:
        lines += _mark_table(ruleset)
    return "\n".join(lines) + "\n"


def changes(before: Ruleset, after: Ruleset, hosts: HostChange) -> str:
    """The transaction that leads from one ruleset and its hosts to another.

    Hosts, the pool and the addresses for outgoing flows are changed in place; anything else replaces the whole table,
    and its counters begin anew (see `is_replaced`).

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
        _, *rules = _chains(after)["outbound"]
        lines.append(f"flush chain inet {after.table} outbound")
        lines += (f"add rule inet {after.table} outbound {rule}" for rule in rules)
    return "".join(line + "\n" for line in lines)


def is_replaced(before: Ruleset, after: Ruleset) -> bool:
    """Whether `changes` replaces the tables: where the pool stands in two of them, another pool does so too."""
    in_two = after.dnat is Dnat.MARK
    pool = before.pool if in_two else after.pool
    return attrs.evolve(before, pool=pool, outbound=after.outbound, outbound_ports=after.outbound_ports) != after


def _hosts_changed(table: str, gone: Iterable[Host], came: Iterable[Host], dnat: Dnat) -> Iterator[str]:
    yield from _commands("delete", table, "hosts", (f"{marks.admitted(host.index):#x}" for host in gone))
    yield from _commands("add", table, "hosts", _elements(came, dnat))


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
    yield '\tcomment "realmgw: replaced as a whole at every start; do not edit"'
    yield from _objects(ruleset)
    for name, lines in _chains(ruleset).items():
        yield from (f"\tchain {name} {{", *(f"\t\t{line}" for line in lines), "\t}")
    yield "}"


def _no_mark_table(table: str) -> tuple[str, str]:
    """The commands after which there is no table for the rule by netlink, whether there was one or not."""
    return f"table ip {translation.mark_table(table)}", f"delete table ip {translation.mark_table(table)}"


def _mark_table(ruleset: Ruleset) -> Iterator[str]:
    """What leads to the rule by netlink, with all of the checks; the chain of the rule itself is empty at first."""
    yield f"table ip {translation.mark_table(ruleset.table)} {{"
    yield _pool(ruleset)
    yield f"\tchain {markrule.HOSTS_CHAIN} {{\n\t}}"
    yield "\tchain to_host {\n\t\ttype nat hook prerouting priority dstnat; policy accept;"
    yield f"\t\t{_admitted(_quoted(ruleset.wan))} goto {markrule.HOSTS_CHAIN}\n\t}}\n}}"


def _pool(ruleset: Ruleset) -> str:
    pool = ", ".join(str(network) for network in ruleset.pool)
    return f"\tset pool {{ type ipv4_addr; flags interval; auto-merge; elements = {{ {pool} }}; }}"


def _quoted(name: str) -> str:
    return f'"{name}"'


def _admitted(wan: str) -> str:
    return f"iifname {wan} ip daddr @pool {_STEP} == {marks.ADMITTED:#x}"


def _objects(ruleset: Ruleset) -> Iterator[str]:
    """Counters, the limit of told refusals, sets and the map."""
    for name, comment in COUNTERS.items():
        yield f'\tcounter {name} {{ comment "{comment}"; }}'
    rate = ruleset.reject_rate
    yield f"\tlimit refusals_told {{ rate {rate}/second burst {rate} packets; }}"
    yield _pool(ruleset)
    # Each element has a limit of its own, so the lookup matches only what is over that sender's rate.
    yield (
        f"\tset strays {{ type ipv4_addr; size {STRAYS_KEPT}; flags dynamic, timeout;"
        f" timeout {max(1, round(ruleset.stray_timeout * 1000))}ms;"
        f" limit rate over {ruleset.stray_rate}/second burst {ruleset.stray_rate} packets; }}"
    )
    yield f"\tmap hosts {{ type mark : {'ipv4_addr' if ruleset.dnat is Dnat.MAP else 'mark'}; }}"


def _chains(ruleset: Ruleset) -> dict[str, list[str]]:
    """The chains, in the order in which a packet meets them."""
    wan, lan = _quoted(ruleset.wan), "{ " + ", ".join(map(_quoted, ruleset.lan)) + " }"
    chains = {
        **_before_routing(wan, lan),
        **_translation(wan, ruleset.dnat),
        **_after_routing(wan, lan),
        "outbound": _outbound(wan, lan, ruleset),
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
            f"iifname != {wan} {_drop('pool_from_inside')}",
            f"ct state invalid {_drop('pool_invalid')}",
            'ct status dnat accept comment "an admitted flow that was not answered yet"',
            f"{_STEP} == {marks.REJECTED:#x} goto refuse",
            f'{_STEP} != {marks.ADMITTED:#x} {_drop("not_admitted")} comment "fail closed"',
        ],
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


def _after_routing(wan: str, lan: str) -> dict[str, list[str]]:
    return {
        "own_sockets": [
            "type filter hook input priority filter; policy accept;",
            f"iifname {wan} ct state new fib saddr oifname {lan} {_drop('spoofed_source')}",
            f'ip daddr @pool {_drop("pool_local")} comment "the kernel takes on-link pool addresses for its own"',
        ],
        "forwarding": [
            "type filter hook forward priority filter; policy drop;",
            "ct state established,related accept",
            f"ct state invalid {_drop('forward_invalid')}",
            f'iifname {wan} oifname {lan} ct status dnat ct original ip daddr @pool accept comment "admitted flows"',
            f"iifname {lan} oifname {wan} accept",
            _drop("forward_refused"),
        ],
    }


def _outbound(wan: str, lan: str, ruleset: Ruleset) -> list[str]:
    """The LANs' own flows leave from ports of their own, drawn by chance.

    Else a host could choose a source port that is the port of a service of another host on the same pool address: the
    packets of a client of that service would be taken for answers to the host's flow.
    """
    from_lan, addresses = f"iifname {lan} oifname {wan}", _span(ruleset.outbound)
    first, last = ruleset.outbound_ports
    return [
        "type nat hook postrouting priority srcnat; policy accept;",
        f"{from_lan} meta l4proto {WITH_PORTS} snat ip to {addresses}:{first}-{last} fully-random,persistent",
        f"{from_lan} meta nfproto ipv4 snat ip to {addresses} persistent",
    ]


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


def _span(addresses: tuple[Address, Address]) -> str:
    first, last = addresses
    return str(first) if first == last else f"{first}-{last}"
