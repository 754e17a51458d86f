"""The main file's schema: every key, its kind and range, section by section.

A key that is not written has the default of the field of the same name in `settings`. What has to be true of several
keys together is in `consistency`.
"""

from __future__ import annotations

import itertools
from ipaddress import IPv4Network
from pathlib import PurePath

import attrs

from realmgw.config import rulenames
from realmgw.config.addresses import endpoint, host, ipv4_range, network, port_range, prefixes, url
from realmgw.config.document import Node, Problems
from realmgw.config.external_schema import CONTROL, LOGGING, RELOAD, REPOSITORY, SYNPROXY
from realmgw.config.labels import Label
from realmgw.config.layers import MOST_FOLDERS
from realmgw.config.policy_schema import CHALLENGES, POLICY
from realmgw.config.settings import (
    Address,
    Admission,
    Allocation,
    Attachment,
    Challenges,
    Cookies,
    Datapath,
    Dnat,
    Dns,
    DnsFace,
    Forward,
    Forwarding,
    Interfaces,
    NameServer,
    PolicyStage,
    PoolPrefix,
    Pools,
    RateLimit,
    Settings,
    Timeouts,
    UnknownHosts,
    UpdateFace,
    Verdict,
    WhileDegraded,
    Zone,
)
from realmgw.config.steps import Steps, gathered, portions
from realmgw.config.validators import (
    Key,
    Section,
    Stepwise,
    Validator,
    boolean,
    choice,
    integer,
    is_null,
    name,
    number,
    parsed,
    reading,
    remembered,
    sequence,
    table,
)

MAX_TTL = 604_800  # seconds
"""A week: longer ones are of no use in zones whose names come and go."""
MAX_DURATION = 3600.0  # seconds
"""The longest time that anything may be told to wait or to remember."""


interface = parsed(rulenames.interface_name)
_folders = sequence(parsed(PurePath), at_most=MOST_FOLDERS)


@attrs.frozen(eq=False)
class ZoneText:
    """A zone as it is written: what is missing is taken from the first zone."""

    name_servers: tuple[NameServer, ...] | None = None
    """At least one, if any."""
    contact: str | None = None
    """The SOA's RNAME."""
    address: Address | None = None
    """The apex's A record."""
    negative_ttl: int = 5  # seconds
    """As in `settings.Zone`."""
    ttl: int = 300  # seconds
    """As in `settings.Zone`."""
    aliases: bool = False
    """As in `settings.Zone`."""
    challenges: Challenges | None = None
    """As in `settings.Zone`."""


@Stepwise
def _name_servers(node: Node, problems: Problems) -> Steps[tuple[NameServer, ...] | None]:
    """A mapping from names to addresses, with nothing for the address of a name outside our zones."""
    found = yield from reading(_server_table, node, problems)
    if found is None:
        return None
    if not found:
        problems.add(node, "a zone has at least one name server: write {name: address}")
        return None
    servers = yield from gathered(NameServer(key, address) for key, (address,) in found.items())
    for portion in portions(servers):
        for server in portion:
            problems.remember(Label.NAME_SERVER, server, node)
        yield None
    return tuple(servers)


def _optional_address(node: Node, problems: Problems) -> tuple[Address | None] | None:
    """An address or nothing, in a tuple, since None would mean a problem."""
    if is_null(node):
        return (None,)
    value = parsed(host)(node, problems)
    return None if value is None else (value,)


_server_table = table(name, Validator(_optional_address))


@Stepwise
def _zones(node: Node, problems: Problems) -> Steps[tuple[Zone, ...] | None]:
    """All zones, completed from the first one."""
    texts = yield from reading(_ZONE_TABLE, node, problems)
    if texts is None:
        return None
    if not texts:
        problems.add(node, "there is no zone: write {name: {...}}")
        return None
    first = next(iter(texts.values()))
    servers, contact = first.name_servers, first.contact
    if servers is None or contact is None:
        problems.add(node, "the first zone needs both 'name_servers' and 'contact': the others take them from it")
        return None
    zones = []
    for apex, text in texts.items():
        zones.append(_zone(apex, text, servers, contact))
        yield None
    return tuple(zones)


