"""The settings of the DNS server."""

from __future__ import annotations

import enum
from ipaddress import IPv6Network
from pathlib import PurePath

import attrs

from realmgw.config.addresses import endpoint, network, prefix6, resolver
from realmgw.config.labels import Label
from realmgw.config.parts import Part
from realmgw.config.peers import remembered_peer
from realmgw.config.terms import DefaultHost
from realmgw.config.validators import (
    Key,
    Section,
    boolean,
    choice,
    integer,
    key,
    keys_of,
    matching,
    name,
    number,
    parsed,
    plain_text,
    remembered,
    sequence,
)  # fmt: skip
from realmgw.config.values import MAX_DURATION, Network, Resolver
from realmgw.system.endpoints import Endpoint

MOST_LISTS = 64
"""Of names: each one that is not for everybody is looked at for each question."""
MOST_APART = 128
"""So many addresses of a LAN a process of its own reads."""
MAX_TTL = 604_800  # seconds
"""A week: longer ones are of no use in zones whose names come and go."""
LISTEN = remembered(Label.LISTEN, parsed(endpoint))
SCHEDULE = sequence(number(0.01, 60.0), at_least=1)


@attrs.frozen
class Cookies:
    """DNS server cookies (RFC 7873, RFC 9018): what proves a sender's address by UDP."""

    enabled: bool = key(boolean, True)
    """They are given and believed."""
    secret_file: PurePath | None = key(parsed(PurePath), None)
    """A file of secrets that several servers of one address share; None: the gateway makes its own and tells nobody."""
    rotation: float = key(number(60.0, 31_536_000.0), 86_400.0)  # seconds
    """How long a secret of our own is used; the one before it is believed as long again."""


@attrs.frozen
class RateLimit:
    """How many answers that are much longer than their queries a network gets by UDP without a valid cookie."""

    per_second: int = key(integer(0, 1_000_000), 100)
    """To each network; 0: there is no limit."""
    slip: int = key(integer(0, 1000), 1)
    """Every so many answers beyond the limit, one with TC is given instead of silence; 0: never, 1: always."""
    ipv4_prefix: int = key(integer(8, 32), 24)
    """Length of the prefix that is one network, for IPv4; 8 to 32."""
    ipv6_prefix: int = key(integer(16, 128), 56)
    """The same for IPv6; 16 to 128."""
    exempt: tuple[Network, ...] = key(sequence(parsed(network)), ())
    """Senders without a limit."""


@attrs.frozen
class DnsView:
    """One side of the DNS server."""

    listen: tuple[Endpoint, ...] = key(sequence(LISTEN), ())
    """UDP and TCP."""
    tcp_idle_timeout: float = key(number(0.1, MAX_DURATION), 10.0)  # seconds
    """How long a TCP connection may be silent."""
    tcp_connections: int = key(integer(1, 100_000), 1000)
    """How many TCP connections may be open at once."""
    tcp_connections_per_client: int = key(integer(1, 100_000), 200)
    """How many of them one client address may have."""


@attrs.frozen
class UpdateView(DnsView):
    """Where dynamic updates (RFC 2136) come in."""

    listen: tuple[Endpoint, ...] = key(remembered(Label.UPDATE, sequence(LISTEN)), ())
    """UDP and TCP."""
    tcp_connections: int = key(integer(1, 100_000), 100)
    """How many TCP connections may be open at once."""
    tcp_connections_per_client: int = key(integer(1, 100_000), 50)
    """How many of them one client address may have."""
    key_file: PurePath | None = key(remembered(Label.KEY_FILE, parsed(PurePath)), None)
    """The TSIG keys (RFC 8945) that updates are signed with; None: they are not signed."""
    unsigned: bool = key(remembered(Label.UNSIGNED, boolean), False)
    """Updates that are not signed are taken, whoever sends them."""
    rate: int = key(integer(1, 100_000), 1000)
    """How many messages of one sender, and how many updates with one key, are taken in a second."""
    expire: float = key(number(0.0, 31_536_000.0), 0.0)  # seconds
    """A registration that nobody has refreshed for so long goes; 0: it goes when an update removes it."""
    most: int = key(integer(0, 1_000_000), 100_000)
    """How many names may be registered."""
    defaults: DefaultHost = key(Section(DefaultHost), DefaultHost())
    """What holds for hosts that no file and no repository knows."""
    guests: tuple[str, ...] = key(sequence(name), ())
    """Keys in the file that is named: who is registered with one stays a guest, and has a name on LANs only."""


