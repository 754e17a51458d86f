"""Which hosts follow from what is registered, beside all other subscribers; and why one can not be."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address

import attrs

from realmgw.config.settings import Settings
from realmgw.config.steps import Steps, finish, portions
from realmgw.config.terms import DefaultHost, DefaultService, Terms
from realmgw.errors import RealmGatewayError
from realmgw.subscribers.entry import Entry, Offer
from realmgw.subscribers.files.incremental import Unit
from realmgw.subscribers.leases.book import Book, Lease
from realmgw.subscribers.leases.guests import Guests
from realmgw.subscribers.model import Directory, Profile, Service
from realmgw.subscribers.registry import Registry
from realmgw.subscribers.review import BELIEVING, Review

SOURCE = "dynamic updates"
"""What messages call where registered hosts come from."""
USUAL = (
    DefaultService(),
    DefaultService(label="www", proxy_required=True),
    DefaultService(label="sip", proxy_required=True),
)
"""By what a registered host is reached, unless the configuration says; those with a proxy where there is one."""

_profile = lru_cache(64)(Profile)


def nothing() -> Unit:
    """The source, before anything is registered. An entry is its own token."""
    entries: dict[str, Entry] = {}
    return Unit(SOURCE, entries, entries, yields=True)


def is_guest(lease: Lease, settings: Settings) -> bool:
    """Whether who is registered stays a guest."""
    return lease.key in settings.dns.update.guests


def restated(unit: Unit, before: Settings, after: Settings) -> Steps[Unit]:
    """What the source says when the settings are others: the same unit if it is the same, and all of it in force.

    Of who is as the settings want it, the entry is the same object.
    """
    if _said(before) == _said(after) and not unit.is_kept:
        return unit
    entries: dict[str, Entry] = {}
    for portion in portions(unit.tokens.items()):
        for name, token in portion:
            assert isinstance(token, Entry)
            entry = _entry(name, token.own, after)
            is_same = (entry.services, entry.profile) == (token.services, token.profile)
            entries[name] = token if is_same else entry
        yield None
    return Unit(SOURCE, entries, entries, yields=True)


def _said(settings: Settings) -> tuple[DefaultHost, bool]:
    return settings.dns.update.defaults, bool(settings.pools.service)


def _entry(name: str, addresses: Iterable[IPv4Address | IPv6Address], settings: Settings) -> Entry:
    usual = settings.dns.update.defaults
    services = USUAL if usual.services is None else usual.services
    is_proxied = usual.services is not None or bool(settings.pools.service)
    offers = tuple([Offer(before + name, terms) for before, terms in _offered(services, is_proxied=is_proxied)])
    by_version = {each.version: each for each in addresses}
    address, address6 = by_version.get(4), by_version.get(6)
    assert address is None or isinstance(address, IPv4Address)
    assert address6 is None or isinstance(address6, IPv6Address)
    profile = _profile(max_claims=usual.max_claims, groups=usual.groups)
    return Entry(name, address, offers, profile, address6=address6)


@lru_cache(8)
def _offered(services: tuple[DefaultService, ...], *, is_proxied: bool) -> tuple[tuple[str, Terms], ...]:
    """What stands before the host's name in that of each service, and its terms, which all hosts share."""
    keys = [field.name for field in attrs.fields(Terms)]
    return tuple(
        ("" if each.label is None else f"{each.label}.", Terms(**{key: getattr(each, key) for key in keys}))
        for each in services
        if is_proxied or not each.proxy_required
    )


