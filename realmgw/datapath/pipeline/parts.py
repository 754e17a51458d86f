"""What a stage places: chains, and the counters and sets that these need; and how one state becomes another. Pure.

All chains of stages have names that begin with `stage_`, as their counters and sets do, but for those of the operator's
own rules. They are jumped to by each other only, so they can come and go without the rest of the table.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePath

import attrs

from realmgw.config.nflog import Nflog
from realmgw.config.prefixlists import Prefixes
from realmgw.config.rules import Rule, StageRule
from realmgw.config.values import Network
from realmgw.datapath.elements import apart
from realmgw.datapath.policy import noted, rules

PREFIX = "stage_"
"""What names of stages begin with."""
REFUSE = "stage_refuse"
"""The chain that tells senders, by protocol, that something is refused; it was counted before."""
BUILT_IN = "built in"
"""Where a rule stands that nobody has written."""
SENDERS_KEPT = 65_536
"""So many senders a rate is kept for at once; further ones are not kept to it."""
SENDERS_TIME = 10  # seconds
"""For so long each is remembered."""
_ELEMENTS = re.compile(r" elements = \{[^}]*\};")
_RULE = re.compile(
    r'(?P<matches>(?!type ).*?) ?(?:counter name "(?P<counter>[^"]*)" )?(?:counter name "[^"]*" )?'
    r'(?:limit rate [\w/ ]+ packets limit name "[^"]*" )?'
    r"(?P<verdict>accept|drop|return|continue|goto \w+|reject( with [\w -]+)?|meta mark set .*|"
    r'log prefix "[^"]*" group [\w -]+?|'
    r"tcp option maxseg size set [\w ]+?)"
    r'(?: comment "(?P<origin>[^"]*)")?'
)
FAMILIES = (("ip", "ipv4_addr"), ("ip6", "ipv6_addr"))
_OF_ONE = re.compile(r'counter name "(rule_(?:sources|new_rates)_[0-9]+)"')
_SENDER = {"ip": "ip saddr", "ip6": "ip6 saddr & ffff:ffff:ffff:ffff::"}
"""Who one sender is: of IPv6, all of a /64."""
_TOLD = "stage_told"

COUNTERS: Mapping[str, str] = {
    "stage_black_list": "dropped: from the black list",
    "stage_spoofed": "dropped: by an interface that its source can not have sent by",
    "stage_fragments": "dropped: fragments, where none come in",
    "stage_flags": "dropped: flags of TCP that no segment has",
    "stage_not_syn": "dropped: TCP that belongs to no flow, and begins none",
    "stage_invalid": "dropped: no state that conntrack could have",
    "stage_ports": "refused: for ports that nobody is to be reached at",
    "stage_new_rate": "dropped: new flows beyond the rate of their interface",
    "stage_dns_black": "dropped: queries from the black list of DNS",
    "stage_dns_white": "dropped: queries of resolvers on the white list beyond their rate",
    "stage_dns_known": "dropped: queries of well-known resolvers beyond their rate",
    "stage_dns_grey": "dropped: queries of other resolvers beyond their rate",
    "stage_dns_lan": "dropped: queries of LAN hosts beyond their rate",
    "stage_dns_unsolicited": "dropped: DNS responses that nobody has asked for",
    "stage_groups": "dropped or refused: by the rules of groups of subscribers",
    "stage_dhcp": "dropped or refused: DHCP",
    "stage_http": "dropped or refused: HTTP for the gateway itself",
    "stage_others": "dropped or refused: for the gateway itself, and no rule was about it",
}
"""Named counters of stages, with what each counts; those are there whose rules are."""


@attrs.frozen
class Stages:
    """What stages place; by default nothing."""

    objects: Mapping[str, str] = attrs.Factory(dict)
    """Counters and sets: kind and name, with the declaration."""
    chains: Mapping[str, tuple[str, ...]] = attrs.Factory(dict)
    """Rules by the name of their chain; where there is a hook, it comes first."""

    def joined(self, *others: Stages) -> Stages:
        """All of several."""
        every = (self, *others)
        return Stages(
            {name: said for each in every for name, said in each.objects.items()},
            {name: lines for each in every for name, lines in each.chains.items()},
        )

    def declared(self) -> Iterator[str]:
        """Counters and sets, as they are declared in the table."""
        yield from (f"{name} {said}" for name, said in self.objects.items())

    def trial(self) -> str:
        """What a table is tried with by which a kernel shows that it takes all of this; without elements."""
        found = [_ELEMENTS.sub("", each) for each in self.declared()]
        for name, lines in self.chains.items():
            found += [f"chain {name} {{", *lines, "}"]
        return "".join(f"{line}\n" for line in ("limit refusals_told { rate 1/second; }", *found))


def noting(made: Stages, nflog: Nflog | None) -> Stages:
    """The same, where what they end is told of, if that is wanted."""
    if nflog is None or not nflog.refused:
        return made
    chains = {name: noted.lines(of_it, nflog) for name, of_it in made.chains.items() if name not in refusal()}
    own = {noted.STAGE: noted.stage_chain(nflog)} if REFUSE in made.chains else {}
    return Stages(made.objects, {**made.chains, **chains, **own})


def changes(table: str, before: Stages, after: Stages) -> Iterator[str]:
    """The commands that lead from one state to another; counters and sets that are in both stay as they are.

    Args:
        table: The table's name.
        before: What stands.
        after: What shall.
    """
    if before == after:
        return
    stay = {name for name in before.chains if _hook(before, name) == _hook(after, name)}
    yield from (f"flush chain inet {table} {name}" for name in before.chains)
    yield from (f"delete chain inet {table} {name}" for name in before.chains if name not in stay)
    for name, said in before.objects.items():
        if after.objects.get(name) != said:
            kind, _, word = name.partition(" ")
            yield f"delete {kind} inet {table} {word}"
    for name, said in after.objects.items():
        if before.objects.get(name) != said:
            kind, _, word = name.partition(" ")
            yield f"add {kind} inet {table} {word} {said}"
    for name in after.chains:
        if name not in stay:
            hook = _hook(after, name)
            yield f"add chain inet {table} {name}" + (f" {{ {hook} }}" if hook else "")
    for name, lines in after.chains.items():
        yield from (f"add rule inet {table} {name} {line}" for line in lines if not _is_hook(line))


def _is_hook(line: str) -> bool:
    return line.startswith("type ")


def _hook(stages: Stages, name: str) -> str | None:
    """Of a chain; empty: it has none; None: there is no such chain."""
    lines = stages.chains.get(name)
    return None if lines is None else lines[0] if lines and _is_hook(lines[0]) else ""


def interfaces(names: Iterable[str]) -> str:
    """Some interfaces, as nft writes them."""
    every = [f'"{name}"' for name in names]
    return every[0] if len(every) == 1 else f"{{ {', '.join(every)} }}"


def where(origin: str) -> str:
    """Where something is written, in short: the file, its folder and the line; empty: nowhere."""
    return "/".join(PurePath(origin).parts[-2:])


def comment(origin: str) -> str:
    """What a rule says of where it is written."""
    return f"comment {rules.quoted(where(origin) or BUILT_IN)}"


def drop(counter: str, origin: str, own: str = "") -> str:
    """The end of a packet, counted, and where that is written.

    Args:
        counter: Counts all of that kind.
        origin: The file and the line.
        own: Counts those of this place, where there are several of that kind.
    """
    first = f'counter name "{own}" ' if own else ""
    return f'{first}counter name "{counter}" drop {comment(origin)}'


def refuse(counter: str, origin: str) -> str:
    """The same, and its sender is told."""
    return f'counter name "{counter}" goto {REFUSE} {comment(origin)}'


def refusal() -> dict[str, tuple[str, ...]]:
    """The chains by which senders are told."""
    return {
        _TOLD: ("meta l4proto tcp reject with tcp reset", "reject with icmpx type port-unreachable"),
        REFUSE: (f'limit name "refusals_told" goto {_TOLD}', 'drop comment "beyond reject_rate"'),
    }


def counters(chains: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """The counters that some chains name: of `COUNTERS`, and those of single places."""
    text = "\n".join(line for lines in chains.values() for line in lines)
    known = {f"counter {name}": f'{{ comment "{said}"; }}' for name, said in COUNTERS.items() if f'"{name}"' in text}
    return {**known, **{f"counter {name}": "{ }" for name in _OF_ONE.findall(text)}}


def prefix_sets(name: str, listed: Prefixes) -> dict[str, str]:
    """The sets of a list: one for each family that there is something of."""
    found = {}
    for (family, kind), elements in zip(FAMILIES, (listed.ipv4, listed.ipv6), strict=True):
        if elements:
            found[f"set {name}_{family}"] = f"{{ type {kind}; flags interval; elements = {{ {elements} }}; }}"
    return found


def within(name: str, listed: Prefixes) -> Iterator[str]:
    """What matches senders on a list, by family."""
    for (family, _), elements in zip(FAMILIES, (listed.ipv4, listed.ipv6), strict=True):
        if elements:
            yield f"{family} saddr @{name}_{family}"


def written(networks: Iterable[Network]) -> Iterator[tuple[str, str]]:
    """A few prefixes as sets without names, each with its family's word."""
    every = list(networks)
    for (family, _), version in zip(FAMILIES, (4, 6), strict=True):
        of_it = [each for each in every if each.version == version]
        if of_it:
            yield family, f"{{ {', '.join(map(str, apart(of_it)))} }}"


