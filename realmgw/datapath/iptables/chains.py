"""Our chains in iptables' tables: made, looked for, taken away. It blocks. Edge: programs."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress

from realmgw.datapath import client
from realmgw.datapath.client import Run
from realmgw.datapath.iptables import xtables
from realmgw.datapath.iptables.xtables import Chain
from realmgw.datapath.nft import Nft
from realmgw.errors import PlatformError, RealmGatewayError

_FOREIGN = "is incompatible, use 'nft' tool"
"""What the nftables variant of iptables says of a table that has more than it knows of."""


class Chains:
    """Access to iptables. Making it touches nothing.

    Args:
        run: What runs programs.
        nft: Access to nftables, for what the nftables variant of iptables leaves behind there.
        ours: Within it a program changes something: in the nftables variant, by one transaction.
        ipv6: Whether it is ip6tables.
    """

    def __init__(
        self,
        run: Run,
        nft: Callable[[], Nft],
        ours: Callable[[], AbstractContextManager[None]] = nullcontext,
        *,
        ipv6: bool = False,
    ) -> None:
        self._run = run
        self._nft = nft
        self._ours = ours
        self._ipv6 = ipv6
        self._family = "ip6" if ipv6 else "ip"
        self.program = f"{self._family}tables"

    def works(self, chain: Chain) -> bool:
        """Try whether the chain can be made, without the jump to it; nothing is left behind.

        Args:
            chain: A chain of a name that nobody should have.

        Raises:
            PlatformError: Somebody else has it.
        """
        self.has(chain.table, chain.name)
        try:
            self._fill(chain)
            self.remove(chain.table, chain.name)
        except RealmGatewayError:
            return False
        return True

    def place(self, chain: Chain) -> None:
        """Make the chain, or fill it anew in one step; then see to it that there is one jump to it.

        Raises:
            PlatformError: There is no iptables, or somebody else has a chain of that name.
            RealmGatewayError: It was refused; the chain is as it was, or stands without a jump to it.
        """
        self.has(chain.table, chain.name)
        self._fill(chain)
        listed = self._listed(chain.table)
        if not xtables.has_jump(listed, chain):
            for arguments in (*xtables.removal(listed, chain.table, chain.name)[:-2], xtables.jump(chain)):
                self._change(arguments)

    def is_installed(self, chain: Chain) -> bool:
        """Whether the chain and the jump to it are as they should be.

        Raises:
            RealmGatewayError: iptables does not tell.
        """
        return xtables.is_installed(self._listed(chain.table), chain)

    def has(self, table: str, name: str) -> bool:
        """Whether there is a chain of ours.

        Args:
            table: Name of the table of iptables.
            name: The chain's name.

        Raises:
            PlatformError: There is one of that name, and it is somebody else's.
            RealmGatewayError: iptables does not tell.
        """
        listed = self._listed_if_any(table)
        if not xtables.has_chain(listed, name):
            return False
        if xtables.is_foreign(listed, name):
            raise PlatformError(
                f"the {self.program} chain {name} in {table} is somebody else's: choose another datapath.table, or"
                " remove it yourself"
            )
        return True

    def remove(self, table: str, name: str) -> bool:
        """Take a chain away, with every jump to it, and what iptables itself has made for it in nftables.

        Returns:
            Whether there was one.

        Raises:
            PlatformError: It is somebody else's.
            RealmGatewayError: It was refused.
        """
        if not self.has(table, name):
            return False
        for arguments in xtables.removal(self._listed(table), table, name):
            self._change(arguments)
        self._tidy(table)
        return True

    def _listed_if_any(self, table: str) -> str:
        """The listing of a table, which is empty where iptables can not have made a chain."""
        if not shutil.which(self.program) or (self._ipv6 and not client.knows_ipv6()):
            return ""
        try:
            return self._listed(table)
        except RealmGatewayError as error:
            if _FOREIGN not in str(error):
                raise
            return ""  # somebody's own nftables table of that name

    def _tidy(self, table: str) -> None:
        """The nftables variant of iptables leaves an empty builtin chain and an empty table behind."""
        if xtables.has_rules(self._listed(table)):
            return
        for hook in xtables.HOOKS:
            with suppress(RealmGatewayError):  # there is none in the other variant
                self._iptables(xtables.builtin_removal(table, hook))
        nft = self._nft()
        name = f"{self._family} {table}"
        if f"table {name}\n" in nft.run("list tables\n") and _is_empty(nft.run(f"list table {name}\n")):
            nft.run(f"delete table {name}\n")

    def _fill(self, chain: Chain) -> None:
        with self._ours():
            self._run([f"{self.program}-restore", "-w", "10", "--noflush"], xtables.chain_input(chain))

    def _listed(self, table: str) -> str:
        return self._iptables(xtables.listing(table))

    def _change(self, arguments: Sequence[str]) -> None:
        with self._ours():
            self._iptables(arguments)

    def _iptables(self, arguments: Sequence[str]) -> str:
        return self._run([self.program, *arguments], "")


def _is_empty(listed: str) -> bool:
    """Whether nft's listing of a table holds nothing."""
    return "".join(listed.partition("{")[2].split()) == "}"
