"""The settings of the network policy's stages: what a packet meets before, and beside, the rules of its host.

Which stages there are says `datapath.policy_order`; here is what each of them does. What is said of an interface names
one of `interfaces`, or of `tunnels`. Everything that becomes a rule knows where it stands (`origin`).
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any, TypeVar

import attrs

from realmgw.config import identifiers
from realmgw.config.addresses import network
from realmgw.config.document import Node, Problems
from realmgw.config.labels import Label
from realmgw.config.meaning import MOST_BURST, MOST_RATE
from realmgw.config.parts import Part
from realmgw.config.prefixlists import Prefixes
from realmgw.config.rules import StageRule, group_rules, origin, stage_rules
from realmgw.config.steps import Steps
from realmgw.config.validators import (
    Section,
    Stepwise,
    Validator,
    boolean,
    choice,
    integer,
    key,
    keys_of,
    matching,
    parsed,
    reading,
    remembered,
    sequence,
    table,
)
from realmgw.config.values import Network

T = TypeVar("T")

MOST_RULES = 1000
"""So many rules of the operator's own a stage has."""
MOST_GROUPS, MOST_GROUP_RULES = 250, 5000
"""So many groups of subscribers there are, and so many rules they have together."""
MOST_WRITTEN = 4096
"""So many prefixes of a list stand in a file of settings; there may be more in a file of their own."""
LEAST_SEGMENT, LARGEST_SEGMENT = 536, 65_495
"""What a segment of TCP may be kept to, in octets."""


class Check(enum.Enum):
    """What is looked at before anything else."""

    MANAGEMENT = "management"
    """Who manages the gateway passes."""
    BLACK_LIST = "black_list"
    """Who is on the black list does not."""
    WHITE_LIST = "white_list"
    """Who is on the white list passes."""
    SOURCES = "sources"
    """Who can not have sent by that interface does not."""
    FLAGS = "flags"
    """Flags of TCP that no segment has."""
    NOT_SYN = "not_syn"
    """TCP that belongs to no flow, and begins none."""
    INVALID = "invalid"
    """What conntrack can make nothing of."""
    PORTS = "ports"
    """Ports that nobody is to be reached at."""
    NEW_RATES = "new_rates"
    """How many flows begin."""
    RULES = "rules"
    """The operator's own rules."""


USUAL_CHECKS = (Check.MANAGEMENT, Check.BLACK_LIST, Check.WHITE_LIST, Check.FLAGS, Check.RULES)
"""Where nothing else is said."""


class Refused(enum.Enum):
    """Of whom senders are told that the pool has refused them."""

    TCP = "tcp"
    """By a reset."""
    UDP = "udp"
    """Port unreachable."""
    ICMP = "icmp"
    """Requests only: administratively prohibited."""
    OTHERS = "others"
    """Protocol unreachable."""


class Policing(enum.Enum):
    """What becomes of what comes in to the gateway itself."""

    ACCEPT = "accept"
    """It passes."""
    DROP = "drop"
    """It does not."""
    REJECT = "reject"
    """It does not, and its sender is told."""


def placed(section: Section[T]) -> Validator[T]:
    """A section whose value knows where it stands."""

    def read(node: Node, problems: Problems) -> Steps[T | None]:
        value: Any = yield from reading(section, node, problems)
        return None if value is None else attrs.evolve(value, origin=origin(node, problems))

    return Stepwise(read, section.schema)


def _origin() -> str:
    value: str = attrs.field(default="", eq=False)
    return value


_interface = remembered(Label.STAGE_INTERFACE, parsed(identifiers.interface_name))
_networks = sequence(parsed(network), at_most=MOST_WRITTEN)
_rate = integer(1, MOST_RATE)
_rules = stage_rules(_interface, MOST_RULES)


@attrs.frozen
class PrefixList:
    """Some prefixes."""

    prefixes: tuple[Network, ...] = key(_networks, ())
    """Those that stand here."""
    file: PurePath | None = key(parsed(PurePath), None)
    """A file with more, one in each line; None: there is none."""
    origin: str = _origin()
    """Where it stands."""
    listed: Prefixes = attrs.field(default=Prefixes(), eq=False)
    """All of them, once the file was read."""


