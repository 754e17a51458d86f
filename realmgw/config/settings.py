"""The settings of a gateway as frozen values: what the rest of the program sees of the configuration.

Every field's default is the default of the configuration key of the same name. Addresses and networks are `ipaddress`
values, durations are seconds, names are absolute, lower case, with the final dot.
"""

from __future__ import annotations

import enum
from pathlib import PurePath

import attrs

from realmgw.config.defences import Cookies as Cookies
from realmgw.config.defences import RateLimit as RateLimit
from realmgw.config.external import Control as Control
from realmgw.config.external import LogFormat as LogFormat
from realmgw.config.external import Logging as Logging
from realmgw.config.external import LogLevel as LogLevel
from realmgw.config.external import Reload as Reload
from realmgw.config.external import Repository as Repository
from realmgw.config.external import Synproxy as Synproxy
from realmgw.config.external import Watch as Watch
from realmgw.config.policy import REFERENCE_BANDS as REFERENCE_BANDS
from realmgw.config.policy import Audit as Audit
from realmgw.config.policy import Challenges as Challenges
from realmgw.config.policy import Combination as Combination
from realmgw.config.policy import LoadBand as LoadBand
from realmgw.config.policy import Policy as Policy
from realmgw.config.policy import PolicyStage as PolicyStage
from realmgw.config.policy import Refusal as Refusal
from realmgw.config.policy import ResolverGroup as ResolverGroup
from realmgw.config.policy import UnknownHosts as UnknownHosts
from realmgw.config.values import Address as Address
from realmgw.config.values import Endpoint as Endpoint
from realmgw.config.values import Network as Network


class Attachment(enum.Enum):
    """How the addresses of a pool prefix come to this gateway."""

    ROUTED = "routed"
    """The upstream router has a route for the prefix to us."""
    ON_LINK = "on-link"
    """The prefix is part of the WAN link: we answer ARP for it."""


class Dnat(enum.Enum):
    """How the kernel sends a flow to the host that its mark stands for."""

    MAP = "map"
    """nftables' own `dnat to meta mark map`."""
    MARKDNAT = "markdnat"
    """The MARKDNAT target of iptables, a kernel module of ours."""
    AUTO = "auto"
    """The first of these that works."""


class WhileDegraded(enum.Enum):
    """What a query for an address gets while something that flows need is broken."""

    REFUSE = "refuse"
    """SERVFAIL, with the reason: the resolver asks another server, or again."""
    LEND = "lend"
    """An address, as ever; the client may not get through."""


@attrs.frozen
class PoolPrefix:
    """A piece of the circular pool."""

    network: Network
    """A prefix without host bits."""
    attachment: Attachment
    """How it comes to us."""


@attrs.frozen
class NameServer:
    """A name server of a zone and, where it is within our zones, its address (the glue and its own A record)."""

    name: str
    """Its FQDN."""
    address: Address | None = None
    """Its address, for a name within our zones."""


@attrs.frozen
class Zone:
    """A zone that we are authoritative for, forward or reverse."""

    name: str
    """The apex."""
    name_servers: tuple[NameServer, ...]
    """At least one; the first is the SOA's MNAME."""
    contact: str
    """The SOA's RNAME."""
    apex_address: Address | None = None
    """The A record of the apex itself, if it shall have one."""
    negative_ttl: int = 5  # seconds
    """The SOA's MINIMUM and the TTL of negative answers; small, since a name may be added at any time."""
    ttl: int = 300  # seconds
    """TTL of SOA, NS and the zone's own address records."""
    aliases: bool = False
    """One-time aliases are made in it; no subscriber's names are."""
    challenges: Challenges | None = None
    """For names of this zone; None: those of the policy."""


@attrs.frozen
class DnsFace:
    """One side of the DNS server."""

    listen: tuple[Endpoint, ...] = ()
    """UDP and TCP."""
    tcp_idle_timeout: float = 10.0  # seconds
    """How long a TCP connection may be silent."""
    tcp_connections: int = 1000
    """How many TCP connections may be open at once."""
    tcp_connections_per_client: int = 200
    """How many of them one client address may have."""