@attrs.frozen
class Timeouts:
    """How long to wait for a resolver's answer before asking again, by record type; after the last one: SERVFAIL."""

    default: tuple[float, ...] = key(SCHEDULE, (0.25, 0.25, 0.25))  # seconds
    """Of every type that has none of its own."""
    a: tuple[float, ...] | None = key(SCHEDULE, None)  # seconds
    """Of A; None, here and below: as the default."""
    aaaa: tuple[float, ...] | None = key(SCHEDULE, None)  # seconds
    """Of AAAA."""
    srv: tuple[float, ...] | None = key(SCHEDULE, None)  # seconds
    """Of SRV."""
    naptr: tuple[float, ...] | None = key(SCHEDULE, None)  # seconds
    """Of NAPTR."""


NAT64_LENGTHS = (32, 40, 48, 56, 64, 96)
"""Lengths of prefixes that addresses of IPv4 can stand behind (RFC 6052 section 2.2)."""


def _nat64(text: str) -> IPv6Network:
    value = prefix6(text)
    if value.prefixlen not in NAT64_LENGTHS:
        raise ValueError(f"{text!r}: write a prefix of a length that there is: {', '.join(map(str, NAT64_LENGTHS))}")
    if value.network_address.packed[8]:
        raise ValueError(f"{text!r}: bits 64 to 71 of such a prefix are 0 (RFC 6052): write another")
    return value


@attrs.frozen
class Dns64:
    """Addresses of IPv6 for names that have none, which a NAT64 translates (RFC 6147)."""

    prefix: IPv6Network | None = key(parsed(_nat64), None)
    """That of the NAT64; None: none are made."""
    exclude: tuple[Network, ...] = key(sequence(parsed(network)), (IPv6Network("::ffff:0:0/96"),))
    """Addresses of IPv6 in these count for none; of those of IPv4 in these, none are made."""


_NAMES = sequence(name)


class ListForm(enum.Enum):
    """What a list of names looks like."""

    HOSTS = "hosts"
    """As /etc/hosts, or a name on each line."""
    RPZ = "rpz"
    """As the zone of a response policy, with triggers by names."""


class ListReason(enum.Enum):
    """Why names are listed: what is told those who ask for them (RFC 8914 sections 4.16 to 4.18)."""

    BLOCKED = "blocked"
    """Who runs the network wants it so."""
    CENSORED = "censored"
    """Somebody else wants it so."""
    FILTERED = "filtered"
    """The subscriber wants it so."""


@attrs.frozen
class NameList:
    """Names that are not to be had."""

    name: str = key(remembered(Label.LIST, plain_text))
    """What it is called, to those who ask for a name in it as well; no other list is."""
    file: PurePath = key(parsed(PurePath))
    """It."""
    form: ListForm = key(choice(ListForm), ListForm.HOSTS)
    """What it looks like."""
    allow: bool = key(boolean, False)
    """Its names are had nevertheless, if lists that come later have them."""
    reason: ListReason = key(choice(ListReason), ListReason.BLOCKED)
    """Why they are listed."""
    subscribers: tuple[str, ...] = key(_NAMES, ())
    """Whom it holds for, by their IDs."""
    groups: tuple[str, ...] = key(sequence(remembered(Label.GROUPED, plain_text)), ())
    """Members of these groups of subscribers, too; neither: it holds for everybody."""


class ForwardProcess(enum.Enum):
    """Where the LAN's UDP sockets are read, and other people's names answered."""

    OWN = "own"
    """In a process of its own, beside the gateway's."""
    GATEWAY = "gateway"
    """In the gateway's."""


