"""The settings of policies: who is given addresses of the pool, and which stages the network policy has."""

from __future__ import annotations

import enum

import attrs

from realmgw.config.addresses import network
from realmgw.config.document import Node, Problems
from realmgw.config.labels import Label
from realmgw.config.parts import Part
from realmgw.config.pipeline import Pipeline
from realmgw.config.steps import Steps
from realmgw.config.validators import (
    Section,
    Stepwise,
    Validator,
    boolean,
    choice,
    integer,
    key,
    number,
    parsed,
    reading,
    remembered,
    sequence,
)
from realmgw.config.values import Network

_reputation = number(0.0, 1.0)
_load = number(0.0, 100.0)


@attrs.frozen
class Challenges:
    """What a resolver must do before it gets an address of the pool; what is stricter counts first."""

    tcpcname: bool = key(boolean, False)
    """Names are answered by TCP only, and with a one-time alias."""
    tcp: bool = key(boolean, False)
    """The first query must come by TCP, or with a server cookie."""
    cname: bool = key(boolean, False)
    """An address is given for a one-time alias only."""
    adaptive: bool = key(boolean, False)
    """The cheapest challenge that its group has passed before, and none if the group has passed one lately."""
    log_untrusted: bool = key(boolean, False)
    """Count for each group of resolvers how it asked, by proven and by unproven means."""


class UnknownHosts(enum.Enum):
    """What becomes of flows of LAN hosts that are no subscribers."""

    ACCEPT = "accept"
    """They may leave."""
    DROP = "drop"
    """They may not."""
    GUEST = "guest"
    """They may not, and are shown the portal."""


class PolicyStage(enum.Enum):
    """A stage of the network policy. The values are the words of existing deployments."""

    PACKET_MARKING = "PACKET_MARKING"
    """Marks by ingress and egress interface."""
    NAT = "NAT"
    """The pool to user space, and address translation."""
    MREJECT = "mREJECT"
    """Refusals told by protocol."""
    ADMIN_PREEMPTIVE = "ADMIN_PREEMPTIVE"
    """What is dropped or accepted before anything else."""
    GROUP_POLICY = "GROUP_POLICY"
    """By groups of subscribers."""
    CUSTOMER_POLICY = "CUSTOMER_POLICY"
    """By subscriber."""
    ADMIN_POLICY = "ADMIN_POLICY"
    """What the gateway itself serves."""
    ADMIN_POLICY_DHCP = "ADMIN_POLICY_DHCP"
    """Of it: DHCP."""
    ADMIN_POLICY_HTTP = "ADMIN_POLICY_HTTP"
    """Of it: HTTP."""
    ADMIN_POLICY_DNS = "ADMIN_POLICY_DNS"
    """Of it: DNS."""
    GUEST_SERVICES = "GUEST_SERVICES"
    """For hosts that are not registered."""


BEFORE_ROUTING = frozenset(
    (PolicyStage.PACKET_MARKING, PolicyStage.NAT, PolicyStage.MREJECT, PolicyStage.ADMIN_PREEMPTIVE)
)
"""Stages that a packet meets before it is routed, whatever their order; the others come after."""
ALWAYS = (PolicyStage.NAT, PolicyStage.CUSTOMER_POLICY, PolicyStage.GUEST_SERVICES)
"""Stages that can not be left out: what they do, others say (subscribers, `datapath.unknown_hosts`)."""


class Combination(enum.Enum):
    """Which of the resolver's and the requestor's reputation is offered."""

    MAX = "max"
    """The better one."""
    MIN = "min"
    """The worse one."""
    AVG = "avg"
    """Their mean."""


@attrs.frozen
class LoadBand:
    """What reputation an allocation needs while the pool's load is within a range.

    All bands that contain the load are tried in their order; the first whose demand is met allocates.
    """

    threshold_min: float = key(_load)
    """The lowest load: per cent of the pool's addresses that are taken, 0 to 100."""
    threshold_max: float = key(_load)
    """The highest load."""
    fqdn_new: float = key(_reputation)
    """The reputation, 0 to 1, for a whole address."""
    sfqdn_new: float = key(_reputation)
    """For a service at an address that nobody has."""
    sfqdn_reuse: float = key(_reputation)
    """For a service at an address that others have already."""
    math: Combination = key(choice(Combination), Combination.MAX)
    """Which reputation is offered."""


