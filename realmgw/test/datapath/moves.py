"""From some hosts to others, for tests."""

from __future__ import annotations

from collections.abc import Iterable

from realmgw.datapath.hosts import HostChange
from realmgw.subscribers.model import Host


def change(old: Iterable[Host], new: Iterable[Host]) -> HostChange:
    """What becomes of the old hosts when there are the new ones."""
    before = {host.index: host for host in old}
    return HostChange.of(before, before.values(), new)
