"""Keys that are read and checked, and have no effect yet."""

from __future__ import annotations

from realmgw.config.settings import Settings
from realmgw.config.writing import differences

WITHOUT_EFFECT = (
    "datapath.network_api",
    "datapath.policy_order",
    "datapath.unknown_hosts",
    "dns.forward",
    "dns.local",
    "dns.update",
    "logging",
    "synproxy",
)
"""Of the main file."""


def note(settings: Settings) -> str | None:
    """A line that names the keys that were written and have no effect yet; None when there are none."""
    usual = Settings(settings.name, settings.zones, settings.interfaces, settings.pools)
    written = [change.key for change in differences(usual, settings)]
    idle = [key for key in WITHOUT_EFFECT if any(each == key or each.startswith(f"{key}.") for each in written)]
    if not idle:
        return None
    return f"Read and checked, but without effect in this version: {', '.join(idle)}."
