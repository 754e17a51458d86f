"""Whose a table is: ours carry a comment, by which a start, a repair and a purge know them. What is not ours stays.

Between looking and changing somebody could put a table of his own in the place of ours. So the transaction that
replaces or removes tables begins with a precondition: it names those that were seen by the kernel's own numbers, or
creates those that were not there. If anything is different by then, the kernel refuses all of it.
"""

from __future__ import annotations

import re

import attrs

from realmgw.datapath.netlink.nftables import Standing
from realmgw.datapath.translation import mark_table
from realmgw.errors import PlatformError

NAMED = 60
"""So many characters of the gateway's name stand in the comment, which may have 127 in all."""
_PURPOSE = "replaced as a whole at every start; do not edit"
_FIRST = f"realmgw: {_PURPOSE}"
"""What our first version wrote; the tables beside it had no comment then."""
_OURS = re.compile(rf"realmgw \([^()]*\): {_PURPOSE}")


def comment(gateway: str) -> str:
    """What a table of ours says of itself.

    Args:
        gateway: The gateway's name.
    """
    name = gateway.removesuffix(".")
    return f"realmgw ({name if len(name) <= NAMED else name[:NAMED] + '...'}): {_PURPOSE}"


@attrs.frozen
class Tables:
    """What stands under our names."""

    table: str
    """The name of the main table, family inet."""
    main: Standing | None
    """It."""
    mark: Standing | None
    """The table of family ip that earlier versions had beside it."""

    def foreign(self) -> str | None:
        """What of it is somebody else's, as nft calls it; None when all is ours."""
        if self.main is not None and not is_ours(self.main):
            return f"table inet {self.table}"
        if self.mark is not None and not is_ours(self.mark) and not self._is_first():
            return f"table ip {mark_table(self.table)}"
        return None

    def refuse_foreign(self) -> None:
        """Refuse what is somebody else's.

        Raises:
            PlatformError: One is; the text says which.
        """
        whose = self.foreign()
        if whose is not None:
            raise PlatformError(f"{whose} is somebody else's: choose another datapath.table, or remove it yourself")

    def precondition(self) -> str:
        """The beginning of a transaction that removes or replaces both, whether they stand or not."""
        return precondition("inet", self.table, self.main) + precondition("ip", mark_table(self.table), self.mark)

    def _is_first(self) -> bool:
        return self.main is not None and self.main.comment == _FIRST and self.mark is not None and not self.mark.comment


def is_ours(table: Standing) -> bool:
    """Whether a table says of itself that it is one of ours."""
    return table.comment == _FIRST or _OURS.fullmatch(table.comment) is not None


def precondition(family: str, name: str, found: Standing | None) -> str:
    """The command after which there is no such table, or an empty one; refused where another stands than was found."""
    return f"create table {family} {name}\n" if found is None else f"delete table {family} handle {found.handle}\n"