def _zone(apex: str, text: ZoneText, servers: tuple[NameServer, ...], contact: str) -> Zone:
    """A zone with what it takes from the first."""
    own = {field.name: getattr(text, field.name) for field in attrs.fields(ZoneText)}
    own.update(name_servers=text.name_servers or servers, contact=text.contact or contact)
    return Zone(apex, apex_address=own.pop("address"), **own)


def _pool_piece(addresses: tuple[IPv4Network, ...], attachment: Attachment) -> tuple[PoolPrefix, ...]:
    return tuple(PoolPrefix(network, attachment) for network in addresses)


def _pools(circular: tuple[tuple[PoolPrefix, ...], ...], **rest: object) -> Pools:
    return Pools(tuple(itertools.chain.from_iterable(circular)), **rest)  # type: ignore[arg-type]  # see POOLS


ZONE = Section(
    ZoneText,
    {
        "name_servers": Key(_name_servers),
        "contact": Key(name),
        "address": Key(remembered(Label.APEX_ADDRESS, parsed(host))),
        "negative_ttl": Key(integer(0, MAX_TTL)),
        "ttl": Key(integer(0, MAX_TTL)),
        "aliases": Key(remembered(Label.ALIAS_ZONE, boolean)),
        "challenges": Key(remembered(Label.CHALLENGES, CHALLENGES)),
    },
)
_ZONE_TABLE = table(remembered(Label.ZONE, name), ZONE)

INTERFACES = Section(
    Interfaces,
    {
        "wan": Key(remembered(Label.INTERFACE, interface), required=True),
        "lan": Key(sequence(remembered(Label.INTERFACE, interface), at_least=1), required=True),
    },
)

POOL_PIECE = Section(
    _pool_piece,
    {
        "addresses": Key(remembered(Label.POOL, parsed(prefixes)), required=True),
        "attachment": Key(choice(Attachment), required=True),
    },
)

POOLS = Section(
    _pools,
    {
        "circular": Key(sequence(POOL_PIECE, at_least=1), required=True),
        "service": Key(sequence(remembered(Label.SERVICE, parsed(host)))),
        "outbound": Key(parsed(ipv4_range)),
        "outbound_ports": Key(parsed(port_range)),
    },
)

_LIMITS: dict[str, Key[object]] = {
    "tcp_idle_timeout": Key(number(0.1, MAX_DURATION)),
    "tcp_connections": Key(integer(1, 100_000)),
    "tcp_connections_per_client": Key(integer(1, 100_000)),
}
_endpoint = remembered(Label.LISTEN, parsed(endpoint))
WAN_FACE = Section(DnsFace, {"listen": Key(sequence(_endpoint, at_least=1), required=True), **_LIMITS})
LAN_FACE = Section(DnsFace, {"listen": Key(sequence(_endpoint)), **_LIMITS})

LOCAL_FACE = Section(DnsFace, LAN_FACE.keys)
UPDATE_FACE = Section(UpdateFace, {"listen": Key(sequence(_endpoint)), "key_file": Key(parsed(PurePath))})
_schedule = sequence(number(0.01, 60.0), at_least=1)
TIMEOUTS = Section(Timeouts, {field.name: Key(_schedule) for field in attrs.fields(Timeouts)}, any_case=True)
FORWARDING = Section(
    Forwarding,
    {
        "resolvers": Key(sequence(remembered(Label.PEER, parsed(endpoint)))),
        "timeouts": Key(TIMEOUTS),
    },
)

COOKIES = Section(
    Cookies,
    {
        "enabled": Key(boolean),
        "secret_file": Key(parsed(PurePath)),
        "rotation": Key(number(60.0, 31_536_000.0)),
    },
)

