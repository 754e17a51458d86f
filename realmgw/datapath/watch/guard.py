"""The guard: a second table, which nobody but this process can remove, for the moments when ours is gone.

`nft flush ruleset`, as other firewalls do it when they start, removes every table but those that have an owner (Linux
5.12): a socket, with which they end. The guard lives as long as the process, our table for as long as nobody removes
it; the machine is open only where both are gone. The guard says no to what our table would not let through either, and
keeps conntrack and its translations at work, so that established flows live on while our table is put back.

What is forwarded meets one chain of it, behind the translation: all that is asked of it is asked there at once. What
conntrack has no entry of has no status either, so it is dropped by its state.

A saved ruleset that has it (`nft list ruleset`) can not be loaded while the gateway runs.
"""

from __future__ import annotations

from collections.abc import Callable

from realmgw.datapath.incoming import IS_ADMITTED, OWN_REFUSAL, PASSES
from realmgw.datapath.nft import Nft
from realmgw.datapath.ruleset import Ruleset
from realmgw.errors import RealmGatewayError

RETRY = 30
"""A guard that was refused is tried again every so many times that it is to be placed: with each look at the kernel."""


def guard_table(table: str) -> str:
    """The guard's name.

    Args:
        table: The name of the main table.
    """
    return f"{table}_guard"


def guard_rules(ruleset: Ruleset) -> str:
    """The transaction that puts the guard in place, whether there was one of ours or not."""
    name = guard_table(ruleset.table)
    wan, lan, _ = ruleset.interfaces
    inwards, outwards = f"iifname {wan} oifname {lan}", f"iifname {lan} oifname {wan}"
    sets = "\n\t".join(ruleset.pool_sets)
    at_pool = "\n\t\t".join(f"{each} goto refused" for each in ruleset.to_pools[: 1 + ruleset.ipv6])
    by = (f"{inwards} meta nfproto ipv6 {each} accept\n\t\t" for each in (IS_ADMITTED, "ct status confirmed"))
    pinholes = "".join(by) if ruleset.ipv6 else ""
    of_proxy = [] if ruleset.proxied is None else ruleset.proxied.guarded(lan)
    proxied = "\n\tchain proxy_sends {\n\t\t" + "\n\t\t".join(of_proxy) + "\n\t}" if of_proxy else ""
    private6 = "" if ruleset.leaving6 is None else f"{ruleset.leaving6.private} drop\n\t\t"
    return f"""table inet {name} {{
	flags owner
}}
delete table inet {name}
table inet {name} {{
	flags owner
	comment "{ruleset.table}: holds while that table is gone; ends with its process"
	{sets}
	chain refused {{
		{OWN_REFUSAL}
		drop
	}}
	chain for_pool {{
		type filter hook prerouting priority dstnat + 30; policy accept;
		{at_pool}
	}}
	chain translations {{
		type nat hook prerouting priority dstnat + 20; policy accept;
	}}
	chain outbound {{
		type nat hook postrouting priority srcnat + 20; policy accept;
	}}
	chain leaving {{
		type filter hook postrouting priority srcnat + 30; policy accept;
		{private6}{PASSES}
		{pinholes}{inwards} ct status ! dnat drop
		{inwards} ct state invalid,untracked drop
		{outwards} meta nfproto ipv4 ct state new ct status ! snat drop
		{outwards} ct state invalid drop
	}}{proxied}
}}
"""


class Guard:
    """The guard of one gateway. Making it touches nothing.

    Args:
        open_owner: What makes an access to nftables that a table can have for its owner; None: there is none.
    """

    def __init__(self, open_owner: Callable[[], Nft] | None) -> None:
        self._open = open_owner
        self._nft: Nft | None = None
        self._for: Ruleset | None = None
        self._rules: str | None = None
        self._calls = 0  # since it was refused
        self.refusal: RealmGatewayError | None = None

    @property
    def is_installed(self) -> bool:
        """Whether it was placed; nobody else can remove it."""
        return self._nft is not None

    @property
    def doubts(self) -> tuple[str, ...]:
        """What to think of where there can be none."""
        if self.refusal is None:
            return ()
        why = f"there can be no guard ({self.refusal})"
        return (f"{why}: from a flush of the ruleset until it is back, the machine is open",)

    def place(self, ruleset: Ruleset) -> None:
        """Put it in place for this ruleset, if it is not so already; a kernel without owners is noted, no error.

        Where it was refused, that may have been for what is over by then: it is tried again, now and then.
        """
        if self._open is None or (self.is_installed and ruleset is self._for):
            return
        rules, self._for = guard_rules(ruleset), ruleset
        if self.is_installed and rules == self._rules:
            return
        self._calls = 0 if self.refusal is None else self._calls + 1
        if self._calls % RETRY:
            return
        try:
            self._nft = self._nft or self._open()
            self._nft.run(rules)
            self._rules, self.refusal = rules, None
        except RealmGatewayError as error:
            self.refusal = error
            self.remove()

    def remove(self) -> None:
        """Take it away; harmless when there is none."""
        if self._nft is not None:
            self._nft.close()
        self._nft = self._rules = None
