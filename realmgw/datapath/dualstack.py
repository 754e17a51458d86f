"""What of IPv6 a gateway has: what the settings want, what hosts want, and what the machine has. It blocks.

Where the machine has IPv6 switched off, the gateway serves IPv4 alone, and says so. Edge: a routing socket.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import attrs

from realmgw.config.ipv6 import Ipv6, Ipv6Mode, Leave6
from realmgw.config.settings import Settings
from realmgw.datapath import client
from realmgw.datapath.elements import is_pinhole, takes_ipv6
from realmgw.datapath.machine import interfaces
from realmgw.datapath.machine.sysctls import Needs
from realmgw.errors import PlatformError
from realmgw.subscribers.model import Host
from realmgw.system.endpoints import Endpoint

SWITCHED_OFF = (
    "IPv6 is switched off on this machine (net.ipv6.conf.all.disable_ipv6), so only IPv4 is served:"
    " switch it on, and start again"
)
_UNSAID = Ipv6(mode=Ipv6Mode.OFF)
"""With it, hosts are what they themselves say."""


def wants_ipv6(settings: Settings) -> bool:
    """Whether there is anything of IPv6 in the settings."""
    return takes_ipv6(settings) or any(each.leave is not Leave6.OFF for each in settings.ipv6.outbound)


def without_ipv6(settings: Settings) -> Settings:
    """The same settings, with nothing of IPv6.

    Raises:
        PlatformError: There is nothing else in them.
    """
    circular = tuple(each for each in settings.pools.circular if each.network.version == 4)
    if not circular:
        raise PlatformError(f"{SWITCHED_OFF.partition(',')[0]}, and pools.circular has nothing else: switch it on")
    portal = settings.portal
    if portal is not None:
        tls = portal.tls and attrs.evolve(portal.tls, listen=_listening(portal.tls.listen))
        portal = attrs.evolve(portal, listen=_listening(portal.listen), tls=tls)
    dns = settings.dns
    wan, lan, local = (attrs.evolve(each, listen=_listening(each.listen)) for each in (dns.wan, dns.lan, dns.local))
    update = attrs.evolve(dns.update, listen=_listening(dns.update.listen))
    return attrs.evolve(
        settings,
        portal=portal,
        pools=attrs.evolve(settings.pools, circular=circular),
        dns=attrs.evolve(dns, wan=wan, lan=lan, local=local, update=update),
        ipv6=Ipv6(mode=Ipv6Mode.OFF, is_served=False),
    )


def served(settings: Settings) -> Settings:
    """What of the settings this machine can serve; equal to them where that is all.

    Raises:
        PlatformError: Nothing.
    """
    return _usable(settings, exists=client.has_ipv6())


def _usable(settings: Settings, *, exists: bool) -> Settings:
    if exists:
        return settings
    if wants_ipv6(settings):
        return without_ipv6(settings)
    return attrs.evolve(settings, ipv6=attrs.evolve(settings.ipv6, is_served=False))


def _listening(endpoints: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
    """Without addresses of IPv6, unless there are no others."""
    return tuple(each for each in endpoints if each.address.version == 4) or endpoints


@attrs.define
class DualStack:
    """What the last start has found, and what has come since."""

    exists: bool = True
    """Whether the machine has IPv6, and it is not switched off."""
    pinholes: bool = False
    """Whether a host has it in its file that it is reached at its own address, or had since the start."""
    advertised: bool = False
    """Whether the default route was advertised by a router."""
    leaves: bool = False
    """Whether there is one."""

    def look(self, settings: Settings) -> None:
        """Find out what the machine has."""
        wan = settings.interfaces.wan
        self.exists = client.has_ipv6()
        self.leaves = self.exists and client.leaves_by(wan, ipv6=True)
        with client.route_socket() as channel:
            self.advertised = self.exists and interfaces.advertises(channel, wan)

    def usable(self, settings: Settings) -> Settings:
        """What of the settings can be served here.

        Raises:
            PlatformError: Nothing.
        """
        return _usable(settings, exists=self.exists)

    def take(self, hosts: Iterable[Host]) -> None:
        """Hosts that are there from now on; those that go change nothing."""
        self.pinholes = self.exists and (self.pinholes or any(is_pinhole(host, _UNSAID) for host in hosts))

    def follow(self, given: Settings, before: Settings, came: Collection[Host]) -> Settings:
        """Take other settings, and hosts that come; where they bring the first of IPv6, look anew what the machine has.

        Args:
            given: The settings, as they are written.
            before: What was served until now.
            came: The hosts.

        Returns:
            What can be served of the settings.

        Raises:
            PlatformError: Nothing.
        """
        if not self.needs(before).forwards and (wants_ipv6(given) or any(is_pinhole(host, _UNSAID) for host in came)):
            self.look(given)
        self.take(came)
        return self.usable(given)

    def needs(self, settings: Settings) -> Needs:
        """What kernel settings are needed for."""
        forwards = self.exists and (self.pinholes or wants_ipv6(settings))
        return Needs(forwards=forwards, advertised=self.advertised, counts=settings.flow_records.enabled)

    def doubts(self, given: Settings) -> tuple[str, ...]:
        """What can not be served of what was written, in a line."""
        return () if self.exists or not wants_ipv6(given) else (SWITCHED_OFF,)
