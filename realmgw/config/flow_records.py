"""The settings of flow records: whether it is written down who spoke with whom, where, and for how long it is kept."""

from __future__ import annotations

from pathlib import PurePath

import attrs

from realmgw.config.validators import boolean, integer, key, number, parsed


@attrs.frozen
class FlowRecords:
    """Records of flows: lines of JSON in a file that is moved aside."""

    enabled: bool = key(boolean, False)
    """Whether they are written. They are personal data: by default nobody keeps them."""
    file: PurePath | None = key(parsed(PurePath), None)
    """The file; None: one in the state folder."""
    size: int = key(integer(10_000, 2**40), 100_000_000)  # octets
    """A file that would become longer is moved aside, and a new one begun."""
    files: int = key(integer(0, 1000), 10)
    """So many of those that were moved aside are kept."""
    days: float = key(number(0.01, 3650.0), 30.0)
    """What is older is deleted, in days."""
    interval: float = key(number(0.0, 86_400.0), 300.0)  # seconds
    """How often it is looked at flows that last; 0: never, and they count when they end."""
    database: bool = key(boolean, True)
    """Whether they are kept in a database as well, in the state folder, to be asked for."""
    rows: int = key(integer(1, 2**40), 1_000_000)
    """So many records at most are in it."""
