"""The WAN's view of settings that are not in force, to be asked what it would say; nothing is bound, and nobody waits.

What it is told of chance and time is the same each time: nothing of it leaves the process.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from realmgw.allocation.allocator import Allocator
from realmgw.config import settings
from realmgw.config.values import Network
from realmgw.dns.mitigation.defences import Defences
from realmgw.dns.view import View
from realmgw.dns.wan import wan_view
from realmgw.dns.zones import ZoneTable


def dry_view(
    settings: settings.Settings, table: ZoneTable, allocator: Allocator, inside: Collection[Network], now: float
) -> View:
    """A view for `realmgw.dns.explain.explain_name`, and for nothing else.

    Args:
        settings: What would be in force.
        table: Its zones, with the names that will be asked for.
        allocator: Its pool.
        inside: The networks of LANs, as far as they are known.
        now: The present, in monotonic seconds.
    """
    defences = Defences.of(settings, bytes, lambda: 0.0, now=now)
    view = wan_view(settings, table, allocator, defences, _never, lambda: now)
    view.inside.configure(inside)
    return view


def _never(seconds: float, function: Callable[[float], None]) -> None:
    raise AssertionError(f"{function} is to be called in {seconds} s, and nothing is done here")