_BAND = Section(LoadBand)


def load_band(node: Node, problems: Problems) -> LoadBand | None:
    """A band of the load policy; it ends where it begins or above."""
    band = _BAND(node, problems)
    if band is not None and band.threshold_max < band.threshold_min:
        problems.add(node, "'threshold_max' is below 'threshold_min': write them the other way round")
        return None
    return band


_load_bands = sequence(Validator(load_band, _BAND.schema))


def _read_load_bands(node: Node, problems: Problems) -> Steps[tuple[LoadBand, ...] | None]:
    """All bands. If there are any, one of them contains a load of 0: else an empty pool would stay empty for ever."""
    bands = yield from reading(_load_bands, node, problems)
    if bands and min(band.threshold_min for band in bands) > 0.0:
        problems.add(node, "no band begins at 0, so nobody would ever get an address: write one, or [] for no demands")
        return None
    return bands


load_bands = Stepwise(_read_load_bands, _load_bands.schema)
"""All bands."""


@attrs.frozen
class ResolverGroup:
    """Resolvers that belong together, known from the beginning."""

    nodes: tuple[Network, ...] = key(sequence(remembered(Label.RESOLVER, parsed(network)), at_least=1))
    """Their addresses and prefixes; at least one."""
    initial_reputation: float = key(_reputation, 0.45)
    """0 to 1."""
    sla: bool = key(boolean, False)
    """There is an agreement: we believe what they say about their clients."""
    merges: bool = key(boolean, True)
    """It becomes one with another group whose resolver asks for an alias that this one was given, or the other way."""


REFERENCE_BANDS = (
    LoadBand(99.0, 100.0, 1.0, 0.85, 0.75, Combination.MIN),
    LoadBand(66.0, 99.0, 0.85, 0.65, 0.55, Combination.AVG),
    LoadBand(33.0, 66.0, 0.75, 0.45, 0.25, Combination.MAX),
    LoadBand(0.0, 33.0, 0.2, 0.15, 0.05, Combination.MAX),
)
"""The load policy of a gateway whose operator has none."""


class Refusal(enum.Enum):
    """What a resolver is told by UDP when the policy refuses its query."""

    SILENCE = "silence"
    """Nothing: it asks again, or another server."""
    SERVFAIL = "servfail"
    """SERVFAIL, with the reason as an Extended DNS Error (RFC 8914)."""


class Audit(enum.Enum):
    """A rule that is decided and counted, but not enforced."""

    LOAD = "load"
    """The load policy, `max_claims` included."""
    CHALLENGES = "challenges"
    """Challenges: who was due one gets his answer all the same."""
    RATE = "rate"
    """The rate limit of answers."""


@attrs.frozen
class Policy:
    """To whom addresses of the pool are given."""

    max_claims: int | None = key(integer(1, 2**31 - 1), None)
    """How many claims may be pending for all hosts together; None: as many as there is room for."""
    system_load: tuple[LoadBand, ...] = key(load_bands, REFERENCE_BANDS)
    """What reputation is needed at which load; empty: none at any."""
    challenges: Challenges = key(remembered(Label.CHALLENGES, Section(Challenges)), Challenges(adaptive=True))
    """For the names of every zone that has none of its own."""
    groups: tuple[ResolverGroup, ...] = key(sequence(Section(ResolverGroup)), ())
    """Resolvers that are known from the beginning."""
    refuse_udp: Refusal = key(choice(Refusal), Refusal.SILENCE)
    """What those are told by UDP whom the load policy refuses."""
    audit: tuple[Audit, ...] = key(sequence(remembered(Label.AUDIT, choice(Audit))), ())
    """Rules that are only counted."""
    pipeline: Pipeline = key(Part(Pipeline), Pipeline())
    """What the stages of the network policy do."""
