"""Entries as nft lists them: what an earlier run has left in the kernel. Pure; text to values."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_address

from realmgw.synnode.entries import Target
from realmgw.synproxy.codec import ANY_ADDRESS, ANY_ADDRESS6, MAX_WINDOW_SCALE, TcpOptions

MAPS = tuple(f"{name}{version}" for version in (4, 6) for name in ("services", "addresses", "ports"))
"""The table's maps with entries; what defaults are is said by the configuration, until a gateway says it."""

_ELEMENT = re.compile(r'([0-9a-f.:]+)(?: \. (\d+))? : "m(\d+)w(\d+)(s?)"')


def listed(name: str, text: str) -> Iterator[tuple[Target, TcpOptions]]:
    """The entries of a map.

    Args:
        name: Of the map.
        text: What nft says of it. What is not of our making is left out.
    """
    for first, port, mss, scale, sack in _ELEMENT.findall(text):
        options = TcpOptions(int(mss), bool(sack), int(scale))
        if 1 <= options.mss <= 0xFFFF and options.window_scale <= MAX_WINDOW_SCALE:
            try:
                yield _target(name, first, port), options
            except ValueError:
                continue


def _target(name: str, first: str, port: str) -> Target:
    """Raises ValueError where it is none."""
    if name.startswith("ports"):
        return (ANY_ADDRESS if name.endswith("4") else ANY_ADDRESS6), int(first)
    return ip_address(first).packed, int(port or 0)
