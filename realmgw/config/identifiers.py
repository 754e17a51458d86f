"""Names that go into the kernel's rules: what nft, iptables and the kernel itself would take for something else.

nft has no way to quote the name of a table, so a word of its grammar can not be one. What such a word is depends on the
version; here are those of 1.0.6, found by trying (a kernel test tries again), and those that later ones have besides.
"""

from __future__ import annotations

import re
from collections.abc import Callable

TABLE_NAME = 22
"""The longest name of a table; iptables' chains of that name have 28 characters at most, with an ending of ours."""
INTERFACE_NAME = 15
"""The longest name of an interface (IFNAMSIZ without its end)."""

WORDS = frozenset(
    """
    accept add ah all and arp bridge cgroup chain chains comment comp constant continue counter counters cpu
    create ct day dccp define delete describe destroy device devices dnat drop dst dup dynamic ecn element
    elements eq esp ether exists expires export exthdr fib flags flow flowtable flowtables flush frag fwd ge
    geneve get goto gre gretap gt handle hbh hook hooks hour ibriport ibrname icmp icmpv6 igmp iif iifgroup
    iifname iiftype import include index inet insert interval ip ip6 ipsec jhash jump last le limit limits list
    log lshift lt map maps mark masquerade meta meter meters mh missing monitor ne netdev nftrace not notrack
    numgen obriport obrname offload oif oifgroup oifname oiftype or osf pkttype policy position priority queue
    quota quotas random redefine redirect reject rename replace reset return rshift rt rt0 rt2 rtclassid rule
    rules ruleset sctp secmark secmarks set sets size skgid skuid snat socket srh symhash synproxy synproxys
    table tables tcp th time timeout tproxy tunnel tunnels type typeof udp udplite undefine update vlan vmap vni
    vxlan xor xt
    """.split()  # noqa: SIM905 - as text it is a tenth as long
)
"""Words of nft's grammar."""

_TABLE = re.compile(rf"[A-Za-z][A-Za-z0-9_]{{0,{TABLE_NAME - 1}}}")
_INTERFACE = re.compile(rf"[!-~]{{1,{INTERFACE_NAME}}}")
_MISREAD = {
    '"': "nft ends a name there",
    "*": "nft takes it for any name that begins so",
    "\\": "nft takes it for the beginning of something else",
    "'": "iptables writes it otherwise than we do",
    "/": "the kernel has no such interface",
    ":": "the kernel has no such interface",
    "%": "the kernel puts a number there",
}
_NO_INTERFACE = frozenset((".", "..", "all", "default"))


def table_name(text: str) -> str:
    """A name for our nftables table, and for chains of ours in those of iptables.

    Raises:
        ValueError: It can not be one; the message says what to write instead.
    """
    if _TABLE.fullmatch(text) is None:
        raise ValueError(
            f"{text!r} does not do: write a letter, then letters, digits and '_', at most {TABLE_NAME} in all"
        )
    if text in WORDS:
        raise ValueError(f"{text!r} is a word of nft's own language: write another name, {f'{text}_gw'!r} for example")
    if text == text.upper():
        raise ValueError(f"{text!r} may be a target of iptables: write a name with a small letter in it")
    return text


def interface_name(text: str) -> str:
    """The name of a network interface.

    Raises:
        ValueError: The kernel has none of that name, or no rule could be written for it; the message says what to do.
    """
    wrong = next((f"{sign!r} in it: {why}" for sign, why in _MISREAD.items() if sign in text), "")
    if _INTERFACE.fullmatch(text) is None:
        wrong = f"write at most {INTERFACE_NAME} letters, digits and signs of ASCII, without spaces"
    elif text in _NO_INTERFACE:
        wrong = "the kernel has no such interface"
    elif text.startswith("-"):
        wrong = "iptables takes a '-' at its beginning for an option"
    elif text.endswith("+"):
        wrong = "iptables takes a '+' at its end for any name that begins so"
    if wrong:
        raise ValueError(f"{text!r} can not be an interface in a rule: {wrong}")
    return text


def problem(check: Callable[[str], str], text: str) -> str | None:
    """What one of the above has against a name; None when it does."""
    try:
        check(text)
    except ValueError as error:
        return str(error)
    return None