class Hosts:
    """The registry as it will be when what waits is in force.

    Args:
        registry: As it is.
        book: What is registered.

    Attributes:
        idle: Why a registered name with an address is no host, by name.
        leaving: When hosts lose what is registered no more, by name: it is there for whoever wants it.
        guests: Who is registered with a key of `dns.update.guests`, and so is no host, but has a name.
    """

    def __init__(self, registry: Registry, book: Book) -> None:
        self._registry = registry
        self._book = book
        self._ahead: dict[str, Entry | None] = {}
        self._claims: dict[bytes | str, str] = {}
        self.idle: dict[str, str] = {}
        self.leaving: dict[str, float] = {}
        self.guests = Guests()

    def refusal(self, following: Mapping[str, Lease | None], settings: Settings) -> str | None:
        """Why names can not become that; None if they can. Of addresses that are in force, nothing is said."""
        new = [lease for lease in following.values() if lease is not None and not self._is_in_force(lease, settings)]
        return self._refusal(new, following, settings)

    def _is_in_force(self, lease: Lease, settings: Settings) -> bool:
        former = self._book.leases.get(lease.name)
        if former is None or lease.name in self.idle or is_guest(former, settings) != is_guest(lease, settings):
            return False
        return former.addresses == lease.addresses

    def _refusal(self, new: Iterable[Lease], following: Mapping[str, Lease | None], settings: Settings) -> str | None:
        for lease in new:
            why = self._beside(lease)
            if why is not None:
                return f"{lease.name}: {why}"
        return self._contradiction({name: self._entry_of(lease, settings) for name, lease in following.items()})

    def _beside(self, lease: Lease) -> str | None:
        """What speaks against its addresses: where they are, and what is written of the host."""
        addresses, source = lease.addresses, self._registry.source_of(lease.name)
        if addresses and source not in (None, SOURCE):
            index = self._registry.directory.indices.by_name[lease.name]
            is_same = {each.packed for each in addresses} == {*self._registry.directory.hosts[index].own}
            return None if is_same else f"its address is written in {source}"
        if addresses and self._registry.realm.is_apex(lease.name):
            return "it is a zone's own name"
        outside = [each for each in addresses if not self._registry.realm.is_on_lan(each)]
        return f"{outside[0]} lies in no network of a LAN" if outside else None

    def wanted(self, following: Mapping[str, Lease | None], settings: Settings) -> dict[str, Entry | None]:
        """The hosts that names become; None: none. What says the same is the same object."""
        return {name: self._wanted(lease, settings) for name, lease in following.items()}

    def _wanted(self, lease: Lease | None, settings: Settings) -> Entry | None:
        return None if lease is not None and is_guest(lease, settings) else self._entry_of(lease, settings)

    def _entry_of(self, lease: Lease | None, settings: Settings) -> Entry | None:
        """The host that a lease would be, if it were one, which a guest's is not; None: of nobody's addresses."""
        if lease is None or not lease.addresses or self._registry.source_of(lease.name) not in (None, SOURCE):
            return None
        name, addresses, present = lease.name, lease.addresses, self._entry(lease.name)
        return present if present is not None and {*present.own} == {*addresses} else _entry(name, addresses, settings)

    def begin(self, settings: Settings) -> None:
        """All is as the registry says, and who is registered and no host is a guest."""
        self.expect_nothing()
        for lease in self._book.leases.values():
            self.guests.put(lease.name, lease if is_guest(lease, settings) else None)

    def counts(self) -> dict[str, object]:
        """What there is that is no host."""
        return {"guests": len(self.guests), "idle": len(self.idle)}

    def put(self, name: str, lease: Lease | None, settings: Settings) -> None:
        """What is registered at a name is in force, or has no effect since somebody else says what it is."""
        self.idle.pop(name, None)
        why = None if lease is None else self._said_elsewhere(lease)
        if why is not None:
            self.idle[name] = why
        self.guests.put(name, lease if lease is not None and is_guest(lease, settings) else None)

    def _contradiction(self, now: Mapping[str, Entry | None]) -> str | None:
        """The first thing that is wrong with them, beside all others."""
        there = {name: entry for name in now if (entry := self._entry(name)) is not None}
        said = {name: entry for name, entry in now.items() if entry is not None}
        if all(there.get(name) is entry for name, entry in said.items()):
            return None
        review = Review(self, self._registry.realm, [(Unit(SOURCE, there), Unit(SOURCE, said, said, yields=True))], {})
        finish(review.decide(BELIEVING))
        lines = review.refused.get(SOURCE)
        return lines[0].removeprefix(f"{SOURCE}: ") if lines else None

    def expect(self, now: Mapping[str, Entry | None]) -> None:
        """Names are about to become that."""
        for name, entry in now.items():
            before = self._entry(name)
            for claim in before.claims() if before is not None else ():
                self._claims.pop(claim, None)
            self._ahead[name] = entry
            self._claims.update(dict.fromkeys(entry.claims() if entry is not None else (), name))

    def expect_nothing(self) -> None:
        """All is as the registry says."""
        self._ahead, self._claims = {}, {}

    def different(
        self, names: Mapping[str, Lease | None], at_once: Collection[str], settings: Settings, *, now: float
    ) -> tuple[dict[str, Entry | None], list[str]]:
        """What becomes of hosts: from now on; and those that lose something after a while, if nothing comes meanwhile.

        Args:
            names: What is registered now at those that have changed.
            at_once: Those of them that lose it at once.
            settings: In force.
            now: Monotonic, in seconds.
        """
        tokens = self._registry.units[SOURCE].tokens
        over = {name for name, due in self.leaving.items() if due <= now and name not in names}
        every = {**names, **{name: self._book.leases.get(name) for name in over}}
        found, later = dict[str, Entry | None](), list[str]()
        for name, entry in self.wanted(every, settings).items():
            token = tokens.get(name)
            left = set() if entry is None else {*entry.own}
            is_less = isinstance(token, Entry) and left < {*token.own}
            if is_less and name not in over and name not in at_once:
                later.append(name)
            elif token is not entry:
                found[name] = entry
        claims = [claim for entry in found.values() if entry is not None for claim in entry.claims()]
        for owner in filter(None, map(self._registry.owner_of, claims)):  # who leaves makes room for others
            if owner not in found and (owner in later or owner in self.leaving):
                found.update(self.wanted({owner: self._book.leases.get(owner)}, settings))
        return found, [name for name in later if name not in found]

    def unhindered(self, settings: Settings) -> dict[str, Entry | None]:
        """All hosts that are registered, if nothing is written of any of them.

        Whether others have what they want is not looked for. For a start with very many: `settling` does it for each.

        Raises:
            RealmGatewayError: There is something.
        """
        leases = self._book.leases
        for lease in leases.values():
            if lease.addresses and (self._registry.source_of(lease.name) is not None or self._beside(lease)):
                raise RealmGatewayError(f"{lease.name} can be no host")
        return {name: entry for name, entry in self.wanted(leases, settings).items() if entry is not None}

    def settling(self, names: Iterable[str], settings: Settings) -> Steps[dict[str, Entry | None]]:
        """What becomes of names when others may have changed; whoever can not be is idle from now on.

        Returns:
            The hosts that are different; those are expected. A step for each name; one that is expected to become
            something already, since a change of it waits, is left to that.
        """
        changed: dict[str, Entry | None] = {}
        tokens = self._registry.units[SOURCE].tokens
        for name in names:
            yield None
            if name in self._ahead:
                continue
            lease = self._book.leases.get(name)
            why = None if lease is None else self._why_idle(lease, settings)
            entry = None if why is not None else self._wanted(lease, settings)
            self.idle.pop(name, None)
            if why is not None:
                self.idle[name] = why
            if tokens.get(name) is not entry:
                changed[name] = entry
                self.expect({name: entry})
        return changed

    def _why_idle(self, lease: Lease, settings: Settings) -> str | None:
        return self._said_elsewhere(lease) or self._refusal([lease], {lease.name: lease}, settings)

    def _said_elsewhere(self, lease: Lease) -> str | None:
        source = self._registry.source_of(lease.name)
        return f"{source} says what it is" if lease.addresses and source not in (None, SOURCE) else None

    def _entry(self, name: str) -> Entry | None:
        if name in self._ahead:
            return self._ahead[name]
        token = self._registry.units[SOURCE].tokens.get(name)
        return token if isinstance(token, Entry) else None

    # What `Review` asks

    @property
    def directory(self) -> Directory:
        """As it is."""
        return self._registry.directory

    @property
    def owners(self) -> Mapping[str, str]:
        """As they are."""
        return self._registry.owners

    def services_of(self, name: str) -> tuple[Service, ...]:
        """As they are."""
        return self._registry.services_of(name)

    def yields(self, name: str) -> bool:
        """See `Registry.yields`."""
        return self._registry.yields(name)

    def source_of(self, name: str) -> str | None:
        """See `Registry.source_of`."""
        if name in self._ahead:
            return SOURCE if self._ahead[name] is not None else None
        return self._registry.source_of(name)

    def owner_of(self, claim: bytes | str) -> str | None:
        """See `Registry.owner_of`."""
        name = self._claims.get(claim)
        if name is not None:
            return name
        owner = self._registry.owner_of(claim)
        return None if owner in self._ahead or owner in self.leaving else owner

    def are_free(self, claims: Collection[bytes | str]) -> bool:
        """See `Registry.are_free`."""
        return all(self.owner_of(claim) is None for claim in claims)
