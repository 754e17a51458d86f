"""The settings of a gateway as frozen values: what the rest of the program sees of the configuration.

Every field's default is the default of the configuration key of the same name. Addresses and networks are `ipaddress`
values, durations are seconds, names are absolute, lower case, with the final dot.
"""

from __future__ import annotations

import enum
from ipaddress import IPv4Network, IPv6Network
from itertools import chain
from pathlib import PurePath

import attrs

from realmgw.config import identifiers
from realmgw.config.addresses import AddressRange, PortRange, host, ipv4_range, port_range, prefixes, url
from realmgw.config.alerts import ALERTS
from realmgw.config.alerts import Alerts as Alerts
from realmgw.config.dashboard import DASHBOARD
from realmgw.config.dashboard import Dashboard as Dashboard
from realmgw.config.dashboard import DashboardTls as DashboardTls
from realmgw.config.dns import Cookies as Cookies
from realmgw.config.dns import Dns as Dns
from realmgw.config.dns import Dns64 as Dns64
from realmgw.config.dns import DnsView as DnsView
from realmgw.config.dns import Forwarding as Forwarding
from realmgw.config.dns import ListForm as ListForm
from realmgw.config.dns import ListReason as ListReason
from realmgw.config.dns import NameList as NameList
from realmgw.config.dns import RateLimit as RateLimit
from realmgw.config.dns import Timeouts as Timeouts
from realmgw.config.dns import UpdateView as UpdateView
from realmgw.config.expectations import TESTS, Expectation
from realmgw.config.external import Control as Control
from realmgw.config.external import LogFormat as LogFormat
from realmgw.config.external import Logging as Logging
from realmgw.config.external import LogLevel as LogLevel
from realmgw.config.external import Reload as Reload
from realmgw.config.external import Repository as Repository
from realmgw.config.external import Synproxy as Synproxy
from realmgw.config.external import Watch as Watch
from realmgw.config.flow_records import FlowRecords as FlowRecords
from realmgw.config.flows import Dnat as Dnat
from realmgw.config.flows import Offload as Offload
from realmgw.config.ipv6 import Ipv6 as Ipv6
from realmgw.config.ipv6 import Ipv6Mode as Ipv6Mode
from realmgw.config.ipv6 import Leave6 as Leave6
from realmgw.config.ipv6 import Outbound6 as Outbound6
from realmgw.config.ipv6 import PrefixMode as PrefixMode
from realmgw.config.labels import Label
from realmgw.config.layers import MOST_FOLDERS
from realmgw.config.metrics import Metrics as Metrics
from realmgw.config.nflog import Nflog as Nflog
from realmgw.config.parts import Part
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
from realmgw.config.portal import PORTAL
from realmgw.config.portal import Language as Language
from realmgw.config.portal import Portal as Portal
from realmgw.config.portal import PortalTls as PortalTls
from realmgw.config.terms import DefaultHost as DefaultHost
from realmgw.config.terms import DefaultService as DefaultService
from realmgw.config.validators import (
    Key,
    Section,
    boolean,
    choice,
    converted,
    integer,
    key,
    number,
    parsed,
    remembered,
    sequence,
)  # fmt: skip
from realmgw.config.values import MAX_DURATION
from realmgw.config.values import Address as Address
from realmgw.config.values import Network as Network
from realmgw.config.values import Peer as Peer
from realmgw.config.values import Resolver as Resolver
from realmgw.config.webproxy import Webproxy as Webproxy
from realmgw.system.endpoints import Endpoint as Endpoint

FOLDERS = sequence(parsed(PurePath), at_most=MOST_FOLDERS)
interface = parsed(identifiers.interface_name)


class Attachment(enum.Enum):
    """How the addresses of a pool prefix come to this gateway."""

    ROUTED = "routed"
    """The upstream router has a route for the prefix to us."""
    ON_LINK = "on-link"
    """The prefix is part of the WAN link: we answer ARP for it."""


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


def _pool_piece(addresses: tuple[Network, ...], attachment: Attachment) -> tuple[PoolPrefix, ...]:
    return tuple(PoolPrefix(network, attachment) for network in addresses)


