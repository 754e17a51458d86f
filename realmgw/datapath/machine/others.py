"""Other firewalls at the hooks that our packets pass: whose they are, what they break, what lets our packets through.

Each of them can drop what we let through. Edge: netlink, programs, /proc.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

import attrs

from realmgw.config.settings import Interfaces
from realmgw.datapath.client import Run, run_program
from realmgw.datapath.netlink import chains, codec
from realmgw.datapath.netlink.chains import Hooked
from realmgw.datapath.netlink.client import open_socket
from realmgw.datapath.netlink.nftables import CHAIN, RULE
from realmgw.errors import RealmGatewayError

LEGACY = {"iptables-legacy": "ip_tables_names", "ip6tables-legacy": "ip6_tables_names"}
"""Programs of the older kind, and where the kernel says in which tables there may be rules of theirs."""
_NET = Path("/proc/thread-self/net")
_OWNERS = (
    ("firewalld", re.compile(r"firewalld")),
    ("ufw", re.compile(r"ufw6?-")),
    ("docker", re.compile(r"DOCKER")),
    ("libvirt", re.compile(r"LIBVIRT_|libvirt")),
    ("kubernetes", re.compile(r"KUBE-|cali-|CNI-")),
    ("fail2ban", re.compile(r"f2b-")),
)
_BREAKS = {
    "prerouting": "what comes from the Internet and from hosts, first packets for the pool too",
    "input": "questions to the gateway's DNS",
    "forward": "flows between the Internet and hosts",
}
_POLICY = re.compile(r":(PREROUTING|INPUT|FORWARD) DROP\b")
_DROPS = re.compile(r"-A (\S+) .*-j (?:DROP|REJECT)\b")


@attrs.frozen
class Other:
    """A chain of somebody else."""

    text: str
    """What it is, and what it breaks."""
    command: str
    """What lets through what is ours."""
    by_policy: bool
    """It drops whatever no rule of it accepts; else there are rules that drop something."""


def others(ours: Collection[str], interfaces: Interfaces, dns: Collection[int], run: Run = run_program) -> list[Other]:
    """What others drop at the hooks.

    Args:
        ours: Names of our tables.
        interfaces: The gateway's.
        dns: The ports that its DNS listens at.
        run: Runs programs.

    Raises:
        RealmGatewayError: The kernel does not tell.
    """

    def look() -> list[Hooked]:
        with open_socket() as channel:
            every = list(codec.dump(channel, chains.request(CHAIN, 1), "chains"))
            rules = list(codec.dump(channel, chains.request(RULE, 2), "rules"))
        return list(chains.dropping(every, rules))

    found = [each for each in codec.undisturbed(look) if each.table not in ours]
    told = [Other(_told(each), _command(each, interfaces, dns), each.by_policy) for each in found]
    return [*told, *_legacy(interfaces, dns, run)]


def _told(found: Hooked) -> str:
    words = " ".join((found.table, *sorted(found.siblings)))
    owner = next((f", of {name}" for name, pattern in _OWNERS if pattern.search(words)), "")
    where = f"nftables table {found.family} {found.table}{owner}: chain {found.chain} at {found.hook}"
    return f"{where} (priority {found.priority}) {_what(found.hook, found.by_policy)}"


def _what(hook: str, by_policy: bool) -> str:
    how = "drops what no rule of it accepts" if by_policy else "leads to rules that drop"
    return f"{how}: {_BREAKS[hook]} may end there"


def _command(found: Hooked, interfaces: Interfaces, dns: Collection[int]) -> str:
    if any(name.startswith(("ufw-", "ufw6-")) for name in found.siblings):
        ways = ((one, other) for lan in interfaces.lan for one, other in ((interfaces.wan, lan), (lan, interfaces.wan)))
        if found.hook == "forward":
            return " && ".join(f"ufw route allow in on {one} out on {other}" for one, other in ways)
        return " && ".join(f"ufw allow {port}" for port in dns)
    if found.chain in ("PREROUTING", "INPUT", "FORWARD"):
        return _by_iptables({"ip6": "ip6tables"}.get(found.family, "iptables"), found.hook, interfaces, dns)
    ours = "{ " + ", ".join(f'"{name}"' for name in (interfaces.wan, *interfaces.lan)) + " }"
    rule = {
        "prerouting": f"iifname {ours}",
        "input": f"meta l4proto {{ tcp, udp }} th dport {{ {', '.join(map(str, dns))} }}",
        "forward": f"iifname {ours} oifname {ours}",
    }[found.hook]
    return f"nft insert rule {found.family} {found.table} {found.chain} '{rule} accept'"


def _by_iptables(program: str, hook: str, interfaces: Interfaces, dns: Collection[int]) -> str:
    wan, lans = interfaces.wan, interfaces.lan
    rules = {
        "prerouting": [f"PREROUTING -i {name}" for name in (wan, *lans)],
        "input": [f"INPUT -p {protocol} --dport {port}" for port in dns for protocol in ("udp", "tcp")],
        "forward": [f"FORWARD -i {one} -o {other}" for lan in lans for one, other in ((wan, lan), (lan, wan))],
    }[hook]
    return " && ".join(f"{program} -I {rule} -j ACCEPT" for rule in rules)


def _legacy(interfaces: Interfaces, dns: Collection[int], run: Run) -> Iterator[Other]:
    """Rules that nftables knows nothing of."""
    for program, listing in LEGACY.items():
        try:
            tables = (_NET / listing).read_text().split()
        except OSError:
            continue  # the kernel has none of this kind, or we may not look: that was told
        if not tables:
            continue
        if shutil.which(f"{program}-save") is None:
            text = f"{program}: rules may stand in {', '.join(tables)}, and the program to look is missing"
            yield Other(text, "apt install iptables", by_policy=False)
            continue
        try:
            rules = run([f"{program}-save"], "")
        except RealmGatewayError as error:
            yield Other(f"{program}: rules may stand in {', '.join(tables)}: {error}", "", by_policy=False)
            continue
        for chain, by_policy in legacy_chains(rules):
            hook = chain.lower() if chain.lower() in _BREAKS else "forward"
            text = f"{program}: chain {chain} {_what(hook, by_policy)}"
            yield Other(text, _by_iptables(program, hook, interfaces, dns), by_policy)


def legacy_chains(rules: str) -> Iterator[tuple[str, bool]]:
    """Chains that drop, of what `iptables-legacy-save` says: each with whether it does by its policy."""
    yield from dict.fromkeys((name, True) for name in _POLICY.findall(rules))
    yield from dict.fromkeys((name, False) for name in _DROPS.findall(rules))