_LIST = placed(Section(PrefixList))


@attrs.frozen
class Management:
    """Who manages the gateway: nothing of the stages keeps him from it."""

    prefixes: tuple[Network, ...] = key(_networks, ())
    """Where he sends from; none: nobody does."""
    interfaces: tuple[str, ...] = key(sequence(_interface), ())
    """By which; none: by any."""
    origin: str = _origin()
    """Where it stands."""


@attrs.frozen
class Source:
    """Who can have sent by an interface; what is not said is not asked."""

    interface: str = key(_interface)
    """It."""
    fib: bool = key(boolean, False)
    """The way back has to lead by the same interface."""
    allowed: tuple[Network, ...] = key(_networks, ())
    """Where senders may be; of a family of which nothing is said, anywhere."""
    refused: tuple[Network, ...] = key(_networks, ())
    """Where they can not be."""
    origin: str = _origin()
    """Where it stands."""


@attrs.frozen
class NewRate:
    """How many flows may begin at an interface."""

    interface: str = key(_interface)
    """It."""
    rate: int = key(_rate, 500)
    """So many a second."""
    burst: int = key(integer(1, MOST_BURST), 500)
    """So many at once."""
    origin: str = _origin()
    """Where it stands."""


@attrs.frozen
class Preemptive:
    """What is looked at before anything else, of what belongs to no flow that was answered."""

    checks: tuple[Check, ...] = key(sequence(remembered(Label.CHECK, choice(Check))), USUAL_CHECKS)
    """What, in this order; the rest is not."""
    management: Management = key(placed(Section(Management)), Management())
    """Who manages the gateway."""
    black_list: PrefixList = key(_LIST, PrefixList())
    """Who may send nothing."""
    white_list: PrefixList = key(_LIST, PrefixList())
    """Who is asked nothing further."""
    sources: tuple[Source, ...] = key(sequence(placed(Section(Source))), ())
    """Who can have sent by which interface."""
    fragments: tuple[str, ...] = key(sequence(_interface), ())
    """Interfaces by which no fragments come in."""
    new_rates: tuple[NewRate, ...] = key(sequence(placed(Section(NewRate))), ())
    """How many flows may begin."""
    rules: tuple[StageRule, ...] = key(_rules, ())
    """The operator's own, by priority."""
    origin: str = _origin()
    """Where it stands."""


@attrs.frozen
class Served:
    """Something that the machine serves."""

    wan: Policing = key(choice(Policing), Policing.ACCEPT)
    """What becomes of requests from the Internet."""
    lan: Policing = key(choice(Policing), Policing.ACCEPT)
    """Of those from a LAN."""
    rate: int | None = key(_rate, None)
    """So many a second of one sender; None: as many as there are."""
    origin: str = _origin()
    """Where it stands."""


@attrs.frozen
class DnsServed:
    """Queries to the gateway, by who asks: the first bucket that he is in counts; beyond its rate they are dropped."""

    black_list: PrefixList = key(_LIST, PrefixList())
    """Of these, none is answered."""
    white_list: PrefixList = key(_LIST, PrefixList())
    """Resolvers that are known well."""
    white_rate: int = key(_rate, 181)
    """Queries a second of one of them."""
    well_known: PrefixList = key(_LIST, PrefixList())
    """Resolvers that many use."""
    well_known_rate: int = key(_rate, 75)
    """Queries a second of one of them."""
    rate: int | None = key(_rate, None)
    """Of every other one on the Internet; None: as many as he likes."""
    lan_rate: int | None = key(_rate, None)
    """Of a host on a LAN; None: as many as it likes."""
    unsolicited: bool = key(boolean, False)
    """Whether responses come in that nobody has asked for."""
    origin: str = _origin()
    """Where it stands."""


