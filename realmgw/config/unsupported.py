"""Keys that are read and checked, and have no effect yet."""

from __future__ import annotations

from collections.abc import Mapping

from realmgw.config.settings import Settings
from realmgw.config.writing import differences

WITHOUT_EFFECT = ("datapath.network_api",)
"""Of the main file."""


OF_SUBSCRIBERS = {
    "carriergrade": "carriergrade",
}
"""Of subscribers: keys, and what they are called."""


def unsupported_keys(settings: Settings) -> str | None:
    """A line that names the keys that were written and have no effect yet; None when there are none."""
    usual = Settings(settings.name, settings.zones, settings.interfaces, settings.pools)
    written = [change.key for change in differences(usual, settings)]
    idle = [key for key in WITHOUT_EFFECT if any(each == key or each.startswith(f"{key}.") for each in written)]
    if not idle:
        return None
    return f"Read and checked, but without effect in this version: {', '.join(idle)}."


def unsupported_of_subscribers(counts: Mapping[str, int]) -> str | None:
    """The same of subscribers.

    Args:
        counts: How many hosts have each key of `OF_SUBSCRIBERS`.
    """
    idle = [f"{OF_SUBSCRIBERS[key]} of {_hosts(count)}" for key, count in counts.items() if count]
    if not idle:
        return None
    return f"Read and checked, but without effect in this version: {', '.join(idle)}."


def _hosts(count: int) -> str:
    return "1 host" if count == 1 else f"{count} hosts"