def rate_sets(name: str) -> dict[str, str]:
    """The sets that a rate of each sender is kept in."""
    kept = f"size {SENDERS_KEPT}; flags dynamic, timeout; timeout {SENDERS_TIME}s;"
    return {f"set {name}_{family}": f"{{ type {kind}; {kept} }}" for family, kind in FAMILIES}


def over(name: str, rate: int) -> Iterator[str]:
    """What matches packets of a sender beyond a rate, by family.

    Args:
        name: As for `rate_sets`.
        rate: Packets a second; so many at once, too.
    """
    for family, _ in FAMILIES:
        yield f"update @{name}_{family} {{ {_SENDER[family]} limit rate over {rate}/second burst {rate} packets }}"


@attrs.frozen
class StagePlace(rules.Standing):
    """Where a rule of the operator's own stands."""

    stage: str
    """In which stage."""
    at: int
    """Among its rules, counted from 1."""
    origin: str
    """The file and the line."""

    counted = ""
    refused = f"goto {REFUSE}"
    passes = "accept"

    @property
    def counter(self) -> str:
        return f"rule_{self.stage}_{self.at}"

    def kept(self, what: str, family: int) -> str:
        return f"{what}{family}_{self.stage}_{self.at}"

    def own(self, rule: Rule) -> str:
        del rule
        return ""  # of a host, and this is of none

    def said(self, rule: Rule) -> str:
        written = where(self.origin)
        return f"{written}: {rule.comment}" if rule.comment else written


