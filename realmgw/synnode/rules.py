"""The node's table of nftables: what answers SYNs, as text, and what leads from some entries to others.

A SYN from outside to a guarded address is kept out of conntrack. In the forward hook the kernel's SYN proxy answers it
with the options of the first map that has them: address and port, address, port, default. The client's ACK is invalid
to conntrack, which takes up no flow in its middle (`nf_conntrack_tcp_loose` is 0); the SYN proxy finds its own cookie
in it, and only then begins a connection to the server. Whatever else is invalid is dropped.

The last chain mends what the kernel does not: of the ACK that completes the handshake with the server, the SYN proxy
corrects the echoed timestamp by an offset that is meant for the client's segments. Servers since Linux 6.15 refuse such
an ACK, and the client waits for a second until the SYN-ACK is sent again. An echo of 0 is looked at by nobody; it is
set behind the SYN proxy's own hook, which is the last but one.

Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address

import attrs

from realmgw.config.values import Network
from realmgw.datapath.batches import Elements, InSteps, Word, named
from realmgw.synnode.entries import Target
from realmgw.synproxy.codec import ANY_ADDRESS, ANY_ADDRESS6, TcpOptions

COMMENT = "realmgw (SYN proxy node): replaced as a whole at every start; do not edit"
"""By which a start, a repair and a purge know the table for ours."""
COUNTERS: Mapping[str, str] = {
    "syns": "SYNs to guarded addresses, answered by the SYN proxy",
    "acks": "ACKs of no known flow: with a cookie of the SYN proxy a connection begins, without one it drops them",
    "refused": "dropped: to guarded addresses, neither a SYN nor of a flow, nor an ACK that may have a cookie",
    "completed": "connections that were completed and begun to the server",
}
"""Every named counter of the table, and what it counts."""
DEFAULTS: Mapping[Target, Word] = {
    (ANY_ADDRESS, 0): Word("ipv4", bytes([2])), (ANY_ADDRESS6, 0): Word("ipv6", bytes([10])),
}  # fmt: skip
"""The targets that always have options, and what they are in the map of defaults (`linux/netfilter.h`)."""
LAST = 2**31 - 1
"""The priority of a hook that comes after all others."""
_IP = {4: "ip", 6: "ip6"}


@attrs.frozen
class Guarding:
    """What the rules depend on, besides the entries."""

    table: str
    """The table's name; its family is inet."""
    outside: tuple[str, ...]
    """Interfaces that clients' SYNs come from."""
    guarded: tuple[Network, ...]
    """Prefixes whose SYNs are answered."""
    timestamps: bool
    """Whether clients are offered timestamps, without which there is neither SACK nor a window scale."""
    default: TcpOptions
    """What is answered where no entry says anything."""


def object_name(options: TcpOptions) -> str:
    """The kernel's object for these options; the name says all of them."""
    return f"m{options.mss}w{options.window_scale}{'s' if options.sack else ''}"


def place(target: Target) -> tuple[str, Word]:
    """The map that a target stands in, and its key there."""
    address, port = target
    version = 4 if len(address) == len(ANY_ADDRESS) else 6
    if target in DEFAULTS:
        return "defaults", DEFAULTS[target]
    if not any(address):
        return f"ports{version}", Word(str(port), _port(port))
    if not port:
        return f"addresses{version}", Word(str(ip_address(address)), address)
    return f"services{version}", Word(f"{ip_address(address)} . {port}", address + _port(port) + bytes(2))


def complete(guarding: Guarding, entries: Mapping[Target, TcpOptions]) -> dict[Target, TcpOptions]:
    """The entries, with a default for each family."""
    return {**dict.fromkeys(DEFAULTS, guarding.default), **entries}


def replacement(guarding: Guarding, entries: Mapping[Target, TcpOptions]) -> str:
    """The transaction that puts the table in place, whether there was one or not.

    Args:
        guarding: What the rules depend on.
        entries: What is answered to whom; what is in `DEFAULTS` must be among it.

    Returns:
        Commands for nft; run at once they are one transaction.
    """
    table = guarding.table
    # Declaring the table first makes the deletion succeed when there was none.
    lines = [f"table inet {table}", f"delete table inet {table}", *_table(guarding)]
    lines += _objects(guarding, set(entries.values()))
    lines += [line for each in _elements("add", entries) for line in each.commands(table)]
    return "\n".join(lines) + "\n"


def changes(
    guarding: Guarding, placed: Mapping[Target, TcpOptions], uses: Counter[TcpOptions], wanted: Mapping[Target, object]
) -> InSteps:
    """What leads from what is in the kernel to what is wanted; no packet meets anything between the two.

    Args:
        guarding: What the rules depend on.
        placed: What is answered to whom.
        uses: How often each options are in `placed`.
        wanted: What becomes of some of the targets: their options, or None where there is no entry any more.
    """
    now = {target: _wanted(guarding, target, options) for target, options in wanted.items()}
    different = [target for target, options in now.items() if placed.get(target) != options]
    gone = {target: placed[target] for target in different if target in placed}
    came = {target: options for target in different if (options := now[target]) is not None}
    left = Counter(uses)
    left.subtract(gone.values())
    left.update(came.values())
    new = _objects(guarding, {options for options in came.values() if not uses[options]})
    old = (
        f"delete synproxy inet {guarding.table} {object_name(options)}"
        for options in sorted(set(gone.values()), key=object_name)
        if not left[options]
    )
    elements = (*_elements("delete", gone), *_elements("add", came))
    return InSteps("".join(f"{line}\n" for line in new), elements, "".join(f"{line}\n" for line in old))


