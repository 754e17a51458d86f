"""How the gateway is defended in a measurement: what its configuration says of challenges and reputation."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import attrs

from testbed.realm.gateway import ON_LINK_POOL, ZONE, configuration
from testbed.realm.root import ALIASES


@attrs.frozen
class Defence:
    """What is switched on."""

    title: str
    """What the tables call it."""
    challenges: tuple[str, ...] = ()
    """The switches of `policy.challenges`."""
    bands: bool = False
    """Whether the pool's load asks for reputation, by the reference bands."""
    cookies: bool = True
    """Whether the name server knows cookies."""
    rate_limit: int = 0
    """Refusals and challenges per second and source network; 0: no limit."""
    groups: tuple[Mapping[str, Any], ...] = ()
    """Resolver groups that are known from the beginning."""

    def settings(self) -> dict[str, Any]:
        """Sections of the gateway's configuration."""
        own = configuration([ON_LINK_POOL])
        own["zones"][ALIASES] = {**copy.deepcopy(own["zones"][ZONE]), "aliases": True}
        own["dns"]["cookies"] = {"enabled": self.cookies}
        own["dns"]["rate_limit"] = {"per_second": self.rate_limit}
        policy: dict[str, Any] = {"challenges": dict.fromkeys(self.challenges, True)}
        if not self.bands:
            policy["system_load"] = []
        if self.groups:
            policy["groups"] = [dict(group) for group in self.groups]
        return {"zones": own["zones"], "dns": own["dns"], "policy": policy}


OFF = Defence("off")
"""Who comes first is served first."""
ON = Defence("on", ("adaptive",), bands=True, rate_limit=100)
"""Everything."""
