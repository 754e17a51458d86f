"""Which chains of nftables stand at the hooks, whose they are, and whether they drop. Pure: octets to values.

What a verdict map decides is among the elements of a set, and not looked at.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping

import attrs

from realmgw.datapath.netlink import codec
from realmgw.datapath.netlink.codec import Message
from realmgw.datapath.netlink.nftables import CHAIN, IN_TABLE, INET, IPV4, IPV6, NAME, RULE, SUBSYSTEM
from realmgw.errors import RealmGatewayError

FAMILIES: Mapping[int, str] = {INET: "inet", IPV4: "ip", IPV6: "ip6"}
"""Those whose packets are routed."""
HOOKS: Mapping[int, str] = {0: "prerouting", 1: "input", 2: "forward"}
"""Where what others drop does not get to us, or not from us to a host."""

# linux/netfilter/nf_tables.h
_HOOK, _POLICY, _EXPRESSIONS = 4, 5, 4
_HOOK_NUMBER, _HOOK_PRIORITY = 1, 2
_EXPRESSION_NAME = 1
_TO_CODE = (2, 2, 2, 1)
"""From an expression to what an immediate verdict is: its data, the immediate's data, the verdict, the code."""
_DROP = bytes(4)
_PRIORITY = struct.Struct("!i")


@attrs.frozen
class Hooked:
    """A chain at a hook that drops."""

    family: str
    """`inet`, `ip` or `ip6`."""
    table: str
    """Its table's name."""
    chain: str
    """Its own."""
    hook: str
    """`prerouting`, `input` or `forward`."""
    priority: int
    """The lower, the sooner."""
    by_policy: bool
    """It drops what no rule of its accepts; else there are rules that drop, in it or in a chain of its table."""
    siblings: frozenset[str] = frozenset()
    """All chains of its table, by which one knows whose it is."""


def request(kind: int, sequence: int) -> bytes:
    """The message that asks for all chains or rules of all tables (`CHAIN`, `RULE`)."""
    return codec.netfilter(SUBSYSTEM | kind + 1, codec.REQUEST | codec.DUMP, sequence, 0)


def dropping(chains: Iterable[Message], rules: Iterable[Message]) -> Iterator[Hooked]:
    """The chains at hooks that drop, or in whose table something does.

    Args:
        chains: All of them.
        rules: All of them.

    Raises:
        RealmGatewayError: A message is malformed.
    """
    named: dict[tuple[int, str], set[str]] = {}
    at_hooks = []
    for each in chains:
        found, family = codec.fields(each), each.body[0]
        table, name = codec.text(found.get(IN_TABLE, b"")), codec.text(found.get(NAME[CHAIN], b""))
        named.setdefault((family, table), set()).add(name)
        if _HOOK in found and family in FAMILIES:
            at_hooks.append((family, table, name, found))
    drops = {dropped for each in rules if (dropped := _dropping_table(each)) is not None}
    for family, table, name, found in at_hooks:
        hook = HOOKS.get(codec.number(codec.find(found[_HOOK], _HOOK_NUMBER)), "")
        by_policy = found.get(_POLICY) == _DROP
        if hook and (by_policy or (family, table) in drops):
            priority = codec.unpack(_PRIORITY, codec.find(found[_HOOK], _HOOK_PRIORITY))[0]
            siblings = frozenset(named[family, table])
            yield Hooked(FAMILIES[family], table, name, hook, priority, by_policy, siblings)


def _dropping_table(rule: Message) -> tuple[int, str] | None:
    """The table of a rule that drops or rejects."""
    if rule.kind != SUBSYSTEM | RULE:
        raise RealmGatewayError("netlink: the kernel's answer is not about a rule")
    found = codec.fields(rule)
    for _, expression in codec.attributes(found.get(_EXPRESSIONS, b"")):
        name = codec.text(codec.find(expression, _EXPRESSION_NAME))
        code = codec.find(expression, *_TO_CODE) if name == "immediate" else b""
        if name == "reject" or code == _DROP:
            return rule.body[0], codec.text(found.get(IN_TABLE, b""))
    return None
