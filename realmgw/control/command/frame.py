"""What goes on, on one screen: names, hosts, resolvers, the pool, refusals; pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from realmgw.control.command import shown
from realmgw.control.counting import RATED, RATES, Period, picked
from realmgw.control.durations import duration
from realmgw.control.remedies import remedy

Answer = Mapping[str, Any]

SORTS = ("admitted", "addresses", "waiting", "name")
"""By what names and hosts can be sorted: clients that were let in, addresses that stand for them, clients that are
waited for, or their own name."""
REFUSED = (("packets", "admission"), ("queries", "allocation"))
"""What is refused, and the part that counts it."""
_COMPARED = (*RATED, *((part, "refused") for _, part in REFUSED))


def frame(now: Answer, before: Answer | None, reputations: Sequence[Answer], *, match: str) -> dict[str, Any]:
    """All of it but what stands at the pool's addresses.

    Args:
        now: What `status` says.
        before: What it said the last time; None: there was none.
        reputations: Groups of resolvers, the worst first.
        match: Only resolvers that contain this, in capitals or not.

    Returns:
        For JSON. Rates are by the second: since the time before, or over the last minute or two, as `status` has them.
    """
    is_meant, seconds = _containing(match), 0.0 if before is None else now["uptime"] - before["uptime"]
    period = None  # nothing is known of before; so it is, too, when the gateway was started anew
    if before is not None and seconds > 0:
        period = Period(seconds, picked(now["counts"], _COMPARED), picked(before["counts"], _COMPARED))
    return {
        "state": now["state"],
        "troubles": [f"{each['part']}: {each['text']}" for each in now["troubles"]],
        "name": now["name"],
        "uptime": now["uptime"],
        "pool": now["pool"],
        "rates": now["rates"] if period is None else _rates(period),
        "refused": list(_refused(period, now["counts"])),
        "resolvers": [row for row in reputations if is_meant(row["name"])],
    }  # fmt: skip


def standing(rows: Sequence[Answer], *, sort: str, match: str) -> dict[str, list[dict[str, Any]]]:
    """Names and hosts, with what stands for each.

    Args:
        rows: What stands at the pool's addresses.
        sort: One of `SORTS`.
        match: Only names and hosts that contain this, in capitals or not.
    """
    return {what: _by(key, rows, sort, _containing(match)) for what, key in (("names", "service"), ("hosts", "host"))}


def _containing(match: str) -> Callable[[str], bool]:
    wanted = match.lower()
    return lambda name: wanted in name.lower()


def _rates(period: Period) -> dict[str, float]:
    """As `status` has them, over this period."""
    grown = {name: round(period.total(name) / period.seconds, 3) for name in RATES}
    return {"seconds": round(period.seconds, 3), **grown}


def _refused(period: Period | None, counts: Answer) -> Iterator[dict[str, Any]]:
    """Reasons, those that count most at present first."""
    found = []
    for what, part in REFUSED:
        for reason, total in counts.get(part, {}).get("refused", {}).items():
            if total:
                rate = None if period is None else round(period.more(part, "refused", reason) / period.seconds, 3)
                row = {"what": what, "reason": reason, "total": total, "rate": rate, "remedy": remedy(reason)}
                found.append(row)
    yield from sorted(found, key=lambda row: (-(row["rate"] or 0.0), -row["total"]))


def _by(key: str, rows: Iterable[Answer], sort: str, is_meant: Callable[[str], bool]) -> list[dict[str, Any]]:
    """Names, or hosts, with what stands for each."""
    sums: dict[str, dict[str, Any]] = defaultdict(lambda: {"addresses": 0, "waiting": 0, "admitted": 0})
    for row in rows:
        if is_meant(row["service"]) or is_meant(row["host"]):
            each = sums[row[key]]
            each["addresses"] += 1
            each["waiting"] += len(row["claims"])
            each["admitted"] += row["sources"]
    found = [{"name": name, **each} for name, each in sums.items()]
    return sorted(found, key=lambda each: (0 if sort == "name" else -each[sort], each["name"]))


def lines(answer: Answer, limit: int) -> Iterator[str]:
    """The same for people.

    Args:
        answer: As `frame` has it.
        limit: So many rows of each table.
    """
    yield f"{answer['name']}  {answer['state']}, up {duration(answer['uptime'])}"
    yield from answer["troubles"][:limit]
    rates = answer["rates"]
    yield (
        f"{rates['queries']:.1f} queries/s, {rates['lent']:.1f} addresses lent/s, "
        f"{rates['admitted']:.1f} flows admitted/s, over {rates['seconds']:.0f} s"
    )
    yield f"pool {shown.picture(answer['pool'])}"
    yield from (f"pool IPv6 {line}" for line in shown.ipv6(answer["pool"]["ipv6"]))
    refused = [
        [row["what"], row["reason"], "-" if row["rate"] is None else f"{row['rate']:.1f}", row["total"]]
        for row in answer["refused"]
    ]
    yield from _table(("refused", "reason", "a second", "in all"), refused, limit)
    for what in ("names", "hosts"):
        rows = [[row["name"], row["addresses"], row["waiting"], row["admitted"]] for row in answer[what]]
        yield from _table((what, "addresses", "waited for", "let in"), rows, limit)
    rows = [[row["name"], row["reputation"], row["ok"], row["nok"]] for row in answer["resolvers"]]
    yield from _table(("resolvers", "reputation", "used", "unused"), rows, limit)


def _table(titles: Sequence[str], rows: Sequence[Sequence[object]], limit: int) -> Iterator[str]:
    if rows:
        yield ""
        yield from shown.listed(titles, rows[:limit], len(rows))
