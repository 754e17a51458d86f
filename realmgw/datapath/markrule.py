"""DNAT to an address that the packet mark itself holds, by a rule of nftables that the `nft` program can not write.

The kernel's registers have no types, so an address may come from a mark; only `nft` refuses (`dnat to meta mark`:
"datatype mismatch"), although it lists such a rule. So it goes to the kernel as a batch of netlink messages, into a
table of its own, which an operator's saved ruleset must not contain: `nft -f` refuses the whole file.

What the rule does, with r a register::

    r := meta mark              r := meta mark
    r := r & selected_mask      r := (r & keep) ^ flip
    r = selected ?              r := r in network byte order
                                nat: destination := r

Numbers in netlink headers are in host byte order, those of nf_tables attributes in network byte order; what is compared
or combined with a mark is, as the mark, in host byte order. Names are those of linux/netfilter/nf_tables.h.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterable, Sequence
from functools import partial
from ipaddress import IPv4Network
from itertools import combinations

import attrs

from realmgw.datapath import marks, netlink
from realmgw.datapath.netlink import Channel
from realmgw.errors import PlatformError

TABLE = "realmgw_mark"
"""The rule's own table, family ip."""
CHAIN = "prerouting"
"""Its only chain."""
HOSTS_CHAIN = "by_mark"
"""A chain, without a hook, that others made and lead to; `fill` puts the rule there."""
PRIORITY = -100
"""Of the chain: nftables' `dstnat`."""

_ALL = 0xFFFF_FFFF

# Netlink and nfnetlink.
_NLM_F_REQUEST = 0x001
_NLM_F_ACK = 0x004
_NLM_F_DUMP = 0x300
_NLM_F_CREATE = 0x400
_NLM_F_APPEND = 0x800
_NLA_F_NESTED = 0x8000
_NFNL_MSG_BATCH_BEGIN = 0x10
_NFNL_MSG_BATCH_END = 0x11
_NFNL_SUBSYS_NFTABLES = 10
_NFPROTO_IPV4 = 2
_HEADER = struct.Struct("=IHHII")
"""Length, type, flags, sequence number, port."""

# nf_tables: messages.
_NEWTABLE, _DELTABLE, _NEWCHAIN, _NEWRULE, _GETRULE, _DELRULE = 0, 2, 3, 6, 7, 8
# nf_tables: attributes.
_TABLE_NAME = 1
_CHAIN_TABLE, _CHAIN_NAME, _CHAIN_HOOK, _CHAIN_TYPE = 1, 3, 4, 7
_HOOK_HOOKNUM, _HOOK_PRIORITY = 1, 2
_RULE_TABLE, _RULE_CHAIN, _RULE_EXPRESSIONS = 1, 2, 4
_LIST_ELEM, _EXPR_NAME, _EXPR_DATA, _DATA_VALUE = 1, 1, 2, 1
_META_DREG, _META_KEY = 1, 2
_BITWISE_SREG, _BITWISE_DREG, _BITWISE_LEN, _BITWISE_MASK, _BITWISE_XOR = 1, 2, 3, 4, 5
_CMP_SREG, _CMP_OP, _CMP_DATA = 1, 2, 3
_BYTEORDER_SREG, _BYTEORDER_DREG, _BYTEORDER_OP, _BYTEORDER_LEN, _BYTEORDER_SIZE = 1, 2, 3, 4, 5
_NAT_TYPE, _NAT_FAMILY, _NAT_REG_ADDR_MIN = 1, 2, 3
# nf_tables: values.
_REGISTER = 1
_META_MARK = 3
_CMP_EQ = 0
_BYTEORDER_HTON = 1
_NAT_DNAT = 1
_PRE_ROUTING = 0
_MARK_SIZE = 4


