"""`realmgw top`. Edge: the command line."""

from __future__ import annotations

from collections.abc import Iterable

import click

from realmgw.control.command import frame
from realmgw.control.command.arguments import Command, Usual
from realmgw.control.command.asking import Answer, ask, show
from realmgw.control.command.live import FASTEST, SLOWEST, repeat
from realmgw.control.commands import MOST

RESOLVERS = 1000
"""So many groups of resolvers, the worst ones, are asked for."""


@click.command("top", cls=Command)
@click.option("--once", is_flag=True, help="Show it once, and end.")
@click.option(
    "--seconds", type=click.FloatRange(FASTEST, SLOWEST), default=2.0, show_default=True, metavar="N", help="How often."
)
@click.option(
    "--sort",
    type=click.Choice(frame.SORTS),
    default=frame.SORTS[0],
    show_default=True,
    help="By what names and hosts are sorted.",
)
@click.option("--match", default="", metavar="TEXT", help="Only names, hosts and resolvers that contain this.")
@click.option(
    "--rows",
    type=click.IntRange(1, MOST),
    default=8,
    show_default=True,
    metavar="N",
    help="At most so many rows of each table.",
)
@click.pass_obj
def top(usual: Usual, /, once: bool, seconds: float, rows: int, **how: str) -> None:
    """Show what goes on: names, hosts, resolvers, the pool, refusals; until Ctrl-C."""
    before: Answer = None

    def fetch() -> Answer:
        nonlocal before
        now, limit = ask(usual, "status", brief="1"), str(MOST)
        places, known = ask(usual, "reservations", limit=limit), ask(usual, "reputation/list", limit=str(RESOLVERS))
        then, before = before, now
        shown = frame.frame(now, then, known["reputations"], match=how["match"])
        return {**shown, **frame.standing(places["reservations"], **how)}

    def lines(answer: Answer) -> Iterable[str]:
        return frame.lines(answer, rows)

    if once:
        return show(usual, fetch(), lines)
    return repeat(fetch, lines, seconds, as_json=usual.json)
