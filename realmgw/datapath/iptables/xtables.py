"""Rules of the iptables program, where nftables does not have what they do: the queue step, MARKDNAT, and SNPT.

Each of the first two sits in a chain of ours, named as our table, in one of iptables' tables, reached from PREROUTING
by the mark: the queue step in mangle (priority -150, between our chains at -160 and -140) by QUEUED, MARKDNAT in nat
(-100, between those at -110 and -90) by ADMITTED. SNPT, which translates prefixes of IPv6, has a chain of its own in
mangle, reached from POSTROUTING. Where one of them is missing the ruleset drops these packets: it fails closed.

Rules are written as `iptables -S` lists them, so that the two can be compared.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable

import attrs

from realmgw.config.settings import Network
from realmgw.datapath import marks

HOOKS = ("PREROUTING", "POSTROUTING")
"""The builtin chains that a chain of ours may be reached from."""
_WAIT = ("-w", "10")


@attrs.frozen
class Chain:
    """A chain of ours as it should be."""

    table: str
    """Name of the table of iptables."""
    name: str
    """The chain's name."""
    match: str
    """What a packet must match to get there."""
    rules: tuple[str, ...]
    """Its rules, each without the `-A NAME` before it."""
    hook: str = HOOKS[0]
    """The builtin chain from which it gets there."""

    @property
    def lines(self) -> tuple[str, ...]:
        """The jump and the rules, as `iptables -S` lists them."""
        return (f"-A {self.hook} {self.match} -j {self.name}", *(f"-A {self.name} {rule}" for rule in self.rules))


def queue_chain(name: str, queue: int) -> Chain:
    """The queue step.

    Args:
        name: The chain's name.
        queue: The queue's number. With nobody at it the packet goes on as it is (bypass): the ruleset drops it, and
            counts it. With no room in it the kernel drops it.
    """
    match = f"-m mark --mark {marks.QUEUED:#x}/{marks.STEP_MASK:#x}"
    return Chain("mangle", name, match, (f"-j NFQUEUE --queue-num {queue} --queue-bypass",))


def dnat_chain(name: str, wan: str, pool: Iterable[Network], first_octet: int) -> Chain:
    """The translation to the address in the mark.

    Args:
        name: The chain's name.
        wan: Name of the interface towards the public Internet.
        pool: The circular pool.
        first_octet: What the address of every host begins with; the mark holds the rest (`marks.addressed`).
    """
    # The whole first octet of the mark: the reserved bits would be bits of the address.
    match = f"-i {wan} -m mark --mark {marks.ADMITTED:#x}/0xff000000"
    target = f"-j MARKDNAT --set-xmark {first_octet << 24:#x}/0xff000000"
    return Chain("nat", name, match, tuple(f"-d {network} {target}" for network in pool))


def prefix_name(table: str) -> str:
    """The name of the chain that translates prefixes, which stands beside that of the queue step.

    Args:
        table: Name of the main table.
    """
    return f"{table}_nptv6"


def prefix_chain(table: str, wan: str, prefixes: Iterable[tuple[Network, Network]]) -> Chain:
    """The translation of prefixes (RFC 6296), of flows that leave; those of the pool have their addresses already.

    Args:
        table: Name of the main table.
        wan: Name of the interface towards the public Internet.
        prefixes: Inside and outside, of the same length.
    """
    pairs = ((f"-s {inside}", f"--src-pfx {inside} --dst-pfx {outside}") for inside, outside in prefixes)
    rules = tuple(f"{source} -j SNPT {how}" for source, how in pairs)
    return Chain("mangle", prefix_name(table), f"-o {wan} -m conntrack ! --ctstate DNAT", rules, HOOKS[1])


def chain_input(chain: Chain) -> str:
    """What `iptables-restore -w 10 --noflush` has to read to make the chain, or to fill it anew, in one step."""
    rules = "".join(f"-A {chain.name} {rule}\n" for rule in chain.rules)
    return f"*{chain.table}\n:{chain.name} - [0:0]\n{rules}COMMIT\n"


def jump(chain: Chain) -> tuple[str, ...]:
    """The arguments of `iptables` that make the jump to the chain.

    First: an operator's rule further down may set marks for purposes of its own, or accept.
    """
    return (*_WAIT, "-t", chain.table, "-I", chain.hook, *chain.match.split(), "-j", chain.name)


def removal(listed: str, table: str, name: str) -> tuple[tuple[str, ...], ...]:
    """The arguments of `iptables`, call by call, that take a chain away, with every jump to it.

    Args:
        listed: What `listing` gave.
        table: Name of the table.
        name: The chain's name.
    """
    jumps = [shlex.split(line)[1:] for line in _jumps(listed, name)]
    start = (*_WAIT, "-t", table)
    return (*((*start, "-D", *rest) for rest in jumps), (*start, "-F", name), (*start, "-X", name))


def listing(table: str) -> tuple[str, ...]:
    """The arguments of `iptables` that list a table."""
    return (*_WAIT, "-t", table, "-S")


def builtin_removal(table: str, hook: str) -> tuple[str, ...]:
    """The arguments that delete one of the builtin chains; only the nftables variant of iptables has made it."""
    return (*_WAIT, "-t", table, "-X", hook)


def has_chain(listed: str, name: str) -> bool:
    """Whether the listing of a table holds a chain of that name."""
    return f"-N {name}" in listed.splitlines()


def has_jump(listed: str, chain: Chain) -> bool:
    """Whether the listing of the chain's table holds one jump to it, and that is as it should be."""
    return _jumps(listed, chain.name) == [chain.lines[0]]


def is_installed(listed: str, chain: Chain) -> bool:
    """Whether the listing of the chain's table holds the jump and the rules as they should be, and no others."""
    ours = [line for line in listed.splitlines() if line.startswith(f"-A {chain.name} ")]
    return has_jump(listed, chain) and ours == [*chain.lines[1:]]


def is_foreign(listed: str, name: str) -> bool:
    """Whether the listing of a table holds a chain of that name that is not ours.

    A chain has no room for a comment: ours is known by its rules, which are all of the kinds made here, and by jumps to
    it from `HOOKS` alone. An empty one may be left of ours.
    """
    ours = re.compile(
        rf"-A {name} (-j NFQUEUE --queue-num \d+ --queue-bypass|-d \S+ -j MARKDNAT --set-xmark \S+"
        r"|-s \S+ -j SNPT --src-pfx \S+ --dst-pfx \S+)"
    )
    inside = [line for line in listed.splitlines() if line.startswith(f"-A {name} ")]
    to_it = [line for line in listed.splitlines() if line.endswith((f" -j {name}", f" -g {name}"))]
    return not all(map(ours.fullmatch, inside)) or to_it != _jumps(listed, name)


def has_rules(listed: str) -> bool:
    """Whether the listing holds anything but builtin chains that accept."""
    return any(not (line.startswith("-P ") and line.endswith(" ACCEPT")) for line in listed.splitlines() if line)


def _jumps(listed: str, name: str) -> list[str]:
    hooks = tuple(f"-A {hook} " for hook in HOOKS)
    return [line for line in listed.splitlines() if line.startswith(hooks) and line.endswith(f" -j {name}")]