@attrs.frozen
class MarkRule:
    """Which marks hold an address, and how. Make one by `addressed` or `indexed`."""

    selected: int
    """Marks are selected whose bits in `selected_mask` are these."""
    selected_mask: int
    """The bits of the mark that are looked at to select."""
    keep: int
    """The bits of the mark that are bits of the address."""
    flip: int
    """Bits that are turned over afterwards: those of the address that the mark does not hold."""

    def mark(self, address: bytes) -> int:
        """The mark that sends a flow to an address.

        Args:
            address: 4 bytes, network order.

        Raises:
            ValueError: The rule has no mark for that address.
        """
        mark = ((int.from_bytes(address, "big") ^ self.flip) & self.keep) | self.selected
        if self.address(mark) != address:
            raise ValueError(f"no mark stands for the address {'.'.join(map(str, address))}")
        return mark

    def address(self, mark: int) -> bytes | None:
        """Where the rule sends a flow with this mark: 4 bytes in network order, or None if it lets the flow alone."""
        if mark & self.selected_mask != self.selected:
            return None
        return ((mark & self.keep) ^ self.flip).to_bytes(4, "big")


def addressed(network: IPv4Network) -> MarkRule:
    """The rule for marks that are addresses of a network, whole: 0xC0A80064 is 192.168.0.100.

    This layout leaves no bits for a step, so `marks` does not go together with it.

    Raises:
        ValueError: The network holds 0.0.0.0, the mark that all other packets have, or addresses from 255.0.0.0 on,
            where marks that are no addresses have their place.
    """
    if int(network.network_address) == 0 or int(network.broadcast_address) >= 0xFF00_0000:
        raise ValueError(f"marks of 0 and from 0xff000000 on are no addresses: {network}")
    return MarkRule(selected=int(network.network_address), selected_mask=int(network.netmask), keep=_ALL, flip=0)


def indexed(network: IPv4Network) -> MarkRule:
    """The rule for marks as in `marks`, where a host's index is the last three bytes of its address.

    Raises:
        ValueError: The network is larger than a /8, so the first byte of the address is not the same for all.
    """
    if network.prefixlen < 8:
        raise ValueError(f"{network} is larger than a /8: a host index can not hold its addresses")
    first_byte = int(network.network_address) & ~marks.HOST_MASK
    return MarkRule(
        selected=marks.ADMITTED | int(network.network_address) & marks.HOST_MASK,
        selected_mask=_ALL & ~marks.HOST_MASK | int(network.netmask) & marks.HOST_MASK,
        keep=marks.HOST_MASK,
        flip=first_byte,
    )


def install(rules: Sequence[MarkRule], *, table: str = TABLE) -> bytes:
    """The batch after which the table holds these rules and nothing else; it is done as a whole or not at all.

    Raises:
        ValueError: Two rules select the same mark.
    """
    for one, other in combinations(rules, 2):
        if (one.selected ^ other.selected) & one.selected_mask & other.selected_mask == 0:
            raise ValueError(f"the same marks are selected by {one} and {other}")
    return _batch(
        [
            *_removal(table),
            _message(_NEWTABLE, _NLM_F_CREATE, _text(_TABLE_NAME, table)),
            _message(_NEWCHAIN, _NLM_F_CREATE, _chain(table)),
            *(_message(_NEWRULE, _NLM_F_CREATE | _NLM_F_APPEND, _rule(table, CHAIN, rule)) for rule in rules),
        ]
    )


def trial(*, table: str) -> bytes:
    """The batch that has the kernel check whether it takes such a rule, and changes nothing: it has no end.

    Args:
        table: A table that does not exist.
    """
    rule = indexed(IPv4Network("192.0.2.0/24"))
    made = (
        _message(_NEWTABLE, _NLM_F_CREATE, _text(_TABLE_NAME, table)),
        _message(_NEWCHAIN, _NLM_F_CREATE, _chain(table)),
        _message(_NEWRULE, _NLM_F_CREATE | _NLM_F_APPEND, _rule(table, CHAIN, rule)),
    )
    return _batch(made, ended=False)


