"""The steps that may have to be outside of our table: the queue step, and the last one of the translation. It blocks.

Where nftables has no queue statement, the first is a chain of iptables; so is the second one, if `datapath.dnat` says
so. While one is not there, what needs it is dropped.
"""

from __future__ import annotations

from realmgw.config.settings import Dnat, Settings
from realmgw.datapath.iptables import xtables
from realmgw.datapath.iptables.chains import Chains
from realmgw.datapath.iptables.xtables import Chain

_MANGLE, _NAT = "mangle", "nat"


class QueueStep:
    """The queue step of one gateway. Making it touches nothing.

    Args:
        table: Name of the main table.
        queue: The queue's number.
        chains: Access to iptables, and to ip6tables.

    Attributes:
        is_native: Whether it is in the table.
        ipv6: Whether packets of IPv6 are to come to it.
    """

    def __init__(self, table: str, queue: int, chains: tuple[Chains, Chains]) -> None:
        self._chain = xtables.queue_chain(table, queue)
        self._chains, self._chains6 = chains
        self.is_native = self.ipv6 = False

    def place(self) -> None:
        """Put it in place, if it is not in the table.

        Raises:
            RealmGatewayError: iptables refused.
        """
        if self.is_native:
            self._chains.remove(_MANGLE, self._chain.name)  # of an earlier run on a kernel without the statement
        else:
            self._chains.place(self._chain)
        if self.ipv6 and not self.is_native:
            self._chains6.place(self._chain)
        else:
            self._chains6.remove(_MANGLE, self._chain.name)

    def widen(self, *, ipv6: bool) -> None:
        """Have packets of IPv6 come to it as well, if they do not yet: before there are rules that mark any.

        Raises:
            RealmGatewayError: As `place`.
        """
        if ipv6 and not self.ipv6:
            if not self.is_native:
                self._chains6.place(self._chain)
            self.ipv6 = True

    def is_installed(self) -> bool:
        """Whether it is there, if it is not in the table.

        Raises:
            RealmGatewayError: iptables does not tell.
        """
        if self.is_native:
            return True
        of_ipv6 = not self.ipv6 or self._chains6.is_installed(self._chain)
        return of_ipv6 and self._chains.is_installed(self._chain)


class LastStep:
    """The last step of the translation of one gateway. Making it touches nothing.

    Args:
        table: Name of the main table.
        chains: Access to iptables.

    Attributes:
        dnat: How a flow is sent to its host; not AUTO. With MAP there is nothing to be done here.
        first_octet: What the address of every host begins with; None: there are no hosts, and no last step.
    """

    def __init__(self, table: str, chains: Chains) -> None:
        self._table = table
        self._chains = chains
        self.dnat = Dnat.MAP
        self.first_octet: int | None = None

    def clear(self, settings: Settings) -> None:
        """Before a table, or hosts, that another rule of the last step would send astray; until it is placed, drops."""
        chain = self._chain(settings)
        if chain is None or not self._chains.is_installed(chain):
            self._chains.remove(_NAT, self._table)

    def place(self, settings: Settings) -> None:
        """Put it where there was none, and was closed, until now."""
        chain = self._chain(settings)
        if chain is not None and not self._chains.is_installed(chain):
            self._chains.place(chain)

    def change(self, settings: Settings, first_octet: int | None) -> None:
        """From now on, every host's address begins with this."""
        self.first_octet = first_octet
        self.clear(settings)
        self.place(settings)

    def is_installed(self, settings: Settings) -> bool:
        """Whether it is there.

        Raises:
            RealmGatewayError: iptables does not tell.
        """
        chain = self._chain(settings)
        return chain is None or self._chains.is_installed(chain)

    def _chain(self, settings: Settings) -> Chain | None:
        """The chain of MARKDNAT as it should be now; None if there should be none."""
        if self.dnat is not Dnat.MARKDNAT or self.first_octet is None:
            return None
        pool, wan = settings.pools.networks4, settings.interfaces.wan
        return xtables.dnat_chain(self._table, wan, pool, self.first_octet)