@attrs.frozen
class UpdateFace:
    """Where dynamic updates (RFC 2136) come in."""

    listen: tuple[Endpoint, ...] = ()
    """UDP and TCP."""
    key_file: PurePath | None = None
    """The TSIG keys (RFC 8945) that updates are signed with; None: they are not signed."""


@attrs.frozen
class Timeouts:
    """How long to wait for a resolver's answer before asking again, by record type; after the last one: SERVFAIL."""

    default: tuple[float, ...] = (0.25, 0.25, 0.25)  # seconds
    """Of every type that has none of its own."""
    a: tuple[float, ...] | None = None  # seconds
    """Of A; None, here and below: as the default."""
    aaaa: tuple[float, ...] | None = None  # seconds
    """Of AAAA."""
    srv: tuple[float, ...] | None = None  # seconds
    """Of SRV."""
    naptr: tuple[float, ...] | None = None  # seconds
    """Of NAPTR."""


@attrs.frozen
class Forwarding:
    """Where the LAN's questions about other people's names go."""

    resolvers: tuple[Endpoint, ...] = ()
    """Asked in turn; none: such questions are refused."""
    timeouts: Timeouts = Timeouts()
    """How long they have."""


@attrs.frozen
class Dns:
    """The DNS server."""

    wan: DnsFace = DnsFace()
    """Serves the zones with reservation."""
    lan: DnsFace = DnsFace()
    """Serves the zones with private addresses, without reservation."""
    local: DnsFace = DnsFace()
    """Serves the gateway's own processes, as the LAN."""
    update: UpdateFace = UpdateFace()
    """Takes dynamic updates, from a DHCP server for example."""
    forward: Forwarding = Forwarding()
    """Resolvers for the LAN's other questions."""
    udp_size: int = 1232  # octets
    """The longest UDP answer that we give or say we take (RFC 9715); 512 to 1232."""
    host_ttl: int = 30  # seconds
    """TTL of private addresses on the LAN."""
    service_pool_ttl: int = 10  # seconds
    """TTL of the service pool's address."""
    cookies: Cookies = Cookies()
    """Server cookies on the WAN."""
    rate_limit: RateLimit = RateLimit()
    """How many answers without an address a network gets on the WAN."""


@attrs.frozen
class Interfaces:
    """Names of the network interfaces."""

    wan: str
    """Towards the public Internet."""
    lan: tuple[str, ...]
    """Towards the private hosts."""


@attrs.frozen
class Pools:
    """The public addresses."""

    circular: tuple[PoolPrefix, ...]
    """Lent to services, one after the other. Prefixes do not overlap."""
    service: tuple[Address, ...] = ()
    """Where names with `proxy_required` are answered."""
    outbound: tuple[Address, Address] | None = None
    """First and last address of LAN hosts' own flows; None: the first circular prefixes, as far as they adjoin."""
    outbound_ports: tuple[int, int] = (32768, 65535)
    """First and last port of LAN hosts' own flows. What the outside sees is drawn from these by chance, so that it is
    never the port of a service, and no host can choose it."""


@attrs.frozen
class Allocation:
    """How the pool is shared out."""

    share_load: float = 0.5
    """Load (waiting addresses / pool size) from which claims of different resolver groups may share an address."""
    claim_sources: int = 0
    """How many different senders one claim may let in until its deadline; 1 = strict, 0 = as many as `candidate_rate`
    lets in."""
    candidate_rate: int = 2000
    """How many senders without a claim of their own may come within a second to a service for which one was used."""
    company: float = 1.0  # seconds
    """For so long at most after a client came, others do not get his address, where further clients may have been told
    the same: a resolver asks once for all of its clients that ask meanwhile."""
    caution: bool = True
    """Whether a resolver that is new, and asks for several clients, is taken to keep answers until it has shown that it
    does not."""
    keeper_share: float = 0.5
    """So large a part of the pool at most stands for long for resolvers that keep answers, while others ask as well."""
    linger: float = 600.0  # seconds
    """How long an address still belongs to its host after the last claim was used, if nobody else needs it, at a load
    below 0.5."""
    linger_loaded: float = 1.0  # seconds
    """The same at a load of 0.9 or more; in between it falls linearly."""
    ended_flows: int = 65536
    """How many flows of protocols without a handshake are remembered, after conntrack has forgotten them; 0: none."""
    ended_time: float = 600.0  # seconds
    """For how long."""
    idle_exchange: float = 2.0  # seconds
    """For so long nothing more has come of a single exchange of UDP before it is ended, where its address has passed on
    to another host; 0: it is left alone."""
    idle_flow: float = 45.0  # seconds
    """The same of a flow of UDP that was more than that."""
    wait_udp: float = 0.9  # seconds
    """How long a query by UDP may wait for an address."""
    wait_tcp: float = 2.0  # seconds
    """The same by TCP, of those whose clients come as well as anybody's."""
    max_waiting: int = 1000
    """How many queries may wait at once."""
    max_groups: int = 65536
    """How many resolver groups are remembered."""
    while_degraded: WhileDegraded = WhileDegraded.REFUSE
    """Whether addresses are lent while something that flows need is broken."""