@attrs.frozen
class Forwarding:
    """Where the LAN's questions about other people's names go."""

    resolvers: tuple[Resolver, ...] = key(sequence(remembered_peer(resolver)), ())
    """Asked by how fast they are; none: such questions are refused."""
    timeouts: Timeouts = key(Section(Timeouts, any_case=True), Timeouts())
    """How long they have."""
    ca_file: PurePath | None = key(parsed(PurePath), None)
    """Certificates (PEM) that those of resolvers must be signed by; None: those of the system."""
    pins: tuple[str, ...] = key(sequence(matching(r"[A-Za-z0-9+/]{43}=", "the SHA-256 of a public key in base64")), ())
    """Of public keys that resolvers asked by TLS must have one of; none: any that is certified."""
    internal: tuple[str, ...] = key(sequence(name), ())
    """Names with all below them that the resolvers know of a network of one's own: with private addresses, and even if
    they are of special use."""
    cache: int = key(integer(0, 2**34), 2**25)  # octets
    """How much is kept of answers; 0: nothing."""
    prefetch: bool = key(boolean, True)
    """What is asked for often is asked for again before its answer ends."""
    stale: float = key(number(0.0, 604_800.0), 0.0)  # seconds
    """For so long after its end an answer is still given if no resolver gives another (RFC 8767); 0: never."""
    client_subnet: bool = key(boolean, False)
    """What a query says of its client's network (RFC 7871) is told to resolvers."""
    dns64: Dns64 = key(Part(Dns64), Dns64())
    """What is made for hosts that have IPv6 only."""
    outstanding: int = key(integer(1, 100_000), 500)
    """How many questions may wait for resolvers at once."""
    outstanding_per_client: int = key(integer(1, 100_000), 200)
    """How many queries of one host may wait."""
    rate_per_client: int = key(integer(1, 1_000_000), 500)
    """How many queries of one host a second may be such that resolvers have to be asked."""
    lists: tuple[NameList, ...] = key(sequence(Section(NameList), at_most=MOST_LISTS), ())
    """Names that are not to be had; the first list that has a name decides."""
    process: ForwardProcess = key(choice(ForwardProcess), ForwardProcess.GATEWAY)
    """Where this is done."""


@attrs.frozen
class Dns:
    """The DNS server."""

    wan: DnsView = DnsView()
    """Serves the zones with reservation."""
    lan: DnsView = key(Part(DnsView), DnsView())
    """Serves the zones with private addresses, without reservation."""
    local: DnsView = key(Part(DnsView), DnsView())
    """Serves the gateway's own processes, as the LAN."""
    update: UpdateView = key(Part(UpdateView), UpdateView())
    """Takes dynamic updates, from a DHCP server for example."""
    forward: Forwarding = key(Part(Forwarding), Forwarding())
    """Resolvers for the LAN's other questions."""
    udp_size: int = key(integer(512, 1232), 1232)  # octets
    """The longest UDP answer that we give or say we take (RFC 9715); 512 to 1232."""
    host_ttl: int = key(integer(0, MAX_TTL), 30)  # seconds
    """TTL of private addresses on the LAN."""
    service_pool_ttl: int = key(integer(0, MAX_TTL), 10)  # seconds
    """TTL of the service pool's address."""
    cookies: Cookies = key(Part(Cookies), Cookies())
    """Server cookies on the WAN."""
    rate_limit: RateLimit = key(Section(RateLimit), RateLimit())
    """How many answers without an address a network gets on the WAN."""

    @property
    def views(self) -> tuple[DnsView, ...]:
        """All that are listened at."""
        return self.wan, self.lan, self.local, self.update


WAN = Section(DnsView, {**keys_of(DnsView), "listen": Key(sequence(LISTEN, at_least=1), required=True)})
DNS = Part(Dns, {"wan": Key(WAN, required=True), **keys_of(Dns)})
"""The WAN's view is the only one that there has to be."""
