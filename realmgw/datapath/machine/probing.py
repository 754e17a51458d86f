"""What the machine can do, found out by doing it; nothing is left behind. It blocks. Edge: the kernel."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Network

import attrs

from realmgw.config.settings import Dnat, Settings
from realmgw.datapath import client
from realmgw.datapath.iptables import xtables
from realmgw.datapath.iptables.chains import Chains
from realmgw.datapath.machine import capabilities
from realmgw.datapath.machine.capabilities import Capabilities, Feature
from realmgw.datapath.nft import Nft
from realmgw.errors import RealmGatewayError

_TRIAL = IPv4Network("192.0.2.0/24")


class Prober:
    """Finds out.

    Args:
        settings: The gateway's settings.
        nft: Access to nftables, asked for when it is needed.
        chains: Access to iptables.
    """

    def __init__(self, settings: Settings, nft: Callable[[], Nft], chains: Chains) -> None:
        self._settings = settings
        self._trial_table = f"{settings.datapath.table}_probe"
        self._nft = nft
        self._chains = chains

    def probe(self) -> Capabilities:
        """What there is.

        Raises:
            PlatformError: There is no nftables at all.
        """
        found = client.privileges()
        if not found.has(capabilities.CAP_NET_ADMIN):
            return found
        native = self._accepts(capabilities.NATIVE_QUEUE)
        queue = xtables.queue_chain(self._trial_table, self._settings.admission.queue)
        return attrs.evolve(
            found,
            missing=tuple(feature for feature in capabilities.FEATURES if not self._accepts(feature)),
            native_queue=native,
            xtables_queue=not native and self._chains.works(queue),
            queue_socket=client.queue_socket_works(),
            dnat=next((way for way in capabilities.ways(self._settings.datapath.dnat) if self._works(way)), None),
        )

    def _accepts(self, feature: Feature) -> bool:
        try:
            self._nft().run(capabilities.trial(feature, self._trial_table), dry=True)
        except RealmGatewayError:
            return False
        return True

    def _works(self, way: Dnat) -> bool:
        """Whether flows can be translated that way."""
        if way is Dnat.MAP:
            return self._accepts(capabilities.MAP_OF_HOSTS)
        markdnat = xtables.dnat_chain(self._trial_table, "lo", [_TRIAL], 192)
        return self._accepts(capabilities.MAP_OF_MARKS) and self._chains.works(markdnat)
