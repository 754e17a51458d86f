"""The main file's schema: the fields of `settings`, and zones, which take from each other what they do not say.

What has to be true of several keys together is in `consistency`.
"""

from __future__ import annotations

import attrs

from realmgw.config.dns import DNS, MAX_TTL
from realmgw.config.document import Node, Problems
from realmgw.config.families import one_of_each
from realmgw.config.labels import Label
from realmgw.config.settings import (
    Address,
    Challenges,
    Interfaces,
    NameServer,
    Pools,
    Settings,
    Zone,
)
from realmgw.config.steps import Steps, gathered, portions
from realmgw.config.validators import (
    Key,
    Section,
    Stepwise,
    Validator,
    boolean,
    integer,
    is_null,
    key,
    keys_of,
    name,
    reading,
    remembered,
    table,
)


@Stepwise
def _name_servers(node: Node, problems: Problems) -> Steps[tuple[NameServer, ...] | None]:
    """A mapping from names to addresses, with nothing for the address of a name outside our zones."""
    found = yield from reading(_server_table, node, problems)
    if found is None:
        return None
    if not found:
        problems.add(node, "a zone has at least one name server: write {name: address}")
        return None
    servers = yield from gathered(NameServer(*each) for each in found.items())
    for portion in portions(servers):
        for server in portion:
            problems.remember(Label.NAME_SERVER, server, node)
        yield None
    return tuple(servers)


_server_table = table(name, Validator(lambda node, problems: () if is_null(node) else one_of_each(node, problems)))


@attrs.frozen(eq=False)
class ZoneText:
    """A zone as it is written: what is missing is taken from the first zone."""

    name_servers: tuple[NameServer, ...] | None = key(_name_servers, None)
    """At least one, if any."""
    contact: str | None = key(name, None)
    """The SOA's RNAME."""
    address: tuple[Address, ...] = key(remembered(Label.APEX_ADDRESS, one_of_each), ())
    """The apex's A record, its AAAA record, or both."""
    negative_ttl: int = key(integer(0, MAX_TTL), 5)  # seconds
    """As in `settings.Zone`."""
    ttl: int = key(integer(0, MAX_TTL), 300)  # seconds
    """As in `settings.Zone`."""
    aliases: bool = key(remembered(Label.ALIAS_ZONE, boolean), False)
    """As in `settings.Zone`."""
    challenges: Challenges | None = key(remembered(Label.CHALLENGES, Section(Challenges)), None)
    """As in `settings.Zone`."""


ZONE = Section(ZoneText)
_ZONE_TABLE = table(remembered(Label.ZONE, name), ZONE)


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
    return Zone(apex, apex_addresses=own.pop("address"), **own)


GATEWAY = Section(
    Settings,
    {
        "name": Key(name, required=True),
        "zones": Key(_zones, required=True),
        "interfaces": Key(Section(Interfaces), required=True),
        "pools": Key(Section(Pools), required=True),
        "dns": Key(DNS, required=True),
        **keys_of(Settings),
    },
)
"""The main file. Paths in it are as they are written."""
