"""How long real resolvers, as they come, tell an answer again whose TTL is 0: a table of docs/resolvers.md.

    python -m testbed.programs.keeping [--write FILE]

A client asks a resolver for a name, and after a while another client, from another address, asks for it as well, at a
moment at which the gateway is stopped. Whoever is answered then is told what the resolver has kept.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attrs
import dns.exception
import dns.message
import dns.query
import dns.rcode

from testbed.measuring import figures
from testbed.realm.gateway import ZONE, Gateway, Subscriber
from testbed.realm.resolvers import Resolver
from testbed.realm.settings import KINDS, ROWS, Row
from testbed.realm.topology import CLIENT, Testbed, TestbedError, client_address

DELAYS = (0.1, 0.3, 0.6, 1.2, 3.0, 4.5, 6.5)
"""How long after the first client the second one asks, in seconds."""
ROUNDS = 8
"""How often all of them are tried, each time with names that nobody has asked for, and at another part of a second."""
STILL = 0.3  # seconds
"""So long the gateway is stopped; a resolver answers in a few milliseconds what it has kept."""
LONGEST = 10.0  # seconds
"""How long an answer of a gateway that runs may take."""
UPSTREAM, CLIENTS = client_address(1), 10
"""Where a forwarder's resolver is, and how many addresses clients and resolvers have."""
POOL = {"addresses": "100.64.5.0/24", "attachment": "routed"}
"""Enough for all names at once."""


@attrs.frozen
class Kept:
    """What was seen of one resolver."""

    title: str
    """Its row's."""
    shares: tuple[float, ...] = ()
    """For each of the delays: the part of the second clients who were told what was kept, 0 to 1."""
    trouble: str = ""
    """Why it was not tried."""


def measure(row: Row, prefix: str, delays: Sequence[float] = DELAYS, rounds: int = ROUNDS) -> Kept:
    """Tries one resolver, in a testbed of its own, with a gateway that has its defaults.

    Args:
        row: Which.
        prefix: Of the testbed.
        delays: After how many seconds the second clients ask.
        rounds: How often.
    """
    try:
        with Testbed(prefix, hosts=len(delays) * rounds, clients=CLIENTS, routed=[POOL["addresses"]]) as testbed:
            names = [f"kept{number}.{ZONE}" for number in range(len(testbed.hosts))]
            hosts = [Subscriber(*pair) for pair in zip(names, testbed.hosts, strict=True)]
            with Gateway(testbed, hosts, circular=[POOL]) as gateway, _running(testbed, row):
                told = []
                for number in range(rounds):
                    time.sleep(1 / rounds)
                    asked = names[number * len(delays) :]
                    told.append(_round(testbed, gateway, dict(zip(asked, delays, strict=False))))
    except TestbedError as error:
        return Kept(row.title, trouble=str(error))
    return Kept(row.title, tuple(sum(each) / rounds for each in zip(*told, strict=True)))


@contextlib.contextmanager
def _running(testbed: Testbed, row: Row) -> Iterator[None]:
    with contextlib.ExitStack() as running:
        if row.before is None:
            running.enter_context(Resolver(testbed, KINDS[row.resolver], CLIENT, lines=row.lines))
        else:
            running.enter_context(Resolver(testbed, KINDS[row.before], UPSTREAM))
            running.enter_context(Resolver(testbed, KINDS[row.resolver], CLIENT, upstream=UPSTREAM, lines=row.lines))
        yield


def _round(testbed: Testbed, gateway: Gateway, delays: dict[str, float]) -> list[bool]:
    """Whether those who ask for these names now are told what others were told so many seconds before."""
    still = time.monotonic() + max(delays.values()) + STILL
    first, second = testbed.clients[-1], testbed.clients[-2]

    def begin(name: str) -> None:
        time.sleep(max(0.0, still - delays[name] - time.monotonic()))
        if not testbed.call("public", _ask, name, first, LONGEST):
            raise TestbedError(f"{name}: no answer")

    with ThreadPoolExecutor(len(delays)) as pool:
        for each in [pool.submit(begin, name) for name in delays]:
            each.result()
        time.sleep(max(0.0, still - time.monotonic()))
        os.kill(gateway.pid, signal.SIGSTOP)
        try:
            return list(pool.map(lambda name: testbed.call("public", _ask, name, second, STILL), delays))
        finally:
            os.kill(gateway.pid, signal.SIGCONT)


def _ask(name: str, source: str, timeout: float) -> bool:
    """Whether an address came in time.

    Raises:
        TestbedError: Something else did.
    """
    query = dns.message.make_query(name, "A")
    try:
        answer, _ = dns.query.udp_with_fallback(query, CLIENT, timeout=timeout, source=source)
    except dns.exception.Timeout:
        return False
    if not answer.answer:
        raise TestbedError(f"{name}: {dns.rcode.to_text(answer.rcode())}")
    return True


def report() -> str:
    """Tries all resolvers as they come, some of them side by side; the table."""
    rows = [row for row in ROWS if row.usual and row.missing is None]
    with ThreadPoolExecutor(4) as pool:
        kept = pool.map(lambda row: measure(row, f"kept{ROWS.index(row)}-"), rows)
        cells = [[each.title, *(_cell(each, at) for at in range(len(DELAYS)))] for each in kept]
    words = f"The part of the second clients who were told what their resolver had kept, of {ROUNDS} at each time:"
    return f"{figures.machine()}\n{words}\n\n{figures.table(['after', *(f'{each:g} s' for each in DELAYS)], cells)}"


def _cell(kept: Kept, at: int) -> str:
    return f"{kept.shares[at] * 100:.0f} %" if kept.shares else kept.trouble.replace("\n", "; ")


def main() -> int:
    """Prints the table; the exit status is 0 if there is one."""
    parser = argparse.ArgumentParser(
        prog="python -m testbed.programs.keeping", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the table into its place in this document")
    return figures.publish("keeping", lambda: (report(), True), parser.parse_args().write, "keeping")


if __name__ == "__main__":
    sys.exit(main())
