"""Decisions of late as lines for humans. Edge: the calendar."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from realmgw.control.command.passing import left_out
from realmgw.control.command.past import size
from realmgw.control.command.shown import Answer, end_of, why
from realmgw.control.durations import duration

_WHAT = {
    "answered": "answered",
    "not_answered": "refused",
    "admitted": "let in",
    "refused": "refused",
    "flow_ended": "ended",
}
_ENDS = {
    "lapsed": "nobody has come", "excused": "nobody has come; the gateway was out of order",
    "settled": "its client has come otherwise", "voided": "what it was made for is there no more",
}  # fmt: skip


def line(value: Answer) -> Iterator[str]:
    """A decision, in a line."""
    if "left_out" in value:
        yield left_out(value)
        return
    if value["what"] == "unread":
        yield f"the ends of flows are not told: {value['why']}"
        return
    when = datetime.fromtimestamp(value["at"]).astimezone().strftime("%H:%M:%S.%f")[:-3]
    name, number = value["name"] or "-", value.get("id") or "-"
    if value["what"] == "claim_ended":
        yield f"{when} {number:13} ended    {name}: {_ENDS[value['why']]}"
        return
    if "resolver" in value:
        client = f" for {value['client']}" if value["client"] else ""
        who = f"{value['resolver']}{client} asked for {name}"
    else:
        ends = end_of(value["source"], value["source_port"]), end_of(value["destination"], value["port"])
        who = f"{value['protocol']} {' > '.join(ends)} {name}"
    said = _came(value) if "address" in value else _carried(value) if "octets_in" in value else why(value)
    yield f"{when} {number:13} {_WHAT[value['what']]:8} {who}: {said}"


def _carried(value: Answer) -> str:
    """What a flow has carried until its end."""
    after = "" if value["start"] is None else f"after {duration(value['at'] - value['start'])}, "
    unheard = "unheard, " if value["why"] == "gone" else ""
    return f"{unheard}{after}{size(value['octets_in'])} in, {size(value['octets_out'])} out"


def _came(value: Answer) -> str:
    after = value["came_after"]
    return f"{value['address']}, " + ("nobody has come" if after is None else f"used {after * 1000:.1f} ms later")


def flow(answer: Answer) -> Iterator[str]:
    """All that is known of a flow."""
    for each in answer["decisions"]:
        yield from line(each)
    if not answer["decisions"]:
        note = answer["note"] or "its first packet came too long ago, or never to user space"
        yield f"no such flow is remembered: {note}"
