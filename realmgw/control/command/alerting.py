"""Alerts as lines for humans."""

from __future__ import annotations

from collections.abc import Iterator

from realmgw.control.command.shown import Answer, end_of
from realmgw.control.durations import duration


def alerts(answer: Answer) -> Iterator[str]:
    """The alerts that came last, three lines for each."""
    if not answer["on"]:
        yield "no alerts are taken: there is no section 'alerts'"
        return
    if answer["audit"]:
        yield "audit: it is only told what would be done"
    yield f"{answer['banned']} banned; {answer['total']} alerts remembered, {len(answer['alerts'])} of them shown"
    for row in answer["alerts"]:
        yield from _alert(row, "would be done" if answer["audit"] else "done")


def _alert(row: Answer, done: str) -> Iterator[str]:
    times = f", {row['times']} times" if row["times"] > 1 else ""
    kind = f"{row['category']}, severity {row['severity']}" if row["category"] else f"severity {row['severity']}"
    yield ""
    yield f"{duration(row['ago'])} ago{times}: {row['signature_id']} {row['signature']} ({kind})"
    if row["proto"]:
        ends = [end_of(row[end], row[port]) for end, port in (("src_ip", "src_port"), ("dest_ip", "dest_port"))]
        yield f"  {row['proto']} {' > '.join(ends)}{_flow(row['flow'])}"
    rule = "no rule" if row["rule"] is None else f"rule {row['rule']}"
    said = [f"{done}: {', '.join(row['done'])}"] if row["done"] else []
    said += [f"not {done}: {'; '.join(row['not_done'])}"] if row["not_done"] else []
    yield f"  {rule}: {'; '.join(said) or 'counted'}"


def _flow(flow: Answer | None) -> str:
    """Whose flow it is."""
    if flow is None:
        return ""
    host, client = end_of(flow["address"], flow["port"]), end_of(flow["client"], flow["client_port"])
    way = "to the gateway itself," if flow["direction"] == "gateway" else f"{flow['direction']}, {flow['host'] or '-'}"
    return f": {way} {host}, client {client}"