@attrs.frozen
class Admission:
    """The first packets."""

    queue: int = 1
    """NFQUEUE number."""
    queue_length: int = 4096
    """How many packets the kernel holds for us."""
    per_turn: int = 32
    """How many packets are decided in one turn of the reactor."""
    stray_threshold: int = 50
    """So many refused packets of one sender within one second, and the kernel takes over."""
    stray_timeout: float = 10.0  # seconds
    """How long the kernel keeps such a sender to `stray_rate`."""
    stray_rate: int = 50
    """New flows per second that such a sender may still present to user space."""


class Verdict(enum.Enum):
    """What becomes of packets."""

    ACCEPT = "accept"
    """They pass."""
    DROP = "drop"
    """They do not."""


@attrs.frozen
class Forward:
    """What is forwarded besides admitted flows and flows from a LAN to the WAN; nothing of it leads from WAN to LAN."""

    lan_to_lan: Verdict = Verdict.DROP
    """Between two LANs."""
    others: Verdict = Verdict.DROP
    """What comes from or goes to an interface that is none of ours, and neither comes from a LAN nor goes to one."""


@attrs.frozen
class Datapath:
    """The kernel's rules."""

    table: str = "realmgw"
    """Name of our nftables table (family inet)."""
    reject_rate: int = 1000
    """Refusals told to senders per second; beyond it they are dropped in silence."""
    dnat: Dnat = Dnat.MAP
    """How a flow is sent to its host."""
    forward: Forward = Forward()
    """What else is forwarded."""
    unknown_hosts: UnknownHosts = UnknownHosts.ACCEPT
    """What becomes of outgoing flows of LAN hosts that are no subscribers."""
    policy_order: tuple[PolicyStage, ...] = tuple(PolicyStage)
    """The stages of the network policy that are installed, in this order; none stands twice."""
    network_api: str | None = None
    """URL of a network controller's interface; None: there is none."""


@attrs.frozen
class Settings:
    """All settings of one gateway."""

    name: str
    """The gateway's own name."""
    zones: tuple[Zone, ...]
    """Forward and reverse zones; at least one forward zone."""
    interfaces: Interfaces
    """Its sides."""
    pools: Pools
    """Its public addresses."""
    dns: Dns = Dns()
    """Its DNS server."""
    allocation: Allocation = Allocation()
    """How the pool is shared out."""
    admission: Admission = Admission()
    """First packets."""
    datapath: Datapath = Datapath()
    """The kernel's rules."""
    subscribers: tuple[PurePath, ...] = ()
    """Folders of subscriber files (`*.yaml`); in a later folder, a file of the same name replaces the earlier one."""
    policies: tuple[PurePath, ...] = ()
    """Folders of policy files, beside `policies.d` of the layers; they are read with the main file."""
    drop_ins: tuple[PurePath, ...] = (PurePath("/usr/lib/realmgw"), PurePath())
    """The layers: folders with `zones.d`, `policies.d`, `subscribers.d` and `realmgw.d`; a later one comes first."""
    state: PurePath = PurePath("/var/lib/realmgw")
    """Where the gateway keeps what must outlive it."""
    policy: Policy = Policy()
    """To whom addresses are given."""
    reload: Reload = Reload()
    """What a reload believes."""
    repository: Repository = Repository()
    """A policy database."""
    synproxy: Synproxy = Synproxy()
    """A SYN proxy upstream."""
    control: Control = Control()
    """How operators reach it."""
    logging: Logging = Logging()
    """What is logged."""
