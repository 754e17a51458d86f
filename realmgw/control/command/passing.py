"""What is told of packets that are followed, as lines for humans."""

from __future__ import annotations

from collections.abc import Iterator

from realmgw.control.command.shown import ENDS, Answer, end_of

WIDEST = 100
"""So many characters of a rule are shown."""


def left_out(value: Answer) -> str:
    """That something is not told, and of how much that is known."""
    return f"{value['left_out'] or 'some'} are left out: there were too many, or what reads this is too slow"


def watch(value: Answer) -> Iterator[str]:
    """A flow that begins or ends, in a line."""
    if "left_out" in value:
        yield left_out(value)
    else:
        address, via, client = (end_of(value[end], value[port]) for end, port in ENDS)
        name = f" name {value['service']}" if value["service"] else ""
        name += f" id {value['trace_id']}" if value["trace_id"] else ""
        way = f"{value['host'] or '-'} {address} via {via} client {client}{name}"
        yield f"{value['event']:6} {value['direction']:3} {value['protocol']} {way}"


def trace(value: Answer) -> Iterator[str]:
    """A packet with what it has met, a line for each step; or how it was over."""
    if "left_out" in value and "packet" not in value:
        yield f"{value['left_out']} packets are left out: what reads this is too slow"
    elif "packet" not in value:
        yield f"{value['packets']} packets" + (f"; {value['problem']}" if value["problem"] else "")
        if value["lost"]:
            yield "more came than could be heard: steps may be missing"
    else:
        yield f"packet {value['packet']}: {headers(value)}, {'in ' + value['in'] if value['in'] else 'of the gateway'}"
        yield from _steps(value)
        yield f"  {value['verdict']}" + (f" by {value['by']}" if value["by"] else "")
        yield ""


def _steps(value: Answer) -> Iterator[str]:
    for step in value["steps"]:
        if step["now"] is not None:
            yield f"  it is now {headers(step['now'])}"
        table = "" if step["table"].endswith(value["table"]) else f"{step['table']} "
        origin = f" ({step['origin']})" if step["origin"] else ""
        yield f"  {table}{step['chain']}: {step['rule'][:WIDEST]}{origin}: {step['verdict']}"
    if value["left_out"]:
        yield f"  {value['left_out']} more steps"


def headers(packet: Answer) -> str:
    """What a packet says of itself."""
    if packet["protocol"] is None:
        return str(packet["more"])
    ends = [end_of(packet[end], packet[f"{end}_port"]) for end in ("source", "destination")]
    return " ".join(filter(None, (packet["protocol"], " > ".join(ends), packet["more"])))
