"""What stands in the sets and maps of the table: hosts and stray senders, and the commands that add and delete them.

Addresses come as values; here, in the DNS codec and where packets are parsed they are written out.

Family: each has sets and maps of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Network, IPv6Address, IPv6Network, collapse_addresses, ip_address, ip_network

from realmgw.config.ipv6 import Ipv6, Ipv6Mode
from realmgw.config.settings import Dnat, Network, Settings
from realmgw.datapath import marks
from realmgw.datapath.batches import Elements, Word, number
from realmgw.datapath.batches import commands as commands
from realmgw.datapath.hosts import HostChange
from realmgw.errors import ConfigurationError
from realmgw.subscribers.families import mode_of
from realmgw.subscribers.model import Host
from realmgw.subscribers.review import addresses_of

SUBSCRIBERS = ("subscribers", "subscribers6")
"""The sets with every address of every subscriber, where it matters who is one."""
SUBSCRIBER_SETS = tuple(
    f"set {name} {{ type {kind}; }}" for name, kind in zip(SUBSCRIBERS, ("ipv4_addr", "ipv6_addr"), strict=True)
)
"""These, as they are declared in a table."""
STRAYS = ("strays", "strays6")
"""The sets that elements may be added to by anybody: to slow somebody down by hand does no harm."""
STRAYS_KEPT = 65536
"""How many stray senders the kernel remembers at once; further ones are presented to user space as before."""


_Pairs = list[tuple[Word, Word | None]]


def stray_sets(rate: int, timeout: float, *, ipv6: bool) -> Iterator[str]:
    """The sets of stray senders, as they are declared in a table.

    Each element has a limit of its own, so the lookup matches only what is over that sender's rate.

    Args:
        rate: First packets a second that a stray sender may present.
        timeout: Seconds for which he is remembered.
        ipv6: Whether there is one for IPv6.
    """
    kept = (
        f"size {STRAYS_KEPT}; flags dynamic, timeout; timeout {max(1, round(timeout * 1000))}ms;"
        f" limit rate over {rate}/second burst {rate} packets;"
    )
    for name, kind in zip(STRAYS, ("ipv4_addr", "ipv6_addr")[: 1 + ipv6], strict=False):
        yield f"set {name} {{ type {kind}; {kept} }}"


def is_pinhole(host: Host, modes: Ipv6) -> bool:
    """Whether a host is reached at its own IPv6 address."""
    return bool(host.address6) and mode_of(host, modes) is Ipv6Mode.PINHOLE


def takes_ipv6(settings: Settings) -> bool:
    """Whether first packets of IPv6 may have to be decided about, by what the settings say."""
    modes = (settings.ipv6.mode, *(each.mode for each in settings.ipv6.prefixes))
    return bool(settings.pools.networks6) or Ipv6Mode.PINHOLE in modes


def hosts(change: HostChange, dnat: Dnat, modes: Ipv6 | None, *, known: bool) -> Iterator[Elements]:
    """What leads the table from some hosts to others.

    Args:
        change: What becomes of the hosts; without any before, all of them come.
        dnat: How a flow is sent to its host.
        modes: How hosts are reached by IPv6; None: not at all.
        known: Whether there are the sets of who is a subscriber.

    Raises:
        ConfigurationError: An address is not what it is said to be.
    """
    for verb, some in (("delete", change.gone), ("add", change.came)):
        for name, pairs in {**_by_name(some, dnat, modes), **(_known(some) if known else {})}.items():
            yield Elements(verb, name, tuple(pairs))


def address(packed: bytes) -> Word:
    """An address."""
    return Word(dotted(packed) if len(packed) == 4 else str(IPv6Address(packed)), packed)


def _by_name(some: Iterable[Host], dnat: Dnat, modes: Ipv6 | None) -> Mapping[str, _Pairs]:
    """The elements that hosts have in each map or set: the whole mark, and what it stands for, or the address."""
    found: dict[str, _Pairs] = {"hosts": [], "hosts6": [], "pinholes": []}
    for host in some:
        mark = number(marks.admitted(host.index))
        if len(host.address) not in (0, 4) or len(host.address6) not in (0, 16):
            raise ConfigurationError((f"{host.name}: an address of its has the length of another family",))
        if host.address:
            value = address(host.address) if dnat is Dnat.MAP else number(marks.addressed(host.address))
            found["hosts"].append((mark, value))
        if host.address6 and modes is not None:
            own = address(host.address6)
            found["hosts6"].append((mark, own))
            if is_pinhole(host, modes):
                found["pinholes"].append((own, None))
    return found


def _known(some: Iterable[Host]) -> Mapping[str, _Pairs]:
    """The elements that hosts have in the sets of who is a subscriber."""
    every = [ip_address(address) for host in some for address in addresses_of(host)]
    return {name: [(Word(str(each), each.packed), None) for each in every if each.version == version]
            for name, version in zip(SUBSCRIBERS, (4, 6), strict=True)}  # fmt: skip


def interval_set(name: str, kind: str, networks: Iterable[Network]) -> str:
    """The declaration of a set of prefixes, with these in it.

    Args:
        name: Its name.
        kind: The type of its elements, in nft's words.
        networks: They may overlap.
    """
    every = ", ".join(map(str, apart(networks)))
    filled = f" elements = {{ {every} }};" if every else ""
    return f"set {name} {{ type {kind}; flags interval;{filled} }}"


def to_pool(networks: Iterable[Network], *, ipv6: bool) -> str:
    """What matches packets for the pool: in the set, and before that in the one prefix that has all of it.

    To look into a set of prefixes costs six times what one comparison does, and most packets are not for the pool.

    Args:
        networks: The pool of a family.
        ipv6: Which family that is.
    """
    family, name = ("ip6", "pool6") if ipv6 else ("ip", "pool")
    in_set, every = f"{family} daddr @{name}", sorted(networks, key=lambda each: int(each[0]))
    if not every:
        return in_set
    ends = int(every[0][0]) ^ max(int(each[-1]) for each in every)
    around = ip_network(f"{every[0][0]}/{every[0].max_prefixlen - ends.bit_length()}", strict=False)
    return f"{family} daddr {around} {in_set}" if around.prefixlen else in_set


def apart(networks: Iterable[Network]) -> Iterator[Network]:
    """Networks that cover the same, by family, none within another: the kernel takes nothing that overlaps.

    nft's `auto-merge` would do the same, after it has listed each element of each set of prefixes that there is.
    """
    every = list(networks)
    yield from collapse_addresses([each for each in every if isinstance(each, IPv4Network)])
    yield from collapse_addresses([each for each in every if isinstance(each, IPv6Network)])


def strays(sources: Iterable[bytes], *, ipv6: bool) -> tuple[Elements, ...]:
    """What tells the kernel of stray senders; whoever is known begins his time anew.

    What is added once more keeps its time, and one that is not there can not be deleted: so each is added, deleted and
    added, in one transaction.

    Args:
        sources: Their addresses, packed; those of IPv6 stand for their /64.
        ipv6: Whether there is a set for those of IPv6; they are left out otherwise.
    """
    every = tuple(sources)
    senders = {source[:8] for source in every if len(source) == 16} if ipv6 else set[bytes]()
    by_set = ("strays", (each for each in every if len(each) == 4)), ("strays6", (each + bytes(8) for each in senders))
    found = [(name, tuple((address(each), None) for each in sorted(some))) for name, some in by_set]
    return tuple(Elements(verb, name, some) for name, some in found if some for verb in ("add", "delete", "add"))


def dotted(address: bytes) -> str:
    """An IPv4 address, written."""
    a, b, c, d = address
    return f"{a}.{b}.{c}.{d}"
