"""Where packets are told of that rules with the target LOG match: the settings of a group of nfnetlink_log."""

from __future__ import annotations

import attrs

from realmgw.config.validators import integer, key

MOST = 1_000_000
"""The largest rates."""


@attrs.frozen
class Nflog:
    """Which group packets are told to, and how many; what is beyond a rate is counted by its rule, and not told."""

    group: int = key(integer(0, 65_535), 5)
    """Number of the group, as readers name it."""
    rate: int = key(integer(1, MOST), 10)
    """So many packets a second of one rule, and so many at once."""
    total: int = key(integer(1, MOST), 200)
    """So many packets a second of all rules together, and so many at once."""
    snaplen: int = key(integer(20, 65_535), 128)
    """So many octets of each packet, from its IP header on."""
    refused: int = key(integer(0, MOST), 0)
    """So many packets a second that rules drop or refuse are told to the gateway itself, for `realmgw log`; 0: none."""
