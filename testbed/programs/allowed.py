"""What the rule of a pool allows: how many of a resolver's clients can be served at all.

The rule: an address is one host's as long as one of its clients may still come. A client comes some time after its
answer, and where a resolver keeps answers, it tells them to others meanwhile. So a host needs an address for a part of
the time, and when more of them need one than there are, some have none. Who lets queries wait does better by that; who
hands addresses on sooner sends clients to a wrong host.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from testbed.realm.settings import Row


def share(addresses: int, hosts: int, rate: float, resolvers: Sequence[Row], pauses: Sequence[float]) -> float:
    """The part of the clients that finds its host at an address, 0 to 1.

    Args:
        addresses: In the pool.
        hosts: Private hosts, all of them asked for as often.
        rate: Visits in a second.
        resolvers: By whom clients come, the same number by each.
        pauses: From an answer to the connection, in seconds.
    """
    each = rate / hosts / len(resolvers)
    idle = math.prod(1.0 - busy(resolver, each, pauses) for resolver in resolvers)
    return served(addresses, hosts, 1.0 - idle)


def busy(resolver: Row, rate: float, pauses: Sequence[float]) -> float:
    """For which part of the time clients of a resolver may come to a host, 0 to 1.

    Args:
        resolver: Who tells them its address.
        rate: How often they ask for it, in visits a second.
        pauses: From an answer to the connection, in seconds.
    """
    if not resolver.kept:  # each client's own pause
        return 1.0 - math.exp(-rate * sum(pauses) / len(pauses))
    if resolver.renewed:  # nobody within the time that an answer is told
        return 1.0 - math.exp(-rate * (resolver.kept + max(pauses)))
    rest = math.exp(-rate * max(pauses)) / rate  # from the last client's time to the next question
    return 1.0 - rest / (resolver.kept + 1.0 / rate)


def served(addresses: int, hosts: int, part: float) -> float:
    """The part of the hosts in need that has an address, 0 to 1.

    Args:
        addresses: How many there are.
        hosts: How many there are.
        part: For which part of the time each of them needs one.
    """
    chances = (
        math.comb(hosts, number) * part**number * (1.0 - part) ** (hosts - number) for number in range(hosts + 1)
    )
    return sum(chance * min(number, addresses) for number, chance in enumerate(chances)) / (hosts * part)
