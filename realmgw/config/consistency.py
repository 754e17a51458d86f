"""What has to be true of several keys together.

The checks compare the values that were remembered while the file was read, so they work as well when other parts of it
are wrong, and note a problem at the value that should be changed. Each goes over its values one by one and says of each
what is wrong, or nothing: so all of it is done in steps, and in a time that grows with the number of values only.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from itertools import chain
from pathlib import PurePath
from typing import Any, TypeVar

from realmgw.config.addresses import NOWHERE, UNIQUE_LOCAL, Inside, overlap, overlapping
from realmgw.config.document import Node, Problems, place
from realmgw.config.ipv6 import LONGEST_NPT, Ipv6Mode, Leave6, Outbound6, PrefixMode
from realmgw.config.labels import Label
from realmgw.config.names import is_reverse, within
from realmgw.config.pipeline import Check
from realmgw.config.policy import ALWAYS, BEFORE_ROUTING
from realmgw.config.settings import (
    Address,
    Allocation,
    Audit,
    Challenges,
    NameServer,
    Network,
    PolicyStage,
    UnknownHosts,
    Webproxy,
)
from realmgw.config.steps import Steps, finish, portions
from realmgw.config.terms import USUAL_GROUPS, DefaultService
from realmgw.config.validators import suggestion
from realmgw.system.endpoints import Endpoint

T = TypeVar("T")
Found = Generator[tuple[Node, str] | None, Any, T]
"""Says of one value after the other what is wrong, and at which place; None: nothing, and there is time for others."""

NAMED = 20
"""So many groups are named where there is none of a name."""
MAX_POOL = 2**20
"""How many IPv4 addresses the circular pool may have: a state is kept for each."""


def check(problems: Problems) -> None:
    """Notes everything that is wrong between keys, from what was remembered of one main file."""
    finish(checking(problems))


def checking(problems: Problems) -> Steps[None]:
    """What `check` does, step by step."""
    for portion in portions(chain.from_iterable(part(problems) for part in _PARTS)):
        for found in portion:
            if found is not None:
                problems.add(*found)
        yield None


def _all(problems: Problems, label: Label, kind: type[T]) -> Iterator[tuple[T, Node]]:
    """The remembered values of a label, with their places."""
    for value, node in problems.remembered.get(label, ()):
        assert isinstance(value, kind)
        yield value, node


def _zones(problems: Problems) -> Found[None]:
    zones, are_reverse = set[str](), True
    for zone, _ in _all(problems, Label.ZONE, str):
        zones.add(zone)
        are_reverse = are_reverse and is_reverse(zone)
        yield None
    if zones and are_reverse:
        _, node = next(_all(problems, Label.ZONE, str))
        yield node, "there are only reverse zones: write a forward zone as well"
    glue: dict[str, tuple[Address, ...]] = {}
    for server, node in _all(problems, Label.NAME_SERVER, NameServer):
        ours = any(each in zones for each in within(server.name))
        if ours and not server.addresses:
            yield node, f"{server.name} lies within our zones: write its address"
        if server.addresses and glue.setdefault(server.name, server.addresses) != server.addresses:
            there = " and ".join(map(str, glue[server.name]))
            yield node, f"{server.name} has the address {there} elsewhere: write the same one"
        if not ours and server.addresses:  # an address of another zone is not ours to give (RFC 2181 5.4.1)
            yield node, f"{server.name} lies outside our zones: remove its address, or write a name within them"
        yield None


def _interfaces(problems: Problems) -> Found[None]:
    said = "the interface {} stands twice: write another, each has one side"
    yield from _twice(problems, Label.INTERFACE, str, said.format)
    for interface, node in _all(problems, Label.INTERFACE, str):
        if interface == "lo":
            yield node, "lo leads nowhere but to this machine itself: write the interface that leads there"
        yield None


def _listen(problems: Problems) -> Found[None]:
    def said(listen: Endpoint) -> str:
        return f"{listen.address} port {listen.port} stands twice: remove one"

    yield from _twice(problems, Label.LISTEN, Endpoint, said)
    yield from _twice(problems, Label.PORTAL, Endpoint, said)
    for value, node in _all(problems, Label.UNKNOWN_HOSTS, UnknownHosts):
        if value is UnknownHosts.GUEST and not problems.remembered.get(Label.PORTAL):
            yield node, "guests are shown the portal, and there is none: write portal.listen, or 'drop'"
    dns, told = dict(_all(problems, Label.LISTEN, Endpoint)), "the DNS server listens there: write another port"
    yield from ((node, told) for udp, node in _all(problems, Label.ALERTS, Endpoint) if udp in dns)
    yield from _twice(problems, Label.LIST, str, "there are two lists {!r}: give each a name of its own".format)


def _places(problems: Problems) -> Found[None]:
    """Nobody else has a place where metrics are told, or the dashboard is."""
    taken = dict[object, str]()
    for label, who in ((Label.LISTEN, "the DNS server"), (Label.PORTAL, "the portal")):
        for listen, _ in _all(problems, label, Endpoint):
            yield taken.update({listen: who})
    for update, _ in _all(problems, Label.UPDATE, tuple):
        yield taken.update(dict.fromkeys(update, "dns.update"))
    for label, key in ((Label.METRICS, "metrics.listen"), (Label.DASHBOARD, "dashboard.listen")):
        for value, node in problems.remembered.get(label, ()):
            where = f"{value.address} port {value.port}" if isinstance(value, Endpoint) else str(value)
            said = f"{where} is where {taken.get(value)} listens: write another port, or another path"
            yield (node, said) if value in taken else taken.update({value: key})


def _updates(problems: Problems) -> Found[None]:
    has_keys = Label.KEY_FILE in problems.remembered
    unsigned = any(value for value, _ in problems.remembered.get(Label.UNSIGNED, ()))
    for listen, node in _all(problems, Label.UPDATE, tuple):
        public = next((each for each in listen if not each.address.is_loopback), None)
        if unsigned and public is not None:
            yield node, f"'unsigned' lets everybody update who reaches {public.address}: write 127.0.0.1 or ::1"
        elif listen and not (unsigned or has_keys):
            yield node, "nobody could sign updates: write 'key_file', or 'unsigned: true' to take those of this machine"


def _twice(problems: Problems, label: Label, kind: type[T], said: Callable[[T], str]) -> Found[None]:
    """Of the remembered values that stood before already, at their later places."""
    seen = set()
    for value, node in _all(problems, label, kind):
        yield (node, said(value)) if value in seen else None
        seen.add(value)


def _pool(problems: Problems) -> Found[None]:
    pool = yield from _pieces(problems)
    inside, size = Inside(), 0
    for index, (network, node) in enumerate(pool):
        inside.add(index, network)
        size += network.num_addresses if network.version == 4 else 0
        is_nowhere = any(overlap(network, nowhere) for nowhere in NOWHERE)
        yield (node, f"{network} is of no use outside this machine: write addresses that are") if is_nowhere else None
    for index, first in (yield from overlapping([network for network, _ in pool])):
        (network, node), (other, there) = pool[index], pool[first]
        yield node, f"{network} overlaps {other} of {place(there)}: remove one of them"
    for address, what in (yield from _reserved(problems)).items():
        for network, node in map(pool.__getitem__, inside.having(address)):
            yield node, f"{network} contains {address}, {what}: leave it out of the pool"
        yield None
    yield from _twice(problems, Label.SERVICE, object, "{} stands twice in the service pool: remove one".format)
    if size > MAX_POOL:
        yield pool[-1][1], f"the circular pool has {size} IPv4 addresses: write at most {MAX_POOL}"


def _pieces(problems: Problems) -> Found[list[tuple[Network, Node]]]:
    """The prefixes of the circular pool."""
    pool = []
    for networks, node in _all(problems, Label.POOL, tuple):
        pool += [(network, node) for network in networks]
        yield None
    return pool


def _reserved(problems: Problems) -> Found[dict[Address, str]]:
    """The addresses that the gateway needs for itself, with what for."""
    found: dict[Address, str] = {}
    for addresses, _ in _all(problems, Label.APEX_ADDRESS, tuple):
        yield found.update(dict.fromkeys(addresses, "the address of a zone"))
    for server, _ in _all(problems, Label.NAME_SERVER, NameServer):
        yield found.update(dict.fromkeys(server.addresses, f"the address of {server.name}"))
    for address, _ in problems.remembered.get(Label.SERVICE, ()):
        assert isinstance(address, IPv4Address | IPv6Address)
        yield found.update({address: "an address of the service pool"})
    for label, who in ((Label.LISTEN, "DNS server"), (Label.PORTAL, "portal")):
        for listen, _ in _all(problems, label, Endpoint):
            yield found.update({listen.address: f"where the {who} listens"})
    return found


def _registered(problems: Problems) -> Found[None]:
    """Services of hosts that are registered and known nowhere else."""
    there = set[str | None]()
    for service, node in _all(problems, Label.DEFAULT_SERVICE, DefaultService):
        if service.proxy_required and not problems.remembered.get(Label.SERVICE):
            yield node, "'proxy_required' needs the service pool, and there is none: write pools.service, or remove it"
        yield (node, "there are two services of this name: remove one") if service.label in there else None
        there.add(service.label)


def _webproxy(problems: Problems) -> Found[None]:
    """Where it listens, and nobody else."""
    for how, node in _all(problems, Label.WEBPROXY, Webproxy):
        if not how.enabled:
            continue
        if not problems.remembered.get(Label.SERVICE):
            yield node, "the web proxy listens at the service pool, and there is none: write pools.service"
        if how.http_port == how.https_port:
            yield node, f"HTTP and TLS can not both have port {how.http_port}: write another"
        service = {address for address, _ in problems.remembered.get(Label.SERVICE, ())}
        for label, who in ((Label.LISTEN, "DNS server"), (Label.PORTAL, "portal")):
            for listen, there in _all(problems, label, Endpoint):
                if listen.address in service and listen.port in (how.http_port, how.https_port):
                    yield (
                        there,
                        f"the web proxy has port {listen.port} of {listen.address}: have the {who} listen elsewhere",
                    )
                yield None


def _allocation(problems: Problems) -> Found[None]:
    linger = next((value for value, _ in _all(problems, Label.LINGER, float)), Allocation().linger)
    for loaded, node in _all(problems, Label.LINGER_LOADED, float):
        if loaded > linger:
            yield node, f"'linger_loaded' is longer than 'linger': write at most {linger:g}"


def _ipv6(problems: Problems) -> Found[None]:
    prefixes, outsides = list[tuple[Network, Node]](), list[tuple[Network, Node]]()
    given = set[Network]()
    for each, node in _all(problems, Label.MODE6, PrefixMode):
        yield (node, f"{each.prefix} stands twice: remove one") if each.prefix in given else None
        given.add(each.prefix)
        prefixes.append((each.prefix, node))
        if each.mode is Ipv6Mode.PINHOLE and overlap(each.prefix, UNIQUE_LOCAL):
            yield node, f"{each.prefix} has addresses that are not public, so nobody reaches them: write 'pool'"
    lans, left = {lan for lan, _ in _all(problems, Label.LAN, str)}, set[str]()
    for leaving, node in _all(problems, Label.OUTBOUND6, Outbound6):
        if lans and leaving.lan not in lans:
            yield node, f"{leaving.lan} is none of interfaces.lan: write one of them"
        yield (node, f"how {leaving.lan} leaves stands twice: remove one") if leaving.lan in left else None
        left.add(leaving.lan)
        yield from ((node, said) for said in _leaving(leaving))
        prefixes += [(each, node) for each in (leaving.inside, leaving.outside) if each is not None]
        outsides += [(leaving.outside, node)] if leaving.outside and leaving.leave is Leave6.NPTV6 else []
    for prefix, node in prefixes:
        is_nowhere = any(overlap(prefix, nowhere) for nowhere in NOWHERE)
        yield (node, f"{prefix} is of no use outside this machine: write addresses that are") if is_nowhere else None
    yield from _beside_pool(problems, prefixes)
    for index, first in (yield from overlapping([outside for outside, _ in outsides])):
        (outside, node), (other, there) = outsides[index], outsides[first]
        yield node, f"{outside} overlaps {other} of {place(there)}, with which another LAN leaves: write another"


def _beside_pool(problems: Problems, prefixes: list[tuple[Network, Node]]) -> Found[None]:
    """Nobody has addresses of the pool, be it a host or what stands in the place of one."""
    pool = [(network, node) for network, node in (yield from _pieces(problems)) if network.version == 6]
    every = [*pool, *prefixes]
    for index, first in (yield from overlapping([network for network, _ in every])):
        (network, node), (other, there) = every[index], every[first]
        if first < len(pool) <= index:
            yield node, f"{network} overlaps {other} of the circular pool, {place(there)}: write another"


def _leaving(leaving: Outbound6) -> Iterator[str]:
    """What is wrong with how a LAN leaves, by itself."""
    inside, outside = leaving.inside, leaving.outside
    if leaving.leave is not Leave6.NPTV6:
        if inside is not None:
            yield f"'inside' is for nptv6, and {leaving.lan} leaves by {leaving.leave.value}: remove it"
        if outside is not None and leaving.leave is not Leave6.NAT66:
            yield f"'outside' is for nptv6 and nat66, and {leaving.lan} leaves by {leaving.leave.value}: remove it"
        return
    if inside is None or outside is None:
        yield "nptv6 needs two prefixes: write both 'inside' and 'outside'"
    elif inside.prefixlen != outside.prefixlen:
        yield f"{inside} and {outside} are not of one length: write two of the same"
    elif inside.prefixlen > LONGEST_NPT:
        yield f"{inside} is too long for nptv6: write a /{LONGEST_NPT} or a shorter one"
    elif overlap(inside, outside):
        yield f"{inside} and {outside} overlap: write two different ones"


def _policy(problems: Problems) -> Found[None]:
    yield from _stages(problems)
    yield from _groups(problems)
    yield from _twice(problems, Label.AUDIT, Audit, lambda rule: f"{rule.value!r} stands twice: remove one")
    resolvers: list[tuple[Network, Node]] = []
    for value, node in problems.remembered.get(Label.RESOLVER, ()):
        assert isinstance(value, IPv4Network | IPv6Network)
        resolvers.append((value, node))
        yield None
    for index, first in (yield from overlapping([network for network, _ in resolvers])):
        (network, node), (_, other) = resolvers[index], resolvers[first]
        yield node, f"{network} belongs to a group already, at {place(other)}: remove one of them"
    yield from _aliases(problems)


def _stages(problems: Problems) -> Found[None]:
    """What the network policy consists of, in which order, and what it is about."""
    said = "the stage {.value} stands twice: remove one"
    yield from _twice(problems, Label.STAGE, PolicyStage, said.format)
    yield from _twice(problems, Label.CHECK, Check, lambda check: f"{check.value!r} stands twice: remove one")
    given = list(_all(problems, Label.STAGE, PolicyStage))
    late: PolicyStage | None = None
    for stage, node in given:
        early = stage in BEFORE_ROUTING
        if early and late is not None:
            yield node, f"{stage.value} is met before a packet is routed, and {late.value} after: write it before that"
        late = late if early else stage
    order = [stage for stage, _ in given]
    for stage, node in given:
        own = PolicyStage.CUSTOMER_POLICY
        if stage is PolicyStage.GROUP_POLICY and own in order and order.index(own) < order.index(stage):
            yield node, f"rules of groups are tried before those of hosts: write {stage.value} before {own.value}"
    there = set(order)
    for stage in ALWAYS:
        if given and stage not in there:
            yield given[-1][1], f"{stage.value} is missing, and there is no gateway without: write it"
    yield from _twice(problems, Label.TUNNEL, str, "the interface {} stands twice: remove one".format)
    sides, known = [name for name, _ in _all(problems, Label.INTERFACE, str)], set[str]()
    for tunnel, node in _all(problems, Label.TUNNEL, str):
        known.add(tunnel)
        yield (node, f"{tunnel} is one of the gateway's sides: remove it") if tunnel in sides else None
    for name, node in _all(problems, Label.STAGE_INTERFACE, str):
        if sides and name not in known and name not in sides:
            yield node, f"{name} is none of {', '.join(sides)}: write one of them, or add it to pipeline.tunnels"
        yield None


def _groups(problems: Problems) -> Found[None]:
    """Where groups of subscribers are told of, nothing is about others."""
    known = set[str]()
    for name, _ in _all(problems, Label.GROUP, str):
        known.add(name)
        yield None
    for name, node in _all(problems, Label.GROUPED, str) if known else ():
        yield (node, unknown_group(name, known)) if name not in known else None
    listening = [node for listen, node in _all(problems, Label.UPDATE, tuple) if listen]
    for name in USUAL_GROUPS if known and not problems.remembered.get(Label.DEFAULT_GROUPS) else ():
        for node in listening if name not in known else ():
            yield node, f"who registers here is of the group {name!r}: {unknown_group(name, known)}, in defaults.groups"


def unknown_group(name: str, known: Collection[str]) -> str:
    """What is wrong with a name of a group of subscribers, and what to write instead.

    Args:
        name: It.
        known: Those that `policy.pipeline.groups` tells of.
    """
    return f"there is no group {name!r} in policy.pipeline.groups: {suggestion(name, sorted(known)[:NAMED])}"


def _aliases(problems: Problems) -> Found[None]:
    has_aliases = any(value for value, _ in _all(problems, Label.ALIAS_ZONE, bool))
    for challenges, node in _all(problems, Label.CHALLENGES, Challenges):
        needing = [word for word in ("tcpcname", "cname") if getattr(challenges, word)]
        if needing and not has_aliases:
            said = (
                "gives one-time aliases, and there is no zone for them: add a zone with 'aliases: true', or use 'tcp'"
            )
            yield node, f"{needing[0]!r} {said}"
        yield None


def _peers(problems: Problems) -> Found[None]:
    ours, inside = set[Endpoint](), Inside()
    for listen, _ in _all(problems, Label.LISTEN, Endpoint):
        ours.add(listen)
        yield None
    for index, (network, _) in enumerate((yield from _pieces(problems))):
        inside.add(index, network)
        yield None
    for peer, node in _all(problems, Label.PEER, Endpoint):
        if peer in ours:
            yield node, f"{peer.address} port {peer.port} is the gateway itself: write another server's"
        if any(True for _ in inside.having(peer.address)):
            yield node, f"{peer.address} is an address of the circular pool: write another server's"
        yield None


def _repository(problems: Problems) -> Found[None]:
    url = next((value for value, _ in _all(problems, Label.URL, str)), None)
    for label, word in ((Label.TOKEN_FILE, "token_file"), (Label.CA_FILE, "ca_file")):
        for _, node in _all(problems, label, PurePath):
            if url is None:
                yield node, f"{word!r} is of no use without 'url': write the repository's 'url', or remove it"
    for _, node in _all(problems, Label.CA_FILE, PurePath):
        if url is not None and url.startswith("http:"):
            yield node, "'ca_file' is of no use with http: write https in 'url', or remove it"


_PARTS = (
    _zones, _interfaces, _listen, _places, _updates, _pool, _registered, _webproxy, _ipv6, _allocation, _policy,
    _peers, _repository,
)  # fmt: skip
