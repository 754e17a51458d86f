"""The queue step where the kernel lacks nftables' own `queue` statement: one rule of the iptables program.

The rule sits in a chain of ours, reached from mangle/PREROUTING (priority -150, between our chains at -160 and -140)
only by packets that carry the mark `QUEUED`. Without it the ruleset drops these: it fails closed.
"""

from __future__ import annotations

from realmgw.datapath import marks

_TABLE = ("-w", "10", "-t", "mangle")


def chain_input(chain: str, queue: int) -> str:
    """What `iptables-restore -w 10 --noflush` has to read to make the chain, or to fill it anew, in one step.

    Args:
        chain: The chain's name.
        queue: The queue's number. With nobody at it the packet goes on as it is (bypass): the ruleset drops it, and
            counts it. With no room in it the kernel drops it.
    """
    rule = f"-A {chain} -j NFQUEUE --queue-num {queue} --queue-bypass"
    return f"*mangle\n:{chain} - [0:0]\n{rule}\nCOMMIT\n"


def jump(verb: str, chain: str) -> tuple[str, ...]:
    """The arguments of `iptables` for the jump to the chain.

    Args:
        verb: `-C` asks whether it is there, `-I` puts it first, `-D` deletes it.
        chain: The chain's name.
    """
    # First: an operator's rule further down may set marks for purposes of its own, or accept.
    match = f"{marks.QUEUED:#x}/{marks.STEP_MASK:#x}"
    return (*_TABLE, verb, "PREROUTING", "-m", "mark", "--mark", match, "-j", chain)


def chain_removal(chain: str) -> tuple[tuple[str, ...], ...]:
    """The arguments of `iptables`, call by call, that empty and delete the chain."""
    return ((*_TABLE, "-F", chain), (*_TABLE, "-X", chain))


def listing() -> tuple[str, ...]:
    """The arguments of `iptables` that list the table."""
    return (*_TABLE, "-S")


def builtin_removal() -> tuple[str, ...]:
    """The arguments that delete the builtin chain PREROUTING; only the nftables variant of iptables has made one."""
    return (*_TABLE, "-X", "PREROUTING")


def has_chain(listed: str, chain: str) -> bool:
    """Whether the listing of the table holds the chain."""
    return f"-N {chain}" in listed.splitlines()


def has_rules(listed: str) -> bool:
    """Whether the listing holds anything but builtin chains that accept."""
    return any(not (line.startswith("-P ") and line.endswith(" ACCEPT")) for line in listed.splitlines() if line)
