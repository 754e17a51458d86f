"""The demo's flood of SYNs at a pool: what is left for honest clients without a SYN proxy node, and with one."""

from __future__ import annotations

from testbed.load import generator
from testbed.programs.narration import Narration
from testbed.programs.synproxied import HEAD, HONEST_RATE, Case, Flood, row, run

RATE = 20_000
"""Forged SYNs a second."""
SECONDS = 2.0
"""For how long it is looked at what honest clients meet."""
SERVED = 0.95
"""So many of them at least, 0 to 1, come through with a node; as a rule all do."""
WITHOUT = Case("without a node", flooded=True, proxied=False)
WITH = Case("with one", flooded=True, proxied=True)


def show(tell: Narration) -> None:
    """Floods two testbeds, one after the other, each with a gateway of its own.

    Args:
        tell: Where to say it.
    """
    tell.step(
        f"{RATE} SYNs a second with forged sources flood a pool: without a SYN proxy node on the router, and with one"
    )
    tell.remark(
        f"Each in a testbed of its own, beside {HONEST_RATE:.0f} honest connections a second and one from before.\n"
        "The gateway tells the node what each host would answer; that answers forged SYNs, and they get no further.\n"
        "Without one, SYNs have to come twice while there is no room for all: forged ones do not, and clients are late."
    )
    generator.build()
    without, with_node = (run(case, SECONDS, RATE, prefix="demo-syn-") for case in (WITHOUT, WITH))
    for title, cells in zip(HEAD, zip(row(WITHOUT, [without]), row(WITH, [with_node]), strict=True), strict=True):
        tell.seen(f"{title:30}{cells[0]:>18}{cells[1]:>18}")
    alive = without.is_alive and with_node.is_alive
    tell.claim("connections from before go on, with a node and without", alive)
    tell.claim("with the node, honest clients come through", share(with_node) >= SERVED, f"{share(with_node):.1%}")
    fewer = share(without) <= share(with_node)
    tell.claim("without it no more of them do", fewer, f"{share(without):.1%}")
    spared = with_node.entries < without.entries
    seen = f"{with_node.entries} entries of conntrack in the gateway at most, {without.entries} without"
    tell.claim("the gateway sees nothing of the flood then", spared, seen)


def share(flood: Flood) -> float:
    """Which part of honest clients came through, 0 to 1."""
    return flood.outcome.ok / max(1, flood.outcome.started)
