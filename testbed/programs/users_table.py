"""What is said of cells of `users.py`: tables, and whether the targets were met."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from realmgw.allocation.claims.keepers import LONG
from realmgw.config.settings import Allocation
from testbed.measuring import figures
from testbed.measuring.rounds import Verdict
from testbed.player.crowd import SERVED, WRONG
from testbed.programs import allowed
from testbed.programs.users import (
    AMPLE,
    BESIDE,
    EXHAUSTED,
    LEARNING,
    PAUSES,
    SITUATIONS,
    TIGHT,
    Cell,
    Crowded,
    Situation,
)
from testbed.realm.settings import ROWS, Row

ALLOWED = "BIND"
"""Whose clients, alone, show what the gateway makes of a pool: it keeps nothing, and spends no address on a probe."""
SHARE = 0.97
"""What the clients of every resolver get at least, of that and of what the rule of the pool allows them."""
ALMOST = 0.995
"""Who may have so much may have everything."""
TOLD = 4
"""So many cells that do not meet a target are told; the tables have the others."""
STANDING = 0.8
"""The least reputation of a resolver whose clients all come."""

Cells = Mapping[tuple[str, str], Cell]
"""Title of the row and of the column -> the cell."""


def by_title(cells: Iterable[Cell]) -> dict[tuple[str, str], Cell]:
    """Cells by the titles of their rows and columns.

    Args:
        cells: In any order.
    """
    return {(cell.row, cell.column): cell for cell in cells}


def rows(cells: Cells, columns: Sequence[Situation]) -> list[list[str]]:
    """A row for each resolver that was measured in any of the situations.

    Args:
        cells: What was measured.
        columns: The situations.
    """
    table = []
    for row in ROWS:
        found = [cells.get((row.title, column.title)) for column in columns]
        if any(found):
            table.append([row.title, *(_told(cell) for cell in found)])
    return table


def _told(cell: Cell | None) -> str:
    """A cell of the table."""
    if cell is None:
        return "-"
    if cell.clients is None:
        return "did not start"
    own, other = map(_bound, possible(cell))
    others = "" if cell.others is None else f"; {BESIDE}'s {_shares(cell.others, other)}"
    return f"{_shares(cell.clients, own)}, {_times(cell.clients)}{others}"


def _bound(most: float) -> str:
    """What the rule of the pool allows, if that is not everything."""
    return "" if most > ALMOST else f" of {most * 100:.0f} %"


def _shares(crowd: Crowded, bound: str) -> str:
    wrong = f", **{crowd.wrong} wrong**" if crowd.wrong else ""
    standing = "-" if math.isnan(crowd.reputation) else f"{crowd.reputation:.2f}"
    return f"{figures.percent(crowd.served)}{bound}{wrong}, {standing}"


def _times(crowd: Crowded) -> str:
    median, most = crowd.added
    return "-" if math.isnan(median) else f"{median * 1000:.0f} / {most * 1000:.0f} ms"


LOSSES_HEAD = ["resolver", "situation", "served", "what the others met", "what the gateway counted"]
"""Titles of the table of losses."""


def losses(cells: Iterable[Cell]) -> list[list[str]]:
    """A row for each cell in which somebody did not reach his host.

    Args:
        cells: What was measured.
    """
    table = []
    for cell in cells:
        if cell.trouble:
            table.append([cell.row, cell.column, "-", cell.trouble.replace("\n", "; ").replace("|", "/"), "-"])
        for crowd, beside in ((cell.clients, ""), (cell.others, f", {BESIDE}'s")):
            if crowd is not None and crowd.served < 1:
                served = f"{crowd.ends.get(SERVED, 0)} of {crowd.asked}"
                ends = {end: count for end, count in crowd.ends.items() if end != SERVED}
                table.append([cell.row, cell.column + beside, served, _counts(ends), _counts(cell.reasons)])
    return table


def _counts(counts: Mapping[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    return ", ".join(f"{count} {what}" for what, count in ordered) or "-"


def judge(cells: Cells) -> list[Verdict]:
    """What is demanded of resolvers as they come, and of those that keep answers.

    Args:
        cells: What was measured.
    """
    usual = [cell for row in ROWS if row.usual for cell in _of(row, cells)]
    keeping = [cell for row in ROWS if row.keeps for cell in _of(row, cells)]
    ample = [cell for cell in usual if _column(cell).pool is AMPLE]
    tight = [cell for cell in usual if _column(cell).pool is TIGHT]
    verdicts = [
        _none_of("every resolver that is installed starts", cells.values(), lambda cell: cell.trouble),
        _none_of("as they come: nobody reaches a wrong host", usual, _wrong),
        _none_of(f"minimum TTL 60 s: nobody does after {LEARNING:g} s ({_cost(keeping)})", keeping, _wrong_later),
        _none_of("as they come, ample pool: everybody is served", ample, _unserved),
        _none_of(f"as they come, ample pool: reputation at least {STANDING:g}", ample, _standing),
        _none_of(
            f"as they come, tight pool, alone or not: at least {SHARE:.0%} of what its rule allows",
            tight,
            lambda cell: _starved(cell, cells),
        ),
    ]
    return [verdict for verdict in verdicts if verdict is not None]


def _of(row: Row, cells: Cells) -> list[Cell]:
    return [cell for column in SITUATIONS if (cell := cells.get((row.title, column.title))) is not None]


def _column(cell: Cell) -> Situation:
    return next(column for column in SITUATIONS if column.title == cell.column)


def _crowds(cell: Cell) -> list[Crowded]:
    return [crowd for crowd in (cell.clients, cell.others) if crowd is not None]


def _wrong(cell: Cell) -> str:
    return f"{cell.wrong} wrong" if cell.wrong else ""


def _wrong_later(cell: Cell) -> str:
    wrong = sum(crowd.wrong_later for crowd in _crowds(cell))
    return f"{wrong} wrong" if wrong else ""


def _cost(cells: Sequence[Cell]) -> str:
    """What it costs to learn that a resolver keeps answers."""
    early = [Counter(crowd.ends) - Counter(crowd.later) for cell in cells for crowd in _crowds(cell)]
    met = sum(early, Counter())
    return f"until then {met[WRONG]} did, and {met.total() - met[WRONG] - met[SERVED]} of {met.total()} were refused"


def _unserved(cell: Cell) -> str:
    least = min((crowd.served for crowd in _crowds(cell)), default=1.0)
    return figures.percent(least) if least < 1 else ""


def _standing(cell: Cell) -> str:
    least = min((crowd.reputation for crowd in _crowds(cell)), default=1.0)
    return f"{least:.2f}" if not least >= STANDING else ""


def _starved(cell: Cell, cells: Cells) -> str:
    """Whose clients get too little; empty when nobody's do."""
    found = []
    for crowd, most in zip(_crowds(cell), possible(cell), strict=False):
        least = min(most, _alone(_column(cell), cells))
        if crowd.served < SHARE * least:
            found.append(f"{figures.percent(crowd.served)} of {figures.percent(least)}")
    return " and ".join(found)


