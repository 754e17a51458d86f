"""The translation of prefixes of IPv6 (RFC 6296), which only ip6tables has. It blocks.

While it is not there, what needs it is dropped: it would leave with a private source.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from realmgw.config.settings import Settings
from realmgw.datapath import outbound6
from realmgw.datapath.iptables import xtables
from realmgw.datapath.iptables.chains import Chains
from realmgw.datapath.iptables.xtables import Chain
from realmgw.errors import PlatformError, RealmGatewayError

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
            PlatformError: There is no ip6tables, somebody else has a chain of that name, or it was refused.
        """
        chain = self._chain(settings)
        if chain is None:
            self._chains.remove(TABLE, xtables.prefix_name(self._table))
            return
        try:
            if not self._chains.is_installed(chain):
                self._chains.place(chain)
        except PlatformError:
            raise
        except RealmGatewayError as error:
            raise PlatformError(
                f"ipv6.outbound: nptv6 does not work here, load ip6t_NPT (modprobe ip6t_NPT), or use nat66: {error}"
            ) from error

    @contextmanager
    def leading(self, before: Settings, after: Settings) -> Iterator[None]:
        """Leads to other settings; when what is done within fails, back.

        Where the same prefixes are to be translated, nothing is done: programs would be run for each host that comes.

        Raises:
            RealmGatewayError: As `place`; nothing was done within.
        """
        if self._chain(before) == self._chain(after):
            yield
            return
        self.place(after)
        try:
            yield
        except RealmGatewayError:
            self.place(before)
            raise

    def is_installed(self, settings: Settings) -> bool:
        """Whether that is so; where no prefixes are to be translated, nothing is looked at.

        Raises:
            RealmGatewayError: ip6tables does not tell.
        """
        chain = self._chain(settings)
        return chain is None or self._chains.is_installed(chain)

    def _chain(self, settings: Settings) -> Chain | None:
        prefixes = tuple(outbound6.prefixes(settings))
        return xtables.prefix_chain(self._table, settings.interfaces.wan, prefixes) if prefixes else None
