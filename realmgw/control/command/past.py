"""Flows that have ended, and accounts of them, as lines for humans. Edge: the machine's time zone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone

from realmgw.control.command.shown import ENDS, Answer, end_of, listed
from realmgw.control.durations import duration

SIZES = ("", "k", "M", "G", "T", "P")


def flows(answer: Answer) -> Iterator[str]:
    """Records, a line for each."""
    rows = [
        [
            when(row["at"]),
            "-" if row["start"] is None else duration(row["at"] - row["start"]),
            row["direction"],
            row["protocol"],
            row["host"] or "-",
            *(end_of(row[end], row[port]) for end, port in ENDS),
            row["name"] or "-",
            size(row["octets_in"]),
            size(row["octets_out"]),
            row["trace_id"] or "-",
        ]
        for row in answer["flows"]
    ]
    columns = ("ended", "after", "", "protocol", "host", "address", "via", "client", "name", "in", "out", "trace id")
    yield from listed(columns, rows, len(rows))
    yield from _more(answer)


def accounts(answer: Answer) -> Iterator[str]:
    """What somebody had, a line for each of them, or for each day or hour."""
    rows = [
        [row["name"], when(row["since"])[:-3], str(row["flows"]), size(row["octets_in"]), size(row["octets_out"]),
         str(row["packets_in"]), str(row["packets_out"])]
        for row in answer["accounts"]
    ]  # fmt: skip
    yield from listed(("name", "since", "flows", "in", "out", "packets in", "packets out"), rows, len(rows))
    yield from _more(answer)


def _more(answer: Answer) -> Iterator[str]:
    if answer["more"]:
        yield "there are more: --limit, or ask for less"


def when(at: float) -> str:
    """A time, of this machine's zone."""
    return datetime.fromtimestamp(at, timezone.utc).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def size(octets: int | None) -> str:
    """So many octets, in steps of a thousand."""
    if octets is None:
        return "-"
    value, step = float(octets), 0
    while value >= 999.5 and step < len(SIZES) - 1:
        value, step = value / 1000, step + 1
    return f"{octets} B" if not step else f"{value:.3g} {SIZES[step]}B"
