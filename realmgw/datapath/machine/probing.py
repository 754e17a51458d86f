"""What the machine can do, found out by doing it; nothing is left behind. It blocks. Edge: the kernel."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network

import attrs

from realmgw.config.settings import Dnat, Leave6, Offload, Settings
from realmgw.datapath import client, links
from realmgw.datapath.iptables import xtables
from realmgw.datapath.iptables.chains import Chains
from realmgw.datapath.links import RouteType
from realmgw.datapath.machine import capabilities, sysctls
from realmgw.datapath.machine.capabilities import Capabilities, Feature
from realmgw.datapath.nft import Nft
from realmgw.datapath.pipeline.stages import stages
from realmgw.errors import RealmGatewayError

_TRIAL = IPv4Network("192.0.2.0/24")


class Prober:
    """Finds out.

    Args:
        settings: The gateway's settings.
        nft: Access to nftables, asked for when it is needed.
        chains: Access to iptables, and to ip6tables.
        ipv6: Whether it is in use.
    """

    def __init__(
        self, settings: Settings, nft: Callable[[], Nft], chains: tuple[Chains, Chains], *, ipv6: bool
    ) -> None:
        self._settings = settings
        self._trial_table = f"{settings.datapath.table}_probe"
        self._nft = nft
        self._chains, self._chains6 = chains
        self._ipv6 = ipv6

    def probe(self) -> Capabilities:
        """What there is.

        Raises:
            PlatformError: There is no nftables at all.
        """
        found = client.privileges()
        if not found.has(capabilities.CAP_NET_ADMIN):
            return found
        native = self._accepts(capabilities.NATIVE_QUEUE)
        ways = {each.leave for each in self._settings.ipv6.outbound if self._ipv6}
        of_leaving = (feature for way, feature in capabilities.OF_LEAVING.items() if way in ways)
        logs = self._accepts(capabilities.LOG)
        of_stages = capabilities.of_stages(stages(self._settings, logs=logs).trial())
        wanted = (*capabilities.FEATURES, *(capabilities.FEATURES6 if self._ipv6 else ()), *of_leaving, of_stages)
        queue = xtables.queue_chain(self._trial_table, self._settings.admission.queue)
        return attrs.evolve(
            found,
            missing=(
                *(feature for feature in wanted if not self._accepts(feature)),
                *([] if Leave6.NPTV6 not in ways or self._has_snpt() else [capabilities.TRANSLATED_PREFIXES]),
            ),
            native_queue=native,
            xtables_queue=not native and self._chains.works(queue) and (not self._ipv6 or self._chains6.works(queue)),
            hashes=self._accepts(capabilities.HASH),
            logs=logs,
            flowtables=self._settings.datapath.offload is not Offload.OFF and self._accepts(capabilities.FLOWTABLE),
            queue_socket=client.queue_socket_works(),
            dnat=next((way for way in capabilities.ways(self._settings.datapath.dnat) if self._works(way)), None),
        )

    def enough(self) -> Capabilities:
        """What there is, which is all that the settings need.

        Raises:
            PlatformError: Something is missing; the text says what to do.
        """
        settings, found = self._settings, self.probe()
        ports = tuple(each.port for each in settings.listened)
        raw = settings.pools.solicited
        capabilities.refuse(capabilities.problems(found, ports=ports, dnat=settings.datapath.dnat, raw=raw))
        return found

    def _accepts(self, feature: Feature) -> bool:
        try:
            self._nft().run(capabilities.trial(feature, self._trial_table), dry=True)
        except RealmGatewayError:
            return False
        return True

    def _has_snpt(self) -> bool:
        one, other = (IPv6Network(f"2001:db8:{each}::/48") for each in (1, 2))
        chain = xtables.prefix_chain(self._trial_table, "lo", [(one, other)])
        return self._chains6.works(attrs.evolve(chain, name=self._trial_table))

    def _works(self, way: Dnat) -> bool:
        """Whether flows can be translated that way."""
        if way is Dnat.MAP:
            return self._accepts(capabilities.MAP_OF_HOSTS)
        markdnat = xtables.dnat_chain(self._trial_table, "lo", [_TRIAL], 192)
        return self._accepts(capabilities.MAP_OF_MARKS) and self._chains.works(markdnat)


def review(settings: Settings) -> tuple[str, ...]:
    """What of the kernel's settings works, but not well; see `sysctls.review`.

    Raises:
        PlatformError: One breaks the gateway.
    """
    wan = settings.interfaces.wan
    read = {key: client.read_sysctl(key) for key in sysctls.keys(wan)}
    return sysctls.review(
        {key: value for key, value in read.items() if value is not None},
        wan=wan,
        on_link=RouteType.LOCAL in {route.kind for route in links.wanted_routes(settings.pools.circular)},
        default_by_wan=lambda: client.leaves_by(wan),
    )