POOL_PIECE = Section(
    _pool_piece,
    {
        "addresses": Key(remembered(Label.POOL, parsed(prefixes)), required=True),
        "attachment": Key(choice(Attachment), required=True),
    },
)


@attrs.frozen
class NameServer:
    """A name server of a zone and, where it is within our zones, its addresses (the glue and its own records)."""

    name: str
    """Its FQDN."""
    addresses: tuple[Address, ...] = ()
    """For a name within our zones: one of IPv4, one of IPv6, or both in this order."""


@attrs.frozen
class Zone:
    """A zone that we are authoritative for, forward or reverse."""

    name: str
    """The apex."""
    name_servers: tuple[NameServer, ...]
    """At least one; the first is the SOA's MNAME."""
    contact: str
    """The SOA's RNAME."""
    apex_addresses: tuple[Address, ...] = ()
    """The A and AAAA records of the apex itself, if it shall have any: at most one each, IPv4 first."""
    negative_ttl: int = 5  # seconds
    """The SOA's MINIMUM and the TTL of negative answers; small, since a name may be added at any time."""
    ttl: int = 300  # seconds
    """TTL of SOA, NS and the zone's own address records."""
    aliases: bool = False
    """One-time aliases are made in it; no subscriber's names are."""
    challenges: Challenges | None = None
    """For names of this zone; None: those of the policy."""


@attrs.frozen
class Interfaces:
    """Names of the network interfaces."""

    wan: str = key(remembered(Label.INTERFACE, interface))
    """Towards the public Internet."""
    lan: tuple[str, ...] = key(sequence(remembered(Label.INTERFACE, remembered(Label.LAN, interface)), at_least=1))
    """Towards the private hosts."""


@attrs.frozen
class Pools:
    """The public addresses."""

    circular: tuple[PoolPrefix, ...] = key(
        converted(sequence(POOL_PIECE, at_least=1), lambda pieces: tuple(chain(*pieces)))
    )
    """Lent to services, one after the other. Prefixes do not overlap."""
    service: tuple[Address, ...] = key(sequence(remembered(Label.SERVICE, parsed(host))), ())
    """Where names with `proxy_required` are answered: A with those of IPv4, AAAA with those of IPv6."""
    outbound: AddressRange | None = key(parsed(ipv4_range), None)
    """IPv4 addresses of LAN hosts' own flows; None: the first circular prefixes, as far as they adjoin."""
    outbound_ports: PortRange = key(parsed(port_range), PortRange(32768, 65535))
    """Ports of LAN hosts' own flows. What the outside sees is drawn from these by chance, so that it is
    never the port of a service, and no host can choose it."""

    @property
    def networks(self) -> tuple[Network, ...]:
        """All prefixes of the circular pool."""
        return tuple(piece.network for piece in self.circular)

    @property
    def networks4(self) -> tuple[IPv4Network, ...]:
        """The prefixes of the circular pool of IPv4, where addresses are scarce."""
        return tuple(piece.network for piece in self.circular if isinstance(piece.network, IPv4Network))

    @property
    def networks6(self) -> tuple[IPv6Network, ...]:
        """The prefixes of the pool of IPv6, where each claim gets an address of its own."""
        return tuple(piece.network for piece in self.circular if isinstance(piece.network, IPv6Network))

    @property
    def solicited(self) -> bool:
        """Whether neighbours ask us for addresses of IPv6: a prefix of it is on-link."""
        return any(piece.attachment is Attachment.ON_LINK and piece.network.version == 6 for piece in self.circular)

    @property
    def size(self) -> int:
        """How many IPv4 addresses the circular pool has."""
        return sum(network.num_addresses for network in self.networks4)


