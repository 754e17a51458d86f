"""Many clients: each resolves a name and fetches a page; who answers is compared with who should."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import dns.exception

from testbed.realm import client

PATIENCE = 5.0  # seconds
"""How long somebody waits for a page."""


@attrs.frozen
class Visit:
    """One flow and what became of it."""

    name: str
    """Which name was asked."""
    expected: str
    """The private host that the name belongs to."""
    address: str = ""
    """The pool address that was answered; empty when none was."""
    host: str = ""
    """The private host that answered; empty when none did."""
    resolve: float = math.nan
    """From the question to the address, in seconds."""
    total: float = math.nan
    """From the question to the page, in seconds."""
    fault: str = ""
    """Why it failed; empty when it did not."""

    @property
    def mis_delivered(self) -> bool:
        """Whether another host than the name's answered."""
        return bool(self.host) and self.host != self.expected

    @property
    def succeeded(self) -> bool:
        """Whether the name's host answered."""
        return self.host == self.expected


async def visit(name: str, expected: str, *, port: int = 80, how: Mapping[str, Any] = {}) -> Visit:
    """One flow. Never raises for what the network does: that is in the result.

    Args:
        name: The name.
        expected: The private host that it belongs to.
        port: Where its pages are.
        how: How it is asked for, as for `client.resolve`; and its source is that of the flow.
    """
    begin = time.monotonic()
    this = Visit(name, expected)
    try:
        address = await client.address_of(name, **how)
        this = attrs.evolve(this, address=address, resolve=time.monotonic() - begin)
        host = await client.fetch(address, port, timeout=PATIENCE, source=how.get("source") or "")
        return attrs.evolve(this, host=host, total=time.monotonic() - begin)
    except (OSError, LookupError, dns.exception.DNSException) as error:
        return attrs.evolve(this, fault=f"{type(error).__name__}: {error}")


async def visit_many(
    hosts: Mapping[str, str], count: int, rate: float, progress: Callable[[Sequence[Visit]], object]
) -> list[Visit]:
    """Flows to all names in turn, at a fixed rate, whether earlier ones have come to their end or not.

    Args:
        hosts: Name -> the private host that it belongs to.
        count: How many flows.
        rate: How many of them begin in a second.
        progress: Called after each one that ended, with those that have.
    """
    done: list[Visit] = []

    async def one(number: int, name: str) -> None:
        await asyncio.sleep(number / rate)
        done.append(await visit(name, hosts[name]))
        progress(done)

    names = list(hosts)
    await asyncio.gather(*(one(number, names[number % len(names)]) for number in range(count)))
    return done


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of the values that at least this share of them does not exceed; not a number for none.

    Args:
        values: In any order.
        share: More than 0, at most 1.
    """
    return sorted(values)[math.ceil(share * len(values)) - 1] if values else math.nan
