"""The hosts that flows can be translated to, and what becomes of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property

import attrs

from realmgw.config.ipv6 import Ipv6Mode
from realmgw.datapath.policy.classes import Classes, Led
from realmgw.subscribers.firewall import Firewall
from realmgw.subscribers.model import Host
from realmgw.subscribers.review import addresses_of


@attrs.frozen(eq=False, slots=False)  # what follows from it is kept
class HostChange:
    """What becomes of the hosts that flows can be translated to."""

    before: Mapping[int, Host]
    """All that the kernel has, by index."""
    gone: tuple[Host, ...] = ()
    """Those of them that it shall not have, those whose address changes among them."""
    came: tuple[Host, ...] = ()
    """Those that it shall have and has not, likewise."""
    classes: Classes = attrs.Factory(Classes)
    """The classes that the kernel has; without any hosts before, there are none."""

    @classmethod
    def of(cls, before: Mapping[int, Host], gone: Iterable[Host], came: Iterable[Host]) -> HostChange:
        """What the kernel sees of a change: it knows of a host its index, how it is reached, and its rules.

        Args:
            before: All that the kernel has, by index.
            gone: Hosts that are no more, and those that change in anything, as they were.
            came: Hosts that are new, and those that change, as they are from now on.
        """
        came = tuple(came)
        same = {host.index for host in came if (old := before.get(host.index)) and _reached(old) == _reached(host)}
        gone, came = (tuple(host for host in hosts if host.index not in same) for hosts in (gone, came))
        return cls(before, gone, came)

    def __bool__(self) -> bool:
        return bool(self.gone or self.came)

    @cached_property
    def led(self) -> Led:
        """What becomes of the classes; raises `ConfigurationError` if there would be too many."""
        return self.classes.led(self.gone, self.came)

    def after(self) -> dict[int, Host]:
        """All that the kernel shall have; O(hosts)."""
        left = {host.index for host in self.gone}
        every = {index: host for index, host in self.before.items() if index not in left}
        return {**every, **{host.index: host for host in self.came}}


def _reached(host: Host) -> tuple[tuple[bytes, ...], Ipv6Mode | None, Firewall, tuple[str, ...]]:
    return addresses_of(host), host.profile.ipv6, host.profile.firewall, host.profile.groups