def _alone(column: Situation, cells: Cells) -> float:
    """What BIND's clients get alone in a pool, 0 to 1; 1 when that was not measured."""
    alone = cells.get((ALLOWED, Situation(column.pool, column.nested).title))
    return 1.0 if alone is None or alone.clients is None else alone.clients.served


def possible(cell: Cell) -> tuple[float, float]:
    """What the rule of a pool allows a resolver's clients, and those of the other one if there is one; 0 to 1.

    Whose clients come for old answers for long has no more than a part of the pool then (`keeper_share`), and the other
    one has the rest.

    Args:
        cell: For whom, and in which situation.
    """
    pool, beside = _column(cell).pool, _column(cell).beside
    (row,) = (row for row in ROWS if row.title == cell.row)
    (other,) = (row for row in ROWS if row.title == BESIDE)
    held = round(pool.size * Allocation().keeper_share) if beside and row.kept + max(PAUSES) > LONG else 0
    rate = pool.rate / 2 if beside else pool.rate
    own = allowed.share(held or pool.size, pool.hosts, rate, [row], PAUSES)
    if held or not beside:
        return own, allowed.share(pool.size - held, pool.hosts, rate, [other], PAUSES)
    return (allowed.share(pool.size, pool.hosts, pool.rate, [row, other], PAUSES),) * 2


def _none_of(target: str, cells: Iterable[Cell], fault: Callable[[Cell], str]) -> Verdict | None:
    """That there is no cell with a fault; None when nothing was measured."""
    judged = list(cells)
    faults = [f"{cell.title}: {words}" for cell in judged if (words := fault(cell).partition("\n")[0])]
    more = f"; and {len(faults) - TOLD} more" if len(faults) > TOLD else ""
    return (
        Verdict(target, "; ".join(faults[:TOLD]) + more or f"all {len(judged)} cells", not faults) if judged else None
    )


def report(cells: Sequence[Cell]) -> tuple[str, list[Verdict]]:
    """The tables in Markdown, and what was demanded.

    Args:
        cells: What was measured.
    """
    found = by_title(cells)
    parts = []
    for pool in (AMPLE, TIGHT, EXHAUSTED):
        measured = {cell.column for cell in cells}
        columns = [column for column in SITUATIONS if column.pool is pool and column.title in measured]
        if table := rows(found, columns):
            parts.append(figures.table(["resolver", *(column.title for column in columns)], table))
    if lost := losses(cells):
        parts.append(figures.table(LOSSES_HEAD, lost))
    return "\n".join(parts), judge(found)
