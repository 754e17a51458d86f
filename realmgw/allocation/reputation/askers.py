"""All who ask: resolver groups, the clients that they name, and the policy that decides what they may have."""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import TYPE_CHECKING

from realmgw.allocation.reputation.groups import Groups
from realmgw.allocation.reputation.load_policy import Best, LoadPolicy
from realmgw.allocation.reputation.requestors import Requestor, Requestors
from realmgw.allocation.reputation.score import Journal
from realmgw.config.steps import Steps, finish

if TYPE_CHECKING:
    from realmgw.allocation.counters import Counters
    from realmgw.allocation.reputation.requestors import ClientNetwork
    from realmgw.allocation.trace import Trace
    from realmgw.config.policy import Policy


class Askers:
    """Who is known, and by what policy they are judged.

    Args:
        limit: How many resolvers are remembered, of each kind, and how many clients.
        counters: Where the policy's decisions are counted.

    Attributes:
        groups: The resolver groups.
        requestors: The clients that were named by those who are believed.
        journal: Those of them whose reputation changed.
        load: The load policy; None if nothing is ever refused.
        most_claims: How many claims may stand at once, for all hosts together.
    """

    def __init__(self, limit: int, counters: Counters) -> None:
        self.journal = Journal(2 * limit)
        self.groups = Groups(limit, journal=self.journal)
        self.requestors = Requestors(limit, self.journal)
        self.load: LoadPolicy | None = None
        self.most_claims = math.inf
        self._counters = counters
        self._best = Best()

    def configure(self, limit: int) -> None:
        """From now on, remember so many."""
        self.journal.limit = 2 * limit
        self.groups.configure(limit)
        self.requestors.configure(limit)

    def limits(self, trace: Trace | None = None) -> bool:
        """Whether no claim more is made, when as many stand as may."""
        return self.load is not None and self.load.limits(trace)

    @property
    def best(self) -> float:
        """The best reputation known, 0 to 1; 0.0 while none is."""
        return self._best.value

    def configure_policy(self, policy: Policy | None, *, now: float) -> None:
        """From now on, decide by this policy, or refuse nothing; reputations and experience stay.

        Args:
            policy: The operator's.
            now: The present, in monotonic seconds.
        """
        finish(self.configuring_policy(policy, now=now))

    def configuring_policy(self, policy: Policy | None, *, now: float) -> Steps[None]:
        """What `configure_policy` does, step by step; with a few groups, there is one."""
        decides = policy is not None and (policy.system_load or policy.max_claims is not None)
        self.load = LoadPolicy(policy, self._counters, self._best) if policy is not None and decides else None
        self.most_claims = math.inf if self.load is None else self.load.most_claims
        yield from self.groups.presetting(policy.groups if policy is not None else (), now=now)

    def requestor(
        self, resolver: Hashable, key: Hashable, network: ClientNetwork | None, *, now: float
    ) -> Requestor | None:
        """Who is meant by what a resolver says of its client; made if he is not known.

        Ask this for a query whose sender is proven, where senders have to be: else anybody could write the address of
        a resolver that is believed, and name whom he likes.

        Args:
            resolver: The address value that the query came from.
            key: What the client is known by: its network, which means the same for all groups; or, where there is no
                network, an id that means something within the resolver's group.
            network: Where the client's packets come from; None if only an id was told.
            now: The present, in monotonic seconds.

        Returns:
            None when the resolver's group is not believed (`sla`).
        """
        del now
        group = self.groups.find(resolver)
        if group is None or not group.sla:
            return None
        return self.requestors.of(key if network is not None else (group, key), network)
