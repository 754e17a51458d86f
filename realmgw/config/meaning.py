"""What a rule of a firewall means, as values: its words are those of iptables.

A rule that means nothing that can be done is refused where it is read; so what was read can be placed. Rules are asked
when a flow begins; what they say of packets that come later can not be done, and is refused as well.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

import attrs

from realmgw.config.protocols import ICMP, ICMP6, TCP, WITH_PORTS
from realmgw.config.values import Network

MOST_RATE, MOST_BURST, MOST_CONNECTIONS = 1_000_000, 1_000_000, 1_000_000
"""The largest numbers that limits may have."""
MOST_REMEMBERED = 65_536
"""So many keys a limit remembers at most."""
USUAL_BURST = 5
"""What iptables takes."""
USUAL_TIME = 60.0  # seconds
"""How long a limit remembers a key, unless the rule says otherwise."""
LONGEST_TIME = 86_400.0  # seconds
"""And at most."""

Values = tuple[str, ...]
Options = tuple[tuple[str, Values], ...]


class Written(Protocol):
    """A rule as it is written; see `realmgw.config.rules.Rule`."""

    @property
    def protocol(self) -> int | None: ...
    @property
    def src(self) -> Network | None: ...
    @property
    def dst(self) -> Network | None: ...
    @property
    def parts(self) -> tuple[tuple[str, Options], ...]: ...
    @property
    def target_options(self) -> Options: ...


@attrs.frozen
class Ports:
    """Some ports."""

    word: str
    """Whose: `sport` or `dport`."""
    ranges: tuple[tuple[int, int], ...]
    """First and last of each run."""
    is_not: bool = False
    """All others."""


@attrs.frozen
class Flags:
    """Flags of TCP."""

    mask: tuple[str, ...]
    """Those that are looked at."""
    wanted: tuple[str, ...]
    """Those of them that are set."""
    is_not: bool = False
    """Anything else than that."""


@attrs.frozen
class Icmp:
    """A kind of ICMP messages."""

    type: int
    """Its type."""
    code: int | None = None
    """Its code; None: any."""
    is_not: bool = False
    """All others."""


@attrs.frozen
class Limit:
    """So many new flows in a time, for each key."""

    rate: int
    """So many..."""
    unit: str
    """... a second, minute, hour or day."""
    burst: int = USUAL_BURST
    """So many at once."""
    is_over: bool = False
    """What is beyond the rate is meant, not what is within."""
    key: tuple[str, ...] = ()
    """What belongs to a key besides the host's own address: `srcip`, `srcport`, `dstip`, `dstport`."""
    remembered: int = MOST_REMEMBERED
    """So many keys at most."""
    time: float = USUAL_TIME
    """How long a key is remembered, in seconds."""


@attrs.frozen
class Connections:
    """So many flows at the same time, for each key."""

    count: int
    """So many."""
    is_over: bool
    """More than that is meant, not as many or fewer."""
    key: tuple[str, ...]
    """As in `Limit`."""


@attrs.frozen
class Meaning:
    """What a packet must be for a rule to match, and how its target is done."""

    protocol: int | None = None
    """Its protocol; None: any."""
    src: Network | None = None
    """Where it comes from; None: anywhere."""
    dst: Network | None = None
    """Where it goes; None: anywhere."""
    ports: tuple[Ports, ...] = ()
    """Its ports; all must agree."""
    flags: tuple[Flags, ...] = ()
    """Its flags; likewise."""
    icmp: Icmp | None = None
    """Its kind."""
    states: tuple[str, ...] = ()
    """Of conntrack's, one that its flow has; none: any."""
    limit: Limit | None = None
    """How many may match."""
    connections: Connections | None = None
    """How many at the same time."""
    refusal: str = ""
    """How a refusal is told, as nftables has it; empty: as it fits the protocol."""
    prefix: str = ""
    """What a message says of the rule; empty: its comment."""
    family: int | None = None
    """4 or 6, if only packets of one can match."""


