"""The hosts that flows can be translated to, and what becomes of them."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from realmgw.subscribers.model import Host


@attrs.frozen(eq=False)
class HostChange:
    """What becomes of the hosts that flows can be translated to."""

    before: Mapping[int, Host]
    """All that the kernel has, by index."""
    gone: tuple[Host, ...] = ()
    """Those of them that it shall not have, those whose address changes among them."""
    came: tuple[Host, ...] = ()
    """Those that it shall have and has not, likewise."""

    def after(self) -> dict[int, Host]:
        """All that the kernel shall have; O(hosts)."""
        left = {host.index for host in self.gone}
        every = {index: host for index, host in self.before.items() if index not in left}
        return {**every, **{host.index: host for host in self.came}}