def own_rules(stage: str, said: Iterable[StageRule], nflog: Nflog | None) -> tuple[dict[str, str], list[str]]:
    """The operator's own rules: what they need, and they themselves in the order in which they are tried."""
    objects, lines = dict[str, str](), list[str]()
    for each, place in placed(stage, said):
        objects[f"counter {place.counter}"] = "{ }"
        objects.update((f"set {name}", declared) for name, declared in rules.sets(each.rule, place))
        by = f"iifname {interfaces([each.interface])} " if each.interface else ""
        lines += [f"{by}{line}" for line in rules.lines(each.rule, place, nflog)]
    return objects, lines


def placed(stage: str, said: Iterable[StageRule]) -> Iterator[tuple[StageRule, StagePlace]]:
    """The rules of a stage, each with its place."""
    yield from ((each, StagePlace(stage, at, each.origin)) for at, each in enumerate(said, 1))


@attrs.frozen
class Told:
    """A rule of a stage, for people."""

    chain: str
    """Where it stands."""
    matches: str
    """What it matches, as nft has it; empty: everything that comes there."""
    counter: str
    """What counts it; empty: nothing."""
    verdict: str
    """What becomes of what it matches, as nft has it."""
    origin: str
    """Where it is written, and its comment."""


def told(stages: Stages) -> Iterator[Told]:
    """The rules of stages in the order in which a packet meets them within each chain."""
    for chain, lines in stages.chains.items():
        for line in lines:
            found = _RULE.fullmatch(line)
            if found is not None:
                yield Told(chain, *(found[word] or "" for word in ("matches", "counter", "verdict", "origin")))