@attrs.frozen
class Services:
    """What the gateway itself serves."""

    dhcp: Served = key(placed(Section(Served)), Served())
    """DHCP: ports 67 and 547 of UDP."""
    http: Served = key(placed(Section(Served)), Served())
    """HTTP: ports 80 and 443 of TCP."""
    dns: DnsServed = key(placed(Section(DnsServed)), DnsServed())
    """DNS: where `dns` listens."""
    rules: tuple[StageRule, ...] = key(_rules, ())
    """The operator's own rules for the rest, by priority."""
    others: Served = key(placed(Section(Served)), Served())
    """What becomes of what no rule is about."""


@attrs.frozen
class Group:
    """A group of subscribers, a tariff for example."""

    name: str
    """As subscribers have it in their `groups`."""
    rules: tuple[StageRule, ...] = key(group_rules(MOST_RULES), ())
    """What holds for each of its hosts, before the host's own rules; by priority."""
    origin: str = _origin()
    """Where it stands."""


_group_name = matching(
    r"[A-Za-z0-9][A-Za-z0-9_.-]{0,30}", "up to 31 letters, digits, '_', '-' and '.', a letter or a digit first"
)


def _build_group(rules: tuple[StageRule, ...] = ()) -> Group:
    return Group("", rules)


_groups = table(remembered(Label.GROUP, _group_name), placed(Section(_build_group, keys_of(Group))))


def _read_groups(node: Node, problems: Problems) -> Steps[tuple[Group, ...] | None]:
    said: dict[str, Group] | None = yield from reading(_groups, node, problems)
    if said is None:
        return None
    rules = sum(len(each.rules) for each in said.values())
    if len(said) > MOST_GROUPS or rules > MOST_GROUP_RULES:
        most = f"at most {MOST_GROUPS} and {MOST_GROUP_RULES}"
        problems.add(node, f"there are {len(said)} groups with {rules} rules in all: write {most}")
        return None
    return tuple(attrs.evolve(each, name=name) for name, each in said.items())


@attrs.frozen
class Segment:
    """How large segments of TCP by an interface may be."""

    interface: str = key(_interface)
    """It."""
    size: int | None = key(integer(LEAST_SEGMENT, LARGEST_SEGMENT), None)
    """So many octets; None: what the way takes (path MTU)."""
    origin: str = _origin()
    """Where it stands."""


@attrs.frozen
class Pipeline:
    """The stages."""

    tunnels: tuple[str, ...] = key(sequence(remembered(Label.TUNNEL, parsed(identifiers.interface_name))), ())
    """Interfaces of neither side that stages may be about."""
    marking: bool = key(boolean, False)
    """Whether packets are marked by where they come from and go to."""
    reject: tuple[Refused, ...] = key(sequence(choice(Refused)), tuple(Refused))
    """Who is told that the pool has refused him."""
    preemptive: Preemptive = key(placed(Part(Preemptive)), Preemptive())
    """Before anything else."""
    services: Services = key(Part(Services), Services())
    """What the gateway itself serves."""
    groups: tuple[Group, ...] = key(Stepwise(_read_groups, _groups.schema), ())
    """Groups of subscribers; where there is one, no subscriber has a group that is none of them."""
    segments: tuple[Segment, ...] = key(sequence(placed(Section(Segment))), ())
    """Besides what is so in any case: between WAN and LANs, what the way takes."""

    def filled(self, where: str, said: PrefixList) -> Pipeline:
        """The same with another list.

        Args:
            where: The keys that lead to it, as `lists` has them.
            said: It.
        """
        made: Pipeline = _with(self, where.split("."), said)
        return made

    def lists(self) -> Iterator[tuple[str, PrefixList]]:
        """All lists of prefixes, with the keys that lead to each."""
        first, dns = self.preemptive, self.services.dns
        yield "preemptive.black_list", first.black_list
        yield "preemptive.white_list", first.white_list
        yield "services.dns.black_list", dns.black_list
        yield "services.dns.white_list", dns.white_list
        yield "services.dns.well_known", dns.well_known


def _with(value: Any, keys: list[str], said: PrefixList) -> Any:
    """A value with another one somewhere below it."""
    word, *below = keys
    return attrs.evolve(value, **{word: _with(getattr(value, word), below, said) if below else said})
