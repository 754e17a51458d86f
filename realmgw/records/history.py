"""Questions about flows that have ended: what the recorder has kept is read while it goes on. Edge: an SQLite file."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping
from contextlib import closing
from functools import lru_cache
from ipaddress import ip_network
from pathlib import Path
from socket import AF_INET, AF_INET6, inet_pton
from typing import Any

from realmgw.errors import PlatformError
from realmgw.records import tables

PATIENCE = 8.0  # seconds
"""So long a question may take."""
_STEPS = 100_000
"""So many instructions of SQLite lie between two looks at the clock."""


class History:
    """Reads the database; a call may block.

    Args:
        path: Its file.

    Attributes:
        path: The same.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def flows(self, given: Mapping[str, Any], most: int) -> dict[str, Any]:
        """Records, the youngest first.

        Args:
            given: What may be said of them, by keys of `tables.CONDITIONS`.
            most: So many at most.

        Raises:
            PlatformError: The database can not be read, or it takes too long.
        """
        given = _plain(given)
        found = self._ask(tables.flows(given), {**given, "most": most + 1})
        return {"flows": [tables.record(row) for row in found[:most]], "more": len(found) > most}

    def accounts(self, kind: int, since: float, name: str, most: int) -> dict[str, Any]:
        """What subscribers or groups had.

        Args:
            kind: `tables.HOST` or `tables.GROUP`.
            since: When, in seconds since 1970; the day or hour in which that is counts as a whole.
            name: Of whom; empty: sums of each.
            most: So many rows at most.

        Raises:
            PlatformError: As `flows`.
        """
        length = tables.DAY if kind == tables.HOST else tables.HOUR
        given = {"kind": kind, "since": since, "name": name, "length": length, "most": most + 1}
        found = self._ask(tables.accounts(by_time=bool(name)), given)
        fields = "name", "since", "flows", *tables.AMOUNTS
        rows = [dict(zip(fields, row, strict=True)) for row in found[:most]]
        return {"accounts": rows, "period": length, "more": len(found) > most}

    def _ask(self, query: str, given: Mapping[str, Any]) -> list[Any]:
        deadline = time.monotonic() + PATIENCE
        try:
            with closing(sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", uri=True)) as database:
                database.create_function("within", 2, _is_within, deterministic=True)
                database.set_progress_handler(lambda: int(time.monotonic() > deadline), _STEPS)
                return database.execute(query, given).fetchall()
        except sqlite3.Error as error:
            if str(error) == "interrupted":
                raise PlatformError(f"flow records: {PATIENCE:g} s were not enough: ask for less") from error
            if not self.path.exists() or "no such table" in str(error):
                return []  # the recorder has not made it yet, or is about to
            raise PlatformError(f"flow records: {self.path} can not be read: {error}") from error


def _plain(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """The same; a client of whom the whole address is given is compared as it is written."""
    network = ip_network(given["client"]) if "client" in given else None
    if network is None or network.num_addresses > 1:
        return given
    others = {name: value for name, value in given.items() if name != "client"}
    return {**others, "client_is": str(network.network_address)}


def _is_within(address: str, network: str) -> bool:
    """Whether an address is in a prefix. Cheap: it is asked of every record."""
    family, first, mask = _prefix(network)
    try:
        return int.from_bytes(inet_pton(family, address), "big") & mask == first
    except OSError:  # of the other family
        return False


@lru_cache(16)
def _prefix(network: str) -> tuple[int, int, int]:
    """Family, first address and mask."""
    found = ip_network(network)
    return AF_INET if found.version == 4 else AF_INET6, int(found.network_address), int(found.netmask)