def fill(rule: MarkRule | None, *, table: str) -> bytes:
    """The batch after which the chain `HOSTS_CHAIN` of a table holds this rule and nothing else, or nothing at all.

    Args:
        rule: The rule, or None.
        table: A table, family ip, that has such a chain.
    """
    messages = [_message(_DELRULE, 0, _rules_of(table, HOSTS_CHAIN))]
    if rule is not None:
        messages.append(_message(_NEWRULE, _NLM_F_CREATE | _NLM_F_APPEND, _rule(table, HOSTS_CHAIN, rule)))
    return _batch(messages)


def listing(*, table: str) -> bytes:
    """The message that asks for the rules of the chain `HOSTS_CHAIN` of a table."""
    kind, flags, body = _message(_GETRULE, _NLM_F_REQUEST | _NLM_F_DUMP, _rules_of(table, HOSTS_CHAIN))
    return _HEADER.pack(_HEADER.size + len(body), kind, flags, 1, 0) + body


def rules_in(channel: Channel, request: bytes) -> int:
    """How many rules there are, by the answers to `listing`; none when there is no such table.

    Raises:
        RealmGatewayError: The kernel does not tell.
    """
    listed = partial(netlink.dump, channel, request, "the rules that take an address from the mark")
    return netlink.undisturbed(lambda: sum(1 for _ in listed(nothing=(netlink.ENOENT,))))


def remove(*, table: str = TABLE) -> bytes:
    """The batch that takes the table away, if it is there."""
    return _batch(_removal(table))


def put(batch: bytes, channel: Channel) -> None:
    """Have a batch done by the kernel.

    Args:
        batch: Of `install` or `remove`.
        channel: Without earlier answers in it; not to be used again after an error.

    Raises:
        PlatformError: The kernel refused; nothing was changed.
        OSError: Of the channel; whether the batch was done is unknown.
    """
    awaited = _acknowledged(batch)
    channel.send(batch)
    while awaited:
        for sequence, error in _answers(channel.recv(netlink.READ_SIZE)):
            if error:
                name = errno.errorcode.get(error, str(error))
                raise PlatformError(f"the kernel refused the rule that takes an address from the mark ({name})")
            awaited.discard(sequence)


def _batch(messages: Iterable[tuple[int, int, bytes]], *, ended: bool = True) -> bytes:
    """Messages between the two that make them one transaction; each asks for an answer; undone without the end."""
    frame = struct.pack("!BBH", 0, 0, _NFNL_SUBSYS_NFTABLES)
    inner = [(kind, flags | _NLM_F_REQUEST | _NLM_F_ACK, body) for kind, flags, body in messages]
    whole = [
        (_NFNL_MSG_BATCH_BEGIN, _NLM_F_REQUEST, frame),
        *inner,
        *([(_NFNL_MSG_BATCH_END, _NLM_F_REQUEST, frame)] if ended else []),
    ]
    return b"".join(
        _HEADER.pack(_HEADER.size + len(body), kind, flags, sequence, 0) + body
        for sequence, (kind, flags, body) in enumerate(whole)
    )


def _acknowledged(batch: bytes) -> set[int]:
    """The sequence numbers of the messages that will be answered."""
    sequences = set()
    offset = 0
    while offset < len(batch):
        length, _, flags, sequence, _ = _HEADER.unpack_from(batch, offset)
        if flags & _NLM_F_ACK:
            sequences.add(sequence)
        offset += length
    return sequences


def _answers(datagram: bytes) -> list[tuple[int, int]]:
    """Of each answer in a datagram, the sequence number it is about and the error, 0 if there was none."""
    answers = [each for each in netlink.messages(datagram) if each.kind == netlink.ERROR]
    return [(each.sequence, netlink.error_of(each.body)) for each in answers]


def _message(kind: int, flags: int, attributes: bytes) -> tuple[int, int, bytes]:
    """An nf_tables message: type, flags, and what follows the netlink header."""
    return _NFNL_SUBSYS_NFTABLES << 8 | kind, flags, struct.pack("!BBH", _NFPROTO_IPV4, 0, 0) + attributes


