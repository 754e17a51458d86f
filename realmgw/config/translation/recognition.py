"""What rules of iptables are, as the gateway knows them: checks, rates, services; and in which order they stand."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from realmgw.config.document import Node
from realmgw.config.meaning import MOST_BURST, MOST_RATE, USUAL_BURST
from realmgw.config.pipeline import Check
from realmgw.config.protocols import NAMES
from realmgw.config.translation.iptables import REFUSED, Said, node_of, text

REFUSALS = {
    "tcp": ("tcp", "tcp-reset"), "udp": ("udp", "icmp-port-unreachable"), "icmp": ("icmp", "icmp-admin-prohibited"),
    "": ("others", "icmp-proto-unreachable"),
}  # fmt: skip
"""Of each protocol that refusals are told by, what we call it, and how that is done."""
SERVICES = {"POLICY_DHCP": "dhcp", "POLICY_HTTP": "http"}
"""Chains of services, and what we call these."""
PORTS = {"dhcp": {"67"}, "http": {"80", "443"}, "dns": {"53"}}
"""The ports of each."""
RESPONSES = "0x1c&0xf800=0x8000"
"""How DNS responses are told apart (`u32`)."""
_FLAGS = {"FIN", "SYN", "RST", "PSH", "ACK", "URG"}
_BEGINS = {"FIN", "SYN", "RST", "ACK"}
_UNREACHED = ({"135", "137", "138", "139"}, {"135", "137:139"})
_TO = {"dport", "destination-port", "dports"}
_FROM = {"sport", "source-port", "sports", "ports"}
PORTED = ("tcp", "udp", "sctp", "multiport")
"""What asks for ports."""
STATE = ("conntrack", "state")
"""What asks for states of flows."""


def protocol(node: Node | None) -> str:
    """A protocol by its name, where it has one here; empty: any."""
    said = text(node).lower()
    return NAMES.get(int(said), said) if said.isdecimal() else said


def destinations(said: Said, sender: str = "") -> set[str] | None:
    """The destination ports, and ranges of them, that a rule names; empty: it names none.

    Args:
        said: The rule.
        sender: A port that the sender may have to have.

    Returns:
        Them; None: it asks something else of ports.
    """
    found = set()
    for each in said.matches:
        words = each.words if each.name in PORTED else set()
        if any(each.option(word) != [sender] for word in words & _FROM):
            return None
        if each.name in PORTED and not words:
            return None  # several of that name
        found |= {port for word in words & _TO for one in each.option(word) for port in one.split(",")}
    return None if "!" in found else found


def _flags(said: Said) -> tuple[bool, set[str], set[str]] | None:
    """Of flags of TCP: whether all others are meant, those that are looked at, and those of them that are set."""
    tcp = said.match("tcp")
    found = [] if tcp is None else tcp.option("tcp-flags")
    is_not = found[:1] == ["!"]
    words = [{*each.upper().replace(" ", "").split(",")} for each in found[is_not:]]
    return (is_not, words[0], words[1]) if len(words) == 2 else None


def check(said: Said) -> Check | None:
    """The check of ADMIN_PREEMPTIVE that a rule is, whoever sends; None: none of them."""
    if said.target not in ("DROP", *REFUSED) or not said.is_of_any_side:
        return None
    if said.states == {"INVALID"} and said.only(*STATE) and said.target == "DROP":
        return Check.INVALID
    tcp, flags = said.match("tcp"), _flags(said)
    is_about_flags = tcp is not None and tcp.words == {"tcp-flags"} and said.only("tcp", "protocol", *STATE)
    if flags and is_about_flags and said.begins and said.target == "DROP":
        is_not, asked, meant = flags
        if is_not and asked == _BEGINS and meant == {"SYN"}:
            return Check.NOT_SYN
        if not is_not and asked in (_FLAGS, {"ALL"}) and meant in ({"NONE"}, _FLAGS, {"ALL"}):
            return Check.FLAGS
    of_ports = said.match("multiport") and said.only("multiport", "protocol", *STATE) and said.begins
    return Check.PORTS if of_ports and said.target in REFUSED and destinations(said) in _UNREACHED else None


def kind(said: Said) -> Check:
    """Which check of ADMIN_PREEMPTIVE a rule becomes; RULES: it is one of the operator's own."""
    if said.listed is not None and said.listed[1:] == ("src", False) and said.only("set") and said.goes is None:
        if said.target in ("DROP", "ACCEPT") and said.came is None:
            return Check.BLACK_LIST if said.target == "DROP" else Check.WHITE_LIST
        if said.target == "DROP":
            return Check.SOURCES
    return check(said) or (Check.NEW_RATES if new_rate(said) else Check.RULES)


