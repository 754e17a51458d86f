"""What a doctor says of a gateway's machine: what is well, what is not, and the command that mends it. Pure."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Iterator, Mapping

import attrs

from realmgw.datapath.machine import sysctls, tuning

NEARLY_FULL = 0.8
"""Of conntrack's table: from then on it is told."""
OLDEST_NFT = (1, 0)
"""The oldest version of nft that will do."""
IPV6_MTU = 1280  # octets
"""IPv6 needs as much (RFC 8200, 5)."""


class State(enum.Enum):
    """How something is."""

    OK = "ok"
    """Well."""
    NOTE = "note"
    """It could be better, and need not."""
    UNSEEN = "unseen"
    """It could not be looked at."""
    DOUBT = "doubt"
    """It may not work."""
    WRONG = "wrong"
    """It does not."""


BAD = frozenset((State.DOUBT, State.WRONG))
"""States that nobody should leave as they are."""


@attrs.frozen
class Finding:
    """Something that was looked at."""

    topic: str
    """What it is about, in a word or two."""
    state: State
    """How it is."""
    text: str
    """What was found."""
    command: str = ""
    """What mends it; empty: nothing is to be done, or no single command does it, and the text says what."""

    def value(self) -> dict[str, str]:
        """For JSON."""
        return {"topic": self.topic, "state": self.state.value, "text": self.text, "command": self.command}


_COMMANDS = (
    (re.compile(r"\((modprobe [\w ]+)\)"), r"\1"),
    (re.compile(r"load the module (\w+)"), r"modprobe \1"),
    (re.compile(r"set (net\.\S+) to (\d+)"), r"sysctl -w \1=\2"),
    (re.compile(r"^(net\.\S+) is .*set it to (\d+)"), r"sysctl -w \1=\2"),
    (re.compile(r"install iptables"), r"apt install iptables"),
    (re.compile(r"install (?:libnftables1|nftables)"), r"apt install nftables"),
    (re.compile(r"(chmod o= \S+)"), r"\1"),
)


def command_of(text: str) -> str:
    """The command that a message of ours means; empty: it means none."""
    for pattern, command in _COMMANDS:
        if found := pattern.search(text):
            return found.expand(command)
    return ""


def told(topic: str, state: State, lines: Iterable[str]) -> list[Finding]:
    """Messages of ours as findings."""
    return [Finding(topic, state, line, command_of(line)) for line in lines]


def nft(version: str | None) -> Finding:
    """Whether nft will do, by what it calls itself; None: it is not there."""
    if version is None:
        text = "the program nft is not there: nobody can look at the rules by hand"
        return Finding("nft", State.DOUBT, text, "apt install nftables")
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_NFT:
        text = f"nft {version} is too old: 1.0 or later is needed"
        return Finding("nft", State.WRONG, text, "apt install nftables")
    return Finding("nft", State.OK, f"nft {version}")


def conntrack(count: int | None, most: int | None) -> Finding:
    """How full conntrack's table is."""
    if count is None or not most:
        return Finding("conntrack", State.WRONG, "conntrack is not loaded", "modprobe nf_conntrack")
    text = f"{count} flows of at most {most}"
    if count < NEARLY_FULL * most:
        return Finding("conntrack", State.OK, text)
    more = f"sysctl -w {sysctls.dotted(sysctls.MAXIMUM)}={2 * most}"
    return Finding("conntrack", State.WRONG, f"{text}: it is nearly full, and then further ones are dropped", more)


def recorded(values: Mapping[str, int | None]) -> Iterator[Finding]:
    """What conntrack tells of flows that are to be recorded.

    Args:
        values: The kernel's settings, `sysctls.EVENTS` and those of `sysctls.COUNTED`; None: it has none.
    """
    topic, events = "flow records", sysctls.dotted(sysctls.EVENTS)
    if values[sysctls.EVENTS] == 0:
        text = f"{events} is 0: conntrack tells of no flow that ends, and none is recorded"
        yield Finding(topic, State.WRONG, text, f"sysctl -w {events}=2")
    missing = [sysctls.dotted(key) for key in sysctls.COUNTED if values[key] is None]
    if missing:
        text = f"the kernel has no {' and no '.join(missing)}: records are without what is counted, or when it began"
        yield Finding(topic, State.DOUBT, text)
    unset = [sysctls.dotted(key) for key, wanted in sysctls.COUNTED.items() if values[key] not in (None, wanted)]
    if unset:
        yield Finding(topic, State.NOTE, f"{' and '.join(unset)}: the gateway sets that to 1 when it starts")
    if not (missing or unset or values[sysctls.EVENTS] == 0):
        yield Finding(topic, State.OK, "conntrack counts, notes times, and tells of ends")


def lengths(wan: str, found: Mapping[str, int | None], *, ipv6: bool) -> Iterator[Finding]:
    """What interfaces can carry.

    Args:
        wan: The interface towards the Internet.
        found: The longest packet of each interface, the WAN's too; None: it is not there.
        ipv6: Whether IPv6 is in use.
    """
    there = {name: length for name, length in found.items() if length is not None}
    for name, length in there.items():
        if ipv6 and length < IPV6_MTU:
            text = f"{name} carries {length} octets, and IPv6 needs {IPV6_MTU}"
            yield Finding("MTU", State.WRONG, text, f"ip link set dev {name} mtu {IPV6_MTU}")
        elif length > there.get(wan, length):
            text = f"{name} carries {length} octets, {wan} {there[wan]}: IPv4 of who drops ICMP gets stuck"
            yield Finding("MTU", State.NOTE, text, f"ip link set dev {name} mtu {there[wan]}")
    if len(set(there.values())) == 1:
        yield Finding("MTU", State.OK, f"{', '.join(there)}: {next(iter(there.values()))} octets")


def tuned(found: Mapping[str, tuple[int, ...]]) -> list[Finding]:
    """What conf/sysctl.d would change.

    Args:
        found: What the kernel has, by key.
    """
    notes = [
        Finding(
            "tuning",
            State.NOTE,
            f"{sysctls.dotted(each.key)} is {' '.join(map(str, has))}, {each.text} is recommended: {each.why}",
            f"sysctl -w {sysctls.dotted(each.key)}={each.text if len(has) == 1 else repr(each.text)}",
        )
        for each, has in tuning.worse(found)
    ]
    return notes or [Finding("tuning", State.OK, f"as good as {tuning.DROP_IN}, as far as it can be seen")]


def files(most: int) -> Finding:
    """How many files this process may have open; negative: any number."""
    if 0 <= most < tuning.FILES:
        text = f"{most} files may be open, {tuning.FILES} are recommended (conf/limits.d, or LimitNOFILE= of the unit)"
        return Finding("files", State.NOTE, text, f"ulimit -Hn {tuning.FILES}")
    return Finding("files", State.OK, "any number may be open" if most < 0 else f"{most} may be open")


def lines(findings: Iterable[Finding]) -> Iterator[str]:
    """For people: what is wrong last, next to the prompt."""
    every = sorted(findings, key=lambda each: tuple(State).index(each.state))
    width = max((len(each.topic) for each in every), default=0)
    for each in every:
        yield f"{each.state.value:6}  {each.topic:{width}}  {each.text}"
        if each.command:
            yield f"{'':6}  {'':{width}}  # {each.command}"
    bad = sum(each.state in BAD for each in every)
    yield "Nothing is wrong." if not bad else f"{bad} of {len(every)} things are not as they should be."