_FLAGS = ("fin", "syn", "rst", "psh", "ack", "urg")
_STATES = ("new", "established", "related", "invalid", "untracked")
_KEYS = ("srcip", "srcport", "dstip", "dstport")
_NUMBER = re.compile(r"[0-9]{1,9}")
_RATE = re.compile(r"([0-9]{1,9})(?:/(s|m|h|d)[a-z]*)?")
_UNITS = {None: "second", "s": "second", "m": "minute", "h": "hour", "d": "day"}
_ICMP_NAMES = {
    "echo-reply": (0, None), "destination-unreachable": (3, None), "source-quench": (4, None), "redirect": (5, None),
    "echo-request": (8, None), "ping": (8, None), "pong": (0, None), "time-exceeded": (11, None),
    "parameter-problem": (12, None), "timestamp-request": (13, None), "timestamp-reply": (14, None),
    "network-unreachable": (3, 0), "host-unreachable": (3, 1), "protocol-unreachable": (3, 2),
    "port-unreachable": (3, 3), "fragmentation-needed": (3, 4),
}  # fmt: skip
_ANY_ICMP = "255"
"""Of IPv4, what iptables takes for any type, whatever its code."""
_ICMP6_NAMES = {
    "destination-unreachable": (1, None), "packet-too-big": (2, None), "time-exceeded": (3, None),
    "parameter-problem": (4, None), "echo-request": (128, None), "echo-reply": (129, None),
}  # fmt: skip
_TOLD = {
    "port-unreachable": "port-unreachable", "host-unreachable": "host-unreachable", "net-unreachable": "no-route",
    "admin-prohibited": "admin-prohibited", "net-prohibited": "admin-prohibited", "host-prohibited": "admin-prohibited",
    "adm-prohibited": "admin-prohibited", "addr-unreachable": "host-unreachable", "no-route": "no-route",
}  # fmt: skip
"""How a refusal is told, but for the family's name before it."""


def meaning(rule: Written) -> Meaning:
    """What a rule means.

    Args:
        rule: It.

    Raises:
        ValueError: Nothing that can be done; the text says what to write instead.
    """
    found = Meaning(rule.protocol, rule.src, rule.dst)
    for part, options in rule.parts:
        for word, values in options:
            if part in _READ:
                found = _READ[part](found, word, values)
        if part in _READ_WHOLE:
            found = _READ_WHOLE[part](found, dict(options))
    for word, values in rule.target_options:
        said = " ".join(values)
        if word == "log-prefix":
            found = attrs.evolve(found, prefix=said)
        else:
            found = attrs.evolve(found, refusal=_told(said, found.protocol))
    if found.protocol not in WITH_PORTS and (found.ports or _asks_ports(found)):
        raise ValueError("ports are of tcp, udp and sctp: write the protocol")
    return attrs.evolve(found, family=_family(found))


def _asks_ports(found: Meaning) -> bool:
    return found.limit is not None and not {"srcport", "dstport"}.isdisjoint(found.limit.key)


def _family(found: Meaning) -> int | None:
    """Of which family a packet has to be."""
    named: set[int] = {network.version for network in (found.src, found.dst) if network is not None}
    named |= {each for protocol, each in ((ICMP, 4), (ICMP6, 6)) if protocol == found.protocol}
    if len(named) > 1:
        raise ValueError("this is of IPv4 and of IPv6, so it never matches: write a rule for each family")
    return named.pop() if named else None


def _turned(values: Values) -> tuple[bool, Values]:
    """Whether the sense is turned around, and the values."""
    is_not = values[:1] == ("!",)
    return is_not, values[1:] if is_not else values


def _ports(found: Meaning, word: str, values: Values) -> Meaning:
    which = {"source-port": "sport", "sports": "sport", "destination-port": "dport", "dports": "dport"}.get(word, word)
    if which == "ports":
        raise ValueError("'ports' is either of both: write a rule with 'sports' and one with 'dports'")
    is_not, texts = _turned(values)
    every = [each for text in texts for each in text.split(",")]
    if not every:
        raise ValueError(f"'{word}' says no port")
    return attrs.evolve(found, ports=(*found.ports, Ports(which, _runs(map(_port_range, every)), is_not)))