def in_order(looked: list[tuple[Said, Check]]) -> list[tuple[Said, Check]]:
    """Rules of ADMIN_PREEMPTIVE in an order in which each check has one place, and the first that matches decides.

    Rules beside each other that all let pass, or all do not, may change places. What would have to be at two places
    with something else between becomes one of the operator's own rules, as does what stands between two of these. What
    conntrack can make nothing of can not: that is looked for before them.
    """
    runs, before = list[int](), ""
    for said, _ in looked:
        ends = "DROP" if said.target in REFUSED else said.target
        runs.append(runs[-1] + (ends != before) if runs else 0)
        before = ends
    home: dict[Check, int] = {}
    for run, (_, which) in zip(runs, looked, strict=True):
        home.setdefault(which, run)
    own = [run for run, (_, which) in zip(runs, looked, strict=True) if which is Check.RULES or run != home[which]]
    first, last = min(own, default=-1), max(own, default=-1)
    found = []
    for run, (said, which) in zip(runs, looked, strict=True):
        is_own = which is Check.RULES or run != home[which] or first < run < last
        if is_own and which is not Check.INVALID:
            found.append(((first, True), said, Check.RULES))
        else:
            found.append(((first if is_own else run, False), said, which))
    return [(said, which) for _, said, which in sorted(found, key=lambda each: each[0])]


def per_second(words: Iterable[str]) -> int | None:
    """A rate; None: it is not of seconds, or none that can be had."""
    count, _, unit = ("/".join(words)).partition("/")
    is_rate = count.isdecimal() and 0 < int(count) <= MOST_RATE and unit in ("", "s", "sec", "second")
    return int(count) if is_rate else None


def new_rate(said: Said) -> dict[str, Any] | None:
    """How many flows may begin at an interface, all senders together; None: it is another rule."""
    found = said.match("hashlimit")
    if found is None or said.target != "DROP" or said.came is None or said.goes is not None or not said.begins:
        return None
    if not said.only("hashlimit", *STATE) or "hashlimit-mode" in found.words:
        return None
    rate, burst = (
        per_second(found.option("hashlimit-above")),
        "".join(found.option("hashlimit-burst") or [str(USUAL_BURST)]),
    )
    is_one = rate is not None and burst.isdecimal() and 0 < int(burst) <= MOST_BURST
    return {"rate": rate, "burst": int(burst)} if is_one else None


def bucket(said: Said, leads: bool) -> int | None:
    """The rate at which a bucket of DNS lets pass; None: it is another rule.

    Args:
        said: The rule.
        leads: It leads to another chain.
    """
    found = said.match("hashlimit")
    if found is None or not said.only("hashlimit", *STATE, *PORTED, "protocol") or not said.begins:
        return None
    word = "upto" if said.target == "ACCEPT" or leads else "above" if said.target == "DROP" else ""
    return per_second(found.option(f"hashlimit-{word}")) if destinations(said) in (set(), PORTS["dns"]) else None


def accepts_all(said: Said, word: str) -> bool:
    """Whether a rule accepts a service whole, but for the side.

    Args:
        said: It.
        word: What we call the service.
    """
    asked = destinations(said, "68" if word == "dhcp" else "")
    if said.target != "ACCEPT" or asked is None or asked not in (set(), PORTS[word]) or not said.begins:
        return False
    tcp = said.match("tcp")
    begins = tcp is None or (tcp.words <= _TO | {"tcp-flags"} and _flags(said) in (None, (False, _BEGINS, {"SYN"})))
    return begins and said.only(*PORTED, "protocol", *STATE)


def is_told(said: Said) -> str:
    """By what we call it, whom a rule of mREJECT tells; empty: it tells somebody else."""
    who, _ = REFUSALS.get(protocol(node_of(said, "protocol")), ("", ""))
    return who if said.target == "REJECT" and said.is_of_any_side and said.only("protocol") else ""