@attrs.frozen
class Allocation:
    """How the pool is shared out."""

    share_load: float = key(number(0.0, 1.0), 0.5)
    """Load (waiting addresses / pool size) from which claims of different resolver groups may share an address."""
    claim_sources: int = key(integer(0, 100), 0)
    """So many senders one claim may let in until its deadline; 1 = strict, 0 = as many as `candidate_rate` lets in."""
    candidate_rate: int = key(integer(1, 1_000_000), 2000)
    """How many senders without a claim of their own may come within a second to a service for which one was used."""
    hold_after_use: float = key(number(0.0, 1.0), 1.0, formerly="company")  # seconds
    """For so long at most after a client came, others do not get his address, where further clients may have been told
    the same: a resolver asks once for all of its clients that ask meanwhile."""
    caution: bool = key(boolean, True)
    """Whether a new resolver that asks for several clients is taken to keep answers, until it has shown otherwise."""
    keeper_share: float = key(number(0.0, 1.0), 0.5)
    """So large a part of the pool at most stands for long for resolvers that keep answers, while others ask as well."""
    linger: float = key(remembered(Label.LINGER, number(0.0, MAX_DURATION)), 600.0)  # seconds
    """For so long an address is its host's after the last claim was used, if nobody needs it, at a load below 0.5."""
    linger_loaded: float = key(remembered(Label.LINGER_LOADED, number(0.0, MAX_DURATION)), 1.0)  # seconds
    """The same at a load of 0.9 or more; in between it falls linearly."""
    ended_flows: int = key(integer(0, 10_000_000), 65536)
    """How many flows of protocols without a handshake are remembered, after conntrack has forgotten them; 0: none."""
    ended_time: float = key(number(0.0, MAX_DURATION), 600.0)  # seconds
    """For how long."""
    idle_exchange: float = key(number(0.0, MAX_DURATION), 2.0)  # seconds
    """So long a single exchange of UDP rests before it is ended, where its address has passed on; 0: it is not."""
    idle_flow: float = key(number(0.0, MAX_DURATION), 45.0)  # seconds
    """The same of a flow of UDP that was more than that."""
    wait_udp: float = key(number(0.0, 10.0), 0.9)  # seconds
    """How long a query by UDP may wait for an address."""
    wait_tcp: float = key(number(0.0, 10.0), 2.0)  # seconds
    """The same by TCP, of those whose clients come as well as anybody's."""
    max_waiting: int = key(integer(0, 1_000_000), 1000)
    """How many queries may wait at once."""
    max_groups: int = key(integer(1, 10_000_000), 65536)
    """How many resolver groups are remembered."""
    decisions: int = key(integer(0, 1_000_000), 32768)
    """How many answers, refused answers, first packets and refused ones `realmgw log` knows; 0: none."""
    while_degraded: WhileDegraded = key(choice(WhileDegraded), WhileDegraded.REFUSE)
    """Whether addresses are lent while something that flows need is broken."""


@attrs.frozen
class Admission:
    """The first packets."""

    queue: int = key(integer(0, 65535), 1)
    """NFQUEUE number."""
    queue_length: int = key(integer(1, 1_000_000), 4096)
    """How many packets the kernel holds for us."""
    per_turn: int = key(integer(1, 4096), 32)
    """How many packets are decided in one turn of the reactor."""
    stray_threshold: int = key(integer(1, 1_000_000), 50)
    """So many refused packets of one sender within one second, and the kernel takes over."""
    stray_timeout: float = key(number(1.0, MAX_DURATION), 10.0)  # seconds
    """How long the kernel keeps such a sender to `stray_rate`."""
    stray_rate: int = key(integer(1, 1_000_000), 50)
    """New flows per second that such a sender may still present to user space."""
    ask_twice: bool = key(boolean, True)
    """Whether a SYN has to come twice while more first packets come than can be looked at."""


class Verdict(enum.Enum):
    """What becomes of packets."""

    ACCEPT = "accept"
    """They pass."""
    DROP = "drop"
    """They do not."""


@attrs.frozen
class Forward:
    """What is forwarded besides admitted flows and flows from a LAN to the WAN; nothing of it leads from WAN to LAN."""

    lan_to_lan: Verdict = key(choice(Verdict), Verdict.DROP)
    """Between two LANs."""
    others: Verdict = key(choice(Verdict), Verdict.DROP)
    """What comes from or goes to an interface that is none of ours, and neither comes from a LAN nor goes to one."""