def _runs(ranges: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """The same without overlaps, in order: nftables refuses them."""
    runs: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if runs and first <= runs[-1][1] + 1:
            runs[-1] = runs[-1][0], max(last, runs[-1][1])
        else:
            runs.append((first, last))
    return tuple(runs)


def _port_range(text: str) -> tuple[int, int]:
    first, colon, last = text.partition(":")
    if not all(each == "" or (_NUMBER.fullmatch(each) and int(each) <= 65535) for each in (first, last)) or text == "":
        raise ValueError(f"{text!r} is no port: write a number from 0 to 65535, or two with a colon between")
    begin = int(first or 0)
    end = int(last or 65535) if colon else begin
    if end < begin:
        raise ValueError(f"{text!r} ends before it begins")
    return begin, end


def _tcp(found: Meaning, word: str, values: Values) -> Meaning:
    if word == "syn":
        flags = Flags(("fin", "syn", "rst", "ack"), ("syn",), is_not=_turned(values)[0])
    elif word == "tcp-flags":
        is_not, texts = _turned(values)
        if len(texts) != 2:
            raise ValueError("'tcp-flags' are two lists: write ['FIN,SYN', 'SYN']")
        flags = Flags(_flags(texts[0]), _flags(texts[1]), is_not)
    else:
        return _ports(found, word, values)
    if not set(flags.wanted) <= set(flags.mask):
        raise ValueError("'tcp-flags' wants a flag that it does not look at, so it never matches")
    return attrs.evolve(found, flags=(*found.flags, flags))


def _flags(text: str) -> tuple[str, ...]:
    every = {"all": _FLAGS, "none": ()}.get(text.lower(), tuple(text.lower().split(",")))
    for each in every:
        if each not in _FLAGS:
            raise ValueError(f"{each!r} is no flag: write ALL, NONE, or some of {', '.join(_FLAGS).upper()}")
    return tuple(each for each in _FLAGS if each in every)


def _kind(found: Meaning, values: Values, names: Mapping[str, tuple[int, int | None]]) -> Meaning:
    is_not, texts = _turned(values)
    if len(texts) != 1:
        raise ValueError("one type of ICMP stands in a rule")
    kind, slash, code = texts[0].partition("/")
    if kind == "any" or (names is _ICMP_NAMES and kind == _ANY_ICMP):
        if is_not:
            raise ValueError(f"{texts[0]!r} is any type, so its opposite is none: leave the rule out")
        return found
    said = (*names.get(kind, (None, None)),)
    if _NUMBER.fullmatch(kind) and (not slash or _NUMBER.fullmatch(code)):
        said = int(kind), int(code) if slash else None
    if said[0] is None or max(each or 0 for each in said) > 255:
        raise ValueError(f"{texts[0]!r} is no type of ICMP: write its number, or {', '.join(names)}")
    if is_not and said[1] is not None:
        raise ValueError("a type with its code can not be turned around: write the type alone")
    return attrs.evolve(found, icmp=Icmp(said[0], said[1], is_not))


def _states(found: Meaning, word: str, values: Values) -> Meaning:
    is_not, texts = _turned(values)
    states = {each.lower() for text in texts for each in text.split(",")}
    unknown = states - set(_STATES)
    if word not in ("ctstate", "state") or unknown or not states:
        raise ValueError(f"{word}: write some of {', '.join(_STATES).upper()}")
    meant = set(_STATES) - states if is_not else states
    if "new" not in meant:
        raise ValueError("rules are asked when a flow begins, what belongs to it passes: leave this rule out")
    return attrs.evolve(found, states=tuple(each for each in _STATES if each in meant))


def _number(values: Values, word: str, most: int) -> int:
    if len(values) != 1 or not _NUMBER.fullmatch(values[0]) or not 0 < int(values[0]) <= most:
        raise ValueError(f"{word}: write a number from 1 to {most}")
    return int(values[0])


def _rate(values: Values, word: str) -> tuple[int, str]:
    match = _RATE.fullmatch(values[0]) if len(values) == 1 else None
    if match is None or not 0 < int(match[1]) <= MOST_RATE:
        raise ValueError(f"{word}: write a rate from 1 to {MOST_RATE}, as 5/sec")
    return int(match[1]), _UNITS[match[2]]


def _limited(found: Meaning, limit: Limit) -> Meaning:
    if found.limit is not None:
        raise ValueError("a rule has one limit: write two rules")
    return attrs.evolve(found, limit=limit)


def _one_sided(part: str, options: Mapping[str, Values]) -> dict[str, Values]:
    """What is said of a limit, without the part's name; it is for what is above it, or for what is not."""
    said = {word.removeprefix(f"{part}-"): values for word, values in options.items()}
    if ("above" in said) == ("upto" in said):
        raise ValueError(f"{part}: write either {part}-above or {part}-upto")
    return said


def _hashlimit(found: Meaning, options: Mapping[str, Values]) -> Meaning:
    said = _one_sided("hashlimit", options)
    if "srcmask" in said or "dstmask" in said:
        raise ValueError("hashlimit: keys are whole addresses: leave hashlimit-srcmask and -dstmask out")
    rate, unit = _rate(said["above" if "above" in said else "upto"], "hashlimit")
    modes = {each for text in said.get("mode", ()) for each in text.split(",")}
    most = _number(said["htable-max"], "hashlimit-htable-max", 2**31) if "htable-max" in said else MOST_REMEMBERED
    time = _number(said["htable-expire"], "hashlimit-htable-expire", 10**9) / 1000 if "htable-expire" in said else 0
    return _limited(found, Limit(
        rate, unit,
        burst=_number(said["burst"], "hashlimit-burst", MOST_BURST) if "burst" in said else USUAL_BURST,
        is_over="above" in said,
        key=tuple(each for each in _KEYS if each in modes),
        remembered=min(most, MOST_REMEMBERED),
        time=min(max(time, 1.0), LONGEST_TIME) if time else USUAL_TIME,
    ))  # fmt: skip


def _limit(found: Meaning, options: Mapping[str, Values]) -> Meaning:
    rate, unit = _rate(options.get("limit", ("3/hour",)), "limit")
    burst = _number(options["limit-burst"], "limit-burst", MOST_BURST) if "limit-burst" in options else USUAL_BURST
    return _limited(found, Limit(rate, unit, burst))


def _connlimit(found: Meaning, options: Mapping[str, Values]) -> Meaning:
    said = _one_sided("connlimit", options)
    if "mask" in said:
        raise ValueError("connlimit: keys are whole addresses: leave connlimit-mask out")
    count = _number(said["above" if "above" in said else "upto"], "connlimit", MOST_CONNECTIONS)
    key = ("dstip",) if "daddr" in said else ("srcip",)
    return attrs.evolve(found, connections=Connections(count, "above" in said, key))


def _told(text: str, protocol: int | None) -> str:
    if text == "tcp-reset":
        if protocol != TCP:
            raise ValueError("tcp-reset is of tcp: write 'protocol: 6', or leave reject-with out")
        return "tcp reset"
    kind = _TOLD.get(re.sub(r"^icmp6?-", "", text))
    if kind is None:
        raise ValueError(f"{text!r} can not be told: write tcp-reset, or icmp- and one of {', '.join(_TOLD)}")
    return f"icmpx type {kind}"


_READ: Mapping[str, Callable[[Meaning, str, Values], Meaning]] = {
    "tcp": _tcp,
    "udp": _ports,
    "sctp": _ports,
    "multiport": _ports,
    "icmp": lambda found, _, values: _kind(found, values, _ICMP_NAMES),
    "icmpv6": lambda found, _, values: _kind(found, values, _ICMP6_NAMES),
    "conntrack": _states,
    "state": _states,
}
"""Parts whose options are read one by one."""
_READ_WHOLE: Mapping[str, Callable[[Meaning, Mapping[str, Values]], Meaning]] = {
    "hashlimit": _hashlimit,
    "limit": _limit,
    "connlimit": _connlimit,
}
"""Parts whose options belong together."""
PARTS: Sequence[str] = (*_READ, *_READ_WHOLE)
"""All parts that mean something."""