RATE_LIMIT = Section(
    RateLimit,
    {
        "per_second": Key(integer(0, 1_000_000)),
        "slip": Key(integer(0, 1000)),
        "ipv4_prefix": Key(integer(8, 32)),
        "ipv6_prefix": Key(integer(16, 128)),
        "exempt": Key(sequence(parsed(network))),
    },
)

DNS = Section(
    Dns,
    {
        "wan": Key(WAN_FACE, required=True),
        "lan": Key(LAN_FACE),
        "local": Key(LOCAL_FACE),
        "update": Key(UPDATE_FACE),
        "forward": Key(FORWARDING),
        "udp_size": Key(integer(512, 1232)),
        "host_ttl": Key(integer(0, MAX_TTL)),
        "service_pool_ttl": Key(integer(0, MAX_TTL)),
        "cookies": Key(COOKIES),
        "rate_limit": Key(RATE_LIMIT),
    },
)

ALLOCATION = Section(
    Allocation,
    {
        "share_load": Key(number(0.0, 1.0)),
        "claim_sources": Key(integer(0, 100)),
        "candidate_rate": Key(integer(1, 1_000_000)),
        "caution": Key(boolean),
        "keeper_share": Key(number(0.0, 1.0)),
        "linger": Key(remembered(Label.LINGER, number(0.0, MAX_DURATION))),
        "company": Key(number(0.0, 1.0)),
        "linger_loaded": Key(remembered(Label.LINGER_LOADED, number(0.0, MAX_DURATION))),
        "ended_flows": Key(integer(0, 10_000_000)),
        "ended_time": Key(number(0.0, MAX_DURATION)),
        "idle_exchange": Key(number(0.0, MAX_DURATION)),
        "idle_flow": Key(number(0.0, MAX_DURATION)),
        "wait_udp": Key(number(0.0, 10.0)),
        "wait_tcp": Key(number(0.0, 10.0)),
        "max_waiting": Key(integer(0, 1_000_000)),
        "max_groups": Key(integer(1, 10_000_000)),
        "while_degraded": Key(choice(WhileDegraded)),
    },
)

ADMISSION = Section(
    Admission,
    {
        "queue": Key(integer(0, 65535)),
        "queue_length": Key(integer(1, 1_000_000)),
        "per_turn": Key(integer(1, 4096)),
        "stray_threshold": Key(integer(1, 1_000_000)),
        "stray_timeout": Key(number(1.0, MAX_DURATION)),
        "stray_rate": Key(integer(1, 1_000_000)),
    },
)

FORWARD = Section(Forward, {field.name: Key(choice(Verdict)) for field in attrs.fields(Forward)})

DATAPATH = Section(
    Datapath,
    {
        "table": Key(parsed(rulenames.table_name)),
        "reject_rate": Key(integer(1, 1_000_000)),
        "dnat": Key(choice(Dnat, gone={"mark": "dnat: map, which needs no more of the machine"})),
        "forward": Key(FORWARD),
        "unknown_hosts": Key(choice(UnknownHosts)),
        "policy_order": Key(sequence(remembered(Label.STAGE, choice(PolicyStage)))),
        "network_api": Key(parsed(url)),
    },
)

GATEWAY = Section(
    Settings,
    {
        "name": Key(name, required=True),
        "zones": Key(_zones, required=True),
        "interfaces": Key(INTERFACES, required=True),
        "pools": Key(POOLS, required=True),
        "dns": Key(DNS, required=True),
        "allocation": Key(ALLOCATION),
        "admission": Key(ADMISSION),
        "datapath": Key(DATAPATH),
        "policy": Key(POLICY),
        "reload": Key(RELOAD),
        "repository": Key(REPOSITORY),
        "synproxy": Key(SYNPROXY),
        "control": Key(CONTROL),
        "logging": Key(LOGGING),
        "subscribers": Key(_folders),
        "policies": Key(_folders),
        "drop_ins": Key(_folders),
        "state": Key(parsed(PurePath)),
    },
)
"""The main file. Paths in it are as they are written."""
