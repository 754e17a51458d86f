"""What services come to in the proxy's map: which have a route, and what it is."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from ipaddress import ip_address

import attrs

from realmgw.config.meaning import meaning
from realmgw.config.pipeline import Group
from realmgw.config.rules import Direction, Rule
from realmgw.subscribers.firewall import Firewall
from realmgw.subscribers.model import Service

SEPARATOR = "/"
"""Between the fields of a route; in none of them."""
ADDRESS, HTTP, HTTPS, REDIRECT, PROXY_PROTOCOL, ENDS_TLS, HTTP_HEALTH, HTTPS_HEALTH, TAG, PATH = range(1, 11)
"""The fields of a route, counted as HAProxy does. The last four are there where the host is looked at: how, at its two
ports, a tag that another route does not have, and what is requested; that may have the separator in it."""
YES, NO = "yes", "no"
_SPELLING = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")
"""Names that a client can ask for by HTTP or TLS (RFC 952, and underscores, which some have)."""


@attrs.define
class Names:
    """All names, as they shall be."""

    routes: dict[str, str] = attrs.Factory(dict)
    """Their routes."""
    withheld: set[str] = attrs.Factory(set)
    """The names that have none, as their hosts have rules about senders."""
    asking: frozenset[str] = frozenset()
    """The groups of hosts that have such rules."""
    certified: frozenset[str] = frozenset()
    """What there are certificates for; `*` may be a first label."""
    uncertified: set[str] = attrs.Factory(set)
    """The names whose TLS ends at the proxy, and that there is none for."""
    most: int = 0
    """The hosts of so many names are looked at."""
    checked: set[str] = attrs.Factory(set)
    """The names whose hosts are looked at."""
    unchecked: dict[str, str] = attrs.Factory(dict)
    """Those beyond that, with the routes that they have as soon as there is room."""

    def put(self, service: Service) -> None:
        """A service is there, or is different. Its host is looked at as soon as `advance` says so."""
        name = service.name[:-1]
        was_checked = name in self.checked
        self.drop(service.name)
        if not service.terms.proxy_required or _SPELLING.fullmatch(name) is None:
            return
        profile = service.host.profile
        if asks_for_sender(profile.firewall) or not self.asking.isdisjoint(profile.groups):
            self.withheld.add(name)
            return
        self.routes[name] = found = route(service)
        if plain(found) != found and was_checked:
            self.checked.add(name)
        elif plain(found) != found:
            self.routes[name], self.unchecked[name] = plain(found), found
        if service.terms.tls_termination and not covered(self.certified, name):
            self.uncertified.add(name)

    def drop(self, fqdn: str) -> None:
        """A service is no more; nothing happens if it never had a route."""
        self.routes.pop(fqdn[:-1], None)
        self.withheld.discard(fqdn[:-1])
        self.uncertified.discard(fqdn[:-1])
        self.checked.discard(fqdn[:-1])
        self.unchecked.pop(fqdn[:-1], None)

    def advance(self) -> list[str]:
        """While there is room, hosts are looked at that are to be; gives their names, which have another route now."""
        found = list[str]()
        while self.unchecked and len(self.checked) < self.most:
            name = next(iter(self.unchecked))
            self.routes[name] = self.unchecked.pop(name)
            self.checked.add(name)
            found.append(name)
        return found


def route(service: Service) -> str:
    """What the name of a service stands for. A host that has addresses of both families is reached by IPv4."""
    terms = service.terms
    fields = (
        str(ip_address(service.host.own[0])),
        str(terms.http_port),
        str(terms.https_port),
        YES if terms.https_redirect else NO,
        YES if terms.proxy_protocol else NO,
        YES if terms.tls_termination else NO,
    )
    https_health = None if terms.tls_termination else terms.https_health
    looks = [NO if each is None else each.value for each in (terms.http_health, https_health)]
    if looks == [NO, NO]:
        return SEPARATOR.join(fields)
    tag = f"{zlib.crc32(SEPARATOR.join((*fields, *looks)).encode()):08x}"
    return SEPARATOR.join((*fields, *looks, tag, terms.health_path))


def plain(route: str) -> str:
    """The same route, of a host that is not looked at."""
    return SEPARATOR.join(route.split(SEPARATOR)[:ENDS_TLS])


def covered(names: frozenset[str], name: str) -> bool:
    """Whether one of these names stands for a name: it itself, or `*` in place of its first label."""
    return name in names or f"*.{name.partition('.')[2]}" in names


@lru_cache(4096)
def asks_for_sender(firewall: Firewall) -> bool:
    """Whether what may come to a host depends on who sends it: the proxy stands in the sender's place."""
    return _ask((*firewall.admin, *firewall.user))


def asking_groups(groups: Iterable[Group]) -> frozenset[str]:
    """The names of those groups of which the same is so."""
    return frozenset(group.name for group in groups if _ask(each.rule for each in group.rules))


def _ask(rules: Iterable[Rule]) -> bool:
    meant = (meaning(rule) for rule in rules if rule.direction is Direction.INGRESS)
    return any(each.src is not None or any(ports.word == "sport" for ports in each.ports) for each in meant)


def differences(
    told: Mapping[str, str], wanted: Mapping[str, str | None], names: Iterable[str]
) -> list[tuple[str, str | None]]:
    """What has to be said of some names: each with its route, or None if it has none any more."""
    return [(name, wanted.get(name)) for name in names if told.get(name) != wanted.get(name)]
