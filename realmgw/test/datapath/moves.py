"""From some hosts to others, for tests."""

from __future__ import annotations

from collections.abc import Iterable

from realmgw.datapath.hosts import HostChange
from realmgw.subscribers.model import Host


def change(old: Iterable[Host], new: Iterable[Host]) -> HostChange:
    """What becomes of the old hosts when there are the new ones."""
    before, after = ({host.index: host for host in hosts} for hosts in (old, new))
    return HostChange(before, gone=_but(before, after), came=_but(after, before))


def _but(these: dict[int, Host], those: dict[int, Host]) -> tuple[Host, ...]:
    """Those of the first that are not, with that address, among the others."""
    there = {(index, host.address) for index, host in those.items()}
    return tuple(host for index, host in these.items() if (index, host.address) not in there)
