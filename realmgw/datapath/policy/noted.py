"""What rules drop or refuse is told to the gateway itself, by a number of the rule: for `realmgw log`. Pure, text.

A packet that a rule ends has its rule's number as its mark, and goes to one of a few chains, which tell a group of
nfnetlink_log of it and end it as the rule would have. What is told is limited, by sender and in all; what is dropped is
not.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Mapping

from realmgw.config.nflog import Nflog

OF_A_SENDER = 5
"""So many packets a second of one sender are told, so that his flood keeps nobody else's from being told."""
SNAPLEN = 64  # octets
"""So much of each: its addresses and ports."""
_SENDERS = 65_536
_NAME = "refused_"
_LIMIT = "refused_told"
_ENDS: Mapping[str, str] = {
    f"{_NAME}drop": "drop",
    f"{_NAME}host": "goto forbidden",
    f"{_NAME}stage": "goto stage_refuse",
    f"{_NAME}reset": "reject with tcp reset",
    **{
        f"{_NAME}{kind.replace('-', '_')}": f"reject with icmpx type {kind}"
        for kind in ("port-unreachable", "host-unreachable", "no-route", "admin-prohibited")
    },
}
"""The chains, each with how it ends a packet; that of stages stands among these, where `stage_refuse` does."""
_CHAINS = {end: chain for chain, end in _ENDS.items()}
STAGE = f"{_NAME}stage"
"""The chain of packets that stages refuse."""
_END = re.compile(rf'(?<= )({"|".join(map(re.escape, _CHAINS))}) comment "([^"]*)"$')
_COUNTER = re.compile(r'counter name "([^"]*)"')
_RULE = "rule_"


def group(nflog: Nflog) -> int:
    """The group that the gateway itself reads: the one behind that of the target LOG."""
    return (nflog.group + 1) & 0xFFFF


def is_chain(name: str) -> bool:
    """Whether a chain is one of these."""
    return name in _ENDS


def number(counter: str, comment: str) -> int:
    """The number of a rule, 32 bits, not 0.

    Args:
        counter: The name of its counter; what rules of operators and hosts are counted by says nothing here.
        comment: Its comment, as it stands in the kernel.
    """
    said = comment if counter.startswith(_RULE) else f"{counter} {comment}"
    return zlib.crc32(said.encode()) | 1


def line(rule: str, nflog: Nflog | None) -> str:
    """A rule that tells what it ends; any other one, and any if nothing is told, as it was.

    Args:
        rule: As it was written.
        nflog: What is told; None: the kernel can not tell any.
    """
    end = _END.search(rule) if nflog is not None and nflog.refused else None
    if end is None:
        return rule
    counter = _COUNTER.search(rule)
    mark = number("" if counter is None else counter[1], end[2])
    return f'{rule[: end.start()]}meta mark set {mark:#010x} goto {_CHAINS[end[1]]} comment "{end[2]}"'


def lines(rules: Iterable[str], nflog: Nflog | None) -> tuple[str, ...]:
    """Several rules."""
    return tuple(line(each, nflog) for each in rules)


def objects(nflog: Nflog | None) -> dict[str, str]:
    """What the chains need, with its declaration."""
    if nflog is None or not nflog.refused:
        return {}
    rate = f"{{ rate {nflog.refused}/second burst {nflog.refused} packets; }}"
    kept = f"size {_SENDERS}; flags dynamic, timeout; timeout 10s;"
    sets = {
        f"set {_LIMIT}_{ip}": f"{{ type {kind}; {kept} }}" for ip, kind in (("ip", "ipv4_addr"), ("ip6", "ipv6_addr"))
    }
    return {f"limit {_LIMIT}": rate, **sets}


def chains(nflog: Nflog | None) -> dict[str, list[str]]:
    """The chains, but for that of stages; nothing, if nothing is told."""
    return {name: _chain(end, nflog) for name, end in _ENDS.items() if name != STAGE and nflog and nflog.refused}


def stage_chain(nflog: Nflog) -> tuple[str, ...]:
    """The chain of stages."""
    return tuple(_chain(_ENDS[STAGE], nflog))


def _chain(end: str, nflog: Nflog) -> list[str]:
    told = f'limit name "{_LIMIT}" log group {group(nflog)} snaplen {SNAPLEN} queue-threshold 1'
    limit = f"limit rate {OF_A_SENDER}/second burst {OF_A_SENDER} packets"
    return [*(f"update @{_LIMIT}_{ip} {{ {ip} saddr {limit} }} {told}" for ip in ("ip", "ip6")), end]
