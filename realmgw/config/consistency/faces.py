"""Names and where they are asked for: zones, the sides of the gateway, and who listens where."""

from __future__ import annotations

from realmgw.config.addresses import Inside
from realmgw.config.consistency.found import DNS_SERVER, LISTENING, Found, pieces, twice, values
from realmgw.config.document import Problems
from realmgw.config.labels import Label
from realmgw.config.names import is_reverse, within
from realmgw.config.settings import Address, NameServer, UnknownHosts
from realmgw.system.endpoints import Endpoint


def _zones(problems: Problems) -> Found[None]:
    zones, are_reverse = set[str](), True
    for zone, _ in values(problems, Label.ZONE, str):
        zones.add(zone)
        are_reverse = are_reverse and is_reverse(zone)
        yield None
    if zones and are_reverse:
        _, node = next(values(problems, Label.ZONE, str))
        yield node, "there are only reverse zones: write a forward zone as well"
    glue: dict[str, tuple[Address, ...]] = {}
    for server, node in values(problems, Label.NAME_SERVER, NameServer):
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
    yield from twice(problems, Label.INTERFACE, str, said.format)
    for interface, node in values(problems, Label.INTERFACE, str):
        if interface == "lo":
            yield node, "lo leads nowhere but to this machine itself: write the interface that leads there"
        yield None


def _listen(problems: Problems) -> Found[None]:
    def said(listen: Endpoint) -> str:
        return f"{listen.address} port {listen.port} stands twice: remove one"

    yield from twice(problems, Label.LISTEN, Endpoint, said)
    yield from twice(problems, Label.PORTAL, Endpoint, said)
    for value, node in values(problems, Label.UNKNOWN_HOSTS, UnknownHosts):
        if value is UnknownHosts.GUEST and not problems.remembered.get(Label.PORTAL):
            yield node, "guests are shown the portal, and there is none: write portal.listen, or 'drop'"
    dns, told = dict(values(problems, Label.LISTEN, Endpoint)), "the DNS server listens there: write another port"
    yield from ((node, told) for udp, node in values(problems, Label.ALERTS, Endpoint) if udp in dns)
    yield from twice(problems, Label.LIST, str, "there are two lists {!r}: give each a name of its own".format)


def _places(problems: Problems) -> Found[None]:
    """Nobody else has a place where the portal or the dashboard is, or metrics are told."""
    taken = dict[object, str]()
    for listen, _ in values(problems, Label.LISTEN, Endpoint):
        yield taken.update({listen: DNS_SERVER})
    for update, _ in values(problems, Label.UPDATE, tuple):
        yield taken.update(dict.fromkeys(update, "dns.update"))
    for label, who in LISTENING[1:]:
        for value, node in problems.remembered.get(label, ()):
            holder = taken.get(value)
            if holder is None:
                taken[value] = who
            elif label is not Label.PORTAL or holder != who:  # a portal that stands twice is told by `_listen`
                where = f"{value.address} port {value.port}" if isinstance(value, Endpoint) else str(value)
                yield node, f"{where} is where {holder} listens: write another port, or another path"
            yield None


def _updates(problems: Problems) -> Found[None]:
    has_keys = Label.KEY_FILE in problems.remembered
    unsigned = any(value for value, _ in problems.remembered.get(Label.UNSIGNED, ()))
    for listen, node in values(problems, Label.UPDATE, tuple):
        public = next((each for each in listen if not each.address.is_loopback), None)
        if unsigned and public is not None:
            yield node, f"'unsigned' lets everybody update who reaches {public.address}: write 127.0.0.1 or ::1"
        elif listen and not (unsigned or has_keys):
            yield node, "nobody could sign updates: write 'key_file', or 'unsigned: true' to take those of this machine"


def _peers(problems: Problems) -> Found[None]:
    ours, inside = set[Endpoint](), Inside()
    for listen, _ in values(problems, Label.LISTEN, Endpoint):
        ours.add(listen)
        yield None
    for index, (network, _) in enumerate((yield from pieces(problems))):
        inside.add(index, network)
        yield None
    for peer, node in values(problems, Label.PEER, Endpoint):
        if peer in ours:
            yield node, f"{peer.address} port {peer.port} is the gateway itself: write another server's"
        if any(True for _ in inside.having(peer.address)):
            yield node, f"{peer.address} is an address of the circular pool: write another server's"
        yield None


PARTS = (_zones, _interfaces, _listen, _places, _updates, _peers)
"""Each says what is wrong with its own."""
