"""What the target LOG becomes: a statement that has the kernel tell a group of a packet, and goes on. Pure, text.

Messages are limited, not matches: a rule's counter has all that it has met, and behind it stand the rule's own limit
and that of all rules together, so that a flood of packets is none of messages.
"""

from __future__ import annotations

from realmgw.config.nflog import Nflog

LIMIT = "packets_told"
"""The name of the limit of all rules together."""
MOST_PREFIX = 120
"""So many characters of a prefix reach a reader; the kernel takes 127."""
COUNTED_ONLY = "continue"
"""What a rule becomes whose packets the kernel can not tell of."""
_BEGIN = "realmgw: "


def objects(nflog: Nflog | None) -> dict[str, str]:
    """What such rules need: the limit, with its declaration."""
    if nflog is None:
        return {}
    return {f"limit {LIMIT}": f"{{ rate {nflog.total}/second burst {nflog.total} packets; }}"}


def statement(nflog: Nflog | None, said: str) -> str:
    """What a rule does behind its counter; the next rule is asked in any case.

    Args:
        nflog: Which group is told; None: the kernel can not tell any.
        said: Where the rule comes from, and what it says; what can not stand in a prefix becomes `?`.
    """
    if nflog is None:
        return COUNTED_ONLY
    limits = f'limit rate {nflog.rate}/second burst {nflog.rate} packets limit name "{LIMIT}"'
    # Each packet is told at once: so few do not need to be gathered.
    how = f"group {nflog.group} snaplen {nflog.snaplen} queue-threshold 1"
    return f'{limits} log prefix "{prefix(said)}" {how}'


def prefix(said: str) -> str:
    """A prefix that nft can write: it would take `$` for the begin of a variable's name."""
    plain = "".join(each if " " <= each <= "~" and each not in '"\\$' else "?" for each in said)
    return f"{_BEGIN}{plain}"[:MOST_PREFIX]
