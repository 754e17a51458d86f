"""Real resolvers: what their users meet, and whether they get through the challenges.

./testbed/matrix [--quick] [--only TEXT] [--pause MS] [--write FILE]
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attrs

from testbed.load import generator
from testbed.measuring import figures
from testbed.measuring.rounds import Verdict
from testbed.programs import challenged, users, users_table
from testbed.programs.users import AMPLE, PAUSES, TIGHT, Cell, Situation
from testbed.realm.resolvers import RESOLVERS
from testbed.realm.settings import ROWS, Row
from testbed.realm.topology import CHECKOUT

KEPT = CHECKOUT / "testbed" / "build" / "matrix.json"
"""Where the cells of the last runs are: those of the same commit count, so that `--only` measures some again."""
AT_ONCE = 3
"""So many cells side by side."""
CHALLENGES = "challenges"
"""What `--only` calls the table of these."""
USERS = "users"
"""The place of the other one in a document."""
SOME = (Situation(AMPLE, nested=True), Situation(TIGHT, nested=True))
"""The columns of settings."""
QUICK = (*SOME, Situation(TIGHT, nested=True, beside=True))
"""Those of resolvers as they come when there is little time."""


@attrs.frozen
class Plan:
    """How much is measured."""

    seconds: float
    """How long clients come; more than a period of reputations, where that is judged."""
    keeping_seconds: float
    """How long they come where answers are kept for 60 s."""
    count: int
    """How often each resolver is asked under each challenge."""
    quick: bool
    """Whether only resolvers as they come, and those that keep answers, are measured."""
    pauses: tuple[float, ...] = PAUSES
    """Of the clients, before they connect, in seconds."""


FULL = Plan(22.0, 75.0, challenged.COUNT, quick=False)
"""About twenty-three minutes."""
BRIEF = Plan(12.0, 40.0, challenged.QUICK_COUNT, quick=True)
"""About four."""


def wanted(plan: Plan, only: str = "") -> Iterator[tuple[Row, Situation]]:
    """What is measured: rows and columns, those that take longest first.

    Args:
        plan: How much.
        only: Only those with this in their title.
    """
    for row in sorted(ROWS, key=lambda row: not row.keeps):
        if row.missing is None:
            for column in columns(row, plan):
                if only in f"{row.title}: {column.title}":
                    yield row, column


def columns(row: Row, plan: Plan) -> Sequence[Situation]:
    """In which situations a resolver is measured.

    Args:
        row: Which.
        plan: How much is measured at all.
    """
    if plan.quick:
        return QUICK if row.usual else SOME[:1] if row.keeps else ()
    if row.usual:
        return users.SITUATIONS
    return QUICK if row.keeps else SOME


def measure(plan: Plan, only: str) -> None:
    """Measures cells, some side by side; each is kept as soon as it is there.

    Args:
        plan: How much.
        only: Only those with this in their title.
    """
    figures.commit()  # that of all cells, whatever is committed while they are measured
    cases = list(wanted(plan, only))
    prefixes = [f"matrix{number}-" for number in range(AT_ONCE)]

    keeping = threading.Lock()

    def one(numbered: tuple[int, tuple[Row, Situation]]) -> None:
        number, (row, column) = numbered
        prefix = prefixes.pop()
        try:
            seconds = plan.keeping_seconds if row.keeps else plan.seconds
            cell = users.measure(row, column, seconds, pauses=plan.pauses, prefix=prefix)
        finally:
            prefixes.append(prefix)
        told = cell.trouble.partition("\n")[0] if cell.clients is None else figures.percent(cell.clients.served)
        print(f"    {number + 1} of {len(cases)}: {cell.title}: {told}", file=sys.stderr)
        with keeping:
            together([cell], plan)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(one, enumerate(cases)))


def together(fresh: Sequence[Cell], plan: Plan) -> list[Cell]:
    """These and what was measured of the same commit before, kept for the next time.

    Args:
        fresh: What was measured now.
        plan: How: only what was measured in the same way counts.
    """
    mark = {"commit": figures.commit(), "plan": attrs.asdict(plan)}
    mark = json.loads(json.dumps(mark))
    kept = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    old = [users.cell_of(words) for words in kept.get("cells", [])] if kept.get("mark") == mark else []
    cells = {**users_table.by_title(old), **users_table.by_title(fresh)}
    KEPT.parent.mkdir(parents=True, exist_ok=True)
    KEPT.write_text(json.dumps({"mark": mark, "cells": [users.plain(cell) for cell in cells.values()]}))
    order = [(row.title, column.title) for row in ROWS for column in users.SITUATIONS]
    return sorted(cells.values(), key=lambda cell: order.index((cell.row, cell.column)))


def finished(text: str, verdicts: Sequence[Verdict]) -> tuple[str, bool]:
    """A report with where its figures come from, and with its targets; and whether all of them were met.

    Args:
        text: Its tables.
        verdicts: What was demanded.
    """
    skipped = "".join(f"- skipped: {kind.missing()}\n" for kind in RESOLVERS if kind.missing())
    targets = figures.table(["target", "figure", "met"], [[v.target, v.figure, figures.met(v.met)] for v in verdicts])
    return f"{figures.machine()}{skipped}\n{text}\n{targets}", all(verdict.met for verdict in verdicts)


def report_users(plan: Plan, only: str) -> tuple[str, bool]:
    """What users meet.

    Args:
        plan: How much is measured.
        only: Only cells with this in their title.
    """
    begin = time.monotonic()
    measure(plan, only)
    text, verdicts = users_table.report(together([], plan))
    pauses = ", ".join(f"{pause * 1000:g}" for pause in plan.pauses)
    head = (
        f"Clients come for {plan.seconds:g} s, {plan.keeping_seconds:g} s where answers are kept for 60 s, and connect"
        f" {pauses} ms after their answer; {AT_ONCE} cells side by side."
    )
    print(f"({time.monotonic() - begin:.0f} s)", file=sys.stderr)
    return finished(f"{head}\n\n{text}", verdicts)


def main() -> int:
    """Measures; the exit status is 0 when every target was met."""
    parser = argparse.ArgumentParser(prog="matrix", description="What the users of real resolvers meet.")
    parser.add_argument("--quick", action="store_true", help="only the most telling cells, and shorter")
    parser.add_argument("--only", default="", metavar="TEXT", help="only cells with this in their title")
    parser.add_argument("--pause", type=float, metavar="MS", help="from an answer to the connection, of all clients")
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the report into its places in this document")
    options = parser.parse_args()
    plan = BRIEF if options.quick else FULL
    if options.pause is not None:
        plan = attrs.evolve(plan, pauses=(options.pause / 1000,))
    generator.build()
    statuses = []
    if options.only in CHALLENGES:
        statuses.append(figures.publish("matrix", lambda: finished(*challenged.report(plan.count)), options.write))
    if not options.only or any(wanted(plan, options.only)):
        statuses.append(figures.publish("matrix", lambda: report_users(plan, options.only), options.write, USERS))
    if not statuses:
        parser.error(f"nothing is called {options.only!r}: it is RESOLVER[, SETTING]: SITUATION, or {CHALLENGES}")
    return max(statuses)


if __name__ == "__main__":
    sys.exit(main())