def removal(table: str) -> str:
    """The transaction that removes the table, whether there is one or not."""
    return f"table inet {table}\ndelete table inet {table}\n"


def _wanted(guarding: Guarding, target: Target, options: object) -> TcpOptions | None:
    if isinstance(options, TcpOptions):
        return options
    return guarding.default if target in DEFAULTS else None


def _objects(guarding: Guarding, varieties: Iterable[TcpOptions]) -> Iterator[str]:
    """Without timestamps the kernel has nowhere to keep the rest, and offers neither SACK nor a window scale."""
    for options in sorted(varieties, key=object_name):
        more = "; timestamp sack-perm" if options.sack else "; timestamp"
        yield (
            f"add synproxy inet {guarding.table} {object_name(options)} {{ mss {options.mss};"
            f" wscale {options.window_scale}{more if guarding.timestamps else ''}; }}"
        )


def _elements(verb: str, entries: Mapping[Target, TcpOptions]) -> Iterator[Elements]:
    by_map: dict[str, list[tuple[Word, Word]]] = {}
    for target, options in entries.items():
        name, key = place(target)
        by_map.setdefault(name, []).append((key, named(object_name(options))))
    for name, pairs in by_map.items():
        yield Elements(verb, name, tuple(pairs), are_objects=True)


def _port(number: int) -> bytes:
    return number.to_bytes(2, "big")


def _table(guarding: Guarding) -> Iterator[str]:
    yield f"table inet {guarding.table} {{"
    yield f'\tcomment "{COMMENT}"'
    yield from (f'\tcounter {name} {{ comment "{text}"\n\t}}' for name, text in COUNTERS.items())
    yield f"\tset outside {{ type ifname; elements = {{ {', '.join(map(_quoted, guarding.outside))} }}; }}"
    yield "\tmap defaults { type nf_proto : synproxy; }"
    for version, kind in ((4, "ipv4_addr"), (6, "ipv6_addr")):
        prefixes = [str(each) for each in guarding.guarded if each.version == version]
        elements = f" elements = {{ {', '.join(prefixes)} }};" if prefixes else ""
        yield f"\tset guarded{version} {{ type {kind}; flags interval; auto-merge;{elements} }}"
        yield f"\tmap services{version} {{ type {kind} . inet_service : synproxy; }}"
        yield f"\tmap addresses{version} {{ type {kind} : synproxy; }}"
        yield f"\tmap ports{version} {{ type inet_service : synproxy; }}"
    for name, lines in _chains().items():
        yield from (f"\tchain {name} {{", *(f"\t\t{line}" for line in lines), "\t}")
    yield "}"


def _chains() -> dict[str, list[str]]:
    begin = "type filter hook"
    chains = {f"proxy{version}": _proxy(version) for version in _IP}
    chains["coming"] = [
        f"{begin} prerouting priority raw; policy accept;",
        *(f"{_to_guarded(version)} {_FLAGS} == syn counter name syns notrack" for version in _IP),
    ]
    chains["forwarding"] = [f"{begin} forward priority filter - 10; policy accept;"]
    for version in _IP:
        to_guarded = f"{_to_guarded(version)} ct state"
        chains["forwarding"] += [
            f"{to_guarded} untracked {_FLAGS} == syn jump proxy{version}",
            f"{to_guarded} invalid {_FLAGS} == ack counter name acks jump proxy{version}",
            f"{to_guarded} invalid,untracked meta l4proto tcp counter name refused drop",
        ]
    completing = "tcp flags & (fin | syn | rst | psh | ack) == ack fib saddr type != local"
    chains["leaving"] = [
        f"{begin} postrouting priority {LAST}; policy accept;",
        *(
            f"iif 0 {_IP[version]} daddr @guarded{version} {completing} counter name completed"
            " tcp option timestamp tsecr set 0"
            for version in _IP
        ),
    ]
    return chains


_FLAGS = "tcp flags & (fin | syn | rst | ack)"


def _to_guarded(version: int) -> str:
    return f"iifname @outside {_IP[version]} daddr @guarded{version}"


def _proxy(version: int) -> list[str]:
    """What answers, by the most specific entry; what none of the maps has can not be, as all have a default."""
    destination = f"{_IP[version]} daddr"
    return [
        f"synproxy name {destination} . tcp dport map @services{version}",
        f"synproxy name {destination} map @addresses{version}",
        f"synproxy name tcp dport map @ports{version}",
        "synproxy name meta nfproto map @defaults",
        "counter name refused drop",
    ]


def _quoted(name: str) -> str:
    return f'"{name}"'