@attrs.frozen
class Datapath:
    """The kernel's rules."""

    table: str = key(parsed(identifiers.table_name), "realmgw")
    """Name of our nftables table (family inet)."""
    reject_rate: int = key(integer(1, 1_000_000), 1000)
    """Refusals told to senders per second; beyond it they are dropped in silence."""
    dnat: Dnat = key(choice(Dnat, gone={"mark": "dnat: map, which needs no more of the machine"}), Dnat.MAP)
    """How a flow is sent to its host."""
    offload: Offload = key(choice(Offload), Offload.OFF)
    """Who carries flows that were let through."""
    forward: Forward = key(Section(Forward), Forward())
    """What else is forwarded."""
    unknown_hosts: UnknownHosts = key(remembered(Label.UNKNOWN_HOSTS, choice(UnknownHosts)), UnknownHosts.ACCEPT)
    """What becomes of outgoing flows of LAN hosts that are no subscribers."""
    policy_order: tuple[PolicyStage, ...] = key(
        sequence(remembered(Label.STAGE, choice(PolicyStage))), tuple(PolicyStage)
    )
    """The stages of the network policy that are installed, in this order; none stands twice."""
    network_api: str | None = key(parsed(url), None)
    """URL of a network controller's interface; None: there is none."""
    log: Nflog = key(Section(Nflog), Nflog())
    """Where rules with the target LOG tell of packets."""


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
    allocation: Allocation = key(Section(Allocation), Allocation())
    """How the pool is shared out."""
    ipv6: Ipv6 = key(Section(Ipv6), Ipv6())
    """What is particular to IPv6."""
    admission: Admission = key(Section(Admission), Admission())
    """First packets."""
    datapath: Datapath = key(Section(Datapath), Datapath())
    """The kernel's rules."""
    subscribers: tuple[PurePath, ...] = key(FOLDERS, ())
    """Folders of subscriber files (`*.yaml`); in a later folder, a file of the same name replaces the earlier one."""
    policies: tuple[PurePath, ...] = key(FOLDERS, ())
    """Folders of policy files, beside `policies.d` of the layers; they are read with the main file."""
    drop_ins: tuple[PurePath, ...] = key(FOLDERS, (PurePath("/usr/lib/realmgw"), PurePath()))
    """The layers: folders with `zones.d`, `policies.d`, `subscribers.d` and `realmgw.d`; a later one comes first."""
    state: PurePath = key(parsed(PurePath), PurePath("/var/lib/realmgw"))
    """Where the gateway keeps what must outlive it."""
    policy: Policy = key(Section(Policy), Policy())
    """To whom addresses are given."""
    reload: Reload = key(Section(Reload), Reload())
    """What a reload believes."""
    repository: Repository = key(Section(Repository), Repository())
    """A policy database."""
    portal: Portal | None = key(PORTAL, None)
    """The page for LAN hosts that are no subscribers; None: there is none."""
    synproxy: Synproxy = key(Part(Synproxy), Synproxy())
    """The SYN proxies upstream."""
    webproxy: Webproxy = key(Part(Webproxy), Webproxy())
    """The reverse proxy of the service pool."""
    alerts: Alerts | None = key(ALERTS, None)
    """What an intrusion detection system tells; None: nobody listens."""
    flow_records: FlowRecords = key(Part(FlowRecords), FlowRecords())
    """What is written down of flows."""
    control: Control = key(Section(Control), Control())
    """How operators reach it."""
    metrics: Metrics = key(Part(Metrics), Metrics())
    """What monitoring systems are told."""
    dashboard: Dashboard | None = key(DASHBOARD, None)
    """A page for operators; None: there is none."""
    logging: Logging = key(Section(Logging), Logging())
    """What is logged."""
    tests: tuple[Expectation, ...] = key(TESTS, ())
    """What has to come true of a configuration before it is in force."""
    outdated: tuple[str, ...] = attrs.field(default=(), eq=False)
    """What was written by a former name, in lines; no key, and none of what differs between two settings."""
    places: dict[str, str] = attrs.field(factory=dict, eq=False)
    """Where keys are written: file, line and column by the keys that lead to them (`places`); likewise no key."""

    @property
    def listened(self) -> tuple[Endpoint, ...]:
        """Where queries, guests and operators are answered, and metrics told."""
        views = (each for view in self.dns.views for each in view.listen)
        others = (each.endpoints for each in (self.metrics, self.portal, self.dashboard) if each is not None)
        return (*views, *chain.from_iterable(others))
