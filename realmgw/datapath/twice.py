"""How TCP is had to come twice: the first SYN of a flow is noted and dropped, the next one goes on.

Whoever means it sends his SYN again, after a second (RFC 6298, section 2); of forged sources that are drawn by chance
none comes twice. So this tells the two apart without a word to either, for a second of those who mean it. It is asked
for only while more comes than user space can look at (`realmgw.admission.overload`), by one element of a set.

A flow is its addresses and ports. It is noted for as long as two tries are apart at most, as long as others try at all;
and, in a second set, for a shorter time, within which nobody sends again: who sends each SYN two times does not get in.
"""

from __future__ import annotations

from collections.abc import Iterator

from realmgw.datapath.batches import Elements, Word

SWITCH = "asked_twice"
"""The set of protocols that are to come twice: none, or TCP."""
CHAIN = "come_twice"
"""The name of the chain that lets pass what has come before, and nothing else."""
ASKED = f"meta l4proto @{SWITCH} jump {CHAIN}"
"""The rule that leads there. To look into a set that is empty is all that it costs while nobody is asked."""
NOTED = 4000  # milliseconds
"""For so long a SYN is noted; tries are 1, 2 and 4 s apart."""
SOON = 500  # milliseconds
"""No TCP sends a SYN again sooner."""
MOST = 1 << 19
"""So many are noted at most, of each family: 131 072 a second."""
MOST_SOON = 1 << 18
"""The same for the shorter time; the kernel takes up to a second longer to forget them."""
_TCP = Word("tcp", bytes((6,)))
_FAMILIES = (("syns", "ip", "ipv4_addr"), ("syns6", "ip6", "ipv6_addr"))
"""The name of each set, and how its addresses are called in rules and in types."""


def declared(*, ipv6: bool, asked: bool) -> Iterator[str]:
    """The sets, as they are declared in a table.

    Args:
        ipv6: Whether IPv6 is in use.
        asked: Whether TCP is to come twice.
    """
    yield f"set {SWITCH} {{ type inet_proto;{' elements = { tcp };' if asked else ''} }}"
    for name, _, kind in _FAMILIES[: 1 + ipv6]:
        of = f"type {kind} . inet_service . {kind} . inet_service; flags dynamic, timeout;"
        yield f"set {name} {{ {of} size {MOST}; timeout {NOTED}ms; }}"
        yield f"set {name}_soon {{ {of} size {MOST_SOON}; timeout {SOON}ms; }}"


def chain(*, ipv6: bool) -> list[str]:
    """The chain, for SYNs; what it returns from goes on.

    Args:
        ipv6: Whether IPv6 is in use.
    """
    return [
        *(rule for name, family, _ in _FAMILIES[: 1 + ipv6] for rule in _rules(name, family)),
        'counter name "syn_unnoted" drop',
    ]


def _rules(name: str, family: str) -> tuple[str, str, str, str]:
    flow = f"{family} saddr . tcp sport . {family} daddr . tcp dport"
    return (
        f'{flow} @{name}_soon counter name "syn_soon" drop',
        f'{flow} @{name} counter name "syn_again" return',
        f"add @{name}_soon {{ {flow} }}",
        f'add @{name} {{ {flow} }} counter name "syn_first" drop',
    )


def switched(*, asked: bool) -> tuple[Elements, ...]:
    """What has TCP come twice from now on, or no more; it may be so already."""
    put = Elements("add", SWITCH, ((_TCP, None),))
    return (put,) if asked else (put, Elements("delete", SWITCH, ((_TCP, None),)))
