"""The settings of policies: who is given addresses of the pool, and which stages the network policy has."""

from __future__ import annotations

import enum

import attrs

from realmgw.config.values import Network


@attrs.frozen
class Challenges:
    """What a resolver must do before it gets an address of the pool; what is stricter counts first."""

    tcpcname: bool = False
    """Names are answered by TCP only, and with a one-time alias."""
    tcp: bool = False
    """The first query must come by TCP, or with a server cookie."""
    cname: bool = False
    """An address is given for a one-time alias only."""
    adaptive: bool = False
    """The cheapest challenge that its group has passed before, and none if the group has passed one lately."""
    log_untrusted: bool = False
    """Count for each group of resolvers how it asked, by proven and by unproven means."""


class UnknownHosts(enum.Enum):
    """What becomes of flows of LAN hosts that are no subscribers."""

    ACCEPT = "accept"
    """They may leave."""
    DROP = "drop"
    """They may not."""


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

    threshold_min: float
    """The lowest load: per cent of the pool's addresses that are taken, 0 to 100."""
    threshold_max: float
    """The highest load."""
    fqdn_new: float
    """The reputation, 0 to 1, for a whole address."""
    sfqdn_new: float
    """For a service at an address that nobody has."""
    sfqdn_reuse: float
    """For a service at an address that others have already."""
    math: Combination = Combination.MAX
    """Which reputation is offered."""


@attrs.frozen
class ResolverGroup:
    """Resolvers that belong together, known from the beginning."""

    nodes: tuple[Network, ...]
    """Their addresses and prefixes; at least one."""
    initial_reputation: float = 0.45
    """0 to 1."""
    sla: bool = False
    """There is an agreement: we believe what they say about their clients."""
    merges: bool = True
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

    max_claims: int | None = None
    """How many claims may be pending for all hosts together; None: as many as there is room for."""
    system_load: tuple[LoadBand, ...] = REFERENCE_BANDS
    """What reputation is needed at which load; empty: none at any."""
    challenges: Challenges = Challenges(adaptive=True)
    """For the names of every zone that has none of its own."""
    groups: tuple[ResolverGroup, ...] = ()
    """Resolvers that are known from the beginning."""
    refuse_udp: Refusal = Refusal.SILENCE
    """What those are told by UDP whom the load policy refuses."""
    audit: tuple[Audit, ...] = ()
    """Rules that are only counted."""
