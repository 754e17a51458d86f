"""The translation of prefixes of IPv6 (RFC 6296), which only ip6tables has. It blocks.

While it is not there, what needs it is dropped: it would leave with a private source.
"""

from __future__ import annotations

from collections.abc import Iterator

from realmgw.config.ipv6 import Leave6
from realmgw.config.settings import Network, Settings
from realmgw.datapath.iptables import xtables
from realmgw.datapath.iptables.chains import Chains
from realmgw.datapath.iptables.xtables import Chain

TABLE = "mangle"
"""Where its chain stands in ip6tables; the kernel takes it nowhere else."""


class PrefixStep:
    """The translation of one gateway. Making it touches nothing.

    Args:
        table: Name of the main table.
        chains: Access to ip6tables.
    """

    def __init__(self, table: str, chains: Chains) -> None:
        self._table = table
        self._chains = chains

    def place(self, settings: Settings) -> None:
        """Have prefixes translated as the settings say, and no others.

        Raises:
            PlatformError: There is no ip6tables, or somebody else has a chain of that name.
            RealmGatewayError: ip6tables refused.
        """
        chain = self._chain(settings)
        if chain is None:
            self._chains.remove(TABLE, xtables.prefix_name(self._table))
        elif not self._chains.is_installed(chain):
            self._chains.place(chain)

    def is_installed(self, settings: Settings) -> bool:
        """Whether that is so; where no prefixes are to be translated, nothing is looked at.

        Raises:
            RealmGatewayError: ip6tables does not tell.
        """
        chain = self._chain(settings)
        return chain is None or self._chains.is_installed(chain)

    def _chain(self, settings: Settings) -> Chain | None:
        prefixes = tuple(translated(settings))
        return xtables.prefix_chain(self._table, settings.interfaces.wan, prefixes) if prefixes else None


def translated(settings: Settings) -> Iterator[tuple[Network, Network]]:
    """The prefixes that are translated, inside and outside."""
    for each in settings.ipv6.outbound:
        if each.leave is Leave6.NPTV6 and each.inside is not None and each.outside is not None:
            yield each.inside, each.outside
