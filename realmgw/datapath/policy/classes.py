"""Classes of hosts by their rules and groups: which there are, what stands in the kernel for them, how it is changed.

A host is led to its class by two maps: its address gives the class's number, and that the chain. A verdict map keyed by
address would have the kernel go through all hosts at each change; data maps it does not go through. In between the
number is in the packet's priority, which is 0 again behind the maps, whether they lead to a chain or not; only packets
of flows that were not answered yet come there.

Rules of a group stand in chains of its own, which the classes of its hosts jump to before anything else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from ipaddress import ip_address

import attrs

from realmgw.config.nflog import Nflog
from realmgw.datapath.batches import Elements, Word, number
from realmgw.datapath.policy import noted, rules
from realmgw.datapath.policy.rules import COUNTED, FORBIDDEN, Place
from realmgw.errors import ConfigurationError
from realmgw.subscribers.firewall import Direction, Firewall, Rule
from realmgw.subscribers.model import Host

NUMBERS = 0x7200_0000
"""What the numbers of classes have before them: priorities that nobody else gives to a packet (7200: and following)."""
MOST_CLASSES = 0x00FF_FFFF
"""The largest number, so many there are at most: there are no more hosts."""
_LEFT_BEHIND = f"meta priority {NUMBERS >> 16:x}:0-{(NUMBERS | MOST_CLASSES) >> 16:x}:ffff meta priority set 0"
"""What a packet meets whose class has no chain in its direction."""
OUT, IN = "host_out", "host_in"
"""Chains: what comes from a host, and what goes to one, is asked of its rules there, and comes back if it may pass."""
ALLOWED = "host_allowed"
"""The chain by which something passes that only the rules of its host may forbid."""
_TOLD = "forbidden_told"
_BEGIN = "meta priority set 0"
_PER_DIRECTION = {Direction.EGRESS: ("out", "egress"), Direction.INGRESS: ("in", "ingress")}
"""What chains of a direction end with, and the map that leads to them."""
_CHAIN = re.compile(r"(?:class_[0-9]+|stage_group_.+)_(out|in)")
OBJECTS = (
    "map classes4 { type ipv4_addr : classid; }",
    "map classes6 { type ipv6_addr : classid; }",
    "map egress { type classid : verdict; }",
    "map ingress { type classid : verdict; }",
)
"""The maps, as they are declared in the table."""
Chains = dict[str, list[str]]


def chains(shut: str = "") -> Chains:
    """The chains that there are in any case.

    Args:
        shut: What becomes of everything, while it is not known which host has which rules; empty: it is known.
    """
    asked = {
        name: [
            f"meta priority set ip {end} map @classes4",
            f"meta priority set ip6 {end} map @classes6",
            f"meta priority vmap @{verdicts}",
            _LEFT_BEHIND,
        ]
        for name, end, verdicts in ((OUT, "saddr", "egress"), (IN, "daddr", "ingress"))
    }
    return {
        _TOLD: [
            f"meta l4proto tcp {COUNTED} reject with tcp reset",
            f"{COUNTED} reject with icmpx type port-unreachable",
        ],
        FORBIDDEN: [f'limit name "refusals_told" goto {_TOLD}', f"{COUNTED} drop"],
        **({name: [shut] for name in asked} if shut else asked),
        ALLOWED: [f"jump {IN}", "accept"],
    }


def group_chain(name: str, direction: Direction) -> str:
    """The chain with the rules of a group for a direction; it is there as long as the group is told of."""
    return f"stage_group_{name}_{_PER_DIRECTION[direction][0]}"


@attrs.frozen(cache_hash=True)
class Said:
    """What is said of the hosts of a class."""

    own: Firewall
    """Their own rules."""
    groups: tuple[str, ...] = ()
    """Their groups, as far as these are told of, in the order in which they are asked."""

    def __bool__(self) -> bool:
        return bool(self.own or self.groups)


@attrs.frozen
class Class:
    """Hosts of which the same is said."""

    number: int
    """It has no other one as long as there is a host in it."""
    hosts: int
    """How many there are."""

    @property
    def key(self) -> Word:
        """Its number, as a priority."""
        said = NUMBERS | self.number
        return number(said, f"{said >> 16:x}:{said & 0xFFFF:x}")


@attrs.frozen(eq=False)
class Led:
    """What becomes of the classes of some hosts that go and come."""

    said_of: Callable[[Host], Said]
    """What is said of a host."""
    gone: dict[Said, Class]
    """Those that have no host any more."""
    came: dict[Said, Class]
    """New ones."""
    kept: dict[Said, Class]
    """Those that stand before and after."""
    nflog: Nflog | None = None
    """See `Classes`."""


class Classes:
    """Which classes there are; a change costs what it changes, and not what there is.

    Args:
        groups: The names of groups that are told of: chains of theirs stand.
        nflog: Which group of the kernel's the target LOG tells; None: it can not tell any.
        most: So many there may be at once.

    Attributes:
        by_rules: Them, by what is said of their hosts.
        groups: As given.
        nflog: As given.
    """

    def __init__(self, groups: Iterable[str] = (), nflog: Nflog | None = None, *, most: int = MOST_CLASSES) -> None:
        self.by_rules: dict[Said, Class] = {}
        self.groups, self.nflog = frozenset(groups), nflog
        self._most = most
        self._last = 0
        self._free: list[int] = []  # numbers up to the last one that no class has

    @classmethod
    def of(cls, hosts: Iterable[Host], groups: Iterable[str] = (), nflog: Nflog | None = None) -> Classes:
        """Those of these hosts, were there no others."""
        found = cls(groups, nflog)
        found.take(found.led((), hosts))
        return found

    def __bool__(self) -> bool:
        return bool(self.by_rules)

    def copy(self) -> Classes:
        """The same, to be looked at: it stays as it is."""
        found = Classes(self.groups, self.nflog)
        found.by_rules = dict(self.by_rules)
        return found

    def said_of(self, host: Host) -> Said:
        """What is said of a host."""
        profile = host.profile
        known = self.groups.intersection(profile.groups) if self.groups and profile.groups else ()
        return Said(profile.firewall, tuple(sorted(known)))

    def class_of(self, host: Host) -> tuple[Said, Class | None]:
        """What is said of a host, and its class; None: it has none."""
        said = self.said_of(host)
        return said, self.by_rules.get(said)

    def led(self, gone: Iterable[Host], came: Iterable[Host]) -> Led:
        """What becomes of them when some hosts go, and others come; nothing is changed by that.

        A class has its number as long as there is a host in it. A number that becomes free here is not given here.

        Raises:
            ConfigurationError: There would be too many.
        """
        counts: dict[Said, int] = {}
        for step, hosts in ((-1, gone), (1, came)):
            for host in hosts:
                said = self.said_of(host)
                if said:
                    counts[said] = counts.get(said, 0) + step
        led, numbers = Led(self.said_of, {}, {}, {}, self.nflog), self._numbers()
        for said, more in counts.items():
            known = self.by_rules.get(said)
            if known is None and more:
                led.came[said] = Class(next(numbers), more)
            elif known is not None and known.hosts + more:
                led.kept[said] = Class(known.number, known.hosts + more)
            elif known is not None:
                led.gone[said] = known
        return led

    def _numbers(self) -> Iterator[int]:
        """Those to be given next."""
        yield from reversed(self._free)
        yield from range(self._last + 1, self._most + 1)
        raise ConfigurationError((f"hosts have more than {self._most} different sets of rules: give some the same",))

    def take(self, led: Led) -> None:
        """From now on they are what this leads to; it was made of them as they are."""
        again = max(len(self._free) - len(led.came), 0)
        self._last += len(led.came) - len(self._free[again:])
        del self._free[again:]
        for said, each in led.gone.items():
            del self.by_rules[said]
            self._free.append(each.number)
        self.by_rules.update({**led.kept, **led.came})


def commands(table: str, led: Led, gone: Iterable[Host], came: Iterable[Host]) -> Iterator[str]:
    """The commands that lead the table from some classes to those after a change.

    Args:
        table: Its name.
        led: What becomes of the classes.
        gone: Hosts that are no more.
        came: Hosts that are new.
    """
    for some in _deleted(led, gone):
        yield from some.commands(table)
    yield from removals(table, led)
    yield from additions(table, led)
    for some in _added(led, came):
        yield from some.commands(table)


def elements(led: Led, gone: Iterable[Host], came: Iterable[Host]) -> Iterator[Elements]:
    """The elements that lead hosts to their classes, as they change between `additions` and `removals`."""
    yield from _deleted(led, gone)
    yield from _added(led, came)


def additions(table: str, led: Led) -> Iterator[str]:
    """The commands that make what belongs to new classes; no host is led there yet."""
    for said, each in led.came.items():
        yield from _addition(table, each, said, led.nflog)


def removals(table: str, led: Led) -> Iterator[str]:
    """The commands that remove what belongs to classes that have no host any more; nothing leads there any more."""
    for said, each in led.gone.items():
        yield from _removal(table, each, said)


def _deleted(led: Led, gone: Iterable[Host]) -> Iterator[Elements]:
    """What leads from hosts that are no more to their classes, and from classes that are no more to their chains."""
    yield from _elements("delete", gone, led.said_of, {})
    every = [(verdicts, each.key) for said, each in led.gone.items() for _, verdicts, _, _ in _directed(each, said)]
    for name in ("egress", "ingress"):
        yield Elements("delete", name, tuple((key, None) for verdicts, key in every if verdicts == name))


def _added(led: Led, came: Iterable[Host]) -> Iterator[Elements]:
    yield from _elements("add", came, led.said_of, {**led.kept, **led.came})


def _elements(
    verb: str, hosts: Iterable[Host], said_of: Callable[[Host], Said], classes: Mapping[Said, Class]
) -> Iterator[Elements]:
    found: dict[str, list[tuple[Word, Word | None]]] = {"classes4": [], "classes6": []}
    for host in hosts:
        said = said_of(host)
        if not said:
            continue
        value = classes[said].key if classes else None
        for packed in {*host.own, *host.identity.addresses}:
            each = ip_address(packed)
            found[f"classes{each.version}"].append((Word(str(each), packed), value))
    yield from (Elements(verb, name, tuple(pairs)) for name, pairs in found.items())


def placed(number: int, said: Firewall) -> Iterator[tuple[Rule, Place]]:
    """The own rules of a class in the order in which they are tried, each with its place.

    Args:
        number: Its number.
        said: Them.
    """
    every = [("admin", rule) for rule in said.admin] + [("user", rule) for rule in said.user]
    yield from ((rule, Place(number, at, tier)) for at, (tier, rule) in enumerate(every, 1))


def direction_of(chain: str) -> Direction | None:
    """The direction of the packets that a chain of a class is for; None: it is of none."""
    found = _CHAIN.fullmatch(chain)
    return found and next(each for each, (end, _) in _PER_DIRECTION.items() if end == found[1])


def texts(known: Classes) -> dict[str, list[str]]:
    """The rules of the chains of classes, as they were written, in their order.

    Args:
        known: The classes that there are.
    """
    return {
        chain: [*begin, *(line for rule, place in of_it for line in _lines(rule, place, known.nflog))]
        for said, each in known.by_rules.items()
        for chain, _, begin, of_it in _directed(each, said)
    }


def _directed(each: Class, said: Said) -> Iterator[tuple[str, str, list[str], list[tuple[Rule, Place]]]]:
    """For each direction that there may be rules for: chain, map, what the chain begins with, and these."""
    for direction, (end, verdicts) in _PER_DIRECTION.items():
        of_it = [pair for pair in placed(each.number, said.own) if pair[0].direction is direction]
        if of_it or said.groups:
            jumps = [f"jump {group_chain(name, direction)}" for name in said.groups]
            yield f"class_{each.number}_{end}", verdicts, [_BEGIN, *jumps], of_it


def _addition(table: str, each: Class, said: Said, nflog: Nflog | None) -> Iterator[str]:
    for chain, verdicts, begin, of_it in _directed(each, said):
        yield f"add chain inet {table} {chain}"
        yield from (f"add rule inet {table} {chain} {line}" for line in begin)
        for rule, place in of_it:
            yield f"add counter inet {table} {place.counter}"
            for name, declared in rules.sets(rule, place):
                yield f"add set inet {table} {name} {declared}"
            for line in _lines(rule, place, nflog):
                yield f"add rule inet {table} {chain} {line}"
        # As an element of its own it would have libnftables list all sets of prefixes; within a declaration it has not.
        yield f"table inet {table} {{\nmap {verdicts} {{\ntype classid : verdict"
        yield f"elements = {{ {each.key.text} : goto {chain} }}\n}}\n}}"


def _lines(rule: Rule, place: Place, nflog: Nflog | None) -> tuple[str, ...]:
    """A rule as it stands: what it ends is told of, if that is wanted."""
    return noted.lines(rules.lines(rule, place, nflog), nflog)


def _removal(table: str, each: Class, said: Said) -> Iterator[str]:
    for chain, _, _, of_it in _directed(each, said):
        yield f"flush chain inet {table} {chain}"
        yield f"delete chain inet {table} {chain}"
        for rule, place in of_it:
            yield f"delete counter inet {table} {place.counter}"
            for name, _ in rules.sets(rule, place):
                yield f"delete set inet {table} {name}"