def _removal(table: str) -> list[tuple[int, int, bytes]]:
    """To take away what may not be there: make it first, which does nothing if it is."""
    name = _text(_TABLE_NAME, table)
    return [_message(_NEWTABLE, _NLM_F_CREATE, name), _message(_DELTABLE, 0, name)]


def _chain(table: str) -> bytes:
    """The attributes of the base chain."""
    hook = _number(_HOOK_HOOKNUM, _PRE_ROUTING) + _number(_HOOK_PRIORITY, PRIORITY & _ALL)
    return _text(_CHAIN_TABLE, table) + _text(_CHAIN_NAME, CHAIN) + _nest(_CHAIN_HOOK, hook) + _text(_CHAIN_TYPE, "nat")


def _rule(table: str, chain: str, rule: MarkRule) -> bytes:
    """The attributes of one rule; its expressions are those in the module's docstring."""
    expressions = [
        _load_mark(),
        _bitwise(rule.selected_mask, 0),
        _compare(rule.selected),
        _load_mark(),
        _bitwise(rule.keep, rule.flip),
        _to_network_order(),
        _translate(),
    ]
    return _rules_of(table, chain) + _nest(_RULE_EXPRESSIONS, b"".join(expressions))


def _rules_of(table: str, chain: str) -> bytes:
    """The attributes that name a rule's chain; without more of them, all of its rules."""
    return _text(_RULE_TABLE, table) + _text(_RULE_CHAIN, chain)


def _load_mark() -> bytes:
    return _expression("meta", _number(_META_KEY, _META_MARK) + _number(_META_DREG, _REGISTER))


def _bitwise(mask: int, flip: int) -> bytes:
    """Register := (register & mask) ^ flip."""
    return _expression(
        "bitwise",
        _number(_BITWISE_SREG, _REGISTER)
        + _number(_BITWISE_DREG, _REGISTER)
        + _number(_BITWISE_LEN, _MARK_SIZE)
        + _mark(_BITWISE_MASK, mask)
        + _mark(_BITWISE_XOR, flip),
    )


def _compare(mark: int) -> bytes:
    """Goes on to the next rule unless the register is this."""
    return _expression("cmp", _number(_CMP_SREG, _REGISTER) + _number(_CMP_OP, _CMP_EQ) + _mark(_CMP_DATA, mark))


def _to_network_order() -> bytes:
    return _expression(
        "byteorder",
        _number(_BYTEORDER_SREG, _REGISTER)
        + _number(_BYTEORDER_DREG, _REGISTER)
        + _number(_BYTEORDER_OP, _BYTEORDER_HTON)
        + _number(_BYTEORDER_LEN, _MARK_SIZE)
        + _number(_BYTEORDER_SIZE, _MARK_SIZE),
    )


def _translate() -> bytes:
    return _expression(
        "nat",
        _number(_NAT_TYPE, _NAT_DNAT) + _number(_NAT_FAMILY, _NFPROTO_IPV4) + _number(_NAT_REG_ADDR_MIN, _REGISTER),
    )


def _expression(name: str, data: bytes) -> bytes:
    return _nest(_LIST_ELEM, _text(_EXPR_NAME, name) + _nest(_EXPR_DATA, data))


def _mark(kind: int, value: int) -> bytes:
    """A value that meets the mark in a register: host byte order."""
    return _nest(kind, _attribute(_DATA_VALUE, struct.pack("=I", value)))


def _number(kind: int, value: int) -> bytes:
    return _attribute(kind, struct.pack("!I", value))


def _text(kind: int, value: str) -> bytes:
    return _attribute(kind, value.encode("ascii") + b"\0")


def _nest(kind: int, attributes: bytes) -> bytes:
    return _attribute(kind | _NLA_F_NESTED, attributes)


def _attribute(kind: int, payload: bytes) -> bytes:
    """A netlink attribute, padded to four bytes; its length does not count the padding."""
    return struct.pack("=HH", 4 + len(payload), kind) + payload + bytes(-len(payload) % 4)
